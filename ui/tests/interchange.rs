//! Recordings in the formats of other programs, with the real program.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;

use binary::Home;
use serde_json::{Value, json};

fn recording(name: &str) -> String {
    format!("{}/../recordings/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The names of all recordings of the repository.
fn recordings() -> Vec<String> {
    let folder = std::fs::read_dir(recording("")).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let names: Vec<String> = paths
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(names.len() > 10, "{names:?}");
    names
}

#[test]
fn an_archive_comes_back_as_a_recording_that_everything_reads() {
    let home = Home::new();
    for name in recordings() {
        let (har, back) = (format!("{name}.har"), format!("back-{name}"));
        let file = recording(&name);
        let ran = home.run(&["export", &file, "--to", "har", "-o", &har]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
        let ran = home.run(&["import", &har, "-o", &back]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let ran = home.run(&["diff", &file, &back]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let shown = home.run(&["show", &back]);
        assert_eq!(shown.code, Some(0), "{shown:?}");
        assert!(!shown.stderr.contains("warning"), "{}", shown.stderr);
        home.run(&["import", &har, "-o", &back])
            .refused(3, &["exists already"]);
        home.run(&["export", &file, "--to", "har", "-o", &har])
            .refused(3, &[&har, "exists already"]);
    }
}

#[test]
fn every_format_is_written_to_stdout_and_has_no_secret() {
    let home = Home::new();
    let file = recording("legacy-http.jsonl");
    for (format, start) in [
        ("har", "{\"log\":{\"version\":\"1.2\""),
        ("curl", "#!/bin/sh\n"),
        ("jsonl", "{\"time\":"),
        ("mermaid", "## R1"),
        ("markdown", "# "),
        ("html", "<!doctype html>"),
    ] {
        let ran = home.run(&["export", &file, "--to", format]);
        assert_eq!(ran.code, Some(0), "{format}: {ran:?}");
        assert!(
            ran.stdout.starts_with(start),
            "{format}: {}",
            ran.stdout.lines().next().unwrap()
        );
        assert!(
            !ran.stdout.contains("Bearer ") || ran.stdout.contains("Bearer ‹secret:"),
            "{format}"
        );
    }
    let lines = home.run(&["export", &file, "--to", "jsonl"]).stdout;
    for line in lines.lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        assert!(message["message"].is_object(), "{line}");
    }
}

#[cfg(unix)]
#[test]
fn the_commands_are_a_script_that_a_shell_can_read() {
    let home = Home::new();
    let script = home
        .run(&["export", &recording("modern-http.jsonl"), "--to", "curl"])
        .stdout;
    assert!(
        script.contains("curl -sS -N -X 'POST' 'http://127.0.0.1:"),
        "{script}"
    );
    let path = home.file("requests.sh", &script);
    let checked = std::process::Command::new("sh")
        .args(["-n", &path])
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

/// The words that each `curl` of a script is called with, and what it gets on its standard input.
#[cfg(unix)]
fn calls_of_curl(script: &str) -> String {
    let told = "curl() { printf '[%s]' \"$@\"; if [ \"$read_input\" ]; then printf '{'; cat; printf '}'; fi; echo; }\n";
    let script = script.replace("| curl", "| read_input=1 curl");
    let ran = std::process::Command::new("sh")
        .args(["-c", &format!("{told}{script}")])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[cfg(unix)]
#[test]
fn a_command_sends_what_was_sent_and_nothing_of_the_machine_it_runs_on() {
    let home = Home::new();
    let request = |path: &str, headers: Value, body: Value| {
        json!({"startedDateTime": "2026-11-23T04:00:00.000Z", "response": {"status": 202},
            "request": {"method": "POST", "url": format!("http://a.example{path}"), "headers": headers, "postData": body}})
    };
    let fields = json!([{"name": "X-Empty", "value": ""}, {"name": "accept", "value": "text/*"}, {"name": "@x", "value": "1"}]);
    let har = json!({"log": {"version": "1.2", "entries": [
        request("/file?f[a]=b&g={1,2}", fields, json!({"text": "@/etc/hostname"})),
        request("/bytes", json!([]), json!({"text": "AAH/JwpB", "encoding": "base64"})),
    ]}});
    home.file("a.har", &har.to_string());
    home.run(&["import", "a.har", "-o", "a.jsonl"]);
    let script = home.run(&["export", "a.jsonl", "--to", "curl"]).stdout;
    let calls = calls_of_curl(&script);
    let start = "[-sS][-N][-g][-X][POST][http://a.example/file?f[a]=b&g={1,2}]";
    let sent = "[-H][X-Empty;][-H][accept: text/*][-H][User-Agent:][-H][Content-Type:][--data-raw][@/etc/hostname]\n";
    assert!(calls.contains(&format!("{start}{sent}")), "{calls}");
    assert!(
        script
            .contains(r"printf '\000\001\377\047\012\101' | curl -sS -N -X 'POST' 'http://a.example/bytes'"),
        "{script}"
    );
    assert!(
        calls.contains("[--data-binary][@-]{\0\u{1}\u{fffd}'\nA}\n"),
        "{calls}"
    );
}

#[test]
fn what_did_not_go_over_http_is_not_made_a_command() {
    let home = Home::new();
    let script = |name: &str| home.run(&["export", &recording(name), "--to", "curl"]).stdout;
    let socket = script("websocket-sdk.jsonl");
    assert!(
        socket.contains("# A WebSocket, which curl cannot send again.") && !socket.contains("GET"),
        "{socket}"
    );
    let pipes = script("wrap-modern.jsonl");
    assert!(
        pipes.contains("# There is no request in this recording that went over HTTP"),
        "{pipes}"
    );
}

#[test]
fn patterns_of_the_command_line_and_of_a_file_are_secrets_of_an_import_too() {
    let home = Home::new();
    let har = json!({"log": {"version": "1.2", "entries": [{"startedDateTime": "2026-11-23T04:00:00.000Z", "response": {"status": 202},
        "request": {"method": "POST", "url": "http://a.example/mcp", "headers": [], "postData": {"text": "{\"a\":\"acme-4711\",\"b\":\"corp-12\"}"}}}]}});
    home.file("a.har", &har.to_string());
    home.file("mine.toml", "redact = \"corp-[0-9]+\"\n");
    let import = |arguments: &[&str]| {
        home.run(&[&["import", "a.har", "-o", "-"], arguments].concat())
            .stdout
    };
    assert!(import(&[]).contains("acme-4711"));
    let masked = import(&["--redact", "acme-[0-9]+"]);
    assert!(!masked.contains("4711") && masked.contains("corp-12"), "{masked}");
    assert!(!import(&["--config", "mine.toml"]).contains("corp-12"));
    home.run(&[
        "import",
        "a.har",
        "-o",
        "b.jsonl",
        "--redact",
        "a",
        "--record-secrets",
    ])
    .refused(2, &["--record-secrets", "--redact"]);
    home.run(&["import", "a.har", "-o", "b.jsonl", "--redact", "a("])
        .refused(2, &["cannot redact `a(`"]);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let home = Home::new();
    home.run(&["export", "none.jsonl", "--to", "har"])
        .refused(3, &["none.jsonl"]);
    home.run(&["import", "none.har", "-o", "a.jsonl"])
        .refused(3, &["none.har"]);
    home.file("no.har", "{}");
    home.run(&["import", "no.har", "-o", "a.jsonl"])
        .refused(2, &["no.har cannot be imported", "log.entries"]);
    home.file("cut.har", "{\"log\":{\"entries\":[\n");
    for (file, words) in [
        ("cut.har", "the archive is cut off: it ends in line 2"),
        (&*recording("errors.jsonl"), "this is a recording already"),
    ] {
        let ran = home.run(&["import", file, "-o", "a.jsonl"]);
        ran.refused(2, &["cannot be imported", words]);
        assert!(!ran.stderr.contains("EOF"), "{ran:?}");
    }
    home.run(&["export", "no.har", "--to", "har"])
        .refused(3, &["not the header of a recording"]);
}
