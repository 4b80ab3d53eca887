//! The text of a recording's files, one behind the other, so that each place in it has one number.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::input::{Places, RecordingFile};
use super::spool::Spool;

/// Where the text of each file begins, as far as they were read. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct RecordingText(Arc<Mutex<Vec<Part>>>);

#[derive(Debug, Clone)]
struct Part {
    path: PathBuf,
    /// Bytes of text in the files before.
    start: u64,
    /// Bytes of the file, compressed or not.
    size: u64,
    places: Places,
    /// What stands for the file if it is a pipe.
    spool: Option<Spool>,
}

impl Part {
    fn open_at(&self, offset: u64) -> io::Result<RecordingFile> {
        match &self.spool {
            Some(spool) => RecordingFile::at(spool.reader(), offset, &self.places),
            None => RecordingFile::open_at(&self.path, offset, &self.places),
        }
    }
}

impl RecordingText {
    /// The text of one file.
    pub fn of_file(path: &Path) -> Self {
        let text = Self::default();
        text.add(path, 0, Places::default(), None);
        text
    }

    /// The file whose text begins at `start`.
    pub(super) fn add(&self, path: &Path, start: u64, places: Places, spool: Option<Spool>) {
        let size = || std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        self.parts().push(Part {
            path: path.to_owned(),
            start,
            size: spool.as_ref().map_or_else(size, Spool::bytes),
            places,
            spool,
        });
    }

    fn parts(&self) -> MutexGuard<'_, Vec<Part>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the files that were read when `offset` bytes of their text were.
    pub fn read_bytes(&self, offset: u64) -> u64 {
        let parts = self.parts();
        let Some((last, before)) = parts.split_last() else {
            return 0;
        };
        let in_last = last.places.read_bytes();
        let in_last = in_last.unwrap_or_else(|| offset.saturating_sub(last.start));
        before.iter().map(|part| part.size).sum::<u64>() + in_last
    }

    /// The file in which `offset` is.
    pub(super) fn path_at(&self, offset: u64) -> PathBuf {
        let parts = self.parts();
        let behind = parts.partition_point(|part| part.start <= offset);
        let part = parts.get(behind.saturating_sub(1));
        part.map_or_else(PathBuf::new, |part| part.path.clone())
    }

    /// The text from `offset` on, into the files behind.
    ///
    /// # Errors
    /// What the system says.
    pub fn open_at(&self, offset: u64) -> io::Result<TextReader> {
        let parts = self.parts();
        let first = parts
            .partition_point(|part| part.start <= offset)
            .saturating_sub(1);
        let mut rest = parts.get(first..).unwrap_or_default().to_vec();
        drop(parts);
        rest.reverse();
        let part = rest.pop().ok_or(io::ErrorKind::NotFound)?;
        Ok(TextReader {
            file: part.open_at(offset - part.start)?,
            rest,
        })
    }
}

/// Reads the text of one file after the other.
#[derive(Debug)]
pub struct TextReader {
    file: RecordingFile,
    /// The files behind, the next one last.
    rest: Vec<Part>,
}

impl Read for TextReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.file.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(next) = self.rest.pop() else {
                return Ok(0);
            };
            self.file = next.open_at(0)?;
        }
    }
}
