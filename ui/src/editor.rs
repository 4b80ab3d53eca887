//! A message in the user's own editor: a private file, the editor in the foreground, and what became of the file.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use shadowcat::clock::Timestamp;
use tokio::process::{Child, Command};

/// What is started where neither `$VISUAL` nor `$EDITOR` says otherwise.
const USUAL: &str = "vi";

/// Names tried for a file before giving up; the first is free unless somebody makes them on purpose.
const TRIES: u32 = 16;

/// A file for this user only. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct PrivateFile {
    path: PathBuf,
}

/// The file that is edited. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Draft(PrivateFile);

impl PrivateFile {
    /// A new file with `text` in it, and a name that has `what` in it and ends in `ending`.
    ///
    /// # Errors
    /// What the system says if no file can be made in the directory for temporary files.
    pub(crate) fn create(what: &str, ending: &str, now: Timestamp, text: &[u8]) -> io::Result<Self> {
        let directory = env::temp_dir();
        let process = std::process::id();
        let mut taken = None;
        for attempt in 0..TRIES {
            let name = format!(
                "shadowcat-{process}-{what}-{}-{attempt}.{ending}",
                now.as_micros()
            );
            let path = directory.join(name);
            match private_file(&path) {
                Ok(mut file) => {
                    // From here on the file is removed whatever happens.
                    let made = Self { path };
                    file.write_all(text)?;
                    return Ok(made);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(taken.unwrap_or_else(|| io::Error::other("no free name")))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Draft {
    /// A new file with `text` in it, and a name that has `what` in it and ends in `.json`.
    ///
    /// # Errors
    /// What the system says if no file can be made in the directory for temporary files.
    pub(crate) fn create(what: &str, now: Timestamp, text: &[u8]) -> io::Result<Self> {
        PrivateFile::create(what, "json", now, text).map(Self)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The editor on this file, in the foreground of this terminal.
    ///
    /// # Errors
    /// What the system says if it cannot be started.
    pub(crate) fn open(&self) -> io::Result<Child> {
        let mut command = command(&editor(), self.path());
        command.kill_on_drop(true).spawn()
    }

    /// What the file holds after the editor has ended, with success or not; `None` if it was left without saving on
    /// purpose.
    ///
    /// # Errors
    /// What the system says if the file cannot be read any more.
    pub(crate) fn take(self, is_success: bool) -> io::Result<Option<Vec<u8>>> {
        if !is_success {
            return Ok(None);
        }
        fs::read(self.path()).map(Some)
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "an edited message could not be removed");
        }
    }
}

#[cfg(unix)]
fn private_file(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(not(unix))]
fn private_file(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// What the user calls an editor; it may have arguments.
pub(crate) fn editor() -> String {
    let wanted = ["VISUAL", "EDITOR"].into_iter().find_map(|name| {
        let value = env::var(name).ok()?;
        (!value.trim().is_empty()).then_some(value)
    });
    wanted.unwrap_or_else(|| USUAL.to_owned())
}

/// A shell takes the editor's words apart, as it does for other programs that start one.
#[cfg(unix)]
fn command(editor: &str, path: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg(editor)
        .arg(path);
    command
}

#[cfg(not(unix))]
fn command(editor: &str, path: &Path) -> Command {
    let mut words = editor.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or(USUAL));
    command.args(words).arg(path);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_the_user_can_read_the_file_and_it_goes_with_the_draft() {
        use std::os::unix::fs::PermissionsExt as _;
        let draft = Draft::create("h3", Timestamp::from_micros(7), b"{}").unwrap();
        let path = draft.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(path.to_string_lossy().ends_with(".json"));
        assert_eq!(fs::read(&path).unwrap(), b"{}");
        drop(draft);
        assert!(!path.exists());
    }
}
