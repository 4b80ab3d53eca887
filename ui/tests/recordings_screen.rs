//! The Recordings screen of a running proxy, in a terminal: recordings are opened, checked and left again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/tui.rs"]
mod tui;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portable_pty::CommandBuilder;
use rustix::process::{Pid, Signal, kill_process};
use tui::{Tui, command};

/// Longest wait for one picture.
const PATIENCE: Duration = Duration::from_secs(20);

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

fn recording(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../recordings")
        .join(name)
}

/// A home with these recordings in its folder.
fn home_with(names: &[&str]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("recordings");
    std::fs::create_dir(&folder).unwrap();
    for name in names {
        std::fs::copy(recording(name), folder.join(name)).unwrap();
    }
    home
}

/// A proxy on its Recordings screen.
fn on_the_screen(command: CommandBuilder) -> Tui {
    let mut tui = Tui::start(command, 100, 30);
    tui.wait_for("the first picture", PATIENCE, |text| text.contains("Messages"));
    tui.press("9");
    tui.wait_for("the list", PATIENCE, |text| text.contains("legacy-http.jsonl"));
    tui
}

#[test]
fn a_recording_opens_in_the_same_terminal_and_q_comes_back_to_the_proxy() {
    let home = home_with(&["legacy-http.jsonl"]);
    let mut tui = on_the_screen(command(home.path(), &["--listen", "127.0.0.1:0"]));
    tui.press("\r");
    tui.wait_for("the recording", PATIENCE, |text| {
        text.contains("initialize") && !text.contains("changed")
    });
    // What the terminal becomes meanwhile, the proxy finds when it comes back.
    tui.master.resize(tui::size(80, 24)).unwrap();
    tui.terminal.screen_mut().set_size(cells(24), cells(80));
    tui.wait_for("the recording, smaller", PATIENCE, |text| {
        text.lines()
            .any(|line| line.ends_with('┐') && line.chars().count() == 80)
    });
    tui.press("q");
    tui.wait_for("the proxy's own screen", PATIENCE, |text| {
        text.contains("Recordings 1") && text.lines().last().is_some_and(|line| line.contains("open"))
    });
    tui.press("q");
    tui.wait_for("its traffic", PATIENCE, |text| text.contains("Messages"));
    tui.press("q");
    assert!(tui.finish(PATIENCE).success());
}

#[test]
fn a_recording_is_read_to_its_end_and_its_damage_is_shown() {
    let home = home_with(&["legacy-http.jsonl"]);
    let torn = home.path().join("recordings/legacy-http.jsonl");
    let file = std::fs::OpenOptions::new().write(true).open(&torn).unwrap();
    file.set_len(file.metadata().unwrap().len() - 9).unwrap();
    let mut tui = on_the_screen(command(home.path(), &["--listen", "127.0.0.1:0"]));
    tui.wait_for("what its last line tells", PATIENCE, |text| {
        text.contains("torn last line")
    });
    tui.press("V");
    tui.wait_for("what reading it tells", PATIENCE, |text| {
        text.contains("damaged, ") && text.contains("1 session, ") && text.contains("incomplete")
    });
    tui.press("Q");
    assert!(tui.finish(PATIENCE).success());
}

#[test]
fn two_recordings_are_compared_on_the_screen() {
    let home = home_with(&["legacy-http.jsonl", "modern-http.jsonl"]);
    let mut tui = on_the_screen(command(home.path(), &["--listen", "127.0.0.1:0"]));
    tui.press("  D");
    tui.wait_for("what differs", PATIENCE, |text| {
        text.contains("Compared ") && text.contains("initialize") && text.contains("missing")
    });
    tui.press("Q");
    assert!(tui.finish(PATIENCE).success());
}

/// The address on the screen at which a recording is served.
fn address(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains("clients "))?;
    let (_, address) = line.split_once("http://")?;
    let (address, _) = address.split_once("/mcp")?;
    Some(address.to_owned())
}

/// What a server answers to `initialize`.
fn initialize(address: &str) -> std::io::Result<String> {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nAccept: application/json, text/event-stream\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_recording_is_served_at_the_address_shown_and_ends_with_its_key_and_with_the_program() {
    let home = home_with(&["legacy-http.jsonl"]);
    let mut tui = on_the_screen(command(home.path(), &["--listen", "127.0.0.1:0"]));
    let serve = |tui: &mut Tui| {
        tui.press("r");
        tui.wait_for("its address", PATIENCE, |text| address(text).is_some());
        address(&tui.text()).unwrap()
    };
    let first = serve(&mut tui);
    let answer = initialize(&first).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("serverInfo"),
        "{answer}"
    );
    tui.press("r");
    tui.wait_for("its end", PATIENCE, |text| text.contains("served no more"));
    assert!(initialize(&first).is_err());
    let second = serve(&mut tui);
    tui.press("Q");
    assert!(tui.finish(PATIENCE).success());
    assert!(initialize(&second).is_err(), "it ends with the program");
}

#[test]
fn a_recording_is_sent_to_a_live_server_and_what_comes_back_is_compared() {
    let home = home_with(&["legacy-http.jsonl"]);
    let mut tui = on_the_screen(command(home.path(), &["--listen", "127.0.0.1:0"]));
    // A server that answers as it did: the recording itself.
    tui.press("r");
    tui.wait_for("the address", PATIENCE, |text| address(text).is_some());
    let url = format!("http://{}/mcp", address(&tui.text()).unwrap());
    tui.press(&format!(":replay-to {url}\r"));
    tui.wait_for("what has to be agreed to", PATIENCE, |text| {
        text.contains("without-secrets")
    });
    tui.press(&format!(":replay-to {url} yes without-secrets\r"));
    tui.wait_for("the rows", PATIENCE, |text| {
        text.contains("tools/call echo") && text.contains("10 calls: 10 same")
    });
    tui.press("Q");
    assert_eq!(tui.finish(PATIENCE).exit_code(), 0);
}

#[test]
fn an_opened_recording_is_played_to_its_end() {
    let home = home_with(&["legacy-http.jsonl"]);
    let open = ["open", "recordings/legacy-http.jsonl"];
    let mut tui = Tui::start(command(home.path(), &open), 100, 30);
    tui.wait_for("its rows", PATIENCE, |text| text.contains("initialize"));
    tui.press("ggt");
    tui.wait_for("the play head", PATIENCE, |text| {
        text.contains("▶ ") && text.contains("×1")
    });
    tui.press(">>>>>");
    tui.wait_for("its end", PATIENCE, |text| {
        text.contains("played to the end") && !text.contains("▶ ")
    });
    tui.press("q");
    assert!(tui.finish(PATIENCE).success());
}

#[test]
fn a_proxy_that_is_told_to_end_takes_the_opened_recording_with_it_and_gives_the_terminal_back() {
    let home = home_with(&["legacy-http.jsonl"]);
    let mut tui = on_the_screen(command(home.path(), &["--listen", "127.0.0.1:0"]));
    tui.press("\r");
    tui.wait_for("the recording", PATIENCE, |text| {
        text.contains("initialize") && !text.contains("changed")
    });
    let proxy = i32::try_from(tui.child.process_id().unwrap()).unwrap();
    kill_process(Pid::from_raw(proxy).unwrap(), Signal::TERM).unwrap();
    tui.finish(PATIENCE);
    let screen = tui.terminal.screen();
    assert!(!screen.alternate_screen(), "{}", screen.contents());
    assert!(!screen.bracketed_paste() && !screen.hide_cursor());
}
