//! What the command line, the environment and the configuration files ask for, with errors that say what to write.

mod arguments;
mod compare_flags;
mod drive_flags;
mod file;
mod filter_text;
mod forward_flags;
#[cfg(unix)]
mod held_flags;
mod intercept_flags;
mod interchange_flags;
mod job;
mod layer;
mod limit_flags;
mod paste;
mod print;
mod recording_flags;
mod replay_flags;
mod replay_side;
mod servers_file;
mod settings;
mod tasks;
mod tips;
mod values;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, FromArgMatches as _};
use shadowcat::recording::redact::{Behind, masked_argument};

use arguments::CommandLine;
pub(crate) use compare_flags::ReportFormat;
pub(crate) use job::{
    CaJob, ExecJob, Format, Invocation, Job, Lines, ReplayJob, ScreenSettings, StdioJob, View,
};
pub(crate) use settings::SettingsError;
use tips::with_better_tips;
pub(crate) use values::LogLevel;

/// Reads the command line of this process, its environment and its configuration files.
///
/// # Errors
/// [`UsageError::CommandLine`] also for `--help` and `--version`: clap hands out its text that way.
pub(crate) fn parse() -> Result<Invocation, UsageError> {
    Ok(tasks::resolve(
        command_line().map_err(|error| with_better_tips(without_secrets(error)))?,
    )?)
}

fn command_line() -> Result<CommandLine, clap::Error> {
    let mut grammar = CommandLine::command();
    let mut matches = grammar.try_get_matches_from_mut(replay_flags::in_one_word(std::env::args_os()))?;
    if let (Some(("replay", of_replay)), Some(replay)) =
        (matches.subcommand(), grammar.find_subcommand("replay"))
    {
        replay_side::check(of_replay, replay)?;
    }
    CommandLine::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut grammar))
}

/// The same mistake, told without the secrets in what was written: it may end up in a log.
fn without_secrets(mut error: clap::Error) -> clap::Error {
    let text_of = |error: &clap::Error, kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let option = text_of(&error, ContextKind::InvalidArg).unwrap_or_default();
    // `--proxy-auth <USER:PASSWORD>`
    let is_secret = option.contains("PASSWORD");
    for kind in [
        ContextKind::InvalidValue,
        ContextKind::InvalidArg,
        ContextKind::InvalidSubcommand,
    ] {
        let Some(text) = text_of(&error, kind) else {
            continue;
        };
        let behind = match kind {
            ContextKind::InvalidValue if is_secret => Behind::Secret,
            _ => Behind::Nothing,
        };
        let (masked, _) = masked_argument(&text, behind);
        if let Some(masked) = masked {
            error.insert(kind, ContextValue::String(masked));
        }
    }
    error
}

/// The program cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    #[error(transparent)]
    Settings(#[from] SettingsError),
}
