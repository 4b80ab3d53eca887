//! Batches of 2025-03-26: each of their messages is decided about by itself.

use futures_util::FutureExt as _;
use serde_json::{Value, json as value};

use shadowcat::ids::HoldId;
use shadowcat::intercept::hold::HeldState;
use shadowcat::intercept::interceptor::{InterceptCommand, InterceptReply};
use shadowcat::intercept::rule::Refusal;

use crate::support::holding::breakpoint;
use crate::support::stage::{ACCEPTED, EVENTS, Stage, call, json};
use crate::support::*;
use crate::{armed, ask, held, request_at, ruled};

const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

fn result(id: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"from":"server"}}}}"#)
}

fn answer(id: HoldId) -> InterceptCommand {
    InterceptCommand::Answer {
        id,
        result: r#"{"from":"me"}"#.to_owned(),
    }
}

/// A client that has posted this.
async fn posted(stage: &Stage, body: &str) -> RawPeer {
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", body)).await;
    client
}

/// The rest of what a client gets: its status line, and the body.
async fn got(mut client: RawPeer) -> (String, String) {
    let head = client.read_head().await;
    let (body, _) = client.read_to_end().await;
    (head, String::from_utf8(body).unwrap())
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn each_message_of_a_batch_is_held_by_itself_and_the_rest_goes_on_in_order_when_all_are_decided() {
    let mut stage = armed(breakpoint("method:tools/call dir:c2s !tool:free")).await;
    let batch = format!(
        "[ {}\n, {NOTE},{} ,  {}, {} ]",
        call(1, "edited"),
        call(2, "free"),
        call(3, "dropped"),
        call(4, "sent")
    );
    let client = posted(&stage, &batch).await;
    let rows = held(&mut stage, 3).await;
    let entries: Vec<_> = rows.iter().map(|row| row.batch).collect();
    assert_eq!(entries, [Some((1, 5)), Some((4, 5)), Some((5, 5))]);
    assert!(rows.iter().all(|row| row.state == HeldState::Held));
    let ids: Vec<HoldId> = rows.iter().map(|row| row.id).collect();
    // In another order than they came.
    ask(&stage, InterceptCommand::Forward { id: ids[2] }).await;
    ask(
        &stage,
        InterceptCommand::Drop {
            id: ids[1],
            is_silent: false,
        },
    )
    .await;
    let InterceptReply::Held { rows } = ask(&stage, InterceptCommand::List).await else {
        panic!("the list of what is held");
    };
    assert_eq!(
        rows.iter().map(|row| row.state).collect::<Vec<_>>(),
        [HeldState::Held, HeldState::Decided, HeldState::Decided]
    );
    assert!(stage.server.accept().now_or_never().is_none(), "it went on early");
    let text = Some(call(1, "another"));
    ask(&stage, InterceptCommand::Edit { id: ids[0], text }).await;
    ask(&stage, InterceptCommand::Forward { id: ids[0] }).await;
    let mut upstream = soon("the batch", stage.server.accept()).await;
    let (head, body) = request_at(&mut upstream).await;
    let expected = format!(
        "[ {}\n, {NOTE},{}, {} ]",
        call(1, "another"),
        call(2, "free"),
        call(4, "sent")
    );
    assert_eq!(body, expected, "{head}");
    let answers = format!("[{},{},{}]", result(4), result(2), result(1));
    upstream.send(json(&answers)).await;
    let (_, body) = got(client).await;
    let body = parsed(&body);
    assert_eq!(body.as_array().map(Vec::len), Some(4));
    assert_eq!(body[0]["id"], 4);
    assert_eq!(body[3]["id"], 3, "the dropped one fails: {body}");
    assert!(body[3]["error"]["message"].as_str().unwrap().contains("dropped"));
    held(&mut stage, 0).await;
}

#[tokio::test]
async fn a_batch_of_which_nothing_is_changed_is_the_same_bytes() {
    let mut stage = armed(breakpoint("method:tools/call dir:c2s")).await;
    let batch = format!("\n[  {} ,\t{NOTE}\r\n,{}]\n", call(1, "a"), call(2, "b"));
    let _client = posted(&stage, &batch).await;
    for row in held(&mut stage, 2).await {
        ask(&stage, InterceptCommand::Forward { id: row.id }).await;
    }
    let mut upstream = soon("the batch", stage.server.accept()).await;
    assert_eq!(request_at(&mut upstream).await.1, batch);
}

#[tokio::test]
async fn the_answer_to_one_entry_comes_with_the_servers_answer_to_the_others() {
    let sse = |data: &str| format!("{EVENTS}data: {data}\n\n");
    let mine = value!({"jsonrpc": "2.0", "id": 1, "result": {"from": "me"}});
    let theirs = value!({"jsonrpc": "2.0", "id": 2, "result": {"from": "server"}});
    for (rest, response, expected) in [
        (
            call(2, "other"),
            json(&format!("[{}]", result(2))),
            vec![value!([theirs, mine])],
        ),
        // One message where a batch was to be expected.
        (call(2, "other"), json(&result(2)), vec![value!([theirs, mine])]),
        (
            call(2, "other"),
            sse(&result(2)),
            vec![value!([mine]), theirs.clone()],
        ),
        (NOTE.to_owned(), ACCEPTED.to_owned(), vec![value!([mine])]),
        (
            NOTE.to_owned(),
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            vec![value!([mine])],
        ),
    ] {
        let mut stage = armed(breakpoint("tool:mine dir:c2s")).await;
        let client = posted(&stage, &format!("[{},{rest}]", call(1, "mine"))).await;
        let rows = held(&mut stage, 1).await;
        ask(&stage, answer(rows[0].id)).await;
        let mut upstream = soon("the rest", stage.server.accept()).await;
        assert_eq!(request_at(&mut upstream).await.1, format!("[{rest}]"));
        upstream.send(&response).await;
        drop(upstream);
        let (head, body) = got(client).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{response}\n{head}");
        let is_stream = head.to_ascii_lowercase().contains("text/event-stream");
        let body = if head.to_ascii_lowercase().contains("chunked") {
            crate::verdicts::unchunked(&body).0
        } else {
            body
        };
        let got: Vec<Value> = if is_stream {
            body.lines()
                .filter_map(|line| line.strip_prefix("data: "))
                .map(parsed)
                .collect()
        } else {
            assert!(head.to_ascii_lowercase().contains("application/json"), "{head}");
            vec![parsed(&body)]
        };
        assert_eq!(got, expected, "{response}");
    }
}

#[tokio::test]
async fn where_nothing_is_left_of_a_batch_the_answers_come_back_as_one_and_no_server_is_asked() {
    let mut stage = armed(breakpoint("dir:c2s")).await;
    let client = posted(&stage, &format!("[{},{NOTE},{}]", call(1, "a"), call(2, "b"))).await;
    let rows = held(&mut stage, 3).await;
    ask(&stage, answer(rows[0].id)).await;
    let id = rows[1].id;
    ask(&stage, InterceptCommand::Drop { id, is_silent: false }).await;
    let refusal = Refusal::Error {
        code: -32602,
        message: "no".to_owned(),
    };
    ask(
        &stage,
        InterceptCommand::Refuse {
            id: rows[2].id,
            refusal,
        },
    )
    .await;
    let (head, body) = got(client).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let expected = value!([
        {"jsonrpc": "2.0", "id": 1, "result": {"from": "me"}},
        {"jsonrpc": "2.0", "id": 2, "error": {"code": -32602, "message": "no"}},
    ]);
    assert_eq!(parsed(&body), expected);
    assert!(stage.server.accept().now_or_never().is_none());
}

#[tokio::test]
async fn a_batch_whose_every_call_is_refused_with_a_status_has_that_status() {
    let stage =
        ruled("[[rule]]\nname = \"r\"\nwhen = \"method:tools/call\"\nrefuse = { status = 429 }\n").await;
    let client = posted(&stage, &format!("[{},{}]", call(1, "a"), call(2, "b"))).await;
    let (head, body) = got(client).await;
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
    assert_eq!(parsed(&body)[1]["id"], 2);
}

#[tokio::test]
async fn rules_act_on_the_messages_of_a_batch_that_they_mean() {
    let stage = ruled(
        "[[rule]]\nname = \"r\"\nwhen = \"tool:delete\"\nrefuse = { code = -32000, message = \"no\" }\n\
         [[rule]]\nname = \"s\"\nwhen = \"tool:weather\"\nanswer = { content = [] }\n\
         [[rule]]\nname = \"t\"\nwhen = \"tool:search dir:c2s\"\nreplace = { set = { \"$.params.name\" = \"find\" } }\n",
    )
    .await;
    let batch = format!(
        "[{},{},{}]",
        call(1, "delete"),
        call(2, "search"),
        call(3, "weather")
    );
    let client = posted(&stage, &batch).await;
    let mut upstream = soon("the rest", stage.server.accept()).await;
    assert_eq!(
        request_at(&mut upstream).await.1,
        format!("[{}]", call(2, "find"))
    );
    upstream.send(json(&format!("[{}]", result(2)))).await;
    let body = parsed(&got(client).await.1);
    let ids: Vec<_> = body
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer["id"].clone())
        .collect();
    assert_eq!(ids, [2, 1, 3]);
    assert_eq!(body[2]["result"], value!({"content": []}));
}

#[tokio::test]
async fn one_answer_of_a_batch_is_edited_and_the_others_stay() {
    let mut stage = armed(breakpoint("kind:result id:2 dir:s2c")).await;
    let mut client = posted(&stage, &format!("[{},{}]", call(1, "a"), call(2, "b"))).await;
    let mut upstream = stage.server.accept().await;
    request_at(&mut upstream).await;
    upstream
        .send(json(&format!("[ {} , {}]", result(1), result(2))))
        .await;
    let rows = held(&mut stage, 1).await;
    assert_eq!(rows[0].batch, Some((2, 2)));
    let id = rows[0].id;
    let edited = r#"{"jsonrpc":"2.0","id":2,"result":{"from":"an editor"}}"#;
    let text = Some(edited.to_owned());
    ask(&stage, InterceptCommand::Edit { id, text }).await;
    ask(&stage, InterceptCommand::Forward { id }).await;
    client.read_head().await;
    let (body, _) = client.read_to_end().await;
    assert_eq!(
        String::from_utf8(body).unwrap(),
        format!("[ {} , {edited}]", result(1))
    );
}

#[tokio::test]
async fn one_message_of_a_batch_in_an_event_is_dropped_and_the_event_keeps_its_id() {
    let mut stage = armed(breakpoint("method:notifications/message dir:s2c")).await;
    let request = stage.request("POST", "", &call(1, "a"));
    let (mut client, mut upstream) = stage.begin(&request).await;
    let note = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}"#;
    let event = format!("id: 7\ndata: [{note},{}]\n\n", result(1));
    upstream.send([EVENTS, &event].concat()).await;
    drop(upstream);
    let rows = held(&mut stage, 1).await;
    let id = rows[0].id;
    ask(&stage, InterceptCommand::Drop { id, is_silent: false }).await;
    client.read_head().await;
    let body = client.read_all_chunks().await;
    let expected = format!("id: 7\ndata: [{}]\n\n", result(1));
    assert_eq!(String::from_utf8(body).unwrap(), expected);
}

#[tokio::test]
async fn a_call_that_waits_for_the_rest_of_its_batch_can_still_be_cancelled() {
    let mut stage = armed(breakpoint("method:tools/call dir:c2s")).await;
    stage.notify("s").await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    let batch = format!("[{},{}]", call(1, "a"), call(2, "b"));
    client.send(stage.request("POST", "s", &batch)).await;
    let rows = held(&mut stage, 2).await;
    ask(&stage, InterceptCommand::Forward { id: rows[0].id }).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let mut other = RawPeer::connect(address(&stage.engine)).await;
    other.send(stage.request("POST", "s", cancel)).await;
    assert!(other.read_head().await.starts_with("HTTP/1.1 202 "));
    ask(&stage, InterceptCommand::Forward { id: rows[1].id }).await;
    let mut upstream = soon("the rest", stage.server.accept()).await;
    assert_eq!(request_at(&mut upstream).await.1, format!("[{}]", call(2, "b")));
}

#[tokio::test]
async fn a_fault_of_the_carrier_breaks_a_batch_as_a_whole() {
    let stage = ruled("[[rule]]\nname = \"r\"\nwhen = \"id:2 dir:s2c\"\nfault = { truncate = 10 }\n").await;
    let mut client = posted(&stage, &format!("[{},{}]", call(1, "a"), call(2, "b"))).await;
    let mut upstream = stage.server.accept().await;
    request_at(&mut upstream).await;
    upstream
        .send([EVENTS, &format!("data: [{},{}]\n\n", result(1), result(2))].concat())
        .await;
    drop(upstream);
    client.read_head().await;
    let (body, _) = client.read_to_end().await;
    let body = String::from_utf8(body).unwrap();
    assert!(
        body.contains("data: [{\"j") && !body.contains("\"id\":1"),
        "{body}"
    );
}
