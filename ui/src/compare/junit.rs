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
    use proptest::prelude::*;

    use super::*;

    /// The tags in order of their closing; `None` if anything is open, stray or not escaped.
    fn closed_tags(xml: &str) -> Option<Vec<&str>> {
        let (mut open, mut closed) = (Vec::new(), Vec::new());
        let mut rest = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")?;
        while let Some((text, markup)) = rest.split_once('<') {
            let (tag, after) = markup.split_once('>')?;
            let name = tag.trim_start_matches('/').split([' ', '/']).next()?;
            let values: Vec<&str> = tag.split('"').skip(1).step_by(2).collect();
            let is_escaped = values.iter().chain([&text]).all(|text| is_text(text));
            if !is_escaped || tag.matches('"').count() % 2 == 1 {
                return None;
            }
            match (tag.starts_with('/'), tag.ends_with('/')) {
                (true, _) => closed.push(open.pop().filter(|open| *open == name)?),
                (_, true) => closed.push(name),
                _ => open.push(name),
            }
            rest = after;
        }
        (open.is_empty() && rest == "\n").then_some(closed)
    }

    fn is_text(text: &str) -> bool {
        let entities = ["amp;", "lt;", "gt;", "quot;"];
        let is_known = |after: &str| entities.iter().any(|entity| after.starts_with(entity));
        text.split('&').skip(1).all(is_known)
            && !text.contains(['<', '>', '"'])
            && text
                .chars()
                .all(|c| matches!(c, '\n' | '\t') || !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}'))
    }

    proptest! {
        #[test]
        fn whatever_peers_say_the_xml_is_well_formed(
            name: String,
            session in "[R-S<>&\"'\\PC]{0,8}",
            words in prop::collection::vec("([<>&\"'/\\]\\[!-]|\\PC|\\pC){0,12}", 3),
        ) {
            let mut report = Report::default();
            report.rows.push(Row::new(&session, &words[0], &words[1], Outcome::Same));
            report.rows.push(Row::new(&session, &words[1], &words[2], Outcome::Changed).noting(&*words[2]));
            let xml = xml(&name, &report);
            let expected = ["testcase", "failure", "testcase", "testsuite", "testsuites"];
            prop_assert_eq!(closed_tags(&xml), Some(expected.to_vec()), "{}", xml);
        }
    }

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
