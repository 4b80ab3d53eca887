//! Values that flags and configuration files share.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Deserialize;
use shadowcat::config::ServerPorts;

/// Which palette the screen uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ThemeName {
    /// For a dark background
    #[default]
    Dark,
    /// For a light background
    Light,
    /// No colours
    Mono,
}

impl ThemeName {
    /// As it is written.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Mono => "mono",
        }
    }
}

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    /// What failed
    Error,
    /// And what is likely to be a mistake
    Warn,
    /// And what a user may want to know afterwards
    #[default]
    Info,
    /// And what helps to find a fault in shadowcat-tui
    Debug,
    /// And every step
    Trace,
}

impl LogLevel {
    /// As it is written.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Whether each server gets a port of its own, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortsChoice {
    Off,
    Free,
    From(u16),
}

impl PortsChoice {
    /// As the engine takes it.
    pub(super) const fn ports(self) -> Option<ServerPorts> {
        match self {
            Self::Off => None,
            Self::Free => Some(ServerPorts::Free),
            Self::From(base) => Some(ServerPorts::From(base)),
        }
    }
}

/// Whether to record from the start, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RecordChoice {
    Off,
    NewFile,
    File(PathBuf),
}
