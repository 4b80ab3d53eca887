//! `wrap-config`: our command put in front of the servers in a client's file, and taken away again.

mod differences;
mod edit;
mod files;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::jsonc;
use crate::text::Safe;
use edit::Plan;
use files::ClientFile;

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
        /// Even if the file was changed since; what it is now is set aside.
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
        "{} was changed since it was wrapped: {what}. Undo those changes first, or add --force, which sets the present file aside",
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
            Self::Read { .. } | Self::Write { .. } | Self::TooManyBackups { .. } | Self::Program(_) => 3,
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
    let program = std::env::current_exe().map_err(WrapConfigError::Program)?;
    let program = program.display().to_string();
    check_names(file, wanted)?;
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let plan = edit::wrap(&file.text, &|name| is_wanted(name).then(|| program.clone()));
    let plan = plan.map_err(|mistake| content(&file.path, &file.text, mistake))?;
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
    let changed = changes_since(&before, &file.text);
    if let (Some(what), false) = (&changed, is_forced) {
        return Err(WrapConfigError::Changed {
            path: file.path.clone(),
            what: what.join("; "),
        });
    }
    let aside = changed.map(|_| file.set_aside()).transpose()?;
    file.replace(&before)?;
    let mut text = format!("{} is as it was before\n", file.path.display());
    if let Some(aside) = aside {
        let _ = writeln!(text, "what it was until now: {}", aside.display());
    }
    if let Err(error) = std::fs::remove_file(&backup) {
        let _ = writeln!(
            text,
            "the backup {} could not be removed: {error}",
            backup.display()
        );
    }
    Ok(text)
}

/// What was changed in `now` since `before` was wrapped; `None` if it is what wrapping made of it.
fn changes_since(before: &str, now: &str) -> Option<Vec<String>> {
    let wrappers = edit::names(now).unwrap_or_default();
    let wrapper = |name: &str| {
        let found = wrappers.iter().find(|(known, _)| known == name);
        found.and_then(|(_, program)| program.clone())
    };
    let expected = edit::wrap(before, &wrapper).map(|plan| plan.text);
    let expected = expected.unwrap_or_default();
    if expected == now {
        return None;
    }
    let what = differences::between(&expected, now);
    Some(if what.is_empty() {
        vec!["blanks, comments or the order of its members are others".to_owned()]
    } else {
        what
    })
}
