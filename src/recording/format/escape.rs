//! Long texts in lines: serde looks at each byte by itself, which is most of what writing a body costs.

use super::{FrameLine, Line};

/// Shorter texts are left to serde.
const LONG_TEXT: usize = 128;

/// Bytes that are looked at together.
const CHUNK: usize = 32;

/// What serde writes for an empty text. It stands nowhere else, since quotes inside of other texts are escaped.
const EMPTY: &[u8] = b"\"text\":\"\"";

impl Line {
    /// Does the same as [`Line::write_to`], sooner.
    pub(in crate::recording) fn write_fast(&mut self, out: &mut Vec<u8>) {
        let Self::Frame(FrameLine { text: Some(text), .. }) = self else {
            return self.write_to(out);
        };
        if text.len() < LONG_TEXT {
            return self.write_to(out);
        }
        let text = std::mem::take(text);
        let start = out.len();
        self.write_to(out);
        let empty = memchr::memmem::find(&out[start..], EMPTY);
        if let Some(place) = empty {
            let tail = out.split_off(start + place + EMPTY.len() - 1);
            out.reserve(text.len() + text.len() / 8 + tail.len());
            escape(text.as_bytes(), out);
            out.extend_from_slice(&tail);
        }
        if let Self::Frame(frame) = self {
            frame.text = Some(text);
        }
    }
}

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Appends the content of a JSON string, spelled as serde does.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut chunks = text.chunks_exact(CHUNK);
    for chunk in &mut chunks {
        // Without a branch for each byte, so that the compiler takes many at once.
        let has_special = chunk.iter().fold(false, |any, byte| any | is_special(*byte));
        if has_special {
            escape_each(chunk, out);
        } else {
            out.extend_from_slice(chunk);
        }
    }
    escape_each(chunks.remainder(), out);
}

/// What stands behind the backslash, by byte: 0 if there is none, `u` if four digits do.
const ESCAPE: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x0c] = b'f';
    table[b'\n' as usize] = b'n';
    table[b'\r' as usize] = b'r';
    table[b'\t' as usize] = b't';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// The same for a chunk or less, through a buffer whose room need not be looked at for each byte.
fn escape_each(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut buffer = [0; 2 * CHUNK];
    let mut used = 0;
    for byte in text {
        match ESCAPE[usize::from(*byte)] {
            0 => {
                buffer[used] = *byte;
                used += 1;
            }
            b'u' => {
                out.extend_from_slice(&buffer[..used]);
                used = 0;
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
            short => {
                buffer[used..used + 2].copy_from_slice(&[b'\\', short]);
                used += 2;
            }
        }
    }
    out.extend_from_slice(&buffer[..used]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(text: &str, coding: &str) -> Line {
        let line = r#"{"type":"frame","seq":1,"us":2,"exchange":3,"direction":"client_to_server","transport":"http","frame":0,"part":0,"last":true,"text":"x","coding":"x","messages":1}"#;
        let mut line = Line::parse(line.as_bytes()).unwrap();
        if let Line::Frame(frame) = &mut line {
            frame.text = Some(text.to_owned());
            frame.coding = Some(coding.to_owned());
        }
        line
    }

    proptest! {
        #[test]
        fn a_long_text_is_written_as_serde_writes_it(
            text in "[\\x00-\\x1f\"\\\\\\x7f-\u{ff}a-z\u{1f600}]{0,300}",
            coding in "[a\":,tex\\\\]{0,20}",
        ) {
            for text in [text.clone(), text.repeat(3)] {
                let mut line = frame(&text, &coding);
                let (mut slow, mut fast) = (b"before".to_vec(), b"before".to_vec());
                line.write_to(&mut slow);
                line.write_fast(&mut fast);
                prop_assert_eq!(&slow, &fast);
                prop_assert_eq!(line, frame(&text, &coding));
            }
        }
    }
}
