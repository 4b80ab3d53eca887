//! A client that speaks stdio in front of a Streamable HTTP server: lines in, requests out, answers back as lines.
//!
//! Every revision is spoken: with a handshake (2024-11-05 to 2025-11-25) and without one (2026-07-28). A server of the
//! transport HTTP+SSE is found by itself: it refuses the POST of `initialize` with 400, 404 or 405 and names an
//! endpoint on a GET.
//!
//! - A line becomes one POST, byte for byte. Bodies are sent in the order of lines. The answer to `initialize` and the
//!   acceptance of `notifications/initialized` are waited for, all else runs at the same time.
//! - JSON bodies and the data of events become one line each, spelled as they were.
//! - A legacy session is kept, its stream for what the server says on its own is opened, streams that are cut are
//!   resumed by their last event id, and the session is ended with the input.
//! - A modern request repeats in headers what its body says, and a line that cancels one closes its POST.
//! - What fails is answered with an error that carries the request's own id, code −33001 and
//!   `data.origin = "shadowcat"`; failures of notifications are told beside the messages.
//!
//! Nothing is sent a second time by itself, no redirect is followed, and no authorization is asked for.
//!
//! Source: MCP 2024-11-05 to 2026-07-28, "Transports".

mod config;
mod exchange;
mod failure;
mod http;
mod incoming;
mod line;
mod mirror;
mod pending;
mod room;
mod session;
mod status;
mod stream;
mod talk;

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::forward::ForwardConfigError;

pub use config::{
    DEFAULT_DRAIN, DEFAULT_MAX_MESSAGE_BYTES, DEFAULT_MAX_REQUESTS, OutwardConfig, StaticHeader,
    StaticHeaderError,
};
use failure::Failure;
pub(crate) use status::Statuses;
use talk::Outward;

/// Lines that wait for the client to read them.
const LINE_QUEUE: usize = 4;
/// Things to tell that wait for somebody to read them; further ones are counted.
const NOTE_QUEUE: usize = 64;
/// How long the end may take once it is there: the last lines, and the end of the session.
const FAREWELL: Duration = Duration::from_millis(500);

/// What is done beside everything else.
type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutwardEnd {
    /// The input ended, and everything was answered as far as there was time for it.
    InputEnded,
    /// The client does not read any more.
    OutputClosed,
    /// It was told to stop.
    Stopped,
    /// The server has forgotten the session. A client has to begin anew.
    SessionLost {
        /// What the server said.
        cause: String,
    },
}

/// It could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutwardError {
    /// There is no HTTP client for this server.
    #[error("{url} cannot be spoken to: {cause}")]
    Client {
        /// The server.
        url: String,
        /// What is wrong.
        cause: String,
    },
    /// What is said about the way to the server cannot be used.
    #[error(transparent)]
    Way(#[from] ForwardConfigError),
    /// The client's lines cannot be read.
    #[error("the client's messages cannot be read")]
    Input(#[source] io::Error),
    /// Lines for the client cannot be written.
    #[error("messages for the client cannot be written")]
    Output(#[source] io::Error),
}

/// Speaks for a stdio client until its `input` ends or it is told to `stop`.
///
/// `output` gets whole lines with messages of the server and errors in their place, `errors` lines for people. It needs
/// no engine and starts no task of its own; dropping the future ends everything at once, without a word to the server.
///
/// # Errors
/// [`OutwardError`] if there is no client for the server, if its way there cannot be used, or input or output fail. A client
/// that has gone away is [`OutwardEnd::OutputClosed`].
pub async fn run(
    config: OutwardConfig,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
    errors: impl AsyncWrite + Unpin,
    stop: CancellationToken,
) -> Result<OutwardEnd, OutwardError> {
    run_noting(config, input, output, errors, stop, Arc::default()).await
}

/// The same, and takes down with which status of HTTP each answer came. An answer that a client of the protocol would not
/// take, since its status says that there is none, is passed on all the same if these are kept.
pub(crate) async fn run_noting(
    config: OutwardConfig,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
    errors: impl AsyncWrite + Unpin,
    stop: CancellationToken,
    statuses: Arc<Statuses>,
) -> Result<OutwardEnd, OutwardError> {
    let (lines, line_queue) = mpsc::channel(LINE_QUEUE);
    let (notes, note_queue) = mpsc::channel(NOTE_QUEUE);
    let (jobs, job_queue) = mpsc::channel(1);
    let drain = config.drain;
    let max_bytes = config.max_message_bytes;
    let outward = Arc::new(Outward::new(config, lines, notes, jobs, statuses)?);
    let closing = CancellationToken::new();
    let mut writing = pin!(line::write(output, line_queue, &closing));
    let mut telling = pin!(line::tell(errors, note_queue, &closing));
    let ended = {
        let (sender, messages) = mpsc::channel(1);
        let input_ended = CancellationToken::new();
        let reading = async {
            let read = line::read(input, max_bytes, sender).await;
            input_ended.cancel();
            read
        };
        let conversation = async { tokio::join!(reading, outward.talk(messages)).0 };
        let overdue = async {
            input_ended.cancelled().await;
            tokio::time::sleep(drain).await;
        };
        let beside = async { tokio::join!(work(job_queue), &mut telling).0 };
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(OutwardEnd::Stopped),
            written = &mut writing => written.map_or_else(output_failed, |()| Ok(OutwardEnd::OutputClosed)),
            () = outward.lost.cancelled() => Ok(OutwardEnd::SessionLost { cause: outward.cause_of_loss() }),
            read = conversation => read.map(|()| OutwardEnd::InputEnded).map_err(OutwardError::Input),
            () = overdue => Ok(OutwardEnd::InputEnded),
            () = beside => Ok(OutwardEnd::Stopped),
        }
    };
    if let Ok(OutwardEnd::SessionLost { cause }) = &ended {
        outward.note(format!("{cause}. A client has to begin anew, so this ends here"));
    }
    if matches!(ended, Ok(OutwardEnd::OutputClosed) | Err(OutwardError::Output(_))) {
        // Nobody is left to tell; the writer must not be polled again.
        let _ = tokio::time::timeout(FAREWELL, outward.leave()).await;
        return ended;
    }
    let leaving = async {
        outward.give_up(&ended).await;
        outward.leave().await;
        closing.cancel();
    };
    let farewell = async { tokio::join!(leaving, writing, telling) };
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
    ended
}

fn output_failed(error: io::Error) -> Result<OutwardEnd, OutwardError> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Ok(OutwardEnd::OutputClosed)
    } else {
        Err(OutwardError::Output(error))
    }
}

/// Does the jobs, all at the same time.
async fn work(mut queue: mpsc::Receiver<Job>) {
    let mut jobs = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(job) = queue.recv() => jobs.push(job),
            Some(()) = jobs.next(), if !jobs.is_empty() => {}
            else => return,
        }
    }
}

/// Why requests that still wait at the end have no answer.
fn at_the_end(ended: &Result<OutwardEnd, OutwardError>) -> Failure {
    match ended {
        Ok(OutwardEnd::SessionLost { cause }) => Failure::session_lost(cause.clone()),
        _ => Failure::new("stopped", "the connection was ended before an answer came"),
    }
}
