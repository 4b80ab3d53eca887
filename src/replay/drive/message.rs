//! Recorded messages made fit for another conversation, as texts: what is not touched stays byte for byte.

use std::time::Duration;

use serde_json::Value;

use crate::codec::json::{PathStep, find_path, string_value};
use crate::intercept::edit::{Change, apply};
use crate::recording::hide_secrets;
use crate::replay::compare::{CallEnd, Lack};

/// A request with an id and a progress token of its own, both as spelled.
pub(super) struct Fresh {
    pub(super) text: Vec<u8>,
    pub(super) id: String,
    pub(super) token: Option<String>,
}

/// The request under another id, and with another progress token if it has one; both keep their types.
pub(super) fn fresh(request: &[u8], number: u64) -> Fresh {
    let of_its_type = |raw: &[u8]| {
        if raw.starts_with(b"\"") {
            format!("\"replay-{number}\"")
        } else {
            number.to_string()
        }
    };
    let id = find_path(request, &[PathStep::Key("id")]).map_or_else(|| number.to_string(), of_its_type);
    let token = ["params", "_meta", "progressToken"].map(PathStep::Key);
    let token = find_path(request, &token).map(of_its_type);
    let mut text = set(request, "$.id", &id);
    if let Some(token) = &token {
        text = set(&text, "$.params._meta.progressToken", token);
    }
    Fresh { text, id, token }
}

/// The message under another id, as spelled.
pub(super) fn with_id(message: &[u8], id: &str) -> Vec<u8> {
    set(message, "$.id", id)
}

/// The cancellation of another request.
pub(super) fn with_request_id(message: &[u8], id: &str) -> Vec<u8> {
    set(message, "$.params.requestId", id)
}

/// What cannot be changed goes as it is: the server will say what it thinks of it.
fn set(message: &[u8], path: &str, value: &str) -> Vec<u8> {
    let change = Change::Set {
        path: path.to_owned(),
        value: value.to_owned(),
    };
    apply(message, &change).unwrap_or_else(|_| message.to_vec())
}

/// Why there is no answer of the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnFailure {
    /// What happened, in words.
    pub(super) text: String,
    /// The same as it is compared.
    pub(super) end: CallEnd,
}

impl OwnFailure {
    /// With the status of the response, if nobody has told it yet.
    pub(super) fn with_status(mut self, status: Option<u16>) -> Self {
        let is_told = self.end.status.is_some() || self.end.lack != Lack::Empty;
        self.end.status = if is_told { self.end.status } else { status };
        self
    }

    /// What to do if nothing else can follow, where the words do not say it; a sentence without its end.
    pub(super) fn advice(&self) -> &'static str {
        match (self.end.lack, self.end.status) {
            (Lack::Silence, _) => "See what it waits for, or give it longer with --timeout",
            (_, Some(400 | 404 | 405)) => "Check the path of the URL",
            (_, Some(500..)) | (Lack::Broken | Lack::Empty, None) => "See the log of the server",
            _ => "",
        }
    }

    /// Whether the server could not be reached at all, so that nothing was sent.
    pub(super) fn is_unreachable(&self) -> bool {
        self.end.lack == Lack::Unreachable
    }
}

/// What our own side says in the place of an answer, because none came.
pub(super) fn failure_of_ours(answer: &[u8]) -> Option<OwnFailure> {
    let at = |path: &[&str]| {
        let steps: Vec<PathStep<'_>> = path.iter().map(|key| PathStep::Key(key)).collect();
        find_path(answer, &steps).map(string_value)
    };
    let is_ours = at(&["error", "data", "origin"]).as_deref() == Some("shadowcat");
    is_ours.then(|| OwnFailure {
        text: in_one_line(&at(&["error", "message"]).unwrap_or_default()),
        end: CallEnd {
            status: at(&["error", "data", "status"]).and_then(|status| status.parse().ok()),
            lack: lack(&at(&["error", "data", "reason"]).unwrap_or_default()),
        },
    })
}

/// A page in HTML has many lines.
fn in_one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// What a reason of ours means.
fn lack(reason: &str) -> Lack {
    match reason {
        "unreachable" => Lack::Unreachable,
        "connection_broke" | "stopped" => Lack::Broken,
        "no_answer" | "http_status" | "unauthorized" | "redirected" => Lack::Empty,
        "session_lost" => Lack::SessionLost,
        // Of a proxy on the way, which says only in words what failed.
        "upstream_failed" | "breaker_open" => Lack::Unknown,
        _ => Lack::Other,
    }
}

/// The error in an answer, in words; `None` if it is a result.
pub(super) fn refusal(answer: &[u8]) -> Option<String> {
    let member = |name| find_path(answer, &[PathStep::Key("error"), PathStep::Key(name)]).map(string_value);
    find_path(answer, &[PathStep::Key("error")])?;
    let code = member("code").unwrap_or_default();
    let message = member("message").unwrap_or_default();
    Some(format!("the error {code}: {}", shortened(&message)))
}

/// A text of a peer that fits into a sentence.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 200;
    // Of a long text, that is what can be shown and what tells the secrets in it.
    let start: String = text.trim().chars().take(SHOWN * 16).collect();
    let start = hide_secrets(&start);
    let mut rest = start.chars();
    let mut cut: String = rest.by_ref().take(SHOWN).collect();
    if rest.next().is_some() {
        cut.push('…');
    }
    cut
}

/// How far a task is.
#[derive(Debug, Clone, Copy)]
pub(super) struct TaskStatus {
    /// It will not go on by itself.
    pub(super) is_final: bool,
    /// How long its server wants to be left alone.
    pub(super) poll: Option<Duration>,
}

/// The status of the task in an answer to `tasks/get`; `None` if there is none.
pub(super) fn status_of_task(answer: &[u8]) -> Option<TaskStatus> {
    let result = find_path(answer, &[PathStep::Key("result")])?;
    let member = |key| find_path(result, &[PathStep::Key(key)]);
    member("taskId")?;
    let status = string_value(member("status")?);
    let poll = member("pollInterval").or_else(|| member("pollIntervalMs"));
    let poll = poll.and_then(|raw| serde_json::from_slice::<Value>(raw).ok()?.as_u64());
    Some(TaskStatus {
        is_final: &*status != "working" && &*status != "submitted",
        poll: poll.map(Duration::from_millis),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_tokens_are_fresh_and_keep_their_types() {
        let request = br#"{"method":"x","id":"a","params":{"n":1.0,"_meta":{"progressToken":0}}}"#;
        let fresh = fresh(request, 7);
        assert_eq!(
            String::from_utf8(fresh.text).unwrap(),
            r#"{"method":"x","id":"replay-7","params":{"n":1.0,"_meta":{"progressToken":7}}}"#
        );
        assert_eq!(
            (fresh.id.as_str(), fresh.token.as_deref()),
            ("\"replay-7\"", Some("7"))
        );
    }

    #[test]
    fn only_errors_of_ours_are_no_answers() {
        let error = |origin| {
            format!(r#"{{"error":{{"code":-33001,"message":"why","data":{{"origin":"{origin}"}}}}}}"#)
        };
        let failure = failure_of_ours(error("shadowcat").as_bytes()).unwrap();
        assert_eq!((failure.text.as_str(), failure.is_unreachable()), ("why", false));
        assert_eq!(failure_of_ours(error("x").as_bytes()), None);
    }

    #[test]
    fn a_task_that_works_is_not_at_its_end() {
        let task = |status| format!(r#"{{"result":{{"taskId":"t","status":"{status}","pollInterval":50}}}}"#);
        assert!(!status_of_task(task("working").as_bytes()).unwrap().is_final);
        let done = status_of_task(task("completed").as_bytes()).unwrap();
        assert_eq!(
            (done.is_final, done.poll),
            (true, Some(Duration::from_millis(50)))
        );
        assert!(status_of_task(br#"{"result":{"status":"working"}}"#).is_none());
    }
}
