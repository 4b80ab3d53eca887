//! Whether the limits fit into the files that the system lets a process have open.

use std::fmt;

use super::ResourceLimits;

/// Open files that one connection takes: the client's and its upstream's.
const PER_CONNECTION: u64 = 2;
/// Open files that a program takes: its three pipes and its guardian's.
const PER_CHILD: u64 = 4;
/// Open files that a link of `wrap` takes.
const PER_SHIM: u64 = 1;
/// Open files for everything else: listeners, recording, log, terminal, connections that HTTP/2 requests share.
const RESERVE: u64 = 64;

/// The limit that gives way first, and last.
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

    fn reason(&self) -> String {
        let available = self.available;
        format!("this machine gives {available} open files; raise `ulimit -n` for more")
    }
}

impl fmt::Display for Clamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name, wanted, given, ..
        } = self;
        write!(f, "{name} is {given} instead of {wanted}: {}", self.reason())
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

/// Several of them in one line; `None` if nothing was lowered.
pub fn in_one_line(clamps: &[Clamp]) -> Option<String> {
    let last = clamps.last()?;
    let lowered: Vec<String> = clamps
        .iter()
        .map(
            |Clamp {
                 name, wanted, given, ..
             }| format!("{name} is {given} instead of {wanted}"),
        )
        .collect();
    Some(format!("{}: {}", lowered.join(", "), last.reason()))
}

/// Makes `limits` fit into `available` open files: lowers what the user did not ask for (`is_explicit` says no), and
/// returns what was lowered. Programs and links of `wrap` take a quarter each at most, connections the rest, unless the
/// user asked for so many connections that less is left to the others. One of each is never denied, however little there is.
///
/// # Errors
/// [`CannotMeetError`] for a limit that the user asked for and that does not fit.
pub fn fit_to_descriptors(
    limits: &mut ResourceLimits,
    is_explicit: impl Fn(&str) -> bool,
    available: u64,
) -> Result<Vec<Clamp>, CannotMeetError> {
    let room = available.saturating_sub(RESERVE);
    let mut fitted = Fitted {
        is_explicit,
        available,
        taken: RESERVE,
        clamps: Vec::new(),
    };
    let connections = (limits.max_connections as u64).saturating_mul(PER_CONNECTION);
    let all = connections
        .saturating_add((limits.max_children as u64).saturating_mul(PER_CHILD))
        .saturating_add((limits.max_shims as u64).saturating_mul(PER_SHIM));
    if all <= room {
        return Ok(Vec::new());
    }
    let left = room.saturating_sub(connections);
    let has_wish = (fitted.is_explicit)(NAME);
    let for_children = if has_wish { left / 2 } else { room / 4 };
    fitted.fit("max_children", &mut limits.max_children, PER_CHILD, for_children)?;
    let children = fitted.taken - RESERVE;
    let for_shims = if has_wish {
        left.saturating_sub(children)
    } else {
        room / 4
    };
    fitted.fit("max_shims", &mut limits.max_shims, PER_SHIM, for_shims)?;
    let rest = available.saturating_sub(fitted.taken);
    fitted.fit(NAME, &mut limits.max_connections, PER_CONNECTION, rest)?;
    // What matters most is said first.
    fitted.clamps.reverse();
    Ok(fitted.clamps)
}

/// What the limits take so far.
struct Fitted<F> {
    is_explicit: F,
    available: u64,
    taken: u64,
    clamps: Vec<Clamp>,
}

impl<F: Fn(&str) -> bool> Fitted<F> {
    /// Lowers `limit`, of which each takes `per` open files, to what `room` holds.
    fn fit(
        &mut self,
        name: &'static str,
        limit: &mut usize,
        per: u64,
        room: u64,
    ) -> Result<(), CannotMeetError> {
        let (wanted, available) = (*limit as u64, self.available);
        let is_explicit = (self.is_explicit)(name);
        // Who asks for more than a quarter may have it, as long as a connection is left.
        let room = if is_explicit && name != NAME {
            available.saturating_sub(self.taken + PER_CONNECTION)
        } else {
            room
        };
        let possible = (room / per).max(1);
        if wanted > possible {
            if is_explicit {
                return Err(CannotMeetError {
                    name,
                    wanted,
                    needed: wanted.saturating_mul(per).saturating_add(self.taken),
                    available,
                    possible,
                });
            }
            *limit = usize::try_from(possible).unwrap_or(usize::MAX);
            let given = possible;
            self.clamps.push(Clamp {
                name,
                wanted,
                given,
                available,
            });
        }
        self.taken = self.taken.saturating_add((*limit as u64).saturating_mul(per));
        Ok(())
    }
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
        assert_eq!(
            (limits.max_connections, limits.max_children, limits.max_shims),
            (240, 60, 240)
        );
        assert!(clamps[0].is_drastic());
        assert_eq!(
            clamps[0].to_string(),
            "max_connections is 240 instead of 10000: this machine gives 1024 open files; raise `ulimit -n` for more"
        );
        assert_eq!(
            in_one_line(&clamps).unwrap(),
            "max_connections is 240 instead of 10000, max_shims is 240 instead of 256, max_children is 60 instead of 256: this machine gives 1024 open files; raise `ulimit -n` for more"
        );
        assert_eq!(in_one_line(&[]), None);
    }

    #[test]
    fn programs_and_shims_are_in_the_sum() {
        let mut limits = limits(10_000);
        // All of it: 20,000 for connections, 1,024 for programs, 256 for shims, 64 besides.
        assert_eq!(fit_to_descriptors(&mut limits, |_| false, 21_344), Ok(Vec::new()));
        let clamps = fit_to_descriptors(&mut limits, |_| false, 21_342).unwrap();
        assert_eq!((clamps.len(), limits.max_connections), (1, 9_999));
        let asked = |name: &str| name == "max_children";
        limits.max_children = 5_000;
        fit_to_descriptors(&mut limits, asked, 21_344).unwrap();
        assert_eq!((limits.max_children, limits.max_connections), (5_000, 512));
        let error = fit_to_descriptors(&mut limits, asked, 1024).unwrap_err();
        assert_eq!((error.name, error.possible), ("max_children", 239));
    }

    #[test]
    fn what_was_asked_for_is_met_or_refused_with_what_to_do() {
        let asked = |name: &str| name == "max_connections";
        let error = fit_to_descriptors(&mut limits(500), asked, 1024).unwrap_err();
        assert_eq!(
            error.to_string(),
            "max_connections cannot be 500: that needs 1069 open files and this machine gives 1024; raise `ulimit -n` to 1069, or set --max-connections to 477 at most"
        );
        for available in [1024, 1025, u64::MAX] {
            let mut limits = limits(477);
            fit_to_descriptors(&mut limits, asked, available).unwrap();
            assert_eq!(limits.max_connections, 477);
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
