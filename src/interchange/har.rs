//! HTTP Archive 1.2.
//!
//! Source: <http://www.softwareishard.com/blog/har-12-spec/>; `_resourceType`, `_transferSize`, `_webSocketMessages` and
//! `_eventSourceMessages` as Chromium writes and reads them.

use std::io::{self, Write};

use base64::Engine as _;
use serde_json::{Value, json};

use super::words::{is_socket, millis, session_name, time, url};
use crate::codec::hidden::without_hidden;
use crate::recording::format::RequestKind;
use crate::replay::tape::{Tape, TapeExchange, TapeFrame, TapeSession};
use crate::snapshot::{Carrier, Direction, Head};

pub(super) fn write(tape: &Tape, out: &mut dyn Write) -> io::Result<()> {
    let creator = json!({"name": "shadowcat-tui", "version": env!("CARGO_PKG_VERSION")});
    let pages: Vec<Value> = tape.sessions.iter().map(|session| page(tape, session)).collect();
    let pages = Value::Array(pages).to_string();
    let pages = without_hidden(&pages, "");
    write!(
        out,
        "{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"pages\":{pages},\"entries\":["
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
        let entry = entry(tape, session, exchange).to_string();
        out.write_all(without_hidden(&entry, "").as_bytes())?;
    }
    out.write_all(b"\n]}}\n")
}

/// A session, for programs that group entries.
fn page(tape: &Tape, session: &TapeSession) -> Value {
    let began = session.exchanges.first().map_or(0, |exchange| exchange.us);
    json!({
        "startedDateTime": time(tape, began),
        "id": session_name(session),
        "title": format!("{} {} ({})", session_name(session), session.server, session.carrier.name()),
        "pageTimings": {"onContentLoad": -1, "onLoad": -1},
    })
}

fn entry(tape: &Tape, session: &TapeSession, exchange: &TapeExchange) -> Value {
    let ended = exchange.end.as_ref().map(|end| end.us);
    let last = exchange.frames.iter().map(|frame| frame.done_us).max();
    let head = exchange.response.as_ref().map(|response| response.us);
    let done = ended.or(last).or(head).unwrap_or(exchange.us);
    let sent = head.unwrap_or(done);
    let mut entry = json!({
        "pageref": session_name(session),
        "startedDateTime": time(tape, exchange.us),
        "time": millis(done.saturating_sub(exchange.us)),
        "request": request(session, exchange),
        "response": response(exchange),
        "cache": {},
        "timings": {"send": 0, "wait": millis(sent.saturating_sub(exchange.us)), "receive": millis(done.saturating_sub(sent))},
        "_resourceType": resource_type(exchange),
        "_mcp": mcp(session, exchange),
    });
    if exchange.end.is_none() {
        entry["comment"] = "had not ended when the recording did".into();
    }
    let events = exchange.frames_of(Direction::ServerToClient);
    let events: Vec<&TapeFrame> = events.filter(|frame| frame.carrier == Carrier::Sse).collect();
    if !events.is_empty() {
        entry["_eventSourceMessages"] = events
            .iter()
            .filter_map(|frame| dispatched(tape, frame))
            .collect();
        entry["_sse"] = events.iter().map(|frame| block(tape, frame)).collect();
    }
    let messages = socket_messages(tape, exchange);
    if !messages.is_empty() {
        entry["_webSocketMessages"] = messages.into();
    }
    entry
}

/// What developer tools of browsers sort an exchange under.
fn resource_type(exchange: &TapeExchange) -> &'static str {
    if is_messages(exchange) {
        "websocket"
    } else if exchange.method == "GET" && exchange.is_stream() {
        "eventsource"
    } else {
        "fetch"
    }
}

/// Whether its frames are messages or lines in both directions, rather than bodies.
fn is_messages(exchange: &TapeExchange) -> bool {
    is_run(exchange) || is_socket(exchange)
}

fn is_run(exchange: &TapeExchange) -> bool {
    matches!(exchange.kind, RequestKind::Run | RequestKind::BridgedRun)
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
    let mut url = url(session, exchange);
    if is_socket(exchange) && url.starts_with("http") {
        url.replace_range(.."http".len(), "ws");
    }
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query: Vec<Value> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let is_run = is_run(exchange);
    let body = body(exchange, Direction::ClientToServer);
    let on_the_wire = exchange.end.as_ref().map(|end| end.request_bytes);
    let mut request = json!({
        "method": if is_run { "RUN" } else { exchange.method.as_str() },
        "url": url,
        "httpVersion": if is_run { "stdio" } else { version(&exchange.request_head) },
        "cookies": [],
        "headers": fields(&exchange.request_head),
        "queryString": query,
        "headersSize": -1,
        "bodySize": on_the_wire.unwrap_or(body.len() as u64),
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
    let failure = exchange.end.as_ref().and_then(|end| end.failure.as_deref());
    let Some(response) = &exchange.response else {
        let failure = failure.unwrap_or(if is_run(exchange) { "" } else { "no answer" });
        let mut none = json!({
            "status": 0, "statusText": "", "httpVersion": "", "cookies": [], "headers": [],
            "content": {"size": 0, "mimeType": "x-unknown"}, "redirectURL": "", "headersSize": -1, "bodySize": -1,
        });
        if !failure.is_empty() {
            none["_error"] = failure.into();
        }
        return none;
    };
    let body = body(exchange, Direction::ServerToClient);
    let size = body.len() as u64;
    // In a stream that is open still, or over a WebSocket, what came is what is here.
    let ended = exchange.end.as_ref().filter(|_| !is_socket(exchange));
    let on_the_wire = ended.map_or(size, |end| end.response_bytes);
    let media_type = response.media_type.as_deref().unwrap_or("x-unknown");
    let mut content = json!({"size": size, "mimeType": media_type});
    if response.field("content-encoding").is_some() {
        content["compression"] = size.saturating_sub(on_the_wire).into();
    }
    put_text(&mut content, &body);
    let reason: Vec<&str> = response.head.line.splitn(3, ' ').collect();
    let mut answer = json!({
        "status": response.status,
        "statusText": reason.get(2).unwrap_or(&""),
        "httpVersion": version(&response.head),
        "cookies": [],
        "headers": fields(&response.head),
        "content": content,
        "redirectURL": response.field("location").unwrap_or_default(),
        "headersSize": -1,
        "bodySize": on_the_wire,
        // Chromium would add the two sizes above, of which one is not known.
        "_transferSize": on_the_wire,
    });
    if let Some(failure) = failure {
        answer["_error"] = failure.into();
    }
    answer
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

/// A block of a stream; its text is in the body.
fn block(tape: &Tape, frame: &TapeFrame) -> Value {
    let mut block = json!({"time": time(tape, frame.done_us), "bytes": frame.bytes.len()});
    if let Some(retry) = frame.sse.as_ref().and_then(|sse| sse.retry) {
        block["retry"] = retry.into();
    }
    block
}

/// The event that a block makes a browser dispatch, if any.
fn dispatched(tape: &Tape, frame: &TapeFrame) -> Option<Value> {
    let sse = frame.sse.as_ref().filter(|_| !frame.is_fragment)?;
    let name = sse.event.as_deref()?;
    Some(json!({
        "time": seconds(tape, frame.done_us),
        "eventName": name,
        "eventId": sse.id.as_deref().unwrap_or_default(),
        "data": String::from_utf8_lossy(&frame.payload),
    }))
}

/// What a WebSocket carried, and the lines of a command, which are drawn the same way.
fn socket_messages(tape: &Tape, exchange: &TapeExchange) -> Vec<Value> {
    let frames = exchange.frames.iter();
    let messages = frames.filter(|frame| matches!(frame.carrier, Carrier::WebSocket | Carrier::Stdio));
    messages.map(|frame| socket_message(tape, frame)).collect()
}

fn socket_message(tape: &Tape, frame: &TapeFrame) -> Value {
    // A line with its end, so that it comes back as it was.
    let bytes = match frame.carrier {
        Carrier::Stdio => &frame.bytes,
        _ => &frame.payload,
    };
    let (opcode, data) = match std::str::from_utf8(bytes) {
        Ok(text) => (1, text.to_owned()),
        Err(_) => (2, base64::engine::general_purpose::STANDARD.encode(bytes)),
    };
    json!({
        "type": if frame.direction == Direction::ClientToServer { "send" } else { "receive" },
        "time": seconds(tape, frame.done_us),
        "opcode": opcode,
        "data": data,
    })
}

#[expect(clippy::cast_precision_loss, reason = "the format has floating point seconds")]
fn seconds(tape: &Tape, us: i64) -> f64 {
    tape.created.as_micros().saturating_add_signed(us) as f64 / 1_000_000.0
}

/// What a HAR has no place for: the session, and how it ended.
fn mcp(session: &TapeSession, exchange: &TapeExchange) -> Value {
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
    // The heads of an archive are those that came.
    if let Some(sent) = &exchange.sent {
        mcp["request_sent"] = json!(sent);
    }
    if let Some(sent) = exchange
        .response
        .as_ref()
        .and_then(|response| response.sent.as_ref())
    {
        mcp["response_sent"] = json!(sent);
    }
    if is_run(exchange) {
        mcp["command"] = exchange.target.as_str().into();
    }
    mcp
}
