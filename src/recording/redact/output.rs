//! Where redacted bytes go.

use super::tag::{Secret, Tagger};

/// Collects what may be written, and counts what may not.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    tagger: &'a Tagger,
    /// What may be written.
    pub(crate) bytes: Vec<u8>,
    /// Secrets that were replaced by a tag.
    pub(crate) redactions: u32,
    /// Bytes that were left out, because nobody can tell whether a secret is in them.
    pub(crate) withheld: u64,
}

impl<'a> Output<'a> {
    /// An empty output whose tags come from `tagger`.
    pub(crate) fn new(tagger: &'a Tagger) -> Self {
        Self {
            tagger,
            bytes: Vec::new(),
            redactions: 0,
            withheld: 0,
        }
    }

    /// An empty output with the same tags.
    pub(super) fn beside(&self) -> Output<'a> {
        Self::new(self.tagger)
    }

    /// Makes room for what so many bytes will become, unless there are secrets in them.
    pub(crate) fn expect(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    pub(super) fn pass(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn begin(&self) -> Secret {
        self.tagger.begin()
    }

    /// Writes the tag of a secret that was swallowed.
    pub(super) fn end(&mut self, secret: Secret) {
        if let Some(tag) = secret.as_tag() {
            self.bytes.extend_from_slice(tag);
            return;
        }
        self.bytes.extend_from_slice(secret.tag().as_bytes());
        self.redactions += 1;
    }

    /// Writes the tag of a whole secret; nothing for an empty one.
    pub(super) fn replace(&mut self, secret: &[u8]) {
        if !secret.is_empty() {
            let mut begun = self.begin();
            begun.push(secret);
            self.end(begun);
        }
    }

    /// Takes what may be written of `text`, which is whole, into its place.
    pub(crate) fn take_into(&mut self, text: &mut Vec<u8>) {
        if self.tagger.patterns().is_empty() && self.bytes == *text {
            self.bytes.clear();
        } else {
            *text = self.take();
        }
    }

    /// Takes what may be written of a text that is whole.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let text = std::mem::take(&mut self.bytes);
        let (text, replaced) = self.tagger.patterns().replace(text, self.tagger);
        self.redactions += replaced;
        text
    }
}
