//! One of the two clients, as the scripts use it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::DemoError;
use super::exchange::{Answer, Http};
use super::legacy::Legacy;
use super::modern::Modern;

/// A client of either era.
#[derive(Debug)]
pub(super) enum Peer {
    Legacy(Arc<Legacy>),
    Modern(Arc<Modern>),
}

impl Peer {
    pub(super) fn http(&self) -> &Http {
        match self {
            Self::Legacy(client) => &client.http,
            Self::Modern(client) => &client.http,
        }
    }

    async fn answer(&self, method: &str, params: Value) -> Result<Answer, DemoError> {
        match self {
            Self::Legacy(client) => client.request(method, params).await,
            Self::Modern(client) if method == "tools/call" => client.call(params).await,
            Self::Modern(client) => client.request(method, params).await,
        }
    }

    /// Sends a request that succeeds.
    pub(super) async fn request(&self, method: &str, params: Value) -> Result<Value, DemoError> {
        match self.answer(method, params).await? {
            Answer::Result(result) => Ok(result),
            Answer::Error { code, message } => Err(DemoError::Unexpected {
                step: method.to_owned(),
                expected: "a result".to_owned(),
                got: format!("error {code}: {message}"),
            }),
        }
    }

    /// Sends a request that is refused with `code`.
    pub(super) async fn refused(&self, method: &str, params: Value, code: i64) -> Result<(), DemoError> {
        expect_error(method, &self.answer(method, params).await?, code)
    }

    /// Calls a tool that answers, with a progress token of the call's own.
    pub(super) async fn tool(&self, name: &str, arguments: Value) -> Result<Value, DemoError> {
        let meta = json!({ "progressToken": format!("{name}-progress") });
        let params = json!({ "name": name, "arguments": arguments, "_meta": meta });
        self.request("tools/call", params).await
    }

    /// Starts a slow call and gives it up.
    pub(super) async fn give_up(&self, params: Value) -> Result<(), DemoError> {
        match self {
            Self::Legacy(client) => client.cancelled_call(params).await,
            Self::Modern(client) => client.cancelled_call(params).await,
        }
    }
}

/// Refuses any answer but an error with `code`.
pub(super) fn expect_error(step: &str, answer: &Answer, code: i64) -> Result<(), DemoError> {
    match answer {
        Answer::Error { code: got, .. } if *got == code => Ok(()),
        other => Err(DemoError::Unexpected {
            step: step.to_owned(),
            expected: format!("error {code}"),
            got: format!("{other:?}"),
        }),
    }
}
