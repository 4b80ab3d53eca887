//! A recording as a server, with the real binary.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/tui.rs"]
#[expect(dead_code, reason = "this program uses its own part")]
mod tui;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use binary::{Headless, Home, Ran};
use serde_json::Value;
use tui::{Tui, command};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn recording(name: &str) -> String {
    format!("{}/../recordings/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn replaying(home: &Home, name: &str, more: &[&str]) -> Headless {
    let mut command = home.command(&[
        "replay",
        &recording(name),
        "--listen",
        "127.0.0.1:0",
        "--headless",
    ]);
    Headless::of(command.args(more))
}

/// A call of a client of 2026-07-28, and the whole answer.
fn call(address: &str, name: &str, arguments: &str) -> String {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{{"name":"{name}","arguments":{arguments},{meta}}}}}"#
    );
    let mut socket = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {name}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_recording_answers_and_each_request_is_a_line() {
    let home = Home::new();
    let proxy = replaying(&home, "modern-http.jsonl", &["--format", "json"]);
    let answer = call(&proxy.address, "add", r#"{"a":0.1,"b":0.2}"#);
    assert!(
        answer.contains(r#""structuredContent":{"sum":0.30000000000000004}"#),
        "{answer}"
    );
    assert!(answer.contains(r#""id":"mine""#), "{answer}");
    let answer = call(&proxy.address, "add", r#"{"a":1,"b":0.2}"#);
    assert!(
        answer.contains("Not in the recording: tools/call `add`"),
        "{answer}"
    );
    let ran = proxy.terminate();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let found: Vec<&Value> = told.iter().map(|call| &call["found"]).collect();
    assert_eq!(found, ["same", "missed"]);
    assert_eq!(told[0]["recorded"]["exchange"], 3);
    let at = told[0]["at"].as_str().unwrap();
    assert!(at.starts_with("20") && at.ends_with('Z'), "{at}");
    assert!(
        ran.stderr.contains("clients of modern-http.jsonl use http://"),
        "{ran:?}"
    );
    assert!(
        told[1]["note"]
            .as_str()
            .unwrap()
            .contains("$.arguments.a (recorded 0.1, asked 1)")
    );
}

#[test]
fn what_replays_records_with_the_secrets_that_were_named() {
    let home = Home::new();
    let file = home.path().join("again.jsonl");
    let record = format!("--record={}", file.display());
    let more = ["--redact", "BLUE-[0-9]+", &record];
    let proxy = replaying(&home, "modern-http.jsonl", &more);
    let answer = call(
        &proxy.address,
        "add",
        r#"{"a":"BLUE-4711","b":0.2,"password":"s3cr3t"}"#,
    );
    assert!(
        answer.contains("Not in the recording") && answer.contains("‹secret:"),
        "{answer}"
    );
    let ran = proxy.terminate();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for said in [&answer, &ran.stdout] {
        assert!(!said.contains("BLUE-4711") && !said.contains("s3cr3t"), "{said}");
    }
    let again = std::fs::read_to_string(file).unwrap();
    assert!(again.contains("tools/call"), "{again}");
    assert!(
        !again.contains("BLUE-4711") && !again.contains("s3cr3t"),
        "{again}"
    );
}

#[test]
fn rules_act_on_recorded_answers() {
    let home = Home::new();
    let rules = home.file(
        "rules.toml",
        "[[rule]]\nname = \"no\"\nwhen = \"dir:c2s tool:add\"\nrefuse = { code = -32000, message = \"out of numbers\" }\n",
    );
    let proxy = replaying(&home, "modern-http.jsonl", &["--rules", &rules]);
    let answer = call(&proxy.address, "add", r#"{"a":0.1,"b":0.2}"#);
    assert!(answer.contains("out of numbers"), "{answer}");
    let answer = call(&proxy.address, "steps", r#"{"count":3}"#);
    assert!(answer.contains("3 steps"), "{answer}");
    let ran = proxy.terminate();
    assert!(
        ran.stdout.contains("tools/call steps  same request (#4)"),
        "{ran:?}"
    );
    assert!(
        !ran.stdout.contains("tools/call add"),
        "the mock server never saw it: {ran:?}"
    );
}

#[test]
fn a_client_can_start_a_recording_in_place_of_its_server() {
    let home = Home::new();
    let recording = recording("wrap-legacy.jsonl");
    let mut command = home.command(&["replay", &recording, "--stdio"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let lines = [
        r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"echo","arguments":{"message":"hello ☃"}}}"#,
    ];
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines.join("\n").as_bytes()).unwrap();
    drop(input);
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(said[0]["result"]["protocolVersion"], "2025-11-25");
    assert!(
        said.iter()
            .any(|message| message["id"] == "mine"
                && message["result"]["content"][0]["text"] == "Echo: hello ☃"),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("tools/call echo  same request (#1, id 1)"),
        "{ran:?}"
    );
    assert!(
        ran.stderr
            .ends_with("2 requests, none missed\n  initialize\n  tools/call echo\n"),
        "{ran:?}"
    );
}

/// What a client hears on pipes that says `calls` after its handshake, while `rules` act on it.
fn ruled(rules: &str, calls: &[&str]) -> Ran {
    let home = Home::new();
    let recording = recording("wrap-legacy.jsonl");
    let rules = home.file("rules.toml", rules);
    let mut command = home.command(&["replay", &recording, "--stdio", "--rules", &rules]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut lines = vec![
        r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    ];
    lines.extend(calls);
    let mut input = child.stdin.take().unwrap();
    // The fault may have closed it already.
    let _ = input.write_all((lines.join("\n") + "\n").as_bytes());
    drop(input);
    Ran::of(&child.wait_with_output().unwrap())
}

/// A call that is recorded, whose answer is `Echo: hello ☃`.
const ECHO: &str = r#"{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"echo","arguments":{"message":"hello ☃"}}}"#;

#[test]
fn rules_act_on_recorded_answers_on_pipes_from_the_first_line_on() {
    let rule = |name: &str, rest: &str| format!("[[rule]]\nname = \"{name}\"\n{rest}\n");
    let messages = |ran: &Ran| -> Vec<Value> {
        let lines = ran.stdout.lines();
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let refused = rule(
        "no",
        "when = \"dir:c2s method:initialize\"\nrefuse = { code = -32000, message = \"out of order\" }",
    );
    let ran = ruled(&refused, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said = messages(&ran);
    assert_eq!(said[0]["error"]["message"], "out of order", "{ran:?}");
    assert!(
        !ran.stderr.contains("initialize  "),
        "the recording was not asked: {ran:?}"
    );

    // It comes after the end of the input, and maybe before what the server says on its own.
    let late = rule("late", "when = \"dir:s2c tool:echo\"\ndelay = \"700ms\"");
    let ran = ruled(&late, &[ECHO]);
    let said = messages(&ran);
    assert!(said.iter().any(|message| message["id"] == "mine"), "{ran:?}");
    assert!(ran.stderr.contains("tools/call echo  same request"), "{ran:?}");

    let twice = rule("twice", "when = \"dir:s2c tool:echo\"\nfault = { duplicate = 2 }");
    let ran = ruled(&twice, &[ECHO]);
    let mine = messages(&ran);
    let mine = mine.iter().filter(|message| message["id"] == "mine");
    assert_eq!(mine.count(), 2, "{ran:?}");

    let broken = rule("broken", "when = \"dir:s2c tool:echo\"\nfault = \"invalid-json\"");
    let ran = ruled(&broken, &[ECHO]);
    let mut lines = ran
        .stdout
        .lines()
        .filter(|line| line.contains("Echo") || line.contains("content"));
    assert!(
        lines.any(|line| serde_json::from_str::<Value>(line).is_err()),
        "{ran:?}"
    );
    let told = ran.stderr.lines().filter(|line| line.contains("INFO"));
    assert_eq!(told.count(), 0, "only the requests are told: {ran:?}");
}

#[test]
fn a_closed_connection_on_pipes_is_the_end_of_them() {
    let rules = "[[rule]]\nname = \"gone\"\nwhen = \"dir:s2c tool:echo\"\nfault = \"close\"\n";
    let ran = ruled(rules, &[ECHO]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("protocolVersion"), "{ran:?}");
    assert!(!ran.stdout.contains("mine"), "{ran:?}");
    let cut = rules.replace("\"close\"", "{ truncate = 20 }");
    let ran = ruled(&cut, &[ECHO]);
    let last = ran.stdout.lines().next_back().unwrap();
    assert_eq!(last.len(), 20, "{ran:?}");
}

#[test]
fn rules_that_cannot_be_read_are_told_before_anything_is_served_on_pipes() {
    let ran = ruled("[[rule]]\nname = 1\n", &[ECHO]);
    ran.refused(2, &["rules.toml"]);
    assert_eq!(ran.stdout, "");
}

#[test]
fn a_miss_on_pipes_names_the_recorded_call_and_the_end_tells_what_was_asked() {
    let home = Home::new();
    let recording = recording("wrap-legacy.jsonl");
    let asked = |arguments: &str| {
        let mut command = home.command(&["replay", &recording, "--stdio"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"trigger-elicitation-request"{arguments}}}}}"#
        );
        let mut input = child.stdin.take().unwrap();
        input.write_all(format!("{call}\n{call}\n").as_bytes()).unwrap();
        drop(input);
        Ran::of(&child.wait_with_output().unwrap())
    };
    for arguments in [
        "",
        r#","arguments":null"#,
        r#","arguments":{}"#,
        r#","arguments":{"x":null}"#,
    ] {
        let ran = asked(arguments);
        assert!(
            ran.stderr
                .ends_with("2 requests, none missed\n  tools/call trigger-elicitation-request: 2 times\n"),
            "{arguments}: {ran:?}"
        );
    }
    let ran = asked(r#","arguments":{"x":1}"#);
    assert!(
        ran.stderr
            .contains("the nearest is tools/call `trigger-elicitation-request` (#1, id 4), which differs at"),
        "{ran:?}"
    );
    assert!(
        ran.stderr.ends_with(
            "2 requests, 2 NOT RECORDED\n  tools/call trigger-elicitation-request: 2 times, NOT RECORDED\n"
        ),
        "{ran:?}"
    );
    let answer: Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(answer["error"]["data"]["nearest"]["id"], 4, "{ran:?}");
}

#[test]
fn the_screen_shows_what_passes_to_a_recording() {
    let home = Home::new();
    let recording = recording("modern-http.jsonl");
    let arguments = ["replay", &recording, "--listen", "127.0.0.1:0"];
    let mut tui = Tui::start(command(home.path(), &arguments), 120, 40);
    tui.wait_for("the address", PATIENCE, |text| own_address(text).is_some());
    let address = own_address(&tui.text()).unwrap();
    call(&address, "steps", r#"{"count":3}"#);
    tui.wait_for("the call", PATIENCE, |text| {
        text.contains("tools/call") && text.contains("steps")
    });
    tui.press("q");
    assert_eq!(tui.finish(PATIENCE).exit_code(), 0);
}

/// The address that the status line shows.
fn own_address(text: &str) -> Option<String> {
    let (_, rest) = text.lines().next()?.split_once("⇄ ")?;
    let address = rest.split_whitespace().next()?;
    let is_bound = address.starts_with("127.0.0.1:") && !address.ends_with(":0");
    is_bound.then(|| address.to_owned())
}

#[test]
fn what_cannot_be_replayed_is_refused_with_advice() {
    let home = Home::new();
    let recording = recording("modern-http.jsonl");
    let ran = home.run(&["replay", &recording]);
    ran.refused(2, &["--listen", "--stdio"]);
    let nowhere = home.run(&["replay", "nowhere.jsonl", "--listen", "127.0.0.1:0", "--headless"]);
    nowhere.refused(3, &["nowhere.jsonl", "check that it exists"]);
    let speed = home.run(&["replay", &recording, "--listen", "127.0.0.1:0", "--speed", "0"]);
    speed.refused(2, &["--speed", "a number above 0"]);
    for (flags, said) in [
        (
            &["--upstream", "http://127.0.0.1:"][..],
            "there is a colon, and no port behind it",
        ),
        (
            &["--upstream", "http://127.0.0.1:9/", "--via", "http://h:"],
            "no port behind it",
        ),
        (
            &["--upstream", "http://127.0.0.1:9/", "--ignore", "$.a[x]"],
            "column 5: inside [ ] goes a number",
        ),
        (
            &["--stdio", "--on-miss", "pass", "http://127.0.0.1:"],
            "no port behind it",
        ),
        (&["--stdio", "--on-miss", "pass"], "in one word: pass=URL"),
        (
            &["--stdio", "--on-miss", "pass=http://127.0.0.1:"],
            "no port behind it",
        ),
        (
            &["--stdio", "--on-miss", "skip"],
            "it is error, nearest, or pass=URL",
        ),
    ] {
        let ran = home.run(&[&["replay", &recording][..], flags].concat());
        ran.refused(2, &[said]);
    }
    let header = std::fs::read_to_string(&recording).unwrap();
    let empty = home.file("empty.jsonl", header.lines().next().unwrap());
    let nothing = home.run(&["replay", &empty, "--listen", "127.0.0.1:0", "--headless"]);
    nothing.refused(3, &["no requests of a client"]);
}
