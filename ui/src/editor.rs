//! A message in the user's own editor: a private file, the editor in the foreground, and what became of the file.
//!
//! Each file has a folder of its own, since editors put backups and swap files beside what they edit.

use std::env;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use shadowcat::clock::Timestamp;
use tokio::process::{Child, Command};

/// What is started where neither `$VISUAL` nor `$EDITOR` says otherwise.
const USUAL: &str = "vi";

/// Names tried for a folder before giving up; the first is free unless somebody makes them on purpose.
const TRIES: u32 = 16;

/// A file in a folder of its own, both for this user only. Dropping it removes the folder, whatever is in it then.
#[derive(Debug)]
pub(crate) struct PrivateFile {
    folder: PathBuf,
    path: PathBuf,
}

/// The file that is edited. Dropping it removes it, and what the editor has left beside it.
#[derive(Debug)]
pub(crate) struct Draft(PrivateFile);

impl PrivateFile {
    /// A new file with `text` in it, called `what.ending`.
    ///
    /// # Errors
    /// What the system says if nothing can be made in the directory for temporary files.
    pub(crate) fn create(what: &str, ending: &str, now: Timestamp, text: &[u8]) -> io::Result<Self> {
        let directory = env::temp_dir();
        let process = std::process::id();
        let mut taken = None;
        for attempt in 0..TRIES {
            let name = format!("shadowcat-{process}-{what}-{}-{attempt}", now.as_micros());
            let folder = directory.join(name);
            match private_folder(&folder) {
                Ok(()) => {
                    let path = folder.join(format!("{what}.{ending}"));
                    // From here on both are removed whatever happens.
                    let made = Self { folder, path };
                    private_file(&made.path)?.write_all(text)?;
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
    /// A new file with `text` in it, called `what.json`.
    ///
    /// # Errors
    /// What the system says if nothing can be made in the directory for temporary files.
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
        self.open_with(&editor())
    }

    /// The same with the editor of this command line.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn open_with(&self, editor: &str) -> io::Result<Child> {
        command(editor, self.path()).kill_on_drop(true).spawn()
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
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(path = %self.folder.display(), %error, "an edited message could not be removed");
        }
    }
}

/// Fails if it is there already, so that nobody else has made it.
fn private_folder(path: &Path) -> io::Result<()> {
    let mut folder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.create(path)
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
    wanted().unwrap_or_else(|| USUAL.to_owned())
}

/// The same, if the user has said.
pub(crate) fn wanted() -> Option<String> {
    wanted_of(|name| env::var(name).ok())
}

fn wanted_of(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let names = ["VISUAL", "EDITOR"].into_iter();
    names
        .filter_map(variable)
        .find(|command| !command.trim().is_empty())
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
    fn only_the_user_can_read_the_file_and_it_goes_with_the_draft_and_what_lies_beside_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let draft = Draft::create("h3", Timestamp::from_micros(7), b"{}").unwrap();
        let path = draft.path().to_owned();
        let folder = path.parent().unwrap().to_owned();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&path)), (0o700, 0o600));
        assert!(path.ends_with("h3.json"));
        assert_eq!(fs::read(&path).unwrap(), b"{}");
        fs::write(folder.join("h3.json~"), "a backup").unwrap();
        drop(draft);
        assert!(!folder.exists());
    }

    #[cfg(unix)]
    #[test]
    fn two_drafts_of_one_moment_have_folders_of_their_own() {
        let draft = || Draft::create("h4", Timestamp::from_micros(8), b"{}").unwrap();
        let (one, other) = (draft(), draft());
        drop(one);
        assert_eq!(fs::read(other.path()).unwrap(), b"{}");
    }

    #[test]
    fn visual_comes_before_editor_and_an_empty_one_counts_for_none() {
        let of = |visual: &str, editor: &str| {
            let (visual, editor) = (visual.to_owned(), editor.to_owned());
            wanted_of(|name| {
                Some(if name == "VISUAL" {
                    visual.clone()
                } else {
                    editor.clone()
                })
            })
        };
        assert_eq!(of("code -w", "vi").as_deref(), Some("code -w"));
        assert_eq!(of(" ", "vi").as_deref(), Some("vi"));
        assert_eq!(of("", ""), None);
    }
}
