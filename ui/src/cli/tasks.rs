//! One function a command: from its flags and the files to its job.

use std::collections::BTreeSet;
use std::path::PathBuf;

#[cfg(unix)]
use shadowcat::config::UpstreamConfig;
use shadowcat::config::{CommandServer, Config, ListenAddress};
use shadowcat::limits::ResourceLimits;
#[cfg(unix)]
use shadowcat::outward::OutwardConfig;
use shadowcat::recording::redact::{RedactPattern, Redaction};
use shadowcat::recording::{RecorderSettings, RedactPatterns};
use shadowcat::replay::MockServer;

use super::arguments::{
    CaTaskArguments, CommandLine, DemoArguments, ExecArguments, GeneralArguments, HeadlessFormat,
    OpenArguments, ProxyArguments, RecordArguments, ShowArguments, ShowFormat, Task, TelemetryArguments,
    ViewArguments,
};
#[cfg(unix)]
use super::arguments::{WrapArguments, WrapConfigArguments};
use super::compare_flags::{DiffArguments, ReportFormat};
use super::forward_flags::{CaArguments, ForwardLayer};
use super::intercept_flags::{InterceptArguments, breakpoints};
use super::interchange_flags::{ExportArguments, ImportArguments};
use super::job::{CaJob, ExecJob, Format, Invocation, Job, Lines, ReplayJob, StdioJob, View};
use super::layer::Layer;
use super::paste;
use super::print;
use super::recording_flags::ScrubArguments;
use super::replay_flags::ReplayFlags;
use super::settings::{
    Settings, SettingsError, can_hold, check_rotation, config, listen, looks, record_config, recorded,
    recording_settings, rotating, screen, settings, some_if_any, view,
};
use super::values::{LogLevel, PortsChoice};
use crate::compare::DiffJob;
use crate::interchange::{ExportJob, ImportJob};
use crate::scrub::ScrubJob;
#[cfg(unix)]
use crate::wrap::WrapOptions;
#[cfg(unix)]
use crate::wrap_config::{WrapConfigOptions, WrapConfigTask};

/// Reads the configuration files that `line` asks for and puts all layers together.
pub(super) fn resolve(line: CommandLine) -> Result<Invocation, SettingsError> {
    match line.command {
        None => proxy(line.proxy),
        #[cfg(unix)]
        Some(Task::Wrap(arguments)) => wrap(*arguments),
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

fn proxy(arguments: ProxyArguments) -> Result<Invocation, SettingsError> {
    let records_secrets = arguments.record.record_secrets;
    let rotating = rotating(&arguments.record).filter(|_| arguments.view.headless);
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
    check_rotation(rotating, &settings.layer)?;
    let view = view(arguments.view, &settings.layer, records_secrets);
    Ok(settings.invocation(Job::Proxy { config, view }))
}

#[cfg(unix)]
/// Files have no word here: whatever is wrong with them, the client's server has to start.
fn wrap(arguments: WrapArguments) -> Result<Invocation, SettingsError> {
    let records_secrets = arguments.record.record_secrets;
    let rotating = rotating(&arguments.record);
    let given = recorded(arguments.record);
    check_rotation(rotating, &given)?;
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
    Ok(Invocation {
        job,
        log_file: arguments.log_file,
        log_level: LogLevel::default(),
        limits: ResourceLimits::default(),
        asked_limits: BTreeSet::new(),
        remarks: Vec::new(),
    })
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
    let settings = of_files(given, arguments.config)?;
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
        let rotating = rotating(&self.record).filter(|_| self.view.headless);
        let given = Layer {
            rules: self.intercept.rules,
            ..recorded(self.record)
        };
        let looks = looks(&self.view.screen, &self.view.signs);
        let settings = settings(given.over(looks), general)?;
        check_rotation(rotating, &settings.layer)?;
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
        let view = view(self.view, &settings.layer, records_secrets);
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
        let given = Layer {
            rules: arguments.intercept.rules,
            ..Layer::default()
        };
        let settings = settings(given, arguments.general)?;
        let job = StdioJob {
            server: server.redacting(recording_settings(&settings.layer).redact),
            format: match arguments.view.format {
                Some(HeadlessFormat::Json) => Format::Json,
                _ => Format::Text,
            },
            file: arguments.file,
            rules: settings.layer.rules.clone(),
        };
        return Ok(settings.invocation(Job::ReplayStdio(job)));
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
        server: server.redacting(config.recording.redact.clone()),
        config,
        view,
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
            // Its recording has no more than was meant to be in it.
            shows_secrets: true,
            redact: RedactPatterns::default(),
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
    let mut job = arguments.drive.job(arguments.file, extent, speed, format);
    job.options.redact = recording_settings(&settings.layer).redact;
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
    let settings = of_files(redacting(arguments.redact), arguments.config)?;
    let recorder = RecorderSettings {
        redaction: if arguments.record_secrets {
            Redaction::Off
        } else {
            Redaction::On
        },
        recording: recording_settings(&settings.layer),
    };
    let job = Job::Import(ImportJob {
        file: arguments.file,
        output: arguments.output,
        recorder,
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
    of_files(given, config)
}

/// What is given together with what these files say, for tasks without the other general flags.
fn of_files(given: Layer, config: Vec<PathBuf>) -> Result<Settings, SettingsError> {
    let general = GeneralArguments {
        config,
        ..GeneralArguments::default()
    };
    settings(given, general)
}

fn redacting(patterns: Vec<RedactPattern>) -> Layer {
    Layer {
        redact: some_if_any(patterns),
        ..Layer::default()
    }
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
    let settings = of_files(redacting(arguments.redact), arguments.config)?;
    let job = Job::Scrub(ScrubJob {
        file: arguments.file,
        extent: arguments.extent.extent(),
        output: arguments.output,
        redact: recording_settings(&settings.layer).redact,
    });
    Ok(settings.invocation(job))
}
