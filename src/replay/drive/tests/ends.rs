//! Conversations that end before their time: what was not sent, and what nobody answered, is never the same.

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

fn options() -> DriveOptions {
    DriveOptions {
        timeout: PATIENCE,
        ..DriveOptions::default()
    }
}

/// A handshake, a call with an answer, one without, one that is cancelled, and one after all of them.
fn all_kinds() -> Tape {
    let mut lines = handshake();
    lines.extend([
        call(1, "answered", &json!({"x": 1})),
        result(1, &json!({"content": [{"x": 1}]})),
        call(2, "never", &json!({"x": 2})),
        call(3, "given up", &json!({"x": 3})),
        (
            '>',
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}}),
        ),
        call(4, "last", &json!({"x": 4})),
        result(4, &json!({"content": [{"x": 4}]})),
    ]);
    tape(&lines)
}

const ALL: [&str; 5] = [
    "initialize",
    "tools/call answered",
    "tools/call never",
    "tools/call given up",
    "tools/call last",
];

fn with_titles(outcomes: [&str; 5]) -> Vec<String> {
    let lines = outcomes.iter().zip(ALL);
    lines
        .map(|(outcome, title)| format!("{outcome} {title}"))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_refused_handshake_ends_it_and_the_rest_is_unsent() {
    let (told, heard) = talked(&all_kinds(), "", &options(), |message| {
        let error = json!({"code": -32602, "message": "Unsupported protocol version"});
        vec![json!({"jsonrpc": "2.0", "id": message["id"], "error": error})]
    })
    .await;
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(
        outcomes(&told.rows),
        with_titles(["changed", "unsent", "unsent", "unsent", "unsent"])
    );
    let why = "the server answered initialize with the error -32602: Unsupported protocol version";
    assert_eq!(told.rows[1].remarks, ["not sent: there was no handshake"]);
    assert!(
        matches!(&told.end, End::Refused { why: told, advice, .. } if told == why && advice.contains("a new recording")),
        "{:?}",
        told.end
    );
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_nobody_answers_ends_it_and_what_came_instead_is_kept() {
    let (told, heard) = talked(&all_kinds(), "", &options(), |_| {
        vec![json!("Listening on port 3000\u{1b}[0m"), json!("")]
    })
    .await;
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(
        outcomes(&told.rows),
        with_titles(["timed out", "unsent", "unsent", "unsent", "unsent"])
    );
    assert_eq!(told.rows[0].remarks, ["no answer within 5s"]);
    assert_eq!(
        (told.stray.count, told.stray.first.as_str()),
        (1, "Listening on port 3000\u{1b}[0m")
    );
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_was_refused_in_the_recording_too_is_the_same() {
    let mut lines = handshake();
    let error = json!({"jsonrpc": "2.0", "id": 0, "error": {"code": -32602, "message": "no"}});
    lines[1].1 = error.clone();
    lines.truncate(2);
    lines.extend([
        (
            '>',
            json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover"}),
        ),
        result(1, &json!({})),
    ]);
    let (rows, _) = replayed(&tape(&lines), "", |message| {
        let mut answer = error.clone();
        if message["method"] == "server/discover" {
            answer = json!({"jsonrpc": "2.0", "result": {}});
        }
        answer["id"] = message["id"].clone();
        vec![answer]
    })
    .await;
    assert_eq!(outcomes(&rows), ["same initialize", "same server/discover"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_early_leaves_nothing_that_counts_as_the_same() {
    for (ends_at, expected) in [
        ("initialize", ["missing", "unsent", "unsent", "unsent", "unsent"]),
        ("answered", ["same", "missing", "unsent", "unsent", "unsent"]),
        ("never", ["same", "same", "missing", "missing", "missing"]),
        ("last", ["same", "same", "missing", "same", "missing"]),
    ] {
        let (told, _) = talked(&all_kinds(), "", &options(), |message| {
            let name = message["params"]["name"].as_str();
            if message["method"] == ends_at || name == Some(ends_at) {
                return vec![Value::Null];
            }
            match name {
                Some("never" | "given up") => Vec::new(),
                _ => echo(message),
            }
        })
        .await;
        assert!(matches!(told.end, End::ByServer(_)), "{ends_at}");
        // Whether what follows was written before the end was read is chance.
        let at_most = |found: &str, expected: &str| {
            found == expected || matches!((found, expected), ("unsent" | "same", "missing"))
        };
        let found: Vec<&str> = told.rows.iter().map(|row| row.outcome.name()).collect();
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(found, expected)| at_most(found, expected)),
            "{ends_at}: {:?}",
            outcomes(&told.rows)
        );
        assert_ne!(found[2], "same", "{ends_at}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_known_when_somebody_interrupts_it_is_told_and_the_rest_was_not_sent() {
    let options = options();
    let stop = options.stop.clone();
    let mut lines = handshake();
    for number in 1..=3 {
        lines.extend([
            call(number, "echo", &json!({"x": number})),
            result(number, &json!({"content": [{"x": number}]})),
        ]);
    }
    let (told, heard) = talked(&tape(&lines), "", &options, |message| {
        if message["params"]["arguments"]["x"] == 2 {
            stop.cancel();
            return Vec::new();
        }
        echo(message)
    })
    .await;
    assert_eq!(heard.len(), 4, "{heard:?}");
    assert_eq!(
        outcomes(&told.rows),
        [
            "same initialize",
            "same tools/call echo",
            "missing tools/call echo",
            "unsent tools/call echo"
        ]
    );
    assert_eq!(told.rows[2].remarks, ["interrupted before an answer came"]);
    assert_eq!(told.rows[3].remarks, ["not sent: interrupted"]);
    assert_eq!(told.end, End::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_comes_before_a_call_is_given_up_is_no_part_of_giving_it_up() {
    let mut lines = handshake();
    let params = json!({"name": "slow", "_meta": {"progressToken": 1}});
    lines.extend([
        (
            '>',
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}),
        ),
        (
            '<',
            json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}),
        ),
        (
            '>',
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}),
        ),
    ]);
    let tape = tape(&lines);
    let (rows, _) = replayed(&tape, "", |message| match message["method"].as_str() {
        Some("tools/call") => {
            let error = json!({"code": -32601, "message": "no such tool"});
            vec![json!({"jsonrpc": "2.0", "id": message["id"], "error": error})]
        }
        _ => echo(message),
    })
    .await;
    assert_eq!(outcomes(&rows), ["same initialize", "extra tools/call slow"]);
    assert_eq!(
        rows[1].remarks,
        ["answered with the error -32601: no such tool, before it was cancelled"]
    );
    let (rows, _) = replayed(&tape, "", |message| match message["method"].as_str() {
        Some("tools/call") => {
            let params = json!({"progressToken": message["params"]["_meta"]["progressToken"], "progress": 1});
            vec![json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})]
        }
        _ => echo(message),
    })
    .await;
    assert_eq!(outcomes(&rows), ["same initialize", "same tools/call slow"]);
}

#[tokio::test(start_paused = true)]
async fn a_difference_in_an_answer_that_repeats_a_tag_says_where_it_may_come_from() {
    let mut lines = handshake();
    let tag = "\u{2039}secret:5be1c0ffee01\u{203a}";
    lines.extend([
        call(1, "whoami", &json!({"password": tag})),
        result(1, &json!({"content": [{"text": "4 letters: abcd"}]})),
    ]);
    let (rows, _) = replayed(&tape(&lines), "", |message| {
        if message["method"] != "tools/call" {
            return echo(message);
        }
        let text = format!(
            "21 letters: {}",
            message["params"]["arguments"]["password"].as_str().unwrap()
        );
        vec![json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": [{"text": text}]}})]
    })
    .await;
    assert_eq!(rows[1].outcome, Outcome::Changed);
    assert!(rows[1].remarks[0].contains("--secret-env"), "{rows:?}");
}
