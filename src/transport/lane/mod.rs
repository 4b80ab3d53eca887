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

use crate::codec::content::{ContentDecoder, DecodeLimits};
use crate::codec::cut::Piece;
use crate::codec::event::SseEvent;
use crate::codec::lines::line_content;
use crate::ids::HoldId;
use crate::intercept::hold::{Actor, Decided, Ending, HeadEdit, Ticket};
use crate::intercept::rule::{Verdict, WhileHeld};
use crate::session::observation::{Event, FrameObserved, PlacedMessage, SseObserved, VerdictObserved};
use crate::snapshot::{Carrier, Direction};

use super::exchange::Exchange;

use batch::Batch;
pub(crate) use batch::as_batch;
pub(crate) use carry::{Outcome, Reply};
use cutting::Cutting;
pub(crate) use cutting::Form;
pub(crate) use reporting::Reported;
pub(crate) use words::as_event;

/// What keeps a held event stream alive.
pub(crate) const COMMENT: &[u8] = b": held\n\n";
/// How often a lane without a place in the table asks for one, and one that a rule delays whether rules still act.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// What an event stream may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What was told of a frame: what the rules are asked about.
#[derive(Debug, Clone)]
pub(crate) struct Noted {
    pub(crate) frame: u32,
    pub(crate) carrier: Carrier,
    pub(crate) messages: Vec<PlacedMessage>,
    pub(crate) payload: Bytes,
    pub(crate) size: u64,
    pub(crate) is_cut: bool,
    /// The content coding that was undone for the payload.
    pub(crate) coding: Option<Arc<str>>,
    pub(crate) sse: Option<SseObserved>,
    /// Which message of a batch it is, from 1, and of how many.
    pub(crate) batch: Option<(u32, u32)>,
}

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

/// A frame in its lane.
#[derive(Debug)]
struct Entry {
    bytes: Bytes,
    form: Form,
    noted: Option<Noted>,
    fate: Fate,
    came: Instant,
}

/// What is to happen to a frame when it is at the head.
#[derive(Debug)]
enum Fate {
    /// It goes on as it came.
    Pass,
    /// It is a part of a frame that is too large to hold, and goes on.
    Part,
    /// It is a comment: it goes on in its place, or at once where something is held before it.
    Comment,
    /// A person decides.
    Wait { ticket: Ticket, is_up: bool },
    /// A person is to decide, and the table is full.
    WaitForRoom { rule: Chosen },
    /// A rule has decided.
    Do { rule: Chosen, is_due: Option<Instant> },
    /// Somebody has decided that it goes on later.
    Delayed {
        ticket: Ticket,
        decided: Decided,
        due: Instant,
    },
    /// Each message of a batch has a fate of its own.
    Batch(Box<Batch>),
    /// It goes on slowly.
    Trickle {
        rest: Bytes,
        per_second: u64,
        due: Instant,
    },
}

/// A rule that acts on a frame.
#[derive(Debug, Clone)]
struct Chosen {
    name: Arc<str>,
    verdict: Verdict,
    on_expire: Option<crate::intercept::rule::OnExpire>,
    while_held: WhileHeld,
    /// How much later it goes on, by a verdict of delay.
    delay: Duration,
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

impl Noted {
    /// What a lane has to know of a frame that was told.
    pub(crate) fn of(frame: &FrameObserved) -> Self {
        Self {
            frame: frame.frame,
            carrier: frame.carrier,
            messages: frame.messages.clone(),
            payload: frame.payload.clone(),
            size: frame.size,
            is_cut: frame.is_cut,
            coding: frame.coding.clone(),
            sse: frame.sse.clone(),
            batch: None,
        }
    }

    /// A document of which nothing else is known.
    pub(crate) fn of_document(payload: Bytes) -> Self {
        Self {
            frame: 0,
            carrier: Carrier::Http,
            messages: Vec::new(),
            size: payload.len() as u64,
            payload,
            is_cut: false,
            coding: None,
            sse: None,
            batch: None,
        }
    }

    /// A comment, or a blank line: nothing that anybody could want to hold.
    fn is_silent(&self) -> bool {
        let says_nothing = |sse: &SseObserved| sse.event.is_none() && sse.id.is_none() && sse.retry.is_none();
        self.messages.is_empty() && self.payload.is_empty() && self.sse.as_ref().is_some_and(says_nothing)
    }

    /// An `id`, a `retry` or an event with empty data: a place to resume from, and no message.
    fn is_resume_point(&self) -> bool {
        let is_nameless = |sse: &SseObserved| sse.event.as_deref().is_none_or(|event| event == "message");
        self.size < RESUME_POINT_BYTES
            && self.messages.is_empty()
            && self.payload.is_empty()
            && self.sse.as_ref().is_some_and(is_nameless)
    }
}

/// Larger blocks without a payload are no places to resume from.
const RESUME_POINT_BYTES: u64 = 4096;

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

    fn put_plain(&mut self, bytes: Bytes, fate: Fate) {
        self.queue_up(Entry {
            bytes,
            form: self.form,
            noted: None,
            fate,
            came: Instant::now(),
        });
    }

    fn put(&mut self, mut bytes: Bytes, noted: Option<Noted>) {
        let noted = noted.map(|noted| self.with_payload(noted, &bytes));
        let is_first_event =
            self.form == Form::Events && noted.as_ref().is_some_and(|noted| noted.frame == 0);
        if is_first_event && bytes.starts_with(BYTE_ORDER_MARK) {
            // A comment that passes a held event must not come before it.
            self.put_plain(bytes.split_to(BYTE_ORDER_MARK.len()), Fate::Pass);
        }
        let fate = match &noted {
            Some(noted) if noted.is_silent() => Fate::Comment,
            Some(noted) if noted.is_resume_point() => Fate::Pass,
            Some(noted) => self.fate_of(noted),
            None => Fate::Pass,
        };
        self.queue_up(Entry {
            bytes,
            form: self.form,
            noted,
            fate,
            came: Instant::now(),
        });
    }

    /// What was kept for the screen may be cut; what is held here is whole.
    fn with_payload(&self, noted: Noted, bytes: &Bytes) -> Noted {
        if !noted.is_cut {
            return noted;
        }
        let payload = match self.form {
            Form::Document if noted.coding.is_some() => match self.decoded(&noted, bytes) {
                Some(decoded) => decoded,
                None => return noted,
            },
            Form::Document | Form::Messages | Form::Entry => bytes.clone(),
            Form::Lines => bytes.slice(..line_content(bytes).len()),
            Form::Events => {
                let is_first = noted.frame == 0;
                let event = SseEvent::parse(bytes, is_first).event;
                event.map_or_else(Bytes::new, |event| Bytes::from(event.data))
            }
        };
        Noted {
            payload,
            is_cut: false,
            ..noted
        }
    }

    /// A document without its content coding, unless it is too large so.
    fn decoded(&self, noted: &Noted, bytes: &Bytes) -> Option<Bytes> {
        let limits = DecodeLimits {
            max_output_bytes: self.exchange.hub.limits.max_message_bytes as u64,
            ..DecodeLimits::default()
        };
        let coding = noted.coding.as_deref()?;
        let mut decoder = ContentDecoder::with_limits(coding, limits).ok()??;
        let mut plain = Vec::new();
        decoder.push(bytes, &mut plain).ok()?;
        decoder.finish(&mut plain).ok()?;
        Some(plain.into())
    }

    fn queue_up(&mut self, entry: Entry) {
        self.queued_bytes += entry.bytes.len();
        self.comments += usize::from(matches!(entry.fate, Fate::Comment));
        self.queue.push_back(entry);
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.queue.pop_front()?;
        self.queued_bytes -= entry.bytes.len();
        self.comments -= usize::from(matches!(entry.fate, Fate::Comment));
        Some(entry)
    }

    /// Comments do not wait behind what is held. The head is at a boundary of events, unless it trickles.
    fn let_comments_by(&mut self, on: &mut Passed) {
        let trickles =
            matches!(self.queue.front(), Some(entry) if matches!(entry.fate, Fate::Trickle { .. }));
        if self.comments == 0 || trickles {
            return;
        }
        self.comments = 0;
        let bytes = &mut self.queued_bytes;
        self.queue.retain(|entry| {
            let is_comment = matches!(entry.fate, Fate::Comment);
            if is_comment {
                *bytes -= entry.bytes.len();
                on.pieces.push(entry.bytes.clone());
            }
            !is_comment
        });
    }

    /// Somebody wants messages of this lane in another order.
    fn take_moves(&mut self) {
        let is_held = |entry: &Entry| matches!(entry.fate, Fate::Wait { .. } | Fate::Batch(_));
        if !self.queue.front().is_some_and(is_held) {
            return;
        }
        for (id, is_earlier) in self.exchange.hub.interceptor.holds.take_moves(self.number()) {
            self.move_by_one(id, is_earlier);
        }
    }

    fn move_by_one(&mut self, id: HoldId, is_earlier: bool) {
        let is_it =
            |entry: &Entry| matches!(&entry.fate, Fate::Wait { ticket, .. } if ticket.facts().id == id);
        let Some(from) = self.queue.iter().position(is_it) else {
            return;
        };
        // Never into the middle of a frame that passes in parts.
        let is_whole = |at: &usize| !matches!(self.queue[*at].fate, Fate::Comment | Fate::Part);
        let to = if is_earlier {
            (0..from).rev().find(is_whole)
        } else {
            (from + 1..self.queue.len()).find(is_whole)
        };
        if let Some(to) = to
            && let Some(entry) = self.queue.remove(from)
        {
            self.queue.insert(to, entry);
            self.step_down();
            self.note_queue();
        }
    }

    /// Whoever is not at the head any more waits again.
    fn step_down(&mut self) {
        for entry in self.queue.iter_mut().skip(1) {
            if let Fate::Batch(batch) = &mut entry.fate {
                batch.step_down();
            }
            if let Fate::Wait { ticket, is_up } = &mut entry.fate
                && std::mem::replace(is_up, false)
            {
                ticket.step_down();
            }
        }
    }

    fn note_queue(&self) {
        let Some(head) = self.queue.front() else { return };
        let ticket = match &head.fate {
            Fate::Wait { ticket, .. } | Fate::Delayed { ticket, .. } => Some(ticket),
            Fate::Batch(batch) => batch.first_held(),
            _ => None,
        };
        if let Some(ticket) = ticket {
            ticket.note_queue(self.queue.len() - 1, self.queued_bytes - head.bytes.len());
        }
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

impl Lane {
    /// Whatever waits has nobody to go to any more, and says so.
    fn give_up_queue(&mut self) {
        self.queued_bytes = 0;
        self.comments = 0;
        for entry in std::mem::take(&mut self.queue) {
            match entry.fate {
                Fate::Batch(batch) => batch.entries.iter().for_each(|entry| self.orphan(entry)),
                _ => self.orphan(&entry),
            }
        }
    }

    fn orphan(&self, entry: &Entry) {
        let Some(noted) = &entry.noted else { return };
        let (hold, rule) = match &entry.fate {
            Fate::Wait { ticket, .. } | Fate::Delayed { ticket, .. } => {
                ticket.orphan();
                (Some(ticket.facts().id), ticket.facts().rule.as_str().into())
            }
            Fate::Do {
                rule,
                is_due: Some(_),
            } => (None, Arc::clone(&rule.name)),
            _ => return,
        };
        self.exchange.tell_now(Event::Verdict(Box::new(VerdictObserved {
            ending: Some(Ending::Orphaned),
            actor: Actor::Peer,
            held_for: entry.came.elapsed(),
            ..self.verdict(noted, hold, rule)
        })));
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.give_up_queue();
    }
}
