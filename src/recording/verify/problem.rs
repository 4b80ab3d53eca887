//! What can be wrong with a recording.

use serde::Serialize;

/// Something that is wrong, or remarkable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Number of the line, from 1; `None` for the file as a whole.
    pub line: Option<u64>,
    /// What kind of thing it is.
    pub kind: ProblemKind,
    /// In words, to stand behind the place.
    pub text: String,
}

impl Problem {
    /// Something is missing or broken.
    pub const fn is_damage(&self) -> bool {
        !matches!(self.kind, ProblemKind::UnknownType | ProblemKind::StillOpen)
    }
}

/// The kinds of problems. Their names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// A line is no JSON object of a recording, or longer than any.
    BrokenLine,
    /// The compressed data is damaged.
    BrokenData,
    /// Another recording begins in the middle of the file.
    AnotherRecording,
    /// The last line is incomplete.
    TornTail,
    /// A `gap` line tells of lost records.
    Gap,
    /// Numbers are missing and no gap tells why.
    Hole,
    /// A number is missing, comes twice or stands behind a larger one.
    Order,
    /// Parts of a frame, or whole frames, are missing.
    MissingFrame,
    /// A frame or an exchange comes a second time.
    Duplicate,
    /// An exchange is told of that has no head in the file.
    Headless,
    /// An exchange, or a frame of it, has no end.
    Unfinished,
    /// What the `end` line counts is not what is there.
    Count,
    /// A line stands behind the `end` line.
    AfterEnd,
    /// There is no `end` line.
    NoEnd,
    /// A file of a recording in several is not there.
    MissingFile,
    /// A line has a type that this build does not know. No damage.
    UnknownType,
    /// An exchange was open when the recording was ended in order. No damage.
    StillOpen,
}
