//! What proxies see of it, and that none of them can stand in its way.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::binary::Headless;
use super::*;

/// A headless proxy, and the lines that it prints.
pub(super) struct Shown {
    proxy: Headless,
    lines: Receiver<String>,
}

impl Shown {
    pub(super) fn start(home: &Home) -> Self {
        let mut proxy = Headless::start(home, &[]);
        let output = BufReader::new(proxy.child.stdout.take().unwrap());
        let (sender, lines) = sync_channel(100_000);
        let reading = thread::Builder::new().spawn(move || {
            for line in output.lines() {
                if line.is_err() || sender.send(line.unwrap_or_default()).is_err() {
                    return;
                }
            }
        });
        drop(reading.unwrap());
        let name = format!("-{}.sock", proxy.child.id());
        let is_its = |path: &Path| path.to_str().is_some_and(|path| path.ends_with(&name));
        until("a control door", || sockets(home).iter().any(|path| is_its(path)));
        Self { proxy, lines }
    }

    /// The next line with all of `words`.
    fn line_with(&self, words: &[&str]) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no line has {words:?}"));
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(pid(&self.proxy.child.id().to_string()), signal).unwrap();
    }

    fn end(&mut self) {
        self.signal(Signal::TERM);
        self.proxy.child.wait().unwrap();
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.proxy.child.kill();
        let _ = self.proxy.child.wait();
    }
}

/// The sockets of proxies, the oldest first.
fn sockets(home: &Home) -> Vec<PathBuf> {
    let door = std::fs::read_dir(home.path().join("door"));
    let entries = door.into_iter().flatten();
    let mut sockets: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    sockets.sort();
    sockets
}

/// A request that `cat` sends back as it is, which passes as a request of the server.
fn ping(id: u32) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}")
}

#[test]
fn the_proxy_shows_the_run_from_its_first_byte_to_its_end() {
    let home = Home::new();
    let mut proxy = Shown::start(&home);
    let mut wrapped = Wrapped::start(&home, &["--name", "weather"], &["sh", "-c", "cat; exit 3"]);
    wrapped.echo(&ping(1));
    proxy.line_with(&["F1", "→", "run", "sh -c"]);
    proxy.line_with(&["F1", "→", "#1 ping"]);
    proxy.line_with(&["F1", "◄", "#1 ping"]);
    assert_eq!(wrapped.finish().code(), Some(3));
    proxy.end();
}

#[test]
fn a_proxy_that_starts_again_is_found_again() {
    let home = Home::new();
    let mut wrapped = Wrapped::start(&home, &[], &["cat"]);
    wrapped.echo(&ping(1));
    for round in 2..4 {
        let mut proxy = Shown::start(&home);
        // Whatever passes until the shim has found it is passed without being shown.
        let mut id = round * 1000;
        until("a row in the new proxy", || {
            id += 1;
            wrapped.echo(&ping(id));
            proxy.lines.try_iter().any(|line| line.contains(" ping"))
        });
        if round == 2 {
            proxy.end();
        }
        // The other one is killed where it stands.
    }
    wrapped.echo(&ping(9));
    assert!(wrapped.finish().success());
}

#[test]
fn a_proxy_that_stands_still_delays_nothing_and_is_told_what_it_missed() {
    let home = Home::new();
    let mut proxy = Shown::start(&home);
    let mut wrapped = Wrapped::start(&home, &["--name", "weather"], &["cat"]);
    wrapped.echo(&ping(1));
    proxy.line_with(&["◄", "#1 ping"]);
    proxy.signal(Signal::STOP);
    let large = "x".repeat(64 << 10);
    for _ in 0..400 {
        wrapped.echo(&large);
    }
    proxy.signal(Signal::CONT);
    let mut id = 1;
    until("a row behind the gap", || {
        id += 1;
        wrapped.echo(&ping(id));
        proxy.lines.try_iter().any(|line| line.contains(" ping"))
    });
    let said = proxy.proxy.line_with("What passed of weather is not all shown");
    assert!(said.contains("chunks of"), "{said}");
    assert!(wrapped.finish().success());
    proxy.end();
}

#[test]
fn a_proxy_that_stands_still_does_not_hold_up_the_end() {
    let home = Home::new();
    let mut proxy = Shown::start(&home);
    let mut wrapped = Wrapped::start(&home, &[], &["cat"]);
    wrapped.echo(&ping(1));
    proxy.line_with(&["◄", "#1 ping"]);
    proxy.signal(Signal::STOP);
    let clock = Clock::start();
    assert!(wrapped.finish().success());
    // Also if it stood still before the shim came.
    assert!(Wrapped::start(&home, &[], &["true"]).finish().success());
    let took = clock.now().since(clock.started_at());
    assert!(took < Duration::from_secs(5), "{took:?}");
    proxy.signal(Signal::CONT);
    proxy.end();
}

#[test]
fn the_newest_proxy_is_told_unless_another_one_is_named() {
    let home = Home::new();
    let older = Shown::start(&home);
    let newer = Shown::start(&home);
    let mut unnamed = Wrapped::start(&home, &[], &["cat"]);
    unnamed.echo(&ping(1));
    newer.line_with(&["◄", "#1 ping"]);
    let mut named = Wrapped::start(&home, &["--connect", &older.proxy.address], &["cat"]);
    named.echo(&ping(2));
    older.line_with(&["◄", "#2 ping"]);
    let sockets = sockets(&home);
    let mut by_path = Wrapped::start(&home, &["--connect", sockets[0].to_str().unwrap()], &["cat"]);
    by_path.echo(&ping(3));
    older.line_with(&["◄", "#3 ping"]);
    for wrapped in [unnamed, named, by_path] {
        assert!(wrapped.finish().success());
    }
}

#[test]
fn without_a_proxy_a_recording_can_be_written_all_the_same() {
    let home = Home::new();
    let record = format!("--record={}", home.path().join("run.jsonl").display());
    let mut wrapped = Wrapped::start(
        &home,
        &[&record, "--name", "weather"],
        &["sh", "-c", "cat; exit 3"],
    );
    wrapped.echo(&ping(1));
    assert_eq!(wrapped.finish().code(), Some(3));
    let shown = home.run(&["show", home.path().join("run.jsonl").to_str().unwrap()]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let lines: Vec<&str> = shown.stdout.lines().collect();
    assert!(lines.len() == 3 && lines[0].contains("run sh -c"), "{shown:?}");
    assert!(
        lines[1..].iter().all(|line| line.contains("#1 ping")),
        "{shown:?}"
    );
    // The same words again, as a client does at each start: nothing is overwritten, and the server starts.
    let first = std::fs::read(home.path().join("run.jsonl")).unwrap();
    for number in 2..=3 {
        let again = home.run(&["wrap", &record, "--", "echo", "started"]);
        assert_eq!(
            (again.code, again.stdout.as_str()),
            (Some(0), "started\n"),
            "{again:?}"
        );
        assert_eq!(again.stderr, "");
        let path = home.path().join(format!("run-{number}.jsonl"));
        let verified = home.run(&["verify", path.to_str().unwrap()]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
    }
    assert_eq!(std::fs::read(home.path().join("run.jsonl")).unwrap(), first);
}

#[test]
fn the_log_says_why_there_is_no_proxy_once_for_each_reason() {
    let home = Home::new();
    let log = home.path().join("wrap.log");
    let said = |words: &str| {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines().filter(|line| line.contains(words)).count()
    };
    let options = [
        "--connect",
        "http://127.0.0.1:9/",
        "--log-file",
        &log.display().to_string(),
    ];
    let mut wrapped = Wrapped::start(&home, &options, &["cat"]);
    wrapped.echo("{}");
    let nobody = "accepts clients at 127.0.0.1:9; looking again";
    until("the reason", || said(nobody) == 1);

    let door = home.path().join("door");
    std::fs::create_dir(&door).unwrap();
    std::fs::set_permissions(&door, std::fs::Permissions::from_mode(0o755)).unwrap();
    until("the other reason", || said("its mode is 755") == 1);
    std::fs::remove_dir(&door).unwrap();
    until("the first reason again", || said(nobody) == 2);
    assert_eq!(said("its mode is 755"), 1);
    assert!(wrapped.finish().success());
}

#[test]
fn what_names_no_proxy_is_refused() {
    let home = Home::new();
    for place in ["nonsense", "http://127.0.0.1", "https://127.0.0.1:8080"] {
        home.run(&["wrap", "--connect", place, "--", "cat"])
            .refused(2, &["--connect", "HOST:PORT"]);
    }
}
