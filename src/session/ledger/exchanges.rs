//! Exchanges from their head to their end, and what an end means for the rows that wait for it.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::{CallId, ExchangeId, MessageId, ProxySessionId, Side, StreamId};
use crate::session::describe;
use crate::session::history::exchange::ExchangeRecord;
use crate::session::history::owner::{Owner, SessionFacts};
use crate::session::history::row::{Course, RareFacts, RowEnd};
use crate::session::history::{Row, StreamInfo};
use crate::session::observation::{
    ExchangeEnded, ExchangeKind, RequestObserved, ResponseObserved, RewrittenObserved,
};
use crate::snapshot::{Carrier, Direction, EndKind, Outcome, RowKind, SessionBasis};

use super::Ledger;
use super::draft::Draft;
use super::sessions::Step;

/// Calls that the requests of one exchange open and its end may close; a longer batch leaves the rest to the session's end.
const MAX_CALLS: usize = 1024;

/// An exchange that has not ended.
#[derive(Debug)]
pub(super) struct OpenExchange {
    pub(super) record: Arc<ExchangeRecord>,
    pub(super) session: Option<Arc<SessionFacts>>,
    /// The row that stands for the exchange itself.
    pub(super) http_row: Option<Arc<Row>>,
    pub(super) calls: Vec<CallId>,
    pub(super) first_row: Option<MessageId>,
    answers: Answers,
    /// The client has sent a message with it.
    pub(super) has_asked: bool,
    pub(super) has_answer_row: bool,
    pub(super) has_error_row: bool,
    /// Body bytes already counted: from the client, from the server.
    pub(super) counted: [u64; 2],
    /// The longest that a message was held: from the client, from the server.
    pub(super) held: [Duration; 2],
    stream: Option<StreamId>,
    resumes: Option<Arc<str>>,
}

/// Who answered the calls of a run.
#[derive(Debug, Default)]
struct Answers {
    /// Why the shim did itself, the first time.
    own_failure: Option<Box<str>>,
    has_server_answered: bool,
}

impl OpenExchange {
    fn new(record: ExchangeRecord) -> Self {
        Self {
            record: Arc::new(record),
            session: None,
            http_row: None,
            calls: Vec::new(),
            first_row: None,
            answers: Answers::default(),
            has_asked: false,
            has_answer_row: false,
            has_error_row: false,
            counted: [0; 2],
            held: [Duration::ZERO; 2],
            stream: None,
            resumes: None,
        }
    }

    pub(super) fn owner(&self) -> Owner {
        Owner::of(self.session.as_ref().map(|session| session.id), self.record.side)
    }

    pub(super) fn add_call(&mut self, call: CallId) {
        if self.calls.len() < MAX_CALLS {
            self.calls.push(call);
        }
    }

    /// Notes who answered a call of a run: the server, or the shim because of `own_failure`.
    pub(super) fn answered(&mut self, own_failure: Option<&str>) {
        match own_failure.filter(|_| is_run(&self.record)) {
            Some(failure) => {
                self.answers.own_failure.get_or_insert_with(|| failure.into());
            }
            None => self.answers.has_server_answered = true,
        }
    }

    /// Why none of the calls of a run was answered by a server; `None` if one was, or none was asked.
    fn unanswered(&self) -> Option<&str> {
        let answers = &self.answers;
        let failure = answers.own_failure.as_deref();
        failure.filter(|_| !answers.has_server_answered)
    }

    /// How the exchange as a whole ended.
    fn outcome(&self, end: &ExchangeEnded) -> Outcome {
        match http_outcome(end, &self.record, self.stream.is_some()) {
            Outcome::Ok if self.unanswered().is_some() => Outcome::Unanswered,
            outcome => outcome,
        }
    }

    /// The call that the exchange is about, if it is about one.
    pub(super) fn only_call(&self) -> Option<CallId> {
        match self.calls.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }
}

impl Ledger {
    pub(super) fn request(&mut self, at: Timestamp, mut request: RequestObserved) {
        let (id, session, kind) = (request.exchange, request.session, request.kind);
        let resumes = request.resumes.take().map(Arc::from);
        let mut open = OpenExchange::new(ExchangeRecord::new(at, request));
        open.resumes = resumes;
        if self.learns_servers {
            self.learn_server(&open.record.server);
            self.count_at(&open.record.server, open.record.side, |tally| {
                tally.exchanges += 1;
            });
        }
        self.insert_exchange(id, open);
        self.tally.exchanges_begun += 1;
        self.belongs_to(id, session, at);
        match kind {
            ExchangeKind::Message => {}
            ExchangeKind::Http => self.http_row(id, at, RowKind::Http, Carrier::Http),
            ExchangeKind::Tunnel => self.http_row(id, at, RowKind::Tunnel, Carrier::Tunnel),
            ExchangeKind::Run | ExchangeKind::BridgedRun => {
                self.http_row(id, at, RowKind::Run, Carrier::Stdio);
            }
        }
    }

    /// Adds the row that stands for the exchange itself.
    pub(super) fn http_row(&mut self, id: ExchangeId, at: Timestamp, kind: RowKind, carrier: Carrier) {
        let Some(open) = self.exchanges.get(&id) else {
            return;
        };
        let draft = Draft {
            course: Course::Opens,
            method: Some(self.words.share(&open.record.method)),
            summary: describe::shorten(&open.record.target),
            ..Draft::new(at, Direction::ClientToServer, carrier, kind)
        };
        let row = self.append(id, draft);
        if let (Some(open), Some(row)) = (self.exchanges.get_mut(&id), row) {
            open.http_row = Some(row);
        }
    }

    pub(super) fn response(&mut self, at: Timestamp, response: ResponseObserved) {
        let id = response.exchange;
        self.known_exchange(id, response.session, at);
        self.belongs_to(id, response.session, at);
        let stream = response.stream;
        if let Some(open) = self.exchanges.get_mut(&id) {
            open.record.respond(response);
            open.stream = stream;
            let record = Arc::clone(&open.record);
            self.shelves.recharge(&record);
        }
        if let Some(stream) = stream {
            self.open_stream(id, stream, at);
        }
    }

    /// Adds to what is known of an exchange: changes in its bodies, and what was found about it.
    pub(super) fn rewritten(&mut self, at: Timestamp, rewritten: RewrittenObserved) {
        let id = rewritten.exchange;
        self.known_exchange(id, rewritten.session, at);
        self.belongs_to(id, rewritten.session, at);
        let Some(open) = self.exchanges.get(&id) else {
            return;
        };
        open.record.add(rewritten);
        let (record, row) = (Arc::clone(&open.record), open.http_row.clone());
        self.shelves.recharge(&record);
        if let Some(row) = row {
            self.mark_changed(&row);
        }
    }

    fn open_stream(&mut self, id: ExchangeId, stream: StreamId, at: Timestamp) {
        let Some(open) = self.exchanges.get(&id) else {
            return;
        };
        let session = open.session.as_ref().map(|session| session.id);
        self.streams.open(StreamInfo {
            session,
            label: self.stream_label(open).into(),
            resumed_from: open.resumes.clone(),
            ..StreamInfo::new(stream, id, Arc::clone(&open.record.server), at)
        });
        if let Some(session) = session {
            self.sessions.note(session, at, Step::StreamOpened);
        }
    }

    /// What opened a stream: `POST tools/call longRunning`, `GET /mcp`.
    fn stream_label(&self, open: &OpenExchange) -> String {
        let call = open.calls.first().and_then(|call| self.calls.get(*call));
        let about = call.map(|call| &call.row.facts).map(|facts| {
            let method = facts.method.as_deref().unwrap_or_default();
            facts
                .name
                .as_deref()
                .map_or_else(|| method.to_owned(), |name| format!("{method} {name}"))
        });
        let path = || {
            open.record
                .target
                .split('?')
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        describe::shorten(&format!("{} {}", open.record.method, about.unwrap_or_else(path)))
    }

    /// Makes up an exchange whose head was never seen: a recording may have lost it.
    pub(super) fn known_exchange(&mut self, id: ExchangeId, session: Option<ProxySessionId>, at: Timestamp) {
        if self.exchanges.contains_key(&id) {
            return;
        }
        let side = session.map_or(Side::Reverse, ProxySessionId::side);
        let record = ExchangeRecord::unknown(at, id, side, self.words.share(""));
        self.insert_exchange(id, OpenExchange::new(record));
    }

    /// From now on somebody pays for the exchange.
    fn insert_exchange(&mut self, id: ExchangeId, open: OpenExchange) {
        self.shelves.hold(open.owner(), &open.record);
        if let Some(before) = self.exchanges.insert(id, open) {
            self.shelves.release(&before.record);
        }
    }

    /// Notes to which session an exchange belongs, as soon as that is known, and takes its rows along.
    pub(super) fn belongs_to(&mut self, id: ExchangeId, session: Option<ProxySessionId>, at: Timestamp) {
        let Some(facts) = session
            .and_then(|id| self.sessions.get(id))
            .map(|known| Arc::clone(&known.facts))
        else {
            return;
        };
        let Some(open) = self.exchanges.get_mut(&id).filter(|open| open.session.is_none()) else {
            return;
        };
        let from = open.owner();
        open.session = Some(Arc::clone(&facts));
        let (first, calls, stream) = (open.first_row, open.calls.clone(), open.stream);
        let record = Arc::clone(&open.record);
        self.sessions.note(facts.id, at, Step::ExchangeOpened);
        for row in self.shelves.adopt(from, &facts, &record, first) {
            let is_error = row.is_failure();
            self.sessions.note(facts.id, at, Step::Row { is_error });
            self.mark_changed(&row);
        }
        for call in calls {
            self.adopt_call(call, from, Owner::Session(facts.id));
        }
        if let Some(stream) = stream {
            self.streams.assign(stream, facts.id);
            self.sessions.note(facts.id, at, Step::StreamOpened);
        }
    }

    pub(super) fn exchange_end(&mut self, at: Timestamp, mut end: ExchangeEnded) {
        let id = end.exchange;
        self.known_exchange(id, end.session, at);
        self.belongs_to(id, end.session, at);
        self.count_rest(id, &end);
        self.end_stream(id, at, end.response_end);
        self.rows_for_the_unseen(id, at, &end);
        self.end_calls_with(id, at, &end);
        self.end_http_row(id, at, &end);
        if let Some(open) = self.exchanges.remove(&id) {
            self.tally.exchange_ended(open.outcome(&end));
            self.latencies.observe(&end.timing, open.held);
            let failure = end.failure.take();
            let failure = failure.or_else(|| open.unanswered().map(no_server));
            open.record.finish(ExchangeEnded { failure, ..end });
            self.shelves.recharge(&open.record);
            self.shelves.release(&open.record);
            if let Some(session) = open.session {
                self.sessions.note(session.id, at, Step::ExchangeEnded);
            }
        }
    }

    /// Body bytes that came in no frame: tunnels, opaque bodies.
    fn count_rest(&mut self, id: ExchangeId, end: &ExchangeEnded) {
        let Some(open) = self.exchanges.get(&id) else {
            return;
        };
        let [from_client, from_server] = open.counted;
        self.totals.bytes_from_clients += end.request_bytes.saturating_sub(from_client);
        self.totals.bytes_from_servers += end.response_bytes.saturating_sub(from_server);
    }

    fn end_stream(&mut self, id: ExchangeId, at: Timestamp, how: EndKind) {
        let Some(open) = self.exchanges.get(&id) else {
            return;
        };
        if let Some(stream) = open.stream {
            self.streams.end(stream, at, how);
            if let Some(session) = &open.session {
                self.sessions.note(session.id, at, Step::StreamEnded);
            }
        }
    }

    /// What failed, or never said anything, gets a row all the same.
    fn rows_for_the_unseen(&mut self, id: ExchangeId, at: Timestamp, end: &ExchangeEnded) {
        let Some(open) = self.exchanges.get(&id) else {
            return;
        };
        let status = open.record.status();
        let is_failure = status.is_some_and(|status| status >= 400) || end.failure.is_some();
        if open.first_row.is_none() {
            return self.http_row(id, at, RowKind::Http, Carrier::Http);
        }
        if open.http_row.is_some() || open.has_answer_row || !is_failure {
            return;
        }
        let outcome = http_outcome(end, &open.record, false);
        let said = end.failure.as_deref().unwrap_or_default();
        let code = status
            .or(end.our_status)
            .map(|status| status.to_string())
            .unwrap_or_default();
        let draft = Draft {
            call: open.only_call(),
            course: Course::Ends,
            method: Some(self.words.share(&open.record.method)),
            end: Some(RowEnd {
                took: Some(at.since(open.record.started)),
                outcome,
                status,
            }),
            summary: describe::shorten(format!("{code} {said}").trim()),
            rare: RareFacts {
                error: end.failure.as_deref().map(Into::into),
                ..RareFacts::default()
            },
            ..Draft::new(
                at,
                Direction::ServerToClient,
                Carrier::Http,
                RowKind::HttpResponse,
            )
        };
        self.append(id, draft);
    }

    fn end_calls_with(&mut self, id: ExchangeId, at: Timestamp, end: &ExchangeEnded) {
        let Some(open) = self.exchanges.get_mut(&id) else {
            return;
        };
        let calls = std::mem::take(&mut open.calls);
        let (record, stream, has_error_row) = (Arc::clone(&open.record), open.stream, open.has_error_row);
        let basis = open
            .session
            .as_ref()
            .and_then(|session| self.sessions.get(session.id))
            .map(|known| known.basis);
        let circumstances = Circumstances {
            is_stream: stream.is_some(),
            is_resumable: stream.is_some_and(|stream| self.streams.is_resumable(stream)),
            answers_elsewhere: basis == Some(SessionBasis::SseEndpoint),
        };
        for call in calls {
            let Some(open) = self.calls.get(call).filter(|open| open.is_from_client()) else {
                continue;
            };
            match call_outcome(end, &record, open.is_modern, circumstances) {
                Some(outcome) if has_error_row => self.answer_call(call, at, outcome),
                Some(outcome) => self.end_call(call, at, outcome),
                None => {}
            }
        }
    }

    fn end_http_row(&mut self, id: ExchangeId, at: Timestamp, end: &ExchangeEnded) {
        let Some(open) = self.exchanges.get(&id) else {
            return;
        };
        let Some(row) = open.http_row.clone() else { return };
        let outcome = open.outcome(end);
        let (status, has_error_row) = (open.record.status().or(end.our_status), open.has_error_row);
        row.finish(RowEnd {
            took: Some(at.since(row.at())),
            outcome,
            status,
        });
        self.shelves.settle(row.id());
        self.mark_changed(&row);
        if outcome.is_error() && !has_error_row {
            self.count_error(row.session(), at);
        }
    }
}

/// What else decides how a call ends with its exchange.
#[derive(Debug, Clone, Copy)]
struct Circumstances {
    is_stream: bool,
    /// The stream set an event id, so the client may come back for the rest.
    is_resumable: bool,
    /// HTTP+SSE: answers come on the session's one stream, never on the POST.
    answers_elsewhere: bool,
}

/// How a call without an answer ends when the exchange of its request ends; `None` if it goes on.
///
/// Source: MCP 2025-11-25, Transports ("Sending Messages to the Server", "Resumability": a stream may be cut and
/// resumed); 2026-07-28, Transports (closing the response stream is the cancel; a broken stream loses the request).
fn call_outcome(
    end: &ExchangeEnded,
    record: &ExchangeRecord,
    is_modern: bool,
    circumstances: Circumstances,
) -> Option<Outcome> {
    if let Some(ours) = own_answer(end, record) {
        return Some(Outcome::ProxyError(ours));
    }
    if is_run(record) {
        return Some(run_call_outcome(end));
    }
    let status = record.status();
    if let Some(failed) = status.filter(|status| *status >= 400) {
        return Some(Outcome::HttpError(failed));
    }
    let may_resume = !is_modern && circumstances.is_stream && circumstances.is_resumable;
    match end.response_end {
        EndKind::CutByProxy | EndKind::Unwatched => Some(Outcome::Unanswered),
        _ if may_resume => None,
        EndKind::ClientAborted if is_modern => Some(Outcome::Cancelled),
        EndKind::ClientAborted => Some(Outcome::ClientGone),
        EndKind::UpstreamAborted | EndKind::UpstreamUnreachable => Some(Outcome::UpstreamGone),
        EndKind::Complete if is_modern => Some(Outcome::Unanswered),
        EndKind::Complete if circumstances.is_stream || circumstances.answers_elsewhere => None,
        // An acknowledgement: the answer is to come on another stream.
        EndKind::Complete if matches!(status, Some(202 | 204)) => None,
        EndKind::Complete => Some(Outcome::Unanswered),
    }
}

/// How an exchange without messages ends.
pub(super) fn http_outcome(end: &ExchangeEnded, record: &ExchangeRecord, is_stream: bool) -> Outcome {
    if let Some(ours) = own_answer(end, record) {
        return Outcome::ProxyError(ours);
    }
    if is_run(record) {
        return match end.response_end {
            EndKind::Unwatched => Outcome::Unwatched,
            _ if end.failure.is_some() => Outcome::UpstreamGone,
            _ => Outcome::Ok,
        };
    }
    let is_tunnel = record.kind == ExchangeKind::Tunnel && record.status().is_some_and(|status| status < 300);
    // A tunnel that broke has carried what it was for; one that never came about says why.
    let is_open = end.failure.is_none() || end.response_end == EndKind::UpstreamAborted;
    match end.response_end {
        _ if is_tunnel && is_open => Outcome::Ok,
        // Closing is how a client ends a stream that it listened to.
        EndKind::ClientAborted if is_stream => Outcome::Cancelled,
        EndKind::ClientAborted => Outcome::ClientGone,
        EndKind::UpstreamAborted | EndKind::UpstreamUnreachable => Outcome::UpstreamGone,
        EndKind::CutByProxy | EndKind::Unwatched => Outcome::Unanswered,
        EndKind::Complete => status_outcome(record.status()),
    }
}

fn no_server(cause: &str) -> String {
    format!("no server answered: {cause}")
}

/// A command that ran, however its lines travelled.
fn is_run(record: &ExchangeRecord) -> bool {
    matches!(record.kind, ExchangeKind::Run | ExchangeKind::BridgedRun)
}

/// Whose fault it is that a command ended before it answered.
fn run_call_outcome(end: &ExchangeEnded) -> Outcome {
    match end.response_end {
        EndKind::CutByProxy | EndKind::Unwatched => Outcome::Unanswered,
        EndKind::ClientAborted => Outcome::ClientGone,
        EndKind::Complete if end.failure.is_none() => Outcome::Unanswered,
        EndKind::Complete | EndKind::UpstreamAborted | EndKind::UpstreamUnreachable => Outcome::UpstreamGone,
    }
}

pub(super) fn status_outcome(status: Option<u16>) -> Outcome {
    match status {
        Some(failed @ 400..) => Outcome::HttpError(failed),
        Some(_) => Outcome::Ok,
        None => Outcome::Unanswered,
    }
}

fn own_answer(end: &ExchangeEnded, record: &ExchangeRecord) -> Option<u16> {
    let answered = record
        .status()
        .filter(|status| record.is_our_answer() && *status >= 400);
    end.our_status
        .filter(|status| *status >= 400)
        .or(answered)
        .filter(|_| end.response_end != EndKind::ClientAborted)
}
