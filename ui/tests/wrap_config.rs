//! `wrap-config` on real files: what it writes, what it keeps, how it is taken back.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use binary::{Home, Ran};

const FILE: &str = r#"{
  // kept by hand
  "theme": "dark",
  "mcpServers": {
    "echo": { "command": "cat", "args": [], "env": {"TOKEN": "s3cret"} },
    "docs": { "type": "http", "url": "https://docs.example.com/mcp" }
  }
}
"#;

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn names(home: &Home) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(home.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("mcp.json"))
        .collect();
    names.sort();
    names
}

#[track_caller]
fn done(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for word in words {
        assert!(ran.stdout.contains(word), "`{word}` is not in {}", ran.stdout);
    }
}

#[test]
fn a_file_is_wrapped_and_undone_byte_for_byte() {
    let home = Home::new();
    let file = home.file("mcp.json", FILE);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let ran = home.run(&["wrap-config", &file]);
    done(
        &ran,
        &[
            "is changed",
            "echo: ",
            "docs: ",
            "OAuth",
            "mcp.json.before-wrap",
            "--undo",
        ],
    );
    assert!(!ran.stdout.contains("s3cret"), "{}", ran.stdout);
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("{\n  // kept by hand\n  \"theme\": \"dark\",\n"),
        "{text}"
    );
    assert!(text.contains(env!("CARGO_BIN_EXE_shadowcat-tui")), "{text}");
    assert_eq!(mode(&file), 0o640);
    let backup = home.path().join("mcp.json.before-wrap");
    assert_eq!(
        (fs::read_to_string(&backup).unwrap().as_str(), mode(&backup)),
        (FILE, 0o600)
    );

    let again = home.run(&["wrap-config", &file]);
    done(&again, &["stays as it is", "wrapped already"]);
    assert_eq!(names(&home), ["mcp.json", "mcp.json.before-wrap"]);

    done(
        &home.run(&["wrap-config", "--undo", &file]),
        &["as it was before"],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), FILE);
    assert_eq!((names(&home), mode(&file)), (vec!["mcp.json".to_owned()], 0o640));
    home.run(&["wrap-config", "--undo", &file])
        .refused(2, &["no backup"]);
}

#[test]
fn what_is_wrapped_still_does_what_it_did() {
    let home = Home::new();
    let file = home.file(
        "mcp.json",
        r#"{"mcpServers": {"echo": {"command": "cat", "args": ["-"]}}}"#,
    );
    done(&home.run(&["wrap-config", &file]), &["echo"]);
    let root: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let entry = &root["mcpServers"]["echo"];
    let arguments = entry["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap());
    let mut child = Command::new(entry["command"].as_str().unwrap())
        .args(arguments)
        .env("HOME", home.path())
        .env("SHADOWCAT_DOOR_DIR", home.path().join("door"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
    child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(0), line.as_bytes())
    );
}

#[test]
fn a_link_is_followed_and_stays_a_link() {
    let home = Home::new();
    let real = home.file("dotfiles/mcp.json", FILE);
    let link = home.path().join("link.json");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let link_text = link.display().to_string();
    done(
        &home.run(&["wrap-config", &link_text]),
        &["dotfiles/mcp.json.before-wrap"],
    );
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_ne!(fs::read_to_string(&real).unwrap(), FILE);
    done(&home.run(&["wrap-config", &link_text, "--undo"]), &[]);
    assert_eq!(fs::read_to_string(&real).unwrap(), FILE);
}

#[test]
fn only_the_named_server_is_wrapped_and_a_name_that_is_not_there_is_an_error() {
    let home = Home::new();
    let file = home.file("mcp.json", FILE);
    home.run(&["wrap-config", &file, "--server", "ecko"])
        .refused(2, &["ecko", "echo, docs"]);
    done(&home.run(&["wrap-config", &file, "--server", "echo"]), &["echo"]);
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("\"url\": \"https://docs.example.com/mcp\""),
        "{text}"
    );
    // The second server later: two backups, undone one after the other.
    done(&home.run(&["wrap-config", &file]), &["before-wrap.2"]);
    done(&home.run(&["wrap-config", &file, "--undo"]), &[]);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    done(&home.run(&["wrap-config", &file, "--undo"]), &[]);
    assert_eq!(fs::read_to_string(&file).unwrap(), FILE);
}

#[test]
fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let home = Home::new();
    let file = home.file("mcp.json", FILE);
    done(
        &home.run(&["wrap-config", &file, "--dry-run"]),
        &[
            "would be changed",
            "wrap … -- cat",
            "--upstream https://docs.example.com/mcp",
        ],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), FILE);
    assert_eq!(names(&home), ["mcp.json"]);
}

#[test]
fn what_was_changed_since_stays_when_the_servers_are_taken_back() {
    let home = Home::new();
    let file = home.file("mcp.json", FILE);
    done(&home.run(&["wrap-config", &file]), &[]);
    let now = fs::read_to_string(&file)
        .unwrap()
        .replace("\"dark\"", "\"light\"");
    fs::write(&file, &now).unwrap();
    done(
        &home.run(&["wrap-config", &file, "--undo"]),
        &["changed since", "echo: as it was", "docs: as it was"],
    );
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        FILE.replace("\"dark\"", "\"light\"")
    );
    assert_eq!(names(&home), ["mcp.json"]);
}

#[test]
fn a_server_that_was_changed_since_is_left_and_named_and_the_old_file_comes_back_by_force() {
    let home = Home::new();
    let file = home.file("mcp.json", FILE);
    done(&home.run(&["wrap-config", &file]), &[]);
    let wrapped = fs::read_to_string(&file).unwrap();
    fs::write(&file, wrapped.replace("s3cret", "n3w")).unwrap();
    let ran = home.run(&["wrap-config", &file, "--undo"]);
    done(
        &ran,
        &[
            "docs: as it was before",
            "echo: left as it is, it has another \"env\"",
            "before-wrap",
            "--force",
        ],
    );
    assert!(
        !ran.stdout.contains("n3w") && !ran.stdout.contains("s3cret"),
        "{ran:?}"
    );
    let left = fs::read_to_string(&file).unwrap();
    assert!(
        left.contains("\"--name\", \"echo\"") && left.contains("n3w"),
        "{left}"
    );
    assert!(!left.contains("\"--name\", \"docs\""), "{left}");

    home.run(&["wrap-config", &file, "--undo"])
        .refused(2, &["`echo` has another \"env\"", "--force"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), left);
    done(
        &home.run(&["wrap-config", &file, "--undo", "--force"]),
        &["mcp.json.before-undo"],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), FILE);
    let aside = home.path().join("mcp.json.before-undo");
    assert_eq!((fs::read_to_string(&aside).unwrap(), mode(&aside)), (left, 0o600));
}

#[test]
fn a_read_only_file_is_refused_whoever_asks_and_nothing_is_left_beside_it() {
    let home = Home::new();
    let file = home.file("mcp.json", FILE);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    home.run(&["wrap-config", &file])
        .refused(3, &["mcp.json", "read-only", "chmod u+w"]);
    assert_eq!(
        (fs::read_to_string(&file).unwrap(), mode(&file)),
        (FILE.to_owned(), 0o444)
    );
    assert_eq!(names(&home), ["mcp.json"]);
}

#[test]
fn the_program_is_written_as_it_was_called_so_that_a_link_survives_an_upgrade() {
    let home = Home::new();
    let file = home.file("mcp.json", FILE);
    let link = home.path().join("bin/shadowcat-tui");
    fs::create_dir(home.path().join("bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_shadowcat-tui"), &link).unwrap();
    let ran = home.run_as(&link, &["wrap-config", &file]);
    done(&ran, &["is changed"]);
    let root = fs::read_to_string(&file).unwrap();
    assert!(root.contains(&format!("\"{}\"", link.display())), "{root}");
    done(
        &home.run(&["wrap-config", &file, "--undo"]),
        &["as it was before"],
    );
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_the_place_or_the_cause() {
    let home = Home::new();
    let file = home.file("mcp.json", "{\n \"mcpServers\": [],\n}");
    home.run(&["wrap-config", &file])
        .refused(2, &["mcp.json:2:16: ", "not a list"]);
    let file = home.file("broken.json", "{\"mcpServers\": {\"a\" {}}}");
    home.run(&["wrap-config", &file])
        .refused(2, &["broken.json:1:21: ", "`:`"]);
    let file = home.file(
        "twice.json",
        "{\"mcpServers\": {\"a\": {\"command\": \"x\"},\n\"a\": {}}}",
    );
    home.run(&["wrap-config", &file])
        .refused(2, &["twice.json:2:1: ", "\"a\" is there twice"]);
    home.run(&["wrap-config", "none.json"])
        .refused(3, &["none.json", "because: "]);
    let folder = home.path().display().to_string();
    home.run(&["wrap-config", &folder]).refused(3, &[&folder]);
    assert_eq!(home.run(&["wrap-config"]).code, Some(2));
    assert_eq!(home.run(&["wrap-config", "x", "--force"]).code, Some(2));
}

#[test]
fn what_is_printed_leads_clients_to_the_servers_of_the_proxy() {
    let home = Home::new();
    let file = home.file("mcp.json", FILE);
    let arguments = [
        "--config",
        &file,
        "--upstream",
        "http://127.0.0.1:9/x/mcp",
        "--listen",
        ":9000",
    ];
    let printed = |print: &str| {
        let ran = Ran::of(
            &home
                .command(&["wrap-config", print])
                .args(arguments)
                .output()
                .unwrap(),
        );
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(!ran.stdout.contains("s3cret"));
        ran.stdout
    };
    let root: serde_json::Value = serde_json::from_str(&printed("--print")).unwrap();
    let servers = &root["mcpServers"];
    assert_eq!(servers["echo"]["url"], "http://127.0.0.1:9000/echo");
    assert_eq!(servers["docs"]["url"], "http://127.0.0.1:9000/docs");
    assert_eq!(servers["127.0.0.1:9"]["url"], "http://127.0.0.1:9000/x/mcp");
    let root: serde_json::Value = serde_json::from_str(&printed("--print=vs-code")).unwrap();
    assert_eq!(root["servers"]["echo"]["type"], "http");
    assert!(
        printed("--print=claude")
            .contains("claude mcp add --transport http echo http://127.0.0.1:9000/echo\n")
    );

    home.run(&["wrap-config", "--print"])
        .refused(2, &["--upstream NAME=URL"]);
    home.run(&[
        "wrap-config",
        "--print",
        "--upstream",
        "http://127.0.0.1:9/",
        "--listen",
        ":0",
    ])
    .refused(2, &["port 0"]);
    assert_eq!(home.run(&["wrap-config", "--print", &file]).code, Some(2));
}

#[test]
fn a_server_that_its_file_calls_sse_is_printed_as_one() {
    let home = Home::new();
    let file = home.file(
        "mcp.json",
        r#"{"mcpServers": {"old": {"type": "sse", "url": "http://127.0.0.1:9/sse"}, "new": {"url": "http://127.0.0.1:9/mcp"}}}"#,
    );
    let printed = |print: &str| {
        let ran = home.run(&["wrap-config", print, "--config", &file, "--listen", ":9000"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    };
    let root: serde_json::Value = serde_json::from_str(&printed("--print")).unwrap();
    assert_eq!(root["mcpServers"]["old"]["type"], "sse");
    assert_eq!(root["mcpServers"]["new"]["type"], "http");
    assert!(printed("--print=claude").contains("--transport sse old http://127.0.0.1:9000/old\n"));
}
