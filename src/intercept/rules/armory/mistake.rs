//! A file of rules that was changed and cannot be used.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Why a file of rules that was changed was not taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesMistake {
    /// The file.
    pub path: PathBuf,
    /// Line and column, both from 1; `None` if it is about the file as a whole.
    pub place: Option<(usize, usize)>,
    /// What is wrong and what to write instead.
    pub message: String,
    /// Rules of the file as it was before, which stay in force.
    pub kept: usize,
}

impl fmt::Display for RulesMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}; ", self.message)?;
        match self.kept {
            0 => f.write_str("it had no rules before"),
            1 => f.write_str("the rule of before stays in force"),
            kept => write!(f, "the {kept} rules of before stay in force"),
        }
    }
}
