//! The demonstration's clients: scripted sessions that are played once, or over and over.

mod exchange;
mod legacy;
mod modern;
mod peer;
mod replies;
mod script;
mod sse;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join3;
use shadowcat::tasks::Tasks;
use tokio_util::sync::CancellationToken;

use self::exchange::Http;
#[cfg(test)]
pub(super) use self::exchange::tls_without_roots;
use self::sse::EventTooLongError;
use super::summary::{Summary, Tally};
use super::wire::{MODERN, PLAIN, POLLING};

/// Why a session of the demonstration did not reach its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The HTTP client could not be set up.
    #[error("could not set up the demonstration's HTTP client")]
    Client(#[source] reqwest::Error),
    /// TLS could not be set up; needed even for plain HTTP.
    #[error("could not set up TLS for the demonstration's HTTP client")]
    Tls(#[source] rustls::Error),
    /// A request or the reading of its answer failed.
    #[error("{step}: the exchange failed; check that the proxy at {url} is running")]
    Exchange {
        /// What was being done.
        step: String,
        /// Where the request went.
        url: String,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// An HTTP status that the step does not expect.
    #[error("{step}: the answer was {status}: {body}")]
    Status {
        /// What was being done.
        step: String,
        /// The status.
        status: http::StatusCode,
        /// The start of the body.
        body: String,
    },
    /// An event of the answer was too long to read.
    #[error("{step}: the answer cannot be read")]
    TooLong {
        /// What was being done.
        step: String,
        /// Which limit was reached.
        source: EventTooLongError,
    },
    /// An answer that the step does not expect.
    #[error("{step}: expected {expected}, got {got}")]
    Unexpected {
        /// What was being done.
        step: String,
        /// What should have come.
        expected: String,
        /// What came.
        got: String,
    },
    /// The answer did not come in time.
    #[error("{step}: nothing came within {waited:?}")]
    TooLate {
        /// What was being done.
        step: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The demonstration was told to end.
    #[error("the demonstration was told to end")]
    Stopped,
}

/// How fast a script is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// So that a person can follow: a pause after every step, and much patience, because people hold messages.
    Human,
    /// Without pauses.
    Fast,
}

impl Pace {
    /// The pause after a step.
    const fn pause(self) -> Duration {
        match self {
            Self::Human => Duration::from_millis(700),
            Self::Fast => Duration::ZERO,
        }
    }

    /// The pause between two sessions of one client.
    const fn rest(self) -> Duration {
        match self {
            Self::Human => Duration::from_secs(4),
            Self::Fast => Duration::from_millis(50),
        }
    }

    /// What slow tools are asked to wait between two steps, in milliseconds.
    const fn delay_ms(self) -> u64 {
        match self {
            Self::Human => 400,
            Self::Fast => 5,
        }
    }

    /// How long an answer may take.
    const fn patience(self) -> Duration {
        match self {
            Self::Human => Duration::from_mins(10),
            Self::Fast => Duration::from_secs(30),
        }
    }
}

/// One client's role.
#[derive(Debug, Clone, Copy)]
enum Role {
    Legacy(&'static str),
    Modern,
}

impl Role {
    const ALL: [Self; 3] = [Self::Modern, Self::Legacy(POLLING), Self::Legacy(PLAIN)];

    const fn version(self) -> &'static str {
        match self {
            Self::Legacy(version) => version,
            Self::Modern => MODERN,
        }
    }
}

/// Plays the sessions of three clients against `proxy_url` (`http://ADDRESS/mcp`) over and over until `stop`.
///
/// A session that fails is logged and begun anew after a pause. Helper tasks are started through `tasks` and end
/// with their session.
///
/// # Cancel safety
/// Dropping the future ends the clients; helper tasks end with it.
pub(crate) async fn run_clients(proxy_url: String, pace: Pace, stop: CancellationToken, tasks: &Tasks) {
    let [first, second, third] = Role::ALL;
    // Staggered, so that the three are not in step.
    join3(
        repeat(&proxy_url, first, Duration::ZERO, pace, &stop, tasks),
        repeat(&proxy_url, second, pace.pause() * 2, pace, &stop, tasks),
        repeat(&proxy_url, third, pace.pause() * 5, pace, &stop, tasks),
    )
    .await;
}

/// Plays each session once, one after the other and without pauses.
///
/// # Errors
/// The first [`DemoError`]; the sessions after it are not played.
///
/// # Cancel safety
/// Dropping the future ends the session; helper tasks end with it.
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "plays for tests, and for recordings made by them")
)]
pub(crate) async fn run_once(proxy_url: String, tasks: &Tasks) -> Result<Summary, DemoError> {
    let stop = tasks.stopping().child_token();
    let mut summary = Summary::default();
    for role in Role::ALL {
        let played = Box::pin(play(&proxy_url, role, Pace::Fast, &stop, tasks));
        summary.add(&played.await?);
    }
    Ok(summary)
}

async fn repeat(url: &str, role: Role, delay: Duration, pace: Pace, stop: &CancellationToken, tasks: &Tasks) {
    let mut pause = delay;
    while stop
        .run_until_cancelled(tokio::time::sleep(pause))
        .await
        .is_some()
    {
        match Box::pin(play(url, role, pace, stop, tasks)).await {
            Ok(summary) => {
                tracing::info!(version = role.version(), %summary, "a demonstration session ended");
            }
            Err(DemoError::Stopped) => return,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(version = role.version(), %error, cause, "a demonstration session begins anew");
            }
        }
        pause = pace.rest();
    }
}

async fn play(
    url: &str,
    role: Role,
    pace: Pace,
    stop: &CancellationToken,
    tasks: &Tasks,
) -> Result<Summary, DemoError> {
    let tally = Tally::default();
    // Cancelled when this future ends, however it ends, so that helper tasks end too.
    let session = stop.child_token();
    let _guard = session.clone().drop_guard();
    let http = Arc::new(Http::new(url.to_owned(), pace, session, tally.clone())?);
    match role {
        Role::Legacy(version) => script::legacy(http, tasks, version).await?,
        Role::Modern => script::modern(http, tasks).await?,
    }
    Ok(tally.summary())
}
