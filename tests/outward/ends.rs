//! The end, whoever begins it.

use std::time::Duration;

use serde_json::json;
use shadowcat::outward::OutwardEnd;

use crate::shim::*;
use crate::support::*;

#[tokio::test]
async fn at_the_end_of_the_input_answers_are_waited_for() {
    let (server, mut shim) = raw().await;
    shim.say(&ping("1")).await;
    let asked = Asked::by(&server).await;
    shim.input = None;
    asked.answer_json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    assert_eq!(shim.rest().await.len(), 1);
    assert_eq!(shim.end().await.unwrap(), OutwardEnd::InputEnded);
}

#[tokio::test]
async fn answers_that_do_not_come_are_not_waited_for_without_end() {
    let server = RawServer::bind().await;
    let url = format!("http://{}/mcp", server.address());
    let mut shim = Shim::with(&url, |config| config.drain = Duration::from_millis(50));
    shim.say(&ping("1")).await;
    let mut asked = Asked::by(&server).await;
    shim.input = None;
    assert_ours(&shim.hear_json().await, &json!(1), "stopped");
    asked.peer.wait_closed().await;
    assert_eq!(shim.end().await.unwrap(), OutwardEnd::InputEnded);
}

#[tokio::test]
async fn told_to_stop_it_ends_the_session_and_everything_else() {
    let (server, mut shim) = raw_session().await;
    shim.say(&ping("1")).await;
    let mut asked = Asked::by(&server).await;
    shim.stop.cancel();
    let last = Asked::by(&server).await;
    assert_eq!(last.line(), "DELETE /mcp HTTP/1.1");
    last.accept().await;
    asked.peer.wait_closed().await;
    assert_ours(&shim.hear_json().await, &json!(1), "stopped");
    assert_eq!(
        soon("the end", shim.ended).await.unwrap().unwrap(),
        OutwardEnd::Stopped
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_any_more_ends_everything() {
    let (server, mut shim) = raw().await;
    shim.say(&ping("1")).await;
    let asked = Asked::by(&server).await;
    drop(shim.output);
    asked.answer_json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    assert_eq!(
        soon("the end", shim.ended).await.unwrap().unwrap(),
        OutwardEnd::OutputClosed
    );
}
