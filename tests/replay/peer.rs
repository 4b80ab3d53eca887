//! Clients that say exactly what they are told to, over each carrier.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use shadowcat::replay::MockServer;
use tokio::io::{
    AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};

use crate::support::{soon, spawn};

/// What a client hears while it waits for an answer.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) answer: Value,
    /// Notifications and requests of the server, in their order.
    pub(crate) said: Vec<Value>,
    /// HTTP status, over Streamable HTTP.
    pub(crate) status: u16,
    pub(crate) is_stream: bool,
}

/// What a client answers to requests of the server.
pub(crate) type Answers<'a> = &'a dyn Fn(&Value) -> Value;

/// A client.
pub(crate) enum Peer {
    Streamable(Streamable),
    Older(Older),
    Stdio(Stdio),
}

impl Peer {
    pub(crate) async fn ask(&mut self, request: &Value, answers: Answers<'_>) -> Heard {
        let method = request["method"].to_string();
        let asking = async {
            match self {
                Self::Streamable(peer) => peer.ask(request, answers).await,
                Self::Older(peer) => peer.ask(request, answers).await,
                Self::Stdio(peer) => peer.ask(request, answers).await,
            }
        };
        soon(&format!("an answer to {method}"), asking).await
    }

    pub(crate) async fn tell(&mut self, message: &Value) {
        match self {
            Self::Streamable(peer) => {
                let response = peer.post(message).await;
                assert_eq!(response.status(), 202);
            }
            Self::Older(peer) => peer.post(message).await,
            Self::Stdio(peer) => peer.write(message).await,
        }
    }
}

pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Streamable HTTP.
pub(crate) struct Streamable {
    http: reqwest::Client,
    url: String,
    pub(crate) session: Option<String>,
}

impl Streamable {
    pub(crate) fn new(url: String) -> Self {
        Self {
            http: client(),
            url,
            session: None,
        }
    }

    pub(crate) async fn post(&self, message: &Value) -> reqwest::Response {
        let mut request = self
            .http
            .post(&self.url)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(message.to_string());
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        for (name, value) in repeated(message) {
            request = request.header(name, value);
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn get(&self, last_event: Option<&str>) -> reqwest::Response {
        let mut request = self.http.get(&self.url).header("accept", "text/event-stream");
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        if let Some(id) = last_event {
            request = request.header("last-event-id", id);
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn delete(&self) -> reqwest::Response {
        let session = self.session.as_deref().unwrap_or_default();
        let request = self.http.delete(&self.url).header("mcp-session-id", session);
        request.send().await.unwrap()
    }

    async fn ask(&mut self, request: &Value, answers: Answers<'_>) -> Heard {
        let response = self.post(request).await;
        self.heard(response, answers).await
    }

    /// What came of a request that was posted already.
    pub(crate) async fn heard(&mut self, response: reqwest::Response, answers: Answers<'_>) -> Heard {
        let mut heard = Heard {
            status: response.status().as_u16(),
            ..Heard::default()
        };
        if let Some(session) = response.headers().get("mcp-session-id") {
            self.session = Some(session.to_str().unwrap().to_owned());
        }
        let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        if media_type == "application/json" {
            heard.answer = response.json().await.unwrap();
            return heard;
        }
        assert_eq!(media_type, "text/event-stream");
        heard.is_stream = true;
        let mut events = Events::new(response);
        while let Some(event) = events.next().await {
            if event.data.is_empty() {
                continue;
            }
            let message = event.message();
            if message.get("method").is_none() {
                heard.answer = message;
                continue;
            }
            if message.get("id").is_some() {
                let answer = answers(&message);
                assert_eq!(self.post(&answer).await.status(), 202);
            }
            heard.said.push(message);
        }
        heard
    }
}

/// What a client of 2026-07-28 repeats in its headers.
fn repeated(message: &Value) -> Vec<(&'static str, String)> {
    let params = &message["params"];
    let Some(revision) = params["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str() else {
        return Vec::new();
    };
    let method = message["method"].as_str().unwrap_or_default();
    let mut fields = vec![
        ("mcp-protocol-version", revision.to_owned()),
        ("mcp-method", method.to_owned()),
    ];
    let named = ["tools/call", "prompts/get", "resources/read", "tasks/get"];
    let name = ["name", "uri", "taskId"]
        .iter()
        .find_map(|key| params[key].as_str());
    if let Some(name) = name.filter(|_| named.contains(&method)) {
        fields.push(("mcp-name", name.to_owned()));
    }
    fields
}

/// One event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn message(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

/// Events of a response, without comments.
pub(crate) struct Events {
    body: futures_util::stream::BoxStream<'static, reqwest::Result<Bytes>>,
    text: String,
}

impl Events {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self {
            body: response.bytes_stream().boxed(),
            text: String::new(),
        }
    }

    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let event = event(block);
                let rest = rest.to_owned();
                self.text = rest;
                if event.is_some() {
                    return event;
                }
            }
            let chunk = soon("an event", self.body.next()).await?.ok()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

fn event(block: &str) -> Option<Event> {
    let mut event = Event::default();
    let mut has_data = false;
    for line in block.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut event.name),
            "id" => event.id = Some(value.to_owned()),
            "data" => {
                event.data.push_str(value);
                has_data = true;
            }
            _ => {}
        }
    }
    has_data.then_some(event)
}

/// HTTP+SSE.
pub(crate) struct Older {
    http: reqwest::Client,
    endpoint: String,
    events: Events,
    early: VecDeque<Value>,
}

impl Older {
    pub(crate) async fn connect(url: &str) -> Self {
        let http = client();
        let response = http
            .get(url)
            .header("accept", "text/event-stream")
            .send()
            .await
            .unwrap();
        let mut events = Events::new(response);
        let first = events.next().await.unwrap();
        assert_eq!(first.name, "endpoint");
        let origin = url.strip_suffix("/sse").unwrap();
        Self {
            http,
            endpoint: format!("{origin}{}", first.data),
            events,
            early: VecDeque::new(),
        }
    }

    async fn post(&self, message: &Value) {
        let request = self.http.post(&self.endpoint).body(message.to_string());
        let response = request
            .header("content-type", "application/json")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 202);
    }

    async fn ask(&mut self, request: &Value, answers: Answers<'_>) -> Heard {
        self.post(request).await;
        let mut heard = Heard::default();
        loop {
            let message = match self.early.pop_front() {
                Some(message) => message,
                None => self.events.next().await.unwrap().message(),
            };
            if message.get("method").is_none() {
                heard.answer = message;
                return heard;
            }
            if message.get("id").is_some() {
                self.post(&answers(&message)).await;
            }
            heard.said.push(message);
        }
    }
}

/// Standard input and output.
pub(crate) struct Stdio {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    input: WriteHalf<DuplexStream>,
}

impl Stdio {
    pub(crate) fn start(mock: MockServer) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(theirs);
        spawn(async move { mock.serve(input, output, |_| ()).await.unwrap() });
        let (output, input) = tokio::io::split(ours);
        Self {
            lines: BufReader::new(output).lines(),
            input,
        }
    }

    async fn write(&mut self, message: &Value) {
        self.input
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    }

    async fn ask(&mut self, request: &Value, answers: Answers<'_>) -> Heard {
        self.write(request).await;
        let mut heard = Heard::default();
        loop {
            let line = self.lines.next_line().await.unwrap().unwrap();
            let message: Value = serde_json::from_str(&line).unwrap();
            if message.get("method").is_none() {
                heard.answer = message;
                return heard;
            }
            if message.get("id").is_some() {
                let answer = answers(&message);
                self.write(&answer).await;
            }
            heard.said.push(message);
        }
    }
}

/// A request with another id and, if it has one, another progress token.
pub(crate) fn renamed(text: &[u8], id: Value, token: Value) -> Value {
    let mut request: Value = serde_json::from_slice(text).unwrap();
    request["id"] = id;
    if let Some(meta) = request["params"]["_meta"].as_object_mut()
        && meta.contains_key("progressToken")
    {
        meta.insert("progressToken".to_owned(), token);
    }
    request
}

/// An answer that says nothing.
pub(crate) fn nothing(asked: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": asked["id"], "result": {}})
}
