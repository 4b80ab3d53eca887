//! One HTTP exchange of a demonstration client: send, wait with bounds, read as JSON or as events.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, Response, redirect};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::sse::{Item, SseParser};
use super::{DemoError, Pace};
use crate::demo::summary::{Seen, Tally};
use crate::demo::wire::Kind;
use crate::demo::wire::{at, kind, method_of};

/// Longest JSON answer, in bytes.
const MAX_JSON_BYTES: usize = 4 * 1024 * 1024;
/// How much of an unexpected body an error shows, in characters.
const SHOWN_CHARACTERS: usize = 200;
/// How long a person's client waits for a notification that may have been dropped on the way.
const NOTICE_PATIENCE: Duration = Duration::from_secs(5);

const JSON_OR_EVENTS: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// What a request came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Result(Value),
    Error { code: i64, message: String },
}

impl Answer {
    /// The answer that a JSON-RPC response gives.
    pub(super) fn of(message: &Value) -> Self {
        match message.get("result") {
            Some(result) => Self::Result(result.clone()),
            None => Self::Error {
                code: at(message, &["error", "code"]).as_i64().unwrap_or_default(),
                message: at(message, &["error", "message"]).to_string(),
            },
        }
    }
}

/// The HTTP side of one session: the client, its pace, its end, and what it saw.
#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    url: String,
    pub(super) pace: Pace,
    pub(super) stop: CancellationToken,
    pub(super) tally: Tally,
}

impl Http {
    pub(super) fn new(
        url: String,
        pace: Pace,
        stop: CancellationToken,
        tally: Tally,
    ) -> Result<Self, DemoError> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .tls_backend_preconfigured(tls_without_roots()?)
            .user_agent(concat!("shadowcat-demo/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(DemoError::Client)?;
        Ok(Self {
            client,
            url,
            pace,
            stop,
            tally,
        })
    }

    pub(super) fn post(&self) -> RequestBuilder {
        let request = self.client.post(&self.url);
        request.header(ACCEPT, JSON_OR_EVENTS).header(CONTENT_TYPE, JSON)
    }

    pub(super) fn get(&self) -> RequestBuilder {
        self.client.get(&self.url).header(ACCEPT, EVENTS)
    }

    pub(super) fn delete(&self) -> RequestBuilder {
        self.client.delete(&self.url)
    }

    /// Sends a request and waits for the head of its answer. The time is bounded by the caller.
    pub(super) async fn send(&self, step: &str, request: RequestBuilder) -> Result<Response, DemoError> {
        request.send().await.map_err(|source| self.failed(step, source))
    }

    fn failed(&self, step: &str, source: reqwest::Error) -> DemoError {
        DemoError::Exchange {
            step: step.to_owned(),
            url: self.url.clone(),
            source,
        }
    }

    /// Does `work` until it is done, the session ends, or patience does.
    pub(super) async fn within<T>(
        &self,
        step: &str,
        work: impl Future<Output = Result<T, DemoError>>,
    ) -> Result<T, DemoError> {
        let waited = self.pace.patience();
        let bounded = self.stop.run_until_cancelled(tokio::time::timeout(waited, work));
        match bounded.await {
            None => Err(DemoError::Stopped),
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(DemoError::TooLate {
                step: step.to_owned(),
                waited,
            }),
        }
    }

    /// The pause after a step.
    pub(super) async fn pause(&self) -> Result<(), DemoError> {
        let pause = tokio::time::sleep(self.pace.pause());
        self.stop
            .run_until_cancelled(pause)
            .await
            .ok_or(DemoError::Stopped)
    }

    /// Waits until `seen` was seen more than `before` times. A person may have dropped what should come, so at
    /// human pace a silence is only logged.
    pub(super) async fn notice(&self, step: &str, seen: Seen, before: u64) -> Result<(), DemoError> {
        let noticed = self.tally.wait_until(|summary| summary.count(seen) > before);
        if self.pace == Pace::Fast {
            let noticed = async {
                noticed.await;
                Ok(())
            };
            return self.within(step, noticed).await;
        }
        let noticed = tokio::time::timeout(NOTICE_PATIENCE, noticed);
        match self.stop.run_until_cancelled(noticed).await {
            None => Err(DemoError::Stopped),
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => {
                tracing::info!(step, ?seen, "a notification did not come; going on without it");
                Ok(())
            }
        }
    }

    /// The JSON document of an answer with any status.
    pub(super) async fn json(
        self: &Arc<Self>,
        step: &str,
        mut response: Response,
    ) -> Result<Value, DemoError> {
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|source| self.failed(step, source))?
        {
            if body.len().saturating_add(chunk.len()) > MAX_JSON_BYTES {
                body.clear();
                break;
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| DemoError::Status {
            step: step.to_owned(),
            status,
            body: String::from_utf8_lossy(&body)
                .chars()
                .take(SHOWN_CHARACTERS)
                .collect(),
        })
    }

    /// Refuses any status but 2xx.
    pub(super) async fn success(
        self: &Arc<Self>,
        step: &str,
        response: Response,
    ) -> Result<Response, DemoError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.json(step, response).await?;
        Err(DemoError::Status {
            step: step.to_owned(),
            status,
            body: body.to_string().chars().take(SHOWN_CHARACTERS).collect(),
        })
    }

    /// The answer's events, if it is an event stream.
    pub(super) fn events(self: &Arc<Self>, step: &str, response: Response) -> EventStream {
        EventStream {
            http: Arc::clone(self),
            step: step.to_owned(),
            response,
            parser: SseParser::default(),
        }
    }

    /// Counts a notification of the server.
    pub(super) fn note(&self, message: &Value) {
        let seen = match method_of(message) {
            "notifications/progress" => Seen::Progress,
            "notifications/message" => Seen::Log,
            "notifications/resources/updated" => Seen::ResourceUpdated,
            "notifications/subscriptions/acknowledged" => Seen::Acknowledged,
            method if method.ends_with("/list_changed") => Seen::ListChanged,
            _ => return,
        };
        self.tally.saw(seen);
    }

    /// Counts an answer.
    pub(super) fn conclude(&self, message: &Value) -> Answer {
        let answer = Answer::of(message);
        match &answer {
            Answer::Result(_) => self.tally.saw(Seen::Result),
            Answer::Error { code, .. } => self.tally.saw_error(*code),
        }
        answer
    }
}

/// Whether an answer is an event stream, by its media type.
pub(super) fn is_event_stream(response: &Response) -> bool {
    let value = response.headers().get(CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("text/event-stream")
}

/// The demonstration speaks plain HTTP only. A configuration of its own keeps reqwest from looking for the system's
/// roots, without which it would refuse to start.
pub(in crate::demo) fn tls_without_roots() -> Result<ClientConfig, DemoError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(DemoError::Tls)?;
    Ok(builder
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

/// The events of one answer, as they come.
#[derive(Debug)]
pub(super) struct EventStream {
    http: Arc<Http>,
    step: String,
    response: Response,
    parser: SseParser,
}

impl EventStream {
    /// The next message; `None` at the end. Comments and events without a message are counted and passed over.
    pub(super) async fn next(&mut self) -> Result<Option<Value>, DemoError> {
        loop {
            while let Some(item) = self.parser.take() {
                if let Some(message) = self.message(item) {
                    return Ok(Some(message));
                }
            }
            let chunk = self.response.chunk().await;
            let Some(chunk) = chunk.map_err(|source| self.http.failed(&self.step, source))? else {
                return Ok(None);
            };
            self.parser.feed(&chunk).map_err(|source| DemoError::TooLong {
                step: self.step.clone(),
                source,
            })?;
        }
    }

    fn message(&self, item: Item) -> Option<Value> {
        let tally = &self.http.tally;
        let Item::Event { id, data } = item else {
            tally.saw(Seen::Comment);
            return None;
        };
        if id.is_some() {
            tally.saw(Seen::EventWithId);
            if data.is_empty() {
                tally.saw(Seen::Priming);
            }
        }
        let message: Value = serde_json::from_str(&data).ok()?;
        (kind(&message) != Kind::Unknown).then_some(message)
    }

    /// The last event's id, to come back with.
    pub(super) fn last_id(&self) -> Option<String> {
        self.parser.last_id().map(str::to_owned)
    }

    /// The delay to come back after, if the server named one.
    pub(super) fn retry(&self) -> Option<Duration> {
        self.parser.retry()
    }
}
