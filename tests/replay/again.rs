//! Every recording, over every carrier.

use serde_json::{Value, json};
use shadowcat::replay::MockServer;
use shadowcat::replay::tape::{TapeCall, TapeSession};
use shadowcat::snapshot::Direction;

use crate::peer::{Heard, Older, Peer, Stdio, Streamable, nothing, renamed};
use crate::support::soon;
use crate::{recordings, tape};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Streamable,
    Older,
    Stdio,
}

async fn peer(mock: MockServer, carrier: Carrier) -> (Peer, Option<shadowcat::replay::RunningMock>) {
    if carrier == Carrier::Stdio {
        return (Peer::Stdio(Stdio::start(mock)), None);
    }
    let running = mock.start().await.unwrap();
    let peer = match carrier {
        Carrier::Older => Peer::Older(Older::connect(&running.sse_url()).await),
        _ => Peer::Streamable(Streamable::new(running.url())),
    };
    (peer, Some(running))
}

/// What the client of the recording answered to a request like this one.
fn recorded_answer(session: &TapeSession, asked: &Value) -> Value {
    let call = session
        .server_calls()
        .find(|call| Some(&*call.method) == asked["method"].as_str());
    let Some(answer) = call.and_then(|call| call.answer) else {
        return nothing(asked);
    };
    let mut answer: Value = serde_json::from_slice(&session.messages[answer].text).unwrap();
    answer["id"] = asked["id"].clone();
    answer
}

/// Progress that was recorded for a call.
fn recorded_progress(session: &TapeSession, call: &TapeCall) -> usize {
    let is_progress = |place: &&usize| {
        let message = &session.messages[**place];
        message.direction == Direction::ServerToClient
            && message.envelope.method.as_deref() == Some("notifications/progress")
    };
    call.between.iter().filter(is_progress).count()
}

fn assert_heard(
    session: &TapeSession,
    call: &TapeCall,
    heard: &Heard,
    id: &Value,
    token: &Value,
    what: &str,
) {
    let mut expected: Value = serde_json::from_slice(&session.messages[call.answer.unwrap()].text).unwrap();
    expected["id"] = id.clone();
    assert_eq!(heard.answer, expected, "{what}");
    let progress: Vec<&Value> = heard
        .said
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .collect();
    assert_eq!(
        progress.len(),
        recorded_progress(session, call),
        "{what}: {heard:#?}"
    );
    assert!(
        progress
            .iter()
            .all(|message| message["params"]["progressToken"] == *token),
        "{what}: {progress:#?}"
    );
}

/// Says what the client of the session said, under other names, and compares what it gets.
async fn say_again(session: &TapeSession, mut peer: Peer, what: &str) -> usize {
    let mut said = 0;
    for (number, call) in session.client_calls().enumerate() {
        if call.answer.is_none() {
            continue;
        }
        let (id, token) = (json!(format!("again-{number}")), json!(number + 1000));
        let request = renamed(&session.messages[call.request].text, id.clone(), token.clone());
        let heard = peer.ask(&request, &|asked| recorded_answer(session, asked)).await;
        let what = format!("{what}, {} {number}", call.method);
        assert_heard(session, call, &heard, &id, &token, &what);
        if let Some(response) = session
            .exchange_of(&session.messages[call.request])
            .response
            .as_ref()
            && heard.status != 0
            && response.status != 202
            && response.status != 101
        {
            assert_eq!(heard.status, response.status, "{what}");
        }
        if &*call.method == "initialize" {
            peer.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
                .await;
        }
        said += 1;
    }
    said
}

async fn say_all_again(carrier: Carrier) {
    for path in recordings() {
        let tape = tape(&path);
        let mut said = 0;
        for session in &tape.sessions {
            if session.client_calls().next().is_none() {
                continue;
            }
            let mock = MockServer::from_recording(&path);
            let (peer, running) = peer(mock, carrier).await;
            let what = format!("{} over {carrier:?}", path.display());
            said += say_again(session, peer, &what).await;
            if let Some(running) = running {
                running.assert_no_misses();
                soon("the end of the mock server", running.stop()).await;
            }
        }
        assert!(said > 0, "{}: nothing was said", path.display());
    }
}

#[tokio::test]
async fn every_recording_is_answered_as_recorded_over_streamable_http() {
    say_all_again(Carrier::Streamable).await;
}

#[tokio::test]
async fn every_recording_is_answered_as_recorded_over_http_sse() {
    say_all_again(Carrier::Older).await;
}

#[tokio::test]
async fn every_recording_is_answered_as_recorded_on_standard_input_and_output() {
    say_all_again(Carrier::Stdio).await;
}
