//! How many files this process may have open.

/// Raises what the process may have open as far as the system lets it, and says how far that is. `None` if there is no
/// bound, or none that could be asked for.
#[cfg(unix)]
pub(crate) fn raise() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// Where the system names no bound, it still may not take infinity for an answer.
    const ENOUGH: u64 = 1 << 16;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let now = current?;
    let wanted = maximum.unwrap_or(ENOUGH);
    if wanted <= now {
        return Some(now);
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => Some(wanted),
        Err(error) => {
            tracing::debug!(%error, now, wanted, "the bound on open files could not be raised");
            Some(now)
        }
    }
}

/// Elsewhere open files have no such bound.
#[cfg(not(unix))]
pub(crate) fn raise() -> Option<u64> {
    None
}
