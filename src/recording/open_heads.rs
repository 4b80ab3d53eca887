//! What a file has to begin with that continues another one: the sessions, and the heads of what is open.

use std::collections::BTreeMap;

use super::format::{Line, SessionLine};
use super::head_line::HeadLine;
use crate::ids::{ExchangeId, ProxySessionId};
use crate::snapshot::SentHead;

/// Bytes of heads that are kept, roughly. Beyond that the oldest exchanges lack theirs in the next file.
const MAX_BYTES: usize = 16 << 20;

/// What a line takes beside its texts, roughly.
const LINE_BYTES: usize = 512;

/// The lines that are to be repeated, as they were written.
#[derive(Debug, Default)]
pub(super) struct OpenHeads {
    sessions: BTreeMap<ProxySessionId, SessionLine>,
    /// By age, so that the oldest can go.
    exchanges: BTreeMap<ExchangeId, Vec<Line>>,
    bytes: usize,
}

impl OpenHeads {
    /// Takes a line that was written.
    pub(super) fn note(&mut self, line: Line) {
        match line {
            Line::Session(session) => {
                self.sessions.insert(session.session, session);
            }
            Line::SessionEnd(end) => {
                self.sessions.remove(&end.session);
            }
            Line::Request(ref request) => self.keep(request.exchange, line),
            Line::Response(ref response) => self.keep(response.exchange, line),
            Line::ExchangeEnd(end) => self.forget(end.exchange),
            _ => {}
        }
    }

    /// The lines for a file whose times count from `later` microseconds after those of the last one; their moments are
    /// kept that way.
    pub(super) fn lines(&mut self, later: i64) -> Vec<Line> {
        let mut lines = Vec::with_capacity(self.sessions.len() + 2 * self.exchanges.len());
        for session in self.sessions.values_mut() {
            session.us -= later;
            lines.push(Line::Session(session.clone()));
        }
        for line in self.exchanges.values_mut().flatten() {
            match line {
                Line::Request(line) => line.us -= later,
                Line::Response(line) => line.us -= later,
                _ => {}
            }
            lines.push(line.clone());
        }
        lines
    }

    fn keep(&mut self, exchange: ExchangeId, line: Line) {
        self.bytes += weight(&line);
        self.exchanges.entry(exchange).or_default().push(line);
        while self.bytes > MAX_BYTES {
            let Some((oldest, _)) = self.exchanges.first_key_value() else {
                return;
            };
            self.forget(*oldest);
        }
    }

    fn forget(&mut self, exchange: ExchangeId) {
        let lines = self.exchanges.remove(&exchange).unwrap_or_default();
        self.bytes -= lines.iter().map(weight).sum::<usize>();
    }
}

fn weight(line: &Line) -> usize {
    let texts = match line {
        Line::Request(line) => {
            head_bytes(&line.head)
                + line.target.len()
                + text_bytes(&line.rewrites)
                + SentHead::boxed_bytes(line.sent.as_deref())
        }
        Line::Response(line) => {
            head_bytes(&line.head) + text_bytes(&line.rewrites) + SentHead::boxed_bytes(line.sent.as_deref())
        }
        _ => 0,
    };
    LINE_BYTES + texts
}

fn head_bytes(head: &HeadLine) -> usize {
    let fields = head.fields.iter();
    head.line.0.len()
        + fields
            .map(|field| field.name.0.len() + field.value.0.len() + 64)
            .sum::<usize>()
}

fn text_bytes(texts: &[String]) -> usize {
    texts.iter().map(|text| text.len() + 24).sum()
}
