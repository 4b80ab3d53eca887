//! Whether the limits fit into the files that the system lets a process have open.

use std::fmt;

use super::ResourceLimits;

/// Open files that one connection takes: the client's and its upstream's.
const PER_CONNECTION: u64 = 2;
/// Open files for everything else: listeners, recording, log, terminal, connections that HTTP/2 requests share.
const RESERVE: u64 = 64;

/// The limit that open files bound.
const NAME: &str = "max_connections";

/// A default that was lowered to what the machine gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clamp {
    /// The limit's name.
    pub name: &'static str,
    /// Its default.
    pub wanted: u64,
    /// What it is now.
    pub given: u64,
    /// Open files that the machine gives.
    pub available: u64,
}

impl Clamp {
    /// Whether so little is left that the user should know at once.
    pub const fn is_drastic(&self) -> bool {
        self.given < self.wanted / 2
    }
}

impl fmt::Display for Clamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            wanted,
            given,
            available,
        } = self;
        write!(
            f,
            "{name} is {given} instead of {wanted}: this machine gives {available} open files; raise `ulimit -n` for more"
        )
    }
}

/// What the user asked for is more than the machine gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name} cannot be {wanted}: that needs {needed} open files and this machine gives {available}; raise `ulimit -n` to {needed}, or set --{} to {possible} at most",
    .name.replace('_', "-")
)]
pub struct CannotMeetError {
    /// The limit's name.
    pub name: &'static str,
    /// What was asked for.
    pub wanted: u64,
    /// Open files that it needs.
    pub needed: u64,
    /// Open files that the machine gives.
    pub available: u64,
    /// What could be met.
    pub possible: u64,
}

/// Makes `limits` fit into `available` open files: lowers what the user did not ask for (`is_explicit` says no), and
/// returns what was lowered. A connection is never denied altogether, however little there is.
///
/// # Errors
/// [`CannotMeetError`] for a limit that the user asked for and that does not fit.
pub fn fit_to_descriptors(
    limits: &mut ResourceLimits,
    is_explicit: impl Fn(&str) -> bool,
    available: u64,
) -> Result<Vec<Clamp>, CannotMeetError> {
    let wanted = limits.max_connections as u64;
    let possible = (available.saturating_sub(RESERVE) / PER_CONNECTION).max(1);
    if wanted <= possible {
        return Ok(Vec::new());
    }
    if is_explicit(NAME) {
        return Err(CannotMeetError {
            name: NAME,
            wanted,
            needed: wanted.saturating_mul(PER_CONNECTION).saturating_add(RESERVE),
            available,
            possible,
        });
    }
    limits.max_connections = usize::try_from(possible).unwrap_or(usize::MAX);
    Ok(vec![Clamp {
        name: NAME,
        wanted,
        given: possible,
        available,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_connections: usize) -> ResourceLimits {
        ResourceLimits {
            max_connections,
            ..ResourceLimits::default()
        }
    }

    #[test]
    fn a_default_that_does_not_fit_is_lowered_and_said() {
        let mut limits = limits(10_000);
        let clamps = fit_to_descriptors(&mut limits, |_| false, 1024).unwrap();
        assert_eq!(limits.max_connections, 480);
        assert!(clamps[0].is_drastic());
        assert_eq!(
            clamps[0].to_string(),
            "max_connections is 480 instead of 10000: this machine gives 1024 open files; raise `ulimit -n` for more"
        );
    }

    #[test]
    fn what_was_asked_for_is_met_or_refused_with_what_to_do() {
        let asked = |name: &str| name == "max_connections";
        let error = fit_to_descriptors(&mut limits(500), asked, 1024).unwrap_err();
        assert_eq!(
            error.to_string(),
            "max_connections cannot be 500: that needs 1064 open files and this machine gives 1024; raise `ulimit -n` to 1064, or set --max-connections to 480 at most"
        );
        for available in [1024, 1025, u64::MAX] {
            let mut limits = limits(480);
            assert_eq!(fit_to_descriptors(&mut limits, asked, available), Ok(Vec::new()));
            assert_eq!(limits.max_connections, 480);
        }
    }

    #[test]
    fn however_little_there_is_one_connection_is_tried() {
        for available in [0, 3, 64, 65] {
            let mut limits = limits(10_000);
            fit_to_descriptors(&mut limits, |_| false, available).unwrap();
            assert_eq!(limits.max_connections, 1);
        }
    }
}
