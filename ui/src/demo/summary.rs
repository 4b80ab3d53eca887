//! What a client saw, counted.

use std::collections::BTreeMap;
use std::fmt;

use tokio::sync::watch;

/// One kind of thing that a client can see or do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Seen {
    /// A request was sent.
    Request,
    /// A result came back.
    Result,
    /// `notifications/progress`.
    Progress,
    /// `notifications/message`.
    Log,
    /// A tool's result with `isError`.
    ToolError,
    /// An `input_required` result that was answered.
    InputRound,
    /// A result that completed a call after input.
    InputDone,
    /// `notifications/subscriptions/acknowledged`.
    Acknowledged,
    /// One of the `list_changed` notifications.
    ListChanged,
    /// `notifications/resources/updated`.
    ResourceUpdated,
    /// A comment line in an event stream.
    Comment,
    /// An event with an id.
    EventWithId,
    /// An event with an id and empty data.
    Priming,
    /// A stream that was taken up again with `Last-Event-ID` and gave the answer.
    Resumed,
    /// A standalone GET stream that was opened.
    GetStream,
    /// A page that named a next one.
    NextPage,
    /// Image content.
    Image,
    /// A resource as a blob.
    Blob,
    /// A resource as text.
    ResourceText,
    /// A result with `structuredContent`.
    Structured,
    /// A prompt's messages.
    Prompt,
    /// A completion with values.
    Completion,
    /// A call that was cancelled and got no answer.
    Cancelled,
    /// A session that was ended with DELETE.
    Deleted,
    /// A script that ran to its end.
    Session,
}

/// Different error codes that are counted; a peer that invents more is not followed.
const ERROR_CODES_KEPT: usize = 64;

/// What clients saw over one or several sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    seen: BTreeMap<Seen, u64>,
    errors: BTreeMap<i64, u64>,
    server_requests: BTreeMap<String, u64>,
}

impl Summary {
    /// How often `seen` was seen.
    pub(crate) fn count(&self, seen: Seen) -> u64 {
        self.seen.get(&seen).copied().unwrap_or(0)
    }

    /// JSON-RPC errors with this code.
    #[cfg(test)]
    pub(crate) fn errors(&self, code: i64) -> u64 {
        self.errors.get(&code).copied().unwrap_or(0)
    }

    /// Requests of the server with this method that were answered, on a stream of their own or inside a result.
    #[cfg(test)]
    pub(crate) fn server_requests(&self, method: &str) -> u64 {
        self.server_requests.get(method).copied().unwrap_or(0)
    }

    /// Adds what another client saw.
    pub(crate) fn add(&mut self, other: &Self) {
        for (seen, count) in &other.seen {
            *self.seen.entry(*seen).or_default() += count;
        }
        for (code, count) in &other.errors {
            *self.errors.entry(*code).or_default() += count;
        }
        for (method, count) in &other.server_requests {
            *self.server_requests.entry(method.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors: u64 = self.errors.values().sum();
        let asked: u64 = self.server_requests.values().sum();
        write!(
            f,
            "{} sessions, {} requests, {} results, {errors} errors, {asked} requests of the server",
            self.count(Seen::Session),
            self.count(Seen::Request),
            self.count(Seen::Result),
        )
    }
}

/// Counts what one client sees; its streams share it, and a script can wait for a count.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(watch::Sender<Summary>);

impl Tally {
    pub(super) fn saw(&self, seen: Seen) {
        self.0
            .send_modify(|summary| *summary.seen.entry(seen).or_default() += 1);
    }

    pub(super) fn saw_error(&self, code: i64) {
        self.0.send_modify(|summary| {
            if summary.errors.len() < ERROR_CODES_KEPT || summary.errors.contains_key(&code) {
                *summary.errors.entry(code).or_default() += 1;
            }
        });
    }

    pub(super) fn answered(&self, method: &str) {
        self.0.send_modify(|summary| {
            *summary.server_requests.entry(method.to_owned()).or_default() += 1;
        });
    }

    pub(super) fn summary(&self) -> Summary {
        self.0.borrow().clone()
    }

    /// Waits until `is_met` holds; it is asked again after every change.
    ///
    /// # Cancel safety
    /// Safe: nothing is taken.
    pub(super) async fn wait_until(&self, is_met: impl FnMut(&Summary) -> bool) {
        // The sender lives in `self`, so the channel cannot close while this waits.
        let _ = self.0.subscribe().wait_for(is_met).await.map(drop);
    }
}
