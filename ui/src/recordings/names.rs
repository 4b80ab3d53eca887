//! Files as users type them: from their home, and completed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::folder::has_name;

/// Names in one folder that are looked at, and that are proposed.
const MOST_NAMES: usize = 10_000;

/// The path with the home directory in the place of a `~` at its start.
pub(crate) fn from_home(path: &Path) -> PathBuf {
    in_home(path, std::env::var_os("HOME"))
}

fn in_home(path: &Path, home: Option<OsString>) -> PathBuf {
    let Ok(rest) = path.strip_prefix("~") else {
        return path.to_owned();
    };
    home.map_or_else(|| path.to_owned(), |home| PathBuf::from(home).join(rest))
}

/// Recordings and folders whose path begins with `typed`, as it is typed, in order. Blocks.
pub(super) fn going_on(typed: &str) -> Vec<String> {
    let (folder, start) = match typed.rfind('/') {
        Some(slash) => typed.split_at(slash + 1),
        None => ("", typed),
    };
    let place = if folder.is_empty() {
        Path::new(".")
    } else {
        Path::new(folder)
    };
    let Ok(entries) = fs::read_dir(from_home(place)) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .take(MOST_NAMES)
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let is_wanted = name.starts_with(start) && (start.starts_with('.') || !name.starts_with('.'));
            if !is_wanted {
                return None;
            }
            let is_folder = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir());
            let is_recording = has_name(Path::new(&name));
            match (is_folder, is_recording) {
                (true, _) => Some(format!("{folder}{name}/")),
                (false, true) => Some(format!("{folder}{name}")),
                (false, false) => None,
            }
        })
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_and_folders_go_on_like_what_was_typed() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "one.jsonl",
            "one.2.jsonl.zst",
            "one.txt",
            ".hidden.jsonl",
            "two.jsonl",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("once")).unwrap();
        let typed = |name: &str| format!("{}/{name}", folder.path().display());
        assert_eq!(
            going_on(&typed("on")),
            [typed("once/"), typed("one.2.jsonl.zst"), typed("one.jsonl")]
        );
        assert_eq!(going_on(&typed("")).len(), 4);
        assert_eq!(going_on(&typed(".h")), [typed(".hidden.jsonl")]);
        assert_eq!(going_on(&typed("nothing/x")), [""; 0]);
    }

    #[test]
    fn a_tilde_is_the_home_directory() {
        let home = |path: &str| in_home(Path::new(path), Some("/home/me".into()));
        assert_eq!(home("~/a.jsonl"), Path::new("/home/me/a.jsonl"));
        assert_eq!(home("~x/a.jsonl"), Path::new("~x/a.jsonl"));
        assert_eq!(home("a~.jsonl"), Path::new("a~.jsonl"));
        assert_eq!(in_home(Path::new("~/a"), None), Path::new("~/a"));
    }
}
