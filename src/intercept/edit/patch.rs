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
use crate::intercept::filter::nearest;

/// What an operation can be.
const OPERATIONS: [&str; 6] = ["add", "remove", "replace", "move", "copy", "test"];

/// Looks whether a patch can be carried out at all, whatever the document: its operations and what each of them needs.
///
/// # Errors
/// [`EditError::Operation`] with the first operation that cannot; [`EditError::Syntax`] and [`EditError::Patch`] if it is no
/// list of operations.
pub fn check_patch(patch: &[u8]) -> Result<(), EditError> {
    for (index, place) in operations(patch)?.enumerate() {
        if index == MAX_OPERATIONS {
            return Err(TOO_MANY);
        }
        let checked = Operation::read(patch, &place).and_then(|operation| operation.check());
        checked.map_err(|problem| of_operation(index, problem))?;
    }
    Ok(())
}

/// A patch of more operations than are carried out.
const TOO_MANY: EditError = EditError::Patch("a JSON Patch has at most 1000 operations");

/// Where the operations of a patch stand.
fn operations(patch: &[u8]) -> Result<impl Iterator<Item = Range<usize>>, EditError> {
    let list = read_as(EditedText::Patch, patch)?;
    if patch[list.start] != b'[' {
        return Err(EditError::Patch(
            "a JSON Patch is an array of operations such as [{\"op\":\"replace\",\"path\":\"/id\",\"value\":1}]",
        ));
    }
    let places: Vec<_> = children(patch, &list).map(|child| child.value).collect();
    Ok(places.into_iter())
}

fn of_operation(index: usize, problem: EditError) -> EditError {
    EditError::Operation {
        number: index + 1,
        problem: Box::new(problem),
    }
}

/// Carries out the operations in order, all or none.
pub(super) fn apply(document: &[u8], patch: &[u8]) -> Result<Vec<u8>, EditError> {
    read_as(EditedText::Message, document)?;
    let mut changed = document.to_vec();
    for (index, place) in operations(patch)?.enumerate() {
        if index == MAX_OPERATIONS {
            return Err(TOO_MANY);
        }
        let carried_out = Operation::read(patch, &place)
            .and_then(|operation| operation.apply(&changed))
            .and_then(|changed| within_bounds(document, changed));
        changed = carried_out.map_err(|problem| of_operation(index, problem))?;
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

    /// Whether it says what it needs.
    fn check(&self) -> Result<(), EditError> {
        match self.name.as_str() {
            "add" | "replace" | "test" => self.value().map(drop)?,
            "move" | "copy" => self.from().map(drop)?,
            "remove" => {}
            other => return Err(unknown(other)),
        }
        self.path().map(drop)
    }

    fn path(&self) -> Result<&[Step], EditError> {
        self.path.as_deref().ok_or(EditError::Patch("it has no `path`"))
    }

    fn from(&self) -> Result<&[Step], EditError> {
        self.from.as_deref().ok_or(EditError::Patch("it has no `from`"))
    }

    fn value(&self) -> Result<&'a [u8], EditError> {
        self.value.ok_or(EditError::Patch("it has no `value`"))
    }

    fn apply(&self, bytes: &[u8]) -> Result<Vec<u8>, EditError> {
        let path = self.path()?;
        let (from, value) = (|| self.from(), || self.value());
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
            other => Err(unknown(other)),
        }
    }
}

/// An operation of another name.
fn unknown(name: &str) -> EditError {
    let meant = nearest(name, OPERATIONS.into_iter());
    EditError::Unknown {
        op: shortened(name.as_bytes()),
        meant: meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?")),
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
