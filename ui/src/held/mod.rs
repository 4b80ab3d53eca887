//! The held queue of a running proxy, from the command line: what is held, and what becomes of it.

mod edit;
mod editor;
mod link;
mod page;
mod spread;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use shadowcat::door::message::Answered;
use shadowcat::door::{HeldClient, LinkError};
use shadowcat::ids::HoldId;
use shadowcat::intercept::edit::{Change, EditError};
use shadowcat::intercept::interceptor::{HeldText, InterceptCommand, InterceptReply};
use shadowcat::intercept::rules::template;
use tokio::time::timeout;

use crate::cli::Format;
use crate::console::say;
use crate::lines::LineWriter;
use crate::text::Safe;
use crate::wrap::Connect;
use crate::{BAD_USAGE, CANNOT_OPEN, FAILED};
use link::FindError;

/// How long a proxy may take to answer. One that was stopped (SIGSTOP) never does.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to do with the held queue of which proxy.
#[derive(Debug)]
pub(crate) struct HeldJob {
    /// The newest one that runs if `None`.
    pub(crate) connect: Option<Connect>,
    pub(crate) task: HeldTask,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum HeldTask {
    List(Format),
    Show(HoldId, Format),
    Edit(HoldId, EditBy),
    Answer {
        id: HoldId,
        result: String,
        /// Though no result of MCP is like it.
        force: bool,
    },
    /// Decisions, one after another.
    Do(Vec<InterceptCommand>),
    Watch(Format),
}

/// What changes a message.
#[derive(Debug)]
pub(crate) enum EditBy {
    Changes(Vec<Change>),
    /// A file with a JSON Patch or a JSON Merge Patch.
    Patch(PathBuf),
    Editor,
    Revert,
}

/// It could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeldError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("the proxy cannot be asked any more")]
    Link(#[from] LinkError),
    #[error("the proxy does not answer; is it stopped?")]
    Silent,
    #[error("the proxy answers something else; use the same version of shadowcat-tui on both sides")]
    Other,
    #[error("{0}")]
    Refused(String),
    #[error("the message was not changed: {0}")]
    Edit(#[from] EditError),
    #[error("could not read the patch {}", .path.display())]
    Patch { path: PathBuf, source: io::Error },
    #[error("the message was not changed: {what}")]
    Editor { what: String, source: Option<io::Error> },
    /// With the exit code for the signal.
    #[error("the message was not changed: this program was told to end while the editor was open")]
    Ended(u8),
    #[error("a result of MCP is an object such as '{{\"content\":[]}}'; --force sends this one all the same")]
    NoObject,
    #[error("no editor is known; set VISUAL or EDITOR, or use --set or --patch")]
    NoEditor,
    #[error("could not write to stdout")]
    Output(#[source] io::Error),
    #[error("the system refuses what this needs")]
    System(#[source] io::Error),
}

impl HeldError {
    /// 3 without a proxy that answers or a file that can be read, 2 for what is said wrong, otherwise 1.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Find(_)
            | Self::Link(_)
            | Self::Silent
            | Self::Other
            | Self::Patch { .. }
            | Self::System(_) => CANNOT_OPEN,
            Self::Ended(code) => *code,
            Self::NoEditor | Self::NoObject => BAD_USAGE,
            Self::Refused(_) | Self::Edit(_) | Self::Editor { .. } | Self::Output(_) => FAILED,
        }
    }
}

/// Finds the proxy and does it.
///
/// # Errors
/// [`HeldError`]; of several decisions those before the one that failed are done.
pub(crate) fn run(job: HeldJob) -> Result<(), HeldError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(HeldError::System)?;
    runtime.block_on(async {
        let (client, listen) = link::find(job.connect.as_ref()).await?;
        let mut desk = Desk { client };
        match job.task {
            HeldTask::List(format) => desk.list(format).await,
            HeldTask::Show(id, format) => desk.show(id, format).await,
            HeldTask::Edit(id, by) => edit::edit(&mut desk, id, by).await,
            HeldTask::Answer { id, result, force } => desk.answer(id, result, force).await,
            HeldTask::Do(commands) => desk.decide(commands).await,
            HeldTask::Watch(format) => desk.watch(format, &listen).await,
        }
    })
}

/// Where questions are put.
struct Desk {
    client: HeldClient,
}

impl Desk {
    async fn ask(&mut self, command: &InterceptCommand) -> Result<InterceptReply, HeldError> {
        let answered = timeout(PATIENCE, self.client.ask(command)).await;
        match answered.map_err(|_| HeldError::Silent)?? {
            Answered::Done(reply) => Ok(reply),
            Answered::Refused(reason) => Err(HeldError::Refused(reason)),
        }
    }

    /// The message itself.
    async fn message(&mut self, id: HoldId) -> Result<HeldText, HeldError> {
        match self.ask(&InterceptCommand::Show { id }).await? {
            InterceptReply::Message(message) => Ok(*message),
            _ => Err(HeldError::Other),
        }
    }

    async fn list(&mut self, format: Format) -> Result<(), HeldError> {
        let InterceptReply::Held { rows } = self.ask(&InterceptCommand::List).await? else {
            return Err(HeldError::Other);
        };
        print(&match format {
            Format::Text => page::table(&rows),
            Format::Json => page::list(&rows),
        })
    }

    async fn show(&mut self, id: HoldId, format: Format) -> Result<(), HeldError> {
        let message = self.message(id).await?;
        print(&match format {
            Format::Text => page::message(&message),
            Format::Json => page::message_json(&message),
        })
    }

    async fn answer(&mut self, id: HoldId, result: String, force: bool) -> Result<(), HeldError> {
        if !force {
            let request = self.message(id).await?.original;
            // What cannot be filled the proxy says.
            let filled = template::fill(&result, request.as_bytes()).unwrap_or_default();
            if !filled.is_empty() && !filled.trim_start().starts_with('{') {
                return Err(HeldError::NoObject);
            }
        }
        self.decide(vec![InterceptCommand::Answer { id, result }]).await
    }

    async fn decide(&mut self, commands: Vec<InterceptCommand>) -> Result<(), HeldError> {
        for command in commands {
            let InterceptReply::Done { words } = self.ask(&command).await? else {
                return Err(HeldError::Other);
            };
            print(&format!("{}\n", Safe::of(&words).as_str()))?;
        }
        Ok(())
    }

    async fn watch(&mut self, format: Format, listen: &str) -> Result<(), HeldError> {
        self.client.watch().await?;
        let writer = LineWriter::new(format, false);
        let mut is_told = false;
        while let Some(news) = self.client.next_events().await? {
            if !is_told {
                // The proxy's first word says that nothing is missed from here on.
                say(format_args!("watching what {listen} holds"));
                is_told = true;
            }
            let mut out = Vec::new();
            writer.holds(&mut out, &news);
            match put(&out) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                done => done.map_err(HeldError::Output)?,
            }
        }
        Ok(())
    }
}

fn put(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Nobody may be there to read it any more, which is no reason to fail.
fn print(text: &str) -> Result<(), HeldError> {
    match put(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(HeldError::Output(error)),
        _ => Ok(()),
    }
}
