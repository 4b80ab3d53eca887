//! What waits in a lane, in which order, and what may be told before something else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::codec::BYTE_ORDER_MARK;
use crate::ids::HoldId;
use crate::intercept::hold::{Actor, Decided, Ending, Ticket};
use crate::intercept::rule::{OnExpire, Verdict, WhileHeld};
use crate::session::observation::{Event, VerdictObserved};

use super::batch::Batch;
use super::{Form, Lane, Noted, Passed};

/// A frame in its lane.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) bytes: Bytes,
    pub(super) form: Form,
    pub(super) noted: Option<Noted>,
    pub(super) fate: Fate,
    pub(super) came: Instant,
}

/// What is to happen to a frame when it is at the head.
#[derive(Debug)]
pub(super) enum Fate {
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
pub(super) struct Chosen {
    pub(super) name: Arc<str>,
    pub(super) verdict: Verdict,
    pub(super) on_expire: Option<OnExpire>,
    pub(super) while_held: WhileHeld,
    /// How much later it goes on, by a verdict of delay.
    pub(super) delay: Duration,
}

impl Lane {
    pub(super) fn put_plain(&mut self, bytes: Bytes, fate: Fate) {
        self.queue_up(Entry {
            bytes,
            form: self.form,
            noted: None,
            fate,
            came: Instant::now(),
        });
    }

    pub(super) fn put(&mut self, mut bytes: Bytes, noted: Option<Noted>) {
        let max = self.exchange.hub.limits.max_message_bytes;
        let noted = noted.map(|noted| noted.whole(self.form, &bytes, max));
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

    fn queue_up(&mut self, entry: Entry) {
        self.queued_bytes += entry.bytes.len();
        self.comments += usize::from(matches!(entry.fate, Fate::Comment));
        self.queue.push_back(entry);
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.queue.pop_front()?;
        self.queued_bytes -= entry.bytes.len();
        self.comments -= usize::from(matches!(entry.fate, Fate::Comment));
        Some(entry)
    }

    /// Comments do not wait behind what is held. The head is at a boundary of events, unless it trickles.
    pub(super) fn let_comments_by(&mut self, on: &mut Passed) {
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
    pub(super) fn take_moves(&mut self) {
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

    pub(super) fn note_queue(&self) {
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
    /// Whatever waits has nobody to go to any more, and says so.
    pub(super) fn give_up_queue(&mut self) {
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
