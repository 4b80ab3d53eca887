//! The grammar of `replay`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgGroup, Args};
use shadowcat::config::{ConfigError, ListenAddress, UpstreamConfig};
use shadowcat::replay::mock::{OnMiss, Pace};

use super::arguments::{GeneralArguments, RecordArguments, TelemetryArguments, ViewArguments};
use super::drive_flags::DriveArguments;
use super::intercept_flags::InterceptArguments;
use super::recording_flags::ExtentArguments;
use super::values::duration;

const AFTER_HELP: &str = "\
With --listen the recording is a server over Streamable HTTP at /mcp and over HTTP+SSE at /sse, with a proxy in front of it that shows, \
records and changes what passes as always. With --headless, stdout gets a line for each request: what it was answered from, or why not. \
See docs/replay.md.

With --upstream or a COMMAND it is the client: its side is sent to a live server, with a session, ids and cursors of its own, and what comes \
back is compared with what was recorded. See docs/compare.md.

Exit codes: 0 done, or nothing differs; 1 failed on the way, or something differs; 2 bad usage or configuration, or something has to be \
agreed to or supplied first; 3 a port, a file, the server or the COMMAND could not be opened; 130 or 143 stopped by Ctrl-C or SIGTERM while \
the recording was sent.";

/// A recording as a peer.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, group = ArgGroup::new("side").required(true))]
pub(super) struct ReplayFlags {
    /// The recording, or `-` for standard input (not with --stdio)
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) extent: ExtentArguments,
    /// Be the recorded server here; port 0 is a free one
    #[arg(long, value_name = "ADDR", group = "side", help_heading = "Server")]
    pub(super) listen: Option<ListenAddress>,
    /// Be the recorded server on standard input and output, for a client that starts it
    #[arg(long, groups = ["side", "plain"], help_heading = "Server")]
    pub(super) stdio: bool,
    /// Answer with the recorded times, or send at the recorded pace, N times as fast, such as 1 or 2.5; `max` waits for nothing
    #[arg(long, value_name = "N|max", default_value = "max", help_heading = "Pace")]
    pub(super) speed: Speed,
    /// Answer each request after this time instead, such as 200ms or 1.5s; a number alone is in seconds
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "speed", help_heading = "Server")]
    pub(super) latency: Option<Duration>,
    /// What a request that is not in the recording gets: `error`, which says what is nearest; `nearest`, the answer to
    /// that if it is about the same tool, prompt or resource; `pass=URL` in one word, the answer of this live server
    #[arg(long, value_name = "CHOICE", value_parser = on_miss, default_value = "error", help_heading = "Server")]
    pub(super) on_miss: OnMiss,
    #[command(flatten)]
    pub(super) drive: DriveArguments,
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

/// How fast recorded waits pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Speed {
    Max,
    Times(f64),
}

impl Speed {
    /// How many times as fast; `None` if nothing is waited for.
    pub(super) const fn factor(self) -> Option<f64> {
        match self {
            Self::Max => None,
            Self::Times(times) => Some(times),
        }
    }
}

impl FromStr for Speed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text
            .parse()
            .ok()
            .filter(|times: &f64| times.is_finite() && *times > 0.0);
        times
            .map(Self::Times)
            .ok_or("write max, or a number above 0 such as 1 for the recorded times")
    }
}

impl ReplayFlags {
    /// Whether the recording is the client.
    pub(super) const fn has_live_server(&self) -> bool {
        self.drive.has_server()
    }

    /// When answers come.
    pub(super) const fn pace(&self) -> Pace {
        match (self.latency, self.speed) {
            (Some(latency), _) => Pace::Latency(latency),
            (None, Speed::Max) => Pace::Max,
            (None, Speed::Times(times)) => Pace::Times(times),
        }
    }
}

/// Reads what happens to a request that is not in the recording.
fn on_miss(text: &str) -> Result<OnMiss, String> {
    // Whoever writes it as two words in quotes means the same.
    let passed = text
        .strip_prefix("pass")
        .and_then(|rest| rest.strip_prefix(['=', ' ']));
    match (text, passed.map(str::trim)) {
        ("error", _) => Ok(OnMiss::Error),
        ("nearest", _) => Ok(OnMiss::Nearest),
        ("pass", _) | (_, Some("")) => Err(format!("a URL belongs to it, in one word: {PASS}")),
        (_, Some(url)) => {
            let server: UpstreamConfig = url.parse().map_err(|error: ConfigError| error.to_string())?;
            Ok(OnMiss::Pass(Box::new(server)))
        }
        _ if text.contains("://") => Err(format!("the URL of a live server is written as {PASS}")),
        _ => Err(format!("it is error, nearest, or {PASS}")),
    }
}

/// The words of a command line, where `--on-miss pass URL` of `replay` is one word behind its flag: `pass` alone means nothing, and
/// the grammar cannot say so, since another word behind the flag is the recording.
pub(super) fn in_one_word(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let is_open =
            joined.get(1).is_some_and(|task| task == "replay") && !joined.iter().any(|word| word == "--");
        let is_pass = word == "--on-miss=pass"
            || (word == "pass" && joined.last().is_some_and(|flag| flag == "--on-miss"));
        let url = words.next_if(|next| is_open && is_pass && next.to_string_lossy().contains("://"));
        joined.push(match url {
            Some(url) => [word, url].join(OsStr::new("=")),
            None => word,
        });
    }
    joined
}

/// How a live server is named.
const PASS: &str = "pass=URL, such as pass=http://127.0.0.1:3001/mcp";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_is_an_error_the_nearest_or_passed_on() {
        assert_eq!(on_miss("nearest"), Ok(OnMiss::Nearest));
        assert!(matches!(
            on_miss("pass=http://127.0.0.1:1/mcp"),
            Ok(OnMiss::Pass(_))
        ));
        assert_eq!(
            on_miss("pass http://127.0.0.1:1/mcp"),
            on_miss("pass=http://127.0.0.1:1/mcp")
        );
        for (text, said) in [
            ("pass", "in one word: pass=URL"),
            ("pass=", "in one word: pass=URL"),
            ("ignore", "it is error, nearest, or pass=URL"),
            ("http://127.0.0.1:1/mcp", "is written as pass=URL"),
            ("pass=http://127.0.0.1:", "no port behind it"),
        ] {
            let refused = on_miss(text).unwrap_err();
            assert!(refused.contains(said), "{text}: {refused}");
        }
    }

    #[test]
    fn a_url_behind_pass_belongs_to_it_and_to_nothing_else() {
        for (typed, meant) in [
            (
                "x replay --on-miss pass http://h/ a.jsonl",
                "x replay --on-miss pass=http://h/ a.jsonl",
            ),
            (
                "x replay --on-miss=pass http://h/ a.jsonl",
                "x replay --on-miss=pass=http://h/ a.jsonl",
            ),
            (
                "x replay --on-miss pass a.jsonl",
                "x replay --on-miss pass a.jsonl",
            ),
            (
                "x replay --on-miss error http://h/",
                "x replay --on-miss error http://h/",
            ),
            ("x replay pass http://h/", "x replay pass http://h/"),
            (
                "x replay a -- --on-miss pass http://h/",
                "x replay a -- --on-miss pass http://h/",
            ),
            (
                "x wrap --on-miss pass http://h/",
                "x wrap --on-miss pass http://h/",
            ),
        ] {
            let words = in_one_word(typed.split(' ').map(OsString::from));
            assert_eq!(words.join(OsStr::new(" ")), meant);
        }
    }

    #[test]
    fn a_speed_is_a_number_above_zero_or_max() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("2.5".parse(), Ok(Speed::Times(2.5)));
        for text in ["0", "-1", "fast", "inf", "NaN"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }
}
