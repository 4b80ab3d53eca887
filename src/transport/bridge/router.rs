//! Which stream of a legacy session carries what. Pure.
//!
//! Source: MCP 2025-11-25, Transports, "Sending Messages to the Server" and "Listening for Messages from the Server":
//! each message goes to one stream; answers and progress to that of their request, all else to the standalone stream.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use crate::codec::envelope::{Envelope, Field, MessageKind, Scan};
use crate::codec::rpc_id::RpcId;

use super::routing::{Effect, Routing, beginning_of, is_answer, own_answer, tell_lost};
use super::spool::{Lane, Message, Spool, SpoolBounds};

/// A POST with requests that are not all answered.
#[derive(Debug)]
struct Post {
    ids: Vec<RpcId>,
    /// Those of them that the client has cancelled.
    cancelled: Vec<RpcId>,
    tokens: Vec<RpcId>,
    /// Its client understands an event stream.
    takes_events: bool,
}

/// Why a POST is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// The child is gone.
    Over,
    /// A request with this id is under way.
    SameId(RpcId),
    /// So many requests of this session are under way.
    TooMany(usize),
}

/// The router of one legacy session.
#[derive(Debug)]
pub(super) struct LegacyRouter {
    spool: Spool,
    posts: BTreeMap<Lane, Post>,
    waiting: HashMap<RpcId, Lane>,
    tokens: HashMap<RpcId, Lane>,
    max_waiting: usize,
    revision: Option<Box<str>>,
    is_over: bool,
}

impl LegacyRouter {
    /// `max_waiting`: requests that may be under way at once.
    pub(super) fn new(bounds: SpoolBounds, max_waiting: usize) -> Self {
        Self {
            spool: Spool::new(bounds),
            posts: BTreeMap::new(),
            waiting: HashMap::new(),
            tokens: HashMap::new(),
            max_waiting,
            revision: None,
            is_over: false,
        }
    }

    /// The revision that the server agreed to.
    pub(super) fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// Opens a lane for a POST with requests, and makes the caller its reader.
    pub(super) fn begin(
        &mut self,
        messages: &[Envelope],
        takes_events: bool,
    ) -> Result<(Lane, u64), NotTaken> {
        let requests = messages
            .iter()
            .filter(|message| message.kind == MessageKind::Request);
        let ids: Vec<RpcId> = requests
            .clone()
            .filter_map(|request| request.id.clone())
            .collect();
        self.check(&ids)?;
        let token = |request: &Envelope| request.fields.id(Field::MetaProgressToken).cloned();
        let tokens: Vec<RpcId> = requests.filter_map(token).collect();
        let lane = self.spool.open();
        let reader = self.spool.attach(lane, None).ok_or(NotTaken::Over)?;
        self.waiting.extend(ids.iter().map(|id| (id.clone(), lane)));
        self.tokens
            .extend(tokens.iter().map(|token| (token.clone(), lane)));
        let post = Post {
            ids,
            cancelled: Vec::new(),
            tokens,
            takes_events,
        };
        self.posts.insert(lane, post);
        if takes_events && !self.spool.has_reader(Lane::STANDALONE) {
            for message in self.spool.take_unread(Lane::STANDALONE) {
                self.spool.push(lane, message);
            }
        }
        Ok((lane, reader))
    }

    fn check(&mut self, ids: &[RpcId]) -> Result<(), NotTaken> {
        if self.is_over {
            return Err(NotTaken::Over);
        }
        for (at, id) in ids.iter().enumerate() {
            if self.waiting.contains_key(id) || ids.iter().take(at).any(|other| other == id) {
                return Err(NotTaken::SameId(id.clone()));
            }
        }
        while self.waiting.len() + ids.len() > self.max_waiting {
            let left = |(lane, _): &(&Lane, &Post)| !self.spool.has_reader(**lane);
            let Some(lane) = self.posts.iter().find(left).map(|(lane, _)| *lane) else {
                return Err(NotTaken::TooMany(self.max_waiting));
            };
            self.close(lane);
        }
        Ok(())
    }

    /// Takes back a POST whose line was not sent.
    pub(super) fn take_back(&mut self, lane: Lane) {
        self.close(lane);
        self.spool.forget_delivered(lane);
    }

    /// The client cancels a request: its server should not answer it.
    ///
    /// Source: MCP 2025-11-25, Basic, "Cancellation".
    pub(super) fn cancel(&mut self, id: &RpcId) {
        let Some(lane) = self.waiting.get(id).copied() else {
            return;
        };
        if let Some(post) = self.posts.get_mut(&lane)
            && !post.cancelled.contains(id)
        {
            post.cancelled.push(id.clone());
            self.spool.wake(lane);
        }
    }

    fn close(&mut self, lane: Lane) {
        if let Some(post) = self.posts.remove(&lane) {
            for id in &post.ids {
                self.waiting.remove(id);
            }
            self.tokens
                .retain(|token, owner| *owner != lane || !post.tokens.contains(token));
        }
        self.spool.end(lane);
    }

    /// The POST that waits for these answers; they are not waited for any more.
    fn settle(&mut self, messages: &[Envelope]) -> Option<Lane> {
        let mut first = None;
        for id in messages.iter().filter_map(|message| message.id.as_ref()) {
            if let Some(lane) = self.waiting.remove(id) {
                first.get_or_insert(lane);
                if let Some(post) = self.posts.get_mut(&lane) {
                    post.ids.retain(|other| other != id);
                }
            }
        }
        first
    }

    fn answer(&mut self, message: Message, messages: &[Envelope]) -> Vec<Effect> {
        self.note_revision(messages);
        let Some(lane) = self.settle(messages) else {
            let text = format!(
                "an answer to no request that is under way: {}",
                beginning_of(&message.text)
            );
            return vec![Effect::Finding(text)];
        };
        let lost = self.spool.push(lane, message);
        if self.posts.get(&lane).is_some_and(|post| post.ids.is_empty()) {
            self.close(lane);
        }
        tell_lost(lost)
    }

    fn note_revision(&mut self, messages: &[Envelope]) {
        let agreed = messages
            .iter()
            .find_map(|message| message.fields.get(Field::ResultProtocolVersion));
        if let (None, Some(agreed)) = (&self.revision, agreed) {
            self.revision = Some(agreed.into());
        }
    }

    /// Where a message goes that answers nothing.
    fn place(&self, message: &Envelope) -> Lane {
        let of_token = message.fields.id(Field::ParamsProgressToken);
        let owner = of_token.and_then(|token| self.tokens.get(token));
        if let Some(lane) = owner.filter(|lane| self.posts.get(lane).is_some_and(|post| post.takes_events)) {
            return *lane;
        }
        if self.spool.has_reader(Lane::STANDALONE) {
            return Lane::STANDALONE;
        }
        let is_open = |(lane, post): &(&Lane, &Post)| post.takes_events && self.spool.has_reader(**lane);
        self.posts
            .iter()
            .find(is_open)
            .map_or(Lane::STANDALONE, |(lane, _)| *lane)
    }
}

impl Routing for LegacyRouter {
    fn spool(&mut self) -> &mut Spool {
        &mut self.spool
    }

    fn route(&mut self, raw: &Bytes, scan: &Scan) -> Vec<Effect> {
        let Some(first) = scan.messages.first().filter(|_| scan.is_json_rpc()) else {
            let text = format!("the server printed what is no message: {}", beginning_of(raw));
            return vec![Effect::Finding(text)];
        };
        let is_request = scan
            .messages
            .iter()
            .any(|message| message.kind == MessageKind::Request);
        let message = Message {
            text: super::compact::event_text(raw),
            is_request,
            is_ours: false,
        };
        if scan.messages.iter().any(is_answer) {
            return self.answer(message, &scan.messages);
        }
        let lane = self.place(first);
        tell_lost(self.spool.push(lane, message))
    }

    fn route_too_long(&mut self, scan: &Scan, text: &str) -> Vec<Effect> {
        for answer in scan.messages.iter().filter(|message| is_answer(message)) {
            let Some(id) = answer.id.clone() else { continue };
            if let Some(lane) = self.settle(std::slice::from_ref(answer)) {
                self.spool.push(lane, own_answer(&id, text));
                self.close(lane);
            }
        }
        vec![Effect::Finding(text.to_owned())]
    }

    /// A disconnect is no cancellation: the answer is kept for a resumption, as long as there is room.
    fn left(&mut self, _lane: Lane) -> Vec<Effect> {
        Vec::new()
    }

    fn is_cancelled(&self, lane: Lane) -> bool {
        let post = self.posts.get(&lane);
        post.is_some_and(|post| post.ids.iter().all(|id| post.cancelled.contains(id)))
    }

    fn give_up(&mut self, lane: Lane) {
        self.close(lane);
    }

    fn over(&mut self, text: &str) {
        self.is_over = true;
        while let Some((lane, post)) = self.posts.pop_first() {
            for id in &post.ids {
                self.spool.push(lane, own_answer(id, text));
            }
            self.spool.end(lane);
        }
        self.waiting.clear();
        self.tokens.clear();
        self.spool.end(Lane::STANDALONE);
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn is_idle(&self) -> bool {
        self.posts.is_empty()
    }

    fn close_idle_streams(&mut self) {
        self.spool.end(Lane::STANDALONE);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::super::spool::Next;
    use super::*;
    use crate::codec::envelope::scan;

    fn router() -> LegacyRouter {
        let bounds = SpoolBounds {
            messages: 3,
            bytes: 10_000,
            keeps_delivered: true,
        };
        LegacyRouter::new(bounds, 4)
    }

    fn begin(router: &mut LegacyRouter, body: &str) -> (Lane, u64) {
        router.begin(&scan(body.as_bytes()).messages, true).unwrap()
    }

    fn say(router: &mut LegacyRouter, line: &'static str) -> Vec<Effect> {
        router.route(&Bytes::from_static(line.as_bytes()), &scan(line.as_bytes()))
    }

    fn read(router: &mut LegacyRouter, (lane, reader): (Lane, u64)) -> Vec<String> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut all = Vec::new();
        loop {
            match router.spool.poll_next(lane, reader, &mut cx) {
                Poll::Ready(Next::Message { message, .. }) => {
                    all.push(String::from_utf8(message.text.to_vec()).unwrap());
                }
                Poll::Ready(Next::End) => {
                    all.push("end".to_owned());
                    return all;
                }
                _ => return all,
            }
        }
    }

    const LOG: &str = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}"#;
    const ASK: &str = r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#;

    #[test]
    fn an_answer_goes_to_the_request_with_the_same_typed_id() {
        let mut router = router();
        let number = begin(&mut router, r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#);
        let text = begin(&mut router, r#"{"jsonrpc":"2.0","id":"1","method":"a"}"#);
        let answer = r#"{"jsonrpc":"2.0","id":"1","result":{}}"#;
        assert_eq!(say(&mut router, answer), []);
        assert_eq!(read(&mut router, text), [answer, "end"]);
        assert_eq!(read(&mut router, number), Vec::<String>::new());
        assert!(
            matches!(say(&mut router, answer)[..], [Effect::Finding(_)]),
            "it came twice"
        );
    }

    #[test]
    fn progress_goes_to_the_post_that_owns_the_token_and_all_else_to_the_get_stream() {
        let mut router = router();
        let get = (
            Lane::STANDALONE,
            router.spool.attach(Lane::STANDALONE, None).unwrap(),
        );
        let post = begin(
            &mut router,
            r#"{"jsonrpc":"2.0","id":0,"method":"a","params":{"_meta":{"progressToken":0}}}"#,
        );
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":0,"progress":1}}"#;
        for line in [progress, LOG, ASK] {
            assert_eq!(say(&mut router, line), []);
        }
        assert_eq!(read(&mut router, post), [progress]);
        assert_eq!(read(&mut router, get), [LOG, ASK]);
    }

    #[test]
    fn without_a_get_stream_a_message_goes_to_an_open_post_or_waits_for_the_next_stream() {
        let mut router = router();
        say(&mut router, ASK);
        let post = begin(&mut router, r#"{"jsonrpc":"2.0","id":0,"method":"a"}"#);
        say(&mut router, LOG);
        assert_eq!(read(&mut router, post), [ASK, LOG]);
    }

    #[test]
    fn a_request_that_nobody_takes_is_refused_and_not_just_lost() {
        let mut router = router();
        for _ in 0..3 {
            assert_eq!(say(&mut router, ASK), []);
        }
        let effects = say(&mut router, ASK);
        let [Effect::Finding(_), Effect::Say(line)] = &effects[..] else {
            panic!("{effects:?}")
        };
        assert!(line.starts_with(br#"{"jsonrpc":"2.0","id":1,"error""#) && line.ends_with(b"\n"));
    }

    #[test]
    fn when_the_child_is_gone_every_request_gets_an_error_with_its_own_id() {
        let mut router = router();
        let one = begin(&mut router, r#"{"jsonrpc":"2.0","id":"x","method":"a"}"#);
        let both = begin(
            &mut router,
            r#"[{"jsonrpc":"2.0","id":0,"method":"a"},{"jsonrpc":"2.0","id":1,"method":"a"}]"#,
        );
        say(&mut router, r#"{"jsonrpc":"2.0","id":0,"result":{}}"#);
        router.over("it crashed");
        let [error, end] = &read(&mut router, one)[..] else {
            panic!()
        };
        assert!(error.contains(r#""id":"x""#) && error.contains("it crashed") && end == "end");
        let [_, error, _] = &read(&mut router, both)[..] else {
            panic!()
        };
        assert!(error.contains(r#""id":1"#));
        let late = scan(br#"{"jsonrpc":"2.0","id":5,"method":"a"}"#).messages;
        assert_eq!(router.begin(&late, true), Err(NotTaken::Over));
    }

    #[test]
    fn an_id_under_way_is_not_taken_twice_and_abandoned_requests_make_room() {
        let mut router = router();
        let first = begin(&mut router, r#"{"jsonrpc":"2.0","id":0,"method":"a"}"#);
        let same = scan(br#"{"jsonrpc":"2.0","id":0,"method":"a"}"#).messages;
        assert!(matches!(router.begin(&same, true), Err(NotTaken::SameId(_))));
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#,
            r#"{"jsonrpc":"2.0","id":2,"method":"a"}"#,
            r#"{"jsonrpc":"2.0","id":3,"method":"a"}"#,
        ] {
            begin(&mut router, body);
        }
        let more = scan(br#"{"jsonrpc":"2.0","id":4,"method":"a"}"#).messages;
        assert_eq!(router.begin(&more, true), Err(NotTaken::TooMany(4)));
        router.spool.detach(first.0, first.1);
        assert!(router.begin(&more, true).is_ok());
    }

    #[test]
    fn the_revision_is_the_one_that_the_server_agreed_to() {
        let mut router = router();
        begin(&mut router, r#"{"jsonrpc":"2.0","id":0,"method":"initialize"}"#);
        say(
            &mut router,
            r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-03-26"}}"#,
        );
        assert_eq!(router.revision(), Some("2025-03-26"));
    }
}
