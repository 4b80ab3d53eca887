//! Which messages of a session belong to one call: request, progress, logs, cancel, answer.
//!
//! Small and bounded: what the traffic needs at once. History is another thing and the ledger's.
//!
//! Source: MCP 2025-11-25 and 2026-07-28, "Requests", "Progress", "Cancellation". Ids are unique per sender while in
//! flight; modern HTTP clients reuse them on every exchange, so there the exchange decides.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::codec::envelope::{Envelope, Field, MessageKind};
use crate::codec::rpc_id::RpcId;
use crate::ids::{CallId, ExchangeId, IdMap, IdSource};
use crate::resource::heap;
use crate::session::observation::{CallRole, Placement, ProgressTold};
use crate::snapshot::{Direction, Finding, Severity};

/// Ended calls that are remembered to tell a late or second answer from one to nothing.
const ENDED_KEPT: usize = 64;

/// How a message travelled.
#[derive(Debug, Clone, Copy)]
pub struct Carriage {
    /// When it was here.
    pub at: Timestamp,
    /// Which way it went.
    pub direction: Direction,
    /// The exchange that carried it.
    pub exchange: ExchangeId,
    /// Whether that exchange is of the modern era: then ids count within it only.
    pub is_modern: bool,
}

#[derive(Debug)]
struct OpenCall {
    id: RpcId,
    direction: Direction,
    exchange: ExchangeId,
    is_modern: bool,
    token: Option<RpcId>,
    /// The latest progress that was reported.
    progress: f64,
    at: Timestamp,
    method: Arc<str>,
    name: Option<Arc<str>>,
}

/// A call that ended. Its id is remembered by its hash: sixty-four of them are kept for every session, and all that a
/// collision could do is to call a stray answer a late one.
#[derive(Debug)]
struct EndedCall {
    call: CallId,
    id: u64,
    direction: Direction,
    exchange: ExchangeId,
    is_modern: bool,
    was_cancelled: bool,
}

/// What a call can be found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Handle {
    Id,
    Token,
}

/// The calls under one hash, oldest first. Nearly always one.
#[derive(Debug)]
enum Same {
    One(CallId),
    More(Vec<CallId>),
}

impl Same {
    fn as_slice(&self) -> &[CallId] {
        match self {
            Self::One(call) => std::slice::from_ref(call),
            Self::More(calls) => calls,
        }
    }

    fn add(&mut self, call: CallId) {
        match self {
            Self::One(first) => *self = Self::More(vec![*first, call]),
            Self::More(calls) => calls.push(call),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::More(calls) => calls.capacity() * size_of::<CallId>(),
        }
    }
}

/// The open calls of one session, and the last few ended ones.
#[derive(Debug)]
pub struct Pairing {
    max_open: usize,
    /// In order of their ids, which is the order of opening.
    calls: Vec<(CallId, Box<OpenCall>)>,
    /// By the hash of direction, handle and value; what it finds is compared again.
    index: IdMap<u64, Same>,
    ended: VecDeque<EndedCall>,
}

/// Room for calls that an idle session keeps; what a burst needed is given back.
const SPARE_CALLS: usize = 16;

impl Pairing {
    /// Pairs up to `max_open` calls at once; a further one pushes the oldest out.
    pub fn new(max_open: usize) -> Self {
        Self {
            max_open: max_open.max(1),
            calls: Vec::new(),
            index: IdMap::default(),
            ended: VecDeque::new(),
        }
    }

    /// Calls without an answer.
    pub fn open_calls(&self) -> usize {
        self.calls.len()
    }

    /// The ids of the requests of this direction that have no answer, oldest first.
    pub fn open_ids(&self, direction: Direction) -> impl Iterator<Item = &RpcId> {
        let of_direction = self
            .calls
            .iter()
            .filter(move |(_, open)| open.direction == direction);
        of_direction.map(|(_, open)| &open.id)
    }

    /// Bytes of heap memory that it holds.
    pub fn heap_bytes(&self) -> usize {
        heap::vector(&self.calls)
            + self
                .calls
                .iter()
                .map(|(_, open)| open.heap_bytes())
                .sum::<usize>()
            + heap::map(&self.index)
            + self.index.values().map(Same::heap_bytes).sum::<usize>()
            + heap::queue(&self.ended)
    }

    /// Finds the call of a message, or opens one for a request.
    pub fn place(&mut self, carriage: Carriage, envelope: &Envelope, ids: &IdSource) -> Placement {
        match envelope.kind {
            MessageKind::Request => self.open(carriage, envelope, ids),
            MessageKind::Result | MessageKind::Error => self.answer(carriage, envelope),
            MessageKind::Notification => self.notification(carriage, envelope),
            MessageKind::Malformed => Placement::default(),
        }
    }

    /// An exchange is over. Modern calls end with it, since nothing else could bring their answer.
    pub fn end_exchange(&mut self, exchange: ExchangeId) {
        let over = |(call, open): &(CallId, Box<OpenCall>)| {
            (open.is_modern && open.exchange == exchange).then_some(*call)
        };
        let calls: Vec<CallId> = self.calls.iter().filter_map(over).collect();
        for call in calls {
            self.close(call, false);
        }
    }

    fn open(&mut self, carriage: Carriage, envelope: &Envelope, ids: &IdSource) -> Placement {
        let Some(id) = envelope.id.clone() else {
            return Placement::default();
        };
        let mut findings = Vec::new();
        if self.find(Handle::Id, carriage.direction, &id, carriage).is_some() {
            let text = format!("a request with the id {id} is still open in this direction");
            findings.push(Finding {
                severity: Severity::Warning,
                text,
            });
        }
        if self.calls.len() >= self.max_open {
            self.close_oldest();
        }
        let call = CallId::from(ids.next());
        let token = envelope.fields.id(Field::MetaProgressToken).cloned();
        let method: Arc<str> = envelope.method.as_deref().unwrap_or_default().into();
        let name = subject(envelope).map(Arc::from);
        self.enlist(hash(carriage.direction, Handle::Id, &id), call);
        if let Some(token) = &token {
            self.enlist(hash(carriage.direction, Handle::Token, token), call);
        }
        let open = OpenCall {
            id,
            direction: carriage.direction,
            exchange: carriage.exchange,
            is_modern: carriage.is_modern,
            token: token.clone(),
            progress: 0.0,
            at: carriage.at,
            method: Arc::clone(&method),
            name: name.clone(),
        };
        let place = self.calls.partition_point(|(known, _)| *known < call);
        self.calls.insert(place, (call, Box::new(open)));
        Placement {
            call: Some(call),
            role: CallRole::Opens,
            request_at: Some(carriage.at),
            request_method: Some(method),
            request_name: name,
            progress: token.map(|token| Box::new(ProgressTold { token, before: 0.0 })),
            findings,
        }
    }

    fn answer(&mut self, carriage: Carriage, envelope: &Envelope) -> Placement {
        let asked = carriage.direction.opposite();
        let known = match envelope.id.as_ref().filter(|id| !id.is_null()) {
            Some(id) => self.find(Handle::Id, asked, id, carriage),
            None => self.only_call_of(carriage.exchange, asked),
        };
        let Some(call) = known else {
            return self.stray_answer(carriage, envelope);
        };
        let placement = self.belongs(call, CallRole::Answers);
        self.close(call, false);
        placement
    }

    fn stray_answer(&self, carriage: Carriage, envelope: &Envelope) -> Placement {
        let asked = carriage.direction.opposite();
        let id = envelope.id.as_ref().map(|id| hash(asked, Handle::Id, id));
        let is_it = |ended: &&EndedCall| {
            Some(ended.id) == id
                && ended.direction == asked
                && (!ended.is_modern || ended.exchange == carriage.exchange)
        };
        let ended = self.ended.iter().rev().find(is_it);
        let text = match (ended, &envelope.id) {
            (Some(ended), Some(id)) if ended.was_cancelled => {
                format!("answer to {id} after it was cancelled")
            }
            (Some(_), Some(id)) => format!("second answer to {id}"),
            (_, Some(id)) if !id.is_null() => format!("answers {id}, which no open request has"),
            // An error for what could not be read as a request cannot name one (JSON-RPC 2.0, section 5).
            _ => return Placement::default(),
        };
        Placement {
            call: ended.map(|ended| ended.call),
            findings: vec![Finding {
                severity: Severity::Warning,
                text,
            }],
            ..Placement::default()
        }
    }

    fn notification(&mut self, carriage: Carriage, envelope: &Envelope) -> Placement {
        let sender = carriage.direction;
        match envelope.method.as_deref() {
            Some("notifications/progress") => {
                let token = envelope.fields.id(Field::ParamsProgressToken);
                let call =
                    token.and_then(|token| self.find(Handle::Token, sender.opposite(), token, carriage));
                match call {
                    Some(call) => self.progress(call, envelope),
                    None => stray("progress with a token that no open request has"),
                }
            }
            Some("notifications/cancelled") => self.cancel(carriage, envelope),
            _ => {
                let subscription = envelope.fields.id(Field::MetaSubscriptionId);
                let by_subscription =
                    subscription.and_then(|id| self.find(Handle::Id, sender.opposite(), id, carriage));
                match by_subscription.or_else(|| self.only_call_of(carriage.exchange, sender.opposite())) {
                    Some(call) => self.belongs(call, CallRole::Accompanies),
                    None => Placement::default(),
                }
            }
        }
    }

    fn progress(&mut self, call: CallId, envelope: &Envelope) -> Placement {
        let placement = self.belongs(call, CallRole::Progress);
        let value = envelope.fields.get(Field::ParamsProgress);
        let value = value
            .and_then(|value| value.parse().ok())
            .filter(|value: &f64| value.is_finite());
        if let Some((value, place)) = value.zip(self.place_of(call))
            && let Some((_, open)) = self.calls.get_mut(place)
        {
            open.progress = open.progress.max(value);
        }
        placement
    }

    fn cancel(&mut self, carriage: Carriage, envelope: &Envelope) -> Placement {
        let Some(id) = envelope.fields.id(Field::ParamsRequestId) else {
            return stray("a cancel that names no request");
        };
        // A server ends a listen stream by cancelling the client's request (MCP 2026-07-28, Subscriptions).
        let sender = carriage.direction;
        let own = self.find(Handle::Id, sender, id, carriage);
        let Some(call) = own.or_else(|| self.find(Handle::Id, sender.opposite(), id, carriage)) else {
            return stray("a cancel of a request that is not open");
        };
        let placement = self.belongs(call, CallRole::Cancels);
        self.close(call, true);
        placement
    }

    /// The call that was opened in `direction` under `key`: that of the same exchange first, then the newest legacy one.
    fn find(
        &self,
        handle: Handle,
        direction: Direction,
        value: &RpcId,
        carriage: Carriage,
    ) -> Option<CallId> {
        let listed = self.index.get(&hash(direction, handle, value))?.as_slice();
        let calls = || {
            let known = listed
                .iter()
                .rev()
                .filter_map(|call| self.get(*call).map(|open| (*call, open)));
            known.filter(|(_, open)| open.direction == direction && open.handle(handle) == Some(value))
        };
        let is_here = |(_, open): &(CallId, &OpenCall)| open.exchange == carriage.exchange;
        let is_elsewhere = |(_, open): &(CallId, &OpenCall)| !carriage.is_modern && !open.is_modern;
        let found = calls().find(is_here).or_else(|| calls().find(is_elsewhere));
        found.map(|(call, _)| call)
    }

    fn get(&self, call: CallId) -> Option<&OpenCall> {
        let place = self.place_of(call)?;
        self.calls.get(place).map(|(_, open)| &**open)
    }

    fn place_of(&self, call: CallId) -> Option<usize> {
        self.calls.binary_search_by_key(&call, |(known, _)| *known).ok()
    }

    fn enlist(&mut self, hash: u64, call: CallId) {
        self.index
            .entry(hash)
            .and_modify(|same| same.add(call))
            .or_insert(Same::One(call));
    }

    fn only_call_of(&self, exchange: ExchangeId, direction: Direction) -> Option<CallId> {
        let of_exchange = |open: &OpenCall| open.exchange == exchange && open.direction == direction;
        let mut calls = self
            .calls
            .iter()
            .rev()
            .filter(|(_, open)| of_exchange(open))
            .map(|(call, _)| *call);
        let call = calls.next()?;
        calls.next().is_none().then_some(call)
    }

    fn belongs(&self, call: CallId, role: CallRole) -> Placement {
        let open = self.get(call);
        Placement {
            call: Some(call),
            role,
            request_at: open.map(|open| open.at),
            request_method: open.map(|open| Arc::clone(&open.method)),
            request_name: open.and_then(|open| open.name.clone()),
            progress: open.and_then(OpenCall::told),
            findings: Vec::new(),
        }
    }

    fn close_oldest(&mut self) {
        if let Some((call, _)) = self.calls.first() {
            self.close(*call, false);
        }
    }

    fn close(&mut self, call: CallId, was_cancelled: bool) {
        let Some(place) = self.place_of(call) else {
            return;
        };
        let (_, open) = self.calls.remove(place);
        let id = hash(open.direction, Handle::Id, &open.id);
        forget(&mut self.index, id, call);
        if let Some(token) = &open.token {
            forget(&mut self.index, hash(open.direction, Handle::Token, token), call);
        }
        if self.calls.is_empty() && self.calls.capacity() > SPARE_CALLS {
            self.calls.shrink_to(SPARE_CALLS);
            self.index.shrink_to(SPARE_CALLS);
        }
        if self.ended.len() == ENDED_KEPT {
            self.ended.pop_front();
        }
        self.ended.push_back(EndedCall {
            call,
            id,
            direction: open.direction,
            exchange: open.exchange,
            is_modern: open.is_modern,
            was_cancelled,
        });
    }
}

impl OpenCall {
    fn handle(&self, handle: Handle) -> Option<&RpcId> {
        match handle {
            Handle::Id => Some(&self.id),
            Handle::Token => self.token.as_ref(),
        }
    }

    fn told(&self) -> Option<Box<ProgressTold>> {
        let token = self.token.clone()?;
        Some(Box::new(ProgressTold {
            token,
            before: self.progress,
        }))
    }

    /// The method and name are counted here although the rows of the call share them: they live as long as the call.
    fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + self.id.heap_bytes()
            + self.token.as_ref().map_or(0, RpcId::heap_bytes)
            + heap::shared_text(&self.method)
            + self.name.as_ref().map_or(0, heap::shared_text)
    }
}

/// The same for equal values, also in another session: an index within a session is all that it is for.
fn hash(direction: Direction, handle: Handle, value: &RpcId) -> u64 {
    let mut hasher = DefaultHasher::new();
    (direction, handle, value).hash(&mut hasher);
    hasher.finish()
}

/// What a request is about: its tool, prompt, uri or task.
pub fn subject(envelope: &Envelope) -> Option<&str> {
    const PLACES: [Field; 5] = [
        Field::ParamsName,
        Field::ParamsUri,
        Field::ParamsTaskId,
        Field::ParamsRefName,
        Field::ParamsRefUri,
    ];
    PLACES.into_iter().find_map(|place| envelope.fields.get(place))
}

fn stray(text: &str) -> Placement {
    let finding = Finding {
        severity: Severity::Info,
        text: text.to_owned(),
    };
    Placement {
        findings: vec![finding],
        ..Placement::default()
    }
}

fn forget(index: &mut IdMap<u64, Same>, hash: u64, call: CallId) {
    if let std::collections::hash_map::Entry::Occupied(mut entry) = index.entry(hash) {
        match entry.get_mut() {
            Same::More(calls) => {
                calls.retain(|known| *known != call);
                if calls.is_empty() {
                    entry.remove();
                }
            }
            Same::One(only) if *only == call => {
                entry.remove();
            }
            Same::One(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
