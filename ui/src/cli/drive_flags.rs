//! Flags of `replay` against a live server.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};
use shadowcat::child::CommandConfig;
use shadowcat::config::UpstreamConfig;
use shadowcat::config::forward::{HostPattern, ViaProxy};
use shadowcat::intercept::filter::Filter;
use shadowcat::outward::{OutwardConfig, StaticHeader};
use shadowcat::replay::drive::{DEFAULT_TIMEOUT, DriveOptions, Target};

use super::arguments::{GeneralArguments, header_from_environment};
use super::compare_flags::CompareArguments;
use super::filter_text::FilterText;
use crate::compare::DriveJob;

const REPLAY_HELP: &str = "\
The recorded client is sent to a live server, with a session, ids and cursors of its own, and what comes back is compared with what \
was recorded; see docs/compare.md.

Exit codes: 0 nothing differs, 1 something does, 2 bad usage, or something has to be agreed to or supplied first, 3 a file, the server \
or the COMMAND could not be opened.";

/// A recording as a peer.
#[derive(Debug, Args)]
#[command(after_help = REPLAY_HELP, group(ArgGroup::new("peer").required(true).args(["upstream", "command"])))]
pub(super) struct ReplayArguments {
    /// The recording
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) drive: DriveArguments,
    /// Send at the recorded pace, or at this multiple of it [default: as fast as answers come]
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    pub(super) speed: Option<f64>,
    #[command(flatten)]
    pub(super) compare: CompareArguments,
    #[command(flatten)]
    pub(super) general: GeneralArguments,
    /// Send the client's side to this MCP server, which speaks on its standard input and output, and compare the answers
    #[arg(last = true, value_name = "COMMAND", help_heading = HEADING)]
    pub(super) command: Vec<OsString>,
}

const HEADING: &str = "Against a live server";

/// Whom a recording is sent to, and how.
#[derive(Debug, Args)]
pub(super) struct DriveArguments {
    /// Send the client's side to this MCP server (HTTP, or the older HTTP+SSE) and compare the answers
    #[arg(long, value_name = "URL", help_heading = HEADING, conflicts_with = "command")]
    pub(super) upstream: Option<UpstreamConfig>,
    /// A header for every request to it; repeatable, for a secret rather --header-env
    #[arg(long, value_name = "'NAME: VALUE'", help_heading = HEADING, requires = "upstream")]
    header: Vec<StaticHeader>,
    /// A header whose value is in the environment variable VAR, where no list of processes shows it; repeatable
    #[arg(long, value_name = "NAME=VAR", help_heading = HEADING, requires = "upstream", value_parser = header_from_environment)]
    header_env: Vec<StaticHeader>,
    /// Believe the certificate authorities in this file (PEM) too; repeatable
    #[arg(long, value_name = "FILE", help_heading = HEADING, requires = "upstream")]
    upstream_ca: Vec<PathBuf>,
    /// Do not check the certificate of this host; repeatable
    #[arg(long, value_name = "HOST", help_heading = HEADING, requires = "upstream")]
    insecure: Vec<HostPattern>,
    /// Reach it through this HTTP proxy
    #[arg(long, value_name = "URL", help_heading = HEADING, requires = "upstream")]
    via: Option<ViaProxy>,
    /// What stands for the secret with this tag in the recording's messages is in the environment variable VAR; repeatable
    #[arg(long, value_name = "TAG=VAR", help_heading = HEADING, value_parser = secret_from_environment)]
    secret_env: Vec<(String, String)>,
    /// Send tags in messages as they are, and leave out headers that were secret, in place of asking for them
    #[arg(long, help_heading = HEADING)]
    without_secrets: bool,
    /// Send only requests that match, and what they need; see docs/filters.md
    #[arg(long, value_name = "EXPR", default_value = "", hide_default_value = true, help_heading = HEADING)]
    only: FilterText,
    /// Do not ask before tools are called that may change something
    #[arg(long, help_heading = HEADING)]
    yes: bool,
    /// How long an answer is waited for, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT.as_secs(), value_parser = clap::value_parser!(u64).range(1..=86_400), help_heading = HEADING)]
    timeout: u64,
    /// Write the result to this file too, as JUnit XML
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    junit: Option<PathBuf>,
}

impl DriveArguments {
    /// What is to be done with `file`; `None` without a server.
    pub(super) fn job(
        self,
        file: PathBuf,
        command: Vec<OsString>,
        compare: CompareArguments,
        speed: Option<f64>,
    ) -> Option<DriveJob> {
        let only = Filter::parse(&self.only.0).unwrap_or_default();
        let format = compare.format;
        let options = DriveOptions {
            compare: compare.options(),
            timeout: Duration::from_secs(self.timeout),
            speed,
            secrets: self.secret_env.into_iter().collect::<BTreeMap<_, _>>(),
            ..DriveOptions::default()
        };
        let mut words = command.into_iter();
        let target = match (self.upstream, words.next()) {
            (Some(server), _) => {
                let mut config = OutwardConfig {
                    upstream_ca: self.upstream_ca,
                    insecure: self.insecure,
                    via: self.via,
                    ..OutwardConfig::new(server)
                };
                let headers = self.header.into_iter().chain(self.header_env);
                headers.for_each(|header| config.add(header));
                Target::Http(Box::new(config))
            }
            (None, Some(program)) => Target::Command(CommandConfig {
                guard: crate::guard::command(),
                ..CommandConfig::new(program, words)
            }),
            (None, None) => return None,
        };
        Some(DriveJob {
            file,
            target,
            options,
            only,
            is_agreed: self.yes,
            is_without_secrets: self.without_secrets,
            junit: self.junit,
            format,
        })
    }
}

/// Reads `TAG=VAR`.
fn secret_from_environment(text: &str) -> Result<(String, String), String> {
    let (tag, variable) = text.split_once('=').ok_or("it is written as TAG=VAR")?;
    let tag = tag.trim_start_matches("‹secret:").trim_end_matches('›');
    if tag.is_empty() || !tag.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(
            "a TAG is what stands behind `secret:` in the recording, such as 5be1c0ffee01".to_owned(),
        );
    }
    let value = std::env::var(variable)
        .map_err(|_| format!("the environment has no text in a variable `{variable}`"))?;
    Ok((tag.to_owned(), value))
}

/// Reads a factor above zero, with or without an `x`.
fn factor(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('x').unwrap_or(text).parse::<f64>();
    let factor = number
        .ok()
        .filter(|factor| (0.001..=1_000_000.0).contains(factor));
    factor.ok_or_else(|| "it is a number from 0.001, such as 1 or 10".to_owned())
}
