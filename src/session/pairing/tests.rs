//! What is a call, of both eras, in any order.

use super::*;
use crate::codec::envelope::scan;
use Direction::{ClientToServer, ServerToClient};

struct Talk {
    pairing: Pairing,
    ids: IdSource,
    is_modern: bool,
}

impl Talk {
    fn legacy() -> Self {
        Self {
            pairing: Pairing::new(4),
            ids: IdSource::default(),
            is_modern: false,
        }
    }

    fn modern() -> Self {
        Self {
            is_modern: true,
            ..Self::legacy()
        }
    }

    fn say(&mut self, direction: Direction, exchange: u64, text: &str) -> Placement {
        let envelope = scan(text.as_bytes()).messages.into_iter().next().unwrap();
        let carriage = Carriage {
            at: Timestamp::from_micros(exchange),
            direction,
            exchange: ExchangeId::new(exchange).unwrap(),
            is_modern: self.is_modern,
        };
        self.pairing.place(carriage, &envelope, &self.ids)
    }
}

fn request(id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","_meta":{{"progressToken":{id}}}}}}}"#
    )
}

fn result(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
}

#[test]
fn an_answer_on_another_exchange_finds_its_legacy_request() {
    let mut talk = Talk::legacy();
    let asked = talk.say(ClientToServer, 1, &request("0"));
    let answered = talk.say(ServerToClient, 2, &result("0"));
    assert_eq!((answered.call, answered.role), (asked.call, CallRole::Answers));
    assert_eq!(answered.request_method.as_deref(), Some("tools/call"));
    assert_eq!(answered.request_name.as_deref(), Some("echo"));
    assert_eq!(talk.pairing.open_calls(), 0);
}

#[test]
fn ids_are_typed_and_count_per_direction() {
    let mut talk = Talk::legacy();
    let number = talk.say(ClientToServer, 1, &request("1"));
    let text = talk.say(ClientToServer, 2, &request(r#""1""#));
    let server = talk.say(ServerToClient, 3, &request("1"));
    assert_eq!(talk.say(ServerToClient, 9, &result(r#""1""#)).call, text.call);
    assert_eq!(talk.say(ClientToServer, 9, &result("1")).call, server.call);
    assert_eq!(talk.say(ServerToClient, 9, &result("1")).call, number.call);
}

#[test]
fn modern_requests_with_equal_ids_are_told_apart_by_their_exchange() {
    let mut talk = Talk::modern();
    let first = talk.say(ClientToServer, 1, &request("0"));
    let second = talk.say(ClientToServer, 2, &request("0"));
    assert!(second.findings.is_empty());
    assert_eq!(talk.say(ServerToClient, 1, &result("0")).call, first.call);
    assert_eq!(talk.say(ServerToClient, 2, &result("0")).call, second.call);
}

#[test]
fn progress_and_logs_belong_to_the_call_whose_token_or_stream_they_use() {
    let mut talk = Talk::legacy();
    let asked = talk.say(ClientToServer, 1, &request("0"));
    let progress =
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":0,"progress":1}}"#;
    let told = talk.say(ServerToClient, 7, progress);
    assert_eq!((told.call, told.role), (asked.call, CallRole::Progress));
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}"#;
    assert_eq!(talk.say(ServerToClient, 1, log).role, CallRole::Accompanies);
    assert_eq!(talk.say(ServerToClient, 7, log).call, None);
}

#[test]
fn a_late_answer_is_told_from_a_second_one_and_from_one_to_nothing() {
    let mut talk = Talk::legacy();
    talk.say(ClientToServer, 1, &request("1"));
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(talk.say(ClientToServer, 2, cancel).role, CallRole::Cancels);
    let mut finding = |id: &str| talk.say(ServerToClient, 1, &result(id)).findings[0].text.clone();
    assert_eq!(finding("1"), "answer to 1 after it was cancelled");
    assert_eq!(finding("5"), "answers 5, which no open request has");
    talk.say(ClientToServer, 3, &request("2"));
    talk.say(ServerToClient, 3, &result("2"));
    assert_eq!(
        talk.say(ServerToClient, 3, &result("2")).findings[0].text,
        "second answer to 2"
    );
}

#[test]
fn an_error_without_id_belongs_to_the_only_call_of_its_exchange() {
    let mut talk = Talk::legacy();
    let asked = talk.say(ClientToServer, 1, &request("1"));
    talk.say(ClientToServer, 2, &request("2"));
    let error = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}"#;
    assert_eq!(talk.say(ServerToClient, 1, error).call, asked.call);
}

#[test]
fn too_many_open_calls_push_the_oldest_out_and_a_modern_exchange_ends_its_own() {
    let mut talk = Talk::modern();
    for exchange in 1..=10 {
        talk.say(ClientToServer, exchange, &request("0"));
    }
    assert_eq!(talk.pairing.open_calls(), 4);
    talk.pairing.end_exchange(ExchangeId::new(10).unwrap());
    assert_eq!(talk.pairing.open_calls(), 3);
    let listed = talk.pairing.index.values().map(|same| same.as_slice().len());
    assert_eq!(listed.sum::<usize>(), 2 * 3, "each by its id and by its token");
}
