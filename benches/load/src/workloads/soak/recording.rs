//! What a recording holds.

use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// Counts of a whole recording.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) requests: u64,
    pub(super) responses: u64,
    /// Whole events of event streams.
    pub(super) events: u64,
    /// JSON-RPC messages.
    pub(super) messages: u64,
}

impl fmt::Display for Recorded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            responses,
            events,
            messages,
        } = self;
        write!(
            formatter,
            "{requests} requests, {responses} responses, {events} events, {messages} messages"
        )
    }
}

/// The fields of a line that are counted.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    transport: Option<String>,
    #[serde(default)]
    last: bool,
    #[serde(default)]
    fragment: bool,
    #[serde(default)]
    messages: u64,
}

impl Recorded {
    /// Counts what is in a finished recording.
    ///
    /// # Errors
    /// It cannot be read, has a gap, or was not ended in order.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("could not open {}", path.display()))?;
        let (mut found, mut ended) = (Self::default(), false);
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let line: Line = serde_json::from_str(&line?).with_context(|| format!("line {}", number + 1))?;
            found.count(&line)?;
            ended = line.kind == "end";
        }
        if !ended {
            bail!("the recording has no end");
        }
        Ok(found)
    }

    fn count(&mut self, line: &Line) -> Result<()> {
        match line.kind.as_str() {
            "request" => self.requests += 1,
            "response" => self.responses += 1,
            "gap" => bail!("the recording has a gap"),
            "frame" => {
                self.messages += line.messages;
                let is_event = line.transport.as_deref() == Some("sse") && line.last && !line.fragment;
                self.events += u64::from(is_event);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const LINES: &str = r#"{"type":"header","format":"shadowcat-recording","version":1}
{"type":"request","seq":1}
{"type":"frame","transport":"http","last":true,"messages":1}
{"type":"response","seq":2}
{"type":"frame","transport":"sse","frame":0,"part":0}
{"type":"frame","transport":"sse","frame":0,"part":1,"last":true,"messages":1}
"#;

    fn read(text: &str) -> Result<Recorded> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Recorded::read(file.path())
    }

    #[test]
    fn a_recording_is_counted() {
        let found = read(&format!("{LINES}{{\"type\":\"end\"}}\n")).unwrap();
        assert_eq!(
            found,
            Recorded {
                requests: 1,
                responses: 1,
                events: 1,
                messages: 2
            }
        );
    }

    #[test]
    fn a_recording_with_a_gap_or_without_an_end_is_refused() {
        assert!(read(LINES).is_err());
        assert!(read(&format!("{LINES}{{\"type\":\"gap\"}}\n{{\"type\":\"end\"}}\n")).is_err());
    }
}
