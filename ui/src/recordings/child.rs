//! Our own program, started on a recording: what takes long or needs much memory does so in a process of its own.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use super::{Agreed, Checked, Compared, MOST_LINES, Supplied};

/// Bytes of what a child prints; more than a thousand problems need.
const MOST_PRINTED: usize = 4 << 20;

/// Bytes of a child's last words.
const MOST_WORDS: usize = 4 << 10;

/// How long one that was told to end may take to give the terminal back.
const PATIENCE: Duration = Duration::from_secs(2);

/// How the screen of another run of this program is to look.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each stands for a flag of the command line"
)]
pub(crate) struct LookFlags {
    /// `None` if there are no colours anyway.
    pub(crate) theme: Option<&'static str>,
    pub(crate) is_ascii: bool,
    pub(crate) has_mouse: bool,
    pub(crate) has_alternate: bool,
    pub(crate) is_read_only: bool,
    /// The recording is being written by this run.
    pub(crate) is_still_written: bool,
}

/// Tells a run of this program that the recording which it opens is still being written.
const STILL_WRITTEN: &str = "SHADOWCAT_STILL_WRITTEN";

/// Whether the one who started this run said that the recording which it opens is still being written.
pub(crate) fn is_still_written() -> bool {
    std::env::var_os(STILL_WRITTEN).is_some()
}

impl LookFlags {
    fn arguments(self) -> Vec<&'static str> {
        let mut arguments = vec![if self.is_ascii {
            "--ascii=true"
        } else {
            "--ascii=false"
        }];
        if let Some(theme) = self.theme {
            arguments.extend(["--theme", theme]);
        }
        let flags = [
            (!self.has_mouse, "--no-mouse"),
            (!self.has_alternate, "--no-alt-screen"),
            (self.is_read_only, "--read-only"),
        ];
        arguments.extend(
            flags
                .into_iter()
                .filter(|(is_set, _)| *is_set)
                .map(|(_, flag)| flag),
        );
        arguments
    }
}

/// Another run of this program in the foreground of this terminal. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct InFront {
    child: Child,
    stderr: Option<ChildStderr>,
    said: Vec<u8>,
}

/// Shows the recording `path` on this terminal, which has to be given back before.
///
/// # Errors
/// Why it could not be started, in words.
pub(crate) fn open(path: &Path, look: LookFlags) -> Result<InFront, String> {
    let mut command = ourselves()?;
    command.arg("open").args(look.arguments()).arg("--").arg(path);
    command.env_remove(STILL_WRITTEN);
    if look.is_still_written {
        command.env(STILL_WRITTEN, "1");
    }
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(in_words)?;
    Ok(InFront {
        stderr: child.stderr.take(),
        child,
        said: Vec::new(),
    })
}

impl InFront {
    /// Waits for its end.
    ///
    /// # Errors
    /// Its last words, if it did not end well.
    ///
    /// # Cancel safety
    /// Safe: what it has said so far is kept.
    pub(crate) async fn ended(&mut self) -> Result<(), String> {
        if let Some(stderr) = &mut self.stderr {
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
                self.said
                    .extend_from_slice(buffer.get(..length).unwrap_or_default());
                let surplus = self.said.len().saturating_sub(MOST_WORDS);
                self.said.drain(..surplus);
            }
        }
        let status = self.child.wait().await.map_err(in_words)?;
        if status.success() {
            return Ok(());
        }
        Err(reason(&self.said).unwrap_or_else(|| status.to_string()))
    }

    /// Tells it to end and waits for a moment, so that the terminal is as it was.
    pub(crate) async fn end(&mut self) {
        terminate(&self.child);
        if timeout(PATIENCE, self.child.wait()).await.is_err() {
            tracing::warn!("the recording's screen had to be killed; `reset` brings the terminal back");
        }
    }
}

/// Reads a recording to its end.
///
/// # Errors
/// Why that was not possible, in words.
///
/// # Cancel safety
/// A dropped future kills the child.
pub(super) async fn check(path: &Path) -> Result<Checked, String> {
    let words = ["verify", "--one-file", "--format", "json", "--"].map(OsStr::new);
    let ran = run(words.into_iter().chain([path.as_os_str()])).await?;
    serde_json::from_slice(&ran.out).map_err(|_| ran.reason())
}

/// Tells what differs between two recordings.
///
/// # Errors
/// Why that was not possible, in words.
///
/// # Cancel safety
/// A dropped future kills the child.
pub(super) async fn compare(before: &Path, after: &Path) -> Result<Compared, String> {
    let words = ["diff", "--"].map(OsStr::new);
    let ran = run(words.into_iter().chain([before.as_os_str(), after.as_os_str()])).await?;
    // Those that are the same have lines too.
    if ran.out.is_empty() {
        return Err(ran.reason());
    }
    Ok(lines_of(&ran.out))
}

/// Sends the client's side of a recording to a live server, and tells how its answers differ.
///
/// # Errors
/// Why that was not possible, in words; also that something has to be agreed to before.
///
/// # Cancel safety
/// A dropped future kills the child.
pub(super) async fn replay_to(path: &Path, url: &str, agreed: Agreed) -> Result<Compared, String> {
    // What stands behind `--` would be a command there, so a name that looks like a flag is called by its folder.
    let file = if path.as_os_str().as_encoded_bytes().starts_with(b"-") {
        Path::new(".").join(path)
    } else {
        path.to_owned()
    };
    let is_there = |secret: &&Supplied| std::env::var_os(&secret.variable).is_some();
    if let Some(missing) = agreed.supplied.iter().find(|secret| !is_there(secret)) {
        return Err(format!(
            "this program was started without a variable `{}`: leave it, set the variable and start it again",
            missing.variable
        ));
    }
    let words = flags(url, agreed);
    let arguments = [OsStr::new("replay"), file.as_os_str()].into_iter();
    let ran = run(arguments.chain(words.iter().map(OsStr::new))).await?;
    if ran.out.is_empty() {
        return Err(in_words_of_a_prompt(&ran.all_said()));
    }
    Ok(lines_of(&ran.out))
}

fn flags(url: &str, agreed: Agreed) -> Vec<String> {
    let switches = [
        (agreed.calls_tools, "--yes"),
        (agreed.sends_tags, "--without-secrets"),
    ];
    let switches = switches.into_iter().filter(|(is_set, _)| *is_set);
    let mut words = vec!["--upstream".to_owned(), url.to_owned()];
    words.extend(switches.map(|(_, flag)| flag.to_owned()));
    for Supplied { what, name, variable } in agreed.supplied {
        words.push(format!("--{}={name}={variable}", what.word()));
    }
    words
}

/// What stands for a flag in the prompt.
fn in_words_of_a_prompt(said: &str) -> String {
    let mut words = said.split(' ');
    let mut prompt: Vec<String> = Vec::new();
    let mut needs_variable = false;
    while let Some(word) = words.next() {
        match word {
            // The value of a header has blanks, and would be on the screen.
            "--header" => words.by_ref().take_while(|word| *word != "or").for_each(drop),
            "--secret-env" | "--header-env" => {
                let (pair, mark) = split_mark(words.next().unwrap_or_default());
                let word = word.trim_start_matches('-');
                prompt.push(format!("`{word} {pair}` behind the address{mark}"));
                needs_variable = true;
            }
            _ => match split_mark(word) {
                ("--yes" | "--without-secrets", mark) => {
                    let word = word.trim_matches(['-', ';', ',']);
                    prompt.push(format!("`{word}` behind the address{mark}"));
                }
                _ => prompt.push(word.to_owned()),
            },
        }
    }
    let note = if needs_variable {
        " (VARIABLE is one that was in the environment when this program was started)"
    } else {
        ""
    };
    prompt.join(" ") + note
}

/// A word, and the comma or semicolon behind it.
fn split_mark(word: &str) -> (&str, &str) {
    let bare = word.trim_end_matches([';', ',']);
    word.split_at(bare.len())
}

fn lines_of(out: &[u8]) -> Compared {
    let text = String::from_utf8_lossy(out);
    let mut lines = text.lines().map(ToOwned::to_owned);
    Compared {
        lines: lines.by_ref().take(MOST_LINES).collect(),
        is_cut: lines.next().is_some(),
    }
}

/// What a child has printed.
struct Ran {
    out: Vec<u8>,
    said: Vec<u8>,
}

impl Ran {
    /// Everything that it said, in one line.
    fn all_said(&self) -> String {
        let said = String::from_utf8_lossy(&self.said);
        let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut all = String::new();
        for line in lines.filter(|line| !line.starts_with("For more information")) {
            let between = if all.ends_with([':', '.', ';']) { " " } else { "; " };
            all.push_str(if all.is_empty() { "" } else { between });
            all.push_str(line);
        }
        all.strip_prefix("error: ").unwrap_or(&all).to_owned()
    }

    fn reason(&self) -> String {
        reason(&self.said).unwrap_or_else(|| "it ended without a word".to_owned())
    }
}

async fn run<'a>(arguments: impl Iterator<Item = &'a OsStr>) -> Result<Ran, String> {
    let mut command = ourselves()?;
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(in_words)?;
    let (out, said) = (child.stdout.take(), child.stderr.take());
    let (out, said) = tokio::join!(first_of(out, MOST_PRINTED), first_of(said, MOST_WORDS));
    child.wait().await.map_err(in_words)?;
    Ok(Ran { out, said })
}

/// The first `most` bytes of `input`; the rest is read and forgotten, so that nobody waits.
async fn first_of(input: Option<impl AsyncRead + Unpin>, most: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut input) = input else {
        return kept;
    };
    let mut buffer = vec![0; 8 << 10];
    while let Ok(length @ 1..) = input.read(&mut buffer).await {
        let room = most - kept.len();
        kept.extend_from_slice(buffer.get(..length.min(room)).unwrap_or_default());
    }
    kept
}

fn ourselves() -> Result<Command, String> {
    let program = std::env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
    let mut command = Command::new(program);
    command.kill_on_drop(true);
    Ok(command)
}

#[expect(clippy::needless_pass_by_value, reason = "used where errors are mapped")]
fn in_words(error: std::io::Error) -> String {
    error.to_string()
}

/// The line that says what went wrong.
pub(super) fn reason(said: &[u8]) -> Option<String> {
    let said = String::from_utf8_lossy(said);
    let mut lines = said.lines().filter(|line| !line.trim().is_empty());
    let error = said.lines().find_map(|line| line.strip_prefix("error: "));
    error.or_else(|| lines.next_back()).map(ToOwned::to_owned)
}

fn terminate(child: &Child) {
    let process = child.id().and_then(|id| i32::try_from(id).ok());
    let Some(process) = process.and_then(rustix::process::Pid::from_raw) else {
        return;
    };
    if let Err(error) = rustix::process::kill_process(process, rustix::process::Signal::TERM) {
        tracing::debug!(%error, "a child of ours has gone already");
    }
}

#[cfg(test)]
mod tests {
    use super::super::Secret;
    use super::*;

    #[test]
    fn the_line_with_the_error_is_what_is_told() {
        assert_eq!(reason(b""), None);
        assert_eq!(reason(b"one\ntwo\n\n").as_deref(), Some("two"));
        let said = b"warning: x\nerror: could not read a.jsonl\n  because: gone\n";
        assert_eq!(reason(said).as_deref(), Some("could not read a.jsonl"));
    }

    #[test]
    fn what_a_run_asks_for_is_told_as_it_is_typed_in_the_prompt() {
        let said = "error: the recording has only tags of these secrets:\n  the header authorization: add --header \
                    'authorization: VALUE' or --header-env authorization=VARIABLE\n  tools/call login, password: add \
                    --secret-env 5be1c0ffee01=VARIABLE\nor send without them: --without-secrets\n";
        let ran = Ran {
            out: Vec::new(),
            said: said.into(),
        };
        assert_eq!(
            in_words_of_a_prompt(&ran.all_said()),
            "the recording has only tags of these secrets: the header authorization: add `header-env \
             authorization=VARIABLE` behind the address; tools/call login, password: add `secret-env \
             5be1c0ffee01=VARIABLE` behind the address; or send without them: `without-secrets` behind the address \
             (VARIABLE is one that was in the environment when this program was started)"
        );
        assert_eq!(
            in_words_of_a_prompt("this tool may change something: a; add --yes if they may"),
            "this tool may change something: a; add `yes` behind the address if they may"
        );
    }

    #[test]
    fn what_was_agreed_to_is_flags_of_the_run() {
        let secret = |what, name: &str| Supplied {
            what,
            name: name.to_owned(),
            variable: "V".to_owned(),
        };
        let agreed = Agreed {
            calls_tools: true,
            sends_tags: false,
            supplied: vec![secret(Secret::Value, "0a0b"), secret(Secret::Header, "x-key")],
        };
        let words = [
            "--upstream",
            "u",
            "--yes",
            "--secret-env=0a0b=V",
            "--header-env=x-key=V",
        ];
        assert_eq!(flags("u", agreed), words);
    }

    #[tokio::test]
    async fn what_is_printed_beyond_the_bound_is_read_and_forgotten() {
        let long = vec![b'x'; 100_000];
        assert_eq!(first_of(Some(&*long), 10).await, b"xxxxxxxxxx");
    }
}
