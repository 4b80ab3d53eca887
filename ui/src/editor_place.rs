//! Where the user's editor opens: in this terminal, or beside it, so that the queue stays in sight.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command as SyncCommand, Stdio};
use std::time::Duration;

use shadowcat::clock::Timestamp;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::editor::{Draft, PrivateFile, editor};

/// How long a multiplexer may take to open a pane.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a pane's editor is looked for.
const LOOK: Duration = Duration::from_millis(150);
/// After so many looks it is asked whether the pane is still there.
const LOOKS: u32 = 7;
/// What an editor's pane runs: the editor, then a note of how it ended.
const THEN_NOTE: &str = "echo $? > \"$2\"";

/// Where an editor opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this terminal, which it has to itself.
    Terminal,
    /// This command opens it and ends with it; `{file}` is the file.
    Command(String),
    /// In a pane of this multiplexer or terminal.
    Pane(Host),
}

/// What can open a pane beside this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    Tmux,
    Wezterm,
    Kitty,
}

impl Place {
    /// What the user wants, or else what the environment offers.
    pub(crate) fn choose(wanted: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Self {
        let has = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        match wanted.map(str::trim) {
            Some("" | "plain") => Self::Terminal,
            Some(template) => Self::Command(template.to_owned()),
            None if has("TMUX") => Self::Pane(Host::Tmux),
            None if has("WEZTERM_PANE") => Self::Pane(Host::Wezterm),
            // Without remote control kitty opens nothing.
            None if has("KITTY_LISTEN_ON") => Self::Pane(Host::Kitty),
            None => Self::Terminal,
        }
    }

    /// As [`Place::choose`], with the environment of this process.
    pub(crate) fn of(wanted: Option<&str>) -> Self {
        Self::choose(wanted, |name| env::var(name).ok())
    }
}

/// What became of a file in an editor that opened beside this terminal.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// What it saved, `None` if it ended with an error.
    Saved(io::Result<Option<Vec<u8>>>),
    /// It could not be opened, for this reason.
    NotOpened(String),
}

/// Opens an editor on `draft` at `place` and waits until it has ended. If this is dropped before, the editor is closed.
pub(crate) async fn edit(place: Place, draft: Draft, now: Timestamp) -> Outcome {
    let is_success = match place {
        Place::Command(template) => run(&template, draft.path()).await,
        Place::Pane(host) => in_pane(host, draft.path(), now).await,
        Place::Terminal => Err("it has this terminal".to_owned()),
    };
    match is_success {
        Ok(is_success) => Outcome::Saved(draft.take(is_success)),
        Err(reason) => Outcome::NotOpened(reason),
    }
}

/// Runs the user's own command; whether it ended well.
async fn run(template: &str, path: &Path) -> Result<bool, String> {
    let mut child = spawn(&command_line(template, path)).map_err(|error| error.to_string())?;
    let status = child.wait().await.map_err(|error| error.to_string())?;
    // What a shell says of a command that is not there.
    match status.code() {
        Some(code @ (126 | 127)) => Err(format!("`{template}` ended with code {code}")),
        _ => Ok(status.success()),
    }
}

/// The command with the file where it is named, or else at its end.
fn command_line(template: &str, path: &Path) -> String {
    let file = quoted(&path.to_string_lossy());
    if template.contains("{file}") {
        template.replace("{file}", &file)
    } else {
        format!("{template} {file}")
    }
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Its output would tear the screen.
fn spawn(line: &str) -> io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", line])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

/// The editor in a pane of its own; whether it ended well.
async fn in_pane(host: Host, path: &Path, now: Timestamp) -> Result<bool, String> {
    let note = PrivateFile::create("editor", "status", now, b"");
    let note = note.map_err(|error| format!("no file for how it ends: {error}"))?;
    let script = format!("{} \"$1\"; {THEN_NOTE}", editor());
    let pane = Pane::open(host, &script, path, note.path()).await?;
    let mut looks = 0;
    loop {
        sleep(LOOK).await;
        if let Some(is_success) = noted(note.path()) {
            return Ok(is_success);
        }
        looks += 1;
        if looks % LOOKS == 0 && !pane.is_there().await {
            // It may have ended between the two looks.
            return Ok(noted(note.path()).unwrap_or(false));
        }
    }
}

/// How an editor ended, once it has.
fn noted(path: &Path) -> Option<bool> {
    let text = fs::read_to_string(path).ok()?;
    let code = text.strip_suffix('\n')?;
    Some(code.trim() == "0")
}

/// A pane that was opened. Dropping it closes it, if it is still there.
#[derive(Debug)]
struct Pane {
    host: Host,
    id: String,
}

impl Pane {
    async fn open(host: Host, script: &str, path: &Path, note: &Path) -> Result<Self, String> {
        let mut command = Command::new(host.program());
        command.args(host.open_arguments(env::var("TMUX_PANE").ok()));
        command
            .args(["/bin/sh", "-c", script, "editor"])
            .arg(path)
            .arg(note);
        let output = timeout(PATIENCE, command.stdin(Stdio::null()).kill_on_drop(true).output()).await;
        let output = output.map_err(|_| format!("{} does not answer", host.program()))?;
        let output = output.map_err(|error| format!("{}: {error}", host.program()))?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let id = said(&output.stdout);
        if !output.status.success() || id.is_empty() {
            return Err(format!("{}: {}", host.program(), said(&output.stderr)));
        }
        Ok(Self { host, id })
    }

    async fn is_there(&self) -> bool {
        let mut command = Command::new(self.host.program());
        command.args(self.host.look_arguments(&self.id));
        command.stdin(Stdio::null()).kill_on_drop(true);
        match timeout(PATIENCE, command.output()).await {
            Ok(Ok(output)) => output.status.success() && !output.stdout.trim_ascii().is_empty(),
            // Nobody knows.
            Ok(Err(_)) | Err(_) => true,
        }
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        let mut command = SyncCommand::new(self.host.program());
        command.args(self.host.close_arguments(&self.id));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Usually it has closed with its editor, and there is nothing to close.
        let _ = command.status();
    }
}

impl Host {
    const fn program(self) -> &'static str {
        match self {
            Self::Tmux => "tmux",
            Self::Wezterm => "wezterm",
            Self::Kitty => "kitty",
        }
    }

    /// Opens a pane below and says its id; what it runs comes behind.
    fn open_arguments(self, own_pane: Option<String>) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Tmux => &["split-window", "-v", "-P", "-F", "#{pane_id}"],
            Self::Wezterm => &["cli", "split-pane", "--bottom", "--"],
            Self::Kitty => &[
                "@",
                "launch",
                "--type=window",
                "--location=hsplit",
                "--cwd=current",
            ],
        };
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        // The pane of this screen, which need not be the one that is looked at now.
        if let (Self::Tmux, Some(own)) = (self, own_pane) {
            words.extend(["-t".to_owned(), own]);
        }
        words
    }

    /// Says something if the pane is there.
    fn look_arguments(self, id: &str) -> Vec<String> {
        match self {
            Self::Tmux => words(&["display-message", "-p", "-t", id, "#{pane_id}"]),
            Self::Wezterm => words(&["cli", "get-text", "--pane-id", id]),
            Self::Kitty => words(&["@", "ls", "--match", &format!("id:{id}")]),
        }
    }

    fn close_arguments(self, id: &str) -> Vec<String> {
        match self {
            Self::Tmux => words(&["kill-pane", "-t", id]),
            Self::Wezterm => words(&["cli", "kill-pane", "--pane-id", id]),
            Self::Kitty => words(&["@", "close-window", "--match", &format!("id:{id}")]),
        }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_comes_before_what_the_environment_offers() {
        let within = |wanted: Option<&str>, names: &'static [&str]| {
            Place::choose(wanted, |name| names.contains(&name).then(|| "x".to_owned()))
        };
        assert_eq!(within(None, &[]), Place::Terminal);
        assert_eq!(
            within(None, &["TMUX", "KITTY_LISTEN_ON"]),
            Place::Pane(Host::Tmux)
        );
        assert_eq!(within(None, &["WEZTERM_PANE"]), Place::Pane(Host::Wezterm));
        assert_eq!(within(None, &["KITTY_WINDOW_ID"]), Place::Terminal);
        for plain in ["", " plain "] {
            assert_eq!(within(Some(plain), &["TMUX"]), Place::Terminal);
        }
        let own = Place::Command("code -w {file}".to_owned());
        assert_eq!(within(Some("code -w {file}"), &["TMUX"]), own);
    }

    #[test]
    fn the_file_is_one_word_wherever_the_command_wants_it() {
        let path = Path::new("/tmp/it's a.json");
        let file = r"'/tmp/it'\''s a.json'";
        assert_eq!(command_line("code -w", path), format!("code -w {file}"));
        assert_eq!(command_line("x {file} -y", path), format!("x {file} -y"));
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_is_no_edit() {
        let now = Timestamp::from_micros(9);
        let outcome = |template: &str| {
            let draft = Draft::create("h7", now, b"{}").unwrap();
            edit(Place::Command(template.to_owned()), draft, now)
        };
        assert!(matches!(
            outcome("no-such-program-here").await,
            Outcome::NotOpened(_)
        ));
        assert!(matches!(outcome("false").await, Outcome::Saved(Ok(None))));
        let saved = outcome("printf 1 >>").await;
        assert!(matches!(saved, Outcome::Saved(Ok(Some(text))) if text == b"{}1"));
    }
}
