//! Several held messages at once, and their places in their lanes.

use crate::ids::HoldId;

use super::{Actor, Decision, HeadEdit, HeldFacts, HoldError, Holds, Inner, wake};

impl Holds {
    /// Decides the same about several, whether at the head of their lanes or not: the order of lanes is kept, so each
    /// leaves when its turn comes. Returns how many were decided about, and why the first of the others was not.
    pub(crate) fn decide_several(
        &self,
        ids: &[HoldId],
        decision: &Decision,
        actor: Actor,
    ) -> (usize, Option<HoldError>) {
        let mut inner = self.lock();
        let (mut wakers, mut count, mut problem) = (Vec::new(), 0, None);
        let Inner { items, tally, .. } = &mut *inner;
        for id in ids {
            let item = items.get_mut(id).filter(|item| item.is_open());
            let fits = match &item {
                Some(item) => item.facts.fits(decision),
                None => Err(HoldError::Gone(*id)),
            };
            match (item, fits) {
                (Some(item), Ok(())) => {
                    wakers.extend(tally.change(item, |item| item.settle(decision.clone(), actor)));
                    count += 1;
                }
                (_, outcome) => problem = problem.or(outcome.err()),
            }
        }
        drop(inner);
        for waker in wakers {
            waker.wake();
        }
        self.tell();
        (count, problem)
    }

    /// Forwards all that stand at the head of their lane, then those behind them as they come up. Returns how many were
    /// there.
    pub fn release_all(&self, actor: Actor) -> usize {
        self.release(actor, |_| true)
    }

    /// Forwards all of the lane that `id` is in.
    ///
    /// # Errors
    /// [`HoldError::Gone`].
    pub fn release_lane(&self, id: HoldId, actor: Actor) -> Result<usize, HoldError> {
        let lane = {
            let inner = self.lock();
            inner.items.get(&id).ok_or(HoldError::Gone(id))?.facts.lane
        };
        Ok(self.release(actor, |facts| facts.lane == lane))
    }

    /// Decides that every one goes on for which `wanted` holds, whether at the head or not. The order of lanes is kept:
    /// each lane comes to its messages in their order.
    fn release(&self, actor: Actor, wanted: impl Fn(&HeldFacts) -> bool) -> usize {
        let mut inner = self.lock();
        let mut wakers = Vec::new();
        let mut count = 0;
        let Inner { items, tally, .. } = &mut *inner;
        for item in items.values_mut().filter(|item| wanted(&item.facts)) {
            if item.is_open() {
                wakers.extend(tally.change(item, |item| item.settle(Decision::Forward, actor)));
                if actor == Actor::Release {
                    // An edit that nobody has sent is nobody's wish.
                    item.edited = None;
                    item.head = HeadEdit::default();
                }
                count += 1;
            }
        }
        drop(inner);
        for waker in wakers {
            waker.wake();
        }
        self.tell();
        count
    }

    /// Moves one by one place within its lane, which breaks the order in which messages came.
    ///
    /// # Errors
    /// [`HoldError::Gone`]; [`HoldError::Unfit`] if it is at that end already, or the head of its lane is decided about.
    pub fn shift(&self, id: HoldId, is_earlier: bool) -> Result<(), HoldError> {
        let unfit = |what, why| Err(HoldError::Unfit { id, what, why });
        let mut inner = self.lock();
        let item = inner.items.get(&id).ok_or(HoldError::Gone(id))?;
        if item.facts.batch.is_some() {
            return unfit("an entry of a batch", "it goes on with the others of its batch");
        }
        let (lane, is_head, queued) = (item.facts.lane, item.is_head, item.queued);
        if is_head && is_earlier {
            return unfit("at the head of its lane", "it is the next to go");
        }
        if is_head && queued == 0 {
            return unfit("alone in its lane", "nothing waits that could go before it");
        }
        let head = inner.head_of(lane).and_then(|head| inner.items.get_mut(&head));
        let Some(head) = head.filter(|head| head.decision.is_none()) else {
            return unfit(
                "in a lane that moves",
                "try again when one of them is held at its head",
            );
        };
        let waker = head.waker.take();
        if inner.moves.len() >= self.max_messages {
            inner.moves.remove(0);
        }
        inner.moves.push((lane, id, is_earlier));
        drop(inner);
        wake(waker);
        Ok(())
    }

    /// What is to change its place in a lane.
    pub(crate) fn take_moves(&self, lane: u64) -> Vec<(HoldId, bool)> {
        let mut inner = self.lock();
        let mut taken = Vec::new();
        inner.moves.retain(|(of, id, is_earlier)| {
            if *of == lane {
                taken.push((*id, *is_earlier));
            }
            *of != lane
        });
        taken
    }
}

impl Inner {
    /// The message at the head of a lane.
    pub(super) fn head_of(&self, lane: u64) -> Option<HoldId> {
        let mut items = self.items.values();
        let head = items.find(|item| item.facts.lane == lane && item.is_head && item.is_open());
        head.map(|head| head.facts.id)
    }
}
