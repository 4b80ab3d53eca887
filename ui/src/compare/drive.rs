//! A recording sent to a live server, and how its answers compare.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use shadowcat::intercept::filter::Filter;
use shadowcat::limits::ResourceLimits;
use shadowcat::recording::{Extent, OpenRecordingError, RecordingReader, shown};
use shadowcat::replay::drive::{DriveOptions, Driven, MissingSecret, Plan, Target, drive, tags_in};
use shadowcat::replay::tape::{Tape, TapeError, TapeOptions};

use super::{junit, tell_unmet, text};
use crate::cli::ReportFormat;
use crate::console::say;
use crate::format::plural;
use crate::input::tape;
use crate::signals::Signals;
use crate::{BAD_USAGE, CANNOT_OPEN, Failure};

/// What to send, to whom, and how to tell what came of it.
#[derive(Debug)]
pub(crate) struct DriveJob {
    pub(crate) file: PathBuf,
    pub(crate) extent: Extent,
    pub(crate) target: Target,
    pub(crate) options: DriveOptions,
    pub(crate) only: Filter,
    /// Without asking.
    pub(crate) is_agreed: bool,
    /// Secrets are not asked for.
    pub(crate) is_without_secrets: bool,
    pub(crate) junit: Option<PathBuf>,
    /// `None`: only the exit code tells.
    pub(crate) format: Option<ReportFormat>,
}

/// A recording cannot be sent.
#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error(transparent)]
    Tape(#[from] TapeError),
    #[error("{} has no request that could be sent{}", shown(.file), if *.is_filtered { " and matches --only" } else { "" })]
    Nothing { file: PathBuf, is_filtered: bool },
    #[error("{}", missing_text(.0))]
    Secrets(Vec<MissingSecret>),
    #[error("{0}; add --yes if they may be called, or choose others with --only")]
    Unasked(String),
    #[error("nothing was sent, since nobody agreed; --only leaves tools out, --yes agrees beforehand")]
    Declined,
    #[error("{} is a recording, and --junit would write over it; nothing was sent, name another file", .0.display())]
    OverRecording(PathBuf),
    #[error("the recording has no secret with the tag {tag}{}", known_text(.known))]
    UnknownTag { tag: String, known: Vec<String> },
}

impl ReplayError {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Tape(_) => CANNOT_OPEN,
            _ => BAD_USAGE,
        }
    }
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        Self::with_code(error.exit_code(), error)
    }
}

fn missing_text(missing: &[MissingSecret]) -> String {
    let mut text = "the recording has only tags of these secrets:".to_owned();
    for secret in missing {
        // Writing to a string does not fail.
        let _ = write!(text, "\n  {secret}");
    }
    text.push_str("\nor send without them: --without-secrets");
    text
}

fn known_text(known: &[String]) -> String {
    match known {
        [] => "; there is none in its messages at all".to_owned(),
        _ => format!("; those in its messages are {}", known.join(", ")),
    }
}

/// What is to be printed at the end.
pub(crate) struct Done {
    /// On stdout.
    pub(crate) text: String,
    /// On stderr after it, a line each: why sessions could not be talked through.
    pub(crate) failures: Vec<String>,
    /// The exit code.
    pub(crate) code: u8,
}

/// Sends the recording. The first signal ends that in order, so that what is known by then is told; the second one at once.
///
/// # Errors
/// What is wrong before anything is sent, and a report that cannot be written.
pub(crate) fn run(job: &DriveJob, limits: &ResourceLimits) -> Result<Done, Failure> {
    let options = TapeOptions::as_it_arrived().within(limits).reading(job.extent);
    if let Some(path) = job.junit.as_ref().filter(|path| is_recording(path)) {
        return Err(ReplayError::OverRecording(path.clone()).into());
    }
    let tape = tape(&job.file, &options).map_err(ReplayError::from)?;
    let plan = Plan::new(&tape, &job.only);
    if plan.is_empty() {
        return Err(ReplayError::Nothing {
            file: job.file.clone(),
            is_filtered: !job.only.is_all(),
        }
        .into());
    }
    check_tags(job, &tape)?;
    check_secrets(job, &plan)?;
    agree(job, &plan)?;
    let Sent { driven, signal } = send(job, &plan)?;
    let Some(Driven {
        report,
        is_out_of_reach,
    }) = driven
    else {
        return Ok(Done {
            text: String::new(),
            failures: vec!["it was stopped at once, so nothing is told".to_owned()],
            code: signal.unwrap_or(crate::FAILED),
        });
    };
    let is_same = report.is_same();
    if !is_out_of_reach {
        tell_unmet(&job.options.compare);
    }
    if let Some(path) = &job.junit {
        let xml = junit::xml(&shown(&job.file), &report);
        let written = write_report(path, &xml).with_context(|| format!("could not write {}", path.display()));
        written.map_err(|error| Failure::with_code(CANNOT_OPEN, error))?;
    }
    let code = match signal {
        Some(code) => code,
        None if is_same => 0,
        None if is_out_of_reach => CANNOT_OPEN,
        None => crate::FAILED,
    };
    let text = match job.format {
        None => String::new(),
        Some(ReportFormat::Json) => text::json(Some(&report), None, is_same),
        // Nothing was sent, and one sentence says why.
        Some(ReportFormat::Text) if is_out_of_reach => String::new(),
        Some(ReportFormat::Text) => {
            let remarks = report.remarks.iter();
            remarks.for_each(|remark| say(format_args!("note: {remark}")));
            text::report(&report)
        }
    };
    Ok(Done {
        text,
        failures: report.failures,
        code,
    })
}

/// Whether a file is one that nobody gets back. Pipes are not looked into: that would take something out of them.
fn is_recording(path: &Path) -> bool {
    if !std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
    matches!(
        RecordingReader::open(path),
        Ok(_) | Err(OpenRecordingError::TooNew { .. } | OpenRecordingError::Damaged { .. })
    )
}

/// Writes the file, and its folder; a report that was there is replaced, as those who read them expect. Nothing is left of
/// one that could not be written to its end.
fn write_report(path: &Path, xml: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = File::create(path)?;
    file.write_all(xml.as_bytes()).inspect_err(|_| {
        if let Err(error) = std::fs::remove_file(path) {
            tracing::warn!(path = %path.display(), %error, "an unfinished file could not be removed");
        }
    })
}

/// A tag that is written wrong would leave the secret that was meant without a value.
fn check_tags(job: &DriveJob, tape: &Tape) -> Result<(), ReplayError> {
    if job.options.secrets.is_empty() {
        return Ok(());
    }
    let known = tags_in(tape);
    match job.options.secrets.keys().find(|tag| !known.contains(*tag)) {
        Some(tag) => Err(ReplayError::UnknownTag {
            tag: tag.clone(),
            known: known.into_iter().collect(),
        }),
        None => Ok(()),
    }
}

fn check_secrets(job: &DriveJob, plan: &Plan) -> Result<(), ReplayError> {
    if job.is_without_secrets {
        return Ok(());
    }
    let (headers, is_http): (BTreeSet<String>, bool) = match &job.target {
        Target::Http(config) => (config.headers.keys().map(ToString::to_string).collect(), true),
        Target::Command(_) => (BTreeSet::new(), false),
    };
    let missing = plan.missing_secrets(&headers, &job.options.secrets, is_http);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(ReplayError::Secrets(missing))
    }
}

/// Asks before tools are called that may change something.
fn agree(job: &DriveJob, plan: &Plan) -> Result<(), Failure> {
    if job.is_agreed || plan.side_effects().is_empty() {
        return Ok(());
    }
    let tools = plan.side_effects().iter().map(|(tool, count)| match count {
        1 => tool.clone(),
        _ => format!("{tool} ({count} times)"),
    });
    let tools: Vec<String> = tools.collect();
    let question = format!(
        "{} of the server may change something (the recording does not call them read-only): {}",
        if tools.len() == 1 {
            "this tool"
        } else {
            "these tools"
        },
        tools.join(", ")
    );
    if !io::stdin().is_terminal() {
        return Err(ReplayError::Unasked(question).into());
    }
    let requests = plural(plan.requests() as u64, "request");
    say(format_args!("{question}.\nSend {requests}? [y/N]"));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.context("could not read the answer")?;
    if is_yes(&answer) {
        return Ok(());
    }
    Err(ReplayError::Declined.into())
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"]
        .iter()
        .any(|word| answer.trim().eq_ignore_ascii_case(word))
}

/// How long an end may take until a word is said about it. A signal that comes before is the first one's echo, or too
/// soon to be meant for what it does.
const PATIENCE: Duration = Duration::from_millis(150);

/// What came of sending.
struct Sent {
    /// `None` if it was stopped at once.
    driven: Option<Driven>,
    /// The exit code of the signal that stopped it.
    signal: Option<u8>,
}

fn send(job: &DriveJob, plan: &Plan) -> Result<Sent, Failure> {
    let runtime = crate::runtime()?;
    runtime.block_on(async {
        let mut signals = Signals::listen().context("could not listen to signals")?;
        let mut driving = std::pin::pin!(drive(plan, &job.target, &job.options));
        let signal = tokio::select! {
            driven = &mut driving => return Ok(Sent { driven: Some(driven), signal: None }),
            code = signals.next_code() => code,
        };
        job.options.stop.cancel();
        let waiting = async {
            tokio::time::sleep(PATIENCE).await;
            say("waiting for the server to end; Ctrl-C leaves at once");
            signals.next_code().await
        };
        let driven = tokio::select! {
            driven = driving => Some(driven),
            _ = waiting => None,
        };
        Ok(Sent {
            driven,
            signal: Some(signal),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_writes_the_word_out_agrees_too() {
        for answer in ["y\n", "Y\r\n", " yes \n", "YES"] {
            assert!(is_yes(answer), "{answer}");
        }
        for answer in ["", "\n", "n\n", "no\n", "yeah\n", "y y\n"] {
            assert!(!is_yes(answer), "{answer}");
        }
    }
}
