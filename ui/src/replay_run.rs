//! A recording as a server: behind a proxy of its own, or on standard input and output.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use shadowcat::codec::hidden::without_hidden;
use shadowcat::config::{Config, ConfigError, UpstreamConfig};
use shadowcat::limits::ResourceLimits;
use shadowcat::recording::{RedactPatterns, TextMask, hide_secrets, shown};
use shadowcat::replay::mock::{Found, MockCall, MockError};
use shadowcat::replay::tape::TapeOptions;
use shadowcat::replay::{MockServer, RunningMock};
use shadowcat::resource::log_ring::LogRing;
use shadowcat::tasks::{TaskKind, Tasks};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::Failure;
use crate::cli::{Format, StdioJob};
use crate::console::say;
use crate::format::{self, plural};
use crate::input::{is_standard, tape};
use crate::printer::Printer;
use crate::replay_summary::Summary;
use crate::signals::Signals;
use crate::text::Safe;

/// How long the lines that are left may take to be printed.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A recording could not be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error("could not prepare the mock server; check the limits on processes and open files")]
    Prepare(#[source] io::Error),
    #[error(transparent)]
    Mock(#[from] MockError),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl ReplayError {
    /// The exit code of a program that ends because of it.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::Mock(MockError::Pipe(_)) => 1,
            _ => 3,
        }
    }
}

/// Where the requests to a recording are told.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Told {
    /// Where a screen shows the rest.
    InTheLog,
    OnStdout {
        format: Format,
        shows_secrets: bool,
    },
    Nowhere,
}

/// A mock server on a runtime of its own, so that what the Resources screen shows is the proxy alone.
#[derive(Debug)]
pub(crate) struct Replay {
    runtime: Runtime,
    tasks: Tasks,
    mock: RunningMock,
}

impl Replay {
    /// Starts it on a free port. `told` is where its requests are told.
    ///
    /// # Errors
    /// [`ReplayError`] if the recording cannot be used.
    pub(crate) fn start(server: MockServer, told: Told) -> Result<Self, ReplayError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("replay")
            .enable_all()
            .build()
            .map_err(ReplayError::Prepare)?;
        let redact = server.chosen().redact.clone();
        let mock = runtime.block_on(server.start())?;
        for sentence in mock.damage() {
            tracing::warn!("{sentence}");
        }
        let tasks = Tasks::new(1);
        let calls = mock.watch();
        let guard = runtime.enter();
        match told {
            Told::OnStdout {
                format,
                shows_secrets,
            } => {
                let printer = Printer::to_stdout().map_err(ReplayError::Prepare)?;
                let mask = if shows_secrets { None } else { Some(mask(redact)?) };
                tasks.spawn(TaskKind::Frontend, print(calls, format, mask, printer));
            }
            Told::Nowhere => {}
            Told::InTheLog => tasks.spawn(TaskKind::Frontend, log(calls)),
        }
        drop(guard);
        Ok(Self { runtime, tasks, mock })
    }

    /// `config` with the mock server as the one upstream, which is called as its recording `file`.
    ///
    /// # Errors
    /// [`ReplayError`] if its URL cannot be an upstream.
    pub(crate) fn upstream_of(&self, config: Config, file: &Path) -> Result<Config, ReplayError> {
        let name = file.file_name().unwrap_or(file.as_os_str());
        let upstream = UpstreamConfig {
            shown_as: Some(shown(Path::new(name)).into_owned()),
            ..self.mock.url().parse()?
        };
        Ok(Config {
            upstreams: vec![upstream],
            ..config
        })
    }

    /// Tells it to end, without waiting for it.
    pub(crate) fn stop(&self) {
        self.mock.end();
    }

    /// Ends it.
    pub(crate) fn end(self) {
        let Self { runtime, tasks, mock } = self;
        runtime.block_on(async {
            mock.stop().await;
            // Whoever reads stdout may have stopped to.
            tasks.end_services(LAST_LINES).await;
        });
        runtime.shutdown_background();
    }
}

/// The same server; of the recording on standard input if `file` is that.
///
/// # Errors
/// [`ReplayError`] if that has no recording.
pub(crate) fn with_input(
    server: MockServer,
    file: &Path,
    limits: &ResourceLimits,
) -> Result<MockServer, ReplayError> {
    if !is_standard(file) {
        return Ok(server);
    }
    let options = TapeOptions::as_the_client_saw_it().within(limits);
    let tape = tape(file, &options).map_err(MockError::from)?;
    Ok(server.tape(tape))
}

/// Says where clients find the recording.
pub(crate) fn announce(file: &Path, addresses: &[std::net::SocketAddr]) {
    for address in addresses {
        let file = shown(file);
        say(format_args!(
            "replaying {file} at http://{address}/mcp; clients of HTTP+SSE use http://{address}/sse"
        ));
    }
}

/// A recording on standard input and output. Rules need an engine, which does not listen.
///
/// # Errors
/// If the recording or the rules cannot be used, or the pipes fail.
pub(crate) fn stdio(job: StdioJob, limits: &ResourceLimits, ring: LogRing) -> Result<(), Failure> {
    let StdioJob {
        server,
        format,
        file,
        rules,
    } = job;
    let (server, runtime) = (server.limits(limits.clone()), crate::runtime()?);
    #[cfg(unix)]
    if let Some(rules) = rules {
        let config = Config {
            rules_file: Some(rules),
            can_hold: false,
            ..Config::default()
        };
        let engine = shadowcat::engine::Engine::start(crate::with_rest(config, limits.clone(), ring))?;
        let serving = serve_ruled(server, format, &file, (&engine, limits));
        let ended = runtime.block_on(serving);
        crate::say_report(&engine.shut_down());
        return ended.map_err(Failure::from);
    }
    #[cfg(not(unix))]
    let _ = (file, rules, ring);
    let serving = serve_stdio(server, format, tokio::io::stdin(), tokio::io::stdout());
    runtime.block_on(serving).map_err(Failure::from)
}

/// Serves on `input` and `output` until the input ends or a signal comes. Requests are told on stderr, as text also how many
/// there were of which.
///
/// # Errors
/// [`ReplayError`] if the recording cannot be used, or the pipes fail.
async fn serve_stdio(
    server: MockServer,
    format: Format,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> Result<(), ReplayError> {
    let mut signals = Signals::listen().map_err(ReplayError::Prepare)?;
    let mut summary = Summary::default();
    let mask = mask(server.chosen().redact.clone())?;
    let tell = |call: &MockCall| {
        summary.add(call);
        let mut line = Vec::new();
        write_line(&mut line, call, format, Some(&mask), &TimeZone::system());
        // Nobody may be there to read it.
        let _ = io::stderr().lock().write_all(&line);
    };
    let ended = tokio::select! {
        ended = server.serve(input, output, tell) => ended.map_err(ReplayError::from),
        () = signals.next() => Ok(()),
    };
    // A refused recording was never asked.
    if format == Format::Text && ended.is_ok() {
        say(&summary);
    }
    ended
}

/// The same on standard input and output, where `engine` acts on what passes by its rules.
///
/// # Errors
/// [`ReplayError`] if the recording cannot be used, or the pipes fail.
#[cfg(unix)]
async fn serve_ruled(
    server: MockServer,
    format: Format,
    file: &Path,
    (engine, limits): (&shadowcat::engine::EngineHandle, &ResourceLimits),
) -> Result<(), ReplayError> {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    let serve = async |input, output| serve_stdio(server, format, input, output).await;
    let ended = crate::wrap::by_rules((engine, limits), &name, serve).await;
    ended.map_err(ReplayError::Prepare)?
}

async fn print(
    mut calls: broadcast::Receiver<MockCall>,
    format: Format,
    mask: Option<TextMask>,
    printer: Printer,
) {
    let zone = TimeZone::system();
    loop {
        let mut line = Vec::new();
        match calls.recv().await {
            Ok(call) => write_line(&mut line, &call, format, mask.as_ref(), &zone),
            Err(RecvError::Lagged(count)) => {
                write_left_out(&mut line, count, format);
                tracing::warn!(count, "requests were left out, since stdout is read too slowly");
            }
            Err(RecvError::Closed) => break,
        }
        if !printer.print(line).await {
            return;
        }
    }
    if let Err(error) = printer.finish().await {
        tracing::warn!(%error, "requests could not be printed");
    }
}

async fn log(mut calls: broadcast::Receiver<MockCall>) {
    loop {
        match calls.recv().await {
            Ok(call) if call.found == Found::Missed => tracing::warn!("{}", hide_secrets(&call.to_string())),
            Ok(call) => tracing::info!("{}", hide_secrets(&call.to_string())),
            Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "requests are not in this log"),
            Err(RecvError::Closed) => return,
        }
    }
}

fn mask(redact: RedactPatterns) -> Result<TextMask, ReplayError> {
    let mask = TextMask::random().map_err(ReplayError::Prepare)?;
    Ok(mask.with_patterns(redact))
}

/// Adds a line in the place of those that nobody took in time.
fn write_left_out(out: &mut Vec<u8>, count: u64, format: Format) {
    let line = match format {
        Format::Text => format!(
            "{} left out here: stdout is read too slowly\n",
            plural(count, "request")
        ),
        Format::Json => format!("{{\"left_out\":{count}}}\n"),
    };
    out.extend(line.as_bytes());
}

/// Adds the line of a request, without the secrets in it if there is a `mask`.
fn write_line(out: &mut Vec<u8>, call: &MockCall, format: Format, mask: Option<&TextMask>, zone: &TimeZone) {
    match format {
        Format::Text => {
            let text = call.to_string();
            let text = mask.map_or_else(|| text.clone(), |mask| mask.masked(&text));
            let at = format::time_of_day(call.at, zone, false);
            out.extend(Safe::of(&format!("{at} {text}")).as_str().as_bytes());
        }
        Format::Json => {
            // Numbers and texts always serialize.
            let document = serde_json::to_string(call).unwrap_or_default();
            let document = mask.map_or_else(|| document.clone(), |mask| mask.masked_document(&document));
            out.extend(without_hidden(&document, "").as_bytes());
        }
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_are_left_out_are_counted_in_their_place() {
        let written = |format| {
            let mut line = Vec::new();
            write_left_out(&mut line, 3, format);
            String::from_utf8(line).unwrap()
        };
        assert_eq!(written(Format::Json), "{\"left_out\":3}\n");
        assert_eq!(
            written(Format::Text),
            "3 requests left out here: stdout is read too slowly\n"
        );
    }
}
