//! The Recordings screen of a running proxy, in a terminal: recordings are opened, checked and left again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/tui.rs"]
mod tui;

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portable_pty::CommandBuilder;
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
