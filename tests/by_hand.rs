//! What a person does with held messages beyond letting them go: rules made of it, heads, several at once, copies.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod support;

use support::holding::{breakpoint, decide, held_one, held_rows};
use support::stage::{EVENTS, Stage, call, json, reply, stage};
use support::*;

use futures_util::FutureExt as _;
use shadowcat::ids::HoldId;
use shadowcat::intercept::hold::{HeadEdit, HeldRow, HeldState};
use shadowcat::intercept::interceptor::{Deed, HeldText, InterceptCommand, InterceptReply, Remedy};
use shadowcat::snapshot::{Command, Repeat, Reply, RowState};

async fn holding(when: &str) -> Stage {
    let rule = breakpoint(when);
    stage(|config| {
        config.can_hold = true;
        config.rules = vec![rule];
    })
    .await
}

async fn text_of(stage: &Stage, id: HoldId) -> HeldText {
    match decide(&stage.frontend, InterceptCommand::Show { id }).await {
        InterceptReply::Message(text) => *text,
        other => panic!("{other:?}"),
    }
}

/// A notification of progress as an event.
fn progress(number: u32) -> String {
    format!(
        "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":1,\"progress\":{number}}}}}\n\n"
    )
}

/// What an upstream is asked: head in lower case, and body.
async fn request_at(upstream: &mut RawPeer) -> (String, String) {
    let head = upstream.read_head().await.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    let body = upstream.read_exactly(length).await;
    (head, String::from_utf8(body).unwrap())
}

async fn answer_at(client: &mut RawPeer) -> String {
    let (answer, _) = client.read_to_end().await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_copy_of_a_held_call_goes_to_its_server_and_nobody_but_us_hears_the_answer() {
    let mut stage = holding("method:tools/call dir:c2s").await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client
        .send(stage.request("POST", "abc", &call(1, "search")))
        .await;
    let id = held_one(&mut stage.frontend).await;
    let text = text_of(&stage, id).await;
    let repeat = Repeat {
        exchange: text.row.exchange,
        target: "/mcp".to_owned(),
        head: text.head.clone().unwrap(),
        side: text.side,
        server: text.row.server.clone(),
        client: text.address.clone(),
        edit: HeadEdit {
            fields: vec![("x-new".to_owned(), Some("1".to_owned()))],
            refused: Vec::new(),
        },
        original: text.original.clone(),
        body: text.original.replace("search", "find"),
    };
    let copy = match reply(&stage.frontend, Command::Resend(Box::new(repeat))).await {
        Reply::Resent { id } => id,
        other => panic!("{other:?}"),
    };
    let mut upstream = soon("the copy", stage.server.accept()).await;
    let (head, body) = request_at(&mut upstream).await;
    assert!(
        head.contains("mcp-session-id: abc") && head.contains("x-new: 1"),
        "{head}"
    );
    assert_eq!(
        body,
        call(1, "find").replace("\"id\":1", &format!("\"id\":{copy}"))
    );
    upstream
        .send(json(&format!(
            r#"{{"jsonrpc":"2.0","id":{copy},"result":{{"copied":true}}}}"#
        )))
        .await;
    drop(upstream);
    let rows = snapshot_when(&mut stage.frontend, "the answer to the copy", |snapshot| {
        let mut rows = snapshot.messages.rows.iter();
        rows.any(|row| {
            row.rpc_id.as_deref() == Some(&*copy) && row.method.is_some() && row.state != RowState::default()
        }) && snapshot.messages.rows.len() >= 3
    })
    .await;
    let sessions: Vec<_> = rows.messages.rows.iter().map(|row| row.session).collect();
    assert!(sessions.windows(2).all(|pair| pair[0] == pair[1]), "{sessions:?}");
    held_rows(&mut stage.frontend, 1).await;
    decide(&stage.frontend, InterceptCommand::Forward { id }).await;
    let mut upstream = soon("the call itself", stage.server.accept()).await;
    assert_eq!(request_at(&mut upstream).await.1, call(1, "search"));
    upstream
        .send(json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#))
        .await;
    drop(upstream);
    let answer = answer_at(&mut client).await;
    assert!(
        answer.contains("\"id\":1") && !answer.contains("copied"),
        "{answer}"
    );
}

#[tokio::test]
async fn what_is_to_be_done_always_is_done_before_the_breakpoint_and_is_saved() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules.toml");
    std::fs::write(
        &file,
        "# mine\n\n[[rule]]\nname = \"all\"\nwhen = \"method:tools/call dir:c2s\"\nthen = \"hold\"\n",
    )
    .unwrap();
    let path = file.clone();
    let mut stage = stage(|config| {
        config.can_hold = true;
        config.rules_file = Some(path);
    })
    .await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", &call(1, "search"))).await;
    let id = held_one(&mut stage.frontend).await;
    let result = r#"{"content":[],"said":"{{$.params.name}}"}"#.to_owned();
    let by_hand = InterceptCommand::Answer {
        id,
        result: result.clone(),
    };
    decide(&stage.frontend, by_hand).await;
    assert!(answer_at(&mut client).await.contains(r#""said":"search""#));
    let always = InterceptCommand::Always {
        when: "method:tools/call tool:search dir:c2s".to_owned(),
        name: "answer search".to_owned(),
        remedy: Remedy::Answered { result },
    };
    let InterceptReply::Done { words } = decide(&stage.frontend, always).await else {
        panic!("no rule");
    };
    assert!(
        words.contains("answer search") && words.contains("saved to"),
        "{words}"
    );
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", &call(2, "search"))).await;
    let answer = answer_at(&mut client).await;
    assert!(
        answer.contains(r#""id":2,"result":{"content":[],"said":"search"}"#),
        "{answer}"
    );
    assert!(stage.server.accept().now_or_never().is_none());
    let saved = std::fs::read_to_string(&file).unwrap();
    assert!(
        saved.starts_with("# mine\n\n[[rule]]\nname = \"answer search\"\n"),
        "{saved}"
    );
    assert!(saved.ends_with("then = \"hold\"\n"), "{saved}");
}

#[tokio::test]
async fn a_head_goes_on_as_edited_and_a_header_that_was_refused_stays_as_it_came() {
    let mut stage = holding("method:tools/call").await;
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{meta},"name":"search"}}}}"#);
    let head = "Mcp-Method: tools/call\r\nMcp-Name: search\r\nX-Gone: 1\r\n";
    let request = stage
        .request("POST", "", &body)
        .replace("Content-Type", &format!("{head}Content-Type"));
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(request).await;
    let id = held_one(&mut stage.frontend).await;
    let text = Some(body.replace("search", "find"));
    decide(&stage.frontend, InterceptCommand::Edit { id, text }).await;
    let shown = text_of(&stage, id).await;
    let told: Vec<String> = shown.fixups.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["mcp-name: search → find"]);
    let edit = HeadEdit {
        fields: vec![
            ("x-new".to_owned(), Some("2".to_owned())),
            ("x-gone".to_owned(), None),
        ],
        refused: vec!["Mcp-Name".to_owned()],
    };
    decide(&stage.frontend, InterceptCommand::Head { id, edit }).await;
    decide(&stage.frontend, InterceptCommand::Forward { id }).await;
    let mut upstream = soon("the edited call", stage.server.accept()).await;
    let (head, sent) = request_at(&mut upstream).await;
    assert!(
        head.contains("mcp-name: search\r\n") && head.contains("x-new: 2\r\n"),
        "{head}"
    );
    assert!(!head.contains("x-gone"), "{head}");
    assert_eq!(sent, body.replace("search", "find"));
    upstream
        .send(json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#))
        .await;
    let shown = snapshot_when(&mut stage.frontend, "the answer", |snapshot| {
        snapshot.messages.rows.len() == 2
    })
    .await;
    let id = shown.messages.rows[0].id;
    let Reply::Detail(detail) = reply(&stage.frontend, Command::Inspect { id }).await else {
        panic!("no detail");
    };
    let exchange = detail.exchange.unwrap();
    let sent = exchange.sent.unwrap();
    assert!(
        sent.set.contains(&("x-new".to_owned(), "2".to_owned())),
        "{sent:?}"
    );
    assert!(sent.removed.contains(&"x-gone".to_owned()), "{sent:?}");
    let told = exchange.body_rewrites;
    assert_eq!(told[..2], ["header x-new set", "header x-gone taken out"]);
}

#[tokio::test]
async fn several_that_go_on_together_keep_the_order_of_their_stream() {
    let mut stage = holding("kind:notification dir:s2c").await;
    let (mut client, mut upstream) = stage.begin(&stage.request("POST", "", &call(1, "slow"))).await;
    let events: String = (1..=3).map(progress).collect();
    let result = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n";
    upstream.send([EVENTS, &events, result].concat()).await;
    drop(upstream);
    let rows = held_rows(&mut stage.frontend, 3).await;
    let ids = vec![rows[0].id, rows[2].id];
    let deed = Deed::Forward;
    decide(&stage.frontend, InterceptCommand::Together { ids, deed }).await;
    // The third is decided about, and waits for the second.
    let left = held_rows(&mut stage.frontend, 2).await;
    assert_eq!(left[0].id, rows[1].id);
    let is_silent = false;
    decide(
        &stage.frontend,
        InterceptCommand::Drop {
            id: rows[1].id,
            is_silent,
        },
    )
    .await;
    let answer = answer_at(&mut client).await;
    let place = |number: u32| answer.find(&format!("\"progress\":{number}"));
    assert!(
        place(1) < place(3) && place(1).is_some() && place(2).is_none(),
        "{answer}"
    );
    assert!(answer.contains("\"result\""), "{answer}");
}

#[tokio::test]
async fn a_held_event_changes_its_place_in_its_stream_and_is_still_held() {
    let mut stage = holding("kind:notification dir:s2c").await;
    let (mut client, mut upstream) = stage.begin(&stage.request("POST", "", &call(1, "slow"))).await;
    upstream
        .send([EVENTS, &(1..=3).map(progress).collect::<String>()].concat())
        .await;
    let rows = held_rows(&mut stage.frontend, 3).await;
    let go = |id, is_earlier| InterceptCommand::Move { id, is_earlier };
    decide(&stage.frontend, go(rows[0].id, false)).await;
    let is_head = move |rows: &[HeldRow], at: usize| rows[at].state == HeldState::Held;
    let moved = snapshot_when(
        &mut stage.frontend,
        "another one is at the head",
        move |snapshot| {
            let rows = &snapshot.intercept.rows;
            is_head(rows, 1) && !is_head(rows, 0)
        },
    )
    .await;
    assert_eq!(moved.intercept.rows.len(), 3);
    decide(&stage.frontend, go(rows[2].id, true)).await;
    // 2 3 1 now.
    decide(&stage.frontend, InterceptCommand::ForwardAll).await;
    held_rows(&mut stage.frontend, 0).await;
    drop(upstream);
    let answer = answer_at(&mut client).await;
    let place = |number: u32| answer.find(&format!("\"progress\":{number}")).unwrap();
    assert!(place(2) < place(3) && place(3) < place(1), "{answer}");
}
