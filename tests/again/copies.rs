//! Copies whose answer comes in the answer to their POST.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo};
use shadowcat::intercept::hold::Ending;
use shadowcat::snapshot::{Command, MessageRow, Reply, RowKind};
use tokio::net::TcpStream;

use crate::peers::{House, TlsServer, handshake, http2};
use crate::support::again::*;
use crate::support::stage::{ACCEPTED, EVENTS, Stage, json, reply, stage};
use crate::support::*;
use crate::{CALL, result_of, under};

/// Answers the request that `peer` has sent; its head in lower case, and its body.
async fn answer(peer: &mut RawPeer, id: &str) -> (String, String) {
    let head = peer.read_head().await.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let body = peer.read_exactly(length.unwrap().trim().parse().unwrap()).await;
    peer.send(json(&result_of(id))).await;
    (head, String::from_utf8(body).unwrap())
}

fn post_to(target: &str, host: &str, fields: &str) -> String {
    let length = CALL.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{CALL}"
    )
}

const PROOF: &str = "Proxy-Authorization: Basic dTpw\r\n";

#[tokio::test]
async fn through_a_forward_proxy_it_goes_to_the_server_of_its_url_without_the_credentials_of_the_proxy() {
    let server = RawServer::bind().await;
    let house = House::new(|config| {
        config.forward.proxy_auth = Some("u:p".parse().unwrap());
        // Each request is a connection of its own for the server.
        config.limits.max_idle_per_upstream = 0;
    });
    let mut frontend = house.engine.frontend().unwrap();
    let host = server.address().to_string();
    let mut client = RawPeer::connect(address(&house.engine)).await;
    client
        .send(post_to(
            &format!("http://{host}/mcp?x=1"),
            &host,
            &format!("{PROOF}X-Mine: 1\r\n"),
        ))
        .await;
    let mut upstream = server.accept().await;
    answer(&mut upstream, "1").await;
    client.read_through(b"{}}").await;
    let (id, call) = send_again(&mut frontend).await;
    let mut upstream = server.accept().await;
    let (head, body) = answer(&mut upstream, &id).await;
    assert!(head.starts_with("post /mcp?x=1 http/1.1\r\n"), "{head}");
    assert!(
        head.contains(&format!("host: {host}\r\n")) && head.contains("x-mine: 1\r\n"),
        "{head}"
    );
    assert!(!head.contains("proxy-authorization"), "{head}");
    assert_eq!(body, under(&id));
    assert_eq!(answer_shown(&mut frontend, &id).await.session, call.row.session);
}

#[tokio::test]
async fn in_intercepted_tls_it_goes_over_tls_though_its_head_names_no_server_and_proves_nothing() {
    let server = TlsServer::speaking(&["http/1.1"]).await;
    let house = House::new(|config| {
        config.forward.upstream_ca.push(server.root());
        config.forward.proxy_auth = Some("u:p".parse().unwrap());
    });
    let mut frontend = house.engine.frontend().unwrap();
    let authority = format!("localhost:{}", server.port());
    let (_, tunnel) = house.ask_for_tunnel(&authority, PROOF).await;
    let mut client = handshake(tunnel, "localhost", &house.root_pem(), &["http/1.1"])
        .await
        .unwrap();
    client.send(post_to("/mcp", &authority, "")).await;
    let mut upstream = server.accept().await;
    upstream.read_through(CALL).await;
    upstream.send(json(&result_of("1"))).await;
    client.read_through("{}}").await;
    let (id, call) = send_again(&mut frontend).await;
    let asked = upstream.read_through(&under(&id)).await;
    assert!(asked.starts_with("POST /mcp HTTP/1.1\r\n"), "{asked}");
    assert!(
        asked
            .to_ascii_lowercase()
            .contains(&format!("host: {authority}\r\n")),
        "{asked}"
    );
    upstream.send(json(&result_of(&id))).await;
    assert_eq!(answer_shown(&mut frontend, &id).await.session, call.row.session);
}

#[tokio::test]
async fn http_in_a_tunnel_stays_in_the_clear_whatever_the_port() {
    let server = RawServer::bind().await;
    let house = House::new(|_| {});
    let mut frontend = house.engine.frontend().unwrap();
    let authority = server.address().to_string();
    let tunnel = house.connect(&authority).await;
    let mut client = crate::peers::Wire::new(tunnel);
    client.send(post_to("/mcp", &authority, "")).await;
    let mut upstream = server.accept().await;
    answer(&mut upstream, "1").await;
    client.read_through("{}}").await;
    let (id, _) = send_again(&mut frontend).await;
    assert_eq!(answer(&mut upstream, &id).await.1, under(&id));
    answer_shown(&mut frontend, &id).await;
}

type Seen = Arc<Mutex<Vec<(Version, String)>>>;

/// Serves HTTP/2 to one connection, and answers each call with its own id.
async fn serve_http2(server: &TlsServer, seen: Seen) {
    let peer = server.accept().await;
    let answer_one = async |seen: Seen, request: Request<hyper::body::Incoming>| {
        let (version, target) = (request.version(), request.uri().to_string());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let message: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push((version, target));
        let answer = http::Response::builder()
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(result_of(&message["id"].to_string()))));
        Ok::<_, std::convert::Infallible>(answer.unwrap())
    };
    let service = hyper::service::service_fn(move |request| answer_one(Arc::clone(&seen), request));
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    // It ends with the test.
    let _ = server.serve_connection(TokioIo::new(peer.stream), service).await;
}

#[tokio::test]
async fn what_came_over_http2_in_tls_goes_over_http2_to_a_server_that_has_nothing_else() {
    let server = TlsServer::speaking(&["h2"]).await;
    let house = House::trusting(&server);
    let mut frontend = house.engine.frontend().unwrap();
    let authority = format!("localhost:{}", server.port());
    let url = format!("https://{authority}/mcp");
    let seen: Seen = Arc::default();
    let asking = async {
        let mut sender = http2(house.client(&authority, &["h2"]).await).await;
        let request = Request::post(&url).header("content-type", "application/json");
        let request = request.body(Full::from(CALL)).unwrap();
        let response = soon("a response", sender.send_request(request)).await.unwrap();
        response.into_body().collect().await.unwrap();
        let (id, call) = send_again(&mut frontend).await;
        assert_eq!(answer_shown(&mut frontend, &id).await.session, call.row.session);
    };
    tokio::select! {
        () = serve_http2(&server, Arc::clone(&seen)) => panic!("the server's connection ended"),
        () = asking => {}
    }
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(seen[..], [(Version::HTTP_2, url.clone()), (Version::HTTP_2, url)]);
}

#[tokio::test]
async fn what_came_over_http2_in_the_clear_goes_to_the_upstream() {
    let mut stage = stage(|_| {}).await;
    let own = address(&stage.engine);
    let socket = TcpStream::connect(own).await.unwrap();
    let handshake = Builder::new(TokioExecutor::new()).handshake(TokioIo::new(socket));
    let (mut sender, connection) = soon("a handshake", handshake).await.unwrap();
    spawn(async move {
        // How it ends is what the requests on it see.
        let _ = connection.await;
    });
    let request = Request::post(format!("http://{own}/mcp")).header("content-type", "application/json");
    let request = request.body(Full::<Bytes>::from(CALL)).unwrap();
    let asking = async {
        let response = soon("a response", sender.send_request(request)).await.unwrap();
        response.into_body().collect().await.unwrap();
    };
    let answering = async { answer(&mut stage.server.accept().await, "1").await };
    tokio::join!(asking, answering);
    let (id, call) = send_again(&mut stage.frontend).await;
    let (head, body) = answer(&mut stage.server.accept().await, &id).await;
    assert!(head.starts_with("post /mcp http/1.1\r\n"), "{head}");
    assert_eq!(body, under(&id));
    let shown = answer_shown(&mut stage.frontend, &id).await;
    assert_eq!(shown.session, call.row.session);
}

/// What a server asks during a call, as the last words of a part of its stream.
const QUESTION: &str =
    "data: {\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"sampling/createMessage\",\"params\":{}}\n\n";
const PING: &str = "data: {\"jsonrpc\":\"2.0\",\"id\":\"p\",\"method\":\"ping\"}\n\n";

/// What is posted to the server in the place of its client.
async fn posted(stage: &Stage) -> (String, serde_json::Value) {
    let mut poster = stage.server.accept().await;
    let head = poster.read_head().await.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let body = poster.read_exactly(length.unwrap().trim().parse().unwrap()).await;
    poster.send(ACCEPTED).await;
    (head, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn what_the_server_asks_about_a_copy_is_answered_from_here_and_the_copy_gets_its_answer() {
    let mut stage = stage(|_| {}).await;
    let request = stage.request("POST", "s", CALL);
    stage.exchange(&request, &json(&result_of("1"))).await;
    let (id, _) = send_again(&mut stage.frontend).await;
    let mut upstream = stage.server.accept().await;
    upstream.read_head().await;
    upstream.read_exactly(under(&id).len()).await;
    upstream.send([EVENTS, PING, QUESTION].concat()).await;
    let (mut answers, mut heads) = (Vec::new(), String::new());
    for _ in 0..2 {
        let (head, answer) = posted(&stage).await;
        heads.push_str(&head);
        answers.push(answer);
    }
    answers.sort_by_key(|answer| answer["id"].is_number());
    assert_eq!(heads.matches("mcp-session-id: s\r\n").count(), 2, "{heads}");
    assert_eq!(
        answers[0],
        serde_json::json!({"jsonrpc": "2.0", "id": "p", "result": {}})
    );
    let told = &answers[1]["error"]["message"];
    assert!(
        answers[1]["id"] == 0 && told.as_str().unwrap().contains("sent again"),
        "{answers:?}"
    );
    upstream.send(format!("data: {}\n\n", result_of(&id))).await;
    drop(upstream);
    let answer = answer_shown(&mut stage.frontend, &id).await;
    let is_marked =
        |row: &MessageRow, text: &str| row.findings.iter().any(|finding| finding.text.contains(text));
    assert!(is_marked(&answer, "does not hear it"), "{answer:?}");
    let ask = Command::Rows {
        after: None,
        limit: 100,
        filter: "has:resent".to_owned(),
    };
    let Reply::Rows { rows, .. } = reply(&stage.frontend, ask).await else {
        panic!("no rows");
    };
    assert!(
        rows.len() == 2 && rows.iter().all(|row| row.rpc_id.as_deref() == Some(&*id)),
        "{rows:?}"
    );
    let shown = snapshot_when(&mut stage.frontend, "the question and its answer", |snapshot| {
        let mut rows = snapshot.messages.rows.iter();
        let is_refused = |row: &MessageRow| {
            row.verdict
                .as_ref()
                .is_some_and(|verdict| verdict.ending == Some(Ending::Refused))
        };
        rows.any(is_refused)
            && rows.any(|row| row.kind == RowKind::Error && is_marked(row, "answered from here"))
    });
    shown.await;
}

#[tokio::test]
async fn without_sessions_a_copy_belongs_where_its_call_does_and_its_headers_follow_its_edit() {
    let mut stage = stage(|_| {}).await;
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}"#;
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{meta},"name":"search"}}}}"#);
    let fields = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: search\r\nAuthorization: Bearer t\r\n";
    let request = stage
        .request("POST", "", &body)
        .replace("Content-Type", &format!("{fields}Content-Type"));
    stage.exchange(&request, &json(&result_of("1"))).await;
    let call = call_that_passed(&mut stage.frontend).await;
    let mut copy = again(&call);
    copy.body = copy.body.replace("\"search\"", "\"find\"");
    let Reply::Resent { id } = reply(&stage.frontend, Command::Resend(Box::new(copy))).await else {
        panic!("not sent again");
    };
    let (head, body) = answer(&mut stage.server.accept().await, &id).await;
    assert!(
        head.contains("mcp-name: find\r\n") && head.contains("authorization: bearer t\r\n"),
        "{head}"
    );
    assert!(body.contains(&id) && body.contains("\"find\""), "{body}");
    assert_eq!(
        answer_shown(&mut stage.frontend, &id).await.session,
        call.row.session
    );
}
