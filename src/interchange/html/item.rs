//! What a page has a row for: each call, each message that belongs to none, and each exchange without a message.

use serde_json::Value;

use super::super::words::{answer_word, title};
use super::shortened;
use crate::codec::envelope::MessageKind;
use crate::recording::format::RequestKind;
use crate::replay::tape::{Tape, TapeCall, TapeExchange, TapeMessage, TapeSession};
use crate::snapshot::{Direction, EndKind, Outcome};

/// Longest reason for a failure, in characters.
const MAX_REASON: usize = 300;

/// A row.
pub(super) struct Item<'a> {
    /// Place of its session.
    pub(super) place: usize,
    pub(super) session: &'a TapeSession,
    pub(super) what: What<'a>,
    pub(super) us: i64,
    pub(super) title: String,
    pub(super) ending: Ended,
}

#[derive(Clone, Copy)]
pub(super) enum What<'a> {
    Call(&'a TapeCall),
    Message(&'a TapeMessage),
    Exchange(&'a TapeExchange),
}

/// How it ended.
#[derive(Default)]
pub(super) struct Ended {
    pub(super) word: String,
    pub(super) is_bad: bool,
    /// What the peer says about a failure.
    pub(super) reason: String,
    pub(super) took_us: Option<i64>,
}

/// All rows, in the order of their times.
pub(super) fn items(tape: &Tape) -> Vec<Item<'_>> {
    let mut items: Vec<Item<'_>> = Vec::new();
    for (place, session) in tape.sessions.iter().enumerate() {
        items.extend(session.calls.iter().map(|call| of_call(place, session, call)));
        let loose = session.loose().map(|at| &session.messages[at]);
        items.extend(loose.map(|message| of_message(place, session, message)));
        let mut has_message = vec![false; session.exchanges.len()];
        for message in &session.messages {
            has_message[message.exchange] = true;
        }
        let silent = session
            .exchanges
            .iter()
            .zip(has_message)
            .filter(|(exchange, has_message)| !has_message && is_http(exchange));
        items.extend(silent.map(|(exchange, _)| of_exchange(place, session, exchange)));
    }
    items.sort_by_key(|item| item.us);
    items
}

fn is_http(exchange: &TapeExchange) -> bool {
    matches!(exchange.kind, RequestKind::Message | RequestKind::Http)
}

fn of_call<'a>(place: usize, session: &'a TapeSession, call: &'a TapeCall) -> Item<'a> {
    let request = &session.messages[call.request];
    Item {
        place,
        session,
        what: What::Call(call),
        us: request.us,
        title: title(session, request),
        ending: ended(session, call),
    }
}

fn of_message<'a>(place: usize, session: &'a TapeSession, message: &'a TapeMessage) -> Item<'a> {
    let word = match message.envelope.kind {
        MessageKind::Error => answer_word(message).into_owned(),
        MessageKind::Malformed => "no message".to_owned(),
        _ => String::new(),
    };
    Item {
        place,
        session,
        what: What::Message(message),
        us: message.us,
        title: title(session, message),
        ending: Ended {
            is_bad: !word.is_empty(),
            word,
            reason: reason(&message.text),
            took_us: None,
        },
    }
}

fn of_exchange<'a>(place: usize, session: &'a TapeSession, exchange: &'a TapeExchange) -> Item<'a> {
    Item {
        place,
        session,
        what: What::Exchange(exchange),
        us: exchange.us,
        title: format!("{} {}", exchange.method, exchange.target),
        ending: http_ended(exchange),
    }
}

/// How a call ended: by its answer, or by what became of the exchange that should have brought it.
fn ended(session: &TapeSession, call: &TapeCall) -> Ended {
    let request = &session.messages[call.request];
    if let Some(answer) = call.answer.map(|answer| &session.messages[answer]) {
        let outcome = crate::session::describe::outcome(&answer.envelope);
        let is_bad = matches!(outcome, Outcome::RpcError(_) | Outcome::ToolError);
        return Ended {
            word: answer_word(answer).into_owned(),
            is_bad,
            reason: if is_bad {
                reason(&answer.text)
            } else {
                String::new()
            },
            took_us: Some(answer.us - request.us),
        };
    }
    let exchange = session.exchange_of(request);
    let by_http = http_ended(exchange);
    if call.is_cancelled {
        return Ended {
            word: "cancelled".to_owned(),
            ..Ended::default()
        };
    }
    if by_http.is_bad || exchange.end.is_none() {
        return by_http;
    }
    Ended {
        word: "no answer".to_owned(),
        is_bad: true,
        ..Ended::default()
    }
}

fn http_ended(exchange: &TapeExchange) -> Ended {
    let status = exchange.response.as_ref().map(|response| response.status);
    let took_us = exchange.end.as_ref().map(|end| end.us - exchange.us);
    let Some(end) = &exchange.end else {
        return Ended {
            word: "open still".to_owned(),
            ..Ended::default()
        };
    };
    let broken = match end.response {
        EndKind::Complete => None,
        EndKind::ClientAborted => Some("client left"),
        EndKind::UpstreamAborted => Some("server broke off"),
        EndKind::UpstreamUnreachable => Some("server not reached"),
        EndKind::CutByProxy => Some("cut by the proxy"),
        EndKind::Unwatched => Some("end not seen"),
    };
    let word = match (status, broken) {
        (Some(status), None) => format!("HTTP {status}"),
        (Some(status), Some(broken)) => format!("HTTP {status}, {broken}"),
        (None, broken) => broken.unwrap_or("no answer").to_owned(),
    };
    // A server that offers no stream says so with 405, and a client may leave a stream whenever it likes.
    let is_refused = status.is_some_and(|status| status >= 400 && status != 405);
    let is_left = end.response == EndKind::ClientAborted && exchange.method == "GET";
    let is_bad = is_refused || (broken.is_some() && !is_left) || (status.is_none() && is_http(exchange));
    let said = exchange.frames_of(Direction::ServerToClient).next();
    let said = said.map_or_else(String::new, |frame| reason(&frame.payload));
    Ended {
        word,
        is_bad,
        reason: match (&end.failure, is_bad) {
            (Some(failure), _) => failure.clone(),
            (None, true) => said,
            (None, false) => String::new(),
        },
        took_us,
    }
}

/// What a failing answer says in words: of an error its message, of a tool its first text, of anything else its beginning.
fn reason(text: &[u8]) -> String {
    let parsed: Option<Value> = serde_json::from_slice(text).ok();
    let pointers = [
        "/error/message",
        "/result/content/0/text",
        "/error_description",
        "/error",
    ];
    let said = parsed.as_ref().and_then(|value| {
        pointers
            .iter()
            .find_map(|pointer| value.pointer(pointer)?.as_str())
    });
    let said = match (said, &parsed) {
        (Some(said), _) => said.to_owned(),
        (None, Some(_)) => String::new(),
        (None, None) => String::from_utf8_lossy(text.get(..4 * MAX_REASON).unwrap_or(text)).into_owned(),
    };
    shortened(&said, MAX_REASON)
}

impl Item<'_> {
    /// Which way it went, or was asked.
    pub(super) fn direction(&self) -> Direction {
        match self.what {
            What::Call(call) => call.direction,
            What::Message(message) => message.direction,
            What::Exchange(_) => Direction::ClientToServer,
        }
    }

    /// The exchange that carried it, or its request.
    pub(super) fn exchange(&self) -> &TapeExchange {
        match self.what {
            What::Call(call) => self.session.exchange_of(&self.session.messages[call.request]),
            What::Message(message) => self.session.exchange_of(message),
            What::Exchange(exchange) => exchange,
        }
    }

    /// The class by which it is filtered.
    pub(super) fn class(&self) -> &'static str {
        match self.what {
            What::Call(call) if call.direction == Direction::ClientToServer => "call",
            What::Call(_) => "ask",
            What::Message(_) => "note",
            What::Exchange(_) => "http",
        }
    }
}
