//! Changing a held message.

use std::io::{self, Read as _};
use std::path::Path;

use shadowcat::ids::HoldId;
use shadowcat::intercept::edit::{self, Change};
use shadowcat::intercept::interceptor::{InterceptCommand, InterceptReply};

use super::editor;
use super::{Desk, EditBy, HeldError, page, print};

/// Changes the message, starting from what goes on now, and prints what differs from what came.
pub(super) async fn edit(desk: &mut Desk, id: HoldId, by: EditBy) -> Result<(), HeldError> {
    if matches!(by, EditBy::Revert) {
        return desk.decide(vec![InterceptCommand::Edit { id, text: None }]).await;
    }
    let message = desk.message(id).await?;
    let base = message.edited.as_ref().unwrap_or(&message.original);
    let edited = match by {
        EditBy::Editor => editor::edit(desk, id, base).await?,
        EditBy::Changes(changes) => changed(base, &changes)?,
        EditBy::Patch(file) => changed(base, &[patch(&file)?])?,
        EditBy::Revert => message.original.clone(),
    };
    let differs = page::difference(&message, &edited);
    let is_same = edited == *base;
    if !is_same {
        put(desk, id, edited).await?;
    }
    print(&differs)
}

/// Puts the text in the place of what came.
pub(super) async fn put(desk: &mut Desk, id: HoldId, text: String) -> Result<(), HeldError> {
    let text = Some(text);
    match desk.ask(&InterceptCommand::Edit { id, text }).await? {
        InterceptReply::Done { .. } => Ok(()),
        _ => Err(HeldError::Other),
    }
}

fn changed(base: &str, changes: &[Change]) -> Result<String, HeldError> {
    let mut text = base.as_bytes().to_vec();
    for change in changes {
        text = edit::apply(&text, change)?;
    }
    // What was UTF-8 before stays so.
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A list is a JSON Patch, anything else a JSON Merge Patch.
fn patch(file: &Path) -> Result<Change, HeldError> {
    let failed = |source| HeldError::Patch {
        path: file.to_owned(),
        source,
    };
    let text = read(file).map_err(failed)?;
    Ok(if text.trim_start().starts_with('[') {
        Change::Patch(text)
    } else {
        Change::Merge(text)
    })
}

/// Most bytes of a patch: as much as the longest message that an edit makes.
const MAX_PATCH_BYTES: u64 = edit::MAX_RESULT_BYTES as u64;

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin()
            .lock()
            .take(MAX_PATCH_BYTES + 1)
            .read_to_string(&mut text)
    } else {
        let file = std::fs::File::open(file)?;
        file.take(MAX_PATCH_BYTES + 1).read_to_string(&mut text)
    };
    if read? as u64 > MAX_PATCH_BYTES {
        return Err(io::Error::other("it is longer than any message may be"));
    }
    Ok(text)
}
