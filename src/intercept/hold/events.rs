//! What happened among held messages, told one after another to who asks: a frontend without a screen, a script.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

use super::{Actor, Decision, Ending, HeldRow, Holds, Inner, Item};

/// Most events that are kept; the newest stay.
pub const MAX_EVENTS: usize = 512;
/// Most characters of each text of a kept event.
const MAX_CHARACTERS: usize = 256;

/// What happened to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum HoldChange {
    /// It is held at the head of its lane.
    Held,
    /// It waits behind another one of its lane.
    Queued,
    /// It has left.
    Decided {
        /// How.
        ending: Ending,
        /// Who decided so.
        actor: Actor,
    },
}

/// Something that happened to a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldEvent {
    /// Counted from 1.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub change: HoldChange,
    /// The message as it was then; long texts are cut.
    pub row: HeldRow,
}

/// What happened since a moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HoldEvents {
    /// What is still known of it, in order; at most [`MAX_EVENTS`].
    pub events: Vec<HoldEvent>,
    /// Events before these that are known no more.
    pub missed: u64,
    /// The number of the newest event of all; 0 if there never was one.
    pub newest: u64,
}

/// The newest events.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    events: VecDeque<HoldEvent>,
    newest: u64,
}

impl EventLog {
    pub(super) fn push(&mut self, at: Timestamp, change: HoldChange, row: HeldRow) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.newest += 1;
        self.events.push_back(HoldEvent {
            number: self.newest,
            at,
            change,
            row: shortened(row),
        });
    }

    fn since(&self, number: u64) -> HoldEvents {
        let events: Vec<HoldEvent> = self
            .events
            .iter()
            .filter(|event| event.number > number)
            .cloned()
            .collect();
        let first = events.first().map_or(self.newest + 1, |event| event.number);
        HoldEvents {
            missed: first.saturating_sub(number.saturating_add(1)),
            newest: self.newest,
            events,
        }
    }
}

impl Holds {
    /// What happened after the event with this number.
    pub fn events(&self, after: u64) -> HoldEvents {
        self.lock().log.since(after)
    }
}

impl Inner {
    /// Notes that a message came in, or came to the head of its lane.
    pub(super) fn note_place(&mut self, id: crate::ids::HoldId, at: Timestamp) {
        if let Some(item) = self.items.get(&id) {
            let change = if item.is_head {
                HoldChange::Held
            } else {
                HoldChange::Queued
            };
            let row = item.row(at);
            self.log.push(at, change, row);
        }
    }

    /// Notes that a message has left.
    pub(super) fn note_end(&mut self, item: &Item, at: Timestamp) {
        self.log.push(at, item.end(), item.row(at));
    }
}

impl Item {
    fn end(&self) -> HoldChange {
        let (ending, actor) = match &self.decision {
            None => (Ending::Orphaned, Actor::Peer),
            Some((decision, actor)) => (self.ending(decision), *actor),
        };
        HoldChange::Decided { ending, actor }
    }

    fn ending(&self, decision: &Decision) -> Ending {
        match decision {
            Decision::Answer(_) => Ending::Answered,
            Decision::Refuse(_) => Ending::Refused,
            Decision::Drop { .. } => Ending::Dropped,
            Decision::Cancel => Ending::Cancelled,
            Decision::Forward | Decision::Delay(_) | Decision::Duplicate(_) if self.is_edited() => {
                Ending::Edited
            }
            Decision::Forward | Decision::Delay(_) | Decision::Duplicate(_) => Ending::Forwarded,
        }
    }
}

fn shortened(mut row: HeldRow) -> HeldRow {
    let optional = [&mut row.method, &mut row.name, &mut row.rpc_id, &mut row.client];
    let texts = optional.into_iter().flatten();
    for text in texts.chain([&mut row.server, &mut row.rule, &mut row.budget_source]) {
        if let Some((at, _)) = text.char_indices().nth(MAX_CHARACTERS) {
            text.truncate(at);
            text.push('…');
        }
    }
    row
}
