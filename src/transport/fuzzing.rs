//! Checks of what looks at HTTP as it passes.

use super::framing::{RequestFramer, WireHead};
use super::tap::ResponseHead;
use crate::fuzzing::cuttings;

/// Heads are found in the same places however the bytes come, and nothing behind a refused one is handed on.
pub(crate) fn heads(bytes: &[u8]) {
    let whole = requests(&[bytes], bytes.len() + 1);
    let mut rest = bytes;
    for head in &whole.0 {
        let at = memchr::memmem::find(rest, &head.bytes);
        let Some(at) = at else {
            panic!("a head that was not sent: {head:?}");
        };
        rest = &rest[at + head.bytes.len()..];
    }
    let answer = response(&[bytes], bytes.len() + 1);
    for chunks in cuttings(bytes) {
        assert_eq!(requests(&chunks, bytes.len() + 1), whole);
        assert_eq!(response(&chunks, bytes.len() + 1), answer);
        for max in [1, 16, 40] {
            let (heads, _) = requests(&chunks, max);
            assert!(heads.iter().all(|head| head.bytes.len() <= max));
            assert!(response(&chunks, max).is_none_or(|head| head.len() <= max));
        }
    }
}

/// The heads of a client's requests, and how many bytes may go on.
fn requests(chunks: &[&[u8]], max_head_bytes: usize) -> (Vec<WireHead>, usize) {
    let mut framer = RequestFramer::new(max_head_bytes);
    let (mut heads, mut allowed) = (Vec::new(), 0);
    for chunk in chunks {
        let found = framer.push(chunk);
        allowed += found.allowed;
        heads.extend(found.heads);
        if heads.last().is_some_and(|head: &WireHead| head.refusal.is_some()) {
            break;
        }
        assert_eq!(found.allowed, chunk.len());
    }
    (heads, allowed)
}

/// The head of a server's answer, after a request was written.
fn response(chunks: &[&[u8]], max_head_bytes: usize) -> Option<Vec<u8>> {
    let head = ResponseHead::default();
    head.wrote(b"POST /mcp HTTP/1.1\r\n");
    for chunk in chunks {
        head.read(chunk, max_head_bytes);
    }
    head.take().map(Vec::from)
}
