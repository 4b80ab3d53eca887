//! How recordings are written.

use std::time::Duration;

use super::redact::{RedactPatterns, Redaction};

/// How recordings are written, whichever file they go to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordingSettings {
    /// What is a secret beside what is known to be one. Without effect where secrets are recorded.
    pub redact: RedactPatterns,
    /// When a recording goes on in a new file.
    pub rotation: Rotation,
}

/// When a recording goes on in a new file; the next record decides, so that no file is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes of a file, as it is on the disk; one record more may be in it.
    pub max_bytes: Option<u64>,
    /// Age of a file, counted from its first record.
    pub max_age: Option<Duration>,
}

/// Everything that a recorder has to know beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecorderSettings {
    /// Whether secrets are kept out.
    pub redaction: Redaction,
    /// The rest.
    pub recording: RecordingSettings,
}

impl From<Redaction> for RecorderSettings {
    fn from(redaction: Redaction) -> Self {
        Self {
            redaction,
            ..Self::default()
        }
    }
}
