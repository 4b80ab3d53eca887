//! Lines that wait for a decision, and that nothing is lost when nobody decides.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use bytes::BytesMut;
use shadowcat::config::Config;
use shadowcat::door::frame::FrameCutter;
use shadowcat::door::message::{DOOR_VERSION, FromProxy, ToProxy, Welcome, put_message, read_message};
use shadowcat::engine::{Engine, EngineHandle};
use shadowcat::frontend::Frontend;
use shadowcat::ids::HoldId;
use shadowcat::intercept::filter::Filter;
use shadowcat::intercept::hold::Actor;
use shadowcat::intercept::interceptor::{InterceptCommand, InterceptReply};
use shadowcat::intercept::rule::{Fault, Hits, Rule, Verdict, WhileHeld};
use shadowcat::snapshot::{Command as EngineCommand, RecorderState, Reply};

use super::binary::Headless;
use super::*;

/// A proxy in this process, whose rule holds calls of the tool `held`.
pub(super) struct Holding {
    frontend: Frontend,
    _engine: EngineHandle,
    runtime: tokio::runtime::Runtime,
}

impl Holding {
    fn start(home: &Home) -> Self {
        let rule = |name: &str, when: &str, verdict| Rule {
            name: name.to_owned(),
            is_on: true,
            when: Filter::parse(when).unwrap(),
            direction: None,
            hits: Hits::Always,
            verdict,
            on_expire: None,
            while_held: WhileHeld {
                synthetic_progress: true,
                ..WhileHeld::default()
            },
        };
        let result = r#"{"gated":true}"#.to_owned();
        let fault = |name: &str, when: &str, fault| rule(name, when, Verdict::Fault(fault));
        let rules = vec![
            fault("close", "dir:c2s tool:close", Fault::Close),
            fault("truncate", "dir:s2c tool:truncate", Fault::Truncate { bytes: 7 }),
            rule("gate", "dir:c2s tool:gate", Verdict::Answer { result }),
            rule(
                "test",
                "(dir:c2s tool:held) | (dir:s2c kind:request method:roots/list)",
                Verdict::Hold,
            ),
        ];
        Self::with(home, rules)
    }

    pub(super) fn with(home: &Home, rules: Vec<Rule>) -> Self {
        let engine = Engine::start(Config {
            door: Some(home.path().join("door")),
            can_hold: true,
            comment_every: Some(std::time::Duration::from_millis(50)),
            rules,
            ..Config::default()
        })
        .unwrap();
        until("a control door", || {
            std::fs::read_dir(home.path().join("door")).is_ok_and(|entries| entries.count() > 0)
        });
        Self {
            frontend: engine.frontend().unwrap(),
            _engine: engine,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    pub(super) fn command(&self, command: EngineCommand) -> Reply {
        let asked = self.frontend.commands.ask(command);
        self.runtime.block_on(asked).unwrap()
    }

    /// Begins to record to the new file `path`.
    pub(super) fn record(&self, path: &Path) {
        let path = Some(path.to_owned());
        let begun = self.command(EngineCommand::StartRecording { path });
        assert!(matches!(begun, Reply::Recording(_)), "{begun:?}");
    }

    pub(super) fn stop_recording(&self) {
        let ended = self.command(EngineCommand::StopRecording);
        assert_eq!(ended, Reply::Recording(RecorderState::Off));
    }

    fn ask(&self, what: InterceptCommand) -> InterceptReply {
        let actor = Actor::Key;
        match self.command(EngineCommand::Intercept { what, actor }) {
            Reply::Intercept(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn held(&self) -> Vec<HoldId> {
        match self.ask(InterceptCommand::List) {
            InterceptReply::Held { rows } => rows.iter().map(|row| row.id).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn only_held(&self) -> HoldId {
        let mut held = Vec::new();
        until("a held message", || {
            held = self.held();
            !held.is_empty()
        });
        held[0]
    }
}

pub(super) fn call(id: u32, tool: &str, argument: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{"text":"{argument}"}}}}}}"#
    )
}

/// Says calls that the proxy answers itself, as soon as it was found and its rules act.
fn until_gated(wrapped: &mut Wrapped) {
    until("a gate", || {
        wrapped.say(&format!("{}\n", call(1000, "gate", "")));
        wrapped.line().contains("gated")
    });
}

#[test]
fn a_call_is_held_edited_and_answered_before_the_command_sees_it() {
    let home = Home::new();
    let proxy = Holding::start(&home);
    let mut wrapped = Wrapped::start(&home, &[], &["cat"]);
    until_gated(&mut wrapped);
    wrapped.say(&format!("{}\n{}\n", call(7, "held", "a"), call(8, "free", "b")));
    let hold = proxy.only_held();
    let text = Some(call(7, "held", "edited"));
    proxy.ask(InterceptCommand::Edit { id: hold, text });
    proxy.ask(InterceptCommand::Forward { id: hold });
    assert_eq!(wrapped.line(), call(7, "held", "edited"));
    assert_eq!(wrapped.line(), call(8, "free", "b"));
    wrapped.say(&format!("{}\n", call(9, "held", "never seen")));
    let result = r#"{"mine":true}"#.to_owned();
    let id = proxy.only_held();
    proxy.ask(InterceptCommand::Answer { id, result });
    assert_eq!(
        wrapped.line(),
        r#"{"jsonrpc":"2.0","id":9,"result":{"mine":true}}"#
    );
    wrapped.echo(&call(10, "free", "c"));
    assert!(wrapped.finish().success());
}

#[test]
fn what_the_command_asks_is_answered_in_the_place_of_its_client() {
    let home = Home::new();
    let proxy = Holding::start(&home);
    let mut wrapped = Wrapped::start(&home, &[], &["cat"]);
    until_gated(&mut wrapped);
    // `cat` asks what it is told, and says the answer that it gets.
    wrapped.say(&format!(
        "{}\n",
        r#"{"jsonrpc":"2.0","id":"r-1","method":"roots/list"}"#
    ));
    let id = proxy.only_held();
    let result = r#"{"roots":[]}"#.to_owned();
    proxy.ask(InterceptCommand::Answer { id, result });
    assert_eq!(
        wrapped.line(),
        r#"{"jsonrpc":"2.0","id":"r-1","result":{"roots":[]}}"#
    );
    wrapped.echo(&call(10, "free", "c"));
    assert!(wrapped.finish().success());
}

#[test]
fn the_end_of_the_input_waits_behind_a_held_call_and_a_proxy_that_ends_lets_both_go() {
    let home = Home::new();
    let proxy = Holding::start(&home);
    let mut wrapped = Wrapped::start(&home, &[], &["cat"]);
    until_gated(&mut wrapped);
    // The last one without its line end.
    let lines = format!("{}\n{}", call(1, "held", "a"), call(2, "held", "b"));
    wrapped.say(&lines);
    drop(wrapped.input.take());
    proxy.only_held();
    until("both", || proxy.held().len() == 2);
    drop(proxy);
    let (rest, status) = wrapped.rest();
    assert_eq!(String::from_utf8(rest).unwrap(), lines);
    assert!(status.success());
}

#[test]
fn a_line_larger_than_may_be_held_passes_behind_a_gate_too() {
    let home = Home::new();
    let _proxy = Holding::start(&home);
    let mut wrapped = Wrapped::start(&home, &[], &["cat"]);
    until_gated(&mut wrapped);
    let large = call(1, "held", &"x".repeat(20 << 20));
    let mut input = wrapped.input.take().unwrap();
    let line = format!("{large}\n{}\n", call(2, "free", ""));
    let saying = thread::Builder::new().spawn(move || input.write_all(line.as_bytes()).unwrap());
    assert!(wrapped.line() == large, "the line passed changed");
    assert_eq!(wrapped.line(), call(2, "free", ""));
    saying.unwrap().join().unwrap();
}

#[test]
fn a_client_whose_call_is_held_is_told_of_made_up_progress_between_its_lines() {
    let home = Home::new();
    let proxy = Holding::start(&home);
    let mut wrapped = Wrapped::start(&home, &[], &["cat"]);
    until_gated(&mut wrapped);
    let held = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"held","_meta":{"progressToken":"p"}}}"#;
    wrapped.say(&format!("{held}\n"));
    for value in ["0.001", "0.002"] {
        let expected = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":"p","progress":{value}}}}}"#
        );
        assert_eq!(wrapped.line(), expected);
    }
    let id = proxy.only_held();
    proxy.ask(InterceptCommand::Forward { id });
    until("the call", || wrapped.line() == held);
    assert!(wrapped.finish().success());
}

#[test]
fn a_fault_that_closes_a_pipe_is_the_end_of_the_server_to_its_client() {
    for (tool, rest) in [("close", ""), ("truncate", "{\"jsonr")] {
        let home = Home::new();
        let proxy = Holding::start(&home);
        let mut wrapped = Wrapped::start(&home, &[], &["cat"]);
        until_gated(&mut wrapped);
        wrapped.say(&format!("{}\n{}\n", call(1, tool, "a"), call(2, "held", "b")));
        // The input is open: it is the server that ends.
        let input = wrapped.input.take();
        let (said, _) = wrapped.rest();
        assert_eq!(String::from_utf8(said).unwrap(), rest, "{tool}");
        drop((input, proxy));
    }
}

/// How a proxy of its own process ends.
const WAYS_TO_END: [Signal; 2] = [Signal::KILL, Signal::TERM];

#[test]
fn the_lines_that_a_proxy_holds_go_on_in_order_when_its_process_is_killed_or_ends() {
    const RULES: &str = "[[rule]]\nname = \"gate\"\nwhen = \"dir:c2s tool:gate\"\nanswer = { gated = true }\n\
        [[rule]]\nname = \"hold\"\nwhen = \"dir:c2s tool:held\"\nthen = \"hold\"\n";
    for way in WAYS_TO_END {
        let home = Home::new();
        let rules = home.file("rules.toml", RULES);
        let mut proxy = Headless::start(&home, &["--wait", "--format", "none", "--rules", &rules]);
        let mut wrapped = Wrapped::start(&home, &["--connect", &proxy.address], &["cat"]);
        until_gated(&mut wrapped);
        let lines = [
            call(1, "free", "a"),
            call(2, "held", "b"),
            call(3, "free", "c"),
            call(4, "held", "d"),
        ];
        wrapped.say(&format!("{}\n", lines.join("\n")));
        assert_eq!(wrapped.line(), lines[0]);
        let held = ["held", "list", "--format", "json", "--connect", &proxy.address];
        let is_both = |rows: Vec<serde_json::Value>| rows.len() == 2;
        until("two held lines", || {
            serde_json::from_str(&home.run(&held).stdout).is_ok_and(is_both)
        });
        kill_process(pid(&proxy.child.id().to_string()), way).unwrap();
        for line in &lines[1..] {
            assert_eq!(wrapped.line(), *line, "{way:?}");
        }
        proxy.child.wait().unwrap();
        // From then on nothing waits.
        wrapped.echo(&call(5, "held", "e"));
        assert!(wrapped.finish().success());
    }
}

/// What a proxy does with what it is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It vanishes, as one that is killed.
    Dies,
    /// It says nothing more, as one that is stopped.
    Stalls,
}

/// A proxy that lets pass what it is asked about until `holds`, then does as it does.
fn odd_proxy(path: PathBuf, manner: Manner, holds: Arc<AtomicBool>, asked: SyncSender<()>) {
    let listener = UnixListener::bind(path).unwrap();
    let serving = thread::Builder::new().spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        drop(listener);
        let mut cutter = FrameCutter::default();
        let mut buffer = [0; 4096];
        loop {
            let read = socket.read(&mut buffer).unwrap_or(0);
            if read == 0 {
                return;
            }
            cutter.space().extend_from_slice(&buffer[..read]);
            while let Some(frame) = cutter.next_frame().unwrap() {
                let message = read_message(&frame).unwrap();
                let is_asked = matches!(message, ToProxy::Asked { .. });
                if is_asked {
                    // The test may have heard enough.
                    let _ = asked.try_send(());
                }
                if is_asked && holds.load(Ordering::Acquire) {
                    match manner {
                        Manner::Dies => return,
                        Manner::Stalls => continue,
                    }
                }
                reply(&mut socket, &message, &frame.payload);
            }
        }
    });
    drop(serving.unwrap());
}

fn reply(socket: &mut UnixStream, message: &ToProxy, payload: &[u8]) {
    let mut out = BytesMut::new();
    match message {
        ToProxy::Hello(_) => {
            let welcome = FromProxy::Welcome(Welcome {
                version: DOOR_VERSION,
                pid: 1,
                listen: Vec::new(),
            });
            put_message(&welcome, b"", &mut out).unwrap();
        }
        ToProxy::Begin(_) => {
            let gate = FromProxy::Gate {
                is_on: true,
                lines: 1000,
                bytes: 1 << 20,
            };
            put_message(&gate, b"", &mut out).unwrap();
        }
        ToProxy::Asked { stream } => {
            let (stream, bytes) = (*stream, payload.len() as u64);
            put_message(&FromProxy::Onward { stream }, payload, &mut out).unwrap();
            put_message(&FromProxy::Settled { stream, bytes }, b"", &mut out).unwrap();
        }
        _ => {}
    }
    // Who has gone needs no answer.
    let _ = socket.write_all(&out);
}

#[test]
fn what_a_proxy_holds_that_dies_or_stands_still_goes_on_unchanged_and_once() {
    for manner in [Manner::Dies, Manner::Stalls] {
        let home = Home::new();
        let door = home.path().join("odd.sock");
        let holds = Arc::new(AtomicBool::new(false));
        let (sender, asked) = sync_channel(1000);
        odd_proxy(door.clone(), manner, Arc::clone(&holds), sender);
        let connect = ["--connect", door.to_str().unwrap()];
        let mut wrapped = Wrapped::start(&home, &connect, &["cat"]);
        until("a gate", || {
            wrapped.echo(&call(1, "free", ""));
            asked.try_recv().is_ok()
        });
        holds.store(true, Ordering::Release);
        let lines: Vec<String> = (2..50).map(|id| call(id, "held", "as it is")).collect();
        wrapped.say(&format!("{}\n", lines.join("\n")));
        for line in &lines {
            assert_eq!(wrapped.line(), *line, "{manner:?}");
        }
        // From then on nothing waits.
        wrapped.echo(&call(99, "free", ""));
        assert!(wrapped.finish().success());
    }
}
