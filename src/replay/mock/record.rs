//! What was asked of a mock server, and what it did about it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::sync::broadcast;

use crate::clock::Timestamp;

/// Calls that are kept to be asked about; older ones are only counted.
pub const MAX_CALLS: usize = 10_000;
/// Calls that wait for somebody who watches; those who are slower miss some.
const WATCHED: usize = 1_024;

/// How an answer was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Found {
    /// The same request was recorded.
    Same,
    /// The same round of questions was recorded, answered in another way.
    Round,
    /// It was not recorded, and is answered as any server would: `ping`, the handshake, lists.
    MadeUp,
    /// It was not recorded; the most similar request of its method was taken, as was asked for.
    Nearest,
    /// It was not recorded, and a live server answered.
    Passed,
    /// A server like the recorded one would refuse it too: its headers contradict its body, it asks for a later revision
    /// of the protocol, or the recorded answer asks the client what it has not declared.
    Refused,
    /// It was not recorded and was answered with an error.
    Missed,
}

impl Found {
    /// The rule in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Same => "same request",
            Self::Round => "same round",
            Self::MadeUp => "made up",
            Self::Nearest => "nearest request",
            Self::Passed => "passed on",
            Self::Refused => "refused",
            Self::Missed => "NOT RECORDED",
        }
    }
}

/// One request of a client.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MockCall {
    /// Counts up from 1.
    pub number: u64,
    /// When it came; serialized as text, `2026-05-28T20:26:40.123456Z`.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// The client's session: `S1`; empty for clients without sessions.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// Its method.
    pub method: String,
    /// What it is about: its tool, prompt, uri or task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Its params; `null` without any.
    pub params: Value,
    /// How its answer was found.
    pub found: Found,
    /// Number of the recorded exchange that it was answered from, and which of the equal requests it was, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Recorded>,
    /// What is remarkable, in words: why there is no answer, what the nearest request is. Tags stand in the place of the
    /// secrets of what it quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields over by reference"
)]
fn as_text<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    let micros = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
    serializer.collect_str(&format_args!("{at:.6}"))
}

/// Where an answer comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// Number of the exchange in the recording.
    pub exchange: u64,
    /// The recorded request's id, where all of a session is one exchange: on pipes and a `WebSocket`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// Which of the equal requests it is, from 1.
    pub turn: usize,
    /// How many equal ones there are.
    pub turns: usize,
}

impl fmt::Display for MockCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = if self.session.is_empty() {
            "–"
        } else {
            &self.session
        };
        write!(f, "{session} {}", self.method)?;
        if let Some(subject) = &self.subject {
            write!(f, " {subject}")?;
        }
        write!(f, "  {}", self.found.words())?;
        if let Some(recorded) = &self.recorded {
            write!(f, " (#{}", recorded.exchange)?;
            if let Some(id) = &recorded.id {
                write!(f, ", id {id}")?;
            }
            if recorded.turns > 1 {
                write!(f, ", {} of {}", recorded.turn, recorded.turns)?;
            }
            f.write_str(")")?;
        }
        if let Some(note) = &self.note {
            write!(f, ": {note}")?;
        }
        Ok(())
    }
}

/// All that was asked.
#[derive(Debug)]
pub(super) struct Journal {
    kept: Mutex<Kept>,
    news: broadcast::Sender<MockCall>,
}

#[derive(Debug, Default)]
struct Kept {
    calls: VecDeque<MockCall>,
    count: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            news: broadcast::channel(WATCHED).0,
        }
    }
}

impl Journal {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a call down, under the next number.
    pub(super) fn note(&self, mut call: MockCall) {
        let mut kept = self.kept();
        kept.count += 1;
        call.number = kept.count;
        if kept.calls.len() == MAX_CALLS {
            kept.calls.pop_front();
        }
        kept.calls.push_back(call.clone());
        drop(kept);
        // Nobody may watch.
        let _ = self.news.send(call);
    }

    /// Takes a call down when the result is dropped: at its end, however that comes.
    pub(super) const fn later(&self, call: MockCall) -> Later<'_> {
        Later {
            journal: self,
            call: Some(call),
        }
    }

    pub(super) fn calls(&self) -> Vec<MockCall> {
        self.kept().calls.iter().cloned().collect()
    }

    /// Those that are kept with a number above this one.
    pub(super) fn calls_behind(&self, number: u64) -> Vec<MockCall> {
        let kept = self.kept();
        let new = kept.calls.iter().rev().take_while(|call| call.number > number);
        let mut new: Vec<MockCall> = new.cloned().collect();
        new.reverse();
        new
    }

    pub(super) fn watch(&self) -> broadcast::Receiver<MockCall> {
        self.news.subscribe()
    }
}

/// A call whose answer is not there yet.
#[derive(Debug)]
pub(super) struct Later<'a> {
    journal: &'a Journal,
    call: Option<MockCall>,
}

impl Later<'_> {
    /// There is no answer, for this reason.
    pub(super) fn fail(&mut self, reason: String) {
        if let Some(call) = &mut self.call {
            call.found = Found::Missed;
            call.note = Some(reason);
        }
    }
}

impl Drop for Later<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.journal.note(call);
        }
    }
}
