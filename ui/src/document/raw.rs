//! The exact bytes: text with every control character visible, or hex.

use std::fmt::Write as _;

use crate::paint::Line;
use crate::text::Safe;
use crate::theme::Role;

const BYTES_A_LINE: usize = 16;

/// The lines of `bytes`, `most` at most; hex if asked for, or if it is not text.
pub(super) fn lines(bytes: &[u8], wants_hex: bool, most: usize) -> Vec<Line> {
    if wants_hex || is_binary(bytes) {
        return hex(bytes, most);
    }
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').take(most);
    lines
        .map(|line| Line::of(Role::Text, Safe::of_bytes(line)))
        .collect()
}

fn is_binary(bytes: &[u8]) -> bool {
    let invalid: usize = bytes.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    bytes.contains(&0) || invalid * 10 > bytes.len()
}

fn hex(bytes: &[u8], most: usize) -> Vec<Line> {
    let lines = bytes.chunks(BYTES_A_LINE).take(most).enumerate();
    lines
        .map(|(number, chunk)| hex_line(number * BYTES_A_LINE, chunk))
        .collect()
}

fn hex_line(offset: usize, chunk: &[u8]) -> Line {
    let mut codes = String::new();
    for (position, byte) in chunk.iter().enumerate() {
        let gap = if position == BYTES_A_LINE / 2 { " " } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(codes, "{gap}{byte:02x} ");
    }
    let letter = |byte: &u8| {
        if byte.is_ascii_graphic() || *byte == b' ' {
            char::from(*byte)
        } else {
            '.'
        }
    };
    let letters: String = chunk.iter().map(letter).collect();
    Line::default()
        .say(Role::Dim, &format!("{offset:08x}  "))
        .say(Role::Text, &format!("{codes:<49} "))
        .say(Role::JsonString, &letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8], wants_hex: bool) -> Vec<String> {
        lines(bytes, wants_hex, 100).iter().map(Line::text).collect()
    }

    #[test]
    fn line_ends_are_visible() {
        assert_eq!(shown(b"data: x\r\n\n", false), ["data: x␍␊", "␊"]);
    }

    #[test]
    fn what_is_not_text_is_shown_in_hex_unasked() {
        assert_eq!(
            shown(b"\x00\x01abcdefghijklmnop", false),
            [
                "00000000  00 01 61 62 63 64 65 66  67 68 69 6a 6b 6c 6d 6e  ..abcdefghijklmn",
                "00000010  6f 70                                             op"
            ]
        );
    }
}
