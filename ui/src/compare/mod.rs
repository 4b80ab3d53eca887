//! What compares: two files, or a recording and a live server.

mod diff;
mod drive;
mod junit;
mod text;

use shadowcat::replay::compare::CompareOptions;

use crate::console::say;

/// Tells of places to leave out that nothing was at: they may be written wrong.
fn tell_unmet(options: &CompareOptions) {
    for path in options.ignore.iter().filter(|path| !path.was_met()) {
        say(format_args!("note: nothing was at --ignore {path}"));
    }
}

pub(crate) use diff::{DiffJob, run as diff};
pub(crate) use drive::{Done, DriveJob, run as drive};
