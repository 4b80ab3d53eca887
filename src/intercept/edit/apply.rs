//! Making a change.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use super::error::{EditError, EditedText, MAX_RESULT_BYTES};
use super::path::{self, Located, Step, existing, locate, not_there};
use super::reader::{Child, TOO_DEEP, children, read};
use super::splice::{Act, Splice, Style, edit_children, spliced};
use super::{Change, patch};
use crate::codec::json::string_value;

/// The document with the change made. What the change does not touch stays byte for byte: the spelling of numbers and
/// texts, the order of members, white space, names that come twice, a byte order mark.
///
/// - A value takes the place of the old one, a new member stands behind the last, set apart as its neighbours are, and
///   what goes takes its comma with it.
/// - Of members with the same name the last one is set, as most readers see that one; all of them are removed.
/// - [`Change::Set`] makes the objects that are missing on the way, and an element behind the last of an array.
/// - Header changes are no changes of a document: it comes back as it is. So does one that a patch leaves alone.
///
/// Time is linear in the document for each step of a path and each operation of a patch.
///
/// # Errors
/// [`EditError`], with the path and what is there instead, or with line and column of what is no JSON. Beyond
/// [`MAX_NESTING`](super::MAX_NESTING), [`MAX_OPERATIONS`](super::MAX_OPERATIONS) and [`MAX_RESULT_BYTES`] too.
///
/// Source: RFC 6902 (JSON Patch), RFC 7396 (JSON Merge Patch).
pub fn apply(document: &[u8], change: &Change) -> Result<Vec<u8>, EditError> {
    let changed = match change {
        Change::SetHeader { .. } | Change::RemoveHeader { .. } => return Ok(document.to_vec()),
        Change::Text(text) => return Ok(text.clone().into_bytes()),
        Change::Patch(operations) => return patch::apply(document, operations.as_bytes()),
        Change::Set { path, value } => {
            let root = read_as(EditedText::Message, document)?;
            let place = read_as(EditedText::Value, value.as_bytes())?;
            set(document, &root, &path::parse(path)?, &value.as_bytes()[place])?
        }
        Change::Remove { path } => {
            let root = read_as(EditedText::Message, document)?;
            remove(document, &root, &path::parse(path)?)?
        }
        Change::Merge(merge_patch) => merge(document, merge_patch.as_bytes())?,
    };
    within_bounds(document, changed)
}

/// Checks a text that has to be JSON; where its value stands.
pub(super) fn read_as(text: EditedText, bytes: &[u8]) -> Result<Range<usize>, EditError> {
    read(bytes).map_err(|problem| EditError::Syntax { text, problem })
}

/// Refuses a result that is too large or too deep.
pub(super) fn within_bounds(before: &[u8], changed: Vec<u8>) -> Result<Vec<u8>, EditError> {
    if changed.len() > MAX_RESULT_BYTES.max(before.len()) {
        return Err(EditError::TooLarge);
    }
    match read(&changed) {
        Err(problem) if problem.text == TOO_DEEP => Err(EditError::TooDeep),
        Err(problem) => Err(EditError::Syntax {
            text: EditedText::Message,
            problem,
        }),
        Ok(_) => Ok(changed),
    }
}

/// Puts a value at a path.
pub(super) fn set(
    bytes: &[u8],
    root: &Range<usize>,
    steps: &[Step],
    value: &[u8],
) -> Result<Vec<u8>, EditError> {
    match locate(bytes, root, steps)? {
        Located::Value(place) => Ok(spliced(bytes, vec![Splice::new(place, value)])),
        Located::Missing {
            container,
            steps: taken,
        } => {
            let style = Style::of(bytes, &container, &Style::of(bytes, root, &Style::tight()));
            let missing = || not_there(bytes, &container, steps, taken);
            let inner = steps.get(taken + 1..).unwrap_or_default();
            let value = wrapped(inner, value, &style).ok_or_else(missing)?;
            let added = if bytes[container.start] == b'{' {
                let key = steps[taken].key().ok_or_else(missing)?;
                style.member(&quoted(key), &value)
            } else {
                let length = children(bytes, &container).count();
                let index = steps[taken].index(length);
                index.filter(|index| *index == length).ok_or_else(missing)?;
                value
            };
            Ok(with_child(bytes, &container, &style, added))
        }
    }
}

/// The value inside of the objects and arrays that the steps name. `None` if a step leads behind the end of an array.
fn wrapped(steps: &[Step], value: &[u8], style: &Style) -> Option<Vec<u8>> {
    let mut value = value.to_vec();
    for step in steps.iter().rev() {
        value = match step.key() {
            Some(key) => [b"{", &style.member(&quoted(key), &value)[..], b"}"].concat(),
            None => step
                .index(0)
                .filter(|index| *index == 0)
                .map(|_| [b"[", &value[..], b"]"].concat())?,
        };
    }
    Some(value)
}

/// The container with one more child behind the last.
pub(super) fn with_child(bytes: &[u8], container: &Range<usize>, style: &Style, child: Vec<u8>) -> Vec<u8> {
    let mut splices = Vec::new();
    edit_children(
        bytes,
        container,
        style,
        &mut |_| Act::Keep,
        &[child],
        &mut splices,
    );
    spliced(bytes, splices)
}

/// A name as JSON.
pub(super) fn quoted(key: &str) -> Vec<u8> {
    serde_json::Value::from(key).to_string().into_bytes()
}

/// Takes out what is at a path.
pub(super) fn remove(bytes: &[u8], root: &Range<usize>, steps: &[Step]) -> Result<Vec<u8>, EditError> {
    let (last, parents) = steps.split_last().ok_or(EditError::Root)?;
    existing(bytes, root, steps)?;
    let container = existing(bytes, root, parents)?;
    let mut index = 0;
    let mut act = |child: &Child| {
        let is_wanted = match (&child.key, last.key()) {
            (Some(name), Some(key)) => path::is_key(&bytes[name.clone()], key),
            (Some(_), None) => false,
            (None, _) => last.index(usize::MAX) == Some(index),
        };
        index += 1;
        if is_wanted { Act::Remove } else { Act::Keep }
    };
    let mut splices = Vec::new();
    edit_children(bytes, &container, &Style::tight(), &mut act, &[], &mut splices);
    Ok(spliced(bytes, splices))
}

/// Merges a patch in.
///
/// Source: RFC 7396, section 2.
fn merge(document: &[u8], merge_patch: &[u8]) -> Result<Vec<u8>, EditError> {
    let root = read_as(EditedText::Message, document)?;
    let patch_root = read_as(EditedText::Patch, merge_patch)?;
    if document[root.start] != b'{' || merge_patch[patch_root.start] != b'{' {
        let value = without_nulls(merge_patch, &patch_root);
        return Ok(spliced(document, vec![Splice::new(root, &value)]));
    }
    let style = Style::of(document, &root, &Style::tight());
    let mut splices = Vec::new();
    let mut pairs = vec![(root, patch_root)];
    while let Some((target, patch)) = pairs.pop() {
        merge_object(
            document,
            &target,
            merge_patch,
            &patch,
            &style,
            &mut pairs,
            &mut splices,
        );
    }
    Ok(spliced(document, splices))
}

/// A member of a merge patch.
struct Wish {
    key: Range<usize>,
    value: Range<usize>,
    /// Where the value stands that it is about: the last of that name.
    target: Option<Range<usize>>,
}

/// Merges one object into another; those inside of it are left to the caller, in `pairs`.
fn merge_object(
    document: &[u8],
    target: &Range<usize>,
    merge_patch: &[u8],
    patch: &Range<usize>,
    outer: &Style,
    pairs: &mut Vec<(Range<usize>, Range<usize>)>,
    splices: &mut Vec<Splice>,
) {
    let (mut wishes, by_name) = wishes(merge_patch, patch);
    let name = |child: &Child| child.key.clone().map(|key| string_value(&document[key]));
    let wish_of = |child: &Child| by_name.get(&*name(child)?).copied();
    for child in children(document, target) {
        if let Some(wish) = wish_of(&child) {
            wishes[wish].target = Some(child.value);
        }
    }
    let is_object = |bytes: &[u8], value: &Range<usize>| bytes[value.start] == b'{';
    let mut act = |child: &Child| {
        let Some(wish) = wish_of(child).map(|wish| &wishes[wish]) else {
            return Act::Keep;
        };
        if is_null(merge_patch, &wish.value) {
            return Act::Remove;
        }
        if wish.target.as_ref() != Some(&child.value) {
            return Act::Keep;
        }
        if is_object(document, &child.value) && is_object(merge_patch, &wish.value) {
            pairs.push((child.value.clone(), wish.value.clone()));
            return Act::Keep;
        }
        Act::Replace(without_nulls(merge_patch, &wish.value))
    };
    let style = Style::of(document, target, outer);
    let is_new = |wish: &&Wish| wish.target.is_none() && !is_null(merge_patch, &wish.value);
    let added: Vec<Vec<u8>> = wishes
        .iter()
        .filter(is_new)
        .map(|wish| {
            style.member(
                &merge_patch[wish.key.clone()],
                &without_nulls(merge_patch, &wish.value),
            )
        })
        .collect();
    edit_children(document, target, &style, &mut act, &added, splices);
}

/// The members of a merge patch in order, of the same name the last, and where they are by name.
fn wishes(merge_patch: &[u8], patch: &Range<usize>) -> (Vec<Wish>, HashMap<String, usize>) {
    let mut wishes: Vec<Wish> = Vec::new();
    let mut by_name = HashMap::new();
    for child in children(merge_patch, patch) {
        let Some(key) = child.key else { continue };
        let wish = Wish {
            key: key.clone(),
            value: child.value,
            target: None,
        };
        match by_name.entry(string_value(&merge_patch[key]).into_owned()) {
            Entry::Occupied(entry) => wishes[*entry.get()] = wish,
            Entry::Vacant(entry) => {
                entry.insert(wishes.len());
                wishes.push(wish);
            }
        }
    }
    (wishes, by_name)
}

fn is_null(bytes: &[u8], value: &Range<usize>) -> bool {
    bytes[value.start] == b'n'
}

/// A value of a merge patch that meets nothing it could be merged into: its `null` members, which remove, have nothing
/// to remove. Arrays are not looked into.
fn without_nulls(merge_patch: &[u8], value: &Range<usize>) -> Vec<u8> {
    let mut splices = Vec::new();
    let mut objects = vec![value.clone()];
    while let Some(object) = objects.pop() {
        if merge_patch[object.start] != b'{' {
            continue;
        }
        let mut act = |child: &Child| {
            if is_null(merge_patch, &child.value) {
                return Act::Remove;
            }
            objects.push(child.value.clone());
            Act::Keep
        };
        edit_children(merge_patch, &object, &Style::tight(), &mut act, &[], &mut splices);
    }
    let changed = spliced(&merge_patch[..value.end], splices);
    changed[value.start..].to_vec()
}
