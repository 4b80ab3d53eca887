//! Text of peers in which nothing is hidden: for exports, for lines that programs read, and for screens.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character cannot be seen, or changes how other text is seen: control characters, marks that turn text around,
/// and what has no width or is drawn as a blank.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text with an escape as JSON has it in the place of every hidden character, but for those in `allowed` and for the
/// selector with which emoji are written, behind something that is seen. In JSON, where such characters can stand inside
/// of strings only, the value stays the same.
pub fn without_hidden<'a>(text: &'a str, allowed: &str) -> Cow<'a, str> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut is_behind_seen = false;
    for c in text.chars() {
        let is_hidden = is_hidden(c);
        let is_emoji = is_behind_seen && matches!(c, '\u{fe0e}' | '\u{fe0f}');
        is_behind_seen = !is_hidden;
        if !is_hidden || is_emoji || allowed.contains(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::without_hidden;

    #[test]
    fn what_is_hidden_is_written_out_and_json_keeps_its_value() {
        let text = "a\u{202e}b\u{9b}2J\u{7f}\u{e0041}\té";
        assert_eq!(
            without_hidden(text, "\t"),
            "a\\u202eb\\u009b2J\\u007f\\udb40\\udc41\té"
        );
        let json = serde_json::to_string(text).unwrap();
        let read: String = serde_json::from_str(&without_hidden(&json, "")).unwrap();
        assert_eq!(read, text);
    }

    #[test]
    fn emoji_stay_and_their_selectors_hide_nothing() {
        assert_eq!(without_hidden("⚠\u{fe0f} hot", ""), "⚠\u{fe0f} hot");
        assert_eq!(
            without_hidden("a\u{fe0f}\u{fe0f}\u{fe01}", ""),
            "a\u{fe0f}\\ufe0f\\ufe01"
        );
        assert_eq!(without_hidden("\u{fe0f}", ""), "\\ufe0f");
    }
}
