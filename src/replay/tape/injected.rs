//! What was sent again from the proxy, and what came back for it.

use std::collections::HashSet;

use super::model::TapeFrame;
use crate::codec::envelope::{MessageKind, scan};
use crate::codec::json::{PathStep, find_path};
use crate::snapshot::Direction;

/// The ids of requests that were sent again, as they are spelled.
pub(super) fn ids_of<'a>(frames: impl Iterator<Item = &'a TapeFrame>) -> HashSet<String> {
    frames
        .filter(|frame| frame.is_injected)
        .flat_map(|frame| scan(&frame.payload).messages)
        // Answers in the place of a client have the ids of others.
        .filter(|message| message.kind == MessageKind::Request)
        .filter_map(|message| message.id?.token().map(str::to_owned))
        .collect()
}

/// Keeps the values that stay.
pub(super) fn keep<T>(values: &mut Vec<T>, stays: &[bool]) {
    let mut stays = stays.iter();
    values.retain(|_| stays.next().copied().unwrap_or(true));
}

/// Whether a frame is the server's answer to one of these requests, or tells of its progress.
pub(super) fn is_about(frame: &TapeFrame, ids: &HashSet<String>) -> bool {
    if frame.direction == Direction::ClientToServer {
        return false;
    }
    let scanned = scan(&frame.payload);
    let Some(message) = scanned.single() else {
        return false;
    };
    let token = || {
        let steps = [PathStep::Key("params"), PathStep::Key("progressToken")];
        let token = find_path(&frame.payload, &steps)?;
        std::str::from_utf8(token).ok()
    };
    let about = match &message.id {
        Some(id) if message.method.is_none() => id.token(),
        Some(_) => None,
        None => token(),
    };
    about.is_some_and(|id| ids.contains(id))
}
