//! The frame at the head of a lane: whether it may go on yet, and when.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::intercept::hold::{Actor, Decided, Decision, Effect, Ending};
use crate::intercept::rule::{Fault, Verdict};

use super::carry::Deed;
use super::{ASK_AGAIN, Chosen, Entry, Fate, Form, Lane, Passed};

impl Lane {
    /// Brings the head on its way, if it may go.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>, on: &mut Passed) -> Poll<()> {
        self.take_moves();
        let Some(entry) = self.queue.front_mut() else {
            return Poll::Ready(());
        };
        match &mut entry.fate {
            Fate::Pass | Fate::Part | Fate::Comment => self.pass(on),
            Fate::WaitForRoom { rule } => {
                let rule = rule.clone();
                return self.ask_for_room(cx, rule);
            }
            Fate::Wait { .. } => return self.poll_wait(cx, on),
            Fate::Do { rule, is_due } => {
                let (rule, is_due) = (rule.clone(), *is_due);
                return self.poll_rule(cx, &rule, is_due, on);
            }
            Fate::Delayed { due, .. } => {
                let due = *due;
                return self.poll_delay(cx, due, on);
            }
            Fate::Batch(_) => return self.poll_batch(cx, on),
            Fate::Trickle { .. } => return self.poll_trickle(cx, on),
        }
        Poll::Ready(())
    }

    /// The head goes on as it came.
    fn pass(&mut self, on: &mut Passed) {
        if let Some(entry) = self.pop() {
            on.pieces.push(entry.bytes);
        }
    }

    fn ask_for_room(&mut self, cx: &mut Context<'_>, rule: Chosen) -> Poll<()> {
        let noted = self.queue.front().and_then(|entry| entry.noted.as_ref());
        let fate = noted.map_or(Fate::Pass, |noted| self.hold(noted, rule, true));
        if matches!(fate, Fate::WaitForRoom { .. }) {
            return self.poll_until(cx, Instant::now() + ASK_AGAIN);
        }
        if let Some(entry) = self.queue.front_mut() {
            entry.fate = fate;
        }
        self.note_queue();
        Poll::Ready(())
    }

    /// Asks the one who decides about the head.
    fn poll_wait(&mut self, cx: &mut Context<'_>, on: &mut Passed) -> Poll<()> {
        let Some(Entry {
            fate: Fate::Wait { ticket, is_up },
            ..
        }) = self.queue.front_mut()
        else {
            return Poll::Ready(());
        };
        let comes_up = !std::mem::replace(is_up, true);
        if comes_up {
            ticket.come_up();
        }
        if let Poll::Ready(decided) = ticket.poll_decision(cx) {
            self.decided(decided, on);
            return Poll::Ready(());
        }
        if comes_up {
            // What came together with it was not behind it yet when that was counted.
            self.note_queue();
        }
        self.wait_for_person(cx)
    }

    fn wait_for_person(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(Entry {
            fate: Fate::Wait { ticket, .. },
            came,
            ..
        }) = self.queue.front()
        else {
            return Poll::Ready(());
        };
        let due = *came + ticket.facts().budget;
        if Instant::now() >= due {
            // Once only would do; later there is nothing to hear of it.
            ticket.expire();
            return match ticket.poll_decision(cx) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            };
        }
        self.poll_until(cx, due)
    }

    fn decided(&mut self, decided: Decided, on: &mut Passed) {
        if let Decision::Delay(time) = decided.decision
            && let Some(entry) = self.queue.front_mut()
            && let Fate::Wait { ticket, .. } = std::mem::replace(&mut entry.fate, Fate::Pass)
        {
            entry.fate = Fate::Delayed {
                ticket,
                decided,
                due: Instant::now() + time,
            };
            return;
        }
        let Some(entry) = self.pop() else { return };
        let (Fate::Wait { ticket, .. } | Fate::Delayed { ticket, .. }) = &entry.fate else {
            return on.pieces.push(entry.bytes);
        };
        let (hold, rule) = (ticket.facts().id, Arc::<str>::from(ticket.facts().rule.as_str()));
        let effect = match (&entry.fate, &decided.decision) {
            (_, Decision::Duplicate(_)) => Some(Effect::Repeated),
            (Fate::Delayed { .. }, Decision::Forward) => Some(Effect::Delayed),
            _ => None,
        };
        self.head = decided.head;
        let deed = self.carry_out(&entry, &decided.decision, decided.edited, decided.actor, on);
        self.tell(&entry, Some(hold), rule, deed.with(effect), on);
    }

    fn poll_delay(&mut self, cx: &mut Context<'_>, due: Instant, on: &mut Passed) -> Poll<()> {
        let Some(Entry {
            fate: Fate::Delayed { ticket, decided, .. },
            ..
        }) = self.queue.front()
        else {
            return Poll::Ready(());
        };
        if let Poll::Ready(anew) = ticket.poll_decision(cx)
            && anew.decision != decided.decision
        {
            self.decided_anew(anew, on);
            return Poll::Ready(());
        }
        if Instant::now() < due {
            return self.poll_until(cx, due);
        }
        if let Some(Entry {
            fate: Fate::Delayed { decided, .. },
            ..
        }) = self.queue.front()
        {
            let forward = Decided {
                decision: Decision::Forward,
                ..decided.clone()
            };
            self.decided(forward, on);
        }
        Poll::Ready(())
    }

    /// What was delayed is to go on at another time, or something else is to become of it.
    fn decided_anew(&mut self, anew: Decided, on: &mut Passed) {
        let Decision::Delay(time) = anew.decision else {
            return self.decided(anew, on);
        };
        if let Some(Entry {
            fate: Fate::Delayed { decided, due, .. },
            ..
        }) = self.queue.front_mut()
        {
            *decided = anew;
            *due = Instant::now() + time;
        }
    }

    fn poll_rule(
        &mut self,
        cx: &mut Context<'_>,
        rule: &Chosen,
        is_due: Option<Instant>,
        on: &mut Passed,
    ) -> Poll<()> {
        if matches!(rule.verdict, Verdict::Delay { .. }) {
            let due = is_due.unwrap_or_else(|| self.begin_delay(rule, on));
            if Instant::now() < due && self.is_acting() {
                return self.poll_until(cx, due.min(Instant::now() + ASK_AGAIN));
            }
        }
        if let Verdict::Fault(Fault::Reorder { by }) = rule.verdict {
            return self.poll_reorder(cx, by as usize, &rule.name, on);
        }
        let Some(entry) = self.pop() else {
            return Poll::Ready(());
        };
        let slow = is_slow(&rule.verdict);
        let deed = match slow {
            Some(_) => Deed::of(Ending::Forwarded, Actor::Rule, None),
            None => self.obey(&entry, rule, on),
        };
        let deed = deed.with(Effect::of(&rule.verdict));
        self.tell(&entry, None, Arc::clone(&rule.name), deed, on);
        if let Some(per_second) = slow {
            self.begin_trickle(entry, per_second);
        }
        Poll::Ready(())
    }

    /// What was at the head comes back there, to go on slowly.
    fn begin_trickle(&mut self, mut entry: Entry, per_second: u64) {
        entry.fate = Fate::Trickle {
            rest: entry.bytes.clone(),
            per_second: per_second.max(1),
            due: Instant::now(),
        };
        self.queued_bytes += entry.bytes.len();
        self.queue.push_front(entry);
    }

    /// From now on the head is delayed, and who looks on is told. Gives when it may go on.
    fn begin_delay(&mut self, rule: &Chosen, on: &mut Passed) -> Instant {
        let due = Instant::now() + rule.delay;
        if let Some(Entry {
            fate: Fate::Do { is_due, .. },
            ..
        }) = self.queue.front_mut()
        {
            *is_due = Some(due);
        }
        let noted = self.queue.front().and_then(|entry| entry.noted.as_ref());
        on.events
            .extend(noted.map(|noted| self.begins_to_wait(noted, rule, None)));
        due
    }

    /// Moves the head behind the next messages, once they are there or no more come.
    fn poll_reorder(
        &mut self,
        cx: &mut Context<'_>,
        by: usize,
        rule: &Arc<str>,
        on: &mut Passed,
    ) -> Poll<()> {
        let may_come = !self.is_over && self.form != Form::Document && !self.is_full() && self.is_acting();
        let place = match self.place_behind(by) {
            None if may_come => return self.poll_until(cx, Instant::now() + ASK_AGAIN),
            None if self.is_in_part => 0,
            None => self.queue.len() - 1,
            Some(place) => place,
        };
        let Some(mut entry) = self.queue.pop_front() else {
            return Poll::Ready(());
        };
        let deed = Deed::of(Ending::Forwarded, Actor::Rule, None).with(Some(Effect::Reordered));
        self.tell(&entry, None, Arc::clone(rule), deed, on);
        entry.fate = Fate::Pass;
        self.queue.insert(place, entry);
        Poll::Ready(())
    }

    /// Where the head is behind so many others, and inside of none; `None` if they are not there.
    fn place_behind(&self, by: usize) -> Option<usize> {
        let is_part = |at: usize| match self.queue.get(at) {
            Some(entry) => matches!(entry.fate, Fate::Part),
            None => self.is_in_part,
        };
        let is_whole = |at: usize| !(is_part(at) && is_part(at + 1));
        let is_comment = |at: usize| matches!(self.queue[at].fate, Fate::Comment);
        let mut ends = (1..self.queue.len()).filter(|at| is_whole(*at) && !is_comment(*at));
        by.checked_sub(1).map_or(Some(0), |others| ends.nth(others))
    }

    fn poll_trickle(&mut self, cx: &mut Context<'_>, on: &mut Passed) -> Poll<()> {
        const STEPS_A_SECOND: u64 = 10;
        let is_acting = self.is_acting();
        let Some(Entry {
            fate:
                Fate::Trickle {
                    rest,
                    per_second,
                    due,
                },
            ..
        }) = self.queue.front_mut()
        else {
            return Poll::Ready(());
        };
        if !is_acting {
            on.pieces.push(std::mem::take(rest));
            self.pop();
            return Poll::Ready(());
        }
        if Instant::now() < *due {
            let due = *due;
            return self.poll_until(cx, due);
        }
        let step = usize::try_from((*per_second / STEPS_A_SECOND).max(1)).unwrap_or(usize::MAX);
        let piece = rest.split_to(step.min(rest.len()));
        let pause = piece.len() as u64 * 1_000_000 / *per_second;
        *due = Instant::now() + Duration::from_micros(pause);
        on.pieces.push(piece);
        if rest.is_empty() {
            self.pop();
        }
        Poll::Ready(())
    }
}

/// Whether a verdict is carried out by time, piece by piece.
const fn is_slow(verdict: &Verdict) -> Option<u64> {
    match verdict {
        Verdict::Fault(Fault::Slow { bytes_per_second }) => Some(*bytes_per_second),
        _ => None,
    }
}
