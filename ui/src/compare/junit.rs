//! A comparison as `JUnit` XML, which every CI shows.

use std::fmt::Write as _;

use shadowcat::replay::compare::{Outcome, Report, Row};

use super::text::told;

/// One test suite, a test a row; what differs is a failure.
pub(super) fn xml(name: &str, report: &Report) -> String {
    let failures = report.rows.len() - report.count(Outcome::Same);
    let tests = report.rows.len();
    let suite = escaped(name);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites tests=\"{tests}\" failures=\"{failures}\">\n\
         <testsuite name=\"{suite}\" tests=\"{tests}\" failures=\"{failures}\">\n"
    );
    for (number, row) in report.rows.iter().enumerate() {
        case(&mut out, number + 1, row);
    }
    out.push_str("</testsuite>\n</testsuites>\n");
    out
}

fn case(out: &mut String, number: usize, row: &Row) {
    let (session, title) = (escaped(&row.session), escaped(&row.title()));
    // Calls may have the same title, tests may not.
    let start = format!("<testcase classname=\"{session}\" name=\"{number}. {title}\"");
    // Writing to a string does not fail.
    let _ = match row.outcome {
        Outcome::Same => writeln!(out, "{start}/>"),
        outcome => writeln!(
            out,
            "{start}>\n<failure message=\"{}\">{}</failure>\n</testcase>",
            outcome.name(),
            escaped(&told(row).join("\n"))
        ),
    };
}

/// Text for XML 1.0, which knows no control characters.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            control if control.is_control() => out.push('\u{fffd}'),
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_test_and_text_of_peers_stays_text() {
        let mut report = Report::default();
        report.rows.push(Row::new("R1", "ping", "", Outcome::Same));
        let wrong = Row::new("R1", "tools/call", "a\"<b>\u{1b}", Outcome::Missing);
        report.rows.push(wrong.noting("]]> & gone"));
        let xml = xml("a.jsonl", &report);
        assert!(xml.contains("tests=\"2\" failures=\"1\""), "{xml}");
        assert!(xml.contains("name=\"1. ping\"/>"), "{xml}");
        assert!(
            xml.contains("name=\"2. tools/call a&quot;&lt;b&gt;\u{fffd}\"")
                && xml.contains("(]]&gt; &amp; gone)"),
            "{xml}"
        );
    }
}
