//! How a program ended.

use std::fmt;
use std::process::ExitStatus;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChildEnd {
    /// By itself, with this exit code.
    Code(i32),
    /// By a signal of this number.
    Signal(i32),
    /// The system did not say.
    Unknown,
}

impl ChildEnd {
    /// The exit code with which a shell passes this on: the code itself, or 128 and the number of the signal.
    ///
    /// Source: POSIX.1-2024, Shell Command Language, 2.8.2; 128+n is what shells made of it.
    pub fn shell_code(self) -> u8 {
        let code = match self {
            Self::Code(code) => code,
            Self::Signal(number) => number.saturating_add(128),
            Self::Unknown => 1,
        };
        u8::try_from(code).unwrap_or(u8::MAX)
    }
}

impl From<ExitStatus> for ChildEnd {
    fn from(status: ExitStatus) -> Self {
        #[cfg(unix)]
        if let Some(number) = std::os::unix::process::ExitStatusExt::signal(&status) {
            return Self::Signal(number);
        }
        status.code().map_or(Self::Unknown, Self::Code)
    }
}

impl fmt::Display for ChildEnd {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(text, "exit code {code}"),
            Self::Signal(number) => write!(text, "signal {number}"),
            Self::Unknown => text.write_str("unknown end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_passed_on_as_shells_do() {
        assert_eq!(ChildEnd::Code(3).shell_code(), 3);
        assert_eq!(ChildEnd::Signal(11).shell_code(), 139);
        assert_eq!(ChildEnd::Signal(11).to_string(), "signal 11");
    }
}
