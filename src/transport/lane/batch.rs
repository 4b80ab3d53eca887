//! Batches (MCP 2025-03-26): each of their messages is decided about by itself, and what is left of the batch goes on as
//! one when all are.
//!
//! Source: JSON-RPC 2.0, section 6: answers are told apart by their ids, in any order.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::Instant;

use crate::ids::HoldId;
use crate::intercept::hold::{Actor, Decided, Decision, Ticket};
use crate::intercept::rule::{Fault, Refusal, Verdict};
use crate::snapshot::Direction;

use super::carry::Deed;
use super::{Chosen, Entry, Fate, Form, Lane, Noted, Passed, Reply, words};

/// The messages of a batch at its place in the lane.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    /// Where they stand in what came.
    spans: Vec<Range<usize>>,
    /// What came is a batch already; else it becomes one by what is joined to it.
    is_array: bool,
    /// Answers of ours that go on behind those that came.
    joined: Vec<Bytes>,
}

/// What has become of the messages of a batch.
#[derive(Debug, Default)]
struct Sum {
    /// What goes on for each of them.
    went: Vec<Vec<Bytes>>,
    /// Answers to those that do not.
    back: Vec<Bytes>,
    /// Somebody waits for an answer that nobody will give.
    has_silent: bool,
    /// The one status with which every one was refused.
    status: Option<u16>,
}

impl Noted {
    /// Where the messages of a batch stand; `None` if it is none, or not wholly known.
    fn spans(&self) -> Option<Vec<Range<usize>>> {
        if self.is_cut || !words::is_batch(&self.payload) {
            return None;
        }
        let spans: Option<Vec<_>> = self
            .messages
            .iter()
            .map(|placed| span_of(&placed.envelope))
            .collect();
        let spans = spans.filter(|spans| !spans.is_empty())?;
        // Further members than are read, or what is broken: then it is decided about as a whole.
        let rest = self.payload.get(spans.last()?.end..)?;
        (rest.trim_ascii() == b"]").then_some(spans)
    }

    /// Its messages, each as if it had come alone.
    fn split(&self, spans: &[Range<usize>]) -> Vec<Self> {
        let count = u32::try_from(spans.len()).unwrap_or(u32::MAX);
        let parts = (1..).zip(spans).zip(&self.messages);
        let part = |((number, span), placed): ((u32, &Range<usize>), &_)| {
            let payload = self.payload.slice(span.clone());
            Self {
                messages: vec![Clone::clone(placed)],
                size: payload.len() as u64,
                payload,
                batch: Some((number, count)),
                sse: self.sse.clone(),
                coding: self.coding.clone(),
                ..*self
            }
        };
        parts.map(part).collect()
    }
}

fn span_of(envelope: &crate::codec::envelope::Envelope) -> Option<Range<usize>> {
    let at = |place: u64| usize::try_from(place).ok();
    Some(at(envelope.span.start)?..at(envelope.span.end)?)
}

impl Chosen {
    /// What it does is done to bytes on their way, and so to a batch as a whole.
    const fn is_about_bytes(&self) -> bool {
        matches!(
            self.verdict,
            Verdict::Fault(
                Fault::Close | Fault::Truncate { .. } | Fault::Reorder { .. } | Fault::Slow { .. }
            )
        )
    }
}

impl Lane {
    /// What becomes of a batch; `None` if it is none that can be taken apart.
    pub(super) fn fate_of_batch(&self, noted: &Noted) -> Option<Fate> {
        let spans = noted.spans()?;
        let parts = noted.split(&spans);
        let chosen: Vec<Option<Chosen>> = parts.iter().map(|part| self.choice_of(part)).collect();
        let is_up = self.queue.is_empty();
        if let Some(rule) = chosen.iter().flatten().find(|rule| rule.is_about_bytes()) {
            return Some(self.fate_by(noted, rule.clone(), is_up));
        }
        let fates = parts.into_iter().zip(chosen).map(|(part, rule)| {
            let fate = rule.map_or(Fate::Pass, |rule| self.fate_by(&part, rule, is_up));
            part_of(part, fate)
        });
        let entries: Vec<Entry> = fates.collect();
        if entries.iter().all(|entry| matches!(entry.fate, Fate::Pass)) {
            return Some(Fate::Pass);
        }
        Some(Fate::Batch(Box::new(Batch {
            entries,
            spans,
            is_array: true,
            joined: Vec::new(),
        })))
    }

    /// What becomes of the document that our own answers are to be joined to. `None` if that is no answer.
    pub(super) fn fate_of_joined(&mut self, noted: &Noted) -> Option<Fate> {
        let mut batch = self.answers_in(noted)?;
        batch.joined = std::mem::take(&mut self.joins);
        if noted.payload.is_empty() {
            // Accepted without a word: now there is one.
            let json = Some("application/json".to_owned());
            self.outcome.status = Some(200);
            self.outcome.fields.push(("content-type".to_owned(), json));
        }
        Some(Fate::Batch(Box::new(batch)))
    }

    fn answers_in(&self, noted: &Noted) -> Option<Batch> {
        let payload = noted.payload.trim_ascii();
        if payload.is_empty() || payload == b"[]" {
            return Some(Batch::default());
        }
        match self.fate_of_batch(noted) {
            Some(Fate::Batch(batch)) => return Some(*batch),
            Some(Fate::Pass) => {
                let spans = noted.spans()?;
                let parts = noted.split(&spans).into_iter();
                return Some(Batch {
                    entries: parts.map(|part| part_of(part, Fate::Pass)).collect(),
                    spans,
                    is_array: true,
                    joined: Vec::new(),
                });
            }
            _ => {}
        }
        let [only] = &noted.messages[..] else { return None };
        let span = span_of(&only.envelope).filter(|_| !noted.is_cut && payload.starts_with(b"{"))?;
        let is_up = self.queue.is_empty();
        let chosen = self.choice_of(noted);
        let fate = chosen.map_or(Fate::Pass, |rule| self.fate_by(noted, rule, is_up));
        let noted = Noted {
            payload: noted.payload.slice(span.clone()),
            ..noted.clone()
        };
        Some(Batch {
            entries: vec![part_of(noted, fate)],
            spans: vec![span],
            is_array: false,
            joined: Vec::new(),
        })
    }

    /// Brings the batch at the head on its way, if all of it is decided about.
    pub(super) fn poll_batch(&mut self, cx: &mut Context<'_>, on: &mut Passed) -> Poll<()> {
        let Some(Entry {
            fate: Fate::Batch(batch),
            ..
        }) = self.queue.front_mut()
        else {
            return Poll::Ready(());
        };
        let mut batch = std::mem::take(batch);
        let (mut waits, were_up) = (false, batch.count_up());
        for entry in &mut batch.entries {
            waits |= self.poll_entry(cx, entry).is_pending();
        }
        if waits {
            let is_news = batch.count_up() != were_up;
            if let Some(head) = self.queue.front_mut() {
                head.fate = Fate::Batch(batch);
            }
            if is_news {
                self.note_queue();
            }
            return Poll::Pending;
        }
        if let Some(frame) = self.pop() {
            let sum = self.sum_up(cx, &batch, on);
            self.send_on(&frame, &batch, sum, on);
        }
        Poll::Ready(())
    }

    /// Ready once it is known what becomes of an entry.
    fn poll_entry(&mut self, cx: &mut Context<'_>, entry: &mut Entry) -> Poll<()> {
        match &mut entry.fate {
            Fate::WaitForRoom { rule } => {
                let rule = rule.clone();
                let fate = entry.noted.as_ref().map(|noted| self.hold(noted, rule, true));
                entry.fate = fate.unwrap_or(Fate::Pass);
                if matches!(entry.fate, Fate::WaitForRoom { .. }) {
                    return self.poll_until(cx, Instant::now() + super::ASK_AGAIN);
                }
                self.poll_entry(cx, entry)
            }
            Fate::Wait { ticket, is_up } => {
                if !std::mem::replace(is_up, true) {
                    ticket.come_up();
                }
                let Poll::Ready(decided) = ticket.poll_decision(cx) else {
                    return self.poll_patience(cx, ticket, entry.came);
                };
                let Decision::Delay(time) = decided.decision else {
                    return Poll::Ready(());
                };
                let due = Instant::now() + time;
                if let Fate::Wait { ticket, .. } = std::mem::replace(&mut entry.fate, Fate::Pass) {
                    entry.fate = Fate::Delayed { ticket, decided, due };
                }
                self.poll_until(cx, due)
            }
            Fate::Delayed { ticket, decided, due } => {
                if let Poll::Ready(anew) = ticket.poll_decision(cx)
                    && anew.decision != decided.decision
                {
                    if let Decision::Delay(time) = anew.decision {
                        *due = Instant::now() + time;
                    } else {
                        *due = Instant::now();
                    }
                    *decided = anew;
                }
                let due = *due;
                self.poll_until(cx, due)
            }
            Fate::Do { rule, is_due } if matches!(rule.verdict, Verdict::Delay { .. }) => {
                let due = *is_due.get_or_insert_with(|| Instant::now() + rule.delay);
                if !self.is_acting() {
                    return Poll::Ready(());
                }
                self.poll_until(cx, due.min(Instant::now() + super::ASK_AGAIN))
                    .map(drop)
            }
            _ => Poll::Ready(()),
        }
    }

    /// Waits for a decision as long as the client does.
    fn poll_patience(&mut self, cx: &mut Context<'_>, ticket: &Ticket, came: Instant) -> Poll<()> {
        let due = came + ticket.facts().budget;
        if Instant::now() < due {
            return self.poll_until(cx, due);
        }
        ticket.expire();
        ticket.poll_decision(cx).map(drop)
    }

    /// Does what was decided about each entry.
    fn sum_up(&mut self, cx: &mut Context<'_>, batch: &Batch, on: &mut Passed) -> Sum {
        let mut sum = Sum::default();
        let mut statuses = Vec::with_capacity(batch.entries.len());
        for entry in &batch.entries {
            let decided = entry.decided(cx);
            statuses.push(status_of(entry, decided.as_ref()));
            let mut of_entry = Passed::default();
            self.settle(entry, decided, &mut of_entry);
            let is_left_out = of_entry.pieces.is_empty() && of_entry.back.is_empty();
            sum.has_silent |= is_left_out && self.is_request(entry);
            on.events.append(&mut of_entry.events);
            on.is_closed |= of_entry.is_closed;
            sum.back.append(&mut of_entry.back);
            sum.went.push(of_entry.pieces);
        }
        let first = statuses.first().copied().flatten();
        sum.status = first.filter(|_| statuses.iter().all(|status| *status == first));
        sum
    }

    fn settle(&mut self, entry: &Entry, decided: Option<(HoldId, Arc<str>, Decided)>, on: &mut Passed) {
        let (deed, hold, rule): (Deed, _, _) = match (decided, &entry.fate) {
            (Some((hold, rule, decided)), _) => {
                let Decided {
                    decision,
                    actor,
                    edited,
                    ..
                } = decided;
                let deed = self.carry_out(entry, &decision, edited, actor, on);
                (deed, Some(hold), rule)
            }
            (None, Fate::Do { rule, .. }) => (self.obey(entry, rule, on), None, Arc::clone(&rule.name)),
            (None, _) => return on.pieces.push(entry.bytes.clone()),
        };
        self.tell(entry, hold, rule, deed, on);
    }

    /// Sends on what is left of the batch, and back what answers the rest of it.
    fn send_on(&mut self, frame: &Entry, batch: &Batch, sum: Sum, on: &mut Passed) {
        if self.is_closed {
            on.is_closed = true;
            return;
        }
        if batch.is_as_it_came(&sum.went) {
            on.pieces.push(frame.bytes.clone());
        } else if sum.went.iter().all(Vec::is_empty) && batch.joined.is_empty() {
            return self.end_batch(frame, &sum, on);
        } else {
            let payload = frame
                .noted
                .as_ref()
                .map(|noted| batch.composed(&noted.payload, &sum.went));
            on.pieces.push(frame.carried(&payload.unwrap_or_default()));
            self.outcome.is_changed = true;
            self.outcome.status = self.outcome.status.or(sum.status);
        }
        if sum.back.is_empty() {
            return;
        }
        match self.form {
            Form::Document => self.outcome.joins = sum.back,
            _ => on.back.push(as_batch(&sum.back)),
        }
    }

    /// Nothing of the batch goes on.
    fn end_batch(&mut self, frame: &Entry, sum: &Sum, on: &mut Passed) {
        match (self.form, self.direction) {
            (Form::Document, Direction::ClientToServer) if sum.back.is_empty() && sum.has_silent => {
                self.outcome.is_silent = true;
            }
            (Form::Document, Direction::ClientToServer) if sum.back.is_empty() => {
                self.outcome.reply = Some(Reply::of_status(202));
            }
            (Form::Document, Direction::ClientToServer) => {
                self.outcome.reply = Some(Reply {
                    status: sum.status.unwrap_or(200),
                    body: as_batch(&sum.back),
                });
            }
            _ => {
                self.drop_silently(frame, on);
                if !sum.back.is_empty() {
                    on.back.push(as_batch(&sum.back));
                }
            }
        }
    }
}

impl Entry {
    /// What was decided about an entry that was held.
    fn decided(&self, cx: &mut Context<'_>) -> Option<(HoldId, Arc<str>, Decided)> {
        let (Fate::Wait { ticket, .. } | Fate::Delayed { ticket, .. }) = &self.fate else {
            return None;
        };
        let facts = ticket.facts();
        let decided = match ticket.poll_decision(cx) {
            Poll::Ready(decided) => decided,
            // It was ready before.
            Poll::Pending => Decided {
                decision: Decision::Forward,
                actor: Actor::Release,
                edited: None,
                head: crate::intercept::hold::HeadEdit::default(),
            },
        };
        Some((facts.id, facts.rule.as_str().into(), decided))
    }
}

impl Batch {
    /// Whether every entry goes on as it came, and nothing else.
    fn is_as_it_came(&self, went: &[Vec<Bytes>]) -> bool {
        let mut pairs = self.entries.iter().zip(went);
        self.joined.is_empty() && pairs.all(|(entry, went)| went[..] == [entry.bytes.clone()])
    }

    /// What goes on. Entries that stay keep their bytes, and what stood before them.
    fn composed(&self, payload: &[u8], went: &[Vec<Bytes>]) -> Bytes {
        let bounds = self
            .spans
            .first()
            .zip(self.spans.last())
            .filter(|_| self.is_array);
        let (open, close) = bounds.map_or((&b"["[..], &b"]"[..]), |(first, last)| {
            (&payload[..first.start], &payload[last.end..])
        });
        let mut text = open.to_vec();
        let mut is_first = true;
        for (index, pieces) in went.iter().enumerate() {
            let before = index.checked_sub(1).map(|before| self.spans[before].end);
            let between = before.map_or(&b","[..], |end| &payload[end..self.spans[index].start]);
            for (copy, piece) in pieces.iter().enumerate() {
                if !std::mem::take(&mut is_first) {
                    text.extend_from_slice(if copy == 0 { between } else { b"," });
                }
                text.extend_from_slice(piece);
            }
        }
        for answer in &self.joined {
            if !std::mem::take(&mut is_first) {
                text.push(b',');
            }
            text.extend_from_slice(answer);
        }
        text.extend_from_slice(close);
        text.into()
    }

    /// The entry that says how much waits behind the batch.
    pub(super) fn first_held(&self) -> Option<&Ticket> {
        self.entries.iter().find_map(|entry| match &entry.fate {
            Fate::Wait { ticket, .. } | Fate::Delayed { ticket, .. } => Some(ticket),
            _ => None,
        })
    }

    /// How many of its entries can be decided about.
    fn count_up(&self) -> usize {
        let is_up = |entry: &&Entry| matches!(entry.fate, Fate::Wait { is_up: true, .. });
        self.entries.iter().filter(is_up).count()
    }

    /// Another one is at the head of the lane.
    pub(super) fn step_down(&mut self) {
        for entry in &mut self.entries {
            if let Fate::Wait { ticket, is_up } = &mut entry.fate
                && std::mem::replace(is_up, false)
            {
                ticket.step_down();
            }
        }
    }
}

fn part_of(noted: Noted, fate: Fate) -> Entry {
    Entry {
        bytes: noted.payload.clone(),
        form: Form::Entry,
        noted: Some(noted),
        fate,
        came: Instant::now(),
    }
}

/// The status with which an entry is refused.
fn status_of(entry: &Entry, decided: Option<&(HoldId, Arc<str>, Decided)>) -> Option<u16> {
    let refusal = match (decided, &entry.fate) {
        (Some((.., decided)), _) => match &decided.decision {
            Decision::Refuse(refusal) => refusal,
            _ => return None,
        },
        (None, Fate::Do { rule, .. }) => match &rule.verdict {
            Verdict::Refuse(refusal) => refusal,
            _ => return None,
        },
        _ => return None,
    };
    match refusal {
        Refusal::Status(status) => Some(*status),
        _ => None,
    }
}

/// Messages as one batch.
pub(crate) fn as_batch(messages: &[Bytes]) -> Bytes {
    let mut text = b"[".to_vec();
    for (index, message) in messages.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(message);
    }
    text.push(b']');
    text.into()
}
