//! The grammar of `held`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use shadowcat::ids::HoldId;
use shadowcat::intercept::edit::{Change, parse_assignment};
use shadowcat::intercept::interceptor::InterceptCommand;
use shadowcat::intercept::rule::Refusal;

use super::job::Format;
use crate::held::{EditBy, HeldJob, HeldTask};
use crate::wrap::Connect;

const AFTER_HELP: &str = "\
IDs are as `held list` has them: h3, or 3. The proxy holds messages that match --intercept, or a rule of --rules that says so; a \
headless one only with --wait. See docs/interception.md.

Exit codes: 0 done, 1 it is not held any more or cannot be done so, 2 bad usage, 3 no proxy runs or it does not answer.";

/// What a refused request is told unless something else is said.
const REFUSED_CODE: i64 = -32_000;
const REFUSED_TEXT: &str = "The proxy refused this message.";

/// The held queue of a running proxy.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct HeldArguments {
    /// Ask this proxy, by the address where it accepts clients or by the path of its socket [default: the newest one that runs]
    #[arg(long, value_name = "ADDR|PATH", global = true)]
    connect: Option<Connect>,
    #[command(subcommand)]
    task: HeldCommand,
}

#[derive(Debug, Subcommand)]
enum HeldCommand {
    /// List what is held, oldest first
    List {
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Show a held message as it came, and as it was edited
    Show {
        /// Which
        #[arg(value_name = "ID")]
        id: HeldId,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Let messages go on: as they were edited, or else as they came
    #[command(group = ArgGroup::new("which").required(true))]
    Forward {
        /// Which, in this order
        #[arg(value_name = "ID", group = "which")]
        ids: Vec<HeldId>,
        /// All that is held
        #[arg(long, group = "which")]
        all: bool,
    },
    /// Change a held message; it stays held. Prints what differs from what came, and what is wrong with it now
    #[command(group = ArgGroup::new("how").required(true))]
    Edit(EditArguments),
    /// Answer a request in the place of its server
    Answer {
        /// Which
        #[arg(value_name = "ID")]
        id: HeldId,
        /// The result; `{{id}}` and `{{$.params.arguments.x}}` in it stand for what the request says
        #[arg(long, value_name = "JSON")]
        result: String,
        /// Send it though no result of MCP is like it: one that is no object
        #[arg(long)]
        force: bool,
    },
    /// Refuse a message; a JSON-RPC error unless something else is said
    Refuse(RefuseArguments),
    /// Let a message go no further; the sender of a request gets an error
    Drop {
        /// Which
        #[arg(value_name = "ID")]
        id: HeldId,
        /// Without a word: the sender of a request waits until it gives up
        #[arg(long)]
        silent: bool,
    },
    /// Print a line for each message that is held or decided from now on, until the proxy ends
    Watch {
        #[command(flatten)]
        output: OutputArguments,
    },
}

#[derive(Debug, Args)]
struct OutputArguments {
    /// How it is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: OutputFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

impl From<OutputArguments> for Format {
    fn from(output: OutputArguments) -> Self {
        match output.format {
            OutputFormat::Text => Self::Text,
            OutputFormat::Json => Self::Json,
        }
    }
}

#[derive(Debug, Args)]
struct EditArguments {
    /// Which
    #[arg(value_name = "ID")]
    id: HeldId,
    /// Put VALUE (JSON, or else a text) at this path, such as '$.params.arguments.x=1'; repeatable
    #[arg(long, value_name = "PATH=VALUE", value_parser = parse_assignment, group = "how")]
    set: Vec<Change>,
    /// Change it as this file says: a JSON Patch if it is a list, else a JSON Merge Patch; `-` is standard input
    #[arg(long, value_name = "FILE", group = "how")]
    patch: Option<PathBuf>,
    /// Change it in $VISUAL or $EDITOR; secrets are placeholders there, and its time does not run
    #[arg(long, group = "how")]
    editor: bool,
    /// Take all edits back
    #[arg(long, group = "how")]
    revert: bool,
}

#[derive(Debug, Args)]
struct RefuseArguments {
    /// Which
    #[arg(value_name = "ID")]
    id: HeldId,
    /// The code of the JSON-RPC error [default: -32000]
    #[arg(long, value_name = "N", allow_negative_numbers = true, conflicts_with_all = ["tool_error", "status", "close"])]
    code: Option<i64>,
    /// Its message
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["tool_error", "status", "close"])]
    message: Option<String>,
    /// Refuse with a tool result that says isError
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["status", "close"])]
    tool_error: Option<String>,
    /// Refuse with this HTTP status; an error that names it where there is none
    #[arg(long, value_name = "N", conflicts_with = "close", value_parser = clap::value_parser!(u16).range(200..=599))]
    status: Option<u16>,
    /// Close the connection
    #[arg(long)]
    close: bool,
}

impl RefuseArguments {
    fn refusal(self) -> Refusal {
        match (self.tool_error, self.status, self.close) {
            (Some(text), ..) => Refusal::ToolError { text },
            (None, Some(status), _) => Refusal::Status(status),
            (None, None, true) => Refusal::Close,
            (None, None, false) => Refusal::Error {
                code: self.code.unwrap_or(REFUSED_CODE),
                message: self.message.unwrap_or_else(|| REFUSED_TEXT.to_owned()),
            },
        }
    }
}

/// `h3` or `3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct HeldId(HoldId);

impl FromStr for HeldId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix('h').unwrap_or(text).parse();
        let id = number.ok().and_then(HoldId::new);
        id.map(Self).ok_or("write it as `held list` does: h3, or 3")
    }
}

impl From<HeldArguments> for HeldJob {
    fn from(arguments: HeldArguments) -> Self {
        Self {
            connect: arguments.connect,
            task: arguments.task.into(),
        }
    }
}

impl From<HeldCommand> for HeldTask {
    fn from(command: HeldCommand) -> Self {
        match command {
            HeldCommand::List { output } => Self::List(output.into()),
            HeldCommand::Show {
                id: HeldId(id),
                output,
            } => Self::Show(id, output.into()),
            HeldCommand::Watch { output } => Self::Watch(output.into()),
            HeldCommand::Edit(arguments) => Self::Edit(arguments.id.0, arguments.into()),
            HeldCommand::Forward { all: true, .. } => Self::Do(vec![InterceptCommand::ForwardAll]),
            HeldCommand::Forward { ids, .. } => {
                let forward = |HeldId(id): HeldId| InterceptCommand::Forward { id };
                Self::Do(ids.into_iter().map(forward).collect())
            }
            HeldCommand::Answer {
                id: HeldId(id),
                result,
                force,
            } => Self::Answer { id, result, force },
            HeldCommand::Refuse(arguments) => Self::Do(vec![InterceptCommand::Refuse {
                id: arguments.id.0,
                refusal: arguments.refusal(),
            }]),
            HeldCommand::Drop {
                id: HeldId(id),
                silent,
            } => Self::Do(vec![InterceptCommand::Drop {
                id,
                is_silent: silent,
            }]),
        }
    }
}

impl From<EditArguments> for EditBy {
    fn from(arguments: EditArguments) -> Self {
        match arguments {
            EditArguments { revert: true, .. } => Self::Revert,
            EditArguments { editor: true, .. } => Self::Editor,
            EditArguments {
                patch: Some(file), ..
            } => Self::Patch(file),
            EditArguments { set, .. } => Self::Changes(set),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_with_or_without_their_letter() {
        for text in ["h3", "3"] {
            assert_eq!(text.parse::<HeldId>().unwrap().0.get(), 3, "{text}");
        }
        for text in ["", "h", "0", "m3", "-1"] {
            assert!(text.parse::<HeldId>().is_err(), "{text}");
        }
    }
}
