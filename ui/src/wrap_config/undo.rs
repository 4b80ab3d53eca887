//! What taking back comes to: the whole file as it was, or, if others have changed it since, only what is ours in it. Pure.

use std::collections::HashMap;

use super::differences::{self, is_same};
use super::edit::{self, Edit};
use crate::client_file::servers_of;
use crate::jsonc::{self, Node};

/// How a wrapped file is had back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Undoing {
    /// It is what wrapping made of it: all of it goes back.
    Whole,
    /// It was changed since.
    Parts {
        /// What was changed, in sentences.
        what: Vec<String>,
        parts: Parts,
    },
}

/// What can be taken back of a file that was changed since it was wrapped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// The file with the servers taken back; byte for byte as it is now outside of their entries.
    pub(super) text: String,
    /// Servers that are what they were before.
    pub(super) taken: Vec<String>,
    /// Wrapped servers that stay, and why.
    pub(super) left: Vec<(String, String)>,
}

/// How to get from `now` back to `before`, from which it was made.
pub(super) fn undoing(before: &str, now: &str) -> Undoing {
    let wrappers: HashMap<String, String> = edit::names(now)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(name, program)| Some((name, program?)))
        .collect();
    let wrapped = edit::wrap(before, &|name| wrappers.get(name).cloned());
    let expected = wrapped.map(|plan| plan.text).unwrap_or_default();
    if expected == now {
        return Undoing::Whole;
    }
    let mut what = differences::between(&expected, now);
    if what.is_empty() {
        what.push("blanks, comments or the order of its members are others".to_owned());
    }
    Undoing::Parts {
        what,
        parts: parts(before, &expected, now, &wrappers).unwrap_or_default(),
    }
}

/// `None` if one of the texts cannot be read.
fn parts(before: &str, expected: &str, now: &str, wrappers: &HashMap<String, String>) -> Option<Parts> {
    let roots = [before, expected, now].map(|text| jsonc::parse(text).ok());
    let [Some(old), Some(wrapped), Some(new)] = &roots else {
        return None;
    };
    let [old, wrapped, new] = [
        servers_of(old).ok()?,
        servers_of(wrapped).ok()?,
        servers_of(new).ok()?,
    ];
    let mut parts = Parts::default();
    let mut edits: Vec<Edit> = Vec::new();
    let ours = new
        .members()
        .iter()
        .filter(|member| wrappers.contains_key(&member.key));
    for member in ours {
        let name = member.key.clone();
        match taken_back(old.get(&name), wrapped.get(&name), &member.value) {
            Ok(None) => {}
            Ok(Some(entry)) => {
                edits.push((member.value.span.clone(), edit::raw(before, entry).to_owned()));
                parts.taken.push(name);
            }
            Err(reason) => parts.left.push((name, reason)),
        }
    }
    parts.text = edit::apply(now, edits);
    Some(parts)
}

/// The entry as it was before, in place of the wrapped one; `None` if it was wrapped before already.
fn taken_back<'a>(
    old: Option<&'a Node>,
    wrapped: Option<&Node>,
    now: &Node,
) -> Result<Option<&'a Node>, String> {
    let (Some(old), Some(wrapped)) = (old, wrapped) else {
        return Err("the backup has no server of this name".to_owned());
    };
    if old == wrapped || is_same(old, now) {
        return Ok(None);
    }
    if is_same(wrapped, now) {
        return Ok(Some(old));
    }
    let keys = differences::changed_keys(wrapped, now).join(", ");
    Err(format!("it has another {keys} since"))
}
