//! Replays that do not come to their end: whatever the reason, the exit code, the rows and the reports say so.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

use super::{ALL_SAME, Headless, Home, RECORDING, Ran, is_same, recorded_by};

/// A recording of a client that waits for each answer.
fn recorded() -> Home {
    recorded_by(|output| {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert!(line.contains("result"), "{line}");
    })
}

/// An HTTP server that answers each request as its function says: status, fields, body.
struct Fake {
    address: std::net::SocketAddr,
    is_over: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

type Answer = (u16, &'static str, String);

impl Fake {
    fn start(answer: impl Fn(&Value) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let serving = std::thread::Builder::new().spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                serve(socket, &answer);
            }
        });
        Self {
            address,
            is_over,
            serving: Some(serving.unwrap()),
        }
    }

    fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

fn serve(socket: TcpStream, answer: &impl Fn(&Value) -> Answer) {
    let mut socket = BufReader::new(socket);
    let (mut line, mut length, mut is_post) = (String::new(), 0, false);
    loop {
        line.clear();
        if socket.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        is_post |= line.starts_with("POST ");
        if let Some((_, value)) = line.to_ascii_lowercase().split_once("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).unwrap();
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (status, fields, text) = match (is_post, message.get("id")) {
        (false, _) => (405, "", String::new()),
        (true, None) => (202, "", String::new()),
        (true, Some(_)) => answer(&message),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n{fields}\r\n",
        text.len()
    );
    let _ = socket.get_mut().write_all((head + &text).as_bytes());
}

const JSON: &str = "Content-Type: application/json\r\n";

/// Answers as the recorded server does.
fn as_recorded(message: &Value) -> Answer {
    let name = message["params"]["name"].as_str();
    let result = match message["method"].as_str().unwrap() {
        "initialize" => {
            json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "sh", "version": "1"}})
        }
        "tools/list" => json!({"tools": [
            {"name": "greet", "inputSchema": {"type": "object", "properties": {"to": {"type": "string"}}}},
            {"name": "look", "annotations": {"readOnlyHint": true}, "inputSchema": {"type": "object"}},
        ]}),
        _ if name == Some("greet") => json!({"content": [{"type": "text", "text": "hello"}]}),
        _ => json!({"content": [{"type": "text", "text": "at 2026-11-23T10:00:01Z"}]}),
    };
    let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
    (200, JSON, answer.to_string())
}

/// Sends the recording to a server of this kind.
fn sent_to(home: &Home, url: &str, more: &[&str]) -> Ran {
    let words = [
        "replay",
        RECORDING,
        "--yes",
        "--timeout",
        "1.5",
        "--upstream",
        url,
    ];
    home.run(&[&words[..], more].concat())
}

/// Sends it to a command.
fn sent_through(home: &Home, script: &str, more: &[&str]) -> Ran {
    let words = [&["replay", RECORDING, "--yes", "--timeout", "1500ms"], more].concat();
    home.run(&[&words[..], &["--", "sh", "-c", script]].concat())
}

#[test]
fn after_a_handshake_that_failed_nothing_counts_as_the_same_and_a_sentence_says_why() {
    let home = recorded();
    let refusing = |message: &Value| {
        let error = json!({"code": -32602, "message": "Unsupported\u{202e} protocol"});
        (
            400,
            JSON,
            json!({"jsonrpc": "2.0", "id": message["id"], "error": error}).to_string(),
        )
    };
    let refusing = Fake::start(refusing);
    let absent = Fake::start(|_| (404, "Content-Type: text/plain\r\n", "no\nsuch page".to_owned()));
    let silly = Fake::start(|_| (200, "Content-Type: text/html\r\n", "<html>".to_owned()));
    let refused =
        "read a; echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,\"message\":\"no\"}}'; cat";
    for (ran, first, words) in [
        (
            sent_to(&home, &refusing.url(), &[]),
            "changed",
            &[
                "the error -32602: Unsupported\\u{202e} protocol",
                "needs a new recording",
            ][..],
        ),
        (
            sent_to(&home, &absent.url(), &[]),
            "missing",
            &["answered 404", "no such page", "Check the path of the URL"],
        ),
        (
            sent_to(&home, &silly.url(), &[]),
            "missing",
            &["text/html", "no MCP"],
        ),
        (
            sent_through(&home, refused, &[]),
            "changed",
            &["the error -32602: no", "needs a new recording"],
        ),
        (
            sent_through(&home, "echo boot >&2; echo no data >&2; exit 3", &[]),
            "missing",
            &[
                "exit code 3",
                "before it answered initialize",
                "its last words were `no data`",
                "by hand",
            ],
        ),
        (
            sent_through(&home, "kill -9 $$", &[]),
            "missing",
            &["signal 9", "before it answered initialize"],
        ),
        (
            sent_through(&home, "printf 'Listening\\033[31m \\n'; cat >/dev/null", &[]),
            "timed out",
            &[
                "no answer within 1.5s",
                "it wrote `Listening␛[31m`, which is no message",
                "--timeout",
            ],
        ),
    ] {
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.stdout.starts_with(&format!("{first:7}  F1  initialize\n")),
            "{ran:?}"
        );
        assert!(
            ran.stdout.ends_with(&format!("\n4 calls: 1 {first}, 3 unsent\n")),
            "{ran:?}"
        );
        assert!(!ran.stdout.contains("same "), "{ran:?}");
        let sentence = ran.stderr.lines().find(|line| line.starts_with("error: F1: "));
        let sentence = sentence.unwrap_or_else(|| panic!("{ran:?}"));
        for word in words {
            assert!(sentence.contains(word), "`{word}` is not in {sentence}");
        }
    }
}

#[test]
fn a_server_that_is_not_there_ends_it_with_its_own_code_and_the_reports_say_that_nothing_was_sent() {
    let home = recorded();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", free.local_addr().unwrap());
    drop(free);
    let ran = sent_to(&home, &url, &["--junit", "j.xml"]);
    ran.refused(3, &["could not be reached", "Check that the server runs there"]);
    let junit = std::fs::read_to_string(home.path().join("j.xml")).unwrap();
    assert!(
        junit.contains("tests=\"4\" failures=\"0\" errors=\"4\""),
        "{junit}"
    );
    assert!(junit.contains("<system-err>http://127.0.0.1:"), "{junit}");
    let ran = sent_to(&home, &url, &["--format", "json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (ran.code, &report["counts"]["unsent"], &report["same"]),
        (Some(3), &json!(4), &json!(false))
    );
    assert!(
        report["failures"][0]
            .as_str()
            .unwrap()
            .contains("could not be reached"),
        "{report}"
    );
    let none = home.run(&["replay", RECORDING, "--yes", "--junit", "k.xml", "--", "./none"]);
    none.refused(3, &["./none"]);
    let junit = std::fs::read_to_string(home.path().join("k.xml")).unwrap();
    assert!(junit.contains("failures=\"0\" errors=\"4\""), "{junit}");
}

#[test]
fn another_status_around_the_same_answer_is_a_change_and_so_is_another_failure() {
    let home = recorded();
    let recorded = Fake::start(as_recorded);
    let proxy = Headless::start(&home, &["--record=http.jsonl", "--upstream", &recorded.url()]);
    let url = format!("http://{}/mcp", proxy.address);
    is_same(&sent_to(&home, &url, &[]));
    proxy.terminate();

    let again = |url: &str, more: &[&str]| {
        let words = ["replay", "http.jsonl", "--yes", "--upstream", url];
        home.run(&[&words[..], more].concat())
    };
    let same = again(&recorded.url(), &[]);
    assert_eq!(
        (same.code, same.stdout.replace("R1", "F1")),
        (Some(0), ALL_SAME.to_owned()),
        "{same:?}"
    );

    let failing = Fake::start(|message| match as_recorded(message) {
        (_, fields, text) if message["params"]["name"] == "greet" => (500, fields, text),
        answer => answer,
    });
    let ran = again(&failing.url(), &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stdout.contains(
            "changed  R1  tools/call greet\n           status: 200 → 500\nsame     R1  tools/call look\n"
        ),
        "{ran:?}"
    );
    // Pipes have no status, but no client takes a result from such a response.
    let ran = sent_to(&home, &failing.url(), &[]);
    assert!(
        ran.stdout
            .contains("changed  F1  tools/call greet\n           status is new: 500\n"),
        "{ran:?}"
    );
    let ran = home.run(&["diff", "http.jsonl", "http.jsonl"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = std::fs::read_to_string(home.path().join("http.jsonl")).unwrap();
    let teapot = text.replace("\"status\":200", "\"status\":418");
    assert_ne!(text, teapot);
    home.file("teapot.jsonl", &teapot);
    let ran = home.run(&["diff", "http.jsonl", "teapot.jsonl"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("status: 200 → 418"), "{ran:?}");
}

/// A server that says where it is once it was asked to greet, and then no more.
const STUCK: &str = r#"
while read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  case $line in
    *'"initialize"'*) result='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}';;
    *'"tools/list"'*) result='{"tools":[{"name":"greet","inputSchema":{"type":"object","properties":{"to":{"type":"string"}}}},{"name":"look","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object"}}]}';;
    *'"greet"'*) echo $$ > reached; continue;;
    *) continue;;
  esac
  echo '{"jsonrpc":"2.0","id":'$id',"result":'"$result"'}'
done
"#;

/// A recording whose client waited for each answer, under way to a server that is stuck.
struct Stuck {
    home: Home,
    child: Child,
    server: Pid,
}

impl Stuck {
    /// `script` is what the server does besides.
    fn start(script: [&str; 2]) -> Self {
        let home = recorded();
        home.file("stuck.sh", &script.join(STUCK));
        let fifo = home.path().join("reached");
        let never = home.path().join("never");
        assert!(
            Command::new("mkfifo")
                .args([&fifo, &never])
                .status()
                .unwrap()
                .success()
        );
        let words = [
            "replay", RECORDING, "--yes", "--junit", "j.xml", "--", "sh", "stuck.sh",
        ];
        let child = home.command(&words).stdin(Stdio::null()).spawn().unwrap();
        let server = std::fs::read_to_string(fifo).unwrap();
        let server = Pid::from_raw(server.trim().parse().unwrap()).unwrap();
        Self { home, child, server }
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    fn ended(self) -> (Home, Ran) {
        let ran = Ran::of(&self.child.wait_with_output().unwrap());
        // Nobody may have waited for it yet. It is told to end before we are.
        while is_running(self.server) {
            std::thread::yield_now();
        }
        (self.home, ran)
    }
}

fn is_running(process: Pid) -> bool {
    let id = process.as_raw_nonzero();
    let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    test_kill_process(process).is_ok() && !status.contains(") Z")
}

#[test]
fn a_signal_ends_it_with_what_is_known_and_the_rest_was_not_sent() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let stuck = Stuck::start(["", ""]);
        stuck.signal(signal);
        let (home, ran) = stuck.ended();
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(
            ran.stdout.starts_with("same     F1  initialize\nsame     F1  tools/list\nmissing  F1  tools/call greet\n           (interrupted before an answer came)\nunsent   F1  tools/call look\n           (not sent: interrupted)\n"),
            "{ran:?}"
        );
        let junit = std::fs::read_to_string(home.path().join("j.xml")).unwrap();
        assert!(junit.contains("name=\"1. initialize\"/>"), "{junit}");
        assert!(junit.contains("(not sent: interrupted)</error>"), "{junit}");
        assert!(
            junit.contains("(interrupted before an answer came)</failure>"),
            "{junit}"
        );
    }
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_server_with_it() {
    // It takes neither the end of its input nor SIGTERM for a reason to end.
    let mut stuck = Stuck::start(["trap '' TERM\n", "\nwhile :; do read -r line < never; done\n"]);
    stuck.signal(Signal::INT);
    let mut stderr = BufReader::new(stuck.child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("Ctrl-C leaves at once") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended before");
    }
    stuck.signal(Signal::INT);
    let (home, ran) = stuck.ended();
    stderr.read_to_string(&mut line).unwrap();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(130), ""), "{line}");
    assert!(line.contains("error: it was stopped at once"), "{line}");
    assert!(!home.path().join("j.xml").exists());
}
