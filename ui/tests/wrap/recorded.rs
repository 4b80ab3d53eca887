//! What a recording tells of the run of a command.

use shadowcat::recording::RecordingReader;
use shadowcat::recording::format::{ExchangeEndLine, Line, RequestLine};
use shadowcat::snapshot::EndKind;

use super::again::{SERVER, seen_call};
use super::holding::Holding;
use super::*;

/// Lines about the run of `sh -c SCRIPT` that a proxy writes whose shim found it.
fn recorded_run(home: &Home, script: &str) -> (RequestLine, ExchangeEndLine) {
    let proxy = Holding::with(home, Vec::new());
    let path = home.path().join("run.jsonl");
    proxy.record(&path);
    let mut wrapped = Wrapped::start(home, &[], &["sh", "-c", &format!("{SERVER}\n{script}")]);
    seen_call(&proxy, &mut wrapped);
    wrapped.finish();
    until("the end of the run", || {
        std::fs::read_to_string(&path).unwrap().contains("exchange_end")
    });
    proxy.stop_recording();
    let (mut begun, mut ended) = (None, None);
    for record in RecordingReader::open(&path).unwrap() {
        match record.unwrap().line {
            Line::Request(request) => begun = Some(request),
            Line::ExchangeEnd(end) => ended = Some(end),
            _ => {}
        }
    }
    (begun.unwrap(), ended.unwrap())
}

#[test]
fn the_end_of_a_run_tells_whether_the_command_ended_well() {
    let failed = |what: &str| (EndKind::UpstreamAborted, Some(format!("the command {what}")));
    for (script, expected) in [
        ("exit 0", (EndKind::Complete, None)),
        ("exit 3", failed("exited with code 3")),
        ("kill -KILL $$", failed("was ended by signal 9")),
    ] {
        let home = Home::new();
        let (run, end) = recorded_run(&home, script);
        assert_eq!((end.response_end, end.failure), expected, "{script}");
        assert_eq!(end.request_end, EndKind::Complete, "{script}");
        let here = home.path().canonicalize().unwrap();
        let fields = serde_json::to_value(&run.head).unwrap()["fields"].clone();
        let expected = serde_json::json!(["working directory", here]);
        assert!(fields.as_array().unwrap().contains(&expected), "{fields}");
    }
}
