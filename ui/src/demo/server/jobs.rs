//! The tools that take a while and say so on a stream: progress, log lines, then the answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::events::{EventLog, plain_event};
use crate::demo::wire::{self, Fault, INVALID_PARAMS, METHOD_NOT_FOUND, at, text_at};

/// Steps of `long_report`.
const CHAPTERS: u64 = 3;
/// The most that `slow_count` counts to.
const MAX_COUNT: u64 = 100;
/// The longest pause between two steps, in milliseconds.
const MAX_DELAY_MS: u64 = 5000;

/// Whether `tools/call` with these parameters is answered by a stream.
pub(super) fn is_streamed(params: &Value) -> bool {
    matches!(
        text_at(params, &["name"]),
        Some("slow_count" | "long_report" | "flaky")
    )
}

/// Where a job's messages go.
#[derive(Debug)]
pub(super) enum Outlet {
    /// A legacy stream, which keeps its last events.
    Log(Arc<EventLog>),
    /// A modern stream; the job waits while its client does not read.
    Channel(mpsc::Sender<Bytes>),
}

impl Outlet {
    async fn send(&self, message: &Value) {
        match self {
            Self::Log(log) => log.push(message),
            // A closed channel is noticed by whoever runs the job.
            Self::Channel(sender) => drop(sender.send(plain_event(message)).await),
        }
    }
}

/// One streamed `tools/call`.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) params: Value,
    log_rank: Option<usize>,
    outlet: Outlet,
}

impl Job {
    /// The job that a request asks for, with the quietest log level that its client wants to hear.
    pub(super) fn new(request: &Value, log_rank: Option<usize>, outlet: Outlet) -> Self {
        Self {
            params: at(request, &["params"]).clone(),
            log_rank,
            outlet,
        }
    }

    pub(super) fn is_long_report(&self) -> bool {
        text_at(&self.params, &["name"]) == Some("long_report")
    }

    /// Does the job. Dropping the future cancels it.
    ///
    /// # Errors
    /// A JSON-RPC error for bad arguments; a tool that fails is a result.
    pub(super) async fn run(&self) -> Result<Value, Fault> {
        match text_at(&self.params, &["name"]) {
            Some("slow_count") => self.slow_count().await,
            Some("long_report") => Ok(self.long_report().await),
            Some("flaky") => Ok(self.flaky().await),
            _ => Err(Fault::new(METHOD_NOT_FOUND, "there is no such job")),
        }
    }

    async fn slow_count(&self) -> Result<Value, Fault> {
        let to = at(&self.params, &["arguments", "to"]).as_u64();
        let to = to.filter(|to| (1..=MAX_COUNT).contains(to));
        let to = to.ok_or_else(|| Fault::new(INVALID_PARAMS, "`to` must be a number from 1 to 100"))?;
        self.log("info", json!(format!("counting to {to}"))).await;
        for number in 1..=to {
            tokio::time::sleep(self.delay()).await;
            self.progress(number, to, &format!("counted {number} of {to}"))
                .await;
        }
        self.log("debug", json!({ "counted": to, "mood": "content \u{1f431}" }))
            .await;
        Ok(text_result(&format!("counted to {to}")))
    }

    async fn long_report(&self) -> Value {
        for chapter in 1..=CHAPTERS {
            tokio::time::sleep(self.delay()).await;
            self.progress(chapter, CHAPTERS, &format!("wrote chapter {chapter}"))
                .await;
        }
        text_result("The report is done. It was worth the wait.")
    }

    async fn flaky(&self) -> Value {
        self.log("warning", json!("the hamster is tired")).await;
        tokio::time::sleep(self.delay()).await;
        let content = json!([{ "type": "text", "text": "The hamster fell off the wheel." }]);
        json!({ "content": content, "isError": true })
    }

    fn delay(&self) -> Duration {
        let delay = at(&self.params, &["arguments", "delay_ms"]).as_u64();
        Duration::from_millis(delay.unwrap_or(0).min(MAX_DELAY_MS))
    }

    /// Reports progress, if the request named a token for it.
    async fn progress(&self, done: u64, total: u64, message: &str) {
        let token = at(&self.params, &["_meta", "progressToken"]);
        if token.is_null() {
            return;
        }
        let params = json!({ "progressToken": token, "progress": done, "total": total, "message": message });
        let message = wire::notification("notifications/progress", params);
        self.outlet.send(&message).await;
    }

    /// Writes a log line, if the client wants to hear that level.
    async fn log(&self, level: &str, data: Value) {
        let wanted = self
            .log_rank
            .is_some_and(|rank| wire::level_rank(level) >= Some(rank));
        if !wanted {
            return;
        }
        let params = json!({ "level": level, "logger": "demo", "data": data });
        let message = wire::notification("notifications/message", params);
        self.outlet.send(&message).await;
    }
}

/// A tool's result of one text.
pub(super) fn text_result(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }], "isError": false })
}

/// A tool's result that says what went wrong.
pub(super) fn failed_result(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }], "isError": true })
}
