//! The modern era: no sessions, every request says all that is needed to answer it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use shadowcat::tasks::TaskKind;
use tokio::sync::mpsc;

use super::Shared;
use super::asks::{self, Question};
use super::events::plain_event;
use super::http::{Answer, Source, empty, events, header, json, refuse};
use super::jobs::{self, Job, Outlet};
use super::listen;
use super::methods::{self, Era};
use crate::demo::catalogue;
use crate::demo::wire::{
    self, BUSY, CAPABILITIES_KEY, Fault, HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, Kind,
    LOG_LEVEL_KEY, METHOD_HEADER, METHOD_NOT_FOUND, MISSING_CAPABILITY, MODERN, NAME_HEADER, SERVER_INFO_KEY,
    UNSUPPORTED_VERSION, VERSION_HEADER, VERSION_KEY, at, method_of, text_at,
};

/// Events that wait for a client that reads slowly; the call waits then.
const EVENT_QUEUE: usize = 16;
/// How long clients may keep a list, in milliseconds.
const LIST_TTL_MS: u64 = 5000;

/// Answers a POST.
pub(super) fn post(shared: &Arc<Shared>, headers: &HeaderMap, message: &Value) -> Answer {
    match wire::kind(message) {
        Kind::Notification => empty(StatusCode::ACCEPTED),
        Kind::Request => request(shared, headers, message),
        Kind::Response | Kind::Unknown => {
            let fault = Fault::new(
                INVALID_REQUEST,
                "the body is neither a request nor a notification",
            );
            refuse(StatusCode::BAD_REQUEST, None, &fault)
        }
    }
}

fn request(shared: &Arc<Shared>, headers: &HeaderMap, message: &Value) -> Answer {
    let id = at(message, &["id"]);
    let params = at(message, &["params"]);
    let checked = check_meta(params)
        .and_then(|()| check_version(headers, params))
        .and_then(|()| check_mirrors(headers, message));
    if let Err(fault) = checked {
        return refuse(StatusCode::BAD_REQUEST, Some(id), &fault);
    }
    match method_of(message) {
        "server/discover" => outcome(id, Ok(discover())),
        "subscriptions/listen" => listen::listen(shared, id, params),
        "tools/call" if jobs::is_streamed(params) => stream_call(shared, message),
        "tools/call" => match asks::question(params) {
            Some(question) => outcome(id, round(shared, &question, params)),
            None => outcome(id, methods::answer(shared, Era::Modern, "tools/call", params)),
        },
        method => outcome(id, answer_cacheable(shared, method, params)),
    }
}

/// A missing `_meta` member is the caller's fault, whatever the method.
fn check_meta(params: &Value) -> Result<(), Fault> {
    let meta = at(params, &["_meta"]);
    let missing = if text_at(meta, &[VERSION_KEY]).is_none() {
        VERSION_KEY
    } else if !at(meta, &[CAPABILITIES_KEY]).is_object() {
        CAPABILITIES_KEY
    } else {
        return Ok(());
    };
    Err(Fault::new(
        INVALID_PARAMS,
        format!("_meta lacks a usable `{missing}`"),
    ))
}

fn check_version(headers: &HeaderMap, params: &Value) -> Result<(), Fault> {
    let version = text_at(params, &["_meta", VERSION_KEY]).unwrap_or_default();
    check_header(headers, VERSION_HEADER, Some(version))?;
    if version == MODERN {
        return Ok(());
    }
    let data = json!({ "supported": [MODERN], "requested": version });
    Err(Fault::new(UNSUPPORTED_VERSION, "Unsupported protocol version").with_data(data))
}

/// Headers that repeat members of the body must agree with them.
fn check_mirrors(headers: &HeaderMap, message: &Value) -> Result<(), Fault> {
    let method = method_of(message);
    let params = at(message, &["params"]);
    check_header(headers, METHOD_HEADER, Some(method))?;
    if let Some(name) = wire::mirrored_name(method, params) {
        check_header(headers, NAME_HEADER, Some(name))?;
    }
    if method != "tools/call" {
        return Ok(());
    }
    let tools = catalogue::tools(true);
    let called = tools.iter().find(|tool| tool.get("name") == params.get("name"));
    for (argument, name) in called.map(wire::mirrored_arguments).unwrap_or_default() {
        let value = wire::mirrored_value(at(params, &["arguments", &argument]));
        check_header(headers, &name, value.as_deref())?;
    }
    Ok(())
}

fn check_header(headers: &HeaderMap, name: &str, expected: Option<&str>) -> Result<(), Fault> {
    let mismatch = |reason: String| Fault::new(HEADER_MISMATCH, reason);
    let found = header(headers, name).map_err(mismatch)?;
    let decoded = match found {
        None => None,
        Some(found) => Some(
            wire::decode_header_value(found)
                .ok_or_else(|| mismatch(format!("the header {name} is not valid base64")))?,
        ),
    };
    if decoded.as_deref() == expected {
        return Ok(());
    }
    let show = |value: Option<&str>| value.map_or("nothing".to_owned(), |value| format!("`{value}`"));
    Err(mismatch(format!(
        "the header {name} says {} but the body says {}",
        show(decoded.as_deref()),
        show(expected)
    )))
}

fn discover() -> Value {
    let mut versions = vec![MODERN];
    versions.extend(wire::LEGACY);
    json!({
        "supportedVersions": versions,
        "capabilities": methods::capabilities(),
        "instructions": "A demonstration: nothing here does any harm.",
        "ttlMs": LIST_TTL_MS,
        "cacheScope": "public",
    })
}

/// Lists and resources say how long they may be kept.
fn answer_cacheable(shared: &Shared, method: &str, params: &Value) -> Result<Value, Fault> {
    let mut result = methods::answer(shared, Era::Modern, method, params)?;
    let is_cacheable = method.ends_with("/list") || method == "resources/read";
    if let (Value::Object(result), true) = (&mut result, is_cacheable) {
        result.insert("ttlMs".to_owned(), json!(LIST_TTL_MS));
        result.insert("cacheScope".to_owned(), json!("public"));
    }
    Ok(result)
}

/// One round of a call that needs the client: asks, or concludes from the answer.
fn round(shared: &Shared, question: &Question, params: &Value) -> Result<Value, Fault> {
    let capabilities = at(params, &["_meta", CAPABILITIES_KEY]);
    if !question.is_for(capabilities) {
        let data = json!({ "requiredCapabilities": { question.capability: {} } });
        let reason = format!("the client did not declare `{}`", question.capability);
        return Err(Fault::new(MISSING_CAPABILITY, reason).with_data(data));
    }
    let Some(state) = text_at(params, &["requestState"]) else {
        let state = shared.rounds.begin(params);
        let state = state.ok_or_else(|| Fault::new(BUSY, "the system gave no random bytes"))?;
        return Ok(json!({
            "resultType": "input_required",
            "inputRequests": asks::embedded(question),
            "requestState": state,
        }));
    };
    let answer = asks::answer_in(question, params);
    if answer.is_null() {
        let reason = format!("inputResponses lacks `{}`", question.key);
        return Err(Fault::new(INVALID_PARAMS, reason));
    }
    if !shared.rounds.resume(state, params) {
        let reason = "requestState is unknown, was used before, or belongs to another call";
        return Err(Fault::new(INVALID_PARAMS, reason));
    }
    Ok(question.conclude(answer))
}

/// Answers a call by a stream of its own. Closing the stream cancels the call.
fn stream_call(shared: &Arc<Shared>, message: &Value) -> Answer {
    let id = at(message, &["id"]).clone();
    let Some(permit) = shared.stream_permit() else {
        return too_many(&id);
    };
    let (sender, receiver) = mpsc::channel(EVENT_QUEUE);
    let log_rank = text_at(message, &["params", "_meta", LOG_LEVEL_KEY]).and_then(wire::level_rank);
    let job = Job::new(message, log_rank, Outlet::Channel(sender.clone()));
    let stopping = shared.tasks.stopping().clone();
    let calls = Arc::clone(shared);
    shared.tasks.spawn(TaskKind::Frontend, async move {
        tokio::select! {
            () = sender.closed() => {
                calls.calls_closed.fetch_add(1, Ordering::Relaxed);
            }
            () = stopping.cancelled() => {}
            () = finish(&job, &id, &sender) => {}
        }
        drop(permit);
    });
    events(Source::Channel(receiver), shared.keep_alive)
}

async fn finish(job: &Job, id: &Value, sender: &mpsc::Sender<Bytes>) {
    let answer = match job.run().await {
        Ok(value) => wire::result(id, complete(value)),
        Err(fault) => wire::error(Some(id), &fault),
    };
    // The client may leave at the last moment.
    let _ = sender.send(plain_event(&answer)).await;
}

/// The refusal of one stream too many.
pub(super) fn too_many(id: &Value) -> Answer {
    let fault = Fault::new(BUSY, "too many streams are open");
    refuse(StatusCode::SERVICE_UNAVAILABLE, Some(id), &fault)
}

/// A result as the modern era words it: with its type and who made it.
pub(super) fn complete(mut result: Value) -> Value {
    if let Value::Object(result) = &mut result {
        result.entry("resultType").or_insert_with(|| json!("complete"));
        let meta = result.entry("_meta").or_insert_with(|| json!({}));
        if let Value::Object(meta) = meta {
            meta.insert(SERVER_INFO_KEY.to_owned(), methods::server_info());
        }
    }
    result
}

fn outcome(id: &Value, outcome: Result<Value, Fault>) -> Answer {
    match outcome {
        Ok(value) => json(StatusCode::OK, &wire::result(id, complete(value))),
        Err(fault) => {
            let status = match fault.code {
                METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
                MISSING_CAPABILITY => StatusCode::BAD_REQUEST,
                _ => StatusCode::OK,
            };
            refuse(status, Some(id), &fault)
        }
    }
}
