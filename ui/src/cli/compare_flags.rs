//! Flags of what compares: `diff`, and `replay` against a live server.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use shadowcat::replay::compare::{CompareOptions, IgnorePath};

use super::arguments::GeneralArguments;
use super::recording_flags::ExtentArguments;

const DIFF_HELP: &str = "\
Calls are the same if their methods and parameters are, whatever their ids; see docs/compare.md.

Exit codes: 0 nothing differs, 1 something does, 2 bad usage, or files that cannot be compared with each other, 3 a file cannot be opened as what it should be.";

/// Two recordings, or two lists of tools.
#[derive(Debug, Args)]
#[command(after_help = DIFF_HELP)]
pub(super) struct DiffArguments {
    /// A recording, or a JSON file with a result of tools/list; one of the two may be `-`, standard input
    #[arg(value_name = "BEFORE")]
    pub(super) before: PathBuf,
    /// The same at another time, or of another server
    #[arg(value_name = "AFTER")]
    pub(super) after: PathBuf,
    #[command(flatten)]
    pub(super) extent: ExtentArguments,
    #[command(flatten)]
    pub(super) compare: CompareArguments,
    /// How the result is printed
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Comparison"
    )]
    pub(super) format: ReportFormat,
    #[command(flatten)]
    pub(super) general: GeneralArguments,
}

/// What counts as a difference.
#[derive(Debug, Args)]
pub(super) struct CompareArguments {
    /// Do not compare what is at this path of the answers, such as `$.result._meta`, `$.result.content[*].text`, `$.list[-1]`, `$['any name']` or `$..at` (anywhere); repeatable
    #[arg(long, value_name = "PATH", help_heading = "Comparison")]
    pub(super) ignore: Vec<IgnorePath>,
    /// Compare everything but ids: times, UUIDs, cursors and spellings too
    #[arg(long, help_heading = "Comparison")]
    pub(super) exact: bool,
}

impl CompareArguments {
    pub(super) fn options(self) -> CompareOptions {
        CompareOptions {
            ignore: self.ignore,
            is_exact: self.exact,
        }
    }
}

/// How a comparison is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}
