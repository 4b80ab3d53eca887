//! What other programs are told: metrics that they scrape, spans that they get, and that the traffic does not feel it.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod support;

use support::openmetrics::Metrics;
use support::stage::*;
use support::*;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post as posted;
use serde_json::Value;
use shadowcat::config::Config;
use shadowcat::engine::{Engine, EngineHandle, ShutdownReport, StartError};
use shadowcat::snapshot::{Severity, Source};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

async fn scraped_stage(change: impl FnOnce(&mut Config)) -> Stage {
    stage(|config| {
        config.metrics = Some("127.0.0.1:0".parse().unwrap());
        change(config);
    })
    .await
}

fn metrics_address(stage: &Stage) -> SocketAddr {
    stage.engine.metrics_addresses()[0]
}

/// The answer to `head` (without the blank line) at the address for metrics.
async fn ask(address: SocketAddr, head: &str) -> (String, String) {
    let mut peer = RawPeer::connect(address).await;
    peer.send(format!("{head}\r\n\r\n")).await;
    let (answer, _) = peer.read_to_end().await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

async fn scrape(address: SocketAddr) -> Metrics {
    let (head, body) = ask(address, &format!("GET /metrics HTTP/1.1\r\nHost: {address}")).await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    Metrics::parse(&body)
}

#[tokio::test]
async fn counters_say_what_was_sent() {
    let mut stage = scraped_stage(|_| {}).await;
    for id in 1..=3 {
        stage.call("s", id, "echo", "hello").await;
    }
    let failed = r#"{"jsonrpc":"2.0","id":4,"error":{"code":-32601,"message":"no"}}"#;
    stage
        .exchange(&stage.request("POST", "s", &call(4, "none")), &json(failed))
        .await;
    let events = format!("{EVENTS}data: {failed}\n\nevent: other\ndata: x\n\n");
    stage
        .exchange(&stage.request("POST", "s", &call(4, "none")), &events)
        .await;
    stage.notify("s").await;
    let (mut left, upstream) = stage.begin(&stage.request("POST", "s", &call(6, "slow"))).await;
    let snapshot = snapshot_when(&mut stage.frontend, "the traffic", |snapshot| {
        snapshot.totals.open_calls == 1 && snapshot.resources.latencies.iter().all(|row| row.count == 6)
    })
    .await;
    let metrics = scrape(metrics_address(&stage)).await;
    let messages = |kind: &str, direction: &str| {
        metrics.get(
            "shadowcat_messages_total",
            &format!("kind={kind},direction={direction}"),
        )
    };
    assert_eq!(messages("request", "client_to_server"), 6);
    assert_eq!(messages("notification", "client_to_server"), 1);
    assert_eq!(messages("result", "server_to_client"), 3);
    assert_eq!(messages("error", "server_to_client"), 2);
    assert_eq!(messages("event", "server_to_client"), 1);
    assert_eq!(metrics.get("shadowcat_events_total", ""), 2);
    assert_eq!(metrics.get("shadowcat_errors_total", ""), 2);
    assert_eq!(metrics.get("shadowcat_exchanges_begun_total", ""), 7);
    assert_eq!(metrics.get("shadowcat_exchanges_open", ""), 1);
    assert_eq!(metrics.get("shadowcat_exchanges_total", "outcome=ok"), 6);
    assert_eq!(metrics.get("shadowcat_calls_total", "outcome=ok"), 3);
    assert_eq!(metrics.get("shadowcat_calls_total", "outcome=rpc_error"), 2);
    assert_eq!(metrics.get("shadowcat_calls_open", ""), 1);
    assert_eq!(metrics.get("shadowcat_sessions", "side=reverse,state=active"), 1);
    assert_eq!(metrics.get("shadowcat_streams_open", ""), 0);
    assert_eq!(
        metrics.get("shadowcat_body_bytes_total", "direction=client_to_server"),
        snapshot.totals.bytes_from_clients
    );
    let upstream_name = stage.server.address();
    assert_eq!(
        metrics.get(
            "shadowcat_upstream_exchanges_total",
            &format!("upstream={upstream_name}")
        ),
        6
    );
    assert_eq!(
        metrics.get("shadowcat_upstream_up", &format!("upstream={upstream_name}")),
        1
    );
    drop(upstream);
    left.wait_closed().await;
}

#[tokio::test]
async fn every_limit_with_a_gauge_and_every_kind_of_task_is_there() {
    let mut stage = scraped_stage(|config| config.limits.max_connections = 77).await;
    let snapshot = snapshot_when(&mut stage.frontend, "gauges", |snapshot| {
        !snapshot.resources.gauges.is_empty()
    })
    .await;
    let metrics = scrape(metrics_address(&stage)).await;
    let limits = metrics.values_of("limit");
    for gauge in &snapshot.resources.gauges {
        assert!(limits.contains(gauge.name.as_str()), "{}", gauge.name);
    }
    assert_eq!(
        metrics.get("shadowcat_limit_max", "limit=max_connections,part=,unit=things"),
        77
    );
    assert_eq!(
        metrics.get("shadowcat_limit_used", "limit=max_scrapes,part=,unit=things"),
        1
    );
    assert_eq!(metrics.get("shadowcat_tasks_live", "kind=ledger"), 1);
    assert_eq!(
        metrics.get("shadowcat_tasks_panicked_total", "kind=client_stream"),
        0
    );
    assert!(metrics.value("process_cpu_seconds_total", "") > 0.0);
    assert!(metrics.get("process_resident_memory_bytes", "") > 1 << 20);
    assert!(metrics.value("process_start_time_seconds", "") > 1.7e9);
    assert!(metrics.names().contains("shadowcat_build_info"));
}

#[tokio::test]
async fn each_answered_exchange_is_in_each_histogram_once_and_no_other() {
    let mut stage = scraped_stage(|_| {}).await;
    for id in 1..=5 {
        stage.call("s", id, "echo", "hello").await;
    }
    let (mut client, upstream) = stage.begin(&stage.request("POST", "s", &call(6, "lost"))).await;
    drop(upstream);
    assert!(client.read_head().await.starts_with("HTTP/1.1 502 "));
    drop(client);
    let snapshot = snapshot_when(&mut stage.frontend, "all ends", |snapshot| {
        snapshot.totals.errors > 0
            && snapshot.totals.open_calls == 0
            && snapshot.resources.latencies.iter().all(|row| row.count == 5)
    })
    .await;
    let metrics = scrape(metrics_address(&stage)).await;
    for phase in ["request", "upstream", "response"] {
        let label = format!("phase={phase}");
        assert_eq!(metrics.get("shadowcat_exchange_phase_seconds_count", &label), 5);
        let row = snapshot.resources.latencies.iter().find(|row| row.name == phase);
        let row = row.unwrap();
        assert!(
            row.p50 <= row.p95 && row.p95 <= row.p99 && row.p99 > Duration::ZERO,
            "{row:?}"
        );
        let sum = metrics.value("shadowcat_exchange_phase_seconds_sum", &label);
        assert!(sum < PATIENCE.as_secs_f64(), "{phase} {sum}");
    }
    assert_eq!(metrics.get("shadowcat_exchanges_total", "outcome=proxy_error"), 1);
}

#[tokio::test]
async fn nothing_that_a_peer_says_becomes_a_label() {
    let mut stage = scraped_stage(|_| {}).await;
    stage
        .call("secret-session", 1, "secret-tool", "secret-text")
        .await;
    snapshot_when(&mut stage.frontend, "the call", |snapshot| {
        snapshot.totals.messages == 2
    })
    .await;
    let address = metrics_address(&stage);
    let (_, body) = ask(address, &format!("GET /metrics HTTP/1.1\r\nHost: {address}")).await;
    assert!(!body.contains("secret") && !body.contains("tools/call"), "{body}");
}

#[tokio::test]
async fn only_metrics_are_there_only_to_be_read_and_only_under_our_name() {
    let stage = scraped_stage(|_| {}).await;
    let address = metrics_address(&stage);
    for (line, host, status, words) in [
        ("GET /", address.to_string(), "404", "/metrics"),
        ("GET /metricsx", address.to_string(), "404", "/metrics"),
        ("POST /metrics", address.to_string(), "405", "GET"),
        ("GET /metrics", "evil.example".to_owned(), "403", "--allow-host"),
    ] {
        let (head, body) = ask(address, &format!("{line} HTTP/1.1\r\nHost: {host}")).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{line}: {head}");
        assert!(body.contains(words) && body.ends_with('\n'), "{line}: {body}");
    }
    let (head, body) = ask(address, &format!("HEAD /metrics HTTP/1.1\r\nHost: {address}")).await;
    assert!(
        head.starts_with("http/1.1 200 ") && body.is_empty(),
        "{head} {body}"
    );
}

#[tokio::test]
async fn one_scrape_too_many_waits_and_traffic_does_not() {
    let mut stage = scraped_stage(|config| config.limits.max_scrapes = 1).await;
    let address = metrics_address(&stage);
    let idle = RawPeer::connect(address).await;
    snapshot_when(&mut stage.frontend, "a full house", |snapshot| {
        let gauge = gauge(snapshot, "max_scrapes", "");
        (gauge.used, gauge.limit) == (1, 1) && gauge.reached > 0
    })
    .await;
    stage.call("s", 1, "echo", "hello").await;
    let mut waiting = std::pin::pin!(scrape(address));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(idle);
    let metrics = waiting.await;
    assert_eq!(
        metrics.get("shadowcat_limit_peak", "limit=max_scrapes,part=,unit=things"),
        1
    );
}

#[tokio::test]
async fn where_metrics_are_is_told_and_so_is_who_else_can_read_them() {
    let server = RawServer::bind().await;
    let engine = engine_with(&[&format!("http://{}/mcp", server.address())], |config| {
        config.metrics = Some("0.0.0.0:0".parse().unwrap());
    });
    let port = engine.metrics_addresses()[0].port();
    let mut frontend = engine.frontend().unwrap();
    let snapshot = snapshot_when(&mut frontend, "a snapshot", |_| true).await;
    let Source::Live { metrics, .. } = &snapshot.source else {
        panic!("{:?}", snapshot.source)
    };
    assert_eq!(*metrics, [format!("http://0.0.0.0:{port}/metrics")]);
    let warned = snapshot
        .notices
        .iter()
        .find(|notice| notice.text.contains("0.0.0.0:0"));
    assert_eq!(warned.unwrap().severity, Severity::Warning);
}

#[tokio::test]
async fn a_taken_port_for_metrics_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let config = Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        metrics: Some(address.to_string().parse().unwrap()),
        ..Config::default()
    };
    let error = Engine::start(config).unwrap_err();
    assert!(matches!(error, StartError::BindMetrics { .. }) && error.exit_code() == 3);
    let text = error.to_string();
    assert!(
        text.contains("--metrics") && text.contains(&address.to_string()),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_recorded_is_counted_and_stays_counted() {
    let directory = tempfile::tempdir().unwrap();
    let mut stage = scraped_stage(|_| {}).await;
    let path = directory.path().join("one.jsonl");
    let start = shadowcat::snapshot::Command::StartRecording {
        path: Some(path.clone()),
    };
    reply(&stage.frontend, start).await;
    stage.call("s", 1, "echo", "hello").await;
    snapshot_when(&mut stage.frontend, "the call", |snapshot| {
        snapshot.totals.messages == 2
    })
    .await;
    let address = metrics_address(&stage);
    assert_eq!(scrape(address).await.get("shadowcat_recording", ""), 1);
    reply(&stage.frontend, shadowcat::snapshot::Command::StopRecording).await;
    let metrics = scrape(address).await;
    let size = std::fs::metadata(&path).unwrap().len();
    assert_eq!(metrics.get("shadowcat_recording", ""), 0);
    assert_eq!(metrics.get("shadowcat_recorded_bytes_total", ""), size);
    assert_eq!(metrics.get("shadowcat_recording_lost_total", ""), 0);
}

/// A receiver of spans. It answers with what `status` gives and hands on what it got.
async fn receiver(status: StatusCode) -> (SocketAddr, mpsc::Receiver<Value>) {
    let (got, spans) = mpsc::channel(64);
    let take_in = move |headers: HeaderMap, body: Bytes| {
        let got = got.clone();
        async move {
            assert_eq!(headers["content-type"], "application/json");
            got.send(serde_json::from_slice(&body).unwrap()).await.unwrap();
            (status, "{}")
        }
    };
    let app = Router::new().route("/v1/traces", posted(take_in));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, spans)
}

async fn exporting_stage(receiver: SocketAddr, change: impl FnOnce(&mut Config)) -> Stage {
    stage(|config| {
        config.otlp = Some(format!("http://{receiver}").parse().unwrap());
        change(config);
    })
    .await
}

fn spans_of(request: &Value) -> &Vec<Value> {
    request["resourceSpans"][0]["scopeSpans"][0]["spans"]
        .as_array()
        .unwrap()
}

fn attribute<'a>(span: &'a Value, key: &str) -> Option<&'a str> {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["key"] == key)?;
    let value = &found["value"];
    value["stringValue"]
        .as_str()
        .or_else(|| value["intValue"].as_str())
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

#[tokio::test]
async fn a_call_becomes_a_span_of_the_trace_that_it_names_and_passes_untouched() {
    let (address, mut exported) = receiver(StatusCode::OK).await;
    let mut stage = exporting_stage(address, |_| {}).await;
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":"a7","method":"tools/call","params":{{"name":"get-weather","arguments":{{"city":"secret-town"}},"_meta":{{ "traceparent" : "00-{TRACE}-{PARENT}-01" }}}}}}"#
    );
    let request = stage.request("POST", "secret-session", &body);
    let request = request.replace(
        "Content-Type",
        "traceparent: 00-11112222333344445555666677778888-1111222233334444-01\r\nContent-Type",
    );
    let mut client = RawPeer::connect(address_of(&stage)).await;
    client.send(&request).await;
    let mut upstream = stage.server.accept().await;
    let head = upstream.read_head().await;
    assert!(
        head.contains("\r\ntraceparent: 00-11112222333344445555666677778888-1111222233334444-01\r\n"),
        "{head}"
    );
    assert_eq!(upstream.read_exactly(body.len()).await, body.as_bytes());
    let result = r#"{"jsonrpc":"2.0","id":"a7","result":{"content":[],"isError":true}}"#;
    upstream.send(json(result)).await;
    drop(upstream);
    let (answer, _) = client.read_to_end().await;
    assert!(answer.ends_with(result.as_bytes()));

    let request = soon("the span", exported.recv()).await.unwrap();
    let resource = &request["resourceSpans"][0]["resource"];
    assert_eq!(resource["attributes"][0]["value"]["stringValue"], "shadowcat-tui");
    let [span] = spans_of(&request).as_slice() else {
        panic!("{request}")
    };
    assert_eq!(
        (&span["traceId"], &span["parentSpanId"]),
        (&TRACE.into(), &PARENT.into())
    );
    assert_eq!(span["name"], "tools/call get-weather");
    assert_eq!((&span["kind"], &span["status"]["code"]), (&2.into(), &2.into()));
    assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
    assert_eq!(span["links"][0]["traceId"], "11112222333344445555666677778888");
    let time = |name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
    assert!(time("startTimeUnixNano") < time("endTimeUnixNano"));
    let port = stage.server.address().port().to_string();
    for (key, value) in [
        ("mcp.method.name", "tools/call"),
        ("jsonrpc.request.id", "a7"),
        ("gen_ai.operation.name", "execute_tool"),
        ("gen_ai.tool.name", "get-weather"),
        ("error.type", "tool_error"),
        ("network.transport", "tcp"),
        ("network.protocol.name", "http"),
        ("network.protocol.version", "1.1"),
        ("server.address", "127.0.0.1"),
        ("server.port", port.as_str()),
        ("shadowcat.session", "R1"),
    ] {
        assert_eq!(attribute(span, key), Some(value), "{span:#}");
    }
    assert!(attribute(span, "mcp.session.id").unwrap().contains("secret:"));
    let text = request.to_string();
    assert!(
        !text.contains("secret-session") && !text.contains("secret-town"),
        "{text}"
    );
    snapshot_when(&mut stage.frontend, "the delivery", |snapshot| {
        let spans = snapshot.resources.spans.as_ref();
        spans.is_some_and(|spans| (spans.sent, spans.dropped) == (1, 0))
    })
    .await;
}

fn address_of(stage: &Stage) -> SocketAddr {
    address(&stage.engine)
}

#[tokio::test]
async fn a_call_without_trace_begins_one_and_one_that_is_not_sampled_is_left_out() {
    let (address, mut exported) = receiver(StatusCode::OK).await;
    let mut stage = exporting_stage(address, |_| {}).await;
    let unsampled = call(1, "quiet").replace(
        r#""name""#,
        &format!(r#""_meta":{{"traceparent":"00-{TRACE}-{PARENT}-00"}},"name""#),
    );
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    stage
        .exchange(&stage.request("POST", "", &unsampled), &json(result))
        .await;
    let failed = r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"secret reason"}}"#;
    let ask = r#"{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"file:///secret"}}"#;
    stage
        .exchange(&stage.request("POST", "", ask), &json(failed))
        .await;
    let request = soon("the span", exported.recv()).await.unwrap();
    let [span] = spans_of(&request).as_slice() else {
        panic!("{request}")
    };
    assert_eq!(span["name"], "resources/read");
    assert_eq!(span["traceId"].as_str().unwrap().len(), 32);
    assert!(
        span.get("parentSpanId").is_none() && span.get("links").is_none(),
        "{span}"
    );
    assert_eq!(attribute(span, "rpc.response.status_code"), Some("-32602"));
    assert_eq!(attribute(span, "error.type"), Some("-32602"));
    assert_eq!(attribute(span, "mcp.session.id"), None);
    assert!(!request.to_string().contains("secret"), "{request}");
    snapshot_when(&mut stage.frontend, "the count", |snapshot| {
        snapshot
            .resources
            .spans
            .as_ref()
            .is_some_and(|spans| spans.unsampled == 1)
    })
    .await;
}

#[tokio::test]
async fn without_a_receiver_traffic_goes_on_and_the_oldest_spans_are_dropped_and_counted() {
    // A port that is taken and on which nobody listens.
    let deaf = TcpSocket::new_v4().unwrap();
    deaf.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = deaf.local_addr().unwrap();
    let mut stage = exporting_stage(nobody, |config| {
        config.metrics = Some("127.0.0.1:0".parse().unwrap());
        config.limits.otlp_queue = 3;
    })
    .await;
    for id in 1..=8 {
        stage.call("s", id, "echo", "hello").await;
    }
    let snapshot = snapshot_when(&mut stage.frontend, "the outage", |snapshot| {
        let spans = snapshot.resources.spans.as_ref();
        spans.is_some_and(|spans| spans.dropped == 5 && spans.failure.is_some())
    })
    .await;
    let gauge = gauge(&snapshot, "otlp_queue", "");
    assert_eq!((gauge.used, gauge.limit, gauge.reached), (3, 3, 5));
    let metrics = scrape(metrics_address(&stage)).await;
    assert_eq!(metrics.get("shadowcat_calls_total", "outcome=ok"), 8);
    assert_eq!(metrics.get("shadowcat_spans_total", "result=dropped"), 5);
    assert_eq!(metrics.get("shadowcat_spans_total", "result=sent"), 0);
    assert_eq!(metrics.get("shadowcat_spans_failing", ""), 1);
    assert_eq!(metrics.get("shadowcat_queue_dropped_total", "queue=spans"), 5);
}

#[tokio::test]
async fn a_receiver_that_refuses_for_good_is_not_asked_again() {
    let (address, mut exported) = receiver(StatusCode::BAD_REQUEST).await;
    let mut stage = exporting_stage(address, |_| {}).await;
    stage.call("s", 1, "echo", "hello").await;
    soon("the attempt", exported.recv()).await.unwrap();
    let snapshot = snapshot_when(&mut stage.frontend, "the refusal", |snapshot| {
        let spans = snapshot.resources.spans.as_ref();
        spans.is_some_and(|spans| spans.dropped == 1)
    })
    .await;
    let failure = snapshot.resources.spans.unwrap().failure.unwrap();
    assert!(failure.contains("400"), "{failure}");
    snapshot_when(&mut stage.frontend, "an empty queue", |snapshot| {
        gauge(snapshot, "otlp_queue", "").used == 0
    })
    .await;
}

#[tokio::test]
async fn what_has_not_been_sent_is_sent_at_the_end() {
    let (address, mut exported) = receiver(StatusCode::OK).await;
    let mut stage = exporting_stage(address, |config| {
        config.limits.drain_timeout = Duration::from_secs(5);
    })
    .await;
    stage.call("s", 1, "echo", "hello").await;
    snapshot_when(&mut stage.frontend, "the call", |snapshot| {
        snapshot.totals.messages == 2
    })
    .await;
    drop(stage.frontend);
    let (engine, server) = (stage.engine, stage.server);
    let ending = ending(engine);
    let request = soon("the span", exported.recv()).await.unwrap();
    assert_eq!(spans_of(&request).len(), 1);
    assert_eq!(report(ending).await, ShutdownReport::default());
    drop(server);
}

/// Ends the engine on a thread of its own, while the test goes on.
fn ending(engine: EngineHandle) -> std::thread::JoinHandle<ShutdownReport> {
    std::thread::Builder::new()
        .spawn(move || engine.shut_down())
        .unwrap()
}

async fn report(ending: std::thread::JoinHandle<ShutdownReport>) -> ShutdownReport {
    soon("the engine's end", async {
        while !ending.is_finished() {
            tokio::task::yield_now().await;
        }
        ending.join().unwrap()
    })
    .await
}

#[tokio::test]
async fn neither_a_receiver_that_never_answers_nor_an_idle_scraper_holds_up_traffic_or_the_end() {
    let silent = RawServer::bind().await;
    let mut stage = exporting_stage(silent.address(), |config| {
        config.metrics = Some("127.0.0.1:0".parse().unwrap());
    })
    .await;
    let mut scraper = RawPeer::connect(metrics_address(&stage)).await;
    stage.call("s", 1, "echo", "hello").await;
    let mut stuck = silent.accept().await;
    stuck.read_head().await;
    for id in 2..=4 {
        stage.call("s", id, "echo", "hello").await;
    }
    snapshot_when(&mut stage.frontend, "the wait", |snapshot| {
        snapshot.totals.messages == 8
            && gauge(snapshot, "otlp_queue", "").used == 4
            && gauge(snapshot, "max_scrapes", "").used == 1
    })
    .await;
    drop(stage.frontend);
    // Nothing had to be cut: both ended in their own time.
    assert_eq!(report(ending(stage.engine)).await, ShutdownReport::default());
    scraper.wait_closed().await;
}
