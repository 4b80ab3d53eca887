//! HTTP that is no MCP, such as the requests of an authorization: held with its head, both ways.

use shadowcat::ids::HoldId;
use shadowcat::intercept::hold::HeadEdit;
use shadowcat::intercept::interceptor::{HeldText, InterceptCommand, InterceptReply};
use shadowcat::intercept::rule::Refusal;
use shadowcat::snapshot::RowKind;

use crate::support::stage::{Stage, json};
use crate::support::*;
use crate::{armed, ask, breakpoint, held, only_held, request_at};

const METADATA: &str = "/.well-known/oauth-authorization-server";

async fn text_of(stage: &Stage, id: HoldId) -> HeldText {
    match ask(stage, InterceptCommand::Show { id }).await {
        InterceptReply::Message(text) => *text,
        other => panic!("{other:?}"),
    }
}

fn fields(changes: &[(&str, Option<&str>)]) -> HeadEdit {
    let change = |(name, value): &(&str, Option<&str>)| ((*name).to_owned(), value.map(str::to_owned));
    HeadEdit {
        fields: changes.iter().map(change).collect(),
        refused: Vec::new(),
    }
}

fn token_request(stage: &Stage) -> String {
    let host = address(&stage.engine);
    let body = "grant_type=client_credentials";
    format!(
        "POST /token?x=1 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nX-Gone: 1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn get(stage: &Stage, path: &str) -> String {
    let host = address(&stage.engine);
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

async fn answer_of(client: &mut RawPeer) -> String {
    String::from_utf8(client.read_to_end().await.0).unwrap()
}

#[tokio::test]
async fn a_request_is_shown_and_goes_on_with_head_and_body_as_edited() {
    let mut stage = armed(breakpoint("kind:http dir:c2s")).await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(token_request(&stage)).await;
    let rows = held(&mut stage, 1).await;
    assert_eq!(
        (rows[0].kind, rows[0].name.as_deref()),
        (RowKind::Http, Some("POST /token?x=1"))
    );
    let id = rows[0].id;
    let shown = text_of(&stage, id).await;
    assert_eq!(shown.original, "grant_type=client_credentials");
    let head = shown.head.unwrap();
    assert!(
        head.fields
            .iter()
            .any(|(name, value)| name == "x-gone" && value == "1")
    );
    let text = Some("grant_type=refresh_token".to_owned());
    ask(&stage, InterceptCommand::Edit { id, text }).await;
    let edit = fields(&[("x-gone", None), ("x-new", Some("2"))]);
    ask(&stage, InterceptCommand::Head { id, edit }).await;
    ask(&stage, InterceptCommand::Forward { id }).await;
    let mut upstream = soon("the request", stage.server.accept()).await;
    let (head, body) = request_at(&mut upstream).await;
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /token?x=1 "), "{head}");
    assert!(
        head.contains("x-new: 2\r\n") && !head.contains("x-gone"),
        "{head}"
    );
    assert_eq!(body, "grant_type=refresh_token");
    upstream.send(json("{}")).await;
    assert!(answer_of(&mut client).await.ends_with("{}"));
}

/// A decision, and the beginning and the end of what its client gets.
type Case<'a> = (&'a dyn Fn(HoldId) -> InterceptCommand, &'a str, &'a str);

#[tokio::test]
async fn a_request_is_answered_refused_and_dropped_without_its_server() {
    let mut stage = armed(breakpoint("kind:http dir:c2s")).await;
    let cases: [Case<'_>; 3] = [
        (
            &|id| InterceptCommand::Answer {
                id,
                result: r#"[{"mine":true}]"#.to_owned(),
            },
            "HTTP/1.1 200 ",
            r#"[{"mine":true}]"#,
        ),
        (
            &|id| InterceptCommand::Refuse {
                id,
                refusal: Refusal::Status(429),
            },
            "HTTP/1.1 429 ",
            "",
        ),
        (
            &|id| InterceptCommand::Drop { id, is_silent: false },
            "HTTP/1.1 502 ",
            "",
        ),
    ];
    for (decide, status, body) in cases {
        let mut client = RawPeer::connect(address(&stage.engine)).await;
        client.send(token_request(&stage)).await;
        let id = only_held(&mut stage).await;
        ask(&stage, decide(id)).await;
        let answer = answer_of(&mut client).await;
        assert!(answer.starts_with(status) && answer.ends_with(body), "{answer}");
        held(&mut stage, 0).await;
    }
}

#[tokio::test]
async fn a_response_goes_on_with_status_fields_and_body_as_edited() {
    let mut stage = armed(breakpoint("kind:http dir:s2c")).await;
    let (mut client, mut upstream) = stage.begin(&token_request(&stage)).await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Gone: 1\r\nContent-Length: 13\r\n\r\n{\"token\":\"a\"}")
        .await;
    let rows = held(&mut stage, 1).await;
    assert_eq!(
        (rows[0].kind, rows[0].name.as_deref()),
        (RowKind::HttpResponse, Some("POST /token?x=1"))
    );
    let id = rows[0].id;
    let shown = text_of(&stage, id).await;
    assert_eq!(shown.original, r#"{"token":"a"}"#);
    assert_eq!(
        shown.head.unwrap().fields[0],
        (":status".to_owned(), "200".to_owned())
    );
    let text = Some(r#"{"error":"invalid_grant"}"#.to_owned());
    ask(&stage, InterceptCommand::Edit { id, text }).await;
    let edit = fields(&[(":status", Some("400")), ("x-gone", None), ("x-new", Some("2"))]);
    ask(&stage, InterceptCommand::Head { id, edit }).await;
    ask(&stage, InterceptCommand::Forward { id }).await;
    let answer = answer_of(&mut client).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 400 bad request\r\n"), "{answer}");
    assert!(answer.contains("x-new: 2\r\n") && answer.contains("content-length: 25\r\n"));
    assert!(
        !answer.contains("x-gone") && !answer.contains(":status"),
        "{answer}"
    );
    assert!(answer.ends_with(r#"{"error":"invalid_grant"}"#), "{answer}");
}

#[tokio::test]
async fn a_document_that_the_proxy_has_changed_is_held_whole() {
    let mut stage = armed(breakpoint("kind:http dir:s2c")).await;
    let issuer = format!("http://{}", stage.server.address());
    let own = format!("http://{}", address(&stage.engine));
    let document = format!(r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/token"}}"#);
    for _ in 0..2 {
        let (mut client, mut upstream) = stage.begin(&get(&stage, METADATA)).await;
        upstream.send(json(&document)).await;
        let id = only_held(&mut stage).await;
        let shown = text_of(&stage, id).await.original;
        assert!(
            shown.contains(&issuer) || shown.contains(&own),
            "all of it is there: {shown}"
        );
        let text = Some(shown.replace("/token", "/other"));
        ask(&stage, InterceptCommand::Edit { id, text }).await;
        ask(&stage, InterceptCommand::Forward { id }).await;
        let answer = answer_of(&mut client).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(body.contains("/other") && !body.contains("/token"), "{answer}");
        let length = format!("content-length: {}", body.len());
        assert!(head.to_ascii_lowercase().contains(&length), "{answer}");
        held(&mut stage, 0).await;
    }
}

#[tokio::test]
async fn a_response_is_refused_with_a_status_and_dropped() {
    let mut stage = armed(breakpoint("kind:http dir:s2c")).await;
    let (mut client, mut upstream) = stage.begin(&get(&stage, METADATA)).await;
    upstream.send(json("{}")).await;
    let id = only_held(&mut stage).await;
    let refusal = Refusal::Status(503);
    ask(&stage, InterceptCommand::Refuse { id, refusal }).await;
    let answer = answer_of(&mut client).await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    held(&mut stage, 0).await;
    let (mut client, mut upstream) = stage.begin(&get(&stage, METADATA)).await;
    upstream.send(json("{}")).await;
    let id = only_held(&mut stage).await;
    ask(&stage, InterceptCommand::Drop { id, is_silent: false }).await;
    let answer = answer_of(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}
