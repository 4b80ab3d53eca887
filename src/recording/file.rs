//! The recording's file: whole lines at its end, and nothing else.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::writer::StartRecordingError;
use crate::clock::Timestamp;

/// Where recordings go that were given no path.
const DIRECTORY: &str = "recordings";

/// Recordings that may be begun in one second without a path.
const MAX_SAME_SECOND: u32 = 1000;

/// What a recording is written to.
pub(super) trait Storage: Send + Sync + std::fmt::Debug {
    /// Appends some of `bytes` and tells how many.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Cuts what is behind the first `length` bytes.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Storage for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Lines could not be appended as a whole.
#[derive(Debug)]
pub(super) struct AppendError {
    /// Bytes at the start, of whole lines, that are in the file.
    pub(super) kept: usize,
    /// What the system said.
    pub(super) source: io::Error,
}

/// A file of lines.
#[derive(Debug)]
pub(super) struct LineFile {
    storage: Box<dyn Storage>,
    bytes: u64,
    /// A broken line could not be cut off and has to be closed first.
    is_torn: bool,
}

impl LineFile {
    pub(super) fn new(storage: Box<dyn Storage>) -> Self {
        Self {
            storage,
            bytes: 0,
            is_torn: false,
        }
    }

    /// Bytes in the file.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends whole lines. If they do not fit, those that do stay, and the broken one is cut off again.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), AppendError> {
        if self.is_torn {
            let closed = self.write(b"\n");
            closed.map_err(|(_, source)| AppendError { kept: 0, source })?;
            self.is_torn = false;
        }
        self.write(lines).map_err(|(written, source)| {
            let kept = memchr::memrchr(b'\n', &lines[..written]).map_or(0, |feed| feed + 1);
            self.cut_broken(written - kept);
            AppendError { kept, source }
        })
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let whole = bytes.len();
        while !bytes.is_empty() {
            match self.storage.append(bytes) {
                Ok(0) => return Err((whole - bytes.len(), io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    self.bytes += written as u64;
                    bytes = &bytes[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((whole - bytes.len(), error)),
            }
        }
        Ok(())
    }

    fn cut_broken(&mut self, broken: usize) {
        let length = self.bytes - broken as u64;
        if broken == 0 {
            return;
        }
        if self.storage.cut(length).is_ok() {
            self.bytes = length;
        } else {
            self.is_torn = true;
        }
    }
}

/// Creates the file for a recording; never opens one that is there already.
pub(super) fn create(path: Option<PathBuf>, now: Timestamp) -> Result<(PathBuf, File), StartRecordingError> {
    let Some(path) = path else {
        return create_default(now);
    };
    match create_new(&path) {
        Ok(file) => Ok((path, file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(StartRecordingError::Exists { path })
        }
        Err(source) => Err(StartRecordingError::Create { path, source }),
    }
}

fn create_default(now: Timestamp) -> Result<(PathBuf, File), StartRecordingError> {
    let mut number = 1;
    loop {
        let path = Path::new(DIRECTORY).join(default_name(now, number));
        match create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MAX_SAME_SECOND => {
                number += 1;
            }
            Err(source) => return Err(StartRecordingError::Create { path, source }),
        }
    }
}

/// `session-20261123T042303Z.jsonl`, with a number if there was one in that second.
fn default_name(now: Timestamp, number: u32) -> String {
    let micros = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
    let time = time.strftime("%Y%m%dT%H%M%SZ");
    match number {
        1 => format!("session-{time}.jsonl"),
        _ => format!("session-{time}-{number}.jsonl"),
    }
}

/// Creates a file that only its owner may read, and its directory; fails if it is there already.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_directory(parent)?;
    }
    let mut options = OpenOptions::new();
    options.append(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn create_directory(path: &Path) -> io::Result<()> {
    let mut directory = DirBuilder::new();
    directory.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut directory, 0o700);
    directory.create(path).map_err(|error| match error.kind() {
        // Not to be mistaken for a recording that exists.
        io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_without_a_path_is_named_by_its_utc_time() {
        let at = Timestamp::from_micros(1_795_407_783_123_456);
        assert_eq!(default_name(at, 1), "session-20261123T042303Z.jsonl");
        assert_eq!(default_name(at, 2), "session-20261123T042303Z-2.jsonl");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_a_recording_and_its_new_directory() {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/deep/a.jsonl");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        create(Some(path.clone()), Timestamp::default()).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn a_file_that_is_there_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        std::fs::write(&path, "mine").unwrap();
        let error = create(Some(path.clone()), Timestamp::default()).unwrap_err();
        assert!(matches!(error, StartRecordingError::Exists { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "mine");
    }
}
