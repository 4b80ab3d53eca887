//! Recordings on the command line: whether they are whole, copies without secrets, and bytes as they were.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;

use binary::{Headless, Home, Ran};
use shadowcat::recording::RecordingReader;
use shadowcat::recording::format::Line;
use shadowcat::snapshot::{Carrier, Direction};

const WHOLE: &str = "legacy-http.jsonl";

/// The text of a recording that comes along.
fn recording(name: &str) -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recordings");
    std::fs::read_to_string(directory.join(name)).unwrap()
}

#[test]
fn whole_recordings_are_said_to_be_whole() {
    let home = Home::new();
    let (first, second) = (
        home.file("a.jsonl", &recording(WHOLE)),
        home.file("b.jsonl", &recording("errors.jsonl")),
    );
    let ran = home.run(&["verify", &first, &second]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    assert!(lines[0].starts_with(&format!("{first}: whole, ")), "{ran:?}");
}

#[test]
fn remarks_are_told_apart_from_damage() {
    let home = Home::new();
    let text = recording(WHOLE);
    let (first, rest) = text.split_once('\n').unwrap();
    let path = home.file("a.jsonl", &format!("{first}\n{{\"type\":\"later\"}}\n{rest}"));
    let ran = home.run(&["verify", &path]);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{ran:?}");
    assert!(
        lines[0].starts_with(&format!("{path}:2: remark: has the type `later`")),
        "{ran:?}"
    );
    assert!(lines[1..3].iter().all(|line| !line.contains("remark")), "{ran:?}");
    assert!(
        lines[3].starts_with(&format!("{path}: damaged in 2 places, 1 remark, ")),
        "{ran:?}"
    );
}

#[test]
fn messages_are_counted_alike_by_all_that_count_them() {
    let home = Home::new();
    for name in [
        "legacy-http.jsonl",
        "http-sse.jsonl",
        "websocket.jsonl",
        "errors.jsonl",
    ] {
        let path = home.file(name, &recording(name));
        let verified = home.run(&["verify", "--format", "json", &path]);
        let verified: serde_json::Value = serde_json::from_str(&verified.stdout).unwrap();
        let messages = verified["messages"].as_u64().unwrap();
        let shown = home.run(&["show", &path]);
        assert!(
            shown.stderr.contains(&format!("{name}: {messages} messages")),
            "{messages} {shown:?}"
        );
    }
}

#[test]
fn damage_is_named_with_file_and_line_and_ends_with_1() {
    let home = Home::new();
    let text = recording(WHOLE);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.remove(4);
    lines[9] = "nonsense \u{1b}[31m";
    let torn = format!("{}\n{{\"type\":\"fra", lines.join("\n"));
    let path = home.file("a.jsonl", &torn);
    let ran = home.run(&["verify", &path]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for place in [
        format!("{path}:5: lines are missing before it (1)"),
        format!("{path}:10: cannot be read"),
        format!(
            "{path}:{}: the last line is incomplete, 12 bytes",
            lines.len() + 1
        ),
    ] {
        assert!(ran.stdout.contains(&place), "{place} is not in {}", ran.stdout);
    }
    assert!(!ran.stdout.contains('\u{1b}'), "{ran:?}");
    let json = home.run(&["verify", "--format", "json", &path]);
    let page: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, &page["whole"]), (Some(1), &false.into()));
    assert_eq!(page["problems"][0]["kind"], "hole", "{page}");
    assert_eq!(page["problems"][0]["line"], 5, "{page}");
}

#[test]
fn what_cannot_be_opened_ends_with_3_and_the_others_are_checked() {
    let home = Home::new();
    let whole = home.file("a.jsonl", &recording(WHOLE));
    let newer = home.file(
        "newer.jsonl",
        r#"{"type":"header","format":"shadowcat-recording","version":7,"created":1}"#,
    );
    let letter = home.file("letter.txt", "Dear Sir,\n");
    let ran = home.run(&["verify", "missing.jsonl", &newer, &letter, &whole]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    for words in [
        "missing.jsonl",
        "newer.jsonl, line 1, has version 7",
        "letter.txt, line 1",
    ] {
        assert!(ran.stderr.contains(words), "{ran:?}");
    }
    assert!(ran.stdout.contains(": whole, "), "{ran:?}");
    let json = home.run(&["verify", "--format", "json", "missing.jsonl", &whole]);
    assert_eq!(json.code, Some(3), "{json:?}");
    let pages: Vec<serde_json::Value> = json
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&pages[0]["file"], &pages[0]["whole"]),
        (&"missing.jsonl".into(), &false.into())
    );
    assert!(
        pages[0]["error"]
            .as_str()
            .unwrap()
            .contains("could not read missing.jsonl"),
        "{json:?}"
    );
    assert_eq!(pages[1]["whole"], true, "{json:?}");
    home.run(&["verify"]).refused(2, &["FILE"]);
}

#[test]
fn damaged_compressed_data_is_named_with_its_line_and_a_cut_file_has_a_torn_tail() {
    let home = Home::new();
    home.file("a.jsonl", &recording(WHOLE));
    home.run(&["scrub", "a.jsonl", "-o", "a.jsonl.zst"]);
    let path = home.path().join("a.jsonl.zst");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let ran = home.run(&["verify", "a.jsonl.zst"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""), "{ran:?}");
    assert!(
        ran.stdout.contains("a.jsonl.zst: the compressed file is cut off"),
        "{ran:?}"
    );
    let mut broken = whole.clone();
    let middle = broken.len() / 2;
    broken[middle] ^= 0xff;
    std::fs::write(&path, broken).unwrap();
    let ran = home.run(&["verify", "a.jsonl.zst"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.stdout.contains(": the compressed data is damaged"), "{ran:?}");
}

#[test]
fn two_recordings_in_one_file_are_one_problem() {
    let home = Home::new();
    let one = recording(WHOLE);
    let line = one.lines().count() + 1;
    let path = home.file("both.jsonl", &one.repeat(2));
    let ran = home.run(&["verify", &path]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    assert!(
        lines[0].starts_with(&format!("{path}:{line}: another recording begins here")),
        "{ran:?}"
    );
    let shown = home.run(&["show", &path]);
    assert!(
        shown
            .stderr
            .contains(&format!("line {line}: another recording begins here")),
        "{shown:?}"
    );
}

#[test]
fn what_is_missing_is_told_by_all_that_read() {
    let home = Home::new();
    let text = recording(WHOLE);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.remove(4);
    let holed = home.file("holed.jsonl", &format!("{}\n{{\"type\":", lines.join("\n")));
    let whole = home.file("whole.jsonl", &text);
    let words = [
        "line 5: lines are missing before it (1)",
        "the last line is incomplete",
    ];
    for arguments in [
        &["show", &*holed][..],
        &["diff", &holed, &whole],
        &["diff", &holed, &whole, "--format", "json"],
        &["export", &holed, "--to", "har"],
        &["scrub", &holed],
    ] {
        let ran = home.run(arguments);
        for word in words {
            assert!(ran.stderr.contains(word), "{arguments:?}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_recording_can_come_through_a_pipe() {
    let home = Home::new();
    let mut command = home.command(&["verify", "-"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(recording(WHOLE).as_bytes()).unwrap();
    drop(stdin);
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("-: whole, "), "{ran:?}");
}

/// A recording that was made with `--record-secrets`.
fn open_recording() -> String {
    let lines = [
        r#"{"type":"header","format":"shadowcat-recording","version":1,"created":"2026-11-23T04:23:03.123456Z","proxy":"shadowcat-tui 0.1.0"}"#,
        r#"{"type":"request","seq":1,"us":0,"exchange":1,"connection":1,"client":"127.0.0.1:5","side":"reverse","server":"x","kind":"message","method":"POST","target":"/mcp?token=t-secret","head":{"line":"POST /mcp?token=t-secret HTTP/1.1","fields":[["authorization","Bearer b-secret"],["x-own","acme-4711"],["cookie","a=‹secret:0123456789ab›"]],"exact":true}}"#,
        r#"{"type":"frame","seq":2,"us":1,"exchange":1,"direction":"client_to_server","transport":"http","frame":0,"part":0,"last":false,"text":"{\"id\":1,\"refresh_token\":\"r-sec"}"#,
        r#"{"type":"frame","seq":3,"us":2,"exchange":1,"direction":"client_to_server","transport":"http","frame":0,"part":1,"last":false,"text":"ret\",\"note\":\"acme-4711 and acme-"}"#,
        r#"{"type":"frame","seq":4,"us":3,"exchange":1,"direction":"client_to_server","transport":"http","frame":0,"part":2,"last":true,"text":"4711\"}","messages":1,"size":66}"#,
        r#"{"type":"exchange_end","seq":5,"us":9,"exchange":1,"request_end":"complete","response_end":"complete","request_bytes":66,"response_bytes":0}"#,
    ];
    let text = lines.join("\n") + "\n";
    let end = format!(
        "{{\"type\":\"end\",\"seq\":6,\"us\":10,\"lines\":7,\"bytes\":{},\"lost\":0}}\n",
        text.len()
    );
    text + &end
}

#[test]
fn a_scrubbed_copy_is_whole_has_no_secret_and_belongs_to_its_owner_only() {
    let home = Home::new();
    let path = home.file("open.jsonl", &open_recording());
    home.run(&["verify", &path]);
    let ran = home.run(&["scrub", &path, "--redact", "acme-[0-9]+"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.stderr.contains("7 secrets replaced"), "{ran:?}");
    let copy = home.path().join("open.scrubbed.jsonl");
    let text = std::fs::read_to_string(&copy).unwrap();
    assert!(!text.contains("secret\"") && !text.contains("-secret"), "{text}");
    assert!(!text.contains("4711"), "{text}");
    assert!(
        text.contains("‹secret:0123456789ab›") && text.contains("\"redacted\":true"),
        "{text}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), open_recording());
    let verified = home.run(&["verify", &copy.display().to_string()]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&copy).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    home.run(&["scrub", &path])
        .refused(3, &["open.scrubbed.jsonl", "not overwritten"]);
}

/// What a server echoes of the secrets of a client: in a result, in an error, in the output of its command.
fn echoing_recording() -> String {
    let frame = |seq: u32, exchange: u32, direction: &str, text: &str| {
        serde_json::json!({"type": "frame", "seq": seq, "us": seq, "exchange": exchange, "direction": direction, "transport": "http",
            "frame": 0, "part": 0, "last": true, "text": text, "messages": 1})
    };
    let request = |seq: u32, exchange: u32, fields: serde_json::Value| {
        serde_json::json!({"type": "request", "seq": seq, "us": seq, "exchange": exchange, "connection": 1, "client": "c", "side": "reverse",
            "server": "x", "kind": "message", "method": "POST", "target": "/mcp", "head": {"line": "POST /mcp HTTP/1.1", "fields": fields}})
    };
    let lines = [
        serde_json::json!({"type": "header", "format": "shadowcat-recording", "version": 1, "created": "2026-11-23T04:23:03.123456Z", "proxy": "x"}),
        // Before the place that tells that it is a secret.
        frame(
            1,
            3,
            "server_to_client",
            r#"{"jsonrpc":"2.0","id":9,"error":{"code":-1,"message":"no such session 7f3e-session"}}"#,
        ),
        request(
            2,
            1,
            serde_json::json!([
                ["authorization", "Bearer tok/4711-abc"],
                ["mcp-session-id", "7f3e-session"]
            ]),
        ),
        frame(
            3,
            1,
            "client_to_server",
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"login","arguments":{"user":"me","password":"pass\"word-ö"}}}"#,
        ),
        frame(
            4,
            1,
            "server_to_client",
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"you sent tok\/4711-abc and {\"p\":\"pass\\\"word-ö\"}"}]}}"#,
        ),
        request(
            5,
            2,
            serde_json::json!([
                ["x-echo", "7f3e-session"],
                ["referer", "http://a/?q=tok%2F4711-abc"]
            ]),
        ),
    ];
    lines.map(|line| line.to_string() + "\n").concat()
}

#[test]
fn a_secret_is_replaced_by_the_same_tag_wherever_it_stands() {
    let home = Home::new();
    let path = home.file("open.jsonl", &echoing_recording());
    let ran = home.run(&["scrub", &path, "-o", "-"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for secret in ["4711-abc", "7f3e", "word-ö", "word-"] {
        assert!(!ran.stdout.contains(secret), "{secret} is in {}", ran.stdout);
    }
    let tag = |before: &str| {
        let (_, rest) = ran
            .stdout
            .split_once(before)
            .unwrap_or_else(|| panic!("{before}: {}", ran.stdout));
        rest.split_inclusive('\u{203a}').next().unwrap().to_owned()
    };
    let (token, session, password) = (
        tag("Bearer "),
        tag("\"mcp-session-id\",\""),
        tag("\\\"password\\\":\\\""),
    );
    for (secret, before) in [
        (&session, "no such session "),
        (&session, "\"x-echo\",\""),
        (&token, "you sent "),
        (&token, "http://a/?q="),
        (&password, "\\\"p\\\\\\\":\\\\\\\""),
    ] {
        assert_eq!(&tag(before), secret, "{before}: {}", ran.stdout);
    }
}

#[test]
fn a_copy_of_a_copy_is_the_same_and_a_compressed_one_can_be_read() {
    let home = Home::new();
    let path = home.file("open.jsonl", &open_recording());
    home.run(&["scrub", &path, "-o", "once.jsonl"]);
    let ran = home.run(&["scrub", "once.jsonl", "-o", "twice.jsonl.zst"]);
    assert!(ran.stderr.contains("0 secrets replaced"), "{ran:?}");
    let verified = home.run(&["verify", "twice.jsonl.zst"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let shown = |file: &str| home.run(&["show", file, "--bodies", "--format", "json"]).stdout;
    assert!(
        shown("once.jsonl").contains("refresh_token"),
        "{}",
        shown("once.jsonl")
    );
    assert_eq!(shown("once.jsonl"), shown("twice.jsonl.zst"));
}

#[test]
fn a_pattern_of_a_configuration_file_is_used_and_a_wrong_one_is_refused() {
    let home = Home::new();
    let path = home.file("open.jsonl", &open_recording());
    home.file("config/shadowcat/shadowcat.toml", "redact = \"acme-[0-9]+\"\n");
    home.run(&["scrub", &path]);
    let text = std::fs::read_to_string(home.path().join("open.scrubbed.jsonl")).unwrap();
    assert!(!text.contains("4711"), "{text}");
    home.run(&["scrub", &path, "--redact", "a("])
        .refused(2, &["cannot redact `a(`", "unclosed group"]);
    home.run(&["--headless", "--record-secrets", "--redact", "a"])
        .refused(2, &["--record-secrets", "--redact"]);
}

/// The bytes of one direction over one transport, as a recording has them.
fn bytes_of(path: &Path, transport: Carrier, direction: Direction) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in RecordingReader::open(path).unwrap() {
        if let Line::Frame(frame) = record.unwrap().line
            && (frame.transport, frame.direction) == (transport, direction)
        {
            bytes.extend(frame.into_bytes());
        }
    }
    bytes
}

#[cfg(unix)]
#[test]
fn with_secrets_the_lines_of_a_wrapped_command_are_recorded_byte_for_byte() {
    let home = Home::new();
    let mut command = home.command(&["wrap", "--record=w.jsonl", "--record-secrets", "--"]);
    command.args(["sh", "-c", "printf 'odd \\377 bytes\\n\\nrest' >&2; exec cat"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let sent = b"{\"token\":\"abc\"}\n\r\n\xff\xfe broken\n{\"a\":\n no end";
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(sent).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, sent);
    let path = home.path().join("w.jsonl");
    let up = bytes_of(&path, Carrier::Stdio, Direction::ClientToServer);
    let down = bytes_of(&path, Carrier::Stdio, Direction::ServerToClient);
    assert_eq!((up, down), (sent.to_vec(), sent.to_vec()));
    let errors = bytes_of(&path, Carrier::Stderr, Direction::ServerToClient);
    assert_eq!(errors, output.stderr);
}

/// A server that answers each request over Streamable HTTP in plain JSON, and what was posted to it.
#[cfg(unix)]
fn answering() -> (String, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let posted = std::sync::Arc::<std::sync::Mutex<Vec<String>>>::default();
    let kept = std::sync::Arc::clone(&posted);
    let serve = move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let (method, body) = read_request(&mut connection);
            let id = serde_json::from_str::<serde_json::Value>(&body).unwrap_or_default()["id"].clone();
            let result = format!(
                "{{\"jsonrpc\":\"2.0\", \"id\":{id},\"result\":{{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{{}},\"serverInfo\":{{\"name\":\"s\",\"version\":\"1\"}},\"access_token\":\"s3cr3t-9\"}}}}"
            );
            let (status, kind, answer) = match (method.as_str(), id.is_null()) {
                ("POST", false) => (
                    "200 OK",
                    "Content-Type: application/json\r\nMcp-Session-Id: s3cr3t-8\r\n",
                    result,
                ),
                ("POST", true) => ("202 Accepted", "", String::new()),
                _ => ("405 Method Not Allowed", "", String::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\n{kind}Connection: close\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            connection.write_all((head + &answer).as_bytes()).unwrap();
            if !body.is_empty() {
                kept.lock().unwrap().push(body);
            }
        }
    };
    std::thread::Builder::new().spawn(serve).unwrap();
    (url, posted)
}

#[cfg(unix)]
fn read_request(connection: &mut TcpStream) -> (String, String) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    connection.read_exact(&mut body).unwrap();
    let method = head.split(' ').next().unwrap().to_owned();
    (method, String::from_utf8(body).unwrap())
}

#[cfg(unix)]
#[test]
fn with_secrets_the_lines_in_front_of_an_http_server_are_recorded_byte_for_byte() {
    let home = Home::new();
    let (url, posted) = answering();
    let mut command = home.command(&["wrap", "--record=o.jsonl", "--record-secrets", "--upstream", &url]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let lines = [
        r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0", "id":1,"method":"tools/call","params":{"name":"login","arguments":{"password":"s3cr3t-7"}}}"#,
    ];
    let sent = lines.map(|line| format!("{line}\n")).concat();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(sent.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(*posted.lock().unwrap(), lines);
    let came = String::from_utf8(output.stdout).unwrap();
    assert_eq!(came.matches("s3cr3t-9").count(), 2, "{came}");
    let path = home.path().join("o.jsonl");
    let up = bytes_of(&path, Carrier::Stdio, Direction::ClientToServer);
    let down = bytes_of(&path, Carrier::Stdio, Direction::ServerToClient);
    assert_eq!(String::from_utf8(up).unwrap(), sent);
    assert_eq!(String::from_utf8(down).unwrap(), came);
}

#[cfg(unix)]
#[test]
fn of_a_tunnel_that_nobody_looks_into_the_recording_counts_the_bytes() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = listener.local_addr().unwrap();
    let home = Home::new();
    let arguments = ["--format", "none", "--record=t.jsonl", "--record-secrets"];
    let proxy = Headless::start(&home, &arguments);
    let mut client = TcpStream::connect(&proxy.address).unwrap();
    let connect = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n\r\n");
    client.write_all(connect.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let sent: Vec<u8> = (0..=255).cycle().take(5000).collect();
    client.write_all(&sent).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    let mut came = vec![0; sent.len()];
    peer.read_exact(&mut came).unwrap();
    assert_eq!(came, sent);
    drop((peer, client));
    assert_eq!(proxy.terminate().code, Some(0));
    let path = home.path().join("t.jsonl");
    assert_eq!(bytes_of(&path, Carrier::Tunnel, Direction::ClientToServer), b"");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"request_bytes\":5000"), "{text}");
    assert_eq!(home.run(&["verify", "t.jsonl"]).code, Some(0));
}
