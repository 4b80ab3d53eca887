//! Which request of which client each message of a shared program belongs to. Pure.
//!
//! Clients number their requests for themselves, so on one pipe ids and tokens meet. Where they do, the later one is
//! spelled differently on the pipe and restored on the way back.
//!
//! Source: MCP 2026-07-28, Transports, "stdio" for the keys and "Streamable HTTP" for what a stream carries.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::codec::envelope::{Envelope, Field, MessageKind, Scan};
use crate::codec::rpc_id::RpcId;
use crate::mcp::tool_headers::{ToolHeader, ToolHeaders};

use super::compact::event_text;
use super::ids::{IdPlace, respelled, spelled_at};
use super::routing::{Effect, Routing, beginning_of, is_answer, own_answer, refuse, tell_lost};
use super::spool::{Lane, Message, Spool, SpoolBounds};

/// The first id that we give. Clients count from 0; servers may keep ids as numbers of 53 bits.
const FIRST_OWN: u64 = 1 << 40;
/// Cancelled requests whose ids are not given to others, since a program may answer them all the same. Beyond, the
/// oldest is forgotten.
const MAX_CANCELLED: usize = 1024;

/// An id or a token on the pipe, and how its client spells it.
#[derive(Debug, Clone)]
struct Alias {
    wire: RpcId,
    wire_spelling: Box<str>,
    /// Only if it is spelled differently on the pipe.
    original: Option<Box<str>>,
}

impl Alias {
    fn restored(&self, raw: &Bytes, places: &[IdPlace]) -> Bytes {
        match &self.original {
            Some(original) => respelled(raw, places, &self.wire, original),
            None => raw.clone(),
        }
    }
}

/// A request that is not answered.
#[derive(Debug)]
struct Slot {
    id: Alias,
    token: Option<Alias>,
    wants_log: bool,
    is_listening: bool,
    is_sent: bool,
    /// It asks for the tools: for the first of them, or for those behind a cursor.
    lists_tools: Option<Page>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    First,
    Further,
}

impl Page {
    fn of(message: &Envelope) -> Option<Self> {
        let is_list = message.method.as_deref() == Some("tools/list");
        let is_first = message.fields.get(Field::ParamsCursor).is_none();
        is_list.then_some(if is_first { Self::First } else { Self::Further })
    }
}

/// A request that was given its place.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) lane: Lane,
    pub(super) reader: u64,
    /// The line for the program.
    pub(super) line: Bytes,
}

/// The router of a program that clients share.
#[derive(Debug)]
pub(super) struct ModernRouter {
    spool: Spool,
    slots: BTreeMap<Lane, Slot>,
    ids: HashMap<RpcId, Lane>,
    tokens: HashMap<RpcId, Lane>,
    /// Ids and tokens on the pipe of requests that were cancelled and not answered.
    cancelled: VecDeque<(RpcId, Option<RpcId>)>,
    last_own: u64,
    over: Option<Box<str>>,
    /// Which arguments headers repeat, by the last list of tools that passed.
    tools: ToolHeaders,
}

impl ModernRouter {
    /// `tools`: what is known of the program's tools from its last run.
    pub(super) fn new(bounds: SpoolBounds, tools: ToolHeaders) -> Self {
        Self {
            spool: Spool::new(SpoolBounds {
                keeps_delivered: false,
                ..bounds
            }),
            slots: BTreeMap::new(),
            ids: HashMap::new(),
            tokens: HashMap::new(),
            cancelled: VecDeque::new(),
            last_own: FIRST_OWN,
            over: None,
            tools,
        }
    }

    /// What headers repeat of the arguments of a tool, as far as is known.
    pub(super) fn repeated(&self, tool: &str) -> Option<Arc<[ToolHeader]>> {
        self.tools.of(tool)
    }

    /// What is known of the tools.
    pub(super) fn tools(&self) -> ToolHeaders {
        self.tools.clone()
    }

    /// What became of the program, once it is gone.
    pub(super) fn fate(&self) -> Option<&str> {
        self.over.as_deref()
    }

    /// Gives a request its place. `None` if the program is gone, or the request has no usable id.
    pub(super) fn begin(&mut self, raw: &Bytes, message: &Envelope) -> Option<Begun> {
        if self.over.is_some() {
            return None;
        }
        let id = self.alias(raw, IdPlace::Id, Kind::Id)?;
        let token = self.alias(raw, IdPlace::AskedToken, Kind::Token);
        let mut sent = raw.clone();
        for (alias, place) in [(Some(&id), IdPlace::Id), (token.as_ref(), IdPlace::AskedToken)] {
            if let Some((alias, original)) = alias.and_then(|alias| Some((alias, alias.original.as_ref()?))) {
                let original = RpcId::parse(original)?;
                sent = respelled(&sent, &[place], &original, &alias.wire_spelling);
            }
        }
        let lane = self.spool.open();
        let reader = self.spool.attach(lane, None)?;
        self.ids.insert(id.wire.clone(), lane);
        if let Some(token) = &token {
            self.tokens.insert(token.wire.clone(), lane);
        }
        let slot = Slot {
            id,
            token,
            wants_log: message.fields.get(Field::MetaLogLevel).is_some(),
            is_listening: message.method.as_deref() == Some("subscriptions/listen"),
            is_sent: false,
            lists_tools: Page::of(message),
        };
        self.slots.insert(lane, slot);
        Some(Begun {
            lane,
            reader,
            line: sent,
        })
    }

    /// The request is in the queue for the program: from now on its client's leaving cancels it.
    pub(super) fn sent(&mut self, lane: Lane) {
        if let Some(slot) = self.slots.get_mut(&lane) {
            slot.is_sent = true;
        }
    }

    fn alias(&mut self, raw: &[u8], place: IdPlace, kind: Kind) -> Option<Alias> {
        let spelling = spelled_at(raw, place)?;
        let id = RpcId::parse(spelling)?;
        if !self.is_taken(&id, kind) {
            return Some(Alias {
                wire: id,
                wire_spelling: spelling.into(),
                original: None,
            });
        }
        loop {
            self.last_own += 1;
            let own = self.last_own.to_string();
            let wire = RpcId::parse(&own)?;
            if !self.is_taken(&wire, kind) {
                return Some(Alias {
                    wire,
                    wire_spelling: own.into(),
                    original: Some(spelling.into()),
                });
            }
        }
    }

    /// Whether something with this id or token may still come from the program.
    fn is_taken(&self, wire: &RpcId, kind: Kind) -> bool {
        let mut cancelled = self.cancelled.iter();
        match kind {
            Kind::Id => self.ids.contains_key(wire) || cancelled.any(|(id, _)| id == wire),
            Kind::Token => {
                self.tokens.contains_key(wire) || cancelled.any(|(_, token)| token.as_ref() == Some(wire))
            }
        }
    }

    fn remember_cancelled(&mut self, slot: Slot) {
        if self.cancelled.len() == MAX_CANCELLED {
            self.cancelled.pop_front();
        }
        let token = slot.token.map(|token| token.wire);
        self.cancelled.push_back((slot.id.wire, token));
    }

    /// The request is over, one way or the other.
    fn close(&mut self, lane: Lane) -> Option<Slot> {
        let slot = self.slots.remove(&lane)?;
        self.ids.remove(&slot.id.wire);
        if let Some(token) = &slot.token {
            self.tokens.remove(&token.wire);
        }
        self.spool.end(lane);
        Some(slot)
    }

    fn push(&mut self, lane: Lane, text: &Bytes) -> Vec<Effect> {
        let message = Message {
            text: event_text(text),
            is_request: false,
            is_ours: false,
        };
        tell_lost(self.spool.push(lane, message))
    }

    fn answer(&mut self, raw: &Bytes, message: &Envelope) -> Vec<Effect> {
        let lane = message.id.as_ref().and_then(|id| self.ids.get(id).copied());
        let Some((lane, slot)) = lane.and_then(|lane| Some((lane, self.slots.get(&lane)?))) else {
            // A request that was cancelled may be answered all the same; nothing more comes of it then.
            self.cancelled.retain(|(id, _)| message.id.as_ref() != Some(id));
            let text = format!("an answer to no request that is under way: {}", beginning_of(raw));
            return vec![Effect::Finding(text)];
        };
        let text = slot.id.restored(raw, &[IdPlace::Id, IdPlace::EndedSubscription]);
        if let (Some(page), MessageKind::Result) = (slot.lists_tools, message.kind) {
            self.tools.learn(raw, page == Page::First);
        }
        let effects = self.push(lane, &text);
        self.close(lane);
        effects
    }

    fn notify(&mut self, raw: &Bytes, message: &Envelope) -> Vec<Effect> {
        let Some((lane, text, is_end)) = self.place(raw, message) else {
            let text = format!(
                "a notification that belongs to no request that is under way: {}",
                beginning_of(raw)
            );
            return vec![Effect::Finding(text)];
        };
        let effects = self.push(lane, &text);
        if is_end {
            self.close(lane);
        }
        effects
    }

    /// Where a notification goes, how it reads there, and whether nothing follows it.
    fn place(&self, raw: &Bytes, message: &Envelope) -> Option<(Lane, Bytes, bool)> {
        let fields = &message.fields;
        if let Some(token) = fields.id(Field::ParamsProgressToken) {
            let lane = *self.tokens.get(token)?;
            let alias = self.slots.get(&lane)?.token.as_ref()?;
            return Some((lane, alias.restored(raw, &[IdPlace::ToldToken]), false));
        }
        if let Some(subscription) = fields.id(Field::MetaSubscriptionId) {
            let lane = *self.ids.get(subscription)?;
            let alias = &self.slots.get(&lane)?.id;
            return Some((lane, alias.restored(raw, &[IdPlace::Subscription]), false));
        }
        match message.method.as_deref() {
            Some("notifications/cancelled") => {
                let lane = *self.ids.get(fields.id(Field::ParamsRequestId)?)?;
                let alias = &self.slots.get(&lane)?.id;
                Some((lane, alias.restored(raw, &[IdPlace::RequestId]), true))
            }
            // It has no key: MCP 2026-07-28 asks for a log level with each request that wants any.
            Some("notifications/message") => {
                let oldest = self.slots.iter().find(|(_, slot)| slot.wants_log)?;
                Some((*oldest.0, raw.clone(), false))
            }
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Id,
    Token,
}

impl Routing for ModernRouter {
    fn spool(&mut self) -> &mut Spool {
        &mut self.spool
    }

    fn route(&mut self, raw: &Bytes, scan: &Scan) -> Vec<Effect> {
        let Some(message) = scan.single().filter(|_| scan.is_json_rpc()) else {
            let text = format!(
                "the server printed what is no single message: {}",
                beginning_of(raw)
            );
            return vec![Effect::Finding(text)];
        };
        match message.kind {
            MessageKind::Request => {
                let text = format!(
                    "a request of the server, which this revision does not have: {}",
                    beginning_of(raw)
                );
                let refusal = refuse(raw, "clients of this revision take no requests");
                vec![Effect::Finding(text), refusal]
            }
            MessageKind::Notification => self.notify(raw, message),
            _ => self.answer(raw, message),
        }
    }

    fn route_too_long(&mut self, scan: &Scan, text: &str) -> Vec<Effect> {
        let answers = scan.messages.iter().filter(|message| is_answer(message));
        for id in answers.filter_map(|message| message.id.as_ref()) {
            let Some((lane, slot)) = self
                .ids
                .get(id)
                .and_then(|lane| Some((*lane, self.slots.get(lane)?)))
            else {
                continue;
            };
            let original = slot.id.original.as_deref().and_then(RpcId::parse);
            let answer = own_answer(&original.unwrap_or_else(|| id.clone()), text);
            self.spool.push(lane, answer);
            self.close(lane);
        }
        vec![Effect::Finding(text.to_owned())]
    }

    /// Closing a stream is how this revision cancels; on the pipe that takes a word.
    fn left(&mut self, lane: Lane) -> Vec<Effect> {
        let Some(slot) = self.close(lane).filter(|slot| slot.is_sent) else {
            return Vec::new();
        };
        let id = &slot.id.wire_spelling;
        let raw = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":{id},\"reason\":\"the client closed its stream\"}}}}\n"
        );
        self.remember_cancelled(slot);
        vec![Effect::Say(raw.into())]
    }

    fn give_up(&mut self, lane: Lane) {
        self.close(lane);
    }

    /// Streams end without an answer, so that their clients send the request again under a new id.
    fn over(&mut self, text: &str) {
        self.over = Some(text.into());
        while let Some(lane) = self.slots.keys().next().copied() {
            self.close(lane);
        }
    }

    fn is_over(&self) -> bool {
        self.over.is_some()
    }

    fn is_idle(&self) -> bool {
        self.slots.values().all(|slot| slot.is_listening)
    }

    fn close_idle_streams(&mut self) {
        let listening = self.slots.iter().filter(|(_, slot)| slot.is_listening);
        let lanes: Vec<Lane> = listening.map(|(lane, _)| *lane).collect();
        for lane in lanes {
            self.close(lane);
        }
    }
}

#[cfg(test)]
mod tests;
