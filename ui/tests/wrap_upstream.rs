//! `wrap --upstream`: the binary as a stdio server in front of one that speaks HTTP.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use binary::{Home, Ran};
use rustix::process::{Pid, Signal, kill_process};
use shadowcat::clock::Clock;

const PING: &str = r#"{"jsonrpc":"2.0","id":"p-1","method":"ping"}"#;
const PONG: &str = r#"{"jsonrpc":"2.0","id":"p-1","result":{}}"#;

/// Answers one POST with `answer` and gives its head and body.
fn answer_once(server: &TcpListener, answer: &str) -> (String, String) {
    let (socket, _) = server.accept().unwrap();
    let mut reader = BufReader::new(socket);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let head = head.to_ascii_lowercase();
    let length = head
        .split("content-length: ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let length = answer.len();
    write!(
        reader.get_mut(),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{answer}"
    )
    .unwrap();
    (head, String::from_utf8(body).unwrap())
}

#[test]
fn a_line_becomes_a_request_with_the_headers_that_were_asked_for_and_both_are_recorded() {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/mcp", server.local_addr().unwrap());
    let home = Home::new();
    let record = format!("--record={}", home.path().join("r.jsonl").display());
    let mut command = home.command(&[
        "wrap",
        "--upstream",
        &url,
        "--header",
        "X-Team: a b",
        "--header-env",
        "Authorization=TOKEN",
        &record,
    ]);
    let mut shim = command
        .env("TOKEN", "Bearer t0ken")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = shim.stdin.take().unwrap();
    writeln!(input, "{PING}").unwrap();
    drop(input);
    let (head, body) = answer_once(&server, PONG);
    assert_eq!(body, PING);
    assert!(
        head.contains("authorization: bearer t0ken\r\n") && head.contains("x-team: a b\r\n"),
        "{head}"
    );
    let ran = Ran::of(&shim.wait_with_output().unwrap());
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (Some(0), &*format!("{PONG}\n"), "")
    );
    let shown = home.run(&["show", "r.jsonl"]);
    assert!(
        shown.stdout.contains("ping") && shown.stdout.contains("p-1"),
        "{shown:?}"
    );
    assert_eq!(
        shown.stdout.lines().filter(|line| line.contains("p-1")).count(),
        2,
        "{shown:?}"
    );
}

#[test]
fn a_client_that_does_not_read_can_end_the_shim() {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/mcp", server.local_addr().unwrap());
    let home = Home::new();
    let mut command = home.command(&["wrap", "--upstream", &url]);
    let mut shim = command.stdin(Stdio::piped()).spawn().unwrap();
    writeln!(shim.stdin.as_mut().unwrap(), "{PING}").unwrap();
    // More than all pipes between server and client hold.
    let long = PONG.replace("{}", &format!(r#"{{"text":"{}"}}"#, "x".repeat(4 << 20)));
    answer_once(&server, &long);
    let mut output = shim.stdout.take().unwrap();
    output.read_exact(&mut [0; 16]).unwrap();
    let clock = Clock::start();
    kill_process(Pid::from_child(&shim), Signal::TERM).unwrap();
    while shim.try_wait().unwrap().is_none() {
        let took = clock.now().since(clock.started_at());
        assert!(took < Duration::from_mins(1), "it does not end");
        std::thread::yield_now();
    }
    assert_eq!(shim.wait().unwrap().code(), Some(128 + 15));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let home = Home::new();
    home.run(&["wrap"]).refused(2, &["COMMAND"]);
    home.run(&["wrap", "--upstream", "http://127.0.0.1:9/mcp", "--", "cat"])
        .refused(2, &["cannot be used with"]);
    home.run(&[
        "wrap",
        "--upstream",
        "http://127.0.0.1:9/mcp",
        "--header-env",
        "Authorization=NOT_SET_AT_ALL",
    ])
    .refused(2, &["NOT_SET_AT_ALL"]);
}
