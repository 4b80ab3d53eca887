//! Bodies on their way: each chunk goes on as it came, at once, while a copy is read. When the watchers are full the
//! chunk waits, and with it the sender.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::session::observation::Observation;
use crate::snapshot::{Direction, EndKind};

use super::early::EarlyStream;
use super::exchange::Exchange;
use super::lane::{Form, Lane, Noted, Outcome, Passed, Progress, Reported, as_event};
use super::reader::{BodyReader, Draft};
use super::rewrite::{Changes, Onward, Rewrite};
use super::watchers::Outbox;

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
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Http(incoming) => Pin::new(incoming).poll_frame(cx).map_err(BodyError::from),
            Self::Made(body) => body
                .poll_piece(cx)
                .map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http(incoming) => incoming.is_end_stream(),
            Self::Made(body) => body.is_at_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http(incoming) => incoming.size_hint(),
            Self::Made(_) => SizeHint::default(),
        }
    }
}

/// A body that is relayed and read.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says how far one of its parts is; their combinations all occur"
)]
pub(crate) struct Relay {
    incoming: Source,
    direction: Direction,
    reader: BodyReader,
    drafts: Vec<Draft>,
    outbox: Outbox,
    /// Changes what goes on, after it was read as it came.
    stage: Option<Box<dyn Rewrite>>,
    /// Holds back what rules want, behind all other changes.
    lane: Option<Box<Lane>>,
    /// Told, and not known to the lane yet.
    notes: Vec<Noted>,
    /// What is to be said in an HTTP+SSE stream beside what its server says.
    inbox: Option<mpsc::Receiver<Bytes>>,
    /// What ends the body behind what the lane still has.
    behind: VecDeque<Result<Frame<Bytes>, BodyError>>,
    /// The rules that the lane is, or is not, there for.
    rules_seen: u64,
    waiting: VecDeque<Result<Frame<Bytes>, BodyError>>,
    is_done: bool,
    has_ended: bool,
    is_changed: bool,
    /// What goes on before the body breaks off was given time to be written.
    has_paused: bool,
    /// hyper puts the length of a body that is known to be empty behind all other fields, so an empty body with a
    /// `Content-Length` of its own is not called empty before its end was asked for.
    hides_end: bool,
    hides_length: bool,
    // Dropped last: its drop tells the end of the exchange, after everything that is still in the outbox.
    exchange: Arc<Exchange>,
}

impl Relay {
    /// Relays `incoming` in `direction`. `outbox` may hold what has to be told before.
    pub(crate) fn new(
        exchange: Arc<Exchange>,
        direction: Direction,
        incoming: impl Into<Source>,
        reader: BodyReader,
        outbox: Outbox,
    ) -> Self {
        let mut relay = Self {
            incoming: incoming.into(),
            direction,
            reader,
            drafts: Vec::new(),
            outbox,
            stage: None,
            lane: None,
            notes: Vec::new(),
            inbox: None,
            behind: VecDeque::new(),
            rules_seen: 0,
            waiting: VecDeque::new(),
            is_done: false,
            has_ended: false,
            is_changed: false,
            has_paused: false,
            hides_end: false,
            hides_length: false,
            exchange,
        };
        // A body that is known to be empty is never polled.
        if relay.incoming.is_end_stream() {
            relay.finish(EndKind::Complete);
        }
        relay
    }

    /// Lets `stage` change what goes on. Its receiver must not have been told a length, unless the stage keeps it or
    /// [`Relay::settle`] says the new one.
    pub(crate) fn rewritten_by(mut self, stage: impl Rewrite + 'static) -> Self {
        if !self.is_done {
            self.stage = Some(Box::new(stage));
        }
        self
    }

    /// Asks the rules about what passes, from the first byte on.
    pub(crate) fn with_rules(self, form: Form) -> Self {
        self.with_rules_joining(form, Vec::new())
    }

    /// As [`Relay::with_rules`], and has answers of ours go on with the document.
    pub(crate) fn with_rules_joining(mut self, form: Form, answers: Vec<Bytes>) -> Self {
        let mut lane = Lane::new(Arc::clone(&self.exchange), self.direction, form, false);
        lane.join(answers);
        let read = if form == Form::Document {
            self.take_read()
        } else {
            Bytes::new()
        };
        if !read.is_empty() {
            lane.push(&read, None);
        }
        if self.is_done {
            lane.finish((!read.is_empty()).then(|| Noted::of_document(read)));
        }
        self.lane = Some(Box::new(lane));
        self
    }

    /// Says a message of ours before all events of a stream.
    pub(crate) fn saying(mut self, message: &Bytes) -> Self {
        self.waiting.push_back(Ok(Frame::data(as_event(message))));
        self
    }

    /// Whether what came was no document that answers could be joined to.
    pub(crate) fn has_unjoined(&self) -> bool {
        self.lane.as_ref().is_some_and(|lane| lane.has_unjoined())
    }

    /// What was read of a document before anybody was asked, since something in it was changed.
    fn take_read(&mut self) -> Bytes {
        let mut read = BytesMut::new();
        while let Some(Ok(frame)) = self.waiting.front()
            && let Some(data) = frame.data_ref()
        {
            read.extend_from_slice(data);
            self.waiting.pop_front();
        }
        read.freeze()
    }

    /// How many bytes go on, if that is known.
    pub(crate) fn exact_length(&self) -> Option<u64> {
        self.size().exact()
    }

    /// Waits until it is decided what becomes of a document, and says so.
    ///
    /// # Cancel safety
    /// Dropped with its relay when the client goes away: what is held ends as orphaned.
    pub(crate) async fn decided(&mut self) -> Outcome {
        std::future::poll_fn(|cx| self.poll_decided(cx)).await;
        self.outcome()
    }

    /// As [`Relay::decided`]; `None` as soon as a rule holds it whose client is to get an event stream meanwhile.
    pub(crate) async fn decided_or_early(&mut self) -> Option<Outcome> {
        let is_decided = std::future::poll_fn(|cx| match self.poll_decided(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if self.wants_early_stream() => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        });
        if is_decided.await {
            Some(self.outcome())
        } else {
            None
        }
    }

    fn wants_early_stream(&self) -> bool {
        self.lane.as_ref().is_some_and(|lane| lane.wants_early_stream())
    }

    fn poll_decided(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.outbox.poll_flush(cx));
            match self.poll_lane(cx) {
                _ if self.lane.as_ref().is_some_and(|lane| lane.lets_pass()) => return Poll::Ready(()),
                Some(Progress::Empty) if self.is_over() => return Poll::Ready(()),
                None | Some(Progress::Closed) => return Poll::Ready(()),
                Some(Progress::Full) => return Poll::Pending,
                Some(Progress::Blocked) if self.is_over() => return Poll::Pending,
                Some(_) => ready!(self.poll_source(cx)),
            }
        }
    }

    fn outcome(&mut self) -> Outcome {
        self.lane
            .as_mut()
            .map(|lane| lane.take_outcome())
            .unwrap_or_default()
    }

    /// Lets the lane bring on its way what may go.
    fn poll_lane(&mut self, cx: &mut Context<'_>) -> Option<Progress> {
        let may_say = !self.reader.is_inside_frame() && self.stage.is_none();
        let lane = self.lane.as_mut()?;
        let mut on = Passed {
            may_say,
            ..Passed::default()
        };
        let progress = lane.poll(cx, &mut on);
        let at = self.exchange.hub.clock.now();
        for event in on.events {
            self.outbox.put(Observation { at, event });
        }
        self.waiting
            .extend(on.pieces.into_iter().map(|piece| Ok(Frame::data(piece))));
        for message in on.synthetic {
            self.say_synthetic(&message);
        }
        if progress == Progress::Closed && !std::mem::replace(&mut self.has_ended, true) {
            self.finish(EndKind::CutByProxy);
            self.behind.clear();
            self.waiting
                .push_back(Err(BodyError::GivenUp("closed by a rule")));
        }
        if progress == Progress::Empty {
            self.waiting.append(&mut self.behind);
        }
        Some(progress)
    }

    /// Says a message that we made up, between two events.
    fn say_synthetic(&mut self, message: &Bytes) {
        let event = as_event(message);
        self.reader
            .push(&event, false, self.outbox.is_recording(), &mut self.drafts);
        let what = (self.direction, self.exchange.carrier(self.direction));
        self.exchange
            .tell_synthetic(what, &mut self.drafts, &mut self.outbox);
        self.waiting.push_back(Ok(Frame::data(event)));
    }

    /// What the client of a held request is to be told of its progress.
    pub(crate) fn early_report(&self) -> Option<Reported> {
        self.lane.as_ref()?.early_report()
    }

    /// Rules that were armed since the body began are asked from its next frame on.
    fn look_for_rules(&mut self) {
        if !self.exchange.has_other_rules(&mut self.rules_seen) {
            return;
        }
        let is_stream = self.reader.is_of_events() && self.reader.coding().is_none();
        if self.lane.is_some() || !is_stream || !self.exchange.asks_rules() {
            return;
        }
        let is_inside = self.reader.is_inside_frame();
        let lane = Lane::new(
            Arc::clone(&self.exchange),
            self.direction,
            Form::Events,
            is_inside,
        );
        self.lane = Some(Box::new(lane));
    }

    /// Tells something remarkable about the body.
    pub(crate) fn warn(&mut self, text: &str) {
        let mut changes = Changes::default();
        changes.warn(text);
        self.exchange.tell_changes(changes, &mut self.outbox);
    }

    /// Whether the stage has changed something so far.
    pub(crate) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Waits until the stage changes nothing more. Gives the length of all that goes on, if it is known by then.
    ///
    /// # Cancel safety
    /// Dropped with its relay when the client goes away; what was read until then has been told.
    pub(crate) async fn settle(&mut self) -> Option<u64> {
        std::future::poll_fn(|cx| {
            while self.stage.is_some() && !self.is_over() {
                ready!(self.outbox.poll_flush(cx));
                ready!(self.poll_source(cx));
            }
            Poll::Ready(())
        })
        .await;
        self.size_hint().exact()
    }

    /// Does not say its length, even if that is known: its sender did not either.
    pub(crate) fn without_length(mut self) -> Self {
        self.hides_length = true;
        self
    }

    fn waiting_bytes(&self) -> u64 {
        let frames = self.waiting.iter().flatten();
        let data = frames.filter_map(Frame::data_ref);
        data.map(|data| data.len() as u64).sum()
    }

    fn size(&self) -> SizeHint {
        let waiting = self.waiting_bytes();
        let has_lane = self
            .lane
            .as_ref()
            .is_some_and(|lane| !self.is_over() || !lane.is_empty());
        if self.stage.is_some() || self.hides_length || has_lane {
            return SizeHint::default();
        }
        if self.is_over() {
            return SizeHint::with_exact(waiting);
        }
        let mut size = self.incoming.size_hint();
        if let Some(upper) = size.upper() {
            size.set_upper(upper.saturating_add(waiting));
        }
        size.set_lower(size.lower().saturating_add(waiting));
        size
    }

    fn is_at_end(&self) -> bool {
        let has_lane = self
            .lane
            .as_ref()
            .is_some_and(|lane| !lane.is_empty() || !self.is_done);
        !self.hides_end
            && self.waiting.is_empty()
            && self.behind.is_empty()
            && self.stage.is_none()
            && !has_lane
            && (self.incoming.is_end_stream() || self.has_ended)
    }

    /// Keeps the place of a `Content-Length: 0` among the other fields.
    pub(crate) fn keep_length_in_place(mut self) -> Self {
        self.hides_end = true;
        self
    }

    fn finish(&mut self, end: EndKind) {
        if std::mem::replace(&mut self.is_done, true) {
            return;
        }
        self.reader.finish(end == EndKind::Complete, &mut self.drafts);
        self.tell();
        if let Some(lane) = &mut self.lane {
            lane.finish(self.notes.drain(..));
        }
        self.exchange.end_direction(self.direction, end);
    }

    fn tell(&mut self) {
        self.tell_noting(self.lane.is_some());
        if self.inbox.is_none() && self.reader.is_of_events() {
            self.inbox = self.exchange.take_inbox();
        }
    }

    /// Tells what was read; for the lane too if it `is_asked`.
    fn tell_noting(&mut self, is_asked: bool) {
        if !self.drafts.is_empty() {
            let carrier = self.exchange.carrier(self.direction);
            let notes = is_asked.then_some(&mut self.notes);
            self.exchange.tell_noted(
                (self.direction, carrier),
                &mut self.drafts,
                self.reader.coding(),
                &mut self.outbox,
                notes,
            );
        }
    }

    /// Reads a chunk and passes it on, or what becomes of it.
    fn take_chunk(&mut self, chunk: Bytes) {
        self.exchange.count(self.direction, chunk.len());
        let is_last = self.incoming.is_end_stream();
        self.look_for_rules();
        let Some(mut stage) = self.stage.take() else {
            if self.lane.is_some() {
                return self.ask_rules(&chunk, is_last);
            }
            self.read(&chunk, is_last);
            return self.waiting.push_back(Ok(Frame::data(chunk)));
        };
        let mut on = Onward::default();
        stage.push(chunk.clone(), &mut on);
        if is_last {
            stage.finish(true, &mut on);
        }
        self.stage = (!is_last && !stage.is_done()).then_some(stage);
        // Before it is read, since what an event means may depend on how it goes on.
        let pieces = self.tell_rewrites(on);
        self.reader
            .push(&chunk, is_last, self.outbox.is_recording(), &mut self.drafts);
        self.tell();
        self.hand_on(pieces);
        if is_last {
            self.finish(EndKind::Complete);
        }
    }

    /// Puts a chunk into the lane, behind what is told of it.
    fn ask_rules(&mut self, chunk: &Bytes, is_last: bool) {
        self.reader
            .push(chunk, is_last, self.outbox.is_recording(), &mut self.drafts);
        self.tell();
        if let Some(lane) = &mut self.lane {
            lane.push(chunk, self.notes.drain(..));
        }
        if is_last {
            self.finish(EndKind::Complete);
        }
    }

    fn read(&mut self, chunk: &Bytes, is_last: bool) {
        self.reader
            .push(chunk, is_last, self.outbox.is_recording(), &mut self.drafts);
        self.tell();
        if is_last {
            self.finish(EndKind::Complete);
        }
    }

    /// Tells what a stage has changed, and gives what goes on.
    fn tell_rewrites(&mut self, mut on: Onward) -> Vec<Bytes> {
        on.changes.is_of_request = self.direction == Direction::ClientToServer;
        self.is_changed |= !on.changes.rewrites.is_empty();
        self.exchange.tell_changes(on.changes, &mut self.outbox);
        on.pieces
    }

    /// What comes out of a stage goes into the lane, if there is one, with what was told of it.
    fn hand_on(&mut self, pieces: Vec<Bytes>) {
        match &mut self.lane {
            Some(lane) => {
                for piece in &pieces {
                    lane.push(piece, self.notes.drain(..));
                }
            }
            None => self
                .waiting
                .extend(pieces.into_iter().map(|piece| Ok(Frame::data(piece)))),
        }
    }

    /// The body is over: whatever the stage holds goes on.
    fn end_stage(&mut self, is_whole: bool) {
        if let Some(mut stage) = self.stage.take() {
            let mut on = Onward::default();
            stage.finish(is_whole, &mut on);
            let pieces = self.tell_rewrites(on);
            self.hand_on(pieces);
        }
    }

    /// Nothing more is to come.
    fn is_over(&self) -> bool {
        self.has_ended
            || self.is_done && (self.incoming.is_end_stream() || matches!(self.incoming, Source::Made(_)))
    }

    /// How this direction ends when its sender breaks off.
    const fn broken_off(&self) -> EndKind {
        match self.direction {
            Direction::ClientToServer => EndKind::ClientAborted,
            Direction::ServerToClient => EndKind::UpstreamAborted,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.hides_end = false;
        loop {
            ready!(self.outbox.poll_flush(cx));
            let breaks_off = matches!(self.waiting.front(), Some(Err(_)));
            if breaks_off && !std::mem::replace(&mut self.has_paused, true) {
                // hyper forgets what it has not written yet when it hears of an error.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(waiting) = self.waiting.pop_front() {
                return Poll::Ready(Some(waiting));
            }
            if self.poll_inbox(cx) {
                continue;
            }
            match self.poll_lane(cx) {
                _ if !self.waiting.is_empty() || self.outbox.has_waiting() => continue,
                Some(Progress::Full) => return Poll::Pending,
                Some(Progress::Blocked) if self.is_over() => return Poll::Pending,
                _ => {}
            }
            if self.is_over() {
                return Poll::Ready(None);
            }
            ready!(self.poll_source(cx));
        }
    }

    /// Says what is to be said in this stream, between two events. It does not wait behind what is held.
    fn poll_inbox(&mut self, cx: &mut Context<'_>) -> bool {
        let is_between = !self.reader.is_inside_frame()
            && self.stage.is_none()
            && !self.is_over()
            && self.lane.as_ref().is_none_or(|lane| !lane.is_within_frame());
        let Some(inbox) = self.inbox.as_mut().filter(|_| is_between) else {
            return false;
        };
        let Poll::Ready(Some(message)) = inbox.poll_recv(cx) else {
            return false;
        };
        let event = as_event(&message);
        self.reader
            .push(&event, false, self.outbox.is_recording(), &mut self.drafts);
        self.tell_noting(false);
        self.waiting.push_back(Ok(Frame::data(event)));
        true
    }

    /// Takes the next frame of the body, or its end.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.incoming.poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(chunk) => self.take_chunk(chunk),
                Err(trailers) => {
                    self.end_stage(true);
                    self.put_behind(Ok(trailers));
                }
            },
            Some(Err(error)) => {
                self.exchange.fail(describe(&error));
                self.end_stage(false);
                self.finish(self.broken_off());
                self.put_behind(Err(error));
            }
            None => {
                self.end_stage(true);
                self.finish(EndKind::Complete);
                self.has_ended = true;
            }
        }
        Poll::Ready(())
    }

    /// The end of a body waits behind what is held of it.
    fn put_behind(&mut self, end: Result<Frame<Bytes>, BodyError>) {
        match &self.lane {
            Some(_) => self.behind.push_back(end),
            None => self.waiting.push_back(end),
        }
    }

    /// Reads what is left of the body for as long as `patience`, so that a request is seen although its upstream could
    /// not be reached.
    async fn drain(relay: &Mutex<Self>, patience: std::time::Duration) {
        let reading =
            async { while let Some(Ok(_)) = std::future::poll_fn(|cx| lock(relay).poll_next(cx)).await {} };
        // What did not come in time is told as broken off when the relay is dropped.
        if tokio::time::timeout(patience, reading).await.is_err() {
            tracing::debug!("the rest of a request whose upstream failed did not come in time");
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // What is held of it has nobody to go to.
        self.lane = None;
        if self.is_done {
            return;
        }
        // Whoever was to take the body has gone: the client for a response, the upstream for a request.
        let peer = match self.direction {
            Direction::ClientToServer => EndKind::UpstreamAborted,
            Direction::ServerToClient => EndKind::ClientAborted,
        };
        self.finish(self.exchange.hub.end_of_dropped(peer));
    }
}

/// An error and then its causes, one behind the other.
pub(crate) fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// An error and its causes in one line, without those that only say in which part of the HTTP library it was.
pub(crate) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    for cause in chain(error).filter(|cause| !is_only_a_part(*cause)) {
        let next = cause.to_string();
        if text.is_empty() {
            text = next;
        } else if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
    }
    text
}

/// Whether what came back was something else than HTTP, as from a server that speaks TLS.
pub(crate) fn is_no_http(error: &(dyn std::error::Error + 'static)) -> bool {
    chain(error).any(|cause| {
        cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(|error| error.is_parse() && !error.is_parse_too_large())
    })
}

/// `client error (Connect)`, `error sending request`: what matters is behind them.
fn is_only_a_part(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_part = error.is::<hyper_util::client::legacy::Error>()
        || error
            .downcast_ref::<reqwest::Error>()
            .is_some_and(reqwest::Error::is_request);
    is_part && error.source().is_some()
}

impl Body for Relay {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll_next(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.is_at_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.size()
    }
}

fn lock(relay: &Mutex<Relay>) -> MutexGuard<'_, Relay> {
    relay.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request's body. Shared with the exchange, which reads the rest itself when the upstream cannot be reached.
#[derive(Debug, Clone)]
pub(crate) struct RequestBody(Arc<Mutex<Relay>>);

impl RequestBody {
    pub(crate) fn new(relay: Relay) -> Self {
        Self(Arc::new(Mutex::new(relay)))
    }

    /// Reads what is left, `patience` at most.
    pub(crate) async fn drain(self, patience: std::time::Duration) {
        Relay::drain(&self.0, patience).await;
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        lock(&self.0).poll_next(cx)
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).size_hint()
    }
}

/// The body of what a client gets.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    /// An upstream's.
    Relay(Box<Relay>),
    /// Our own.
    Own(Option<Bytes>),
    /// One that began before the server was asked.
    Early(Box<EarlyStream>),
    /// One that breaks off at once.
    Broken,
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Relay(relay) => relay.poll_next(cx),
            Self::Early(stream) => stream.poll_next(cx),
            Self::Broken => Poll::Ready(Some(Err(BodyError::GivenUp("closed by a rule")))),
            Self::Own(text) => Poll::Ready(
                text.take()
                    .filter(|text| !text.is_empty())
                    .map(|text| Ok(Frame::data(text))),
            ),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Relay(relay) => relay.is_end_stream(),
            Self::Early(_) | Self::Broken => false,
            Self::Own(text) => text.as_ref().is_none_or(Bytes::is_empty),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Relay(relay) => relay.size_hint(),
            Self::Early(_) | Self::Broken => SizeHint::default(),
            Self::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
