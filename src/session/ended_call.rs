//! Calls that have ended, for whoever wants each of them told.

use std::fmt::Debug;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::mcp::trace::TraceContext;
use crate::snapshot::{Direction, Outcome};

use super::history::{ExchangeRecord, Row};

/// A request and what became of it.
#[derive(Debug)]
pub struct EndedCall<'a> {
    pub(crate) request: &'a Row,
    /// When the call was over.
    pub ended: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// The trace that the request names in `params._meta`.
    pub trace: Option<TraceContext>,
}

impl EndedCall<'_> {
    /// When the request's last byte was here.
    pub fn began(&self) -> Timestamp {
        self.request.at()
    }

    /// Which way the request went.
    pub fn direction(&self) -> Direction {
        self.request.facts.direction
    }

    /// JSON-RPC method.
    pub fn method(&self) -> &str {
        self.request.facts.method.as_deref().unwrap_or_default()
    }

    /// Tool, prompt, uri or task that it is about.
    pub fn subject(&self) -> Option<&str> {
        self.request.facts.name.as_deref()
    }

    /// JSON-RPC id as spelled.
    pub fn rpc_id(&self) -> Option<&str> {
        self.request.facts.rpc_id.as_deref()
    }

    /// The HTTP exchange that carried the request.
    pub fn exchange(&self) -> &ExchangeRecord {
        self.request.exchange()
    }

    /// The protocol revision of its session, as far as it is known.
    pub fn revision(&self) -> Option<Arc<str>> {
        let facts = self.request.session_facts()?;
        facts.known().revision.as_deref().map(Arc::from)
    }

    /// Its session, as the screen shows it.
    pub fn session(&self) -> Option<crate::ids::ProxySessionId> {
        self.request.session()
    }
}

/// Is told of each call that ends, by the ledger: it must be quick and must not wait.
pub trait CallObserver: Debug + Send + Sync {
    /// A call has ended.
    fn call_ended(&self, call: &EndedCall<'_>);
}
