//! The binary as a person meets it: in a terminal of 80 columns and 24 rows, with keys, signals and resizes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/http.rs"]
mod http;
#[path = "support/tui.rs"]
mod tui;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use http::post;
use portable_pty::{CommandBuilder, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

use tokio::net::TcpSocket;
use tui::{Tui, command, size};

/// Longest wait for one picture.
const PATIENCE: Duration = Duration::from_secs(10);

/// A proxy with the built-in server and clients, once the first tool call has passed.
fn demo(home: &Path, more: &[&str]) -> Tui {
    let mut tui = start(demo_command(home, more));
    tui.wait_for("a tool call", PATIENCE, |text| {
        !tool_rows(text).is_empty() && text.contains("demo ✓")
    });
    tui
}

fn demo_command(home: &Path, more: &[&str]) -> CommandBuilder {
    command(home, &[&["demo", "--listen", "127.0.0.1:0"], more].concat())
}

fn start(command: CommandBuilder) -> Tui {
    Tui::start(command, 80, 24)
}

/// The rows of the message list: between its heading and the detail.
fn rows(text: &str) -> Vec<&str> {
    let lines = text.lines().take_while(|line| !line.contains("[Pretty]"));
    lines
        .filter(|line| line.contains(" → ") || line.contains(" ◄ "))
        .collect()
}

fn tool_rows(text: &str) -> Vec<&str> {
    let mut rows = rows(text);
    rows.retain(|row| row.contains("tools/call"));
    rows
}

/// Shown, all and hidden rows, as the filter line tells them.
fn filter_counts(text: &str) -> Option<[u64; 3]> {
    let line = text.lines().find(|line| line.contains(" hidden"))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [.., shown, "of", all, hidden, "hidden"] = words.as_slice() else {
        return None;
    };
    let number = |word: &str| word.trim_end_matches(',').parse().ok();
    Some([number(shown)?, number(all)?, number(hidden)?])
}

/// Everything that the program changed about the terminal is as before; `settings` are those from before.
#[track_caller]
fn assert_given_back(tui: &Tui, settings: &Settings) {
    let screen = tui.terminal.screen();
    assert!(!screen.alternate_screen(), "the alternate screen is still up");
    assert!(!screen.hide_cursor(), "the cursor is hidden");
    assert!(!screen.bracketed_paste(), "bracketed paste is on");
    assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    // The emulator keeps one mouse mode; terminals keep each.
    for mode in ["1000", "1002", "1003", "1006", "1015", "1049", "2004"] {
        let (on, off) = (format!("\x1b[?{mode}h"), format!("\x1b[?{mode}l"));
        let (on, off) = (last(&tui.written, &on), last(&tui.written, &off));
        assert!(on < off, "mode {mode} was set and not reset, or never set");
    }
    assert!(
        *settings == Settings::of(tui),
        "the terminal's settings were not given back"
    );
}

fn last(written: &[u8], sequence: &str) -> Option<usize> {
    let mut windows = written.windows(sequence.len());
    windows.rposition(|window| window == sequence.as_bytes())
}

/// What `stty` would show.
#[derive(PartialEq)]
struct Settings(String);

impl Settings {
    /// What the program finds. Of its own terminal that could be read only before it is started.
    fn of_a_new_terminal() -> Self {
        let pair = native_pty_system().openpty(size(80, 24)).unwrap();
        Self(format!("{:?}", pair.master.get_termios().unwrap()))
    }

    fn of(tui: &Tui) -> Self {
        Self(format!("{:?}", tui.master.get_termios().unwrap()))
    }
}

fn signal(tui: &Tui, signal: Signal) {
    let pid = i32::try_from(tui.child.process_id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// A recording of some traffic of the demonstration.
fn recording(home: &Path) -> PathBuf {
    let path = home.join("demo.jsonl");
    let record = format!("--record={}", path.display());
    let mut child = Command::new(env!("CARGO_BIN_EXE_shadowcat-tui"))
        .args(["demo", "--headless", "--listen", "127.0.0.1:0", &record])
        .env("HOME", home)
        .env("XDG_STATE_HOME", home.join("state"))
        .env("SHADOWCAT_DOOR_DIR", home.join("door"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_answer = |line: &str| line.contains(" ◄ ") && line.contains("tools/call");
    assert!(lines.any(|line| is_answer(&line.unwrap())));
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::TERM).unwrap();
    // Nobody reading would be a reason of its own to end.
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());
    path
}

#[test]
fn a_person_filters_looks_into_a_call_asks_for_help_and_quits() {
    let home = tempfile::tempdir().unwrap();
    let mut tui = start(demo_command(home.path(), &["--record=run.jsonl"]));
    let settings = Settings::of_a_new_terminal();
    tui.wait_for("a tool call", PATIENCE, |text| !tool_rows(text).is_empty());

    tui.press("/method:tools/call\r");
    tui.wait_for(
        "tool calls only, and how many others are hidden",
        PATIENCE,
        |text| {
            let counts = filter_counts(text);
            let adds_up =
                counts.is_some_and(|[shown, all, hidden]| shown > 0 && hidden > 0 && shown + hidden == all);
            adds_up && !rows(text).is_empty() && rows(text).len() == tool_rows(text).len()
        },
    );
    tui.press("\r");
    tui.wait_for("the detail with its keys and JSON", PATIENCE, |text| {
        text.contains("\"jsonrpc\": \"2.0\"") && text.contains("w wrap")
    });
    tui.press("?");
    tui.wait_for("help for the detail", PATIENCE, |text| {
        text.contains("Keys of this view") && text.contains("wrap long lines")
    });
    tui.press("\x1b");
    tui.wait_for("the detail again", PATIENCE, |text| {
        !text.contains("Keys of this view") && text.contains("w wrap")
    });
    tui.press("q");
    assert_eq!(tui.finish(PATIENCE).exit_code(), 0);
    assert_given_back(&tui, &settings);
    assert_eq!(tui.text().trim(), "Recorded to run.jsonl.");
}

#[test]
fn sigterm_gives_the_terminal_back_and_is_no_failure() {
    let home = tempfile::tempdir().unwrap();
    let mut tui = start(demo_command(home.path(), &[]));
    let settings = Settings::of_a_new_terminal();
    tui.wait_for("a tool call", PATIENCE, |text| !tool_rows(text).is_empty());
    signal(&tui, Signal::TERM);
    assert_eq!(tui.finish(PATIENCE).exit_code(), 0);
    assert_given_back(&tui, &settings);
    assert_eq!(tui.text().trim(), "");
}

/// A proxy on a terminal, and a request that its upstream never answers: client, then server.
fn with_a_stuck_exchange(home: &Path) -> (Tui, Settings, [TcpStream; 2]) {
    let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/mcp", upstream.local_addr().unwrap());
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &url,
        "--drain-timeout",
        "1h",
    ];
    let mut tui = start(command(home, &arguments));
    let settings = Settings::of_a_new_terminal();
    tui.wait_for("where clients can connect", PATIENCE, |text| {
        own_address(text).is_some()
    });
    let address = own_address(&tui.text()).unwrap();
    let mut client = TcpStream::connect(&address).unwrap();
    write!(client, "GET /mcp HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let (mut server, _) = upstream.accept().unwrap();
    assert!(server.read(&mut [0; 16]).unwrap() > 0);
    (tui, settings, [client, server])
}

/// The address that the status line shows.
fn own_address(text: &str) -> Option<String> {
    let (_, rest) = text.lines().next()?.split_once("⇄ ")?;
    let address = rest.split_whitespace().next()?;
    address.starts_with("127.0.0.1:").then(|| address.to_owned())
}

#[test]
fn a_second_key_or_signal_leaves_at_once_and_the_terminal_is_given_back() {
    for key in [Some("q"), Some("\x03"), None] {
        let home = tempfile::tempdir().unwrap();
        let (mut tui, settings, _peers) = with_a_stuck_exchange(home.path());
        tui.press("q");
        tui.wait_for("what is waited for, and for how long", PATIENCE, |text| {
            text.contains("waiting 1 h 00 min at most") && text.contains("q or Ctrl-C leaves at once")
        });
        match key {
            Some(key) => tui.press(key),
            None => signal(&tui, Signal::TERM),
        }
        assert_eq!(tui.finish(PATIENCE).exit_code(), 1, "{key:?}");
        let text = tui.text();
        assert!(text.contains("error: left at once"), "{key:?}: {text}");
        assert_given_back(&tui, &settings);
    }
}

#[test]
fn a_recording_is_opened_and_its_calls_are_there() {
    let home = tempfile::tempdir().unwrap();
    let file = recording(home.path());
    let mut tui = start(command(home.path(), &["open", &file.display().to_string()]));
    tui.wait_for("the first rows of the recording", PATIENCE, |text| {
        text.contains("open ") && text.contains("demo.jsonl") && text.contains("server/disc")
    });
    tui.press("/tool:*\r");
    tui.wait_for("its tool calls", PATIENCE, |text| {
        filter_counts(text).is_some_and(|[shown, ..]| shown > 0) && !tool_rows(text).is_empty()
    });
    tui.press("q");
    assert_eq!(tui.finish(PATIENCE).exit_code(), 0);
}

#[test]
fn no_color_is_obeyed_in_every_byte() {
    let home = tempfile::tempdir().unwrap();
    let mut colourless = demo_command(home.path(), &[]);
    colourless.env("NO_COLOR", "1");
    let mut tui = start(colourless);
    tui.wait_for("a tool call", PATIENCE, |text| !tool_rows(text).is_empty());
    tui.press("\r?");
    tui.wait_for("help", PATIENCE, |text| text.contains("Keys of this view"));
    tui.press("\x1b");
    tui.wait_for("no help", PATIENCE, |text| !text.contains("Keys of this view"));
    tui.press("q");
    assert_eq!(tui.finish(PATIENCE).exit_code(), 0);
    assert_eq!(colours(&tui.written), [""; 0]);

    let mut coloured = demo(home.path(), &[]);
    coloured.press("q");
    coloured.finish(PATIENCE);
    assert!(
        !colours(&coloured.written).is_empty(),
        "the check itself sees no colours"
    );
}

/// The sequences that choose a colour.
fn colours(written: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(written);
    let sequences = text.split("\x1b[").skip(1);
    let looks = sequences.filter_map(|rest| {
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | ';' | ':'))?;
        let (numbers, rest) = rest.split_at(end);
        rest.starts_with('m').then(|| numbers.to_owned())
    });
    let is_colour = |number: &str| {
        // 39, 49 and 59 go back to the terminal's own.
        matches!(
            number.parse(),
            Ok(30_u8..=38 | 40..=48 | 58 | 90..=97 | 100..=107)
        )
    };
    looks
        .filter(|numbers| numbers.split([';', ':']).any(is_colour))
        .collect()
}

#[test]
fn a_terminal_that_is_too_small_says_so_and_grows_again() {
    let home = tempfile::tempdir().unwrap();
    let mut tui = Tui::start(demo_command(home.path(), &[]), 39, 9);
    tui.wait_for("that it is too small", PATIENCE, |text| {
        text.contains("too small: 40x10")
    });
    // No keys meanwhile: crossterm may keep what is typed together with a resize until the next key.
    for (columns, rows) in [(80, 24), (120, 40), (20, 4), (80, 24)] {
        resize(&mut tui, columns, rows);
    }
    tui.wait_for("a tool call", PATIENCE, |text| !tool_rows(text).is_empty());
    tui.press("q");
    assert_eq!(tui.finish(PATIENCE).exit_code(), 0);
}

/// Resizes the terminal and waits until the screen fills it.
fn resize(tui: &mut Tui, columns: u16, rows: u16) {
    let cells = |count| std::num::NonZeroU16::new(count).unwrap();
    tui.terminal.screen_mut().set_size(cells(rows), cells(columns));
    tui.master.resize(tui::size(columns, rows)).unwrap();
    let wanted = format!("a picture of {columns}x{rows}");
    if columns < 40 {
        return tui.wait_for(&wanted, PATIENCE, |text| text.contains("too small: 40x10"));
    }
    tui.wait_for(&wanted, PATIENCE, |text| {
        let lines: Vec<&str> = text.lines().collect();
        let is_wide = lines
            .iter()
            .any(|line| line.ends_with('┐') && line.chars().count() == usize::from(columns));
        is_wide
            && lines.len() == usize::from(rows)
            && lines.last().is_some_and(|line| line.contains("? help"))
    });
}

#[test]
fn a_server_that_is_down_is_seen_at_once_and_the_key_has_it_tried_again() {
    let home = tempfile::tempdir().unwrap();
    // Bound and never listened on: whoever connects is refused.
    let dead = TcpSocket::new_v4().unwrap();
    dead.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let upstream = format!("http://{}/mcp", dead.local_addr().unwrap());
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &upstream,
        "--breaker-pause",
        "1h",
    ];
    let mut tui = Tui::start(command(home.path(), &arguments), 120, 40);
    tui.wait_for("the address", PATIENCE, |text| text.contains("⇄ 127.0.0.1:"));
    let address = tui
        .text()
        .split("⇄ ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    for _ in 0..5 {
        assert_eq!(status_of_a_request_to(&address), "502");
    }
    assert_eq!(status_of_a_request_to(&address), "503");
    tui.wait_for("the open breaker in the header", PATIENCE, |text| {
        text.contains("✗ breaker open")
    });
    tui.press("5");
    tui.wait_for("when it is tried, and the key", PATIENCE, |text| {
        text.contains("next try allowed in 59 min") && text.contains("r retry servers")
    });
    tui.press("r");
    tui.wait_for("the reset", PATIENCE, |text| {
        text.contains("the next request to") && !text.contains("breaker open")
    });
    assert_eq!(status_of_a_request_to(&address), "502");
    tui.press("Q");
    assert!(tui.finish(PATIENCE).success());
}

/// The status of a GET on a connection of its own.
fn status_of_a_request_to(address: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    write!(
        socket,
        "GET /mcp HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

/// The body of a call with this text.
fn call_with(text: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{text}","n":1.10}}}}}}"#
    )
}

/// An editor that puts `after` in the place of `before`, as a person would.
fn scripted_editor(home: &Path) -> PathBuf {
    let script = home.join("editor");
    let text = "#!/bin/sh\nsed 's/before/after/' \"$1\" > edited && cat edited > \"$1\"\n";
    std::fs::write(&script, text).unwrap();
    let mut permissions = std::fs::metadata(&script).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o700);
    std::fs::set_permissions(&script, permissions).unwrap();
    script
}

/// Reads a request or response that ends with `end`.
fn read_until(socket: &mut TcpStream, end: &str) -> String {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        let mut some = [0; 1024];
        let count = socket.read(&mut some).unwrap();
        assert!(count > 0, "ended early: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&some[..count]);
    }
    String::from_utf8(read).unwrap()
}

#[test]
fn a_call_is_held_changed_in_the_editor_and_forwarded() {
    let home = tempfile::tempdir().unwrap();
    let drafts = home.path().join("drafts");
    std::fs::create_dir(&drafts).unwrap();
    let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/mcp", upstream.local_addr().unwrap());
    let mut program = command(home.path(), &["--listen", "127.0.0.1:0", "--upstream", &url]);
    program.env("EDITOR", scripted_editor(home.path()));
    program.env("TMPDIR", &drafts);
    let mut tui = Tui::start(program, 100, 30);
    let settings = Settings::of_a_new_terminal();
    tui.wait_for("where clients can connect", PATIENCE, |text| {
        own_address(text).is_some()
    });
    let address = own_address(&tui.text()).unwrap();
    tui.press(":break method:tools/call dir:c2s\r");
    tui.wait_for("the breakpoint", PATIENCE, |text| {
        text.contains("messages that match are held") && text.contains("1 rule")
    });

    let body = call_with("before");
    let mut client = post(&address, &body);
    tui.wait_for("the badge and the row's state", PATIENCE, |text| {
        text.contains("⏸ 1 held") && text.contains("⏸ HELD")
    });
    tui.press("gh");
    tui.wait_for("the message, and what f sends", PATIENCE, |text| {
        text.contains("\"text\": \"before\"") && text.contains("f sends") && text.contains("unchanged")
    });
    tui.press("e");
    tui.wait_for("the edited message", PATIENCE, |text| {
        text.contains("\"text\": \"after\"") && text.contains("edited") && text.contains("\"n\": 1.10")
    });
    assert_eq!(std::fs::read_dir(&drafts).unwrap().count(), 0);
    tui.press("D");
    tui.wait_for("the difference", PATIENCE, |text| {
        text.contains("$.params.arguments.text") && text.contains("- \"before\"")
    });
    tui.press("f");
    let (mut server, _) = upstream.accept().unwrap();
    let edited = call_with("after");
    let request = read_until(&mut server, &edited);
    assert!(
        request
            .to_lowercase()
            .contains(&format!("content-length: {}\r\n", edited.len())),
        "{request}"
    );
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
    write!(
        server,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
        answer.len()
    )
    .unwrap();
    read_until(&mut client, answer);
    tui.wait_for("nothing held any more", PATIENCE, |text| {
        text.contains("nothing is held") && !text.contains("⏸")
    });
    tui.press("qq");
    assert_eq!(tui.finish(PATIENCE).exit_code(), 0);
    assert_given_back(&tui, &settings);
}

/// A screen on which a call is held, with the client of that call and its server.
struct HeldCall {
    tui: Tui,
    client: TcpStream,
    upstream: TcpListener,
    body: String,
}

impl HeldCall {
    fn start(home: &Path) -> Self {
        let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/mcp", upstream.local_addr().unwrap());
        let arguments = [
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            &url,
            "--drain-timeout",
            "1h",
        ];
        let mut tui = Tui::start(command(home, &arguments), 100, 30);
        tui.wait_for("where clients can connect", PATIENCE, |text| {
            own_address(text).is_some()
        });
        let address = own_address(&tui.text()).unwrap();
        tui.press(":break method:tools/call\r");
        tui.wait_for("the breakpoint", PATIENCE, |text| text.contains("1 rule"));
        let body = call_with("mine");
        let client = post(&address, &body);
        tui.wait_for("the badge", PATIENCE, |text| text.contains("⏸ 1 held"));
        Self {
            tui,
            client,
            upstream,
            body,
        }
    }

    /// The call reaches its server as it came, and its client gets the answer.
    fn goes_on(&mut self) {
        let (mut server, _) = self.upstream.accept().unwrap();
        let request = read_until(&mut server, &self.body);
        assert!(request.ends_with(&format!("\r\n\r\n{}", self.body)), "{request}");
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
        write!(
            server,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        )
        .unwrap();
        read_until(&mut self.client, answer);
    }
}

#[test]
fn quitting_with_something_held_asks_and_lets_it_go_on_unchanged() {
    let home = tempfile::tempdir().unwrap();
    let mut held = HeldCall::start(home.path());
    held.tui.press("q");
    held.tui.wait_for("the question", PATIENCE, |text| {
        text.contains("quit? 1 held message would go on unchanged")
    });
    held.tui.press("n");
    held.tui
        .wait_for("no quitting", PATIENCE, |text| text.contains("nothing was done"));
    held.tui.press("qy");
    held.goes_on();
    assert_eq!(held.tui.finish(PATIENCE).exit_code(), 0);
}

#[test]
fn ctrl_c_asks_too_and_a_second_one_ends_all_in_order() {
    let home = tempfile::tempdir().unwrap();
    let mut held = HeldCall::start(home.path());
    held.tui.press("R\r");
    held.tui
        .wait_for("the recording", PATIENCE, |text| text.contains("● REC"));
    held.tui.press("\x03");
    held.tui.wait_for("the question", PATIENCE, |text| {
        text.contains("quit? 1 held message would go on unchanged")
    });
    held.tui.press("\x03");
    held.goes_on();
    assert_eq!(held.tui.finish(PATIENCE).exit_code(), 0);
    let recordings = std::fs::read_dir(home.path().join("recordings")).unwrap();
    let texts = recordings.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let texts: Vec<String> = texts.collect();
    let last = texts
        .first()
        .and_then(|text| text.lines().last())
        .unwrap_or_default();
    assert!(last.contains(r#""type":"end""#), "{texts:?}");
}

#[test]
fn what_is_held_goes_on_when_its_screen_is_told_to_end_or_its_terminal_is_closed() {
    for way in [Signal::TERM, Signal::HUP] {
        let home = tempfile::tempdir().unwrap();
        let mut held = HeldCall::start(home.path());
        signal(&held.tui, way);
        held.goes_on();
        held.tui.finish(PATIENCE);
    }
}

#[test]
fn what_draws_no_screen_can_log_to_a_terminal() {
    let home = tempfile::tempdir().unwrap();
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/../recordings/errors.jsonl");
    let mut tui = start(command(home.path(), &["show", recording]));
    assert_eq!(tui.finish(PATIENCE).exit_code(), 0);
}
