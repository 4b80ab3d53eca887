//! Several servers behind one proxy: ports of their own, fields that are added for them, and what one that dies does to
//! the others.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod support;

use std::net::SocketAddr;

use shadowcat::config::{AddedHeaders, CommandServer, Config, ServerPorts};
use shadowcat::engine::{Engine, EngineHandle};
use shadowcat::frontend::Frontend;
use shadowcat::snapshot::{Command, Reply, ServerKind, Snapshot, Source, UpstreamRow};
use support::stage::{EVENTS, call, json, reply};
use support::*;

const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

/// One server that the test plays, called `a`, and one at whose port nobody listens, called `b`.
fn engine_for_two(alive: &RawServer, dead: &DeadPort) -> EngineHandle {
    let upstreams = [
        format!("a=http://{}/mcp", alive.address()),
        format!("b=http://{}/x/mcp", dead.address()),
    ];
    engine_with(&upstreams.each_ref().map(String::as_str), |config| {
        config.limits.max_idle_per_upstream = 0;
        config.ports = Some(ServerPorts::Free);
    })
}

fn row<'a>(snapshot: &'a Snapshot, name: &str) -> &'a UpstreamRow {
    let Source::Live { upstreams, .. } = &snapshot.source else {
        panic!("{:?}", snapshot.source);
    };
    upstreams.iter().find(|upstream| upstream.name == name).unwrap()
}

async fn row_when(frontend: &mut Frontend, name: &str, is_it: impl Fn(&UpstreamRow) -> bool) -> UpstreamRow {
    let has_it = |snapshot: &Snapshot| {
        matches!(&snapshot.source, Source::Live { upstreams, .. } if !upstreams.is_empty())
            && is_it(row(snapshot, name))
    };
    row(&snapshot_when(frontend, name, has_it).await, name).clone()
}

/// Host and path of a URL that clients are told to dial.
fn place(url: &str) -> (SocketAddr, &str) {
    let rest = url.strip_prefix("http://").unwrap();
    let slash = rest.find('/').unwrap();
    let (host, path) = rest.split_at(slash);
    (host.parse().unwrap(), path)
}

fn request(url: &str, fields: &str) -> String {
    let (host, path) = place(url);
    let body = call(1, "echo");
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn answered(url: &str) -> String {
    let mut client = RawPeer::connect(place(url).0).await;
    client.send(request(url, "")).await;
    String::from_utf8(client.read_to_end().await.0).unwrap()
}

#[tokio::test]
async fn at_a_port_of_its_own_a_server_is_alone_and_keeps_its_own_paths() {
    let (server, dead) = (RawServer::bind().await, DeadPort::bind());
    let engine = engine_for_two(&server, &dead);
    let mut frontend = engine.frontend().unwrap();
    let a = row_when(&mut frontend, "a", |_| true).await;
    let b = row_when(&mut frontend, "b", |_| true).await;
    let (own, common) = (a.port_url.unwrap(), a.client_url);
    assert!(own.ends_with("/mcp") && common.ends_with("/a"), "{own} {common}");
    assert!(b.port_url.unwrap().ends_with("/x/mcp"));
    assert_ne!(place(&own).0.port(), place(&common).0.port());

    for (url, line) in [
        (&own, "POST /mcp "),
        (&common, "POST /mcp "),
        (&own.replace("/mcp", "/b/y"), "POST /b/y "),
    ] {
        let mut client = RawPeer::connect(place(url).0).await;
        client.send(request(url, "")).await;
        let mut upstream = server.accept().await;
        let head = upstream.read_head().await;
        assert!(head.starts_with(line), "{url}: {head}");
        assert!(
            head.contains(&format!("Host: {}\r\n", server.address())),
            "{head}"
        );
        upstream.send(json(RESULT)).await;
        assert!(
            String::from_utf8(client.read_to_end().await.0)
                .unwrap()
                .ends_with(RESULT)
        );
    }
    // The common listener is the one that is said to listen; ports are said with their server.
    let snapshot = snapshot_when(&mut frontend, "a snapshot", |_| true).await;
    assert!(matches!(&snapshot.source, Source::Live { listen, .. } if listen.len() == 1));
}

#[tokio::test]
async fn a_client_that_uses_us_as_its_proxy_reaches_the_port_of_a_server_through_us() {
    let (server, dead) = (RawServer::bind().await, DeadPort::bind());
    let engine = engine_for_two(&server, &dead);
    let mut frontend = engine.frontend().unwrap();
    let own = row_when(&mut frontend, "a", |_| true).await.port_url.unwrap();
    let (host, _) = place(&own);
    let mut client = RawPeer::connect(address(&engine)).await;
    client
        .send(format!(
            "GET http://{host}/other?x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ))
        .await;
    let mut upstream = soon("the request", server.accept()).await;
    let head = upstream.read_head().await;
    assert!(head.starts_with("GET /other?x HTTP/1.1\r\n"), "{head}");
    upstream.send(json(RESULT)).await;
    let answer = String::from_utf8(client.read_to_end().await.0).unwrap();
    assert!(answer.ends_with(RESULT), "{answer}");
    row_when(&mut frontend, "a", |row| row.is_healthy == Some(true)).await;
}

#[tokio::test]
async fn a_host_that_is_not_the_servers_own_port_is_refused_there() {
    let (server, dead) = (RawServer::bind().await, DeadPort::bind());
    let engine = engine_for_two(&server, &dead);
    let mut frontend = engine.frontend().unwrap();
    let own = row_when(&mut frontend, "a", |_| true).await.port_url.unwrap();
    let mut client = RawPeer::connect(place(&own).0).await;
    client
        .send("POST /mcp HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        .await;
    let answer = String::from_utf8(client.read_to_end().await.0).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[tokio::test]
async fn a_server_that_is_down_is_named_and_the_others_go_on() {
    let (server, dead) = (RawServer::bind().await, DeadPort::bind());
    let engine = engine_for_two(&server, &dead);
    let mut frontend = engine.frontend().unwrap();
    let a = row_when(&mut frontend, "a", |row| row.is_healthy.is_none())
        .await
        .client_url;
    let b = row_when(&mut frontend, "b", |row| row.is_healthy.is_none())
        .await
        .client_url;

    // A stream of the living one is under way while the other one is found to be dead, over and over.
    let mut streaming = RawPeer::connect(place(&a).0).await;
    streaming.send(request(&a, "")).await;
    let mut upstream = server.accept().await;
    upstream.read_head().await;
    upstream
        .send(format!(
            "{EVENTS}data: {{\"jsonrpc\":\"2.0\",\"method\":\"x\"}}\n\n"
        ))
        .await;
    streaming.read_through(b"\n\n").await;
    for _ in 0..8 {
        let answer = answered(&b).await;
        assert!(answer.starts_with("HTTP/1.1 50"), "{answer}");
    }
    upstream.send(format!("data: {RESULT}\n\n")).await;
    drop(upstream);
    assert!(
        String::from_utf8(streaming.read_to_end().await.0)
            .unwrap()
            .contains(RESULT)
    );

    let b = row_when(&mut frontend, "b", |row| row.failed_calls == 8).await;
    assert_eq!(
        (b.kind, b.is_healthy, b.calls),
        (ServerKind::Http, Some(false), 8)
    );
    let why = b.last_error.unwrap();
    assert!(
        b.down_since.is_some() && why.contains("refused") && !why.contains("client error"),
        "the system's words, not those of a library: {why}"
    );
    let a = row_when(&mut frontend, "a", |row| row.calls == 1).await;
    assert_eq!(
        (a.is_healthy, a.failed_calls, a.down_since),
        (Some(true), 0, None)
    );
}

#[tokio::test]
async fn a_server_that_dies_and_comes_back_is_up_again_without_further_ado() {
    let (server, dead) = (RawServer::bind().await, DeadPort::bind());
    let engine = engine_for_two(&server, &dead);
    let mut frontend = engine.frontend().unwrap();
    let b = row_when(&mut frontend, "b", |_| true).await.client_url;
    answered(&b).await;
    let since = row_when(&mut frontend, "b", |row| row.down_since.is_some())
        .await
        .down_since;
    answered(&b).await;
    let later = row_when(&mut frontend, "b", |row| row.exchanges == 2)
        .await
        .down_since;
    assert_eq!(later, since, "it has been down since the first failure");
    let server = dead.listen();
    let mut client = RawPeer::connect(place(&b).0).await;
    client.send(request(&b, "")).await;
    let mut upstream = server.accept().await;
    upstream.read_head().await;
    upstream.send(json(RESULT)).await;
    client.read_to_end().await;
    let b = row_when(&mut frontend, "b", |row| row.is_healthy == Some(true)).await;
    assert_eq!(b.down_since, None);
}

#[tokio::test]
async fn configured_fields_reach_the_server_and_nobody_else() {
    let server = RawServer::bind().await;
    let mut headers = AddedHeaders::default();
    headers.add("Authorization", "Bearer from-the-file").unwrap();
    headers.add("X-Team", "t-17").unwrap();
    let engine = engine_with(&[&format!("a=http://{}/mcp", server.address())], |config| {
        config.upstreams[0].headers = headers;
    });
    let mut frontend = engine.frontend().unwrap();
    let a = row_when(&mut frontend, "a", |_| true).await;
    assert_eq!(a.added_headers, ["authorization", "x-team"]);

    let mut client = RawPeer::connect(address(&engine)).await;
    client
        .send(request(&a.client_url, "Authorization: Bearer of-the-client\r\n"))
        .await;
    let mut upstream = server.accept().await;
    let head = upstream.read_head().await.to_ascii_lowercase();
    assert!(head.contains("authorization: bearer from-the-file\r\n"), "{head}");
    assert!(
        head.contains("x-team: t-17\r\n") && !head.contains("of-the-client"),
        "{head}"
    );
    upstream.send(json(RESULT)).await;
    client.read_to_end().await;

    row_when(&mut frontend, "a", |row| row.calls == 1).await;
    let first = rows(&frontend).await[0].id;
    let Reply::Detail(detail) = reply(&frontend, Command::Inspect { id: first }).await else {
        panic!("the first row is gone");
    };
    let rewrites = &detail.exchange.as_ref().unwrap().rewrites;
    let said = |text: &str| rewrites.iter().any(|rewrite| rewrite == text);
    assert!(
        said("authorization: the client's value → the configured one"),
        "{rewrites:?}"
    );
    assert!(said("x-team: added, as configured"), "{rewrites:?}");
    let all = format!("{detail:?} {:?}", frontend.snapshots.borrow());
    assert!(!all.contains("from-the-file") && !all.contains("t-17"));
}

#[tokio::test]
async fn a_secret_in_the_url_of_a_server_is_in_no_answer_and_on_no_screen() {
    let dead = DeadPort::bind();
    let upstream = format!("b=http://{}/mcp?v=1&api_key=s3cret", dead.address());
    let engine = engine_with(&[&upstream], |_| {});
    let mut frontend = engine.frontend().unwrap();
    let b = row_when(&mut frontend, "b", |_| true).await;
    assert!(b.url.ends_with("/mcp?v=1&api_key=***"), "{}", b.url);
    let mut statuses = Vec::new();
    // The last one meets an open breaker.
    for _ in 0..6 {
        let answer = answered(&b.client_url).await;
        assert!(answer.contains("/mcp?v=1&api_key=***"), "{answer}");
        assert!(!answer.contains("s3cret"), "{answer}");
        statuses.push(answer.get(9..12).unwrap_or_default().to_owned());
    }
    assert_eq!(statuses, ["502", "502", "502", "502", "502", "503"]);
    row_when(&mut frontend, "b", |row| row.failures >= 5).await;
    let all = format!("{:?}", frontend.snapshots.borrow());
    assert!(!all.contains("s3cret"), "{all}");
}

fn command(name: &str, words: &[&str]) -> CommandServer {
    CommandServer {
        name: Some(name.to_owned()),
        program: words[0].to_owned(),
        args: words[1..].iter().map(|word| (*word).to_owned()).collect(),
        cwd: None,
        env: Vec::new(),
    }
}

async fn initialized(url: &str) -> String {
    let (host, path) = place(url);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;
    let mut client = RawPeer::connect(host).await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
    );
    client
        .send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()))
        .await;
    String::from_utf8(client.read_to_end().await.0).unwrap()
}

#[cfg(unix)]
#[tokio::test]
async fn commands_that_die_or_are_missing_are_down_and_the_others_go_on() {
    const ANSWER: &str = r#"read line; echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}'; cat"#;
    let server = RawServer::bind().await;
    let engine = engine_with(&[&format!("a=http://{}/mcp", server.address())], |config| {
        config.commands = vec![
            command("dies", &["sh", "-c", "read line; echo why >&2; exit 3"]),
            command("missing", &["no-such-program-anywhere"]),
            command("well", &["sh", "-c", ANSWER]),
        ];
        config.ports = Some(ServerPorts::Free);
        config.limits.drain_timeout = std::time::Duration::from_secs(4);
    });
    let mut frontend = engine.frontend().unwrap();
    let missing = row_when(&mut frontend, "missing", |_| true).await;
    assert_eq!(
        (missing.kind, missing.is_healthy),
        (ServerKind::Command, Some(false))
    );
    let why = missing.last_error.unwrap();
    assert!(
        missing.down_since.is_some() && why.contains("no-such-program-anywhere"),
        "{why}"
    );

    let dies = row_when(&mut frontend, "dies", |row| row.is_healthy.is_none()).await;
    let answer = initialized(&dies.port_url.unwrap()).await;
    assert!(
        answer.contains("\"id\":1") && answer.contains("\"error\""),
        "{answer}"
    );
    let dies = row_when(&mut frontend, "dies", |row| row.is_healthy == Some(false)).await;
    assert!(dies.down_since.is_some() && dies.running == 0, "{dies:?}");
    assert!(dies.last_error.unwrap().contains("code 3"));

    let well = row_when(&mut frontend, "well", |_| true).await;
    for url in [well.client_url, well.port_url.unwrap()] {
        let answer = initialized(&url).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("serverInfo"),
            "{answer}"
        );
    }
    let well = row_when(&mut frontend, "well", |row| row.running == 2 && row.calls == 2).await;
    assert_eq!((well.is_healthy, well.failed_calls), (Some(true), 0));

    let a = row_when(&mut frontend, "a", |_| true).await.client_url;
    let mut client = RawPeer::connect(place(&a).0).await;
    client.send(request(&a, "")).await;
    let mut upstream = server.accept().await;
    upstream.read_head().await;
    upstream.send(json(RESULT)).await;
    assert!(
        String::from_utf8(client.read_to_end().await.0)
            .unwrap()
            .ends_with(RESULT)
    );
}

#[test]
fn the_one_command_that_is_missing_is_told_before_anything_starts() {
    let config = Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        commands: vec![CommandServer {
            name: None,
            ..command("", &["no-such-program-anywhere"])
        }],
        ..Config::default()
    };
    let error = Engine::start(config).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("no-such-program-anywhere"), "{error}");
}
