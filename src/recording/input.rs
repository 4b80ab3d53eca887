//! What a recording is read from: a file or a pipe, as it is or compressed with zstd.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zstd::stream::read::Decoder;

/// How everything compressed with zstd begins.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Bytes that are read from a file at once.
const READ_BYTES: usize = 1 << 16;

/// Places in a compressed recording that are remembered. A frame begins every 100 ms at most, so these are two hours of
/// unbroken traffic in places next to each other; after that every second one is forgotten.
const MAX_PLACES: usize = 1 << 16;

/// The text of a recording, decompressed if it has to be.
///
/// A compressed file whose last frame is incomplete, as a crash leaves it, ends with what could be decompressed.
pub struct RecordingFile(Source);

enum Source {
    Plain(Box<dyn Read + Send>),
    Compressed(Box<Frames>),
}

impl fmt::Debug for RecordingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::Plain(_) => "RecordingFile(plain)",
            Source::Compressed(_) => "RecordingFile(zstd)",
        })
    }
}

impl RecordingFile {
    /// Opens the file `path`; its first bytes tell whether it is compressed.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(File::open(path)?)
    }

    /// Reads from `input`, such as standard input, in the same way.
    ///
    /// # Errors
    /// What the system says of the first bytes.
    pub fn new(mut input: impl Read + Send + 'static) -> io::Result<Self> {
        let mut start = Vec::with_capacity(MAGIC.len());
        input.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start)?;
        let is_compressed = start == MAGIC;
        let input: Box<dyn Read + Send> = Box::new(io::Cursor::new(start).chain(input));
        Ok(Self(if is_compressed {
            Source::Compressed(Box::new(Frames::new(input, Places::default(), Place::default())))
        } else {
            Source::Plain(input)
        }))
    }

    /// Opens the file `path` so that the text from `offset` on comes next. `places`, which reading it before has filled,
    /// spare a compressed file from being read from its start.
    ///
    /// # Errors
    /// What the system says.
    pub fn open_at(path: &Path, offset: u64, places: &Places) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut start = Vec::with_capacity(MAGIC.len());
        file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start)?;
        if start != MAGIC {
            file.seek(SeekFrom::Start(offset))?;
            return Ok(Self(Source::Plain(Box::new(file))));
        }
        let place = places.before(offset);
        file.seek(SeekFrom::Start(place.compressed))?;
        let mut frames = Frames::new(Box::new(file), Places::default(), place);
        io::copy(&mut frames.by_ref().take(offset - place.text), &mut io::sink())?;
        Ok(Self(Source::Compressed(Box::new(frames))))
    }

    /// The places of a compressed file, which fill as it is read.
    pub fn places(&self) -> Places {
        match &self.0 {
            Source::Plain(_) => Places::default(),
            Source::Compressed(frames) => frames.places.clone(),
        }
    }
}

impl Read for RecordingFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Source::Plain(input) => input.read(buffer),
            Source::Compressed(frames) => frames.read(buffer),
        }
    }
}

/// Where frames of a compressed recording begin, and how far it was read. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    places: Mutex<Vec<Place>>,
    /// Compressed bytes that were read; 0 if nothing is compressed.
    read: AtomicU64,
    is_cut: Mutex<bool>,
}

/// Where a frame begins.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    text: u64,
    compressed: u64,
}

impl Places {
    /// Compressed bytes that were read so far; `None` if the file is not compressed.
    pub fn read_bytes(&self) -> Option<u64> {
        Some(self.0.read.load(Ordering::Acquire)).filter(|read| *read > 0)
    }

    /// Whether the file ends inside a frame.
    pub fn is_cut(&self) -> bool {
        *self.0.is_cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Vec<Place>> {
        self.0.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, place: Place) {
        let mut known = self.known();
        if known.len() >= MAX_PLACES {
            let mut index = 0;
            known.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        known.push(place);
    }

    /// The last place before `text`.
    fn before(&self, text: u64) -> Place {
        let known = self.known();
        let behind = known.partition_point(|place| place.text <= text);
        behind
            .checked_sub(1)
            .map_or_else(Place::default, |index| known[index])
    }

    fn cut(&self) {
        *self.0.is_cut.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

/// Decompresses one frame after the other.
struct Frames {
    state: State,
    text: u64,
    places: Places,
}

enum State {
    Between(Compressed),
    Inside(Decoder<'static, Compressed>),
    Over,
}

type Compressed = BufReader<Counted>;

/// Counts what is read.
struct Counted {
    input: Box<dyn Read + Send>,
    read: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

impl Frames {
    fn new(input: Box<dyn Read + Send>, places: Places, start: Place) -> Self {
        let counted = Counted {
            input,
            read: start.compressed,
        };
        Self {
            state: State::Between(BufReader::with_capacity(READ_BYTES, counted)),
            text: start.text,
            places,
        }
    }

    /// Begins the next frame; false at the end of the file.
    fn begin(&mut self, mut input: Compressed) -> io::Result<bool> {
        if input.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let compressed = input.get_ref().read - input.buffer().len() as u64;
        self.places.add(Place {
            text: self.text,
            compressed,
        });
        self.state = State::Inside(Decoder::with_buffer(input)?.single_frame());
        Ok(true)
    }
}

impl Read for Frames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Ok(0),
                State::Between(input) => {
                    if !self.begin(input)? {
                        return Ok(0);
                    }
                }
                State::Inside(mut frame) => match frame.read(buffer) {
                    Ok(0) => self.state = State::Between(frame.finish()),
                    Ok(read) => {
                        let so_far = frame.get_ref().get_ref().read;
                        self.places.0.read.store(so_far, Ordering::Release);
                        self.state = State::Inside(frame);
                        self.text += read as u64;
                        return Ok(read);
                    }
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        self.places.cut();
                        return Ok(0);
                    }
                    Err(error) => return Err(error),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressed(texts: &[&str]) -> Vec<u8> {
        let frames = texts
            .iter()
            .map(|text| zstd::bulk::compress(text.as_bytes(), 3).unwrap());
        frames.collect::<Vec<_>>().concat()
    }

    fn read(file: &mut RecordingFile) -> String {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn text_comes_out_of_a_compressed_file_and_of_a_plain_one() {
        let plain = &b"{}\nx"[..];
        assert_eq!(read(&mut RecordingFile::new(plain).unwrap()), "{}\nx");
        assert_eq!(read(&mut RecordingFile::new(&b"{"[..]).unwrap()), "{");
        let frames = io::Cursor::new(compressed(&["one\n", "", "two\n"]));
        assert_eq!(read(&mut RecordingFile::new(frames).unwrap()), "one\ntwo\n");
    }

    #[test]
    fn a_compressed_file_that_is_cut_gives_what_was_whole() {
        let whole = compressed(&["one\n", "two\n"]);
        let first = compressed(&["one\n"]).len();
        for length in first + 1..whole.len() {
            let mut file = RecordingFile::new(io::Cursor::new(whole[..length].to_vec())).unwrap();
            let places = file.places();
            assert!(read(&mut file).starts_with("one\n"), "{length}");
            assert!(places.is_cut(), "{length}");
        }
    }

    #[test]
    fn a_place_in_a_compressed_file_is_found_with_and_without_an_index() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.zst");
        let texts: Vec<String> = (0..300).map(|number| format!("line {number}\n")).collect();
        let parts: Vec<&str> = texts.iter().map(String::as_str).collect();
        std::fs::write(&path, compressed(&parts)).unwrap();
        let mut file = RecordingFile::open(&path).unwrap();
        let places = file.places();
        let whole = read(&mut file);
        for offset in [0, 1, 700, whole.len()] {
            for places in [&places, &Places::default()] {
                let mut file = RecordingFile::open_at(&path, offset as u64, places).unwrap();
                assert_eq!(read(&mut file), whole.get(offset..).unwrap());
            }
        }
    }
}
