//! Which files are one recording.
//!
//! A recording that was rotated is in `NAME.jsonl`, `NAME.2.jsonl` and so on, each with the name of the one before it in
//! its header. They are looked for in the folder of the file that was named; whichever that is, the others are found.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::format::HeaderLine;
use super::input::RecordingFile;
use super::reader::{OpenRecordingError, RecordingReader};
use super::spool::Spool;

/// How much of a recording in several files is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Extent {
    /// All files of it, as one.
    #[default]
    Whole,
    /// Only the file that was named.
    OneFile,
}

/// One of the files of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its first line; `None` for a pipe, which can be read only once.
    header: Option<HeaderLine>,
    /// The file that should stand before it and does not.
    pub missing_before: Option<String>,
    /// What came through it, if it is a pipe that has to be read more than once.
    spool: Option<Spool>,
}

impl SegmentFile {
    fn alone(path: &Path, header: Option<HeaderLine>) -> Self {
        Self {
            path: path.to_owned(),
            header,
            missing_before: None,
            spool: None,
        }
    }

    /// Opens it from its start.
    pub(super) fn open(&self) -> io::Result<RecordingFile> {
        match &self.spool {
            Some(spool) => RecordingFile::new(spool.reader()),
            None => RecordingFile::open(&self.path),
        }
    }

    pub(super) fn spool(&self) -> Option<Spool> {
        self.spool.clone()
    }

    /// Its bytes, compressed or not; 0 if the system does not tell.
    pub fn bytes(&self) -> u64 {
        let size = || std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        self.spool.as_ref().map_or_else(size, Spool::bytes)
    }

    /// When it was begun.
    pub fn created(&self) -> jiff::Timestamp {
        self.header
            .as_ref()
            .map_or(jiff::Timestamp::UNIX_EPOCH, |header| header.created)
    }

    fn number(&self) -> u32 {
        self.header
            .as_ref()
            .and_then(|header| header.segment)
            .unwrap_or(1)
    }

    fn continues(&self) -> Option<&str> {
        self.header.as_ref()?.continues.as_deref()
    }
}

/// The files of one recording, in order; one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    files: Vec<SegmentFile>,
    extent: Extent,
}

impl Segments {
    /// The files that belong to the recording `path`, which may be any of them. Reads the folder and the first lines.
    ///
    /// # Errors
    /// [`OpenRecordingError`] if `path` itself is no recording. Others that cannot be read are missing.
    pub fn of(path: &Path, extent: Extent) -> Result<Self, OpenRecordingError> {
        if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(Self::one(SegmentFile::alone(path, None)));
        }
        let header = match RecordingReader::open(path) {
            // Whoever reads it tells of the damage.
            Err(OpenRecordingError::Damaged { .. }) => return Ok(Self::one(SegmentFile::alone(path, None))),
            opened => opened?.header().clone(),
        };
        let named = SegmentFile::alone(path, Some(header));
        let Some(name) = Name::of(&named).filter(|_| extent == Extent::Whole) else {
            let files = vec![named];
            return Ok(Self { files, extent });
        };
        Ok(Self {
            files: chain(&named, &name, relatives(&named, &name)),
            extent,
        })
    }

    fn one(file: SegmentFile) -> Self {
        Self {
            files: vec![file],
            extent: Extent::OneFile,
        }
    }

    /// What came through a pipe, which messages call `path`.
    pub fn of_spool(path: &Path, spool: Spool) -> Self {
        let file = SegmentFile {
            spool: Some(spool),
            ..SegmentFile::alone(path, None)
        };
        Self::one(file)
    }

    /// The same files, so that they can be read as often as one likes: what comes through a pipe is put into a file
    /// without a name.
    ///
    /// # Errors
    /// [`OpenRecordingError::Read`] if that cannot be done.
    pub fn rereadable(mut self) -> Result<Self, OpenRecordingError> {
        for file in self
            .files
            .iter_mut()
            .filter(|file| file.header.is_none() && file.spool.is_none())
        {
            let spool = File::open(&file.path).and_then(|mut input| Spool::of(&mut input));
            file.spool = Some(spool.map_err(|source| OpenRecordingError::Read {
                path: file.path.clone(),
                source,
            })?);
        }
        Ok(self)
    }

    /// The files, oldest first.
    pub fn files(&self) -> &[SegmentFile] {
        &self.files
    }

    /// How much of the recording these are.
    pub const fn extent(&self) -> Extent {
        self.extent
    }
}

/// A file's name without what tells it from the others of its recording.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    stem: String,
    number: u32,
}

const ENDINGS: [&str; 3] = [".jsonl.zst", ".jsonl", ".zst"];

impl Name {
    /// The name of a file whose header knows its number; `None` if somebody has renamed it.
    fn of(file: &SegmentFile) -> Option<Self> {
        let name = file.path.file_name()?.to_str()?;
        Self::parse(name, file.number())
    }

    /// `number` is what the header says.
    fn parse(name: &str, number: u32) -> Option<Self> {
        let stem = ENDINGS
            .into_iter()
            .find_map(|ending| name.strip_suffix(ending))
            .unwrap_or(name);
        let stem = match number {
            1 => stem,
            _ => stem.strip_suffix(&format!(".{number}"))?,
        };
        Some(Self {
            stem: stem.to_owned(),
            number,
        })
    }

    /// The number of a file of the same recording, by its name alone.
    fn number_of(&self, name: &str) -> Option<u32> {
        let stem = ENDINGS
            .into_iter()
            .find_map(|ending| name.strip_suffix(ending))
            .unwrap_or(name);
        match stem.strip_prefix(self.stem.as_str())? {
            "" => Some(1),
            rest => rest.strip_prefix('.')?.parse().ok().filter(|number| *number > 1),
        }
    }
}

/// Other files of the folder whose name and number are those of the same recording, by number.
fn relatives(named: &SegmentFile, name: &Name) -> BTreeMap<u32, SegmentFile> {
    let folder = match named.path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let entries = std::fs::read_dir(folder).inspect_err(|error| {
        tracing::warn!(path = %folder.display(), %error, "the other files of a recording could not be looked for");
    });
    let mut found = BTreeMap::new();
    for entry in entries.into_iter().flatten().filter_map(Result::ok) {
        let file = entry.file_name();
        let number = file.to_str().and_then(|file| name.number_of(file));
        let Some(number) = number.filter(|number| *number != name.number) else {
            continue;
        };
        // As the user wrote it, not `./NAME`.
        let path = named.path.with_file_name(&file);
        if let Some(file) = segment(&path, number) {
            found.entry(number).or_insert(file);
        }
    }
    found
}

fn segment(path: &Path, number: u32) -> Option<SegmentFile> {
    let reader = RecordingReader::open(path).ok()?;
    let file = SegmentFile::alone(path, Some(reader.header().clone()));
    (file.number() == number).then_some(file)
}

/// The files that stand before and behind `named`.
fn chain(named: &SegmentFile, name: &Name, mut relatives: BTreeMap<u32, SegmentFile>) -> Vec<SegmentFile> {
    let mut later = relatives.split_off(&name.number);
    let mut before = Vec::new();
    let mut first = named.clone();
    while let Some(wanted) = first.continues().map(str::to_owned) {
        let number = name.number_of(&wanted).unwrap_or_default();
        let is_older = |file: &SegmentFile| file.created() <= first.created();
        let found = relatives
            .range(..=number)
            .rev()
            .find(|(_, file)| is_older(file))
            .map(|(found, _)| *found);
        if found != Some(number) {
            first.missing_before = Some(wanted);
        }
        let Some(earlier) = found.and_then(|found| relatives.remove(&found)) else {
            break;
        };
        before.push(std::mem::replace(&mut first, earlier));
    }
    let mut files = vec![first];
    files.extend(before.into_iter().rev());
    let mut last = name.number;
    while let Some((number, mut file)) = later.pop_first() {
        let continues = file.continues().unwrap_or_default().to_owned();
        let follows = name.number_of(&continues).unwrap_or_default();
        let is_younger = files.last().is_some_and(|last| last.created() <= file.created());
        // A file that was left by another recording of the same name continues none of these.
        if follows < last || !is_younger {
            continue;
        }
        if follows > last {
            file.missing_before = Some(continues);
        }
        last = number;
        files.push(file);
    }
    files
}

/// Names a file of a recording as its neighbours do.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// What is said of a file that is not there.
pub(super) fn missing_text(file: &str) -> String {
    format!("{file} is missing: it was removed to keep max_disk, or it is in another folder")
}

/// What is said of a file that could not be read although it is there.
pub(super) fn unreadable_text(path: &Path, error: &io::Error) -> String {
    format!("{} could not be read: {error}", name_of(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, created: u32, number: u32, continues: Option<&str>) {
        let segment = if number > 1 {
            format!(",\"segment\":{number}")
        } else {
            String::new()
        };
        let continues = continues.map_or_else(String::new, |name| format!(",\"continues\":\"{name}\""));
        let text = format!(
            "{{\"type\":\"header\",\"format\":\"shadowcat-recording\",\"version\":1,\"created\":\"2026-11-23T04:23:{created:02}Z\",\"proxy\":\"x\"{segment}{continues}}}\n"
        );
        std::fs::write(folder.join(name), text).unwrap();
    }

    /// The names of the files, each missing one in brackets before the one that misses it.
    fn found(folder: &Path, name: &str) -> String {
        let segments = Segments::of(&folder.join(name), Extent::Whole).unwrap();
        let names = segments.files().iter().map(|file| {
            let missing = file.missing_before.as_ref();
            let missing = missing.map_or_else(String::new, |missing| format!("[{missing}] "));
            format!("{missing}{}", name_of(&file.path))
        });
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn all_files_are_found_from_any_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "a.jsonl", 1, 1, None);
        for number in 2..12 {
            let before = match number {
                2 => "a.jsonl".to_owned(),
                _ => format!("a.{}.jsonl", number - 1),
            };
            write(
                folder,
                &format!("a.{number}.jsonl"),
                number,
                number,
                Some(&before),
            );
        }
        write(folder, "a.b.jsonl", 1, 1, None);
        write(folder, "b.jsonl", 1, 1, None);
        std::fs::write(folder.join("a.12.jsonl"), "no recording").unwrap();
        let all = "a.jsonl a.2.jsonl a.3.jsonl a.4.jsonl a.5.jsonl a.6.jsonl a.7.jsonl a.8.jsonl a.9.jsonl a.10.jsonl a.11.jsonl";
        for name in ["a.jsonl", "a.2.jsonl", "a.7.jsonl", "a.11.jsonl"] {
            assert_eq!(found(folder, name), all);
        }
        assert_eq!(found(folder, "b.jsonl"), "b.jsonl");
        let alone = Segments::of(&folder.join("a.2.jsonl"), Extent::OneFile).unwrap();
        assert_eq!(alone.files().len(), 1);
    }

    #[test]
    fn a_file_that_is_missing_is_named_and_those_behind_it_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "a.2.jsonl", 2, 2, Some("a.jsonl"));
        write(folder, "a.4.jsonl", 4, 4, Some("a.3.jsonl"));
        let all = "[a.jsonl] a.2.jsonl [a.3.jsonl] a.4.jsonl";
        assert_eq!(found(folder, "a.2.jsonl"), all);
        assert_eq!(found(folder, "a.4.jsonl"), all);
    }

    #[test]
    fn what_another_recording_left_under_the_same_name_does_not_belong_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "a.jsonl", 10, 1, None);
        write(folder, "a.2.jsonl", 5, 2, Some("a.jsonl"));
        write(folder, "a.3.jsonl", 12, 3, Some("a.jsonl"));
        assert_eq!(found(folder, "a.jsonl"), "a.jsonl a.3.jsonl");
        assert_eq!(found(folder, "a.3.jsonl"), "a.jsonl a.3.jsonl");
    }

    #[test]
    fn a_renamed_file_and_one_that_was_compressed_later_are_found_or_stand_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "a.jsonl.zst", 1, 1, None);
        write(folder, "a.2.jsonl", 2, 2, Some("a.jsonl"));
        write(folder, "mine.jsonl", 3, 3, Some("a.2.jsonl"));
        assert_eq!(found(folder, "a.2.jsonl"), "a.jsonl.zst a.2.jsonl");
        assert_eq!(found(folder, "mine.jsonl"), "mine.jsonl");
    }
}
