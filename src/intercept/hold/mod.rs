//! Held messages: the table of all that wait for a decision, and how each of them leaves it.
//!
//! A message is put in by the lane that carries it and waits there as ticket; a person, a script or a timer decides
//! by its id. Whatever happens, each message that came in leaves with exactly one [`Ending`]: a ticket that is dropped
//! undecided is [`Ending::Orphaned`].
//!
//! No lock is held across an await, and none is touched by traffic that is not held.

mod effect;
mod events;
mod order;
mod row;
mod ticket;
mod view;
mod wishes;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::clock::{Clock, Timestamp};
use crate::ids::{CallId, HoldId, IdSource};
use crate::resource::meters::Level;

pub use effect::Effect;
pub use events::{HoldChange, HoldEvent, HoldEvents, MAX_EVENTS};
pub use row::{HeadEdit, HeldDetail, HeldFacts, HeldRow, HeldState, HeldSummary};
pub(crate) use ticket::Ticket;

use super::rule::{OnExpire, Refusal};

/// What becomes of a held message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It goes on: as it was edited, or else as it came.
    Forward,
    /// It is answered in the place of its receiver, with this message.
    Answer(Bytes),
    /// It is refused.
    Refuse(Refusal),
    /// It does not go on.
    Drop {
        /// Without a word to its sender.
        is_silent: bool,
    },
    /// It goes on after this time, unless something else is decided until then.
    Delay(Duration),
    /// It goes on this many times.
    Duplicate(u32),
    /// Its sender has cancelled it.
    Cancel,
}

/// How a message left, whether it was held or a rule acted on it at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It went on as it came.
    Forwarded,
    /// It went on edited.
    Edited,
    /// It was answered here.
    Answered,
    /// It was refused.
    Refused,
    /// It was dropped.
    Dropped,
    /// Its sender cancelled it.
    Cancelled,
    /// Its client, or its server, left before.
    Orphaned,
}

impl Ending {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Edited => "edited",
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
            Self::Cancelled => "cancelled",
            Self::Orphaned => "orphaned",
        }
    }
}

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A person at the keyboard.
    Key,
    /// A script through the control socket.
    Script,
    /// The time the client would bear was over.
    Timer,
    /// A rule.
    Rule,
    /// Its client or server.
    Peer,
    /// Interception was switched off, or the proxy ends.
    Release,
}

impl Actor {
    /// The name in serialized form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Script => "script",
            Self::Timer => "timer",
            Self::Rule => "rule",
            Self::Peer => "peer",
            Self::Release => "release",
        }
    }

    /// Who it was, in words behind what was done.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Key => "by hand",
            Self::Script => "by a script",
            Self::Timer => "because its time was over",
            Self::Rule => "by the rule",
            Self::Peer => "because its sender gave up",
            Self::Release => "because nothing is held any more",
        }
    }
}

/// Why something cannot be done with a held message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HoldError {
    /// It has left the table, or never was there.
    #[error("{0} is not held (any more)")]
    Gone(HoldId),
    /// It waits behind another one of its lane.
    #[error("{id} waits behind {head}: decide about that one first, since the order of a lane is kept")]
    Queued {
        /// Which.
        id: HoldId,
        /// Before it.
        head: HoldId,
    },
    /// The decision does not fit the message.
    #[error("{id} is {what}: {why}")]
    Unfit {
        /// Which.
        id: HoldId,
        /// What it is.
        what: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// An edit or answer is no valid message.
    #[error("{0}")]
    Invalid(String),
}

/// All held messages. One for an engine.
#[derive(Debug)]
pub struct Holds {
    inner: Mutex<Inner>,
    ids: IdSource,
    clock: Clock,
    /// Whether somebody is there who can decide.
    can_hold: AtomicBool,
    /// Milliseconds between two comments that keep the client of a held event stream.
    comment_every: AtomicU64,
    max_messages: usize,
    max_bytes: usize,
    changed: watch::Sender<u64>,
    held: Level,
    bytes: Level,
    ended: AtomicU64,
    /// Messages that are waited for though no rule means them.
    wishes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inner {
    items: BTreeMap<HoldId, Item>,
    bytes: usize,
    /// How many are at the head of their lanes, and how many wait behind those.
    tally: view::Tally,
    /// Calls whose next message is to be held.
    steps: Vec<CallId>,
    /// Answers that are not for the client of their session.
    awaited: Vec<wishes::Awaited>,
    /// Messages that are to change their places, by their lanes: whether towards the head.
    moves: Vec<(u64, HoldId, bool)>,
    log: events::EventLog,
}

#[derive(Debug)]
struct Item {
    facts: Arc<HeldFacts>,
    edited: Option<Bytes>,
    head: HeadEdit,
    is_head: bool,
    is_editing: bool,
    /// Nothing happens when its time is over.
    is_kept: bool,
    queued: usize,
    queued_bytes: usize,
    decision: Option<(Decision, Actor)>,
    waker: Option<Waker>,
}

/// What the lane has to do with the message it was waiting for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) decision: Decision,
    pub(crate) actor: Actor,
    /// The payload that goes on instead.
    pub(crate) edited: Option<Bytes>,
    /// What was done to the head.
    pub(crate) head: HeadEdit,
}

impl Holds {
    /// An empty table with room for `max_messages` of `max_bytes` bytes together.
    pub(crate) fn new(clock: Clock, max_messages: usize, max_bytes: usize) -> Self {
        Self {
            inner: Mutex::default(),
            ids: IdSource::default(),
            clock,
            can_hold: AtomicBool::new(true),
            comment_every: AtomicU64::new(10_000),
            max_messages,
            max_bytes,
            changed: watch::Sender::new(0),
            held: Level::default(),
            bytes: Level::default(),
            ended: AtomicU64::new(0),
            wishes: AtomicUsize::new(0),
        }
    }

    /// Whether there is somebody to decide. Without, nothing is held.
    pub fn can_hold(&self) -> bool {
        self.can_hold.load(Ordering::Relaxed)
    }

    /// Says whether there is somebody to decide. What is held already stays so.
    pub fn set_can_hold(&self, can_hold: bool) {
        self.can_hold.store(can_hold, Ordering::Relaxed);
    }

    /// How often the client of a held event stream is kept with a comment.
    pub fn comment_every(&self) -> Duration {
        Duration::from_millis(self.comment_every.load(Ordering::Relaxed).max(1))
    }

    /// Says how often that is; in whole milliseconds, at least one.
    pub(crate) fn set_comment_every(&self, every: Duration) {
        let millis = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        self.comment_every.store(millis, Ordering::Relaxed);
    }

    /// Changes with everything that changes in the table.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Use now, at most, and how often there was no room: messages, then bytes.
    pub(crate) fn usage(&self) -> [(u64, u64, u64); 2] {
        [self.held.read(), self.bytes.read()]
    }

    /// Puts a message in. `None` if there is no room: then its lane waits without a place here and asks again.
    pub(crate) fn put(self: &Arc<Self>, facts: HeldFacts, is_head: bool) -> Option<Ticket> {
        let size = facts.payload.len();
        let mut inner = self.lock();
        if inner.items.len() >= self.max_messages {
            self.held.reach();
            return None;
        }
        if inner.bytes.saturating_add(size) > self.max_bytes && !inner.items.is_empty() {
            self.bytes.reach();
            return None;
        }
        let id = HoldId::from(self.ids.next());
        inner.bytes += size;
        self.bytes.set(inner.bytes as u64);
        let facts = Arc::new(HeldFacts { id, ..facts });
        let item = Item {
            facts: Arc::clone(&facts),
            edited: None,
            head: HeadEdit::default(),
            is_head,
            is_editing: false,
            is_kept: false,
            queued: 0,
            queued_bytes: 0,
            decision: None,
            waker: None,
        };
        inner.tally.add(&item);
        inner.items.insert(id, item);
        inner.note_place(id, self.clock.now());
        self.held.set(inner.items.len() as u64);
        drop(inner);
        self.tell();
        Some(Ticket::new(Arc::clone(self), facts))
    }

    /// One of them with its bytes.
    ///
    /// # Errors
    /// [`HoldError::Gone`].
    pub fn detail(&self, id: HoldId) -> Result<HeldDetail, HoldError> {
        let now = self.clock.now();
        let inner = self.lock();
        let item = inner.items.get(&id).ok_or(HoldError::Gone(id))?;
        Ok(HeldDetail {
            row: item.row(now),
            original: item.facts.payload.clone(),
            edited: item.edited.clone(),
            head: item.facts.head.clone(),
            head_edit: item.head.clone(),
            side: item.facts.side,
            address: item.facts.address.clone(),
            rule: item.facts.rule.clone(),
        })
    }

    /// Decides about one.
    ///
    /// # Errors
    /// [`HoldError::Gone`], [`HoldError::Queued`] if it is not at the head of its lane, [`HoldError::Unfit`].
    pub fn decide(&self, id: HoldId, decision: Decision, actor: Actor) -> Result<(), HoldError> {
        let mut inner = self.lock();
        let item = inner.items.get(&id).ok_or(HoldError::Gone(id))?;
        // What is decided about still waits for the rest of its batch: until then its sender can cancel it.
        let is_late_cancel = decision == Decision::Cancel && item.facts.batch.is_some();
        if !item.is_open() && !is_late_cancel {
            return Err(HoldError::Gone(id));
        }
        if !item.is_head && decision != Decision::Cancel {
            let lane = item.facts.lane;
            return Err(HoldError::Queued {
                id,
                head: inner.head_of(lane).unwrap_or(id),
            });
        }
        item.facts.fits(&decision)?;
        let Inner { items, tally, .. } = &mut *inner;
        let waker = items
            .get_mut(&id)
            .and_then(|item| tally.change(item, |item| item.settle(decision, actor)));
        drop(inner);
        wake(waker);
        self.tell();
        Ok(())
    }

    /// Puts `payload` in the place of what came. `None` takes all edits back.
    ///
    /// # Errors
    /// [`HoldError::Gone`].
    pub fn edit(&self, id: HoldId, payload: Option<Bytes>) -> Result<(), HoldError> {
        self.change(id, |item| {
            if payload.is_none() {
                item.head = HeadEdit::default();
            }
            item.edited = payload.filter(|edited| *edited != item.facts.payload);
        })
    }

    /// Says what is done to the head that came with it, in place of all that was said before.
    ///
    /// # Errors
    /// [`HoldError::Gone`]; [`HoldError::Unfit`] if it has no head of its own.
    pub fn edit_head(&self, id: HoldId, head: HeadEdit) -> Result<(), HoldError> {
        if self.detail(id)?.head.is_none() {
            return Err(HoldError::Unfit {
                id,
                what: "no HTTP request",
                why: "there is no head that goes on with it",
            });
        }
        self.change(id, |item| item.head = head)
    }

    /// Says that somebody edits it, or no longer does.
    ///
    /// # Errors
    /// [`HoldError::Gone`].
    pub fn set_editing(&self, id: HoldId, is_editing: bool) -> Result<(), HoldError> {
        self.change(id, |item| item.is_editing = is_editing)
    }

    /// Nothing is to happen by itself when its time is over.
    ///
    /// # Errors
    /// [`HoldError::Gone`].
    pub fn keep(&self, id: HoldId) -> Result<(), HoldError> {
        self.change(id, |item| item.is_kept = true)
    }

    /// The sender of the held request that opened `call` has cancelled it. Returns whether it was held.
    pub(crate) fn cancel(&self, call: CallId) -> bool {
        let request = {
            let inner = self.lock();
            let mut items = inner.items.values();
            let found = items.find(|item| item.facts.call == Some(call) && item.facts.opens_call);
            found.map(|item| item.facts.id)
        };
        request.is_some_and(|id| self.decide(id, Decision::Cancel, Actor::Peer).is_ok())
    }

    /// Whether anything is held.
    pub fn is_empty(&self) -> bool {
        self.lock().items.is_empty()
    }

    fn change(&self, id: HoldId, change: impl FnOnce(&mut Item)) -> Result<(), HoldError> {
        let mut inner = self.lock();
        let item = inner.items.get_mut(&id).filter(|item| item.decision.is_none());
        let item = item.ok_or(HoldError::Gone(id))?;
        change(item);
        // What happens when its time is over may be another thing now.
        let waker = item.waker.clone();
        drop(inner);
        wake(waker);
        self.tell();
        Ok(())
    }

    fn poll(&self, id: HoldId, cx: &mut Context<'_>) -> Poll<Decided> {
        let mut inner = self.lock();
        let Some(item) = inner.items.get_mut(&id) else {
            return Poll::Pending;
        };
        // A delay can still be decided otherwise.
        item.waker = Some(cx.waker().clone());
        match &item.decision {
            Some((decision, actor)) => Poll::Ready(Decided {
                decision: decision.clone(),
                actor: *actor,
                edited: item.edited.clone(),
                head: item.head.clone(),
            }),
            None => Poll::Pending,
        }
    }

    /// What its lane says of it.
    fn note(&self, id: HoldId, change: impl FnOnce(&mut Item)) {
        let mut inner = self.lock();
        if inner.change_place(id, change) {
            drop(inner);
            self.tell();
        }
    }

    /// What happens by itself when its time is over; nothing if it has left.
    fn on_expire(&self, id: HoldId) -> OnExpire {
        let inner = self.lock();
        inner.items.get(&id).map_or(OnExpire::Wait, Item::on_expire)
    }

    /// It is at the head of its lane now.
    fn come_up(&self, id: HoldId) {
        let mut inner = self.lock();
        let is_behind = inner.items.get(&id).is_some_and(|item| !item.is_head);
        if is_behind && inner.change_place(id, |item| item.is_head = true) {
            inner.note_place(id, self.clock.now());
            drop(inner);
            self.tell();
        }
    }

    fn take_out(&self, id: HoldId) {
        let mut inner = self.lock();
        if let Some(item) = inner.items.remove(&id) {
            inner.tally.remove(&item);
            inner.bytes -= item.facts.payload.len();
            inner.note_end(&item, self.clock.now());
            self.bytes.set(inner.bytes as u64);
            self.held.set(inner.items.len() as u64);
            drop(inner);
            self.ended.fetch_add(1, Ordering::Relaxed);
            self.tell();
        }
    }

    fn tell(&self) {
        self.changed.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Item {
    /// It goes on otherwise than it came.
    fn is_edited(&self) -> bool {
        self.edited.is_some() || !self.head.fields.is_empty()
    }

    /// Nothing is decided, or nothing but when it goes on.
    fn is_open(&self) -> bool {
        matches!(self.decision, None | Some((Decision::Delay(_), _)))
    }

    /// Notes what was decided, and gives whoever waits for that.
    fn settle(&mut self, decision: Decision, actor: Actor) -> Option<Waker> {
        self.decision = Some((decision, actor));
        self.waker.take()
    }

    /// It is decided about, and goes on once the rest of its batch does.
    fn waits_for_batch(&self) -> bool {
        self.facts.batch.is_some() && !self.is_open()
    }

    fn row(&self, now: Timestamp) -> HeldRow {
        self.stand().row(now)
    }

    /// What happens by itself when its time is over; nothing if somebody said so.
    fn on_expire(&self) -> OnExpire {
        if self.is_kept || self.is_editing {
            OnExpire::Wait
        } else {
            self.facts.on_expire
        }
    }
}
