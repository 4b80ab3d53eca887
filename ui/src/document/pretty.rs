//! JSON indented and coloured straight from its bytes: numbers, key order and repeated keys stay as they were sent.
//!
//! Works token by token without recursion, so depth costs nothing, and shows what is not quite JSON as far as it goes.

use crate::paint::Line;
use crate::text::Safe;
use crate::theme::Role;

/// Deepest indentation that is drawn; deeper levels stay at its column.
const DEEPEST: usize = 32;

/// The lines of `bytes`, `most` at most. What does not begin like JSON comes out as plain lines.
pub(super) fn lines(bytes: &[u8], most: usize) -> Vec<Line> {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => Printer::print(bytes, most),
        Some(_) => plain(bytes, most),
        None => vec![Line::of(Role::Dim, "empty body")],
    }
}

fn plain(bytes: &[u8], most: usize) -> Vec<Line> {
    let lines = bytes.split(|byte| *byte == b'\n').take(most);
    lines
        .map(|line| {
            Line::of(
                Role::Text,
                Safe::of_bytes(line.strip_suffix(b"\r").unwrap_or(line)),
            )
        })
        .collect()
}

struct Printer<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    line: Line,
    lines: Vec<Line>,
}

impl<'a> Printer<'a> {
    fn print(bytes: &'a [u8], most: usize) -> Vec<Line> {
        let mut printer = Self {
            bytes,
            at: 0,
            depth: 0,
            line: Line::default(),
            lines: Vec::new(),
        };
        while printer.lines.len() < most && printer.token() {}
        if printer.lines.len() >= most {
            printer
                .lines
                .push(Line::of(Role::Warn, "the rest is not shown; the Raw tab has it"));
        } else if !printer.line.0.is_empty() {
            printer.lines.push(printer.line);
        }
        printer.lines
    }

    fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    /// Prints one token; `false` at the end.
    fn token(&mut self) -> bool {
        let Some(byte) = self.peek() else {
            return false;
        };
        match byte {
            b'{' => self.open("{", "{}", b'}'),
            b'[' => self.open("[", "[]", b']'),
            b'}' => self.close("}"),
            b']' => self.close("]"),
            b',' => {
                self.at += 1;
                self.line.push(Role::Dim, ",");
                self.break_line();
            }
            b':' => {
                self.at += 1;
                self.line.push(Role::Dim, ": ");
            }
            b'"' => self.string(),
            _ => self.word(byte),
        }
        true
    }

    fn open(&mut self, open: &'static str, empty: &'static str, end: u8) {
        self.at += 1;
        if self.peek() == Some(end) {
            self.at += 1;
            self.line.push(Role::Dim, empty);
            return;
        }
        self.line.push(Role::Dim, open);
        self.depth += 1;
        self.break_line();
    }

    fn close(&mut self, sign: &'static str) {
        self.at += 1;
        self.depth = self.depth.saturating_sub(1);
        self.break_line();
        self.line.push(Role::Dim, sign);
    }

    fn break_line(&mut self) {
        let indent = " ".repeat(self.depth.min(DEEPEST) * 2);
        let next = Line::default().say(Role::Text, &indent);
        let done = std::mem::replace(&mut self.line, next);
        if done.0.iter().any(|span| !span.text.as_str().trim().is_empty()) {
            self.lines.push(done);
        }
    }

    fn string(&mut self) {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += if *byte == b'\\' { 2 } else { 1 };
            if *byte == b'"' {
                break;
            }
        }
        let end = self.at.min(self.bytes.len());
        let text = Safe::of_bytes(self.bytes.get(start..end).unwrap_or_default());
        let role = if self.peek() == Some(b':') {
            Role::JsonKey
        } else {
            Role::JsonString
        };
        self.line.push(role, text);
    }

    fn word(&mut self, first: u8) {
        let start = self.at;
        let is_word = |byte: &u8| {
            !matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"') && !byte.is_ascii_whitespace()
        };
        while self.bytes.get(self.at).is_some_and(is_word) {
            self.at += 1;
        }
        let text = Safe::of_bytes(self.bytes.get(start..self.at).unwrap_or_default());
        let is_number = first == b'-' || first.is_ascii_digit();
        self.line.push(
            if is_number {
                Role::JsonNumber
            } else {
                Role::JsonWord
            },
            text,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        lines(text.as_bytes(), 1_000).iter().map(Line::text).collect()
    }

    #[test]
    fn numbers_order_and_repeated_keys_stay_as_sent() {
        assert_eq!(
            shown(r#"{"b":1.10,"a":12345678901234567890123,"a":[{},[ ],null]}"#),
            [
                "{",
                "  \"b\": 1.10,",
                "  \"a\": 12345678901234567890123,",
                "  \"a\": [",
                "    {},",
                "    [],",
                "    null",
                "  ]",
                "}"
            ]
        );
    }

    #[test]
    fn what_breaks_off_is_shown_as_far_as_it_goes() {
        assert_eq!(shown(r#"{"a":"un\"#), ["{", "  \"a\": \"un\\"]);
        assert_eq!(shown("]]{"), ["]]{"]);
    }

    #[test]
    fn depth_does_not_matter() {
        let deep = "[".repeat(100_000);
        let shown = lines(deep.as_bytes(), 500);
        assert_eq!(shown.len(), 501);
        assert!(shown[500].text().contains("not shown"));
    }

    #[test]
    fn text_that_is_no_json_is_shown_by_line() {
        assert_eq!(shown("<html>\r\n\x1b[31m</html>"), ["<html>", "␛[31m</html>"]);
    }
}
