//! Figures as tables for people and as JSON for programs.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::faults::Faults;

/// Prints a line. Nobody may be there to read it any more.
pub(crate) fn say_line(line: impl fmt::Display) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}");
    let _ = stdout.flush();
}

/// Tells on stderr what is being measured.
pub(crate) fn progress(line: impl fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "… {line}");
}

/// A bound that a figure has to keep.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

impl Bar {
    /// How far a figure is beyond the bound, as a share of it; nothing if it keeps it.
    fn missed_by(self, value: f64) -> Option<f64> {
        let beyond = match self {
            Self::AtMost(limit) => value / limit - 1.0,
            Self::AtLeast(limit) => 1.0 - value / limit,
        };
        (beyond > 0.0).then_some(beyond)
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(formatter, "≤ {limit}"),
            Self::AtLeast(limit) => write!(formatter, "≥ {limit}"),
        }
    }
}

/// One field of a table.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    shown: String,
    value: Value,
    bar: Option<(Bar, f64)>,
}

impl Cell {
    fn number(value: f64, shown: String) -> Self {
        Self {
            shown,
            value: json!(value),
            bar: None,
        }
    }

    pub(crate) fn text(text: impl fmt::Display) -> Self {
        let shown = text.to_string();
        Self {
            value: json!(shown),
            shown,
            bar: None,
        }
    }

    /// Nothing to tell.
    pub(crate) fn none() -> Self {
        Self {
            shown: String::new(),
            value: Value::Null,
            bar: None,
        }
    }

    pub(crate) fn count(count: impl TryInto<u64>) -> Self {
        let count = count.try_into().unwrap_or(u64::MAX);
        Self {
            shown: count.to_string(),
            value: json!(count),
            bar: None,
        }
    }

    /// A whole number of something a second.
    pub(crate) fn rate(value: f64) -> Self {
        Self::number(value, format!("{value:.0}"))
    }

    /// A figure of this unit with a sensible number of digits.
    pub(crate) fn figure(value: f64) -> Self {
        let digits = usize::from(value < 100.0);
        Self::number(value, format!("{value:.digits$}"))
    }

    pub(crate) fn micros(time: Duration) -> Self {
        Self::figure(time.as_secs_f64() * 1e6)
    }

    pub(crate) fn millis(time: Duration) -> Self {
        let value = time.as_secs_f64() * 1e3;
        Self::number(value, format!("{value:.2}"))
    }

    pub(crate) fn mib(bytes: u64) -> Self {
        Self::figure(mib(bytes))
    }

    pub(crate) fn ratio(value: f64) -> Self {
        Self::number(value, format!("{value:.2}"))
    }

    /// The same with the verdict of a bar.
    pub(crate) fn barred(mut self, bar: Bar) -> Self {
        let Some(value) = self.value.as_f64() else {
            return self;
        };
        let verdict = match bar.missed_by(value) {
            None => "ok".to_owned(),
            Some(share) => format!("MISSED by {:.0} %", (share * 100.0).max(1.0)),
        };
        self.shown = format!("{} {verdict} ({bar})", self.shown);
        self.bar = Some((bar, value));
        self
    }

    /// The same with the verdict of a bar on a figure that belongs to it.
    pub(crate) fn judged_by(self, value: f64, bar: Bar) -> Self {
        let verdict = Self::ratio(value).barred(bar);
        let shown = format!("{}, × {}", self.shown, verdict.shown);
        Self {
            shown,
            bar: verdict.bar,
            ..self
        }
    }

    fn misses(&self) -> bool {
        self.bar
            .is_some_and(|(bar, value)| bar.missed_by(value).is_some())
    }
}

/// Bytes in MiB.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A table with a title and what is to be said under it.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    notes: Vec<String>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self {
            title: title.into(),
            columns: columns.to_vec(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn note(&mut self, note: impl fmt::Display) {
        self.notes.push(note.to_string());
    }

    fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.rows.iter().flatten()
    }

    /// How many columns tell what a row is about.
    fn named_by(&self) -> usize {
        self.columns
            .iter()
            .position(|column| *column == "proxy")
            .map_or(2, |proxy| proxy + 1)
    }

    fn to_json(&self) -> Value {
        let row = |row: &Vec<Cell>| {
            let pairs = self.columns.iter().zip(row);
            let members: Map<String, Value> = pairs
                .map(|(name, cell)| ((*name).to_owned(), cell.value.clone()))
                .collect();
            Value::Object(members)
        };
        let rows: Vec<Value> = self.rows.iter().map(row).collect();
        json!({ "title": self.title, "rows": rows, "notes": self.notes })
    }

    fn missed(&self) -> impl Iterator<Item = String> {
        let missed = |row: &Vec<Cell>| {
            let case: Vec<&str> = row
                .iter()
                .take(self.named_by())
                .map(|cell| cell.shown.as_str())
                .collect();
            let named = self.columns.iter().zip(row).filter(|(_, cell)| cell.misses());
            named
                .map(|(column, cell)| format!("{}: {}: {column} {}", self.title, case.join(" "), cell.shown))
                .collect::<Vec<_>>()
        };
        self.rows.iter().flat_map(missed)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |index: usize| {
            let cells = self
                .rows
                .iter()
                .filter_map(|row| row.get(index))
                .map(|cell| cell.shown.chars().count());
            let name = self.columns.get(index).map_or(0, |name| name.chars().count());
            cells.chain([name]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        writeln!(formatter, "\n## {}\n", self.title)?;
        write_row(
            formatter,
            self.columns.iter().copied().zip(widths.iter().copied()),
        )?;
        let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        write_row(
            formatter,
            rules.iter().map(String::as_str).zip(widths.iter().copied()),
        )?;
        for row in &self.rows {
            write_row(
                formatter,
                row.iter()
                    .map(|cell| cell.shown.as_str())
                    .zip(widths.iter().copied()),
            )?;
        }
        self.notes
            .iter()
            .try_for_each(|note| write!(formatter, "\n{note}\n"))
    }
}

fn write_row<'a>(
    formatter: &mut fmt::Formatter<'_>,
    cells: impl Iterator<Item = (&'a str, usize)>,
) -> fmt::Result {
    for (cell, width) in cells {
        write!(formatter, "| {cell:width$} ")?;
    }
    writeln!(formatter, "|")
}

/// All that a run has found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    tables: Vec<Table>,
    faults: Faults,
    failures: Vec<String>,
}

impl Report {
    /// Prints a table and keeps it.
    pub(crate) fn table(&mut self, table: Table) {
        say_line(&table);
        self.tables.push(table);
    }

    /// Adds faults in messages to those of the whole run.
    pub(crate) fn faults(&mut self, faults: &Faults) {
        self.faults.merge(faults);
    }

    /// Notes that something failed that is no fault of a message.
    pub(crate) fn failure(&mut self, failure: impl Into<String>) {
        self.failures.push(failure.into());
    }

    /// Whether every message was right and nothing failed.
    pub(crate) fn is_sound(&self) -> bool {
        self.faults.is_empty() && self.failures.is_empty()
    }

    /// Prints what was missed and what was wrong.
    pub(crate) fn print_summary(&self) {
        let missed: Vec<String> = self.tables.iter().flat_map(Table::missed).collect();
        let barred = self
            .tables
            .iter()
            .flat_map(Table::cells)
            .filter(|cell| cell.bar.is_some())
            .count();
        say_line(format_args!("\n{} of {barred} bars kept", barred - missed.len()));
        for line in &missed {
            say_line(format_args!("- {line}"));
        }
        if self.faults.is_empty() {
            say_line("every message was whole, in order and came once");
        } else {
            say_line(format_args!("FAULTS: {}", self.faults));
        }
        self.failures
            .iter()
            .for_each(|failure| say_line(format_args!("FAILED: {failure}")));
    }

    /// Writes all figures.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write_json(&self, path: &Path) -> Result<()> {
        let tables: Vec<Value> = self.tables.iter().map(Table::to_json).collect();
        let missed: Vec<String> = self.tables.iter().flat_map(Table::missed).collect();
        let all = json!({
            "created": jiff::Timestamp::now().to_string(),
            "tables": tables,
            "missed": missed,
            "faults": self.faults,
            "failures": self.failures,
        });
        let text = serde_json::to_string_pretty(&all)?;
        std::fs::write(path, text + "\n").with_context(|| format!("could not write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_tells_by_how_much_it_was_missed() {
        assert_eq!(
            Cell::ratio(1.25).barred(Bar::AtMost(1.3)).shown,
            "1.25 ok (≤ 1.3)"
        );
        assert_eq!(
            Cell::ratio(1.56).barred(Bar::AtMost(1.3)).shown,
            "1.56 MISSED by 20 % (≤ 1.3)"
        );
        assert_eq!(
            Cell::ratio(0.6).barred(Bar::AtLeast(0.75)).shown,
            "0.60 MISSED by 20 % (≥ 0.75)"
        );
        assert_eq!(
            Cell::ratio(0.8).barred(Bar::AtLeast(0.75)).shown,
            "0.80 ok (≥ 0.75)"
        );
    }

    #[test]
    fn a_table_is_markdown_with_even_columns() {
        let mut table = Table::new("calls", &["proxy", "calls/s"]);
        table.row([Cell::text("bare"), Cell::rate(12_345.6)]);
        assert_eq!(
            table.to_string(),
            "\n## calls\n\n| proxy | calls/s |\n| ----- | ------- |\n| bare  | 12346   |\n"
        );
    }

    #[test]
    fn a_fault_makes_a_report_unsound_and_a_missed_bar_does_not() {
        let mut report = Report::default();
        let mut table = Table::new("calls", &["ratio"]);
        table.row([Cell::ratio(2.0).barred(Bar::AtMost(1.0))]);
        report.tables.push(table);
        assert!(report.is_sound());
        let mut faults = Faults::default();
        faults.failed("a status");
        report.faults(&faults);
        assert!(!report.is_sound());
    }
}
