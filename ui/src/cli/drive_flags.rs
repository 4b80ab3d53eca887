//! Flags of `replay` against a live server.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use shadowcat::child::CommandConfig;
use shadowcat::config::UpstreamConfig;
use shadowcat::config::forward::{HostPattern, ViaProxy};
use shadowcat::intercept::filter::Filter;
use shadowcat::outward::{OutwardConfig, StaticHeader};
use shadowcat::recording::Extent;
use shadowcat::replay::drive::{DriveOptions, Target};

use super::arguments::header_from_environment;
use super::compare_flags::{CompareArguments, ReportFormat};
use super::filter_text::FilterText;
use super::values::duration;
use crate::compare::DriveJob;

const HEADING: &str = "Against a live server";
/// [`DEFAULT_TIMEOUT`](shadowcat::replay::drive::DEFAULT_TIMEOUT) as it is written.
const DEFAULT_PATIENCE: &str = "30s";
/// Longer than that nobody waits.
const LONGEST_PATIENCE: Duration = Duration::from_hours(24);

/// Whom a recording is sent to, and how.
#[derive(Debug, Args)]
pub(super) struct DriveArguments {
    /// Send the client's side to this MCP server (HTTP, or the older HTTP+SSE) and compare the answers
    #[arg(long, value_name = "URL", groups = ["side", "live", "plain"], help_heading = HEADING)]
    upstream: Option<UpstreamConfig>,
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
    #[arg(long, value_name = "TAG=VAR", requires = "live", help_heading = HEADING, value_parser = secret_from_environment)]
    secret_env: Vec<(String, String)>,
    /// Send tags in messages as they are, and leave out headers that were secret, in place of asking for them
    #[arg(long, requires = "live", help_heading = HEADING)]
    without_secrets: bool,
    /// Send only requests that match, and what they need; see docs/filters.md
    #[arg(long, value_name = "EXPR", default_value = "", hide_default_value = true, requires = "live", help_heading = HEADING)]
    only: FilterText,
    /// Do not ask before tools are called that may change something
    #[arg(long, requires = "live", help_heading = HEADING)]
    yes: bool,
    /// How long an answer is waited for, such as 500ms, 1.5s or 2m; a number alone is in seconds
    #[arg(long, value_name = "DURATION", default_value = DEFAULT_PATIENCE, value_parser = patience, requires = "live", help_heading = HEADING)]
    timeout: Duration,
    /// Write the result to this file too, as `JUnit` XML
    #[arg(long, value_name = "FILE", requires = "live", help_heading = HEADING)]
    junit: Option<PathBuf>,
    #[command(flatten)]
    compare: CompareArguments,
    /// The same for a server that speaks on its standard input and output: started here, once for each session
    #[arg(last = true, value_name = "COMMAND", groups = ["side", "live", "plain"], help_heading = HEADING)]
    command: Vec<OsString>,
}

impl DriveArguments {
    /// Whether there is a live server to send to.
    pub(super) const fn has_server(&self) -> bool {
        self.upstream.is_some() || !self.command.is_empty()
    }

    /// What is to be done with `file`. The grammar asks for a server; without one, a command without a name cannot be
    /// started.
    pub(super) fn job(
        self,
        file: PathBuf,
        extent: Extent,
        speed: Option<f64>,
        format: Option<ReportFormat>,
    ) -> DriveJob {
        let only = Filter::parse(&self.only.0).unwrap_or_default();
        let options = DriveOptions {
            compare: self.compare.options(),
            timeout: self.timeout,
            speed,
            secrets: self.secret_env.into_iter().collect::<BTreeMap<_, _>>(),
            ..DriveOptions::default()
        };
        let mut words = self.command.into_iter();
        let target = match self.upstream {
            Some(server) => {
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
            None => Target::Command(CommandConfig {
                guard: crate::guard::command(),
                ..CommandConfig::new(words.next().unwrap_or_default(), words)
            }),
        };
        DriveJob {
            file,
            extent,
            target,
            options,
            only,
            is_agreed: self.yes,
            is_without_secrets: self.without_secrets,
            junit: self.junit,
            format,
        }
    }
}

/// Reads how long somebody waits.
fn patience(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() || time > LONGEST_PATIENCE {
        return Err("write a time from 1ms to 24h".to_owned());
    }
    Ok(time)
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

#[cfg(test)]
mod tests {
    use shadowcat::replay::drive::DEFAULT_TIMEOUT;

    use super::*;

    #[test]
    fn an_answer_is_waited_for_as_long_as_somebody_says_in_any_form() {
        assert_eq!(patience(DEFAULT_PATIENCE), Ok(DEFAULT_TIMEOUT));
        for (text, millis) in [
            ("1.5", 1_500),
            ("1.5s", 1_500),
            ("500ms", 500),
            ("2", 2_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(patience(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["0", "0.4ms", "25h", "soon"] {
            assert!(patience(text).is_err(), "{text}");
        }
    }
}
