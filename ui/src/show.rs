//! A recording on stdout, one line a message, and what is remarkable about it on stderr.

use std::io;
use std::path::Path;
use std::sync::Arc;

use shadowcat::engine::EngineHandle;
use shadowcat::frontend::{Commands, EngineGoneError, Frontend};
use shadowcat::snapshot::{Body, Command, MessageRow, Reply, RowKind, Snapshot, Source};
use shadowcat::views::AttachError;

use crate::cli::Lines;
use crate::console::say;
use crate::format::plural;
use crate::lines::LineWriter;
use crate::printer::Printer;
use crate::puller::{Batch, PullError, Puller, no_rows};
use crate::text::Safe;

/// A recording could not be printed to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShowError {
    #[error("could not prepare printing; check the limits on processes")]
    Prepare(#[source] io::Error),
    #[error(transparent)]
    Frontend(#[from] AttachError),
    #[error("could not write to stdout")]
    Output(#[source] io::Error),
    #[error("the recording cannot be read on: {0}")]
    Pull(#[from] PullError),
}

impl From<EngineGoneError> for ShowError {
    fn from(error: EngineGoneError) -> Self {
        Self::Pull(error.into())
    }
}

/// Prints the recording that `engine` has opened.
///
/// # Errors
/// [`ShowError`]. A reader of stdout that goes away ends the printing without an error, and damage in the recording is
/// only told about.
pub(crate) async fn run(engine: &EngineHandle, lines: &Lines, has_bodies: bool) -> Result<(), ShowError> {
    let frontend = engine.frontend()?;
    frontend.queries.send_replace(no_rows());
    let printer = Printer::to_stdout().map_err(ShowError::Prepare)?;
    let mut show = Show {
        writer: LineWriter::new(lines.format, lines.is_ascii),
        puller: Puller::new(frontend.commands.clone(), lines.filter.clone()),
        commands: frontend.commands.clone(),
        has_bodies,
        messages: 0,
        others: 0,
    };
    let outcome = show.print(frontend, &printer).await;
    printer.finish().await.map_err(ShowError::Output)?;
    if let Some(snapshot) = outcome? {
        show.summarize(&snapshot);
    }
    Ok(())
}

struct Show {
    writer: LineWriter,
    puller: Puller,
    commands: Commands,
    has_bodies: bool,
    /// JSON-RPC messages that were printed.
    messages: u64,
    /// Other rows that were printed: HTTP around messages, events without one, runs of commands and what they said.
    others: u64,
}

impl Show {
    /// Prints rows while the recording is being read. Gives what the engine says at the end; `None` if nobody reads on.
    async fn print(
        &mut self,
        mut frontend: Frontend,
        printer: &Printer,
    ) -> Result<Option<Arc<Snapshot>>, ShowError> {
        loop {
            let snapshot = Arc::clone(&frontend.snapshots.borrow_and_update());
            let is_whole = is_whole(&snapshot.source);
            if (is_whole || self.puller.is_behind(snapshot.messages.newest))
                && !self.drain(&snapshot, printer).await?
            {
                return Ok(None);
            }
            if is_whole {
                return Ok(Some(snapshot));
            }
            frontend.snapshots.changed().await.map_err(|_| EngineGoneError)?;
        }
    }

    /// Prints all there is. `false` if there is nobody to print for.
    async fn drain(&mut self, snapshot: &Snapshot, printer: &Printer) -> Result<bool, ShowError> {
        loop {
            let Batch {
                rows,
                missed,
                is_last,
            } = self.puller.next(snapshot.messages.newest).await?;
            let mut out = Vec::new();
            if missed > 0 {
                self.writer.gap(&mut out, missed);
            }
            for row in &rows {
                let body = self.body_of(row).await?;
                self.writer.row(&mut out, row, body.as_ref());
                // With bodies a batch can be large: what is written need not be kept.
                if !printer.print(std::mem::take(&mut out)).await {
                    return Ok(false);
                }
            }
            let others = rows.iter().filter(|row| !is_rpc(row.kind)).count() as u64;
            self.messages += rows.len() as u64 - others;
            self.others += others;
            if !printer.print(out).await {
                return Ok(false);
            }
            if is_last {
                return Ok(true);
            }
        }
    }

    async fn body_of(&self, row: &MessageRow) -> Result<Option<Body>, EngineGoneError> {
        if !self.has_bodies || !row.has_body {
            return Ok(None);
        }
        match self.commands.ask(Command::Inspect { id: row.id }).await? {
            Reply::Detail(detail) => Ok(detail.body),
            _ => Ok(None),
        }
    }

    fn summarize(&self, snapshot: &Snapshot) {
        let Source::File { path, damage, .. } = &snapshot.source else {
            return;
        };
        let path = path.display();
        let others = match self.others {
            0 => String::new(),
            others => format!(" and {}", plural(others, "other row")),
        };
        let of = match snapshot.messages.total {
            total if total == self.messages + self.others => String::new(),
            total => format!(" of {} in all", plural(total, "row")),
        };
        let sessions = plural(snapshot.sessions.total, "session");
        let messages = plural(self.messages, "message");
        say(Safe::of(&format!("{path}: {messages}{others}{of}, {sessions}")).as_str());
        for place in damage {
            say(Safe::of(&format!("warning: {path}: {place}")).as_str());
        }
    }
}

/// Whether a row is one of the messages that `verify` counts.
const fn is_rpc(kind: RowKind) -> bool {
    matches!(
        kind,
        RowKind::Request | RowKind::Result | RowKind::Error | RowKind::Notification
    )
}

/// Everything that was in the file when it was opened has been read.
fn is_whole(source: &Source) -> bool {
    matches!(source, Source::File { path, read_bytes, total_bytes, .. } if !is_unset(path) && read_bytes >= total_bytes)
}

/// A snapshot from before the recording was opened.
fn is_unset(path: &Path) -> bool {
    path.as_os_str().is_empty()
}
