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
mod values;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _};
use shadowcat::recording::redact::{Behind, masked_argument};

use arguments::CommandLine;
pub(crate) use compare_flags::ReportFormat;
pub(crate) use job::{
    CaJob, ExecJob, Format, Invocation, Job, Lines, ReplayJob, ScreenSettings, StdioJob, View,
};
pub(crate) use settings::SettingsError;
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

/// Tips of ours in place of those that lead nowhere here.
fn with_better_tips(mut error: clap::Error) -> clap::Error {
    if let Some(word) = forgot_dashes(&error) {
        let tip = format!("put -- before the command: `-- {word} …`");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        return error;
    }
    match error.kind() {
        ErrorKind::UnknownArgument => {
            // `-- --upstrem` would start a program of that name.
            if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
                tips.retain(|tip| !tip.to_string().contains("as a value"));
                error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
            }
        }
        ErrorKind::MissingRequiredArgument if lacks_command(&error) => {
            let tips = [
                "for a server that speaks stdio: `shadowcat-tui wrap -- COMMAND`",
                "for one that speaks HTTP, and a client that speaks stdio: `shadowcat-tui wrap --upstream URL`",
            ];
            let tips = tips.map(Into::into).to_vec();
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
        _ => {}
    }
    error
}

/// A word that is no option and may be the command, where one is taken behind `--`.
fn forgot_dashes(error: &clap::Error) -> Option<String> {
    let word = match error.kind() {
        ErrorKind::UnknownArgument => error.get(ContextKind::InvalidArg)?.to_string(),
        ErrorKind::InvalidSubcommand => error.get(ContextKind::InvalidSubcommand)?.to_string(),
        _ => return None,
    };
    let usage = error.get(ContextKind::Usage)?.to_string();
    let takes_command = ["-- <", "-- [", "|COMMAND>"]
        .iter()
        .any(|form| usage.contains(form));
    (takes_command && !word.starts_with('-')).then_some(word)
}

/// Only `wrap` cannot do without one.
fn lacks_command(error: &clap::Error) -> bool {
    error
        .get(ContextKind::InvalidArg)
        .is_some_and(|argument| argument.to_string() == "<COMMAND>...")
}

/// The program cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    #[error(transparent)]
    Settings(#[from] SettingsError),
}
