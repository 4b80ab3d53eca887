//! Changes of bodies on their way: the seam between what arrived, which is read and told first, and what goes on.
//!
//! A change is only ever one that the documentation names: an upstream's URL that has to be ours for the client.

pub(crate) mod document;
pub(crate) mod endpoint;
pub(crate) mod mount;

use std::fmt;

use bytes::Bytes;

use crate::snapshot::{Finding, Severity};

/// Changes one body while it passes.
///
/// It may hold bytes back, within a fixed bound, until it knows what becomes of them. All else goes on at once.
pub(crate) trait Rewrite: fmt::Debug + Send {
    /// Takes the next bytes of the body.
    fn push(&mut self, chunk: Bytes, on: &mut Onward);

    /// The body ended: `is_whole`, or broken off. Lets go of everything.
    fn finish(&mut self, is_whole: bool, on: &mut Onward);

    /// Nothing more is held or changed: the rest passes as it comes.
    fn is_done(&self) -> bool;
}

/// What goes on, and what is to be told about it.
#[derive(Debug, Default)]
pub(crate) struct Onward {
    /// Bytes for the receiver, in order.
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) changes: Changes,
}

/// What was changed, and what was found while looking.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// They are of a request's body.
    pub(crate) is_of_request: bool,
    /// One line a change: `endpoint: X → Y`.
    pub(crate) rewrites: Vec<String>,
    pub(crate) findings: Vec<Finding>,
    /// The address of an HTTP+SSE session as the client reads it.
    pub(crate) endpoint: Option<String>,
    /// What the user should hear of at once.
    pub(crate) notice: Option<String>,
}

impl Onward {
    pub(crate) fn pass(&mut self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        if !bytes.is_empty() {
            self.pieces.push(bytes);
        }
    }
}

impl Changes {
    /// `name: before → after`.
    pub(crate) fn rewrote(&mut self, name: &str, before: &str, after: &str) {
        self.rewrites.push([name, ": ", before, " → ", after].concat());
    }

    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.findings.push(Finding {
            severity: Severity::Warning,
            text: text.into(),
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rewrites.is_empty() && self.findings.is_empty()
    }
}
