//! What became of the requests of a plan, as rows.

use tokio::time::Instant;

use super::message::{OwnFailure, shortened};
use super::plan::PlannedCall;
use crate::replay::compare::{CallEnd, Comparison, Lack, Outcome, Row};

/// A request of the plan, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub(super) state: State,
    /// The id of the (latest) request, as spelled.
    pub(super) id: Option<String>,
    /// When it was sent, or last heard of.
    pub(super) since: Option<Instant>,
    /// When a task is asked for again.
    pub(super) poll_at: Option<Instant>,
    /// When it was first sent.
    pub(super) began: Option<Instant>,
    pub(super) heard: usize,
    /// We have given it up, as the client did.
    pub(super) is_cancelled: bool,
    /// The error with which the server answered before we gave it up, in words.
    pub(super) early_error: Option<String>,
    pub(super) compared: Comparison,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Planned,
    Open,
    Answered,
    /// It was sent, and there is no answer.
    Failed(OwnFailure),
    /// It was not sent, for this reason.
    NotSent(OwnFailure),
}

/// How a conversation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Everything was said.
    Whole,
    /// The server ended it, for this reason.
    ByServer(String),
    /// What everything else needs has failed.
    Refused {
        /// For this reason.
        why: String,
        /// That, in a few words.
        briefly: &'static str,
        /// What to do, a sentence without its end; empty if the reason says it.
        advice: &'static str,
    },
    /// Somebody wanted it to end.
    Interrupted,
}

/// Lines that are no messages.
#[derive(Debug, Default)]
pub(super) struct Stray {
    pub(super) count: usize,
    /// The first one, shortened.
    pub(super) first: String,
}

impl Stray {
    pub(super) fn add(&mut self, line: &[u8]) {
        if self.count == 0 {
            self.first = shortened(&String::from_utf8_lossy(line));
        }
        self.count += 1;
    }
}

/// What came of a session.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) rows: Vec<Row>,
    pub(super) end: End,
    /// What waited for its answer at the end, or would have been next; empty if there was nothing.
    pub(super) unanswered: String,
    pub(super) stray: Stray,
    /// What is remarkable about the whole, a sentence each without its end.
    pub(super) remarks: Vec<String>,
    /// It could not be reached at all, for this reason.
    pub(super) unreachable: Option<String>,
}

impl End {
    /// Why what was still planned was not sent.
    fn why_not_sent(&self) -> String {
        match self {
            Self::Whole => "not sent".to_owned(),
            Self::ByServer(why) => format!("not sent: {why}"),
            Self::Refused { briefly, .. } => format!("not sent: {briefly}"),
            Self::Interrupted => "not sent: interrupted".to_owned(),
        }
    }

    /// Why what was sent has no answer.
    fn why_unanswered(&self) -> &str {
        match self {
            Self::Whole => "it was not answered",
            Self::ByServer(why) | Self::Refused { why, .. } => why,
            Self::Interrupted => "interrupted before an answer came",
        }
    }

    /// What to say of a request of the server that did not come.
    pub(super) fn why_unasked(&self) -> &str {
        match self {
            Self::Whole => "the server does not ask this time",
            Self::ByServer(_) | Self::Refused { .. } => "the session was over before",
            Self::Interrupted => "interrupted before it came",
        }
    }
}

impl Call {
    /// Whether nothing more is to come.
    pub(super) const fn is_settled(&self) -> bool {
        matches!(self.state, State::Answered | State::Failed(_) | State::NotSent(_))
    }

    /// How the call of the plan compares.
    pub(super) fn row(self, planned: &PlannedCall, session: &str, end: &End) -> Row {
        let row = Row::new(session, &planned.method, &planned.about, Outcome::Same);
        match self.state {
            State::Planned => with(row, Outcome::Unsent).noting(end.why_not_sent()),
            State::NotSent(failure) => not_sent(row, planned, &failure),
            State::Answered => answered(row, planned, self.compared, self.early_error),
            State::Failed(_) | State::Open if self.is_cancelled => row.noting(match planned.answer {
                Some(_) => "cancelled, and not answered this time",
                None => "cancelled",
            }),
            State::Failed(failure) => unanswered(row, planned, failure.end, &failure.text),
            State::Open => left_open(row, planned, end),
        }
    }
}

fn with(row: Row, outcome: Outcome) -> Row {
    Row { outcome, ..row }
}

/// Nobody was there then either, or nothing is known.
fn not_sent(row: Row, planned: &PlannedCall, failure: &OwnFailure) -> Row {
    let is_as_it_was = planned.answer.is_none() && planned.end.lack == Lack::Unreachable;
    if is_as_it_was && failure.is_unreachable() {
        return row.noting(format!("not reached in the recording either ({})", failure.text));
    }
    with(row, Outcome::Unsent).noting(&failure.text)
}

fn answered(row: Row, planned: &PlannedCall, compared: Comparison, early_error: Option<String>) -> Row {
    if planned.is_cancelled {
        return match (&planned.answer, early_error) {
            (Some(_), _) if compared.is_same() => row.compared(compared),
            (Some(_), _) => row.noting("cancelled: whether its answer comes first is chance"),
            (None, Some(error)) => {
                with(row, Outcome::Extra).noting(format!("answered with {error}, before it was cancelled"))
            }
            (None, None) => row.noting("cancelled"),
        };
    }
    if planned.answer.is_none() {
        return Row {
            differences: compared.differences.into_iter().map(Into::into).collect(),
            ..with(row, Outcome::Extra)
        }
        .noting("the recording has no answer to it");
    }
    if planned.had_wrong_headers {
        return row.noting(
            "not compared: its headers contradicted its body, and headers are made from the body here",
        );
    }
    row.compared(compared)
}

fn unanswered(row: Row, planned: &PlannedCall, live: CallEnd, why: &str) -> Row {
    if planned.answer.is_some() {
        let outcome = match live.lack {
            Lack::Silence => Outcome::TimedOut,
            _ => Outcome::Missing,
        };
        return with(row, outcome)
            .ending(planned.end.against_unanswered(live))
            .noting(why);
    }
    let row = row.both_unanswered(planned.end, live);
    if row.outcome == Outcome::Same {
        row.noting(format!("not answered in the recording either ({why})"))
    } else {
        row.noting(why)
    }
}

fn left_open(row: Row, planned: &PlannedCall, end: &End) -> Row {
    let live = match (end, &planned.answer) {
        (End::Whole, None) => return row.noting("not answered in the recording either"),
        (End::Interrupted, None) => return with(row, Outcome::Missing).noting(end.why_unanswered()),
        (End::ByServer(_), None) if planned.end == CallEnd::default() => {
            // Pipes do not tell whether the server was there, so nobody can say that it is the same.
            return with(row, Outcome::Missing).noting(end.why_unanswered());
        }
        _ => CallEnd {
            status: None,
            lack: Lack::Ended,
        },
    };
    unanswered(row, planned, live, end.why_unanswered())
}
