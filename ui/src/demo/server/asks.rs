//! The tools that need the client: its model (sampling) or its user (elicitation).

use serde_json::{Value, json};

use super::events::EventLog;
use super::jobs::{failed_result, text_result};
use super::session::Session;
use crate::demo::wire::{Fault, at, text_at};

/// What a tool asks its client.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// The method of the request, also where it travels inside a result.
    pub(super) method: &'static str,
    pub(super) params: Value,
    /// The client capability that it takes.
    pub(super) capability: &'static str,
    /// The key of the request inside a modern result.
    pub(super) key: &'static str,
}

/// Whether `tools/call` with these parameters asks the client something.
pub(super) fn is_question(params: &Value) -> bool {
    question(params).is_some()
}

/// The question that a tool asks before it can answer.
pub(super) fn question(params: &Value) -> Option<Question> {
    match text_at(params, &["name"])? {
        "ask_model" => Some(ask_model(text_at(params, &["arguments", "question"]))),
        "ask_user" => Some(ask_user()),
        _ => None,
    }
}

fn ask_model(question: Option<&str>) -> Question {
    let question = question.unwrap_or("Which animal is the best?");
    let message = json!({ "role": "user", "content": { "type": "text", "text": question } });
    Question {
        method: "sampling/createMessage",
        params: json!({
            "messages": [message],
            "systemPrompt": "Answer in one short sentence.",
            "maxTokens": 100,
        }),
        capability: "sampling",
        key: "draft",
    }
}

fn ask_user() -> Question {
    let schema = json!({
        "type": "object",
        "properties": { "name": { "type": "string", "title": "Your name", "maxLength": 80 } },
        "required": ["name"],
    });
    Question {
        method: "elicitation/create",
        params: json!({ "message": "What is your name?", "requestedSchema": schema }),
        capability: "elicitation",
        key: "who",
    }
}

impl Question {
    /// Whether a client with these capabilities can answer.
    pub(super) fn is_for(&self, capabilities: &Value) -> bool {
        capabilities.get(self.capability).is_some_and(Value::is_object)
    }

    /// The tool's result, made of the client's answer.
    pub(super) fn conclude(&self, answer: &Value) -> Value {
        if self.capability == "sampling" {
            let said = text_at(answer, &["content", "text"]).unwrap_or("nothing");
            let model = text_at(answer, &["model"]).unwrap_or("no model");
            return text_result(&format!("{model} says: {said}"));
        }
        match (
            text_at(answer, &["action"]),
            text_at(answer, &["content", "name"]),
        ) {
            (Some("accept"), Some(name)) => text_result(&format!("Hello, {name}!")),
            (Some("accept"), None) => failed_result("The answer holds no name."),
            _ => text_result("Hello, whoever you are."),
        }
    }
}

/// Asks by a request on the call's own stream. `None` when the tool asks nothing.
pub(super) async fn legacy(
    session: &Session,
    stream: &EventLog,
    params: &Value,
) -> Option<Result<Value, Fault>> {
    let question = question(params)?;
    if !question.is_for(&session.capabilities) {
        let reason = format!("The client did not declare `{}`.", question.capability);
        return Some(Ok(failed_result(&reason)));
    }
    let asked = session
        .ask(stream, question.method, question.params.clone())
        .await;
    let result = match asked {
        Ok(answer) => question.conclude(&answer),
        Err(reason) => failed_result(&reason),
    };
    Some(Ok(result))
}

/// The request as it travels inside a modern result.
pub(super) fn embedded(question: &Question) -> Value {
    let mut params = question.params.clone();
    if let (Value::Object(params), "elicitation") = (&mut params, question.capability) {
        params.insert("mode".to_owned(), json!("form"));
    }
    json!({ question.key: { "method": question.method, "params": params } })
}

/// The client's answer in the parameters of the next round.
pub(super) fn answer_in<'a>(question: &Question, params: &'a Value) -> &'a Value {
    at(params, &["inputResponses", question.key])
}
