//! Held messages decided from a script: the real binary without a screen, a client, a server, and `held`.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;
#[path = "held/editor.rs"]
mod editor;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{ChildStdout, Stdio};
use std::time::Duration;

use binary::{Headless, Home, Ran};
use serde_json::Value;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const RESULT: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[]}}"#;

fn call(tool: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}","arguments":{{"x":0,"text":"old"}}}}}}"#
    )
}

/// A proxy that holds calls, in front of a server that the test plays.
struct Scene {
    home: Home,
    proxy: Headless,
    output: BufReader<ChildStdout>,
    server: TcpListener,
}

impl Scene {
    /// One that holds all calls of tools.
    fn holding() -> Self {
        Self::start(&["--wait", "--intercept", "method:tools/call kind:request"])
    }

    fn start(options: &[&str]) -> Self {
        Self::start_in(Home::new(), options)
    }

    fn start_in(home: Home, options: &[&str]) -> Self {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/mcp", server.local_addr().unwrap());
        let common = ["--format", "json", "--upstream", &url];
        let mut proxy = Headless::start(&home, &[&common, options].concat());
        let output = BufReader::new(proxy.child.stdout.take().unwrap());
        let scene = Self {
            home,
            proxy,
            output,
            server,
        };
        scene.wait_for_door();
        scene
    }

    /// Until `held` finds this proxy: its door opens a moment after its port.
    fn wait_for_door(&self) {
        while self.held(&["list", "--connect", &self.proxy.address]).code != Some(0) {
            std::thread::yield_now();
        }
    }

    fn held(&self, arguments: &[&str]) -> Ran {
        self.home.run(&[&["held"], arguments].concat())
    }

    /// What is done, said on stdout.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let ran = self.held(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        ran.stdout
    }

    fn list(&self) -> Vec<Value> {
        serde_json::from_str(&self.done(&["list", "--format", "json"])).unwrap()
    }

    fn send(&self, body: &str) -> TcpStream {
        let address = &self.proxy.address;
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        write!(
            client,
            "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        client
    }

    /// A call that is held, as the proxy says on its stdout, and its id.
    fn hold(&mut self, body: &str) -> (TcpStream, String) {
        let client = self.send(body);
        let event = self.event("held");
        (client, format!("h{}", event["id"]))
    }

    /// The next line about held messages, which has to be of this kind.
    #[track_caller]
    fn event(&mut self, kind: &str) -> Value {
        let event = next_event(&mut self.output);
        assert_eq!(event["event"], kind, "{event}");
        event
    }

    /// What the server gets; it answers with [`RESULT`].
    fn serve(&self) -> String {
        let (mut socket, _) = self.server.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = BufReader::new(socket.try_clone().unwrap());
        let (mut length, mut line) = (0, String::new());
        while line != "\r\n" {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0, "no request came");
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        write!(
            socket,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{RESULT}",
            RESULT.len()
        )
        .unwrap();
        String::from_utf8(body).unwrap()
    }
}

/// What has to end when it has failed too.
impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.proxy.child.kill();
        let _ = self.proxy.child.wait();
    }
}

fn next_event(output: &mut impl std::io::BufRead) -> Value {
    loop {
        let mut line = String::new();
        assert!(output.read_line(&mut line).unwrap() > 0, "the output ended");
        let value: Value = serde_json::from_str(&line).unwrap();
        if value.get("event").is_some() {
            return value;
        }
    }
}

fn answer(mut client: TcpStream) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_held_call_is_listed_edited_and_reaches_its_server_with_the_new_value() {
    let mut scene = Scene::holding();
    let (client, id) = scene.hold(&call("search"));
    let listed = scene.list();
    assert_eq!(listed.len(), 1);
    let row = &listed[0];
    assert_eq!(format!("h{}", row["id"]), id);
    for (field, value) in [
        ("direction", "client_to_server"),
        ("kind", "request"),
        ("method", "tools/call"),
        ("tool", "search"),
        ("rule", "method:tools/call kind:request"),
        ("state", "held"),
    ] {
        assert_eq!(row[field], value, "{field} of {row}");
    }
    assert!(row["session"].is_string(), "{row}");
    assert!(row["age_ms"].as_u64() <= row["budget_ms"].as_u64(), "{row}");
    assert_eq!(row["queued_behind"], 0);
    let table = scene.done(&["list"]);
    assert!(
        table.starts_with("ID") && table.contains(&id) && table.contains("search"),
        "{table}"
    );

    let said = scene.done(&[
        "edit",
        &id,
        "--set",
        "$.params.arguments.x=1",
        "--set",
        "$.params.name=find",
    ]);
    for line in [
        "~ $.params.arguments.x: 0 → 1",
        "~ $.params.name: \"search\" → \"find\"",
    ] {
        assert!(said.lines().any(|found| found == line), "{line} is not in {said}");
    }
    // The number alone names it too.
    let shown: Value =
        serde_json::from_str(&scene.done(&["show", id.strip_prefix('h').unwrap(), "--format", "json"]))
            .unwrap();
    assert_eq!(shown["original"], call("search"));
    assert!(shown["edited"].as_str().unwrap().contains(r#""x":1"#), "{shown}");
    assert!(scene.done(&["show", &id]).contains("goes on as:"));

    assert!(scene.done(&["forward", &id]).contains("was forwarded"));
    let body = scene.serve();
    assert_eq!(body, call("find").replace(r#""x":0"#, r#""x":1"#));
    assert!(answer(client).ends_with(RESULT));
    let event = scene.event("decided");
    assert_eq!(
        (&event["ending"], &event["actor"]),
        (&"edited".into(), &"script".into()),
        "{event}"
    );
    assert_eq!(scene.done(&["list"]), "nothing is held\n");
}

#[test]
fn a_patch_an_editor_and_a_revert_change_what_goes_on() {
    let mut scene = Scene::holding();
    let (client, id) = scene.hold(&call("search"));
    let patch = scene.home.file(
        "patch.json",
        r#"[{"op": "add", "path": "/params/arguments/y", "value": 1.50}]"#,
    );
    assert_eq!(
        scene.done(&["edit", &id, "--patch", &patch]),
        "+ $.params.arguments.y: 1.50\n"
    );
    let merge = scene
        .home
        .file("merge.json", r#"{"params": {"arguments": {"x": null}}}"#);
    let said = scene.done(&["edit", &id, "--patch", &merge]);
    assert!(said.contains("- $.params.arguments.x: 0"), "{said}");
    // An editor that puts a word in the place of another.
    let mut command = scene.home.command(&["held", "edit", &id, "--editor"]);
    command.env("TMPDIR", scene.home.path()).env_remove("VISUAL");
    let edited = Ran::of(&command.env("EDITOR", "perl -pi -e s/old/new/").output().unwrap());
    assert_eq!(edited.code, Some(0), "{edited:?}");
    assert!(
        edited
            .stdout
            .contains(r#"~ $.params.arguments.text: "old" → "new""#),
        "{edited:?}"
    );
    let left = std::fs::read_dir(scene.home.path()).unwrap().flatten();
    let drafts = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("shadowcat-"));
    assert_eq!(drafts.count(), 0, "the editor's file is gone");
    // One that fails changes nothing.
    let failed = Ran::of(&command.env("EDITOR", "false").output().unwrap());
    failed.refused(1, &["was not changed", "`false`"]);
    scene.done(&["forward", "--all"]);
    let body = scene.serve();
    assert_eq!(
        body,
        call("search").replace(r#""x":0,"text":"old""#, r#""text":"new","y":1.50"#)
    );
    assert!(answer(client).ends_with(RESULT));

    scene.event("decided");
    let (client, id) = scene.hold(&call("search"));
    scene.done(&["edit", &id, "--set", "$.params.name=find"]);
    scene.done(&["edit", &id, "--revert"]);
    scene.done(&["forward", &id]);
    assert_eq!(scene.serve(), call("search"));
    answer(client);
}

#[test]
fn a_message_larger_than_a_frame_of_the_door_is_shown_and_edited_whole() {
    let mut scene = Scene::holding();
    let body = call(&"long \\\" ".repeat(40_000));
    let (client, id) = scene.hold(&body);
    let shown: Value = serde_json::from_str(&scene.done(&["show", &id, "--format", "json"])).unwrap();
    assert_eq!(shown["original"], body);
    assert_eq!(
        scene.done(&["edit", &id, "--set", "$.params.arguments.x=1"]),
        "~ $.params.arguments.x: 0 → 1\n"
    );
    scene.done(&["forward", &id]);
    assert_eq!(scene.serve(), body.replace(r#""x":0"#, r#""x":1"#));
    answer(client);
}

#[test]
fn a_call_is_answered_where_no_server_runs() {
    let mut scene = Scene::holding();
    let (client, id) = scene.hold(&call("weather"));
    scene
        .held(&["answer", &id, "--result", "\"hi\""])
        .refused(2, &["is an object", "--force"]);
    let result = r#"{"content":[],"structuredContent":{"asked":{{$.params.arguments}}}}"#;
    scene.done(&["answer", &id, "--result", result]);
    let answer = answer(client);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let wanted = r#""id":7,"result":{"content":[],"structuredContent":{"asked":{"x":0,"text":"old"}}}"#;
    assert!(answer.contains(wanted), "{answer}");
    scene.server.set_nonblocking(true).unwrap();
    assert!(scene.server.accept().is_err(), "the server was not asked");
    assert_eq!(scene.done(&["forward", "--all"]), "nothing is held\n");
    assert_eq!(scene.event("decided")["ending"], "answered");
    let (client, id) = scene.hold(&call("weather"));
    scene.done(&["answer", &id, "--force", "--result", "\"hi\""]);
    assert!(self::answer(client).contains(r#""result":"hi""#));
}

#[test]
fn a_call_is_refused_in_each_way_and_dropped() {
    let mut scene = Scene::holding();
    let cases: [(&[&str], &str, &str); 6] = [
        (
            &["refuse", "--code", "-32602", "--message", "no such x"],
            "refused",
            r#""error":{"code":-32602,"message":"no such x"}"#,
        ),
        (&["refuse"], "refused", r#""error":{"code":-32000,"#),
        (
            &["refuse", "--tool-error", "not here"],
            "refused",
            r#""isError":true"#,
        ),
        (&["refuse", "--status", "429"], "refused", "HTTP/1.1 429 "),
        (&["refuse", "--close"], "refused", ""),
        (&["drop"], "dropped", r#""error":"#),
    ];
    for (words, ending, wanted) in cases {
        let (client, id) = scene.hold(&call("search"));
        let (verb, rest) = words.split_first().unwrap();
        scene.done(&[&[*verb, &id], rest].concat());
        let answer = answer(client);
        assert!(answer.contains(wanted), "{words:?}: {answer}");
        assert!(!wanted.is_empty() || answer.is_empty(), "{words:?}: {answer}");
        assert_eq!(scene.event("decided")["ending"], ending, "{words:?}");
    }
    let (_client, id) = scene.hold(&call("search"));
    scene.done(&["drop", &id, "--silent"]);
    assert_eq!(scene.event("decided")["ending"], "dropped");
}

#[test]
fn who_watches_gets_a_line_for_each_hold_and_decision_until_the_proxy_ends() {
    let mut scene = Scene::holding();
    let mut watch = scene
        .home
        .command(&["held", "watch", "--format", "json"])
        .spawn()
        .unwrap();
    let mut words = BufReader::new(watch.stderr.take().unwrap());
    let mut line = String::new();
    words.read_line(&mut line).unwrap();
    assert!(
        line.contains("watching") && line.contains(&scene.proxy.address),
        "{line}"
    );
    let mut lines = BufReader::new(watch.stdout.take().unwrap());
    let (client, id) = scene.hold(&call("search"));
    let held = next_event(&mut lines);
    assert_eq!(
        (&held["event"], &held["tool"]),
        (&"held".into(), &"search".into())
    );
    scene.done(&["forward", &id]);
    let decided = next_event(&mut lines);
    assert_eq!(
        (&decided["event"], &decided["ending"], &decided["actor"]),
        (&"decided".into(), &"forwarded".into(), &"script".into())
    );
    scene.serve();
    answer(client);
    scene.proxy.tell_to_end();
    assert_eq!(scene.proxy.child.wait().unwrap().code(), Some(0));
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}

#[test]
fn without_a_person_nothing_is_held_and_other_rules_act() {
    let home = Home::new();
    let rules = home.file(
        "rules.toml",
        "[[rule]]\nname = \"all\"\nwhen = \"tool:search\"\nthen = \"hold\"\n\n\
         [[rule]]\nname = \"no\"\nwhen = \"tool:delete\"\nrefuse = { code = -32001, message = \"not here\" }\n",
    );
    let log = home.file("log", "");
    let mut scene = Scene::start_in(
        home,
        &[
            "--rules",
            &rules,
            "--intercept",
            "method:tools/call tool:search",
            "--log-file",
            &log,
        ],
    );
    let client = scene.send(&call("search"));
    assert_eq!(scene.serve(), call("search"));
    assert!(answer(client).ends_with(RESULT));
    assert!(answer(scene.send(&call("delete"))).contains("not here"));
    assert_eq!(scene.done(&["list", "--format", "json"]), "[]\n");
    scene.proxy.tell_to_end();
    scene.proxy.child.wait().unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    for name in ["all", "method:tools/call tool:search"] {
        assert!(log.contains(&format!("nothing is held by {name}, ")), "{log}");
    }
}

#[test]
fn a_rule_of_the_file_holds_with_wait_and_sigterm_lets_go() {
    let home = Home::new();
    let rules = home.file(
        "rules.toml",
        "[[rule]]\nname = \"searches\"\nwhen = \"tool:search\"\ndirection = \"c2s\"\nthen = \"hold\"\n",
    );
    let mut scene = Scene::start_in(home, &["--wait", "--rules", &rules]);
    let (client, _) = scene.hold(&call("search"));
    assert_eq!(scene.list()[0]["rule"], "searches");
    scene.proxy.tell_to_end();
    assert_eq!(scene.serve(), call("search"));
    assert!(answer(client).ends_with(RESULT));
    let event = scene.event("decided");
    assert_eq!(
        (&event["ending"], &event["actor"]),
        (&"forwarded".into(), &"release".into()),
        "{event}"
    );
    assert_eq!(scene.proxy.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_proxy_that_would_hold_with_nobody_to_decide_says_so_at_its_start() {
    let home = Home::new();
    let mut proxy = home
        .command(&["--headless", "--intercept", "tool:x", "--listen", "127.0.0.1:0"])
        .spawn()
        .unwrap();
    let mut said = BufReader::new(proxy.stderr.take().unwrap()).lines();
    assert!(said.any(|line| {
        line.unwrap()
            .contains("nothing is held by tool:x, since nobody is there who decides: add --wait")
    }));
    proxy.kill().unwrap();
    proxy.wait().unwrap();
}

#[test]
fn what_cannot_be_done_ends_with_the_code_that_says_why() {
    let home = Home::new();
    home.run(&["held", "list"])
        .refused(3, &["no proxy", "--headless --wait"]);
    home.run(&["held", "forward"]).refused(2, &["--all"]);
    home.run(&["held", "edit", "h1"]).refused(2, &["--set"]);
    home.run(&["held", "edit", "h1", "--set", "x=1"])
        .refused(2, &["--set"]);
    home.run(&["held", "drop", "m1"]).refused(2, &["h3, or 3"]);
    home.run(&["held", "refuse", "1", "--status", "99"])
        .refused(2, &["--status"]);
    home.run(&["--wait"]).refused(2, &["--headless"]);
    home.run(&["--headless", "--intercept", "tool:x metohd:y"])
        .refused(2, &["--intercept", "\n  tool:x metohd:y\n         ^^^^^^"]);
    let rules = home.file(
        "rules.toml",
        "[[rule]]\nname = \"a\"\nwhen = \"metohd:x\"\nthen = \"hold\"\n",
    );
    home.run(&["--headless", "--listen", "127.0.0.1:0", "--rules", &rules])
        .refused(2, &["rules.toml:3:"]);
    let mut scene = Scene::holding();
    scene
        .held(&["list", "--connect", "127.0.0.1:1"])
        .refused(3, &["127.0.0.1:1", &scene.proxy.address]);
    scene.held(&["forward", "9"]).refused(1, &["h9 is not held"]);
    let (client, id) = scene.hold(&call("search"));
    scene
        .held(&["edit", &id, "--set", "$.params[0].y=1"])
        .refused(1, &["not changed"]);
    scene
        .held(&["edit", &id, "--patch", "none.json"])
        .refused(3, &["none.json"]);
    drop(client);
    assert_eq!(scene.event("decided")["ending"], "orphaned");
    scene.held(&["forward", &id]).refused(1, &["not held"]);
}

#[test]
fn the_newest_proxy_is_asked_unless_another_one_is_named() {
    let mut old = Scene::holding();
    let address = old.proxy.address.clone();
    let (_client, _) = old.hold(&call("search"));
    let home = std::mem::replace(&mut old.home, Home::new());
    let new = Scene::start_in(home, &["--wait", "--intercept", "method:tools/call"]);
    assert_eq!(new.done(&["list"]), "nothing is held\n");
    assert!(new.done(&["list", "--connect", &address]).contains("search"));
}

#[test]
fn nothing_of_a_peer_reaches_the_terminal_as_it_is() {
    let mut scene = Scene::holding();
    let (_client, id) = scene.hold(&call(r"\u001b]0;title\u0007\u202e\u009b2J"));
    for arguments in [
        &["list"][..],
        &["list", "--format", "json"],
        &["show", &id],
        &["show", &id, "--format", "json"],
        &["edit", &id, "--set", "$.params.name=\"\\u001b[2J\""],
    ] {
        let said = scene.done(arguments);
        let is_obeyed = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!said.contains(is_obeyed), "{arguments:?}: {said:?}");
        assert!(said.contains("title"), "{arguments:?}: {said:?}");
    }
}

#[test]
fn http_that_is_no_mcp_is_shown_with_its_head_and_without_its_secrets() {
    let scene = Scene::start(&["--wait", "--intercept", "kind:http"]);
    let mut client = TcpStream::connect(&scene.proxy.address).unwrap();
    let body = "grant_type=client_credentials";
    write!(
        client,
        "POST /token?code=s3cr3t-c0de HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer s3cr3t-t0ken\r\nX-Mine: 1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        scene.proxy.address,
        body.len()
    )
    .unwrap();
    let rows = loop {
        let rows = scene.list();
        if !rows.is_empty() {
            break rows;
        }
        std::thread::yield_now();
    };
    assert_eq!(rows[0]["kind"], "http");
    let shown = scene.done(&["show", "1"]);
    for part in ["http POST /token", "x-mine: 1", body] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(!shown.contains("s3cr3t"), "{shown}");
    scene.done(&["refuse", "1", "--status", "503"]);
    let mut answer = [0; 13];
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503 ");
}
