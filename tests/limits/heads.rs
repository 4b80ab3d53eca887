//! Heads: too large, too many fields, from either side.

use crate::support::stage::*;
use crate::support::*;

const LARGE: usize = 20_000;

fn fields(count: usize) -> String {
    let fields: Vec<String> = (0..count).map(|number| format!("x-{number}: y\r\n")).collect();
    fields.concat()
}

/// The status that a request with these fields gets.
async fn status_of(stage: &Stage, fields: &str) -> String {
    let host = address(&stage.engine);
    let mut client = RawPeer::connect(host).await;
    client
        .send(format!("GET /mcp HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"))
        .await;
    let head = client.read_head().await;
    client.wait_closed().await;
    head.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
pub(super) async fn a_request_head_above_either_limit_is_431_and_each_is_counted_for_itself() {
    let mut stage = stage(|config| {
        config.limits.max_head_bytes = 8192;
        config.limits.max_headers = 32;
    })
    .await;
    assert_eq!(status_of(&stage, &fields(50)).await, "431");
    snapshot_when(&mut stage.frontend, "the many fields", |snapshot| {
        gauge(snapshot, "max_headers", "most").reached == 1
    })
    .await;
    let large = format!("x-large: {}\r\n", "y".repeat(LARGE));
    assert_eq!(status_of(&stage, &large).await, "431");
    let snapshot = snapshot_when(&mut stage.frontend, "the large head", |snapshot| {
        gauge(snapshot, "max_head_bytes", "largest").reached == 1
    })
    .await;
    assert_eq!(gauge(&snapshot, "max_headers", "most").reached, 1);
    // What fits is passed on, and shown as the largest of late.
    stage.call("s", 1, "echo", "hi").await;
    snapshot_when(&mut stage.frontend, "the fitting head", |snapshot| {
        let (bytes, fields) = (
            gauge(snapshot, "max_head_bytes", "largest"),
            gauge(snapshot, "max_headers", "most"),
        );
        (100..8192).contains(&bytes.used) && (3..32).contains(&fields.used)
    })
    .await;
}

#[tokio::test]
pub(super) async fn a_response_head_above_the_limit_is_502() {
    let mut stage = stage(|config| config.limits.max_head_bytes = 8192).await;
    let (mut client, mut upstream) = stage.begin(&stage.request("POST", "s", &call(1, "echo"))).await;
    upstream
        .send(format!(
            "HTTP/1.1 200 OK\r\nx-large: {}\r\n\r\n",
            "y".repeat(LARGE)
        ))
        .await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 502 "));
    snapshot_when(&mut stage.frontend, "the large head", |snapshot| {
        gauge(snapshot, "max_head_bytes", "largest").reached == 1
    })
    .await;
}
