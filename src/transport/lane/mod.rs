//! One direction of one carrier with rules armed: messages are asked about as they come and leave in the order in which
//! they came, whatever becomes of each.
//!
//! What no rule touches goes on as the bytes that came. While a message is held, what follows it in its lane waits; other
//! lanes run. What may wait is bounded by `max_lane_events` and `max_lane_bytes`; beyond, the sender waits.

mod batch;
mod carry;
mod cutting;
mod facts;
mod front;
mod noted;
mod of_copies;
mod queue;
mod reporting;
pub(crate) mod subject;
mod verdict;
mod words;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::codec::cut::Piece;
use crate::intercept::hold::HeadEdit;
use crate::session::observation::Event;
use crate::snapshot::Direction;

use super::exchange::Exchange;

pub(crate) use batch::as_batch;
pub(crate) use carry::{Outcome, Reply};
use cutting::Cutting;
pub(crate) use cutting::Form;
pub(crate) use noted::Noted;
use queue::{Chosen, Entry, Fate};
pub(crate) use reporting::Reported;
pub(crate) use words::as_event;

/// What keeps a held event stream alive.
pub(crate) const COMMENT: &[u8] = b": held\n\n";
/// How often a lane without a place in the table asks for one, and one that a rule delays whether rules still act.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// What goes on, and what is to be told.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) events: Vec<Event>,
    /// Messages for whoever sent what came here, where the carrier has a way back.
    pub(crate) back: Vec<Bytes>,
    /// Whether messages of ours may be said to the client now.
    pub(crate) may_say: bool,
    /// Progress that we made up for the client, whichever way the lane goes.
    pub(crate) synthetic: Vec<Bytes>,
    /// The body is closed here.
    pub(crate) is_closed: bool,
}

/// A direction of an exchange with rules armed.
#[derive(Debug)]
pub(crate) struct Lane {
    exchange: Arc<Exchange>,
    direction: Direction,
    form: Form,
    cutting: Cutting,
    pieces: Vec<Piece>,
    /// Told, and not cut yet.
    noted: VecDeque<Noted>,
    queue: VecDeque<Entry>,
    queued_bytes: usize,
    /// Comments among what is queued.
    comments: usize,
    /// The latest bytes are a part of a frame that is too large to hold, and not its end.
    is_in_part: bool,
    timer: Option<Pin<Box<Sleep>>>,
    last_sent: Instant,
    outcome: Outcome,
    /// What somebody has done to the head of what is decided about.
    head: HeadEdit,
    /// Answers of ours that are to go on with the document that comes.
    joins: Vec<Bytes>,
    /// Progress that was made up last, and when.
    reported: Option<Reported>,
    last_report: Instant,
    is_over: bool,
    is_closed: bool,
}

/// How far a lane has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All that came has gone on.
    Empty,
    /// Something waits, and there is room behind it.
    Blocked,
    /// Something waits, and nothing more may come.
    Full,
    /// Nothing goes on any more.
    Closed,
}

impl Lane {
    /// A lane for `direction` of an exchange, at a boundary of frames unless it `is_inside` one, which then passes.
    pub(crate) fn new(exchange: Arc<Exchange>, direction: Direction, form: Form, is_inside: bool) -> Self {
        let max = exchange.hub.limits.max_message_bytes;
        Self {
            exchange,
            direction,
            form,
            cutting: Cutting::new(form, max, is_inside),
            pieces: Vec::new(),
            noted: VecDeque::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            comments: 0,
            is_in_part: false,
            timer: None,
            last_sent: Instant::now(),
            outcome: Outcome::default(),
            head: HeadEdit::default(),
            joins: Vec::new(),
            reported: None,
            last_report: Instant::now(),
            is_over: false,
            is_closed: false,
        }
    }

    /// Takes the next bytes, and what was told of the frames that end in them.
    pub(crate) fn push(&mut self, chunk: &Bytes, noted: impl IntoIterator<Item = Noted>) {
        self.noted.extend(noted);
        let mut pieces = std::mem::take(&mut self.pieces);
        self.cutting.push(chunk, &mut pieces);
        self.take(&mut pieces);
    }

    /// Has answers of ours go on with the document that comes.
    pub(crate) fn join(&mut self, answers: Vec<Bytes>) {
        self.joins = answers;
    }

    /// Whether what came was no answer that ours could be joined to.
    pub(crate) fn has_unjoined(&self) -> bool {
        !self.joins.is_empty()
    }

    /// Takes bytes that nobody is asked about: they keep their place.
    pub(crate) fn push_unasked(&mut self, bytes: Bytes) {
        self.put_plain(bytes, Fate::Pass);
        self.note_queue();
    }

    /// Whether the last bytes that went on were not the end of a frame.
    pub(crate) fn is_within_frame(&self) -> bool {
        let head = self.queue.front();
        head.is_some_and(|entry| matches!(entry.fate, Fate::Trickle { .. }))
    }

    /// How many of the bytes that came have not gone on yet, nor been left out.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.queued_bytes + self.cutting.buffered()
    }

    /// The body is over.
    pub(crate) fn finish(&mut self, noted: impl IntoIterator<Item = Noted>) {
        self.noted.extend(noted);
        let mut pieces = std::mem::take(&mut self.pieces);
        self.cutting.finish(&mut pieces);
        let is_empty = !std::mem::replace(&mut self.is_over, true) && pieces.is_empty();
        self.take(&mut pieces);
        if is_empty && self.form == Form::Document && self.cutting.is_untouched() {
            // A request or response without a body.
            self.put(Bytes::new(), Some(Noted::of_document(Bytes::new())));
        }
    }

    /// Lets go of what may go. Registers for what is waited for.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, on: &mut Passed) -> Progress {
        while !self.is_closed && !self.queue.is_empty() {
            if self.poll_head(cx, on).is_pending() {
                self.let_comments_by(on);
                self.keep_alive(cx, on);
                self.report(cx, on);
                return self.blocked();
            }
        }
        on.is_closed |= self.is_closed;
        if self.is_closed {
            self.give_up_queue();
            return Progress::Closed;
        }
        self.timer = None;
        Progress::Empty
    }

    /// Whether the rest of a document passes without being asked about: it is too large to hold.
    pub(crate) fn lets_pass(&self) -> bool {
        self.cutting.lets_pass()
    }

    /// What has become of a document as a whole.
    pub(crate) fn take_outcome(&mut self) -> Outcome {
        std::mem::take(&mut self.outcome)
    }

    /// Whether nothing waits in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.cutting.is_empty()
    }

    /// Whether nothing more may come behind the head.
    fn is_full(&self) -> bool {
        let limits = &self.exchange.hub.limits;
        self.queue.len() > limits.max_lane_events || self.queued_bytes >= limits.max_lane_bytes
    }

    fn blocked(&self) -> Progress {
        let limits = &self.exchange.hub.limits;
        let (events, bytes) = (self.queue.len() - 1, self.queued_bytes);
        let meters = &self.exchange.hub.meters;
        meters.lane_events.note(events as u64);
        meters.lane_bytes.note(bytes as u64);
        if !self.is_full() {
            return Progress::Blocked;
        }
        if events >= limits.max_lane_events {
            meters.lane_events.reach();
        }
        if bytes >= limits.max_lane_bytes {
            meters.lane_bytes.reach();
        }
        Progress::Full
    }

    fn take(&mut self, pieces: &mut Vec<Piece>) {
        for piece in pieces.drain(..) {
            match piece {
                Piece::Frame(bytes) | Piece::Tail(bytes) => {
                    let noted = self.noted.pop_front();
                    self.put(bytes, noted);
                }
                // Too large to hold: it passes in its place.
                Piece::Part(bytes) => {
                    self.is_in_part = true;
                    self.put_plain(bytes, Fate::Part);
                }
                Piece::Oversize { .. } => {
                    self.is_in_part = false;
                    self.noted.pop_front();
                }
            }
        }
        self.pieces = std::mem::take(pieces);
        self.note_queue();
    }

    /// Comments pass at any time between two events, and keep the client of a held stream.
    fn keep_alive(&mut self, cx: &mut Context<'_>, on: &mut Passed) {
        let every = self.exchange.hub.interceptor.holds.comment_every();
        if self.form != Form::Events || !on.pieces.is_empty() {
            if !on.pieces.is_empty() {
                self.last_sent = Instant::now();
            }
            return;
        }
        if self.last_sent.elapsed() >= every {
            self.last_sent = Instant::now();
            on.pieces.push(Bytes::from_static(COMMENT));
        }
        let due = self.last_sent + every;
        // Whatever else is waited for comes earlier, or is asked for again then.
        let _ = self.poll_until(cx, due);
    }

    /// Ready at `due`; the earliest time that was asked for wakes.
    fn poll_until(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        if Instant::now() >= due {
            return Poll::Ready(());
        }
        match &mut self.timer {
            Some(timer) if timer.deadline() <= due && !timer.is_elapsed() => {}
            Some(timer) => timer.as_mut().reset(due),
            none => *none = Some(Box::pin(sleep_until(due))),
        }
        match &mut self.timer {
            // Elapsed is only another reason to look again.
            Some(timer) => match timer.as_mut().poll(cx) {
                Poll::Ready(()) => {
                    cx.waker().wake_by_ref();
                    self.timer = None;
                    Poll::Pending
                }
                Poll::Pending => Poll::Pending,
            },
            None => Poll::Pending,
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.give_up_queue();
    }
}
