//! The command line's grammar.

#[cfg(unix)]
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser as _};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use shadowcat::config::{ListenAddress, OauthMode, UpstreamConfig};
use shadowcat::recording::RedactPattern;
use shadowcat::telemetry::OtlpUrl;

use super::compare_flags::DiffArguments;
use super::filter_text::FilterText;
use super::forward_flags::{CaArguments, ForwardArguments};
#[cfg(unix)]
use super::held_flags::HeldArguments;
use super::intercept_flags::InterceptArguments;
use super::interchange_flags::{ExportArguments, ImportArguments};
use super::limit_flags::LimitArguments;
#[cfg(unix)]
use super::paste::PasteFormat;
use super::recording_flags::{ExtentArguments, ScrubArguments, VerifyArguments};
use super::replay_flags::ReplayFlags;
use super::values::{FileAge, FileSize, LogLevel, ThemeName, recording_path};
use crate::exec::ProxyPlace;
#[cfg(unix)]
use crate::wrap::Connect;
#[cfg(unix)]
use shadowcat::config::forward::{HostPattern, ViaProxy};
use shadowcat::outward::StaticHeader;

const AFTER_HELP: &str = "\
Without --upstream it is a forward proxy: clients set HTTP_PROXY to its address. With one --upstream it also stands in \
for that server: clients dial the proxy in its place. Several upstreams have a NAME each and live under /NAME. A COMMAND behind `--` is started for its clients and served at \
/mcp; see docs/bridge.md.

Exit codes: 0 done, 1 failed on the way, 2 bad usage or configuration, 3 a port, file or COMMAND could not be opened.";

#[cfg(unix)]
const WRAP_CONFIG_HELP: &str = "\
Everything else in the file stays as it is, byte for byte. The file as it was is kept beside it, for you only. See docs/servers.md.

Exit codes: 0 done, 2 the file cannot be used or was changed since, 3 it could not be read or written.";

#[cfg(unix)]
const WRAP_HELP: &str = "\
Standard input and output carry the command's bytes only, as they are; arguments, environment and directory are passed on. \
Without a proxy everything passes all the same. See docs/stdio.md, and docs/wrap-upstream.md for --upstream.

Exit codes: that of the command, 128 and the signal's number if one ended it; 127 if there is no such command, 126 if it \
cannot be run, 3 if the recording cannot be written. With --upstream: 0, 1 if the server has forgotten the session, 3 if it cannot be \
spoken to at all.";

/// See and record every message between MCP clients and servers
#[derive(Debug, Parser)]
#[command(name = "shadowcat-tui", version, args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub(super) struct CommandLine {
    #[command(flatten)]
    pub(super) proxy: ProxyArguments,
    #[command(subcommand)]
    pub(super) command: Option<Task>,
}

/// What to do instead of being a proxy.
#[derive(Debug, Subcommand)]
pub(super) enum Task {
    /// Browse a recording
    Open(OpenArguments),
    /// Print a recording, one line a message
    Show(ShowArguments),
    /// Compare two recordings, or two lists of tools
    Diff(DiffArguments),
    /// Write a recording as HAR, curl commands, JSON Lines, a diagram, Markdown or HTML
    Export(ExportArguments),
    /// Make a recording of an HTTP Archive (HAR)
    Import(ImportArguments),
    /// Copy a recording without its secrets, to give it to others
    Scrub(ScrubArguments),
    /// Say whether recordings are whole, and what is missing where
    Verify(VerifyArguments),
    /// Be the server of a recording, or its client against a live server
    Replay(Box<ReplayFlags>),
    /// Stand in for a server's command: a client starts this in its place, and a running proxy shows what passes
    #[cfg(unix)]
    Wrap(Box<WrapArguments>),
    /// Put `wrap` in front of the servers in a client's file, or take it away again
    #[cfg(unix)]
    WrapConfig(WrapConfigArguments),
    /// Look at the messages that a running proxy holds, and decide about them
    #[cfg(unix)]
    Held(HeldArguments),
    /// Look around: a built-in server, clients that talk to it, and the proxy between them
    Demo(Box<DemoArguments>),
    /// Run a client with the environment that sends its HTTP and HTTPS through the proxy
    Exec(ExecArguments),
    /// Show, export or renew the local certificate authority
    Ca(CaTaskArguments),
}

/// A client of the proxy.
#[derive(Debug, Args)]
pub(super) struct ExecArguments {
    /// Where the proxy is; with credentials as USER:PASSWORD@HOST:PORT [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "SHADOWCAT_CONNECT", hide_env_values = true)]
    pub(super) connect: Option<ProxyPlace>,
    #[command(flatten)]
    pub(super) ca: CaArguments,
    /// Read a shadowcat.toml, over the one in the configuration directory; repeatable, later files win
    #[arg(long, value_name = "FILE", env = "SHADOWCAT_CONFIG", action = ArgAction::Append, help_heading = "General")]
    pub(super) config: Vec<PathBuf>,
    /// The client and its arguments
    #[arg(value_name = "CLIENT", required = true, last = true)]
    pub(super) client: Vec<OsString>,
}

/// The certificate authority.
#[derive(Debug, Args)]
pub(super) struct CaTaskArguments {
    /// Write the certificate, never the key, to this new file
    #[arg(long, value_name = "PATH")]
    pub(super) export: Option<PathBuf>,
    /// Make a fresh authority in place of the one that is there; clients have to trust it anew
    #[arg(long)]
    pub(super) new: bool,
    /// Do not ask before --new
    #[arg(long, requires = "new")]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) ca: CaArguments,
    /// Read a shadowcat.toml, over the one in the configuration directory; repeatable, later files win
    #[arg(long, value_name = "FILE", env = "SHADOWCAT_CONFIG", action = ArgAction::Append, help_heading = "General")]
    pub(super) config: Vec<PathBuf>,
}

/// The proxy, which is what happens without a subcommand.
#[derive(Debug, Args)]
pub(super) struct ProxyArguments {
    /// Where clients connect; `:8080` is the loopback address of both families, port 0 a free port; repeatable [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "SHADOWCAT_LISTEN", help_heading = "Proxy")]
    pub(super) listen: Vec<ListenAddress>,
    /// Stand in for this MCP server; repeatable with a NAME each
    #[arg(
        long,
        value_name = "[NAME=]URL",
        env = "SHADOWCAT_UPSTREAM",
        help_heading = "Proxy"
    )]
    pub(super) upstream: Vec<UpstreamConfig>,
    /// Give each server a port of its own too: free ones, or PORT for the first and the next ones for the others
    #[arg(long, value_name = "PORT", num_args = 0..=1, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Proxy")]
    #[expect(clippy::option_option, reason = "not given, given, given with a value")]
    pub(super) ports: Option<Option<u16>>,
    /// Accept this further name in Host headers; repeatable
    #[arg(long, value_name = "HOST", help_heading = "Proxy")]
    pub(super) allow_host: Vec<String>,
    /// Accept this further origin in Origin headers; repeatable
    #[arg(long, value_name = "ORIGIN", help_heading = "Proxy")]
    pub(super) allow_origin: Vec<String>,
    /// What to do for OAuth with --upstream: `assist` makes the server's metadata name the proxy's address, `relay` stands
    /// before the authorization server too, `off` changes nothing; see docs/oauth.md [default: assist]
    #[arg(long, value_name = "MODE", env = "SHADOWCAT_OAUTH", help_heading = "Proxy")]
    pub(super) oauth: Option<OauthMode>,
    #[command(flatten)]
    pub(super) forward: ForwardArguments,
    #[command(flatten)]
    pub(super) intercept: InterceptArguments,
    /// With --headless: hold messages too, since somebody decides with `shadowcat-tui held`; without, they go on
    #[arg(long, requires = "headless", help_heading = "Interception")]
    pub(super) wait: bool,
    #[command(flatten)]
    pub(super) record: RecordArguments,
    #[command(flatten)]
    pub(super) telemetry: TelemetryArguments,
    #[command(flatten)]
    pub(super) view: ViewArguments,
    #[command(flatten)]
    pub(super) general: GeneralArguments,
    /// Print the configuration that is in force, as a shadowcat.toml, and end
    #[arg(long, help_heading = "General")]
    pub(super) print_config: bool,
    /// Stand in for this MCP server, which speaks on its standard input and output: started here, served at /mcp
    #[arg(last = true, value_name = "COMMAND", help_heading = "Proxy")]
    pub(super) command: Vec<String>,
}

/// The built-in demonstration.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Where the proxy accepts clients
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:0",
        help_heading = "Proxy"
    )]
    pub(super) listen: ListenAddress,
    #[command(flatten)]
    pub(super) intercept: InterceptArguments,
    #[command(flatten)]
    pub(super) record: RecordArguments,
    #[command(flatten)]
    pub(super) telemetry: TelemetryArguments,
    #[command(flatten)]
    pub(super) view: ViewArguments,
    #[command(flatten)]
    pub(super) general: GeneralArguments,
}

/// A server's command, wrapped.
#[cfg(unix)]
#[derive(Debug, Args)]
#[command(after_help = WRAP_HELP)]
pub(super) struct WrapArguments {
    /// Tell this proxy, by the address where it accepts clients or by the path of its socket [default: the newest one that runs]
    #[arg(long, value_name = "ADDR|PATH", help_heading = "Proxy")]
    pub(super) connect: Option<Connect>,
    /// What the server is called on screen [default: what the command runs]
    #[arg(long, value_name = "NAME", help_heading = "Proxy")]
    pub(super) name: Option<String>,
    #[command(flatten)]
    pub(super) record: RecordArguments,
    /// Write what happens to the link with the proxy to this file; nothing is logged otherwise
    #[arg(long, value_name = "PATH", help_heading = "General")]
    pub(super) log_file: Option<PathBuf>,
    /// In place of a command: a server that speaks HTTP (or the older HTTP+SSE), for a client that speaks stdio
    #[arg(long, value_name = "URL", help_heading = "Server", conflicts_with = "command")]
    pub(super) upstream: Option<UpstreamConfig>,
    /// A header for every request to it; repeatable, for a secret rather --header-env
    #[arg(
        long,
        value_name = "'NAME: VALUE'",
        help_heading = "Server",
        conflicts_with = "command"
    )]
    pub(super) header: Vec<StaticHeader>,
    /// A header whose value is in the environment variable VAR, where no list of processes shows it; repeatable
    #[arg(long, value_name = "NAME=VAR", help_heading = "Server", conflicts_with = "command", value_parser = header_from_environment)]
    pub(super) header_env: Vec<StaticHeader>,
    /// Believe the certificate authorities in this file (PEM) too; repeatable
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Server",
        conflicts_with = "command"
    )]
    pub(super) upstream_ca: Vec<PathBuf>,
    /// Do not check the certificate of this host; repeatable
    #[arg(
        long,
        value_name = "HOST",
        help_heading = "Server",
        conflicts_with = "command"
    )]
    pub(super) insecure: Vec<HostPattern>,
    /// Reach it through this HTTP proxy; `http://USER:PASSWORD@HOST:PORT` if that asks for credentials
    #[arg(
        long,
        value_name = "URL",
        env = "SHADOWCAT_VIA",
        hide_env_values = true,
        help_heading = "Server"
    )]
    pub(super) via: Option<ViaProxy>,
    /// The command and its arguments
    #[arg(last = true, required_unless_present = "upstream", value_name = "COMMAND", num_args = 1..)]
    pub(super) command: Vec<OsString>,
}

/// Reads `NAME=VAR`.
/// A client's file of servers.
#[cfg(unix)]
#[derive(Debug, Args)]
#[command(after_help = WRAP_CONFIG_HELP)]
pub(super) struct WrapConfigArguments {
    /// The client's file, such as .mcp.json, or settings.json of VS Code
    #[arg(value_name = "FILE", required_unless_present = "print")]
    pub(super) file: Option<PathBuf>,
    /// Only this server; repeatable [default: all of them]
    #[arg(long, value_name = "NAME", requires = "file", conflicts_with = "undo")]
    pub(super) server: Vec<String>,
    /// Say what would be changed, and change nothing
    #[arg(long, requires = "file", conflicts_with = "undo")]
    pub(super) dry_run: bool,
    /// Put the file back as it was before the last time; of one that was changed since only the wrapped servers
    #[arg(long, requires = "file")]
    pub(super) undo: bool,
    /// Put all of it back even if it was changed since; what it is now is kept beside it
    #[arg(long, requires = "undo")]
    pub(super) force: bool,
    /// Print what to paste into a client instead, so that it reaches the servers of --upstream and --config by HTTP
    #[arg(long, value_name = "CLIENT", num_args = 0..=1, require_equals = true, default_missing_value = "mcp-servers",
          conflicts_with = "file", help_heading = "Printing")]
    pub(super) print: Option<PasteFormat>,
    /// Where the proxy will listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", requires = "print", help_heading = "Printing")]
    pub(super) listen: Vec<ListenAddress>,
    /// A server of the proxy; repeatable with a NAME each
    #[arg(
        long,
        value_name = "[NAME=]URL",
        requires = "print",
        help_heading = "Printing"
    )]
    pub(super) upstream: Vec<UpstreamConfig>,
    /// Read a shadowcat.toml, or the servers of an mcp.json; repeatable
    #[arg(long, value_name = "FILE", requires = "print", action = ArgAction::Append, help_heading = "Printing")]
    pub(super) config: Vec<PathBuf>,
}

pub(super) fn header_from_environment(text: &str) -> Result<StaticHeader, String> {
    let (name, variable) = text.split_once('=').ok_or("it is written as NAME=VAR")?;
    let value = std::env::var(variable)
        .map_err(|_| format!("the environment has no text in a variable `{variable}`"))?;
    StaticHeader::new(name, &value).map_err(|error| error.to_string())
}

/// A recording on the screen.
#[derive(Debug, Args)]
pub(super) struct OpenArguments {
    /// The recording
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) extent: ExtentArguments,
    /// Show only messages that match; see docs/filters.md
    #[arg(
        long,
        value_name = "EXPR",
        default_value = "",
        hide_default_value = true,
        help_heading = "View"
    )]
    pub(super) filter: FilterText,
    #[command(flatten)]
    pub(super) screen: ScreenArguments,
    #[command(flatten)]
    pub(super) signs: SignArguments,
    #[command(flatten)]
    pub(super) general: GeneralArguments,
}

/// A recording on stdout.
#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// The recording
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) extent: ExtentArguments,
    /// How a message is printed
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "View")]
    pub(super) format: ShowFormat,
    /// Print only messages that match; see docs/filters.md
    #[arg(
        long,
        value_name = "EXPR",
        default_value = "",
        hide_default_value = true,
        help_heading = "View"
    )]
    pub(super) filter: FilterText,
    /// Print the body of each message as well
    #[arg(long, help_heading = "View")]
    pub(super) bodies: bool,
    #[command(flatten)]
    pub(super) signs: SignArguments,
    #[command(flatten)]
    pub(super) general: GeneralArguments,
}

/// How `show` prints a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ShowFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How headless mode prints a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum HeadlessFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
    /// Not at all
    None,
}

#[derive(Debug, Args)]
pub(super) struct RecordArguments {
    /// Record from the start, to PATH (compressed if it ends in .zst) or to a new file in ./recordings
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, help_heading = "Recording",
          value_parser = PathBufValueParser::new().try_map(recording_path))]
    #[expect(clippy::option_option, reason = "not given, given, given with a value")]
    pub(super) record: Option<Option<PathBuf>>,
    /// Write credentials and other secrets into recordings as they are
    #[arg(long, help_heading = "Recording")]
    pub(super) record_secrets: bool,
    /// Take what matches this regular expression for a secret too, in heads, URLs and bodies; repeatable
    #[arg(
        long,
        value_name = "PATTERN",
        conflicts_with = "record_secrets",
        help_heading = "Recording"
    )]
    pub(super) redact: Vec<RedactPattern>,
    /// Go on in a new file when this one has that size; see --max-disk for all of them together
    #[arg(long, value_name = "SIZE", help_heading = "Recording")]
    pub(super) rotate_size: Option<FileSize>,
    /// Go on in a new file when this one is that old
    #[arg(long, value_name = "TIME", help_heading = "Recording")]
    pub(super) rotate_age: Option<FileAge>,
}

/// What other programs are told.
#[derive(Debug, Args)]
pub(super) struct TelemetryArguments {
    /// Serve Prometheus metrics at `http://ADDR/metrics`; ADDR as for --listen; see docs/metrics.md
    #[arg(
        long,
        value_name = "ADDR",
        env = "SHADOWCAT_METRICS",
        help_heading = "Telemetry"
    )]
    pub(super) metrics: Option<ListenAddress>,
    /// Send a span of each call to this OpenTelemetry receiver, as OTLP/HTTP with JSON; such as `http://127.0.0.1:4318`
    #[arg(long, value_name = "URL", env = "SHADOWCAT_OTLP", help_heading = "Telemetry")]
    pub(super) otlp: Option<OtlpUrl>,
}

/// Where the traffic is shown.
#[derive(Debug, Args)]
pub(super) struct ViewArguments {
    /// No screen: print one line a message on stdout, and the log on stderr
    #[arg(long, group = "plain", conflicts_with_all = ["theme", "no_mouse", "no_alt_screen", "editor_cmd", "read_only"], help_heading = "View")]
    pub(super) headless: bool,
    /// How a message is printed with --headless [default: text]
    #[arg(long, value_name = "FORMAT", requires = "plain", help_heading = "View")]
    pub(super) format: Option<HeadlessFormat>,
    /// Show only messages that match; see docs/filters.md
    #[arg(
        long,
        value_name = "EXPR",
        default_value = "",
        hide_default_value = true,
        help_heading = "View"
    )]
    pub(super) filter: FilterText,
    #[command(flatten)]
    pub(super) screen: ScreenArguments,
    #[command(flatten)]
    pub(super) signs: SignArguments,
}

/// How the screen looks and behaves.
#[derive(Debug, Args)]
pub(super) struct ScreenArguments {
    /// Colours of the screen [default: dark, or mono if `NO_COLOR` is set]
    #[arg(long, value_name = "THEME", help_heading = "View")]
    pub(super) theme: Option<ThemeName>,
    /// Leave the mouse to the terminal
    #[arg(long, help_heading = "View")]
    pub(super) no_mouse: bool,
    /// Draw on the normal screen, so that the last picture stays
    #[arg(long, help_heading = "View")]
    pub(super) no_alt_screen: bool,
    /// Edit held messages with this command, whose `{file}` is the file, while the screen stays; `plain` gives the editor
    /// this terminal [default: a pane of tmux, wezterm or kitty, or else plain]
    #[arg(long, value_name = "TEMPLATE", help_heading = "View")]
    pub(super) editor_cmd: Option<String>,
    /// Only watch: no key changes anything but the view
    #[arg(long, help_heading = "View")]
    pub(super) read_only: bool,
}

#[derive(Debug, Args)]
pub(super) struct SignArguments {
    /// Signs and borders of ASCII only; `--ascii=false` overrules a configuration file
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          hide_possible_values = true, help_heading = "View")]
    pub(super) ascii: Option<bool>,
}

/// What every task takes.
#[derive(Debug, Default, Args)]
pub(super) struct GeneralArguments {
    /// Read a shadowcat.toml, over the one in the configuration directory, or the servers of an mcp.json; repeatable
    #[arg(long, value_name = "FILE", env = "SHADOWCAT_CONFIG", action = ArgAction::Append, help_heading = "General")]
    pub(super) config: Vec<PathBuf>,
    /// Write the program's own log to this file instead of the state directory
    #[arg(
        long,
        value_name = "PATH",
        env = "SHADOWCAT_LOG_FILE",
        help_heading = "General"
    )]
    pub(super) log_file: Option<PathBuf>,
    /// How much is logged; debug tells of each exchange, trace of its steps [default: info]
    #[arg(long, value_name = "LEVEL", env = "SHADOWCAT_LOG", help_heading = "General")]
    pub(super) log_level: Option<LogLevel>,
    #[command(flatten)]
    pub(super) limits: LimitArguments,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_grammar_holds_together() {
        CommandLine::command().debug_assert();
    }
}
