//! Messages that we post in the place of a client: what a person, or a rule, answers to a request of its server.
//!
//! Such a message takes the way that the client's own would take, from our listener on: it is routed, shown and recorded
//! like any other, but no rule is asked about it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};

use crate::tasks::TaskKind;

use super::exchange::{Exchange, Peer};
use super::inside;
use super::listener::Accepted;
use super::place::ConnectionPlace;
use super::route::{ServerPlace, Within};
use super::serve::ClientConnection;

/// Most bytes of a status line that are read.
const MAX_LINE_BYTES: u64 = 8 * 1024;

/// Fields that belong to one message, and are made anew too.
const ANEW: [HeaderName; 3] = [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::ACCEPT];

/// The way that a client's requests take.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    peer: Peer,
    local: SocketAddr,
    place: Arc<ConnectionPlace>,
    only: Option<ServerPlace>,
    within: Option<Within>,
    uri: Uri,
    fields: HeaderMap,
}

impl Way {
    /// That of a request which came on `connection`.
    pub(crate) fn of(connection: &ClientConnection, parts: &Parts) -> Self {
        let within = connection.within.clone().map(|within| Within {
            spoken: Some(parts.version),
            ..within
        });
        Self {
            peer: connection.peer.clone(),
            local: connection.local,
            place: Arc::clone(&connection.place),
            only: connection.only,
            within,
            uri: parts.uri.clone(),
            fields: parts.headers.clone(),
        }
    }

    /// A connection that takes it.
    fn accepted(self) -> Accepted {
        Accepted {
            peer: self.peer,
            local: self.local,
            place: self.place,
            only: self.only,
            refusal: None,
            within: self.within,
        }
    }

    /// The request that posts `message`, to `endpoint` if that is not where the client's other request went.
    fn post(&self, endpoint: Option<&str>, message: &[u8]) -> Vec<u8> {
        let target = self.target(endpoint);
        let mut head = format!("POST {target} HTTP/1.1\r\n").into_bytes();
        let host = self.fields.get(header::HOST).map(HeaderValue::as_bytes);
        let asked = self
            .uri
            .authority()
            .map(|authority| authority.as_str().as_bytes());
        put_field(&mut head, b"Host", host.or(asked).unwrap_or_default());
        for (name, value) in &self.fields {
            if inside::is_repeated(name.as_str()) && !ANEW.contains(name) {
                put_field(&mut head, name.as_str().as_bytes(), value.as_bytes());
            }
        }
        put_field(&mut head, b"Content-Type", b"application/json");
        put_field(&mut head, b"Accept", b"application/json, text/event-stream");
        put_field(&mut head, b"Content-Length", message.len().to_string().as_bytes());
        put_field(&mut head, b"Connection", b"close");
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(message);
        head
    }

    /// A path at the same server.
    fn target(&self, endpoint: Option<&str>) -> String {
        let Some(path) = endpoint else {
            return self.uri.to_string();
        };
        match (self.uri.scheme_str(), self.uri.authority()) {
            (Some(scheme), Some(authority)) => format!("{scheme}://{authority}{path}"),
            _ => path.to_owned(),
        }
    }
}

fn put_field(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

impl Exchange {
    /// Whether messages can be posted in the place of its client.
    pub(crate) fn has_way(&self) -> bool {
        self.way().is_some()
    }

    /// Posts a message in the place of its client, in a task of its own. What comes of it is an exchange like any other; the
    /// log has a word if the server does not take it.
    pub(crate) fn post_as_client(&self, message: Bytes) {
        let Some((way, endpoint)) = self.way() else { return };
        let hub = Arc::clone(&self.hub);
        let server = Arc::clone(&self.server);
        let posting = async move {
            let request = way.post(endpoint.as_deref(), &message);
            let (near, serving) = inside::connect(&hub, way.accepted());
            let (outcome, _) = tokio::join!(posted(near, &request), serving);
            match outcome {
                Ok(line) if is_taken(&line) => {}
                Ok(line) => {
                    tracing::warn!(%server, answer = line.trim_end(), "an answer in the place of a client was not taken");
                }
                Err(error) => {
                    tracing::warn!(%server, %error, "an answer in the place of a client could not be posted");
                }
            }
        };
        self.hub.tasks.spawn(TaskKind::Connection, posting);
    }
}

/// Sends a request and reads the answer to its end; gives the status line.
async fn posted(mut stream: DuplexStream, request: &[u8]) -> std::io::Result<String> {
    stream.write_all(request).await?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    (&mut reader).take(MAX_LINE_BYTES).read_line(&mut line).await?;
    tokio::io::copy(&mut reader, &mut tokio::io::sink()).await?;
    Ok(line)
}

/// Whether a status line is one of success: a server accepts an answer with 202 (MCP 2025-11-25, Transports).
fn is_taken(line: &str) -> bool {
    line.split(' ')
        .nth(1)
        .is_some_and(|status| status.starts_with('2'))
}
