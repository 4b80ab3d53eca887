//! The guardian of children: our own program started a second time, which ends their group if we are killed.

use std::env;
use std::ffi::OsStr;

use shadowcat::child::{GuardCommand, guard};

/// The word that makes us the guardian. It stands alone, so no command of a user's looks like it, and the grammar of the
/// command line does not know it: what starts often has to start fast.
const WORD: &str = "guard--child";

/// How to start the guardian. `None` if the system does not say where our program is.
pub(crate) fn command() -> Option<GuardCommand> {
    let program = env::current_exe()
        .inspect_err(|error| tracing::warn!(%error, "no guardian: it is unknown where this program is"))
        .ok()?;
    Some(GuardCommand {
        program,
        args: vec![WORD.into()],
    })
}

/// Whether we were started as the guardian.
pub(crate) fn is_asked_for() -> bool {
    let mut args = env::args_os().skip(1);
    args.next().as_deref() == Some(OsStr::new(WORD)) && args.next().is_none()
}

/// Does the guardian's work until nothing is left to do.
pub(crate) fn keep() {
    guard::keep(std::io::stdin().lock());
}
