//! The first line of a recording, or what stands in its place.

use std::io::BufRead;
use std::path::Path;

use serde::Deserialize;
use serde::de::Error as _;

use super::format::{HeaderLine, RECORDING_FORMAT, RECORDING_VERSION};
use super::lines::{LineText, Lines, MAX_LINE_BYTES};
use super::reader_errors::OpenRecordingError;
use super::redact::hide_secrets;
use crate::codec::BYTE_ORDER_MARK;

/// How everything compressed with gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The first line of a recording.
#[derive(Debug)]
pub(crate) enum FirstLine {
    /// One that this build reads.
    Known(HeaderLine),
    /// One of this newer version, which may have changed everything else.
    Newer(u64),
}

/// Checks a header's own words.
///
/// # Errors
/// If the line is no header of this format at all.
pub(crate) fn parse_header(line: &[u8]) -> Result<FirstLine, serde_json::Error> {
    #[derive(Deserialize)]
    struct Start {
        format: String,
        version: serde_json::Value,
    }

    let start: Start = serde_json::from_slice(line)?;
    if start.format != RECORDING_FORMAT {
        return Err(serde_json::Error::custom(format!(
            "its format is `{}`",
            start.format
        )));
    }
    match start.version.as_u64() {
        Some(newer) if newer > u64::from(RECORDING_VERSION) => Ok(FirstLine::Newer(newer)),
        None | Some(0) => Err(serde_json::Error::custom(format!(
            "its version is {}, and this build reads {RECORDING_VERSION}",
            start.version
        ))),
        Some(_) => serde_json::from_slice(line).map(FirstLine::Known),
    }
}

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
    match parse_header(&text) {
        Ok(FirstLine::Known(header)) => Ok(header),
        Ok(FirstLine::Newer(found)) => Err(OpenRecordingError::TooNew {
            path: path.to_owned(),
            found,
        }),
        Err(error) => Err(refused(with_start(&in_words(error), &text))),
    }
}

/// What is wrong with the first line, and how that begins.
fn with_start(what: &serde_json::Error, text: &[u8]) -> serde_json::Error {
    const SHOWN: usize = 80;
    // Of a long line, that is what can be shown and what tells the secrets in it.
    let (start, _) = text.split_at(text.len().min(SHOWN * 16));
    let start = hide_secrets(String::from_utf8_lossy(start).trim());
    let mut rest = start.chars();
    let shown: String = rest.by_ref().take(SHOWN).collect();
    let more = if rest.next().is_some() { "…" } else { "" };
    serde_json::Error::custom(format!("{what}; it begins with `{shown}{more}`"))
}

/// What another program has done to a file that begins so, and how to undo it.
fn changed_by(start: &[u8]) -> Option<&'static str> {
    if start.starts_with(&GZIP) {
        return Some("the file is compressed with gzip; `gunzip` makes it readable");
    }
    start.starts_with(BYTE_ORDER_MARK).then_some(
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
    fn what_stands_in_the_place_of_a_header_is_told() {
        for (text, found) in [
            ("", "the file is empty"),
            (
                "hello",
                "expected value, at byte 1 of the line; it begins with `hello`",
            ),
            (
                r#"{"format":"shadowcat-recording","version":0}"#,
                "its version is 0, and this build reads 1; it begins with `{\"format\":\"shadowcat-recording\",\"version\":0}`",
            ),
            (
                r#"{"format":"shadowcat-recording","version":"1.1","proxy":"x","created":"2026-11-23T04:23:03Z"}"#,
                "its version is \"1.1\", and this build reads 1; it begins with `{\"format\":\"shadowcat-recording\",\"version\":\"1.1\",\"proxy\":\"x\",\"created\":\"2026-11-2…`",
            ),
            (
                r#"{"apiKey":"sk-0123456789abcdefghijklmnop"}"#,
                "missing field `format`, at byte 42 of the line; it begins with `{\"apiKey\":\"***\"}`",
            ),
        ] {
            let refused = open(text).unwrap_err();
            let cause = std::error::Error::source(&refused).unwrap();
            assert_eq!(cause.to_string(), found);
        }
    }

    #[test]
    fn a_newer_format_is_refused_with_advice() {
        let newer = r#"{"type":"header","format":"shadowcat-recording","version":7,"created":12}"#;
        assert_eq!(
            open(newer).unwrap_err().to_string(),
            "a.jsonl, line 1, has version 7 of the recording format, newer than the 1 this build reads; upgrade shadowcat-tui"
        );
        let far = newer.replace(":7,", ":70000,");
        assert!(open(&far).unwrap_err().to_string().contains("version 70000 of"));
    }

    #[test]
    fn what_an_editor_has_put_before_a_recording_is_named() {
        let cause = |text: &str| match open(text) {
            Err(OpenRecordingError::NotARecording { source, .. }) => source.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(cause(&format!("\u{feff}{HEADER}\n")).contains("byte order mark (BOM)"));
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
