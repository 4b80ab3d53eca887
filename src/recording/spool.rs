//! What came through a pipe, so that it can be read more than once.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// Names that are tried before giving up: others may have left files of the same name.
const ATTEMPTS: u32 = 16;

/// A file without a name, for its owner only, that is gone with the last clone of this. Only the disk bounds it.
#[derive(Debug, Clone)]
pub struct Spool {
    file: Arc<File>,
    bytes: u64,
}

impl PartialEq for Spool {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file)
    }
}

impl Eq for Spool {}

impl Spool {
    /// Takes everything that `input` has, into the system's folder for temporary files.
    ///
    /// # Errors
    /// What the system says of `input`, or of the file.
    pub fn of(input: &mut dyn Read) -> io::Result<Self> {
        let mut file = unnamed(&std::env::temp_dir())?;
        let bytes = io::copy(input, &mut file)?;
        let file = Arc::new(file);
        Ok(Self { file, bytes })
    }

    /// How much it has.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A reader of its own, from the start.
    pub fn reader(&self) -> SpoolReader {
        SpoolReader {
            spool: self.clone(),
            at: 0,
        }
    }
}

/// Reads a spool, whoever else does.
#[derive(Debug)]
pub struct SpoolReader {
    spool: Spool,
    at: u64,
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_at(&self.spool.file, buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for SpoolReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.spool.bytes.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, at)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, at)
}

/// A new file in `folder` that nobody else can open and that goes with its last handle.
fn unnamed(folder: &Path) -> io::Result<File> {
    let mut taken = None;
    for _ in 0..ATTEMPTS {
        let mut random = [0; 8];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random)
            .map_err(|_| io::Error::other("the system gave no random bytes for a name"))?;
        let path = folder.join(format!(".shadowcat-{:016x}", u64::from_ne_bytes(random)));
        match create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = Some(error),
            created => return created,
        }
    }
    Err(taken.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()))
}

#[cfg(unix)]
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

#[cfg(windows)]
fn create(path: &Path) -> io::Result<File> {
    const DELETE_ON_CLOSE: u32 = 0x0400_0000;

    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    std::os::windows::fs::OpenOptionsExt::custom_flags(&mut options, DELETE_ON_CLOSE);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_through_a_pipe_is_read_more_than_once_and_from_anywhere() {
        let spool = Spool::of(&mut &b"one two three"[..]).unwrap();
        assert_eq!(spool.bytes(), 13);
        let mut readers = [spool.reader(), spool.reader()];
        for reader in &mut readers {
            let mut start = [0; 3];
            reader.read_exact(&mut start).unwrap();
            assert_eq!(&start, b"one");
        }
        let [mut reader, _] = readers;
        reader.seek(SeekFrom::Start(8)).unwrap();
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "three");
        assert_eq!(reader.seek(SeekFrom::End(-5)).unwrap(), 8);
        assert!(reader.seek(SeekFrom::Current(-9)).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn its_file_has_no_name_and_nobody_else_may_read_it() {
        use std::os::unix::fs::MetadataExt as _;

        let folder = tempfile::tempdir().unwrap();
        let file = unnamed(folder.path()).unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!((metadata.mode() & 0o777, metadata.nlink()), (0o600, 0));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
