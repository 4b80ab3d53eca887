//! Where the pieces of a body come from.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// As HTTP tells it.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// Whoever made the body gave it up.
    #[error("{0}")]
    GivenUp(&'static str),
}

/// A body that does not come from a peer's connection: we make it, piece by piece.
pub(crate) trait MadeBody: std::fmt::Debug + Send {
    /// The next piece, `None` at the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>>;

    /// Whether it is known that nothing more comes.
    fn is_at_end(&self) -> bool {
        false
    }
}

/// Where a body comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A peer's connection.
    Http(Incoming),
    /// Ourselves, in the place of a server (bridge).
    Made(Box<dyn MadeBody>),
}

impl From<Incoming> for Source {
    fn from(incoming: Incoming) -> Self {
        Self::Http(incoming)
    }
}

impl Source {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Http(incoming) => Pin::new(incoming).poll_frame(cx).map_err(BodyError::from),
            Self::Made(body) => body
                .poll_piece(cx)
                .map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http(incoming) => incoming.is_end_stream(),
            Self::Made(body) => body.is_at_end(),
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http(incoming) => incoming.size_hint(),
            Self::Made(_) => SizeHint::default(),
        }
    }
}
