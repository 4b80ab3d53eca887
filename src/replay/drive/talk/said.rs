//! A conversation that is over.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::AsyncRead;
use tokio_util::codec::{AnyDelimiterCodec, FramedRead};

use super::Talk;
use crate::replay::drive::call::{End, State, Told};

/// How long the last lines of a server may take that reads no more.
const LAST_LINES: Duration = Duration::from_millis(300);

/// A conversation that is over.
pub(in crate::replay::drive) struct Said<'a> {
    pub(super) talk: Talk<'a>,
    pub(in crate::replay::drive) end: End,
}

impl Talk<'_> {
    /// Hears what a server has still said that does not read any more: it may be why.
    pub(super) async fn hear_rest<R: AsyncRead + Unpin>(
        &mut self,
        lines: &mut FramedRead<R, AnyDelimiterCodec>,
    ) {
        let rest = async {
            while let Some(Ok(line)) = lines.next().await {
                self.hear(&line);
            }
        };
        // One that neither ends nor says anything is not waited for.
        let _ = tokio::time::timeout(LAST_LINES, rest).await;
    }
}

impl<'a> Said<'a> {
    /// The request that waits for its answer, or that would have been next; empty if there is none.
    fn unanswered(&self) -> &'a str {
        let calls = self.talk.calls.iter().zip(&self.talk.plan.calls);
        let is_unanswered = |state: &State| matches!(state, State::Open | State::Planned | State::Failed(_));
        let mut unanswered = calls.filter(|(call, _)| is_unanswered(&call.state));
        unanswered.next().map_or("", |(_, planned)| &planned.method)
    }

    /// The same, ended by the server for this reason, if it was the server.
    pub(in crate::replay::drive) fn because(mut self, why: Option<String>) -> Self {
        if let (End::ByServer(known), Some(why)) = (&mut self.end, why) {
            *known = why;
        }
        self
    }

    /// What came of it.
    pub(in crate::replay::drive) fn told(mut self) -> Told {
        Told {
            unreachable: self.talk.unreachable.take().filter(|_| !self.talk.has_answered),
            unanswered: self.unanswered().to_owned(),
            remarks: self.talk.remarks(),
            stray: std::mem::take(&mut self.talk.stray),
            rows: self.talk.rows(&self.end),
            end: self.end,
        }
    }
}
