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
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::super::spool::Next;
    use super::*;
    use crate::codec::envelope::scan;

    fn router() -> ModernRouter {
        let bounds = SpoolBounds {
            messages: 16,
            bytes: 10_000,
            keeps_delivered: true,
        };
        ModernRouter::new(bounds, ToolHeaders::default())
    }

    fn begin(router: &mut ModernRouter, body: &str) -> Begun {
        let line = Bytes::copy_from_slice(body.as_bytes());
        let begun = router.begin(&line, &scan(&line).messages[0]).unwrap();
        router.sent(begun.lane);
        begun
    }

    fn say(router: &mut ModernRouter, line: &str) -> Vec<Effect> {
        let line = Bytes::copy_from_slice(line.as_bytes());
        router.route(&line, &scan(&line))
    }

    fn read(router: &mut ModernRouter, begun: &Begun) -> Vec<String> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut all = Vec::new();
        loop {
            match router.spool.poll_next(begun.lane, begun.reader, &mut cx) {
                Poll::Ready(Next::Message { message, .. }) => {
                    all.push(String::from_utf8(message.text.to_vec()).unwrap());
                }
                Poll::Ready(_) => {
                    all.push("end".to_owned());
                    return all;
                }
                Poll::Pending => return all,
            }
        }
    }

    fn text(line: &Bytes) -> &str {
        std::str::from_utf8(line).unwrap()
    }

    const OWN: &str = "1099511627777";

    #[test]
    fn equal_ids_and_tokens_of_two_clients_do_not_meet_on_the_pipe() {
        let mut router = router();
        let body = r#"{"jsonrpc":"2.0","id":0,"method":"a","params":{"_meta":{"progressToken":0}}}"#;
        let (first, second) = (begin(&mut router, body), begin(&mut router, body));
        assert_eq!(text(&first.line), body);
        assert_eq!(
            text(&second.line),
            r#"{"jsonrpc":"2.0","id":1099511627777,"method":"a","params":{"_meta":{"progressToken":1099511627778}}}"#
        );
        say(
            &mut router,
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1099511627778,"progress":1}}"#,
        );
        say(&mut router, r#"{"jsonrpc":"2.0","id":0,"result":{"first":true}}"#);
        say(
            &mut router,
            r#"{"jsonrpc":"2.0","result":{"second":true},"id":1099511627777}"#,
        );
        assert_eq!(
            read(&mut router, &second),
            [
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":0,"progress":1}}"#,
                r#"{"jsonrpc":"2.0","result":{"second":true},"id":0}"#,
                "end"
            ]
        );
        assert_eq!(
            read(&mut router, &first),
            [r#"{"jsonrpc":"2.0","id":0,"result":{"first":true}}"#, "end"]
        );
        assert!(router.ids.is_empty() && router.tokens.is_empty());
    }

    #[test]
    fn ids_of_another_type_are_others() {
        let mut router = router();
        let number = begin(&mut router, r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#);
        let string = begin(&mut router, r#"{"jsonrpc":"2.0","id":"1","method":"a"}"#);
        assert!(text(&number.line).contains(r#""id":1,"#) && text(&string.line).contains(r#""id":"1","#));
        let again = begin(&mut router, r#"{"jsonrpc":"2.0","id":"1","method":"a"}"#);
        say(
            &mut router,
            &format!(r#"{{"jsonrpc":"2.0","id":{OWN},"error":{{"code":1,"message":""}}}}"#),
        );
        assert_eq!(
            read(&mut router, &again)[0],
            r#"{"jsonrpc":"2.0","id":"1","error":{"code":1,"message":""}}"#
        );
    }

    #[test]
    fn a_client_that_leaves_cancels_its_request_under_the_id_of_the_pipe() {
        let mut router = router();
        begin(&mut router, r#"{"jsonrpc":"2.0","id":0,"method":"a"}"#);
        let second = begin(&mut router, r#"{"jsonrpc":"2.0","id":0,"method":"a"}"#);
        let effects = router.left(second.lane);
        let [Effect::Say(line)] = &effects[..] else {
            panic!("{effects:?}")
        };
        assert!(
            text(line).contains(&format!(r#""requestId":{OWN},"#)),
            "{}",
            text(line)
        );
        assert_eq!(router.left(second.lane), [], "once is enough");
        let line = Bytes::from_static(br#"{"jsonrpc":"2.0","id":7,"method":"a"}"#);
        let unsent = router.begin(&line, &scan(&line).messages[0]).unwrap();
        assert_eq!(router.left(unsent.lane), [], "the program never heard of it");
    }

    #[test]
    fn a_late_answer_to_a_cancelled_request_never_reaches_another_client() {
        let mut router = router();
        let body = r#"{"jsonrpc":"2.0","id":0,"method":"a","params":{"_meta":{"progressToken":0}}}"#;
        let gone = begin(&mut router, body);
        router.left(gone.lane);
        let other = begin(&mut router, body);
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":0,"progress":1}}"#;
        let late = r#"{"jsonrpc":"2.0","id":0,"result":{"secret":"of the first"}}"#;
        for line in [progress, late] {
            assert!(
                matches!(say(&mut router, line)[..], [Effect::Finding(_)]),
                "{line}"
            );
        }
        assert_eq!(read(&mut router, &other), Vec::<String>::new());
        say(
            &mut router,
            &format!(r#"{{"jsonrpc":"2.0","id":{OWN},"result":{{}}}}"#),
        );
        assert_eq!(
            read(&mut router, &other),
            [r#"{"jsonrpc":"2.0","id":0,"result":{}}"#, "end"]
        );
        let next = begin(&mut router, body);
        assert_eq!(text(&next.line), body, "once it was answered the id is free");
    }

    #[test]
    fn so_many_cancelled_requests_are_remembered_and_no_more() {
        let mut router = router();
        let body = |id: usize| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#);
        for id in 0..=MAX_CANCELLED {
            let begun = begin(&mut router, &body(id));
            router.left(begun.lane);
        }
        assert_eq!(router.cancelled.len(), MAX_CANCELLED);
        assert_eq!(
            text(&begin(&mut router, &body(0)).line),
            body(0),
            "the oldest is free"
        );
        assert_ne!(text(&begin(&mut router, &body(1)).line), body(1));
    }

    #[test]
    fn subscriptions_and_log_lines_find_their_stream() {
        let mut router = router();
        begin(&mut router, r#"{"jsonrpc":"2.0","id":9,"method":"tools/call"}"#);
        let listen = begin(
            &mut router,
            r#"{"jsonrpc":"2.0","id":9,"method":"subscriptions/listen"}"#,
        );
        let logged = begin(
            &mut router,
            r#"{"jsonrpc":"2.0","id":3,"method":"a","params":{"_meta":{"io.modelcontextprotocol/logLevel":"info"}}}"#,
        );
        say(
            &mut router,
            &format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{OWN}}}}}}}"#
            ),
        );
        let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}"#;
        say(&mut router, log);
        assert!(!router.is_idle());
        say(
            &mut router,
            &format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{OWN}}}}}"#
            ),
        );
        let seen = read(&mut router, &listen);
        assert!(
            seen[0].contains(r#"subscriptionId":9}"#) && seen[1].contains(r#""requestId":9"#),
            "{seen:?}"
        );
        assert_eq!(seen[2], "end");
        assert_eq!(read(&mut router, &logged), [log]);
    }

    #[test]
    fn a_request_of_the_server_is_refused_and_what_has_no_place_is_a_finding() {
        let mut router = router();
        begin(&mut router, r#"{"jsonrpc":"2.0","id":0,"method":"a"}"#);
        let effects = say(&mut router, r#"{"jsonrpc":"2.0","id":5,"method":"roots/list"}"#);
        assert!(
            matches!(&effects[..], [Effect::Finding(_), Effect::Say(line)] if text(line).contains(r#""id":5"#))
        );
        for line in [
            r#"{"jsonrpc":"2.0","id":99,"result":{}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#,
            "hello",
        ] {
            assert!(
                matches!(say(&mut router, line)[..], [Effect::Finding(_)]),
                "{line}"
            );
        }
    }

    #[test]
    fn when_the_program_is_gone_streams_end_without_an_answer() {
        let mut router = router();
        let begun = begin(&mut router, r#"{"jsonrpc":"2.0","id":0,"method":"a"}"#);
        router.over("it crashed");
        assert_eq!(read(&mut router, &begun), ["end"]);
        assert_eq!(router.fate(), Some("it crashed"));
        let line = begun.line.clone();
        assert!(router.begin(&line, &scan(&line).messages[0]).is_none());
    }
}
