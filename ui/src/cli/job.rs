//! What the command line comes to: a job, and what it needs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use shadowcat::config::Config;
use shadowcat::limits::ResourceLimits;
#[cfg(unix)]
use shadowcat::outward::OutwardConfig;
use shadowcat::recording::{Extent, RedactPatterns};
use shadowcat::replay::MockServer;

use super::values::{LogLevel, ThemeName};
use crate::compare::{DiffJob, DriveJob};
use crate::exec::ProxyPlace;
#[cfg(unix)]
use crate::held::HeldJob;
use crate::interchange::{ExportJob, ImportJob};
use crate::scrub::ScrubJob;
use crate::verify::VerifyJob;
#[cfg(unix)]
use crate::wrap::WrapOptions;
#[cfg(unix)]
use crate::wrap_config::WrapConfigOptions;

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
    pub(super) fn of_job(job: Job) -> Self {
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
    /// Be the server of a recording on standard input and output.
    ReplayStdio(StdioJob),
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

/// A recording to be served on standard input and output. Limits are still to be filled in.
#[derive(Debug)]
pub(crate) struct StdioJob {
    pub(crate) server: MockServer,
    pub(crate) format: Format,
    pub(crate) file: PathBuf,
    /// The file of rules that act on what passes.
    pub(crate) rules: Option<PathBuf>,
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
    /// What a recording would mask is printed as it is.
    pub(crate) shows_secrets: bool,
    /// What is a secret besides.
    pub(crate) redact: RedactPatterns,
}

/// The shape of a printed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
