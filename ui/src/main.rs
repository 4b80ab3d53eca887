//! A terminal debugger for Model Context Protocol traffic.

mod address;
mod app;
mod ca;
mod cli;
mod client_config;
mod client_file;
mod compare;
mod complete;
mod console;
mod copies;
mod demo;
mod demo_run;
mod descriptors;
mod detail;
mod document;
mod edit_job;
mod editor;
mod editor_place;
mod effect;
mod exec;
#[cfg(test)]
mod fake;
mod format;
mod guard;
mod headless;
#[cfg(unix)]
mod held;
mod held_screen;
mod hold_modes;
mod input;
mod interchange;
mod jsonc;
mod keymap;
mod layout;
mod line_edit;
mod lines;
mod list;
mod logging;
mod model;
mod paint;
mod playback;
mod printer;
mod puller;
mod recordings;
mod recordings_screen;
mod replay_run;
mod replay_summary;
mod row_text;
mod scrub;
mod seen;
mod show;
mod shutdown;
mod signals;
#[cfg(test)]
mod stage;
mod terminal;
mod text;
mod theme;
mod update;
mod verdict_text;
mod verify;
mod view;
mod waiting;
#[cfg(unix)]
mod wrap;
#[cfg(unix)]
mod wrap_config;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use shadowcat::config::Config;
use shadowcat::engine::{Engine, EngineHandle, ShutdownReport, StartError};
use shadowcat::limits::ResourceLimits;
use shadowcat::limits::descriptors::{fit_to_descriptors, in_one_line};
use shadowcat::recording::{Extent, hide_url_secrets, shown};
use shadowcat::resource::log_ring::LogRing;

use app::{AppError, AppOptions};
use cli::{Invocation, Job, Lines, ReplayJob, ScreenSettings, UsageError, View};
use console::say;
use demo_run::Demo;
use logging::{LogOptions, Logging};
use replay_run::{Replay, ReplayError, Told};
use shutdown::{Ending, unless_told};
use signals::Signals;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Something failed on the way.
const FAILED: u8 = 1;
/// The command line or a configuration file cannot be used.
const BAD_USAGE: u8 = 2;
/// A port or a file could not be opened.
const CANNOT_OPEN: u8 = 3;

/// Why the process ends, and with which code.
struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    fn with_code(code: u8, error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        Self { code, error }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { code: FAILED, error }
    }
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        Self::with_code(error.exit_code(), error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::with_code(error.exit_code(), error)
    }
}

fn main() -> ExitCode {
    if guard::is_asked_for() {
        guard::keep();
        return ExitCode::SUCCESS;
    }
    let outcome = match cli::parse() {
        Ok(invocation) => run(invocation),
        Err(UsageError::CommandLine(error)) => return usage(&error),
        Err(error) => Err(Failure::with_code(BAD_USAGE, error)),
    };
    match outcome {
        Ok(code) => code,
        Err(Failure { code, error }) => {
            report(&error);
            ExitCode::from(code)
        }
    }
}

/// Prints what clap has to say: help and version on stdout, mistakes on stderr.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if error.use_stderr() && hide_url_secrets(&text) != text {
        say(text.trim_end());
    } else {
        // Nobody may be there to read it any more.
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::from(BAD_USAGE), ExitCode::from)
}

/// Prints an error and its causes, each on a line, unless there is no terminal left to print it on.
fn report(error: &anyhow::Error) {
    if matches!(error.downcast_ref(), Some(AppError::TerminalGone)) {
        return;
    }
    say(format_args!("error: {error}"));
    for cause in error.chain().skip(1) {
        say(format_args!("  because: {cause}"));
    }
}

fn run(invocation: Invocation) -> Result<ExitCode, Failure> {
    #[cfg(unix)]
    let invocation = match invocation.job {
        Job::Held(job) => return held(job).map(|()| ExitCode::SUCCESS),
        job => Invocation { job, ..invocation },
    };
    survive_full_files(&invocation.job);
    match &invocation.job {
        Job::Print(text) => return print(text).map(|()| ExitCode::SUCCESS),
        Job::Ca(job) => return print(&ca::run(job)?).map(|()| ExitCode::SUCCESS),
        Job::Exec(job) => return exec::run(job).map(|()| ExitCode::SUCCESS),
        Job::Verify(job) => return verify(job),
        Job::Scrub(job) => return scrub(job),
        #[cfg(unix)]
        Job::WrapConfig(options) => return wrap_config(options).map(|()| ExitCode::SUCCESS),
        _ => {}
    }
    check_terminal(&invocation.job)?;
    let ring = LogRing::new(invocation.limits.log_ring);
    let logging = start_log(&invocation, ring.clone())?;
    let place = logging.as_ref().and_then(Logging::place);
    hook_panics(place.map(PathBuf::from));
    // Fails only if a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    for remark in &invocation.remarks {
        tracing::warn!("{remark}");
    }
    let outcome = work(invocation, ring);
    if let Some(logging) = logging.filter(|logging| logging.dropped_lines() > 0) {
        say(format_args!(
            "{} lines did not fit into the log",
            logging.dropped_lines()
        ));
    }
    outcome
}

#[cfg(unix)]
fn held(job: held::HeldJob) -> Result<(), Failure> {
    held::run(job).map_err(|error| Failure::with_code(error.exit_code(), error))
}

#[cfg(unix)]
fn wrap_config(options: &wrap_config::WrapConfigOptions) -> Result<(), Failure> {
    let outcome = wrap_config::run(options);
    print(&outcome.map_err(|error| Failure::with_code(error.exit_code(), error))?)
}

fn scrub(job: &scrub::ScrubJob) -> Result<ExitCode, Failure> {
    job.run()
        .map_err(|error| Failure::with_code(error.exit_code(), error))?;
    Ok(ExitCode::SUCCESS)
}

fn verify(job: &verify::VerifyJob) -> Result<ExitCode, Failure> {
    let outcome = job.run(print)?;
    Ok(match outcome {
        verify::Outcome::Whole => ExitCode::SUCCESS,
        verify::Outcome::Damaged => ExitCode::from(FAILED),
        verify::Outcome::NotOpened => ExitCode::from(CANNOT_OPEN),
    })
}

fn print(text: &str) -> Result<(), Failure> {
    match io::Write::write_all(&mut io::stdout().lock(), text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(anyhow::Error::new(error)
            .context("could not write to stdout")
            .into()),
        _ => Ok(()),
    }
}

/// Prints what a comparison has found; the exit code says whether something differs.
fn compared((text, is_same): (String, bool)) -> Result<ExitCode, Failure> {
    print(&text)?;
    Ok(if is_same {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// Prints what came of a recording that was sent.
fn driven(done: &compare::Done) -> Result<ExitCode, Failure> {
    print(&done.text)?;
    done.failures
        .iter()
        .for_each(|failure| say(format_args!("error: {failure}")));
    Ok(ExitCode::from(done.code))
}

/// A screen needs a terminal to be drawn on.
fn check_terminal(job: &Job) -> Result<(), Failure> {
    const HEADLESS: &str = "add --headless to print one line a message";

    let way_out = match job {
        Job::Proxy {
            view: View::Screen(_),
            ..
        }
        | Job::Demo {
            view: View::Screen(_),
            ..
        } => HEADLESS,
        Job::Replay(job) if matches!(job.view, View::Screen(_)) => HEADLESS,
        Job::Open { .. } => "use `shadowcat-tui show FILE` to print the recording",
        _ => return Ok(()),
    };
    if io::stdout().is_terminal() {
        return Ok(());
    }
    let error = anyhow::anyhow!("standard output is not a terminal, so there is nowhere to draw; {way_out}");
    Err(Failure::with_code(BAD_USAGE, error))
}

/// Before a command only a log that was asked for is written: clients start many of them, and its stderr is not ours.
fn start_log(invocation: &Invocation, ring: LogRing) -> Result<Option<Logging>, Failure> {
    let is_silent = is_before_a_command(&invocation.job);
    if is_silent && invocation.log_file.is_none() {
        return Ok(None);
    }
    let options = LogOptions {
        file: invocation.log_file.clone(),
        level: invocation.log_level,
        bytes_a_day: invocation.limits.log_file_bytes as u64,
        has_stderr: !is_silent && !has_screen(&invocation.job),
    };
    let started = logging::start(options, ring).map_err(|error| Failure::with_code(CANNOT_OPEN, error));
    started.map(Some)
}

const fn has_screen(job: &Job) -> bool {
    match job {
        Job::Proxy { view, .. } | Job::Demo { view, .. } => matches!(view, View::Screen(_)),
        Job::Replay(job) => matches!(job.view, View::Screen(_)),
        Job::Open { .. } => true,
        _ => false,
    }
}

#[cfg(unix)]
const fn is_before_a_command(job: &Job) -> bool {
    matches!(job, Job::Wrap(_) | Job::WrapServer(..))
}

#[cfg(not(unix))]
const fn is_before_a_command(_job: &Job) -> bool {
    false
}

/// A command that was started with the signal ignored is to have it that way.
#[cfg(unix)]
fn survive_full_files(job: &Job) {
    let is_left_alone = is_before_a_command(job) && wrap::is_ignored(signals::FILE_SIZE_SIGNAL);
    if !is_left_alone && let Err(error) = signals::survive_full_files() {
        tracing::warn!(%error, "a file that may not grow any more (`ulimit -f`) will end the program");
    }
}

#[cfg(not(unix))]
const fn survive_full_files(_job: &Job) {}

/// A panic is a mistake of ours: it goes to the log too, and whoever sees it learns where that is.
fn hook_panics(log: Option<PathBuf>) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tracing::error!(panic = %info, "a mistake in shadowcat-tui");
        before(info);
        if let Some(log) = &log {
            say(format_args!(
                "this is a mistake in shadowcat-tui; the log is in {}",
                log.display()
            ));
        }
    }));
}

fn work(invocation: Invocation, ring: LogRing) -> Result<ExitCode, Failure> {
    let Invocation {
        job,
        limits,
        asked_limits,
        ..
    } = invocation;
    let done = match job {
        Job::Proxy { config, view } => {
            let config = with_door(with_rest(config, limits, ring));
            proxy(fit_to_machine(config, &asked_limits)?, view, None)
        }
        Job::Demo { config, view } => {
            let config = with_door(with_rest(config, limits, ring));
            let config = fit_to_machine(config, &asked_limits)?;
            let demo = Demo::start().map_err(|error| Failure::with_code(CANNOT_OPEN, error))?;
            let config = demo
                .upstream_of(config)
                .map_err(|error| Failure::with_code(BAD_USAGE, error))?;
            proxy(config, view, Some(demo))
        }
        Job::Replay(mut job) => {
            job.server = job.server.limits(limits.clone());
            job.config = fit_to_machine(with_rest(job.config, limits, ring), &asked_limits)?;
            replay(*job)
        }
        Job::ReplayStdio(job) => replay_run::stdio(job, &limits, ring),
        Job::Open { file, extent, screen } => {
            let engine = opened(&file, extent, &limits, ring)?;
            on_screen(engine, screen, || ())
        }
        Job::Show {
            file,
            extent,
            lines,
            has_bodies,
        } => {
            let engine = opened(&file, extent, &limits, ring)?;
            show(engine, &lines, has_bodies)
        }
        Job::Diff(job) => return compared(compare::diff(&job, &limits)?),
        Job::Drive(job) => return driven(&compare::drive(&job, &limits)?),
        Job::Export(job) => interchange::run_export(&job, &limits),
        Job::Import(job) => interchange::run_import(&job),
        Job::Exec(job) => exec::run(&job),
        Job::Verify(job) => return verify(&job),
        Job::Scrub(job) => return scrub(&job),
        Job::Ca(job) => print(&ca::run(&job)?),
        Job::Print(text) => print(&text),
        #[cfg(unix)]
        Job::Held(job) => held(job),
        #[cfg(unix)]
        Job::WrapConfig(options) => wrap_config(&options),
        #[cfg(unix)]
        Job::Wrap(options) => return wrap(wrap::run(&options)),
        #[cfg(unix)]
        Job::WrapServer(options, server) => return wrap(wrap::run_outward(&options, server)),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn opened(
    file: &Path,
    extent: Extent,
    limits: &ResourceLimits,
    ring: LogRing,
) -> Result<EngineHandle, Failure> {
    let segments = input::segments(file, extent).map_err(StartError::from)?;
    let name = shown(file);
    Ok(Engine::open_segments(Path::new(&*name), &segments, limits, ring)?)
}

/// Stands in for a command, whose exit code it passes on.
#[cfg(unix)]
fn wrap(ended: Result<u8, wrap::WrapError>) -> Result<ExitCode, Failure> {
    match ended {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(error) => Err(Failure::with_code(error.exit_code(), error)),
    }
}

fn with_rest(config: Config, limits: ResourceLimits, log: LogRing) -> Config {
    Config {
        limits,
        log,
        ..config
    }
}

/// Lets wrapped commands find this proxy.
#[cfg(unix)]
fn with_door(config: Config) -> Config {
    Config {
        door: Some(shadowcat::door::place::directory()),
        ..config
    }
}

#[cfg(not(unix))]
fn with_door(config: Config) -> Config {
    config
}

/// Lowers defaults that need more open files than there are.
fn fit_to_machine(mut config: Config, asked_limits: &BTreeSet<String>) -> Result<Config, Failure> {
    if let Some(available) = descriptors::raise() {
        let is_asked = |name: &str| asked_limits.contains(name);
        config.clamps = fit_to_descriptors(&mut config.limits, is_asked, available)
            .map_err(|error| Failure::with_code(BAD_USAGE, error))?;
    }
    Ok(config)
}

fn proxy(config: Config, view: View, demo: Option<Demo>) -> Result<(), Failure> {
    let clamps = config.clamps.clone();
    let engine = Engine::start(config)?;
    if let Some(lowered) = in_one_line(&clamps) {
        tracing::warn!("{lowered}");
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), addresses = ?engine.addresses(), "accepting clients");
    if let Some(demo) = &demo {
        demo.play(&engine);
    }
    let stop_demo = || {
        if let Some(demo) = &demo {
            demo.stop();
        }
    };
    let outcome = match view {
        View::Screen(screen) => on_screen(engine, screen, stop_demo),
        View::Headless(lines) => headless(engine, lines, stop_demo),
    };
    if let Some(demo) = demo {
        demo.end();
    }
    outcome
}

/// A proxy in front of a recording. Without a screen the requests are printed, each with what it was answered from.
fn replay(job: ReplayJob) -> Result<(), Failure> {
    let ReplayJob {
        config,
        view,
        server,
        file,
    } = job;
    let told = match &view {
        View::Screen(_) => Told::InTheLog,
        View::Headless(Some(lines)) => Told::OnStdout {
            format: lines.format,
            shows_secrets: lines.shows_secrets,
        },
        View::Headless(None) => Told::Nowhere,
    };
    let server = replay_run::with_input(server, &file, &config.limits)?;
    let replay = Replay::start(server, told)?;
    let engine = Engine::start(replay.upstream_of(config, &file)?)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), file = %file.display(), addresses = ?engine.addresses(), "replaying");
    let outcome = match view {
        View::Screen(screen) => on_screen(engine, screen, || replay.stop()),
        View::Headless(_) => {
            replay_run::announce(&file, engine.addresses());
            headless(engine, None, || replay.stop())
        }
    };
    replay.end();
    outcome
}

fn headless(engine: EngineHandle, lines: Option<Lines>, before_end: impl FnOnce()) -> Result<(), Failure> {
    let runtime = runtime()?;
    let outcome = runtime.block_on(headless::run(engine, lines, before_end));
    say_report(&outcome.map_err(anyhow::Error::new)?);
    Ok(())
}

fn on_screen(engine: EngineHandle, screen: ScreenSettings, before_end: impl FnOnce()) -> Result<(), Failure> {
    let runtime = runtime()?;
    let frontend = engine.frontend().map_err(anyhow::Error::new)?;
    let shown = runtime.block_on(app::run(frontend, app_options(screen)));
    before_end();
    let ended = runtime.block_on(end(engine));
    // The screen's own failure matters more than how the rest ended.
    shown.map_err(anyhow::Error::new)?;
    say_report(&ended?);
    Ok(())
}

async fn end(engine: EngineHandle) -> anyhow::Result<ShutdownReport> {
    let mut signals = Signals::listen().context("could not listen to signals")?;
    let ending = Ending::begin(engine).context("could not start a thread to end the engine")?;
    Ok(unless_told(&mut signals, ending.finish_or_key()).await??)
}

fn show(engine: EngineHandle, lines: &Lines, has_bodies: bool) -> Result<(), Failure> {
    let runtime = runtime()?;
    let outcome = runtime.block_on(show::run(&engine, lines, has_bodies));
    engine.shut_down();
    outcome.map_err(|error| anyhow::Error::new(error).into())
}

/// The runtime of this thread; the engine has its own.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("could not start the runtime; check the limits on open files")
}

fn app_options(screen: ScreenSettings) -> AppOptions {
    AppOptions {
        palette: theme::Palette::named(screen.theme.name()).unwrap_or_default(),
        no_color: screen.has_no_colours,
        ascii: screen.is_ascii,
        keys: screen.keys,
        no_alt_screen: !screen.has_alt_screen,
        no_mouse: !screen.has_mouse,
        no_bell: !screen.has_bell,
        read_only: screen.is_read_only,
        filter: screen.filter,
        editor_cmd: screen.editor_cmd,
        title: None,
    }
}

/// What a user wants to know after the screen has gone.
fn say_report(report: &ShutdownReport) {
    let text = report.to_string();
    if !text.is_empty() {
        say(text);
    }
}
