//! Newtypes for everything that is counted from one, so that two kinds of id cannot be mixed up.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

/// A map by ids of our own. Nobody outside chooses them, so a hash without a secret will do.
pub(crate) type IdMap<K, V> = HashMap<K, V, FxBuildHasher>;

macro_rules! counted_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(NonZeroU64);

        impl $name {
            /// The id with this number; `None` for zero, which no id has.
            pub const fn new(number: u64) -> Option<Self> {
                match NonZeroU64::new(number) {
                    Some(number) => Some(Self(number)),
                    None => None,
                }
            }

            /// The number, counted from 1 in order of creation.
            pub const fn get(self) -> u64 {
                self.0.get()
            }
        }

        impl From<NonZeroU64> for $name {
            fn from(number: NonZeroU64) -> Self {
                Self(number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

counted_id!(
    /// One accepted TCP connection, shown as `k3`.
    ConnectionId, "k"
);
counted_id!(
    /// One HTTP request and its response, shown as `#17`.
    ExchangeId, "#"
);
counted_id!(
    /// One SSE response body, shown as `s4`.
    StreamId, "s"
);
counted_id!(
    /// One row of history: a message, an event or a plain HTTP exchange, shown as `m210`.
    MessageId, "m"
);
counted_id!(
    /// A request with all that belongs to it (progress, logs, cancel, answer), shown as `c9`.
    CallId, "c"
);
counted_id!(
    /// A message that is held, shown as `h3`.
    HoldId, "h"
);
counted_id!(
    /// The number of a session within its side; see [`ProxySessionId`].
    SessionId, ""
);

/// Who chose the destination of a session's traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The client did (HTTP proxy request, CONNECT).
    Forward,
    /// Our configuration did (`--upstream`).
    Reverse,
}

impl Side {
    /// Both sides, in the order in which they are shown.
    pub const ALL: [Self; 2] = [Self::Forward, Self::Reverse];

    /// `forward` or `reverse`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Reverse => "reverse",
        }
    }
}

/// A session of either side. Each side counts for itself, so neither can collide with the other: `F3`, `R12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxySessionId {
    /// The client chose the destination.
    Forward(SessionId),
    /// The proxy's configuration chose the destination.
    Reverse(SessionId),
}

impl ProxySessionId {
    /// The session with this number on `side`.
    pub const fn on(side: Side, id: SessionId) -> Self {
        match side {
            Side::Forward => Self::Forward(id),
            Side::Reverse => Self::Reverse(id),
        }
    }

    /// The side whose id space the number belongs to.
    pub const fn side(self) -> Side {
        match self {
            Self::Forward(_) => Side::Forward,
            Self::Reverse(_) => Side::Reverse,
        }
    }
}

impl fmt::Display for ProxySessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward(id) => write!(f, "F{id}"),
            Self::Reverse(id) => write!(f, "R{id}"),
        }
    }
}

/// The text is not `F` or `R` followed by a number from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a session; write R1 for the first reverse session or F1 for the first forward one")]
pub struct ParseSessionIdError(String);

impl FromStr for ProxySessionId {
    type Err = ParseSessionIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseSessionIdError(text.to_owned());
        let mut characters = text.chars();
        let side = match characters.next() {
            Some('F' | 'f') => Side::Forward,
            Some('R' | 'r') => Side::Reverse,
            _ => return Err(refuse()),
        };
        let number = characters.as_str().parse().map_err(|_| refuse())?;
        Ok(Self::on(side, SessionId::new(number).ok_or_else(refuse)?))
    }
}

/// Hands out the numbers of one id space, from 1.
#[derive(Debug, Default)]
pub struct IdSource(AtomicU64);

impl IdSource {
    /// The next number; never zero, never twice.
    pub fn next(&self) -> NonZeroU64 {
        let number = self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        NonZeroU64::new(number).unwrap_or(NonZeroU64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_reads_back_as_it_is_shown() {
        for text in ["F3", "R12"] {
            assert_eq!(text.parse::<ProxySessionId>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn sessions_of_the_two_sides_never_collide() {
        assert_ne!("F1".parse::<ProxySessionId>(), "R1".parse::<ProxySessionId>());
    }

    #[test]
    fn a_session_without_side_or_number_is_refused() {
        for text in ["", "1", "R", "R0", "X2", "R-1"] {
            assert!(text.parse::<ProxySessionId>().is_err(), "{text}");
        }
    }
}
