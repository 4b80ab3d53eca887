//! What the command line, the environment and the configuration files ask for, with errors that say what to write.

mod arguments;
mod file;
mod filter_text;
mod forward_flags;
mod layer;
mod limit_flags;
mod paste;
mod print;
mod servers_file;
mod settings;
mod values;

use clap::Parser as _;

use arguments::CommandLine;
pub(crate) use settings::{
    CaJob, ExecJob, Format, Invocation, Job, Lines, ScreenSettings, SettingsError, View,
};
pub(crate) use values::LogLevel;

/// Reads the command line of this process, its environment and its configuration files.
///
/// # Errors
/// [`UsageError::CommandLine`] also for `--help` and `--version`: clap hands out its text that way.
pub(crate) fn parse() -> Result<Invocation, UsageError> {
    let line = CommandLine::try_parse()?;
    Ok(settings::resolve(line)?)
}

/// The program cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    #[error(transparent)]
    Settings(#[from] SettingsError),
}
