//! The members of an HTTP Archive that are read; everything else in it is passed over. Programs write `null` for what they
//! do not know, which is the same as nothing.
//!
//! Source: <http://www.softwareishard.com/blog/har-12-spec/>.

use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::har_misread::undone;
use crate::codec::envelope::scan;
use crate::session::observation::ExchangeKind;
use crate::snapshot::EndKind;

#[derive(Deserialize)]
pub(super) struct Archive<'a> {
    #[serde(borrow)]
    pub(super) log: Log<'a>,
}

#[derive(Deserialize)]
pub(super) struct Log<'a> {
    /// Each on its own, so that one that is broken does not take the others with it.
    #[serde(borrow)]
    pub(super) entries: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "startedDateTime", default, deserialize_with = "or_default")]
    pub(super) started: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) time: f64,
    pub(super) request: Request,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) response: Response,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) timings: Timings,
    #[serde(rename = "_sse", default, deserialize_with = "or_default")]
    pub(super) blocks: Vec<Moment>,
    #[serde(rename = "_mcp", default, deserialize_with = "or_default")]
    pub(super) own: Own,
    #[serde(rename = "_webSocketMessages", default, deserialize_with = "or_default")]
    pub(super) sockets: Vec<SocketMessage>,
    #[serde(rename = "_eventSourceMessages", default, deserialize_with = "or_default")]
    pub(super) events: Vec<StreamEvent>,
}

#[derive(Deserialize)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) url: String,
    #[serde(rename = "httpVersion", default, deserialize_with = "or_default")]
    pub(super) version: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) headers: Vec<Named>,
    #[serde(rename = "postData", default)]
    pub(super) body: Option<Text>,
    #[serde(rename = "bodySize", default)]
    pub(super) body_size: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Response {
    #[serde(deserialize_with = "or_default")]
    pub(super) status: f64,
    #[serde(rename = "statusText", deserialize_with = "or_default")]
    pub(super) reason: String,
    #[serde(rename = "httpVersion", deserialize_with = "or_default")]
    pub(super) version: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) headers: Vec<Named>,
    #[serde(deserialize_with = "or_default")]
    pub(super) content: Text,
    #[serde(rename = "bodySize")]
    pub(super) body_size: Option<f64>,
    #[serde(rename = "_error")]
    pub(super) failure: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Text {
    #[serde(rename = "mimeType", deserialize_with = "or_default")]
    pub(super) media_type: String,
    #[serde(rename = "text")]
    pub(super) content: Option<String>,
    pub(super) encoding: Option<String>,
    pub(super) size: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) value: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Timings {
    pub(super) blocked: Option<f64>,
    pub(super) dns: Option<f64>,
    pub(super) connect: Option<f64>,
    pub(super) send: Option<f64>,
    pub(super) wait: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct Moment {
    #[serde(default)]
    pub(super) time: String,
}

/// What our own archives have besides.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Own {
    pub(super) session: Option<String>,
    pub(super) server: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) command: Option<String>,
    pub(super) request_end: Option<EndKind>,
    pub(super) response_end: Option<EndKind>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SocketMessage {
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub(super) kind: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) time: f64,
    #[serde(deserialize_with = "or_default")]
    opcode: f64,
    #[serde(deserialize_with = "or_default")]
    data: String,
}

/// An event of a stream, as Chromium writes it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamEvent {
    #[serde(deserialize_with = "or_default")]
    pub(super) time: f64,
    #[serde(rename = "eventName", deserialize_with = "or_default")]
    name: String,
    #[serde(rename = "eventId", deserialize_with = "or_default")]
    id: String,
    #[serde(deserialize_with = "or_default")]
    data: String,
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Text {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is 1 at least, and a cast saturates"
    )]
    pub(super) fn into_bytes(self) -> Bytes {
        let text = self.content.unwrap_or_default();
        if self.encoding.as_deref() == Some("base64") {
            let decoded = base64::engine::general_purpose::STANDARD.decode(&text);
            return decoded.unwrap_or_else(|_| text.into_bytes()).into();
        }
        let size = self.size.filter(|size| *size >= 1.0);
        match size.and_then(|size| undone(&text, size as usize)) {
            Some(bytes) => bytes.into(),
            None => text.into(),
        }
    }
}

impl SocketMessage {
    /// What it carries; nothing if it is a control frame.
    pub(super) fn bytes(&self) -> Option<Bytes> {
        if !(0.0..8.0).contains(&self.opcode) {
            return None;
        }
        if self.opcode > 1.5 {
            let decoded = base64::engine::general_purpose::STANDARD.decode(&self.data);
            return Some(decoded.unwrap_or_default().into());
        }
        Some(self.data.clone().into())
    }
}

impl StreamEvent {
    fn write(&self, stream: &mut String) {
        let fields = [("event", &self.name), ("id", &self.id)];
        let is_usual =
            |(name, value): &(&str, &String)| value.is_empty() || (*name == "event" && *value == "message");
        let fields = fields.into_iter().filter(|field| !is_usual(field));
        let lines = self.data.split(['\r', '\n']).map(|line| ("data", line));
        for (name, value) in fields.map(|(name, value)| (name, value.as_str())).chain(lines) {
            stream.extend([name, ": ", value, "\n"]);
        }
        stream.push('\n');
    }
}

impl Entry {
    pub(super) fn kind(&self) -> ExchangeKind {
        match self.own.kind.as_deref() {
            Some("run") => return ExchangeKind::Run,
            Some("bridged_run") => return ExchangeKind::BridgedRun,
            Some("message") => return ExchangeKind::Message,
            Some("http") => return ExchangeKind::Http,
            _ => {}
        }
        let body = self
            .request
            .body
            .as_ref()
            .and_then(|body| body.content.as_deref());
        let has_messages = body.is_some_and(|body| scan(body.as_bytes()).is_json_rpc());
        let has_field = ["mcp-session-id", "mcp-method", "mcp-protocol-version"]
            .iter()
            .any(|name| field(&self.request.headers, name).is_some());
        if has_messages || has_field || is_stream(self.media_type()) || !self.sockets.is_empty() {
            ExchangeKind::Message
        } else {
            ExchangeKind::Http
        }
    }

    /// The body of a stream of which there are the events only.
    pub(super) fn events_as_stream(&self) -> Bytes {
        let mut stream = String::new();
        self.events.iter().for_each(|event| event.write(&mut stream));
        stream.into()
    }

    pub(super) fn media_type(&self) -> &str {
        let content = self.response.content.media_type.as_str();
        field(&self.response.headers, "content-type").unwrap_or(content)
    }

    pub(super) fn server(&self) -> &str {
        let authority = || {
            origin(&self.request.url)
                .split_once("://")
                .map_or("imported", |(_, name)| name)
        };
        self.own.server.as_deref().unwrap_or_else(authority)
    }
}

/// Scheme and authority of a URL.
pub(super) fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let length = url
        .get(start..)
        .and_then(|rest| rest.find(['/', '?', '#']))
        .unwrap_or(url.len() - start);
    url.get(..start + length).unwrap_or(url)
}

pub(super) fn is_stream(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("text/event-stream")
}

pub(super) fn field<'a>(headers: &'a [Named], name: &str) -> Option<&'a str> {
    let found = headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name));
    found.map(|header| header.value.as_str())
}

/// What a body was coded with, if at all.
pub(super) fn coding(headers: &[Named]) -> Option<Arc<str>> {
    let coding = field(headers, "content-encoding")?.trim();
    (!coding.is_empty() && !coding.eq_ignore_ascii_case("identity")).then(|| coding.into())
}

/// Archives have bodies without their coding. What is no text may have been put in with it all the same.
pub(super) fn is_decoded(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok()
}
