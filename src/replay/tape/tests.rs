use std::path::{Path, PathBuf};

use super::*;
use crate::session::observation::CallRole;
use crate::snapshot::{Direction, EndKind, Era};

const HEADER: &str = r#"{"type":"header","format":"shadowcat-recording","version":1,"created":"2026-11-23T04:23:03.123456Z","proxy":"shadowcat-tui 0.1.0","redacted":true}"#;

fn recordings() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let files = std::fs::read_dir(directory).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|ending| ending == "jsonl"))
        .collect();
    files.sort();
    files
}

fn recording(name: &str) -> Tape {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("recordings")
        .join(name);
    Tape::load(&path, &TapeOptions::as_the_client_saw_it()).unwrap()
}

fn tape_of(lines: &[&str], options: &TapeOptions) -> Result<Tape, TapeError> {
    let text = format!("{HEADER}\n{}\n", lines.join("\n"));
    let path = Path::new("a.jsonl");
    Tape::read(RecordingReader::new(text.as_bytes(), path)?, path, options)
}

/// Each call of the client in a line: its method, what came between, and whether it was answered.
fn told(session: &TapeSession) -> Vec<String> {
    let name = |place: &usize| {
        let message = &session.messages[*place];
        let method = message.envelope.method.as_deref().unwrap_or("answer");
        method.rsplit('/').next().unwrap_or_default().to_owned()
    };
    let line = |call: &TapeCall| {
        let between: Vec<String> = call.between.iter().map(name).collect();
        let answer = if call.answer.is_some() { "answered" } else { "open" };
        format!("{} [{}] {answer}", call.method, between.join(" "))
    };
    session.client_calls().map(line).collect()
}

#[test]
fn a_head_that_stands_behind_its_frames_or_comes_twice_takes_nothing_from_them() {
    let head = r#"{"type":"request","seq":2,"us":1,"exchange":1,"connection":1,"client":"c","side":"reverse","server":"a:1","kind":"message","method":"POST","target":"/mcp","head":{"line":"POST /mcp HTTP/1.1","fields":[]}}"#;
    let frame = |number: u32| {
        format!(
            r#"{{"type":"frame","seq":3,"us":2,"exchange":1,"direction":"client_to_server","transport":"http","frame":{number},"part":0,"last":true,"text":"{{\"jsonrpc\":\"2.0\",\"id\":{number},\"method\":\"ping\"}}","messages":1}}"#
        )
    };
    let lines = [&*frame(0), head, &frame(1), head];
    let tape = tape_of(&lines, &TapeOptions::as_it_arrived()).unwrap();
    assert_eq!(told(&tape.sessions[0]), ["ping [] open", "ping [] open"]);
    assert_eq!(tape.sessions[0].exchanges[0].target, "/mcp");
}

#[test]
fn every_recording_is_read_without_damage_and_its_requests_find_their_answers() {
    assert!(recordings().len() >= 15);
    for path in recordings() {
        let tape = Tape::load(&path, &TapeOptions::as_the_client_saw_it()).unwrap();
        assert_eq!(tape.damage, Vec::<String>::new(), "{}", path.display());
        for session in &tape.sessions {
            for call in session.client_calls() {
                let was_cancelled = call.is_cancelled
                    || session.exchanges[session.messages[call.request].exchange]
                        .end
                        .as_ref()
                        .is_some_and(|end| end.response == EndKind::ClientAborted);
                assert!(
                    call.answer.is_some() || was_cancelled,
                    "{}: {}",
                    path.display(),
                    call.method
                );
            }
        }
    }
}

#[test]
fn calls_over_streamable_http_have_what_their_own_stream_carried() {
    let tape = recording("legacy-http.jsonl");
    let [session] = &tape.sessions[..] else {
        panic!("{} sessions", tape.sessions.len());
    };
    assert_eq!(
        (session.carrier, session.era, session.revision.as_deref()),
        (TapeCarrier::StreamableHttp, Era::Legacy, Some("2025-11-25"))
    );
    assert_eq!(
        told(session),
        [
            "initialize [] answered",
            "ping [] answered",
            "tools/call [] answered",
            "tools/call [] answered",
            "tools/call [progress progress progress] answered",
            "tools/call [createMessage answer] answered",
            "tools/call [create answer] answered",
        ]
    );
    let asked: Vec<(&str, bool)> = session
        .server_calls()
        .map(|call| (&*call.method, call.during.is_some()))
        .collect();
    assert_eq!(
        asked,
        [
            ("roots/list", false),
            ("sampling/createMessage", true),
            ("elicitation/create", true)
        ]
    );
    let sse = session
        .exchanges
        .iter()
        .find(|exchange| exchange.method == "GET")
        .unwrap();
    assert!(sse.is_stream() && sse.frames.len() == 2);
}

#[test]
fn on_a_pipe_what_came_during_a_call_goes_with_it_and_matters_of_the_session_do_not() {
    let tape = recording("wrap-legacy.jsonl");
    let session = &tape.sessions[0];
    assert_eq!(session.carrier, TapeCarrier::Stdio);
    assert_eq!(
        told(session),
        [
            "initialize [] answered",
            "tools/call [] answered",
            "tools/call [progress message progress progress] answered",
            "tools/call [createMessage answer] answered",
            "tools/call [create answer] answered",
            "tools/call [] answered",
        ]
    );
    let loose = session
        .loose()
        .filter(|place| session.messages[*place].direction == Direction::ServerToClient);
    assert_eq!(loose.count(), 5, "five times tools/list_changed");
}

#[test]
fn an_older_session_is_found_by_its_endpoint_and_its_answers_on_the_stream() {
    for name in ["http-sse.jsonl", "http-sse-named.jsonl"] {
        let tape = recording(name);
        let session = &tape.sessions[0];
        assert_eq!(session.carrier, TapeCarrier::HttpSse);
        assert_eq!(
            told(session),
            [
                "initialize [] answered",
                "ping [] answered",
                "tools/call [] answered",
                "tools/call [progress progress] answered",
            ]
        );
    }
}

#[test]
fn a_modern_call_that_was_broken_off_has_its_progress_and_no_answer() {
    let tape = recording("modern-http.jsonl");
    let session = &tape.sessions[0];
    assert_eq!(
        (session.era, session.revision.as_deref()),
        (Era::Modern, Some("2026-07-28"))
    );
    let told = told(session);
    assert_eq!(told[3], "tools/call [progress progress progress] answered");
    assert_eq!(told[6], "tools/call [progress] open");
    assert!(session.calls.iter().all(|call| call.is_modern));
}

#[test]
fn the_pipes_of_a_bridge_say_nothing_twice() {
    let tape = recording("stdio-bridge-legacy.jsonl");
    let session = &tape.sessions[0];
    assert_eq!(session.carrier, TapeCarrier::StreamableHttp);
    assert_eq!(
        told(session)[3],
        "tools/call [createMessage answer] answered",
        "sampling came on the GET stream, during the call"
    );
}

const ASKED: &str = r#"{"type":"request","seq":1,"us":0,"session":"R1","exchange":1,"connection":1,"client":"127.0.0.1:1","side":"reverse","server":"s","kind":"message","method":"POST","target":"/mcp","head":{"line":"POST /mcp HTTP/1.1","fields":[]}}"#;
const SAID: &str = r#"{"type":"frame","seq":2,"us":10,"session":"R1","exchange":1,"direction":"client_to_server","transport":"http","frame":0,"part":0,"last":true,"text":"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"came\"}}","messages":1}"#;
const HEAD: &str = r#"{"type":"response","seq":3,"us":20,"session":"R1","exchange":1,"status":200,"head":{"line":"HTTP/1.1 200 OK","fields":[["Content-Type","text/event-stream"]]},"media_type":"text/event-stream"}"#;
const FIRST: &str = r#"{"type":"frame","seq":4,"us":30,"session":"R1","exchange":1,"direction":"server_to_client","transport":"sse","frame":0,"part":0,"last":false,"text":"id: 1\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,"}"#;
const SECOND: &str = r#"{"type":"frame","seq":5,"us":40,"session":"R1","exchange":1,"direction":"server_to_client","transport":"sse","frame":0,"part":1,"last":true,"text":"\"result\":{\"came\":1}}\n\n","sse":{"event":"message","id":"1"},"messages":1,"size":51}"#;
const EDITED: &str = r#"{"type":"verdict","seq":6,"us":50,"session":"R1","exchange":1,"direction":"server_to_client","frame":0,"rule":"r","ending":"edited","actor":"rule","sent":"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"went\":1}}"}"#;
const REFUSED: &str = r#"{"type":"verdict","seq":3,"us":15,"session":"R1","exchange":1,"direction":"client_to_server","frame":0,"rule":"r","ending":"refused","actor":"rule","sent":"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-1,\"message\":\"no\"}}"}"#;

#[test]
fn the_parts_of_an_event_keep_their_times() {
    let tape = tape_of(&[ASKED, SAID, HEAD, FIRST, SECOND], &TapeOptions::as_it_arrived()).unwrap();
    let session = &tape.sessions[0];
    let frame = &session.exchanges[0].frames[1];
    assert_eq!(
        frame.bytes,
        "id: 1\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"came\":1}}\n\n"
    );
    assert_eq!((frame.us, frame.done_us), (30, 40));
    let parts: Vec<(i64, usize)> = frame.parts.iter().map(|part| (part.us, part.end)).collect();
    assert_eq!(parts, [(30, 36), (40, frame.bytes.len())]);
    let answer = &session.messages[session.calls[0].answer.unwrap()];
    assert_eq!(answer.text, r#"{"jsonrpc":"2.0","id":1,"result":{"came":1}}"#);
    assert_eq!((answer.role, answer.us), (CallRole::Answers, 40));
}

#[test]
fn an_edited_answer_is_taken_as_it_came_or_as_it_went_on() {
    let lines = [ASKED, SAID, HEAD, FIRST, SECOND, EDITED];
    let answer = |options: TapeOptions| {
        let tape = tape_of(&lines, &options).unwrap();
        let session = &tape.sessions[0];
        let answer = &session.messages[session.calls[0].answer.unwrap()];
        (answer.text.clone(), session.frame_of(answer).bytes.clone())
    };
    assert!(answer(TapeOptions::as_it_arrived()).0.ends_with(b"{\"came\":1}}"));
    let (text, block) = answer(TapeOptions::as_the_client_saw_it());
    assert_eq!(text, r#"{"jsonrpc":"2.0","id":1,"result":{"went":1}}"#);
    assert_eq!(
        block,
        format!("id: 1\ndata: {}\n\n", std::str::from_utf8(&text).unwrap())
    );
}

#[test]
fn of_a_batch_only_the_entries_that_were_changed_are_other_ones() {
    const BATCH: &str = r#"{"type":"frame","seq":2,"us":10,"session":"R1","exchange":1,"direction":"server_to_client","transport":"http","frame":0,"part":0,"last":true,"text":"[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}},{\"jsonrpc\":\"2.0\",\"method\":\"a\"},{\"jsonrpc\":\"2.0\",\"method\":\"b\"}]","messages":3}"#;
    let verdict = |entry: u32, ending: &str, sent: &str| {
        format!(
            r#"{{"type":"verdict","seq":3,"us":15,"session":"R1","exchange":1,"direction":"server_to_client","frame":0,"batch":[{entry},3],"rule":"r","ending":"{ending}","actor":"key"{sent}}}"#
        )
    };
    let sent = r#","sent":"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"went\":1}}""#;
    let verdicts = [
        verdict(1, "edited", sent),
        verdict(2, "dropped", ""),
        verdict(3, "forwarded", ""),
    ];
    let lines = [ASKED, BATCH, &verdicts[0], &verdicts[1], &verdicts[2]];
    let frame = |options: TapeOptions| {
        let tape = tape_of(&lines, &options).unwrap();
        tape.sessions[0].exchanges[0].frames[0].payload.clone()
    };
    assert_eq!(
        frame(TapeOptions::as_the_client_saw_it()),
        r#"[{"jsonrpc":"2.0","id":1,"result":{"went":1}},{"jsonrpc":"2.0","method":"b"}]"#
    );
    let came = frame(TapeOptions::as_it_arrived());
    assert!(came.ends_with(br#"{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","method":"b"}]"#));
}

#[test]
fn what_we_made_up_while_a_message_was_held_is_none_of_the_server() {
    let synthetic = FIRST
        .replace(r#""last":false"#, r#""last":true,"synthetic":true"#)
        .replace(r#""frame":0"#, r#""frame":9"#);
    let lines = [ASKED, SAID, HEAD, &synthetic];
    let tape = tape_of(&lines, &TapeOptions::as_it_arrived()).unwrap();
    assert_eq!(tape.sessions[0].exchanges[0].frames.len(), 1);
}

#[test]
fn what_was_sent_again_is_no_call_of_the_client_unless_it_is_wanted() {
    const RUN: &str = r#"{"type":"request","seq":20,"us":0,"session":"R2","exchange":9,"connection":2,"client":"a","side":"reverse","server":"up","kind":"run","method":"run","target":"x","head":{"line":"x","fields":[]}}"#;
    const COPY: &str = r#"{"type":"frame","seq":21,"us":1,"session":"R2","exchange":9,"direction":"client_to_server","transport":"stdio","frame":0,"part":0,"last":true,"text":"{\"jsonrpc\":\"2.0\",\"id\":\"shadowcat-3\",\"method\":\"ping\"}\n","messages":1,"injected":true}"#;
    const PROGRESS: &str = r#"{"type":"frame","seq":22,"us":2,"session":"R2","exchange":9,"direction":"server_to_client","transport":"stdio","frame":0,"part":0,"last":true,"text":"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":\"shadowcat-3\",\"progress\":1}}\n","messages":1}"#;
    const ANSWER: &str = r#"{"type":"frame","seq":23,"us":3,"session":"R2","exchange":9,"direction":"server_to_client","transport":"stdio","frame":1,"part":0,"last":true,"text":"{\"jsonrpc\":\"2.0\",\"id\":\"shadowcat-3\",\"result\":{}}\n","messages":1}"#;
    let posted = SAID.replace(r#""last":true"#, r#""last":true,"injected":true"#);
    let own = ANSWER
        .replace("shadowcat-3", "7")
        .replace(r#""frame":1"#, r#""frame":2"#);
    let lines = [ASKED, &posted, HEAD, RUN, COPY, PROGRESS, ANSWER, &own];
    let messages = |options: &TapeOptions| -> usize {
        let tape = tape_of(&lines, options).unwrap();
        tape.sessions.iter().map(|session| session.messages.len()).sum()
    };
    assert_eq!(messages(&TapeOptions::as_the_client_saw_it()), 1);
    assert_eq!(messages(&TapeOptions::as_it_arrived()), 1);
    assert_eq!(messages(&TapeOptions::as_it_arrived().with_injected()), 5);
}

#[test]
fn what_was_answered_in_the_place_of_the_server_is_an_answer_to_the_client_only() {
    let lines = [ASKED, SAID, REFUSED];
    let answer = |options: TapeOptions| {
        let tape = tape_of(&lines, &options).unwrap();
        let session = &tape.sessions[0];
        session.calls[0]
            .answer
            .map(|answer| session.messages[answer].text.clone())
    };
    assert_eq!(answer(TapeOptions::as_it_arrived()), None);
    let seen = answer(TapeOptions::as_the_client_saw_it()).unwrap();
    assert!(
        seen.starts_with(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\""),
        "{seen:?}"
    );
}

#[test]
fn an_answer_of_ours_that_was_recorded_on_its_way_too_is_there_once() {
    let ours = HEAD.replace(r#""seq":3"#, r#""ours":true,"seq":3"#);
    let sent = SAID.replace("client_to_server", "server_to_client").replace(
        r#"\"method\":\"tools/call\",\"params\":{\"name\":\"came\"}"#,
        r#"\"error\":{\"code\":-1,\"message\":\"no\"}"#,
    );
    let tape = tape_of(
        &[ASKED, SAID, &ours, &sent, REFUSED],
        &TapeOptions::as_the_client_saw_it(),
    );
    let session = &tape.unwrap().sessions[0];
    assert_eq!(
        (session.messages.len(), session.exchanges[0].frames.len()),
        (2, 2)
    );
    assert!(session.calls[0].answer.is_some());
}

#[test]
fn damage_is_told_and_the_rest_is_used() {
    let tape = tape_of(
        &[ASKED, SAID, "nonsense", HEAD, SECOND],
        &TapeOptions::as_it_arrived(),
    )
    .unwrap();
    assert_eq!(
        tape.damage
            .iter()
            .map(|text| text
                .split(" (")
                .next()
                .unwrap_or_default()
                .split(": ")
                .next()
                .unwrap_or_default())
            .collect::<Vec<_>>(),
        [
            "line 6",
            "a.jsonl, line 4, cannot be read and is left out; the other lines are used",
            "line 6",
        ]
    );
    let session = &tape.sessions[0];
    assert!(session.exchanges[0].frames[1].is_cut);
    assert_eq!(session.client_calls().count(), 1);
}

#[test]
fn a_recording_above_the_limit_is_refused_with_advice() {
    let options = TapeOptions {
        max_bytes: 50,
        ..TapeOptions::as_it_arrived()
    };
    assert_eq!(
        tape_of(&[ASKED, SAID], &options).unwrap_err().to_string(),
        "a.jsonl has more than 50 bytes of messages, which is max_history_memory; raise --max-history-memory, or use a shorter recording"
    );
}
