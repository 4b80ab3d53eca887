//! Recordings of what is known as a whole already.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::behind::Settle;
use super::encode::{Encoder, Ending};
use super::file::{self, LineFile, Storage};
use super::settings::RecorderSettings;
use super::writer::{FinishedRecording, StartRecordingError, tagger};
use crate::clock::Timestamp;
use crate::session::observation::Observation;

/// Lines are written when they are this many bytes together.
const WRITE_BYTES: usize = 1 << 20;

/// Most exchanges that may be open at once in it.
const MAX_EXCHANGES: usize = 65_536;

/// Writes a new recording of `observations`, which are in order, as if it had been begun at `created`. It is compressed if
/// its name ends in `.zst`. Blocks.
///
/// # Errors
/// [`StartRecordingError`], as for a recorder; a file that could be written in part only is removed.
pub fn write_whole(
    path: &Path,
    created: Timestamp,
    observations: impl IntoIterator<Item = Observation>,
    settings: &RecorderSettings,
) -> Result<FinishedRecording, StartRecordingError> {
    let encoder = encoder(created, settings)?;
    let (path, file) = file::create(Some(path.to_owned()), created)?;
    let written = LineFile::at(&path, file)
        .map_err(|source| failed(&path, source))
        .and_then(|file| write(&path, file, created, encoder, observations));
    if written.is_err() {
        file::remove_unfinished(&path);
    }
    written
}

/// The same to `out`, such as standard output, as plain lines; errors call it `path`.
///
/// # Errors
/// [`StartRecordingError::Write`] with what `out` says, or [`StartRecordingError::NoRandomness`].
pub fn write_whole_to(
    out: impl Write + Send + Sync + fmt::Debug + 'static,
    path: &Path,
    created: Timestamp,
    observations: impl IntoIterator<Item = Observation>,
    settings: &RecorderSettings,
) -> Result<FinishedRecording, StartRecordingError> {
    let encoder = encoder(created, settings)?;
    let out = LineFile::new(Box::new(Pipe(out)));
    write(path, out, created, encoder, observations)
}

fn encoder(created: Timestamp, settings: &RecorderSettings) -> Result<Encoder, StartRecordingError> {
    Ok(Encoder::new(created, tagger(settings)?, MAX_EXCHANGES))
}

/// What was written to it cannot be taken back.
#[derive(Debug)]
struct Pipe<W>(W);

impl<W: Write + Send + Sync + fmt::Debug> Storage for Pipe<W> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.0.flush()?;
        Ok(written)
    }

    fn cut(&mut self, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn settler(&self) -> Option<Arc<dyn Settle>> {
        None
    }
}

fn failed(path: &Path, source: io::Error) -> StartRecordingError {
    StartRecordingError::Write {
        path: path.to_owned(),
        source,
    }
}

fn write(
    path: &Path,
    mut file: LineFile,
    created: Timestamp,
    mut encoder: Encoder,
    observations: impl IntoIterator<Item = Observation>,
) -> Result<FinishedRecording, StartRecordingError> {
    let mut append = |lines: &mut Vec<u8>| {
        let appended = file.append(lines);
        lines.clear();
        appended.map_err(|error| failed(path, error.source))?;
        Ok((file.bytes(), file.text_bytes()))
    };
    let (mut lines, mut count, mut last) = (Vec::new(), 1, created);
    encoder.header(&mut lines);
    for observation in observations {
        last = last.max(observation.at);
        let before = lines.len();
        encoder.observation(observation, &mut lines);
        count += memchr::memchr_iter(b'\n', &lines[before..]).count() as u64;
        if lines.len() >= WRITE_BYTES {
            append(&mut lines)?;
        }
    }
    let (_, bytes) = append(&mut lines)?;
    let ending = Ending {
        lines: count,
        bytes,
        lost: 0,
        continued_by: None,
    };
    encoder.end(last, ending, &mut lines);
    let (bytes, _) = append(&mut lines)?;
    Ok(FinishedRecording {
        path: path.to_owned(),
        bytes,
        lines: count + 1,
        lost: 0,
        untold: 0,
        lost_to: None,
        failure: None,
    })
}
