//! The members of an HTTP Archive that are read; everything else in it is passed over.
//!
//! Source: <http://www.softwareishard.com/blog/har-12-spec/>.

use base64::Engine as _;
use bytes::Bytes;
use serde::Deserialize;

use crate::snapshot::{Direction, EndKind};

#[derive(Deserialize)]
pub(super) struct Archive {
    pub(super) log: Log,
}

#[derive(Deserialize)]
pub(super) struct Log {
    pub(super) entries: Vec<Entry>,
}

#[derive(Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "startedDateTime", default)]
    pub(super) started: String,
    #[serde(default)]
    pub(super) time: f64,
    pub(super) request: Request,
    #[serde(default)]
    pub(super) response: Response,
    #[serde(default)]
    pub(super) timings: Timings,
    #[serde(rename = "_sse", default)]
    pub(super) events: Vec<Moment>,
    #[serde(rename = "_mcp", default)]
    pub(super) own: Own,
    #[serde(rename = "_webSocketMessages", default)]
    pub(super) sockets: Vec<SocketMessage>,
}

#[derive(Deserialize)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) url: String,
    #[serde(rename = "httpVersion", default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) headers: Vec<Named>,
    #[serde(rename = "postData", default)]
    pub(super) body: Option<Text>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Response {
    pub(super) status: f64,
    #[serde(rename = "statusText")]
    pub(super) reason: String,
    #[serde(rename = "httpVersion")]
    pub(super) version: String,
    pub(super) headers: Vec<Named>,
    pub(super) content: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Text {
    #[serde(rename = "mimeType")]
    pub(super) media_type: String,
    #[serde(rename = "text")]
    pub(super) content: Option<String>,
    pub(super) encoding: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
    #[serde(default)]
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
    pub(super) lines: Vec<Line>,
    pub(super) request_end: Option<EndKind>,
    pub(super) response_end: Option<EndKind>,
}

#[derive(Deserialize)]
pub(super) struct Line {
    #[serde(default)]
    pub(super) time: String,
    pub(super) direction: Direction,
    #[serde(flatten)]
    pub(super) text: Text,
}

#[derive(Deserialize)]
pub(super) struct SocketMessage {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) time: f64,
    #[serde(default)]
    pub(super) opcode: f64,
    #[serde(default)]
    pub(super) data: String,
}

impl Text {
    pub(super) fn into_bytes(self) -> Bytes {
        let text = self.content.unwrap_or_default();
        if self.encoding.as_deref() == Some("base64") {
            let decoded = base64::engine::general_purpose::STANDARD.decode(&text);
            return decoded.unwrap_or_else(|_| text.into_bytes()).into();
        }
        text.into()
    }
}
