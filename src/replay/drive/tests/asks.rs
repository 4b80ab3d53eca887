//! What servers ask of their own accord.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_roots_later_than_the_recording_lasted_is_no_other_server() {
    let mut lines = handshake();
    lines.extend([call(1, "a", &json!({})), result(1, &json!({"content": [{}]}))]);
    let ask = |method: &str| json!({"jsonrpc": "2.0", "id": 99, "method": method});
    for (us, method, expected) in [
        (1_000, "roots/list", &["same initialize", "same tools/call a"][..]),
        (
            1_000_000,
            "roots/list",
            &[
                "same initialize",
                "same tools/call a",
                "extra server asks roots/list",
            ],
        ),
        (
            1_000,
            "sampling/createMessage",
            &[
                "same initialize",
                "same tools/call a",
                "extra server asks sampling/createMessage",
            ],
        ),
    ] {
        let (told, heard) = talked(&paced(&lines, us), "", &DriveOptions::default(), |message| {
            let mut said = echo(message);
            if message["method"] == "tools/call" {
                said.splice(0..0, [json!(350), ask(method)]);
            }
            said
        })
        .await;
        assert_eq!(outcomes(&told.rows), expected, "{us}");
        let is_told = told
            .remarks
            .iter()
            .any(|remark| remark.contains("asks roots/list"));
        assert_eq!(is_told, expected.len() == 2, "{:?}", told.remarks);
        assert!(heard.iter().any(|message| message["id"] == 99), "{heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_server_asked_long_after_the_handshake_is_waited_for() {
    let mut lines = handshake();
    let ask = json!({"jsonrpc": "2.0", "id": 7, "method": "roots/list"});
    lines.extend([
        call(1, "a", &json!({})),
        result(1, &json!({"content": [{}]})),
        ('<', ask.clone()),
        ('>', json!({"jsonrpc": "2.0", "id": 7, "result": {"roots": []}})),
    ]);
    let (rows, _) = replayed(&paced(&lines, 1_000_000), "", |message| {
        let mut said = echo(message);
        if message["method"] == "tools/call" {
            said.extend([json!(3_000), ask.clone()]);
        }
        said
    })
    .await;
    let same = [
        "same initialize",
        "same tools/call a",
        "same server asks roots/list",
    ];
    assert_eq!(outcomes(&rows), same);
}
