//! Cutting what passes into frames, byte for byte.

use bytes::{Bytes, BytesMut};

use crate::codec::cut::Boundary;
use crate::codec::cut::Piece;
use crate::codec::lines::LineBoundary;
use crate::codec::lines::LineCutter;
use crate::codec::sse::{BoundaryFinder, SseCutter};

/// What a lane's bytes are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One document.
    Document,
    /// An event stream.
    Events,
    /// A message a line.
    Lines,
    /// Each push is one message of a WebSocket: its frames as they came, and noted with its payload whole.
    Messages,
    /// One message of a batch: what becomes of it is put together with the others'.
    Entry,
}

#[derive(Debug)]
pub(super) enum Cutting {
    Document {
        kept: BytesMut,
        max: usize,
        is_too_large: bool,
    },
    Events {
        cutter: SseCutter,
        partial: Option<BoundaryFinder>,
    },
    Lines {
        cutter: LineCutter,
        partial: Option<LineBoundary>,
    },
    Messages,
}

impl Cutting {
    /// A cutter for frames of up to `max` bytes. Inside a frame, the rest of that passes.
    pub(super) fn new(form: Form, max: usize, is_inside: bool) -> Self {
        match form {
            Form::Document => Self::Document {
                kept: BytesMut::new(),
                max,
                is_too_large: is_inside,
            },
            Form::Events => Self::Events {
                cutter: SseCutter::new(max),
                partial: is_inside.then(BoundaryFinder::in_line),
            },
            Form::Lines => Self::Lines {
                cutter: LineCutter::new(max),
                partial: is_inside.then_some(LineBoundary),
            },
            Form::Messages | Form::Entry => Self::Messages,
        }
    }

    pub(super) fn push(&mut self, chunk: &Bytes, out: &mut Vec<Piece>) {
        match self {
            Self::Document {
                kept,
                max,
                is_too_large,
            } => {
                if *is_too_large {
                    out.push(Piece::Part(chunk.clone()));
                } else if kept.len() + chunk.len() > *max {
                    *is_too_large = true;
                    out.push(Piece::Part(kept.split().freeze()));
                    out.push(Piece::Part(chunk.clone()));
                } else {
                    kept.extend_from_slice(chunk);
                }
            }
            Self::Events { cutter, partial } => {
                let rest = pass_partial(partial, chunk, out);
                cutter.push(&rest, out);
            }
            Self::Lines { cutter, partial } => {
                let rest = pass_partial(partial, chunk, out);
                cutter.push(&rest, out);
            }
            Self::Messages => out.push(Piece::Frame(chunk.clone())),
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<Piece>) {
        match self {
            Self::Document { kept, .. } if !kept.is_empty() => {
                out.push(Piece::Frame(kept.split().freeze()));
            }
            Self::Document { .. } | Self::Messages => {}
            Self::Events { cutter, .. } => cutter.finish(out),
            Self::Lines { cutter, .. } => cutter.finish(out),
        }
    }

    /// Whether a document turned out to be too large, so that the rest passes.
    pub(super) fn lets_pass(&self) -> bool {
        matches!(
            self,
            Self::Document {
                is_too_large: true,
                ..
            }
        )
    }

    /// Whether no byte of a document came.
    pub(super) fn is_untouched(&self) -> bool {
        matches!(
            self,
            Self::Document {
                is_too_large: false,
                kept,
                ..
            } if kept.is_empty()
        )
    }

    /// Whether it holds no bytes back.
    pub(super) fn is_empty(&self) -> bool {
        self.buffered() == 0
    }

    /// How many bytes it holds back.
    pub(super) fn buffered(&self) -> usize {
        match self {
            Self::Document { kept, .. } => kept.len(),
            Self::Events { cutter, .. } => cutter.buffered(),
            Self::Lines { cutter, .. } => cutter.buffered(),
            Self::Messages => 0,
        }
    }
}

/// The end of a frame whose beginning went on before the lane was there passes too, and is the end of what was told of
/// it. Returns what follows.
fn pass_partial<B: Boundary>(partial: &mut Option<B>, chunk: &Bytes, out: &mut Vec<Piece>) -> Bytes {
    let Some(boundary) = partial else {
        return chunk.clone();
    };
    let Some(end) = boundary.find(chunk) else {
        out.push(Piece::Part(chunk.clone()));
        return Bytes::new();
    };
    *partial = None;
    out.push(Piece::Part(chunk.slice(..end)));
    out.push(Piece::Oversize {
        head: Bytes::new(),
        bytes: 0,
        is_complete: true,
    });
    chunk.slice(end..)
}
