//! The lines of several files as those of one: one count of time, one of numbers, nothing twice.

use std::collections::{BTreeMap, BTreeSet};

use super::format::{ExchangeEndLine, GapLine, Line};
use crate::ids::{ExchangeId, ProxySessionId};

/// Open exchanges that are remembered. Beyond that the heads of the oldest may come again.
const MAX_OPEN: usize = 1 << 17;

/// What is known of the files so far.
#[derive(Debug, Default)]
pub(super) struct Join {
    /// Whether the response's head has come, by exchange.
    open: BTreeMap<ExchangeId, bool>,
    sessions: BTreeSet<ProxySessionId>,
    /// What the times of this file lack to count from the first one.
    later_us: i64,
    /// What its numbers lack to go on with those of the file before.
    later_seq: i64,
    last_seq: u64,
    is_later_file: bool,
}

impl Join {
    /// The next file begins, `later_us` microseconds after the first one.
    pub(super) fn next_file(&mut self, later_us: i64) {
        self.later_us = later_us;
        self.later_seq = i64::try_from(self.last_seq).unwrap_or(i64::MAX);
        self.is_later_file = true;
    }

    /// The line as one of the whole recording; `None` if that has it already.
    pub(super) fn line(&mut self, mut line: Line, is_last_file: bool) -> Option<Line> {
        let is_new = self.note(&line);
        let is_inner = matches!(line, Line::Header(_)) || matches!(line, Line::End(_)) && !is_last_file;
        if is_inner || self.is_later_file && !is_new {
            self.later_seq -= i64::from(line.seq().is_some());
            return None;
        }
        if let Some(seq) = line.seq() {
            let seq = seq.saturating_add_signed(self.later_seq);
            line.set_seq(seq);
            self.last_seq = self.last_seq.max(seq);
        }
        if self.later_us != 0 {
            shift(&mut line, self.later_us);
        }
        Some(line)
    }

    /// Whether the line says something that was not said before.
    fn note(&mut self, line: &Line) -> bool {
        match line {
            Line::Session(session) => self.sessions.insert(session.session),
            Line::SessionEnd(end) => {
                self.sessions.remove(&end.session);
                true
            }
            Line::Request(request) => {
                if self.open.contains_key(&request.exchange) {
                    return false;
                }
                if self.open.len() >= MAX_OPEN {
                    self.open.pop_first();
                }
                self.open.insert(request.exchange, false);
                true
            }
            Line::Response(response) => self
                .open
                .get_mut(&response.exchange)
                .is_none_or(|has_response| !std::mem::replace(has_response, true)),
            Line::ExchangeEnd(end) => {
                self.open.remove(&end.exchange);
                true
            }
            _ => true,
        }
    }
}

fn shift(line: &mut Line, by: i64) {
    match line {
        Line::Session(line) => delay(&mut line.us, by),
        Line::SessionEnd(line) => delay(&mut line.us, by),
        Line::Request(line) => delay(&mut line.us, by),
        Line::Response(line) => delay(&mut line.us, by),
        Line::Rewrite(line) => delay(&mut line.us, by),
        Line::Verdict(line) => delay(&mut line.us, by),
        Line::Frame(line) => delay(&mut line.us, by),
        Line::ExchangeEnd(line) => shift_end(line, by),
        Line::Gap(line) => shift_gap(line, by),
        Line::End(line) => delay(&mut line.us, by),
        Line::Header(_) | Line::Unknown => {}
    }
}

/// Times of a broken file may be anything.
fn delay(us: &mut i64, by: i64) {
    *us = us.saturating_add(by);
}

fn shift_gap(line: &mut GapLine, by: i64) {
    for us in [&mut line.us, &mut line.from, &mut line.to] {
        delay(us, by);
    }
}

fn shift_end(line: &mut ExchangeEndLine, by: i64) {
    delay(&mut line.us, by);
    let timing = &mut line.timing;
    delay(&mut timing.started, by);
    let moments = [
        &mut timing.request_done,
        &mut timing.sent,
        &mut timing.response_head,
        &mut timing.handed_on,
        &mut timing.first_byte,
        &mut timing.done,
    ];
    moments.into_iter().flatten().for_each(|us| delay(us, by));
}
