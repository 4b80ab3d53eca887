//! Words to the person at the terminal, while no screen is up. Names in files of others stand in them too, so nothing
//! that a terminal would obey gets through; nor does the user or the password of a URL that was given where none belongs.

use std::fmt::Display;
use std::io::{self, Write as _};

use shadowcat::recording::hide_url_secrets;

use crate::text::Safe;

/// Prints a line, or several, on stderr. Nobody may be there to read it any more, which is no reason to fail.
pub(crate) fn say(line: impl Display) {
    let text = hide_url_secrets(&line.to_string());
    let safe: Vec<Safe> = text.split('\n').map(Safe::of).collect();
    let safe: Vec<&str> = safe.iter().map(Safe::as_str).collect();
    let _ = writeln!(io::stderr().lock(), "{}", safe.join("\n"));
}
