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
mod call;
mod mask;
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

use tokio_util::sync::CancellationToken;

use crate::recording::RedactPatterns;
use crate::replay::compare::{CompareOptions, Report, Row};

pub use plan::Plan;
pub use secrets::{MissingSecret, tags_in};
pub use target::Target;
use {call::End, plan::SessionPlan, talk::Talk, target::Session};

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
    /// What is a secret besides what always is one: the report has a tag in its place.
    pub redact: RedactPatterns,
    /// Longest message of the server, in bytes. A longer one ends its session.
    pub max_message_bytes: usize,
    /// Cancelled, it lets nothing more be sent: what is known by then is the report, and the rest was not sent.
    pub stop: CancellationToken,
}

impl Default for DriveOptions {
    fn default() -> Self {
        Self {
            compare: CompareOptions::default(),
            timeout: DEFAULT_TIMEOUT,
            speed: None,
            secrets: BTreeMap::new(),
            redact: RedactPatterns::default(),
            max_message_bytes: MAX_MESSAGE_BYTES,
            stop: CancellationToken::new(),
        }
    }
}

/// What came of a plan.
#[derive(Debug, Clone, Default)]
pub struct Driven {
    /// Every request of the plan, sent or not.
    pub report: Report,
    /// There was no way to the target at all: the command cannot be started, the server not be reached, or roots not be
    /// read. [`Report::failures`] says why. Nothing was sent then.
    pub is_out_of_reach: bool,
}

/// Sends the plan to `target`, session by session, and compares what comes back.
///
/// A server that ends a session early, refuses its handshake or does not answer makes rows that say so, and a sentence in
/// [`Report::failures`]. Where there is no way to the target at all, later sessions are not tried.
///
/// The report has tags in the place of secrets: of what a recording would not have, and of what was supplied.
///
/// # Cancel safety
/// Dropped, it ends the connection and kills the command; [`DriveOptions::stop`] ends it in order, within a few seconds.
pub async fn drive(plan: &Plan, target: &Target, options: &DriveOptions) -> Driven {
    let mut driven = Driven {
        report: Report {
            remarks: plan.remarks().to_vec(),
            ..Report::default()
        },
        is_out_of_reach: false,
    };
    let mut was_there = false;
    for session in &plan.sessions {
        let told = if driven.is_out_of_reach {
            unsent(session, options, "the server was out of reach before")
        } else if options.stop.is_cancelled() {
            Session::unsent(Talk::unsent(session, options, &End::Interrupted))
        } else {
            match target::session(session, target, options).await {
                Ok(told) => told,
                Err(error) => Session {
                    unreachable: Some(error.in_one_line()),
                    ..unsent(session, options, &error.in_one_line())
                },
            }
        };
        driven.take(&session.name, told, &mut was_there);
    }
    driven.report = mask::masked(&mask::mask(target, options), driven.report);
    driven
}

/// A session that was not begun, for this reason.
fn unsent(plan: &SessionPlan, options: &DriveOptions, why: &str) -> Session {
    let end = End::ByServer(why.to_owned());
    Session::unsent(Talk::unsent(plan, options, &end))
}

impl Driven {
    fn take(&mut self, name: &str, told: Session, was_there: &mut bool) {
        let is_as_it_was = told.rows.iter().all(Row::is_same);
        let report = &mut self.report;
        report.rows.extend(told.rows);
        report.remarks.extend(told.remarks);
        match told.unreachable {
            // A recording of a server that was not there.
            Some(_) if is_as_it_was => {}
            Some(why) if *was_there => report.failures.push(format!("{name}: {why}")),
            Some(why) => {
                self.is_out_of_reach = true;
                report.failures.push(why);
            }
            None => {
                *was_there |= told.was_begun;
                report.failures.extend(told.failure);
            }
        }
    }
}
