//! Text of an archive that was UTF-8 and was read as windows-1252, which is what Chromium does with an event stream whose
//! media type names no charset.

/// What the bytes 0x80 to 0x9f are in windows-1252; what is missing there is the control character of that number.
///
/// Source: WHATWG Encoding, index windows-1252.
const UPPER: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2c6}',
    '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}', '\u{90}', '\u{2018}',
    '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2dc}', '\u{2122}', '\u{161}',
    '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
];

/// The bytes that were read wrong, if there are exactly `size` of them and they are UTF-8.
pub(super) fn undone(text: &str, size: usize) -> Option<Vec<u8>> {
    if text.len() <= size {
        return None;
    }
    let bytes: Option<Vec<u8>> = text.chars().map(byte).collect();
    bytes.filter(|bytes| bytes.len() == size && std::str::from_utf8(bytes).is_ok())
}

fn byte(c: char) -> Option<u8> {
    match UPPER.iter().position(|upper| *upper == c) {
        Some(place) => u8::try_from(0x80 + place).ok(),
        None => u8::try_from(u32::from(c)).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::{UPPER, undone};

    /// As a browser reads bytes by that charset.
    fn misread(bytes: &[u8]) -> String {
        let read = |byte: &u8| match byte {
            0x80..=0x9f => UPPER[usize::from(byte - 0x80)],
            byte => char::from(*byte),
        };
        bytes.iter().map(read).collect()
    }

    #[test]
    fn what_was_misread_is_undone_by_its_size() {
        let said = "hello ☃, “Grüße” – 😀";
        assert_eq!(misread("☃".as_bytes()), "â˜ƒ");
        assert_eq!(
            undone(&misread(said.as_bytes()), said.len()).as_deref(),
            Some(said.as_bytes())
        );
    }

    #[test]
    fn text_that_was_read_right_stays_as_it_is() {
        for (text, size) in [
            ("â˜ƒ", "â˜ƒ".len()),
            ("Grüße", 5),
            ("Grüße", 7),
            ("☃", 2),
            ("plain", 3),
            ("plain", 5),
        ] {
            assert_eq!(undone(text, size), None, "{text} {size}");
        }
    }
}
