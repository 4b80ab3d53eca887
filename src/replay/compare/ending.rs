//! How a call ended beside what its answer says: its status, and why there is no answer.

use super::{Comparison, Row};
use crate::codec::json::{PathStep, find_path};
use crate::intercept::edit::{Difference, DifferenceKind};
use crate::recording::format::RequestKind;
use crate::replay::tape::{TapeCall, TapeCarrier, TapeExchange, TapeSession};
use crate::snapshot::EndKind;

/// From this status on an answer of HTTP is no success.
const FIRST_FAILURE: u16 = 400;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Lack {
    /// Nobody knows: pipes do not tell.
    #[default]
    Unknown,
    /// Nothing came while somebody waited.
    Silence,
    /// Nobody was there.
    Unreachable,
    /// The connection broke.
    Broken,
    /// The response ended without one.
    Empty,
    /// The server ended, or the connection to it.
    Ended,
    /// The server had forgotten the session.
    SessionLost,
    /// For a reason that only words tell.
    Other,
}

impl Lack {
    const fn words(self) -> &'static str {
        match self {
            Self::Unknown => "none",
            Self::Silence => "none in time",
            Self::Unreachable => "none, the server was not reached",
            Self::Broken => "none, the connection broke",
            Self::Empty => "none in the response",
            Self::Ended => "none, the server ended",
            Self::SessionLost => "none, the session was gone",
            Self::Other => "none, an error",
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CallEnd {
    /// The status of the HTTP response that has the answer, or says that there is none; nothing else has one.
    pub(crate) status: Option<u16>,
    /// Why there is no answer, if there is none.
    pub(crate) lack: Lack,
}

impl CallEnd {
    /// How a recorded call ended.
    pub(crate) fn of(session: &TapeSession, call: &TapeCall) -> Self {
        let exchange = session.exchange_of(&session.messages[call.request]);
        let is_here = match session.carrier {
            TapeCarrier::StreamableHttp => |_: &u16| true,
            // Answers come on the stream; the response to a POST only says whether it was taken.
            TapeCarrier::HttpSse => |status: &u16| *status >= FIRST_FAILURE,
            TapeCarrier::Stdio | TapeCarrier::WebSocket | TapeCarrier::PlainHttp => return Self::default(),
        };
        if exchange.kind == RequestKind::Run {
            return Self::default();
        }
        let response = exchange.response.as_ref().filter(|response| !response.is_ours);
        let status = response.map(|response| response.status).filter(is_here);
        Self {
            status,
            lack: lack(exchange, status.is_some()),
        }
    }

    /// What tells two calls apart that both have an answer. `is_result`: the second one's is no error.
    pub(crate) fn against_answered(self, other: Self, is_result: bool) -> Option<Difference> {
        match (self.status, other.status) {
            (Some(one), Some(two)) => status_difference(one, two),
            // No client takes a result from such a response.
            (None, Some(two)) if is_result && two >= FIRST_FAILURE => Some(Difference {
                path: "status".to_owned(),
                kind: DifferenceKind::Added,
                before: None,
                after: Some(two.to_string()),
            }),
            _ => None,
        }
    }

    /// What tells two calls apart of which one has an answer.
    pub(crate) fn against_unanswered(self, other: Self) -> Option<Difference> {
        status_difference(self.status?, other.status?)
    }

    /// What tells two calls apart that have no answer.
    pub(crate) fn both_unanswered(self, other: Self) -> Option<Difference> {
        if let (Some(one), Some(two)) = (self.status, other.status) {
            return status_difference(one, two);
        }
        let is_known = self.lack != Lack::Unknown && other.lack != Lack::Unknown;
        (is_known && self.lack != other.lack).then(|| changed("answer", self.words(), other.words()))
    }

    fn words(self) -> String {
        self.status.map_or_else(
            || self.lack.words().to_owned(),
            |status| format!("none, status {status}"),
        )
    }
}

fn lack(exchange: &TapeExchange, has_response: bool) -> Lack {
    match exchange.end.as_ref().map(|end| end.response) {
        Some(EndKind::UpstreamUnreachable) => Lack::Unreachable,
        Some(EndKind::UpstreamAborted) => Lack::Broken,
        Some(EndKind::Complete) if has_response => Lack::Empty,
        None | Some(EndKind::ClientAborted) => Lack::Silence,
        _ => Lack::Unknown,
    }
}

fn status_difference(one: u16, two: u16) -> Option<Difference> {
    (one != two).then(|| changed("status", one.to_string(), two.to_string()))
}

fn changed(path: &str, before: String, after: String) -> Difference {
    Difference {
        path: path.to_owned(),
        kind: DifferenceKind::Changed,
        before: Some(before),
        after: Some(after),
    }
}

/// Whether an answer is a result, and no error.
pub(crate) fn is_result(answer: &[u8]) -> bool {
    find_path(answer, &[PathStep::Key("result")]).is_some()
}

impl Comparison {
    /// With a difference of the way in which the calls ended, before those of their answers.
    #[must_use]
    pub(crate) fn ending(mut self, difference: Option<Difference>) -> Self {
        if let Some(difference) = difference {
            self.differences.insert(0, difference);
        }
        self
    }
}

impl Row {
    /// With a difference of the way in which the calls ended; its outcome stays.
    #[must_use]
    pub(crate) fn ending(mut self, difference: Option<Difference>) -> Self {
        self.differences.extend(difference.map(Into::into));
        self
    }

    /// With how two calls without answers ended; the same unless that differs.
    #[must_use]
    pub(crate) fn both_unanswered(self, one: CallEnd, other: CallEnd) -> Self {
        let difference = one.both_unanswered(other);
        self.compared(Comparison::default().ending(difference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(status: Option<u16>, lack: Lack) -> CallEnd {
        CallEnd { status, lack }
    }

    fn told(difference: Option<Difference>) -> Option<String> {
        let difference = difference?;
        let text = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        Some(format!(
            "{}: {} → {}",
            difference.path,
            text(difference.before),
            text(difference.after)
        ))
    }

    #[test]
    fn another_status_is_a_difference_also_around_the_same_answer() {
        let [ok, failed, pipe] = [Some(200), Some(500), None].map(|status| end(status, Lack::Unknown));
        assert_eq!(
            told(ok.against_answered(failed, true)).unwrap(),
            "status: 200 → 500"
        );
        assert_eq!(
            told(ok.against_answered(failed, false)).unwrap(),
            "status: 200 → 500"
        );
        assert_eq!(
            told(pipe.against_answered(failed, true)).unwrap(),
            "status: – → 500"
        );
        assert_eq!(
            told(pipe.against_answered(failed, false)),
            None,
            "servers send errors so"
        );
        assert_eq!(told(failed.against_answered(pipe, true)), None);
        assert_eq!(told(ok.against_answered(ok, true)), None);
    }

    #[test]
    fn calls_without_answers_are_the_same_if_they_failed_in_the_same_way() {
        let gone = end(None, Lack::Unreachable);
        assert_eq!(told(gone.both_unanswered(gone)), None);
        assert_eq!(told(gone.both_unanswered(CallEnd::default())), None);
        assert_eq!(
            told(gone.both_unanswered(end(None, Lack::Silence))).unwrap(),
            "answer: none, the server was not reached → none in time"
        );
        assert_eq!(
            told(end(Some(401), Lack::Empty).both_unanswered(end(Some(404), Lack::Empty))).unwrap(),
            "status: 401 → 404"
        );
        assert_eq!(
            told(end(Some(401), Lack::Empty).both_unanswered(gone)).unwrap(),
            "answer: none, status 401 → none, the server was not reached"
        );
    }
}
