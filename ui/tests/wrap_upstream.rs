//! `wrap --upstream`: the binary as a stdio server in front of one that speaks HTTP.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;

use binary::{Home, Ran};

const PING: &str = r#"{"jsonrpc":"2.0","id":"p-1","method":"ping"}"#;
const PONG: &str = r#"{"jsonrpc":"2.0","id":"p-1","result":{}}"#;

/// Answers one POST and gives its head and body.
fn answer_once(server: &TcpListener) -> (String, String) {
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
    let length = PONG.len();
    write!(
        reader.get_mut(),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{PONG}"
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
    let (head, body) = answer_once(&server);
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
