//! How messages call a file.

use std::borrow::Cow;
use std::path::Path;

/// The path as it is, and `standard input` for `-`.
pub fn shown(path: &Path) -> Cow<'_, str> {
    if path.as_os_str() == "-" {
        Cow::Borrowed("standard input")
    } else {
        path.to_string_lossy()
    }
}
