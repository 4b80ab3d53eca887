//! Cutting a `text/event-stream` body into whole events.
//!
//! A line ends at `\r\n`, `\n` or `\r`, and an empty line ends an event. What the events say is the business of
//! [`super::event`]: here a block of comments, or a single blank line, is a frame like any other, so that every byte
//! of the stream belongs to exactly one piece.
//!
//! Source: WHATWG HTML, "Server-sent events", and MCP, "Streamable HTTP".

use memchr::memchr2;

use super::cut::{Boundary, Cutter};

/// A piece of an event stream.
pub type SsePiece = super::cut::Piece;

/// Cuts an event stream into events.
///
/// - The blank line that ends an event belongs to it. A further blank line is a frame of its own.
/// - A `\r` at the end of a chunk ends its line at once, because nobody knows when the next byte comes. If it ends an
///   event and a `\n` follows, that `\n` is a frame of its own, also at once: some clients wait for it before they act
///   on the event. It says nothing: [`ParsedBlock::is_blank`](super::event::ParsedBlock::is_blank).
/// - A byte order mark at the start belongs to the first event.
pub type SseCutter = Cutter<BoundaryFinder>;

/// Finds where events end, without memory of its own beyond a few flags; each byte is looked at once.
#[derive(Debug, Default, Clone)]
pub struct BoundaryFinder {
    /// Whether the current line has content, so that its end does not end the event.
    is_in_line: bool,
    /// Whether the last byte was a `\r` that ended a line.
    is_after_return: bool,
    /// Whether the last byte ended an event.
    is_at_start: bool,
}

impl BoundaryFinder {
    /// One that begins inside a line of an event.
    pub const fn in_line() -> Self {
        Self {
            is_in_line: true,
            is_after_return: false,
            is_at_start: false,
        }
    }

    /// The offset just after the end of the next event, see [`Boundary::find`].
    pub fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        if std::mem::take(&mut self.is_after_return) && bytes.first() == Some(&b'\n') {
            at = 1;
            if self.is_at_start {
                return Some(at);
            }
        }
        while at < bytes.len() {
            self.is_at_start = false;
            let Some(end) = memchr2(b'\r', b'\n', &bytes[at..]) else {
                self.is_in_line = true;
                return None;
            };
            let has_content = std::mem::take(&mut self.is_in_line) || end > 0;
            at = self.end_line(bytes, at + end);
            if !has_content {
                self.is_at_start = true;
                return Some(at);
            }
        }
        None
    }

    /// The offset after the line ending at `at`.
    fn end_line(&mut self, bytes: &[u8], at: usize) -> usize {
        match (bytes[at], bytes.get(at + 1)) {
            (b'\r', Some(b'\n')) => at + 2,
            (b'\r', None) => {
                self.is_after_return = true;
                at + 1
            }
            _ => at + 1,
        }
    }
}

impl Boundary for BoundaryFinder {
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        Self::find(self, bytes)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::codec::cut::OVERSIZE_HEAD_BYTES;
    use crate::codec::event::{ParsedBlock, SseEvent};

    fn cut(chunks: &[&[u8]], max: usize) -> Vec<SsePiece> {
        let mut cutter = SseCutter::new(max);
        let mut pieces = Vec::new();
        for chunk in chunks {
            cutter.push(&Bytes::copy_from_slice(chunk), &mut pieces);
            assert!(cutter.buffered() <= max);
        }
        cutter.finish(&mut pieces);
        pieces
    }

    fn frame(bytes: &'static [u8]) -> SsePiece {
        SsePiece::Frame(Bytes::from_static(bytes))
    }

    fn bytes_of(pieces: &[SsePiece]) -> Vec<u8> {
        let mut all = Vec::new();
        for piece in pieces {
            match piece {
                SsePiece::Frame(bytes) | SsePiece::Part(bytes) | SsePiece::Tail(bytes) => {
                    all.extend_from_slice(bytes);
                }
                SsePiece::Oversize { .. } => {}
            }
        }
        all
    }

    /// What a client would see of the whole frames.
    fn meaning(pieces: &[SsePiece]) -> Vec<ParsedBlock> {
        let frames = pieces.iter().filter_map(|piece| match piece {
            SsePiece::Frame(bytes) => Some(bytes),
            _ => None,
        });
        let parsed = frames
            .enumerate()
            .map(|(index, bytes)| SseEvent::parse(bytes, index == 0));
        parsed.filter(|block| !block.is_blank).collect()
    }

    #[test]
    fn every_kind_of_line_ending_ends_an_event() {
        let text = b"data: 1\n\ndata: 2\r\n\r\ndata: 3\r\rdata: 4\r\n\n: c\n\n\ndata: 5";
        let expected = [
            frame(b"data: 1\n\n"),
            frame(b"data: 2\r\n\r\n"),
            frame(b"data: 3\r\r"),
            frame(b"data: 4\r\n\n"),
            frame(b": c\n\n"),
            frame(b"\n"),
            SsePiece::Tail(Bytes::from_static(b"data: 5")),
        ];
        assert_eq!(cut(&[text], 100), expected);
    }

    #[test]
    fn a_lone_return_ends_an_event_at_once_and_a_late_newline_follows_at_once() {
        let mut cutter = SseCutter::new(100);
        let mut pieces = Vec::new();
        cutter.push(&Bytes::from_static(b"data: 1\r\n\r"), &mut pieces);
        assert_eq!(pieces, [frame(b"data: 1\r\n\r")]);
        cutter.push(&Bytes::from_static(b"\n"), &mut pieces);
        assert_eq!(pieces[1..], [frame(b"\n")]);
        assert!(!cutter.is_inside_frame());
        cutter.push(&Bytes::from_static(b"data: 2\r"), &mut pieces);
        cutter.push(&Bytes::from_static(b"\ndata: 3\n\n"), &mut pieces);
        assert_eq!(pieces[2..], [frame(b"data: 2\r\ndata: 3\n\n")]);
    }

    #[test]
    fn an_event_in_one_chunk_is_not_copied() {
        let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\n\n");
        let mut pieces = Vec::new();
        SseCutter::new(100).push(&chunk, &mut pieces);
        let SsePiece::Frame(second) = &pieces[1] else {
            panic!("{pieces:?}")
        };
        assert_eq!(second.as_ptr(), chunk[9..].as_ptr());
    }

    #[test]
    fn an_event_above_the_limit_passes_in_parts_and_the_next_one_is_whole_again() {
        let long = [b"data: ".to_vec(), vec![b'x'; 10_000], b"\n\n".to_vec()].concat();
        let chunks: Vec<&[u8]> = long.chunks(600).chain([&b"data: 2\n\n"[..]]).collect();
        let pieces = cut(&chunks, 1_000);
        assert_eq!(bytes_of(&pieces), [&long[..], b"data: 2\n\n"].concat());
        let head = Bytes::copy_from_slice(&long[..OVERSIZE_HEAD_BYTES]);
        let oversize = SsePiece::Oversize {
            head,
            bytes: long.len() as u64,
            is_complete: true,
        };
        assert_eq!(pieces[pieces.len() - 2..], [oversize, frame(b"data: 2\n\n")]);
        assert!(
            pieces[..pieces.len() - 2]
                .iter()
                .all(|piece| matches!(piece, SsePiece::Part(_)))
        );
    }

    #[test]
    fn a_stream_that_ends_inside_a_long_event_says_so() {
        let pieces = cut(&[b"data: 123456789"], 10);
        let oversize = SsePiece::Oversize {
            head: Bytes::from_static(b"data: 123456789"),
            bytes: 15,
            is_complete: false,
        };
        assert_eq!(
            pieces,
            [SsePiece::Part(Bytes::from_static(b"data: 123456789")), oversize]
        );
    }

    #[test]
    fn sixteen_mebibytes_in_single_bytes_are_cut_in_linear_time() {
        let mut cutter = SseCutter::new(32 << 20);
        let mut pieces = Vec::new();
        let byte = Bytes::from_static(b"x");
        for _ in 0..16 << 20 {
            cutter.push(&byte, &mut pieces);
        }
        cutter.push(&Bytes::from_static(b"\n\n"), &mut pieces);
        assert!(matches!(&pieces[..], [SsePiece::Frame(bytes)] if bytes.len() == (16 << 20) + 2));
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(b"\r".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\n\n".to_vec()),
            Just(b"data: ".to_vec()),
            Just(b"id: 1".to_vec()),
            Just(b": c".to_vec()),
            Just("é".as_bytes().to_vec()),
            Just(b"\xFF".to_vec()),
        ];
        (any::<bool>(), prop::collection::vec(part, 0..40)).prop_map(|(has_mark, parts)| {
            let mark = if has_mark {
                crate::codec::BYTE_ORDER_MARK
            } else {
                b""
            };
            [mark, &parts.concat()].concat()
        })
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_and_chunks_make_no_difference(stream in stream(), sizes in prop::collection::vec(1usize..7, 1..9)) {
            let mut chunks = Vec::new();
            let mut rest = &stream[..];
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, more) = rest.split_at((*size).min(rest.len()));
                chunks.push(chunk);
                rest = more;
            }
            let (parts, whole) = (cut(&chunks, 1_000), cut(&[&stream], 1_000));
            prop_assert_eq!(bytes_of(&parts), &stream[..]);
            prop_assert_eq!(bytes_of(&whole), &stream[..]);
            prop_assert_eq!(meaning(&parts), meaning(&whole));
        }

        #[test]
        fn nothing_above_the_limit_is_kept(stream in stream(), max in 1usize..12, size in 1usize..9) {
            let chunks: Vec<&[u8]> = stream.chunks(size).collect();
            let pieces = cut(&chunks, max);
            prop_assert_eq!(bytes_of(&pieces), &stream[..]);
            for piece in &pieces {
                if let SsePiece::Frame(bytes) | SsePiece::Tail(bytes) = piece {
                    prop_assert!(bytes.len() <= max);
                }
            }
        }
    }
}
