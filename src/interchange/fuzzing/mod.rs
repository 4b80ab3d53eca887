//! Checks of what goes out to other programs and comes in from them.

mod pages;
mod shell;

use std::path::Path;

use base64::Engine as _;
use serde_json::{Value, json};

use super::{ExportFormat, ImportHarError, export, read_har};
use crate::fuzzing::Draw;
use crate::recording::RecordingReader;
use crate::recording::fuzzing::encoded;
use crate::replay::tape::{Tape, TapeOptions};

const PATH: &str = "fuzz.jsonl";

/// Bytes of messages that are taken.
const MAX_TAPE_BYTES: usize = 1 << 20;

/// Any bytes as an archive: what is read of one becomes a whole recording, and an archive again.
pub(crate) fn har(bytes: &[u8]) {
    let Ok(import) = read_har(bytes) else { return };
    let mut observations = import.observations.iter();
    assert!(observations.all(|observation| observation.at >= import.created));
    let file = encoded(import.created, &import.observations, None);
    let Some(tape) = tape(&file) else {
        panic!("what was imported is no recording");
    };
    assert_eq!(tape.damage, [""; 0]);
    exports(&tape);
    let exchanges =
        |tape: &Tape| -> usize { tape.sessions.iter().map(|session| session.exchanges.len()).sum() };
    let Ok(again) = read_har(exported(&tape, ExportFormat::Har).as_bytes()) else {
        panic!("what was exported is no archive");
    };
    assert_eq!(again.remarks, [""; 0]);
    let back = self::tape(&encoded(again.created, &again.observations, None));
    assert_eq!(back.as_ref().map(exchanges), Some(exchanges(&tape)));
}

/// Any bytes as a recording, and as what a peer has said in one: all that goes out is valid, and nothing of a peer is taken
/// for more than text.
pub(crate) fn export_of(bytes: &[u8]) {
    if let Some(tape) = tape(bytes) {
        exports(&tape);
    }
    let Some(tape) = tape(&said(&mut Draw::new(bytes))) else {
        panic!("what a peer has said is no recording");
    };
    exports(&tape);
}

fn tape(file: &[u8]) -> Option<Tape> {
    let path = Path::new(PATH);
    let reader = RecordingReader::new(file, path).ok()?;
    let options = TapeOptions {
        max_bytes: MAX_TAPE_BYTES,
        ..TapeOptions::as_the_client_saw_it()
    };
    Tape::read(reader, path, &options).ok()
}

/// A recording in which a peer has chosen all words.
fn said(draw: &mut Draw<'_>) -> Vec<u8> {
    let mut lines = vec![
        json!({"type": "header", "format": "shadowcat-recording", "version": 1, "created": "2026-11-23T04:23:03.123456Z", "proxy": "x", "redacted": false}),
        json!({"type": "session", "seq": 1, "us": 0, "session": "R1", "server": draw.text(60), "basis": "inferred", "client": "c"}),
    ];
    let fields: Vec<[String; 2]> = (0..2).map(|_| [draw.text(20), draw.text(60)]).collect();
    lines.push(json!({"type": "request", "seq": 2, "us": 0, "session": "R1", "exchange": 1, "connection": 1, "client": "c",
        "side": "reverse", "server": "a:1", "kind": draw.pick(&["message", "http", "run"]), "method": draw.text(9),
        "target": draw.text(60), "head": {"line": draw.text(40), "fields": fields}}));
    let (name, word) = (draw.text(90), draw.text(255));
    let request = json!({"jsonrpc": "2.0", "id": word, "method": draw.text(60), "params": {"name": name, "protocolVersion": word}});
    let answer = json!({"jsonrpc": "2.0", "id": word, "result": {"content": [{"type": "text", "text": draw.text(255)}]}});
    let mut request = request.to_string().into_bytes();
    // Whatever comes inside of the JSON may break it.
    let place = request.len() - 1;
    request.splice(place..place, draw.bytes(40).iter().copied());
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    lines.push(json!({"type": "frame", "seq": 3, "us": 10, "session": "R1", "exchange": 1, "direction": "client_to_server",
        "transport": "http", "frame": 0, "part": 0, "last": true, "base64": base64(&request), "messages": 1}));
    lines.push(
        json!({"type": "response", "seq": 4, "us": 2000, "session": "R1", "exchange": 1, "status": 200,
        "head": {"line": draw.text(40), "fields": []}, "media_type": draw.text(20)}),
    );
    let carrier = draw.pick(&["http", "stdio", "web_socket"]);
    lines.push(json!({"type": "frame", "seq": 5, "us": 2500, "session": "R1", "exchange": 1, "direction": "server_to_client",
        "transport": carrier, "frame": 0, "part": 0, "last": true, "text": answer.to_string(), "messages": 1}));
    lines.push(json!({"type": "exchange_end", "seq": 6, "us": 3000, "session": "R1", "exchange": 1, "request_end": "complete",
        "response_end": "complete", "request_bytes": 1, "response_bytes": 1}));
    let lines = lines.iter().map(|line| format!("{line}\n"));
    lines.collect::<String>().into_bytes()
}

fn exported(tape: &Tape, format: ExportFormat) -> String {
    let mut out = Vec::new();
    let written = export(tape, format, &mut out);
    match String::from_utf8(out) {
        Ok(text) if written.is_ok() => text,
        other => panic!("{format:?}: {written:?} {other:?}"),
    }
}

/// All that goes out of a recording is valid.
pub(super) fn exports(tape: &Tape) {
    let archive = exported(tape, ExportFormat::Har);
    assert!(serde_json::from_str::<Value>(&archive).is_ok(), "{archive}");
    assert!(
        matches!(read_har(archive.as_bytes()), Ok(_) | Err(ImportHarError::Empty)),
        "{archive}"
    );
    let messages: usize = tape.sessions.iter().map(|session| session.messages.len()).sum();
    let lines = exported(tape, ExportFormat::Jsonl);
    assert_eq!(lines.split_terminator('\n').count(), messages);
    for line in lines.split_terminator('\n') {
        assert!(
            serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()),
            "{line}"
        );
    }
    pages::html(&exported(tape, ExportFormat::Html));
    pages::markdown(&exported(tape, ExportFormat::Markdown));
    pages::mermaid(&exported(tape, ExportFormat::Mermaid));
    shell::commands(&exported(tape, ExportFormat::Curl));
}
