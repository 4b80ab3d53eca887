//! A call that is sent to a command again: over HTTP, like its client's.

use crate::http_sse::Session;
use crate::peer::*;
use crate::support::again::*;

#[tokio::test]
async fn in_a_session_the_copy_reaches_its_program_and_nobody_else_hears_the_answer() {
    let engine = bridge(scripted(""), |_| {});
    let mut frontend = engine.frontend().unwrap();
    let client = Client::in_session(&engine, "2025-06-18").await;
    assert_eq!(client.post(&call("1", "echo", "{}")).await.status, 200);
    let (id, message) = send_again(&mut frontend).await;
    let answer = answer_shown(&mut frontend, &id).await;
    assert_eq!(answer.session, message.row.session);
    assert_eq!(client.post(&call("2", "echo", "{}")).await.status, 200);
}

#[tokio::test]
async fn over_http_and_sse_the_answer_is_left_out_of_the_stream_of_the_client() {
    let engine = bridge(scripted(""), |_| {});
    let mut frontend = engine.frontend().unwrap();
    let mut session = Session::begin(Client::new(&engine)).await;
    session.post(&call("1", "echo", "{}")).await;
    assert_eq!(session.hear().await["id"], 1);
    let (id, message) = send_again(&mut frontend).await;
    let answer = answer_shown(&mut frontend, &id).await;
    assert_eq!(answer.session, message.row.session);
    session.post(&call("2", "echo", "{}")).await;
    assert_eq!(session.hear().await["id"], 2);
}
