//! From all layers to what is to be done.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use shadowcat::config::{CommandServer, Config, ConfigError, ListenAddress, RecordConfig};
use shadowcat::limits::{ResourceLimits, SetLimitError};
use shadowcat::recording::redact::Redaction;
use shadowcat::recording::{Extent, RecordingSettings, Rotation};
use shadowcat::replay::MockServer;

use super::arguments::{
    CaTaskArguments, CommandLine, DemoArguments, ExecArguments, GeneralArguments, HeadlessFormat,
    OpenArguments, ProxyArguments, RecordArguments, ScreenArguments, ShowArguments, ShowFormat,
    SignArguments, Task, TelemetryArguments, ViewArguments,
};
#[cfg(unix)]
use super::arguments::{WrapArguments, WrapConfigArguments};
use super::compare_flags::{DiffArguments, ReportFormat};
use super::file::{self, FileError};
use super::forward_flags::{CaArguments, ForwardLayer};
use super::intercept_flags::{InterceptArguments, breakpoints};
use super::interchange_flags::{ExportArguments, ImportArguments};
use super::layer::Layer;
use super::paste::{self, PasteError};
use super::print;
use super::recording_flags::ScrubArguments;
use super::replay_flags::ReplayFlags;
use super::values::{LogLevel, PortsChoice, RecordChoice, ThemeName};
use crate::compare::{DiffJob, DriveJob};
use crate::exec::ProxyPlace;
#[cfg(unix)]
use crate::held::HeldJob;
use crate::interchange::{ExportJob, ImportJob};
use crate::keymap::{Keymap, KeymapError};
use crate::scrub::ScrubJob;
use crate::verify::VerifyJob;
#[cfg(unix)]
use crate::wrap::WrapOptions;
#[cfg(unix)]
use crate::wrap_config::{WrapConfigOptions, WrapConfigTask};
#[cfg(unix)]
use shadowcat::config::UpstreamConfig;
#[cfg(unix)]
use shadowcat::outward::OutwardConfig;

/// Where clients connect unless something else is said.
pub(super) const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// What is to be done, and what is needed whatever it is.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) job: Job,
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) log_level: LogLevel,
    pub(crate) limits: ResourceLimits,
    /// The limits that somebody asked for, by name.
    pub(crate) asked_limits: BTreeSet<String>,
    /// What the log is to say of the files that were read.
    pub(crate) remarks: Vec<String>,
}

impl Invocation {
    /// One that settings have no word in.
    fn of_job(job: Job) -> Self {
        Self {
            job,
            log_file: None,
            log_level: LogLevel::default(),
            limits: ResourceLimits::default(),
            asked_limits: BTreeSet::new(),
            remarks: Vec::new(),
        }
    }
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Job {
    /// Be a proxy. Limits and log of the configuration are still to be filled in.
    Proxy { config: Config, view: View },
    /// The same between the built-in server and clients.
    Demo { config: Config, view: View },
    /// Be the server of a recording, with a proxy in front.
    Replay(Box<ReplayJob>),
    /// Be the server of a recording on standard input and output. Limits are still to be filled in.
    ReplayStdio { server: MockServer, format: Format },
    /// Browse a recording.
    Open {
        file: PathBuf,
        extent: Extent,
        screen: ScreenSettings,
    },
    /// Print a recording.
    Show {
        file: PathBuf,
        extent: Extent,
        lines: Lines,
        has_bodies: bool,
    },
    /// Compare two files.
    Diff(DiffJob),
    /// Send a recording to a live server.
    Drive(Box<DriveJob>),
    /// Write a recording in another format.
    Export(ExportJob),
    /// Make a recording of an archive.
    Import(ImportJob),
    /// Copy a recording without its secrets.
    Scrub(ScrubJob),
    /// Check recordings.
    Verify(VerifyJob),
    /// Run a client of the proxy.
    Exec(ExecJob),
    /// Show or change the certificate authority.
    Ca(CaJob),
    /// Stand in for a command.
    #[cfg(unix)]
    Wrap(WrapOptions),
    /// Change a client's file.
    #[cfg(unix)]
    WrapConfig(WrapConfigOptions),
    /// Stand in for a command, in front of a server that speaks HTTP.
    #[cfg(unix)]
    WrapServer(WrapOptions, OutwardConfig),
    /// Ask and decide about what a running proxy holds.
    #[cfg(unix)]
    Held(HeldJob),
    /// Print a text.
    Print(String),
}

/// A recording to be served. Limits are still to be filled in.
#[derive(Debug)]
pub(crate) struct ReplayJob {
    pub(crate) config: Config,
    pub(crate) view: View,
    pub(crate) server: MockServer,
    pub(crate) file: PathBuf,
}

/// A client to be run.
#[derive(Debug)]
pub(crate) struct ExecJob {
    pub(crate) connect: Option<ProxyPlace>,
    pub(crate) ca_dir: Option<PathBuf>,
    pub(crate) client: Vec<OsString>,
}

/// What to do with the certificate authority.
#[derive(Debug)]
pub(crate) struct CaJob {
    pub(crate) directory: Option<PathBuf>,
    pub(crate) export: Option<PathBuf>,
    pub(crate) is_new: bool,
    /// Without asking.
    pub(crate) is_agreed: bool,
}

/// Where the traffic is shown.
#[derive(Debug)]
pub(crate) enum View {
    Screen(ScreenSettings),
    /// On stdout; `None` prints nothing.
    Headless(Option<Lines>),
}

/// How the screen looks and behaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches that have nothing to do with each other"
)]
pub(crate) struct ScreenSettings {
    pub(crate) theme: ThemeName,
    /// The environment asks for no colours, and nobody chose a theme in spite of it.
    pub(crate) has_no_colours: bool,
    pub(crate) is_ascii: bool,
    pub(crate) has_mouse: bool,
    /// The terminal is rung when a held message has nearly used up its client's patience.
    pub(crate) has_bell: bool,
    /// How an editor is opened; what the environment offers if `None`.
    pub(crate) editor_cmd: Option<String>,
    pub(crate) has_alt_screen: bool,
    pub(crate) is_read_only: bool,
    pub(crate) filter: String,
    /// The user's keys: action, its keys.
    pub(crate) keys: Vec<(String, Vec<String>)>,
}

/// How messages are printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) format: Format,
    pub(crate) is_ascii: bool,
    pub(crate) filter: String,
}

/// The shape of a printed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Limit(#[from] SetLimitError),
    #[error(transparent)]
    Paste(#[from] PasteError),
    #[error("{files}: the table [keys] cannot be used: {cause}")]
    Keys { files: String, cause: KeymapError },
}

/// Reads the configuration files that `line` asks for and puts all layers together.
pub(super) fn resolve(line: CommandLine) -> Result<Invocation, SettingsError> {
    match line.command {
        None => proxy(line.proxy),
        #[cfg(unix)]
        Some(Task::Wrap(arguments)) => Ok(wrap(*arguments)),
        #[cfg(unix)]
        Some(Task::WrapConfig(arguments)) => wrap_config(arguments),
        #[cfg(unix)]
        Some(Task::Held(arguments)) => Ok(Invocation::of_job(Job::Held(arguments.into()))),
        Some(Task::Demo(arguments)) => demo(*arguments),
        Some(Task::Open(arguments)) => open(arguments),
        Some(Task::Show(arguments)) => show(arguments),
        Some(Task::Diff(arguments)) => diff(arguments),
        Some(Task::Export(arguments)) => export(arguments),
        Some(Task::Import(arguments)) => import(arguments),
        Some(Task::Scrub(arguments)) => scrub(arguments),
        Some(Task::Verify(arguments)) => Ok(Invocation::of_job(Job::Verify(arguments.into()))),
        Some(Task::Replay(arguments)) => replay(*arguments),
        Some(Task::Exec(arguments)) => exec(arguments),
        Some(Task::Ca(arguments)) => ca(arguments),
    }
}

/// All layers as one, and the files that were read.
struct Settings {
    layer: Layer,
    limits: ResourceLimits,
    log_file: Option<PathBuf>,
    sources: Vec<PathBuf>,
}

impl Settings {
    fn invocation(self, job: Job) -> Invocation {
        Invocation {
            remarks: self.layer.servers.remarks,
            job,
            log_file: self.log_file,
            log_level: self.layer.log_level.unwrap_or_default(),
            asked_limits: self.layer.limits.into_keys().collect(),
            limits: self.limits,
        }
    }
}

/// Puts `given`, what flags say, over what the files say.
fn settings(given: Layer, general: GeneralArguments) -> Result<Settings, SettingsError> {
    let (files, sources) = read_files(general.config)?;
    let limits = general.limits.0.into_iter();
    let given = Layer {
        log_level: general.log_level,
        limits: limits.map(|(name, text)| (name.to_owned(), text)).collect(),
        ..given
    };
    let layer = given.over(files);
    let mut limits = ResourceLimits::default();
    for (name, text) in &layer.limits {
        limits.set(name, text)?;
    }
    check_keys(&layer, &sources)?;
    Ok(Settings {
        layer,
        limits,
        log_file: general.log_file,
        sources,
    })
}

/// Keys are read whatever is to be done: a mistake in them is not to wait for the next screen.
fn check_keys(layer: &Layer, sources: &[PathBuf]) -> Result<(), SettingsError> {
    match Keymap::new(&keys(layer)) {
        Ok(_) => Ok(()),
        Err(cause) => {
            let files: Vec<String> = sources.iter().map(|path| path.display().to_string()).collect();
            let files = files.join(", ");
            Err(SettingsError::Keys { files, cause })
        }
    }
}

fn keys(layer: &Layer) -> Vec<(String, Vec<String>)> {
    let keys = layer.keys.iter();
    keys.map(|(action, keys)| (action.clone(), keys.clone()))
        .collect()
}

fn read_files(given: Vec<PathBuf>) -> Result<(Layer, Vec<PathBuf>), FileError> {
    let (mut layer, mut sources) = (Layer::default(), Vec::new());
    if let Some(path) = file::default_path()
        && let Some(found) = file::read_if_there(&path)?
    {
        layer = found;
        sources.push(path);
    }
    for path in given {
        layer = file::read(&path)?.over(layer);
        sources.push(path);
    }
    Ok((layer, sources))
}

fn proxy(arguments: ProxyArguments) -> Result<Invocation, SettingsError> {
    let records_secrets = arguments.record.record_secrets;
    let given = Layer {
        listen: some_if_any(arguments.listen),
        upstreams: some_if_any(arguments.upstream),
        ports: arguments
            .ports
            .map(|base| base.map_or(PortsChoice::Free, PortsChoice::From)),
        allow_hosts: some_if_any(arguments.allow_host),
        allow_origins: some_if_any(arguments.allow_origin),
        forward: arguments.forward.into(),
        oauth: arguments.oauth,
        rules: arguments.intercept.rules,
        metrics: arguments.telemetry.metrics,
        otlp: arguments.telemetry.otlp,
        ..recorded(arguments.record)
    }
    .over(looks(&arguments.view.screen, &arguments.view.signs));
    let settings = settings(given, arguments.general)?;
    let mut config = Config {
        listen: listen(&settings.layer)?,
        rules: breakpoints(arguments.intercept.intercept),
        can_hold: can_hold(&arguments.view, arguments.wait),
        records_secrets,
        guard: crate::guard::command(),
        ..config(&settings.layer)
    };
    config.commands.extend(command_server(arguments.command));
    config.check()?;
    if arguments.print_config {
        let page = print::page(&settings.layer, &settings.limits, &settings.sources);
        return Ok(settings.invocation(Job::Print(page)));
    }
    let view = view(arguments.view, &settings.layer);
    Ok(settings.invocation(Job::Proxy { config, view }))
}

#[cfg(unix)]
/// Files have no word here: whatever is wrong with them, the client's server has to start.
fn wrap(arguments: WrapArguments) -> Invocation {
    let records_secrets = arguments.record.record_secrets;
    let given = recorded(arguments.record);
    let upstream = arguments.upstream;
    let place = upstream
        .as_ref()
        .map(|server| (server.label().to_string(), shown(server)));
    let (label, command) = place.map_or((None, arguments.command), |(label, shown)| {
        (Some(label), vec![shown.into()])
    });
    let options = WrapOptions {
        command,
        name: arguments.name.or(label),
        connect: arguments.connect,
        record: record_config(given.record.as_ref()),
        records_secrets,
        recording: recording_settings(&given),
    };
    let headers = arguments.header.into_iter().chain(arguments.header_env);
    let job = match upstream {
        None => Job::Wrap(options),
        Some(server) => {
            let mut config = OutwardConfig {
                upstream_ca: arguments.upstream_ca,
                insecure: arguments.insecure,
                via: arguments.via,
                ..OutwardConfig::new(server)
            };
            headers.for_each(|header| config.add(header));
            Job::WrapServer(options, config)
        }
    };
    Invocation {
        job,
        log_file: arguments.log_file,
        log_level: LogLevel::default(),
        limits: ResourceLimits::default(),
        asked_limits: BTreeSet::new(),
        remarks: Vec::new(),
    }
}

/// A server's URL without its query, which may be a secret.
#[cfg(unix)]
fn shown(server: &UpstreamConfig) -> String {
    format!("{}{}", server.origin(), server.path.path())
}

#[cfg(unix)]
fn wrap_config(arguments: WrapConfigArguments) -> Result<Invocation, SettingsError> {
    let task = match (arguments.undo, arguments.dry_run) {
        (true, _) => WrapConfigTask::Undo {
            is_forced: arguments.force,
        },
        (false, true) => WrapConfigTask::DryRun,
        (false, false) => WrapConfigTask::Wrap,
    };
    let given = Layer {
        listen: some_if_any(arguments.listen),
        upstreams: some_if_any(arguments.upstream),
        ..Layer::default()
    };
    let (Some(format), None) = (arguments.print, &arguments.file) else {
        let options = WrapConfigOptions {
            file: arguments.file.unwrap_or_default(),
            servers: arguments.server,
            task,
        };
        return Ok(Invocation::of_job(Job::WrapConfig(options)));
    };
    let general = GeneralArguments {
        config: arguments.config,
        ..GeneralArguments::default()
    };
    let settings = settings(given, general)?;
    let config = Config {
        listen: listen(&settings.layer)?,
        ..config(&settings.layer)
    };
    config.check()?;
    let page = paste::page(&config, format)?;
    Ok(settings.invocation(Job::Print(page)))
}

/// The command behind `--`.
fn command_server(words: Vec<String>) -> Option<CommandServer> {
    let mut words = words.into_iter();
    Some(CommandServer {
        name: None,
        program: words.next()?,
        args: words.collect(),
        cwd: None,
        env: Vec::new(),
    })
}

fn demo(arguments: DemoArguments) -> Result<Invocation, SettingsError> {
    let stand_in = StandIn {
        listen: arguments.listen,
        intercept: arguments.intercept,
        record: arguments.record,
        telemetry: arguments.telemetry,
        view: arguments.view,
    };
    let (settings, config, view) = stand_in.settle(arguments.general)?;
    Ok(settings.invocation(Job::Demo { config, view }))
}

/// The flags of a proxy in front of a server of ours.
struct StandIn {
    listen: ListenAddress,
    intercept: InterceptArguments,
    record: RecordArguments,
    telemetry: TelemetryArguments,
    view: ViewArguments,
}

impl StandIn {
    /// What a file says about real servers, and who may watch them, has no place here.
    fn settle(self, general: GeneralArguments) -> Result<(Settings, Config, View), SettingsError> {
        let records_secrets = self.record.record_secrets;
        let given = Layer {
            rules: self.intercept.rules,
            ..recorded(self.record)
        };
        let looks = looks(&self.view.screen, &self.view.signs);
        let settings = settings(given.over(looks), general)?;
        let config = Config {
            listen: vec![self.listen],
            upstreams: Vec::new(),
            commands: Vec::new(),
            rules: breakpoints(self.intercept.intercept),
            can_hold: can_hold(&self.view, false),
            metrics: self.telemetry.metrics,
            otlp: self.telemetry.otlp,
            records_secrets,
            ..config(&settings.layer)
        };
        let view = view(self.view, &settings.layer);
        Ok((settings, config, view))
    }
}

fn replay(arguments: ReplayFlags) -> Result<Invocation, SettingsError> {
    if arguments.has_live_server() {
        return drive(arguments);
    }
    let server = MockServer::from_recording(&arguments.file)
        .extent(arguments.extent.extent())
        .pace(arguments.pace())
        .on_miss(arguments.on_miss.clone());
    let Some(listen) = arguments.listen else {
        let settings = settings(Layer::default(), arguments.general)?;
        let format = match arguments.view.format {
            Some(HeadlessFormat::Json) => Format::Json,
            _ => Format::Text,
        };
        return Ok(settings.invocation(Job::ReplayStdio { server, format }));
    };
    let stand_in = StandIn {
        listen,
        intercept: arguments.intercept,
        record: arguments.record,
        telemetry: arguments.telemetry,
        view: arguments.view,
    };
    let (settings, config, view) = stand_in.settle(arguments.general)?;
    let file = arguments.file;
    let job = ReplayJob {
        config,
        view,
        server,
        file,
    };
    Ok(settings.invocation(Job::Replay(Box::new(job))))
}

fn open(arguments: OpenArguments) -> Result<Invocation, SettingsError> {
    let given = looks(&arguments.screen, &arguments.signs);
    let settings = settings(given, arguments.general)?;
    let job = Job::Open {
        file: arguments.file,
        extent: arguments.extent.extent(),
        screen: screen(&arguments.screen, arguments.filter.0, &settings.layer),
    };
    Ok(settings.invocation(job))
}

fn show(arguments: ShowArguments) -> Result<Invocation, SettingsError> {
    let given = Layer {
        is_ascii: arguments.signs.ascii,
        ..Layer::default()
    };
    let settings = settings(given, arguments.general)?;
    let job = Job::Show {
        file: arguments.file,
        extent: arguments.extent.extent(),
        lines: Lines {
            format: match arguments.format {
                ShowFormat::Text => Format::Text,
                ShowFormat::Json => Format::Json,
            },
            is_ascii: settings.layer.is_ascii.unwrap_or(false),
            filter: arguments.filter.0,
        },
        has_bodies: arguments.bodies,
    };
    Ok(settings.invocation(job))
}

fn diff(arguments: DiffArguments) -> Result<Invocation, SettingsError> {
    let settings = settings(Layer::default(), arguments.general)?;
    let format = arguments.format;
    let job = Job::Diff(DiffJob {
        before: arguments.before,
        after: arguments.after,
        extent: arguments.extent.extent(),
        options: arguments.compare.options(),
        format,
    });
    Ok(settings.invocation(job))
}

fn drive(arguments: ReplayFlags) -> Result<Invocation, SettingsError> {
    let settings = settings(Layer::default(), arguments.general)?;
    let speed = arguments.speed.factor();
    let format = match arguments.view.format {
        Some(HeadlessFormat::None) => None,
        Some(HeadlessFormat::Json) => Some(ReportFormat::Json),
        Some(HeadlessFormat::Text) | None => Some(ReportFormat::Text),
    };
    let extent = arguments.extent.extent();
    let job = arguments.drive.job(arguments.file, extent, speed, format);
    Ok(settings.invocation(Job::Drive(Box::new(job))))
}

fn export(arguments: ExportArguments) -> Result<Invocation, SettingsError> {
    let settings = settings(Layer::default(), arguments.general)?;
    let job = Job::Export(ExportJob {
        file: arguments.file,
        extent: arguments.extent.extent(),
        format: arguments.to.into(),
        output: arguments.output,
    });
    Ok(settings.invocation(job))
}

fn import(arguments: ImportArguments) -> Result<Invocation, SettingsError> {
    let settings = settings(Layer::default(), GeneralArguments::default())?;
    let job = Job::Import(ImportJob {
        file: arguments.file,
        output: arguments.output,
        redaction: if arguments.record_secrets {
            Redaction::Off
        } else {
            Redaction::On
        },
    });
    Ok(settings.invocation(job))
}

/// What is needed of the settings where there is neither proxy nor screen: the directory of the authority.
fn only_ca(ca: CaArguments, config: Vec<PathBuf>) -> Result<Settings, SettingsError> {
    let given = Layer {
        forward: ForwardLayer {
            ca_dir: ca.ca_dir,
            ..ForwardLayer::default()
        },
        ..Layer::default()
    };
    let general = GeneralArguments {
        config,
        ..GeneralArguments::default()
    };
    settings(given, general)
}

fn exec(arguments: ExecArguments) -> Result<Invocation, SettingsError> {
    let settings = only_ca(arguments.ca, arguments.config)?;
    let job = Job::Exec(ExecJob {
        connect: arguments.connect,
        ca_dir: settings.layer.forward.ca_dir(),
        client: arguments.client,
    });
    Ok(settings.invocation(job))
}

fn ca(arguments: CaTaskArguments) -> Result<Invocation, SettingsError> {
    let settings = only_ca(arguments.ca, arguments.config)?;
    let job = Job::Ca(CaJob {
        directory: settings.layer.forward.ca_dir(),
        export: arguments.export,
        is_new: arguments.new,
        is_agreed: arguments.yes,
    });
    Ok(settings.invocation(job))
}

fn scrub(arguments: ScrubArguments) -> Result<Invocation, SettingsError> {
    let given = Layer {
        redact: some_if_any(arguments.redact),
        ..Layer::default()
    };
    let general = GeneralArguments {
        config: arguments.config,
        ..GeneralArguments::default()
    };
    let settings = settings(given, general)?;
    let job = Job::Scrub(ScrubJob {
        file: arguments.file,
        extent: arguments.extent.extent(),
        output: arguments.output,
        redact: recording_settings(&settings.layer).redact,
    });
    Ok(settings.invocation(job))
}

fn some_if_any<T>(values: Vec<T>) -> Option<Vec<T>> {
    (!values.is_empty()).then_some(values)
}

/// What the flags about recording say; whether secrets are recorded is no setting of a file.
fn recorded(arguments: RecordArguments) -> Layer {
    let choice = |path: Option<PathBuf>| path.map_or(RecordChoice::NewFile, RecordChoice::File);
    Layer {
        redact: some_if_any(arguments.redact),
        rotate_size: arguments.rotate_size,
        rotate_age: arguments.rotate_age,
        record: arguments.record.map(choice),
        ..Layer::default()
    }
}

fn record_config(choice: Option<&RecordChoice>) -> Option<RecordConfig> {
    match choice {
        None | Some(RecordChoice::Off) => None,
        Some(RecordChoice::NewFile) => Some(RecordConfig { path: None }),
        Some(RecordChoice::File(path)) => Some(RecordConfig {
            path: Some(path.clone()),
        }),
    }
}

/// How recordings are written.
fn recording_settings(layer: &Layer) -> RecordingSettings {
    RecordingSettings {
        redact: layer.redact.iter().flatten().cloned().collect(),
        rotation: Rotation {
            max_bytes: layer.rotate_size.map(|size| size.0),
            max_age: layer.rotate_age.map(|age| Duration::from_millis(age.0)),
        },
    }
}

/// What flags say about looks.
fn looks(screen: &ScreenArguments, signs: &SignArguments) -> Layer {
    Layer {
        theme: screen.theme,
        is_ascii: signs.ascii,
        has_mouse: screen.no_mouse.then_some(false),
        editor_cmd: screen.editor_cmd.clone(),
        ..Layer::default()
    }
}

fn listen(layer: &Layer) -> Result<Vec<ListenAddress>, ConfigError> {
    match &layer.listen {
        Some(listen) => Ok(listen.clone()),
        None => Ok(vec![DEFAULT_LISTEN.parse()?]),
    }
}

/// The part of the engine's configuration that the layers decide.
fn config(layer: &Layer) -> Config {
    let upstreams = layer.upstreams.iter().flatten().chain(&layer.servers.upstreams);
    Config {
        upstreams: upstreams.cloned().collect(),
        commands: layer.servers.commands.clone(),
        ports: layer.ports.and_then(PortsChoice::ports),
        allowed_hosts: layer.allow_hosts.clone().unwrap_or_default(),
        allowed_origins: layer.allow_origins.clone().unwrap_or_default(),
        forward: layer.forward.config(),
        oauth: layer.oauth.unwrap_or_default(),
        rules_file: layer.rules.clone(),
        record: record_config(layer.record.as_ref()),
        recording: recording_settings(layer),
        metrics: layer.metrics.clone(),
        otlp: layer.otlp.clone(),
        ..Config::default()
    }
}

/// Somebody who decides is at the keys of a screen, unless they only watch; without one only if it is said.
const fn can_hold(view: &ViewArguments, waits: bool) -> bool {
    waits || !(view.headless || view.screen.read_only)
}

fn view(arguments: ViewArguments, layer: &Layer) -> View {
    if !arguments.headless {
        return View::Screen(screen(&arguments.screen, arguments.filter.0, layer));
    }
    let format = match arguments.format {
        Some(HeadlessFormat::None) => return View::Headless(None),
        Some(HeadlessFormat::Json) => Format::Json,
        Some(HeadlessFormat::Text) | None => Format::Text,
    };
    View::Headless(Some(Lines {
        format,
        is_ascii: layer.is_ascii.unwrap_or(false),
        filter: arguments.filter.0,
    }))
}

fn screen(arguments: &ScreenArguments, filter: String, layer: &Layer) -> ScreenSettings {
    ScreenSettings {
        theme: theme(layer),
        has_no_colours: layer.theme.is_none() && wants_no_colours(),
        is_ascii: layer.is_ascii.unwrap_or(false),
        has_mouse: layer.has_mouse.unwrap_or(true),
        has_bell: layer.has_bell.unwrap_or(true),
        editor_cmd: layer.editor_cmd.clone(),
        has_alt_screen: !arguments.no_alt_screen,
        is_read_only: arguments.read_only,
        filter,
        keys: keys(layer),
    }
}

/// The palette that was asked for; else none if the environment asks for no colours.
pub(super) fn theme(layer: &Layer) -> ThemeName {
    let default = if wants_no_colours() {
        ThemeName::Mono
    } else {
        ThemeName::Dark
    };
    layer.theme.unwrap_or(default)
}

/// Source: <https://no-color.org>, `NO_COLOR` set and not empty.
fn wants_no_colours() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn layer(text: &str) -> Layer {
        file::parse(text, Path::new("s.toml")).unwrap()
    }

    fn page_of(layer: &Layer) -> String {
        let mut limits = ResourceLimits::default();
        for (name, text) in &layer.limits {
            limits.set(name, text).unwrap();
        }
        print::page(layer, &limits, &[])
    }

    #[test]
    fn a_key_that_would_mean_two_things_is_refused_with_the_file_it_is_in() {
        let layer = layer("[keys]\nhelp = \"w\"\nrecord = \"w\"");
        let error = check_keys(&layer, &["s.toml".into()]).unwrap_err().to_string();
        assert!(
            error.starts_with("s.toml: ") && error.contains("`help` and `record`"),
            "{error}"
        );
    }

    #[test]
    fn a_later_layer_replaces_lists_and_single_limits() {
        let below = layer(
            "upstreams = [\"a=http://x/\", \"b=http://y/\"]\n[limits]\nmax_sessions = 5\nmax_headers = 50",
        );
        let above = layer("upstreams = \"http://z/\"\n[limits]\nmax-sessions = 7");
        let both = above.over(below);
        assert_eq!(both.upstreams.unwrap().len(), 1);
        let limits: Vec<_> = both
            .limits
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        assert_eq!(limits, [("max_headers", "50"), ("max_sessions", "7")]);
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        let first = layer(
            "listen = [\":9000\"]\nupstreams = [\"a=http://x:1/m?q=1\"]\nallow_hosts = \"h\"\nallow_origins = [\"http://o\"]\n\
             no_intercept = \"*.a\"\ninsecure = [\"b\"]\nupstream_ca = \"c.pem\"\nallow_connect = \"[::1]:443\"\nvia = \"http://p:1\"\nca_dir = \"/d\"\n\
             oauth = \"off\"\n\
             metrics = \":9464\"\notlp = \"http://c:4318\"\nrules = \"r.toml\"\nrecord = \"r \\\"1\\\".jsonl\"\ntheme = \"light\"\nascii = true\nmouse = false\nbell = false\nlog_level = \"debug\"\n\
             [limits]\nmax_body_kept = \"12345\"\ndrain_timeout = 0\n[keys]\nquit = [\"x\", \"ctrl-q\"]",
        );
        let printed = page_of(&first);
        let second = layer(&printed);
        assert_eq!(page_of(&second), printed);
        assert_eq!(
            (
                second.listen,
                second.upstreams,
                second.rules,
                second.record,
                second.keys
            ),
            (
                first.listen,
                first.upstreams,
                first.rules,
                first.record,
                first.keys
            )
        );
        assert_eq!(
            (second.metrics, second.otlp, second.oauth),
            (first.metrics, first.otlp, first.oauth)
        );
        assert_eq!(second.forward, first.forward);
        assert_eq!(second.limits["max_body_kept"], "12345 B");
        assert_eq!(second.limits["drain_timeout"], "0");
    }

    #[test]
    fn no_password_is_printed() {
        let printed = page_of(&layer(
            "proxy_auth = \"me:secret\"\nvia = \"http://me:secret@p:1\"",
        ));
        assert!(
            !printed.contains("secret") && !printed.contains("bWU6"),
            "{printed}"
        );
        assert!(printed.contains("# via = \"http://me:***@p:1\""), "{printed}");
    }

    #[test]
    fn the_printed_defaults_name_every_limit() {
        let printed = layer(&page_of(&Layer::default()));
        assert_eq!(printed.limits.len(), ResourceLimits::FIELDS.len());
        assert_eq!(printed.listen, Some(vec![DEFAULT_LISTEN.parse().unwrap()]));
    }
}
