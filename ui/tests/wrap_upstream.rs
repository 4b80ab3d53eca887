//! `wrap --upstream`: the binary as a stdio server in front of one that speaks HTTP.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/tls.rs"]
mod tls;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use binary::{Headless, Home, Ran};
use shadowcat::clock::Clock;
use tls::PONG;

const PING: &str = r#"{"jsonrpc":"2.0","id":"p-1","method":"ping"}"#;

/// Says `PING` to the shim, and no more. The server has to answer meanwhile.
fn ping(command: &mut Command) -> Ran {
    let mut shim = command.stdin(Stdio::piped()).spawn().unwrap();
    writeln!(shim.stdin.take().unwrap(), "{PING}").unwrap();
    Ran::of(&shim.wait_with_output().unwrap())
}

/// The reason in the error that stands in place of an answer.
fn reason(ran: &Ran) -> &str {
    let rest = ran.stdout.split_once(r#""reason":""#);
    let reason = rest.and_then(|(_, rest)| rest.split_once('"'));
    reason.unwrap_or_else(|| panic!("{ran:?}")).0
}

/// Answers one POST with a pong and gives its head and body.
fn answer_once(server: &TcpListener) -> (String, String) {
    answer_with(server, |_| PONG)
}

/// Answers one POST with what `answer` makes of its body.
fn answer_with(server: &TcpListener, answer: impl Fn(&str) -> &'static str) -> (String, String) {
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
    let body = String::from_utf8(body).unwrap();
    let answer = answer(&body);
    let length = answer.len();
    write!(
        reader.get_mut(),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{answer}"
    )
    .unwrap();
    (head, body)
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
    let https = ["wrap", "--upstream", "https://127.0.0.1:9/mcp"];
    home.run(&[&https[..], &["--upstream-ca", "/no/such.pem"]].concat())
        .refused(2, &["/no/such.pem"]);
    home.run(&[&https[..], &["--insecure", "*.test"]].concat())
        .refused(2, &["single hosts"]);
    home.run(&["wrap", "--insecure", "localhost", "--", "cat"])
        .refused(2, &["--insecure", "cannot be used with"]);
    home.run(&["wrap", "--header", "X-Team: a", "--", "cat"])
        .refused(2, &["--header", "cannot be used with"]);
    home.run(&[
        "wrap",
        "--upstream",
        "h2c://127.0.0.1:9/mcp",
        "--via",
        "http://127.0.0.1:9",
    ])
    .refused(3, &["h2c://", "--via"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_believed_if_its_authority_is_named_or_its_certificate_left_unchecked() {
    let home = Home::new();
    let (server, authority) = tls::server(&[b"h2", b"http/1.1"]).await;
    let root = home.file("root.pem", &authority);
    let url = format!("https://localhost:{}/mcp", server.port());
    let ask = |options: &[&str]| ping(&mut home.command(&[&["wrap", "--upstream", &url], options].concat()));
    let pong = format!("{PONG}\n");

    let believed = ask(&["--upstream-ca", &root]);
    assert_eq!(
        (believed.stdout.as_str(), believed.stderr.as_str()),
        (pong.as_str(), "")
    );
    let unchecked = ask(&["--insecure", "localhost"]);
    assert_eq!(unchecked.stdout, pong);
    assert!(
        unchecked.stderr.contains("localhost is NOT checked"),
        "{unchecked:?}"
    );
    for refused in [ask(&[]), ask(&["--insecure", "elsewhere.test"])] {
        assert_eq!(reason(&refused), "unreachable");
        assert!(
            refused.stdout.contains("--upstream-ca") && !refused.stderr.contains("NOT checked"),
            "{refused:?}"
        );
    }
}

#[test]
fn requests_for_http_go_to_another_proxy_whole_and_with_our_credentials() {
    let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let via = format!("http://me:p%40ss@{}", proxy.local_addr().unwrap());
    let home = Home::new();
    for by_flag in [true, false] {
        let mut command = home.command(&["wrap", "--upstream", "http://mcp.test/mcp"]);
        if by_flag {
            command.args(["--via", &via]);
        } else {
            command.env("SHADOWCAT_VIA", &via);
        }
        let (ran, (head, body)) = std::thread::scope(|scope| {
            let asked = scope.spawn(|| answer_once(&proxy));
            (ping(&mut command), asked.join().unwrap())
        });
        assert_eq!((ran.stdout, body), (format!("{PONG}\n"), PING.to_owned()));
        assert!(
            head.starts_with("post http://mcp.test/mcp http/1.1\r\n")
                && head.contains("proxy-authorization: basic bwu6cebzcw==\r\n"),
            "{head}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_proxy_sees_the_run_and_is_the_way_to_an_https_server() {
    let home = Home::new();
    let (server, authority) = tls::server(&[b"http/1.1"]).await;
    let root = home.file("root.pem", &authority);
    let url = format!("https://localhost:{}/mcp", server.port());
    let proxy = Headless::start(&home, &["--no-intercept", "*"]);
    let clock = Clock::start();
    while std::fs::read_dir(home.path().join("door")).is_ok_and(|mut door| door.next().is_none()) {
        assert!(clock.now().since(clock.started_at()) < Duration::from_mins(1));
        std::thread::yield_now();
    }
    let via = format!("http://{}", proxy.address);
    let ran = ping(&mut home.command(&["wrap", "--upstream", &url, "--via", &via, "--upstream-ca", &root]));
    assert_eq!((ran.stdout.as_str(), ran.code), (&*format!("{PONG}\n"), Some(0)));
    let shown = proxy.terminate().stdout;
    let tunnel = format!("localhost:{}", server.port());
    for words in [
        ["→", "run", &url],
        ["→", "ping", "p-1"],
        ["◄", "ping", "p-1"],
        ["→", "tunnel", &tunnel],
    ] {
        let is_there = |line: &str| words.iter().all(|word| line.contains(word));
        assert!(shown.lines().any(is_there), "{words:?}\n{shown}");
    }
}

#[test]
fn a_proxy_holds_a_line_before_it_becomes_a_request_and_its_edit_is_what_the_server_gets() {
    const GATE: &str = r#"{"jsonrpc":"2.0","id":"g","method":"gate"}"#;
    const OPEN: &str = r#"{"jsonrpc":"2.0","id":"g","result":{"open":true}}"#;
    const GATED: &str = r#"{"jsonrpc":"2.0","id":"g","result":{}}"#;
    const RULES: &str = "[[rule]]\nname = \"gate\"\nwhen = \"dir:c2s method:gate\"\nanswer = {}\n\
        [[rule]]\nname = \"hold\"\nwhen = \"dir:c2s method:ping\"\nthen = \"hold\"\n";
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/mcp", server.local_addr().unwrap());
    let home = Home::new();
    let rules = home.file("rules.toml", RULES);
    let proxy = Headless::start(&home, &["--wait", "--format", "none", "--rules", &rules]);
    let held = |arguments: &[&str]| home.run(&[&["held", "--connect", &proxy.address], arguments].concat());
    let is_open = || held(&["list"]).code == Some(0);
    until("a control door", is_open);
    let mut command = home.command(&["wrap", "--connect", &proxy.address, "--upstream", &url]);
    let mut shim = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = shim.stdin.take().unwrap();
    let mut output = BufReader::new(shim.stdout.take().unwrap());
    let mut line = String::new();
    let (bodies, heard) = sync_channel(1000);
    let serving = std::thread::Builder::new().spawn(move || {
        loop {
            let (_, body) = answer_with(&server, |body| if body == GATE { OPEN } else { PONG });
            if body != GATE {
                bodies.send(body).unwrap();
                return;
            }
        }
    });
    // Until the proxy was found and its rules act, the server is asked.
    while line.trim_end() != GATED {
        line.clear();
        writeln!(input, "{GATE}").unwrap();
        output.read_line(&mut line).unwrap();
    }
    writeln!(input, "{PING}").unwrap();
    until("a held line", || held(&["list"]).stdout.contains("ping"));
    let edited = held(&["edit", "1", "--set", "$.params.by=hand"]);
    assert_eq!(edited.code, Some(0), "{edited:?}");
    assert_eq!(held(&["forward", "1"]).code, Some(0));
    assert_eq!(
        heard.recv_timeout(Duration::from_mins(1)).unwrap(),
        PING.replace("\"ping\"", "\"ping\",\"params\":{\"by\":\"hand\"}")
    );
    line.clear();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, format!("{PONG}\n"));
    serving.unwrap().join().unwrap();
    drop(input);
    assert!(shim.wait().unwrap().success());
    assert_eq!(proxy.terminate().code, Some(0));
}

/// Waits for what has no event to wait for.
fn until(what: &str, is_it: impl Fn() -> bool) {
    let clock = Clock::start();
    while !is_it() {
        assert!(
            clock.now().since(clock.started_at()) < Duration::from_mins(1),
            "never: {what}"
        );
        std::thread::yield_now();
    }
}
