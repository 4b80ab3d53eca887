//! The recording's file: whole lines at its end, and nothing else.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::behind::Settle;
use super::writer::StartRecordingError;
use crate::clock::Timestamp;

/// Where recordings go that were given no path.
const DIRECTORY: &str = "recordings";

/// Level of compression: higher ones take much longer for little.
const LEVEL: i32 = 3;

/// Numbers that are tried for the next file of a recording.
const MAX_TAKEN: u32 = 1000;

/// Recordings that may be begun in one second without a path.
const MAX_SAME_SECOND: u32 = 1000;

/// Why nothing is written any more to a file that has no name left.
pub(crate) const REMOVED: &str = "its file was removed";

/// What a recording is written to.
pub(super) trait Storage: Send + Sync + std::fmt::Debug {
    /// Appends some of `bytes` and tells how many.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Cuts what is behind the first `length` bytes.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Brings it to the disk, if it is on one.
    fn settler(&self) -> Option<Arc<dyn Settle>>;
    /// How many names it has, if that can be told.
    fn links(&self) -> Option<u64> {
        None
    }
}

impl Storage for Arc<File> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&**self).write(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn settler(&self) -> Option<Arc<dyn Settle>> {
        let file: Self = Self::clone(self);
        Some(file)
    }

    #[cfg(unix)]
    fn links(&self) -> Option<u64> {
        let metadata = self.metadata().ok()?;
        Some(std::os::unix::fs::MetadataExt::nlink(&metadata))
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
    compression: Option<Compression>,
    bytes: u64,
    text_bytes: u64,
    /// Its system counts names: none means that somebody removed it.
    has_links: bool,
    /// A broken line could not be cut off and has to be closed first.
    is_torn: bool,
}

/// Compresses what is written to `out` as a whole, so that damage is noticed.
pub(crate) fn compressed<W: io::Write>(out: W) -> io::Result<zstd::Encoder<'static, W>> {
    let mut encoder = zstd::Encoder::new(out, LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

/// Lines that are appended together become one frame of zstd, so that they can be read as soon as they are written.
struct Compression(zstd::bulk::Compressor<'static>);

impl std::fmt::Debug for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compression")
    }
}

impl Compression {
    fn new() -> io::Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        Ok(Self(compressor))
    }
}

impl LineFile {
    pub(super) fn new(storage: Box<dyn Storage>) -> Self {
        Self {
            has_links: storage.links().is_some_and(|links| links > 0),
            storage,
            compression: None,
            bytes: 0,
            text_bytes: 0,
            is_torn: false,
        }
    }

    /// The new file `path`, compressed if its name ends in `.zst`.
    pub(super) fn at(path: &Path, file: File) -> io::Result<Self> {
        let mut lines = Self::new(Box::new(Arc::new(file)));
        lines.compression = is_compressed(path).then(Compression::new).transpose()?;
        Ok(lines)
    }

    /// Bytes in the file.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of its lines, which may be compressed.
    pub(super) const fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    /// Whether small pieces would cost much.
    pub(super) const fn is_compressed(&self) -> bool {
        self.compression.is_some()
    }

    /// Brings the file to the disk, if it is on one.
    pub(super) fn settler(&self) -> Option<Arc<dyn Settle>> {
        self.storage.settler()
    }

    /// Appends whole lines. If they do not fit, those that do stay, and the broken one is cut off again.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), AppendError> {
        if self.has_links && self.storage.links() == Some(0) {
            let source = io::Error::other(REMOVED);
            return Err(AppendError { kept: 0, source });
        }
        if self.compression.is_some() {
            return self.append_compressed(lines);
        }
        if self.is_torn {
            let closed = self.write(b"\n");
            closed.map_err(|(_, source)| AppendError { kept: 0, source })?;
            self.is_torn = false;
            self.text_bytes += 1;
        }
        let outcome = self.write(lines).map_err(|(written, source)| {
            let kept = memchr::memrchr(b'\n', &lines[..written]).map_or(0, |feed| feed + 1);
            self.cut_broken(written - kept);
            AppendError { kept, source }
        });
        self.text_bytes = self.bytes;
        outcome
    }

    /// All lines or none: of a frame that does not fit nothing can be read, nor of what is behind it.
    fn append_compressed(&mut self, lines: &[u8]) -> Result<(), AppendError> {
        let failed = |source| AppendError { kept: 0, source };
        let Some(Compression(compressor)) = &mut self.compression else {
            return Ok(());
        };
        let frame = compressor.compress(lines).map_err(failed)?;
        if self.is_torn {
            self.storage.cut(self.bytes).map_err(failed)?;
            self.is_torn = false;
        }
        let whole = self.bytes;
        if let Err((_, source)) = self.write(&frame) {
            self.bytes = whole;
            self.is_torn = self.storage.cut(whole).is_err();
            return Err(failed(source));
        }
        self.text_bytes += lines.len() as u64;
        Ok(())
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

/// Whether a file of this name is compressed.
pub(crate) fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zst")
}

/// Creates the file behind number `segment` of the recording that began in `first`; a number that is taken is left out.
pub(super) fn create_next(first: &Path, segment: u32) -> io::Result<(PathBuf, File, u32)> {
    let mut number = segment.saturating_add(1);
    loop {
        let path = numbered(first, number);
        match create_new(&path) {
            Ok(file) => return Ok((path, file, number)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < segment + MAX_TAKEN => {
                number += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// `a.2.jsonl` for `a.jsonl`.
fn numbered(first: &Path, number: u32) -> PathBuf {
    let name = first.file_name().unwrap_or_default().to_string_lossy();
    let endings = [".jsonl.zst", ".jsonl", ".zst"];
    let ending = endings
        .into_iter()
        .find(|ending| name.ends_with(ending))
        .unwrap_or("");
    let stem = name.strip_suffix(ending).unwrap_or(&name);
    first.with_file_name(format!("{stem}.{number}{ending}"))
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
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_directory(parent)?;
    }
    let mut options = OpenOptions::new();
    options.append(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Removes a file that was created here and could not be written to its end.
pub(crate) fn remove_unfinished(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "an unfinished file could not be removed");
    }
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
    fn the_files_of_a_recording_are_numbered_before_their_ending() {
        let numbered = |first: &str| numbered(Path::new(first), 2).display().to_string();
        assert_eq!(numbered("x/a.jsonl"), "x/a.2.jsonl");
        assert_eq!(numbered("a.b.jsonl.zst"), "a.b.2.jsonl.zst");
        assert_eq!(numbered("a"), "a.2");
    }

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
