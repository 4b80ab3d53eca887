//! The shim in front of a server that speaks HTTP: in place of a command there is our own client of it.

use std::io::{self, PipeReader, PipeWriter, pipe};
use std::os::fd::OwnedFd;

use shadowcat::child::{ChildEnd, ChildSignal};
use shadowcat::door::message::RunBegin;
use shadowcat::engine::EngineHandle;
use shadowcat::outward::{self, OutwardConfig, OutwardEnd, OutwardError};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio_util::sync::CancellationToken;

use super::gate::Gates;
use super::pump::Pumps;
use super::queue::Observers;
use super::signals::PassedOn;
use super::{Links, WrapError, WrapOptions, facts, recorded};

/// What the client's exit code says if the server has forgotten the session.
const SESSION_LOST: i32 = 1;
const FAILED: i32 = 3;

/// Speaks with the server for the client on our stdin and stdout. The result is the exit code.
///
/// # Errors
/// [`WrapError`] if it cannot begin, or input or output fail.
pub(crate) fn run_outward(options: &WrapOptions, server: OutwardConfig) -> Result<u8, WrapError> {
    // Before our streams are those of the conversation, so that what is wrong can be said.
    server.check()?;
    recorded(options, async |recording| speak(options, server, recording).await)
}

async fn speak(
    options: &WrapOptions,
    server: OutwardConfig,
    recording: Option<&EngineHandle>,
) -> Result<u8, WrapError> {
    let mut signals = PassedOn::listen()?;
    let begin = begin(options);
    let observers = Observers::new(1 + usize::from(recording.is_some()));
    let (input, output, errors) = (pipe()?, pipe()?, pipe()?);
    let gates = Gates::new()?;
    let pipes = (input.1.into(), output.0.into(), Some(errors.0.into()));
    let pumps = Pumps::between(pipes, &observers, &gates)?;
    let mut links = Links::new(options, recording, (&observers, &gates), &begin)?;
    let ends = (receiver(input.0)?, sender(output.1)?, sender(errors.1)?);
    let speaking = async {
        let ended = until_signal(server, ends, &mut signals).await;
        if matches!(ended, Ok(ChildEnd::Signal(_))) {
            pumps.hurry();
        }
        drain(&pumps, &mut signals).await;
        observers.exit(match &ended {
            Ok(end) => *end,
            Err(_) => ChildEnd::Code(FAILED),
        });
        ended
    };
    let ended = links.beside(Box::pin(speaking)).await;
    pumps.close_output();
    links.finish().await;
    Ok(ended?.shell_code())
}

/// Waits until the client has read all, or wants the end rather than the rest.
async fn drain(pumps: &Pumps, signals: &mut PassedOn) {
    let mut drained = std::pin::pin!(pumps.drained());
    loop {
        tokio::select! {
            () = &mut drained => return,
            signal = signals.next() => if signal.asks_for_end() {
                pumps.hurry();
            },
        }
    }
}

async fn until_signal(
    server: OutwardConfig,
    (input, output, errors): (Receiver, Sender, Sender),
    signals: &mut PassedOn,
) -> Result<ChildEnd, OutwardError> {
    let stop = CancellationToken::new();
    let mut speaking = std::pin::pin!(outward::run(server, input, output, errors, stop.clone()));
    let mut ended_by = None;
    let ended = loop {
        tokio::select! {
            ended = &mut speaking => break ended?,
            signal = signals.next() => {
                ended_by = number(signal).or(ended_by);
                if ended_by.is_some() {
                    stop.cancel();
                }
            }
        }
    };
    Ok(match (ended, ended_by) {
        (OutwardEnd::SessionLost { cause }, _) => {
            tracing::warn!(cause, "the session is lost");
            ChildEnd::Code(SESSION_LOST)
        }
        (OutwardEnd::Stopped, Some(signal)) => ChildEnd::Signal(signal),
        _ => ChildEnd::Code(0),
    })
}

/// The number of a signal that ends us.
const fn number(signal: ChildSignal) -> Option<i32> {
    match signal {
        ChildSignal::Hangup => Some(1),
        ChildSignal::Interrupt => Some(2),
        ChildSignal::Quit => Some(3),
        ChildSignal::Terminate => Some(15),
        _ => None,
    }
}

/// A run whose process is this one.
fn begin(options: &WrapOptions) -> RunBegin {
    facts::gather_for(options, std::process::id())
}

pub(super) fn receiver(end: PipeReader) -> io::Result<Receiver> {
    Receiver::from_owned_fd(OwnedFd::from(end))
}

pub(super) fn sender(end: PipeWriter) -> io::Result<Sender> {
    Sender::from_owned_fd(OwnedFd::from(end))
}
