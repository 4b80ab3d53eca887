//! Secrets pass through the proxy as they are, and stay nowhere: not in recordings, logs or what is printed.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/secrets.rs"]
mod secrets;

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use binary::{Headless, Home, Ran};
use secrets::{SECRETS, found_in};

/// Runs the session through a proxy that records to `s.jsonl` and logs all it can to `log`. Gives how it ended.
fn record(home: &Home, more: &[&str]) -> Ran {
    let (server, serving) = secrets::serve();
    let upstream = format!("http://{server}");
    let format: &[&str] = if more.contains(&"--format") {
        &[]
    } else {
        &["--format", "json"]
    };
    let arguments = [
        format,
        &["--upstream", &upstream, "--oauth", "off"],
        &["--record=s.jsonl", "--log-file", "log", "--log-level", "trace"],
        more,
    ];
    let proxy = Headless::start(home, &arguments.concat());
    let answers = secrets::play(&proxy.address);
    let received = serving.join().unwrap();
    // The proxy keeps its own credentials; all others arrive.
    let passed = found_in(&(received + &answers));
    assert!(passed.len() >= SECRETS - 1, "{passed:?}");
    let ran = proxy.terminate();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

fn text(home: &Home, name: &str) -> String {
    std::fs::read_to_string(home.path().join(name)).unwrap()
}

#[test]
fn no_secret_stays_in_the_recording_the_log_or_what_is_printed() {
    let home = Home::new();
    let ran = record(&home, &[]);
    assert!(ran.stdout.contains("tools/call"), "{ran:?}");
    let shown = home.run(&["show", "s.jsonl", "--bodies"]);
    let shown_json = home.run(&["show", "s.jsonl", "--bodies", "--format", "json"]);
    for (what, text) in [
        ("the recording", text(&home, "s.jsonl")),
        ("the log", text(&home, "log")),
        ("stdout", ran.stdout),
        ("stderr", ran.stderr),
        ("show", shown.stdout),
        ("show as JSON", shown_json.stdout),
    ] {
        assert_eq!(found_in(&text), Vec::<String>::new(), "{what}: {text}");
        assert!(!text.is_empty(), "{what} is empty");
    }
}

#[test]
fn what_a_pattern_finds_is_not_printed_either() {
    for format in ["json", "text"] {
        let home = Home::new();
        let ran = record(
            &home,
            &["--redact", "tools/c[a]ll|(?i)elicit", "--format", format],
        );
        for said in [&ran.stdout, &text(&home, "s.jsonl")] {
            assert!(said.contains("‹secret:"), "{said}");
            assert!(!said.contains("tools/call") && !said.contains("elicit"), "{said}");
        }
    }
}

#[test]
fn a_recording_with_secrets_has_them_says_so_and_is_scrubbed_of_all_of_them() {
    let home = Home::new();
    let ran = record(&home, &["--record-secrets"]);
    let recorded = found_in(&text(&home, "s.jsonl"));
    assert_eq!(recorded.len(), SECRETS, "{recorded:?}");
    assert_eq!(found_in(&text(&home, "log")), Vec::<String>::new());
    assert!(text(&home, "log").contains("recordings carry secrets"), "{ran:?}");
    let scrubbed = home.run(&["scrub", "s.jsonl", "-o", "clean.jsonl"]);
    assert_eq!(scrubbed.code, Some(0), "{scrubbed:?}");
    assert_eq!(found_in(&text(&home, "clean.jsonl")), Vec::<String>::new());
    assert_eq!(home.run(&["verify", "s.jsonl", "clean.jsonl"]).code, Some(0));
}

#[test]
fn no_secret_of_a_wrapped_command_stays_in_its_recording() {
    let home = Home::new();
    let script = "echo 'key acme-s3cr3t-101' >&2; cat";
    let mut command = home.command(&[
        "wrap",
        "--record=w.jsonl",
        "--redact",
        "acme-[^ ]+",
        "--",
        "sh",
        "-c",
        script,
        "server",
        "--api-key=s3cr3t-102",
        "--token",
        "s3cr3t-103",
        "DB_PASSWORD=s3cr3t-104",
        "https://me:s3cr3t-105@host/?sig=s3cr3t-106",
        "-H",
        "Authorization: Bearer s3cr3t-107",
        "-u",
        "me:s3cr3t-111",
        r#"{"password":"s3cr3t-112","keep":1}"#,
    ]);
    let mut child = command
        .env("API_TOKEN", "s3cr3t-108")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let line =
        r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"token":"s3cr3t-109","note":"acme-s3cr3t-110"}}"#;
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{line}").unwrap();
    drop(stdin);
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stdout.trim_end()), (Some(0), line), "{ran:?}");
    assert!(ran.stderr.contains("acme-s3cr3t-101"), "{ran:?}");
    let recording = text(&home, "w.jsonl");
    assert_eq!(found_in(&recording), Vec::<String>::new());
    assert!(
        recording.contains("API_TOKEN") && recording.contains("--api-key="),
        "{recording}"
    );
    assert!(recording.contains("key ‹secret:"), "{recording}");
    let start = r#"{\"password\":\"‹secret:"#;
    assert!(
        recording.contains(start) && recording.contains(r#"›\",\"keep\":1}"#),
        "{recording}"
    );
    assert!(is_whole(&home, "w.jsonl"));
}

fn is_whole(home: &Home, name: &str) -> bool {
    home.run(&["verify", &Path::new(name).display().to_string()]).code == Some(0)
}
