//! A comparison in words, safe to print.

use std::fmt::Write as _;

use serde_json::{Map, json};
use shadowcat::replay::compare::drift::{Drift, DriftKind};
use shadowcat::replay::compare::{Outcome, Report, Row, RowDifference};

use crate::format::plural;
use crate::text::{Safe, harmless_json};

/// Characters of a value that are shown.
const SHOWN: usize = 160;
/// How many of them are equal, where two values begin with the same.
const BEFORE: usize = 40;

/// In the order in which they are counted.
const OUTCOMES: [Outcome; 6] = [
    Outcome::Same,
    Outcome::Changed,
    Outcome::Missing,
    Outcome::TimedOut,
    Outcome::Extra,
    Outcome::Unsent,
];

/// One line a call, its differences below it, and how many there are of which.
pub(super) fn report(report: &Report) -> String {
    let mut out = String::new();
    let width = report.rows.iter().map(|row| row.session.len()).max().unwrap_or(0);
    let kind_width = report.rows.iter().map(|row| row.outcome.name().len()).max();
    // Most reports have the same columns then.
    let kind_width = kind_width.unwrap_or(0).max(Outcome::Changed.name().len());
    let mut before: &[String] = &[];
    for row in &report.rows {
        line(
            &mut out,
            &format!(
                "{:kind_width$}  {:width$}  {}",
                row.outcome.name(),
                row.session,
                row.title()
            ),
        );
        // The same reason again and again would hide the others.
        if !row.differences.is_empty() || row.remarks != before {
            details(&mut out, row);
        }
        before = &row.remarks;
    }
    let counts: Vec<String> = OUTCOMES
        .into_iter()
        .filter(|outcome| report.count(*outcome) > 0)
        .map(|outcome| format!("{} {}", report.count(outcome), outcome.name()))
        .collect();
    let calls = plural(report.rows.len() as u64, "call");
    line(
        &mut out,
        &if counts.is_empty() {
            calls
        } else {
            format!("{calls}: {}", counts.join(", "))
        },
    );
    out
}

fn details(out: &mut String, row: &Row) {
    for detail in told(row) {
        line(out, &format!("           {detail}"));
    }
}

/// What there is to say about a row, a line each.
pub(super) fn told(row: &Row) -> Vec<String> {
    let mut lines: Vec<String> = row.differences.iter().map(difference).collect();
    if row.more_differences > 0 {
        lines.push(format!("and {} more", row.more_differences));
    }
    lines.extend(row.remarks.iter().map(|remark| format!("({remark})")));
    lines
}

fn difference(found: &RowDifference) -> String {
    let short = |text: &Option<String>| shortened(text.as_deref().unwrap_or("–"));
    match found.kind {
        "added" => format!("{} is new: {}", found.path, short(&found.after)),
        "removed" => format!("{} is gone: {}", found.path, short(&found.before)),
        _ => {
            let before = found.before.as_deref().unwrap_or("–");
            let after = found.after.as_deref().unwrap_or("–");
            let from = first_shown(before, after);
            format!(
                "{}: {} → {}",
                found.path,
                shortened_from(before, from),
                shortened_from(after, from)
            )
        }
    }
}

/// Which character of two values is the first to be shown: where they would be cut before they differ, a few before that.
fn first_shown(before: &str, after: &str) -> usize {
    let is_long = |text: &str| text.chars().nth(SHOWN).is_some();
    let same = before.chars().zip(after.chars());
    let same = same.take_while(|(one, other)| one == other).count();
    if same < SHOWN - BEFORE || !(is_long(before) || is_long(after)) {
        return 0;
    }
    same - BEFORE
}

fn shortened_from(text: &str, from: usize) -> String {
    let rest: String = text.chars().skip(from).collect();
    let mark = if from > 0 { "…" } else { "" };
    format!("{mark}{}", shortened(&rest))
}

fn shortened(text: &str) -> String {
    let mut characters = text.chars();
    let mut cut: String = characters.by_ref().take(SHOWN).collect();
    if characters.next().is_some() {
        cut.push('…');
    }
    cut
}

/// What became of tools, one line a change; what may break clients has an exclamation mark.
pub(super) fn drifts(drifts: &[Drift]) -> String {
    let mut out = String::new();
    for drift in drifts {
        let mark = if drift.is_breaking { '!' } else { ' ' };
        let place = match drift.place.as_str() {
            "" => String::new(),
            place => format!(" {place}:"),
        };
        let schema = match drift.kind {
            DriftKind::Input => " input",
            DriftKind::Output => " output",
            _ => "",
        };
        let colon = if schema.is_empty() || !place.is_empty() {
            ""
        } else {
            ":"
        };
        line(
            &mut out,
            &format!("{mark} tool {}{schema}{colon}{place} {}", drift.tool, drift.words),
        );
    }
    line(&mut out, &drift_summary(drifts));
    out
}

fn drift_summary(drifts: &[Drift]) -> String {
    let breaking = drifts.iter().filter(|drift| drift.is_breaking).count();
    let is_unknown = |drift: &&Drift| drift.kind == DriftKind::Unknown;
    let unknown = drifts.iter().filter(is_unknown).count();
    let known = drifts.len() - unknown;
    let changes = plural(known as u64, "change");
    let summary = match (known, breaking) {
        (0, _) if unknown == 0 => "the tools are the same".to_owned(),
        (0, _) => "the tools on the page are the same".to_owned(),
        (_, 0) => format!("{changes} of tools"),
        _ => format!("{changes} of tools, {breaking} that can break clients (!)"),
    };
    match unknown {
        0 => summary,
        _ => format!("{summary}, {unknown} unknown"),
    }
}

/// All of it as one JSON object.
pub(super) fn json(report: Option<&Report>, drift: Option<&[Drift]>, is_same: bool) -> String {
    let mut object = Map::new();
    object.insert("same".to_owned(), json!(is_same));
    if let Some(drift) = drift {
        object.insert("tools".to_owned(), json!(drift));
    }
    if let Some(report) = report {
        let count = |outcome| report.count(outcome);
        let counts = json!({
            "same": count(Outcome::Same),
            "changed": count(Outcome::Changed),
            "missing": count(Outcome::Missing),
            "timed_out": count(Outcome::TimedOut),
            "extra": count(Outcome::Extra),
            "unsent": count(Outcome::Unsent),
        });
        object.insert("counts".to_owned(), counts);
        object.insert("rows".to_owned(), json!(report.rows));
        object.insert("remarks".to_owned(), json!(report.remarks));
        if !report.failures.is_empty() {
            object.insert("failures".to_owned(), json!(report.failures));
        }
    }
    harmless_json(&object) + "\n"
}

fn line(out: &mut String, text: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{}", Safe::of(text).as_str());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(before: &str, after: &str) -> String {
        difference(&RowDifference {
            path: "$.a".to_owned(),
            kind: "changed",
            before: Some(before.to_owned()),
            after: Some(after.to_owned()),
        })
    }

    #[test]
    fn what_a_terminal_would_obey_or_hide_is_escaped_in_json_and_the_value_stays() {
        let title = "a\u{202e}b\u{9b}2J";
        let mut report = Report::default();
        report
            .rows
            .push(Row::new("R1", "tools/call", title, Outcome::Same));
        let text = json(Some(&report), None, true);
        assert!(text.contains("a\\u202eb\\u009b2J"), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(read["rows"][0].to_string().contains(title), "{read}");
    }

    #[test]
    fn values_that_begin_with_the_same_are_shown_from_shortly_before_they_differ() {
        let same = "a".repeat(500);
        let around = "a".repeat(BEFORE);
        assert_eq!(
            told_of(&format!("{same}ONE"), &format!("{same}TWO")),
            format!("$.a: …{around}ONE → …{around}TWO")
        );
        assert_eq!(told_of("ONE", "TWO"), "$.a: ONE → TWO");
        let short = "b".repeat(SHOWN - BEFORE + 1);
        assert_eq!(
            told_of(&format!("{short}1"), &format!("{short}2")),
            format!("$.a: {short}1 → {short}2")
        );
        let long = told_of(&format!("1{same}"), &format!("2{same}"));
        assert_eq!(long.matches('…').count(), 2, "{long}");
    }
}
