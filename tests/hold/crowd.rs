//! A thousand held streams at once, on a runtime of two threads, while others flow.

use shadowcat::intercept::interceptor::InterceptCommand;

use crate::support::stage::{EVENTS, Stage, call};
use crate::support::*;
use crate::{RESULT, armed, ask, breakpoint, progress};

/// Streams whose first event is held.
const STREAMS: usize = 1_000;
/// Events of a stream that flows beside them, each sent when the one before it has arrived.
const FLOWING: u32 = 500;

#[test]
fn a_thousand_held_streams_stand_in_nobodys_way_on_two_threads() {
    alone_on_two_threads("crowd::a_thousand_streams_are_held");
}

/// A stream of events that has begun for its client.
async fn begin(stage: &Stage, tool: &str) -> (RawPeer, RawPeer) {
    let (mut client, mut upstream) = stage.begin(&stage.request("POST", "", &call(1, tool))).await;
    upstream.send(EVENTS).await;
    client.read_head().await;
    (client, upstream)
}

#[tokio::test]
#[ignore = "run by the test above in a process with two threads for the engine and enough descriptors"]
async fn a_thousand_streams_are_held() {
    let mut stage = armed(breakpoint("method:notifications/progress $.params.progress=1")).await;
    let mut held = Vec::new();
    for _ in 0..STREAMS {
        let (client, mut upstream) = begin(&stage, "held").await;
        upstream.send([&progress(1), RESULT].concat()).await;
        held.push(client);
    }
    snapshot_when(&mut stage.frontend, "a thousand are held", |snapshot| {
        let summary = &snapshot.intercept.summary;
        (summary.held, summary.queued) == (STREAMS, STREAMS)
    })
    .await;
    // Each event of another stream comes before the next is sent, so that none waits for what is held.
    let (mut client, mut upstream) = begin(&stage, "flowing").await;
    for number in 2..2 + FLOWING {
        let event = progress(number);
        upstream.send(&event).await;
        assert_eq!(client.read_chunked(event.len()).await, event.as_bytes());
        if number % 50 == 0 {
            stage.call("", u64::from(number), "other", "free").await;
        }
    }
    ask(&stage, InterceptCommand::ForwardAll).await;
    for client in &mut held {
        let stream = String::from_utf8(client.read_all_chunks().await).unwrap();
        // A slow machine holds them for so long that comments keep their clients.
        let said = stream.replace(": held\n\n", "");
        assert_eq!(said, [&progress(1), RESULT].concat());
    }
    snapshot_when(&mut stage.frontend, "nothing is held", |snapshot| {
        snapshot.intercept.summary == shadowcat::intercept::hold::HeldSummary::default()
    })
    .await;
}
