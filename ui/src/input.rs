//! What is read where a file is asked for: a file, a pipe, or standard input, which is called `-`.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

use shadowcat::recording::{
    Extent, OpenRecordingError, RecordingFile, RecordingReader, Segments, Spool, shown,
};
use shadowcat::replay::tape::{Tape, TapeError, TapeOptions};

use crate::console::say;

/// Whether standard input or output is meant.
pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Standard input. Whoever sits in front of it learns that it is waited for.
pub(crate) fn standard_input() -> io::Stdin {
    let input = io::stdin();
    if input.is_terminal() {
        say(
            "reading standard input, which is this terminal; Ctrl-D in an empty line ends it, Ctrl-C gives up",
        );
    }
    input
}

/// A file to be read once, or standard input.
///
/// # Errors
/// What the system says.
pub(crate) fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    if is_standard(path) {
        Ok(Box::new(standard_input()))
    } else {
        Ok(Box::new(File::open(path)?))
    }
}

/// What came through `path` if that can be read only once: standard input or another pipe.
///
/// # Errors
/// What the system says of it, or of the file without a name into which it goes.
pub(crate) fn spool(path: &Path) -> io::Result<Option<Spool>> {
    let is_file = || std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() || metadata.is_dir());
    // What is not there is told by whoever opens it.
    if !is_standard(path) && (is_file() || !path.exists()) {
        return Ok(None);
    }
    Spool::of(&mut *open(path)?).map(Some)
}

/// The files of a recording, to be read as often as one likes.
///
/// # Errors
/// [`OpenRecordingError`].
pub(crate) fn segments(path: &Path, extent: Extent) -> Result<Segments, OpenRecordingError> {
    let spool = spool(path).map_err(|source| OpenRecordingError::Read {
        path: path.to_owned(),
        source,
    })?;
    match spool {
        Some(spool) => Ok(Segments::of_spool(path, spool)),
        None => Segments::of(path, extent),
    }
}

/// Loads a recording; standard input is read once, without a copy.
///
/// # Errors
/// [`TapeError`].
pub(crate) fn tape(path: &Path, options: &TapeOptions) -> Result<Tape, TapeError> {
    if !is_standard(path) {
        return Tape::load(path, options);
    }
    let read = RecordingFile::new(standard_input()).map_err(|source| OpenRecordingError::Read {
        path: path.to_owned(),
        source,
    });
    Tape::read(
        RecordingReader::once(read?, path)?,
        Path::new(&*shown(path)),
        options,
    )
}
