//! The binary as a user meets it on a command line: what it refuses, in which words, with which exit code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;
#[cfg(unix)]
#[path = "cli/machine.rs"]
mod machine;
#[path = "cli/recording.rs"]
mod recording;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use binary::{Headless, Home, Ran};

#[test]
fn a_url_that_cannot_be_an_upstream_is_refused_with_the_reason() {
    let ran = Home::new().run(&["--headless", "--upstream", "ftp://example.com/"]);
    ran.refused(2, &["--upstream", "ftp://example.com/", "http, https or h2c"]);
}

#[test]
fn a_mistake_is_told_without_the_secret_in_what_was_written() {
    for arguments in [
        &["--upstream", "http://svc:s3cr3t@h"][..],
        &["--upstream", "db=http://h/mcp?token=s3cr3t#x"],
        &["--proxy-auth", "s3cr3t"],
        &["http://svc:s3cr3t@h"],
        &["--listen", "http://svc:s3cr3t@h"],
        &["--metrics", "http://svc:s3cr3t@h"],
        &["--otlp", "ftp://svc:s3cr3t@h"],
        &["--redact", "http://svc:s3cr3t@(h"],
        &["--max-disk", "http://svc:s3cr3t@h"],
        &["--config", "http://svc:s3cr3t@h/x"],
        &["--headless", "--filter", "http://svc:s3cr3t@h:x"],
        &["show", "http://svc:s3cr3t@h"],
        &["verify", "http://svc:s3cr3t@h"],
    ] {
        let ran = Home::new().run(arguments);
        assert!(matches!(ran.code, Some(2 | 3)), "{ran:?}");
        assert!(!ran.stderr.contains("s3cr3t"), "{ran:?}");
        assert!(ran.stderr.contains("***"), "{ran:?}");
    }
}

#[test]
fn an_address_without_port_is_refused_with_an_example() {
    let ran = Home::new().run(&["--headless", "--listen", "localhost"]);
    ran.refused(2, &["--listen", "127.0.0.1:8080"]);
}

#[test]
fn an_upstream_that_is_the_proxy_itself_is_refused() {
    let ran = Home::new().run(&[
        "--headless",
        "--listen",
        "127.0.0.1:9",
        "--upstream",
        "http://localhost:9/mcp",
    ]);
    ran.refused(2, &["http://localhost:9/mcp", "own address"]);
}

#[test]
fn a_limit_in_the_wrong_unit_is_refused_with_an_example() {
    let ran = Home::new().run(&["--headless", "--max-connections", "5s"]);
    ran.refused(2, &["--max-connections", "5s", "a whole number such as 1000"]);
}

#[test]
fn a_limit_too_small_to_work_is_refused() {
    let ran = Home::new().run(&["--headless", "--max-concurrent-tasks", "1"]);
    ran.refused(2, &["max_concurrent_tasks must be at least 16"]);
}

#[test]
fn a_mistyped_flag_is_answered_with_the_one_that_was_meant() {
    let ran = Home::new().run(&["--headless", "--lisen", "127.0.0.1:0"]);
    ran.refused(2, &["--lisen", "--listen"]);
}

#[test]
fn a_mistyped_limit_is_answered_with_the_one_that_was_meant() {
    let ran = Home::new().run(&["--headless", "--max-conections", "5"]);
    ran.refused(2, &["--max-connections"]);
}

#[test]
fn a_flag_that_nothing_would_read_is_refused() {
    let home = Home::new();
    home.run(&["--format", "json"]).refused(2, &["--headless"]);
    home.run(&["--headless", "--no-mouse"])
        .refused(2, &["--no-mouse"]);
    home.run(&["show", "x.jsonl", "--theme", "dark"])
        .refused(2, &["--theme"]);
    home.run(&["--listen", "127.0.0.1:0", "show", "x.jsonl"])
        .refused(2, &["show"]);
}

#[test]
fn a_filter_that_cannot_be_read_is_marked_where_it_is_wrong() {
    let ran = Home::new().run(&["--headless", "--filter", "tool:x metohd:y"]);
    ran.refused(2, &["--filter", "method", "\n  tool:x metohd:y\n         ^^^^^^"]);
}

#[test]
fn a_mistake_in_a_configuration_file_is_named_with_its_place() {
    let home = Home::new();
    let path = home.file(
        "my.toml",
        "theme = \"dark\"\n[limits]\nmax_connections = \"5s\"\n",
    );
    home.run(&["--headless", "--config", &path])
        .refused(2, &["my.toml:3:19: ", "a whole number"]);
    home.run(&["--headless", "--config", "none.toml"])
        .refused(2, &["none.toml", "because: "]);
    home.file("config/shadowcat/shadowcat.toml", "lisen = \":1\"");
    home.run(&["--headless"])
        .refused(2, &["shadowcat.toml:1:1: ", "lisen"]);
}

#[test]
fn a_name_in_the_file_of_a_client_does_nothing_to_the_terminal() {
    let home = Home::new();
    let text = r#"{"mcpServers": {"a\u001b]0;title\u0007\u202eb": {"type": "nope", "url": "http://h/"}}}"#;
    let path = home.file("mcp.json", text);
    for arguments in [
        &["--headless", "--config", &path][..],
        &["wrap-config", &path, "--server", "x"],
    ] {
        let ran = home.run(arguments);
        ran.refused(2, &["]0;title"]);
        let is_obeyed = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!ran.stderr.contains(is_obeyed), "{:?}", ran.stderr);
    }
}

#[test]
fn settings_are_layered_and_what_is_printed_can_be_used_again() {
    let home = Home::new();
    home.file(
        "config/shadowcat/shadowcat.toml",
        "listen = \":1\"\ntheme = \"light\"\n[limits]\nmax_sessions = 11\n",
    );
    let file = home.file(
        "more.toml",
        "listen = \":2\"\nascii = true\n[limits]\nmax_headers = 22\nmax_sessions = 33\n",
    );
    let mut command = home.command(&["--config", &file, "--max-sessions", "44", "--print-config"]);
    let ran = Ran::of(&command.env("SHADOWCAT_LISTEN", ":3").output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for line in [
        "listen = [\":3\"]",
        "theme = \"light\"",
        "ascii = true",
        "max_headers = 22",
        "max_sessions = 44",
    ] {
        assert!(
            ran.stdout.lines().any(|printed| printed == line),
            "{line} is not in {}",
            ran.stdout
        );
    }
    let printed = home.file("printed.toml", &ran.stdout);
    let again = home.run(&["--config", &printed, "--print-config"]);
    let content = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(content(&again.stdout), content(&ran.stdout));
}

#[test]
fn help_shows_limits_only_when_all_is_asked_for() {
    let home = Home::new();
    let (short, long) = (home.run(&["-h"]), home.run(&["--help"]));
    assert_eq!((short.code, long.code), (Some(0), Some(0)));
    assert!(!short.stdout.contains("--max-sessions"));
    assert!(long.stdout.contains("--max-sessions <COUNT>"), "{}", long.stdout);
    assert!(long.stdout.contains("[default: 10000]"), "{}", long.stdout);
}

#[test]
fn a_screen_without_terminal_is_refused_with_the_way_out() {
    let home = Home::new();
    home.run(&["--listen", "127.0.0.1:0"])
        .refused(2, &["not a terminal", "--headless"]);
    home.run(&["demo"]).refused(2, &["not a terminal", "--headless"]);
    home.run(&["open", "x.jsonl"])
        .refused(2, &["not a terminal", "shadowcat-tui show"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = Home::new().run(&["--headless", "--listen", &address]);
    ran.refused(3, &[&address, "because: "]);
}

#[test]
fn a_recording_that_cannot_be_written_is_named() {
    let home = Home::new();
    let path = home.file("blocker", "") + "/session.jsonl";
    let ran = home.run(&[
        "--headless",
        "--listen",
        "127.0.0.1:0",
        &format!("--record={path}"),
    ]);
    ran.refused(3, &["blocker/session.jsonl"]);
}

#[test]
fn a_recording_is_never_written_over() {
    let home = Home::new();
    let path = home.file("mine.jsonl", "precious");
    let ran = home.run(&[
        "--headless",
        "--listen",
        "127.0.0.1:0",
        &format!("--record={path}"),
    ]);
    ran.refused(3, &["mine.jsonl"]);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "precious");
}

#[test]
fn a_recording_that_is_missing_or_none_is_named() {
    let home = Home::new();
    home.run(&["show", "missing.jsonl"])
        .refused(3, &["missing.jsonl"]);
    home.file("letter.txt", "Dear Sir,\n");
    home.run(&["show", "letter.txt"]).refused(3, &["letter.txt"]);
}

#[test]
fn a_log_file_that_cannot_be_written_is_an_error_only_if_it_was_named() {
    let home = Home::new();
    let path = home.file("blocker", "") + "/log";
    home.run(&["show", "x.jsonl", "--log-file", &path])
        .refused(3, &["blocker/log", "because: "]);
    let mut command = home.command(&["show", "x.jsonl"]);
    let ran = Ran::of(
        &command
            .env("XDG_STATE_HOME", home.path().join("blocker"))
            .output()
            .unwrap(),
    );
    assert!(ran.stderr.contains("x.jsonl"), "{ran:?}");
    assert!(!ran.stderr.contains("cannot write the log"), "{ran:?}");
}

#[cfg(unix)]
#[test]
fn a_headless_proxy_says_where_it_is_what_to_dial_and_ends_on_a_signal() {
    let home = Home::new();
    let mut proxy = Headless::start(&home, &["--upstream", "http://127.0.0.1:9/mcp"]);
    let line = proxy.line_with("in place of");
    assert!(line.contains(&format!("http://{}/mcp", proxy.address)), "{line}");
    assert!(line.contains("http://127.0.0.1:9/mcp"), "{line}");
    let ran = proxy.terminate();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
}

#[cfg(unix)]
#[test]
fn a_pure_forward_proxy_says_how_clients_reach_it() {
    let home = Home::new();
    let mut proxy = Headless::start(&home, &["--format", "none"]);
    let line = proxy.line_with("HTTP_PROXY=");
    assert!(
        line.contains(&format!("HTTP_PROXY=http://{}", proxy.address)),
        "{line}"
    );
    assert_eq!(proxy.terminate().code, Some(0));
}

#[cfg(unix)]
#[test]
fn the_log_is_written_for_the_user_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let proxy = Headless::start(&home, &["--format", "none"]);
    proxy.terminate();
    let directory = home.path().join("state/shadowcat");
    assert_eq!(
        std::fs::metadata(directory).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[cfg(unix)]
#[test]
fn a_recording_from_the_start_is_named_at_the_end() {
    let home = Home::new();
    let path = home.path().join("session.jsonl").display().to_string();
    let ran = Headless::start(&home, &[&format!("--record={path}")]).terminate();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains(&format!("Recorded to {path}")), "{ran:?}");
    let shown = home.run(&["show", &path]);
    assert_eq!((shown.code, shown.stdout.as_str()), (Some(0), ""), "{shown:?}");
    assert!(shown.stderr.contains("0 messages, 0 sessions"), "{shown:?}");
}

#[cfg(unix)]
#[test]
fn what_passes_is_printed_line_by_line_and_again_from_its_recording() {
    let home = Home::new();
    let path = home.path().join("demo.jsonl").display().to_string();
    let record = format!("--record={path}");
    let mut proxy = Headless::of(&mut home.command(&["demo", "--headless", "--format", "json", &record]));
    let mut stdout = BufReader::new(proxy.child.stdout.take().unwrap());
    let mut live = vec![String::new(); 20];
    for line in &mut live {
        stdout.read_line(line).unwrap();
    }
    proxy.tell_to_end();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(proxy.wait(), Some(0));
    live.extend(rest.lines().map(str::to_owned));
    let shown = home.run(&["show", &path, "--format", "json", "--bodies"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let recorded: Vec<serde_json::Value> = shown.stdout.lines().map(parsed).collect();
    assert_eq!(recorded.len(), live.len());
    for (live, recorded) in live.iter().map(|line| parsed(line)).zip(&recorded) {
        for field in [
            "at",
            "session",
            "direction",
            "kind",
            "method",
            "rpc_id",
            "summary",
            "size",
        ] {
            assert_eq!(
                live.get(field),
                recorded.get(field),
                "{field} of {live} and {recorded}"
            );
        }
        assert!(live.get("body").is_none(), "{live}");
    }
    assert!(recorded.iter().any(|row| {
        row["body"]
            .as_str()
            .is_some_and(|body| body.starts_with("{\"jsonrpc\""))
    }));
}

fn parsed(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap()
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_ends_the_proxy_without_an_error() {
    let home = Home::new();
    let mut proxy = Headless::of(&mut home.command(&["demo", "--headless"]));
    let mut line = String::new();
    BufReader::new(proxy.child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains(" R1 → "), "{line}");
    assert_eq!(proxy.wait(), Some(0));
}

#[cfg(unix)]
#[test]
fn metrics_are_where_the_proxy_says_they_are() {
    let home = Home::new();
    let mut proxy = Headless::start(&home, &["--format", "none", "--metrics", "127.0.0.1:0"]);
    let line = proxy.line_with("metrics on http://");
    let (_, url) = line.trim_end().split_once("http://").unwrap();
    let (address, path) = url.split_once('/').unwrap();
    assert_eq!(path, "metrics");
    let mut peer = TcpStream::connect(address).unwrap();
    write!(peer, "GET /{path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let version = format!(
        "shadowcat_build_info{{version=\"{}\"}} 1\n",
        env!("CARGO_PKG_VERSION")
    );
    assert!(
        answer.contains(&version) && answer.ends_with("# EOF\n"),
        "{answer}"
    );
    assert_eq!(proxy.terminate().code, Some(0));
}

#[test]
fn addresses_for_metrics_and_spans_that_cannot_be_used_are_refused_with_an_example() {
    let home = Home::new();
    home.run(&["--headless", "--metrics", "9464"])
        .refused(2, &["--metrics", "127.0.0.1:8080"]);
    home.run(&["--headless", "--otlp", "grpc://127.0.0.1:4317"])
        .refused(2, &["--otlp", "http://127.0.0.1:4318"]);
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    home.run(&["--headless", "--listen", "127.0.0.1:0", "--metrics", &address])
        .refused(3, &["--metrics", &address, "because: "]);
}

#[test]
fn servers_of_a_clients_file_are_served_each_under_its_name_and_at_its_port() {
    let home = Home::new();
    let file = home.file(
        "mcp.json",
        r#"{
            // two servers
            "mcpServers": {
                "My docs": {"type": "http", "url": "http://127.0.0.1:9/mcp", "headers": {"X-Key": "${KEY}"}, "odd": 1},
                "files": {"command": "cat", "args": ["--key=s3cret"]},
                "old": {"url": "http://127.0.0.1:9/old", "disabled": true},
            },
        }"#,
    );
    let mut command = home.command(&[
        "--headless",
        "--listen",
        "127.0.0.1:0",
        "--ports",
        "--config",
        &file,
    ]);
    command.args(["--upstream", "more=http://127.0.0.1:9/more"]);
    let mut proxy = Headless::of(command.env("KEY", "s3cret"));
    let more = proxy.line_with("clients of more");
    let docs = proxy.line_with("clients of My-docs");
    let files = proxy.line_with("clients of files");
    assert!(
        files.contains("/files or http://") && files.contains("for a command that is started here"),
        "{files}"
    );
    let common = format!("http://{}/My-docs or http://127.0.0.1:", proxy.address);
    assert!(
        docs.contains(&common) && docs.contains("/mcp in place of http://127.0.0.1:9/mcp"),
        "{docs}"
    );
    assert!(more.contains("/more or http://"), "{more}");
    proxy.child.kill().unwrap();
    let said = proxy.ended().stderr;
    assert!(!said.contains("s3cret"), "{said}");
}

#[cfg(unix)]
#[test]
fn what_is_odd_in_a_clients_file_is_said_in_the_log() {
    let home = Home::new();
    let file = home.file(
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "http://127.0.0.1:9/", "odd": 1}}}"#,
    );
    Headless::start(&home, &["--config", &file]).terminate();
    let log = std::fs::read_dir(home.path().join("state/shadowcat")).unwrap();
    let log: String = log
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert!(log.contains("nothing is made of") && log.contains("odd"), "{log}");
}

#[test]
fn a_mistake_in_a_clients_file_is_named_with_its_place() {
    let home = Home::new();
    let file = home.file("mcp.json", "{\"mcpServers\": {\n  \"a\": {\"args\": []}}}");
    home.run(&["--headless", "--config", &file])
        .refused(2, &["mcp.json:2:8: ", "`a`", "\"command\"", "\"url\""]);
    let file = home.file(
        "twice.json",
        r#"{"servers": {"a": {"url": "http://127.0.0.1:9/"}}}"#,
    );
    home.run(&[
        "--headless",
        "--config",
        &file,
        "--upstream",
        "a=http://127.0.0.1:9/x",
    ])
    .refused(2, &["two servers are called `a`"]);
    let repeated = r#"{"mcpServers": {"a": {"command": "cat", "env": {"K": "1", "K": "2"}}}}"#;
    let file = home.file("repeated.json", repeated);
    home.run(&["--headless", "--config", &file])
        .refused(2, &["repeated.json:1:59: ", "\"K\" is there twice"]);
}

#[test]
fn a_server_that_could_not_be_reached_beside_another_is_refused() {
    let home = Home::new();
    for (name, words) in [
        ("mcp", "/mcp"),
        ("sse", "/sse"),
        ("cat", "two servers are called `cat`"),
    ] {
        let upstream = format!("{name}=http://127.0.0.1:9/");
        home.run(&["--headless", "--upstream", &upstream, "--", "cat"])
            .refused(2, &[words, "NAME"]);
    }
}

#[test]
fn a_port_of_a_server_that_is_taken_is_named_with_the_server() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let arguments = [
        "--headless",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        "db=http://127.0.0.1:9/",
    ];
    let home = Home::new();
    let ran = Ran::of(
        &home
            .command(&arguments)
            .args(["--ports", &port])
            .output()
            .unwrap(),
    );
    ran.refused(3, &[&port, "`db`", "--ports"]);
}

#[test]
fn a_command_that_is_not_there_is_told_at_the_start() {
    let ran = Home::new().run(&[
        "--headless",
        "--listen",
        "127.0.0.1:0",
        "--",
        "no-such-program-anywhere",
    ]);
    ran.refused(3, &["no-such-program-anywhere", "PATH", "install it"]);
}

#[cfg(unix)]
#[test]
fn a_command_behind_two_dashes_is_served_and_does_not_outlive_a_killed_proxy() {
    let home = Home::new();
    let pid_file = home.path().join("pid");
    let script = format!(
        "echo $$ > {}; read line; echo '{{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{{}}}}'; exec sleep 600",
        pid_file.display()
    );
    let mut proxy = Headless::start(&home, &["--", "sh", "-c", &script]);
    let line = proxy.line_with("clients of sh use ");
    let url = line
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .unwrap();
    let (address, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    assert_eq!(path, "mcp");
    let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;
    let mut client = TcpStream::connect(address).unwrap();
    write!(
        client,
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(
        answer.contains("mcp-session-id") && answer.ends_with(r#""result":{}}"#),
        "{answer}"
    );
    let pid: i32 = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    proxy.child.kill().unwrap();
    proxy.child.wait().unwrap();
    let waited = std::time::Duration::from_secs(10);
    let step = std::time::Duration::from_millis(10);
    let is_alive = || rustix::process::test_kill_process(pid).is_ok();
    let gone = (0..waited.as_millis() / step.as_millis()).any(|_| {
        let is_gone = !is_alive();
        std::thread::sleep(if is_gone { std::time::Duration::ZERO } else { step });
        is_gone
    });
    assert!(gone, "the program outlived the proxy");
}

#[test]
fn who_forgot_the_dashes_before_a_command_is_told() {
    let home = Home::new();
    for words in [
        &["cat"][..],
        &["wrap", "ls"],
        &["wrap", "--name", "x", "ls", "-l"],
        &["exec", "curl", "http://x/"],
    ] {
        home.run(words).refused(2, &["put -- before the command"]);
    }
    for words in [&["show", "a", "b"][..], &["ca", "x"]] {
        let ran = home.run(words);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(!ran.stderr.contains("put -- before"), "{ran:?}");
    }
}
