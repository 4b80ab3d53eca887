//! What a recording is sent to: a server that speaks HTTP, or a command that speaks on its standard input and output.

use std::convert::Infallible;
use std::error::Error as _;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader, duplex, split};
use tokio_util::sync::CancellationToken;

use super::DriveOptions;
use super::call::{End, Told};
use super::message::shortened;
use super::plan::SessionPlan;
use super::talk::Talk;
use crate::child::{ChildEnd, ChildProcess, CommandConfig, EndGraces, StartChildError};
use crate::outward::{self, OutwardConfig, OutwardEnd, OutwardError, StaticHeader, Statuses};
use crate::replay::compare::Row;

/// Bytes between us and our client of a server.
const PIPE_BYTES: usize = 64 << 10;
/// How long answers may still come when nobody waits for one.
const DRAIN: Duration = Duration::from_millis(100);
/// How long a connection may take to end.
const FAREWELL: Duration = Duration::from_secs(3);
/// Lines of a server's words beside its messages that are kept, from its end.
const MAX_NOTES: usize = 10;
/// Longest of these, in bytes.
const MAX_NOTE_BYTES: u64 = 4096;
/// How long after its pipes a command ends that does so by itself.
const OWN_END: Duration = Duration::from_millis(300);
/// How long a command may take to end.
const GRACES: EndGraces = EndGraces {
    after_end_of_input: Duration::from_secs(2),
    after_terminate: Duration::from_secs(1),
};

/// Who gets the client's side.
#[derive(Debug, Clone)]
pub enum Target {
    /// A server that speaks Streamable HTTP, or the older HTTP+SSE: what it speaks is found out as clients do.
    Http(Box<OutwardConfig>),
    /// A command, started anew for each session.
    Command(CommandConfig),
}

/// There is no way to the target.
#[derive(Debug, thiserror::Error)]
pub(super) enum DriveError {
    /// The command cannot be started.
    #[error(transparent)]
    Start(#[from] StartChildError),
    /// The server cannot be spoken to.
    #[error(transparent)]
    Outward(#[from] OutwardError),
}

impl DriveError {
    /// The error and its causes.
    pub(super) fn in_one_line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            // Writing to a string does not fail.
            let _ = write!(line, ": {error}");
            cause = error.source();
        }
        line
    }
}

/// Rows of a session, and what was said beside them.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) rows: Vec<Row>,
    pub(super) remarks: Vec<String>,
    /// Why it could not be talked through.
    pub(super) failure: Option<String>,
    /// There was nobody at all, for this reason.
    pub(super) unreachable: Option<String>,
    /// It was tried.
    pub(super) was_begun: bool,
}

impl Session {
    /// One that was not tried.
    pub(super) fn unsent(rows: Vec<Row>) -> Self {
        Self {
            rows,
            ..Self::default()
        }
    }
}

/// Talks one session through.
pub(super) async fn session(
    plan: &SessionPlan,
    target: &Target,
    options: &DriveOptions,
) -> Result<Session, DriveError> {
    let (told, notes) = match target {
        Target::Http(config) => Box::pin(over_http(plan, config, options)).await?,
        Target::Command(config) => with_command(plan, config, options).await?,
    };
    let is_failed = matches!(told.end, End::ByServer(_) | End::Refused { .. });
    let mut remarks: Vec<String> = match target {
        // Those of our own client of the server.
        Target::Http(_) => notes
            .iter()
            .map(|note| format!("{}: {}", plan.name, note.trim_start_matches("shadowcat-tui: ")))
            .collect(),
        // What a command writes beside its messages matters if it goes wrong.
        Target::Command(_) if is_failed => notes
            .iter()
            .map(|note| format!("{}: the server said: {note}", plan.name))
            .collect(),
        Target::Command(_) => Vec::new(),
    };
    let own = told.remarks.iter();
    remarks.extend(own.map(|remark| format!("{}: {remark}", plan.name)));
    let is_command = matches!(target, Target::Command(_));
    let failure = sentence(plan, &told, is_command, notes.last().filter(|_| is_command));
    // The sentence has it otherwise.
    if told.stray.count > 0 && failure.is_none() {
        let lines = match told.stray.count {
            1 => "a line that is no message".to_owned(),
            count => format!("{count} lines that are no messages, the first"),
        };
        remarks.push(format!(
            "{}: the server wrote {lines}: `{}`",
            plan.name, told.stray.first
        ));
    }
    Ok(Session {
        failure,
        rows: told.rows,
        remarks,
        unreachable: told.unreachable,
        was_begun: true,
    })
}

/// Why a session could not be talked through: what was tried, what happened, what to do.
fn sentence(
    plan: &SessionPlan,
    told: &Told,
    is_command: bool,
    last_words: Option<&String>,
) -> Option<String> {
    let (why, advice) = match &told.end {
        End::Whole | End::Interrupted => return None,
        End::ByServer(why) if told.unanswered.is_empty() => (why.clone(), ""),
        End::ByServer(why) => {
            let why = format!("{why} before it answered {}", told.unanswered);
            let advice = if is_command {
                "Start it by hand to see why"
            } else {
                "See the log of the server"
            };
            (why, advice)
        }
        End::Refused { why, advice, .. } => (why.clone(), *advice),
    };
    let mut text = format!("{}: {why}", plan.name);
    // Writing to a string does not fail.
    if let Some(words) = last_words {
        let _ = write!(text, "; its last words were `{}`", shortened(words));
    }
    if told.stray.count > 0 {
        let _ = write!(text, "; it wrote `{}`, which is no message", told.stray.first);
    }
    if !advice.is_empty() {
        let _ = write!(text, ". {advice}");
    }
    Some(text)
}

async fn over_http(
    plan: &SessionPlan,
    config: &OutwardConfig,
    options: &DriveOptions,
) -> Result<(Told, Vec<String>), DriveError> {
    let mut config = OutwardConfig {
        drain: DRAIN,
        ..config.clone()
    };
    for header in own_headers(plan, &config) {
        config.add(header);
    }
    let (ours, theirs) = duplex(PIPE_BYTES);
    let (notes, note_end) = duplex(PIPE_BYTES);
    let (input, output) = split(theirs);
    let stop = CancellationToken::new();
    let statuses = Arc::new(Statuses::kept());
    let speaking = outward::run_noting(
        config,
        input,
        output,
        note_end,
        stop.clone(),
        Arc::clone(&statuses),
    );
    let over = CancellationToken::new();
    let talking = async {
        let (input, output) = split(ours);
        // It drops both halves, which is the end of the other side's input.
        let talk = Talk::new(plan, options).noting(statuses);
        let said = talk.say_all(input, output).await;
        over.cancel();
        said
    };
    let watching = async {
        over.cancelled().await;
        tokio::time::sleep(FAREWELL).await;
        stop.cancel();
        std::future::pending::<Infallible>().await
    };
    let both = async {
        tokio::select! {
            ended = async { tokio::join!(talking, speaking) } => ended,
            never = watching => match never {},
        }
    };
    let ((said, ended), notes) = tokio::join!(both, last_lines(notes));
    let cause = match ended? {
        OutwardEnd::SessionLost { cause } => Some(cause),
        _ => None,
    };
    Ok((said.because(cause).told(), notes))
}

/// Headers of the recording that programs made for themselves: `X-…` without secrets in them.
fn own_headers(plan: &SessionPlan, config: &OutwardConfig) -> Vec<StaticHeader> {
    let is_own = |name: &str| name.starts_with("x-") && !name.starts_with("x-forwarded-");
    let fields = plan.fields.iter().filter(|(name, value)| {
        is_own(name) && !value.contains(crate::replay::alike::TAG_START) && !config.headers.contains_key(name)
    });
    fields
        .filter_map(|(name, value)| StaticHeader::new(name, value).ok())
        .collect()
}

async fn with_command(
    plan: &SessionPlan,
    config: &CommandConfig,
    options: &DriveOptions,
) -> Result<(Told, Vec<String>), DriveError> {
    let (mut process, pipes) = ChildProcess::start(config)?;
    let talking = async {
        // Dropping the pipes is what tells the command to end.
        let said = Talk::new(plan, options).say_all(pipes.output, pipes.input).await;
        let why = match said.end {
            End::ByServer(_) => own_end(&mut process).await,
            End::Whole | End::Refused { .. } | End::Interrupted => None,
        };
        process.end(GRACES).await;
        said.because(why).told()
    };
    Ok(tokio::join!(talking, last_lines(pipes.errors)))
}

/// How a command ended that was not told to; that a pipe broke says less. `None` if it runs on without its pipes.
async fn own_end(process: &mut ChildProcess) -> Option<String> {
    let ended = tokio::time::timeout(OWN_END, process.ended()).await.ok()?;
    Some(match ended {
        ChildEnd::Code(0) => "the command closed its output and ended with exit code 0".to_owned(),
        ended => format!("the command ended with {ended}"),
    })
}

/// The last lines of what is not messages, until its end.
async fn last_lines(input: impl AsyncRead + Unpin) -> Vec<String> {
    let mut input = BufReader::new(input);
    let mut kept = std::collections::VecDeque::new();
    loop {
        let mut line = Vec::new();
        match (&mut input)
            .take(MAX_NOTE_BYTES)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(0) | Err(_) => return kept.into(),
            Ok(_) => {
                let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
                if !text.is_empty() {
                    kept.push_back(text);
                }
                if kept.len() > MAX_NOTES {
                    kept.pop_front();
                }
            }
        }
    }
}
