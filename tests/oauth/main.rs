//! Authorization through the reverse proxy: the server's metadata leads the client back through it, and nothing else of
//! OAuth changes.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

#[path = "../support/mod.rs"]
mod support;
mod way_back;

use support::*;

use std::net::SocketAddr;

use shadowcat::config::{Config, OauthMode};
use shadowcat::engine::EngineHandle;
use shadowcat::frontend::Frontend;
use shadowcat::snapshot::{Command, MessageDetail, MessageRow, Reply, RowKind};

struct Stage {
    server: RawServer,
    engine: EngineHandle,
    frontend: Frontend,
}

/// An engine in front of one server, as `[NAME=]URL` with `{}` for its address.
async fn stage(upstream: &str, change: impl FnOnce(&mut Config)) -> Stage {
    let server = RawServer::bind().await;
    let upstream = upstream.replace("{}", &server.address().to_string());
    let engine = engine_with(&[&upstream], |config| {
        config.limits.max_idle_per_upstream = 0;
        change(config);
    });
    Stage {
        frontend: engine.frontend().unwrap(),
        server,
        engine,
    }
}

/// What came of a request: the head that the server got, and head and body that the client got.
struct Seen {
    request: String,
    head: String,
    body: String,
}

impl Stage {
    fn own(&self) -> SocketAddr {
        address(&self.engine)
    }

    async fn ask(&self, request: &str, response: &str) -> Seen {
        let mut client = RawPeer::connect(self.own()).await;
        client
            .send(request.replace("{own}", &self.own().to_string()))
            .await;
        let mut upstream = self.server.accept().await;
        let request = upstream.read_head().await;
        upstream
            .send(response.replace("{up}", &self.server.address().to_string()))
            .await;
        drop(upstream);
        let head = client.read_head().await;
        let (rest, _) = client.read_to_end().await;
        let body = String::from_utf8(rest).unwrap();
        Seen { request, head, body }
    }

    async fn get(&self, path: &str, response: &str) -> Seen {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {{own}}\r\nAccept-Encoding: gzip, br\r\nConnection: close\r\n\r\n"
        );
        self.ask(&request, response).await
    }

    async fn refused_with(&self, challenge: &str) -> Seen {
        let response = format!(
            "HTTP/1.1 401 Unauthorized\r\n{challenge}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        self.call("", &response).await
    }

    async fn call(&self, credential: &str, response: &str) -> Seen {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: {{own}}\r\nConnection: close\r\n{credential}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.ask(&request, response).await
    }

    /// Everything about the first row that `is_it`, once there is one.
    async fn row(&mut self, what: &str, is_it: impl Fn(&MessageDetail) -> bool) -> MessageDetail {
        let commands = self.frontend.commands.clone();
        let search = async {
            loop {
                for row in rows(&self.frontend).await {
                    let reply = commands.ask(Command::Inspect { id: row.id }).await.unwrap();
                    if let Reply::Detail(detail) = reply
                        && is_it(&detail)
                    {
                        return *detail;
                    }
                }
                self.frontend.snapshots.changed().await.unwrap();
            }
        };
        soon(what, search).await
    }

    /// The row whose exchange has a change that contains `text`.
    async fn changed(&mut self, text: &str) -> MessageDetail {
        let has = |detail: &MessageDetail| {
            let exchange = detail.exchange.as_ref();
            exchange.is_some_and(|exchange| {
                let of_response = [&exchange.response_rewrites, &exchange.response_body_rewrites];
                let of_request = [&exchange.rewrites, &exchange.body_rewrites];
                let mut all = of_request.into_iter().chain(of_response).flatten();
                all.any(|rewrite| rewrite.contains(text))
            })
        };
        self.row(text, has).await
    }

    /// The row that has a finding which contains `text`.
    async fn found(&mut self, text: &str) -> MessageDetail {
        let has = |detail: &MessageDetail| {
            detail
                .row
                .findings
                .iter()
                .any(|finding| finding.text.contains(text))
        };
        self.row(text, has).await
    }
}

fn json(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: \"1\"\r\nContent-Length: {}\r\nConnection: close\r\nX-Last: 1\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn the_metadata_in_a_challenge_and_the_resource_in_it_are_the_proxys() {
    let mut stage = stage("http://{}/mcp", |_| {}).await;
    let seen = stage
        .refused_with("WWW-Authenticate: Basic realm=\"x\"\r\nWWW-Authenticate: Bearer scope=\"a, b\", resource_metadata=\"http://{up}/.well-known/oauth-protected-resource/mcp\"")
        .await;
    let own = stage.own();
    let expected = format!(
        "Basic realm=\"x\"\r\nWWW-Authenticate: Bearer scope=\"a, b\", resource_metadata=\"http://{own}/.well-known/oauth-protected-resource/mcp\""
    );
    assert!(seen.head.contains(&expected), "{}", seen.head);
    stage.changed("resource_metadata: ").await;

    let path = "/.well-known/oauth-protected-resource/mcp";
    let up = stage.server.address();
    let body = |origin: SocketAddr| {
        format!(r#"{{"resource": "http://{origin}/mcp/", "authorization_servers":["http://{up}"], "n":1.0}}"#)
    };
    let seen = stage.get(path, &json(&body(up))).await;
    assert!(seen.request.starts_with(&format!("GET {path} HTTP/1.1\r\n")));
    assert!(
        seen.request.contains("Accept-Encoding: identity\r\n"),
        "{}",
        seen.request
    );
    assert_eq!(seen.body, body(own));
    let length = format!("Content-Length: {}\r\nX-Last: 1\r\n", seen.body.len());
    assert!(
        seen.head.contains(&length) && !seen.head.contains("ETag"),
        "{}",
        seen.head
    );
    let detail = stage.changed("resource: ").await;
    let exchange = detail.exchange.unwrap();
    assert_eq!(
        exchange.response_body_rewrites,
        [format!("resource: http://{up}/mcp/ → http://{own}/mcp/")]
    );
    assert!(exchange.body_rewrites.is_empty() && exchange.response_rewrites.is_empty());
    let rows = rows(&stage.frontend).await;
    assert!(
        rows.iter().all(|row| row.kind != RowKind::Malformed),
        "metadata is no message: {rows:#?}"
    );
    assert_eq!(detail.row.findings, []);
}

#[tokio::test]
async fn metadata_of_a_named_upstream_is_found_behind_its_name() {
    let stage = stage("db=http://{}/a/mcp", |_| {}).await;
    let (own, up) = (stage.own(), stage.server.address());
    let response = format!(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer resource_metadata=http://{up}/.well-known/oauth-protected-resource/a/mcp\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let seen = stage.get("/db", &response).await;
    let path = "/.well-known/oauth-protected-resource/db";
    assert!(
        seen.head
            .contains(&format!("resource_metadata=http://{own}{path}\r\n")),
        "{}",
        seen.head
    );
    let body = format!(r#"{{"resource":"http://{up}/a/mcp"}}"#);
    for (path, theirs) in [
        (path, "/.well-known/oauth-protected-resource/a/mcp"),
        (
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource",
        ),
        (
            "/db/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource",
        ),
    ] {
        let seen = stage.get(path, &json(&body)).await;
        assert!(
            seen.request.starts_with(&format!("GET {theirs} HTTP/1.1\r\n")),
            "{}",
            seen.request
        );
        assert_eq!(seen.body, format!(r#"{{"resource":"http://{own}/db"}}"#));
    }
}

#[tokio::test]
async fn metadata_at_a_place_of_the_servers_own_is_known_from_its_challenge() {
    let stage = stage("http://{}/mcp", |_| {}).await;
    let up = stage.server.address();
    let body = json(&format!(r#"{{"resource":"http://{up}/mcp"}}"#));
    let seen = stage.get("/meta?v=1", &body).await;
    assert!(seen.body.contains(&up.to_string()), "any other document stays");
    stage
        .refused_with("WWW-Authenticate: Bearer resource_metadata=\"http://{up}/meta?v=1\"")
        .await;
    let seen = stage.get("/meta?v=1", &body).await;
    assert_eq!(
        seen.body,
        format!(r#"{{"resource":"http://{}/mcp"}}"#, stage.own())
    );
}

#[tokio::test]
async fn metadata_that_comes_in_chunks_goes_on_in_chunks() {
    let stage = stage("http://{}/mcp", |_| {}).await;
    let body = format!(r#"{{"resource":"http://{}/mcp"}}"#, stage.server.address());
    let (first, second) = body.split_at(20);
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    let seen = stage
        .get("/.well-known/oauth-protected-resource/mcp", &response)
        .await;
    let head = seen.head.to_ascii_lowercase();
    assert!(
        head.contains("transfer-encoding: chunked\r\n") && !head.contains("content-length"),
        "{head}"
    );
    let changed = format!(r#"{{"resource":"http://{}/mcp"}}"#, stage.own());
    assert_eq!(
        seen.body,
        format!("{:X}\r\n{changed}\r\n0\r\n\r\n", changed.len())
    );
}

#[tokio::test]
async fn an_authorization_server_at_the_same_origin_passes_unchanged() {
    let stage = stage("http://{}/mcp", |_| {}).await;
    let up = stage.server.address();
    let body = format!(
        r#"{{"issuer":"http://{up}","token_endpoint":"http://{up}/token","resource":"http://{up}"}}"#
    );
    let seen = stage
        .get("/.well-known/oauth-authorization-server", &json(&body))
        .await;
    assert_eq!(seen.body, body);
    assert!(seen.head.contains("ETag") && seen.request.contains("gzip, br"));
}

#[tokio::test]
async fn off_changes_nothing() {
    let stage = stage("http://{}/mcp", |config| config.oauth = OauthMode::Off).await;
    let up = stage.server.address();
    let seen = stage
        .refused_with("WWW-Authenticate: Bearer resource_metadata=\"http://{up}/.well-known/oauth-protected-resource/mcp\"")
        .await;
    assert!(
        seen.head.contains(&format!("http://{up}/.well-known")),
        "{}",
        seen.head
    );
    let body = format!(r#"{{"resource":"http://{up}/mcp"}}"#);
    let seen = stage
        .get("/.well-known/oauth-protected-resource/mcp", &json(&body))
        .await;
    assert_eq!(seen.body, body);
    assert!(
        seen.request.contains("Accept-Encoding: gzip, br\r\n"),
        "{}",
        seen.request
    );
}

#[tokio::test]
async fn metadata_that_comes_compressed_all_the_same_is_left_and_said() {
    let mut stage = stage("http://{}/mcp", |_| {}).await;
    let response = json("{}").replace("ETag: \"1\"", "Content-Encoding: br");
    let seen = stage
        .get("/.well-known/oauth-protected-resource", &response)
        .await;
    assert_eq!(seen.body, "{}");
    stage.found("compressed").await;
}

#[tokio::test]
async fn a_token_that_is_refused_as_soon_as_it_was_issued_is_explained() {
    let mut stage = stage("http://{}/mcp", |_| {}).await;
    let up = stage.server.address();
    let refused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stage.call("Authorization: Bearer old\r\n", refused).await;
    let body = json(&format!(r#"{{"resource":"http://{up}/mcp"}}"#));
    stage
        .get("/.well-known/oauth-protected-resource/mcp", &body)
        .await;
    stage.call("Authorization: Bearer old\r\n", refused).await;
    stage.call("Authorization: Bearer new\r\n", refused).await;
    let snapshot = snapshot_when(&mut stage.frontend, "the notice", |snapshot| {
        !snapshot.notices.is_empty()
    })
    .await;
    let [notice] = &snapshot.notices[..] else {
        panic!("{:?}", snapshot.notices)
    };
    assert!(notice.text.contains("--oauth relay") && notice.text.contains("forward proxy"));
    stage.found("issued just now").await;
    let all = rows(&stage.frontend).await;
    let has = |row: &&MessageRow| {
        row.findings
            .iter()
            .any(|finding| finding.text.starts_with("401 for"))
    };
    assert_eq!(all.iter().filter(has).count(), 1, "{all:#?}");
}

#[tokio::test]
async fn invalid_target_is_explained_where_the_answer_passes_here() {
    let mut stage = stage("http://{}/mcp", |_| {}).await;
    let form = "grant_type=authorization_code&resource=x";
    let request = format!(
        "POST /token HTTP/1.1\r\nHost: {{own}}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let body = r#"{"error":"invalid_target"}"#;
    let response = json(body).replace("200 OK", "400 Bad Request");
    let seen = stage.ask(&request, &response).await;
    assert_eq!(seen.body, body);
    assert!(seen.head.contains("ETag"), "{}", seen.head);
    snapshot_when(&mut stage.frontend, "the notice", |snapshot| {
        snapshot
            .notices
            .iter()
            .any(|notice| notice.text.contains("invalid_target"))
    })
    .await;
}

#[tokio::test]
async fn a_relay_tells_the_authorization_server_the_servers_own_name() {
    let mut stage = stage("db=http://{}/mcp", |config| config.oauth = OauthMode::Relay).await;
    let (own, up) = (stage.own(), stage.server.address());
    let issuer = RawServer::bind().await;
    let at = issuer.address();
    let body = format!(r#"{{"resource":"http://{up}/mcp","authorization_servers":["http://{at}/t"]}}"#);
    let seen = stage
        .get("/.well-known/oauth-protected-resource/db", &json(&body))
        .await;
    let ours = format!("http://{own}/.shadowcat/as/1");
    assert_eq!(
        seen.body,
        format!(r#"{{"resource":"http://{own}/db","authorization_servers":["{ours}"]}}"#)
    );

    // From here on the authorization server is the one that is asked.
    stage.server = issuer;
    let body = |issuer: &str, base: &str| {
        format!(
            r#"{{"issuer":"{issuer}","authorization_endpoint":"{base}/authorization_endpoint","token_endpoint":"{base}/token_endpoint"}}"#
        )
    };
    let theirs = format!("http://{at}/t");
    let path = "/.well-known/oauth-authorization-server/.shadowcat/as/1";
    let seen = stage.get(path, &json(&body(&theirs, &theirs))).await;
    assert!(
        seen.request
            .starts_with("GET /.well-known/oauth-authorization-server/t HTTP/1.1\r\n"),
        "{}",
        seen.request
    );
    assert!(
        seen.request.contains(&format!("Host: {at}\r\n")),
        "{}",
        seen.request
    );
    assert_eq!(seen.body, body(&ours, &ours));

    let resource = format!(
        "resource=http%3A%2F%2F{}%2Fdb",
        own.to_string().replace(':', "%3A")
    );
    let swapped = format!(
        "resource=http%3A%2F%2F{}%2Fmcp",
        up.to_string().replace(':', "%3A")
    );
    let mut browser = RawPeer::connect(own).await;
    browser
        .send(format!("GET /.shadowcat/as/1/authorization_endpoint?state=s&{resource}&x=%41 HTTP/1.1\r\nHost: {own}\r\n\r\n"))
        .await;
    let head = browser.read_head().await;
    assert!(head.starts_with("HTTP/1.1 302 Found\r\n"), "{head}");
    let location = format!("location: {theirs}/authorization_endpoint?state=s&{swapped}&x=%41\r\n");
    assert!(head.contains(&location), "{head}");

    let form = |resource: &str| format!("grant_type=authorization_code&code=c&{resource}");
    let request = format!(
        "POST /.shadowcat/as/1/token_endpoint HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{}",
        form(&resource).len(),
        form(&resource)
    );
    let mut client = RawPeer::connect(own).await;
    client.send(&request).await;
    let mut upstream = stage.server.accept().await;
    let head = upstream.read_head().await;
    assert!(head.starts_with("POST /t/token_endpoint HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", form(&swapped).len())),
        "{head}"
    );
    assert_eq!(
        upstream.read_exactly(form(&swapped).len()).await,
        form(&swapped).as_bytes()
    );
    upstream.send(json(r#"{"access_token":"t"}"#)).await;
    drop(upstream);
    client.read_to_end().await;
    stage.changed("resource: http://127.0.0.1").await;
    stage.changed("token_endpoint: ").await;
}

#[tokio::test]
async fn a_relay_contacts_nobody_whom_no_upstream_named() {
    let stage = stage("http://{}/mcp", |config| config.oauth = OauthMode::Relay).await;
    let mut client = RawPeer::connect(stage.own()).await;
    client
        .send(format!(
            "GET /.shadowcat/as/1/token_endpoint HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            stage.own()
        ))
        .await;
    let head = client.read_head().await;
    assert!(
        head.starts_with("HTTP/1.1 502 ") && head.contains("unknown_authorization"),
        "{head}"
    );
}

#[tokio::test]
async fn metadata_of_another_authorization_server_is_not_passed_off_as_the_named_one() {
    let mut stage = stage("http://{}/mcp", |config| config.oauth = OauthMode::Relay).await;
    let up = stage.server.address();
    let body = format!(r#"{{"resource":"http://{up}/mcp","authorization_servers":["http://{up}"]}}"#);
    stage
        .get("/.well-known/oauth-protected-resource/mcp", &json(&body))
        .await;
    let body = r#"{"issuer":"http://evil.example","token_endpoint":"http://evil.example/t"}"#;
    let path = "/.shadowcat/as/1/.well-known/openid-configuration";
    let seen = stage.get(path, &json(body)).await;
    assert_eq!(seen.body, body);
    stage.found("the metadata is not of").await;
}
