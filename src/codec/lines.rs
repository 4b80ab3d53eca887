//! Cutting the output of a stdio peer into lines.
//!
//! `\n` is the only delimiter: `\r`, U+2028 and the like are data. Blank lines, lines that are no JSON and bad UTF-8
//! are lines like any other.
//!
//! Source: MCP, "Transports", stdio: messages are delimited by newlines and contain none.

use memchr::memchr;

use super::cut::{Boundary, Cutter};

/// A piece of a stdio stream.
pub type LinePiece = super::cut::Piece;

/// Cuts a stdio stream into lines with their `\n`. An unterminated last line is the
/// [`Tail`](super::cut::Piece::Tail), which peers mean as a line too.
pub type LineCutter = Cutter<LineBoundary>;

/// Finds the ends of lines; it needs no memory.
#[derive(Debug, Default, Clone, Copy)]
pub struct LineBoundary;

impl Boundary for LineBoundary {
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        memchr(b'\n', bytes).map(|at| at + 1)
    }
}

/// A line without its end, `\n` or `\r\n`.
pub fn line_content(line: &[u8]) -> &[u8] {
    let Some(line) = line.strip_suffix(b"\n") else {
        return line;
    };
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn cut(chunks: &[&[u8]], max: usize) -> Vec<LinePiece> {
        let mut cutter = LineCutter::new(max);
        let mut pieces = Vec::new();
        for chunk in chunks {
            cutter.push(&Bytes::copy_from_slice(chunk), &mut pieces);
            assert!(cutter.buffered() <= max);
        }
        cutter.finish(&mut pieces);
        pieces
    }

    #[test]
    fn only_a_newline_ends_a_line() {
        let frame = |text: &'static str| LinePiece::Frame(Bytes::from_static(text.as_bytes()));
        let pieces = cut(&["a\rb\u{2028}\u{85}c\r".as_bytes(), b"\n\n{", b"}"], 100);
        let tail = LinePiece::Tail(Bytes::from_static(b"{}"));
        assert_eq!(pieces, [frame("a\rb\u{2028}\u{85}c\r\n"), frame("\n"), tail]);
    }

    #[test]
    fn a_line_above_the_limit_passes_in_parts() {
        let pieces = cut(&[b"12345", b"678\nok\n"], 4);
        let part = |text: &'static [u8]| LinePiece::Part(Bytes::from_static(text));
        let oversize = LinePiece::Oversize {
            head: Bytes::from_static(b"12345678\n"),
            bytes: 9,
            is_complete: true,
        };
        assert_eq!(
            pieces,
            [
                part(b"12345"),
                part(b"678\n"),
                oversize,
                LinePiece::Frame(Bytes::from_static(b"ok\n"))
            ]
        );
    }

    #[test]
    fn the_content_of_a_line_is_without_its_end() {
        assert_eq!(line_content(b"a\r\n"), b"a");
        assert_eq!(line_content(b"a\r\r\n"), b"a\r");
        assert_eq!(line_content(b"a\r"), b"a\r");
        assert_eq!(line_content(b"\n"), b"");
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_chunks(stream in prop::collection::vec(prop::sample::select(b"ab\r\n\xFF".to_vec()), 0..60), size in 1usize..9) {
            let chunks: Vec<&[u8]> = stream.chunks(size).collect();
            let parts = cut(&chunks, 100);
            prop_assert_eq!(&parts, &cut(&[&stream], 100));
            let all: Vec<u8> = parts.iter().flat_map(|piece| match piece {
                LinePiece::Frame(bytes) | LinePiece::Part(bytes) | LinePiece::Tail(bytes) => bytes.to_vec(),
                LinePiece::Oversize { .. } => Vec::new(),
            }).collect();
            prop_assert_eq!(all, stream);
        }
    }
}
