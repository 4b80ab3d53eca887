//! Whether a configured program is there, asked before anybody needs it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::config::CommandServer;

/// A configured program cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MissingProgram {
    /// Nothing of that name.
    #[error("there is no program `{program}` in PATH; install it, or give its full path")]
    NotInPath { program: String },
    /// No such file.
    #[error("there is no file {}; check the path", .path.display())]
    NoFile { path: PathBuf },
    /// It cannot be run.
    #[error("{} is not executable; check its permissions", .path.display())]
    NotExecutable { path: PathBuf },
    /// Its directory is missing.
    #[error("the directory {} to run it in does not exist", .path.display())]
    NoDirectory { path: PathBuf },
}

/// Why a program cannot be started from where we are, in words; `None` if nothing speaks against it.
pub(crate) fn problem(server: &CommandServer) -> Option<String> {
    let search = std::env::var_os("PATH");
    check(server, search.as_deref())
        .err()
        .map(|problem| problem.to_string())
}

/// Checks that a program is there and may be run, as far as can be told without running it.
///
/// # Errors
/// [`MissingProgram`] if not.
pub(crate) fn check(server: &CommandServer, search: Option<&OsStr>) -> Result<(), MissingProgram> {
    if let Some(path) = server.cwd.clone().filter(|cwd| !cwd.is_dir()) {
        return Err(MissingProgram::NoDirectory { path });
    }
    let program = Path::new(&server.program);
    if program.components().count() > 1 {
        let path = server
            .cwd
            .as_deref()
            .unwrap_or_else(|| Path::new(""))
            .join(program);
        return match path.is_file() {
            false => Err(MissingProgram::NoFile { path }),
            true if is_executable(&path) => Ok(()),
            true => Err(MissingProgram::NotExecutable { path }),
        };
    }
    let places: Vec<PathBuf> = search
        .map(|search| std::env::split_paths(search).collect())
        .unwrap_or_default();
    let found: Vec<PathBuf> = places
        .iter()
        .map(|place| place.join(program))
        .filter(|path| is_there(path))
        .collect();
    match found.first() {
        None => Err(MissingProgram::NotInPath {
            program: server.program.clone(),
        }),
        Some(_) if found.iter().any(|path| is_executable(path)) => Ok(()),
        Some(path) => Err(MissingProgram::NotExecutable { path: path.clone() }),
    }
}

#[cfg(unix)]
fn is_there(path: &Path) -> bool {
    path.is_file()
}

/// Windows adds the ending.
#[cfg(not(unix))]
fn is_there(path: &Path) -> bool {
    ["", "exe", "cmd", "bat"]
        .iter()
        .any(|ending| path.with_extension(ending).is_file())
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let anybody = 0o111;
    path.metadata()
        .is_ok_and(|file| file.permissions().mode() & anybody != 0)
}

#[cfg(not(unix))]
fn is_executable(_path: &Path) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn server(program: &str, cwd: Option<&str>) -> CommandServer {
        CommandServer {
            name: None,
            program: program.to_owned(),
            args: Vec::new(),
            cwd: cwd.map(PathBuf::from),
            env: Vec::new(),
        }
    }

    #[test]
    fn a_program_is_looked_for_in_path_or_where_its_path_says() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        std::fs::write(&plain, "x").unwrap();
        let search = std::env::join_paths([folder.path(), Path::new("/bin"), Path::new("/usr/bin")]).unwrap();
        let ask = |program: &str, cwd: Option<&str>| check(&server(program, cwd), Some(&search));
        assert_eq!(ask("sh", None), Ok(()));
        assert_eq!(ask("/bin/sh", None), Ok(()));
        assert_eq!(ask("bin/sh", Some("/")), Ok(()));
        assert!(matches!(
            ask("no-such-program", None),
            Err(MissingProgram::NotInPath { .. })
        ));
        assert!(matches!(
            ask("plain", None),
            Err(MissingProgram::NotExecutable { .. })
        ));
        assert!(matches!(
            ask("/no/such/file", None),
            Err(MissingProgram::NoFile { .. })
        ));
        assert!(matches!(
            ask("sh", Some("/no/such")),
            Err(MissingProgram::NoDirectory { .. })
        ));
    }
}
