//! What came of a comparison, call by call.

use serde::Serialize;

use super::Comparison;
use crate::intercept::edit::{Difference, DifferenceKind};

/// How an answer compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It says the same.
    Same,
    /// It says something else.
    Changed,
    /// There was one, and there is none.
    Missing,
    /// There was one, and none has come for as long as was waited.
    TimedOut,
    /// There was none, and there is one.
    Extra,
    /// The request was not sent, so nothing is known.
    Unsent,
}

impl Outcome {
    /// In a word or two.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::TimedOut => "timed out",
            Self::Extra => "extra",
            Self::Unsent => "unsent",
        }
    }
}

/// A difference as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowDifference {
    /// Where: `$.result.content[0].text`, or `line 3`.
    pub path: String,
    /// What happened: `added`, `removed` or `changed`.
    pub kind: &'static str,
    /// What was there, as it is spelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What is there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl From<Difference> for RowDifference {
    fn from(found: Difference) -> Self {
        Self {
            path: found.path,
            kind: match found.kind {
                DifferenceKind::Added => "added",
                DifferenceKind::Removed => "removed",
                DifferenceKind::Changed => "changed",
            },
            before: found.before,
            after: found.after,
        }
    }
}

/// One call, or one request of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The session it was recorded in.
    pub session: String,
    /// Method of the request.
    pub method: String,
    /// What it is about: a tool, a URI, a prompt; empty for what is about the server as a whole.
    pub about: String,
    /// The server asked, not the client.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_from_server: bool,
    /// How the answers compare.
    pub outcome: Outcome,
    /// The first differences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<RowDifference>,
    /// Differences that are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_differences: usize,
    /// Why it is so, and what else is remarkable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Row {
    /// A row without differences.
    pub fn new(session: &str, method: &str, about: &str, outcome: Outcome) -> Self {
        Self {
            session: session.to_owned(),
            method: method.to_owned(),
            about: about.to_owned(),
            is_from_server: false,
            outcome,
            differences: Vec::new(),
            more_differences: 0,
            remarks: Vec::new(),
        }
    }

    /// With what was found; [`Outcome::Same`] or [`Outcome::Changed`].
    #[must_use]
    pub fn compared(mut self, found: Comparison) -> Self {
        self.outcome = if found.is_same() {
            Outcome::Same
        } else {
            Outcome::Changed
        };
        self.differences = found.differences.into_iter().map(Into::into).collect();
        self.more_differences = found.more;
        self.remarks.extend(found.remarks);
        self
    }

    /// With a remark.
    #[must_use]
    pub fn noting(mut self, remark: impl Into<String>) -> Self {
        self.remarks.push(remark.into());
        self
    }

    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.outcome == Outcome::Same
    }

    /// Method and what it is about.
    pub fn title(&self) -> String {
        let who = if self.is_from_server { "server asks " } else { "" };
        let blank = if self.about.is_empty() { "" } else { " " };
        format!("{who}{}{blank}{}", self.method, self.about)
    }
}

/// All rows of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order of what was recorded; what is new comes where it came.
    pub rows: Vec<Row>,
    /// What is remarkable about the whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Why sessions could not be talked through: what was tried, what happened, what to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

impl Report {
    /// How many rows ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.rows.iter().filter(|row| row.outcome == outcome).count()
    }

    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.rows.iter().all(Row::is_same)
    }
}
