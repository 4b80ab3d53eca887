//! Where this program is, as it was called: a link to the installed version leads to the next one after an upgrade, and the
//! link's target may be gone then.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// The path by which we were started, made absolute with no link followed. If that does not lead to us, our own file.
///
/// # Errors
/// The system does not know our own file.
pub(super) fn place() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let called = std::env::args_os().next().unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(called_at(&called, &path, &own).unwrap_or(own))
}

/// Where `called` leads, looked for in `path` if it is only a name, and only if that is the file `own`.
fn called_at(called: &OsStr, path: &OsStr, own: &Path) -> Option<PathBuf> {
    let own = own.canonicalize().ok()?;
    let is_own = |place: &PathBuf| place.canonicalize().is_ok_and(|target| target == own);
    let absolute = |place: &Path| std::path::absolute(place).ok();
    let name = Path::new(called);
    if name.components().count() > 1 {
        return absolute(name).filter(is_own);
    }
    if called.is_empty() {
        return None;
    }
    let mut places = std::env::split_paths(path).filter_map(|folder| absolute(&folder.join(name)));
    places.find(is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_where_it_was_called_and_not_where_links_lead() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (bin, versions) = (root.join("bin"), root.join("versions"));
        for folder in [&bin, &versions] {
            std::fs::create_dir(folder).unwrap();
        }
        let (own, other, link) = (versions.join("p-1"), versions.join("p"), bin.join("p"));
        std::fs::write(&own, "").unwrap();
        std::fs::write(&other, "").unwrap();
        std::os::unix::fs::symlink(&own, &link).unwrap();
        let path = std::env::join_paths([&versions, &bin]).unwrap();
        let at = |called: &Path| called_at(called.as_os_str(), &path, &own);
        assert_eq!(at(&link), Some(link.clone()));
        assert_eq!(
            at(Path::new("p")),
            Some(link),
            "another program of that name is none of ours"
        );
        assert_eq!(at(Path::new("q")), None);
        assert_eq!(at(&other), None);
        assert_eq!(at(Path::new("")), None);
    }
}
