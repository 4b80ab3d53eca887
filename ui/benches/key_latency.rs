//! How long it takes from a key to the picture that shows its effect: the binary in a terminal, with a large recording
//! and under load.
//!
//! `cargo bench -p shadowcat-tui --bench key_latency` prints the figures.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "the figures are what this is for")]

#[path = "../tests/support/tui.rs"]
mod tui;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use shadowcat::clock::Clock;
use tui::{Tui, command};

/// Exchanges of the recording: each makes two rows.
const EXCHANGES: u64 = 50_000;

/// Keys pressed of each kind.
const KEYS: usize = 200;

/// Time between two keys: a key that is held down repeats about so fast.
const PAUSE: Duration = Duration::from_millis(23);

/// Longest wait for a picture.
const PATIENCE: Duration = Duration::from_mins(1);

/// Events a second, in bursts, and calls a second beside them: 5,000 messages.
const EVENTS: u64 = 4_000;
const CALLS: u64 = 500;
const BURSTS: u64 = 250;

const UP: (&str, &str) = ("k", "k");
const DOWN: (&str, &str) = ("j", "j");
const PAGE_UP: (&str, &str) = ("PgUp", "\x1b[5~");

fn main() {
    // `cargo test --all-targets` runs this too, to see that it starts.
    if std::env::args().any(|argument| argument == "--bench") {
        recording();
        flood();
    }
}

fn recording() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("large.jsonl");
    write_recording(&path).unwrap();
    let arguments = ["open", "large.jsonl", "--max-history-memory", "2GiB"];
    let arguments = [&arguments[..], &["--max-memory-per-session", "2GiB"]].concat();
    let mut tui = Tui::start(command(home.path(), &arguments), 80, 24);
    let clock = Clock::start();
    let all = format!(" {} messages", EXCHANGES * 2);
    tui.wait_for("the whole recording", PATIENCE, |text| {
        text.contains(&all) && !text.contains("loading")
    });
    let took = clock.now().since(clock.started_at());
    println!("recording of {} rows, on screen after {took:.1?}", EXCHANGES * 2);
    tui.press("G");
    settle(&mut tui, Duration::from_secs(1));
    measure_keys(&mut tui);
    tui.press("q");
    assert_eq!(tui.finish(PATIENCE).exit_code(), 0);
}

fn flood() {
    let home = tempfile::tempdir().unwrap();
    let upstream = upstream();
    let upstream = format!("http://{upstream}/mcp");
    // The rows that are looked at have to outlive the measurement.
    let memory = ["--max-memory-per-session", "200MiB"];
    let arguments = [&["--listen", "127.0.0.1:0", "--upstream", &upstream], &memory[..]].concat();
    let mut tui = Tui::start(command(home.path(), &arguments), 80, 24);
    tui.wait_for("its address", PATIENCE, |text| listen_address(text).is_some());
    let proxy = listen_address(&tui.text()).unwrap();
    in_thread(move || read_stream(proxy));
    in_thread(move || call_on(proxy));
    tui.wait_for("the flood", PATIENCE, |text| {
        rate(text).is_some_and(|rate| rate > 1_000)
    });
    settle(&mut tui, Duration::from_secs(2));
    println!("proxy with {} msg/s", rate(&tui.text()).unwrap_or_default());
    measure_keys(&mut tui);
    println!("still {} msg/s", rate(&tui.text()).unwrap_or_default());
    tui.press("q");
    assert_eq!(tui.finish(PATIENCE).exit_code(), 0);
}

fn listen_address(text: &str) -> Option<SocketAddr> {
    text.split_whitespace().find_map(|word| word.parse().ok())
}

fn rate(text: &str) -> Option<u64> {
    let (before, _) = text.split_once(" msg/s")?;
    before
        .split_whitespace()
        .next_back()?
        .replace(',', "")
        .parse()
        .ok()
}

/// Takes what comes for so long.
fn settle(tui: &mut Tui, time: Duration) {
    let started = tui.now();
    while let Some(left) = time
        .checked_sub(tui.now().since(started))
        .filter(|left| !left.is_zero())
    {
        tui.read(left);
    }
}

fn measure_keys(tui: &mut Tui) {
    let size = tui.master.get_size().unwrap();
    println!("  {KEYS} keys of each kind at {}x{}:", size.cols, size.rows);
    for (name, key) in [UP, DOWN, PAGE_UP] {
        let mut times: Vec<Duration> = (0..KEYS).map(|_| time_of(tui, key)).collect();
        times.sort_unstable();
        let at = |part: usize| {
            times
                .get((times.len() * part / 100).min(times.len() - 1))
                .copied()
        };
        let [half, most, last] = [at(50), at(99), at(100)].map(Option::unwrap_or_default);
        println!("  {name:<5} p50 {half:>8.1?}  p99 {most:>8.1?}  max {last:>8.1?}");
    }
}

/// From the key to the picture that shows what it did.
fn time_of(tui: &mut Tui, key: &str) -> Duration {
    settle(tui, PAUSE);
    let before = list(tui);
    let started = tui.now();
    tui.press(key);
    while list(tui) == before {
        let waited = tui.now().since(started);
        assert!(waited < PATIENCE, "{key:?} does nothing:\n{}", tui.text());
        tui.read(PATIENCE);
    }
    tui.now().since(started)
}

/// What keys change and traffic does not, once the list is held: which rows are in view, and which has the cursor.
fn list(tui: &Tui) -> String {
    let screen = tui.terminal.screen();
    let mut list = String::new();
    for row in 3..11 {
        for column in 21..49 {
            let cell = screen.cell(row, column);
            list.push_str(cell.map_or("", vt100::Cell::contents));
        }
        let has_cursor = screen
            .cell(row, 23)
            .is_some_and(|cell| cell.inverse() || cell.bgcolor() != vt100::Color::Default);
        let _ = writeln!(list, "{has_cursor}");
    }
    list
}

fn write_recording(path: &Path) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let created = "2026-11-23T04:23:03.123456Z";
    writeln!(
        out,
        r#"{{"type":"header","format":"shadowcat-recording","version":1,"created":"{created}","proxy":"shadowcat-tui 0.1.0","redacted":false}}"#
    )?;
    writeln!(
        out,
        r#"{{"type":"session","seq":1,"us":0,"session":"R1","server":"everything","basis":"inferred","client":"127.0.0.1"}}"#
    )?;
    for exchange in 1..=EXCHANGES {
        write_exchange(&mut out, exchange)?;
    }
    out.flush()
}

fn write_exchange(out: &mut impl io::Write, exchange: u64) -> io::Result<()> {
    let filler = "x".repeat(100);
    let request = format!(
        r#"{{\"jsonrpc\":\"2.0\",\"id\":{exchange},\"method\":\"tools/call\",\"params\":{{\"name\":\"echo\",\"arguments\":{{\"text\":\"{filler}\"}}}}}}"#
    );
    let answer = format!(
        r#"{{\"jsonrpc\":\"2.0\",\"id\":{exchange},\"result\":{{\"content\":[{{\"type\":\"text\",\"text\":\"{filler}\"}}]}}}}"#
    );
    let moment = exchange * 1_000;
    let lines = [
        r#""request","connection":1,"client":"127.0.0.1:50412","side":"reverse","server":"everything","kind":"message","method":"POST","target":"/mcp","head":{"line":"POST /mcp HTTP/1.1","fields":[["content-type","application/json"]]}"#.to_owned(),
        format!(r#""frame","direction":"client_to_server","transport":"http","frame":0,"part":0,"last":true,"text":"{request}","messages":1"#),
        r#""response","status":200,"head":{"line":"HTTP/1.1 200 OK","fields":[["content-type","application/json"]]},"media_type":"application/json""#.to_owned(),
        format!(r#""frame","direction":"server_to_client","transport":"http","frame":0,"part":0,"last":true,"text":"{answer}","messages":1"#),
        format!(
            r#""exchange_end","request_end":"complete","response_end":"complete","timing":{{"started":{moment},"done":{}}},"request_bytes":{},"response_bytes":{}"#,
            moment + 4,
            request.len(),
            answer.len()
        ),
    ];
    for (number, line) in (0_u64..).zip(lines) {
        let (seq, us) = ((exchange - 1) * 5 + 2 + number, moment + number);
        writeln!(
            out,
            r#"{{"type":{line},"seq":{seq},"us":{us},"session":"R1","exchange":{exchange}}}"#
        )?;
    }
    Ok(())
}

/// A server that answers a call at once, and `tools/call` of `flood` with events without end.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    in_thread(move || {
        for connection in listener.incoming() {
            let connection = connection?;
            in_thread(move || serve(&connection));
        }
        Ok(())
    });
    address
}

fn serve(connection: &TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut requests = BufReader::new(connection);
    loop {
        let body = read_message(&mut requests)?;
        if body.contains("flood") {
            return send_events(connection);
        }
        let answer = body.replace("\"method\":\"tools/call\",\"params\":", "\"result\":");
        send(connection, "HTTP/1.1 200 OK", &answer)?;
    }
}

fn send_events(mut connection: &TcpStream) -> io::Result<()> {
    connection
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")?;
    let clock = Clock::start();
    for burst in 0_u64.. {
        let mut events = String::new();
        for number in 0..EVENTS / BURSTS {
            // No row looks like another, so that every scrolling can be seen.
            let name = burst * (EVENTS / BURSTS) + number;
            let _ = write!(
                events,
                "event: message\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/e{name}\",\"params\":{{\"text\":\"something\"}}}}\n\n"
            );
        }
        connection.write_all(events.as_bytes())?;
        keep_pace(&clock, burst, BURSTS);
    }
    Ok(())
}

/// Waits until it is time for what comes after `done`, at so many a second.
fn keep_pace(clock: &Clock, done: u64, each_second: u64) {
    let due = Duration::from_micros((done + 1) * 1_000_000 / each_second);
    std::thread::sleep(due.saturating_sub(clock.now().since(clock.started_at())));
}

fn read_stream(proxy: SocketAddr) -> io::Result<()> {
    let mut connection = TcpStream::connect(proxy)?;
    send(&connection, "POST /mcp HTTP/1.1", &call(0, "flood"))?;
    let mut buffer = [0; 16 * 1024];
    while connection.read(&mut buffer)? > 0 {}
    Ok(())
}

fn call_on(proxy: SocketAddr) -> io::Result<()> {
    let connection = TcpStream::connect(proxy)?;
    connection.set_nodelay(true)?;
    let mut answers = BufReader::new(&connection);
    let clock = Clock::start();
    for number in 1.. {
        send(&connection, "POST /mcp HTTP/1.1", &call(number, "echo"))?;
        read_message(&mut answers)?;
        keep_pace(&clock, number, CALLS);
    }
    Ok(())
}

fn call(id: u64, tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
}

fn send(mut connection: &TcpStream, line: &str, body: &str) -> io::Result<()> {
    let (host, length) = (connection.peer_addr()?, body.len());
    let message = format!(
        "{line}\r\nhost: {host}\r\naccept: application/json, text/event-stream\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    connection.write_all(message.as_bytes())
}

/// The body of the next message, of the length that its head names.
fn read_message(from: &mut BufReader<&TcpStream>) -> io::Result<String> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Runs `work` beside; it ends when its connections do.
fn in_thread(work: impl FnOnce() -> io::Result<()> + Send + 'static) {
    std::thread::Builder::new().spawn(move || drop(work())).unwrap();
}
