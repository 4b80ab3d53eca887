//! Lines in, lines out, and what is told beside them.

use std::io;

use bytes::{Bytes, BytesMut};
use memchr::memchr2_iter;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::codec::BYTE_ORDER_MARK;
use crate::codec::cut::Piece;
use crate::codec::envelope::{EnvelopeScanner, Scan};
use crate::codec::lines::{LineCutter, line_content};

use super::room::Held;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// What the client wrote.
#[derive(Debug)]
pub(super) enum Input {
    /// A line without its end, never blank.
    Line(Bytes),
    /// A line above the limit: what it would have been, and its length.
    TooLong(Scan, u64),
}

/// Reads lines until the end, one ahead of who takes them. A last one without its end is one too.
///
/// # Errors
/// What the system reports.
pub(super) async fn read(
    mut input: impl AsyncRead + Unpin,
    max_bytes: usize,
    lines: mpsc::Sender<Input>,
) -> io::Result<()> {
    let mut cutter = LineCutter::new(max_bytes.saturating_add(1));
    let mut scanner = EnvelopeScanner::new();
    let mut pieces = Vec::new();
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ_BYTES);
        let is_end = input.read_buf(&mut buffer).await? == 0;
        cutter.push(&buffer.split().freeze(), &mut pieces);
        if is_end {
            cutter.finish(&mut pieces);
        }
        for piece in pieces.drain(..) {
            if let Some(input) = understand(piece, &mut scanner)
                && lines.send(input).await.is_err()
            {
                return Ok(());
            }
        }
        if is_end {
            return Ok(());
        }
    }
}

fn understand(piece: Piece, scanner: &mut EnvelopeScanner) -> Option<Input> {
    match piece {
        Piece::Frame(line) | Piece::Tail(line) => {
            let content = line.slice_ref(line_content(&line));
            (!content.trim_ascii().is_empty()).then_some(Input::Line(content))
        }
        Piece::Part(part) => {
            scanner.push(&part);
            None
        }
        Piece::Oversize { bytes, .. } => {
            let scan = std::mem::take(scanner).finish();
            Some(Input::TooLong(scan, bytes))
        }
    }
}

/// A line for the client, with its end.
#[derive(Debug)]
pub(super) struct Line {
    bytes: Vec<u8>,
    _held: Option<Held>,
}

impl Line {
    pub(super) fn new(mut bytes: Vec<u8>, held: Option<Held>) -> Self {
        bytes.push(b'\n');
        Self { bytes, _held: held }
    }
}

/// Writes lines, each whole, until `closing`, and then those that are there already.
///
/// # Errors
/// What the system reports.
pub(super) async fn write(
    mut output: impl AsyncWrite + Unpin,
    mut lines: mpsc::Receiver<Line>,
    closing: &CancellationToken,
) -> io::Result<()> {
    while let Some(line) = next(&mut lines, closing).await {
        output.write_all(&line.bytes).await?;
        output.flush().await?;
    }
    Ok(())
}

/// Writes what is told beside the messages, a line each. That nobody reads it stops nothing.
pub(super) async fn tell(
    mut errors: impl AsyncWrite + Unpin,
    mut notes: mpsc::Receiver<String>,
    closing: &CancellationToken,
) {
    let mut is_broken = false;
    while let Some(note) = next(&mut notes, closing).await {
        if !is_broken {
            let line = format!("shadowcat-tui: {}\n", harmless(&note));
            is_broken = errors.write_all(line.as_bytes()).await.is_err() || errors.flush().await.is_err();
        }
    }
}

async fn next<T>(queue: &mut mpsc::Receiver<T>, closing: &CancellationToken) -> Option<T> {
    tokio::select! {
        item = queue.recv() => return item,
        () = closing.cancelled() => queue.close(),
    }
    queue.recv().await
}

/// A text of a peer as a terminal may show it: without control characters and without those that turn text around.
fn harmless(text: &str) -> String {
    let is_harmful = |char: char| {
        char.is_control()
            || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
    };
    let show = |char| if is_harmful(char) { '\u{fffd}' } else { char };
    text.chars().map(show).collect()
}

/// JSON in one line, spelled as it was: line ends between tokens go; inside a string, where JSON does not allow them,
/// they become `\n` and `\r`. A byte order mark goes too.
pub(super) fn one_line(json: &[u8]) -> Vec<u8> {
    let json = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json);
    let mut line = Vec::with_capacity(json.len() + 1);
    let mut quotes = Quotes::default();
    let mut at = 0;
    for end in memchr2_iter(b'\n', b'\r', json) {
        line.extend_from_slice(&json[at..end]);
        if quotes.is_inside_after(&json[at..end]) {
            line.extend_from_slice(if json[end] == b'\n' { br"\n" } else { br"\r" });
        }
        at = end + 1;
    }
    line.extend_from_slice(&json[at..]);
    line
}

/// Whether the place that was reached is inside a string.
#[derive(Debug, Default)]
struct Quotes {
    is_inside: bool,
    is_escaped: bool,
}

impl Quotes {
    fn is_inside_after(&mut self, text: &[u8]) -> bool {
        for byte in text {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.is_inside => self.is_escaped = true,
                b'"' => self.is_inside = !self.is_inside,
                _ => {}
            }
        }
        self.is_escaped = false;
        self.is_inside
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_document_of_several_lines_becomes_one_and_is_spelled_as_before() {
        let pretty = b"\xEF\xBB\xBF{\r\n  \"a\" : 1.0,\n  \"b\": \"\\u00e9 \\\" }\"\n}\n";
        assert_eq!(one_line(pretty), br#"{  "a" : 1.0,  "b": "\u00e9 \" }"}"#);
        assert_eq!(one_line(b"[\"x\ny\"]"), br#"["x\ny"]"#);
    }

    #[test]
    fn what_a_peer_said_does_nothing_to_a_terminal() {
        assert_eq!(
            harmless("no \u{1b}[2J\r\nok\u{202e}"),
            "no \u{fffd}[2J\u{fffd}\u{fffd}ok\u{fffd}"
        );
    }

    #[tokio::test]
    async fn lines_are_read_whole_and_one_that_is_too_long_is_known_by_its_id() {
        let text = format!(
            "\n{{\"id\":1}}\r\n{{\"method\":\"x\",\"params\":\"{}\",\"id\":\"7\"}}\nlast",
            "y".repeat(100)
        );
        let (sender, mut lines) = mpsc::channel(9);
        read(text.as_bytes(), 60, sender).await.unwrap();
        assert!(matches!(lines.recv().await, Some(Input::Line(line)) if line == "{\"id\":1}"));
        let Some(Input::TooLong(scan, 136)) = lines.recv().await else {
            panic!("the long line is missing");
        };
        assert_eq!(scan.messages[0].id.as_ref().unwrap().token(), Some("\"7\""));
        assert!(matches!(lines.recv().await, Some(Input::Line(line)) if line == "last"));
        assert!(lines.recv().await.is_none());
    }

    proptest! {
        #[test]
        fn one_line_says_what_the_document_said(text in "[a-z\"\\\\\n\r é{}]{0,20}") {
            let document = serde_json::json!({"a": [text, 1.5], "é": {}});
            let line = one_line(serde_json::to_string_pretty(&document).unwrap().as_bytes());
            prop_assert!(!line.contains(&b'\n'));
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&line).unwrap(), document);
        }
    }
}
