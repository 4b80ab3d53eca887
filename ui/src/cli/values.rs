//! Values that flags and configuration files share.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;
use shadowcat::config::ServerPorts;
use shadowcat::limits::{Unit, parse_value};

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

/// Bytes at which a file is large enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileSize(pub(crate) u64);

/// Milliseconds after which a file is old enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileAge(pub(crate) u64);

/// The smallest file that is worth one of its own.
const MIN_SIZE: u64 = 64 << 10;
/// The shortest time that is.
const MIN_AGE: u64 = 1_000;

impl FromStr for FileSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match parse_value(Unit::Bytes, text) {
            Some(bytes) if bytes >= MIN_SIZE => Ok(Self(bytes)),
            Some(_) => Err(format!("`{text}` is too small for a file; write 64KiB or more")),
            None => Err(format!("`{text}` is no size; write 64MiB or 1GiB")),
        }
    }
}

impl FromStr for FileAge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match parse_value(Unit::Time, text) {
            Some(millis) if millis >= MIN_AGE => Ok(Self(millis)),
            Some(_) => Err(format!("`{text}` is too short for a file; write 1s or more")),
            None => Err(format!("`{text}` is no time; write 30m or 1h")),
        }
    }
}

/// Reads a time: `500ms`, `1.5s`, `2m`, `1h`, or a number of seconds.
///
/// # Errors
/// The forms, if it is none of them.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_value(Unit::Time, text)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is no time: write 500ms, 1.5s, 2m, or a number of seconds"))
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

/// Takes the path of a recording that is to be written. It is read again while it is written, and goes on in files beside
/// it, so standard output is none.
///
/// # Errors
/// What to write instead of `-`.
pub(super) fn recording_path(path: PathBuf) -> Result<PathBuf, &'static str> {
    if path.as_os_str() == "-" {
        return Err(
            "a recording is written to a file, not to standard output; write ./- for a file of that name",
        );
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units_and_seconds_without() {
        for (text, millis) in [
            ("200ms", 200),
            ("1.5s", 1_500),
            ("1.5", 1_500),
            ("2", 2_000),
            ("0.25 s", 250),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("0.0001s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "s",
            ".5s",
            "5.",
            "5.s",
            "1.2.3s",
            "5d",
            "-1s",
            "1e3",
            "1.5e3s",
            "99999999999999999999s",
        ] {
            let error = duration(text).unwrap_err();
            assert!(
                error.contains("1.5s") && error.contains("500ms"),
                "{text}: {error}"
            );
        }
    }
}
