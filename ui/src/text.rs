//! Bytes of peers made safe to show. [`Safe`] is the only text that a view can draw.
//!
//! Control characters, bidirectional marks and invisible characters come out as visible escapes, so traffic can neither
//! move the cursor, nor change colours, nor hide or reorder what is on screen.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;
use shadowcat::codec::hidden::{is_hidden, without_hidden};
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns between two tab stops.
const TAB: usize = 4;

/// Combining marks that may follow one another; more would paint over the lines around.
const MARKS: usize = 4;

/// Text of one line without anything a terminal would obey.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Safe(Cow<'static, str>);

impl Safe {
    /// Text of our own that is known to be clean.
    pub(crate) const fn fixed(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// `text` with everything dangerous escaped.
    pub(crate) fn of(text: &str) -> Self {
        if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Self(Cow::Owned(text.to_owned()));
        }
        let mut escaper = Escaper::default();
        text.chars().for_each(|character| escaper.push(character));
        Self(Cow::Owned(escaper.out))
    }

    /// `bytes` as text; what is not UTF-8 comes out as `\xff`.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        let mut escaper = Escaper::default();
        for chunk in bytes.utf8_chunks() {
            chunk
                .valid()
                .chars()
                .for_each(|character| escaper.push(character));
            for byte in chunk.invalid() {
                escaper.escape(format_args!("\\x{byte:02x}"));
            }
        }
        Self(Cow::Owned(escaper.out))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Columns it takes on screen.
    pub(crate) fn width(&self) -> usize {
        self.0.width()
    }

    /// The text cut to `columns`, its last column an ellipsis if something was cut.
    pub(crate) fn fit(&self, columns: usize, ellipsis: &'static str) -> Self {
        if self.width() <= columns {
            return self.clone();
        }
        let room = columns.saturating_sub(ellipsis.width());
        let mut head = self.head(room);
        if columns >= ellipsis.width() {
            head.push_str(ellipsis);
        }
        Self(Cow::Owned(head))
    }

    /// The text cut to `columns` in its middle, where an ellipsis tells of it; the end keeps more than the beginning.
    pub(crate) fn fit_middle(&self, columns: usize, ellipsis: &'static str) -> Self {
        let width = self.width();
        let room = columns.saturating_sub(ellipsis.width());
        if width <= columns || room < 4 {
            return self.fit(columns, ellipsis);
        }
        let tail = room * 2 / 3;
        let head = self.head(room - tail);
        let rest = self.skip(width - tail);
        Self(Cow::Owned(format!("{head}{ellipsis}{}", rest.as_str())))
    }

    /// The first graphemes that fit into `columns`.
    fn head(&self, columns: usize) -> String {
        let mut used = 0;
        let fitting = self.0.graphemes(true).take_while(|grapheme| {
            used += grapheme.width();
            used <= columns
        });
        fitting.collect()
    }

    /// The text without its first `columns` columns; a wide character that is cut through leaves a space.
    pub(crate) fn skip(&self, columns: usize) -> Self {
        let mut skipped = 0;
        let mut rest = String::new();
        for grapheme in self.0.graphemes(true) {
            if skipped >= columns {
                rest.push_str(grapheme);
                continue;
            }
            skipped += grapheme.width();
            (columns..skipped).for_each(|_| rest.push(' '));
        }
        Self(Cow::Owned(rest))
    }

    /// The text cut into pieces of at most `columns` columns, the first of at most `first`.
    pub(crate) fn pieces(&self, first: usize, columns: usize) -> Vec<Self> {
        let mut pieces = Vec::new();
        let (mut piece, mut used, mut room) = (String::new(), 0, first);
        for grapheme in self.0.graphemes(true) {
            let width = grapheme.width();
            if used + width > room {
                pieces.push(Self(Cow::Owned(std::mem::take(&mut piece))));
                (used, room) = (0, columns.max(width));
            }
            used += width;
            piece.push_str(grapheme);
        }
        pieces.push(Self(Cow::Owned(piece)));
        pieces
    }
}

impl From<&'static str> for Safe {
    fn from(text: &'static str) -> Self {
        Self::fixed(text)
    }
}

#[derive(Default)]
struct Escaper {
    out: String,
    column: usize,
    marks: usize,
}

impl Escaper {
    fn push(&mut self, character: char) {
        match character {
            '\t' => {
                let spaces = TAB - self.column % TAB;
                self.column += spaces;
                self.out.extend(std::iter::repeat_n(' ', spaces));
            }
            '\0'..='\x1f' => self.plain(picture(character), 1),
            '\x7f' => self.plain('␡', 1),
            '\u{80}'..='\u{9f}' => self.escape(format_args!("\\x{:02x}", u32::from(character))),
            hidden if is_hidden(hidden) => self.escape(format_args!("\\u{{{:x}}}", u32::from(hidden))),
            mark if mark.width() == Some(0) => self.mark(mark),
            other => self.plain(other, other.width().unwrap_or(0)),
        }
    }

    fn plain(&mut self, character: char, width: usize) {
        self.out.push(character);
        self.column += width;
        self.marks = 0;
    }

    fn mark(&mut self, mark: char) {
        self.marks += 1;
        if self.marks > MARKS || self.column == 0 {
            self.escape(format_args!("\\u{{{:x}}}", u32::from(mark)));
        } else {
            self.out.push(mark);
        }
    }

    fn escape(&mut self, escape: std::fmt::Arguments<'_>) {
        let before = self.out.len();
        // Writing to a string cannot fail.
        let _ = self.out.write_fmt(escape);
        self.column += self.out.len() - before;
    }
}

/// The picture of a C0 control character: `␛` for ESC.
fn picture(control: char) -> char {
    char::from_u32(0x2400 + u32::from(control)).unwrap_or('␀')
}

/// `value` as JSON text in which nothing is left that a terminal would obey or hide.
pub(crate) fn harmless_json(value: &impl Serialize) -> String {
    // None of the values here can fail to become JSON.
    let text = serde_json::to_string(value).unwrap_or_default();
    match without_hidden(&text, "") {
        Cow::Borrowed(_) => text,
        Cow::Owned(escaped) => escaped,
    }
}

/// Text for the clipboard: line ends and tabs stay, all else that is dangerous to paste is escaped.
pub(crate) fn for_clipboard(bytes: &[u8]) -> String {
    let lines = bytes.split(|byte| *byte == b'\n').map(|line| {
        let cells: Vec<String> = line
            .split(|byte| *byte == b'\t')
            .map(|cell| Safe::of_bytes(cell).0.into_owned())
            .collect();
        cells.join("\t")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The text of a message for the clipboard, exactly as it is, and what of it is shown instead: what is not UTF-8, and
/// control characters other than tabs and line ends, which a terminal would obey when they are pasted.
pub(crate) fn exact_for_clipboard(bytes: &[u8]) -> (String, Option<&'static str>) {
    let mut out = String::with_capacity(bytes.len());
    let (mut has_controls, mut has_other_bytes) = (false, false);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() && !matches!(character, '\t' | '\n' | '\r') {
                has_controls = true;
                out.push_str(Safe::of(character.encode_utf8(&mut [0; 4])).as_str());
            } else {
                out.push(character);
            }
        }
        has_other_bytes |= !chunk.invalid().is_empty();
        out.push_str(Safe::of_bytes(chunk.invalid()).as_str());
    }
    let shown = match (has_controls, has_other_bytes) {
        (false, false) => None,
        (true, false) => Some("control characters as shown"),
        (false, true) => Some("what is not UTF-8 as shown"),
        (true, true) => Some("control characters and what is not UTF-8 as shown"),
    };
    (out, shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_shown_and_not_obeyed() {
        assert_eq!(
            Safe::of("a\x1b[31mred\x07\r\n\x7f\u{9b}2J").as_str(),
            "a␛[31mred␇␍␊␡\\x9b2J"
        );
    }

    #[test]
    fn text_that_hides_or_reorders_is_shown_as_what_it_is() {
        assert_eq!(
            Safe::of("user\u{202e}nimda\u{200b}\u{feff}").as_str(),
            "user\\u{202e}nimda\\u{200b}\\u{feff}"
        );
    }

    #[test]
    fn a_pile_of_combining_marks_is_cut() {
        let pile = format!("e{}", "\u{301}".repeat(9));
        assert_eq!(Safe::of(&pile).as_str().matches("\\u{301}").count(), 5);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown_in_hex() {
        assert_eq!(Safe::of_bytes(b"ok\xff\xfe!").as_str(), "ok\\xff\\xfe!");
    }

    #[test]
    fn cutting_counts_columns_and_says_so() {
        assert_eq!(Safe::of("日本語テキスト").fit(7, "…").as_str(), "日本語…");
        assert_eq!(Safe::of("short").fit(7, "…").as_str(), "short");
        assert_eq!(Safe::of("日本").skip(1).as_str(), " 本");
        assert_eq!(Safe::of("abc").fit(0, "…").as_str(), "");
    }

    #[test]
    fn tabs_reach_the_next_stop() {
        assert_eq!(Safe::of("a\tb").as_str(), "a   b");
    }

    #[test]
    fn pieces_hold_all_of_the_text() {
        let pieces = Safe::of("abcdefgh日").pieces(3, 4);
        let texts: Vec<&str> = pieces.iter().map(Safe::as_str).collect();
        assert_eq!(texts, ["abc", "defg", "h日"]);
    }

    #[test]
    fn a_message_is_copied_exactly_but_for_what_a_terminal_would_obey() {
        let text = "\u{1f469}\u{200d}\u{1f4bb} \u{202e}e\u{301}\u{301}\u{301}\u{301}\u{301}\u{feff}\t\r\n";
        assert_eq!(exact_for_clipboard(text.as_bytes()), (text.to_owned(), None));
        assert_eq!(
            exact_for_clipboard(b"a\x1b[201~\xc2\x9b"),
            ("a␛[201~\\x9b".to_owned(), Some("control characters as shown"))
        );
        assert_eq!(
            exact_for_clipboard(b"\xe2\x80\x8dok\xff"),
            ("\u{200d}ok\\xff".to_owned(), Some("what is not UTF-8 as shown"))
        );
    }

    #[test]
    fn the_clipboard_keeps_lines_and_loses_escapes() {
        assert_eq!(for_clipboard(b"a\tb\n\x1b[2Jc"), "a\tb\n␛[2Jc");
    }
}
