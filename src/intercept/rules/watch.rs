//! The file of rules on the disk: read at the start, again whenever it changes, and saved to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use crate::intercept::rule::Rule;
use crate::tasks::{TaskKind, Tasks};

use super::file::{self, RulesError};
use super::{Armory, MAX_FILE_BYTES, RulesMistake};

/// How often the file is looked at.
pub const PERIOD: Duration = Duration::from_secs(1);

/// The file of rules cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesFileError {
    /// It cannot be read.
    #[error("could not read the rules {}; check that the file exists and is readable", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("could not save the rule to {}; check that its directory is writable", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its text has a mistake.
    #[error("{}:{}:{}: {}", .path.display(), .error.line, .error.column, .error.message)]
    Content {
        /// The file.
        path: PathBuf,
        /// The mistake. No source: it is told in full already.
        error: RulesError,
    },
}

/// A file of rules as it was when it was last looked at.
#[derive(Debug)]
pub struct RulesFile {
    path: PathBuf,
    seen: Option<Stamp>,
}

/// Rules that wait to be saved; beyond, saving is refused.
const WAITING: usize = 4;

/// Saves rules through [`watch`], so that nobody else writes to the file meanwhile. Clones share it.
#[derive(Debug, Clone)]
pub struct Saver {
    path: PathBuf,
    asked: mpsc::Sender<Save>,
}

/// The other end of a [`Saver`].
#[derive(Debug)]
pub struct Saves(mpsc::Receiver<Save>);

#[derive(Debug)]
struct Save {
    rule: Rule,
    done: oneshot::Sender<Result<(), RulesFileError>>,
}

impl Saver {
    /// For the file that [`watch`] looks at with the other end.
    pub fn of(file: &RulesFile) -> (Self, Saves) {
        let (asked, saves) = mpsc::channel(WAITING);
        let path = file.path.clone();
        (Self { path, asked }, Saves(saves))
    }

    /// Where the rules are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a rule to the file, before the others. A rule that is saved once is written, whether or not somebody waits
    /// for it.
    ///
    /// # Errors
    /// What to tell the user: why the file could not be written, or that nobody is there to write it.
    pub async fn save(&self, rule: Rule) -> Result<(), String> {
        let (done, outcome) = oneshot::channel();
        let asked = self.asked.try_send(Save { rule, done });
        asked.map_err(|_| format!("{} is busy or no longer watched", self.path.display()))?;
        match outcome.await {
            Ok(saved) => saved.map_err(|error| match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            }),
            Err(_) => Err("the proxy ends".to_owned()),
        }
    }
}

/// By what a change is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl RulesFile {
    /// Reads the file for the first time. Blocking.
    ///
    /// # Errors
    /// [`RulesFileError`] if it cannot be read or has a mistake.
    pub fn open(path: impl Into<PathBuf>) -> Result<(Self, Vec<Rule>), RulesFileError> {
        let path = path.into();
        // Before the text: what is written in between is noticed next time.
        let seen = stamp(&path);
        let rules = parse(&path, &read(&path)?)?;
        Ok((Self { path, seen }, rules))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The rules, or what is wrong with them, if the file changed since it was last looked at; told once for each
    /// change. Blocking.
    pub fn poll(&mut self) -> Option<Result<Vec<Rule>, RulesFileError>> {
        let seen = stamp(&self.path);
        if seen == self.seen {
            return None;
        }
        self.seen = seen;
        Some(read(&self.path).and_then(|text| parse(&self.path, &text)))
    }
}

/// Keeps the armed rules as the file says until the program ends; a file with a mistake changes nothing and is told in
/// the log with line and column.
///
/// Looks each [`PERIOD`], and whenever it has saved a rule, on a blocking thread. To be run as a task of kind
/// [`TaskKind::File`].
pub async fn watch(mut file: RulesFile, mut wishes: Saves, armory: Armory, tasks: Tasks) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            () = tasks.stopping().cancelled() => return,
            Some(asked) = wishes.0.recv() => Some(asked),
            _ = ticks.tick() => None,
        };
        let (rule, done) = asked.map(|asked| (asked.rule, asked.done)).unzip();
        let looked = tasks.run_blocking(TaskKind::File, move || {
            let outcome = rule.map(|rule| save_first(&file.path, &rule));
            let change = file.poll();
            (file, outcome, change)
        });
        let Ok((same, outcome, change)) = looked.await else {
            return;
        };
        file = same;
        if let Some(change) = change {
            take_over(&file.path, change, &armory);
        }
        if let (Some(done), Some(outcome)) = (done, outcome) {
            // Whoever asked may have left.
            let _ = done.send(outcome);
        }
    }
}

fn take_over(path: &Path, change: Result<Vec<Rule>, RulesFileError>, armory: &Armory) {
    let outcome = match change {
        Ok(rules) => armory
            .replace_saved(rules)
            .map_err(|error| (None, error.to_string())),
        Err(RulesFileError::Content { error, .. }) => Err((Some((error.line, error.column)), error.message)),
        Err(error) => Err((None, error.to_string())),
    };
    match outcome {
        Ok(reload) => {
            armory.note_mistake(None);
            tracing::info!(
                path = %path.display(),
                changed = reload.changed,
                kept = reload.kept,
                removed = reload.removed,
                "the rules were read again"
            );
        }
        Err((place, message)) => {
            let armed = armory.load();
            let mistake = RulesMistake {
                path: path.to_owned(),
                place,
                message,
                kept: armed.rules().iter().filter(|rule| rule.is_saved()).count(),
            };
            tracing::warn!("{mistake}");
            armory.note_mistake(Some(mistake));
        }
    }
}

/// Writes a rule to the file, in the place of the one with its name or behind the others; the rest of the text stays
/// as it is. The file is replaced as a whole, so that nobody finds half of it. Blocking.
///
/// # Errors
/// [`RulesFileError`] if it cannot be read or written, or has a mistake: then it is left alone.
pub fn save(path: &Path, rule: &Rule) -> Result<(), RulesFileError> {
    rewrite(path, |text| file::with_rule(text, rule))
}

/// As [`save`], but a new rule goes before the others, so that it is asked first. Blocking.
///
/// # Errors
/// As for [`save`].
pub fn save_first(path: &Path, rule: &Rule) -> Result<(), RulesFileError> {
    rewrite(path, |text| file::with_rule_first(text, rule))
}

/// Takes a rule out of the file as [`file::without_rule`] does. Blocking.
///
/// # Errors
/// As for [`save`].
pub fn forget(path: &Path, name: &str) -> Result<(), RulesFileError> {
    rewrite(path, |text| file::without_rule(text, name))
}

fn rewrite(
    path: &Path,
    change: impl FnOnce(&str) -> Result<String, RulesError>,
) -> Result<(), RulesFileError> {
    let text = read(path)?;
    let changed = change(&text).map_err(|error| RulesFileError::Content {
        path: path.to_owned(),
        error,
    })?;
    replace(path, &changed).map_err(|source| RulesFileError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Puts the text in the place of the file, which keeps its permissions; a link to it stays a link.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let target = fs::canonicalize(path)?;
    let draft = target.with_extension(format!("{}.new", std::process::id()));
    let written = write_new(&draft, text)
        .and_then(|()| fs::set_permissions(&draft, fs::metadata(&target)?.permissions()))
        .and_then(|()| fs::rename(&draft, &target));
    if written.is_err() {
        // The first error says more than that of cleaning up would.
        let _ = fs::remove_file(&draft);
    }
    written
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut draft = OpenOptions::new().write(true).create_new(true).open(path)?;
    draft.write_all(text.as_bytes())
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        modified: metadata.modified().ok(),
        bytes: metadata.len(),
    })
}

/// At most one byte more than a file may have: that the rest is too much is said by the one who parses.
fn read(path: &Path) -> Result<String, RulesFileError> {
    let failed = |source| RulesFileError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    let most = MAX_FILE_BYTES as u64 + 1;
    file.take(most).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Rule>, RulesFileError> {
    file::parse(text).map_err(|error| RulesFileError::Content {
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: &str = "[[rule]]\nname = \"a\"\nthen = \"hold\"\n";

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rules.toml");
        fs::write(&path, text).unwrap();
        (directory, path)
    }

    fn names(armory: &Armory) -> Vec<String> {
        armory.list().into_iter().map(|row| row.name).collect()
    }

    #[test]
    fn a_change_is_told_once() {
        let (_directory, path) = file(HOLD);
        let (mut watched, rules) = RulesFile::open(&path).unwrap();
        assert_eq!(rules.len(), 1);
        assert!(watched.poll().is_none());
        fs::write(&path, "").unwrap();
        assert_eq!(watched.poll().unwrap().unwrap(), []);
        assert!(watched.poll().is_none());
        fs::remove_file(&path).unwrap();
        assert!(watched.poll().unwrap().is_err());
        assert!(watched.poll().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_changes_while_the_proxy_runs_is_armed() {
        let (_directory, path) = file(HOLD);
        let (watched, rules) = RulesFile::open(&path).unwrap();
        let (armory, tasks) = (Armory::new(), Tasks::new(16));
        armory.replace_saved(rules).unwrap();
        let (_saver, wishes) = Saver::of(&watched);
        tasks.spawn(
            TaskKind::File,
            watch(watched, wishes, armory.clone(), tasks.clone()),
        );
        fs::write(&path, format!("{HOLD}[[rule]]\nname = \"b\"\nthen = \"log\"\n")).unwrap();
        while armory.list().len() == 1 {
            tokio::time::advance(PERIOD).await;
        }
        assert_eq!(names(&armory), ["a", "b"]);
        tasks.end_traffic(PERIOD).await;
        assert_eq!(tasks.end_services(PERIOD).await, Vec::new());
    }

    #[test]
    fn a_file_with_a_mistake_leaves_the_rules_as_they_were() {
        let (_directory, path) = file(HOLD);
        let (mut watched, rules) = RulesFile::open(&path).unwrap();
        let armory = Armory::new();
        armory.replace_saved(rules).unwrap();
        fs::write(&path, "[[rule]]\nname = \"broken").unwrap();
        take_over(&path, watched.poll().unwrap(), &armory);
        assert_eq!(names(&armory), ["a"]);
        let mistake = armory.mistake().unwrap();
        assert_eq!((mistake.place.map(|(line, _)| line), mistake.kept), (Some(2), 1));
        let told = mistake.to_string();
        assert!(told.contains("rules.toml:2:"), "{told}");
        assert!(told.ends_with("; the rule of before stays in force"), "{told}");
        fs::write(&path, "").unwrap();
        take_over(&path, watched.poll().unwrap(), &armory);
        assert_eq!((names(&armory), armory.mistake()), (Vec::new(), None));
    }

    #[test]
    fn a_mistake_is_told_with_the_file_line_and_column() {
        let (_directory, path) = file("[[rule]]\nname = \"a\"\nthen = \"hodl\"\n");
        let error = RulesFile::open(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("rules.toml:3:8: `then` cannot be `hodl`; did you mean `hold`?"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let (_directory, path) = file(&"#".repeat(MAX_FILE_BYTES + 1));
        assert!(RulesFile::open(&path).unwrap_err().to_string().contains("1 MiB"));
    }

    #[test]
    fn a_saved_rule_is_in_the_file_and_its_comments_stay() {
        let (directory, path) = file(&format!("# mine\n{HOLD}"));
        let mut rule = file::parse(HOLD).unwrap().remove(0);
        rule.name = "b".to_owned();
        save(&path, &rule).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# mine\n"), "{text}");
        assert_eq!(file::parse(&text).unwrap().len(), 2);
        forget(&path, "b").unwrap();
        assert_eq!(file::parse(&fs::read_to_string(&path).unwrap()).unwrap().len(), 1);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_rule_that_is_saved_while_the_file_is_watched_is_asked_first_and_keeps_its_counts() {
        let (_directory, path) = file(&format!("# mine\n\n# about a\n{HOLD}"));
        let (watched, rules) = RulesFile::open(&path).unwrap();
        let (armory, tasks) = (Armory::new(), Tasks::new(16));
        armory.replace_saved(rules).unwrap();
        let (saver, wishes) = Saver::of(&watched);
        tasks.spawn(
            TaskKind::File,
            watch(watched, wishes, armory.clone(), tasks.clone()),
        );
        let mut rule = file::parse("[[rule]]\nname = \"b\"\nthen = \"drop\"\n")
            .unwrap()
            .remove(0);
        armory.add_first(rule.clone()).unwrap();
        saver.save(rule.clone()).await.unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("# mine\n\n[[rule]]\nname = \"b\"\nthen = \"drop\"\n\n# about a\n"),
            "{text}"
        );
        assert_eq!(names(&armory), ["b", "a"]);
        assert!(armory.list().iter().all(|row| row.is_saved));
        rule.name = "c".to_owned();
        armory.add(rule).unwrap();
        assert_eq!(names(&armory), ["b", "c", "a"]);
        tasks.end_traffic(PERIOD).await;
        assert_eq!(tasks.end_services(PERIOD).await, Vec::new());
    }

    #[test]
    fn a_file_with_a_mistake_is_not_saved_over() {
        let (_directory, path) = file("[[rule]");
        let rule = file::parse(HOLD).unwrap().remove(0);
        assert!(matches!(save(&path, &rule), Err(RulesFileError::Content { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "[[rule]");
    }
}
