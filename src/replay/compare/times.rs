//! Times in answers, which are others each time. Pure.
//!
//! A text that is spelled like a time is one. A number may be anything, so it is one only if it counts the time since 1970
//! and either stands under a name that speaks of time, or is about the time at which its own answer came.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::canonical::pattern;
use crate::clock::Timestamp;

/// How far the clocks of a server and of a recorder may be apart, and how old what it tells may be, in microseconds.
const NEAR_MICROS: u64 = 300_000_000;

/// Seconds since 1970 of what may be a time: the years 2001 to 2100.
const SECONDS: std::ops::Range<u64> = 978_307_200..4_133_980_800;

/// Last words of names that speak of time.
const TIME_WORDS: [&str; 34] = [
    "at",
    "atime",
    "birthtime",
    "changed",
    "completed",
    "created",
    "ctime",
    "date",
    "datetime",
    "deadline",
    "ended",
    "epoch",
    "exp",
    "expiration",
    "expires",
    "expiry",
    "finished",
    "iat",
    "modified",
    "mtime",
    "nbf",
    "now",
    "published",
    "seen",
    "since",
    "started",
    "stamp",
    "time",
    "timestamp",
    "ts",
    "until",
    "unix",
    "updated",
    "when",
];

/// Words behind these that say how it is counted.
const UNIT_WORDS: [&str; 13] = [
    "gmt",
    "micros",
    "millis",
    "milliseconds",
    "microseconds",
    "ms",
    "s",
    "sec",
    "seconds",
    "secs",
    "us",
    "utc",
    "unix",
];

/// When two answers came; `None` where nobody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moments {
    /// The recorded one, or that of the first recording.
    pub recorded: Option<Timestamp>,
    /// The live one, or that of the second recording.
    pub live: Option<Timestamp>,
}

/// The text with a mark in the place of each time in it that its spelling, or the name before it, tells.
pub(super) fn masked(text: &str) -> Cow<'_, str> {
    static SPELLED: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
        const MONTH: &str = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
        const DAY: &str = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
        const CLOCK: &str = r"\d\d:\d\d:\d\d";
        // RFC 3339, and what databases and Python make of it.
        let iso = r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?";
        // What `toLocaleString` gives in English, with the blank that newer systems put before the half of the day.
        let half_day = concat!(
            r"(?i)\b(?:\d{1,2}/\d{1,2}/\d{4},? )?",
            r"(?:1[0-2]|0?[1-9]):[0-5]\d:[0-5]\d(?:\.\d+)?[ \u{a0}\u{202f}]?(?:[ap]\.m\.|[ap]m\b)"
        );
        // RFC 2822, and what HTTP has.
        let mail = format!(
            r"\b(?:{DAY}, )?\d{{1,2}} {MONTH} \d{{4}} \d\d:\d\d(?::\d\d)?(?: (?:[+-]\d{{4}}|GMT|UTC|UT|[ECMP][SD]T)\b)?"
        );
        // What JavaScript and C give.
        let calendar = format!(
            r"\b{DAY} {MONTH} [ \d]?\d (?:\d{{4}} {CLOCK} GMT[+-]\d{{4}}(?: \([A-Za-z ]+\))?|{CLOCK}(?: [A-Z]{{3,4}})? \d{{4}}\b)"
        );
        [
            (pattern(iso), "‹time›"),
            (pattern(half_day), "‹12-hour time›"),
            (pattern(&mail), "‹RFC 2822 time›"),
            (pattern(&calendar), "‹calendar time›"),
        ]
    });
    let mut text = Cow::Borrowed(text);
    for (spelled, mark) in SPELLED.iter() {
        if let Cow::Owned(masked) = spelled.replace_all(&text, *mark) {
            text = Cow::Owned(masked);
        }
    }
    match named(&text) {
        Some(masked) => Cow::Owned(masked),
        None => text,
    }
}

/// The same for numbers behind names: `timestamp: 1763948123`, `"createdAt":1763948123456`.
fn named(text: &str) -> Option<String> {
    static NAMED: LazyLock<Regex> =
        LazyLock::new(|| pattern(r#"\b([A-Za-z][A-Za-z_]*)(["']?\s*[:=]\s*["']?)(\d{10,16}(?:\.\d+)?)\b"#));
    let masked = NAMED.replace_all(text, |found: &Captures<'_>| {
        match number_mark(&found[1], &found[3]) {
            Some(mark) => format!("{}{}{mark}", &found[1], &found[2]),
            None => found[0].to_owned(),
        }
    });
    match masked {
        Cow::Borrowed(_) => None,
        Cow::Owned(masked) => Some(masked),
    }
}

/// What stands for a number, if it is a time by the name that it has.
pub(super) fn number_mark(name: &str, number: &str) -> Option<&'static str> {
    if !speaks_of_time(name) {
        return None;
    }
    Some(match Counted::of(number)?.unit {
        1 => "‹time in µs›",
        1_000 => "‹time in ms›",
        _ => "‹time in s›",
    })
}

/// Whether a name ends with a word for a time, perhaps with how it is counted.
fn speaks_of_time(name: &str) -> bool {
    let words = words(name);
    let is_time = |word: &String| TIME_WORDS.contains(&word.as_str());
    match &words[..] {
        [.., word, unit] if UNIT_WORDS.contains(&unit.as_str()) => is_time(word) || is_time(unit),
        [.., word] => is_time(word),
        [] => false,
    }
}

/// The words of a name, in lower case: `createdAt` and `created_at` have two.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for character in name.chars() {
        let begins = character.is_uppercase() && was_lower;
        was_lower = character.is_lowercase() || character.is_ascii_digit();
        if begins || !character.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            word.extend(character.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A number that may count the time since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    micros: u64,
    /// Microseconds of which it is a number.
    unit: u64,
}

impl Counted {
    fn of(number: &str) -> Option<Self> {
        let whole = number.split_once('.').map_or(number, |(whole, _)| whole);
        let count: u64 = whole.parse().ok()?;
        let is_plausible = |unit: &u64| {
            let per_second = 1_000_000 / unit;
            SECONDS.contains(&(count / per_second))
        };
        let unit = [1_000_000, 1_000, 1].into_iter().find(is_plausible)?;
        Some(Self {
            micros: count.checked_mul(unit)?,
            unit,
        })
    }

    fn is_near(self, at: Timestamp) -> bool {
        self.micros.abs_diff(at.as_micros()) <= NEAR_MICROS
    }
}

/// Whether two values, as spelled, are the same but for numbers that are each about the time of their own answer.
pub(super) fn are_of_their_time(one: &str, other: &str, moments: Moments) -> bool {
    let (Some(recorded), Some(live)) = (moments.recorded, moments.live) else {
        return false;
    };
    let (mut ones, mut others) = (pieces(one), pieces(other));
    loop {
        let is_alike = match (ones.next(), others.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one == other => true,
            (Some(one), Some(other)) => match (Counted::of(one), Counted::of(other)) {
                (Some(one), Some(other)) => {
                    one.unit == other.unit && one.is_near(recorded) && other.is_near(live)
                }
                _ => false,
            },
            _ => false,
        };
        if !is_alike {
            return false;
        }
    }
}

/// Numbers that may be times, and what is between them.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b\d{10,16}(?:\.\d+)?\b"));
    let mut rest = text;
    let mut next_number = None;
    std::iter::from_fn(move || {
        if let Some(number) = next_number.take() {
            return Some(number);
        }
        if rest.is_empty() {
            return None;
        }
        let Some(found) = NUMBER.find(rest) else {
            return Some(std::mem::take(&mut rest));
        };
        let (before, from) = rest.split_at(found.start());
        let (number, after) = from.split_at(found.len());
        rest = after;
        next_number = Some(number);
        Some(before)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_a_text_is_known_by_its_spelling() {
        for (text, shown) in [
            ("at 2026-11-24T03:04:05.1Z!", "at ‹time›!"),
            ("It is 3:04:05 PM now", "It is ‹12-hour time› now"),
            ("11/24/2026, 3:04:05\u{202f}PM", "‹12-hour time›"),
            ("3:04:05 p.m.", "‹12-hour time›"),
            ("Tue, 24 Nov 2026 03:04:05 +0000", "‹RFC 2822 time›"),
            ("Date: Tue, 24 Nov 2026 03:04:05 GMT", "Date: ‹RFC 2822 time›"),
            (
                "Tue Nov 24 2026 03:04:05 GMT+0100 (Central European Standard Time)",
                "‹calendar time›",
            ),
            ("Tue Nov  4 03:04:05 2026", "‹calendar time›"),
            ("timestamp: 1763948123", "timestamp: ‹time in s›"),
            (r#"{"createdAt":1763948123456}"#, r#"{"createdAt":‹time in ms›}"#),
        ] {
            assert_eq!(masked(text), shown);
        }
        for text in [
            "3:04 PM",
            "13:04:05 PM",
            "00:03:12",
            "3:04:05",
            "2026-11-24",
            "count: 1763948123",
            "order 1763948123",
            "at: 17639481",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn a_number_is_a_time_by_its_name_only_if_it_counts_since_1970() {
        for (name, number, mark) in [
            ("createdAt", "1763948123", Some("‹time in s›")),
            ("created_at", "1763948123.25", Some("‹time in s›")),
            ("serverTimeMs", "1763948123456", Some("‹time in ms›")),
            ("epoch_us", "1763948123456789", Some("‹time in µs›")),
            ("updatedCount", "1763948123", None),
            ("createdBy", "1763948123", None),
            ("timeout", "1763948123", None),
            ("format", "1763948123", None),
            ("n", "1763948123", None),
            ("time", "978307199", None),
            ("time", "4133980800", None),
            ("time", "-1763948123", None),
            ("time", "0", None),
        ] {
            assert_eq!(number_mark(name, number), mark, "{name} {number}");
        }
    }

    #[test]
    fn a_number_of_any_name_is_a_time_if_both_are_about_the_time_of_their_answers() {
        let at = |seconds: u64| Some(Timestamp::from_micros(seconds * 1_000_000));
        let moments = Moments {
            recorded: at(1_700_000_000),
            live: at(1_763_948_000),
        };
        for (one, other, is_alike) in [
            ("1700000010", "1763948123", true),
            ("1700000010.5", "1763948123.25", true),
            ("1700000010123", "1763948123123", true),
            (r#""id 1700000010: 3""#, r#""id 1763948123: 3""#, true),
            (r#""id 1700000010: 3""#, r#""id 1763948123: 4""#, false),
            // The recorded one is about the time of its answer by chance.
            (r#""1700000010 1600000000""#, r#""1763948123 1600000000""#, true),
            ("1700000010", "1700000010123", false),
            ("1700000010", "1763948123123", false),
            ("1600000000", "1763948123", false),
            ("1700000010", "1764948123", false),
            ("1700000010", "3", false),
            ("1700000010", "-1763948123", false),
        ] {
            assert_eq!(are_of_their_time(one, other, moments), is_alike, "{one} {other}");
        }
        assert!(!are_of_their_time("1700000010", "1763948123", Moments::default()));
    }
}
