//! Where the authority is kept: a directory for its owner only, a file with the key, one with the certificate alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::CaError;

/// The file with the key and its certificate, readable by its owner only.
pub const KEY_FILE: &str = "shadowcat-ca-key.pem";
/// The file with the certificate alone, for clients.
pub const CERTIFICATE_FILE: &str = "shadowcat-ca.pem";

/// The text of the file with the key; `None` if there is none.
pub(super) fn read_key(directory: &Path) -> Result<Option<String>, CaError> {
    let path = directory.join(KEY_FILE);
    let failed = |source| CaError::Read {
        path: path.clone(),
        source,
    };
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if is_exposed(&metadata) => return Err(CaError::Exposed { path }),
        Ok(_) => {}
    }
    fs::read_to_string(&path).map(Some).map_err(failed)
}

#[cfg(unix)]
fn is_exposed(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &fs::Metadata) -> bool {
    false
}

/// Puts `text` into the file with the key. One that is there is kept unless it is to be replaced: whoever asks for an
/// authority at the same time gets the same one.
pub(super) fn write_key(directory: &Path, text: &str, replaces: bool) -> Result<(), CaError> {
    let failed = |path: &Path, source| CaError::Write {
        path: path.to_owned(),
        source,
    };
    create_directory_for(directory)?;
    let path = directory.join(KEY_FILE);
    // Nobody is to find half a file.
    let draft = draft_of(&path);
    create_new(&draft, text, 0o600).map_err(|source| failed(&draft, source))?;
    let placed = if replaces {
        fs::rename(&draft, &path)
    } else {
        let linked = fs::hard_link(&draft, &path);
        let removed = fs::remove_file(&draft);
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => removed,
            // Not every file system has links.
            Err(_) => removed.and_then(|()| create_new(&path, text, 0o600)),
            Ok(()) => removed,
        }
    };
    placed.map_err(|source| failed(&path, source))
}

/// Puts the certificate beside the key, unless it is there.
pub(super) fn write_certificate(directory: &Path, pem: &str) -> Result<(), CaError> {
    let path = directory.join(CERTIFICATE_FILE);
    if fs::read_to_string(&path).is_ok_and(|there| there == pem) {
        return Ok(());
    }
    put(&path, pem, 0o644)
}

/// Creates `directory` for its owner only, unless it is there.
pub(super) fn create_directory_for(directory: &Path) -> Result<(), CaError> {
    create_directory(directory).map_err(|source| CaError::Write {
        path: directory.to_owned(),
        source,
    })
}

/// Puts `text` into a file for its owner only, in place of what is there.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), CaError> {
    put(path, text, 0o600)
}

fn put(path: &Path, text: &str, mode: u32) -> Result<(), CaError> {
    let draft = draft_of(path);
    let written = create_new(&draft, text, mode).and_then(|()| fs::rename(&draft, path));
    written.map_err(|source| CaError::Write {
        path: path.to_owned(),
        source,
    })
}

/// A name beside `path` that nobody else uses at this moment.
fn draft_of(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_extension(format!("{}-{number}.new", std::process::id()))
}

fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn create_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    // Left over from a process of this number that was killed.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
