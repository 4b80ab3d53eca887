//! Flags of `export` and `import`.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use shadowcat::interchange::ExportFormat;
use shadowcat::recording::RedactPattern;

use super::arguments::GeneralArguments;
use super::recording_flags::ExtentArguments;

const EXPORT_HELP: &str = "\
Secrets stay the tags that they are in the recording; see docs/export.md.

A new file is compressed if its name ends in .zst.

Exit codes: 0 done, 2 bad usage, 3 the recording cannot be opened or the file not be written.";

/// A recording in another format.
#[derive(Debug, Args)]
#[command(after_help = EXPORT_HELP)]
pub(super) struct ExportArguments {
    /// The recording; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) extent: ExtentArguments,
    /// The format
    #[arg(long, value_name = "FORMAT")]
    pub(super) to: ExportChoice,
    /// Write to this new file in place of standard output, which is `-` too
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) general: GeneralArguments,
}

/// What a recording can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportChoice {
    /// HTTP Archive 1.2, for the developer tools of browsers
    Har,
    /// A curl command for each request
    Curl,
    /// One JSON object for each message
    Jsonl,
    /// A sequence diagram in Markdown
    Mermaid,
    /// The calls with parameters and answers
    Markdown,
    /// The same as one page of HTML that needs nothing else
    Html,
}

impl From<ExportChoice> for ExportFormat {
    fn from(choice: ExportChoice) -> Self {
        match choice {
            ExportChoice::Har => Self::Har,
            ExportChoice::Curl => Self::Curl,
            ExportChoice::Jsonl => Self::Jsonl,
            ExportChoice::Mermaid => Self::Mermaid,
            ExportChoice::Markdown => Self::Markdown,
            ExportChoice::Html => Self::Html,
        }
    }
}

const IMPORT_HELP: &str = "\
Secrets become tags as in any recording; --redact adds to what is a secret. See docs/export.md.

Exit codes: 0 done, 2 bad usage or configuration, or the file is no archive, 3 it cannot be read or the recording not be written.";

/// A recording from another format.
#[derive(Debug, Args)]
#[command(after_help = IMPORT_HELP)]
pub(super) struct ImportArguments {
    /// An HTTP Archive (HAR): of a browser, of mitmproxy, or of `export`; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The new recording, compressed if its name ends in .zst; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Write credentials and other secrets into the recording as they are
    #[arg(long, conflicts_with = "redact")]
    pub(super) record_secrets: bool,
    /// Take what matches this regular expression for a secret too, in heads, URLs and bodies; repeatable
    #[arg(long, value_name = "PATTERN")]
    pub(super) redact: Vec<RedactPattern>,
    /// Read a shadowcat.toml, over the one in the configuration directory; repeatable, later files win
    #[arg(long, value_name = "FILE", env = "SHADOWCAT_CONFIG", action = ArgAction::Append)]
    pub(super) config: Vec<PathBuf>,
}
