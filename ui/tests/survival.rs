//! What is left of a recording when the proxy is killed, or when its file may not grow any more.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/binary.rs"]
mod binary;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use binary::{Headless, Home};
use shadowcat::recording::verify::{ProblemKind, verify};
use shadowcat::recording::{RecordingFile, RecordingReader, format::Line};

/// Streams that are live when the proxy is killed.
const STREAMS: u64 = 100;

/// Between two events of a stream: two thousand a second on all of them.
const PACE: Duration = Duration::from_millis(STREAMS / 2);

/// Events of each stream before the proxy is killed for the first time; so many more each further time.
const EVENTS: u64 = 400 / STREAMS;

/// Waits for something that other processes do.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often the proxy is killed: a few times here, more where `SHADOWCAT_TEST_KILLS` says so.
fn kills() -> u32 {
    let asked = std::env::var("SHADOWCAT_TEST_KILLS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(3)
}

fn event(stream: u64, number: u64) -> String {
    let padding = "x".repeat(usize::try_from(number % 300).unwrap());
    format!(
        "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"stream\":{stream},\"number\":{number},\"data\":\"{padding}\"}}}}\n\n"
    )
}

/// A server that sends numbered events on every connection until nobody takes them.
fn serve() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    in_thread(move || {
        for connection in listener.incoming() {
            let connection = connection.unwrap();
            in_thread(move || stream_to(connection));
        }
    });
    address
}

/// Each event is a chunk of its own. Ends with an error once the proxy has gone.
fn stream_to(connection: TcpStream) -> Option<()> {
    let mut lines = BufReader::new(connection.try_clone().ok()?);
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    let stream: u64 = line.split(' ').nth(1)?.trim_start_matches("/mcp/").parse().ok()?;
    let mut out = connection;
    out.set_nodelay(true).ok()?;
    out.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    )
    .ok()?;
    for number in 0.. {
        let event = event(stream, number);
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        out.write_all(chunk.as_bytes()).ok()?;
        thread::sleep(PACE);
    }
    Some(())
}

/// Reads a stream until the proxy has gone; counts its whole events.
fn read_stream(address: &str, stream: u64, seen: &AtomicU64) {
    let mut connection = TcpStream::connect(address).unwrap();
    let request =
        format!("GET /mcp/{stream} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let mut input = BufReader::new(connection);
    let mut line = String::new();
    while input.read_line(&mut line).is_ok_and(|length| length > 2) {
        line.clear();
    }
    let mut text = Vec::new();
    while let Some(chunk) = read_chunk(&mut input) {
        text.extend(chunk);
        while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = text.drain(..end + 2).collect();
            let number = seen.load(Ordering::Acquire);
            assert_eq!(String::from_utf8(block).unwrap(), event(stream, number));
            seen.store(number + 1, Ordering::Release);
        }
    }
}

/// The next chunk; `None` once the proxy has gone.
fn read_chunk(input: &mut impl std::io::BufRead) -> Option<Vec<u8>> {
    let mut line = String::new();
    input.read_line(&mut line).ok()?;
    let size = usize::from_str_radix(line.trim_end(), 16).ok()?;
    let mut chunk = vec![0; size + 2];
    input.read_exact(&mut chunk).ok()?;
    chunk.truncate(size);
    Some(chunk)
}

/// The events of each stream that the recording has, as texts.
fn recorded(path: &Path) -> BTreeMap<u64, Vec<String>> {
    let mut streams: BTreeMap<u64, u64> = BTreeMap::new();
    let mut events: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut open: BTreeMap<u64, String> = BTreeMap::new();
    for record in RecordingReader::open(path).unwrap() {
        match record.unwrap().line {
            Line::Request(request) => {
                let stream = request.target.trim_start_matches("/mcp/").parse().unwrap();
                streams.insert(request.exchange.get(), stream);
            }
            Line::Frame(frame) => {
                let stream = streams[&frame.exchange.get()];
                let text = open.entry(stream).or_default();
                text.push_str(&frame.text.unwrap_or_default());
                if frame.last {
                    events.entry(stream).or_default().push(std::mem::take(text));
                }
            }
            _ => {}
        }
    }
    events
}

#[test]
fn a_recording_survives_kill_9_under_live_streams_without_a_hole() {
    let upstream = format!("http://{}", serve());
    for round in 0..kills() {
        let home = Home::new();
        let name = if round % 2 == 0 {
            "killed.jsonl"
        } else {
            "killed.jsonl.zst"
        };
        let record = format!("--record={name}");
        let mut proxy = Headless::start(&home, &["--format", "none", "--upstream", &upstream, &record]);
        let seen: Arc<Vec<AtomicU64>> = Arc::new((0..STREAMS).map(|_| AtomicU64::new(0)).collect());
        let readers: Vec<_> = (0..STREAMS)
            .map(|stream| {
                let (address, seen) = (proxy.address.clone(), Arc::clone(&seen));
                in_thread(move || read_stream(&address, stream, &seen[usize::try_from(stream).unwrap()]))
            })
            .collect();
        let counts = || {
            seen.iter()
                .map(|count| count.load(Ordering::Acquire))
                .collect::<Vec<_>>()
        };
        wait_until(|| {
            counts()
                .iter()
                .all(|count| *count > EVENTS * u64::from(round + 1))
        });
        // What has arrived is in the file soon, while more comes.
        let path = home.path().join(name);
        let before = counts();
        wait_until(|| {
            let recorded = recorded(&path);
            (0..STREAMS)
                .zip(&before)
                .all(|(stream, before)| recorded.get(&stream).map_or(0, Vec::len) as u64 >= *before)
        });
        proxy.child.kill().unwrap();
        proxy.child.wait().unwrap();
        for reader in readers {
            reader.join().unwrap();
        }

        let verified = verify(RecordingFile::open(&path).unwrap(), &path).unwrap();
        let is_expected = |kind: ProblemKind| {
            matches!(
                kind,
                ProblemKind::NoEnd | ProblemKind::TornTail | ProblemKind::Unfinished
            )
        };
        assert!(
            verified.problems.iter().all(|problem| is_expected(problem.kind)),
            "{:?}",
            verified.problems
        );
        let recorded = recorded(&path);
        for stream in 0..STREAMS {
            let events = &recorded[&stream];
            for (number, text) in (0..).zip(events) {
                assert_eq!(*text, event(stream, number), "round {round}");
            }
            let arrived = before[usize::try_from(stream).unwrap()];
            assert!(events.len() as u64 >= arrived, "{} of {arrived}", events.len());
        }
        let shown = home.run(&["show", name]);
        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
        assert!(shown.stderr.contains("killed"), "{}", shown.stderr);
    }
}

fn wait_until(is_so: impl Fn() -> bool) {
    for _ in 0..PATIENCE.as_millis() {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("it did not happen");
}

fn in_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::Builder::new().spawn(work).unwrap()
}

/// A server that answers everything with the same few kilobytes.
fn answer_all() -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    in_thread(move || {
        for connection in listener.incoming() {
            if over.load(Ordering::Acquire) {
                return;
            }
            answer(&mut connection.unwrap()).unwrap();
        }
    });
    (address, is_over)
}

fn body() -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{\"text\":\"{}\"}}}}",
        "y".repeat(4000)
    )
}

fn answer(connection: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let body = body();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(answer.as_bytes())
}

fn ask(address: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    let request = format!("GET /mcp HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_file_that_may_not_grow_costs_records_that_are_counted_and_nobody_a_byte() {
    let (server, is_over) = answer_all();
    let home = Home::new();
    let upstream = format!("http://{server}");
    let arguments = [
        "--headless",
        "--format",
        "none",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &upstream,
        "--record=full.jsonl",
    ];
    let mut proxy = Headless::of(&mut home.bounded("-f 128", &arguments));
    for _ in 0..60 {
        assert!(ask(&proxy.address).ends_with(&body()));
    }
    proxy.line_with("the recording cannot be written");
    assert!(ask(&proxy.address).ends_with(&body()));
    is_over.store(true, Ordering::Release);
    let ran = proxy.terminate();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("The recording lacks "), "{ran:?}");
    let path = home.path().join("full.jsonl");
    assert!(std::fs::metadata(&path).unwrap().len() <= 128 * 1024);
    let verified = verify(RecordingFile::open(&path).unwrap(), &path).unwrap();
    let kinds: Vec<ProblemKind> = verified.problems.iter().map(|problem| problem.kind).collect();
    let is_expected = |kind: &ProblemKind| {
        matches!(
            kind,
            ProblemKind::Gap | ProblemKind::NoEnd | ProblemKind::Unfinished | ProblemKind::StillOpen
        )
    };
    assert!(
        verified.frames > 3 && kinds.iter().all(is_expected),
        "{:?}",
        verified.problems
    );
    let told = gaps_of(&path);
    let lost = number_behind(&ran.stderr, "The recording lacks ").unwrap();
    let untold = number_behind(&ran.stderr, "no room to tell the file of ").unwrap_or(0);
    assert_eq!(lost, told + untold, "{ran:?}");
}

/// Records that the file says it lacks.
fn gaps_of(path: &Path) -> u64 {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let gaps = lines.filter(|line| line["type"] == "gap");
    gaps.map(|gap| gap["lost"].as_u64().unwrap()).sum()
}

fn number_behind(text: &str, what: &str) -> Option<u64> {
    let (_, rest) = text.split_once(what)?;
    rest.split(' ').next()?.parse().ok()
}
