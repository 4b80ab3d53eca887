//! The shim whose client a test is, and the server that it is before.

use serde_json::Value;
use shadowcat::outward::{OutwardConfig, OutwardEnd, OutwardError, run};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, duplex};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::support::*;

pub(crate) type Ended = Result<OutwardEnd, OutwardError>;

/// A running shim: the test is its client.
pub(crate) struct Shim {
    pub(crate) input: Option<DuplexStream>,
    pub(crate) output: Lines<BufReader<DuplexStream>>,
    pub(crate) errors: Lines<BufReader<DuplexStream>>,
    pub(crate) stop: CancellationToken,
    pub(crate) ended: oneshot::Receiver<Ended>,
}

impl Shim {
    pub(crate) fn before(url: &str) -> Self {
        Self::with(url, |_| {})
    }

    pub(crate) fn with(url: &str, change: impl FnOnce(&mut OutwardConfig)) -> Self {
        let mut config = OutwardConfig::new(url.parse().unwrap());
        change(&mut config);
        let (input, read) = duplex(1 << 20);
        let (written, output) = duplex(1 << 20);
        let (told, errors) = duplex(1 << 20);
        let (done, ended) = oneshot::channel();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        spawn(async move {
            let _ = done.send(run(config, read, written, told, stopped).await);
        });
        Self {
            input: Some(input),
            output: BufReader::new(output).lines(),
            errors: BufReader::new(errors).lines(),
            stop,
            ended,
        }
    }

    pub(crate) async fn say(&mut self, line: &str) {
        let line = format!("{line}\n");
        soon("a write", self.input.as_mut().unwrap().write_all(line.as_bytes()))
            .await
            .unwrap();
    }

    pub(crate) async fn hear(&mut self) -> String {
        soon("a line", self.output.next_line())
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("the output ended"))
    }

    pub(crate) async fn hear_json(&mut self) -> Value {
        serde_json::from_str(&self.hear().await).unwrap()
    }

    pub(crate) async fn hear_error(&mut self) -> String {
        soon("a line on stderr", self.errors.next_line())
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("stderr ended"))
    }

    /// Says no more, and waits for the end.
    pub(crate) async fn end(mut self) -> Ended {
        self.input = None;
        soon("the end", self.ended).await.unwrap()
    }

    /// The rest of the output.
    pub(crate) async fn rest(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(line) = soon("the rest", self.output.next_line()).await.unwrap() {
            rest.push(line);
        }
        rest
    }
}

/// A request that a server has read whole.
pub(crate) struct Asked {
    pub(crate) peer: RawPeer,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) async fn by(server: &RawServer) -> Self {
        let mut peer = server.accept().await;
        let head = peer.read_head().await;
        let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let body = String::from_utf8(peer.read_exactly(length).await).unwrap();
        Self { peer, head, body }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub(crate) async fn answer(self, status: &str, fields: &str, body: &str) {
        self.answer_bytes(status, fields, body.as_bytes()).await;
    }

    pub(crate) async fn answer_bytes(mut self, status: &str, fields: &str, body: &[u8]) {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n");
        self.peer.send([head.as_bytes(), body].concat()).await;
    }

    pub(crate) async fn answer_json(self, body: &str) {
        self.answer("200 OK", "Content-Type: application/json\r\n", body)
            .await;
    }

    pub(crate) async fn accept(self) {
        self.answer("202 Accepted", "", "").await;
    }

    pub(crate) async fn stream(&mut self, events: &str) {
        self.peer.send(format!("{}{events}", stage::EVENTS)).await;
    }
}

pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
pub(crate) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
pub(crate) const AGREED: &str =
    r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}"#;
pub(crate) const SESSION: &str = "Content-Type: application/json\r\nMcp-Session-Id: s-1\r\n";

pub(crate) fn ping(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)
}

pub(crate) fn modern(id: u64, method: &str, params: &str) -> String {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{meta}}}}}"#)
}

pub(crate) async fn raw() -> (RawServer, Shim) {
    let server = RawServer::bind().await;
    let shim = Shim::before(&format!("http://{}/mcp", server.address()));
    (server, shim)
}

/// With a session, and its stream refused.
pub(crate) async fn raw_session() -> (RawServer, Shim) {
    let (server, mut shim) = raw().await;
    shim.say(INITIALIZE).await;
    Asked::by(&server).await.answer("200 OK", SESSION, AGREED).await;
    assert_eq!(shim.hear().await, AGREED);
    shim.say(INITIALIZED).await;
    Asked::by(&server).await.accept().await;
    let listening = Asked::by(&server).await;
    assert_eq!(listening.line(), "GET /mcp HTTP/1.1");
    listening.answer("405 Method Not Allowed", "", "").await;
    (server, shim)
}

pub(crate) fn assert_ours(error: &Value, id: &Value, reason: &str) {
    assert_eq!(&error["id"], id, "{error}");
    assert_eq!(error["error"]["code"], -33001, "{error}");
    assert_eq!(error["error"]["data"]["origin"], "shadowcat", "{error}");
    assert_eq!(error["error"]["data"]["reason"], reason, "{error}");
}
