//! What was done to a message on its way, beside how it left.

use serde::{Deserialize, Serialize};

use crate::intercept::rule::{Fault, Verdict};

/// What was done to a message on its way, where its [`Ending`](super::Ending) does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It went on later.
    Delayed,
    /// It went on more than once, as somebody wanted.
    Repeated,
    /// Fault: the stream was closed in its place.
    Closed,
    /// Fault: only its beginning went on.
    Truncated,
    /// Fault: it went on more than once.
    Duplicated,
    /// Fault: it went on behind later ones.
    Reordered,
    /// Fault: it went on as what is no JSON.
    InvalidJson,
    /// Fault: it went on under an id that nobody gave.
    WrongId,
    /// Fault: it went on slowly.
    Slowed,
}

impl Effect {
    /// What a rule with this verdict does, beside what becomes of the message.
    pub const fn of(verdict: &Verdict) -> Option<Self> {
        match verdict {
            Verdict::Delay { .. } => Some(Self::Delayed),
            Verdict::Fault(fault) => Some(Self::of_fault(*fault)),
            _ => None,
        }
    }

    const fn of_fault(fault: Fault) -> Self {
        match fault {
            Fault::Close => Self::Closed,
            Fault::Truncate { .. } => Self::Truncated,
            Fault::Duplicate { .. } => Self::Duplicated,
            Fault::Reorder { .. } => Self::Reordered,
            Fault::InvalidJson => Self::InvalidJson,
            Fault::WrongId => Self::WrongId,
            Fault::Slow { .. } => Self::Slowed,
        }
    }

    /// Whether it is a fault that a rule makes on purpose.
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::Delayed | Self::Repeated)
    }

    /// In a few words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Delayed => "delayed",
            Self::Repeated => "sent more than once",
            Self::Closed => "fault: closed",
            Self::Truncated => "fault: cut short",
            Self::Duplicated => "fault: doubled",
            Self::Reordered => "fault: out of order",
            Self::InvalidJson => "fault: invalid JSON",
            Self::WrongId => "fault: wrong id",
            Self::Slowed => "fault: slowed",
        }
    }
}
