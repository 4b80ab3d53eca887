//! The end of the program: what still finishes, what is cut, what is said of it, and how to leave without waiting.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use binary::{Headless, Home};
use shadowcat::clock::Clock;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"slow"}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"in time"}]}}"#;
const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

/// A proxy in front of a server that the test plays.
struct Scene {
    proxy: Headless,
    upstream: TcpListener,
}

/// Both ends of one exchange.
struct Ends {
    client: TcpStream,
    server: TcpStream,
}

impl Scene {
    fn start(home: &Home, drain_timeout: &str, more: &[&str]) -> Self {
        let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/mcp", upstream.local_addr().unwrap());
        let common = [
            "--format",
            "none",
            "--upstream",
            &url,
            "--drain-timeout",
            drain_timeout,
        ];
        Self {
            proxy: Headless::start(home, &[&common, more].concat()),
            upstream,
        }
    }

    /// A request that has arrived at the server as a whole: from now on it is in flight.
    fn begin(&self, method: &str, body: &str) -> Ends {
        let address = &self.proxy.address;
        let mut client = TcpStream::connect(address).unwrap();
        let length = body.len();
        let head = format!(
            "{method} /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        client.write_all(head.as_bytes()).unwrap();
        client.write_all(body.as_bytes()).unwrap();
        let (mut server, _) = self.upstream.accept().unwrap();
        for socket in [&client, &server] {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        let end = if body.is_empty() { "\r\n\r\n" } else { body };
        read_through(&mut server, end);
        Ends { client, server }
    }

    /// A tunnel to the server, through which a word has passed.
    fn tunnel(&self) -> Ends {
        let mut client = TcpStream::connect(&self.proxy.address).unwrap();
        let target = self.upstream.local_addr().unwrap();
        write!(client, "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").unwrap();
        let (mut server, _) = self.upstream.accept().unwrap();
        read_through(&mut client, "\r\n\r\n");
        client.write_all(b"word").unwrap();
        read_through(&mut server, "word");
        Ends { client, server }
    }

    /// Waits until no client is accepted any more.
    fn wait_refusal(&self) {
        let clock = Clock::start();
        while TcpStream::connect(&self.proxy.address).is_ok() {
            let waited = clock.now().since(clock.started_at());
            assert!(waited < PATIENCE, "clients are still accepted after {waited:?}");
        }
    }
}

/// Everything up to and including `end`.
fn read_through(socket: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(end.as_bytes()) {
        let length = socket.read(&mut byte).unwrap();
        let text = String::from_utf8_lossy(&read);
        assert!(length > 0, "it ended before {end:?}: {text:?}");
        read.extend_from_slice(&byte);
    }
    String::from_utf8(read).unwrap()
}

fn event(text: &str) -> String {
    format!(
        "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"level\":\"info\",\"data\":\"{text}\"}}}}\n\n"
    )
}

#[test]
fn the_end_accepts_nobody_lets_a_call_finish_cuts_a_stream_and_closes_the_recording() {
    let home = Home::new();
    let file = home.path().join("run.jsonl").display().to_string();
    let scene = Scene::start(&home, "4s", &[&format!("--record={file}")]);
    let mut stream = scene.begin("GET", "");
    stream.server.write_all(EVENTS.as_bytes()).unwrap();
    stream.server.write_all(event("before").as_bytes()).unwrap();
    read_through(&mut stream.client, &event("before"));
    let mut call = scene.begin("POST", CALL);

    scene.proxy.tell_to_end();
    scene.wait_refusal();
    stream.server.write_all(event("meanwhile").as_bytes()).unwrap();
    read_through(&mut stream.client, &event("meanwhile"));
    let length = RESULT.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{RESULT}"
    );
    call.server.write_all(answer.as_bytes()).unwrap();
    read_through(&mut call.client, RESULT);

    let ran = scene.proxy.ended();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let last = lines.last().unwrap();
    assert!(
        last.contains("Cut because it did not finish in time: 1 × connection."),
        "{ran:?}"
    );
    assert!(last.contains(&format!("Recorded to {file}.")), "{ran:?}");

    let last_line = std::fs::read_to_string(&file).unwrap();
    let last_line = last_line.lines().last().unwrap();
    assert!(last_line.contains("\"end\""), "{last_line}");
    let shown = home.run(&["show", &file, "--format", "json", "--bodies"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for said in ["before", "meanwhile", "in time"] {
        assert!(shown.stdout.contains(said), "`{said}` is not in {shown:?}");
    }
    let rows = shown
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let rows: Vec<serde_json::Value> = rows.collect();
    let of_kind = |kind: &str| rows.iter().filter(|row| row["kind"] == kind).count();
    assert_eq!(
        (of_kind("request"), of_kind("result"), of_kind("notification")),
        (1, 1, 2),
        "{}",
        shown.stdout
    );
}

#[test]
fn a_second_signal_leaves_at_once_and_what_was_recorded_can_be_read() {
    let home = Home::new();
    let file = home.path().join("run.jsonl").display().to_string();
    let mut scene = Scene::start(&home, "1h", &[&format!("--record={file}")]);
    let call = scene.begin("POST", CALL);
    scene.proxy.tell_to_end();
    let line = scene.proxy.line_with("Ctrl-C leaves at once");
    assert!(line.contains("waiting 1 h 00 min at most"), "{line}");
    let clock = Clock::start();
    let ran = scene.proxy.terminate();
    let took = clock.now().since(clock.started_at());
    assert!(took < PATIENCE, "it took {took:?}");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("error: left at once"), "{ran:?}");
    drop(call);
    let shown = home.run(&["show", &file]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.contains("tools/call"), "{shown:?}");
}

#[test]
fn a_signal_and_its_echo_are_one() {
    let home = Home::new();
    let scene = Scene::start(&home, "300ms", &[]);
    let call = scene.begin("POST", CALL);
    scene.proxy.interrupt();
    let ran = scene.proxy.terminate();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("did not finish in time"), "{ran:?}");
    drop(call);
}

#[test]
fn what_does_not_finish_in_time_is_cut_and_told_by_its_kind() {
    let home = Home::new();
    let scene = Scene::start(&home, "10ms", &[]);
    let _stuck = [scene.begin("GET", ""), scene.begin("POST", CALL)];
    let _tunnel = scene.tunnel();
    let ran = scene.proxy.terminate();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stderr
            .contains("Cut because it did not finish in time: 2 × connection, 1 × tunnel."),
        "{ran:?}"
    );
}

#[test]
fn connections_on_which_nothing_goes_on_do_not_hold_up_the_end() {
    let home = Home::new();
    let scene = Scene::start(&home, "1h", &[]);
    let mut silent = TcpStream::connect(&scene.proxy.address).unwrap();
    let mut used = scene.begin("POST", CALL);
    let length = RESULT.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{RESULT}");
    used.server.write_all(answer.as_bytes()).unwrap();
    read_through(&mut used.client, RESULT);
    let ran = scene.proxy.terminate();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    assert!(!ran.stderr.contains("Cut "), "{ran:?}");
    for client in [&mut silent, &mut used.client] {
        assert_eq!(
            client.read(&mut [0; 16]).unwrap(),
            0,
            "it was not closed in order"
        );
    }
}
