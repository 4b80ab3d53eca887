//! The last words of a program: what its error output said before it ended.

use std::sync::{Mutex, PoisonError};

use crate::recording::hide_secrets;

/// Bytes that are kept.
const KEPT_BYTES: usize = 2048;
/// Lines that are quoted.
const QUOTED_LINES: usize = 5;

/// The end of a program's error output.
#[derive(Debug, Default)]
pub(super) struct Tail(Mutex<Vec<u8>>);

impl Tail {
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&bytes[bytes.len().saturating_sub(KEPT_BYTES)..]);
        let over = kept.len().saturating_sub(KEPT_BYTES);
        kept.drain(..over);
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
