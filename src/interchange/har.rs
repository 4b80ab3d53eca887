//! HTTP Archive 1.2.
//!
//! Source: <http://www.softwareishard.com/blog/har-12-spec/>; `_webSocketMessages` as Chromium writes it.

use std::io::{self, Write};

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::words::{millis, session_name, shown, time, url};
use crate::recording::format::RequestKind;
use crate::replay::tape::{Tape, TapeExchange, TapeFrame, TapeSession};
use crate::snapshot::{Carrier, Direction, Head};

pub(super) fn write(tape: &Tape, out: &mut dyn Write) -> io::Result<()> {
    let creator = json!({"name": "shadowcat-tui", "version": env!("CARGO_PKG_VERSION")});
    write!(
        out,
        "{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"pages\":[],\"entries\":["
    )?;
    let mut entries: Vec<(&TapeSession, &TapeExchange)> = tape
        .sessions
        .iter()
        .flat_map(|session| session.exchanges.iter().map(move |exchange| (session, exchange)))
        .collect();
    entries.sort_by_key(|(_, exchange)| (exchange.us, exchange.id));
    for (number, (session, exchange)) in entries.into_iter().enumerate() {
        if number > 0 {
            out.write_all(b",")?;
        }
        out.write_all(b"\n")?;
        // What is hidden can only stand inside of strings.
        let entry = entry(tape, session, exchange).to_string();
        out.write_all(shown(&entry, "").as_bytes())?;
    }
    out.write_all(b"\n]}}\n")
}

fn entry(tape: &Tape, session: &TapeSession, exchange: &TapeExchange) -> Value {
    let ended = exchange.end.as_ref().map(|end| end.us);
    let last = exchange.frames.iter().map(|frame| frame.done_us).max();
    let head = exchange.response.as_ref().map(|response| response.us);
    let done = ended.or(last).or(head).unwrap_or(exchange.us);
    let sent = head.unwrap_or(done);
    let mut entry = json!({
        "startedDateTime": time(tape, exchange.us),
        "time": millis(done - exchange.us),
        "request": request(session, exchange),
        "response": response(exchange),
        "cache": {},
        "timings": {"send": 0, "wait": millis(sent - exchange.us), "receive": millis(done - sent)},
        "_mcp": mcp(tape, session, exchange),
    });
    if let Some(members) = entry.as_object_mut() {
        let events = events(tape, exchange);
        if !events.is_empty() {
            members.insert("_sse".to_owned(), Value::Array(events));
        }
        let sockets = socket_messages(tape, exchange);
        if !sockets.is_empty() {
            members.insert("_resourceType".to_owned(), "websocket".into());
            members.insert("_webSocketMessages".to_owned(), Value::Array(sockets));
        }
    }
    entry
}

fn fields(head: &Head) -> Vec<Value> {
    let field = |(name, value): &(String, String)| json!({"name": name, "value": value});
    head.fields.iter().map(field).collect()
}

fn version(head: &Head) -> &str {
    let mut words = head.line.split_whitespace();
    let found = words.find(|word| word.starts_with("HTTP/"));
    found.unwrap_or("HTTP/2")
}

fn request(session: &TapeSession, exchange: &TapeExchange) -> Value {
    let url = url(session, exchange);
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query: Vec<Value> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let is_run = matches!(exchange.kind, RequestKind::Run | RequestKind::BridgedRun);
    let body = body(exchange, Direction::ClientToServer);
    let mut request = json!({
        "method": if is_run { "RUN" } else { exchange.method.as_str() },
        "url": url,
        "httpVersion": if is_run { "stdio" } else { version(&exchange.request_head) },
        "cookies": [],
        "headers": fields(&exchange.request_head),
        "queryString": query,
        "headersSize": -1,
        "bodySize": body.len(),
    });
    if !body.is_empty() {
        let media_type = exchange
            .request_field("content-type")
            .unwrap_or("application/octet-stream");
        let mut data = json!({"mimeType": media_type, "params": []});
        put_text(&mut data, &body);
        request["postData"] = data;
    }
    request
}

fn response(exchange: &TapeExchange) -> Value {
    let body = body(exchange, Direction::ServerToClient);
    let Some(response) = &exchange.response else {
        let failure = exchange.end.as_ref().and_then(|end| end.failure.as_deref());
        return json!({
            "status": 0, "statusText": "", "httpVersion": "", "cookies": [], "headers": [],
            "content": {"size": 0, "mimeType": "x-unknown"}, "redirectURL": "", "headersSize": -1, "bodySize": -1,
            "_error": failure.unwrap_or("no answer"),
        });
    };
    let media_type = response.media_type.as_deref().unwrap_or("x-unknown");
    let mut content = json!({"size": body.len(), "mimeType": media_type});
    put_text(&mut content, &body);
    let reason: Vec<&str> = response.head.line.splitn(3, ' ').collect();
    json!({
        "status": response.status,
        "statusText": reason.get(2).unwrap_or(&""),
        "httpVersion": version(&response.head),
        "cookies": [],
        "headers": fields(&response.head),
        "content": content,
        "redirectURL": response.field("location").unwrap_or_default(),
        "headersSize": -1,
        "bodySize": body.len(),
    })
}

/// Text as it is; anything else as base64, which `encoding` says.
fn put_text(object: &mut Value, body: &[u8]) {
    if let Ok(text) = std::str::from_utf8(body) {
        object["text"] = text.into();
    } else {
        object["text"] = base64::engine::general_purpose::STANDARD.encode(body).into();
        object["encoding"] = "base64".into();
    }
}

/// The bytes of one direction, one frame behind the other. Lines and WebSocket messages are elsewhere.
fn body(exchange: &TapeExchange, direction: Direction) -> Vec<u8> {
    let is_body = |frame: &&TapeFrame| matches!(frame.carrier, Carrier::Http | Carrier::Sse);
    let frames = exchange.frames_of(direction).filter(is_body);
    frames.flat_map(|frame| frame.bytes.iter().copied()).collect()
}

fn events(tape: &Tape, exchange: &TapeExchange) -> Vec<Value> {
    let events = exchange.frames_of(Direction::ServerToClient);
    let events = events.filter(|frame| frame.carrier == Carrier::Sse);
    events.map(|frame| event(tape, frame)).collect()
}

fn event(tape: &Tape, frame: &TapeFrame) -> Value {
    let mut event = Map::new();
    event.insert("time".to_owned(), time(tape, frame.done_us).into());
    event.insert("bytes".to_owned(), frame.bytes.len().into());
    if let Some(sse) = &frame.sse {
        let texts = [("event", &sse.event), ("id", &sse.id)];
        for (name, text) in texts {
            if let Some(text) = text {
                event.insert(name.to_owned(), text.as_str().into());
            }
        }
        if let Some(retry) = sse.retry {
            event.insert("retry".to_owned(), retry.into());
        }
    }
    event.insert("data".to_owned(), String::from_utf8_lossy(&frame.payload).into());
    Value::Object(event)
}

fn socket_messages(tape: &Tape, exchange: &TapeExchange) -> Vec<Value> {
    let messages = exchange
        .frames
        .iter()
        .filter(|frame| frame.carrier == Carrier::WebSocket);
    let message = |frame: &TapeFrame| {
        let is_text = std::str::from_utf8(&frame.payload).is_ok();
        let data = if is_text {
            String::from_utf8_lossy(&frame.payload).into_owned()
        } else {
            base64::engine::general_purpose::STANDARD.encode(&frame.payload)
        };
        json!({
            "type": if frame.direction == Direction::ClientToServer { "send" } else { "receive" },
            "time": seconds(tape, frame.done_us),
            "opcode": if is_text { 1 } else { 2 },
            "data": data,
        })
    };
    messages.map(message).collect()
}

#[expect(clippy::cast_precision_loss, reason = "the format has floating point seconds")]
fn seconds(tape: &Tape, us: i64) -> f64 {
    tape.created.as_micros().saturating_add_signed(us) as f64 / 1_000_000.0
}

/// What a HAR has no place for: the session, how it ended, and the lines of a command.
fn mcp(tape: &Tape, session: &TapeSession, exchange: &TapeExchange) -> Value {
    let kind = match exchange.kind {
        RequestKind::Message => "message",
        RequestKind::Http => "http",
        RequestKind::Tunnel => "tunnel",
        RequestKind::Run => "run",
        RequestKind::BridgedRun => "bridged_run",
    };
    let mut mcp = json!({
        "session": session_name(session),
        "server": &*session.server,
        "exchange": exchange.id.get(),
        "kind": kind,
        "revision": session.revision,
    });
    if let Some(end) = &exchange.end {
        mcp["request_end"] = json!(end.request);
        mcp["response_end"] = json!(end.response);
    }
    if matches!(exchange.kind, RequestKind::Run | RequestKind::BridgedRun) {
        mcp["command"] = exchange.target.as_str().into();
        mcp["lines"] = exchange.frames.iter().map(|frame| line(tape, frame)).collect();
    }
    mcp
}

fn line(tape: &Tape, frame: &TapeFrame) -> Value {
    let mut line = json!({"time": time(tape, frame.done_us), "direction": frame.direction});
    put_text(&mut line, &frame.bytes);
    line
}
