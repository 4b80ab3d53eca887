//! The one stream of an HTTP+SSE session, which carries all that its program says. Pure.
//!
//! Source: MCP 2024-11-05, Transports, "HTTP with SSE".

use std::collections::VecDeque;

use bytes::Bytes;

use crate::codec::envelope::{Envelope, MessageKind, Scan};
use crate::codec::rpc_id::RpcId;

use super::router::NotTaken;
use super::routing::{Effect, Routing, beginning_of, is_answer, own_answer, tell_lost};
use super::spool::{Lane, Message, Spool, SpoolBounds};

/// The router of one HTTP+SSE session.
#[derive(Debug)]
pub(super) struct SseRouter {
    spool: Spool,
    /// Requests that are not answered, the oldest first.
    waiting: VecDeque<RpcId>,
    max_waiting: usize,
    is_closing: bool,
    is_over: bool,
}

impl SseRouter {
    /// `max_waiting`: requests that may be under way at once.
    pub(super) fn new(bounds: SpoolBounds, max_waiting: usize) -> Self {
        Self {
            spool: Spool::new(bounds),
            waiting: VecDeque::new(),
            max_waiting,
            is_closing: false,
            is_over: false,
        }
    }

    /// Waits for the answers to requests that are about to be sent.
    pub(super) fn begin(&mut self, ids: &[RpcId]) -> Result<(), NotTaken> {
        if self.is_over || self.is_closing {
            return Err(NotTaken::Over);
        }
        if let Some(id) = ids.iter().find(|id| self.waiting.contains(id)) {
            return Err(NotTaken::SameId(id.clone()));
        }
        if self.waiting.len() + ids.len() > self.max_waiting {
            return Err(NotTaken::TooMany(self.max_waiting));
        }
        self.waiting.extend(ids.iter().cloned());
        Ok(())
    }

    /// Their answers are not waited for: they were answered, cancelled, or not sent. Says whether any was.
    pub(super) fn settle(&mut self, ids: &[RpcId]) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|id| !ids.contains(id));
        self.close_if_done();
        self.waiting.len() < before
    }

    fn close_if_done(&mut self) {
        if self.is_closing && self.waiting.is_empty() {
            self.spool.end(Lane::STANDALONE);
        }
    }

    fn push(&mut self, message: Message) -> Vec<Effect> {
        tell_lost(self.spool.push(Lane::STANDALONE, message))
    }
}

/// The ids of those messages that answer something.
fn answered(messages: &[Envelope]) -> Vec<RpcId> {
    let answers = messages.iter().filter(|message| is_answer(message));
    answers.filter_map(|message| message.id.clone()).collect()
}

impl Routing for SseRouter {
    fn spool(&mut self) -> &mut Spool {
        &mut self.spool
    }

    fn route(&mut self, raw: &Bytes, scan: &Scan) -> Vec<Effect> {
        if !scan.is_json_rpc() || scan.messages.is_empty() {
            let text = format!("the server printed what is no message: {}", beginning_of(raw));
            return vec![Effect::Finding(text)];
        }
        let is_request = |message: &Envelope| message.kind == MessageKind::Request;
        // The last answer has to be in the stream before that may end.
        let mut effects = self.push(Message {
            text: super::compact::event_text(raw),
            is_request: scan.messages.iter().any(is_request),
            is_ours: false,
        });
        let answers = answered(&scan.messages);
        if !answers.is_empty() && !self.settle(&answers) {
            let text = format!("an answer to no request that is under way: {}", beginning_of(raw));
            effects.push(Effect::Finding(text));
        }
        effects
    }

    fn route_too_long(&mut self, scan: &Scan, text: &str) -> Vec<Effect> {
        let mut effects = vec![Effect::Finding(text.to_owned())];
        for id in answered(&scan.messages) {
            if self.waiting.contains(&id) {
                effects.extend(self.push(own_answer(&id, text)));
                self.settle(std::slice::from_ref(&id));
            }
        }
        effects
    }

    /// The session ends with its stream, which is seen to where that is dropped.
    fn left(&mut self, _lane: Lane) -> Vec<Effect> {
        Vec::new()
    }

    fn give_up(&mut self, _lane: Lane) {}

    fn over(&mut self, text: &str) {
        self.is_over = true;
        while let Some(id) = self.waiting.pop_front() {
            self.spool.push(Lane::STANDALONE, own_answer(&id, text));
        }
        self.spool.end(Lane::STANDALONE);
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    fn close_idle_streams(&mut self) {
        self.is_closing = true;
        self.close_if_done();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::envelope::scan;

    fn router() -> (SseRouter, u64) {
        let bounds = SpoolBounds {
            messages: 16,
            bytes: 10_000,
            keeps_delivered: false,
        };
        let mut router = SseRouter::new(bounds, 2);
        let reader = router.spool.attach(Lane::STANDALONE, None).unwrap();
        (router, reader)
    }

    fn say(router: &mut SseRouter, line: &'static str) -> Vec<Effect> {
        router.route(&Bytes::from_static(line.as_bytes()), &scan(line.as_bytes()))
    }

    fn read(router: &mut SseRouter, reader: u64) -> Vec<String> {
        router.spool.read(Lane::STANDALONE, reader)
    }

    fn id(spelling: &str) -> RpcId {
        RpcId::parse(spelling).unwrap()
    }

    const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    const ASK: &str = r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#;

    #[test]
    fn everything_comes_on_the_one_stream_in_the_order_in_which_it_was_said() {
        let (mut router, reader) = router();
        router.begin(&[id("1")]).unwrap();
        assert_eq!(say(&mut router, ASK), []);
        assert_eq!(say(&mut router, ANSWER), []);
        assert_eq!(read(&mut router, reader), [ASK, ANSWER]);
        assert!(
            matches!(say(&mut router, ANSWER)[..], [Effect::Finding(_)]),
            "it came twice"
        );
        assert!(matches!(say(&mut router, "hello")[..], [Effect::Finding(_)]));
    }

    #[test]
    fn an_id_is_under_way_once_and_only_so_many_are() {
        let (mut router, _) = router();
        router.begin(&[id("1"), id("\"1\"")]).unwrap();
        assert_eq!(router.begin(&[id("1")]), Err(NotTaken::SameId(id("1"))));
        assert_eq!(router.begin(&[id("2")]), Err(NotTaken::TooMany(2)));
        router.settle(&[id("1")]);
        assert_eq!(router.begin(&[id("2")]), Ok(()));
    }

    #[test]
    fn the_end_of_the_program_answers_what_waits_and_ends_the_stream() {
        let (mut router, reader) = router();
        router.begin(&[id("\"x\"")]).unwrap();
        router.over("it crashed");
        let [error, end] = &read(&mut router, reader)[..] else {
            panic!()
        };
        assert!(error.contains(r#""id":"x""#) && error.contains("it crashed") && end == "end");
        assert_eq!(router.begin(&[]), Err(NotTaken::Over));
    }

    #[test]
    fn when_the_proxy_ends_the_stream_goes_on_until_all_is_answered() {
        let (mut router, reader) = router();
        router.begin(&[id("1")]).unwrap();
        router.close_idle_streams();
        assert_eq!(read(&mut router, reader), Vec::<String>::new());
        say(&mut router, ANSWER);
        assert_eq!(read(&mut router, reader), [ANSWER, "end"]);
    }
}
