//! Bodies of a mock server's answers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::lane::Lane;

/// How long a stream is silent before a comment says that it is still there.
const SILENCE: Duration = Duration::from_secs(25);

/// A body.
pub(super) type MockBody = UnsyncBoxBody<Bytes, Infallible>;

/// A body that is there at once.
pub(super) fn whole(bytes: Bytes) -> MockBody {
    Full::new(bytes).boxed_unsync()
}

/// The reading end of a lane.
#[derive(Debug)]
pub(super) struct Reading {
    lane: Arc<Lane>,
    reader: u64,
    after: u64,
    first: Option<Bytes>,
    pieces: VecDeque<(Duration, Bytes)>,
    /// The stream ends with it.
    over: CancellationToken,
    /// What ends when the client goes.
    guard: Option<DropGuard>,
}

impl Reading {
    /// Reads what nobody has read.
    pub(super) fn new(lane: Arc<Lane>, over: CancellationToken) -> Self {
        let (reader, after) = lane.read_new();
        Self {
            lane,
            reader,
            after,
            first: None,
            pieces: VecDeque::new(),
            over,
            guard: None,
        }
    }

    /// Reads on behind an event. `None` if it is not kept any more.
    pub(super) fn behind(lane: Arc<Lane>, after: u64, over: CancellationToken) -> Option<Self> {
        let reader = lane.read(after)?;
        Some(Self {
            lane,
            reader,
            after,
            first: None,
            pieces: VecDeque::new(),
            over,
            guard: None,
        })
    }

    /// With `bytes` before everything else.
    pub(super) fn beginning_with(mut self, bytes: Bytes) -> Self {
        self.first = Some(bytes);
        self
    }

    /// `token` is cancelled when the client goes.
    pub(super) fn ending(mut self, token: CancellationToken) -> Self {
        self.guard = Some(token.drop_guard());
        self
    }

    /// The stream as a body.
    pub(super) fn body(self) -> MockBody {
        let pieces = unfold(self, |mut reading| async move {
            let piece = reading.piece().await?;
            Some((Ok::<_, Infallible>(Frame::data(piece)), reading))
        });
        StreamBody::new(pieces).boxed_unsync()
    }

    async fn piece(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            if let Some((wait, piece)) = self.pieces.pop_front() {
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                return Some(piece);
            }
            let over = self.over.clone();
            let next = self.lane.next(self.reader, self.after);
            match over
                .run_until_cancelled(tokio::time::timeout(SILENCE, next))
                .await?
            {
                Ok(said) => {
                    let said = said?;
                    self.after = said.number;
                    self.pieces = said.pieces.into();
                }
                Err(_) => return Some(Bytes::from_static(b": still here\n\n")),
            }
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.lane.left(self.reader);
    }
}
