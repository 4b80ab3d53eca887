//! A command that is served over HTTP: what it is, who talks to it, how it has fared.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::child::{CommandConfig, EnvironmentChange, GuardCommand};
use crate::clock::Timestamp;
use crate::config::CommandServer;
use crate::snapshot::{ServerKind, UpstreamRow};

use crate::transport::hub::Contact;

use super::legacy::LegacySession;
use super::modern::Shared;
use super::sse::SseSession;

/// Findings that are said in the log; further ones are only counted.
const SAID: u64 = 64;

/// Counts what should not be, and says the first of it.
#[derive(Debug)]
pub(super) struct Tally {
    label: Arc<str>,
    findings: AtomicU64,
}

impl Tally {
    pub(super) fn find(&self, text: &str) {
        let count = self.findings.fetch_add(1, Ordering::Relaxed);
        if count < SAID {
            tracing::warn!(server = &*self.label, "{text}");
        } else {
            tracing::debug!(server = &*self.label, "{text}");
        }
    }
}

/// How a command has fared.
#[derive(Debug, Default)]
struct Fare {
    /// The last start or end: `None` before the first.
    last: Option<Contact>,
    /// How the last one that ended did so.
    last_exit: Option<String>,
}

/// A command that is served over HTTP.
#[derive(Debug)]
pub(crate) struct BridgeServer {
    /// What it is called on screen.
    pub(crate) label: Arc<str>,
    /// Program and arguments, for people.
    pub(crate) command_line: String,
    config: CommandServer,
    guard: Option<GuardCommand>,
    pub(super) tally: Arc<Tally>,
    pub(super) shared: Shared,
    sessions: Mutex<HashMap<Box<str>, LegacySession>>,
    sse_sessions: Mutex<HashMap<Box<str>, SseSession>>,
    children: AtomicU64,
    exchanges: AtomicU64,
    failures: AtomicU64,
    fare: Mutex<Fare>,
}

impl BridgeServer {
    pub(crate) fn new(config: &CommandServer, guard: Option<&GuardCommand>) -> Self {
        let label = config.label();
        let words: Vec<&str> = std::iter::once(config.program.as_str())
            .chain(config.args.iter().map(String::as_str))
            .collect();
        Self {
            tally: Arc::new(Tally {
                label: Arc::clone(&label),
                findings: AtomicU64::new(0),
            }),
            label,
            command_line: crate::transport::run::command_line(&words),
            config: config.clone(),
            guard: guard.cloned(),
            shared: Shared::default(),
            sessions: Mutex::default(),
            sse_sessions: Mutex::default(),
            children: AtomicU64::new(0),
            exchanges: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            fare: Mutex::default(),
        }
    }

    /// Programs of it that run now.
    pub(crate) fn children(&self) -> u64 {
        self.children.load(Ordering::Relaxed)
    }

    /// The path at which clients find it beside others.
    pub(crate) fn mount(&self) -> String {
        format!("/{}", self.config.name.as_deref().unwrap_or("mcp"))
    }

    /// Its row in the list of servers, but for where clients find it.
    pub(crate) fn row(&self) -> UpstreamRow {
        let (is_healthy, last_error, down_since) = Contact::shown(self.fare().last.as_ref());
        UpstreamRow {
            kind: ServerKind::Command,
            name: self.label.to_string(),
            url: self.command_line.clone(),
            running: self.children(),
            last_exit: self.fare().last_exit.clone(),
            findings: self.tally.findings.load(Ordering::Relaxed),
            is_healthy,
            last_error,
            down_since,
            exchanges: self.exchanges.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            ..UpstreamRow::default()
        }
    }

    pub(super) fn note_exchange(&self) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
    }

    /// A program of it was started, or could not be.
    pub(super) fn note_start(&self, outcome: Result<(), String>, now: Timestamp) {
        if outcome.is_ok() {
            self.children.fetch_add(1, Ordering::Relaxed);
        } else {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        Contact::note(&mut self.fare().last, outcome, now);
    }

    /// It could not be started if anybody wanted it now.
    pub(crate) fn note_missing(&self, problem: String, now: Timestamp) {
        Contact::note(&mut self.fare().last, Err(problem), now);
    }

    /// A program of it has ended; `failure` if that was not as it should be.
    pub(super) fn note_end(&self, how: String, failure: Option<String>, now: Timestamp) {
        self.children.fetch_sub(1, Ordering::Relaxed);
        let mut fare = self.fare();
        fare.last_exit = Some(how);
        if let Some(failure) = failure {
            self.failures.fetch_add(1, Ordering::Relaxed);
            Contact::note(&mut fare.last, Err(failure), now);
        }
    }

    fn fare(&self) -> MutexGuard<'_, Fare> {
        self.fare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn config(&self) -> &CommandServer {
        &self.config
    }

    /// How it is started.
    pub(super) fn command(&self) -> CommandConfig {
        let args = self.config.args.iter().map(OsString::from);
        let change = |(name, value): &(String, String)| EnvironmentChange {
            name: name.into(),
            value: Some(value.into()),
        };
        CommandConfig {
            cwd: self.config.cwd.clone(),
            environment: self.config.env.iter().map(change).collect(),
            guard: self.guard.clone(),
            ..CommandConfig::new(self.config.program.clone(), args)
        }
    }

    pub(super) fn session(&self, id: &str) -> Option<LegacySession> {
        self.sessions().get(id).cloned()
    }

    pub(super) fn keep(&self, session: LegacySession) {
        self.sessions().insert(session.id.as_ref().into(), session);
    }

    pub(super) fn forget(&self, id: &str) -> Option<LegacySession> {
        self.sessions().remove(id)
    }

    pub(super) fn sse_session(&self, id: &str) -> Option<SseSession> {
        self.sse_sessions().get(id).cloned()
    }

    pub(super) fn keep_sse(&self, session: SseSession) {
        self.sse_sessions().insert(session.id.as_ref().into(), session);
    }

    pub(super) fn forget_sse(&self, id: &str) {
        self.sse_sessions().remove(id);
    }

    fn sse_sessions(&self) -> MutexGuard<'_, HashMap<Box<str>, SseSession>> {
        self.sse_sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Box<str>, LegacySession>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
