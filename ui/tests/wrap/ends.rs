//! How it ends: codes, signals, and what must not be left behind.

use super::*;

use std::net::{Ipv4Addr, TcpListener};

/// The exit code of a command behind the shim that has no input.
fn code(command: &[&str]) -> Option<i32> {
    Home::new().run(&[&["wrap", "--"], command].concat()).code
}

#[test]
fn the_exit_code_is_the_commands() {
    assert_eq!(code(&["true"]), Some(0));
    assert_eq!(code(&["sh", "-c", "exit 3"]), Some(3));
    assert_eq!(code(&["sh", "-c", "exit 255"]), Some(255));
    assert_eq!(code(&["sh", "-c", "kill -SEGV $$"]), Some(128 + 11));
    assert_eq!(code(&["sh", "-c", "kill -KILL $$"]), Some(128 + 9));
}

#[test]
fn a_command_that_cannot_be_started_is_told_on_stderr_with_the_code_of_shells() {
    let home = Home::new();
    let plain = home.file("plain", "no program");
    home.run(&["wrap", "--", "no-such-command-here"])
        .refused(127, &["no-such-command-here", "PATH"]);
    home.run(&["wrap", "--", &plain])
        .refused(126, &["not executable"]);
    home.run(&["wrap"])
        .refused(2, &["wrap -- COMMAND", "wrap --upstream URL"]);
}

#[test]
fn signals_are_the_commands_and_its_last_words_arrive() {
    let home = Home::new();
    let signals = [
        (Signal::TERM, "TERM"),
        (Signal::INT, "INT"),
        (Signal::HUP, "HUP"),
        (Signal::USR1, "USR1"),
    ];
    // A shell cannot trap what was ignored when it started: under `nohup` that is HUP.
    for (signal, name) in signals.into_iter().filter(|(signal, _)| !is_ignored(*signal)) {
        let script = format!(
            "trap 'echo bye {name}; exit 7' {name}; echo ready; while :; do read line || sleep 1; done"
        );
        let mut wrapped = Wrapped::start(&home, &[], &["sh", "-c", &script]);
        assert_eq!(wrapped.line(), "ready");
        wrapped.say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"}\n");
        wrapped.signal(signal);
        let (rest, status) = wrapped.rest();
        assert_eq!(String::from_utf8(rest).unwrap(), format!("bye {name}\n"));
        assert_eq!(status.code(), Some(7), "{name}");
    }
    let mut wrapped = Wrapped::start(&home, &[], &["sh", "-c", "echo ready; exec sleep 600"]);
    assert_eq!(wrapped.line(), "ready");
    wrapped.signal(Signal::TERM);
    assert_eq!(wrapped.rest().1.code(), Some(128 + 15));
}

/// Whether this process ignores a signal, and with it all that it starts.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.unwrap_or(0) >> (signal.as_raw() - 1) & 1 == 1
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_the_client_ignores_stays_ignored() {
    let home = Home::new();
    let shim = env!("CARGO_BIN_EXE_shadowcat-tui");
    let script = format!("trap '' HUP; exec {shim} wrap -- sh -c 'kill -HUP $$; echo $PPID; cat'");
    let environment: Vec<_> = home
        .command(&[])
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    let mut wrapped = Wrapped::of(
        Command::new("sh")
            .args(["-c", &script])
            .envs(environment)
            .stdout(Stdio::piped()),
    );
    assert_eq!(pid(&wrapped.line()), wrapped.pid());
    wrapped.signal(Signal::HUP);
    wrapped.echo("still here");
    assert!(wrapped.finish().success());
}

#[test]
fn what_a_command_leaves_behind_delays_nothing_and_is_ended() {
    let home = Home::new();
    let script = "sleep 600 & echo $!; exit 5";
    let mut wrapped = Wrapped::start(&home, &[], &["sh", "-c", script]);
    let left = pid(&wrapped.line());
    let clock = Clock::start();
    let (rest, status) = wrapped.rest();
    assert_eq!((rest, status.code()), (Vec::new(), Some(5)));
    let took = clock.now().since(clock.started_at());
    assert!(took < Duration::from_secs(10), "{took:?}");
    until_gone(left);
}

#[test]
fn what_a_command_said_last_arrives_although_the_client_reads_late() {
    let home = Home::new();
    let script = "head -c 65536 /dev/zero; exit 6";
    let mut wrapped = Wrapped::start(&home, &[], &["sh", "-c", script]);
    // The shim has all of it and cannot get rid of it: the command has ended, the client has not read a byte.
    let shim = wrapped.pid();
    until("the end of the command", || children(shim).len() <= 1);
    std::thread::sleep(Duration::from_millis(1200));
    let mut said = Vec::new();
    wrapped.output.read_to_end(&mut said).unwrap();
    assert_eq!(said.len(), 65536);
    assert_eq!(wrapped.child.wait().unwrap().code(), Some(6));
}

#[test]
fn a_process_that_left_the_group_and_goes_on_talking_delays_the_end_by_little() {
    let home = Home::new();
    let script = "setsid sh -c 'while :; do echo x >&2; sleep 0.1; done' & echo $!; exit 5";
    let mut wrapped = Wrapped::start(&home, &[], &["sh", "-c", script]);
    let left = pid(&wrapped.line());
    until("the end of the shim", || {
        wrapped.child.try_wait().unwrap().is_some()
    });
    assert_eq!(wrapped.child.wait().unwrap().code(), Some(5));
    // Nobody takes its words any more.
    until_gone(left);
}

#[test]
fn a_client_that_does_not_read_can_end_the_shim_once_the_command_has_ended() {
    let home = Home::new();
    let script = "echo ready; head -c 131072 /dev/zero; exit 6";
    let mut wrapped = Wrapped::start(&home, &[], &["sh", "-c", script]);
    assert_eq!(wrapped.line(), "ready");
    let shim = wrapped.pid();
    until("the end of the command", || children(shim).len() <= 1);
    until("the end of the shim", || {
        wrapped.signal(Signal::TERM);
        wrapped.child.try_wait().unwrap().is_some()
    });
    assert_eq!(wrapped.child.wait().unwrap().code(), Some(6));
}

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// Answers one ping with more than all pipes between a server and a client hold.
fn answer_at_length(server: &TcpListener) {
    let (socket, _) = server.accept().unwrap();
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the request broke off");
    }
    reader.read_exact(&mut [0; PING.len()]).unwrap();
    let text = "x".repeat(4 << 20);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"text":"{text}"}}}}"#);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    let length = body.len();
    write!(
        reader.get_mut(),
        "{head}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
}

#[test]
fn a_client_that_does_not_read_can_end_the_shim_before_an_http_server_too() {
    let home = Home::new();
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/mcp", server.local_addr().unwrap());
    let mut command = home.command(&["wrap", "--upstream", &url]);
    let mut wrapped = Wrapped::of(&mut command);
    wrapped.say(&format!("{PING}\n"));
    answer_at_length(&server);
    wrapped.output.read_exact(&mut [0; 16]).unwrap();
    wrapped.signal(Signal::TERM);
    until("the end of the shim", || {
        wrapped.child.try_wait().unwrap().is_some()
    });
    assert_eq!(wrapped.child.wait().unwrap().code(), Some(128 + 15));
}

/// The processes that `parent` started and that run.
fn children(parent: Pid) -> Vec<Pid> {
    let parent = parent.as_raw_nonzero();
    let listed =
        std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    listed
        .split_whitespace()
        .map(pid)
        .filter(|child| is_running(*child))
        .collect()
}

#[cfg(target_os = "linux")]
#[test]
fn kill_9_leaves_no_process() {
    let home = Home::new();
    // One that does not listen to SIGTERM, and one that it started.
    let script = "trap '' TERM; sleep 600 & echo $$ $!; while :; do sleep 1; done";
    let mut wrapped = Wrapped::start(&home, &[], &["sh", "-c", script]);
    let line = wrapped.line();
    let (command, started) = line.split_once(' ').unwrap();
    let left = [children(wrapped.pid()), vec![pid(command), pid(started)]].concat();
    assert_eq!(
        left.len(),
        4,
        "the guardian, the command twice, what it started: {left:?}"
    );
    wrapped.signal(Signal::KILL);
    wrapped.rest();
    for process in left {
        until_gone(process);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_orderly_end_leaves_no_process_either() {
    let home = Home::new();
    let mut wrapped = Wrapped::start(&home, &[], &["cat"]);
    wrapped.echo("{}");
    let all = children(wrapped.pid());
    assert_eq!(all.len(), 2, "the guardian and the command: {all:?}");
    assert!(wrapped.finish().success());
    for process in all {
        until_gone(process);
    }
}
