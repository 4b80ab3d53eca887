//! The last words of a program: what its error output said before it ended.

use std::sync::{Mutex, PoisonError};

use memchr::{memchr, memrchr};

use crate::recording::hide_secrets;

/// Bytes that are kept, of one line at most.
const KEPT_BYTES: usize = 2048;
/// Lines that are quoted.
const QUOTED_LINES: usize = 5;

/// The end of a program's error output, from the start of a line on: a secret is told by what stands before it, so what is
/// cut is older lines and the ends of long ones.
#[derive(Debug, Default)]
pub(super) struct Tail(Mutex<Vec<u8>>);

impl Tail {
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            keep(&mut kept, part);
        }
    }

    /// A sentence that quotes the last lines; empty if there are none.
    pub(super) fn in_words(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept);
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .collect();
        let last = lines
            .get(lines.len().saturating_sub(QUOTED_LINES)..)
            .unwrap_or_default();
        if last.is_empty() {
            return String::new();
        }
        format!(" Its last words on stderr: {}", hide_secrets(&last.join("\n")))
    }
}

/// Appends a line or a part of one, as far as there is room for so long a line, and drops the oldest lines.
fn keep(kept: &mut Vec<u8>, part: &[u8]) {
    let (text, feed) = match part {
        [text @ .., b'\n'] => (text, &b"\n"[..]),
        text => (text, &b""[..]),
    };
    let line = memrchr(b'\n', kept).map_or(0, |feed| feed + 1);
    let room = (KEPT_BYTES - 1).saturating_sub(kept.len() - line);
    kept.extend_from_slice(&text[..text.len().min(room)]);
    kept.extend_from_slice(feed);
    while kept.len() > KEPT_BYTES {
        let oldest = memchr(b'\n', kept).map_or(kept.len(), |feed| feed + 1);
        kept.drain(..oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_has_no_secret_in_it() {
        let tail = Tail::default();
        tail.push(b"cannot log in, password=s3cr3t\n");
        assert_eq!(
            tail.in_words(),
            " Its last words on stderr: cannot log in, password=***"
        );
    }

    #[test]
    fn what_is_cut_is_not_what_tells_a_secret() {
        let secret = "s3cr3t".repeat(500);
        for more in [0, 1, 1_900, 2_040, 2_047, 2_048] {
            let tail = Tail::default();
            let line = format!("password={secret}{}", "x".repeat(more));
            for part in line.as_bytes().chunks(700) {
                tail.push(part);
            }
            assert_eq!(tail.in_words(), " Its last words on stderr: password=***");
            tail.push(format!("\n{}\nend", "y".repeat(more)).as_bytes());
            let said = tail.in_words();
            assert!(!said.contains("s3cr3t") && said.ends_with("end"), "{said}");
        }
    }

    #[test]
    fn the_last_lines_are_quoted_whatever_came_before() {
        let tail = Tail::default();
        assert_eq!(tail.in_words(), "");
        tail.push(&vec![b'x'; 10_000]);
        tail.push(b"\n1\n2\n\n3\n4\nError: no such ");
        tail.push(b"file\n");
        assert_eq!(
            tail.in_words(),
            " Its last words on stderr: 1\n2\n3\n4\nError: no such file"
        );
    }
}
