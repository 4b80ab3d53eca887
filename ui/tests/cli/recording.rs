//! What the flags about recordings and the log take, and in which words they refuse the rest.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::{Headless, Home};

#[test]
fn a_path_behind_a_space_is_answered_with_the_way_to_write_it() {
    let home = Home::new();
    for words in [
        &["--record", "foo.jsonl"][..],
        &["--headless", "--record", "foo.jsonl", "--", "cat"],
        &["demo", "--record", "foo.jsonl"],
        #[cfg(unix)]
        &["wrap", "--record", "foo.jsonl", "--", "cat"],
    ] {
        let ran = home.run(words);
        ran.refused(2, &["`--record=foo.jsonl`"]);
        assert!(!ran.stderr.contains("-- foo.jsonl"), "{ran:?}");
    }
}

#[test]
fn a_mistyped_command_is_answered_with_the_one_that_was_meant() {
    let home = Home::new();
    for (word, meant) in [("verfy", "verify"), ("exprot", "export"), ("shwo", "show")] {
        let ran = home.run(&[word, "x.jsonl"]);
        ran.refused(2, &[&format!("'{meant}'")]);
        assert!(!ran.stderr.contains("put --"), "{ran:?}");
        assert!(!ran.stderr.contains(&format!("-- {word}")), "{ran:?}");
    }
}

#[test]
fn a_recording_to_standard_output_is_refused_and_no_file_is_called_so() {
    let home = Home::new();
    for words in [
        &["--headless", "--record=-"][..],
        #[cfg(unix)]
        &["wrap", "--record=-", "--", "cat"],
    ] {
        home.run(words)
            .refused(2, &["--record", "standard output", "./-"]);
    }
    assert!(!home.path().join("-").exists());
}

#[test]
fn rotation_is_refused_where_nothing_is_recorded_and_nobody_can_begin_to() {
    let home = Home::new();
    for (flag, words) in [
        ("--rotate-size", &["--headless", "--rotate-size", "1MiB"][..]),
        ("--rotate-age", &["demo", "--headless", "--rotate-age", "1h"]),
        #[cfg(unix)]
        ("--rotate-age", &["wrap", "--rotate-age", "1h", "--", "cat"]),
    ] {
        home.run(words)
            .refused(2, &[flag, "nothing is recorded", "--record"]);
    }
}

#[test]
fn a_size_that_is_too_small_is_told_with_its_unit() {
    let ran = Home::new().run(&["--headless", "--max-disk", "64KiB"]);
    ran.refused(2, &["max_disk must be at least 1 MiB"]);
}

#[cfg(unix)]
#[test]
fn the_log_tells_of_each_exchange_if_asked_and_has_no_secret() {
    let home = Home::new();
    let log = home.path().join("proxy.log").display().to_string();
    let upstream = ["--upstream", "http://127.0.0.1:9/mcp"];
    let options = [&upstream[..], &["--log-file", &log, "--log-level", "trace"]].concat();
    let proxy = Headless::start(&home, &options);
    let mut client = TcpStream::connect(&proxy.address).unwrap();
    write!(
        client,
        "POST /mcp?token=s3cret HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer s3cret\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}",
        proxy.address
    )
    .unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
    proxy.terminate();
    let text = std::fs::read_to_string(&log).unwrap();
    let line = |words: &str| {
        let found = text.lines().find(|line| line.contains(words));
        found.unwrap_or_else(|| panic!("`{words}` is not in {text}"))
    };
    let began = line("an exchange began");
    assert!(began.contains("POST") && began.contains("/mcp"), "{began}");
    line("its head was sent to the server");
    assert!(line("an exchange ended").contains("status=502"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}
