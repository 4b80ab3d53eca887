//! What is to be started, and why it could not be.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// A program to start.
///
/// It gets our own environment and nothing besides, except for the changes named here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandConfig {
    /// The program: a path, or a name that is looked for in `PATH`.
    pub program: OsString,
    /// Its arguments, without its own name.
    pub args: Vec<OsString>,
    /// Where it runs; our own directory if `None`.
    pub cwd: Option<PathBuf>,
    /// What is changed of our own environment for it.
    pub environment: Vec<EnvironmentChange>,
    /// What ends the program if this process ends without having done so. `None`: nothing does.
    pub guard: Option<GuardCommand>,
}

impl CommandConfig {
    /// `program` with `args`, in our directory and environment, without a guardian.
    pub fn new(program: impl Into<OsString>, args: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().collect(),
            cwd: None,
            environment: Vec::new(),
            guard: None,
        }
    }

    /// The command as it is given to the system: three pipes and a group of its own.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        for change in &self.environment {
            match &change.value {
                Some(value) => command.env(&change.name, value),
                None => command.env_remove(&change.name),
            };
        }
        #[cfg(unix)]
        command.process_group(0);
        command
    }

    /// Why the system refused to start the program.
    pub(super) fn refusal(&self, source: io::Error) -> StartChildError {
        let program = PathBuf::from(&self.program);
        if let Some(cwd) = self.cwd.clone().filter(|cwd| !cwd.is_dir()) {
            return StartChildError::Directory { program, cwd };
        }
        match source.kind() {
            io::ErrorKind::NotFound => StartChildError::NotFound {
                program,
                interpreter: self.missing_interpreter(),
            },
            io::ErrorKind::PermissionDenied if self.place().is_dir() => {
                StartChildError::IsDirectory { program }
            }
            io::ErrorKind::PermissionDenied => StartChildError::NotExecutable { program, source },
            _ if is_unknown_format(&source) => StartChildError::NotExecutable { program, source },
            _ => StartChildError::Refused { program, source },
        }
    }

    /// A file that is there but not found is a script whose first line names what is not there.
    fn missing_interpreter(&self) -> bool {
        Path::new(&self.program).components().count() > 1 && self.place().exists()
    }

    /// Where the program is, if it is a path.
    fn place(&self) -> PathBuf {
        self.cwd
            .as_deref()
            .unwrap_or_else(|| Path::new(""))
            .join(&self.program)
    }
}

/// One variable of a program's environment that is not as ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentChange {
    /// The variable's name.
    pub name: OsString,
    /// Its value for the program; `None` takes it away.
    pub value: Option<OsString>,
}

/// How the guardian is started: our own program with arguments that make it call [`guard::keep`](super::guard::keep).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardCommand {
    /// The program, as an absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// ENOEXEC, which has no kind of its own.
fn is_unknown_format(error: &io::Error) -> bool {
    const ENOEXEC: i32 = 8;
    cfg!(unix) && error.raw_os_error() == Some(ENOEXEC)
}

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartChildError {
    /// Nothing of this name, or nothing to run it with.
    #[error("could not start {}: {}", .program.display(), not_found(program, *interpreter))]
    NotFound {
        /// What was to be started.
        program: PathBuf,
        /// Whether the file is there, so that what its first line names must be missing.
        interpreter: bool,
    },
    /// The file is there and may not or cannot be run.
    #[error("could not start {}: it is not executable; check its permissions and, for a script, its first line (#!)", .program.display())]
    NotExecutable {
        /// What was to be started.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a directory.
    #[error("could not start {}: it is a directory; name the program in it", .program.display())]
    IsDirectory {
        /// What was to be started.
        program: PathBuf,
    },
    /// The directory to run in is not there.
    #[error("could not start {}: its directory {} does not exist; create it or name another one", .program.display(), .cwd.display())]
    Directory {
        /// What was to be started.
        program: PathBuf,
        /// Where it was to run.
        cwd: PathBuf,
    },
    /// The system had another reason.
    #[error("could not start {}; check the limits on processes and open files", .program.display())]
    Refused {
        /// What was to be started.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StartChildError {
    /// The exit code with which a shell says this: 127 if there is no such program, otherwise 126.
    pub const fn shell_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 127,
            _ => 126,
        }
    }
}

fn not_found(program: &Path, interpreter: bool) -> &'static str {
    if interpreter {
        return "the file is there, but what its first line (#!) names is not; install that or change the line";
    }
    if program.components().count() > 1 {
        "there is no such file; check the path"
    } else {
        "no program of this name in PATH; install it, or give its full path"
    }
}
