//! Verdicts in words: one line of effect for the screen, the log and the recording.

use std::fmt;
use std::time::Duration;

use crate::intercept::edit::Change;
use crate::intercept::rule::{Fault, Hits, OnExpire, Verdict, WhileHeld};

use super::units::{size_text, time_text};

/// How many characters of a value a line of effect shows.
const SHOWN_CHARACTERS: usize = 40;

/// What became of the message, in one line.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold => f.write_str("held"),
            Self::Forward => f.write_str("forwarded as it came"),
            Self::Replace(changes) => write_changes(changes, f),
            Self::Answer { result } => write!(f, "answered: {}", shown(result)),
            Self::Refuse(refusal) => write!(f, "refused: {refusal}"),
            Self::Drop { is_silent: false } => f.write_str("dropped"),
            Self::Drop { is_silent: true } => f.write_str("dropped silently"),
            Self::Delay { fixed, jitter } => write_delay(*fixed, *jitter, f),
            Self::Fault(fault) => fault.fmt(f),
            Self::Log => f.write_str("logged"),
        }
    }
}

/// What is added to a hold: `, early stream`.
impl fmt::Display for WhileHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.early_stream {
            f.write_str(", early stream")?;
        }
        if self.synthetic_progress {
            f.write_str(", synthetic progress")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Close => f.write_str("stream closed in its place"),
            Self::Truncate { bytes } => write!(f, "cut after {}", size_text(bytes, " ")),
            Self::Duplicate { times } => write!(f, "sent {times} times"),
            Self::Reorder { by: 1 } => f.write_str("sent behind the next message"),
            Self::Reorder { by } => write!(f, "sent behind the next {by} messages"),
            Self::InvalidJson => f.write_str("made invalid JSON"),
            Self::WrongId => f.write_str("sent under a wrong id"),
            Self::Slow { bytes_per_second } => {
                write!(f, "slowed to {}/s", size_text(bytes_per_second, " "))
            }
        }
    }
}

/// Which of the messages that match.
impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Always => f.write_str("always"),
            Self::Once => f.write_str("once"),
            Self::Nth(n) => write!(f, "only the {}", ordinal(n)),
            Self::Every(1) => f.write_str("every one"),
            Self::Every(n) => write!(f, "every {}", ordinal(n)),
            Self::After(n) => write!(f, "after the first {n}"),
            Self::Percent(percent) => write!(f, "{percent} % of them"),
        }
    }
}

impl fmt::Display for OnExpire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl OnExpire {
    /// Every choice, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Wait, Self::Forward, Self::Error, Self::Drop];

    /// The word for it in a file of rules and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Forward => "forward",
            Self::Error => "error",
            Self::Drop => "drop",
        }
    }
}

fn write_changes(changes: &[Change], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match changes {
        [Change::Set { path, value }] => write!(f, "{path} set to {}", shown(value)),
        [Change::Remove { path }] => write!(f, "{path} removed"),
        [Change::Patch(_)] => f.write_str("changed by a JSON Patch"),
        [Change::Merge(_)] => f.write_str("changed by a JSON Merge Patch"),
        [Change::SetHeader { name, .. }] => write!(f, "header {name} set"),
        [Change::RemoveHeader { name }] => write!(f, "header {name} removed"),
        [Change::Text(_)] => f.write_str("replaced by a text"),
        several => write!(f, "{} changes", several.len()),
    }
}

fn write_delay(fixed: Duration, jitter: Duration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if jitter.is_zero() {
        return write!(f, "delayed by {}", time_text(fixed));
    }
    let most = fixed.saturating_add(jitter);
    write!(f, "delayed by {} to {}", time_text(fixed), time_text(most))
}

/// The beginning of a text, on one line.
fn shown(text: &str) -> String {
    let one_line = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS).map(one_line).collect();
    if text.chars().nth(SHOWN_CHARACTERS).is_some() {
        shown.push('…');
    }
    shown
}

fn ordinal(n: u64) -> String {
    let ending = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intercept::rule::Refusal;

    #[test]
    fn each_verdict_says_its_effect_in_one_line() {
        let set = |path: &str| Change::Set {
            path: path.to_owned(),
            value: "1".to_owned(),
        };
        let lines = [
            (Verdict::Hold, "held"),
            (Verdict::Replace(vec![set("$.a")]), "$.a set to 1"),
            (
                Verdict::Replace(vec![set("$.a"), set("$.b"), set("$.c")]),
                "3 changes",
            ),
            (
                Verdict::Refuse(Refusal::Error {
                    code: -32602,
                    message: "no".to_owned(),
                }),
                "refused: error -32602: no",
            ),
            (Verdict::Drop { is_silent: true }, "dropped silently"),
            (
                Verdict::Delay {
                    fixed: Duration::from_secs(1),
                    jitter: Duration::from_millis(500),
                },
                "delayed by 1s to 1500ms",
            ),
            (
                Verdict::Fault(Fault::Slow {
                    bytes_per_second: 1024,
                }),
                "slowed to 1 KiB/s",
            ),
            (
                Verdict::Answer {
                    result: "{\n}".to_owned(),
                },
                "answered: { }",
            ),
        ];
        for (verdict, line) in lines {
            assert_eq!(verdict.to_string(), line);
        }
    }

    #[test]
    fn a_long_value_is_shown_cut() {
        let verdict = Verdict::Answer {
            result: "x".repeat(99),
        };
        assert_eq!(verdict.to_string(), format!("answered: {}…", "x".repeat(40)));
    }

    #[test]
    fn which_hits_reads_like_english() {
        let texts = [1, 2, 3, 4, 11, 12, 13, 21, 112].map(|n| Hits::Nth(n).to_string());
        let expected = [
            "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th",
        ];
        assert_eq!(texts, expected.map(|text| format!("only the {text}")));
        assert_eq!(Hits::Percent(12.5).to_string(), "12.5 % of them");
    }
}
