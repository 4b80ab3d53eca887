use std::sync::Arc;

use proptest::prelude::*;

use super::support::{
    CREATED, at, body, encode, encode_after, ended, event, exchange, frame, frames, load, load_with, observe,
    opened, part, request, response, session,
};
use crate::limits::ResourceLimits;
use crate::recording::{BodyRange, read_body};
use crate::session::observation::{Event, FrameObserved, Observation, RewrittenObserved};
use crate::snapshot::{Carrier, Direction, Finding, SentHead, Severity};

const UP: Direction = Direction::ClientToServer;
const DOWN: Direction = Direction::ServerToClient;

/// A little of everything.
fn typical() -> Vec<Observation> {
    let events = [
        opened(),
        request(1, "POST /mcp HTTP/1.1\r\nhost: a\r\nX-Odd:b\n\r\n"),
        body(
            1,
            UP,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#,
        ),
        response(1, &[("content-type", "text/event-stream")], Some(9)),
        Event::Rewritten(Box::new(RewrittenObserved {
            exchange: exchange(1),
            session: Some(session()),
            direction: UP,
            rewrites: vec!["endpoint: /a \u{2192} /b".to_owned()],
            sent: Some(Box::new(SentHead {
                line: Some("POST /b HTTP/1.1".to_owned()),
                removed: vec!["te".to_owned()],
                set: vec![("host".to_owned(), "b".to_owned())],
                configured: vec!["authorization".to_owned()],
            })),
            findings: vec![Finding {
                severity: Severity::Warning,
                text: "odd".to_owned(),
            }],
        })),
        event(1, 0, ": hi\r\nid: 1\r\nretry: 15\r\ndata:\r\n\r\n"),
        event(
            1,
            1,
            "data: {\"jsonrpc\":\"2.0\",\ndata: \"id\":1,\"result\":{}}\n\n",
        ),
        event(1, 2, "\n"),
        ended(1),
        Event::SessionEnded {
            session: session(),
            reason: "the client deleted it",
        },
    ];
    (0..).zip(events).map(|(us, event)| observe(us, event)).collect()
}

#[test]
fn what_is_recorded_loads_as_it_was() {
    let observations = typical();
    let (loaded, damage) = load(&encode(&observations, None));
    let loaded: Vec<_> = loaded.into_iter().map(|loaded| loaded.observation.item).collect();
    assert_eq!(format!("{loaded:#?}"), format!("{observations:#?}"));
    assert_eq!(
        damage,
        ["the recording has no end: it is still being written, or its writer was killed"]
    );
}

#[test]
fn a_file_cut_anywhere_loads_up_to_its_last_whole_line() {
    let observations = typical();
    let file = encode(&observations, None);
    let header = file.iter().position(|byte| *byte == b'\n').unwrap();
    for length in header..file.len() {
        let cut = &file[..length];
        let (loaded, damage) = load(cut);
        let whole_lines = memchr::memchr_iter(b'\n', cut).count().max(1) - 1;
        let last = cut.rsplit(|byte| *byte == b'\n').next().unwrap();
        let is_whole_without_end = file.get(length) == Some(&b'\n') && length > header;
        let is_torn = !last.is_empty() && !is_whole_without_end && length > header;
        assert_eq!(
            loaded.len(),
            whole_lines + usize::from(is_whole_without_end),
            "{length}"
        );
        let torn = format!("line {}: the last line is incomplete", whole_lines + 2);
        assert_eq!(damage.contains(&torn), is_torn, "{length}: {damage:?}");
    }
}

#[test]
fn a_body_in_parts_loads_whole_and_can_be_fetched_again() {
    let text = br#"{"jsonrpc":"2.0","id":"x","result":{"text":"caf\u00e9 "#.to_vec();
    let text = [text, "\u{e9}\"}}".as_bytes().to_vec()].concat();
    let (first, second) = text.split_at(text.len() - 5);
    let mut whole = frame(3, DOWN, Carrier::Http, 0, &text);
    whole.parts = 2;
    let head = |number| observe(0, request(number, "POST / HTTP/1.1\r\n\r\n"));
    let observations = [
        head(3),
        observe(1, part(3, DOWN, 0, first)),
        observe(2, body(4, DOWN, "another exchange")),
        observe(3, part(3, DOWN, 1, second)),
        observe(4, Event::Frame(Arc::new(whole.clone()))),
    ];
    let file = encode(&observations, None);
    let (loaded, _) = load(&file);
    assert_eq!(format!("{:?}", frames(&loaded)[1]), format!("{whole:?}"));

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.jsonl");
    std::fs::write(&path, &file).unwrap();
    let range = loaded[2].body.unwrap();
    assert_eq!(read_body(&path, &range, 1 << 20).unwrap(), text);
    assert_eq!(read_body(&path, &range, 7).unwrap(), &text[..7]);
    let other = loaded[1].body.unwrap();
    assert_eq!(read_body(&path, &other, 1 << 20).unwrap(), "another exchange");
}

#[test]
fn a_body_that_is_no_text_is_kept_byte_for_byte() {
    let bytes: Vec<u8> = (0..=255).collect();
    let observation = observe(
        1,
        Event::Frame(Arc::new(frame(1, DOWN, Carrier::Http, 0, &bytes))),
    );
    let file = encode(&[observation], None);
    assert!(std::str::from_utf8(&file).is_ok());
    assert_eq!(frames(&load(&file).0)[0].wire, bytes);
}

#[test]
fn a_large_frame_takes_several_lines_of_bounded_length() {
    let large = vec![0x01; (5 << 20) / 2];
    let observation = observe(
        1,
        Event::Frame(Arc::new(frame(1, DOWN, Carrier::Http, 0, &large))),
    );
    let file = encode(&[observation], None);
    let longest = file.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap();
    assert!(longest < 7 << 20, "{longest}");
    let (loaded, _) = load(&file);
    assert_eq!(frames(&loaded)[0].wire, large);

    let limits = ResourceLimits {
        max_message_bytes: 2 << 20,
        ..ResourceLimits::default()
    };
    let (loaded, _) = load_with(&file, &limits);
    let cut = frames(&loaded)[0];
    assert!(cut.is_cut && cut.wire.len() <= 4096, "{}", cut.wire.len());
    assert_eq!(cut.size, large.len() as u64);
}

#[test]
fn a_recording_that_begins_inside_a_frame_has_what_was_kept_of_the_whole() {
    let head = observe(0, request(1, "POST / HTTP/1.1\r\n\r\n"));
    let mut whole = frame(1, DOWN, Carrier::Http, 0, b"abcdef");
    whole.parts = 1;
    let rest = observe(1, part(1, DOWN, 0, b"def"));
    let end = observe(2, Event::Frame(Arc::new(whole.clone())));
    let load_frame = |observations: &[Observation]| {
        let (loaded, _) = load(&encode_after(std::slice::from_ref(&head), observations, None));
        frames(&loaded)[0].clone()
    };
    let loaded = load_frame(&[rest.clone(), end.clone()]);
    assert_eq!((&loaded.wire[..], loaded.is_cut), (&b"abcdef"[..], false));

    whole.wire = whole.wire.slice(..2);
    whole.is_cut = true;
    let loaded = load_frame(&[rest, observe(2, Event::Frame(Arc::new(whole)))]);
    assert_eq!(
        (&loaded.wire[..], loaded.is_cut, loaded.size),
        (&b"ab"[..], true, 6)
    );

    // Told of twice: the recording was on when the exchange began, so its parts are written as they come.
    let parts = [b"abc", b"def"].map(|bytes| observe(1, part(1, DOWN, u32::from(bytes == b"def"), bytes)));
    let loaded = load_frame(&[head.clone(), parts[0].clone(), parts[1].clone(), end]);
    assert_eq!((&loaded.wire[..], loaded.parts), (&b"abcdef"[..], 2));
}

#[test]
fn an_unfinished_frame_loads_as_a_fragment() {
    let observations = [
        observe(0, request(1, "POST / HTTP/1.1\r\n\r\n")),
        observe(7, part(1, UP, 0, b"{\"jsonrpc\":\"2.0\",\"id\"")),
    ];
    let (loaded, _) = load(&encode(&observations, None));
    let fragment = frames(&loaded)[0];
    assert!(fragment.is_fragment);
    assert_eq!(fragment.wire, "{\"jsonrpc\":\"2.0\",\"id\"");
    assert_eq!(loaded[1].observation.item.at, at(7));
}

#[test]
fn missing_parts_and_broken_lines_are_told_by_their_line() {
    let observations = [
        observe(0, request(1, "POST / HTTP/1.1\r\n\r\n")),
        observe(1, part(1, UP, 0, b"abc")),
        observe(2, part(1, UP, 1, b"def")),
        observe(3, part(1, UP, 2, b"ghi")),
    ];
    let text = String::from_utf8(encode(&observations, None)).unwrap();
    let broken: Vec<&str> = text
        .lines()
        .enumerate()
        .map(|(index, line)| if index == 3 { "{\"type\":\"frame\"}" } else { line })
        .collect();
    let (loaded, damage) = load((broken.join("\n") + "\n").as_bytes());
    assert!(frames(&loaded)[0].is_cut);
    assert!(
        damage[0].starts_with("test.jsonl, line 4, cannot be read"),
        "{damage:?}"
    );
    assert_eq!(damage[1], "line 5: parts of its frame are missing before it");
}

#[test]
fn a_preamble_may_be_older_than_the_recording() {
    let mut old = observe(0, opened());
    old.at = crate::clock::Timestamp::from_micros(CREATED.as_micros() - 1_000_000);
    let (loaded, _) = load(&encode(std::slice::from_ref(&old), None));
    assert_eq!(loaded[0].observation.item.at, old.at);
}

fn any_frame() -> impl Strategy<Value = FrameObserved> {
    let json = prop_oneof![
        Just(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#.to_owned()),
        Just(r#"[{"jsonrpc":"2.0","id":"a","result":{}},{"jsonrpc":"2.0","method":"n"}]"#.to_owned()),
        ".{0,30}",
    ];
    let sse = (
        json.clone(),
        "[a-z]{0,4}",
        prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
    )
        .prop_map(|(data, name, ending)| {
            let data = data.replace(['\r', '\n'], " ");
            (
                Carrier::Sse,
                format!("event: {name}{ending}id: 7{ending}data: {data}{ending}{ending}").into_bytes(),
            )
        });
    let http = prop_oneof![
        json.prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..50)
    ]
    .prop_map(|bytes| (Carrier::Http, bytes));
    (prop_oneof![sse, http], 1_u64..5, any::<bool>(), any::<bool>()).prop_map(
        |((carrier, wire), number, up, cut)| {
            let direction = if up { UP } else { DOWN };
            let mut frame = frame(number, direction, carrier, 0, &wire);
            frame.is_fragment = cut;
            frame.coding = cut.then(|| "gzip".into());
            frame
        },
    )
}

proptest! {
    #[test]
    fn every_frame_comes_back_as_it_was(frames_in in prop::collection::vec((any_frame(), any::<u32>()), 0..8)) {
        let observations: Vec<_> = frames_in
            .into_iter()
            .map(|(frame, us)| observe(u64::from(us), Event::Frame(Arc::new(frame))))
            .collect();
        let (loaded, _) = load(&encode(&observations, None));
        let loaded: Vec<_> = loaded.into_iter().map(|loaded| loaded.observation.item).collect();
        prop_assert_eq!(format!("{loaded:?}"), format!("{observations:?}"));
    }

    #[test]
    fn any_bytes_after_the_header_are_read_to_the_end(tail in prop::collection::vec(any::<u8>(), 0..200), flips in prop::collection::vec((0_usize..3000, any::<u8>()), 0..4)) {
        let mut file = encode(&typical(), None);
        let header = file.iter().position(|byte| *byte == b'\n').unwrap();
        for (place, byte) in flips {
            if let Some(place) = file.get_mut(header + 1 + place) {
                *place = byte;
            }
        }
        file.extend(tail);
        load(&file);
    }

    #[test]
    fn a_range_of_nothing_reads_nothing(offset in 0_u64..5000, length in 0_u64..5000) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        std::fs::write(&path, encode(&typical(), None)).unwrap();
        let range = BodyRange { offset, length, line: 1, exchange: exchange(77), direction: UP, carrier: Carrier::Http, frame: 0 };
        if let Ok(body) = read_body(&path, &range, 100) {
            prop_assert!(body.is_empty());
        }
    }
}
