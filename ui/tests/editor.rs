//! The editor of a held message beside the screen: with a command of the user's, and in a pane of tmux.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/http.rs"]
mod http;
#[path = "support/tui.rs"]
mod tui;

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use http::post;
use rustix::process::{Pid, Signal, kill_process};
use tui::{Tui, command};

/// Longest wait for one picture.
const PATIENCE: Duration = Duration::from_secs(20);

const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"before"}}}"#;

/// Puts `after` in the place of `before` once somebody writes to the pipe `go`.
const EDITOR: &str = "#!/bin/sh\nread line < \"$GO\"\nsed 's/before/after/' \"$1\" > \"$1.new\" && cat \"$1.new\" > \"$1\"; rm \"$1.new\"\n";

/// What of tmux is needed: a pane is a process in the background.
const TMUX: &str = "#!/bin/sh\nprintf '%s\\n' \"$*\" >> \"$SAID\"\ncase \"$1\" in\n\
    split-window)\n  while [ \"$1\" != /bin/sh ]; do shift; done\n  \"$@\" < /dev/null > /dev/null 2>&1 &\n  echo %9 ;;\n\
    display-message) echo %9 ;;\nesac\n";

fn script(path: PathBuf, text: &str) -> PathBuf {
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
    path
}

/// A proxy that holds a call, with an editor that waits.
struct Scene {
    tui: Tui,
    upstream: TcpListener,
    _client: TcpStream,
    go: PathBuf,
    drafts: PathBuf,
}

impl Scene {
    fn new(home: &Path, more: &[&str], has_tmux: bool) -> Self {
        let (go, drafts, tools) = (home.join("go"), home.join("drafts"), home.join("tools"));
        assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
        std::fs::create_dir(&drafts).unwrap();
        std::fs::create_dir(&tools).unwrap();
        let editor = script(home.join("editor"), EDITOR);
        let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/mcp", upstream.local_addr().unwrap());
        let arguments = [&["--listen", "127.0.0.1:0", "--upstream", &url], more].concat();
        let mut program = command(home, &arguments);
        program.env("EDITOR", editor);
        program.env("TMPDIR", &drafts);
        program.env("GO", &go);
        program.env("SAID", home.join("said"));
        let path = std::env::var("PATH").unwrap();
        program.env("PATH", format!("{}:{path}", tools.display()));
        if has_tmux {
            script(tools.join("tmux"), TMUX);
            program.env("TMUX", "/tmp/tmux,1,0");
            program.env("TMUX_PANE", "%3");
        }
        let mut tui = Tui::start(program, 100, 30);
        tui.wait_for("where clients can connect", PATIENCE, |text| {
            address(text).is_some()
        });
        let address = address(&tui.text()).unwrap();
        tui.press(":break method:tools/call dir:c2s\r");
        tui.wait_for("the breakpoint", PATIENCE, |text| text.contains("1 rule"));
        let client = post(&address, BODY);
        tui.wait_for("the badge", PATIENCE, |text| text.contains("⏸ 1 held"));
        tui.press("gh");
        tui.wait_for("the message", PATIENCE, |text| {
            text.contains("\"text\": \"before\"")
        });
        Self {
            tui,
            upstream,
            _client: client,
            go,
            drafts,
        }
    }

    /// Presses the key, as often as a person would who sees that nothing happens: a message that has only just come under
    /// the cursor is not acted on.
    fn open_editor(&mut self, is_open: impl Fn(&str) -> bool) {
        let started = self.tui.now();
        while !is_open(&self.tui.text()) {
            let waited = self.tui.now().since(started);
            let written = String::from_utf8_lossy(&self.tui.written);
            assert!(waited < PATIENCE, "no editor: {}\n{written:?}", self.tui.text());
            self.tui.press("e");
            while self.tui.read(Duration::from_millis(500)) && !is_open(&self.tui.text()) {}
        }
    }

    /// The queue is in sight and its keys work while the editor is open; then it ends.
    fn edits(&mut self) {
        self.open_editor(|text| text.contains("✎ editing") && text.contains("h1"));
        // As tmux does when it makes room for the pane. Keys wait until the screen has followed.
        self.tui.master.resize(tui::size(100, 20)).unwrap();
        self.tui.wait_for("the smaller screen", PATIENCE, |text| {
            let footer = text.lines().nth(19);
            footer.is_some_and(|line| line.contains("? help"))
        });
        self.tui.press("1");
        self.tui.wait_for("another screen meanwhile", PATIENCE, |text| {
            text.contains("Messages") && text.contains("editing")
        });
        self.tui.press("7");
        std::fs::write(&self.go, "go\n").unwrap();
        self.tui.wait_for("what was edited", PATIENCE, |text| {
            text.contains("\"text\": \"after\"") && text.contains("f sends")
        });
        assert_eq!(std::fs::read_dir(&self.drafts).unwrap().count(), 0);
        self.tui.press("f");
        let (mut server, _) = self.upstream.accept().unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut sent = Vec::new();
        while !String::from_utf8_lossy(&sent).contains(r#""text":"after""#) {
            let mut some = [0; 1024];
            let count = server.read(&mut some).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&sent));
            sent.extend_from_slice(&some[..count]);
        }
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        write!(
            server,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        )
        .unwrap();
        self.tui.press("1");
        self.tui.wait_for("who edited it", PATIENCE, |text| {
            text.contains("✎ edited by hand") && text.contains("✓")
        });
        self.tui.press("q");
        assert!(self.tui.finish(PATIENCE).success());
    }
}

fn address(text: &str) -> Option<String> {
    let (_, rest) = text.lines().next()?.split_once("⇄ ")?;
    let address = rest.split_whitespace().next()?;
    address.starts_with("127.0.0.1:").then(|| address.to_owned())
}

#[test]
fn a_command_of_the_user_edits_while_the_queue_stays_in_sight() {
    let home = tempfile::tempdir().unwrap();
    Scene::new(home.path(), &["--editor-cmd", "\"$EDITOR\" {file}"], false).edits();
}

#[test]
fn in_tmux_the_editor_gets_a_pane_below_the_screen() {
    let home = tempfile::tempdir().unwrap();
    Scene::new(home.path(), &[], true).edits();
    let said = std::fs::read_to_string(home.path().join("said")).unwrap();
    let opened = said.lines().next().unwrap();
    assert!(
        opened.starts_with("split-window -v -P -F #{pane_id} -t %3 /bin/sh -c "),
        "{opened}"
    );
}

#[test]
fn where_no_pane_opens_the_editor_gets_the_terminal() {
    let home = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(home.path(), &["--editor-cmd", "no-such-editor-here"], false);
    let go = scene.go.clone();
    // Opening the pipe waits for the editor.
    let goes = std::thread::Builder::new()
        .spawn(move || std::fs::write(go, "go\n"))
        .unwrap();
    scene.open_editor(|text| text.contains("\"text\": \"after\"") && text.contains("f sends"));
    goes.join().unwrap().unwrap();
}

#[test]
fn a_file_that_is_being_edited_goes_when_the_screen_is_told_to_end() {
    for place in ["\"$EDITOR\" {file}", "plain"] {
        let home = tempfile::tempdir().unwrap();
        let options = ["--editor-cmd", place, "--drain-timeout", "100ms"];
        let mut scene = Scene::new(home.path(), &options, false);
        let drafts = scene.drafts.clone();
        let left = move || std::fs::read_dir(&drafts).unwrap().count();
        // The editor waits as long as nobody writes to it.
        let mut go = OpenOptions::new().read(true).write(true).open(&scene.go).unwrap();
        scene.open_editor(|_| left() > 0);
        let pid = i32::try_from(scene.tui.child.process_id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
        scene.tui.finish(PATIENCE);
        // One that could not be ended with the screen is not left waiting.
        writeln!(go, "go").unwrap();
        assert_eq!(left(), 0, "{place}");
    }
}
