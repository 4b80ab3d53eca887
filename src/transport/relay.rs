//! Bodies on their way: each chunk goes on as it came, at once, while a copy is read. When the watchers are full the
//! chunk waits, and with it the sender.

mod rules;
pub(crate) mod source;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::snapshot::{Direction, EndKind};

use super::causes::describe;
use super::exchange::Exchange;
use super::lane::{Lane, Noted, Progress, as_event};
use super::reader::{BodyReader, Draft};
use super::rewrite::{Changes, Onward, Rewrite};
use super::watchers::Outbox;

use source::{BodyError, Source};

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

    /// Says a message of ours before all events of a stream.
    pub(crate) fn saying(mut self, message: &Bytes) -> Self {
        self.waiting.push_back(Ok(Frame::data(as_event(message))));
        self
    }

    /// How many bytes go on, if that is known.
    pub(crate) fn exact_length(&self) -> Option<u64> {
        self.size().exact()
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
        let has_trailers = self.waiting.iter().flatten().any(Frame::is_trailers);
        if self.stage.is_some() || self.hides_length || has_lane || has_trailers {
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
        // Before it is read, since what an event means may depend on how it goes on.
        let rewritten = self.rewrite(&chunk, is_last);
        self.read(&chunk, is_last);
        self.tell();
        match rewritten {
            Some(pieces) => self.hand_on(pieces),
            None => self.hand_on([chunk]),
        }
        if is_last {
            self.finish(EndKind::Complete);
        }
    }

    fn read(&mut self, bytes: &Bytes, is_last: bool) {
        self.reader
            .push(bytes, is_last, self.outbox.is_recording(), &mut self.drafts);
    }

    /// What the stage makes of a chunk; `None` without a stage.
    fn rewrite(&mut self, chunk: &Bytes, is_last: bool) -> Option<Vec<Bytes>> {
        let mut stage = self.stage.take()?;
        let mut on = Onward::default();
        stage.push(chunk.clone(), &mut on);
        if is_last {
            stage.finish(true, &mut on);
        }
        self.stage = (!is_last && !stage.is_done()).then_some(stage);
        Some(self.tell_rewrites(on))
    }

    /// Tells what a stage has changed, and gives what goes on.
    fn tell_rewrites(&mut self, mut on: Onward) -> Vec<Bytes> {
        on.changes.is_of_request = self.direction == Direction::ClientToServer;
        self.is_changed |= !on.changes.rewrites.is_empty();
        self.exchange.tell_changes(on.changes, &mut self.outbox);
        on.pieces
    }

    /// What came, or came out of a stage, goes into the lane, if there is one, with what was told of it.
    fn hand_on(&mut self, pieces: impl IntoIterator<Item = Bytes>) {
        match &mut self.lane {
            Some(lane) => {
                for piece in pieces {
                    lane.push(&piece, self.notes.drain(..));
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

    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
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
        self.read(&event, false);
        self.tell_noting(false);
        self.waiting.push_back(Ok(Frame::data(event)));
        true
    }

    /// Takes the next frame of the body, or its end.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.incoming.poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(chunk) => self.take_chunk(chunk),
                // Nothing follows them, and nobody asks for what would.
                Err(trailers) => {
                    self.end_stage(true);
                    self.finish(EndKind::Complete);
                    self.has_ended = true;
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
