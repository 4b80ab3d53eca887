//! A message as one line of text or JSON, for headless mode and for `show`.

mod json;
mod text;

use jiff::tz::TimeZone;
use shadowcat::snapshot::{Body, MessageRow};

use crate::cli::Format;
use crate::theme::{Palette, Theme};

/// Writes messages in one of the formats.
#[derive(Debug, Clone)]
pub(crate) struct LineWriter {
    format: Format,
    theme: Theme,
    zone: TimeZone,
}

impl LineWriter {
    /// Times are shown in local time in text, in UTC in JSON.
    pub(crate) fn new(format: Format, is_ascii: bool) -> Self {
        let palette = Palette::Mono;
        Self {
            format,
            theme: Theme { palette, is_ascii },
            zone: TimeZone::system(),
        }
    }

    /// Adds the line of `row` to `out`, and `body` if there is one.
    pub(crate) fn row(&self, out: &mut Vec<u8>, row: &MessageRow, body: Option<&Body>) {
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

    /// Adds a line that says that `missed` rows came and went.
    pub(crate) fn gap(&self, out: &mut Vec<u8>, missed: u64) {
        match self.format {
            Format::Json => json::gap(out, missed),
            Format::Text => text::gap(out, missed, self.theme),
        }
    }
}

#[cfg(test)]
pub(crate) fn sample_row() -> MessageRow {
    use shadowcat::snapshot::{Carrier, Direction, Outcome, RowKind, RowState};
    MessageRow {
        id: shadowcat::ids::MessageId::new(7).unwrap(),
        at: shadowcat::clock::Timestamp::from_micros(1_780_000_000_123_456),
        session: "R1".parse().ok(),
        exchange: shadowcat::ids::ExchangeId::new(3).unwrap(),
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
    }
}
