//! The same server as a command that speaks on its standard input and output: what the carriers of stdio are measured with.

use std::io::{BufRead as _, Write as _};

use anyhow::Result;

use crate::message;

const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"load","version":"1"}}}"#;

/// Serves until its input ends.
///
/// # Errors
/// Nobody reads its output any more.
pub(crate) fn run() -> Result<()> {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let (mut line, mut answer) = (Vec::new(), Vec::new());
    let mut calls = 0;
    while input.read_until(b'\n', &mut line)? > 0 {
        let message = line.strip_suffix(b"\n").unwrap_or(&line);
        if answer_to(message, &mut calls, &mut answer) {
            answer.push(b'\n');
            output.write_all(&answer)?;
            output.flush()?;
        }
        line.clear();
    }
    Ok(())
}

/// Replaces `answer` by that to `message`, if it has one.
fn answer_to(message: &[u8], calls: &mut u64, answer: &mut Vec<u8>) -> bool {
    let Some(id) = message::number(message, "id") else {
        return false;
    };
    if id == 0 {
        answer.clear();
        answer.extend_from_slice(INITIALIZED);
        return true;
    }
    *calls += 1;
    match message::checked_call(id, message) {
        Some(bytes) => message::answer(id, *calls, bytes, answer),
        None => message::damaged(id, answer),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_call_is_answered_with_its_number_and_a_damaged_one_with_an_error() {
        let (mut call, mut answer, mut calls) = (Vec::new(), Vec::new(), 0);
        message::call(7, 300, 200, &mut call);
        assert!(answer_to(&call, &mut calls, &mut answer));
        assert_eq!((answer.len(), message::number(&answer, "nth")), (300, Some(1)));
        call[150] ^= 1;
        assert!(answer_to(&call, &mut calls, &mut answer));
        assert!(answer.windows(7).any(|part| part == b"\"error\""));
        assert!(!answer_to(
            br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            &mut calls,
            &mut answer
        ));
    }
}
