//! Makes a copy of a recording that can be given to others: with the secrets taken out that a recorder would take out,
//! and with the values of these secrets taken out wherever else they stand.
//!
//! The recording is read twice: first for the values, then for the copy.

mod gather;
mod values;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::file;
use super::format::{EndLine, HeaderLine, Line};
use super::mask::LineMask;
use super::reader::{FileInput, OpenRecordingError, ReadRecordingError, RecordingReader};
use super::redact::{NoRandomnessError, RedactPatterns, TAG_START, Tagger};
use super::segments::Segments;
use gather::Gatherer;
use values::Retags;
pub(crate) use values::patterns_of;

/// Open exchanges whose bodies are told apart; of more, the oldest are taken for over.
const MAX_EXCHANGES: usize = 1 << 17;

/// A recording could not be scrubbed. There is no copy then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScrubError {
    /// The copy is there already.
    #[error("{} exists already and is not overwritten; choose another name with -o or move it away", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The copy cannot be written.
    #[error("could not write {}; check its directory and that there is room on its disk, or choose another with -o", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The recording cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenRecordingError),
    /// The recording cannot be read to its end.
    #[error(transparent)]
    Read(ReadRecordingError),
    /// There is no way to make tags.
    #[error("secrets could not be masked, so nothing was written; try again")]
    NoRandomness(#[source] io::Error),
}

/// What became of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Lines of the copy.
    pub lines: u64,
    /// Secrets that were replaced by tags.
    pub replaced: u64,
    /// Bytes that were left out, because nobody can tell whether secrets are in them.
    pub withheld: u64,
    /// Lines that were left out, because they are broken or of a type that this build does not know.
    pub left_out: u64,
    /// Secret values that were masked in their own place only, since there was no room to look for more of them.
    pub values_left: u64,
    /// Frames that were too long for the values of their secrets to be looked for elsewhere.
    pub frames_left: u64,
    /// What is missing of the recording, a sentence each.
    pub damage: Vec<String>,
}

/// Copies the recording `segments`, which have to be [rereadable](Segments::rereadable), to the new file `path`, readable
/// for its owner only, compressed if its name ends in `.zst`. Tags that are there already stay as they are; new ones have
/// a key of their own. Blocks.
///
/// # Errors
/// [`ScrubError`]; what was written of the copy is removed.
pub fn scrub(segments: &Segments, path: &Path, patterns: &RedactPatterns) -> Result<Scrubbed, ScrubError> {
    let known = Known::of(segments, patterns)?;
    let reader = RecordingReader::open_segments(segments)?;
    let file = file::create_new(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => ScrubError::Exists {
            path: path.to_owned(),
        },
        _ => failed(path, source),
    })?;
    let outcome = copy(reader, path, file, known);
    if outcome.is_err() {
        file::remove_unfinished(path);
    }
    outcome
}

/// The same to `out`, such as standard output, as plain lines; errors call it `path`.
///
/// # Errors
/// [`ScrubError`].
pub fn scrub_to(
    segments: &Segments,
    out: &mut dyn Write,
    path: &Path,
    patterns: &RedactPatterns,
) -> Result<Scrubbed, ScrubError> {
    let known = Known::of(segments, patterns)?;
    let reader = RecordingReader::open_segments(segments)?;
    let mut copy = Copy::new(BufWriter::new(out), known);
    copy.all(reader, path)?;
    copy.finish()
        .map(|(scrubbed, _)| scrubbed)
        .map_err(|source| failed(path, source))
}

fn failed(path: &Path, source: io::Error) -> ScrubError {
    let path = path.to_owned();
    ScrubError::Write { path, source }
}

/// What is known of the secrets before the copy begins.
struct Known {
    tagger: Tagger,
    retags: Retags,
    values_left: u64,
    frames_left: u64,
}

impl Known {
    /// Reads the whole recording for the values that are secrets in it.
    fn of(segments: &Segments, patterns: &RedactPatterns) -> Result<Self, ScrubError> {
        let tagger = Tagger::random()
            .map_err(|error: NoRandomnessError| ScrubError::NoRandomness(io::Error::other(error)))?;
        let mut gatherer = Gatherer::new(&tagger, MAX_EXCHANGES);
        for record in RecordingReader::open_segments(segments)? {
            match record {
                Ok(record) => {
                    if matches!(record.line, Line::Gap(_)) {
                        gatherer.lose();
                    }
                    gatherer.line(record.line);
                }
                Err(error @ ReadRecordingError::Io { .. }) => return Err(ScrubError::Read(error)),
                Err(_) => gatherer.lose(),
            }
        }
        let (values, frames_left) = gatherer.finish();
        Ok(Self {
            retags: values.retags(&tagger),
            values_left: values.left,
            frames_left,
            tagger: tagger.with_patterns(values.patterns(patterns)),
        })
    }
}

fn copy(
    reader: RecordingReader<FileInput>,
    path: &Path,
    out: File,
    known: Known,
) -> Result<Scrubbed, ScrubError> {
    let failed = |source| failed(path, source);
    if file::is_compressed(path) {
        let compressed = file::compressed(out).map_err(failed)?;
        let mut copy = Copy::new(BufWriter::new(compressed), known);
        copy.all(reader, path)?;
        let (scrubbed, out) = copy.finish().map_err(failed)?;
        out.into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(zstd::Encoder::finish)
            .map_err(failed)?;
        return Ok(scrubbed);
    }
    let mut copy = Copy::new(BufWriter::new(out), known);
    copy.all(reader, path)?;
    copy.finish().map(|(scrubbed, _)| scrubbed).map_err(failed)
}

struct Copy<W> {
    out: W,
    mask: LineMask,
    retags: Retags,
    scrubbed: Scrubbed,
    bytes: u64,
    /// By how much the numbers of lines differ from those of the recording.
    shift: i64,
    /// Records that gaps tell of.
    lost: u64,
    damage: Vec<String>,
}

impl<W: Write> Copy<W> {
    fn new(out: W, known: Known) -> Self {
        Self {
            out,
            mask: LineMask::new(known.tagger, MAX_EXCHANGES),
            retags: known.retags,
            scrubbed: Scrubbed {
                values_left: known.values_left,
                frames_left: known.frames_left,
                ..Scrubbed::default()
            },
            bytes: 0,
            shift: 0,
            lost: 0,
            damage: Vec::new(),
        }
    }

    fn all(&mut self, mut reader: RecordingReader<FileInput>, path: &Path) -> Result<(), ScrubError> {
        let failed = |source| failed(path, source);
        let header = HeaderLine {
            redacted: true,
            ..reader.header().clone()
        };
        self.write(&Line::Header(header)).map_err(failed)?;
        for record in reader.by_ref() {
            match record {
                Ok(record) => self.line(record.line).map_err(failed)?,
                Err(error @ ReadRecordingError::Io { .. }) => return Err(ScrubError::Read(error)),
                Err(_) => self.broken(),
            }
        }
        self.damage = reader.damage();
        if let Some(torn) = reader.torn() {
            let place = reader.place(torn.line);
            self.damage
                .push(format!("{place}: the last line is incomplete and left out"));
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<(Scrubbed, W)> {
        self.out.flush()?;
        self.scrubbed.damage = self.damage;
        Ok((self.scrubbed, self.out))
    }

    /// What was in the line is lost, perhaps the start of a secret.
    fn broken(&mut self) {
        self.scrubbed.left_out += 1;
        self.mask.lose();
    }

    fn line(&mut self, line: Line) -> io::Result<()> {
        match line {
            Line::Unknown => {
                self.scrubbed.left_out += 1;
                self.shift -= 1;
                return Ok(());
            }
            Line::Gap(ref gap) => {
                self.lost = self.lost.saturating_add(gap.lost);
                self.mask.lose();
            }
            _ => {}
        }
        let seq = line.seq().unwrap_or_default();
        let (tags, withheld) = (tags_of(&line), withheld_of(&line));
        let mut masked = Vec::new();
        self.mask.mask(line, &mut |line| masked.push(line));
        let (mut tags_now, mut withheld_now) = (0, 0);
        let last = masked.len().saturating_sub(1);
        for (index, mut line) in masked.into_iter().enumerate() {
            line.set_seq(seq.saturating_add_signed(self.shift));
            // What was held back of a frame takes a line of its own, before the one that ends its exchange.
            self.shift += i64::from(index < last);
            tags_now += tags_of(&line);
            withheld_now += withheld_of(&line);
            self.write(&line)?;
        }
        self.scrubbed.replaced += tags_now.saturating_sub(tags);
        self.scrubbed.withheld += withheld_now.saturating_sub(withheld);
        Ok(())
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let counted;
        let line = match line {
            Line::End(end) => {
                counted = Line::End(EndLine {
                    lines: self.scrubbed.lines + 1,
                    bytes: self.bytes,
                    lost: self.lost,
                    ..end.clone()
                });
                &counted
            }
            line => line,
        };
        let mut text = Vec::new();
        line.write_to(&mut text);
        self.retags.apply(&mut text);
        self.out.write_all(&text)?;
        self.bytes += text.len() as u64;
        self.scrubbed.lines += 1;
        Ok(())
    }
}

/// How many tags stand in a line.
fn tags_of(line: &Line) -> u64 {
    let mut text = Vec::new();
    line.write_to(&mut text);
    memchr::memmem::find_iter(&text, TAG_START.as_bytes()).count() as u64
}

fn withheld_of(line: &Line) -> u64 {
    match line {
        Line::Frame(frame) => frame.withheld,
        _ => 0,
    }
}
