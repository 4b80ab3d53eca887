//! Recordings in several files, and files that cannot be read or written, with the real program.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;

use binary::Home;

fn header(second: u32, more: &str) -> String {
    format!(
        "{{\"type\":\"header\",\"format\":\"shadowcat-recording\",\"version\":1,\"created\":\"2026-11-23T04:23:{second:02}Z\",\"proxy\":\"x\",\"redacted\":true{more}}}\n"
    )
}

const SESSION: &str =
    "\"session\":\"R1\",\"server\":\"everything\",\"basis\":\"session_header\",\"client\":\"127.0.0.1\"";

fn session() -> String {
    format!("{{\"type\":\"session\",\"seq\":1,\"us\":-5,{SESSION}}}\n")
}

/// A call and its answer, from this number on.
fn call(seq: u64, exchange: u64) -> String {
    let of = format!("\"session\":\"R1\",\"exchange\":{exchange}");
    let frame = format!("{of},\"transport\":\"http\",\"frame\":0,\"part\":0,\"last\":true,\"messages\":1");
    let lines = [
        format!(
            "\"type\":\"request\",{of},\"connection\":3,\"client\":\"127.0.0.1:50412\",\"side\":\"reverse\",\"server\":\"everything\",\"kind\":\"message\",\"method\":\"POST\",\"target\":\"/mcp\",\"head\":{{\"line\":\"POST /mcp HTTP/1.1\",\"fields\":[[\"content-type\",\"application/json\"]],\"exact\":true}}"
        ),
        format!(
            "\"type\":\"frame\",{frame},\"direction\":\"client_to_server\",\"text\":\"{{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":{exchange},\\\"method\\\":\\\"tools/call\\\",\\\"params\\\":{{\\\"name\\\":\\\"tool{exchange}\\\"}}}}\""
        ),
        format!(
            "\"type\":\"response\",{of},\"status\":200,\"head\":{{\"line\":\"HTTP/1.1 200 OK\",\"fields\":[[\"content-type\",\"application/json\"]],\"exact\":true}},\"media_type\":\"application/json\""
        ),
        format!(
            "\"type\":\"frame\",{frame},\"direction\":\"server_to_client\",\"text\":\"{{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":{exchange},\\\"result\\\":{{\\\"content\\\":[]}}}}\""
        ),
        format!(
            "\"type\":\"exchange_end\",{of},\"request_end\":\"complete\",\"response_end\":\"complete\",\"request_bytes\":71,\"response_bytes\":50"
        ),
    ];
    let numbered = lines
        .iter()
        .zip(seq..)
        .map(|(line, seq)| format!("{{{line},\"seq\":{seq},\"us\":{}}}\n", seq * 100));
    numbered.collect()
}

fn file(header: &str, exchange: u64, continued_by: Option<&str>) -> String {
    let mut text = header.to_owned();
    text.push_str(&session());
    text.push_str(&call(2, exchange));
    let (lines, bytes) = (text.lines().count() + 1, text.len());
    let continued = continued_by.map_or_else(String::new, |name| format!(",\"continued_by\":\"{name}\""));
    let end = format!(
        "{{\"type\":\"end\",\"seq\":7,\"us\":900,\"lines\":{lines},\"bytes\":{bytes},\"lost\":0{continued}}}\n"
    );
    text + &end
}

/// `a.jsonl`, `a.2.jsonl`, `a.3.jsonl` with a call each.
fn several(home: &Home) {
    home.file("a.jsonl", &file(&header(1, ""), 1, Some("a.2.jsonl")));
    let second = header(2, ",\"segment\":2,\"continues\":\"a.jsonl\"");
    home.file("a.2.jsonl", &file(&second, 2, Some("a.3.jsonl")));
    let third = header(3, ",\"segment\":3,\"continues\":\"a.2.jsonl\"");
    home.file("a.3.jsonl", &file(&third, 3, None));
}

fn exists(home: &Home, name: &str) -> bool {
    home.path().join(name).exists()
}

#[test]
fn every_command_reads_all_files_of_a_recording_or_one_if_asked() {
    let home = Home::new();
    several(&home);
    for name in ["a.jsonl", "a.2.jsonl", "a.3.jsonl"] {
        let shown = home.run(&["show", name]);
        assert_eq!(shown.code, Some(0), "{shown:?}");
        assert_eq!(shown.stdout.lines().count(), 6, "{}", shown.stdout);
        assert!(!shown.stderr.contains("warning"), "{}", shown.stderr);
        let one = home.run(&["show", "--one-file", name]);
        assert_eq!(one.stdout.lines().count(), 2, "{}", one.stdout);
        let exported = home.run(&["export", name, "--to", "jsonl"]);
        assert_eq!(exported.stdout.lines().count(), 6, "{}", exported.stdout);
        let checked = home.run(&["verify", name]);
        assert_eq!(
            (checked.code, checked.stdout.matches("whole").count()),
            (Some(0), 3),
            "{checked:?}"
        );
        let checked = home.run(&["verify", "--one-file", name]);
        assert_eq!(
            (checked.code, checked.stdout.lines().count()),
            (Some(0), 1),
            "{checked:?}"
        );
    }
    let both = home.run(&["verify", "a.jsonl", "a.2.jsonl", "a.3.jsonl"]);
    assert_eq!(both.stdout.lines().count(), 3, "{}", both.stdout);
    let bodies = home.run(&["show", "--bodies", "a.2.jsonl"]).stdout;
    assert!(
        (1..4).all(|tool| bodies.contains(&format!("tool{tool}"))),
        "{bodies}"
    );
    assert_eq!(home.run(&["scrub", "a.2.jsonl"]).code, Some(0));
    let copy = home.run(&["verify", "a.scrubbed.jsonl"]);
    assert_eq!(copy.code, Some(0), "{copy:?}");
    let same = home.run(&["diff", "a.3.jsonl", "a.scrubbed.jsonl"]);
    assert_eq!(same.code, Some(0), "{same:?}");
    let differs = home.run(&["diff", "--one-file", "a.3.jsonl", "a.scrubbed.jsonl"]);
    assert_eq!(differs.code, Some(1), "{differs:?}");
}

#[test]
fn a_missing_file_of_a_recording_is_told_and_the_others_are_read() {
    let home = Home::new();
    several(&home);
    std::fs::remove_file(home.path().join("a.2.jsonl")).unwrap();
    let checked = home.run(&["verify", "--format", "json", "a.jsonl"]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(
        checked.stdout.contains("\"kind\":\"missing_file\""),
        "{}",
        checked.stdout
    );
    assert!(
        checked.stdout.contains("a.2.jsonl is missing"),
        "{}",
        checked.stdout
    );
    let shown = home.run(&["show", "a.jsonl"]);
    assert_eq!(shown.stdout.lines().count(), 4, "{}", shown.stdout);
    assert!(shown.stderr.contains("a.2.jsonl is missing"), "{}", shown.stderr);
}

#[test]
fn a_file_that_is_no_recording_is_refused_alike_by_every_command() {
    let home = Home::new();
    home.file("no.jsonl", "{}\n");
    home.file(
        "new.jsonl",
        "{\"format\":\"shadowcat-recording\",\"version\":7}\n",
    );
    for (name, said) in [
        ("no.jsonl", "no.jsonl, line 1, is not the header of a recording"),
        (
            "new.jsonl",
            "new.jsonl, line 1, has version 7 of the recording format, newer than the 1 this build reads",
        ),
        ("none.jsonl", "could not read none.jsonl"),
    ] {
        let commands: [&[&str]; 6] = [
            &["show", name],
            &["verify", name],
            &["scrub", name],
            &["export", name, "--to", "har"],
            &["replay", name, "--stdio"],
            &["replay", name, "--upstream", "http://127.0.0.1:9/mcp"],
        ];
        for command in commands {
            home.run(command).refused(3, &[said]);
        }
        home.run(&["diff", name, name]).refused(3, &[name]);
    }
}

#[test]
fn what_is_written_is_compressed_by_its_name_and_its_folder_is_made() {
    let home = Home::new();
    several(&home);
    let har = "new/deep/a.har";
    assert_eq!(
        home.run(&["export", "a.jsonl", "--to", "har", "-o", har]).code,
        Some(0)
    );
    let packed = home.run(&["export", "a.jsonl", "--to", "har", "-o", "other/a.har.zst"]);
    assert_eq!(packed.code, Some(0), "{packed:?}");
    let archive = std::fs::read(home.path().join("other/a.har.zst")).unwrap();
    assert_eq!(archive.get(..4), Some(&[0x28, 0xb5, 0x2f, 0xfd][..]));
    let imported = home.run(&["import", har, "-o", "third/b.jsonl.zst"]);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    let recording = std::fs::read(home.path().join("third/b.jsonl.zst")).unwrap();
    assert_eq!(recording.get(..4), Some(&[0x28, 0xb5, 0x2f, 0xfd][..]));
    let checked = home.run(&["verify", "third/b.jsonl.zst"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert_eq!(
        home.run(&["scrub", "a.jsonl", "-o", "fourth/a.jsonl.zst"]).code,
        Some(0)
    );
    assert_eq!(home.run(&["verify", "fourth/a.jsonl.zst"]).code, Some(0));
}

/// A file that may not grow is what a full disk is, to the program.
#[cfg(unix)]
#[test]
fn nothing_is_left_of_a_file_that_could_not_be_written_to_its_end() {
    let home = Home::new();
    let mut text = header(1, "");
    text.push_str(&session());
    for number in 0..2000 {
        text.push_str(&call(2 + number * 5, 1 + number));
    }
    home.file("large.jsonl", &text);
    assert_eq!(
        home.run(&["export", "large.jsonl", "--to", "har", "-o", "large.har"])
            .code,
        Some(0)
    );
    let commands: [(&[&str], &str); 3] = [
        (
            &["export", "large.jsonl", "--to", "har", "-o", "cut.har"],
            "cut.har",
        ),
        (&["import", "large.har", "-o", "cut.jsonl"], "cut.jsonl"),
        (
            &["scrub", "large.jsonl", "-o", "scrubbed.jsonl"],
            "scrubbed.jsonl",
        ),
    ];
    for (command, name) in commands {
        let ran = home.bounded("-f 16", command).output().unwrap();
        assert_eq!(ran.status.code(), Some(3), "{ran:?}");
        assert!(!exists(&home, name), "{command:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_recording_may_come_from_a_pipe() {
    let home = Home::new();
    several(&home);
    for command in ["show", "export --to jsonl", "verify"] {
        let script = format!("cat a.jsonl | \"$0\" {command} /dev/stdin");
        let ran = std::process::Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_shadowcat-tui")])
            .current_dir(home.path())
            .env("HOME", home.path())
            .env("XDG_STATE_HOME", home.path().join("state"))
            .output()
            .unwrap();
        assert!(
            ran.status.success() && !ran.stdout.is_empty(),
            "{command}: {ran:?}"
        );
    }
}
