//! A recording as a client: its side of each session is sent to a live server, and the answers are compared.
//!
//! - Each session is one of its own: with a fresh handshake, fresh ids and progress tokens. Session ids and the headers
//!   that repeat what a message says are those of the live conversation.
//! - What the server hands out and takes back (cursors, task ids, `requestState`, URIs, members called `…Id`) is
//!   learned from its answers. A request whose handle the server has not given is not sent, and its row says so.
//! - A request is sent when everything has been answered that had been answered before it in the recording.
//! - What the server asks is answered as recorded, what it never asked before with an error.
//! - Notifications of the server are not compared: their number and time are chance.
//!
//! Sessions follow each other. Nothing is sent twice by itself, except that a task which was done in the recording is
//! asked for until it is done.

mod asks;
mod bind;
mod message;
mod only;
mod plan;
mod secrets;
mod talk;
mod target;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::replay::compare::{CompareOptions, Report};

pub use plan::Plan;
pub use secrets::MissingSecret;
pub use target::{DriveError, Target};

/// How long an answer is waited for, unless asked for otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest message of the server, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// How a recording is sent.
#[derive(Debug, Clone)]
pub struct DriveOptions {
    /// What counts as a difference.
    pub compare: CompareOptions,
    /// How long an answer is waited for, counted anew from each report of progress.
    pub timeout: Duration,
    /// How fast, as a multiple of the recorded pace; `None`: as fast as answers come. Above zero.
    pub speed: Option<f64>,
    /// Secrets by their tags, without the marks of these.
    pub secrets: BTreeMap<String, String>,
    /// Longest message of the server, in bytes. A longer one ends its session.
    pub max_message_bytes: usize,
}

impl Default for DriveOptions {
    fn default() -> Self {
        Self {
            compare: CompareOptions::default(),
            timeout: DEFAULT_TIMEOUT,
            speed: None,
            secrets: BTreeMap::new(),
            max_message_bytes: MAX_MESSAGE_BYTES,
        }
    }
}

impl DriveOptions {
    /// Requests of the server have ids of their own in more places.
    fn compare_asks(&self) -> CompareOptions {
        const THEIRS: [&str; 3] = [
            "$.params._meta.progressToken",
            "$.params._meta[\"io.modelcontextprotocol/related-task\"]",
            "$.params.task",
        ];
        let mut options = self.compare.clone();
        options
            .ignore
            .extend(THEIRS.iter().filter_map(|path| path.parse().ok()));
        options
    }
}

/// Sends the plan to `target`, session by session, and compares what comes back.
///
/// A server that ends a session early, or does not answer, makes rows without answers that say why.
///
/// # Errors
/// [`DriveError`] if there is no way to the target at all: a command that cannot be started, a server that cannot be
/// reached, roots that cannot be read.
///
/// # Cancel safety
/// Dropped, it ends the connection and kills the command.
pub async fn drive(plan: &Plan, target: &Target, options: &DriveOptions) -> Result<Report, DriveError> {
    let mut report = Report {
        rows: Vec::new(),
        remarks: plan.remarks().to_vec(),
    };
    for session in &plan.sessions {
        let told = target::session(session, target, options).await?;
        report.rows.extend(told.rows);
        report.remarks.extend(told.remarks);
    }
    Ok(report)
}
