//! The grammar of the commands that work on recordings.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use shadowcat::recording::{Extent, RedactPattern};

use super::job::Format;
use crate::verify::VerifyJob;

/// How much of a recording that was rotated is read.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct ExtentArguments {
    /// Read only this file of a recording that goes on in others (NAME.2.jsonl, ...); otherwise all of them are read as one
    #[arg(long)]
    one_file: bool,
}

impl ExtentArguments {
    pub(super) const fn extent(self) -> Extent {
        if self.one_file {
            Extent::OneFile
        } else {
            Extent::Whole
        }
    }
}

const VERIFY_HELP: &str = "\
Every line is read, and of a recording in several files each of them, whichever is named. What is missing or broken is printed as FILE:LINE: WHAT; what is only remarkable, such as a line of a type that this \
build does not know, is printed too and does not count.

Exit codes: 0 all are whole, 1 one is damaged, 2 bad usage, 3 one cannot be opened as a recording.";

/// Recordings to be checked.
#[derive(Debug, Args)]
#[command(after_help = VERIFY_HELP)]
pub(super) struct VerifyArguments {
    /// The recordings; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    extent: ExtentArguments,
    /// How the result is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: OutputFormat,
}

const SCRUB_HELP: &str = "\
What is a secret is told in docs/recording-format.md; --redact adds to that. Tags that are in the recording already stay. Look the copy \
over all the same: a secret that looks like any other text is not found. A value of 8 bytes or more that is a secret in one place is \
replaced wherever else it stands.

Exit codes: 0 done, 1 failed on the way, 2 bad usage or configuration, 3 the recording cannot be opened or the copy not be written.";

/// A recording to be given to others.
#[derive(Debug, Args)]
#[command(after_help = SCRUB_HELP)]
pub(super) struct ScrubArguments {
    /// The recording; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) extent: ExtentArguments,
    /// Where the copy goes: a new file, for its owner only; `-` is standard output [default: NAME.scrubbed.jsonl beside the recording]
    #[arg(short, long, value_name = "OUT")]
    pub(super) output: Option<PathBuf>,
    /// Take what matches this regular expression for a secret too, in heads, URLs and bodies; repeatable
    #[arg(long, value_name = "PATTERN")]
    pub(super) redact: Vec<RedactPattern>,
    /// Read a shadowcat.toml, over the one in the configuration directory; repeatable, later files win
    #[arg(long, value_name = "FILE", env = "SHADOWCAT_CONFIG", action = ArgAction::Append)]
    pub(super) config: Vec<PathBuf>,
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// For people
    Text,
    /// One JSON object for each file
    Json,
}

impl From<VerifyArguments> for VerifyJob {
    fn from(arguments: VerifyArguments) -> Self {
        Self {
            files: arguments.files,
            extent: arguments.extent.extent(),
            format: match arguments.format {
                OutputFormat::Text => Format::Text,
                OutputFormat::Json => Format::Json,
            },
        }
    }
}
