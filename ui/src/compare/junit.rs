//! A comparison as `JUnit` XML, which every CI shows.

use std::fmt::Write as _;

use shadowcat::replay::compare::{Outcome, Report, Row};

use super::text::told;
use crate::text::Safe;

/// One test suite, a test a row; what differs is a failure, what was not sent an error. Why sessions could not be talked
/// through, and what else is remarkable, is the suite's error output.
pub(super) fn xml(name: &str, report: &Report) -> String {
    let tests = report.rows.len();
    let errors = report.count(Outcome::Unsent);
    let failures = tests - report.count(Outcome::Same) - errors;
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\"");
    let suite = escaped(name);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n<testsuite name=\"{suite}\" {counts}>\n"
    );
    for (number, row) in report.rows.iter().enumerate() {
        case(&mut out, number + 1, row);
    }
    let said: Vec<String> = report
        .failures
        .iter()
        .chain(&report.remarks)
        .map(|line| escaped(line))
        .collect();
    if !said.is_empty() {
        // Writing to a string does not fail.
        let _ = writeln!(out, "<system-err>{}</system-err>", said.join("\n"));
    }
    out.push_str("</testsuite>\n</testsuites>\n");
    out
}

fn case(out: &mut String, number: usize, row: &Row) {
    let (session, title) = (escaped(&row.session), escaped(&row.title()));
    // Calls may have the same title, tests may not.
    let start = format!("<testcase classname=\"{session}\" name=\"{number}. {title}\"");
    let kind = match row.outcome {
        Outcome::Same => {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{start}/>");
            return;
        }
        Outcome::Unsent => "error",
        _ => "failure",
    };
    let lines: Vec<String> = told(row).iter().map(|line| escaped(line)).collect();
    let _ = writeln!(
        out,
        "{start}>\n<{kind} message=\"{}\">{}</{kind}>\n</testcase>",
        row.outcome.name(),
        lines.join("\n")
    );
}

/// A line of text for XML 1.0, in content and in attributes. What is not seen, turns text around or is no character of XML
/// is escaped as on the screen, so that who reads the file sees what is there.
///
/// Source: XML 1.0, sections 2.2 and 2.4.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in Safe::of(text).as_str().chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
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
        let late = Row::new("R1", "tools/call", "b", Outcome::TimedOut);
        report.rows.push(late.noting("no answer within 30s"));
        let unsent = Row::new("R1", "tools/call", "c", Outcome::Unsent);
        report.rows.push(unsent.noting("not sent: interrupted"));
        report.failures.push("R1: <no> handshake".to_owned());
        let xml = xml("a.jsonl", &report);
        assert!(
            xml.contains("<testsuite name=\"a.jsonl\" tests=\"4\" failures=\"2\" errors=\"1\">"),
            "{xml}"
        );
        assert!(xml.contains("name=\"1. ping\"/>"), "{xml}");
        assert!(
            xml.contains("name=\"2. tools/call a&quot;&lt;b&gt;␛\"") && xml.contains("(]]&gt; &amp; gone)"),
            "{xml}"
        );
        assert!(
            xml.contains("<failure message=\"timed out\">(no answer within 30s)</failure>"),
            "{xml}"
        );
        assert!(
            xml.contains("<error message=\"unsent\">(not sent: interrupted)</error>"),
            "{xml}"
        );
        assert!(
            xml.contains("<system-err>R1: &lt;no&gt; handshake</system-err>"),
            "{xml}"
        );
    }

    #[test]
    fn every_character_is_seen_or_escaped_and_belongs_to_xml() {
        for number in (0..0x3000).chain(0xd7ff..=0x1_0fff).chain([0xe_0041, 0x10_ffff]) {
            let Some(character) = char::from_u32(number) else {
                continue;
            };
            let text = escaped(&format!("a{character}b"));
            let is_fine = |character: char| {
                !matches!(character, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' | '<' | '"')
                    && !shadowcat::codec::hidden::is_hidden(character)
            };
            assert!(text.chars().all(is_fine), "{number:x}: {text}");
        }
        assert_eq!(escaped("a\u{202e}b\u{0}\r\n\u{ffff}"), "a\\u{202e}b␀␍␊\\u{ffff}");
    }
}
