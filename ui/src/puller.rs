//! Takes rows out of the engine's history in order, each once, at the speed of whoever prints them.

use shadowcat::frontend::{Commands, EngineGoneError};
use shadowcat::ids::MessageId;
use shadowcat::snapshot::{Anchor, Command, MAX_WINDOW_ROWS, MessageRow, Reply, ViewQuery, Window};

/// Why no rows come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PullError {
    #[error(transparent)]
    Gone(#[from] EngineGoneError),
    /// The engine would not hand them out.
    #[error("{0}")]
    Refused(String),
}

/// A place in history.
#[derive(Debug)]
pub(crate) struct Puller {
    commands: Commands,
    filter: String,
    after: Option<MessageId>,
}

/// Some rows, and how many before them history no longer had.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Batch {
    pub(crate) rows: Vec<MessageRow>,
    pub(crate) missed: u64,
    /// History had no more.
    pub(crate) is_last: bool,
}

impl Puller {
    /// From the oldest row on, those that match `filter`.
    pub(crate) const fn new(commands: Commands, filter: String) -> Self {
        Self {
            commands,
            filter,
            after: None,
        }
    }

    /// Whether history has something behind this place, if `newest` is its last row.
    pub(crate) fn is_behind(&self, newest: Option<MessageId>) -> bool {
        newest > self.after
    }

    /// The next rows. `newest` is the last row of history as it was before this call.
    ///
    /// # Errors
    /// [`PullError`] once the engine has ended, or if it refuses the filter.
    ///
    /// # Cancel safety
    /// Safe: a dropped future has moved nothing on.
    pub(crate) async fn next(&mut self, newest: Option<MessageId>) -> Result<Batch, PullError> {
        let command = Command::Rows {
            after: self.after,
            limit: MAX_WINDOW_ROWS,
            filter: self.filter.clone(),
        };
        let (rows, missed) = match self.commands.ask(command).await? {
            Reply::Rows { rows, missed } => (rows, missed),
            Reply::Refused { message } => return Err(PullError::Refused(message)),
            other => return Err(PullError::Refused(format!("the engine answered {other:?}"))),
        };
        let is_last = rows.len() < usize::from(MAX_WINDOW_ROWS);
        self.after = self.after.max(rows.last().map(|row| row.id));
        if is_last {
            // All up to there was looked at: what does not match need not be looked at again.
            self.after = self.after.max(newest);
        }
        Ok(Batch {
            rows,
            missed,
            is_last,
        })
    }
}

/// A query for snapshots without rows, for frontends that only want to know that something changed.
pub(crate) fn no_rows() -> ViewQuery {
    fn none<Id>() -> Window<Id> {
        Window {
            anchor: Anchor::Tail,
            rows: 0,
        }
    }
    ViewQuery {
        serial: 1,
        messages: none(),
        sessions: none(),
        streams: none(),
        log: none(),
        ..ViewQuery::default()
    }
}

#[cfg(test)]
mod tests {
    use shadowcat::frontend::CommandEnvelope;
    use tokio::sync::mpsc;

    use super::*;
    use crate::lines::sample_row;

    /// Answers with rows of the given numbers, one batch a question, and notes what was asked.
    fn engine(batches: Vec<Vec<u64>>) -> (Commands, impl Future<Output = Vec<Option<MessageId>>>) {
        let (sender, mut questions) = mpsc::channel::<CommandEnvelope>(1);
        let answering = async move {
            let mut asked = Vec::new();
            for batch in batches {
                let Some((Command::Rows { after, .. }, reply)) = questions.recv().await else {
                    break;
                };
                asked.push(after);
                let row = |number| MessageRow {
                    id: MessageId::new(number).unwrap(),
                    ..sample_row()
                };
                let rows = batch.into_iter().map(row).collect();
                reply.send(Reply::Rows { rows, missed: 0 }).unwrap();
            }
            asked
        };
        (Commands::new(sender), answering)
    }

    #[tokio::test]
    async fn rows_that_do_not_match_are_passed_over_once() {
        let (commands, answering) = engine(vec![vec![2, 5], vec![]]);
        let mut puller = Puller::new(commands, "kind:error".to_owned());
        let newest = MessageId::new(9);
        let pulling = async {
            let batch = puller.next(newest).await.unwrap();
            assert_eq!((batch.rows.len(), batch.is_last), (2, true));
            assert!(!puller.is_behind(newest));
            assert!(puller.is_behind(MessageId::new(10)));
            puller.next(newest).await.unwrap();
        };
        let (asked, ()) = tokio::join!(answering, pulling);
        assert_eq!(asked, [None, newest]);
    }

    #[tokio::test]
    async fn a_full_batch_is_followed_by_another_from_its_last_row() {
        let full = u64::from(MAX_WINDOW_ROWS);
        let (commands, answering) = engine(vec![(1..=full).collect(), vec![full + 1]]);
        let mut puller = Puller::new(commands, String::new());
        let pulling = async {
            assert!(!puller.next(MessageId::new(full + 50)).await.unwrap().is_last);
            assert!(puller.next(MessageId::new(full + 50)).await.unwrap().is_last);
        };
        let (asked, ()) = tokio::join!(answering, pulling);
        assert_eq!(asked, [None, MessageId::new(full)]);
    }

    #[tokio::test]
    async fn an_engine_that_has_ended_is_an_error() {
        let (commands, answering) = engine(Vec::new());
        answering.await;
        let error = Puller::new(commands, String::new()).next(None).await;
        assert_eq!(error, Err(PullError::Gone(EngineGoneError)));
    }
}
