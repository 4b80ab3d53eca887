//! Finds the heads in the bytes of an HTTP/1 connection, so that they can be kept as they were sent, and refuses the
//! shapes with which one request can be smuggled inside another. Pure.
//!
//! Source: RFC 9112 §2.2, §5, §6.1, §6.3, §11.2.

use bytes::Bytes;
use smallvec::SmallVec;

/// A head as it was on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WireHead {
    /// From the first line to the blank line.
    pub(crate) bytes: Bytes,
    /// Why it must not be forwarded.
    pub(crate) refusal: Option<Refusal>,
}

/// A head that two readers could understand in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it has both Transfer-Encoding and Content-Length")]
    LengthAndCoding,
    #[error("its Content-Length fields differ or are no number")]
    UnclearLength,
    #[error("its Transfer-Encoding does not end in chunked, or names it twice")]
    UnclearCoding,
    #[error("a header field is continued on the next line")]
    FoldedField,
    #[error("there is a carriage return that ends no line")]
    BareCarriageReturn,
    #[error("there is a space before the colon of a header field, or a field without colon")]
    UnclearField,
}

/// Where in the request stream the framer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Body {
        left: u64,
    },
    ChunkSize {
        size: u64,
        digits: u8,
        is_extension: bool,
    },
    ChunkData {
        left: u64,
    },
    ChunkEnd {
        left: u8,
    },
    Trailers {
        is_line_empty: bool,
    },
    /// No further head is looked for: HTTP/2, a tunnel, or a refused request.
    Ended,
}

/// Cuts a client's bytes into heads and the bodies between them.
#[derive(Debug)]
pub(crate) struct RequestFramer {
    state: State,
    head: Vec<u8>,
    max_head_bytes: usize,
    is_too_large: bool,
}

/// What a push found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Framed {
    /// Heads that became whole.
    pub(crate) heads: SmallVec<[WireHead; 1]>,
    /// Bytes of the push that may be handed on; less than all of them after a refusal.
    pub(crate) allowed: usize,
}

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

impl RequestFramer {
    pub(crate) fn new(max_head_bytes: usize) -> Self {
        Self {
            state: State::Head,
            head: Vec::new(),
            max_head_bytes,
            is_too_large: false,
        }
    }

    /// Whether a head was larger than the limit.
    pub(crate) const fn is_too_large(&self) -> bool {
        self.is_too_large
    }

    /// Whether a head has begun and not ended.
    pub(crate) fn is_inside_head(&self) -> bool {
        self.state == State::Head && !self.head.is_empty()
    }

    /// The last request is whole and the next has not begun.
    pub(crate) fn is_between_requests(&self) -> bool {
        self.state == State::Head && self.head.is_empty()
    }

    /// Looks at the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Framed {
        let mut framed = Framed::default();
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            at += match self.state {
                State::Ended => rest.len(),
                State::Head => self.head_bytes(rest, &mut framed),
                State::Body { left } => {
                    let taken = taken(left, rest);
                    self.state = after(left, taken, State::Head, |left| State::Body { left });
                    taken
                }
                State::ChunkData { left } => {
                    let taken = taken(left, rest);
                    self.state = after(left, taken, State::ChunkEnd { left: 2 }, |left| {
                        State::ChunkData { left }
                    });
                    taken
                }
                _ => {
                    self.chunk_byte(rest[0]);
                    1
                }
            };
            if framed.heads.last().is_some_and(|head| head.refusal.is_some()) {
                self.state = State::Ended;
                framed.allowed = at;
                return framed;
            }
        }
        framed.allowed = at;
        framed
    }

    fn head_bytes(&mut self, rest: &[u8], framed: &mut Framed) -> usize {
        let before = self.head.len();
        // Empty lines before a request line are allowed and belong to nothing.
        if before == 0 && matches!(rest[0], b'\r' | b'\n') {
            return 1;
        }
        let room = self.max_head_bytes.saturating_sub(before).min(rest.len());
        if before == 0
            && !rest.starts_with(HTTP2_PREFACE)
            && let Some(end) = head_end(&rest[..room])
        {
            self.end_head(&rest[..end], framed);
            return end;
        }
        let searched = before.saturating_sub(3);
        self.head.extend_from_slice(&rest[..room]);
        if self.head.starts_with(HTTP2_PREFACE) {
            self.state = State::Ended;
            self.head = Vec::new();
            return rest.len();
        }
        let Some(end) = head_end(&self.head[searched..]).map(|end| searched + end) else {
            // hyper reads no further than this and answers 431.
            self.is_too_large |= self.head.len() >= self.max_head_bytes;
            if room < rest.len() {
                // There is nothing left to keep.
                self.state = State::Ended;
            }
            return rest.len();
        };
        let mut head = std::mem::take(&mut self.head);
        head.truncate(end);
        self.end_head(&head, framed);
        end - before
    }

    /// Keeps a copy of exactly the head.
    fn end_head(&mut self, head: &[u8], framed: &mut Framed) {
        let (state, refusal) = match body_after(head) {
            Ok(state) => (state, None),
            Err(refusal) => (State::Ended, Some(refusal)),
        };
        self.state = state;
        framed.heads.push(WireHead {
            bytes: Bytes::copy_from_slice(head),
            refusal,
        });
    }

    fn chunk_byte(&mut self, byte: u8) {
        self.state = match self.state {
            State::ChunkSize { size, .. } if byte == b'\n' => match size {
                0 => State::Trailers { is_line_empty: true },
                left => State::ChunkData { left },
            },
            State::ChunkSize {
                size,
                digits,
                is_extension: false,
            } if byte.is_ascii_hexdigit() && digits < 16 => {
                let digit = u64::from(char::from(byte).to_digit(16).unwrap_or(0));
                State::ChunkSize {
                    size: size << 4 | digit,
                    digits: digits + 1,
                    is_extension: false,
                }
            }
            State::ChunkSize { size, digits, .. } => State::ChunkSize {
                size,
                digits,
                is_extension: true,
            },
            State::ChunkEnd { left: 1 } => State::ChunkSize {
                size: 0,
                digits: 0,
                is_extension: false,
            },
            State::ChunkEnd { left } => State::ChunkEnd { left: left - 1 },
            State::Trailers { is_line_empty: true } if byte == b'\n' => State::Head,
            State::Trailers { .. } if byte == b'\n' => State::Trailers { is_line_empty: true },
            State::Trailers { is_line_empty } => State::Trailers {
                is_line_empty: is_line_empty && byte == b'\r',
            },
            other => other,
        };
    }
}

fn taken(left: u64, rest: &[u8]) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(rest.len())
}

fn after(left: u64, taken: usize, done: State, more: impl FnOnce(u64) -> State) -> State {
    let left = left - taken as u64;
    if left == 0 { done } else { more(left) }
}

/// Offset just after the blank line. A line may end in `\n` alone (RFC 9112 §2.2).
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find_map(|at| match &bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// What follows a request head.
fn body_after(head: &[u8]) -> Result<State, Refusal> {
    let mut length: Option<u64> = None;
    let mut codings: Vec<u8> = Vec::new();
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    if first.contains(&b'\r') {
        return Err(Refusal::BareCarriageReturn);
    }
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let this = content_length(value)?;
            if length.is_some_and(|known| known != this) {
                return Err(Refusal::UnclearLength);
            }
            length = Some(this);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            codings.extend_from_slice(value);
            codings.push(b',');
        }
    }
    let is_connect = first.starts_with(b"CONNECT ");
    match (length, codings.is_empty()) {
        (Some(_), false) => Err(Refusal::LengthAndCoding),
        (_, false) => chunked(&codings),
        _ if is_connect => Ok(State::Ended),
        (None | Some(0), true) => Ok(State::Head),
        (Some(left), true) => Ok(State::Body { left }),
    }
}

fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Refusal::FoldedField);
    }
    if line.contains(&b'\r') {
        return Err(Refusal::BareCarriageReturn);
    }
    let colon = memchr::memchr(b':', line).ok_or(Refusal::UnclearField)?;
    let name = &line[..colon];
    if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
        return Err(Refusal::UnclearField);
    }
    Ok((name, line[colon + 1..].trim_ascii()))
}

fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(value)
        .ok()
        .filter(|_| is_number)
        .and_then(|text| text.parse().ok());
    number.ok_or(Refusal::UnclearLength)
}

fn chunked(codings: &[u8]) -> Result<State, Refusal> {
    let mut names = codings
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty());
    let is_chunked = |name: &[u8]| name.eq_ignore_ascii_case(b"chunked");
    let last = names.next_back().unwrap_or_default();
    if !is_chunked(last) || names.any(is_chunked) {
        return Err(Refusal::UnclearCoding);
    }
    Ok(State::ChunkSize {
        size: 0,
        digits: 0,
        is_extension: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heads(bytes: &[u8], step: usize) -> Vec<WireHead> {
        let mut framer = RequestFramer::new(4096);
        bytes
            .chunks(step)
            .flat_map(|chunk| framer.push(chunk).heads)
            .collect()
    }

    fn refusal(head: &str) -> Option<Refusal> {
        heads(
            format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n").as_bytes(),
            4096,
        )[0]
        .refusal
    }

    const PIPELINE: &[u8] = b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello\
        POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nGET /\r\n0\r\nT: 1\r\n\r\n\
        \r\nGET /c HTTP/1.1\r\nhOsT: x\r\n\r\n";

    #[test]
    fn heads_are_found_between_bodies_of_every_kind_however_they_are_cut() {
        for step in [1, 2, 3, 7, 1000] {
            let found = heads(PIPELINE, step);
            let lines: Vec<_> = found
                .iter()
                .map(|head| head.bytes.split(|b| *b == b'\r').next().unwrap())
                .collect();
            assert_eq!(
                lines,
                [&b"POST /a HTTP/1.1"[..], b"POST /b HTTP/1.1", b"GET /c HTTP/1.1"],
                "{step}"
            );
            assert!(found[2].bytes.ends_with(b"hOsT: x\r\n\r\n"));
        }
    }

    #[test]
    fn smuggling_shapes_are_refused() {
        for (fields, expected) in [
            (
                "Content-Length: 5\r\nTransfer-Encoding: chunked",
                Refusal::LengthAndCoding,
            ),
            ("Content-Length: 5\r\nContent-Length: 6", Refusal::UnclearLength),
            ("Content-Length: +5", Refusal::UnclearLength),
            ("Content-Length: 5, 5", Refusal::UnclearLength),
            ("Transfer-Encoding: chunked, identity", Refusal::UnclearCoding),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                Refusal::UnclearCoding,
            ),
            ("X: a\r\n b", Refusal::FoldedField),
            ("X: a\rb", Refusal::BareCarriageReturn),
            ("Content-Length : 5", Refusal::UnclearField),
            ("just text", Refusal::UnclearField),
        ] {
            assert_eq!(refusal(fields), Some(expected), "{fields}");
        }
        assert_eq!(refusal("Content-Length: 5\r\nContent-Length: 5"), None);
    }

    #[test]
    fn nothing_after_a_refused_head_is_handed_on() {
        let bytes = b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n";
        let framed = RequestFramer::new(4096).push(bytes);
        assert_eq!(framed.heads.len(), 1);
        assert!(bytes[..framed.allowed].ends_with(b"chunked\r\n\r\n"));
    }

    #[test]
    fn http2_and_tunnels_are_left_alone() {
        assert!(heads(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n", 3).is_empty());
        assert_eq!(
            heads(b"CONNECT a:1 HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", 5).len(),
            1
        );
    }

    #[test]
    fn an_endless_head_is_not_kept() {
        let mut framer = RequestFramer::new(100);
        framer.push(b"GET / HTTP/1.1\r\nX: ");
        for _ in 0..100 {
            framer.push(&[b'x'; 50]);
        }
        assert!(framer.head.capacity() < 1000);
    }

    proptest! {
        #[test]
        fn the_cut_never_changes_what_is_found(bytes in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), Just(b'5'), any::<u8>()], 0..200), step in 1usize..20) {
            let mut stream = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc".to_vec();
            stream.extend(bytes);
            prop_assert_eq!(heads(&stream, step), heads(&stream, 10_000));
        }
    }
}
