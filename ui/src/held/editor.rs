//! Changing a held message in the user's editor. Secrets are placeholders there, and put back afterwards.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::ExitStatus;

use shadowcat::clock::Clock;
use shadowcat::ids::HoldId;
use shadowcat::intercept::edit::{MAX_RESULT_BYTES, mask, unmask};
use shadowcat::intercept::interceptor::InterceptCommand;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::spread::{compact, is_spreadable, spread};
use super::{Desk, HeldError};
use crate::editor::{self, Draft};

/// What the user makes of `base`. While they write, the message's time does not run.
pub(super) async fn edit(desk: &mut Desk, id: HoldId, base: &str) -> Result<String, HeldError> {
    let editor = editor::wanted().ok_or(HeldError::NoEditor)?;
    let mut signals = Signals::listen().map_err(HeldError::System)?;
    let is_editing = true;
    desk.ask(&InterceptCommand::Editing { id, is_editing }).await?;
    let written = write(&editor, id, base, &mut signals).await;
    let is_editing = false;
    // It may have left meanwhile; that is told when the text is put.
    let _ = desk.ask(&InterceptCommand::Editing { id, is_editing }).await;
    written
}

/// What would end this process and leave the file behind.
struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The exit code for a signal that ends this process. Ctrl-C is the editor's.
    async fn next_code(&mut self) -> u8 {
        loop {
            tokio::select! {
                _ = self.hang_up.recv() => return HUNG_UP,
                _ = self.terminate.recv() => return TERMINATED,
                _ = self.interrupt.recv() => {}
            }
        }
    }
}

/// How shells tell of SIGHUP.
const HUNG_UP: u8 = 129;
/// How they tell of SIGTERM.
const TERMINATED: u8 = 143;

async fn write(editor: &str, id: HoldId, base: &str, signals: &mut Signals) -> Result<String, HeldError> {
    let (masked, secrets) = mask(base.as_bytes());
    let masked = String::from_utf8_lossy(&masked).into_owned();
    let is_spread = is_spreadable(&masked);
    let before = if is_spread { spread(&masked) } else { masked };
    let draft = Draft::create(&id.to_string(), Clock::start().now(), before.as_bytes());
    let draft = draft.map_err(failed("the file for the editor cannot be written"))?;
    call(editor, &draft, signals).await?;
    let after = read(draft.path()).map_err(failed("what was written cannot be read"))?;
    let after = without_added_line_end(&before, String::from_utf8_lossy(&after).into_owned());
    if after == before {
        return Ok(base.to_owned());
    }
    let after = if is_spread { compact(&after) } else { after };
    let text = unmask(after.as_bytes(), &secrets);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> HeldError {
    let what = what.into();
    move |source| HeldError::Editor {
        what,
        source: Some(source),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let most = MAX_RESULT_BYTES as u64;
    File::open(path)?.take(most).read_to_end(&mut text)?;
    Ok(text)
}

/// Editors end the last line.
fn without_added_line_end(before: &str, after: String) -> String {
    match after.strip_suffix('\n') {
        Some(text) if !before.ends_with('\n') => text.to_owned(),
        _ => after,
    }
}

async fn call(editor: &str, draft: &Draft, signals: &mut Signals) -> Result<(), HeldError> {
    let not_started = || failed(format!("the editor `{editor}` cannot be started"));
    let mut child = draft.open_with(editor).map_err(not_started())?;
    let status: ExitStatus = tokio::select! {
        biased;
        code = signals.next_code() => return Err(HeldError::Ended(code)),
        status = child.wait() => status.map_err(not_started())?,
    };
    if status.success() {
        return Ok(());
    }
    Err(HeldError::Editor {
        what: format!("the editor `{editor}` ended with {status}"),
        source: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_end_that_was_added_is_taken_away() {
        assert_eq!(without_added_line_end("a", "b\n".to_owned()), "b");
        assert_eq!(without_added_line_end("a\n", "b\n".to_owned()), "b\n");
    }
}
