//! A modern client: every request on its own, rounds of input, a subscription.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use reqwest::{RequestBuilder, Response};
use serde_json::{Map, Value, json};
use shadowcat::tasks::{TaskKind, Tasks};

use super::DemoError;
use super::exchange::{Answer, EventStream, Http, is_event_stream};
use super::replies;
use crate::demo::summary::Seen;
use crate::demo::wire::{
    self, CAPABILITIES_KEY, CLIENT_INFO_KEY, Kind, LOG_LEVEL_KEY, METHOD_HEADER, MODERN, NAME_HEADER,
    VERSION_HEADER, VERSION_KEY, at, method_of, text_at,
};

/// Rounds of input that one call may take.
const MAX_ROUNDS: usize = 8;
/// Tools whose mirrored arguments are remembered.
const MAX_TOOLS: usize = 256;

/// (argument, header) pairs of a tool.
type Mirrors = Vec<(String, String)>;

/// A client of the modern era; it has no session.
#[derive(Debug)]
pub(super) struct Modern {
    pub(super) http: Arc<Http>,
    next_id: AtomicU64,
    mirrors: Mutex<HashMap<String, Mirrors>>,
}

impl Modern {
    pub(super) fn new(http: Arc<Http>) -> Arc<Self> {
        Arc::new(Self {
            http,
            next_id: AtomicU64::new(0),
            mirrors: Mutex::default(),
        })
    }

    fn message(&self, method: &str, params: Value) -> Value {
        let id = json!(self.next_id.fetch_add(1, Ordering::Relaxed));
        wire::request(&id, method, with_meta(method, params))
    }

    /// The request with the headers that repeat the body, `Mcp-Method` as given.
    fn build(&self, message: &Value, method_header: &str) -> RequestBuilder {
        let method = method_of(message);
        let params = at(message, &["params"]);
        let mut request = self.http.post();
        request = request
            .header(VERSION_HEADER, MODERN)
            .header(METHOD_HEADER, method_header);
        if let Some(name) = wire::mirrored_name(method, params) {
            request = request.header(NAME_HEADER, wire::encode_header_value(name));
        }
        for (header, value) in self.mirrored(params) {
            request = request.header(header, value);
        }
        request.body(message.to_string())
    }

    fn mirrored(&self, params: &Value) -> Vec<(String, String)> {
        let mirrors = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs = text_at(params, &["name"]).and_then(|name| mirrors.get(name));
        let headers = pairs.into_iter().flatten().filter_map(|(argument, header)| {
            let value = wire::mirrored_value(at(params, &["arguments", argument]))?;
            Some((header.clone(), wire::encode_header_value(&value)))
        });
        headers.collect()
    }

    /// Remembers which arguments of the listed tools travel in headers too.
    pub(super) fn learn(&self, tools: &[Value]) {
        let mut mirrors = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        for tool in tools {
            if let Some(name) = text_at(tool, &["name"]).filter(|_| mirrors.len() < MAX_TOOLS) {
                mirrors.insert(name.to_owned(), wire::mirrored_arguments(tool));
            }
        }
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn request(&self, method: &str, params: Value) -> Result<Answer, DemoError> {
        let message = self.message(method, params);
        self.exchange(method, &message, method).await
    }

    /// Sends a request whose `Mcp-Method` header names another method.
    pub(super) async fn mislabelled(&self, method: &str, label: &str) -> Result<Answer, DemoError> {
        let message = self.message(method, Value::Null);
        self.exchange("mislabelled request", &message, label).await
    }

    async fn exchange(&self, step: &str, message: &Value, label: &str) -> Result<Answer, DemoError> {
        let answered = async {
            self.http.tally.saw(Seen::Request);
            let response = self.http.send(step, self.build(message, label)).await?;
            self.answer(step, message, response).await
        };
        let answer = self.http.within(step, answered).await?;
        Ok(self.http.conclude(&answer))
    }

    /// The answer, from a document or from a stream. Error statuses carry a JSON-RPC error to read.
    async fn answer(&self, step: &str, request: &Value, response: Response) -> Result<Value, DemoError> {
        let status = response.status();
        if !is_event_stream(&response) {
            let answer = self.http.json(step, response).await?;
            let is_known = status.is_success()
                || matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND)
                    && answer.get("error").is_some();
            return if is_known {
                Ok(answer)
            } else {
                Err(DemoError::Status {
                    step: step.to_owned(),
                    status,
                    body: answer.to_string(),
                })
            };
        }
        let mut stream = self.http.events(step, response);
        let mut answer = None;
        while let Some(message) = stream.next().await? {
            self.http.note(&message);
            if wire::kind(&message) == Kind::Response && message.get("id") == request.get("id") {
                answer = Some(message);
            }
        }
        answer.ok_or_else(|| DemoError::Unexpected {
            step: step.to_owned(),
            expected: "an answer".to_owned(),
            got: "the end of the stream".to_owned(),
        })
    }

    /// Calls a tool, and again with what it needs to know for as long as it asks.
    pub(super) async fn call(&self, mut params: Value) -> Result<Answer, DemoError> {
        for round in 0..MAX_ROUNDS {
            let answer = self.request("tools/call", params.clone()).await?;
            let Answer::Result(result) = &answer else {
                return Ok(answer);
            };
            if text_at(result, &["resultType"]) != Some("input_required") {
                if round > 0 {
                    self.http.tally.saw(Seen::InputDone);
                }
                return Ok(answer);
            }
            self.http.pause().await?;
            self.put_responses(&mut params, result);
            self.http.tally.saw(Seen::InputRound);
        }
        Err(DemoError::Unexpected {
            step: "tools/call".to_owned(),
            expected: "a result".to_owned(),
            got: format!("{MAX_ROUNDS} rounds of input"),
        })
    }

    /// Answers the embedded requests in the next round's parameters. State comes back only if it was given.
    fn put_responses(&self, params: &mut Value, result: &Value) {
        let Value::Object(params) = params else {
            return;
        };
        let requests = at(result, &["inputRequests"]).as_object();
        let mut responses = Map::new();
        for (key, request) in requests.into_iter().flatten() {
            let method = method_of(request);
            if let Ok(reply) = replies::reply(method) {
                responses.insert(key.clone(), reply);
                self.http.tally.answered(method);
            }
        }
        params.insert("inputResponses".to_owned(), Value::Object(responses));
        match result.get("requestState") {
            Some(state) => params.insert("requestState".to_owned(), state.clone()),
            None => params.remove("requestState"),
        };
    }

    /// Starts a call and closes its stream after the first progress, which cancels it.
    pub(super) async fn cancelled_call(&self, params: Value) -> Result<(), DemoError> {
        let step = "cancelled call";
        let mut stream = self.open(step, "tools/call", params).await?;
        let first = async {
            while let Some(message) = stream.next().await? {
                self.http.note(&message);
                if method_of(&message) == "notifications/progress" {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        if self.http.within(step, first).await? {
            self.http.tally.saw(Seen::Cancelled);
        }
        drop(stream);
        Ok(())
    }

    async fn open(&self, step: &str, method: &str, params: Value) -> Result<EventStream, DemoError> {
        let message = self.message(method, params);
        let opened = async {
            self.http.tally.saw(Seen::Request);
            let response = self.http.send(step, self.build(&message, method)).await?;
            let response = self.http.success(step, response).await?;
            Ok(self.http.events(step, response))
        };
        self.http.within(step, opened).await
    }

    /// Subscribes, and reads the subscription in a task of its own until the session's end closes it.
    pub(super) async fn listen(&self, tasks: &Tasks, notifications: Value) -> Result<(), DemoError> {
        let method = "subscriptions/listen";
        let params = json!({ "notifications": notifications });
        let mut stream = self.open(method, method, params).await?;
        let http = Arc::clone(&self.http);
        tasks.spawn(TaskKind::Frontend, async move {
            let reading = async {
                while let Some(message) = stream.next().await? {
                    http.note(&message);
                }
                Ok::<_, DemoError>(())
            };
            if let Some(Err(error)) = http.stop.run_until_cancelled(reading).await {
                tracing::info!(%error, "a subscription of the demonstration ended");
            }
        });
        Ok(())
    }
}

/// Adds what every modern request says about itself.
fn with_meta(method: &str, params: Value) -> Value {
    let mut params = match params {
        Value::Object(params) => params,
        _ => Map::new(),
    };
    let meta = params.entry("_meta").or_insert_with(|| json!({}));
    if let Value::Object(meta) = meta {
        meta.insert(VERSION_KEY.to_owned(), json!(MODERN));
        meta.insert(CLIENT_INFO_KEY.to_owned(), replies::client_info());
        meta.insert(CAPABILITIES_KEY.to_owned(), replies::capabilities());
        if method == "tools/call" {
            meta.insert(LOG_LEVEL_KEY.to_owned(), json!("debug"));
        }
    }
    Value::Object(params)
}
