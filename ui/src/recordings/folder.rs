//! Which recordings are in some folders. Blocks; of each file only the start and the end are read.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use shadowcat::clock::Timestamp;
use shadowcat::recording::format::Line;
use shadowcat::recording::{OpenRecordingError, RecordingFile, RecordingReader};

use super::{Found, Head, Listing, MOST_LISTED, Tail};

/// Names in one folder that are looked at.
const MOST_NAMES: usize = 10_000;

/// Bytes at the start of a file within which its header has to end, and at its end within which its last line has to begin.
const EDGE_BYTES: u64 = 64 << 10;

/// A file that may be a recording.
struct Candidate {
    path: PathBuf,
    bytes: u64,
    modified: Timestamp,
}

/// Looks into `folders` as long as `goes_on`; those that are not there are passed over, and one that is named twice is
/// looked into once. Files that are no recordings are left out.
pub(super) fn list(folders: &[PathBuf], goes_on: impl Fn() -> bool) -> Listing {
    let mut listing = Listing::default();
    let mut candidates = Vec::new();
    let mut seen = BTreeSet::new();
    for folder in folders {
        let names = fs::canonicalize(folder).and_then(|real| {
            let is_new = seen.insert(real);
            if is_new {
                names_in(folder, &goes_on)
            } else {
                Ok(Vec::new())
            }
        });
        match names {
            Ok(names) => candidates.extend(names),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => listing.trouble.push(format!("{}: {error}", folder.display())),
        }
    }
    candidates.sort_by(|one, other| (other.modified, &other.path).cmp(&(one.modified, &one.path)));
    for candidate in candidates {
        if !goes_on() {
            break;
        }
        if listing.found.len() == MOST_LISTED {
            listing.left_out += 1;
        } else if let Some(found) = look_into(candidate) {
            listing.found.push(found);
        }
    }
    listing
}

fn names_in(folder: &Path, goes_on: &impl Fn() -> bool) -> io::Result<Vec<Candidate>> {
    let entries = fs::read_dir(folder)?.take(MOST_NAMES).take_while(|_| goes_on());
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths
        .filter(|path| has_name(path))
        .filter_map(candidate)
        .collect())
}

pub(super) fn has_name(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("jsonl" | "zst"))
}

/// A plain file: opening a pipe would wait for somebody to write into it.
fn candidate(path: PathBuf) -> Option<Candidate> {
    // Here, files are called as users call them.
    let path = path.strip_prefix(".").map(Path::to_owned).unwrap_or(path);
    let metadata = fs::metadata(&path).ok().filter(Metadata::is_file)?;
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Candidate {
        bytes: metadata.len(),
        modified: Timestamp::default().plus(modified),
        path,
    })
}

/// `None` if it is no recording, or has gone.
fn look_into(
    Candidate {
        path,
        bytes,
        modified,
    }: Candidate,
) -> Option<Found> {
    let head = match header(&path) {
        Ok(head) => head,
        Err(OpenRecordingError::NotARecording { .. }) => return None,
        Err(OpenRecordingError::Read { source, .. }) => match source.kind() {
            io::ErrorKind::NotFound => return None,
            _ => Head::Unreadable(source.to_string()),
        },
        Err(error) => Head::Unreadable(error.to_string()),
    };
    let tail = last_line(&path, bytes).unwrap_or(Tail::Unknown);
    Some(Found {
        path,
        bytes,
        modified,
        head,
        tail,
    })
}

/// Why a recording cannot be shown, as far as its first line tells. Blocks, though not for a pipe.
pub(crate) fn unreadable(path: &Path) -> Option<String> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(metadata) if metadata.is_dir() => return Some("it is a folder".to_owned()),
        Ok(_) => return Some("it is no file".to_owned()),
        Err(error) => return Some(error.to_string()),
    }
    match header(path).err()? {
        OpenRecordingError::Read { source, .. } => Some(source.to_string()),
        OpenRecordingError::NotARecording { source, .. } => Some(format!("it is no recording: {source}")),
        error => Some(error.to_string()),
    }
}

fn header(path: &Path) -> Result<Head, OpenRecordingError> {
    let file = RecordingFile::open(path).map_err(|source| OpenRecordingError::Read {
        path: path.to_owned(),
        source,
    })?;
    let reader = RecordingReader::new(BufReader::new(file.take(EDGE_BYTES)), path)?;
    let header = reader.header();
    Ok(Head::Read {
        created: reader.created(),
        is_redacted: header.redacted,
        proxy: header.proxy.clone(),
        segment: header.segment,
    })
}

/// What the last line of a file of so many bytes says; a line longer than [`EDGE_BYTES`] is no end.
fn last_line(path: &Path, bytes: u64) -> io::Result<Tail> {
    if path.extension().is_some_and(|extension| extension == "zst") {
        return Ok(Tail::Unknown);
    }
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(bytes.saturating_sub(EDGE_BYTES)))?;
    let mut text = Vec::new();
    file.take(EDGE_BYTES).read_to_end(&mut text)?;
    let Some(whole) = text.strip_suffix(b"\n") else {
        return Ok(Tail::Torn);
    };
    let start = whole
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    Ok(match whole.get(start..).map(Line::parse) {
        Some(Ok(Line::End(end))) => Tail::Ended { lost: end.lost },
        _ => Tail::Open,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"type":"header","format":"shadowcat-recording","version":1,"created":"2026-11-23T04:23:03.123456Z","proxy":"shadowcat-tui 0.1.0","redacted":true}"#;
    const END: &str = r#"{"type":"end","seq":1,"us":5,"lines":2,"bytes":150,"lost":7}"#;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with(files: &[(&str, String)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                fs::write(folder.path().join(name), text).unwrap();
            }
            Self(folder)
        }

        fn list(&self) -> Listing {
            list(&[self.0.path().to_owned()], || true)
        }
    }

    fn tail_of(listing: &Listing, name: &str) -> Option<Tail> {
        let found = listing.found.iter().find(|found| found.path.ends_with(name))?;
        Some(found.tail)
    }

    #[test]
    fn the_last_line_tells_how_a_recording_ended() {
        let folder = Folder::with(&[
            ("ended.jsonl", format!("{HEADER}\n{END}\n")),
            ("open.jsonl", format!("{HEADER}\n")),
            ("torn.jsonl", format!("{HEADER}\n{{\"type\":\"fra")),
        ]);
        let listing = folder.list();
        assert_eq!(tail_of(&listing, "ended.jsonl"), Some(Tail::Ended { lost: 7 }));
        assert_eq!(tail_of(&listing, "open.jsonl"), Some(Tail::Open));
        assert_eq!(tail_of(&listing, "torn.jsonl"), Some(Tail::Torn));
    }

    #[test]
    fn what_is_no_recording_is_left_out_and_a_newer_format_is_named() {
        let newer = HEADER.replace("\"version\":1", "\"version\":7");
        let folder = Folder::with(&[
            ("letter.jsonl", "Dear Sir,\n".to_owned()),
            ("notes.txt", format!("{HEADER}\n")),
            ("newer.jsonl", format!("{newer}\n")),
        ]);
        let listing = folder.list();
        assert_eq!(listing.found.len(), 1, "{listing:?}");
        let Head::Unreadable(text) = &listing.found[0].head else {
            panic!("{listing:?}");
        };
        assert!(text.contains("version 7 of the recording format"), "{text}");
    }

    #[test]
    fn a_folder_named_twice_is_listed_once_and_a_missing_one_is_no_trouble() {
        let folder = Folder::with(&[("a.jsonl", format!("{HEADER}\n"))]);
        let path = folder.0.path().to_owned();
        let missing = path.join("missing");
        let listing = list(&[path.clone(), path.join("."), missing], || true);
        assert_eq!(
            (listing.found.len(), listing.trouble.len()),
            (1, 0),
            "{listing:?}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_the_folder_keeps_nobody_waiting() {
        let folder = Folder::with(&[("a.jsonl", format!("{HEADER}\n"))]);
        let pipe = folder.0.path().join("pipe.jsonl");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        assert_eq!(folder.list().found.len(), 1);
    }
}
