//! What the first line of a recording has to be, and what is said of a file where it is something else.

use std::io::BufRead;
use std::path::Path;

use serde::de::Error as _;

use super::format::{HeaderLine, RECORDING_VERSION, parse_header};
use super::lines::{LineText, Lines, MAX_LINE_BYTES};
use super::reader_errors::OpenRecordingError;

/// What some editors put before a text in UTF-8.
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// How everything compressed with gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What is wrong with the JSON of a line, for people: no file and no line number of its own.
pub(super) fn in_words(error: serde_json::Error) -> serde_json::Error {
    if error.is_eof() {
        return serde_json::Error::custom("it ends before its JSON does");
    }
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(what) => serde_json::Error::custom(format!("{what}, at byte {} of the line", error.column())),
        None => error,
    }
}

/// Reads the first line of a file.
pub(super) fn read_header<R: BufRead>(
    lines: &mut Lines<R>,
    path: &Path,
) -> Result<HeaderLine, OpenRecordingError> {
    let first = lines.next_line().map_err(|source| OpenRecordingError::Read {
        path: path.to_owned(),
        source,
    })?;
    let refused = |source| OpenRecordingError::NotARecording {
        path: path.to_owned(),
        source,
    };
    let text = match first.map(|line| line.text) {
        Some(LineText::Whole(text)) => text,
        Some(LineText::TooLong) => {
            let long = format!("it is longer than {MAX_LINE_BYTES} bytes");
            return Err(refused(serde_json::Error::custom(long)));
        }
        None => return Err(refused(serde_json::Error::custom("the file is empty"))),
    };
    if let Some(what) = changed_by(&text) {
        return Err(refused(serde_json::Error::custom(what)));
    }
    let header = parse_header(&text).map_err(|error| refused(in_words(error)))?;
    if header.version == 0 {
        let none = "there is no version 0 of the format: the first is 1";
        return Err(refused(serde_json::Error::custom(none)));
    }
    if header.version > RECORDING_VERSION {
        return Err(OpenRecordingError::TooNew {
            path: path.to_owned(),
            found: header.version,
        });
    }
    Ok(header)
}

/// What another program has done to a file that begins so, and how to undo it.
fn changed_by(start: &[u8]) -> Option<&'static str> {
    if start.starts_with(&GZIP) {
        return Some("the file is compressed with gzip; `gunzip` makes it readable");
    }
    start.starts_with(&BYTE_ORDER_MARK).then_some(
        "it begins with a byte order mark (BOM), which an editor has put there; save the file as UTF-8 without one",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"type":"header","format":"shadowcat-recording","version":1,"created":"2026-11-23T04:23:03.123456Z","proxy":"shadowcat-tui 0.1.0","redacted":true}"#;

    fn open(text: &str) -> Result<HeaderLine, OpenRecordingError> {
        read_header(&mut Lines::new(text.as_bytes(), 1, 0), Path::new("a.jsonl"))
    }

    #[test]
    fn a_newer_format_is_refused_with_advice() {
        let newer = r#"{"type":"header","format":"shadowcat-recording","version":7,"created":12}"#;
        assert_eq!(
            open(newer).unwrap_err().to_string(),
            "a.jsonl uses recording format 7, newer than the 1 this build reads; upgrade shadowcat-tui"
        );
    }

    #[test]
    fn what_an_editor_has_put_before_a_recording_is_named() {
        let cause = |text: &str| match open(text) {
            Err(OpenRecordingError::NotARecording { source, .. }) => source.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(cause(&format!("\u{feff}{HEADER}\n")).contains("byte order mark (BOM)"));
        let zero = HEADER.replace("\"version\":1", "\"version\":0");
        assert!(cause(&zero).contains("no version 0"));
    }

    #[test]
    fn what_is_no_recording_is_refused_with_its_first_line_named() {
        for text in [
            "",
            "\n",
            "hello",
            "{}",
            HEADER.split_at(70).0,
            &HEADER.replace("shadowcat-recording", "har"),
        ] {
            assert_eq!(
                open(text).unwrap_err().to_string(),
                "a.jsonl, line 1, is not the header of a recording; open a .jsonl file that shadowcat-tui has recorded"
            );
        }
    }
}
