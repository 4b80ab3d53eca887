//! Clients of the older transport HTTP+SSE.

use serde_json::{Value, json};

use crate::peer::*;
use crate::support::*;

/// A session, through its handshake.
pub struct Session {
    client: Client,
    stream: RawPeer,
    endpoint: String,
    pid: u32,
}

impl Session {
    pub async fn begin(client: Client) -> Self {
        let request = at(
            "/sse",
            &client.request("GET", "Accept: text/event-stream\r\n", ""),
        );
        let mut stream = RawPeer::connect(client.address).await;
        stream.send(request).await;
        let head = stream.read_head().await;
        assert!(
            head.starts_with("HTTP/1.1 200 ") && head.contains("text/event-stream"),
            "{head}"
        );
        let event = String::from_utf8(stream.read_through(b"\n\n").await).unwrap();
        let (_, endpoint) = event.split_once("event: endpoint\ndata: ").unwrap();
        let mut session = Self {
            client,
            stream,
            endpoint: endpoint.trim_end().to_owned(),
            pid: 0,
        };
        session.post(&initialize("2024-11-05")).await;
        let answer = session.hear().await;
        assert_eq!(answer["result"]["protocolVersion"], "2024-11-05");
        let pid = answer["result"]["serverInfo"]["version"].as_str().unwrap();
        session.pid = pid.parse().unwrap();
        session
            .post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
            .await;
        session
    }

    /// The whole answer to a POST.
    async fn answer(&self, body: &str) -> String {
        answer_at(&self.client, &self.endpoint, body).await
    }

    pub async fn post(&self, body: &str) {
        let answer = self.answer(body).await;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    }

    pub async fn hear(&mut self) -> Value {
        next_event(&mut self.stream).await.1
    }
}

async fn answer_at(client: &Client, endpoint: &str, body: &str) -> String {
    let mut peer = RawPeer::connect(client.address).await;
    peer.send(at(endpoint, &client.request("POST", "", body))).await;
    String::from_utf8(peer.read_to_end().await.0).unwrap()
}

fn at(path: &str, request: &str) -> String {
    request.replacen("/mcp", path, 1)
}

#[tokio::test]
async fn all_that_the_program_says_comes_on_the_stream_of_its_session() {
    let engine = bridge(scripted(""), |_| {});
    let mut session = Session::begin(Client::new(&engine)).await;
    let mut other = Session::begin(Client::new(&engine)).await;
    assert_ne!(session.pid, other.pid, "each has a program of its own");
    session.post(&call("1", "progress", r#"{"count":2}"#)).await;
    other.post(&call("1", "ask", "{}")).await;
    for step in 1..=2 {
        assert_eq!(session.hear().await["params"]["progress"], step);
    }
    assert_eq!(session.hear().await["id"], 1);
    assert_eq!(other.hear().await["method"], "roots/list");
    assert_eq!(other.hear().await["id"], 1);
    other
        .post(r#"{"jsonrpc":"2.0","id":0,"result":{"roots":[]}}"#)
        .await;
    assert_eq!(other.hear().await["params"]["data"], r#"answered: {"roots":[]}"#);
    let mut frontend = engine.frontend().unwrap();
    snapshot_when(
        &mut frontend,
        "a session each, with its program in it",
        |snapshot| snapshot.sessions.rows.len() == 2,
    )
    .await;
}

#[tokio::test]
async fn a_session_and_its_program_end_with_its_stream() {
    let engine = bridge(scripted(""), |_| {});
    let client = Client::new(&engine);
    let Session {
        stream,
        endpoint,
        pid,
        ..
    } = Session::begin(client.clone()).await;
    stream.reset();
    until_gone(pid).await;
    let answer = answer_at(&client, &endpoint, &call("1", "echo", "{}")).await;
    assert!(
        answer.starts_with("HTTP/1.1 404 ") && answer.contains(r#""id":1"#),
        "{answer}"
    );
}

#[tokio::test]
async fn when_the_program_ends_its_requests_are_answered_and_the_stream_ends() {
    let engine = bridge(scripted(""), |_| {});
    let mut session = Session::begin(Client::new(&engine)).await;
    session.post(&call("1", "sleep", "{}")).await;
    session.post(&call("2", "exit", "{}")).await;
    for id in [1, 2] {
        let error = session.hear().await;
        assert_eq!(
            (&error["id"], &error["error"]["code"]),
            (&json!(id), &json!(-33001))
        );
        assert!(error.to_string().contains("giving up"), "{error}");
    }
    let (rest, is_whole) = session.stream.read_to_end().await;
    assert!(is_whole && rest.ends_with(b"0\r\n\r\n"), "{rest:?}");
}

#[tokio::test]
async fn what_its_addresses_do_not_serve_is_refused() {
    let engine = bridge(scripted(""), |_| {});
    let client = Client::new(&engine);
    let session = Session::begin(client.clone()).await;
    let batch = session
        .answer(r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#)
        .await;
    assert!(
        batch.starts_with("HTTP/1.1 400 ") && batch.contains("-32600"),
        "{batch}"
    );
    session.post(&call("1", "sleep", "{}")).await;
    let twice = session.answer(&call("1", "sleep", "{}")).await;
    assert!(twice.starts_with("HTTP/1.1 400 "), "{twice}");
    for (method, path, status) in [
        ("POST", "/sse", "405"),
        ("GET", "/messages", "405"),
        ("GET", "/nowhere", "404"),
    ] {
        let mut peer = RawPeer::connect(client.address).await;
        peer.send(at(path, &client.request(method, "", ""))).await;
        let head = peer.read_head().await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{method} {path}: {head}"
        );
    }
}
