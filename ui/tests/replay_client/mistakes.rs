//! What is written or sent by mistake is told before it does harm.

use std::fs::File;

use super::{Headless, Home, RECORDING, Ran, is_same, recorded};

fn repository(name: &str) -> String {
    format!("{}/../recordings/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn sent(home: &Home, more: &[&str]) -> Ran {
    let words = [&["replay", RECORDING, "--yes"], more, &["--", "sh", "server.sh"]];
    home.run(&words.concat())
}

#[test]
fn a_report_does_not_go_over_a_recording_whatever_that_is_called() {
    let home = recorded();
    let path = home.path().join(RECORDING);
    let before = std::fs::read(&path).unwrap();
    std::fs::hard_link(&path, home.path().join("link.xml")).unwrap();
    std::os::unix::fs::symlink(&path, home.path().join("symlink.xml")).unwrap();
    std::fs::copy(&path, home.path().join("other.jsonl")).unwrap();
    for name in [RECORDING, "link.xml", "symlink.xml", "other.jsonl"] {
        let ran = sent(&home, &["--junit", name]);
        ran.refused(2, &[name, "is a recording", "nothing was sent"]);
        assert_eq!(std::fs::read(home.path().join(name)).unwrap(), before, "{name}");
    }
    home.file("j.xml", "<testsuites/>");
    is_same(&sent(&home, &["--junit", "j.xml"]));
    let report = std::fs::read_to_string(home.path().join("j.xml")).unwrap();
    assert!(report.contains("tests=\"4\""), "{report}");
}

#[test]
fn a_recording_comes_through_standard_input_too_but_not_where_the_client_speaks() {
    let home = recorded();
    let input = || File::open(home.path().join(RECORDING)).unwrap();
    let mut command = home.command(&["replay", "-", "--yes", "--", "sh", "server.sh"]);
    is_same(&Ran::of(&command.stdin(input()).output().unwrap()));

    let mut command = home.command(&["replay", "-", "--listen", "127.0.0.1:0", "--headless"]);
    let served = Headless::of(command.stdin(input()));
    let url = format!("http://{}/mcp", served.address);
    is_same(&home.run(&["replay", RECORDING, "--yes", "--upstream", &url]));
    served.terminate();

    let mut command = home.command(&["replay", "-", "--stdio"]);
    let ran = Ran::of(&command.stdin(input()).output().unwrap());
    ran.refused(2, &["standard input has what the client says"]);
}

/// A server of 2025 that keeps what it hears, and answers what it does not know with an error.
const OLDER: &str = r#"
while read -r line; do
  echo "$line" >>heard
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  echo '{"jsonrpc":"2.0","id":'$id',"error":{"code":-32601,"message":"Method not found"}}'
done
"#;

#[test]
fn a_recording_of_2026_gets_one_sentence_from_an_older_server_and_calls_nothing_there() {
    let home = Home::new();
    home.file("older.sh", OLDER);
    let file = repository("modern-http.jsonl");
    let replay = ["replay", &file, "--yes", "--without-secrets"];
    let ran = home.run(&[&replay[..], &["--", "sh", "older.sh"]].concat());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for words in [
        "answered server/discover with the error -32601: Method not found. The recording is of 2026-07-28",
        "older revision only",
    ] {
        assert!(ran.stderr.contains(words), "{ran:?}");
    }
    assert!(!ran.stdout.contains("same "), "{ran:?}");
    assert!(ran.stdout.contains("not sent: there was no handshake"), "{ran:?}");
    let heard = std::fs::read_to_string(home.path().join("heard")).unwrap();
    assert!(!heard.contains("tools/call"), "{heard}");

    let older = Headless::of(
        home.command(&[
            "replay",
            &repository("legacy-http.jsonl"),
            "--listen",
            "127.0.0.1:0",
        ])
        .args(["--headless", "--format", "json"]),
    );
    for place in ["mcp", "sse"] {
        let url = format!("http://{}/{place}", older.address);
        let ran = home.run(&[&replay[..], &["--upstream", &url]].concat());
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("older revision only"), "{place}: {ran:?}");
    }
    let asked = older.terminate().stdout;
    assert!(!asked.contains("tools/call"), "{asked}");
}

#[test]
fn of_a_command_that_fails_both_its_last_words_and_what_it_printed_are_told() {
    let home = recorded();
    let script = "echo no data >&2; echo Welcome; exit 3";
    let ran = home.run(&["replay", RECORDING, "--yes", "--", "sh", "-c", script]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for words in [
        "exit code 3",
        "its last words were `no data`",
        "it wrote `Welcome`",
    ] {
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    }
}

#[test]
fn a_tag_that_is_written_wrong_is_told_with_those_that_there_are() {
    let home = recorded();
    let supply = ["--secret-env", "0abc=HOME"];
    sent(&home, &supply).refused(2, &["no secret with the tag 0abc", "none in its messages"]);
    let path = home.path().join(RECORDING);
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("\\\"me\\\"", "\\\"‹secret:5be1c0ffee01›\\\"");
    std::fs::write(&path, text).unwrap();
    sent(&home, &supply).refused(2, &["tag 0abc; those in its messages are 5be1c0ffee01"]);
    is_same(&sent(&home, &["--secret-env", "5be1c0ffee01=HOME"]));
}

#[test]
fn a_command_without_dashes_before_it_gets_a_tip_and_a_directory_is_called_one() {
    let home = recorded();
    let ran = home.run(&["replay", RECORDING, "node", "s.js"]);
    ran.refused(2, &["put -- before the command: `-- node …`"]);
    let folder = home.path().display().to_string();
    let ran = home.run(&["replay", RECORDING, "--yes", "--", &folder]);
    ran.refused(3, &[&folder, "it is a directory"]);
}

#[test]
fn a_place_to_leave_out_that_nothing_was_at_is_told() {
    let home = recorded();
    let paths = ["--ignore", "$.result.contents", "--ignore", "$..text"];
    let note = "note: nothing was at --ignore $.result.contents\n";
    let ran = sent(&home, &paths);
    is_same(&ran);
    assert!(
        ran.stderr.contains(note) && !ran.stderr.contains("$..text"),
        "{ran:?}"
    );
    let ran = home.run(&[&["diff", RECORDING, RECORDING], &paths[..]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), note), "{ran:?}");
}

#[test]
fn what_is_not_on_a_page_of_tools_is_unknown_and_breaks_nobody() {
    let home = Home::new();
    home.file("old.json", r#"{"tools":[{"name":"a"},{"name":"b"}]}"#);
    home.file("page.json", r#"{"tools":[{"name":"a"}],"nextCursor":"x"}"#);
    let ran = home.run(&["diff", "old.json", "page.json"]);
    let told = "  tool b unknown: it is not on the page in the second\nthe tools on the page are the same, 1 unknown\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), told), "{ran:?}");
}

#[test]
fn what_the_server_asks_is_compared_between_two_recordings_too() {
    let home = Home::new();
    let before = repository("legacy-http.jsonl");
    let text = std::fs::read_to_string(&before).unwrap();
    let asked = text.replace("You are a helpful test server.", "You are another one.");
    assert_ne!(asked, text);
    let after = home.file("after.jsonl", &asked);
    let same = home.run(&["diff", &before, &before]);
    assert_eq!(same.code, Some(0), "{same:?}");
    assert!(
        same.stdout.contains("server asks sampling/createMessage"),
        "{same:?}"
    );
    let ran = home.run(&["diff", &before, &after]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let row = "server asks sampling/createMessage\n           $.params.systemPrompt: \"You are a helpful test server.\" → \"You are another one.\"";
    assert!(ran.stdout.contains(row), "{ran:?}");
}
