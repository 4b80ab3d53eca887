//! One document: a JSON text or any other body that is no stream.

use bytes::Bytes;

use crate::codec::envelope::{EnvelopeScanner, Scan, Shape};
use crate::resource::meters::Lease;
use crate::session::observation::NO_JSON_RPC;

/// Of a stated length so much is believed before anything has come.
const BELIEVED_BYTES: usize = 64 * 1024;

/// A body that is one document, as far as it is here.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) scanner: EnvelopeScanner,
    kept: Vec<u8>,
    /// Bytes that are to come, as far as the head tells; 0 if it does not.
    pub(super) expected: usize,
    pub(super) size: u64,
    pub(super) is_cut: bool,
    pub(super) is_json: bool,
}

impl Document {
    /// What there is of it; another one of its kind may follow.
    pub(super) fn next(&mut self) -> Self {
        let next = Self::new(self.is_json);
        std::mem::replace(self, next)
    }

    /// Nothing yet of a body that should be JSON, or may be anything.
    pub(super) fn new(is_json: bool) -> Self {
        Self {
            is_json,
            ..Self::default()
        }
    }

    /// Takes the next bytes: scans all, keeps as many as there is room for.
    pub(super) fn keep(&mut self, chunk: &Bytes, max_kept: usize, lease: &mut Lease) {
        self.scanner.push(chunk);
        self.size += chunk.len() as u64;
        // Once something is missing, what comes later would stand in a wrong place.
        let wanted = if self.is_cut {
            0
        } else {
            chunk.len().min(max_kept.saturating_sub(self.kept.len()))
        };
        let needed = self.kept.len() + wanted;
        let room = if needed <= self.kept.capacity() || self.grow(needed, max_kept, lease) {
            wanted
        } else {
            0
        };
        self.kept.extend_from_slice(&chunk[..room]);
        self.is_cut |= room < chunk.len();
    }

    /// Makes room for `needed` bytes in all: at best for as many as are to come, so that they are copied once.
    fn grow(&mut self, needed: usize, max_kept: usize, lease: &mut Lease) -> bool {
        let doubled = 2 * self.kept.capacity();
        // A length is only said: more than this is believed as it comes.
        let expected = self.expected.min(BELIEVED_BYTES.max(4 * needed));
        let ample = needed.max(expected.max(doubled).min(max_kept));
        let capacity = [ample, needed].into_iter().find(|bytes| lease.resize(*bytes));
        if let Some(capacity) = capacity {
            self.kept.reserve_exact(capacity - self.kept.len());
        }
        capacity.is_some()
    }

    /// What was kept, without room to spare.
    pub(super) fn take_kept(&mut self) -> Bytes {
        std::mem::take(&mut self.kept).into_boxed_slice().into()
    }
}

/// Why there is no message in it although one was to be expected.
pub(super) fn document_problem(found: &Scan, is_json: bool) -> Option<String> {
    let text = match found.shape {
        Shape::NotJson if is_json => "the media type says JSON, the body is none",
        Shape::Cut if is_json => "the JSON ends too early",
        Shape::Broken if is_json => "the JSON is broken",
        Shape::Single | Shape::Batch if is_json && !found.is_json_rpc() => NO_JSON_RPC,
        _ => return None,
    };
    Some(text.to_owned())
}
