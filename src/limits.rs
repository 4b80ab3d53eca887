//! Every capacity of the program: its name, unit, default, reason, and what happens when it is reached.
//!
//! One table makes the struct, the command line flags, the configuration keys, the gauges and `docs/limits.md`.

pub mod descriptors;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::millis;

/// What the number of a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes; written as `4096`, `64KiB`, `16MiB`, `1GiB`.
    Bytes,
    /// A length of time; written as `500ms`, `30s`, `5m`, `1h`.
    Time,
}

/// One row of the table of limits.
#[derive(Debug, Clone, Copy)]
pub struct LimitField {
    /// The field's name in [`ResourceLimits`]; the flag is the same with dashes.
    pub name: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// What it bounds and why it has to be bounded.
    pub reason: &'static str,
    /// What a user sees when it is reached.
    pub at_limit: &'static str,
    /// The smallest value that still works.
    pub minimum: u64,
}

/// Limits that may be full for hours without anything being wrong: the oldest goes, or less is kept.
const EASY: [&str; 16] = [
    "max_certificates",
    "max_sessions",
    "max_open_calls",
    "max_idle_per_upstream",
    "max_event_tracker_events",
    "max_memory_per_session",
    "max_history_memory",
    "max_body_kept",
    "max_parse_bytes",
    "max_message_bytes",
    "max_ended_streams",
    "replay_buffer",
    "replay_buffer_bytes",
    "log_ring",
    "log_file_bytes",
    "max_disk",
];

impl LimitField {
    /// Whether somebody waits, or is refused, when it is used up. False where the oldest goes or less is kept, and for
    /// times.
    pub fn is_pressing(&self) -> bool {
        self.unit != Unit::Time && !EASY.contains(&self.name)
    }

    /// The limit of that name in [`ResourceLimits::FIELDS`].
    pub fn named(name: &str) -> Option<&'static Self> {
        ResourceLimits::FIELDS.iter().find(|field| field.name == name)
    }
}

/// A limit could not be set from text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetLimitError {
    /// No limit has that name.
    #[error("there is no limit called `{name}`; `shadowcat-tui --help` lists them all")]
    Unknown {
        /// The name that was given.
        name: String,
    },
    /// The value is not of the limit's unit.
    #[error("`{value}` is not a value for {name}: write {expected}")]
    Unreadable {
        /// The limit's name.
        name: &'static str,
        /// What was given.
        value: String,
        /// An example of what can be read.
        expected: &'static str,
    },
    /// The value is below what still works.
    #[error("{name} must be at least {}; `{value}` would leave nothing to work with", with_unit(.name, *.minimum))]
    TooSmall {
        /// The limit's name.
        name: &'static str,
        /// What was given.
        value: String,
        /// The smallest value that works, in the limit's base unit (bytes, milliseconds or things).
        minimum: u64,
    },
}

/// A value of the limit `name` as people write it.
fn with_unit(name: &str, number: u64) -> String {
    LimitField::named(name).map_or_else(|| number.to_string(), |field| display_value(field.unit, number))
}

/// A limit's value as a plain number and back: things, bytes or milliseconds.
trait LimitValue: Sized {
    fn from_base(number: u64) -> Self;
    fn to_base(&self) -> u64;
}

impl LimitValue for usize {
    fn from_base(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }
    fn to_base(&self) -> u64 {
        *self as u64
    }
}

impl LimitValue for u64 {
    fn from_base(number: u64) -> Self {
        number
    }
    fn to_base(&self) -> u64 {
        *self
    }
}

impl LimitValue for Duration {
    fn from_base(number: u64) -> Self {
        Self::from_millis(number)
    }
    fn to_base(&self) -> u64 {
        millis(*self)
    }
}

macro_rules! limits {
    ($( $name:ident : $type:ty = $default:expr, $unit:ident, min $minimum:literal, $reason:literal, $at_limit:literal; )*) => {
        /// Every bound of the engine. A queue, buffer, map or task set that takes its size from elsewhere does not exist.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct ResourceLimits {
            $( #[doc = $reason] #[doc = ""] #[doc = concat!("At the limit: ", $at_limit, ".")] pub $name: $type, )*
        }

        impl Default for ResourceLimits {
            fn default() -> Self {
                Self { $( $name: $default, )* }
            }
        }

        impl ResourceLimits {
            /// The table of all limits, in the order in which help and documentation show them.
            pub const FIELDS: &'static [LimitField] = &[
                $( LimitField { name: stringify!($name), unit: Unit::$unit, reason: $reason, at_limit: $at_limit, minimum: $minimum }, )*
            ];

            /// The limit's value in its base unit: things, bytes or milliseconds. `None` if no limit has that name.
            pub fn get(&self, name: &str) -> Option<u64> {
                match name {
                    $( stringify!($name) => Some(self.$name.to_base()), )*
                    _ => None,
                }
            }

            fn put(&mut self, name: &str, number: u64) {
                match name {
                    $( stringify!($name) => self.$name = <$type>::from_base(number), )*
                    _ => {}
                }
            }
        }
    };
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

limits! {
    max_connections: usize = 10_000, Count, min 1,
        "Client connections open at once; each costs a descriptor and a task",
        "no further connection is accepted until one closes";
    max_concurrent_tasks: usize = 16_384, Count, min 16,
        "Tasks that may be alive at once, so that load cannot grow the scheduler without end",
        "an exchange waits queue_timeout, then gets 503 with Retry-After and a JSON-RPC error";
    max_tasks_per_kind: usize = 6_144, Count, min 1,
        "Tasks of one kind (tunnels; requests on HTTP/2), so that none leaves the others without room",
        "a tunnel gets 503 with Retry-After at once, a request on HTTP/2 waits queue_timeout first; whatever is set, a share is at most 3/8 of max_concurrent_tasks, for tunnels also 3/4 of max_connections";
    max_exchanges_per_connection: usize = 512, Count, min 1,
        "Requests in flight on one HTTP/2 connection",
        "the connection takes no further request until one is done";
    max_shims: usize = 256, Count, min 1,
        "Links through the control door at once, one for each wrapped command; each costs a descriptor and a task",
        "a further shim is refused and passes everything on unseen; it tries again";
    max_idle_per_upstream: usize = 64, Count, min 0,
        "Idle connections kept open to one upstream for the next request",
        "the connection is closed after its exchange";
    max_sessions: usize = 10_000, Count, min 1,
        "Sessions known at once, on each side (forward, reverse)",
        "the longest idle ended session is forgotten, then the longest idle one";
    max_open_calls: usize = 1_024, Count, min 1,
        "Requests of one session that still wait for their answer",
        "the oldest is no longer waited for and is shown as unanswered";
    max_event_tracker_events: usize = 100, Count, min 1,
        "SSE event ids remembered for one session, to link a resumed stream to its call",
        "the oldest id is forgotten";
    event_tracker_age: Duration = Duration::from_mins(5), Time, min 1,
        "How long an SSE event id is remembered",
        "the id is forgotten";
    max_memory_per_session: usize = 16 * MIB, Bytes, min 4096,
        "History of one session",
        "its oldest messages lose their body, then their row";
    max_history_memory: usize = 256 * MIB, Bytes, min 65_536,
        "History of all sessions together, with what is known of sessions, streams and open exchanges",
        "the oldest messages lose their body, then their row, those of the largest session first";
    max_body_kept: usize = 256 * KIB, Bytes, min 256,
        "Bytes of one message that history keeps; a recording has all of them",
        "the head and the length are kept";
    max_parse_bytes: usize = MIB, Bytes, min 1024,
        "Largest message that is parsed for filters on its content and shown pretty",
        "the message is passed on and shown raw, filters on its content do not match";
    max_message_bytes: usize = 16 * MIB, Bytes, min 1024,
        "Largest SSE event that is put together for display",
        "it is passed on untouched and shown by its head";
    max_buffer_pool: usize = 256 * MIB, Bytes, min 65_536,
        "Bytes of half-received messages kept for display, a third of it guaranteed to each side",
        "messages that find no room are passed on untouched and shown by their head";
    max_held_messages: usize = 1_024, Count, min 1,
        "Messages that are held at once, with those that are to be held behind them",
        "a further one waits in its lane and is listed when one has left";
    max_held_bytes: usize = 64 * MIB, Bytes, min 65_536,
        "Bytes of the held messages",
        "as for max_held_messages; one message alone may be larger";
    max_lane_events: usize = 1_000, Count, min 1,
        "Messages that wait behind a held one of their stream",
        "nothing more is read from their sender until the held one has left";
    max_lane_bytes: usize = 8 * MIB, Bytes, min 1024,
        "Bytes that wait behind a held message of their stream",
        "nothing more is read from their sender until the held one has left";
    max_ended_streams: usize = 256, Count, min 1,
        "Ended SSE streams still listed on the Streams screen",
        "the one that ended first is no longer listed";
    observation_queue: usize = 8_192, Count, min 16,
        "Observations between the traffic and the ledger",
        "traffic waits for the ledger";
    observation_queue_bytes: usize = 32 * MIB, Bytes, min 65_536,
        "Bytes of the observations between the traffic and the ledger",
        "traffic waits for the ledger";
    recording_queue: usize = 8_192, Count, min 16,
        "Records between the traffic and the recording's file",
        "traffic waits for the recorder, recording_wait at most; then the recording carries a counted gap";
    recording_queue_bytes: usize = 32 * MIB, Bytes, min 65_536,
        "Bytes of the records between the traffic and the recording's file; one record goes in however large it is",
        "traffic waits for the recorder, recording_wait at most; then the recording carries a counted gap";
    max_disk: u64 = 1 << 40, Bytes, min 1_048_576,
        "Disk that all recordings of one run take; one file takes a quarter of it at most, and then the recording goes on in the next",
        "the oldest finished files of the run are removed; what would not fit even then is lost in a counted gap, and no file goes for it";
    recording_wait: Duration = Duration::from_secs(1), Time, min 1,
        "How long traffic waits for a recorder that does not keep up, be it with its masking or with its disk",
        "traffic goes on and the recording carries a counted gap until the recorder has caught up";
    max_head_bytes: usize = 64 * KIB, Bytes, min 8192,
        "Size of one HTTP head",
        "431 to a client, 502 for an upstream";
    max_headers: usize = 256, Count, min 16,
        "Header fields of one HTTP head",
        "431 to a client, 502 for an upstream";
    head_timeout: Duration = Duration::from_secs(30), Time, min 1,
        "Time for a new connection's first byte and for the rest of a request head once it has begun",
        "the connection is closed";
    upstream_connect_timeout: Duration = Duration::from_secs(10), Time, min 1,
        "Time for name look-up, TCP connect and TLS handshake to an upstream",
        "502 that names the upstream and the cause";
    max_certificates: usize = 1_024, Count, min 1,
        "Hosts whose certificate is kept for the next intercepted connection, with the protocol that they speak",
        "one that was not used for long goes, and is made again when it is needed";
    breaker_failures: usize = 5, Count, min 1,
        "Connects to one upstream that may fail in a row before clients stop being kept waiting for it",
        "its breaker opens: requests get 503 with Retry-After at once, and one each breaker_pause is tried";
    breaker_pause: Duration = Duration::from_secs(1), Time, min 1,
        "Time between two attempts at an upstream whose breaker is open",
        "the next request that comes in is tried; where connecting hangs, it is given up after the same time";
    breaker_max_pause: Duration = Duration::from_secs(30), Time, min 1,
        "Longest time between two attempts that hold their client for a whole connect timeout; doubles from the pause up to here where connecting hangs",
        "it is doubled no further";
    queue_timeout: Duration = Duration::from_secs(30), Time, min 1,
        "How long an exchange waits for a free place",
        "503 with Retry-After and a JSON-RPC error";
    max_children: usize = 256, Count, min 1,
        "Programs of commands that run at once; each is a process with three pipes and a task",
        "a client that needs another one gets 503 with Retry-After and a JSON-RPC error";
    replay_buffer: usize = 1_000, Count, min 16,
        "Messages of one command kept for its HTTP clients: not read yet, or read and kept so that a stream can be resumed",
        "the oldest that was read goes; if none was, the command waits for its clients, and after five seconds the stream that was not read is closed";
    replay_buffer_bytes: usize = 8 * MIB, Bytes, min 65_536,
        "Bytes of those messages",
        "as for replay_buffer; one message may be larger and is kept until it was read";
    drain_timeout: Duration = Duration::from_secs(5), Time, min 0,
        "How long running exchanges may take to finish when the program ends",
        "what is left is cut and reported";
    session_idle_timeout: Duration = Duration::from_mins(30), Time, min 1000,
        "Idle time after which a session counts as ended; no stream is ever closed for it",
        "the session is shown as idle and its place may go to a new one";
    log_ring: usize = 10_000, Count, min 16,
        "Lines of the program's own log kept for the Log screen",
        "the oldest line goes; the log file has it";
    log_file_bytes: usize = 32 * MIB, Bytes, min 4096,
        "Bytes that one process writes to the log file in a day (UTC)",
        "further lines of that day are on the Log screen only, and the file says so";
    max_frontends: usize = 8, Count, min 1,
        "Views of the engine at once; each costs a snapshot up to 20 times a second",
        "a further frontend is refused";
    max_scrapes: usize = 8, Count, min 1,
        "Connections to the address of --metrics at once",
        "a further one waits until one is done; each is closed after its answer, or after ten seconds";
    otlp_queue: usize = 2_048, Count, min 1,
        "Spans that wait to be taken to the receiver of --otlp, those on their way included",
        "the oldest span is dropped and counted";
}

impl ResourceLimits {
    /// Sets the limit `name` (with `_` or `-`) from text such as `100`, `64KiB` or `30s`.
    ///
    /// # Errors
    /// [`SetLimitError`] if there is no such limit, the text cannot be read in its unit, or it is too small to work.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SetLimitError> {
        let wanted = name.replace('-', "_");
        let field = LimitField::named(&wanted).ok_or_else(|| SetLimitError::Unknown {
            name: name.to_owned(),
        })?;
        let number = parse_value(field.unit, value).ok_or_else(|| SetLimitError::Unreadable {
            name: field.name,
            value: value.to_owned(),
            expected: example(field.unit),
        })?;
        if number < field.minimum {
            return Err(SetLimitError::TooSmall {
                name: field.name,
                value: value.to_owned(),
                minimum: field.minimum,
            });
        }
        self.put(field.name, number);
        Ok(())
    }
}

const fn example(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "a whole number such as 1000",
        Unit::Bytes => "a size such as 4096, 64KiB, 16MiB or 1GiB",
        Unit::Time => "a time such as 500ms, 1.5s, 30s, 5m or 1h",
    }
}

/// Reads a size or a time as limits are written: `64MiB`, `30s`, `1.5s`, `500ms`; gives bytes or milliseconds. A time
/// without a unit is in seconds. `None` if it cannot be read.
pub fn parse_value(unit: Unit, text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '_' && (c != '.' || unit != Unit::Time))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(digits)?;
    let (number, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let number: u64 = number.replace('_', "").parse().ok()?;
    let factor = match (unit, suffix.trim().to_ascii_lowercase().as_str()) {
        (Unit::Count | Unit::Bytes, "") | (Unit::Bytes, "b") | (Unit::Time, "ms") => 1,
        (Unit::Bytes, "k" | "kb" | "kib") => 1 << 10,
        (Unit::Bytes, "m" | "mb" | "mib") => 1 << 20,
        (Unit::Bytes, "g" | "gb" | "gib") => 1 << 30,
        (Unit::Bytes, "t" | "tb" | "tib") => 1 << 40,
        (Unit::Time, "s" | "") => 1_000,
        (Unit::Time, "m" | "min") => 60_000,
        (Unit::Time, "h") => 3_600_000,
        _ => return None,
    };
    number
        .checked_mul(factor)?
        .checked_add(part_of(factor, fraction)?)
}

/// The digits behind the point, of so many milliseconds; what is less than one is left out.
fn part_of(factor: u64, fraction: &str) -> Option<u64> {
    const MOST_DIGITS: usize = 9;

    let digits: String = fraction.chars().take(MOST_DIGITS).collect();
    let is_number = !fraction.is_empty() && fraction.bytes().all(|digit| digit.is_ascii_digit());
    let part: u64 = digits.parse().ok().filter(|_| is_number)?;
    let whole = 10_u64.pow(u32::try_from(digits.len()).ok()?);
    Some(part * factor / whole)
}

/// The value of a limit as people write it: `64 KiB`, `30 s`, `10000`.
pub fn display_value(unit: Unit, number: u64) -> String {
    let steps: &[(u64, &str)] = match unit {
        Unit::Count => &[],
        Unit::Bytes => &[
            (1 << 40, "TiB"),
            (1 << 30, "GiB"),
            (1 << 20, "MiB"),
            (1 << 10, "KiB"),
            (1, "B"),
        ],
        Unit::Time => &[(3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")],
    };
    steps
        .iter()
        .find(|(factor, _)| number >= *factor && number.is_multiple_of(*factor))
        .map_or_else(
            || number.to_string(),
            |(factor, name)| format!("{} {name}", number / factor),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_can_be_set_by_its_flag_name_and_read_back() {
        for field in ResourceLimits::FIELDS {
            let mut limits = ResourceLimits::default();
            let value = match field.unit {
                Unit::Count => "123456",
                Unit::Bytes => "7MiB",
                Unit::Time => "77s",
            };
            limits.set(&field.name.replace('_', "-"), value).unwrap();
            assert_eq!(
                limits.get(field.name),
                parse_value(field.unit, value),
                "{}",
                field.name
            );
            assert_ne!(limits, ResourceLimits::default(), "{}", field.name);
        }
    }

    #[test]
    fn easy_limits_are_limits() {
        for name in EASY {
            assert!(!LimitField::named(name).unwrap().is_pressing(), "{name}");
        }
        assert!(LimitField::named("max_connections").unwrap().is_pressing());
        assert!(!LimitField::named("queue_timeout").unwrap().is_pressing());
    }

    #[test]
    fn defaults_respect_their_own_minimum() {
        let limits = ResourceLimits::default();
        for field in ResourceLimits::FIELDS {
            assert!(limits.get(field.name).unwrap() >= field.minimum, "{}", field.name);
        }
    }

    #[test]
    fn a_value_in_the_wrong_unit_says_what_to_write() {
        let error = ResourceLimits::default()
            .set("max-connections", "5s")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`5s` is not a value for max_connections: write a whole number such as 1000"
        );
    }

    #[test]
    fn an_unknown_limit_and_a_useless_value_are_refused() {
        let mut limits = ResourceLimits::default();
        assert!(matches!(
            limits.set("max_fun", "1"),
            Err(SetLimitError::Unknown { .. })
        ));
        let small = limits.set("max_disk", "65536").unwrap_err().to_string();
        assert!(small.starts_with("max_disk must be at least 1 MiB;"), "{small}");
        assert!(matches!(
            limits.set("max_connections", "0"),
            Err(SetLimitError::TooSmall { .. })
        ));
    }

    #[test]
    fn values_are_shown_in_the_largest_unit_that_divides_them() {
        assert_eq!(display_value(Unit::Bytes, 16 << 20), "16 MiB");
        assert_eq!(display_value(Unit::Time, 90_000), "90 s");
        assert_eq!(display_value(Unit::Count, 512), "512");
    }
}
