//! An engine made of plain data, for tests of the screens: it answers queries and commands as the real one promises to.

mod held;
mod parts;
pub(crate) mod recordings;
mod scenes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use shadowcat::clock::Timestamp;
use shadowcat::ids::{CallId, ExchangeId, MessageId, StreamId};
use shadowcat::intercept::hold::HeadEdit;
use shadowcat::intercept::interceptor::{InterceptCommand, InterceptReply, InterceptView};
use shadowcat::snapshot::{
    Body, BreakerRow, BreakerState, Carrier, Command, Direction, EndKind, FilterProblem, LogRow,
    MessageDetail, MessagePage, MessageRow, Notice, Outcome, Progress, RecorderState, Reply, Resources,
    RowKind, RowState, SessionRow, Snapshot, Source, SseFields, StreamEvent, StreamRow, Totals, ViewQuery,
};

#[cfg(test)]
pub(crate) use held::{held, held_message};
use parts::{exchange, page, plain_body, session_id};
pub(crate) use parts::{reverse, server};

/// 2026-11-23 12:03:11.204 UTC.
const START: u64 = 1_795_435_391_204_000;

/// History, sessions and all else that a snapshot is cut from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fake {
    pub(crate) rows: Vec<MessageRow>,
    pub(crate) bodies: BTreeMap<u64, Body>,
    pub(crate) sessions: Vec<SessionRow>,
    pub(crate) streams: Vec<StreamRow>,
    pub(crate) log: Vec<LogRow>,
    pub(crate) source: Source,
    pub(crate) recorder: RecorderState,
    pub(crate) intercept: InterceptView,
    /// What was asked about held messages and rules.
    pub(crate) asked: Vec<InterceptCommand>,
    /// What was done to the heads of held messages.
    pub(crate) head_edit: HeadEdit,
    pub(crate) resources: Resources,
    pub(crate) notices: Vec<Notice>,
    pub(crate) rate: f64,
    pub(crate) millis: u64,
    exchanges: u64,
    last: u64,
}

impl Fake {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(START + self.millis * 1_000)
    }

    /// Lets a request and its answer pass.
    pub(crate) fn call(&mut self, method: &str, summary: &str, millis: u64, outcome: Outcome) {
        let took = Duration::from_millis(millis);
        let mut request = self.row(RowKind::Request, Direction::ClientToServer, method, summary);
        request.state = RowState::Answered {
            took,
            outcome,
            status: Some(200),
        };
        self.millis += millis;
        let kind = if outcome == Outcome::Ok {
            RowKind::Result
        } else {
            RowKind::Error
        };
        let text = if outcome == Outcome::Ok {
            "result"
        } else {
            "it did not work"
        };
        self.push(request);
        let mut answer = self.row(kind, Direction::ServerToClient, method, text);
        answer.call = CallId::new(self.exchanges);
        answer.state = RowState::Answer {
            took: Some(took),
            outcome,
            status: Some(200),
        };
        answer.exchange = ExchangeId::new(self.exchanges).unwrap_or(answer.exchange);
        self.push(answer);
        self.millis += 20;
    }

    fn open_call(&mut self, method: &str, summary: &str, progress: Option<(&str, &str)>) {
        let mut request = self.row(RowKind::Request, Direction::ClientToServer, method, summary);
        let progress = progress.map(|(done, total)| Progress {
            progress: done.to_owned(),
            total: Some(total.to_owned()),
        });
        request.state = RowState::Open { progress };
        self.push(request);
        self.millis += 400;
    }

    fn notify(&mut self, direction: Direction, method: &str, summary: &str) {
        let mut row = self.row(RowKind::Notification, direction, method, summary);
        row.rpc_id = None;
        if direction == Direction::ServerToClient {
            (row.stream, row.carrier) = (StreamId::new(1), Carrier::Sse);
        }
        self.push(row);
    }

    fn row(&mut self, kind: RowKind, direction: Direction, method: &str, summary: &str) -> MessageRow {
        self.last += 1;
        if kind == RowKind::Request {
            self.exchanges += 1;
        }
        MessageRow {
            id: MessageId::new(self.last).unwrap(),
            at: self.now(),
            session: Some(session_id("R1")),
            exchange: ExchangeId::new(self.exchanges.max(1)).unwrap(),
            frame: Some(0),
            stream: None,
            call: CallId::new(self.exchanges),
            direction,
            carrier: Carrier::Http,
            kind,
            method: Some(method.to_owned()),
            rpc_id: Some(self.exchanges.to_string()),
            summary: summary.to_owned(),
            size: 212 + self.last * 7,
            server: "everything".to_owned(),
            state: RowState::Passed,
            findings: Vec::new(),
            batch: None,
            has_body: true,
            verdict: None,
        }
    }

    fn push(&mut self, row: MessageRow) {
        let id = row.rpc_id.clone().unwrap_or_default();
        let method = row.method.clone().unwrap_or_default();
        let text = if id.is_empty() {
            format!(
                r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"progressToken":7,"progress":3,"total":10}}}}"#
            )
        } else if row.kind == RowKind::Request {
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"name":"{}","arguments":{{"message":"hello","times":3,"exact":1.10,"deep":[true,null,{{}}]}}}}}}"#,
                row.summary
            )
        } else {
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"Echo: hello"}}]}}}}"#
            )
        };
        self.bodies.insert(row.id.get(), plain_body(&text));
        self.rows.push(row);
    }

    pub(crate) fn stream(&mut self) {
        let number = self.streams.len() as u64 + 1;
        let now = self.now().as_micros();
        let before = |millis: u64| Timestamp::from_micros(now - millis * 1_000);
        let event = |millis, label: &str, kind, comments| StreamEvent {
            at: before(millis),
            message: if comments == 0 {
                MessageId::new(self.last)
            } else {
                None
            },
            event_id: (comments == 0).then(|| format!("evt-{millis}")),
            label: label.to_owned(),
            kind,
            bytes: 96,
            comments,
        };
        let stream = StreamRow {
            id: StreamId::new(number).unwrap(),
            exchange: ExchangeId::new(1).unwrap(),
            session: Some(session_id("R1")),
            server: "everything".to_owned(),
            label: "POST tools/call longRunningOperation".to_owned(),
            opened_at: before(52_000),
            active_at: before(2_000),
            ended: number
                .is_multiple_of(2)
                .then(|| (before(2_000), EndKind::Complete)),
            events: 5,
            comments: 3,
            bytes: 1_730,
            last_event_id: Some("evt-2000".to_owned()),
            retry: Some(3_000),
            resumed_from: None,
            longest_gap: Duration::from_millis(29_900),
            recent: vec![
                event(52_000, "priming", Some(RowKind::Event), 0),
                event(50_000, "progress 1/10", Some(RowKind::Notification), 0),
                event(49_900, "progress 2/10", Some(RowKind::Notification), 0),
                event(20_000, "3 comments", None, 3),
                event(9_000, "elicitation/create", Some(RowKind::Request), 0),
                event(2_000, "progress 3/10", Some(RowKind::Notification), 0),
            ],
        };
        self.streams.push(stream);
    }

    fn log_line(&mut self, level: &str, target: &str, text: &str) {
        self.log.push(LogRow {
            number: self.log.len() as u64 + 1,
            at: self.now(),
            level: level.to_owned(),
            target: target.to_owned(),
            text: text.to_owned(),
        });
    }

    /// Takes the oldest `count` rows out of history.
    pub(crate) fn evict(&mut self, count: usize) {
        self.rows.drain(..count.min(self.rows.len()));
    }

    /// What the engine would publish for `query`.
    pub(crate) fn snapshot(&self, query: &ViewQuery) -> Snapshot {
        Snapshot {
            revision: self.last,
            query_serial: query.serial,
            taken_at: self.now(),
            source: self.source.clone(),
            recorder: self.recorder.clone(),
            intercept: self.intercept.clone(),
            totals: self.totals(),
            sessions: page(&self.sessions, query.sessions, |_| None),
            messages: self.messages(query),
            streams: page(&self.streams, query.streams, |row| Some(row.id)),
            resources: self.resources.clone(),
            log: page(&self.log, query.log, |row| Some(row.number)),
            notices: self.notices.clone(),
        }
    }

    fn totals(&self) -> Totals {
        Totals {
            messages: self.last,
            errors: self.rows.iter().filter(|row| row.kind == RowKind::Error).count() as u64,
            messages_per_second: self.rate,
            ..Totals::default()
        }
    }

    /// The filter of this engine is a piece of text; one with `??` in it cannot be read.
    fn messages(&self, query: &ViewQuery) -> MessagePage {
        let mistake = query.filter.find("??");
        let wanted = if mistake.is_some() {
            ""
        } else {
            query.filter.as_str()
        };
        let is_shown = |row: &&MessageRow| {
            let text = format!("{} {}", row.method.as_deref().unwrap_or_default(), row.summary);
            text.contains(wanted) && (query.session.is_none() || row.session == query.session)
        };
        let matching: Vec<MessageRow> = self.rows.iter().filter(is_shown).cloned().collect();
        let page = page(&matching, query.messages, |row| Some(row.id));
        MessagePage {
            rows: page.rows,
            first: page.first,
            matched: page.total,
            total: self.rows.len() as u64,
            scanned: self.rows.len() as u64,
            filter_error: mistake.map(|column| FilterProblem {
                column,
                length: 2,
                message: "is no comparison; write field:value".to_owned(),
            }),
            newest: self.rows.last().map(|row| row.id),
        }
    }

    /// What the engine would answer.
    pub(crate) fn answer(&mut self, command: Command) -> Reply {
        match command {
            Command::Inspect { id } => self
                .detail(id)
                .map_or(Reply::Gone, |detail| Reply::Detail(Box::new(detail))),
            Command::Find { filter, .. } if filter.starts_with("kind:result") => {
                let good = self.rows.iter().rev().find(|row| row.kind == RowKind::Result);
                Reply::Found(good.map(|row| row.id))
            }
            Command::Find {
                from, is_backwards, ..
            } => {
                let from = from.map_or(0, MessageId::get);
                let is_failure = |row: &&MessageRow| row.kind == RowKind::Error;
                let found = if is_backwards {
                    self.rows
                        .iter()
                        .rev()
                        .filter(is_failure)
                        .find(|row| row.id.get() < from)
                } else {
                    self.rows
                        .iter()
                        .filter(is_failure)
                        .find(|row| row.id.get() > from)
                };
                Reply::Found(found.map(|row| row.id))
            }
            Command::StartRecording { path } => {
                let path = path.unwrap_or_else(|| PathBuf::from("recordings/new.jsonl"));
                self.recorder = RecorderState::On {
                    path,
                    bytes: 0,
                    lines: 0,
                    lost: 0,
                    is_redacted: true,
                    files: 1,
                    removed: 0,
                };
                Reply::Recording(self.recorder.clone())
            }
            Command::Resend(_) => Reply::Resent {
                id: "\"shadowcat-9\"".to_owned(),
            },
            Command::StopRecording => {
                self.recorder = RecorderState::Off;
                Reply::Recording(RecorderState::Off)
            }
            Command::ResetBreaker { .. } => Reply::BreakersReset {
                upstreams: self.reset_breakers(),
            },
            Command::Rows { .. } => Reply::Refused {
                message: "not asked for by a screen".to_owned(),
            },
            Command::Intercept { what, .. } => {
                self.asked.push(what.clone());
                if let InterceptCommand::Head { edit, .. } = &what {
                    self.head_edit = edit.clone();
                }
                if let InterceptCommand::Show { id } = what {
                    return self.held_text(id);
                }
                Reply::Intercept(InterceptReply::Done {
                    words: "done".to_owned(),
                })
            }
        }
    }

    fn reset_breakers(&mut self) -> Vec<String> {
        let Source::Live { upstreams, .. } = &mut self.source else {
            return Vec::new();
        };
        let open = upstreams
            .iter_mut()
            .filter(|upstream| upstream.breaker.state != BreakerState::Closed);
        let reset = open.map(|upstream| {
            upstream.breaker = BreakerRow::default();
            upstream.name.clone()
        });
        reset.collect()
    }

    pub(crate) fn detail(&self, id: MessageId) -> Option<MessageDetail> {
        let row = self.rows.iter().find(|row| row.id == id)?.clone();
        let call = self
            .rows
            .iter()
            .filter(|other| other.call == row.call)
            .cloned()
            .collect();
        let sse = row.stream.map(|_| SseFields {
            event: "message".to_owned(),
            id: Some("evt-7".to_owned()),
            retry: None,
            comments: 0,
        });
        let mut body = self.bodies.get(&id.get()).cloned();
        if let (Some(body), Some(_)) = (&mut body, &sse) {
            body.wire = [
                b"event: message\r\nid: evt-7\r\ndata: ",
                &body.bytes[..],
                b"\r\n\r\n",
            ]
            .concat()
            .into();
        }
        Some(MessageDetail {
            sent: held::sent(&row, body.as_ref()),
            body,
            sse,
            exchange: Some(exchange(&row)),
            call,
            call_cut: 0,
            session: self.sessions.first().cloned(),
            row,
        })
    }
}
