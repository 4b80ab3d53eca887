//! How recordings are written.

use super::redact::{RedactPatterns, Redaction};

/// How recordings are written, whichever file they go to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordingSettings {
    /// What is a secret beside what is known to be one. Without effect where secrets are recorded.
    pub redact: RedactPatterns,
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
