//! Payloads that both ends can make from a number, so that every byte can be checked.

use std::sync::LazyLock;

/// Bytes until a payload repeats; a prime, so that no buffer size hides a block that was lost or came twice.
const PERIOD: usize = 65_521;

/// How far the payloads of neighbouring numbers are apart in the pattern.
const STEP: u64 = 131;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(|| next_letter(&mut state))
        .take(PERIOD)
        .collect()
});

fn next_letter(state: &mut u64) -> u8 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    let index = usize::try_from(*state >> 58).unwrap_or(0);
    ALPHABET.get(index).copied().unwrap_or(b'A')
}

fn start(number: u64) -> usize {
    let period = u64::try_from(PERIOD).unwrap_or(1);
    usize::try_from((number % period) * STEP % period).unwrap_or(0)
}

/// The pieces of `length` bytes of the payload of `number`, from its byte `from` on.
fn pieces(number: u64, from: usize, length: usize) -> impl Iterator<Item = &'static [u8]> {
    let mut at = (start(number) + from) % PERIOD;
    let mut left = length;
    std::iter::from_fn(move || {
        let piece = PATTERN.get(at..(at + left).min(PERIOD))?;
        left -= piece.len();
        at = (at + piece.len()) % PERIOD;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Appends `length` bytes of the payload of `number`, from its byte `from` on: letters, digits, `-` and `_`.
pub(crate) fn append(number: u64, from: usize, length: usize, out: &mut Vec<u8>) {
    pieces(number, from, length).for_each(|piece| out.extend_from_slice(piece));
}

/// Whether `bytes` are the payload of `number` from its byte `from` on.
pub(crate) fn matches(number: u64, from: usize, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    pieces(number, from, bytes.len()).all(|piece| {
        let (head, tail) = rest.split_at(piece.len());
        rest = tail;
        head == piece
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_matches_its_own_number_only() {
        let mut bytes = Vec::new();
        append(7, 0, 200_000, &mut bytes);
        assert_eq!(bytes.len(), 200_000);
        assert!(matches(7, 0, &bytes));
        assert!(!matches(8, 0, &bytes));
        assert!(matches(7, 1_000, &bytes[1_000..]));
    }

    #[test]
    fn one_changed_or_moved_byte_is_noticed() {
        let mut bytes = Vec::new();
        append(3, 0, 70_000, &mut bytes);
        let mut changed = bytes.clone();
        changed[69_000] ^= 1;
        assert!(!matches(3, 0, &changed));
        bytes.remove(10);
        assert!(!matches(3, 0, &bytes));
    }
}
