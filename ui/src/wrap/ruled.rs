//! A server of ours on our stdin and stdout, whose lines a proxy of ours acts on by rules.

use std::ffi::OsString;
use std::io::{self, pipe};
use std::time::Duration;

use shadowcat::child::ChildEnd;
use shadowcat::engine::EngineHandle;
use shadowcat::limits::ResourceLimits;
use shadowcat::recording::RecordingSettings;
use tokio::net::unix::pipe::{Receiver, Sender};

use super::gate::Gates;
use super::links::Goal;
use super::outward::{receiver, sender};
use super::pump::Pumps;
use super::queue::Observers;
use super::{Links, WrapOptions, facts};

/// How long the end waits for the engine, which is in this process.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Serves our stdin and stdout with `serve`, which is called `name` in the rules of `engine`. No line passes that these
/// have not seen; if the engine fails, they pass. Our stderr is left alone. Ends when `serve` has ended and what it said was
/// passed on.
///
/// # Errors
/// What the system says if it gives no pipes or threads. What `serve` says is the result.
pub(crate) async fn by_rules<T>(
    (engine, limits): (&EngineHandle, &ResourceLimits),
    name: &str,
    serve: impl AsyncFnOnce(Receiver, Sender) -> T,
) -> io::Result<T> {
    let begin = facts::gather_for(&options(name), std::process::id());
    let (observers, gates) = (Observers::new(1), Gates::new()?);
    let most = limits.max_lane_bytes.saturating_add(limits.max_message_bytes);
    // From the first line on, and not only from when the engine says so.
    gates.set_closed(true, limits.max_lane_events as u64, most as u64);
    let (input, output) = (pipe()?, pipe()?);
    let ends = (receiver(input.0)?, sender(output.1)?);
    let goals = vec![(Goal::own(engine)?, LAST_WORDS)];
    let mut links = Links::to(goals, (&observers, &gates), &begin);
    let pumps = Pumps::between((input.1.into(), output.0.into(), None), &observers, &gates)?;
    let serving = async {
        let ended = serve(ends.0, ends.1).await;
        pumps.drained().await;
        observers.exit(ChildEnd::Code(0));
        ended
    };
    let ended = links.beside(Box::pin(serving)).await;
    pumps.close_output();
    links.finish().await;
    Ok(ended)
}

/// A run whose command is this program.
fn options(name: &str) -> WrapOptions {
    WrapOptions {
        command: vec![OsString::from(env!("CARGO_PKG_NAME")), OsString::from(name)],
        name: Some(name.to_owned()),
        connect: None,
        record: None,
        records_secrets: false,
        recording: RecordingSettings::default(),
    }
}
