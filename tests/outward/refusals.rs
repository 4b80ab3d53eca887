//! What cannot be passed on, and what is said of it.

use serde_json::json;

use crate::shim::*;
use crate::support::*;

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
