//! Changing a small document as a whole.

use std::fmt;

use bytes::Bytes;

use super::{Changes, Onward, Rewrite};

/// The largest document that is held to be changed. Metadata and forms of OAuth are a few KiB.
pub(crate) const MAX_DOCUMENT: usize = 64 * 1024;

/// Holds a document until it is whole, then changes it.
///
/// One above [`MAX_DOCUMENT`] bytes, or one that breaks off, goes on as it came.
pub(crate) struct DocumentRewrite<E> {
    held: Vec<u8>,
    edit: E,
    is_done: bool,
}

impl<E> fmt::Debug for DocumentRewrite<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentRewrite")
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl<E: FnMut(&[u8], &mut Changes) -> Option<Vec<u8>> + Send> DocumentRewrite<E> {
    /// `edit` gives the document to send in place of the one it sees; `None` leaves it as it is.
    pub(crate) fn new(edit: E) -> Self {
        Self {
            held: Vec::new(),
            edit,
            is_done: false,
        }
    }
}

impl<E: FnMut(&[u8], &mut Changes) -> Option<Vec<u8>> + Send> Rewrite for DocumentRewrite<E> {
    fn push(&mut self, chunk: Bytes, on: &mut Onward) {
        if self.is_done {
            return on.pass(chunk);
        }
        if self.held.len() + chunk.len() <= MAX_DOCUMENT {
            return self.held.extend_from_slice(&chunk);
        }
        self.is_done = true;
        on.changes.warn(format!(
            "it is longer than {MAX_DOCUMENT} bytes and passed on as it is, though URLs in it should lead through the proxy"
        ));
        on.pass(std::mem::take(&mut self.held));
        on.pass(chunk);
    }

    fn finish(&mut self, is_whole: bool, on: &mut Onward) {
        if std::mem::replace(&mut self.is_done, true) {
            return;
        }
        let document = std::mem::take(&mut self.held);
        let changed = if is_whole {
            (self.edit)(&document, &mut on.changes)
        } else {
            None
        };
        on.pass(changed.unwrap_or(document));
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}

/// Looks at the beginning of a document that passes as it comes.
pub(crate) struct DocumentWatch<F> {
    head: Vec<u8>,
    look: F,
}

/// Bytes of a document that are looked at. Errors of OAuth are short.
const MAX_LOOKED_AT: usize = 4 * 1024;

impl<F> fmt::Debug for DocumentWatch<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentWatch").finish_non_exhaustive()
    }
}

impl<F: FnMut(&[u8], &mut Changes) + Send> DocumentWatch<F> {
    pub(crate) fn new(look: F) -> Self {
        Self {
            head: Vec::new(),
            look,
        }
    }
}

impl<F: FnMut(&[u8], &mut Changes) + Send> Rewrite for DocumentWatch<F> {
    fn push(&mut self, chunk: Bytes, on: &mut Onward) {
        let room = MAX_LOOKED_AT.saturating_sub(self.head.len()).min(chunk.len());
        self.head.extend_from_slice(&chunk[..room]);
        on.pass(chunk);
    }

    fn finish(&mut self, _is_whole: bool, on: &mut Onward) {
        (self.look)(&self.head, &mut on.changes);
    }

    fn is_done(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(chunks: &[&[u8]], is_whole: bool) -> (Vec<u8>, usize) {
        let mut stage =
            DocumentRewrite::new(|document: &[u8], _: &mut Changes| Some(document.to_ascii_uppercase()));
        let mut on = Onward::default();
        for chunk in chunks {
            stage.push(Bytes::copy_from_slice(chunk), &mut on);
        }
        stage.finish(is_whole, &mut on);
        (on.pieces.concat(), on.changes.findings.len())
    }

    #[test]
    fn a_document_is_changed_when_it_is_whole_and_small() {
        assert_eq!(run(&[b"a", b"b"], true), (b"AB".to_vec(), 0));
        assert_eq!(run(&[b"a", b"b"], false), (b"ab".to_vec(), 0));
        let large = vec![b'x'; MAX_DOCUMENT];
        assert_eq!(run(&[&large, b"y"], true), ([&large[..], b"y"].concat(), 1));
    }
}
