//! What goes out has everything in it and nothing of its own; what comes back is the same recording.

mod foreign;
mod heads;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::fuzzing::exports;
use super::{ExportFormat, ImportHarError, export, read_har};
use crate::codec::hidden::is_hidden;
use crate::recording::{RecorderSettings, RecordingReader, write_whole};
use crate::replay::compare::{CompareOptions, compare_recordings};
use crate::replay::tape::{Tape, TapeCarrier, TapeOptions};

fn recordings() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let entries = std::fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let found: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    assert!(found.len() > 10, "{found:?}");
    found
}

fn load(path: &Path) -> Tape {
    Tape::load(path, &TapeOptions::as_it_arrived()).unwrap()
}

fn exported(tape: &Tape, format: ExportFormat) -> String {
    let mut out = Vec::new();
    export(tape, format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The recording that an archive becomes.
fn imported(har: &str) -> Tape {
    let import = read_har(har.as_bytes()).unwrap();
    assert_eq!(import.remarks, [""; 0]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.jsonl");
    write_whole(
        &path,
        import.created,
        import.observations,
        &RecorderSettings::default(),
    )
    .unwrap();
    load(&path)
}

/// A recording with one call of a tool, whose name is `name` and whose answer has `text`.
fn small(name: &str, text: &str) -> Tape {
    let head = json!({"line": "POST /mcp HTTP/1.1", "fields": [["host", "a:1"], ["x-odd", name]]});
    let request =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name}}).to_string();
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": text}]}})
        .to_string();
    let lines = [
        json!({"type": "header", "format": "shadowcat-recording", "version": 1, "created": "2026-11-23T04:23:03.123456Z", "proxy": "x"}),
        json!({"type": "session", "seq": 1, "us": 0, "session": "R1", "server": name, "basis": "inferred", "client": "c"}),
        json!({"type": "request", "seq": 2, "us": 0, "session": "R1", "exchange": 1, "connection": 1, "client": "c", "side": "reverse",
            "server": "a:1", "kind": "message", "method": "POST", "target": "/mcp?x=1&y", "head": head}),
        json!({"type": "frame", "seq": 3, "us": 10, "session": "R1", "exchange": 1, "direction": "client_to_server",
            "transport": "http", "frame": 0, "part": 0, "last": true, "text": request, "messages": 1}),
        json!({"type": "response", "seq": 4, "us": 2000, "session": "R1", "exchange": 1, "status": 200,
            "head": {"line": "HTTP/1.1 200 OK", "fields": []}, "media_type": "application/json"}),
        json!({"type": "frame", "seq": 5, "us": 2500, "session": "R1", "exchange": 1, "direction": "server_to_client",
            "transport": "http", "frame": 0, "part": 0, "last": true, "text": answer, "messages": 1}),
        json!({"type": "exchange_end", "seq": 6, "us": 3000, "session": "R1", "exchange": 1, "request_end": "complete",
            "response_end": "complete", "request_bytes": 1, "response_bytes": 1}),
    ];
    let lines = lines.map(|line| line.to_string());
    let text = lines.join("\n") + "\n";
    let path = Path::new("a.jsonl");
    let reader = RecordingReader::new(text.as_bytes(), path).unwrap();
    Tape::read(reader, path, &TapeOptions::as_it_arrived()).unwrap()
}

#[test]
fn every_recording_survives_the_way_through_an_archive() {
    for path in recordings() {
        let tape = load(&path);
        let back = imported(&exported(&tape, ExportFormat::Har));
        assert_eq!(back.damage, [""; 0], "{}", path.display());
        let report = compare_recordings(&tape, &back, &CompareOptions::default());
        assert!(report.is_same(), "{}: {report:?}", path.display());
        let said = |tape: &Tape| -> Vec<_> {
            let sessions = tape
                .sessions
                .iter()
                .filter(|session| !session.messages.is_empty());
            let messages = sessions.flat_map(|session| &session.messages);
            messages
                .map(|message| (message.direction, message.text.clone()))
                .collect()
        };
        assert_eq!(said(&back), said(&tape), "{}", path.display());
        let calls = |tape: &Tape| {
            tape.sessions
                .iter()
                .map(|session| session.calls.len())
                .sum::<usize>()
        };
        assert_eq!(calls(&back), calls(&tape), "{}", path.display());
        let carriers = |tape: &Tape| -> Vec<TapeCarrier> {
            let sessions = tape
                .sessions
                .iter()
                .filter(|session| !session.messages.is_empty());
            sessions.map(|session| session.carrier).collect()
        };
        assert_eq!(carriers(&back), carriers(&tape), "{}", path.display());
    }
}

#[test]
fn an_archive_has_what_the_specification_asks_for() {
    for path in recordings() {
        let archive: Value = serde_json::from_str(&exported(&load(&path), ExportFormat::Har)).unwrap();
        assert_eq!(archive["log"]["version"], "1.2");
        for entry in archive["log"]["entries"].as_array().unwrap() {
            for member in [
                "startedDateTime",
                "time",
                "request",
                "response",
                "cache",
                "timings",
            ] {
                assert!(!entry[member].is_null(), "{member}: {entry}");
            }
            for member in [
                "method",
                "url",
                "httpVersion",
                "cookies",
                "headers",
                "queryString",
                "headersSize",
                "bodySize",
            ] {
                assert!(!entry["request"][member].is_null(), "{member}: {entry}");
            }
            for member in [
                "status",
                "statusText",
                "httpVersion",
                "cookies",
                "headers",
                "content",
                "redirectURL",
            ] {
                assert!(!entry["response"][member].is_null(), "{member}: {entry}");
            }
        }
    }
    let archive: Value = serde_json::from_str(&exported(&small("a", "b"), ExportFormat::Har)).unwrap();
    let entry = &archive["log"]["entries"][0];
    assert_eq!(entry["request"]["url"], "http://a:1/mcp?x=1&y");
    assert_eq!(
        entry["request"]["queryString"],
        json!([{"name": "x", "value": "1"}, {"name": "y", "value": ""}])
    );
    assert_eq!(
        (
            &entry["time"],
            &entry["timings"]["wait"],
            &entry["timings"]["receive"]
        ),
        (&json!(3.0), &json!(2.0), &json!(1.0))
    );
}

#[test]
fn an_archive_of_another_program_becomes_a_recording() {
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}}).to_string();
    let call =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a"}}).to_string();
    // event: message / data: {"jsonrpc":"2.0","id":1,"result":{}}, in base64 as browsers write what they take for binary
    let stream = "ZXZlbnQ6IG1lc3NhZ2UKZGF0YTogeyJqc29ucnBjIjoiMi4wIiwiaWQiOjEsInJlc3VsdCI6e319Cgo=";
    let har = json!({"log": {"version": "1.2", "creator": {"name": "mitmproxy", "version": "12"}, "entries": [
        {"startedDateTime": "2026-11-23T05:00:01.000+01:00", "time": 30.5,
         "request": {"method": "POST", "url": "https://x.example/mcp", "httpVersion": "HTTP/2.0",
            "headers": [{"name": ":method", "value": "POST"}, {"name": "authorization", "value": "Bearer s3cret"}, {"name": "mcp-session-id", "value": "abc"}],
            "postData": {"mimeType": "application/json", "text": call, "params": []}},
         "response": {"status": 200, "statusText": "", "httpVersion": "HTTP/2.0", "headers": [{"name": "content-type", "value": "text/event-stream; charset=utf-8"}],
            "content": {"size": 1, "mimeType": "text/event-stream", "text": stream, "encoding": "base64"}},
         "timings": {"send": 1, "wait": 20, "receive": 9.5, "connect": -1}},
        {"startedDateTime": "2026-11-23T04:00:00.000Z", "time": 10,
         "request": {"method": "POST", "url": "https://x.example/mcp", "headers": [], "postData": {"text": initialize}},
         "response": {"status": 200, "headers": [{"name": "Mcp-Session-Id", "value": "abc"}], "content": {"text": "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2025-06-18\"}}"}}},
        {"startedDateTime": "2026-11-23T04:00:02.000Z", "request": {"method": "GET", "url": "https://x.example/icon"}, "response": {"status": 0}},
    ]}});
    let tape = imported(&har.to_string());
    let session = &tape.sessions[0];
    assert_eq!(
        (session.calls.len(), session.revision.as_deref()),
        (2, Some("2025-06-18"))
    );
    assert!(
        session.calls.iter().all(|call| call.answer.is_some()),
        "{:?}",
        session.calls
    );
    let authorization = session.exchanges[0]
        .request_field("authorization")
        .or(session.exchanges[1].request_field("authorization"));
    assert!(
        authorization.unwrap().starts_with("Bearer ‹secret:"),
        "secrets stay out"
    );
}

/// An archive with these entries.
fn archive(entries: &Value) -> String {
    json!({"log": {"version": "1.2", "creator": {"name": "x", "version": "1"}, "entries": entries}})
        .to_string()
}

/// A request for a tool, and this answer.
fn asked(response: &Value) -> Value {
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#;
    json!({"startedDateTime": "2026-11-23T04:00:00.000Z", "time": 50, "response": response,
        "request": {"method": "POST", "url": "https://x.example/mcp", "httpVersion": "h3", "headers": [], "postData": {"text": call}}})
}

#[test]
fn a_body_whose_coding_the_archive_has_undone_is_read_and_redacted() {
    let call =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a"}}).to_string();
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"token":"s3cret","content":[]}}"#;
    let har = json!({"log": {"version": "1.2", "entries": [
        {"startedDateTime": "2026-11-23T04:00:00.000Z",
         "request": {"method": "POST", "url": "https://x.example/mcp", "headers": [], "postData": {"text": call}},
         "response": {"status": 200, "headers": [{"name": "Content-Encoding", "value": "gzip"}], "content": {"text": answer}}},
    ]}});
    let tape = imported(&har.to_string());
    let session = &tape.sessions[0];
    let answer = session.calls[0].answer.expect("the answer is read");
    let text = String::from_utf8_lossy(&session.messages[answer].text);
    assert!(text.contains("‹secret:") && !text.contains("s3cret"), "{text}");
    let again = imported(&exported(&tape, ExportFormat::Har));
    assert!(compare_recordings(&tape, &again, &CompareOptions::default()).is_same());
}

#[test]
fn calls_that_had_only_a_status_are_the_same_if_it_is() {
    let call =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a"}}).to_string();
    let failing = |status: u16| {
        let har = json!({"log": {"version": "1.2", "entries": [
            {"startedDateTime": "2026-11-23T04:00:00.000Z",
             "request": {"method": "POST", "url": "https://x.example/mcp", "headers": [], "postData": {"text": call}},
             "response": {"status": status, "headers": [], "content": {"text": "<html>no</html>"}}},
        ]}});
        imported(&har.to_string())
    };
    let compared =
        |before, after| compare_recordings(&failing(before), &failing(after), &CompareOptions::default());
    assert!(compared(500, 500).is_same());
    let changed = compared(500, 404);
    let difference = &changed.rows[0].differences[0];
    assert_eq!(
        (
            difference.path.as_str(),
            difference.before.as_deref(),
            difference.after.as_deref()
        ),
        ("status", Some("500"), Some("404"))
    );
    assert!(!changed.is_same());
}

#[test]
fn what_is_no_archive_is_refused() {
    assert!(matches!(read_har(b"{}"), Err(ImportHarError::NoHar(_))));
    assert!(matches!(
        read_har(br#"{"log":{"entries":[]}}"#),
        Err(ImportHarError::Empty)
    ));
}

#[test]
fn text_of_peers_stays_text_in_every_page() {
    let hostile = "x'<script>alert(1)</script>\u{1b}[2J\u{9b}2J\u{202e}```\n; end\n|a|";
    let tape = small(hostile, hostile);
    let html = exported(&tape, ExportFormat::Html);
    assert!(
        !html.contains("<script") && html.contains("&lt;script&gt;"),
        "{html}"
    );
    assert!(html.contains("default-src 'none'"));
    for format in [ExportFormat::Html, ExportFormat::Markdown, ExportFormat::Mermaid] {
        let page = exported(&tape, format);
        assert!(!page.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{format:?}");
    }
    let diagram = exported(&tape, ExportFormat::Mermaid);
    assert_eq!(diagram.matches("```").count(), 2, "{diagram}");
    assert!(
        diagram.contains("C->>S: tools/call x#39;#60;script#62;"),
        "{diagram}"
    );
    let markdown = exported(&tape, ExportFormat::Markdown);
    assert!(
        markdown.contains("\n````json\n"),
        "the fence is longer than any in the text: {markdown}"
    );
    assert!(
        !markdown.contains("<script>\n") && markdown.contains("&lt;script\\>"),
        "{markdown}"
    );
    let address = exported(
        &small("http://a.example www.a.example a@b.example", "x"),
        ExportFormat::Markdown,
    );
    assert!(
        address.contains("tools/call http&#58;//a.example www&#46;a.example a&#64;b.example"),
        "{address}"
    );
    let curl = exported(&small("x'<script>", "x"), ExportFormat::Curl);
    assert!(curl.contains(r"-H 'x-odd: x'\''<script>"), "{curl}");
}

const ALL: [ExportFormat; 6] = [
    ExportFormat::Har,
    ExportFormat::Curl,
    ExportFormat::Jsonl,
    ExportFormat::Mermaid,
    ExportFormat::Markdown,
    ExportFormat::Html,
];

#[test]
fn nothing_of_a_peer_is_hidden_or_reordered_in_any_format() {
    let hostile = "pay\u{202e}me\u{200b}\u{2066}\u{feff}\u{9b}2J\u{7f}\u{e0041}\u{ad}end";
    let tape = small(hostile, hostile);
    exports(&tape);
    for format in ALL {
        let page = exported(&tape, format);
        let hidden: Vec<char> = page
            .chars()
            .filter(|c| *c != '\n' && *c != '\t' && is_hidden(*c))
            .collect();
        assert_eq!(hidden, [' '; 0], "{format:?}: {page}");
        if format != ExportFormat::Curl {
            assert!(page.contains("u202e"), "{format:?}: {page}");
        }
    }
    let line: Value =
        serde_json::from_str(exported(&tape, ExportFormat::Jsonl).lines().next().unwrap()).unwrap();
    assert_eq!(line["message"]["params"]["name"], hostile);
    let archive: Value = serde_json::from_str(&exported(&tape, ExportFormat::Har)).unwrap();
    assert_eq!(
        archive["log"]["entries"][0]["request"]["headers"][1]["value"],
        hostile
    );
    let curl = exported(&tape, ExportFormat::Curl);
    assert!(curl.contains(r#"-H "$(printf '\170\055\157\144\144"#), "{curl}");
}

#[test]
fn a_diagram_has_no_sign_of_its_grammar_in_a_text() {
    let text = |name: &str| {
        let diagram = exported(&small(name, "x"), ExportFormat::Mermaid);
        let arrow = diagram
            .lines()
            .find(|line| line.contains("C->>S: "))
            .unwrap()
            .to_owned();
        arrow.trim().strip_prefix("C->>S: tools/call").unwrap().to_owned()
    };
    assert_eq!(text("end"), " #101;nd");
    assert_eq!(text("a; b # c"), " a#59; b #35; c");
    assert_eq!(text("\"q\"\nEnd%%"), " #34;q#34;#92;u000aEnd#37;#37;");
    assert_eq!(text("style a:#b"), " #115;tyle a#58;#35;b");
    let diagram = exported(&small("\u{3000}", "x"), ExportFormat::Mermaid);
    assert!(
        diagram.contains("participant S as #12288;") || diagram.contains("participant S as #32;"),
        "{diagram}"
    );
}

#[test]
fn a_page_is_called_by_the_name_of_the_file() {
    let mut tape = small("a", "b");
    tape.path = PathBuf::from("/home/somebody/private/<i>.jsonl");
    for format in [ExportFormat::Markdown, ExportFormat::Html, ExportFormat::Curl] {
        let page = exported(&tape, format);
        assert!(!page.contains("somebody"), "{format:?}: {page}");
    }
    assert!(exported(&tape, ExportFormat::Html).contains("<h1>&lt;i&gt;.jsonl</h1>"));
    assert!(exported(&tape, ExportFormat::Markdown).starts_with("# &lt;i\\>.jsonl\n"));
}

#[test]
fn a_page_tells_first_what_went_wrong_and_leads_there() {
    let failing = asked(
        &json!({"status": 200, "content": {"text": r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no <such> tool"}}"#}}),
    );
    let mut refused = asked(&json!({"status": 503, "content": {"text": "too busy"}}));
    let mut silent = asked(&json!({"status": 0, "_error": "net::ERR_CONNECTION_REFUSED"}));
    let mut fine =
        asked(&json!({"status": 200, "content": {"text": r#"{"jsonrpc":"2.0","id":4,"result":{}}"#}}));
    for (number, entry) in [(2, &mut refused), (3, &mut silent), (4, &mut fine)] {
        entry["startedDateTime"] = format!("2026-11-23T04:00:0{number}.000Z").into();
        let text = entry["request"]["postData"]["text"].as_str().unwrap();
        entry["request"]["postData"]["text"] = text.replace("\"id\":1", &format!("\"id\":{number}")).into();
    }
    let page = exported(
        &imported(&archive(&json!([failing, refused, silent, fine]))),
        ExportFormat::Html,
    );
    let (before, timeline) = page.split_once("<h2>Timeline</h2>").unwrap();
    let wrong = [
        ("i0", "error -32602", "no &lt;such&gt; tool"),
        ("i1", "HTTP 503", "too busy"),
        ("i2", "server not reached", "net::ERR_CONNECTION_REFUSED"),
    ];
    for (row, word, reason) in wrong {
        let line = format!("<a href=\"#{row}\">tools/call a</a> <b>{word}</b>: {reason}</li>");
        assert!(before.contains(&line), "{line}\n{before}");
        assert!(timeline.contains(&format!(" id=\"{row}\">")), "{timeline}");
    }
    assert!(
        before.contains("<li class=\"hurt\"><b>3</b>Errors</li>"),
        "{before}"
    );
    assert!(!before.contains("#i3\""), "the fourth is fine");
    assert!(timeline.contains("<time>04:00:04.000</time>"), "{timeline}");
}

#[test]
fn a_page_has_the_beginning_of_what_is_very_long() {
    let long = "y".repeat(1 << 20);
    let page = exported(&small("a", &long), ExportFormat::Html);
    assert!(page.len() < 100_000, "{}", page.len());
    assert!(page.contains("… (cut)"));
}

#[test]
fn every_filter_of_a_page_has_rows_to_show() {
    for path in recordings() {
        let page = exported(&load(&path), ExportFormat::Html);
        let buttons = page.split("<label for=\"").skip(1);
        for id in buttons.filter_map(|rest| rest.split('"').next()) {
            assert!(
                page.contains(&format!(" id=\"{id}\"")),
                "{id} of {}",
                path.display()
            );
            let class = page
                .split(&format!("#{id}:checked~main>.i:not(."))
                .nth(1)
                .and_then(|rest| rest.split(')').next());
            if let Some(class) = class {
                let has_it = |row: &str| {
                    let classes = row.split('"').next().unwrap_or_default();
                    classes.split(' ').any(|name| name == class)
                };
                let is_empty = !page.split("<details class=\"").skip(1).any(has_it);
                assert!(!is_empty || id.starts_with('s'), "{id} of {}", path.display());
            } else {
                assert!(id.ends_with("-all"), "{id} does nothing");
            }
        }
    }
}

#[test]
fn a_script_tells_of_session_ids_if_there_are_any() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/legacy-http.jsonl");
    let words = "# Each `initialize` begins a new session";
    assert!(exported(&load(&path), ExportFormat::Curl).contains(words));
    assert!(!exported(&small("a", "b"), ExportFormat::Curl).contains(words));
}

#[test]
fn a_script_comes_to_its_end_though_a_stream_does_not() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/legacy-http.jsonl");
    let tape = load(&path);
    let script = exported(&tape, ExportFormat::Curl);
    let streams: Vec<&str> = script
        .split("\n\n")
        .filter(|command| command.contains("-X 'GET'"))
        .collect();
    assert!(!streams.is_empty(), "{script}");
    for command in streams {
        assert!(
            command.contains("# A stream that need not end: ")
                && command.contains("curl -sS -N --max-time 10 -X 'GET'"),
            "{command}"
        );
    }
    // What ended by itself does so again.
    assert!(script.contains("curl -sS -N -X 'POST'"), "{script}");
}

#[test]
fn each_message_is_a_line_of_json_with_what_was_sent() {
    let tape = small("a", "b");
    let lines: Vec<Value> = exported(&tape, ExportFormat::Jsonl)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[0]["kind"], &lines[0]["message"]["params"]["name"]),
        (&json!("request"), &json!("a"))
    );
    assert_eq!(
        (&lines[1]["kind"], &lines[1]["method"]),
        (&json!("result"), &json!("tools/call"))
    );
    assert_eq!(lines[0]["time"], "2026-11-23T04:23:03.123466Z");
}
