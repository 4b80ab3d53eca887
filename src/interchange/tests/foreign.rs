//! Archives as other programs write them, and the members that they read.

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use super::{archive, asked, exported, imported, load, small};
use crate::interchange::{ExportFormat, ImportHarError, read_har};
use crate::replay::tape::TapeCarrier;
use crate::snapshot::{Direction, EndKind};

#[test]
fn what_programs_write_for_what_they_do_not_know_is_no_mistake() {
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let mut entry = asked(
        &json!({"status": 200, "statusText": null, "httpVersion": "http/2.0", "headers": [{"name": "X", "value": null}],
        "content": {"mimeType": null, "text": answer, "encoding": null}, "bodySize": -1, "headersSize": null, "_error": null, "comment": null}),
    );
    for member in [
        "_initiator",
        "timings",
        "_webSocketMessages",
        "_eventSourceMessages",
        "cache",
    ] {
        entry[member] = Value::Null;
    }
    let silent = json!({"startedDateTime": "2026-11-23T04:00:01.000Z", "time": null, "response": null,
        "request": {"method": "POST", "url": "https://x.example/mcp", "headers": null, "postData": {"mimeType": "", "text": null}}});
    let tape = imported(&archive(&json!([entry, silent])));
    let session = &tape.sessions[0];
    assert!(session.calls[0].answer.is_some(), "{session:?}");
    assert_eq!(
        session.exchanges[0].request_head.line,
        "POST https://x.example/mcp HTTP/3"
    );
    let response = session.exchanges[0].response.as_ref().unwrap();
    assert_eq!(response.head.line, "HTTP/2 200");
    let end = session.exchanges[0].end.as_ref().unwrap();
    assert_eq!(end.response_bytes, answer.len() as u64, "-1 says nothing");
}

#[test]
fn entries_that_cannot_be_used_are_left_out_and_told() {
    let good = asked(&json!({"status": 202}));
    let mut data = good.clone();
    data["request"]["url"] = "data:text/plain,x".into();
    let har =
        archive(&json!([data, {"request": 7}, good, {"request": {"method": "GET", "url": "http://a/"}}]));
    let import = read_har(har.as_bytes()).unwrap();
    let expected = [
        "entry 1 is left out: \"data\" leads to no server",
        "entry 2 is left out: invalid type: integer `7`",
        "entry 4 is left out: it has no startedDateTime",
    ];
    assert_eq!(import.remarks.len(), expected.len(), "{:?}", import.remarks);
    for (remark, expected) in import.remarks.iter().zip(expected) {
        assert!(remark.starts_with(expected), "{remark}");
    }
    assert_eq!(import.observations.len(), 5, "a session, and an exchange of four");
    let none = archive(&json!([{}]));
    assert!(matches!(read_har(none.as_bytes()), Err(ImportHarError::Empty)));
}

#[test]
fn the_events_of_a_stream_stand_in_for_a_body_that_was_not_kept() {
    let events = json!([
        {"time": 1_795_406_400.010_5, "eventName": "message", "eventId": "7", "data": "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}"},
        {"time": 1_795_406_400.02, "eventName": "message", "eventId": "", "data": "{\"jsonrpc\":\"2.0\",\n\"id\":1,\"result\":{}}"},
    ]);
    let mut entry = asked(&json!({"status": 200, "content": {"mimeType": "text/event-stream", "size": 0}}));
    entry["_eventSourceMessages"] = events;
    let tape = imported(&archive(&json!([entry])));
    let session = &tape.sessions[0];
    assert!(session.calls[0].answer.is_some());
    let stream: Vec<_> = session.exchanges[0]
        .frames_of(Direction::ServerToClient)
        .collect();
    assert!(stream[0].bytes.starts_with(b"id: 7\ndata: {"), "{stream:?}");
    assert_eq!(
        stream.iter().map(|frame| frame.done_us).collect::<Vec<_>>(),
        [10_500, 20_000]
    );
}

#[test]
fn a_stream_without_times_answers_after_it_was_asked() {
    // The older transport, as mitmproxy writes it: listed by their ends, and the stream's own times say nothing.
    let stream = [
        "event: endpoint\ndata: /messages?sessionId=7\n\n".to_owned(),
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":5,\"progress\":1}}\n\n".to_owned(),
        "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n".to_owned(),
    ];
    let call =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{"progressToken":5}}}"#;
    let har = archive(&json!([
        {"startedDateTime": "2026-11-23T04:00:02.000Z", "time": 9, "response": {"status": 202},
            "request": {"method": "POST", "url": "http://x.example/messages?sessionId=7", "postData": {"text": call}}},
        {"startedDateTime": "2026-11-23T04:00:01.000Z", "time": 3, "request": {"method": "GET", "url": "http://x.example/sse"},
            "response": {"status": 200, "content": {"mimeType": "text/event-stream", "text": stream.concat()}}},
    ]));
    let tape = imported(&har);
    let session = &tape.sessions[0];
    assert_eq!(session.carrier, TapeCarrier::HttpSse);
    let call = &session.calls[0];
    assert_eq!(call.between.len(), 1, "its progress: {:?}", session.messages);
    let answer = &session.messages[call.answer.unwrap()];
    assert_eq!(answer.us - session.messages[call.request].us, 9_000);
}

#[test]
fn a_web_socket_of_another_program_is_one_here() {
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let messages = json!([
        {"type": "send", "time": 1_795_406_400.01, "opcode": 1, "data": ping},
        {"type": "receive", "time": 1_795_406_400.02, "opcode": 9, "data": "still there?"},
        {"type": "error", "time": 1_795_406_400.02, "opcode": -1, "data": "no"},
        {"type": "receive", "time": 1_795_406_400.03, "opcode": 2, "data": "eyJqc29ucnBjIjoiMi4wIiwiaWQiOjEsInJlc3VsdCI6e319"},
    ]);
    let har = archive(
        &json!([{"startedDateTime": "2026-11-23T04:00:00.000Z", "time": 40, "_resourceType": "websocket", "_webSocketMessages": messages,
        "request": {"method": "GET", "url": "wss://x.example/mcp", "httpVersion": "HTTP/1.1", "headers": []}, "response": {"status": 101, "headers": []}}]),
    );
    let tape = imported(&har);
    let session = &tape.sessions[0];
    assert_eq!(session.carrier, TapeCarrier::WebSocket);
    assert_eq!(session.exchanges[0].target, "https://x.example/mcp");
    assert_eq!((session.messages.len(), session.calls.len()), (2, 1));
    assert!(session.calls[0].answer.is_some());
    let again: Value = serde_json::from_str(&exported(&tape, ExportFormat::Har)).unwrap();
    assert_eq!(
        again["log"]["entries"][0]["request"]["url"],
        "wss://x.example/mcp"
    );
}

#[test]
fn what_went_wrong_is_told_in_the_words_of_the_archive() {
    let ends = |response: Value| {
        let tape = imported(&archive(&json!([asked(&response)])));
        let end = tape.sessions[0].exchanges[0].end.clone().unwrap();
        (end.response, end.failure)
    };
    let refused = "net::ERR_CONNECTION_REFUSED";
    assert_eq!(
        ends(json!({"status": 0, "_error": refused})),
        (EndKind::UpstreamUnreachable, Some(refused.to_owned()))
    );
    assert_eq!(
        ends(json!({"status": 200, "_error": "net::ERR_ABORTED"})).0,
        EndKind::ClientAborted
    );
    assert_eq!(
        ends(json!({"status": 200, "_error": "peer closed connection"})).0,
        EndKind::UpstreamAborted
    );
    assert_eq!(
        ends(json!({"status": 200, "_error": ""})),
        (EndKind::Complete, None)
    );
}

#[test]
fn compressed_archives_are_read_as_they_are() {
    let har = exported(&small("a", "b"), ExportFormat::Har);
    let packed = [
        {
            let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
            zlib.write_all(har.as_bytes()).unwrap();
            zlib.finish().unwrap()
        },
        {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(har.as_bytes()).unwrap();
            gzip.finish().unwrap()
        },
        zstd::encode_all(har.as_bytes(), 3).unwrap(),
    ];
    let plain = read_har(har.as_bytes()).unwrap().observations.len();
    for packed in packed {
        assert_eq!(read_har(&packed).unwrap().observations.len(), plain);
        let damaged = &packed[..packed.len() / 2];
        assert!(matches!(read_har(damaged), Err(ImportHarError::Packed(_))));
    }
}

#[test]
fn lines_of_a_command_are_messages_for_developer_tools() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/wrap-legacy.jsonl");
    let archive: Value = serde_json::from_str(&exported(&load(&path), ExportFormat::Har)).unwrap();
    let entry = &archive["log"]["entries"][0];
    assert_eq!(entry["_resourceType"], "websocket");
    let messages = entry["_webSocketMessages"].as_array().unwrap();
    assert_eq!(messages[0]["type"], "send");
    let first = messages[0]["data"].as_str().unwrap();
    assert!(
        first.contains("\"initialize\"") && first.ends_with('\n'),
        "{first}"
    );
}

#[test]
fn sizes_on_the_wire_and_sizes_of_text_are_told_apart() {
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let entry = asked(
        &json!({"status": 200, "headers": [{"name": "Content-Encoding", "value": "gzip"}], "bodySize": 10, "content": {"text": answer}}),
    );
    let tape = imported(&archive(&json!([entry])));
    let har: Value = serde_json::from_str(&exported(&tape, ExportFormat::Har)).unwrap();
    let response = &har["log"]["entries"][0]["response"];
    assert_eq!(
        (
            &response["bodySize"],
            &response["_transferSize"],
            &response["content"]["size"],
            &response["content"]["compression"]
        ),
        (
            &json!(10),
            &json!(10),
            &json!(answer.len()),
            &json!(answer.len() - 10)
        )
    );
}
