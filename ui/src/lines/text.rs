//! Messages for people. Everything that came from a peer is made safe for the terminal.

use std::io::Write as _;

use jiff::tz::TimeZone;
use shadowcat::snapshot::{Body, MessageRow, Outcome, RowKind, RowState};

use crate::document;
use crate::format;
use crate::row_text;
use crate::text::Safe;
use crate::theme::Theme;
use crate::verdict_text;

/// `12:03:11.204 R1 ◄ #41 tools/call echo ✓ 3 ms 212 B`.
pub(super) fn row(out: &mut Vec<u8>, row: &MessageRow, theme: Theme, zone: &TimeZone) {
    let session = row
        .session
        .map_or_else(|| "-".to_owned(), |session| session.to_string());
    let mut parts = vec![
        format::time_of_day(row.at, zone, false),
        session,
        row_text::direction(row, theme).text(),
        row_text::number(row).as_str().to_owned(),
        row_text::what(row).text().trim_end().to_owned(),
    ];
    if has_own_end(row) {
        parts.push(row_text::state(row, None, theme).text().trim_start().to_owned());
    }
    parts.push(format::size(row.size));
    parts.extend(verdict_text::sentence(row).map(|said| Safe::of(&said).as_str().to_owned()));
    if !row.findings.is_empty() {
        let findings: Vec<&str> = row.findings.iter().map(|finding| finding.text.as_str()).collect();
        parts.push(format!("({})", Safe::of(&findings.join("; ")).as_str()));
    }
    parts.retain(|part| !part.is_empty());
    line(out, &parts.join(" "));
}

/// Whether no other row tells how this one ended. The end of an answered request is in the line of its answer; in its own
/// it would come or not by chance, as the answer was there or not when the request was printed.
const fn has_own_end(row: &MessageRow) -> bool {
    match row.state {
        RowState::Passed | RowState::Answer { .. } => true,
        RowState::Open { .. } => false,
        RowState::Answered { outcome, .. } => {
            matches!(row.kind, RowKind::Http | RowKind::Tunnel | RowKind::Run)
                || matches!(
                    outcome,
                    Outcome::Cancelled | Outcome::ClientGone | Outcome::UpstreamGone | Outcome::Unanswered
                )
        }
    }
}

/// The body below its row: JSON laid out, anything else as it is.
pub(super) fn body(out: &mut Vec<u8>, body: &Body) {
    let layout = if is_json(&body.bytes) {
        document::lay_out(&body.bytes, usize::MAX)
    } else {
        document::as_it_is(&body.bytes)
    };
    for each in &layout.lines {
        line(out, &format!("    {}", each.text()));
    }
    if layout.is_cut {
        line(out, "    (the rest is too long to be laid out)");
    }
    let kept = body.bytes.len() as u64;
    if body.is_cut {
        let (kept, size) = (format::size(kept), format::size(body.size));
        line(out, &format!("    (the first {kept} of {size} were kept)"));
    }
}

/// The whole of it is one JSON value. Nesting too deep to be checked counts as none.
fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// What could not be printed any more.
pub(super) fn gap(out: &mut Vec<u8>, missed: u64, theme: Theme) {
    let (rows, were) = (
        format::plural(missed, "row"),
        if missed == 1 { "was" } else { "were" },
    );
    line(
        out,
        &format!(
            "{} {rows} {were} evicted before they could be printed",
            theme.ellipsis()
        ),
    );
}

fn line(out: &mut Vec<u8>, text: &str) {
    // Writing into a Vec cannot fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use shadowcat::snapshot::{Direction, Finding, RowKind, Severity};

    use super::*;
    use crate::lines::sample_row;
    use crate::theme::Palette;

    fn shown(row: &MessageRow) -> String {
        shown_in(row, false)
    }

    fn shown_in(row: &MessageRow, is_ascii: bool) -> String {
        let mut out = Vec::new();
        let palette = Palette::Mono;
        super::row(&mut out, row, Theme { palette, is_ascii }, &TimeZone::UTC);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_body_that_is_no_json_is_printed_as_it_is() {
        let printed = |bytes: &'static [u8]| {
            let mut out = Vec::new();
            let body = Body {
                bytes: bytes::Bytes::from_static(bytes),
                wire: bytes::Bytes::new(),
                size: bytes.len() as u64,
                is_cut: false,
                coding: None,
                media_type: None,
            };
            super::body(&mut out, &body);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(printed(b"{\"a\":1}"), "    {\n      \"a\": 1\n    }\n");
        assert_eq!(printed(b"{\"a\":1,oops}"), "    {\"a\":1,oops}\n");
    }

    #[test]
    fn an_answer_says_what_it_answers_how_it_went_and_how_long_it_took() {
        let row = sample_row();
        assert_eq!(
            shown(&row),
            "20:26:40.123 R1 ◄ #41 tools/call echo ✓ 3 ms 212 B\n"
        );
        assert!(shown_in(&row, true).is_ascii());
    }

    #[test]
    fn a_request_is_shown_alike_before_and_after_its_answer() {
        let mut row = sample_row();
        row.direction = Direction::ClientToServer;
        row.kind = RowKind::Request;
        row.state = RowState::Open { progress: None };
        row.session = None;
        let before = shown(&row);
        assert_eq!(before, "20:26:40.123 - → #41 tools/call echo 212 B\n");
        row.state = RowState::Answered {
            took: std::time::Duration::from_millis(3),
            outcome: Outcome::Ok,
            status: Some(200),
        };
        assert_eq!(shown(&row), before);
    }

    #[test]
    fn what_a_rule_did_is_at_the_end_of_the_line() {
        let mut row = sample_row();
        row.verdict = Some(shadowcat::snapshot::RowVerdict {
            batch: None,
            rule: "deep\x1b[2J".to_owned(),
            hold: None,
            ending: Some(shadowcat::intercept::hold::Ending::Edited),
            effect: None,
            actor: shadowcat::intercept::hold::Actor::Rule,
            held_for: std::time::Duration::ZERO,
        });
        let shown = shown(&row);
        assert!(shown.contains("212 B edited by rule:deep"), "{shown}");
        assert!(!shown.contains('\x1b'), "{shown:?}");
    }

    #[test]
    fn a_request_that_was_never_answered_says_so() {
        let mut row = sample_row();
        row.state = RowState::Answered {
            took: std::time::Duration::from_millis(3),
            outcome: Outcome::Unanswered,
            status: None,
        };
        assert!(shown(&row).contains("unanswered"), "{}", shown(&row));
    }

    #[test]
    fn what_a_peer_sends_cannot_reach_the_terminal() {
        let mut row = sample_row();
        row.summary = "\x1b[2J\nfake".to_owned();
        row.findings = vec![Finding {
            severity: Severity::Warning,
            text: "odd \x07 bell".to_owned(),
        }];
        let shown = shown(&row);
        assert_eq!(shown.lines().count(), 1);
        assert!(!shown.contains(['\x1b', '\x07']), "{shown:?}");
    }

    #[test]
    fn a_body_is_laid_out_below_its_row_and_says_when_it_was_cut() {
        let mut out = Vec::new();
        let mut kept = Body {
            bytes: bytes::Bytes::from_static(b"{\"a\":[1]}"),
            wire: bytes::Bytes::new(),
            size: 9,
            is_cut: false,
            coding: None,
            media_type: None,
        };
        body(&mut out, &kept);
        kept.bytes = bytes::Bytes::from_static(b"plain\r\n\xff\x1b");
        (kept.is_cut, kept.size) = (true, 4096);
        body(&mut out, &kept);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("    {\n      \"a\": ["), "{text}");
        assert!(text.contains("    plain\n    \\xff"), "{text}");
        assert!(
            text.ends_with("    (the first 9 B of 4 KiB were kept)\n"),
            "{text}"
        );
        assert!(!text.contains('\x1b'));
    }
}
