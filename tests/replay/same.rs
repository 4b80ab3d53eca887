//! A client of the Rust SDK sees the same of a server and of its recording.

use std::path::Path;

use serde_json::Value;
use shadowcat::config::RecordConfig;
use shadowcat::replay::MockServer;

use crate::sdk::{SdkServer, Speaks, Way, act, act_out, connect_over};
use crate::support::{address, engine_with, soon};

/// What a client sees of a real server, which is recorded.
async fn recorded(path: &Path, speaks: Speaks) -> Value {
    let server = SdkServer::start().await;
    let engine = engine_with(&[&server.url()], |config| {
        config.record = Some(RecordConfig {
            path: Some(path.to_owned()),
        });
    });
    let way = Way {
        url: format!("http://{}/mcp", address(&engine)),
        proxy: None,
    };
    let seen = in_order(act_out(&way, speaks, "the same").await);
    tokio::task::block_in_place(|| engine.shut_down());
    seen
}

/// The SDK hands each notification to a task of its own, so the order in which they arrive there is nobody's.
fn in_order(mut seen: Value) -> Value {
    let progress = seen["progress"].as_array_mut().unwrap();
    progress.sort_by_key(|step| step[0].as_f64().unwrap().to_bits());
    seen
}

async fn sees_the_same(speaks: Speaks) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("real.jsonl");
    let real = recorded(&path, speaks).await;
    assert!(real["echo"]["content"][0]["text"].as_str().is_some(), "{real:#?}");

    let mock = MockServer::from_recording(&path).start().await.unwrap();
    let way = Way {
        url: mock.url(),
        proxy: None,
    };
    for time in ["first", "second"] {
        let seen = in_order(act_out(&way, speaks, "the same").await);
        assert_eq!(seen, real, "the {time} time");
    }
    mock.assert_no_misses();
    mock.assert_called("tools/call", Some("slow"));

    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (input, output) = tokio::io::split(theirs);
    let stdio = MockServer::from_recording(&path);
    crate::support::spawn(async move { stdio.serve(input, output, |_| ()).await.unwrap() });
    let client = connect_over(tokio::io::split(ours), speaks, "the same").await;
    assert_eq!(in_order(act(&client).await), real, "over pipes");
    soon("the client's leaving", client.cancel()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_sees_the_same_of_a_server_and_of_its_recording() {
    sees_the_same(Speaks::Legacy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_client_sees_the_same_of_a_server_and_of_its_recording() {
    sees_the_same(Speaks::Modern).await;
}
