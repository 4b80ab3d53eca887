//! Real programs: they start, they end in each way, and leave nothing behind.

#![cfg(unix)]

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use super::group::Group;
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const NEVER: Duration = Duration::from_mins(10);

fn shell(script: &str) -> CommandConfig {
    CommandConfig::new("sh", [OsString::from("-c"), OsString::from(script)])
}

fn graces(after_end_of_input: Duration, after_terminate: Duration) -> EndGraces {
    EndGraces {
        after_end_of_input,
        after_terminate,
    }
}

async fn first_line(pipes: &mut ChildPipes) -> String {
    let mut line = String::new();
    let mut output = BufReader::new(&mut pipes.output);
    timeout(PATIENCE, output.read_line(&mut line))
        .await
        .unwrap()
        .unwrap();
    line.trim_end().to_owned()
}

async fn until_gone(group: u32) {
    let gone = async {
        while Group::led_by(group).is_alive() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn bytes_pass_both_ways_and_the_exit_code_is_told() {
    let (mut process, mut pipes) = ChildProcess::start(&shell("cat; echo bye >&2; exit 3")).unwrap();
    pipes.input.write_all(b"\xef\xbb\xbf{}\n\xff").await.unwrap();
    drop(pipes.input);
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    pipes.output.read_to_end(&mut output).await.unwrap();
    pipes.errors.read_to_end(&mut errors).await.unwrap();
    assert_eq!(output, b"\xef\xbb\xbf{}\n\xff");
    assert_eq!(errors, b"bye\n");
    assert_eq!(process.ended().await, ChildEnd::Code(3));
    assert_eq!(process.ended().await, ChildEnd::Code(3));
}

#[tokio::test]
async fn a_program_gets_only_the_changes_that_were_asked_for() {
    let mut config = shell("printf '%s|%s|%s\\n' \"$PWD\" \"${CARGO-none}\" \"$ADDED\"");
    config.cwd = Some(PathBuf::from("/"));
    let change = |name: &str, value: Option<&str>| EnvironmentChange {
        name: name.into(),
        value: value.map(OsString::from),
    };
    config.environment = vec![change("CARGO", None), change("ADDED", Some("yes"))];
    let (_process, mut pipes) = ChildProcess::start(&config).unwrap();
    assert_eq!(first_line(&mut pipes).await, "/|none|yes");
}

#[tokio::test]
async fn the_end_of_its_input_is_enough_for_a_polite_program() {
    let (mut process, pipes) = ChildProcess::start(&shell("cat >/dev/null; exit 4")).unwrap();
    drop(pipes.input);
    assert_eq!(process.end(graces(NEVER, NEVER)).await, ChildEnd::Code(4));
}

#[tokio::test]
async fn a_program_that_stays_after_the_end_of_its_input_is_asked_and_then_killed() {
    let stubborn = "trap '' TERM; echo ready; while :; do sleep 1; done";
    for (script, end) in [
        ("echo ready; exec sleep 600", ChildEnd::Signal(15)),
        (stubborn, ChildEnd::Signal(9)),
    ] {
        let (mut process, mut pipes) = ChildProcess::start(&shell(script)).unwrap();
        assert_eq!(first_line(&mut pipes).await, "ready");
        drop(pipes.input);
        let short = Duration::from_millis(20);
        let grace = if end == ChildEnd::Signal(9) {
            short
        } else {
            PATIENCE
        };
        assert_eq!(process.end(graces(short, grace)).await, end, "{script}");
        assert!(!process.signal(ChildSignal::Kill), "nothing is left of {script}");
    }
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_with_it() {
    let script = "sleep 600 & echo left; exit 0";
    let (mut process, mut pipes) = ChildProcess::start(&shell(script)).unwrap();
    assert_eq!(first_line(&mut pipes).await, "left");
    assert_eq!(process.ended().await, ChildEnd::Code(0));
    assert!(
        Group::led_by(process.id()).is_alive(),
        "the grandchild holds the pipe"
    );
    process.end(graces(NEVER, PATIENCE)).await;
    assert!(
        timeout(PATIENCE, pipes.output.read_to_end(&mut Vec::new()))
            .await
            .is_ok(),
        "the pipe is closed"
    );
    until_gone(process.id()).await;
}

#[tokio::test]
async fn a_forgotten_process_is_killed_with_its_group() {
    let (process, mut pipes) = ChildProcess::start(&shell("sleep 600 & echo up; wait")).unwrap();
    assert_eq!(first_line(&mut pipes).await, "up");
    let group = process.id();
    drop(process);
    until_gone(group).await;
}

#[tokio::test]
async fn a_guardian_is_told_the_group_and_later_that_it_is_done() {
    let place = tempfile::tempdir().unwrap();
    let heard = place.path().join("heard");
    let guard = GuardCommand {
        program: PathBuf::from("/bin/sh"),
        args: vec![
            "-c".into(),
            format!("cat > {0}.part; mv {0}.part {0}", heard.display()).into(),
        ],
    };
    let mut config = shell("cat");
    config.guard = Some(guard);
    let (mut process, pipes) = ChildProcess::start(&config).unwrap();
    assert!(process.is_guarded());
    drop(pipes.input);
    process.end(graces(NEVER, NEVER)).await;
    let words = async {
        loop {
            if let Ok(words) = std::fs::read_to_string(&heard) {
                return words;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let words = timeout(PATIENCE, words).await.unwrap();
    assert_eq!(words, format!("{}\ndone\n", process.id()));
}

#[tokio::test]
async fn the_guardian_ends_the_group_when_we_are_gone_without_a_word() {
    let (mut process, mut pipes) =
        ChildProcess::start(&shell("trap '' TERM; sleep 600 & echo up; wait; wait")).unwrap();
    assert_eq!(first_line(&mut pipes).await, "up");
    let (ear, mut voice) = io::pipe().unwrap();
    writeln!(voice, "{}", process.id()).unwrap();
    drop(voice);
    std::thread::scope(|scope| scope.spawn(|| guard::keep(ear)).join().unwrap());
    assert_eq!(process.ended().await, ChildEnd::Signal(9));
    until_gone(process.id()).await;
}

#[tokio::test]
async fn a_program_that_cannot_be_started_says_why() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str, mode| {
        let path = place.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&path, mode).unwrap();
        path
    };
    let start = |program: PathBuf, cwd: Option<PathBuf>| {
        let mut config = CommandConfig::new(program, []);
        config.cwd = cwd;
        let refused = ChildProcess::start(&config).unwrap_err();
        (refused.shell_code(), refused.to_string())
    };
    let (code, text) = start("no-such-program-here".into(), None);
    assert_eq!(code, 127);
    assert!(text.contains("no program of this name in PATH"), "{text}");
    let (code, text) = start(place.path().join("absent"), None);
    assert_eq!(code, 127);
    assert!(text.contains("there is no such file"), "{text}");
    let (code, text) = start(write("plain", "", 0o644), None);
    assert_eq!(code, 126);
    assert!(text.contains("not executable"), "{text}");
    let (code, text) = start(write("script", "#!/no/such/shell\n", 0o755), None);
    assert_eq!(code, 127);
    assert!(text.contains("first line"), "{text}");
    let (code, text) = start("sh".into(), Some(place.path().join("nowhere")));
    assert_eq!(code, 126);
    assert!(text.contains("nowhere does not exist"), "{text}");
}
