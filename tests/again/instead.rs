//! What a server asks its client is answered in the client's place, however the client speaks to it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use shadowcat::config::Config;
use shadowcat::engine::EngineHandle;
use shadowcat::intercept::interceptor::InterceptCommand;

use crate::peers::{House, TlsServer, handshake, http2};
use crate::support::holding::{breakpoint, decide, held_one};
use crate::support::stage::{ACCEPTED, EVENTS};
use crate::support::*;

const QUESTION: &str =
    "data: {\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"sampling/createMessage\",\"params\":{}}\n\n";
const ANSWERED: &str = r#"{"jsonrpc":"2.0","id":"q","result":{"mine":true}}"#;
const PROOF: &str = "Proxy-Authorization: Basic dTpw\r\n";

fn arm(config: &mut Config) {
    config.can_hold = true;
    config.rules = vec![breakpoint("method:sampling/createMessage dir:s2c")];
    config.forward.proxy_auth = Some("u:p".parse().unwrap());
}

async fn answer_it(engine: &EngineHandle) {
    let mut frontend = engine.frontend().unwrap();
    let id = held_one(&mut frontend).await;
    let result = r#"{"mine":true}"#.to_owned();
    decide(&frontend, InterceptCommand::Answer { id, result }).await;
}

fn listen(target: &str, host: &str, fields: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}Accept: text/event-stream\r\nMcp-Session-Id: s\r\n\r\n"
    )
}

#[tokio::test]
async fn through_a_forward_proxy_with_credentials() {
    let server = RawServer::bind().await;
    let house = House::new(arm);
    let host = server.address().to_string();
    let mut client = RawPeer::connect(address(&house.engine)).await;
    client
        .send(listen(&format!("http://{host}/mcp"), &host, PROOF))
        .await;
    let mut stream = server.accept().await;
    stream.read_head().await;
    stream.send([EVENTS, QUESTION].concat()).await;
    answer_it(&house.engine).await;
    let mut poster = server.accept().await;
    let head = poster.read_head().await.to_ascii_lowercase();
    assert!(
        head.starts_with("post /mcp ") && head.contains("mcp-session-id: s\r\n"),
        "{head}"
    );
    assert!(!head.contains("proxy-authorization"), "{head}");
    assert_eq!(poster.read_exactly(ANSWERED.len()).await, ANSWERED.as_bytes());
    poster.send(ACCEPTED).await;
}

#[tokio::test]
async fn in_intercepted_tls() {
    let server = TlsServer::speaking(&["http/1.1"]).await;
    let house = House::new(|config| {
        arm(config);
        config.forward.upstream_ca.push(server.root());
    });
    let authority = format!("localhost:{}", server.port());
    let (_, tunnel) = house.ask_for_tunnel(&authority, PROOF).await;
    let mut client = handshake(tunnel, "localhost", &house.root_pem(), &["http/1.1"])
        .await
        .unwrap();
    client.send(listen("/mcp", &authority, "")).await;
    let mut stream = server.accept().await;
    stream.read_head().await;
    stream.send([EVENTS, QUESTION].concat()).await;
    answer_it(&house.engine).await;
    let mut poster = server.accept().await;
    let asked = poster.read_through(ANSWERED).await;
    assert!(asked.starts_with("POST /mcp HTTP/1.1\r\n"), "{asked}");
    poster.send(ACCEPTED).await;
}

type Posted = Arc<Mutex<Vec<(Version, String)>>>;
type Body = http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>;

/// Asks on the stream, and accepts what is posted.
async fn converse(request: Request<Incoming>, posted: Posted) -> Response<Body> {
    if request.method() == http::Method::GET {
        let question = futures_util::stream::iter([Ok(Frame::data(Bytes::from(QUESTION)))]);
        let endless = futures_util::StreamExt::chain(question, futures_util::stream::pending());
        let response = Response::builder().header("content-type", "text/event-stream");
        return response.body(StreamBody::new(endless).boxed()).unwrap();
    }
    let version = request.version();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    posted
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push((version, text));
    let response = Response::builder().status(StatusCode::ACCEPTED);
    response.body(Full::new(Bytes::new()).boxed()).unwrap()
}

#[tokio::test]
async fn over_http2_in_intercepted_tls_to_a_server_that_has_nothing_else() {
    let server = TlsServer::speaking(&["h2"]).await;
    let house = House::new(|config| {
        arm(config);
        config.forward.proxy_auth = None;
        config.forward.upstream_ca.push(server.root());
    });
    let authority = format!("localhost:{}", server.port());
    let posted = Posted::default();
    let serving = async {
        let peer = server.accept().await;
        let posted = Arc::clone(&posted);
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let answered = converse(request, Arc::clone(&posted));
            async { Ok::<_, std::convert::Infallible>(answered.await) }
        });
        let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        // It ends with the test.
        let _ = http.serve_connection(TokioIo::new(peer.stream), service).await;
    };
    let asking = async {
        let mut sender = http2(house.client(&authority, &["h2"]).await).await;
        let request = Request::get(format!("https://{authority}/mcp"))
            .header("accept", "text/event-stream")
            .header("mcp-session-id", "s")
            .body(Full::<Bytes>::default())
            .unwrap();
        let _stream = soon("a response", sender.send_request(request)).await.unwrap();
        answer_it(&house.engine).await;
        let is_there = || {
            let posted = posted.lock().unwrap_or_else(PoisonError::into_inner);
            !posted.is_empty()
        };
        soon("the answer at the server", async {
            while !is_there() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    tokio::select! {
        () = serving => panic!("the server's connection ended"),
        () = asking => {}
    }
    let posted = posted.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(posted[..], [(Version::HTTP_2, ANSWERED.to_owned())]);
}
