//! The program's own log: to a file, to the ring behind the Log screen and, without a screen, to stderr.
//!
//! Nothing here makes the traffic wait: file and stderr are written by threads of their own behind a bounded queue, and
//! lines that find it full are counted and dropped.

mod capped;
mod ring_layer;

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use etcetera::BaseStrategy as _;
use shadowcat::clock::Clock;
use shadowcat::resource::log_ring::LogRing;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt};

use crate::cli::LogLevel;
use capped::CappedWriter;
use ring_layer::RingLayer;

/// Lines between those who log and the file. Full: the line is dropped and counted.
const QUEUE_LINES: usize = 4_096;
/// Days whose log is kept in the state directory. More: the oldest file is deleted.
const DAYS_KEPT: usize = 7;

/// Where the log goes and how much of it.
#[derive(Debug)]
pub(crate) struct LogOptions {
    /// The file, if the user named one.
    pub(crate) file: Option<PathBuf>,
    pub(crate) level: LogLevel,
    /// Bytes that the file gets in a day (`log_file_bytes`).
    pub(crate) bytes_a_day: u64,
    /// On stderr as well, because no screen is up.
    pub(crate) has_stderr: bool,
}

/// The file that the user named cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the log to {}; give a path in a directory you may write to", .path.display())]
pub(crate) struct LogFileError {
    path: PathBuf,
    source: io::Error,
}

/// Keeps the log going; what is queued is written out when this is dropped.
#[derive(Debug)]
pub(crate) struct Logging {
    place: Option<PathBuf>,
    dropped: Vec<ErrorCounter>,
    guards: Vec<WorkerGuard>,
}

impl Logging {
    /// The file, or the directory with a file a day; `None` if nothing is written.
    pub(crate) fn place(&self) -> Option<&Path> {
        self.place.as_deref()
    }

    /// Lines that were dropped because the disk, or the reader of stderr, did not keep up.
    pub(crate) fn dropped_lines(&self) -> usize {
        self.dropped.iter().map(ErrorCounter::dropped_lines).sum()
    }
}

/// A place that lines go to.
struct Sink {
    place: PathBuf,
    writer: Box<dyn Write + Send>,
}

/// Begins to log. Must be called once.
///
/// # Errors
/// [`LogFileError`] for a file that the user named. If the file in the state directory cannot be written, the log says
/// so on the Log screen and goes there only.
pub(crate) fn start(options: LogOptions, ring: LogRing) -> Result<Logging, LogFileError> {
    let clock = Clock::start();
    let (sink, problem) = match options.file {
        Some(path) => (Some(named_file(path)?), None),
        None => match state_file() {
            Ok(sink) => (Some(sink), None),
            Err(problem) => (None, Some(problem)),
        },
    };
    let mut logging = Logging {
        place: sink.as_ref().map(|sink| sink.place.clone()),
        dropped: Vec::new(),
        guards: Vec::new(),
    };
    let file = sink.map(|sink| {
        let level = Arc::clone(ring.file());
        let writer = CappedWriter::new(sink.writer, options.bytes_a_day, level, move || day_of(clock));
        line_layer(logging.queue(writer))
    });
    let stderr = options.has_stderr.then(|| {
        let writer = logging.queue(io::stderr());
        line_layer(writer)
    });
    let ring = RingLayer::new(ring, clock);
    let layers = ring
        .and_then(file)
        .and_then(stderr)
        .with_filter(targets(options.level));
    // Fails only if somebody else already logs, as tests in one process do.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    if let Some(problem) = problem {
        tracing::warn!("there is no log file: {problem}; name another with --log-file");
    }
    Ok(logging)
}

impl Logging {
    /// A writer that never waits for `inner`.
    fn queue(&mut self, inner: impl Write + Send + 'static) -> NonBlocking {
        let (writer, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(QUEUE_LINES)
            .thread_name("log")
            .finish(inner);
        self.dropped.push(writer.error_counter());
        self.guards.push(guard);
        writer
    }
}

/// One line an event, without colours: they are a feature of the library that is not built in, and a debug build panics if they
/// are asked for.
fn line_layer<S>(writer: NonBlocking) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    fmt::layer().compact().with_ansi(false).with_writer(writer)
}

/// Our own lines at `level`. Other crates only when something is wrong: in detail they would log headers and bodies.
fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("shadowcat", level)
        .with_target("shadowcat_tui", level)
}

/// The file that the user named, written on where it ends.
fn named_file(path: PathBuf) -> Result<Sink, LogFileError> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(&path) {
        Ok(file) => Ok(Sink {
            place: path,
            writer: Box::new(file),
        }),
        Err(source) => Err(LogFileError { path, source }),
    }
}

/// A file a day in the user's state directory.
fn state_file() -> Result<Sink, String> {
    let base = etcetera::choose_base_strategy().map_err(|_| "there is no home directory".to_owned())?;
    let state = base.state_dir().unwrap_or_else(|| base.data_dir());
    daily_file(&state.join("shadowcat"))
}

fn daily_file(directory: &Path) -> Result<Sink, String> {
    let problem =
        |error: &dyn std::error::Error| format!("{} cannot be written ({error})", directory.display());
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(|error| problem(&error))?;
    let appender = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("shadowcat")
        .filename_suffix("log")
        .max_log_files(DAYS_KEPT)
        .build(directory)
        .map_err(|error| match std::error::Error::source(&error) {
            Some(cause) => problem(&cause),
            None => problem(&error),
        })?;
    Ok(Sink {
        place: directory.to_owned(),
        writer: Box::new(appender),
    })
}

/// The number of this day in UTC, in which the files are cut as well.
fn day_of(clock: Clock) -> u64 {
    clock.now().as_micros() / (24 * 60 * 60 * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_crates_never_log_in_detail() {
        let targets = targets(LogLevel::Trace);
        assert!(targets.would_enable("shadowcat::engine", &tracing::Level::TRACE));
        assert!(targets.would_enable("shadowcat_tui", &tracing::Level::TRACE));
        assert!(!targets.would_enable("hyper::proto", &tracing::Level::INFO));
        assert!(targets.would_enable("hyper::proto", &tracing::Level::WARN));
    }

    #[cfg(unix)]
    #[test]
    fn the_directory_of_the_log_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("state/shadowcat");
        let mut sink = daily_file(&directory).unwrap();
        sink.writer.write_all(b"x\n").unwrap();
        let mode = std::fs::metadata(&directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn a_state_directory_that_cannot_be_made_is_named() {
        let home = tempfile::tempdir().unwrap();
        let blocker = home.path().join("file");
        std::fs::write(&blocker, "").unwrap();
        let problem = daily_file(&blocker.join("shadowcat")).err().unwrap();
        assert!(problem.contains("shadowcat cannot be written ("), "{problem}");
    }
}
