use std::io::Cursor;
use std::path::Path;

use super::support::{body, encode, encode_after, ended, event, observe, opened, part, request, response};
use crate::recording::verify::{ProblemKind, Verified, verify};
use crate::recording::{RecordingFile, RecordingReader};
use crate::session::observation::Event;
use crate::snapshot::Direction;

const UP: Direction = Direction::ClientToServer;
const DOWN: Direction = Direction::ServerToClient;

fn verified(file: &[u8]) -> Verified {
    let file = RecordingFile::new(Cursor::new(file.to_vec())).unwrap();
    verify(file, Path::new("a.jsonl")).unwrap()
}

/// Line and kind of each problem.
fn problems(file: &[u8]) -> Vec<(Option<u64>, ProblemKind)> {
    let found = verified(file).problems.into_iter();
    found.map(|problem| (problem.line, problem.kind)).collect()
}

fn events() -> Vec<Event> {
    vec![
        opened(),
        request(1, "POST /mcp HTTP/1.1\r\n\r\n"),
        body(1, UP, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#),
        response(1, &[("content-type", "text/event-stream")], Some(9)),
        event(1, 0, "id: 1\ndata:\n\n"),
        event(1, 1, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n"),
        ended(1),
    ]
}

/// The lines of a whole recording of one exchange: a header, seven lines, an end.
fn lines() -> Vec<String> {
    let observations: Vec<_> = (0..)
        .zip(events())
        .map(|(us, event)| observe(us, event))
        .collect();
    with_end(&encode(&observations, None))
}

fn with_end(file: &[u8]) -> Vec<String> {
    let text = String::from_utf8(file.to_vec()).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (count, bytes) = (lines.len() + 1, text.len());
    let seq = count - 1;
    lines.push(format!(
        r#"{{"type":"end","seq":{seq},"us":99,"lines":{count},"bytes":{bytes},"lost":0}}"#
    ));
    lines
}

fn file(lines: &[String]) -> Vec<u8> {
    let mut file = lines.join("\n").into_bytes();
    file.push(b'\n');
    file
}

#[test]
fn a_whole_recording_is_whole() {
    let lines = lines();
    let verified = verified(&file(&lines));
    assert_eq!(verified.problems, []);
    assert!(verified.is_whole() && verified.is_ended);
    assert_eq!((verified.lines, verified.frames), (9, 3));
    assert_eq!((verified.sessions, verified.messages), (1, 2));
}

#[test]
fn every_recording_that_comes_along_is_whole() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let verified = verify(RecordingFile::open(&path).unwrap(), &path).unwrap();
            assert_eq!(verified.problems, [], "{}", path.display());
        }
    }
}

#[test]
fn changed_ends_of_lines_are_called_that() {
    let whole = file(&lines());
    let changed = String::from_utf8(whole).unwrap().replace('\n', "\r\n");
    let found = verified(changed.as_bytes());
    assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
    let text = &found.problems[0].text;
    assert!(text.contains("to CR LF"), "{text}");
}

#[test]
fn any_line_that_is_taken_away_is_missed() {
    let whole = lines();
    for missing in 1..whole.len() {
        let mut lines = whole.clone();
        lines.remove(missing);
        assert!(!verified(&file(&lines)).is_whole(), "{missing}");
    }
}

#[test]
fn any_line_that_comes_twice_is_found() {
    let whole = lines();
    for twice in 1..whole.len() {
        let mut lines = whole.clone();
        lines.insert(twice, lines[twice].clone());
        let found = problems(&file(&lines));
        assert!(
            found.contains(&(Some(twice as u64 + 2), ProblemKind::Order)),
            "{twice}: {found:?}"
        );
    }
}

#[test]
fn two_lines_in_the_wrong_order_are_found() {
    let mut lines = lines();
    lines.swap(5, 6);
    let found = problems(&file(&lines));
    assert!(found.contains(&(Some(7), ProblemKind::Order)), "{found:?}");
}

#[test]
fn any_cut_is_found() {
    let whole = file(&lines());
    let header = whole.iter().position(|byte| *byte == b'\n').unwrap();
    for length in header + 1..whole.len() - 1 {
        let found = problems(&whole[..length]);
        assert!(found.contains(&(None, ProblemKind::NoEnd)), "{length}");
        let is_torn = found.iter().any(|(_, kind)| *kind == ProblemKind::TornTail);
        let ends_whole = whole[length - 1] == b'\n' || whole[length] == b'\n';
        assert_eq!(is_torn, !ends_whole, "{length}: {found:?}");
    }
}

#[test]
fn broken_lines_are_named_and_do_not_count_as_holes() {
    let mut lines = lines();
    lines[5] = "{\"type\":\"frame\"}".to_owned();
    assert_eq!(
        problems(&file(&lines)),
        [(Some(6), ProblemKind::BrokenLine), (Some(9), ProblemKind::Count)]
    );
}

#[test]
fn a_type_of_a_later_build_is_told_and_no_damage() {
    let mut lines = lines();
    lines[7] = r#"{"type":"omen","seq":7,"us":6}"#.to_owned();
    lines.truncate(8);
    let verified = verified(&file(&lines));
    let unknown = &verified.problems[0];
    assert_eq!((unknown.line, unknown.kind), (Some(8), ProblemKind::UnknownType));
    assert_eq!(
        unknown.text,
        "has the type `omen`, which this build does not know"
    );
    assert!(!unknown.is_damage());
}

#[test]
fn a_gap_is_damage_and_explains_the_numbers_and_frames_before_it() {
    let mut lines = lines();
    lines[5] = r#"{"type":"gap","seq":5,"us":9,"lost":1,"bytes":9,"from":1,"to":2,"reason":"the recorder did not keep up"}"#.to_owned();
    let found = problems(&file(&lines));
    assert_eq!(found[0], (Some(6), ProblemKind::Gap));
    assert!(
        found[1..].iter().all(|(_, kind)| *kind == ProblemKind::Count),
        "{found:?}"
    );
}

#[test]
fn missing_parts_of_a_frame_are_found() {
    let observations = [
        observe(0, request(1, "POST / HTTP/1.1\r\n\r\n")),
        observe(1, part(1, UP, 0, b"abc")),
        observe(2, part(1, UP, 1, b"def")),
        observe(3, part(1, UP, 2, b"ghi")),
        observe(4, ended(1)),
    ];
    let mut lines = with_end(&encode(&observations, None));
    // As if the recorder itself had not seen it: the numbers of the lines are right.
    lines[3] = lines[3].replace("\"part\":1", "\"part\":2");
    assert_eq!(
        problems(&file(&lines)),
        [
            (Some(4), ProblemKind::MissingFrame),
            (Some(5), ProblemKind::Duplicate),
            (Some(6), ProblemKind::Unfinished)
        ]
    );
}

#[test]
fn a_frame_shorter_than_it_was_is_found() {
    let mut lines = lines();
    lines[5] = lines[5].replace("\"messages\":0", "\"messages\":0,\"size\":99");
    assert_eq!(problems(&file(&lines))[0], (Some(6), ProblemKind::MissingFrame));
}

#[test]
fn an_exchange_that_was_open_at_the_end_is_told_and_one_without_head_is_damage() {
    let observations = [
        observe(0, request(1, "POST / HTTP/1.1\r\n\r\n")),
        observe(1, body(2, DOWN, "{}")),
    ];
    let lines = with_end(&encode(&observations, None));
    assert_eq!(
        problems(&file(&lines)),
        [
            (Some(3), ProblemKind::Headless),
            (Some(2), ProblemKind::StillOpen),
            (Some(3), ProblemKind::StillOpen)
        ]
    );
}

#[test]
fn a_recording_that_began_in_mid_traffic_is_whole() {
    let mut head = observe(0, request(1, "POST / HTTP/1.1\r\n\r\n"));
    head.at = crate::clock::Timestamp::from_micros(head.at.as_micros() - 10);
    let observations = [
        observe(1, event(1, 7, "data: {}\n\n")),
        observe(2, event(1, 8, "data: {}\n\n")),
        observe(3, ended(1)),
    ];
    let lines = with_end(&encode_after(&[head], &observations, None));
    assert_eq!(problems(&file(&lines)), []);
}

#[test]
fn a_compressed_recording_is_read_and_its_cut_is_found() {
    let whole = file(&lines());
    let (head, rest) = whole.split_at(whole.len() / 2);
    let frames = [head, rest].map(|part| zstd::bulk::compress(part, 3).unwrap());
    let compressed = frames.concat();
    assert!(verified(&compressed).is_whole());
    let cut = &compressed[..compressed.len() - 6];
    let kinds: Vec<_> = problems(cut).into_iter().map(|(_, kind)| kind).collect();
    assert!(kinds.contains(&ProblemKind::TornTail), "{kinds:?}");
    let start = &compressed[..20];
    let begun = verified(start);
    assert_eq!((begun.header, begun.lines), (None, 0));
    assert_eq!(problems(start)[0], (None, ProblemKind::TornTail));
}

/// Each line in a frame of its own, as a recorder with little traffic writes them.
fn frames(lines: &[String]) -> Vec<Vec<u8>> {
    let frame = |line: &String| zstd::bulk::compress(format!("{line}\n").as_bytes(), 3).unwrap();
    lines.iter().map(frame).collect()
}

/// The bytes with some in the middle turned over.
fn broken(frame: &[u8]) -> Vec<u8> {
    let mut broken = frame.to_vec();
    // What says how the block is coded.
    broken[5..12].iter_mut().for_each(|byte| *byte = !*byte);
    broken
}

#[test]
fn damaged_compressed_data_is_named_with_its_line_and_the_lines_behind_it_are_read() {
    let lines = lines();
    for harmed in 0..lines.len() {
        let mut frames = frames(&lines);
        frames[harmed] = broken(&frames[harmed]);
        let file = frames.concat();
        let found = problems(&file);
        let line = harmed as u64 + 1;
        let kinds: Vec<_> = found
            .iter()
            .filter(|(_, kind)| *kind == ProblemKind::BrokenData)
            .collect();
        assert_eq!(kinds, [&(Some(line), ProblemKind::BrokenData)], "{found:?}");
        assert!(
            !found.iter().any(|(_, kind)| *kind == ProblemKind::BrokenLine),
            "{found:?}"
        );
        let verified = verified(&file);
        assert_eq!(
            (verified.is_whole(), verified.is_ended),
            (false, harmed + 1 < lines.len())
        );
        let reader = RecordingReader::once(
            RecordingFile::new(Cursor::new(file)).unwrap(),
            Path::new("a.jsonl.zst"),
        );
        match reader {
            Err(error) => assert!(
                harmed == 0 && error.to_string().contains("before its first line is whole"),
                "{error}"
            ),
            Ok(reader) => {
                let told: Vec<String> = reader
                    .filter_map(Result::err)
                    .map(|error| error.to_string())
                    .collect();
                let told = told.join("\n");
                assert!(
                    told.starts_with(&format!(
                        "a.jsonl.zst, line {line}: the compressed data is damaged"
                    )),
                    "{told}"
                );
                assert_eq!(told.lines().count(), 1, "{told}");
            }
        }
    }
}

#[test]
fn another_recording_in_the_same_file_is_one_problem_and_is_left_out() {
    let one = file(&lines());
    let both = [&one[..], &one[..]].concat();
    assert_eq!(problems(&both), [(Some(10), ProblemKind::AnotherRecording)]);
    assert_eq!(verified(&both).lines, 18);
    let mut reader = RecordingReader::new(&both[..], Path::new("a.jsonl")).unwrap();
    assert_eq!(reader.by_ref().map(Result::unwrap).count(), 8);
    let damage = reader.damage();
    assert_eq!(damage.len(), 1);
    assert!(
        damage[0].starts_with("line 10: another recording begins here"),
        "{damage:?}"
    );
}

#[test]
fn readers_tell_of_lines_that_are_missing_without_a_gap() {
    let mut lines = lines();
    lines.drain(4..6);
    lines.insert(2, r#"{"type":"omen","seq":2,"us":6}"#.to_owned());
    let text = file(&lines);
    let mut reader = RecordingReader::new(&text[..], Path::new("a.jsonl")).unwrap();
    reader.by_ref().for_each(drop);
    assert_eq!(
        reader.damage(),
        ["line 6: lines are missing before it (2), and no gap tells of them"]
    );
}
