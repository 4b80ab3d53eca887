//! However those end who could decide, what is held goes on and no client hangs; and where there is nobody, nothing waits.

use shadowcat::intercept::interceptor::{InterceptCommand, InterceptReply};

use crate::support::stage::{EVENTS, Stage, call, json, stage};
use crate::support::*;
use crate::{RESULT, armed, ask, breakpoint, held, only_held, progress, request_at, ruled_with};

const ANSWER: &str = r#"{ "jsonrpc":"2.0","id":1,"result":{} }"#;

/// A request, an answer and a stream that are held, and their clients; the server's ends of the latter two.
async fn all_held(stage: &mut Stage) -> ([RawPeer; 3], [RawPeer; 2]) {
    let mut request = RawPeer::connect(address(&stage.engine)).await;
    request.send(stage.request("POST", "", &call(1, "request"))).await;
    let (answer, mut at_answer) = stage.begin(&stage.request("POST", "", &call(1, "answer"))).await;
    at_answer.send(json(ANSWER)).await;
    let (stream, mut at_stream) = stage.begin(&stage.request("POST", "", &call(1, "stream"))).await;
    at_stream
        .send([EVENTS, &progress(1), &progress(2), RESULT].concat())
        .await;
    held(stage, 3).await;
    ([request, answer, stream], [at_answer, at_stream])
}

const RULES: &str = "[[rule]]\nname = \"r\"\nwhen = '(dir:c2s tool:request) | (kind:result tool:answer) | $.params.progress=2'\nthen = \"hold\"\n";

/// Each client gets what its server sent.
async fn all_went_on(server: &RawServer, clients: [RawPeer; 3], upstreams: [RawPeer; 2]) {
    let [mut request, mut answer, mut stream] = clients;
    let mut upstream = soon("the held request", server.accept()).await;
    assert_eq!(request_at(&mut upstream).await.1, call(1, "request"));
    upstream.send(json(ANSWER)).await;
    drop((upstream, upstreams));
    for client in [&mut request, &mut answer] {
        let text = String::from_utf8(client.read_to_end().await.0).unwrap();
        assert!(text.ends_with(ANSWER), "{text}");
    }
    stream.read_head().await;
    let events = String::from_utf8(stream.read_all_chunks().await).unwrap();
    assert_eq!(events, [&progress(1), &progress(2), RESULT].concat());
}

#[tokio::test]
async fn when_the_owner_of_an_engine_panics_what_is_held_goes_on_unchanged() {
    let mut stage = ruled_with(RULES, |config| config.limits.drain_timeout = PATIENCE).await;
    let (clients, upstreams) = all_held(&mut stage).await;
    let first = stage.frontend.snapshots.borrow().intercept.rows[0].id;
    let text = Some("{}".to_owned());
    ask(&stage, InterceptCommand::Edit { id: first, text }).await;
    let Stage {
        server,
        engine,
        frontend,
    } = stage;
    #[expect(
        clippy::disallowed_methods,
        reason = "the end of an engine is waited for on a thread of its own, and the engine's tasks cannot do that"
    )]
    let panicking = tokio::task::spawn_blocking(move || {
        let _both = (frontend, engine);
        panic!("a mistake of whoever draws");
    });
    all_went_on(&server, clients, upstreams).await;
    assert!(panicking.await.unwrap_err().is_panic());
}

#[tokio::test]
async fn what_a_screen_leaves_held_can_be_decided_by_the_next_one() {
    let mut stage = armed(breakpoint("method:tools/call dir:c2s")).await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", &call(1, "echo"))).await;
    let id = only_held(&mut stage).await;
    stage.frontend = stage.engine.frontend().unwrap();
    assert_eq!(only_held(&mut stage).await, id);
    ask(&stage, InterceptCommand::Forward { id }).await;
    let mut upstream = stage.server.accept().await;
    assert_eq!(request_at(&mut upstream).await.1, call(1, "echo"));
    upstream.send(json(ANSWER)).await;
    assert!(client.read_to_end().await.0.ends_with(ANSWER.as_bytes()));
}

#[tokio::test]
async fn where_nobody_can_decide_nothing_is_ever_held() {
    let stage = stage(|config| {
        config.can_hold = false;
        config.rules = vec![breakpoint("")];
    })
    .await;
    for id in 1..20 {
        stage.call("", id, "echo", "free").await;
    }
    let stepped = InterceptCommand::Break {
        filter: String::new(),
        is_once: true,
    };
    ask(&stage, stepped).await;
    stage.call("", 20, "echo", "free").await;
    let InterceptReply::Events(events) = ask(&stage, InterceptCommand::Events { after: 0 }).await else {
        panic!("no events");
    };
    assert_eq!(events.newest, 0, "{events:?}");
}
