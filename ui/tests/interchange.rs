//! Recordings in the formats of other programs, with the real program.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;

use binary::Home;
use serde_json::Value;

fn recording(name: &str) -> String {
    format!("{}/../recordings/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn an_archive_comes_back_as_a_recording_that_everything_reads() {
    let home = Home::new();
    for name in ["legacy-http.jsonl", "wrap-modern.jsonl", "websocket-sdk.jsonl"] {
        let (har, back) = (format!("{name}.har"), format!("back-{name}"));
        let file = recording(name);
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
            .refused(3, &[&har]);
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
    home.run(&["export", "no.har", "--to", "har"])
        .refused(3, &["not the header of a recording"]);
}
