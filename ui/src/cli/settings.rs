//! The layers of settings, put together: flags over files over defaults.

use std::path::PathBuf;
use std::time::Duration;

use shadowcat::config::{Config, ConfigError, ListenAddress, RecordConfig};
use shadowcat::limits::{ResourceLimits, SetLimitError};
use shadowcat::recording::{RecordingSettings, Rotation};

use super::arguments::{
    GeneralArguments, HeadlessFormat, RecordArguments, ScreenArguments, SignArguments, ViewArguments,
};
use super::file::{self, FileError};
use super::job::{Format, Invocation, Job, Lines, ScreenSettings, View};
use super::layer::Layer;
use super::paste::PasteError;
use super::values::{PortsChoice, RecordChoice, ThemeName};
use crate::keymap::{Keymap, KeymapError};

/// Where clients connect unless something else is said.
pub(super) const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

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
    #[error(
        "{flag} says when a recording goes on in a new file, but nothing is recorded here; add --record or --record=PATH"
    )]
    NothingToRotate { flag: &'static str },
    #[error("{files}: the table [keys] cannot be used: {cause}")]
    Keys { files: String, cause: KeymapError },
}

/// All layers as one, and the files that were read.
pub(super) struct Settings {
    pub(super) layer: Layer,
    pub(super) limits: ResourceLimits,
    log_file: Option<PathBuf>,
    pub(super) sources: Vec<PathBuf>,
}

impl Settings {
    pub(super) fn invocation(self, job: Job) -> Invocation {
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
pub(super) fn settings(given: Layer, general: GeneralArguments) -> Result<Settings, SettingsError> {
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

pub(super) fn some_if_any<T>(values: Vec<T>) -> Option<Vec<T>> {
    (!values.is_empty()).then_some(values)
}

/// What the flags about recording say; whether secrets are recorded is no setting of a file.
pub(super) fn recorded(arguments: RecordArguments) -> Layer {
    let choice = |path: Option<PathBuf>| path.map_or(RecordChoice::NewFile, RecordChoice::File);
    Layer {
        redact: some_if_any(arguments.redact),
        rotate_size: arguments.rotate_size,
        rotate_age: arguments.rotate_age,
        record: arguments.record.map(choice),
        ..Layer::default()
    }
}

pub(super) fn record_config(choice: Option<&RecordChoice>) -> Option<RecordConfig> {
    match choice {
        None | Some(RecordChoice::Off) => None,
        Some(RecordChoice::NewFile) => Some(RecordConfig { path: None }),
        Some(RecordChoice::File(path)) => Some(RecordConfig {
            path: Some(path.clone()),
        }),
    }
}

/// The flag that makes a recording go on in a new file, if there is one.
pub(super) const fn rotating(arguments: &RecordArguments) -> Option<&'static str> {
    match (arguments.rotate_size, arguments.rotate_age) {
        (Some(_), _) => Some("--rotate-size"),
        (None, Some(_)) => Some("--rotate-age"),
        (None, None) => None,
    }
}

/// Refuses such a flag where nothing is recorded, and nobody can begin to.
pub(super) fn check_rotation(flag: Option<&'static str>, layer: &Layer) -> Result<(), SettingsError> {
    match flag {
        Some(flag) if record_config(layer.record.as_ref()).is_none() => {
            Err(SettingsError::NothingToRotate { flag })
        }
        _ => Ok(()),
    }
}

/// How recordings are written.
pub(super) fn recording_settings(layer: &Layer) -> RecordingSettings {
    RecordingSettings {
        redact: layer.redact.iter().flatten().cloned().collect(),
        rotation: Rotation {
            max_bytes: layer.rotate_size.map(|size| size.0),
            max_age: layer.rotate_age.map(|age| Duration::from_millis(age.0)),
        },
    }
}

/// What flags say about looks.
pub(super) fn looks(screen: &ScreenArguments, signs: &SignArguments) -> Layer {
    Layer {
        theme: screen.theme,
        is_ascii: signs.ascii,
        has_mouse: screen.no_mouse.then_some(false),
        editor_cmd: screen.editor_cmd.clone(),
        ..Layer::default()
    }
}

pub(super) fn listen(layer: &Layer) -> Result<Vec<ListenAddress>, ConfigError> {
    match &layer.listen {
        Some(listen) => Ok(listen.clone()),
        None => Ok(vec![DEFAULT_LISTEN.parse()?]),
    }
}

/// The part of the engine's configuration that the layers decide.
pub(super) fn config(layer: &Layer) -> Config {
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
pub(super) const fn can_hold(view: &ViewArguments, waits: bool) -> bool {
    waits || !(view.headless || view.screen.read_only)
}

pub(super) fn view(arguments: ViewArguments, layer: &Layer, shows_secrets: bool) -> View {
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
        shows_secrets,
        redact: recording_settings(layer).redact,
    }))
}

pub(super) fn screen(arguments: &ScreenArguments, filter: String, layer: &Layer) -> ScreenSettings {
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

    use super::super::print;
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
