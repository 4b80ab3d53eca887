//! Words to the person at the terminal, while no screen is up.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Prints a line on stderr. Nobody may be there to read it any more, which is no reason to fail.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
