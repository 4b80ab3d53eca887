//! A recorded client against servers that are a few lines long.

mod asks;
mod ends;
mod eras;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, duplex, split};

use super::call::{End, Told};
use super::plan::Plan;
use super::talk::Talk;
use super::{DriveOptions, MissingSecret};
use crate::intercept::filter::Filter;
use crate::recording::RecordingReader;
use crate::replay::compare::{Outcome, Row};
use crate::replay::tape::{Tape, TapeOptions};

/// A recording of one run of a command: `>` is what the client said, `<` what the server said.
fn tape(lines: &[(char, Value)]) -> Tape {
    paced(lines, 1_000)
}

/// The same with so many microseconds from line to line.
fn paced(lines: &[(char, Value)], us: usize) -> Tape {
    let mut text = String::new();
    let mut add = |line: Value| {
        text.push_str(&line.to_string());
        text.push('\n');
    };
    add(
        json!({"type": "header", "format": "shadowcat-recording", "version": 1,
        "created": "2026-11-23T04:23:03.123456Z", "proxy": "x", "redacted": true}),
    );
    add(
        json!({"type": "session", "seq": 1, "us": 0, "session": "F1", "server": "s", "basis": "process", "client": "c"}),
    );
    add(
        json!({"type": "request", "seq": 2, "us": 0, "session": "F1", "exchange": 1, "connection": 1, "client": "c",
        "side": "forward", "server": "s", "kind": "run", "method": "run", "target": "s",
        "head": {"line": "s", "fields": [["argument", "‹secret:0123456789ab›"]]}}),
    );
    let mut numbers = [0u32; 2];
    for (place, (who, message)) in lines.iter().enumerate() {
        let is_client = *who == '>';
        let number = &mut numbers[usize::from(is_client)];
        let direction = if is_client {
            "client_to_server"
        } else {
            "server_to_client"
        };
        add(
            json!({"type": "frame", "seq": 3 + place, "us": us * place, "session": "F1", "exchange": 1,
            "direction": direction, "transport": "stdio", "frame": *number, "part": 0, "last": true,
            "text": format!("{message}\n"), "messages": 1}),
        );
        *number += 1;
    }
    let path = Path::new("a.jsonl");
    let reader = RecordingReader::new(text.as_bytes(), path).unwrap();
    Tape::read(reader, path, &TapeOptions::as_it_arrived()).unwrap()
}

fn handshake() -> Vec<(char, Value)> {
    vec![
        (
            '>',
            json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}}),
        ),
        (
            '<',
            json!({"jsonrpc": "2.0", "id": 0, "result": {"protocolVersion": "2025-06-18"}}),
        ),
        (
            '>',
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        ),
    ]
}

fn call(id: u32, tool: &str, arguments: &Value) -> (char, Value) {
    let params = json!({"name": tool, "arguments": arguments});
    (
        '>',
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}),
    )
}

fn result(id: u32, result: &Value) -> (char, Value) {
    ('<', json!({"jsonrpc": "2.0", "id": id, "result": result}))
}

/// Sends all of `tape` to a server that answers each message with what `serve` gives; rows as `outcome title`, and
/// what the server heard.
async fn replayed(
    tape: &Tape,
    only: &str,
    serve: impl FnMut(&Value) -> Vec<Value>,
) -> (Vec<Row>, Vec<Value>) {
    let options = DriveOptions {
        timeout: Duration::from_secs(5),
        ..DriveOptions::default()
    };
    let (told, heard) = talked(tape, only, &options, serve).await;
    (told.rows, heard)
}

/// The same with all that came of it. A server that gives `null` ends, and a number stands for so many milliseconds of silence.
async fn talked(
    tape: &Tape,
    only: &str,
    options: &DriveOptions,
    mut serve: impl FnMut(&Value) -> Vec<Value>,
) -> (Told, Vec<Value>) {
    let plan = Plan::new(tape, &Filter::parse(only).unwrap());
    let (ours, theirs) = duplex(1 << 16);
    let (input, output) = split(ours);
    let talking = async {
        let talk = Talk::new(&plan.sessions[0], options);
        talk.say_all(input, output).await.told()
    };
    let serving = async {
        let (input, mut output) = split(theirs);
        let mut lines = BufReader::new(input).lines();
        let mut heard = Vec::new();
        while let Ok(Some(line)) = lines.next_line().await {
            let message: Value = serde_json::from_str(&line).unwrap();
            let answers = serve(&message);
            heard.push(message);
            if answers.contains(&Value::Null) {
                return heard;
            }
            for answer in answers {
                if let Some(millis) = answer.as_u64() {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    continue;
                }
                // A text stands for a line that is no message.
                let line = answer
                    .as_str()
                    .map_or_else(|| format!("{answer}\n"), |text| format!("{text}\n"));
                let _ = output.write_all(line.as_bytes()).await;
            }
        }
        heard
    };
    tokio::join!(talking, serving)
}

fn outcomes(rows: &[Row]) -> Vec<String> {
    let line = |row: &Row| format!("{} {}", row.outcome.name(), row.title());
    rows.iter().map(line).collect()
}

/// Answers as the recorded server did: echo says what it is told.
fn echo(message: &Value) -> Vec<Value> {
    let answer = |result: Value| vec![json!({"jsonrpc": "2.0", "id": message["id"], "result": result})];
    match message["method"].as_str() {
        Some("initialize") => answer(json!({"protocolVersion": "2025-06-18"})),
        Some("tools/call") => answer(json!({"content": [message["params"]["arguments"]]})),
        _ => Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_server_gives_the_same_and_another_one_a_changed_row() {
    let mut lines = handshake();
    lines.extend([
        call(1, "a", &json!({"x": 1})),
        call(2, "b", &json!({"x": 2})),
        result(2, &json!({"content": [{"x": 2}]})),
        result(1, &json!({"content": [{"x": 1}]})),
    ]);
    let tape = tape(&lines);
    let (rows, heard) = replayed(&tape, "", echo).await;
    assert_eq!(
        outcomes(&rows),
        ["same initialize", "same tools/call a", "same tools/call b"]
    );
    let methods: Vec<_> = heard
        .iter()
        .map(|message| message["method"].as_str().unwrap())
        .collect();
    assert_eq!(
        methods,
        [
            "initialize",
            "notifications/initialized",
            "tools/call",
            "tools/call"
        ]
    );

    let (rows, _) = replayed(&tape, "", |message| {
        let mut answers = echo(message);
        if message["params"]["name"] == "b" {
            answers[0]["result"]["content"][0]["x"] = json!(3);
        }
        answers
    })
    .await;
    assert_eq!(
        outcomes(&rows),
        ["same initialize", "same tools/call a", "changed tools/call b"]
    );
    assert_eq!(rows[2].differences[0].path, "$.result.content[0].x");
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_as_the_batch_that_it_was() {
    let mut lines = handshake();
    let progress = json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"});
    let batch = json!([
        call(1, "a", &json!({"x": 1})).1,
        progress,
        call(2, "b", &json!({"x": 2})).1
    ]);
    let answers = [1, 2].map(|x| result(x, &json!({"content": [{"x": x}]})).1);
    lines.extend([
        ('>', batch),
        ('<', json!(answers)),
        call(3, "c", &json!({"x": 3})),
        result(3, &json!({"content": [{"x": 3}]})),
    ]);
    let (rows, heard) = replayed(&tape(&lines), "", |message| {
        let Some(batch) = message.as_array() else {
            return echo(message);
        };
        vec![batch.iter().flat_map(echo).collect()]
    })
    .await;
    assert_eq!(
        outcomes(&rows),
        [
            "same initialize",
            "same tools/call a",
            "same tools/call b",
            "same tools/call c"
        ]
    );
    let methods: Vec<&Value> = heard[2]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| &part["method"])
        .collect();
    assert_eq!(
        methods,
        ["tools/call", "notifications/roots/list_changed", "tools/call"]
    );
    assert_eq!((heard.len(), &heard[3]["params"]["name"]), (4, &json!("c")));
}

#[tokio::test(start_paused = true)]
async fn ids_are_fresh_and_handles_are_those_of_the_live_server() {
    let mut lines = handshake();
    lines.extend([
        ('>', json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"})),
        result(7, &json!({"tools": [], "nextCursor": "old"})),
        (
            '>',
            json!({"jsonrpc": "2.0", "id": 8, "method": "tools/list", "params": {"cursor": "old"}}),
        ),
        result(8, &json!({"tools": []})),
    ]);
    let (rows, heard) = replayed(&tape(&lines), "", |message| {
        let result = match (message["method"].as_str(), &message["params"]["cursor"]) {
            (Some("initialize"), _) => json!({"protocolVersion": "2025-06-18"}),
            (Some("tools/list"), Value::Null) => json!({"tools": [], "nextCursor": "new"}),
            (Some("tools/list"), cursor) if cursor == "new" => json!({"tools": []}),
            _ => return Vec::new(),
        };
        vec![json!({"jsonrpc": "2.0", "id": message["id"], "result": result})]
    })
    .await;
    assert!(rows.iter().all(|row| row.outcome == Outcome::Same), "{rows:?}");
    let ids: Vec<_> = heard
        .iter()
        .filter_map(|message| message["id"].as_u64())
        .collect();
    assert_eq!(ids, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_handle_is_not_given_any_more_is_not_sent() {
    let mut lines = handshake();
    lines.extend([
        ('>', json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"})),
        result(7, &json!({"tools": [], "nextCursor": "old"})),
        (
            '>',
            json!({"jsonrpc": "2.0", "id": 8, "method": "tools/list", "params": {"cursor": "old"}}),
        ),
        result(8, &json!({"tools": []})),
    ]);
    let (rows, heard) = replayed(&tape(&lines), "", |message| {
        let id = &message["id"];
        let result = json!({"protocolVersion": "2025-06-18", "tools": []});
        if id.is_null() {
            Vec::new()
        } else {
            vec![json!({"id": id, "result": result})]
        }
    })
    .await;
    assert_eq!(rows[2].outcome, Outcome::Unsent);
    assert!(
        rows[2].remarks[0].contains("`nextCursor` of the answer to tools/list"),
        "{rows:?}"
    );
    assert_eq!(heard.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_request_that_is_not_sent_is_sent_all_the_same() {
    let list = |id: u32, cursor: &str| {
        let params = json!({"cursor": cursor});
        (
            '>',
            json!({"jsonrpc": "2.0", "id": id, "method": "tools/list", "params": params}),
        )
    };
    let mut lines = handshake();
    lines.extend([
        ('>', json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"})),
        result(7, &json!({"tools": [], "nextCursor": "old"})),
        list(8, "old"),
        result(8, &json!({"tools": []})),
        list(9, "old"),
        result(9, &json!({"tools": []})),
        call(10, "a", &json!({"x": 1})),
        result(10, &json!({"content": [{"x": 1}]})),
    ]);
    let tape = tape(&lines);
    let talking = replayed(&tape, "", |message| {
        if message["method"] == "tools/list" {
            return vec![json!({"id": message["id"], "result": {"tools": []}})];
        }
        echo(message)
    });
    let (rows, heard) = tokio::time::timeout(Duration::from_mins(1), talking)
        .await
        .unwrap();
    assert_eq!(
        outcomes(&rows),
        [
            "same initialize",
            "changed tools/list",
            "unsent tools/list",
            "unsent tools/list",
            "same tools/call a"
        ]
    );
    assert!(rows[3].remarks[0].starts_with("not sent: "), "{rows:?}");
    assert_eq!(heard.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_recording_lacks_is_waited_for() {
    let mut lines = handshake();
    lines.push(call(1, "a", &json!({})));
    let tape = tape(&lines);
    let (rows, _) = replayed(&tape, "", echo).await;
    assert_eq!(outcomes(&rows), ["same initialize", "extra tools/call a"]);

    let began = tokio::time::Instant::now();
    let silent = |message: &Value| {
        if message["method"] == "initialize" {
            echo(message)
        } else {
            Vec::new()
        }
    };
    let (rows, _) = replayed(&tape, "", silent).await;
    assert_eq!(outcomes(&rows), ["same initialize", "same tools/call a"]);
    assert_eq!(
        rows[1].remarks,
        ["not answered in the recording either (no answer within 5s)"]
    );
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_subscription_is_not_waited_for() {
    let mut lines = handshake();
    lines.push((
        '>',
        json!({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {}}),
    ));
    let began = tokio::time::Instant::now();
    let (rows, heard) = replayed(&tape(&lines), "", echo).await;
    assert_eq!(outcomes(&rows), ["same initialize", "same subscriptions/listen"]);
    assert_eq!(heard.len(), 3);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn what_the_server_asks_is_answered_as_recorded() {
    let ask = |id: u32| json!({"jsonrpc": "2.0", "id": id, "method": "roots/list"});
    let mut lines = handshake();
    lines.extend([
        call(1, "a", &json!({})),
        ('<', ask(40)),
        (
            '>',
            json!({"jsonrpc": "2.0", "id": 40, "result": {"roots": [{"uri": "file:///x"}]}}),
        ),
        result(1, &json!({"content": []})),
    ]);
    let mut waiting = Value::Null;
    let (rows, heard) = replayed(&tape(&lines), "", |message| {
        if message["params"]["name"] == "a" {
            waiting = message["id"].clone();
            return vec![ask(99)];
        }
        if message["id"] == 99 {
            return vec![
                json!({"jsonrpc": "2.0", "id": 100, "method": "sampling/createMessage"}),
                json!({"jsonrpc": "2.0", "id": 101, "method": "ping"}),
                json!({"jsonrpc": "2.0", "id": waiting, "result": {"content": []}}),
            ];
        }
        echo(message)
    })
    .await;
    assert_eq!(
        outcomes(&rows),
        [
            "same initialize",
            "same tools/call a",
            "extra server asks sampling/createMessage",
            "same server asks roots/list"
        ]
    );
    let answer = heard.iter().find(|message| message["id"] == 99).unwrap();
    assert_eq!(answer["result"]["roots"][0]["uri"], "file:///x");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_times_out_and_one_that_goes_away_makes_missing_rows() {
    let mut lines = handshake();
    lines.extend([call(1, "a", &json!({})), result(1, &json!({}))]);
    let tape = tape(&lines);
    let (rows, _) = replayed(&tape, "", |message| {
        if message["method"] == "initialize" {
            echo(message)
        } else {
            Vec::new()
        }
    })
    .await;
    assert_eq!(outcomes(&rows), ["same initialize", "timed out tools/call a"]);
    assert_eq!(rows[1].remarks, ["no answer within 5s"]);

    let plan = Plan::new(&tape, &Filter::all());
    let options = DriveOptions::default();
    let talk = Talk::new(&plan.sessions[0], &options);
    let told = talk.say_all(tokio::io::empty(), tokio::io::sink()).await.told();
    let why = "the server ended the connection";
    assert_eq!(told.end, End::ByServer(why.to_owned()));
    assert_eq!(told.rows[0].remarks, [why]);
    assert_eq!(told.rows[1].remarks, [format!("not sent: {why}")]);
}

#[tokio::test(start_paused = true)]
async fn a_task_is_asked_for_until_it_is_done_if_it_was_in_the_recording() {
    let task = |status: &str| json!({"taskId": "old", "status": status});
    let get = |id: u32| {
        (
            '>',
            json!({"jsonrpc": "2.0", "id": id, "method": "tasks/get", "params": {"taskId": "old"}}),
        )
    };
    let mut lines = handshake();
    lines.extend([
        call(1, "a", &json!({})),
        result(1, &json!({"task": task("working")})),
        get(2),
        result(2, &task("completed")),
    ]);
    let mut asked = 0;
    let (rows, heard) = replayed(&tape(&lines), "", |message| {
        let result = match message["method"].as_str() {
            Some("tools/call") => json!({"task": {"taskId": "new", "status": "working"}}),
            Some("tasks/get") => {
                asked += 1;
                json!({"taskId": "new", "status": if asked < 3 { "working" } else { "completed" }})
            }
            _ => return echo(message),
        };
        vec![json!({"jsonrpc": "2.0", "id": message["id"], "result": result})]
    })
    .await;
    assert_eq!(
        outcomes(&rows),
        ["same initialize", "same tools/call a", "same tasks/get old"]
    );
    assert_eq!(asked, 3);
    assert_eq!(heard.last().unwrap()["params"]["taskId"], "new");
}

#[tokio::test(start_paused = true)]
async fn only_what_matches_is_sent_with_the_handshake() {
    let mut lines = handshake();
    lines.extend([
        call(1, "a", &json!({})),
        result(1, &json!({"content": [{}]})),
        call(2, "b", &json!({})),
        result(2, &json!({"content": [{}]})),
    ]);
    let (rows, heard) = replayed(&tape(&lines), "tool:b", echo).await;
    assert_eq!(outcomes(&rows), ["same tools/call b"]);
    assert_eq!(heard.len(), 3);
    assert!(Plan::new(&tape(&lines), &Filter::parse("tool:c").unwrap()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_recording_without_its_handshake_gets_one() {
    let lines = [call(5, "a", &json!({})), result(5, &json!({"content": [{}]}))];
    let (rows, heard) = replayed(&tape(&lines), "", echo).await;
    assert_eq!(outcomes(&rows), ["same tools/call a"]);
    let methods: Vec<_> = heard
        .iter()
        .map(|message| message["method"].as_str().unwrap())
        .collect();
    assert_eq!(methods, ["initialize", "notifications/initialized", "tools/call"]);
}

#[test]
fn secrets_that_have_to_be_supplied_are_named_with_their_places() {
    let mut lines = handshake();
    lines.extend([
        call(
            1,
            "a",
            &json!({"apiKey": "‹secret:0a0b›", "sessionToken": "‹secret:0c0d›"}),
        ),
        result(1, &json!({})),
    ]);
    lines[1].1["result"]["sessionToken"] = json!("‹secret:0c0d›");
    let plan = Plan::new(&tape(&lines), &Filter::all());
    let missing = plan.missing_secrets(&BTreeSet::new(), &BTreeMap::new(), true);
    let [MissingSecret::Value { tag, place }] = &missing[..] else {
        panic!("{missing:?}")
    };
    assert_eq!((tag.as_str(), place.as_str()), ("0a0b", "tools/call a, apiKey"));
    let supplied = [("0a0b".to_owned(), "x".to_owned())].into();
    assert_eq!(plan.missing_secrets(&BTreeSet::new(), &supplied, true), []);
}

#[test]
fn tools_that_are_not_known_to_read_only_are_counted() {
    let mut lines = handshake();
    lines.extend([
        ('>', json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})),
        result(
            1,
            &json!({"tools": [{"name": "r", "annotations": {"readOnlyHint": true}}, {"name": "w"}]}),
        ),
        call(2, "r", &json!({})),
        call(3, "w", &json!({})),
        call(4, "w", &json!({})),
    ]);
    let plan = Plan::new(&tape(&lines), &Filter::all());
    assert_eq!(
        plan.side_effects().iter().collect::<Vec<_>>(),
        [(&"w".to_owned(), &2)]
    );
}
