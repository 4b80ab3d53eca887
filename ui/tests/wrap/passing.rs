//! What passes is what was sent.

use std::process::Output;
use std::thread;

use super::*;

/// Runs a command with `input` and reads all that it says.
fn run(command: &mut Command, input: Vec<u8>) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writing = thread::Builder::new().spawn(move || {
        // A command that ends early reads no more.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writing.unwrap().join().unwrap();
    output
}

#[test]
fn every_byte_passes_whatever_it_is() {
    let home = Home::new();
    let mut odd =
        b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\"}\r\n\n\n  \nnot json\nhalf \xf0\x9f bad \xff\xfe\0\n".to_vec();
    odd.extend(b"{\"u\":\"\xe2\x80\xa8 \xc2\x85\"}\n\r\r\n{\"unterminated\":");
    let output = run(&mut wrap(&home, &[], &["tee", "/dev/stderr"]), odd.clone());
    assert_eq!(output.stdout, odd);
    assert_eq!(output.stderr, odd);
    assert!(output.status.success());
}

#[test]
fn a_line_of_64_mib_passes_whole() {
    let home = Home::new();
    let mut line: Vec<u8> = (0..64_u32 << 20)
        .map(|at| b'a' + u8::try_from(at % 23).unwrap())
        .collect();
    line.push(b'\n');
    let output = run(&mut wrap(&home, &[], &["cat"]), line.clone());
    assert!(
        output.stdout == line,
        "{} of {} bytes",
        output.stdout.len(),
        line.len()
    );
}

#[test]
fn much_error_output_before_the_first_word_stops_nothing() {
    let home = Home::new();
    let script = "head -c 1048576 /dev/zero | tr '\\0' 'e' >&2; cat";
    let output = run(&mut wrap(&home, &[], &["sh", "-c", script]), b"{}\n".to_vec());
    assert_eq!(output.stdout, b"{}\n");
    assert!(output.stderr.len() == 1 << 20 && output.stderr.iter().all(|byte| *byte == b'e'));
}

#[test]
fn five_hundred_requests_at_once_get_their_large_answers() {
    let home = Home::new();
    let _proxy = proxies::Shown::start(&home);
    let server = r#"BEGIN { while (length(pad) < 262144) pad = pad "0123456789abcdef" }
        { match($0, /"id":[0-9]+/); print "{" substr($0, RSTART, RLENGTH) ",\"result\":\"" pad "\"}"; fflush() }"#;
    let requests = (0..500).fold(String::new(), |all, id| {
        all + &format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/list\"}}\n")
    });
    let output = run(&mut wrap(&home, &[], &["awk", server]), requests.into_bytes());
    let answers = String::from_utf8(output.stdout).unwrap();
    let pad = "0123456789abcdef".repeat(262_144 / 16);
    for (id, answer) in answers.lines().enumerate() {
        assert!(
            answer == format!("{{\"id\":{id},\"result\":\"{pad}\"}}"),
            "answer {id} is another"
        );
    }
    assert_eq!(answers.lines().count(), 500);
}

#[test]
fn arguments_environment_and_directory_are_the_clients() {
    let home = Home::new();
    let script = "env | sort; pwd; for word; do printf '<%s>' \"$word\"; done";
    let words = ["sh", "-c", script, "sh", "a b", "", "--connect", "-- ", "ü\n'\""];
    let with_extra = |command: &mut Command| {
        let output = command
            .env("EXTRA", "1 \u{e9}")
            .env_remove("LANG")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let wrapped = with_extra(&mut wrap(&home, &[], &words));
    // The same variables, set for the command itself.
    let direct = home.command(&words[1..]);
    let environment: Vec<_> = direct
        .get_envs()
        .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
        .collect();
    let mut plain = Command::new("sh");
    plain.args(&words[1..]).current_dir(home.path());
    for (name, value) in environment {
        match value {
            Some(value) => plain.env(name, value),
            None => plain.env_remove(name),
        };
    }
    assert_eq!(wrapped, with_extra(&mut plain));
    assert!(wrapped.contains("<a b><><--connect><-- >"), "{wrapped}");
}

#[test]
fn a_command_that_stops_reading_is_noticed_as_without_us() {
    let home = Home::new();
    let mut wrapped = Wrapped::start(&home, &[], &["sh", "-c", "exec 0<&-; echo deaf; exec sleep 600"]);
    assert_eq!(wrapped.line(), "deaf");
    let mut input = wrapped.input.take().unwrap();
    until("a broken pipe", || input.write_all(b"{}\n").is_err());
    wrapped.signal(Signal::TERM);
    wrapped.rest();
}

#[test]
fn the_end_of_its_output_passes_before_the_command_ends() {
    let home = Home::new();
    let script = "exec 1>&-; read line; exit 4";
    let mut wrapped = Wrapped::start(&home, &[], &["sh", "-c", script]);
    let mut rest = Vec::new();
    wrapped.output.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    wrapped.say("now\n");
    assert_eq!(wrapped.child.wait().unwrap().code(), Some(4));
}
