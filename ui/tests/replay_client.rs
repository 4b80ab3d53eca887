//! A recording as a client: sent to servers that are the same, or not.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;
#[path = "replay_client/ends.rs"]
mod ends;
#[path = "replay_client/mistakes.rs"]
mod mistakes;

use std::io::{BufReader, Read as _, Write as _};
use std::process::{ChildStdout, Stdio};

use binary::{Headless, Home, Ran};
use serde_json::{Value, json};

/// A server on standard input and output. Its argument is what it says to `greet`.
const SERVER: &str = r#"
said=${1:-hello}
while read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  case $line in
    *'"initialize"'*) result='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}';;
    *'"tools/list"'*) result='{"tools":[{"name":"greet","inputSchema":{"type":"object","properties":{"to":{"type":"string"}}}},{"name":"look","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object"}}]}';;
    *'"greet"'*) result='{"content":[{"type":"text","text":"'"$said"'"}]}';;
    *'"look"'*) result='{"content":[{"type":"text","text":"at 2026-11-23T10:00:0'$((id % 10))'Z"}]}';;
    *) continue;;
  esac
  echo '{"jsonrpc":"2.0","id":'$id',"result":'"$result"'}'
done
"#;

const RECORDING: &str = "recorded.jsonl";

/// A home with the server in it, and a recording of a client that was wrapped around it.
fn recorded() -> Home {
    recorded_by(|_| ())
}

/// The same of a client that does `hear` with the output after each request.
fn recorded_by(mut hear: impl FnMut(&mut BufReader<ChildStdout>)) -> Home {
    let home = Home::new();
    home.file("server.sh", SERVER);
    let record = format!("--record={RECORDING}");
    let mut wrap = home.command(&["wrap", &record, "--", "sh", "server.sh"]);
    let mut child = wrap.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let call = |id: u32, name: &str| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name, "arguments": {"to": "me"}}});
    let messages = [
        json!({"jsonrpc": "2.0", "id": 70, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 71, "method": "tools/list"}),
        call(72, "greet"),
        call(73, "look"),
    ];
    for message in messages {
        writeln!(input, "{message}").unwrap();
        if message.get("id").is_some() {
            hear(&mut output);
        }
    }
    drop(input);
    output.read_to_end(&mut Vec::new()).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    home
}

const ALL_SAME: &str = "\
same     F1  initialize
same     F1  tools/list
same     F1  tools/call greet
same     F1  tools/call look
4 calls: 4 same
";

#[track_caller]
fn is_same(ran: &Ran) {
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ALL_SAME), "{ran:?}");
}

/// The client did not wait for answers, so its requests came in any order over HTTP.
#[track_caller]
fn same_in_any_order(ran: &Ran) {
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(|line| line.replace("F1", "R1")).collect();
        lines.sort();
        lines
    };
    assert_eq!(
        (ran.code, sorted(&ran.stdout)),
        (Some(0), sorted(ALL_SAME)),
        "{ran:?}"
    );
}

#[test]
fn the_same_server_gives_no_difference() {
    let home = recorded();
    is_same(&home.run(&["replay", RECORDING, "--yes", "--", "sh", "server.sh"]));
}

#[test]
fn a_tool_that_says_something_else_is_the_one_row_that_differs() {
    let home = recorded();
    let ran = home.run(&[
        "replay",
        RECORDING,
        "--yes",
        "--junit",
        "j.xml",
        "--",
        "sh",
        "server.sh",
        "hallo",
    ]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let expected = ALL_SAME
        .replace(
            "same     F1  tools/call greet\n",
            "changed  F1  tools/call greet\n           $.result.content[0].text: \"hello\" → \"hallo\"\n",
        )
        .replace("4 same", "3 same, 1 changed");
    assert_eq!(ran.stdout, expected);
    let junit = std::fs::read_to_string(home.path().join("j.xml")).unwrap();
    assert!(junit.contains("tests=\"4\" failures=\"1\""), "{junit}");
    assert!(
        junit.contains("name=\"3. tools/call greet\">\n<failure message=\"changed\">"),
        "{junit}"
    );

    let ran = home.run(&[
        "replay",
        RECORDING,
        "--yes",
        "--format",
        "json",
        "--",
        "sh",
        "server.sh",
        "hallo",
    ]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &report["counts"]["changed"]), (Some(1), &json!(1)));
    assert_eq!(
        report["rows"][2]["differences"][0]["path"],
        "$.result.content[0].text"
    );

    let ignored = [
        "replay",
        RECORDING,
        "--yes",
        "--ignore",
        "$.result.content[*].text",
        "--",
        "sh",
        "server.sh",
        "hallo",
    ];
    is_same(&home.run(&ignored));
}

#[test]
fn tools_that_may_change_something_are_not_called_unasked() {
    let home = recorded();
    let ran = home.run(&["replay", RECORDING, "--", "sh", "server.sh"]);
    ran.refused(2, &["greet", "--yes", "--only"]);
    let ran = home.run(&[
        "replay",
        RECORDING,
        "--only",
        "tool:look",
        "--",
        "sh",
        "server.sh",
    ]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "same     F1  tools/call look\n1 call: 1 same\n")
    );
}

#[test]
fn what_was_recorded_on_pipes_is_sent_over_http_and_the_other_way_round() {
    let home = recorded();
    let proxy = Headless::start(&home, &["--record=http.jsonl", "--", "sh", "server.sh"]);
    let url = format!("http://{}/mcp", proxy.address);
    let secret = "Authorization: Bearer s3cret";
    is_same(&home.run(&[
        "replay",
        RECORDING,
        "--yes",
        "--upstream",
        &url,
        "--header",
        secret,
    ]));
    proxy.terminate();

    let proxy = Headless::start(&home, &["--", "sh", "server.sh"]);
    let url = format!("http://{}/mcp", proxy.address);
    let missing = home.run(&["replay", "http.jsonl", "--yes", "--upstream", &url]);
    missing.refused(
        2,
        &["the header authorization", "--header-env", "--without-secrets"],
    );
    let over_http = home.run(&[
        "replay",
        "http.jsonl",
        "--yes",
        "--upstream",
        &url,
        "--header",
        secret,
    ]);
    same_in_any_order(&over_http);
    let without = home.run(&[
        "replay",
        "http.jsonl",
        "--yes",
        "--upstream",
        &url,
        "--without-secrets",
    ]);
    same_in_any_order(&without);
    let on_pipes = home.run(&["replay", "http.jsonl", "--yes", "--", "sh", "server.sh"]);
    same_in_any_order(&on_pipes);
    proxy.terminate();
}

#[test]
fn no_secret_of_a_live_server_is_in_the_report() {
    let home = recorded();
    let text = SERVER.replace(
        r#"'{"content":[{"type":"text","text":"'"$said"'"}]}'"#,
        r#"'{"content":[{"type":"text","text":"token=s3cr3t-1"}],"structuredContent":{"password":"s3cr3t-2","msg":"Bearer s3cr3t-3"}}'"#,
    );
    assert_ne!(text, SERVER);
    home.file("server.sh", &text);
    for format in ["text", "json"] {
        let replay = [
            "replay", RECORDING, "--yes", "--junit", "j.xml", "--format", format,
        ];
        let ran = home.run(&[&replay[..], &["--", "sh", "server.sh"]].concat());
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let junit = std::fs::read_to_string(home.path().join("j.xml")).unwrap();
        for said in [&ran.stdout, &junit] {
            assert!(
                said.contains("$.result.structuredContent") && said.contains("‹secret:"),
                "{said}"
            );
            assert!(!said.contains("s3cr3t"), "{said}");
        }
        assert!(!ran.stderr.contains("s3cr3t"), "{ran:?}");
    }
}

#[test]
fn what_cannot_be_opened_or_sent_is_said_with_its_exit_code() {
    let home = recorded();
    home.run(&["replay", "none.jsonl", "--", "sh", "server.sh"])
        .refused(3, &["none.jsonl"]);
    home.run(&["replay", RECORDING, "--yes", "--", "./none"])
        .refused(3, &["./none"]);
    home.run(&["replay", "server.sh", "--yes", "--", "sh", "server.sh"])
        .refused(3, &["server.sh, line 1, is not the header of a recording"]);
    home.run(&[
        "replay",
        RECORDING,
        "--only",
        "tool:none",
        "--",
        "sh",
        "server.sh",
    ])
    .refused(2, &["--only"]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", free.local_addr().unwrap());
    drop(free);
    home.run(&["replay", RECORDING, "--yes", "--upstream", &url])
        .refused(3, &["could not be reached"]);
}

#[test]
fn a_server_that_ends_early_is_told_with_its_last_words() {
    let home = recorded();
    let ran = home.run(&[
        "replay",
        RECORDING,
        "--yes",
        "--",
        "sh",
        "-c",
        "read a; echo no database >&2",
    ]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stdout.contains(
            "missing  F1  initialize\n           (the command closed its output and ended with exit code 0)"
        ),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("the server said: no database"), "{ran:?}");
    let ran = home.run(&["replay", RECORDING, "--yes", "--", "sh", "-c", "exit 3"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stdout
            .contains("missing  F1  initialize\n           (the command ended with exit code 3)"),
        "{ran:?}"
    );
}

#[test]
fn a_flag_of_the_recording_as_a_server_is_refused_for_one_that_is_the_client() {
    let home = recorded();
    let more = ["--latency", "1s", "--", "sh", "server.sh"];
    let ran = home.run(&[&["replay", RECORDING, "--yes"], &more[..]].concat());
    ran.refused(
        2,
        &["--latency has no effect with a COMMAND", "--listen or --stdio"],
    );
}

#[test]
fn two_recordings_are_compared_call_by_call() {
    let home = recorded();
    let same = home.run(&["diff", RECORDING, RECORDING]);
    assert_eq!(
        (same.code, same.stdout),
        (Some(0), format!("the tools are the same\n{ALL_SAME}"))
    );
    let text = std::fs::read_to_string(home.path().join(RECORDING)).unwrap();
    let changed = text.replace("hello", "hallo").replace(
        "\\\"greet\\\",\\\"inputSchema",
        "\\\"greet\\\",\\\"description\\\":\\\"x\\\",\\\"inputSchema",
    );
    home.file("changed.jsonl", &changed);
    let ran = home.run(&["diff", RECORDING, "changed.jsonl"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for line in [
        "  tool greet description is new: \"x\"\n",
        "changed  F1  tools/list\n           $.result.tools.greet.description is new: \"x\"\n",
        "changed  F1  tools/call greet\n           $.result.content[0].text: \"hello\" → \"hallo\"\n",
        "4 calls: 2 same, 2 changed\n",
    ] {
        assert!(ran.stdout.contains(line), "{line}{}", ran.stdout);
    }
}

#[test]
fn drift_of_tools_is_named_between_lists_and_recordings() {
    let home = recorded();
    home.file("old.json", r#"{"result":{"tools":[{"name":"a","inputSchema":{"properties":{"x":{"type":"string"}}}},{"name":"b"}]}}"#);
    home.file(
        "new.json",
        r#"[{"name":"a","inputSchema":{"properties":{"x":{"type":"integer"}},"required":["x"]}}]"#,
    );
    let ran = home.run(&["diff", "old.json", "new.json"]);
    let expected = "\
! tool a input x: is required now
! tool a input x: type string → integer
! tool b is gone
3 changes of tools, 3 that can break clients (!)
";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), expected));
    assert_eq!(home.run(&["diff", "old.json", "old.json"]).code, Some(0));
    let ran = home.run(&["diff", "old.json", RECORDING, "--format", "json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let tools: Vec<_> = report["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|drift| &drift["tool"])
        .collect();
    assert_eq!(tools, ["a", "b", "greet", "look"]);
    // What is only a page is compared as far as it goes, and said to be one.
    let warning = "its list of tools has a nextCursor";
    assert!(!ran.stderr.contains(warning), "{ran:?}");
    home.file("page.json", r#"{"tools":[{"name":"b"}],"nextCursor":"2"}"#);
    let ran = home.run(&["diff", "page.json", "old.json"]);
    assert!(
        ran.stdout
            .contains("  tool a unknown: it is not on the page in the first\n"),
        "{ran:?}"
    );
    assert!(
        ran.stderr
            .contains("page.json: its list of tools has a nextCursor"),
        "{ran:?}"
    );
    home.file("other.json", "{}");
    home.run(&["diff", "old.json", "other.json"])
        .refused(3, &["other.json is neither"]);
    home.run(&["diff", "old.json", "none.json"])
        .refused(3, &["none.json"]);
}

#[test]
fn a_recording_as_client_and_the_same_one_as_server_agree() {
    let home = Home::new();
    let program = env!("CARGO_BIN_EXE_shadowcat-tui");
    for name in [
        "legacy-http",
        "modern-http",
        "wrap-legacy",
        "websocket-sdk",
        "unreachable",
    ] {
        let file = format!("{}/../recordings/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let replay = ["replay", &file, "--yes", "--without-secrets", "--"];
        let ran = home.run(&[&replay[..], &[program, "replay", &file, "--stdio"]].concat());
        assert_eq!(ran.code, Some(0), "{name}: {ran:?}");
        assert!(ran.stdout.contains(" same\n"), "{name}: {ran:?}");
    }
}
