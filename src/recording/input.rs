//! What a recording is read from: a file or a pipe, as it is or compressed with zstd.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek, SeekFrom};
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

/// Damaged places of a compressed recording that are told apart.
const MAX_DAMAGED: usize = 1000;

/// The text of a recording, decompressed if it has to be.
///
/// A compressed file whose last frame is incomplete, as a crash leaves it, ends with what could be decompressed. Behind
/// damaged data it goes on with the next frame that can be found; what stood between is lost, and a line that was under
/// way ends there.
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
        Self::at(File::open(path)?, offset, places)
    }

    /// The same as [`RecordingFile::open_at`] for a file that is open.
    pub(super) fn at(
        mut file: impl Read + Seek + Send + 'static,
        offset: u64,
        places: &Places,
    ) -> io::Result<Self> {
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
    harm: Mutex<Harm>,
}

/// What is wrong with the compressed data.
#[derive(Debug, Default)]
struct Harm {
    is_cut: bool,
    /// Bytes of text before each damaged place.
    damaged: Vec<u64>,
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
        self.harm().is_cut
    }

    /// Whether the compressed data is damaged or cut off, as far as it was read.
    pub(super) fn is_harmed(&self) -> bool {
        let harm = self.harm();
        harm.is_cut || !harm.damaged.is_empty()
    }

    /// How many damaged places lie in the first `text` bytes of text. Of many only the first ones are known.
    pub(super) fn damages_before(&self, text: u64) -> usize {
        self.harm().damaged.partition_point(|place| *place < text)
    }

    /// Bytes of text before the damaged place number `index`.
    pub(super) fn damaged_place(&self, index: usize) -> Option<u64> {
        self.harm().damaged.get(index).copied()
    }

    fn harm(&self) -> MutexGuard<'_, Harm> {
        self.0.harm.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.harm().is_cut = true;
    }

    fn damage(&self, text: u64) {
        let damaged = &mut self.harm().damaged;
        if damaged.len() < MAX_DAMAGED {
            damaged.push(text);
        }
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
    /// Behind damaged data: the line that was under way ends, and the next frame is looked for.
    Lost(Compressed),
    Over,
}

type Compressed = BufReader<Counted>;

/// Counts what is read.
struct Counted {
    /// What was read before and comes once more.
    again: io::Cursor<Vec<u8>>,
    input: Box<dyn Read + Send>,
    read: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.again.read(buffer)? {
            0 => self.input.read(buffer)?,
            read => read,
        };
        self.read += read as u64;
        Ok(read)
    }
}

impl Frames {
    fn new(input: Box<dyn Read + Send>, places: Places, start: Place) -> Self {
        let counted = Counted {
            again: io::Cursor::default(),
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

    /// The data cannot be decompressed from here on. A line ending stands for what is lost.
    fn lose(&mut self, input: Compressed) {
        self.places.damage(self.text);
        self.text += 1;
        self.state = State::Lost(input);
    }
}

/// The system's own errors have a number; what the decompressor says of the data has none.
fn is_damage(error: &io::Error) -> bool {
    error.raw_os_error().is_none() && error.kind() != io::ErrorKind::Interrupted
}

/// Goes to where the next frame seems to begin, behind the one that is there; `None` at the end of the file.
fn find_frame(mut input: Compressed) -> io::Result<Option<Compressed>> {
    let mut is_first = true;
    let mut matched = 0;
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut used = 0;
        for byte in bytes {
            used += 1;
            matched = match *byte {
                _ if std::mem::take(&mut is_first) => 0,
                byte if byte == MAGIC[matched] => matched + 1,
                byte => usize::from(byte == MAGIC[0]),
            };
            if matched == MAGIC.len() {
                break;
            }
        }
        input.consume(used);
        if matched == MAGIC.len() {
            return Ok(Some(put_back(&MAGIC, input)));
        }
    }
}

/// `bytes`, and behind them what `input` still has.
fn put_back(bytes: &[u8], input: Compressed) -> Compressed {
    let buffered = [bytes, input.buffer()].concat();
    let mut counted = input.into_inner();
    counted.read -= buffered.len() as u64;
    let place = usize::try_from(counted.again.position()).unwrap_or(usize::MAX);
    let rest = counted.again.get_ref().get(place..).unwrap_or_default();
    counted.again = io::Cursor::new([&buffered, rest].concat());
    BufReader::with_capacity(READ_BYTES, counted)
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
                State::Lost(input) => {
                    if let Some(input) = find_frame(input)? {
                        self.state = State::Between(input);
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
                    Err(error) if is_damage(&error) => {
                        self.lose(frame.finish());
                        buffer[0] = b'\n';
                        return Ok(1);
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

    /// Frames of a line each, with the bytes of the one in the middle turned over one at a time.
    #[test]
    fn behind_damage_the_next_frame_is_found_and_the_place_is_known() {
        let texts = ["one one\n", "two two two two two two\n", "three\n"];
        let whole = compressed(&texts);
        let (first, second) = (compressed(&texts[..1]).len(), compressed(&texts[..2]).len());
        let mut damages = 0;
        for place in first..second {
            let mut broken = whole.clone();
            broken[place] ^= 0x40;
            let mut file = RecordingFile::new(io::Cursor::new(broken)).unwrap();
            let places = file.places();
            let mut text = Vec::new();
            file.read_to_end(&mut text).unwrap();
            assert!(text.starts_with(b"one one\n"), "{place}");
            if places.damages_before(u64::MAX) > 0 {
                damages += 1;
                assert_eq!(places.damages_before(7), 0, "{place}");
                assert!(text.ends_with(b"\nthree\n"), "{place}: {text:?}");
            }
        }
        assert!(damages > 4, "{damages}");
    }

    #[test]
    fn a_frame_is_found_wherever_it_stands() {
        for length in [
            0,
            1,
            3,
            4,
            READ_BYTES - 5,
            READ_BYTES - 4,
            READ_BYTES - 1,
            READ_BYTES,
            READ_BYTES + 3,
        ] {
            // The first byte belongs to what is damaged, whatever it is.
            let broken = [&MAGIC[..1], &vec![MAGIC[0]; length], &compressed(&["text\n"])[..]].concat();
            let frames = Frames::new(
                Box::new(io::Cursor::new(broken)),
                Places::default(),
                Place::default(),
            );
            let State::Between(input) = frames.state else {
                panic!("nothing was read yet");
            };
            let found = find_frame(input).unwrap().unwrap();
            assert_eq!(
                found.get_ref().read - found.buffer().len() as u64,
                length as u64 + 1
            );
            let mut text = String::new();
            Frames::new(Box::new(found), Places::default(), Place::default())
                .read_to_string(&mut text)
                .unwrap();
            assert_eq!(text, "text\n", "{length}");
        }
    }
}
