//! The ledger: the only writer of history. Observations go in, one after the other; views of history come out.
//!
//! It knows no channel and no clock: time comes with the observations and with [`Ledger::tick`]. A recording that is
//! opened feeds the same ledger as live traffic does.

mod budget;
mod calls;
mod draft;
mod exchanges;
mod findings;
mod frames;
mod plain;
mod rates;
mod run;
mod sessions;
mod streams;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod verdicts;

use std::collections::HashSet;
use std::sync::Arc;

pub use run::{PUBLISH_INTERVAL, run};

use crate::clock::Timestamp;
use crate::ids::{ExchangeId, IdMap, ProxySessionId, Side};
use crate::limits::ResourceLimits;
use crate::resource::heap;
use crate::resource::lag::Lag;
use crate::resource::queue::Sequenced;
use crate::session::ended_call::CallObserver;
use crate::session::history::changes::Changes;
use crate::session::history::owner::Owner;
use crate::session::history::store::{PackedSegment, Store};
use crate::session::history::{BodyLocator, BodySource, HistoryUsage, HistoryView, Row};
use crate::session::latency::Latencies;
use crate::session::observation::{Event, Observation, SessionOpened};
use crate::session::tally::{ServerTally, Tally};
use crate::snapshot::Totals;

use budget::Shelves;
use calls::Calls;
use exchanges::OpenExchange;
use rates::Rates;
use sessions::{Held, Sessions, Step};
use streams::Streams;

/// A body is at most this part of a session's memory, so that one message cannot push out all others.
const BODY_SHARE: usize = 4;

/// Servers of a recording that are listed.
const MAX_SEEN_SERVERS: usize = 256;

/// Owns history: rows, bodies, sessions, streams and counters, all within [`ResourceLimits`].
#[derive(Debug)]
pub struct Ledger {
    bounds: Bounds,
    last_row: u64,
    store: Store,
    shelves: Shelves,
    sessions: Sessions,
    exchanges: IdMap<ExchangeId, OpenExchange>,
    streams: Streams,
    calls: Calls,
    totals: Totals,
    tally: Tally,
    /// As many as the configuration has servers; at most [`MAX_SEEN_SERVERS`] of a recording.
    servers: Arc<Vec<ServerTally>>,
    /// Servers are those that sessions name, as in a recording.
    learns_servers: bool,
    latencies: Arc<Latencies>,
    lag: Arc<Lag>,
    most_open_calls: u64,
    rates: Rates,
    changes: Changes,
    changed: Vec<u64>,
    words: Words,
    source: Option<Arc<dyn BodySource>>,
    observer: Option<Arc<dyn CallObserver>>,
    version: u64,
    is_dirty: bool,
}

#[derive(Debug)]
struct Bounds {
    max_body_kept: usize,
    max_open_calls: usize,
}

impl Ledger {
    /// An empty history within `limits`.
    pub fn new(limits: &ResourceLimits) -> Self {
        Self {
            bounds: Bounds {
                max_body_kept: limits
                    .max_body_kept
                    .min(limits.max_memory_per_session / BODY_SHARE),
                max_open_calls: limits.max_open_calls,
            },
            last_row: 0,
            store: Store::default(),
            shelves: Shelves::new(limits),
            sessions: Sessions::new(limits),
            exchanges: IdMap::default(),
            streams: Streams::new(limits),
            calls: Calls::new(limits),
            totals: Totals::default(),
            tally: Tally::default(),
            servers: Arc::default(),
            learns_servers: false,
            latencies: Arc::default(),
            lag: Arc::default(),
            most_open_calls: 0,
            rates: Rates::default(),
            changes: Changes::within(limits.max_history_memory),
            changed: Vec::new(),
            words: Words::default(),
            source: None,
            observer: None,
            version: 0,
            is_dirty: false,
        }
    }

    /// The same, with bodies that are fetched from `source` where [`Ledger::apply_located`] says so.
    #[must_use]
    pub fn with_source(mut self, source: Arc<dyn BodySource>) -> Self {
        self.source = Some(source);
        self
    }

    /// The same, counting the calls to each of the configured `servers` by what they are called on screen.
    #[must_use]
    pub fn with_servers(mut self, servers: impl Iterator<Item = Arc<str>>) -> Self {
        self.servers = Arc::new(servers.map(ServerTally::of).collect());
        self
    }

    /// The same, counting the calls to each server that a session names, up to 256 of them: for a recording, which has no
    /// configuration.
    #[must_use]
    pub fn learning_servers(mut self) -> Self {
        self.learns_servers = true;
        self
    }

    /// The same, telling `observer` of each call that ends. It is let go of with the ledger.
    #[must_use]
    pub fn with_observer(mut self, observer: Option<Arc<dyn CallObserver>>) -> Self {
        self.observer = observer;
        self
    }

    /// How far it is behind the traffic. [`run`] keeps it.
    pub fn lag(&self) -> &Arc<Lag> {
        &self.lag
    }

    /// Takes in one observation. They must come in the order of their sequence.
    pub fn apply(&mut self, observation: Sequenced<Observation>) {
        self.apply_located(observation, None);
    }

    /// Takes in one observation of a recording. With a `locator` the bodies of its rows cost no memory: they are fetched
    /// from the [`BodySource`] when somebody looks at them.
    pub fn apply_located(&mut self, observation: Sequenced<Observation>, locator: Option<BodyLocator>) {
        let Observation { at, event } = observation.item;
        let (exchange, session) = scope(&event);
        let before = self.owner_of(exchange);
        match event {
            Event::Session(opened) => self.open_session(at, &opened),
            Event::SessionEnded { session, .. } => self.end_session(at, session),
            Event::Request(request) => self.request(at, *request),
            Event::Response(response) => self.response(at, *response),
            Event::Rewritten(rewritten) => self.rewritten(at, *rewritten),
            Event::Verdict(verdict) => self.verdict(at, &verdict),
            Event::Part(part) => self.part(&part),
            Event::Frame(frame) => self.frame(at, &frame, locator),
            Event::ExchangeEnd(end) => self.exchange_end(at, *end),
        }
        self.is_dirty = true;
        let owner = self.owner_of(exchange).or(session.map(Owner::Session)).or(before);
        self.enforce(owner);
    }

    /// Time passes: rates are taken each second, silent sessions become idle.
    pub fn tick(&mut self, now: Timestamp) {
        let counters = [
            self.totals.messages,
            self.totals.bytes_from_clients,
            self.totals.bytes_from_servers,
            self.tally.exchanges_begun,
            self.tally.events,
        ];
        self.most_open_calls = self.shelves.most_open_calls() as u64;
        self.is_dirty |= self.rates.tick(now, counters);
        for session in self.sessions.tick(now) {
            // It counts as ended: nobody comes back for what a broken stream left open.
            self.end_calls_of(session, now);
            self.is_dirty = true;
        }
    }

    /// Something happened since the last [`Ledger::publish`].
    pub fn has_news(&self) -> bool {
        self.is_dirty
    }

    /// History as it is now. Cheap: segments, sessions and streams that did not change are shared with earlier views.
    pub fn publish(&mut self) -> Arc<HistoryView> {
        self.is_dirty = false;
        self.version += 1;
        self.publish_changes();
        let shelves = &self.shelves;
        let held = |id| Held {
            open_calls: shelves.open_calls(Owner::Session(id)) as u64,
            bytes: shelves.bytes_of(Owner::Session(id)) as u64,
        };
        let sessions = self.sessions.share(held);
        let mut view = HistoryView::over(self.store.share());
        view.version = self.version;
        view.changes = self.changes.clone();
        view.sessions = sessions;
        view.streams = self.streams.share();
        view.totals = self.totals();
        view.tally = self.tally;
        view.servers = Arc::clone(&self.servers);
        view.latencies = Arc::clone(&self.latencies);
        view.rates = self.rates.series();
        view.usage = self.usage();
        view.source.clone_from(&self.source);
        Arc::new(view)
    }

    fn totals(&self) -> Totals {
        Totals {
            open_calls: self.calls.open_count(),
            messages_per_second: self.rates.messages_per_second,
            ..self.totals
        }
    }

    fn publish_changes(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        if changed.len() > self.changes.max_numbers() {
            self.changes.forget();
        } else {
            self.changes.add(changed);
        }
    }

    fn usage(&self) -> HistoryUsage {
        HistoryUsage {
            bytes: self.shelves.bytes() as u64,
            peak_bytes: self.shelves.peak() as u64,
            largest_session_bytes: self.shelves.largest() as u64,
            session_reached: self.shelves.shelf_reached,
            history_reached: self.shelves.total_reached,
            sessions: self.sessions.counts(),
            sessions_forgotten: self.sessions.forgotten,
            most_open_calls: self.most_open_calls,
            calls_given_up: self.calls.given_up,
            ended_streams: self.streams.ended(),
            streams_unlisted: self.streams.unlisted,
            went_idle: self.sessions.went_idle,
        }
    }

    fn open_session(&mut self, at: Timestamp, opened: &SessionOpened) {
        if self.sessions.get(opened.id).is_some() {
            return;
        }
        let side = opened.id.side();
        let spare = |sessions: &Sessions| sessions.to_spare(side);
        let too_many = self.sessions.to_forget(side);
        let too_large = || spare(&self.sessions).filter(|_| self.shelves.is_fixed_too_large());
        if let Some(oldest) = too_many.or_else(too_large) {
            self.end_calls_of(oldest, at);
            self.shelves.remove(Owner::Session(oldest));
            self.sessions.forget(oldest);
        }
        self.sessions.open(at, opened);
        self.meet_server(opened);
    }

    fn meet_server(&mut self, opened: &SessionOpened) {
        self.learn_server(&opened.server);
        let side = opened.id.side();
        self.count_at(&opened.server, side, |tally| tally.session_opened(opened.basis));
    }

    /// Lists a server of a recording. Its first exchange may come before its session.
    fn learn_server(&mut self, server: &Arc<str>) {
        let has_room = self.servers.len() < MAX_SEEN_SERVERS;
        if self.learns_servers && has_room && self.place_of(server).is_none() {
            Arc::make_mut(&mut self.servers).push(ServerTally::of(Arc::clone(server)));
        }
    }

    fn place_of(&self, server: &Arc<str>) -> Option<usize> {
        self.servers.iter().position(|tally| tally.server == *server)
    }

    /// Forward destinations are without bound; only configured servers, and those of a recording, are counted one by one.
    fn count_at(&mut self, server: &Arc<str>, side: Side, count: impl FnOnce(&mut ServerTally)) {
        let is_counted = self.learns_servers || side == Side::Reverse;
        let place = is_counted.then(|| self.place_of(server)).flatten();
        if let Some(tally) = place.and_then(|place| Arc::make_mut(&mut self.servers).get_mut(place)) {
            count(tally);
        }
    }

    /// Bytes of what history holds beside rows, bodies and exchanges: tables, sessions, streams, what views are told.
    fn fixed_bytes(&self) -> usize {
        self.store.heap_bytes()
            + self.shelves.table_bytes()
            + self.sessions.heap_bytes()
            + heap::map(&self.exchanges)
            + self.streams.heap_bytes()
            + self.calls.heap_bytes()
            + self.changes.heap_bytes()
            + heap::vector(&self.changed)
            + self.words.heap_bytes()
            + self.rates.heap_bytes()
    }

    fn end_session(&mut self, at: Timestamp, session: ProxySessionId) {
        self.sessions.end(session);
        self.end_calls_of(session, at);
    }

    fn count_error(&mut self, session: Option<ProxySessionId>, at: Timestamp) {
        self.totals.errors += 1;
        if let Some(session) = session {
            self.sessions.note(session, at, Step::Error);
        }
    }

    fn mark_changed(&mut self, row: &Row) {
        self.mark_row(row.id().get());
    }

    fn mark_row(&mut self, row: u64) {
        // One above the most that is noted tells that something was left out.
        if self.changed.len() <= self.changes.max_numbers() {
            self.changed.push(row);
        }
    }

    fn owner_of(&self, exchange: Option<ExchangeId>) -> Option<Owner> {
        exchange
            .and_then(|id| self.exchanges.get(&id))
            .map(OpenExchange::owner)
    }

    /// Brings the shelf that was touched, and history as a whole, back within their budgets.
    fn enforce(&mut self, owner: Option<Owner>) {
        self.shelves.set_fixed(self.fixed_bytes());
        if self.source.is_some() {
            self.pack();
        }
        if let Some(owner) = owner {
            self.shelves.enforce(owner);
        }
        if self.shelves.lost.is_empty() {
            return;
        }
        let lost = std::mem::take(&mut self.shelves.lost);
        self.totals.rows_evicted += lost.rows.len() as u64;
        self.totals.bodies_evicted += lost.bodies.len() as u64;
        for row in &lost.rows {
            self.store.evict(row.id());
            self.calls.row_lost(row);
            self.mark_changed(row);
            if let Some(session) = row.session() {
                self.sessions.touch_row(session);
            }
        }
        for row in lost.bodies {
            self.mark_row(row.get());
        }
    }
}

/// Rows of a recording, whose bytes are in its file, are packed when nothing about them can change any more.
impl Ledger {
    fn pack(&mut self) {
        let (exchanges, calls) = (&self.exchanges, &self.calls);
        let is_live = |row: &Row| {
            let is_going_on = || exchanges.contains_key(&row.exchange_id());
            let may_get_more = row.session().is_none() || !row.kind().is_message();
            row.is_open() || calls.goes_on_behind(row) || may_get_more && is_going_on()
        };
        if let Some(packed) = self.store.pack_next(is_live) {
            self.shelves.pack(&packed.rows, &packed.open);
            self.shelves.set_packed(self.store.packed_bytes());
        }
        while self.shelves.is_above_budget()
            && let Some(gone) = self.store.drop_packed()
        {
            self.packed_rows_lost(&gone);
        }
    }

    fn packed_rows_lost(&mut self, gone: &PackedSegment) {
        self.shelves.set_packed(self.store.packed_bytes());
        self.shelves.total_reached += 1;
        self.totals.rows_evicted += gone.count;
        gone.open
            .iter()
            .for_each(|exchange| self.shelves.release(exchange));
        let (first, last) = gone.span;
        for number in first.get()..=last.get() {
            self.mark_row(number);
        }
        for session in &gone.sessions {
            self.sessions.touch_row(*session);
        }
    }
}

/// The exchange and the session that an event is about.
fn scope(event: &Event) -> (Option<ExchangeId>, Option<ProxySessionId>) {
    match event {
        Event::Session(opened) => (None, Some(opened.id)),
        Event::SessionEnded { session, .. } => (None, Some(*session)),
        Event::Request(request) => (Some(request.exchange), request.session),
        Event::Response(response) => (Some(response.exchange), response.session),
        Event::Rewritten(rewritten) => (Some(rewritten.exchange), rewritten.session),
        Event::Verdict(verdict) => (Some(verdict.exchange), verdict.session),
        Event::Part(part) => (Some(part.exchange), part.session),
        Event::Frame(frame) => (Some(frame.exchange), frame.session),
        Event::ExchangeEnd(end) => (Some(end.exchange), end.session),
    }
}

/// Method names, kept once each.
#[derive(Debug, Default)]
struct Words(HashSet<Arc<str>>);

impl Words {
    /// Words that are kept; a peer that invents more pays for each.
    const MAX: usize = 256;

    /// Bytes of heap memory.
    fn heap_bytes(&self) -> usize {
        /// A usual word and its counters.
        const WORD_BYTES: usize = 40;
        heap::set(&self.0) + self.0.len() * WORD_BYTES
    }

    fn share(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.0.get(word) {
            return Arc::clone(known);
        }
        let word: Arc<str> = word.into();
        if self.0.len() < Self::MAX {
            self.0.insert(Arc::clone(&word));
        }
        word
    }
}
