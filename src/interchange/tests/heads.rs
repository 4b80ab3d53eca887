//! What an archive says of sessions, and of the heads that went on.

use std::path::Path;

use serde_json::{Value, json};

use super::{ExportFormat, exported, load, recordings};
use crate::recording::RecordingReader;
use crate::replay::tape::{Tape, TapeOptions};

/// Two sessions with an exchange each, the later one first in the file: the heads of one went on as others.
fn changed_heads() -> Tape {
    let session = |id: &str| json!({"type": "session", "us": 0, "session": id, "server": "a:1", "basis": "session_header", "client": "c"});
    let request = |id: &str, exchange: u64, us: u64| {
        json!({"type": "request", "us": us, "session": id, "exchange": exchange, "connection": 1, "client": "c", "side": "reverse",
            "server": "a:1", "kind": "message", "method": "POST", "target": "/mcp",
            "head": {"line": "POST /mcp HTTP/1.1", "fields": [["host", "127.0.0.1:8080"], ["te", "trailers"]]}})
    };
    let mut changed = request("R1", 1, 1000);
    changed["sent"] = json!({"line": "POST /other HTTP/1.1", "removed": ["te"], "set": [["host", "a:1"]], "configured": ["authorization"]});
    let mut lines = [
        json!({"type": "header", "format": "shadowcat-recording", "version": 1, "created": "2026-11-23T04:23:03.123456Z", "proxy": "x"}),
        session("R2"),
        session("R1"),
        changed,
        json!({"type": "response", "us": 2000, "session": "R1", "exchange": 1, "status": 200, "media_type": "application/json",
            "head": {"line": "HTTP/1.1 200 OK", "fields": [["x-a", "old"]]}, "sent": {"set": [["x-a", "new"]]}}),
        request("R2", 2, 3000),
        json!({"type": "response", "us": 4000, "session": "R2", "exchange": 2, "status": 202,
            "head": {"line": "HTTP/1.1 202 Accepted", "fields": []}}),
    ];
    for (seq, line) in (0_u64..).zip(&mut lines).skip(1) {
        line["seq"] = json!(seq);
    }
    let text: String = lines.map(|line| format!("{line}\n")).concat();
    let path = Path::new("heads.jsonl");
    let reader = RecordingReader::new(text.as_bytes(), path).unwrap();
    let tape = Tape::read(reader, path, &TapeOptions::as_it_arrived()).unwrap();
    assert_eq!(tape.damage, [""; 0]);
    tape
}

fn archive(tape: &Tape) -> Value {
    serde_json::from_str(&exported(tape, ExportFormat::Har)).unwrap()
}

#[test]
fn an_archive_has_the_heads_that_came_and_tells_how_they_went_on() {
    let archive = archive(&changed_heads());
    let [changed, unchanged] = &archive["log"]["entries"].as_array().unwrap()[..] else {
        panic!("{archive}");
    };
    let host = json!([{"name": "host", "value": "127.0.0.1:8080"}, {"name": "te", "value": "trailers"}]);
    assert_eq!(changed["request"]["headers"], host);
    assert_eq!(
        changed["_mcp"]["request_sent"],
        json!({"line": "POST /other HTTP/1.1", "removed": ["te"], "set": [["host", "a:1"]], "configured": ["authorization"]})
    );
    assert_eq!(
        changed["response"]["headers"],
        json!([{"name": "x-a", "value": "old"}])
    );
    assert_eq!(changed["_mcp"]["response_sent"], json!({"set": [["x-a", "new"]]}));
    assert_eq!(unchanged["request"]["headers"], host);
    for member in ["request_sent", "response_sent"] {
        assert!(unchanged["_mcp"].get(member).is_none(), "{unchanged}");
    }
}

#[test]
fn each_session_is_a_page_that_begins_with_its_first_exchange() {
    let archive = archive(&changed_heads());
    let page = |id: &str, time: &str| {
        json!({"id": id, "startedDateTime": time, "title": format!("{id} a:1 (Streamable HTTP)"),
            "pageTimings": {"onContentLoad": -1, "onLoad": -1}})
    };
    assert_eq!(
        archive["log"]["pages"],
        json!([
            page("R2", "2026-11-23T04:23:03.126456Z"),
            page("R1", "2026-11-23T04:23:03.124456Z")
        ])
    );
    let of = |place: usize| archive["log"]["entries"][place]["pageref"].clone();
    assert_eq!((of(0), of(1)), (json!("R1"), json!("R2")));
}

#[test]
fn every_entry_of_a_real_recording_stands_on_a_page() {
    for path in recordings() {
        let archive = archive(&load(&path));
        let pages = archive["log"]["pages"].as_array().unwrap();
        let mut ids: Vec<&Value> = pages.iter().map(|page| &page["id"]).collect();
        for entry in archive["log"]["entries"].as_array().unwrap() {
            assert!(ids.contains(&&entry["pageref"]), "{}: {entry}", path.display());
        }
        let count = ids.len();
        ids.sort_by_key(ToString::to_string);
        ids.dedup();
        assert_eq!(ids.len(), count, "{}", path.display());
    }
}
