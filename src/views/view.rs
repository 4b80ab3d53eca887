//! What one frontend sees: its query, the rows that match it, and the snapshot made of them.

use std::sync::Arc;

use crate::intercept::filter::Filter;
use crate::intercept::interceptor::Interceptor;
use crate::session::history::{History as _, HistoryView};
use crate::snapshot::{
    FilterProblem, MessagePage, Page, Resources, SessionRow, Snapshot, Source, StreamRow, ViewQuery,
};

use super::Shared;
use super::criteria::{Criteria, problem};
use super::matches::MatchList;
use super::slice::Slice;
use super::window::lay;

/// Slices worked off before a new query gets its first answer: enough for most histories, and well within a frame.
const FIRST_SLICES: usize = 4;

pub(super) struct View {
    shared: Shared,
    query: ViewQuery,
    criteria: Criteria,
    filter_error: Option<FilterProblem>,
    /// `None` while every row is shown: then history itself is the list.
    list: Option<MatchList>,
    is_scanning: bool,
    history: Arc<HistoryView>,
    resources: Resources,
    last: Arc<Snapshot>,
}

impl View {
    pub(super) fn new(shared: Shared, query: ViewQuery, history: Arc<HistoryView>) -> Self {
        let criteria = Criteria {
            filter: Filter::all(),
            session: None,
            max_parse_bytes: shared.max_parse_bytes,
        };
        let resources = shared.surroundings.resources();
        let mut view = Self {
            shared,
            query: ViewQuery::default(),
            criteria,
            filter_error: None,
            list: None,
            is_scanning: false,
            history,
            resources,
            last: Arc::default(),
        };
        view.ask(query);
        view
    }

    pub(super) fn history(&self) -> &Arc<HistoryView> {
        &self.history
    }

    /// Rows are still to be looked at.
    pub(super) fn is_scanning(&self) -> bool {
        self.is_scanning
    }

    /// Takes a new query. A filter that cannot be read leaves the rows of the last good one.
    pub(super) fn ask(&mut self, query: ViewQuery) {
        let mut criteria = Criteria {
            session: query.session,
            ..self.criteria.clone()
        };
        self.filter_error = None;
        match Filter::parse(&query.filter) {
            Ok(filter) => criteria.filter = filter,
            Err(error) => self.filter_error = Some(problem(error)),
        }
        self.query = query;
        if criteria != self.criteria {
            self.criteria = criteria;
            self.list = (!self.criteria.is_all()).then(|| MatchList::new(&self.history));
            self.is_scanning = self.list.is_some();
        }
        for _ in 0..FIRST_SLICES {
            self.advance();
        }
    }

    pub(super) fn move_to(&mut self, history: Arc<HistoryView>) {
        self.history = history;
        if let Some(list) = &mut self.list {
            list.catch_up(&self.history, &self.criteria);
            self.is_scanning = true;
            self.advance();
        }
    }

    /// Works off one slice.
    pub(super) fn advance(&mut self) {
        let Some(list) = self.list.as_mut().filter(|_| self.is_scanning) else {
            return;
        };
        let mut slice = Slice::new(self.shared.clock);
        self.is_scanning = !list.advance(&self.history, &self.criteria, &mut slice);
    }

    pub(super) fn sample_resources(&mut self) {
        self.resources = self.shared.surroundings.resources();
    }

    /// The snapshot as it is now; `None` if it says nothing that the last one did not say. Clocks are the frontend's
    /// business: time that only went by is no news.
    ///
    /// `source` was read before the view moved to its history: what it says was loaded is in the rows.
    pub(super) fn news(&mut self, source: Source) -> Option<Arc<Snapshot>> {
        let mut snapshot = self.snapshot(source);
        let uptime = std::mem::replace(&mut snapshot.resources.uptime, self.last.resources.uptime);
        if self.last.revision > 0 && snapshot == *self.last {
            return None;
        }
        snapshot.revision += 1;
        snapshot.taken_at = self.shared.clock.now();
        snapshot.resources.uptime = uptime;
        self.last = Arc::new(snapshot);
        Some(Arc::clone(&self.last))
    }

    /// Where the traffic comes from, now.
    pub(super) fn source(&self) -> Source {
        self.shared.surroundings.source()
    }

    fn snapshot(&self, source: Source) -> Snapshot {
        let surroundings = &self.shared.surroundings;
        let mut resources = self.resources.clone();
        let rates = self
            .history
            .rates()
            .iter()
            .map(|(name, values)| (name.clone(), values.clone()));
        resources.rates.extend(rates);
        resources.latencies = self.history.latencies().rows();
        Snapshot {
            revision: self.last.revision,
            query_serial: self.query.serial,
            taken_at: self.last.taken_at,
            source,
            recorder: surroundings.recorder(),
            totals: *self.history.totals(),
            sessions: self.sessions(),
            messages: self.messages(),
            streams: self.streams(),
            resources,
            intercept: surroundings
                .interceptor()
                .map(Interceptor::view)
                .unwrap_or_default(),
            log: surroundings.log(self.query.log),
            notices: surroundings.notices(),
        }
    }

    fn messages(&self) -> MessagePage {
        let total = self.history.count();
        let window = &self.query.messages;
        let page = MessagePage {
            total,
            filter_error: self.filter_error.clone(),
            newest: self.history.newest().map(|row| row.id()),
            ..MessagePage::default()
        };
        let Some(list) = &self.list else {
            let place = |id| self.history.position(id).unwrap_or_else(|next| next);
            let span = lay(window, total, place);
            let rows = self.history.rows_from(span.first).take(span.rows);
            let rows = rows.map(|row| row.to_message_row()).collect();
            return MessagePage {
                rows,
                first: span.first,
                matched: total,
                scanned: total,
                ..page
            };
        };
        let span = lay(window, list.len(), |id| list.place(id));
        let rows = list
            .ids(span.first, span.rows)
            .filter_map(|id| self.history.find(id));
        MessagePage {
            rows: rows.map(|row| row.to_message_row()).collect(),
            first: span.first,
            matched: list.len(),
            scanned: list.scanned(&self.history),
            ..page
        }
    }

    fn sessions(&self) -> Page<SessionRow> {
        let sessions = self.history.sessions();
        let total = sessions.len() as u64;
        let place = |id| {
            sessions
                .iter()
                .position(|row| row.id == id)
                .map_or(total, |at| at as u64)
        };
        let span = lay(&self.query.sessions, total, place);
        let skipped = usize::try_from(span.first).unwrap_or(usize::MAX);
        let rows = sessions
            .iter()
            .skip(skipped)
            .take(span.rows)
            .map(|row| (**row).clone())
            .collect();
        Page {
            rows,
            first: span.first,
            total,
        }
    }

    fn streams(&self) -> Page<StreamRow> {
        let is_shown = |session| self.query.session.is_none() || self.query.session == session;
        let streams: Vec<_> = self
            .history
            .streams()
            .iter()
            .filter(|stream| is_shown(stream.session()))
            .collect();
        let place = |id| streams.partition_point(|stream| stream.id() < id) as u64;
        let span = lay(&self.query.streams, streams.len() as u64, place);
        let skipped = usize::try_from(span.first).unwrap_or(usize::MAX);
        let rows = streams
            .iter()
            .skip(skipped)
            .take(span.rows)
            .map(|stream| stream.to_row())
            .collect();
        Page {
            rows,
            first: span.first,
            total: streams.len() as u64,
        }
    }
}
