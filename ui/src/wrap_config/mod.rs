//! `wrap-config`: our command put in front of the servers in a client's file, and taken away again.

mod differences;
mod edit;
mod files;
mod program;
#[cfg(test)]
mod tests;
mod undo;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::jsonc;
use crate::text::Safe;
use edit::Plan;
use files::ClientFile;
use undo::{Parts, Undoing};

/// What to do with which file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrapConfigOptions {
    pub(crate) file: PathBuf,
    /// Only these servers; all if empty.
    pub(crate) servers: Vec<String>,
    pub(crate) task: WrapConfigTask,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrapConfigTask {
    Wrap,
    /// Say what would be done.
    DryRun,
    Undo {
        /// All of the file, even if it was changed since; what it is now is set aside.
        is_forced: bool,
    },
}

/// A client's file cannot be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WrapConfigError {
    #[error("could not read {}; check that it exists, is readable, and is a text file", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("could not write {}; check the permissions and the space on the disk", .path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "{} may not be written: its permissions are read-only; nothing was done: allow writing (chmod u+w) if it is meant to be changed",
        .path.display()
    )]
    ReadOnly { path: PathBuf },
    #[error("{}:{line}:{column}: {message}", .path.display())]
    Content {
        path: PathBuf,
        line: usize,
        column: usize,
        message: String,
    },
    #[error("{} has no server called {}; it has {known}", .path.display(), .names)]
    NoSuchServer {
        path: PathBuf,
        names: String,
        known: String,
    },
    #[error("there is no backup beside {}; nothing was wrapped there, or it was undone already", .path.display())]
    NoBackup { path: PathBuf },
    #[error("there are a hundred backups beside {}; remove those that are not needed", .path.display())]
    TooManyBackups { path: PathBuf },
    #[error("{} was changed by somebody else at this moment; nothing was done: try again", .path.display())]
    Busy { path: PathBuf },
    #[error(
        "{} was changed since it was wrapped, and nothing of it can be taken back alone: {what}. Undo those changes first, or add --force, which sets the present file aside",
        .path.display()
    )]
    Changed { path: PathBuf, what: String },
    #[error("this program does not know where it is; start it by its full path")]
    Program(#[source] io::Error),
}

impl WrapConfigError {
    /// 2 for what the user has to change, 3 for what cannot be opened.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Read { .. }
            | Self::Write { .. }
            | Self::ReadOnly { .. }
            | Self::TooManyBackups { .. }
            | Self::Program(_) => 3,
            Self::Content { .. }
            | Self::NoSuchServer { .. }
            | Self::NoBackup { .. }
            | Self::Busy { .. }
            | Self::Changed { .. } => 2,
        }
    }
}

/// Does what was asked. Returns what is to be printed.
///
/// # Errors
/// [`WrapConfigError`]; the file is as it was then.
pub(crate) fn run(options: &WrapConfigOptions) -> Result<String, WrapConfigError> {
    let file = ClientFile::read(&options.file)?;
    match options.task {
        WrapConfigTask::Undo { is_forced } => undo(&file, is_forced),
        WrapConfigTask::Wrap => wrap(&file, &options.servers, false),
        WrapConfigTask::DryRun => wrap(&file, &options.servers, true),
    }
}

fn wrap(file: &ClientFile, wanted: &[String], is_dry: bool) -> Result<String, WrapConfigError> {
    let program = program::place().map_err(WrapConfigError::Program)?;
    let program = program.display().to_string();
    check_names(file, wanted)?;
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let plan = edit::wrap(&file.text, &|name| is_wanted(name).then(|| program.clone()));
    let plan = plan.map_err(|mistake| content(&file.path, &file.text, mistake))?;
    if !plan.changed.is_empty() {
        file.check_writable()?;
    }
    if plan.changed.is_empty() || is_dry {
        return Ok(said(&plan, &file.path, None));
    }
    let backup = file.back_up()?;
    if let Err(error) = file.replace(&plan.text) {
        // It is a backup of nothing.
        let _ = std::fs::remove_file(&backup);
        return Err(error);
    }
    Ok(said(&plan, &file.path, Some(&backup)))
}

fn check_names(file: &ClientFile, wanted: &[String]) -> Result<(), WrapConfigError> {
    let known = edit::names(&file.text).map_err(|mistake| content(&file.path, &file.text, mistake))?;
    let is_missing = |name: &&String| !known.iter().any(|(known, _)| known == *name);
    let missing: Vec<&str> = wanted.iter().filter(is_missing).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let known: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
    Err(WrapConfigError::NoSuchServer {
        path: file.path.clone(),
        names: missing.join(", "),
        known: if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        },
    })
}

fn content(path: &Path, text: &str, mistake: jsonc::Mistake) -> WrapConfigError {
    let (line, column) = jsonc::position(text, mistake.at);
    WrapConfigError::Content {
        path: path.to_owned(),
        line,
        column,
        message: mistake.message,
    }
}

/// What was done, or would be if there is no backup.
fn said(plan: &Plan, path: &Path, backup: Option<&Path>) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |line: String| {
        let _ = writeln!(text, "{}", Safe::of(&line).as_str());
    };
    let (path, is_done) = (path.display(), backup.is_some());
    match (plan.changed.len(), is_done) {
        (0, _) => line(format!("{path} stays as it is")),
        (_, true) => line(format!("{path} is changed")),
        (_, false) => line(format!("{path} would be changed")),
    }
    for changed in &plan.changed {
        line(format!("  {}: {}", changed.name, changed.command));
    }
    for (name, reason) in &plan.left {
        line(format!("  {name}: left as it is, {reason}"));
    }
    for changed in plan.changed.iter().filter(|changed| changed.loses_login) {
        line(format!(
            "note: if the client logs in to {} by itself (OAuth), that ends: name the others with --server to leave it out",
            changed.name
        ));
    }
    if let Some(backup) = backup {
        line(format!("the file as it was: {}", backup.display()));
        line("restart the client, or let it reload its servers; --undo takes it back".to_owned());
    }
    text
}

fn undo(file: &ClientFile, is_forced: bool) -> Result<String, WrapConfigError> {
    let (backup, before) = file.latest_backup()?;
    let (what, parts) = match undo::undoing(&before, &file.text) {
        Undoing::Whole => {
            file.replace(&before)?;
            let done = format!("{} is as it was before\n", file.path.display());
            return Ok(without_backup(done, &backup));
        }
        Undoing::Parts { what, parts } => (what, parts),
    };
    if is_forced {
        return give_up_changes(file, &backup, &before);
    }
    if parts.taken.is_empty() {
        return Err(WrapConfigError::Changed {
            path: file.path.clone(),
            what: what.join("; "),
        });
    }
    file.replace(&parts.text)?;
    let done = taken_back(&parts, &file.path, &backup);
    Ok(if parts.left.is_empty() {
        without_backup(done, &backup)
    } else {
        done
    })
}

/// Puts all of the backup in the place of what somebody has changed since, which is kept.
fn give_up_changes(file: &ClientFile, backup: &Path, before: &str) -> Result<String, WrapConfigError> {
    let aside = file.set_aside()?;
    file.replace(before)?;
    let mut done = format!("{} is as it was before\n", file.path.display());
    let _ = writeln!(done, "what it was until now: {}", aside.display());
    Ok(without_backup(done, backup))
}

/// Removes a backup that is needed no more.
fn without_backup(mut done: String, backup: &Path) -> String {
    if let Err(error) = std::fs::remove_file(backup) {
        let _ = writeln!(
            done,
            "the backup {} could not be removed: {error}",
            backup.display()
        );
    }
    done
}

/// What was taken back of a file that others have changed since, and what was not.
fn taken_back(parts: &Parts, path: &Path, backup: &Path) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        let _ = writeln!(text, "{}", Safe::of(&line).as_str());
    };
    line(format!(
        "{} was changed since it was wrapped; only its wrapped servers are as they were before, all else stays as it is now",
        path.display()
    ));
    for name in &parts.taken {
        line(format!("  {name}: as it was before"));
    }
    for (name, reason) in &parts.left {
        line(format!("  {name}: left as it is, {reason}"));
    }
    if !parts.left.is_empty() {
        line(format!(
            "the file as it was stays in {}; --undo --force puts all of it back",
            backup.display()
        ));
    }
    text
}
