//! A message as one line of text or JSON, for headless mode and for `show`.

#[cfg_attr(
    not(unix),
    expect(dead_code, reason = "there is no `held` without Unix sockets")
)]
pub(crate) mod held;
mod json;
mod text;

use jiff::tz::TimeZone;
use shadowcat::intercept::hold::{HoldEvent, HoldEvents};
use shadowcat::recording::TextMask;
use shadowcat::snapshot::{Body, MessageRow};

use crate::cli::Format;
use crate::theme::{Palette, Theme};

/// Writes messages in one of the formats.
#[derive(Debug, Clone)]
pub(crate) struct LineWriter {
    format: Format,
    theme: Theme,
    zone: TimeZone,
    mask: Option<TextMask>,
}

impl LineWriter {
    /// Times are shown in local time in text, in UTC in JSON.
    pub(crate) fn new(format: Format, is_ascii: bool) -> Self {
        let palette = Palette::Mono;
        Self {
            format,
            theme: Theme { palette, is_ascii },
            zone: TimeZone::system(),
            mask: None,
        }
    }

    /// Live traffic may carry secrets, and a line may end in a file: they are replaced by tags, as in a recording. What a
    /// recording holds was masked when it was written.
    pub(crate) fn masking(self, mask: TextMask) -> Self {
        Self {
            mask: Some(mask),
            ..self
        }
    }

    /// Adds the line of `row` to `out`, and `body` if there is one.
    pub(crate) fn row(&self, out: &mut Vec<u8>, row: &MessageRow, body: Option<&Body>) {
        let masked = self.masked(row);
        let row = masked.as_ref().unwrap_or(row);
        match self.format {
            Format::Json => json::row(out, row, body),
            Format::Text => {
                text::row(out, row, self.theme, &self.zone);
                if let Some(body) = body {
                    text::body(out, body);
                }
            }
        }
    }

    /// The row without secrets, if they are to be replaced.
    fn masked(&self, row: &MessageRow) -> Option<MessageRow> {
        let mask = self.mask.as_ref()?;
        let mut row = row.clone();
        row.summary = mask.masked(&row.summary);
        for finding in &mut row.findings {
            finding.text = mask.masked(&finding.text);
        }
        let rule = row.verdict.as_mut().map(|verdict| &mut verdict.rule);
        let names = [row.method.as_mut(), row.rpc_id.as_mut(), rule];
        for name in names.into_iter().flatten().chain([&mut row.server]) {
            *name = mask.masked_name(name);
        }
        Some(row)
    }

    /// The same for a held message.
    fn masked_event(&self, event: &HoldEvent) -> Option<HoldEvent> {
        let mask = self.mask.as_ref()?;
        let mut event = event.clone();
        let row = &mut event.row;
        row.name = row.name.as_deref().map(|name| mask.masked(name));
        let names = [row.method.as_mut(), row.rpc_id.as_mut(), row.client.as_mut()];
        for name in names
            .into_iter()
            .flatten()
            .chain([&mut row.server, &mut row.rule])
        {
            *name = mask.masked_name(name);
        }
        Some(event)
    }

    /// Adds a line for each thing that happened to held messages.
    pub(crate) fn holds(&self, out: &mut Vec<u8>, news: &HoldEvents) {
        if news.missed > 0 {
            self.gap(out, news.missed);
        }
        for event in &news.events {
            let masked = self.masked_event(event);
            let event = masked.as_ref().unwrap_or(event);
            match self.format {
                Format::Json => held::json_event(out, event),
                Format::Text => held::text_event(out, event, self.theme, &self.zone),
            }
        }
    }

    /// Adds a line that says that `missed` rows came and went.
    pub(crate) fn gap(&self, out: &mut Vec<u8>, missed: u64) {
        match self.format {
            Format::Json => json::gap(out, missed),
            Format::Text => text::gap(out, missed, self.theme),
        }
    }
}

/// `row` as [`Format::Json`] prints it, without the end of the line.
pub(crate) fn as_json(row: &MessageRow) -> String {
    let mut out = Vec::new();
    json::row(&mut out, row, None);
    String::from_utf8_lossy(out.trim_ascii_end()).into_owned()
}

#[cfg(test)]
pub(crate) fn sample_row() -> MessageRow {
    use shadowcat::snapshot::{Carrier, Direction, Outcome, RowKind, RowState};
    MessageRow {
        id: shadowcat::ids::MessageId::new(7).unwrap(),
        at: shadowcat::clock::Timestamp::from_micros(1_780_000_000_123_456),
        session: "R1".parse().ok(),
        exchange: shadowcat::ids::ExchangeId::new(3).unwrap(),
        frame: Some(0),
        stream: None,
        call: shadowcat::ids::CallId::new(2),
        direction: Direction::ServerToClient,
        carrier: Carrier::Http,
        kind: RowKind::Result,
        method: Some("tools/call".to_owned()),
        rpc_id: Some("41".to_owned()),
        summary: "echo".to_owned(),
        size: 212,
        server: "everything".to_owned(),
        state: RowState::Answer {
            took: Some(std::time::Duration::from_micros(3_250)),
            outcome: Outcome::Ok,
            status: Some(200),
        },
        findings: Vec::new(),
        batch: None,
        has_body: true,
        verdict: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_line_has_no_token_of_a_target_in_it() {
        let mut row = sample_row();
        row.summary = "/mcp?sessionId=s3cr3t&page=2 password=s3cr3t, Bearer s3cr3t".to_owned();
        row.findings.push(shadowcat::snapshot::Finding {
            severity: shadowcat::snapshot::Severity::Info,
            text: "the server said api_key=s3cr3t".to_owned(),
        });
        for format in [Format::Text, Format::Json] {
            let writer = LineWriter::new(format, true).masking(TextMask::random().unwrap());
            let mut out = Vec::new();
            writer.row(&mut out, &row, None);
            let line = String::from_utf8(out).unwrap();
            assert!(!line.contains("s3cr3t") && line.contains("page=2"), "{line}");
        }
    }

    #[test]
    fn a_live_line_has_nothing_in_it_that_a_pattern_finds() {
        let mut row = sample_row();
        row.method = Some("acme-1/x".to_owned());
        row.rpc_id = Some("\"acme-2\"".to_owned());
        row.summary = "acme-3".to_owned();
        row.server = "acme-4".to_owned();
        row.findings.push(shadowcat::snapshot::Finding {
            severity: shadowcat::snapshot::Severity::Info,
            text: "acme-5".to_owned(),
        });
        let pattern = "acme-[0-9]".parse().unwrap();
        let mask = TextMask::random().unwrap();
        let mask = mask.with_patterns([pattern].into_iter().collect());
        for format in [Format::Text, Format::Json] {
            let writer = LineWriter::new(format, true).masking(mask.clone());
            let mut out = Vec::new();
            writer.row(&mut out, &row, None);
            let line = String::from_utf8(out).unwrap();
            assert!(!line.contains("acme-") && line.contains("/x"), "{line}");
            assert!(line.contains("secret:"), "{line}");
        }
    }
}
