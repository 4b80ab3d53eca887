//! JSON Patch.
//!
//! Source: RFC 6902; the pointers are those of RFC 6901.

use std::ops::Range;

use super::apply::{quoted, read_as, remove, with_child, within_bounds};
use super::equal::is_equal;
use super::error::{EditError, EditedText, MAX_OPERATIONS, shortened};
use super::path::{Located, Step, existing, locate, not_there, parse_pointer, written};
use super::reader::{Child, children, read};
use super::splice::{Act, Splice, Style, edit_children, spliced};
use crate::codec::json::string_value;

/// Carries out the operations in order, all or none.
pub(super) fn apply(document: &[u8], patch: &[u8]) -> Result<Vec<u8>, EditError> {
    read_as(EditedText::Message, document)?;
    let operations = read_as(EditedText::Patch, patch)?;
    if patch[operations.start] != b'[' {
        return Err(EditError::Patch(
            "a JSON Patch is an array of operations such as [{\"op\":\"replace\",\"path\":\"/id\",\"value\":1}]",
        ));
    }
    let mut changed = document.to_vec();
    for (index, operation) in children(patch, &operations).enumerate() {
        if index == MAX_OPERATIONS {
            return Err(EditError::Patch("a JSON Patch has at most 1000 operations"));
        }
        let carried_out = Operation::read(patch, &operation.value)
            .and_then(|operation| operation.apply(&changed))
            .and_then(|changed| within_bounds(document, changed));
        changed = carried_out.map_err(|problem| EditError::Operation {
            number: index + 1,
            problem: Box::new(problem),
        })?;
    }
    Ok(changed)
}

/// One operation.
#[derive(Debug, Default)]
struct Operation<'a> {
    name: String,
    path: Option<Vec<Step>>,
    from: Option<Vec<Step>>,
    value: Option<&'a [u8]>,
}

impl<'a> Operation<'a> {
    fn read(patch: &'a [u8], place: &Range<usize>) -> Result<Self, EditError> {
        let mut operation = Self::default();
        if patch[place.start] != b'{' {
            return Err(EditError::Patch("it is no object"));
        }
        for child in children(patch, place) {
            let raw = &patch[child.value];
            let name = child.key.map(|key| string_value(&patch[key]));
            match name.as_deref() {
                Some("op") => operation.name = string_value(raw).into_owned(),
                Some("path") => operation.path = Some(pointer(raw)?),
                Some("from") => operation.from = Some(pointer(raw)?),
                Some("value") => operation.value = Some(raw),
                _ => {}
            }
        }
        Ok(operation)
    }

    fn apply(&self, bytes: &[u8]) -> Result<Vec<u8>, EditError> {
        let path = self.path.as_deref().ok_or(EditError::Patch("it has no `path`"))?;
        let from = || self.from.as_deref().ok_or(EditError::Patch("it has no `from`"));
        let value = || self.value.ok_or(EditError::Patch("it has no `value`"));
        match self.name.as_str() {
            "add" => add(bytes, path, value()?),
            "remove" => remove(bytes, &root(bytes), path),
            "replace" => Ok(spliced(
                bytes,
                vec![Splice::new(existing(bytes, &root(bytes), path)?, value()?)],
            )),
            "copy" => add(bytes, path, &bytes[existing(bytes, &root(bytes), from()?)?]),
            "move" => move_value(bytes, from()?, path),
            "test" => test(bytes, path, value()?),
            _ => Err(EditError::Patch(
                "its `op` is none of add, remove, replace, move, copy and test",
            )),
        }
    }
}

fn pointer(raw: &[u8]) -> Result<Vec<Step>, EditError> {
    if !raw.starts_with(b"\"") {
        return Err(EditError::Patch("its `path` or `from` is no text"));
    }
    parse_pointer(&string_value(raw))
}

/// Where the value of a document stands that was checked after each operation.
fn root(bytes: &[u8]) -> Range<usize> {
    read(bytes).unwrap_or(0..bytes.len())
}

/// Source: RFC 6902, section 4.1: the object or array itself has to be there.
fn add(bytes: &[u8], steps: &[Step], value: &[u8]) -> Result<Vec<u8>, EditError> {
    let root = root(bytes);
    let Some((last, parents)) = steps.split_last() else {
        return Ok(spliced(bytes, vec![Splice::new(root, value)]));
    };
    let container = existing(bytes, &root, parents)?;
    let style = Style::of(bytes, &container, &Style::of(bytes, &root, &Style::tight()));
    let refused = || not_there(bytes, &container, steps, steps.len() - 1);
    match bytes[container.start] {
        b'{' => {
            let key = last.key().ok_or_else(refused)?;
            match locate(bytes, &container, std::slice::from_ref(last))? {
                Located::Value(place) => Ok(spliced(bytes, vec![Splice::new(place, value)])),
                Located::Missing { .. } => {
                    let member = style.member(&quoted(key), value);
                    Ok(with_child(bytes, &container, &style, member))
                }
            }
        }
        b'[' => {
            let length = children(bytes, &container).count();
            let index = last.index(length).filter(|index| *index <= length);
            let index = index.ok_or_else(refused)?;
            Ok(insert(bytes, &container, &style, index, value))
        }
        _ => Err(refused()),
    }
}

fn insert(bytes: &[u8], array: &Range<usize>, style: &Style, index: usize, value: &[u8]) -> Vec<u8> {
    let mut at = 0;
    let mut is_inserted = false;
    let mut act = |_: &Child| {
        let is_here = at == index;
        at += 1;
        is_inserted |= is_here;
        if is_here {
            Act::Behind(value.to_vec())
        } else {
            Act::Keep
        }
    };
    let mut splices = Vec::new();
    edit_children(bytes, array, style, &mut act, &[], &mut splices);
    if is_inserted {
        return spliced(bytes, splices);
    }
    with_child(bytes, array, style, value.to_vec())
}

fn move_value(bytes: &[u8], from: &[Step], to: &[Step]) -> Result<Vec<u8>, EditError> {
    let value = bytes[existing(bytes, &root(bytes), from)?].to_vec();
    if from == to {
        return Ok(bytes.to_vec());
    }
    if to.starts_with(from) {
        return Err(EditError::Patch("a value cannot be moved into itself"));
    }
    add(&remove(bytes, &root(bytes), from)?, to, &value)
}

fn test(bytes: &[u8], steps: &[Step], value: &[u8]) -> Result<Vec<u8>, EditError> {
    let found = &bytes[existing(bytes, &root(bytes), steps)?];
    if is_equal(found, value) {
        return Ok(bytes.to_vec());
    }
    Err(EditError::Test {
        path: written(steps),
        found: shortened(found),
    })
}
