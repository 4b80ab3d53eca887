//! A stdio client in front of an HTTP server: lines in, requests out, answers back as lines.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod sdk;
mod support;

use sdk::*;
use support::*;

use std::time::Duration;

use rmcp::model::{CallToolRequestParams, ClientRequest, Request};
use rmcp::service::PeerRequestOptions;
use serde_json::{Value, json};
use shadowcat::outward::{OutwardConfig, OutwardEnd, OutwardError, run};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, duplex};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

type Ended = Result<OutwardEnd, OutwardError>;

/// A running shim: the test is its client.
struct Shim {
    input: Option<DuplexStream>,
    output: Lines<BufReader<DuplexStream>>,
    errors: Lines<BufReader<DuplexStream>>,
    stop: CancellationToken,
    ended: oneshot::Receiver<Ended>,
}

impl Shim {
    fn before(url: &str) -> Self {
        Self::with(url, |_| {})
    }

    fn with(url: &str, change: impl FnOnce(&mut OutwardConfig)) -> Self {
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

    async fn say(&mut self, line: &str) {
        let line = format!("{line}\n");
        soon("a write", self.input.as_mut().unwrap().write_all(line.as_bytes()))
            .await
            .unwrap();
    }

    async fn hear(&mut self) -> String {
        soon("a line", self.output.next_line())
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("the output ended"))
    }

    async fn hear_json(&mut self) -> Value {
        serde_json::from_str(&self.hear().await).unwrap()
    }

    async fn hear_error(&mut self) -> String {
        soon("a line on stderr", self.errors.next_line())
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("stderr ended"))
    }

    /// Says no more, and waits for the end.
    async fn end(mut self) -> Ended {
        self.input = None;
        soon("the end", self.ended).await.unwrap()
    }

    /// The rest of the output.
    async fn rest(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(line) = soon("the rest", self.output.next_line()).await.unwrap() {
            rest.push(line);
        }
        rest
    }
}

/// A request that a server has read whole.
struct Asked {
    peer: RawPeer,
    head: String,
    body: String,
}

impl Asked {
    async fn by(server: &RawServer) -> Self {
        let mut peer = server.accept().await;
        let head = peer.read_head().await;
        let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let body = String::from_utf8(peer.read_exactly(length).await).unwrap();
        Self { peer, head, body }
    }

    fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    async fn answer(self, status: &str, fields: &str, body: &str) {
        self.answer_bytes(status, fields, body.as_bytes()).await;
    }

    async fn answer_bytes(mut self, status: &str, fields: &str, body: &[u8]) {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n");
        self.peer.send([head.as_bytes(), body].concat()).await;
    }

    async fn answer_json(self, body: &str) {
        self.answer("200 OK", "Content-Type: application/json\r\n", body)
            .await;
    }

    async fn accept(self) {
        self.answer("202 Accepted", "", "").await;
    }

    async fn stream(&mut self, events: &str) {
        self.peer.send(format!("{}{events}", stage::EVENTS)).await;
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const AGREED: &str =
    r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}"#;
const SESSION: &str = "Content-Type: application/json\r\nMcp-Session-Id: s-1\r\n";

fn ping(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)
}

fn modern(id: u64, method: &str, params: &str) -> String {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{meta}}}}}"#)
}

type Encode<'a> = &'a dyn Fn(&str) -> Vec<u8>;

/// A server that compresses whatever it is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_a_server_compresses_unasked_are_understood() {
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let deflate = |text: &str| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let brotli = |text: &str| {
        let mut out = Vec::new();
        let parameters = brotli::enc::BrotliEncoderParams::default();
        brotli::BrotliCompress(&mut text.as_bytes(), &mut out, &parameters).unwrap();
        out
    };
    let zstd = |text: &str| zstd::bulk::compress(text.as_bytes(), 3).unwrap();
    let codings: [(&str, Encode<'_>); 4] = [
        ("gzip", &gzip),
        ("deflate", &deflate),
        ("br", &brotli),
        ("zstd", &zstd),
    ];
    for (coding, encode) in codings {
        for media_type in ["application/json", "text/event-stream"] {
            let (server, mut shim) = raw().await;
            shim.say(&modern(1, "ping", "")).await;
            let asked = Asked::by(&server).await;
            assert_eq!(asked.field("accept-encoding"), Some("identity"));
            let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
            let body = match media_type {
                "application/json" => answer.to_owned(),
                _ => format!("data: {answer}\n\n"),
            };
            let fields = format!("Content-Type: {media_type}\r\nContent-Encoding: {coding}\r\n");
            asked.answer_bytes("200 OK", &fields, &encode(&body)).await;
            assert_eq!(shim.hear().await, answer, "{coding} {media_type}");
        }
        let (server, mut shim) = raw().await;
        shim.say(&modern(1, "ping", "")).await;
        let fields = format!("Content-Type: text/plain\r\nContent-Encoding: {coding}\r\n");
        let asked = Asked::by(&server).await;
        asked
            .answer_bytes("500 Internal Server Error", &fields, &encode("out of memory"))
            .await;
        let error = shim.hear_json().await;
        let text = error["error"]["message"].as_str().unwrap();
        assert!(
            text.ends_with("500 Internal Server Error: out of memory"),
            "{coding}: {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coding_that_nobody_knows_and_a_broken_one_are_told() {
    for (coding, body, said) in [
        (
            "compress",
            "x",
            "content coding \"compress\" cannot be decoded; gzip, deflate, br and zstd can",
        ),
        (
            "gzip",
            "{\"jsonrpc\":\"2.0\",\"id\":1}",
            "the body is not valid gzip",
        ),
    ] {
        let (server, mut shim) = raw().await;
        shim.say(&modern(1, "ping", "")).await;
        let fields = format!("Content-Type: application/json\r\nContent-Encoding: {coding}\r\n");
        Asked::by(&server).await.answer("200 OK", &fields, body).await;
        let error = shim.hear_json().await;
        assert_ours(&error, &json!(1), "undecodable");
        let text = error["error"]["message"].as_str().unwrap();
        assert!(text.contains(said), "{text}");
    }
}

async fn raw() -> (RawServer, Shim) {
    let server = RawServer::bind().await;
    let shim = Shim::before(&format!("http://{}/mcp", server.address()));
    (server, shim)
}

/// With a session, and its stream refused.
async fn raw_session() -> (RawServer, Shim) {
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

fn assert_ours(error: &Value, id: &Value, reason: &str) {
    assert_eq!(&error["id"], id, "{error}");
    assert_eq!(error["error"]["code"], -33001, "{error}");
    assert_eq!(error["error"]["data"]["origin"], "shadowcat", "{error}");
    assert_eq!(error["error"]["data"]["reason"], reason, "{error}");
}

async fn sdk_client_of(server: &SdkServer, speaks: Speaks) -> (Running, oneshot::Receiver<Ended>) {
    let shim = Shim::before(&server.url());
    let transport = (shim.output.into_inner(), shim.input.unwrap());
    (connect_over(transport, speaks, "piped").await, shim.ended)
}

async fn sees_the_same(speaks: Speaks) {
    let server = SdkServer::start().await;
    let way = Way {
        url: server.url(),
        proxy: None,
    };
    let direct = act_out(&way, speaks, "piped").await;
    let (client, ended) = sdk_client_of(&server, speaks).await;
    assert_eq!(act(&client).await, direct);
    soon("the client's leaving", client.cancel()).await.unwrap();
    assert_eq!(
        soon("the end", ended).await.unwrap().unwrap(),
        OutwardEnd::InputEnded
    );
}

#[tokio::test]
async fn a_legacy_sdk_client_sees_what_it_sees_over_http() {
    sees_the_same(Speaks::Legacy).await;
}

#[tokio::test]
async fn a_modern_sdk_client_sees_what_it_sees_over_http() {
    sees_the_same(Speaks::Modern).await;
}

#[tokio::test]
async fn a_cancelled_modern_call_is_cancelled_at_the_server() {
    let mut server = SdkServer::start().await;
    let (client, _ended) = sdk_client_of(&server, Speaks::Modern).await;
    let call = Request::new(CallToolRequestParams::new("wait"));
    let handle = client
        .send_cancellable_request(
            ClientRequest::CallToolRequest(call),
            PeerRequestOptions::no_options(),
        )
        .await
        .unwrap();
    soon("the call", server.waiting.wait_for(|count| *count == 1))
        .await
        .unwrap();
    handle.cancel(None).await.unwrap();
    soon("its end", server.cancelled.wait_for(|count| *count == 1))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_session_is_kept_from_its_first_request_to_its_end() {
    let (server, mut shim) = raw().await;
    shim.say(INITIALIZE).await;
    shim.say(INITIALIZED).await;
    shim.say(&ping("\"1\"")).await;
    let first = Asked::by(&server).await;
    assert_eq!(
        (first.body.as_str(), first.field("mcp-session-id")),
        (INITIALIZE, None)
    );
    assert_eq!(first.field("accept"), Some("application/json, text/event-stream"));
    first.answer("200 OK", SESSION, AGREED).await;
    let second = Asked::by(&server).await;
    assert_eq!(second.body, INITIALIZED, "only after the answer");
    assert_eq!(second.field("mcp-session-id"), Some("s-1"));
    assert_eq!(second.field("mcp-protocol-version"), Some("2025-06-18"));
    second.accept().await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let asked = Asked::by(&server).await;
        assert_eq!(asked.field("mcp-session-id"), Some("s-1"));
        seen.push(asked.line().to_owned());
        if asked.body.is_empty() {
            asked.answer("405 Method Not Allowed", "", "").await;
        } else {
            asked
                .answer_json(r#"{"jsonrpc":"2.0","id":"1","result":{}}"#)
                .await;
        }
    }
    seen.sort();
    assert_eq!(seen, ["GET /mcp HTTP/1.1", "POST /mcp HTTP/1.1"]);
    assert_eq!(shim.hear().await, AGREED);
    assert_eq!(shim.hear().await, r#"{"jsonrpc":"2.0","id":"1","result":{}}"#);
    shim.input = None;
    let last = Asked::by(&server).await;
    assert_eq!(last.line(), "DELETE /mcp HTTP/1.1");
    assert_eq!(last.field("mcp-session-id"), Some("s-1"));
    last.answer("405 Method Not Allowed", "", "").await;
    assert_eq!(shim.end().await.unwrap(), OutwardEnd::InputEnded);
}

#[tokio::test]
async fn every_answer_becomes_one_line_spelled_as_it_was() {
    let (server, mut shim) = raw().await;
    shim.say(&ping("1")).await;
    let pretty = "{\r\n  \"jsonrpc\": \"2.0\",\n  \"id\": 1, \"result\": {\"n\": 1.0, \"n\": 1e3, \"s\": \"\\u00e9\"}\n}\n";
    Asked::by(&server).await.answer_json(pretty).await;
    assert_eq!(
        shim.hear().await,
        r#"{  "jsonrpc": "2.0",  "id": 1, "result": {"n": 1.0, "n": 1e3, "s": "\u00e9"}}"#
    );
    shim.say(&ping("2")).await;
    let mut asked = Asked::by(&server).await;
    asked
        .stream(": hello\n\nid: 7\ndata:\n\nevent: other\ndata: {\"not\":\"for us\"}\n\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"method\":\"notifications/message\"}\r\n\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n\n")
        .await;
    assert_eq!(
        shim.hear().await,
        r#"{"jsonrpc":"2.0","method":"notifications/message"}"#
    );
    assert_eq!(shim.hear().await, r#"{"jsonrpc":"2.0","id":2,"result":{}}"#);
}

#[tokio::test]
async fn a_slow_call_does_not_hold_up_others() {
    let (server, mut shim) = raw().await;
    for id in ["1", "2"] {
        shim.say(&ping(id)).await;
    }
    let (slow, fast) = (Asked::by(&server).await, Asked::by(&server).await);
    assert_eq!(
        (slow.body.as_str(), fast.body.as_str()),
        (&*ping("1"), &*ping("2"))
    );
    fast.answer_json(r#"{"jsonrpc":"2.0","id":2,"result":{}}"#).await;
    assert_eq!(shim.hear_json().await["id"], 2);
    slow.answer_json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    assert_eq!(shim.hear_json().await["id"], 1);
}

#[tokio::test]
async fn a_modern_request_repeats_in_headers_what_its_body_says() {
    let (server, mut shim) = raw().await;
    shim.say(&modern(1, "tools/list", "")).await;
    let list = Asked::by(&server).await;
    assert_eq!(list.field("mcp-protocol-version"), Some("2026-07-28"));
    assert_eq!(list.field("mcp-method"), Some("tools/list"));
    assert_eq!(list.field("mcp-name"), None);
    list.answer_json(r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","tools":[{"name":"d\u00e9ploy","inputSchema":{"properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}]}}"#).await;
    shim.hear().await;
    let params = r#""name":"d\u00e9ploy","arguments":{"region":"eu-1"},"#;
    shim.say(&modern(2, "tools/call", params)).await;
    let call = Asked::by(&server).await;
    assert_eq!(call.body, modern(2, "tools/call", params));
    assert_eq!(call.field("mcp-name"), Some("=?base64?ZMOpcGxveQ==?="));
    assert_eq!(call.field("mcp-param-region"), Some("eu-1"));
    // A refusal that says which revisions would do has no id in this era.
    call.answer(
        "400 Bad Request",
        "Content-Type: application/json\r\n",
        r#"{"jsonrpc":"2.0","error":{"code":-32022,"message":"no","data":{"supported":["2026-07-28"]}}}"#,
    )
    .await;
    let error = shim.hear_json().await;
    assert_eq!(
        (&error["id"], &error["error"]["code"]),
        (&json!(2), &json!(-32022))
    );
}

#[tokio::test]
async fn a_line_that_cancels_a_modern_request_closes_its_post_and_is_not_sent() {
    let (server, mut shim) = raw().await;
    shim.say(&modern(1, "tools/call", r#""name":"slow","#)).await;
    let mut call = Asked::by(&server).await;
    call.stream(": working\n\n").await;
    shim.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#)
        .await;
    call.peer.wait_closed().await;
    shim.say(&modern(2, "tools/list", "")).await;
    let next = Asked::by(&server).await;
    assert_eq!(next.field("mcp-method"), Some("tools/list"));
    next.answer_json(r#"{"jsonrpc":"2.0","id":2,"result":{}}"#).await;
    assert_eq!(shim.hear_json().await["id"], 2, "the cancelled one has no answer");
}

#[tokio::test]
async fn a_line_that_cancels_a_legacy_request_is_sent_like_any_other() {
    let (server, mut shim) = raw_session().await;
    shim.say(&ping("1")).await;
    let _held = Asked::by(&server).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    shim.say(cancel).await;
    assert_eq!(Asked::by(&server).await.body, cancel);
}

#[tokio::test]
async fn a_stream_that_was_cut_is_resumed_where_it_ended() {
    let (server, mut shim) = raw_session().await;
    shim.say(&ping("\"a\"")).await;
    let mut first = Asked::by(&server).await;
    first.stream("id: s-0\nretry: 60\ndata:\n\n").await;
    drop(first);
    let mut again = Asked::by(&server).await;
    assert_eq!(again.line(), "GET /mcp HTTP/1.1");
    assert_eq!(again.field("last-event-id"), Some("s-0"));
    assert_eq!(again.field("mcp-session-id"), Some("s-1"));
    again
        .stream("id: s-1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"m\"}\n\n")
        .await;
    drop(again);
    let mut last = Asked::by(&server).await;
    assert_eq!(last.field("last-event-id"), Some("s-1"));
    last.stream("data: {\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{}}\n\n")
        .await;
    assert_eq!(shim.hear_json().await["method"], "m");
    assert_eq!(shim.hear_json().await["id"], "a");
}

#[tokio::test]
async fn a_stream_that_ends_without_an_answer_is_an_error_with_the_requests_own_id() {
    let (server, mut shim) = raw_session().await;
    shim.say(&ping("\"a\\u0062\"")).await;
    let mut asked = Asked::by(&server).await;
    asked.stream(": sorry\n\n").await;
    drop(asked);
    let line = shim.hear().await;
    assert!(line.contains(r#""id":"a\u0062""#), "{line}");
    assert_ours(&serde_json::from_str(&line).unwrap(), &json!("ab"), "no_answer");
}

#[tokio::test]
async fn what_the_server_says_on_its_own_is_heard_and_answered() {
    let (server, mut shim) = raw().await;
    shim.say(INITIALIZE).await;
    Asked::by(&server).await.answer("200 OK", SESSION, AGREED).await;
    shim.hear().await;
    shim.say(INITIALIZED).await;
    Asked::by(&server).await.accept().await;
    let mut listening = Asked::by(&server).await;
    let question = r#"{"jsonrpc":"2.0","id":0,"method":"roots/list"}"#;
    listening
        .stream(&format!("id: 5\nretry: 60\ndata: {question}\n\n"))
        .await;
    assert_eq!(shim.hear().await, question);
    let answer = r#"{"jsonrpc":"2.0","id":0,"result":{"roots":[]}}"#;
    shim.say(answer).await;
    let asked = Asked::by(&server).await;
    assert_eq!(asked.body, answer);
    asked.accept().await;
    drop(listening);
    let again = Asked::by(&server).await;
    assert_eq!(again.field("last-event-id"), Some("5"), "it is opened again");
}

#[tokio::test]
async fn a_server_of_the_older_transport_is_found_by_itself() {
    let (server, mut shim) = raw().await;
    shim.say(INITIALIZE).await;
    Asked::by(&server)
        .await
        .answer("405 Method Not Allowed", "", "")
        .await;
    let mut stream = Asked::by(&server).await;
    assert_eq!(
        (stream.line(), stream.field("accept")),
        ("GET /mcp HTTP/1.1", Some("text/event-stream"))
    );
    stream
        .stream("event: endpoint\ndata: /messages?sessionId=ab\n\n")
        .await;
    let again = Asked::by(&server).await;
    assert_eq!(
        (again.line(), again.body.as_str()),
        ("POST /messages?sessionId=ab HTTP/1.1", INITIALIZE)
    );
    again
        .answer("202 Accepted", "Content-Type: text/plain\r\n", "Accepted")
        .await;
    stream
        .peer
        .send(format!("event: message\ndata: {AGREED}\n\n"))
        .await;
    assert_eq!(shim.hear().await, AGREED);
    shim.say(INITIALIZED).await;
    Asked::by(&server).await.accept().await;
    shim.say(&ping("7")).await;
    let asked = Asked::by(&server).await;
    assert_eq!(asked.line(), "POST /messages?sessionId=ab HTTP/1.1");
    asked.accept().await;
    // The session is the stream.
    drop(stream);
    assert_ours(&shim.hear_json().await, &json!(7), "session_lost");
    assert!(matches!(shim.end().await, Ok(OutwardEnd::SessionLost { .. })));
}

#[tokio::test]
async fn an_endpoint_at_another_origin_gets_nothing() {
    let (server, mut shim) = raw().await;
    shim.say(INITIALIZE).await;
    Asked::by(&server).await.answer("404 Not Found", "", "").await;
    let mut stream = Asked::by(&server).await;
    stream
        .stream("event: endpoint\ndata: http://127.0.0.1:1/messages\n\n")
        .await;
    let error = shim.hear_json().await;
    assert_ours(&error, &json!(0), "http_status");
    assert!(
        error["error"]["message"].as_str().unwrap().contains("own origin"),
        "{error}"
    );
}

#[tokio::test]
async fn a_forgotten_session_ends_everything_with_errors() {
    let (server, mut shim) = raw_session().await;
    shim.say(&ping("1")).await;
    let _held = Asked::by(&server).await;
    shim.say(&ping("2")).await;
    Asked::by(&server)
        .await
        .answer("404 Not Found", "", "Session not found")
        .await;
    let mut ids = Vec::new();
    for line in shim.rest().await {
        let error: Value = serde_json::from_str(&line).unwrap();
        assert_ours(&error, &error["id"], "session_lost");
        ids.push(error["id"].clone());
    }
    ids.sort_by_key(Value::as_u64);
    assert_eq!(ids, [1, 2]);
    let told = shim.hear_error().await;
    assert!(
        told.contains("Session not found") && told.contains("begin anew"),
        "{told}"
    );
    let Ok(OutwardEnd::SessionLost { cause }) = shim.end().await else {
        panic!("the session is lost");
    };
    assert!(cause.contains("Session not found"), "{cause}");
}

#[tokio::test]
async fn a_want_of_authorization_names_the_challenge_and_what_to_do() {
    let (server, mut shim) = raw().await;
    shim.say(&ping("1")).await;
    Asked::by(&server)
        .await
        .answer("401 Unauthorized", "WWW-Authenticate: Bearer realm=\"x\"\r\n", "")
        .await;
    let error = shim.hear_json().await;
    assert_ours(&error, &json!(1), "unauthorized");
    assert_eq!(error["error"]["data"]["challenge"], "Bearer realm=\"x\"");
    assert!(
        error["error"]["message"].as_str().unwrap().contains("--header"),
        "{error}"
    );
}

#[tokio::test]
async fn headers_that_were_asked_for_go_with_every_request() {
    let server = RawServer::bind().await;
    let url = format!("http://{}/mcp?key=secret", server.address());
    let mut shim = Shim::with(&url, |config| {
        config.add("Authorization: Bearer t0ken".parse().unwrap());
    });
    shim.say(&ping("1")).await;
    let asked = Asked::by(&server).await;
    assert_eq!(asked.field("authorization"), Some("Bearer t0ken"));
    assert_eq!(asked.line(), "POST /mcp?key=secret HTTP/1.1");
    asked.answer("500 Internal Server Error", "", "").await;
    let error = shim.hear().await;
    assert!(error.contains("500") && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn a_refused_notification_is_told_on_stderr_only() {
    let (server, mut shim) = raw().await;
    shim.say(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#).await;
    Asked::by(&server)
        .await
        .answer(
            "400 Bad Request",
            "Content-Type: text/plain\r\n",
            "no \u{1b}[31mthanks",
        )
        .await;
    let told = shim.hear_error().await;
    assert!(
        told.starts_with("shadowcat-tui: notifications/x was not taken"),
        "{told}"
    );
    assert!(
        told.contains("400") && told.contains("thanks") && !told.contains('\u{1b}'),
        "{told}"
    );
    shim.input = None;
    assert_eq!(shim.rest().await, [""; 0]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_for_each_request() {
    let nobody = DeadPort::bind();
    let mut shim = Shim::before(&format!("http://{}/mcp", nobody.address()));
    for id in ["1", "2"] {
        shim.say(&ping(id)).await;
        let error = shim.hear_json().await;
        assert_ours(&error, &json!(id.parse::<u64>().unwrap()), "unreachable");
        let text = error["error"]["message"].as_str().unwrap();
        assert!(
            text.contains("refused") && !text.contains("client error") && !text.contains("error sending"),
            "the system's words, not those of a library: {text}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_no_mcp_is_an_error() {
    let (server, mut shim) = raw().await;
    shim.say(&ping("1")).await;
    Asked::by(&server)
        .await
        .answer("200 OK", "Content-Type: text/html\r\n", "<html>")
        .await;
    assert_ours(&shim.hear_json().await, &json!(1), "not_mcp");
    shim.say(&ping("2")).await;
    Asked::by(&server)
        .await
        .answer("302 Found", "Location: /other\r\n", "")
        .await;
    assert_ours(&shim.hear_json().await, &json!(2), "redirected");
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused_in_both_directions() {
    let server = RawServer::bind().await;
    let url = format!("http://{}/mcp", server.address());
    let mut shim = Shim::with(&url, |config| config.max_message_bytes = 200);
    let long = format!(
        r#"{{"jsonrpc":"2.0","method":"x","params":{{"a":"{}"}},"id":1}}"#,
        "y".repeat(500)
    );
    shim.say(&long).await;
    assert_ours(&shim.hear_json().await, &json!(1), "too_large");
    shim.say(&ping("2")).await;
    let answer = format!(r#"{{"jsonrpc":"2.0","id":2,"result":"{}"}}"#, "y".repeat(500));
    Asked::by(&server).await.answer_json(&answer).await;
    assert_ours(&shim.hear_json().await, &json!(2), "too_large");
    shim.say(&ping("3")).await;
    let mut asked = Asked::by(&server).await;
    asked.stream(&format!("data: {answer}\n\n")).await;
    drop(asked);
    assert_ours(&shim.hear_json().await, &json!(3), "too_large");
    assert!(shim.hear_error().await.contains("too long"));
}

#[tokio::test]
async fn beyond_the_most_requests_at_once_one_is_refused_and_answers_still_pass() {
    let server = RawServer::bind().await;
    let url = format!("http://{}/mcp", server.address());
    let mut shim = Shim::with(&url, |config| config.max_requests = 1);
    shim.say(&ping("1")).await;
    let held = Asked::by(&server).await;
    shim.say(&ping("2")).await;
    assert_ours(&shim.hear_json().await, &json!(2), "too_many_requests");
    let answer = r#"{"jsonrpc":"2.0","id":9,"result":{}}"#;
    shim.say(answer).await;
    assert_eq!(Asked::by(&server).await.body, answer);
    held.answer_json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    assert_eq!(shim.hear_json().await["id"], 1);
}

#[tokio::test]
async fn a_batch_is_one_post_and_its_failure_an_error_for_each_request_in_it() {
    let (server, mut shim) = raw_session().await;
    let batch = format!("[{},{},{}]", ping("1"), INITIALIZED, ping("\"2\""));
    shim.say(&batch).await;
    let asked = Asked::by(&server).await;
    assert_eq!(asked.body, batch);
    asked
        .answer_json(r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#)
        .await;
    assert_eq!(shim.hear_json().await[0]["id"], 1);
    assert_ours(&shim.hear_json().await, &json!("2"), "no_answer");
}

#[tokio::test]
async fn at_the_end_of_the_input_answers_are_waited_for() {
    let (server, mut shim) = raw().await;
    shim.say(&ping("1")).await;
    let asked = Asked::by(&server).await;
    shim.input = None;
    asked.answer_json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    assert_eq!(shim.rest().await.len(), 1);
    assert_eq!(shim.end().await.unwrap(), OutwardEnd::InputEnded);
}

#[tokio::test]
async fn answers_that_do_not_come_are_not_waited_for_without_end() {
    let server = RawServer::bind().await;
    let url = format!("http://{}/mcp", server.address());
    let mut shim = Shim::with(&url, |config| config.drain = Duration::from_millis(50));
    shim.say(&ping("1")).await;
    let mut asked = Asked::by(&server).await;
    shim.input = None;
    assert_ours(&shim.hear_json().await, &json!(1), "stopped");
    asked.peer.wait_closed().await;
    assert_eq!(shim.end().await.unwrap(), OutwardEnd::InputEnded);
}

#[tokio::test]
async fn told_to_stop_it_ends_the_session_and_everything_else() {
    let (server, mut shim) = raw_session().await;
    shim.say(&ping("1")).await;
    let mut asked = Asked::by(&server).await;
    shim.stop.cancel();
    let last = Asked::by(&server).await;
    assert_eq!(last.line(), "DELETE /mcp HTTP/1.1");
    last.accept().await;
    asked.peer.wait_closed().await;
    assert_ours(&shim.hear_json().await, &json!(1), "stopped");
    assert_eq!(
        soon("the end", shim.ended).await.unwrap().unwrap(),
        OutwardEnd::Stopped
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_any_more_ends_everything() {
    let (server, mut shim) = raw().await;
    shim.say(&ping("1")).await;
    let asked = Asked::by(&server).await;
    drop(shim.output);
    asked.answer_json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    assert_eq!(
        soon("the end", shim.ended).await.unwrap().unwrap(),
        OutwardEnd::OutputClosed
    );
}

/// A shim before a server that is reached through another proxy, of which the test is the other half.
async fn raw_via(url: &str) -> (RawServer, Shim) {
    let proxy = RawServer::bind().await;
    let via = format!("http://{}", proxy.address());
    let shim = Shim::with(url, |config| config.via = Some(via.parse().unwrap()));
    (proxy, shim)
}

#[tokio::test]
async fn what_the_proxy_on_the_way_does_is_not_blamed_on_the_server() {
    for url in ["http://mcp.test/mcp", "https://mcp.test/mcp"] {
        let (proxy, mut shim) = raw_via(url).await;
        let place = proxy.address();
        shim.say(&ping("1")).await;
        let mut peer = proxy.accept().await;
        peer.read_head().await;
        peer.send(
            "HTTP/1.1 407 Proxy Authentication Required\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
        let error = shim.hear_json().await;
        let text = error["error"]["message"].as_str().unwrap().to_owned();
        assert!(
            text.contains(&format!("the proxy http://{place} "))
                && text.contains(&format!("--via http://USER:PASSWORD@{place}")),
            "{text}"
        );

        drop((peer, proxy));
        shim.say(&ping("2")).await;
        let error = shim.hear_json().await;
        let text = error["error"]["message"].as_str().unwrap().to_owned();
        assert!(
            text.contains(&format!("through the proxy http://{place}: "))
                && text.contains("Check that this proxy runs"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_scheme_that_does_not_fit_the_server_is_told_with_the_one_that_does() {
    // What a server that speaks TLS says to a request, and one that speaks HTTP to the beginning of TLS.
    for (scheme, said, advice) in [
        ("http", "\x15\x03\x03\0\x02\x02\x32", "write https://"),
        (
            "https",
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "write http:// in place",
        ),
    ] {
        let server = RawServer::bind().await;
        let mut shim = Shim::before(&format!("{scheme}://{}/mcp", server.address()));
        shim.say(&ping("1")).await;
        let mut peer = server.accept().await;
        peer.send(said).await;
        let error = shim.hear_json().await;
        let text = error["error"]["message"].as_str().unwrap();
        assert!(text.contains(advice), "{text}");
    }
}
