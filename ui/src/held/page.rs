//! What is printed of held messages. Whatever came from a peer is made safe for a terminal.

use std::fmt::Write as _;

use serde::Serialize;
use shadowcat::intercept::edit::{self, Difference, DifferenceKind, Expectation, Problem};
use shadowcat::intercept::hold::{HeldRow, HeldState};
use shadowcat::intercept::interceptor::HeldText;
use shadowcat::snapshot::{RowKind, Severity};

use crate::document;
use crate::format;
use crate::lines::held::{HeldJson, arrow, what};
use crate::text::{Safe, harmless_json};
use crate::theme::{Palette, Theme};

const THEME: Theme = Theme {
    palette: Palette::Mono,
    is_ascii: false,
};
/// Most columns of a cell.
const MAX_CELL: usize = 60;
const HEADINGS: [&str; 8] = ["ID", "STATE", "SESSION", "", "MESSAGE", "HELD", "BEHIND", "RULE"];

/// A table for people.
pub(super) fn table(rows: &[HeldRow]) -> String {
    if rows.is_empty() {
        return "nothing is held\n".to_owned();
    }
    let mut lines = vec![HEADINGS.map(Safe::fixed)];
    lines.extend(rows.iter().map(cells));
    let width = |column: usize| lines.iter().map(|cells| cells[column].width()).max();
    let widths: Vec<usize> = (0..HEADINGS.len()).map(|at| width(at).unwrap_or(0)).collect();
    let mut page = String::new();
    for cells in &lines {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            let pad = width - cell.width();
            let _ = write!(line, "{}{:pad$}  ", cell.as_str(), "");
        }
        let _ = writeln!(page, "{}", line.trim_end());
    }
    page
}

fn cells(row: &HeldRow) -> [Safe; 8] {
    let session = row.session.map(|session| session.to_string());
    let time = format!(
        "{} of {}",
        format::duration(row.age),
        format::duration(row.budget)
    );
    let cell = |text: &str| Safe::of(text).fit(MAX_CELL, "…");
    [
        cell(&row.id.to_string()),
        cell(state(row)),
        cell(session.as_deref().unwrap_or("-")),
        arrow(row.direction, THEME),
        what(row).fit(MAX_CELL, "…"),
        cell(&time),
        cell(&row.queued_behind.to_string()),
        cell(&row.rule),
    ]
}

const fn state(row: &HeldRow) -> &'static str {
    match row.state {
        HeldState::Queued => "queued",
        HeldState::Editing => "editing",
        HeldState::Decided => "decided",
        HeldState::Held if row.is_edited => "edited",
        HeldState::Held => "held",
    }
}

/// A JSON array for programs.
pub(super) fn list(rows: &[HeldRow]) -> String {
    let rows: Vec<HeldJson<'_>> = rows.iter().map(HeldJson::from).collect();
    format!("{}\n", harmless_json(&rows))
}

/// A message with what is known of it, for people.
pub(super) fn message(message: &HeldText) -> String {
    let row = &message.row;
    let mut page = String::new();
    let facts = [
        ("message", what(row).as_str().to_owned()),
        ("state", state(row).to_owned()),
        ("rule", row.rule.clone()),
        ("server", row.server.clone()),
        ("client", row.client.clone().unwrap_or_default()),
        (
            "session",
            row.session.map(|session| session.to_string()).unwrap_or_default(),
        ),
        ("held", format::duration(row.age)),
        (
            "budget",
            format!("{} ({})", format::duration(row.budget), row.budget_source),
        ),
        ("behind it", row.queued_behind.to_string()),
    ];
    let _ = writeln!(page, "{}", row.id);
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(page, "  {name:<10} {}", Safe::of(value).as_str());
    }
    head(&mut page, message);
    body(&mut page, "as it came", message.original.as_bytes());
    if let Some(edited) = &message.edited {
        body(&mut page, "goes on as", edited.as_bytes());
        page.push_str(&difference(message, edited));
    }
    page
}

/// The head of what is no MCP; secrets are placeholders.
fn head(page: &mut String, message: &HeldText) {
    let is_http = matches!(message.row.kind, RowKind::Http | RowKind::HttpResponse);
    let Some(head) = message.head.as_ref().filter(|_| is_http) else {
        return;
    };
    let _ = writeln!(page, "head:");
    let front = edit::FrontMatter::of(&head.fields, &message.head_edit.fields);
    for line in front.lines() {
        let _ = writeln!(page, "    {}", Safe::of(&line).as_str());
    }
}

fn body(page: &mut String, title: &str, bytes: &[u8]) {
    let _ = writeln!(page, "{title}:");
    for line in document::lay_out(bytes, usize::MAX).lines {
        let _ = writeln!(page, "    {}", line.text());
    }
}

/// The same for programs.
pub(super) fn message_json(message: &HeldText) -> String {
    #[derive(Serialize)]
    struct Message<'a> {
        #[serde(flatten)]
        row: HeldJson<'a>,
        original: &'a str,
        edited: Option<&'a str>,
    }
    let message = Message {
        row: HeldJson::from(&message.row),
        original: &message.original,
        edited: message.edited.as_deref(),
    };
    format!("{}\n", harmless_json(&message))
}

/// What differs, value by value, and what is wrong with the message now.
pub(super) fn difference(message: &HeldText, edited: &str) -> String {
    let schema = message.schema.as_deref();
    difference_of(message.original.as_bytes(), edited.as_bytes(), schema)
}

fn difference_of(original: &[u8], edited: &[u8], schema: Option<&str>) -> String {
    let mut page = String::new();
    let differences = edit::diff(original, edited);
    if differences.is_empty() {
        page.push_str("no value differs from what came\n");
    }
    for difference in &differences {
        let _ = writeln!(page, "{}", difference_line(difference).as_str());
    }
    // Of another tool nothing is known here.
    let tool = |text| edit::value_at(text, "$.params.name");
    let expectation = Expectation {
        original,
        schema: schema.filter(|_| tool(original) == tool(edited)),
    };
    for problem in edit::check(edited, &expectation) {
        let _ = writeln!(page, "{}", problem_line(&problem).as_str());
    }
    page
}

fn difference_line(difference: &Difference) -> Safe {
    let Difference {
        path, before, after, ..
    } = difference;
    let (before, after) = (before.as_deref().unwrap_or(""), after.as_deref().unwrap_or(""));
    Safe::of(&match difference.kind {
        DifferenceKind::Added => format!("+ {path}: {after}"),
        DifferenceKind::Removed => format!("- {path}: {before}"),
        DifferenceKind::Changed => format!("~ {path}: {before} → {after}"),
    })
}

fn problem_line(problem: &Problem) -> Safe {
    let Problem {
        line,
        column,
        path,
        text,
        ..
    } = problem;
    let word = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    };
    Safe::of(&format!("{word}: {line}:{column} {path}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_told_value_by_value_with_what_is_wrong_now() {
        let page = difference_of(
            br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"x":1,"y":2}}"#,
            br#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"x":7,"z":"\u001b[2J"}}"#,
            None,
        );
        for line in ["~ $.params.x: 1 → 7", "- $.params.y: 2", "+ $.params.z: "] {
            assert!(page.contains(line), "{line} is not in {page}");
        }
        assert!(page.contains("warning: ") && page.contains("id"), "{page}");
        assert!(!page.contains('\u{1b}'), "{page:?}");
    }
}
