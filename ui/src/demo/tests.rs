//! The demonstration against itself, against bad requests, and against the official client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, ORIGIN};
use reqwest::{Client, RequestBuilder, Response};
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt as _};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};
use shadowcat::tasks::{TaskKind, Tasks};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::client::{Pace, run_clients, run_once, tls_without_roots};
use super::server::DemoServer;
use super::summary::{Seen, Summary};
use super::wire::{
    CAPABILITIES_KEY, HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, LAST_EVENT_HEADER, METHOD_HEADER,
    METHOD_NOT_FOUND, MISSING_CAPABILITY, MODERN, NAME_HEADER, PARSE_ERROR, PLAIN, RESOURCE_NOT_FOUND,
    SESSION_HEADER, SESSION_NOT_FOUND, UNSUPPORTED_VERSION, VERSION_HEADER, VERSION_KEY, at,
};

const DRAIN: Duration = Duration::from_secs(20);
const KEEP_ALIVE: Duration = Duration::from_millis(20);

struct House {
    tasks: Tasks,
    server: DemoServer,
    client: Client,
}

impl House {
    async fn open() -> Self {
        let tasks = Tasks::new(1024);
        let server = DemoServer::start_with(&tasks, KEEP_ALIVE).await.unwrap();
        let client = client();
        Self {
            tasks,
            server,
            client,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/mcp", self.server.address())
    }

    fn post(&self, body: &Value) -> RequestBuilder {
        self.client
            .post(self.url())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .body(body.to_string())
    }

    fn modern(&self, method: &str, params: Value) -> RequestBuilder {
        let mut body = json!({ "jsonrpc": "2.0", "id": 7, "method": method });
        body["params"] = params;
        self.post(&body)
            .header(VERSION_HEADER, MODERN)
            .header(METHOD_HEADER, method)
    }

    fn legacy(&self, session: &str, body: &Value) -> RequestBuilder {
        self.post(body)
            .header(SESSION_HEADER, session)
            .header(VERSION_HEADER, PLAIN)
    }

    async fn session(&self) -> String {
        let params = json!({ "protocolVersion": PLAIN, "capabilities": {}, "clientInfo": { "name": "t" } });
        let body = json!({ "jsonrpc": "2.0", "id": "", "method": "initialize", "params": params });
        let response = self.post(&body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let session = response.headers()[SESSION_HEADER].to_str().unwrap().to_owned();
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["id"], json!(""));
        assert_eq!(answer["result"]["protocolVersion"], json!(PLAIN));
        session
    }

    async fn close(self) {
        drop(self.client);
        assert_eq!(self.tasks.shut_down(DRAIN).await, Vec::new());
        assert_eq!(self.tasks.live(TaskKind::Frontend), 0);
        assert_eq!(self.tasks.take_faults(), Vec::new());
    }
}

fn client() -> Client {
    Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(tls_without_roots().unwrap())
        .build()
        .unwrap()
}

fn modern_meta(capabilities: Value) -> Value {
    let mut params = json!({ "_meta": { VERSION_KEY: MODERN } });
    params["_meta"][CAPABILITIES_KEY] = capabilities;
    params
}

fn with(mut params: Value, members: Value) -> Value {
    if let Value::Object(members) = members {
        params.as_object_mut().unwrap().extend(members);
    }
    params
}

async fn refused(request: RequestBuilder, status: StatusCode, code: i64) {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), status);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], json!(code), "{body}");
}

#[tokio::test]
async fn every_kind_of_traffic_is_seen_when_the_sessions_are_played_once() {
    let house = House::open().await;
    let summary = run_once(house.url(), &house.tasks).await.unwrap();
    check_everything_was_seen(&summary);
    assert_eq!(house.server.open_sessions(), 0);
    house.close().await;
}

fn check_everything_was_seen(summary: &Summary) {
    let exactly = [
        (Seen::Session, 3),
        (Seen::ToolError, 3),
        (Seen::InputRound, 2),
        (Seen::InputDone, 2),
        (Seen::Acknowledged, 1),
        // The general stream, and each of six streamed calls, of the one session that polls.
        (Seen::Priming, 7),
        (Seen::Resumed, 1),
        (Seen::GetStream, 2),
        (Seen::Image, 3),
        (Seen::Blob, 3),
        (Seen::ResourceText, 6),
        (Seen::Structured, 3),
        (Seen::Prompt, 6),
        (Seen::Completion, 3),
        (Seen::Cancelled, 3),
        (Seen::Deleted, 2),
    ];
    for (seen, expected) in exactly {
        assert_eq!(summary.count(seen), expected, "{seen:?}");
    }
    let at_least = [
        // slow_count 5, long_report 3 and one before the cancel, for each of three clients.
        (Seen::Progress, 27),
        (Seen::Log, 9),
        (Seen::NextPage, 12),
        (Seen::ListChanged, 3),
        (Seen::ResourceUpdated, 3),
        (Seen::EventWithId, 30),
        (Seen::Comment, 1),
        (Seen::Result, 60),
    ];
    for (seen, least) in at_least {
        assert!(summary.count(seen) >= least, "{seen:?}: {}", summary.count(seen));
    }
    let errors = [
        (METHOD_NOT_FOUND, 3),
        (INVALID_PARAMS, 4),
        (RESOURCE_NOT_FOUND, 2),
        (HEADER_MISMATCH, 1),
    ];
    for (code, expected) in errors {
        assert_eq!(summary.errors(code), expected, "{code}");
    }
    let asked = [
        ("ping", 2),
        ("roots/list", 2),
        ("sampling/createMessage", 3),
        ("elicitation/create", 3),
    ];
    for (method, expected) in asked {
        assert_eq!(summary.server_requests(method), expected, "{method}");
    }
}

#[tokio::test]
async fn a_session_that_is_unknown_missing_or_ended_is_refused() {
    let house = House::open().await;
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    refused(
        house.legacy("guess", &ping),
        StatusCode::NOT_FOUND,
        SESSION_NOT_FOUND,
    )
    .await;
    refused(house.post(&ping), StatusCode::BAD_REQUEST, INVALID_REQUEST).await;
    let session = house.session().await;
    assert!(session.len() >= 22, "{session}");
    let answer = house.legacy(&session, &ping).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let delete = || house.client.delete(house.url()).header(SESSION_HEADER, &session);
    assert_eq!(delete().send().await.unwrap().status(), StatusCode::OK);
    refused(
        house.legacy(&session, &ping),
        StatusCode::NOT_FOUND,
        SESSION_NOT_FOUND,
    )
    .await;
    refused(delete(), StatusCode::NOT_FOUND, SESSION_NOT_FOUND).await;
    house.close().await;
}

#[tokio::test]
async fn a_session_has_one_get_stream_at_a_time_and_it_ends_with_the_session() {
    let house = House::open().await;
    let session = house.session().await;
    let get = || {
        let request = house.client.get(house.url()).header(ACCEPT, "text/event-stream");
        request.header(SESSION_HEADER, &session)
    };
    let mut open = get().send().await.unwrap();
    assert_eq!(open.status(), StatusCode::OK);
    refused(get(), StatusCode::CONFLICT, INVALID_REQUEST).await;
    let unknown = get().header(LAST_EVENT_HEADER, "s9-1");
    refused(unknown, StatusCode::BAD_REQUEST, INVALID_REQUEST).await;
    let delete = house.client.delete(house.url()).header(SESSION_HEADER, &session);
    assert_eq!(delete.send().await.unwrap().status(), StatusCode::OK);
    while open.chunk().await.unwrap().is_some() {}
    house.close().await;
}

#[tokio::test]
async fn modern_requests_other_than_post_are_not_allowed() {
    let house = House::open().await;
    for method in [http::Method::GET, http::Method::DELETE] {
        let request = house.client.request(method, house.url());
        let response = request.header(VERSION_HEADER, MODERN).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "POST");
    }
    house.close().await;
}

#[tokio::test]
async fn modern_headers_must_agree_with_the_body() {
    let house = House::open().await;
    let bad = StatusCode::BAD_REQUEST;
    let meta = || modern_meta(json!({}));
    let list = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": meta() });
    let versioned = || house.post(&list).header(VERSION_HEADER, MODERN);
    refused(house.post(&list), bad, HEADER_MISMATCH).await;
    refused(versioned(), bad, HEADER_MISMATCH).await;
    refused(
        versioned().header(METHOD_HEADER, "Tools/List"),
        bad,
        HEADER_MISMATCH,
    )
    .await;
    let echo = with(meta(), json!({ "name": "echo", "arguments": { "text": "x" } }));
    refused(house.modern("tools/call", echo.clone()), bad, HEADER_MISMATCH).await;
    let named = house
        .modern("tools/call", echo.clone())
        .header(NAME_HEADER, "add");
    refused(named, bad, HEADER_MISMATCH).await;
    let wrapped = house
        .modern("tools/call", echo)
        .header(NAME_HEADER, "=?base64?ZWNobw==?=");
    assert_eq!(wrapped.send().await.unwrap().status(), StatusCode::OK);
    house.close().await;
}

#[tokio::test]
async fn a_mirrored_argument_must_agree_with_its_header() {
    let house = House::open().await;
    let arguments = json!({ "language": "\u{65e5}\u{672c}\u{8a9e}", "lines": 1 });
    let call = with(
        modern_meta(json!({})),
        json!({ "name": "big_text", "arguments": arguments }),
    );
    let request = || {
        house
            .modern("tools/call", call.clone())
            .header(NAME_HEADER, "big_text")
    };
    refused(request(), StatusCode::BAD_REQUEST, HEADER_MISMATCH).await;
    let other = request().header("mcp-param-language", "english");
    refused(other, StatusCode::BAD_REQUEST, HEADER_MISMATCH).await;
    let same = request().header("mcp-param-language", "=?base64?5pel5pys6Kqe?=");
    assert_eq!(same.send().await.unwrap().status(), StatusCode::OK);
    house.close().await;
}

#[tokio::test]
async fn modern_mistakes_have_the_status_that_belongs_to_them() {
    let house = House::open().await;
    let bad = StatusCode::BAD_REQUEST;
    let unknown = house.modern("ping", modern_meta(json!({})));
    refused(unknown, StatusCode::NOT_FOUND, METHOD_NOT_FOUND).await;
    refused(house.modern("tools/list", json!({})), bad, INVALID_PARAMS).await;
    let future = json!({ "_meta": { VERSION_KEY: "2031-01-01", CAPABILITIES_KEY: {} } });
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": future });
    let request = house.post(&body).header(VERSION_HEADER, "2031-01-01");
    refused(
        request.header(METHOD_HEADER, "tools/list"),
        bad,
        UNSUPPORTED_VERSION,
    )
    .await;
    let ask = with(modern_meta(json!({})), json!({ "name": "ask_user" }));
    let ask = house.modern("tools/call", ask).header(NAME_HEADER, "ask_user");
    refused(ask, bad, MISSING_CAPABILITY).await;
    house.close().await;
}

#[tokio::test]
async fn a_round_of_input_cannot_be_played_twice() {
    let house = House::open().await;
    let ask = |extra: Value| {
        let meta = modern_meta(json!({ "elicitation": {} }));
        let params = with(with(meta, json!({ "name": "ask_user", "arguments": {} })), extra);
        house.modern("tools/call", params).header(NAME_HEADER, "ask_user")
    };
    let first: Value = ask(json!({})).send().await.unwrap().json().await.unwrap();
    assert_eq!(first["result"]["resultType"], json!("input_required"));
    let answer = json!({ "who": { "action": "accept", "content": { "name": "Åsa" } } });
    let next = json!({ "requestState": first["result"]["requestState"], "inputResponses": answer });
    let second: Value = ask(next.clone()).send().await.unwrap().json().await.unwrap();
    assert_eq!(second["result"]["content"][0]["text"], json!("Hello, Åsa!"));
    refused(ask(next), StatusCode::OK, INVALID_PARAMS).await;
    house.close().await;
}

#[tokio::test]
async fn a_subscription_that_grants_nothing_ends_at_once() {
    let house = House::open().await;
    let params = with(
        modern_meta(json!({})),
        json!({ "notifications": { "promptsListChanged": true } }),
    );
    let listen = house.modern("subscriptions/listen", params).send().await.unwrap();
    let text = listen.text().await.unwrap();
    let messages: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let [acknowledged, result] = messages.as_slice() else {
        panic!("{text}");
    };
    let key = super::wire::SUBSCRIPTION_KEY;
    assert_eq!(at(acknowledged, &["params", "_meta", key]), &json!(7));
    assert_eq!(at(acknowledged, &["params", "notifications"]), &json!({}));
    assert_eq!(at(result, &["result", "_meta", key]), &json!(7));
    house.close().await;
}

#[tokio::test]
async fn closing_the_stream_of_a_modern_call_cancels_it() {
    let house = House::open().await;
    let arguments = json!({ "to": 100, "delay_ms": 5000 });
    let call = with(
        modern_meta(json!({})),
        json!({ "name": "slow_count", "arguments": arguments }),
    );
    let request = house.modern("tools/call", call).header(NAME_HEADER, "slow_count");
    let mut response: Response = request.send().await.unwrap();
    // The first comment says that the stream is running.
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    let cancelled = async {
        while house.server.calls_closed() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DRAIN, cancelled).await.unwrap();
    house.close().await;
}

#[tokio::test]
async fn what_is_no_mcp_request_of_this_machine_is_refused() {
    let house = House::open().await;
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let foreign = house.post(&ping).header(ORIGIN, "https://evil.example");
    refused(foreign, StatusCode::FORBIDDEN, INVALID_REQUEST).await;
    let garbage = house.post(&ping).body("{");
    refused(garbage, StatusCode::BAD_REQUEST, PARSE_ERROR).await;
    let session = house.session().await;
    let batch = house.legacy(&session, &json!([ping]));
    refused(batch, StatusCode::BAD_REQUEST, INVALID_REQUEST).await;
    let long = house.post(&json!("x".repeat(2 * 1024 * 1024)));
    refused(long, StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST).await;
    let text = house.client.post(house.url()).header(CONTENT_TYPE, "text/plain");
    refused(text, StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST).await;
    let picky = house
        .client
        .post(house.url())
        .header(CONTENT_TYPE, "application/json");
    let picky = picky.header(ACCEPT, "application/json").body(ping.to_string());
    refused(picky, StatusCode::NOT_ACCEPTABLE, INVALID_REQUEST).await;
    let elsewhere = house.client.get(format!("http://{}/", house.server.address()));
    refused(elsewhere, StatusCode::NOT_FOUND, INVALID_REQUEST).await;
    house.close().await;
}

#[tokio::test]
async fn shutdown_ends_open_streams_and_running_calls_in_both_eras() {
    let house = House::open().await;
    let session = house.session().await;
    let get = house.client.get(house.url()).header(ACCEPT, "text/event-stream");
    let general = get.header(SESSION_HEADER, &session).send().await.unwrap();
    let params = json!({ "name": "slow_count", "arguments": { "to": 100, "delay_ms": 5000 } });
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let call = house.legacy(&session, &call).send().await.unwrap();
    let wanted = json!({ "notifications": { "toolsListChanged": true } });
    let listen = house.modern("subscriptions/listen", with(modern_meta(json!({})), wanted));
    let listen = listen.send().await.unwrap();
    assert_eq!(house.tasks.shut_down(DRAIN).await, Vec::new());
    assert_eq!(house.tasks.live(TaskKind::Frontend), 0);
    let ended = listen.text().await.unwrap();
    assert!(ended.contains("\"resultType\":\"complete\""), "{ended}");
    assert!(!call.text().await.unwrap().contains("\"result\""));
    general.text().await.unwrap();
}

#[tokio::test]
async fn clients_begin_anew_after_a_failure_until_they_are_stopped() {
    let tasks = Tasks::new(1024);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let (stop, accepted) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
    let refuse = async {
        // Three clients; the fourth and later connections are second attempts.
        while accepted.fetch_add(1, Ordering::Relaxed) < 6 {
            drop(listener.accept().await.unwrap());
        }
        stop.cancel();
    };
    let clients = Box::pin(run_clients(url, Pace::Fast, stop.clone(), &tasks));
    tokio::time::timeout(DRAIN, async { tokio::join!(refuse, clients) })
        .await
        .unwrap();
    assert_eq!(tasks.shut_down(DRAIN).await, Vec::new());
}

#[tokio::test]
async fn clients_stop_in_the_middle_of_their_sessions_and_leave_no_task() {
    let house = House::open().await;
    let stop = CancellationToken::new();
    let traffic = async {
        while house.server.open_sessions() < 2 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let clients = Box::pin(run_clients(house.url(), Pace::Fast, stop.clone(), &house.tasks));
    tokio::time::timeout(DRAIN, async { tokio::join!(traffic, clients) })
        .await
        .unwrap();
    house.close().await;
}

async fn official_client_works(lifecycle: ClientLifecycleMode) {
    let house = House::open().await;
    let config = StreamableHttpClientTransportConfig::with_uri(house.url());
    let transport = StreamableHttpClientTransport::with_client(house.client.clone(), config);
    let peer = ().serve_with_lifecycle(transport, lifecycle).await.unwrap();
    let tools = peer.list_all_tools().await.unwrap();
    assert!(tools.iter().any(|tool| tool.name == "echo"), "{tools:?}");
    assert!(tools.len() > 8, "pages were followed");
    let arguments = json!({ "text": "Åsa \u{1f431}" });
    let echo = CallToolRequestParams::new("echo").with_arguments(arguments.as_object().unwrap().clone());
    let echoed = serde_json::to_value(peer.call_tool(echo).await.unwrap()).unwrap();
    assert_eq!(echoed["content"][0]["text"], json!("Åsa \u{1f431}"));
    let arguments = json!({ "to": 3 });
    let count =
        CallToolRequestParams::new("slow_count").with_arguments(arguments.as_object().unwrap().clone());
    let counted = serde_json::to_value(peer.call_tool(count).await.unwrap()).unwrap();
    assert_eq!(counted["content"][0]["text"], json!("counted to 3"));
    let wrong = peer.call_tool(CallToolRequestParams::new("no_such_tool")).await;
    assert!(wrong.is_err());
    peer.cancel().await.unwrap();
    house.close().await;
}

#[tokio::test]
async fn the_official_client_works_in_the_legacy_era() {
    official_client_works(ClientLifecycleMode::Initialize).await;
}

#[tokio::test]
async fn the_official_client_works_in_the_modern_era() {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    official_client_works(ClientLifecycleMode::Discover { preferred_versions }).await;
}
