//! Commands that look through history: in slices, so that the view goes on meanwhile.

use std::sync::Arc;

use crate::clock::Clock;
use crate::ids::{MessageId, ProxySessionId};
use crate::intercept::filter::{Filter, FilterError};
use crate::session::history::{History as _, HistoryView, Row};
use crate::snapshot::{MAX_WINDOW_ROWS, Reply};

use super::criteria::Criteria;
use super::slice::Slice;

/// Where a search goes through, and how it takes turns with others.
pub(super) struct Search {
    pub(super) history: Arc<HistoryView>,
    pub(super) max_parse_bytes: u64,
    pub(super) clock: Clock,
}

impl Search {
    /// The rows after `after` that match. `missed` counts the rows up to the last of these that were evicted,
    /// whether they would have matched or not.
    pub(super) async fn rows(&self, after: Option<MessageId>, limit: u16, filter: &str) -> Reply {
        let filter = match Filter::parse(filter) {
            Ok(filter) => filter,
            Err(error) => return refuse(&error),
        };
        let criteria = self.criteria(filter, None);
        let limit = usize::from(limit.min(MAX_WINDOW_ROWS));
        let start = after.map_or(0, |after| self.place_after(after));
        let mut rows: Vec<Arc<Row>> = Vec::new();
        let mut slice = Slice::new(self.clock);
        for row in self.history.rows_from(start) {
            if rows.len() == limit {
                break;
            }
            self.take_turns(&mut slice).await;
            if criteria.hold(&*self.history, &row) {
                rows.push(row);
            }
        }
        let missed = rows.last().map_or(0, |last| self.missed(after, start, last.id()));
        Reply::Rows {
            rows: rows.into_iter().map(|row| row.to_message_row()).collect(),
            missed,
        }
    }

    /// The next row from `from` on, in either direction, that matches every one of `filters`.
    pub(super) async fn find(
        &self,
        from: Option<MessageId>,
        is_backwards: bool,
        filters: [&str; 2],
        session: Option<ProxySessionId>,
    ) -> Reply {
        let [wanted, scope] = match filters.map(Filter::parse) {
            [Ok(wanted), Ok(scope)] => [self.criteria(wanted, session), self.criteria(scope, None)],
            [Err(error), _] | [_, Err(error)] => return refuse(&error),
        };
        let is_match = |row: &Row| scope.hold(&*self.history, row) && wanted.hold(&*self.history, row);
        let found = if is_backwards {
            let start = from.map_or(self.history.count(), |from| self.place_of(from));
            self.first_match(self.history.rows_before(start), is_match).await
        } else {
            let start = from.map_or(0, |from| self.place_after(from));
            self.first_match(self.history.rows_from(start), is_match).await
        };
        Reply::Found(found)
    }

    async fn first_match(
        &self,
        rows: impl Iterator<Item = Arc<Row>>,
        is_match: impl Fn(&Row) -> bool,
    ) -> Option<MessageId> {
        let mut slice = Slice::new(self.clock);
        for row in rows {
            self.take_turns(&mut slice).await;
            if is_match(&row) {
                return Some(row.id());
            }
        }
        None
    }

    async fn take_turns(&self, slice: &mut Slice) {
        if !slice.spend() {
            tokio::task::yield_now().await;
            *slice = Slice::new(self.clock);
        }
    }

    fn criteria(&self, filter: Filter, session: Option<ProxySessionId>) -> Criteria {
        Criteria {
            filter,
            session,
            max_parse_bytes: self.max_parse_bytes,
        }
    }

    fn place_of(&self, id: MessageId) -> u64 {
        self.history.position(id).unwrap_or_else(|next| next)
    }

    fn place_after(&self, id: MessageId) -> u64 {
        self.history
            .position(id)
            .map_or_else(|next| next, |place| place + 1)
    }

    /// Ids count up without a hole, so what is missing among them was evicted.
    fn missed(&self, after: Option<MessageId>, start: u64, last: MessageId) -> u64 {
        let made = last.get() - after.map_or(0, MessageId::get);
        let present = self.place_of(last) + 1 - start;
        made.saturating_sub(present)
    }
}

fn refuse(error: &FilterError) -> Reply {
    Reply::Refused {
        message: format!(
            "the filter cannot be read at column {}: {}",
            error.column + 1,
            error.message
        ),
    }
}
