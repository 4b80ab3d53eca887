//! JSON indented and coloured as its bytes spell it: numbers, key order and repeated keys stay as they were sent.

use shadowcat::codec::json::{self, PrettyLine, TokenKind};

use crate::paint::Line;
use crate::text::Safe;
use crate::theme::Role;

/// Deepest indentation that is drawn; deeper levels stay at its column.
const DEEPEST: u16 = 32;

/// Bytes of a body that are laid out.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// A body as lines.
pub(crate) struct Layout {
    pub(crate) lines: Vec<Line>,
    /// There would have been more.
    pub(crate) is_cut: bool,
}

/// `bytes` as lines, `most` at most. What does not begin like JSON comes out as plain lines.
pub(crate) fn lay_out(bytes: &[u8], most: usize) -> Layout {
    let (mut lines, is_cut) = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => json_lines(bytes, most),
        _ => (plain_lines(bytes).take(most.saturating_add(1)).collect(), false),
    };
    let is_cut = is_cut || lines.len() > most;
    lines.truncate(most);
    Layout { lines, is_cut }
}

/// `bytes` line by line, made safe and nothing more.
pub(crate) fn as_it_is(bytes: &[u8]) -> Layout {
    Layout {
        lines: plain_lines(bytes).collect(),
        is_cut: false,
    }
}

/// The lines of the Pretty tab.
pub(super) fn lines(bytes: &[u8], most: usize) -> Vec<Line> {
    if bytes.trim_ascii().is_empty() {
        return vec![Line::of(Role::Dim, "empty body")];
    }
    let mut layout = lay_out(bytes, most);
    if layout.is_cut {
        layout
            .lines
            .push(Line::of(Role::Warn, "the rest is not shown; the Raw tab has it"));
    }
    layout.lines
}

fn plain_lines(bytes: &[u8]) -> impl Iterator<Item = Line> {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.map(|line| {
        Line::of(
            Role::Text,
            Safe::of_bytes(line.strip_suffix(b"\r").unwrap_or(line)),
        )
    })
}

fn json_lines(bytes: &[u8], most: usize) -> (Vec<Line>, bool) {
    let pretty = json::pretty(bytes, MOST_BYTES);
    let lines = pretty.lines.into_iter().take(most.saturating_add(1)).map(line);
    (lines.collect(), pretty.is_cut)
}

fn line(pretty: PrettyLine) -> Line {
    let indent = " ".repeat(usize::from(pretty.indent.min(DEEPEST)) * 2);
    let line = Line::default().say(Role::Text, &indent);
    pretty
        .spans
        .into_iter()
        .fold(line, |line, (kind, text)| line.say(role(kind), &text))
}

const fn role(kind: TokenKind) -> Role {
    match kind {
        TokenKind::Key => Role::JsonKey,
        TokenKind::String => Role::JsonString,
        TokenKind::Number => Role::JsonNumber,
        TokenKind::Bool | TokenKind::Null => Role::JsonWord,
        TokenKind::Punctuation => Role::Dim,
        TokenKind::Garbage => Role::Bad,
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
        assert_eq!(shown("[]]{"), ["[]", "]", "{"]);
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
