//! `-` in the place of a file, and other pipes, with the real program.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use binary::{Home, Ran};

const NAME: &str = "legacy-http.jsonl";

fn recording() -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recordings");
    std::fs::read_to_string(directory.join(NAME)).unwrap()
}

/// Runs the program with `input` on its standard input.
fn piped(home: &Home, input: &str, arguments: &[&str]) -> Ran {
    let mut command = home.command(arguments);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Whoever refuses to read is no failure of this side.
            let _ = stdin.write_all(input.as_bytes());
        });
        Ran::of(&child.wait_with_output().unwrap())
    })
}

#[test]
fn what_comes_through_standard_input_is_shown_like_the_file_with_its_bodies() {
    let home = Home::new();
    let file = home.file("a.jsonl", &recording());
    let of_file = home.run(&["show", &file, "--bodies", "--format", "json"]);
    let of_pipe = piped(
        &home,
        &recording(),
        &["show", "-", "--bodies", "--format", "json"],
    );
    assert_eq!(of_pipe.code, Some(0), "{of_pipe:?}");
    assert!(of_pipe.stdout.contains("\"body\""), "{}", of_pipe.stdout);
    assert_eq!(of_pipe.stdout, of_file.stdout);
    assert!(
        of_pipe.stderr.starts_with("standard input: "),
        "{}",
        of_pipe.stderr
    );
}

#[test]
fn a_recording_goes_through_pipes_from_one_command_to_the_next() {
    let home = Home::new();
    let file = home.file("a.jsonl", &recording());
    let har = piped(&home, &recording(), &["export", "-", "--to", "har", "-o", "-"]);
    assert_eq!((har.code, har.stderr.as_str()), (Some(0), ""), "{har:?}");
    let back = piped(&home, &har.stdout, &["import", "-", "-o", "-"]);
    assert_eq!(back.code, Some(0), "{back:?}");
    assert!(back.stderr.starts_with("standard output: "), "{}", back.stderr);
    let scrubbed = piped(&home, &back.stdout, &["scrub", "-", "-o", "-"]);
    assert_eq!(scrubbed.code, Some(0), "{scrubbed:?}");
    assert_eq!(
        piped(&home, &back.stdout, &["scrub", "-"]).stdout.lines().count(),
        scrubbed.stdout.lines().count()
    );
    let verified = piped(&home, &scrubbed.stdout, &["verify", "-"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let same = piped(&home, &scrubbed.stdout, &["diff", &file, "-"]);
    assert_eq!(same.code, Some(0), "{same:?}");
    assert!(!home.path().join("-").exists(), "`-` is no file");
}

#[test]
fn a_list_of_tools_can_come_through_a_pipe_too() {
    let home = Home::new();
    let list = home.file(
        "a.json",
        r#"{"tools":[{"name":"a","inputSchema":{"type":"object"}}]}"#,
    );
    let ran = piped(&home, r#"{"tools":[]}"#, &["diff", &list, "-"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("! tool a is gone"), "{ran:?}");
}

#[test]
fn what_is_no_recording_is_refused_by_its_name() {
    let home = Home::new();
    let empty = "standard input, line 1, is not the header of a recording";
    for command in [
        &["show", "-"][..],
        &["export", "-", "--to", "har"],
        &["scrub", "-", "-o", "a.jsonl"],
    ] {
        let ran = piped(&home, "", command);
        ran.refused(3, &[empty, "because: the file is empty"]);
        assert_eq!(ran.stderr.matches("standard input").count(), 1, "{ran:?}");
    }
    piped(&home, "", &["import", "-", "-o", "a.jsonl"]).refused(2, &["standard input cannot be imported"]);
    piped(&home, "", &["diff", "-", "-"]).refused(2, &["can be read only once"]);
    assert!(!home.path().join("a.jsonl").exists());
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_read_like_a_file() {
    let home = Home::new();
    let pipe = home.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let file = home.file("a.jsonl", &recording());
    for arguments in [
        &["show", "pipe", "--bodies"][..],
        &["scrub", "pipe", "-o", "-"],
        &["diff", "pipe", &file],
        &["verify", "pipe"],
    ] {
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| std::fs::write(&pipe, recording()));
            let ran = home.run(arguments);
            assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
            writer.join().unwrap().unwrap();
        });
    }
}
