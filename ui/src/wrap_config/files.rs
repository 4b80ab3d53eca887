//! The file, its backups, and how one takes the place of the other without a moment in between.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::WrapConfigError;

/// Largest file that is changed, in bytes; some clients keep their history beside their servers.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Backups beside one file.
const MAX_BACKUPS: usize = 100;
/// What a backup's name has behind the file's.
const BACKUP: &str = "before-wrap";
/// And what a file has that was changed by hand and then undone.
const SET_ASIDE: &str = "before-undo";

/// A client's file.
#[derive(Debug)]
pub(super) struct ClientFile {
    /// The file itself, whatever links lead to it.
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl ClientFile {
    /// Reads the file that `path` leads to.
    ///
    /// # Errors
    /// [`WrapConfigError`] if it cannot be read, is larger than 64 MiB, or is no text.
    pub(super) fn read(path: &Path) -> Result<Self, WrapConfigError> {
        let failed = |source| WrapConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let path = fs::canonicalize(path).map_err(failed)?;
        let text = read_text(&path).map_err(failed)?;
        Ok(Self { path, text })
    }

    /// Keeps the text as it is beside the file, for its owner only.
    ///
    /// # Errors
    /// [`WrapConfigError`] if it cannot be written. Nothing is ever overwritten.
    pub(super) fn back_up(&self) -> Result<PathBuf, WrapConfigError> {
        self.keep_beside(BACKUP, &self.text)
    }

    /// The same before changes by hand are given up.
    pub(super) fn set_aside(&self) -> Result<PathBuf, WrapConfigError> {
        self.keep_beside(SET_ASIDE, &self.text)
    }

    fn keep_beside(&self, kind: &str, text: &str) -> Result<PathBuf, WrapConfigError> {
        for number in 1..=MAX_BACKUPS {
            let path = self.beside(kind, number);
            match write_new(&path, text) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(WrapConfigError::Write { path, source }),
            }
        }
        Err(WrapConfigError::TooManyBackups {
            path: self.path.clone(),
        })
    }

    fn beside(&self, kind: &str, number: usize) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{kind}"));
        if number > 1 {
            name.push(format!(".{number}"));
        }
        self.path.with_file_name(name)
    }

    /// The latest backup and its text.
    ///
    /// # Errors
    /// [`WrapConfigError`] if there is none, or it cannot be read.
    pub(super) fn latest_backup(&self) -> Result<(PathBuf, String), WrapConfigError> {
        let paths = (1..=MAX_BACKUPS).rev().map(|number| self.beside(BACKUP, number));
        let path = paths.into_iter().find(|path| path.symlink_metadata().is_ok());
        let path = path.ok_or_else(|| WrapConfigError::NoBackup {
            path: self.path.clone(),
        })?;
        match read_text(&path) {
            Ok(text) => Ok((path, text)),
            Err(source) => Err(WrapConfigError::Read { path, source }),
        }
    }

    /// Puts `text` in the file's place, with the file's permissions, all at once.
    ///
    /// # Errors
    /// [`WrapConfigError`] if it cannot be written, or if somebody else has written to the file since it was read.
    pub(super) fn replace(&self, text: &str) -> Result<(), WrapConfigError> {
        self.check_writable()?;
        let failed = |source| WrapConfigError::Write {
            path: self.path.clone(),
            source,
        };
        let mode = fs::metadata(&self.path).map_err(failed)?.permissions();
        let new = self.beside("new", std::process::id() as usize + 1);
        let outcome = write_new(&new, text)
            .and_then(|()| fs::set_permissions(&new, mode))
            .map_err(failed)
            .and_then(|()| self.check_unchanged())
            .and_then(|()| fs::rename(&new, &self.path).map_err(failed));
        if outcome.is_err() {
            // It may not have come about.
            let _ = fs::remove_file(&new);
        }
        outcome
    }

    /// Checks that the file's own permissions allow to write it. They hold for everybody, although a user who may do
    /// anything, or may write to the folder, could put another file in its place.
    ///
    /// # Errors
    /// [`WrapConfigError`] if nobody may write it, or if that cannot be found out.
    pub(super) fn check_writable(&self) -> Result<(), WrapConfigError> {
        match fs::metadata(&self.path) {
            Ok(facts) if facts.permissions().readonly() => Err(WrapConfigError::ReadOnly {
                path: self.path.clone(),
            }),
            Ok(_) => Ok(()),
            Err(source) => Err(WrapConfigError::Write {
                path: self.path.clone(),
                source,
            }),
        }
    }

    fn check_unchanged(&self) -> Result<(), WrapConfigError> {
        match read_text(&self.path) {
            Ok(text) if text == self.text => Ok(()),
            Ok(_) => Err(WrapConfigError::Busy {
                path: self.path.clone(),
            }),
            Err(source) => Err(WrapConfigError::Read {
                path: self.path.clone(),
                source,
            }),
        }
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other("it is larger than 64 MiB"));
    }
    Ok(text)
}

/// Writes a new file that only its owner can read; it is on the disk afterwards.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a backup would be worse than none.
        let _ = fs::remove_file(path);
    }
    written
}
