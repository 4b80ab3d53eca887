//! The rows of each list as the snapshot has them, and the one under the cursor.

use shadowcat::ids::{MessageId, ProxySessionId, StreamId};
use shadowcat::intercept::hold::HeldRow;
use shadowcat::intercept::rules::RuleRow;
use shadowcat::snapshot::{LogRow, MessageRow, Source, StreamEvent, StreamRow, UpstreamRow};

use crate::format;
use crate::list::Rows;

use super::{LogLevel, Model};

impl Model {
    pub(crate) fn message_rows(&self) -> Rows<MessageId> {
        let page = &self.snapshot.messages;
        Rows {
            ids: page.rows.iter().map(|row| row.id).collect(),
            first: page.first,
            total: page.matched,
        }
    }

    /// Sessions, below the row for all of them.
    pub(crate) fn session_rows(&self) -> Rows<Option<ProxySessionId>> {
        let page = &self.snapshot.sessions;
        let all = (page.first == 0).then_some(None);
        Rows {
            ids: all
                .into_iter()
                .chain(page.rows.iter().map(|row| Some(row.id)))
                .collect(),
            first: if page.first == 0 { 0 } else { page.first + 1 },
            total: page.total + 1,
        }
    }

    pub(crate) fn stream_rows(&self) -> Rows<StreamId> {
        let page = &self.snapshot.streams;
        Rows {
            ids: page.rows.iter().map(|row| row.id).collect(),
            first: page.first,
            total: page.total,
        }
    }

    /// Events of the chosen stream, by the moment they came.
    pub(crate) fn event_rows(&self) -> Rows<u64> {
        let events = self.selected_stream().map_or(&[][..], |stream| &stream.recent);
        let mut last = 0;
        let rising = events.iter().map(|event| {
            // Two events of one microsecond are still two.
            last = event.at.as_micros().max(last + 1);
            last
        });
        Rows {
            ids: rising.collect(),
            first: 0,
            total: events.len() as u64,
        }
    }

    /// Log lines that the level lets through.
    pub(crate) fn log_rows(&self) -> Rows<u64> {
        let page = &self.snapshot.log;
        let shown = page.rows.iter().filter(|row| self.log_level.shows(&row.level));
        let ids: Vec<u64> = shown.map(|row| row.number).collect();
        if self.log_level == LogLevel::All {
            return Rows {
                ids,
                first: page.first,
                total: page.total,
            };
        }
        let total = ids.len() as u64;
        Rows { ids, first: 0, total }
    }

    /// The line of the log under the cursor.
    pub(crate) fn selected_log_line(&self) -> Option<&LogRow> {
        let cursor = self.log.cursor?;
        self.snapshot.log.rows.iter().find(|row| row.number == cursor)
    }

    pub(crate) fn row(&self, id: MessageId) -> Option<&MessageRow> {
        let rows = &self.snapshot.messages.rows;
        let position = rows.binary_search_by_key(&id, |row| row.id).ok()?;
        rows.get(position)
    }

    /// The configured servers, or those that the sessions of a recording name.
    pub(crate) fn servers(&self) -> &[UpstreamRow] {
        match &self.snapshot.source {
            Source::Live { upstreams, .. } | Source::File { upstreams, .. } => upstreams,
        }
    }

    pub(crate) fn server_rows(&self) -> Rows<u64> {
        let total = self.servers().len() as u64;
        Rows {
            ids: (0..total).collect(),
            first: 0,
            total,
        }
    }

    /// The held messages.
    pub(crate) fn held_rows(&self) -> Rows<u64> {
        let rows = &self.snapshot.intercept.rows;
        Rows {
            ids: rows.iter().map(|row| row.id.get()).collect(),
            first: 0,
            total: rows.len() as u64,
        }
    }

    pub(crate) fn held_row(&self, number: u64) -> Option<&HeldRow> {
        let mut rows = self.snapshot.intercept.rows.iter();
        rows.find(|row| row.id.get() == number)
    }

    pub(crate) fn rule_rows(&self) -> Rows<u64> {
        let total = self.snapshot.intercept.rules.len() as u64;
        Rows {
            ids: (0..total).collect(),
            first: 0,
            total,
        }
    }

    pub(crate) fn selected_rule(&self) -> Option<&RuleRow> {
        let place = format::index(self.rules.cursor?);
        self.snapshot.intercept.rules.get(place)
    }

    /// The held message that `row` of the traffic is.
    pub(crate) fn held_of(&self, row: &MessageRow) -> Option<&HeldRow> {
        let mut held = self.snapshot.intercept.rows.iter();
        held.find(|held| {
            held.exchange == row.exchange
                && held.direction == row.direction
                // Where no message was carried, the whole body is what is held.
                && row.frame.map_or(held.kind == row.kind, |frame| frame == held.frame)
        })
    }

    /// The held message under the cursor.
    pub(crate) fn selected_held(&self) -> Option<&HeldRow> {
        self.held_row(self.held.list.cursor?)
    }

    pub(crate) fn selected_server(&self) -> Option<&UpstreamRow> {
        self.servers().get(format::index(self.servers.cursor?))
    }

    /// The message under the cursor.
    pub(crate) fn selected(&self) -> Option<&MessageRow> {
        self.row(self.messages.cursor?)
    }

    pub(crate) fn selected_stream(&self) -> Option<&StreamRow> {
        let cursor = self.streams.cursor?;
        self.snapshot.streams.rows.iter().find(|row| row.id == cursor)
    }

    pub(crate) fn selected_event(&self) -> Option<&StreamEvent> {
        let cursor = self.events.cursor?;
        let position = self.event_rows().ids.iter().position(|id| *id == cursor)?;
        self.selected_stream()?.recent.get(position)
    }
}
