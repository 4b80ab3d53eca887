//! Changing a held message in the user's editor. Secrets are placeholders there, and put back afterwards.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use shadowcat::ids::HoldId;
use shadowcat::intercept::edit::{MAX_RESULT_BYTES, mask, unmask};
use shadowcat::intercept::interceptor::InterceptCommand;

use super::spread::{compact, is_spreadable, spread};
use super::{Desk, HeldError};

/// The file that the editor is given: for its owner only, and gone with this.
struct Draft {
    path: PathBuf,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Whoever removed it before has done what is to be done.
        let _ = fs::remove_file(&self.path);
    }
}

impl Draft {
    fn write(id: HoldId, text: &[u8]) -> io::Result<Self> {
        let name = format!("shadowcat-{}-{id}.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Never through what somebody else has put there.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let draft = Self { path };
        file.write_all(text)?;
        Ok(draft)
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let most = MAX_RESULT_BYTES as u64;
        File::open(&self.path)?.take(most).read_to_end(&mut text)?;
        Ok(text)
    }
}

/// What the user makes of `base`. While they write, the message's time does not run.
pub(super) async fn edit(desk: &mut Desk, id: HoldId, base: &str) -> Result<String, HeldError> {
    let editor = editor_of(|name| std::env::var(name).ok()).ok_or(HeldError::NoEditor)?;
    let is_editing = true;
    desk.ask(&InterceptCommand::Editing { id, is_editing }).await?;
    let written = write(&editor, id, base);
    let is_editing = false;
    // It may have left meanwhile; that is told when the text is put.
    let _ = desk.ask(&InterceptCommand::Editing { id, is_editing }).await;
    written
}

fn editor_of(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let names = ["VISUAL", "EDITOR"].into_iter();
    names
        .filter_map(variable)
        .find(|command| !command.trim().is_empty())
}

fn write(editor: &str, id: HoldId, base: &str) -> Result<String, HeldError> {
    let (masked, secrets) = mask(base.as_bytes());
    let masked = String::from_utf8_lossy(&masked).into_owned();
    let is_spread = is_spreadable(&masked);
    let before = if is_spread { spread(&masked) } else { masked };
    let failed = |what: &'static str| {
        move |source| HeldError::Editor {
            what: what.to_owned(),
            source: Some(source),
        }
    };
    let draft =
        Draft::write(id, before.as_bytes()).map_err(failed("the file for the editor cannot be written"))?;
    call(editor, &draft.path)?;
    let after = draft.read().map_err(failed("what was written cannot be read"))?;
    let after = without_added_line_end(&before, String::from_utf8_lossy(&after).into_owned());
    if after == before {
        return Ok(base.to_owned());
    }
    let after = if is_spread { compact(&after) } else { after };
    let text = unmask(after.as_bytes(), &secrets);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Editors end the last line.
fn without_added_line_end(before: &str, after: String) -> String {
    match after.strip_suffix('\n') {
        Some(text) if !before.ends_with('\n') => text.to_owned(),
        _ => after,
    }
}

/// The variable may hold options too, so a shell reads it, as Git does.
fn call(editor: &str, path: &Path) -> Result<(), HeldError> {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg(editor)
        .arg(path);
    let status = command.status().map_err(|source| HeldError::Editor {
        what: format!("the editor `{editor}` cannot be started"),
        source: Some(source),
    })?;
    if status.success() {
        return Ok(());
    }
    Err(HeldError::Editor {
        what: format!("the editor `{editor}` ended with {status}"),
        source: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visual_comes_before_editor_and_an_empty_one_counts_for_none() {
        let of = |visual: &str, editor: &str| {
            let (visual, editor) = (visual.to_owned(), editor.to_owned());
            editor_of(|name| {
                Some(if name == "VISUAL" {
                    visual.clone()
                } else {
                    editor.clone()
                })
            })
        };
        assert_eq!(of("code -w", "vi").as_deref(), Some("code -w"));
        assert_eq!(of(" ", "vi").as_deref(), Some("vi"));
        assert_eq!(of("", ""), None);
    }

    #[test]
    fn only_a_line_end_that_was_added_is_taken_away() {
        assert_eq!(without_added_line_end("a", "b\n".to_owned()), "b");
        assert_eq!(without_added_line_end("a\n", "b\n".to_owned()), "b\n");
    }
}
