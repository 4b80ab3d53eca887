//! Where the doors of this user's proxies are: a directory that nobody else can enter, a socket for each proxy.
//!
//! The directory is in `/tmp` and not in `XDG_RUNTIME_DIR`, since clients start servers with few variables and both sides
//! have to find the same place.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::clock::Timestamp;

/// The variable that names another directory.
pub const DIRECTORY_VARIABLE: &str = "SHADOWCAT_DOOR_DIR";

/// How the names of sockets end.
const SUFFIX: &str = ".sock";
/// Most sockets that are looked at.
const MAX_SOCKETS: usize = 256;

/// The directory cannot hold our door.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// It cannot be made or looked at.
    #[error("{} cannot be used as the directory of control doors; set {DIRECTORY_VARIABLE} to another one", .path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can enter it, or it is somebody else's.
    #[error(
        "{} is not only ours ({problem}), so others could listen in; remove it, or set {DIRECTORY_VARIABLE} to another directory",
        .path.display()
    )]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// The directory of this user's doors: `SHADOWCAT_DOOR_DIR`, or `/tmp/shadowcat-UID`.
pub fn directory() -> PathBuf {
    std::env::var_os(DIRECTORY_VARIABLE).map_or_else(
        || PathBuf::from(format!("/tmp/shadowcat-{}", geteuid().as_raw())),
        PathBuf::from,
    )
}

/// Makes the directory if it is not there, and checks it.
///
/// # Errors
/// [`PlaceError`] if it is not a directory that only we can enter.
pub fn prepare(directory: &Path) -> Result<(), PlaceError> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(PlaceError::Unusable {
            path: directory.to_owned(),
            source,
        }),
        _ => check(directory),
    }
}

/// Checks that `directory` is one that only we can enter.
///
/// # Errors
/// [`PlaceError`] if it is not.
pub fn check(directory: &Path) -> Result<(), PlaceError> {
    // A link could be pointed elsewhere after this look.
    let found = fs::symlink_metadata(directory).map_err(|source| PlaceError::Unusable {
        path: directory.to_owned(),
        source,
    })?;
    problem(&found).map_or(Ok(()), |problem| {
        Err(PlaceError::NotOurs {
            path: directory.to_owned(),
            problem,
        })
    })
}

fn problem(found: &Metadata) -> Option<String> {
    let mode = found.mode() & 0o777;
    if !found.is_dir() {
        Some("it is no directory".to_owned())
    } else if found.uid() != geteuid().as_raw() {
        Some(format!("it belongs to user {}", found.uid()))
    } else if mode & 0o077 != 0 {
        Some(format!("its mode is {mode:o} and has to be 700"))
    } else {
        None
    }
}

/// Where the socket of a proxy that started at `started` goes. The names of later ones sort behind.
pub(super) fn socket_of(directory: &Path, started: Timestamp, pid: u32) -> PathBuf {
    directory.join(format!("{:016}-{pid}{SUFFIX}", started.as_micros()))
}

/// The sockets in `directory`, those of the newest proxies first; 256 at most. None if there is no such directory or
/// somebody else could have put something there.
pub fn sockets(directory: &Path) -> Vec<PathBuf> {
    if check(directory).is_err() {
        return Vec::new();
    }
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.ends_with(SUFFIX))
        })
        .map(|entry| entry.path())
        .collect();
    found.sort_unstable_by(|one, other| other.cmp(one));
    found.truncate(MAX_SOCKETS);
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_directory_that_others_can_enter_is_refused_and_says_why() {
        let place = tempfile::tempdir().unwrap();
        let door = place.path().join("door");
        prepare(&door).unwrap();
        prepare(&door).unwrap();
        fs::set_permissions(&door, fs::Permissions::from_mode(0o750)).unwrap();
        let error = prepare(&door).unwrap_err().to_string();
        assert!(error.contains("mode is 750"), "{error}");
        assert!(sockets(&door).is_empty());
        fs::set_permissions(&door, fs::Permissions::from_mode(0o700)).unwrap();
        let other = place.path().join("other");
        symlink(&door, &other).unwrap();
        let error = prepare(&other).unwrap_err().to_string();
        assert!(error.contains("it is no directory"), "{error}");
        let error = prepare(&place.path().join("a/b")).unwrap_err().to_string();
        assert!(error.contains(DIRECTORY_VARIABLE), "{error}");
    }

    #[test]
    fn the_newest_proxy_comes_first() {
        let place = tempfile::tempdir().unwrap();
        let door = place.path().join("door");
        prepare(&door).unwrap();
        let of = |started, pid| socket_of(&door, Timestamp::from_micros(started), pid);
        let (old, new) = (of(1_700_000_000_000_000, 99_999), of(1_800_000_000_000_000, 7));
        for path in [&old, &new, &door.join("else")] {
            fs::write(path, "").unwrap();
        }
        assert_eq!(sockets(&door), [new, old]);
    }
}
