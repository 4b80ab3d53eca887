//! A message as a list of fields, for looking and for editing in place.

use std::ops::Range;

use super::path::{Located, locate, parse, push_index, push_key};
use super::reader::{Event, Reader, children, read};
use crate::codec::json::string_value;

/// Most lines of [`fields`]; what is behind them is left out.
pub const MAX_FIELDS: usize = 10_000;
/// Longest text of all paths of a list together, in bytes; what is behind them is left out.
pub const MAX_PATH_BYTES: usize = 4 << 20;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// `{}`.
    Object,
    /// `[]`.
    Array,
    /// A text in quotes.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
}

impl FieldKind {
    pub(super) fn of(first: u8) -> Self {
        match first {
            b'{' => Self::Object,
            b'[' => Self::Array,
            b'"' => Self::Text,
            b't' | b'f' => Self::Bool,
            b'n' => Self::Null,
            _ => Self::Number,
        }
    }
}

/// One value of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldLine {
    /// Where it is, as [`Change::Set`](super::Change::Set) takes it. Of members with the same name all have the same
    /// path, and the last one is meant by it.
    pub path: String,
    /// How many objects and arrays it is in.
    pub depth: usize,
    /// Its decoded name, or its place in an array such as `[0]`; `$` for the message itself.
    pub key: String,
    /// What it is.
    pub kind: FieldKind,
    /// A text, number or word as it is spelled, bad UTF-8 as U+FFFD; empty for objects and arrays, which
    /// [`value_at`] gives.
    pub value: String,
    /// How many members or elements it has.
    pub children: usize,
    /// Where it stands in the document, in bytes.
    pub span: Range<usize>,
}

/// The text of the value at a path, as it is spelled. `None` if there is none, if the document is no JSON, and if the
/// value is no UTF-8.
pub fn value_at<'a>(document: &'a [u8], path: &str) -> Option<&'a str> {
    std::str::from_utf8(&document[span_at(document, path)?]).ok()
}

/// Where the value at a path stands, in bytes.
pub(super) fn span_at(document: &[u8], path: &str) -> Option<Range<usize>> {
    span_in(document, &read(document).ok()?, path)
}

/// Where the value at a path stands in a document that was checked and whose value is at `root`.
pub(super) fn span_in(document: &[u8], root: &Range<usize>, path: &str) -> Option<Range<usize>> {
    match locate(document, root, &parse(path).ok()?).ok()? {
        Located::Value(place) => Some(place),
        Located::Missing { .. } => None,
    }
}

/// The values of a document in order, each object and array before what is in it.
///
/// At most [`MAX_FIELDS`] lines, whose paths have at most [`MAX_PATH_BYTES`] together. Empty if the document is no JSON.
pub fn fields(document: &[u8]) -> Vec<FieldLine> {
    if read(document).is_err() {
        return Vec::new();
    }
    let mut list = List {
        document,
        lines: Vec::new(),
        path_bytes: 0,
        open: Vec::new(),
        key: None,
    };
    for event in Reader::new(document).map_while(Result::ok) {
        if !list.take(event) {
            break;
        }
    }
    list.close_cut();
    list.lines
}

struct List<'a> {
    document: &'a [u8],
    lines: Vec<FieldLine>,
    path_bytes: usize,
    /// The lines of the objects and arrays around the next value.
    open: Vec<usize>,
    key: Option<Range<usize>>,
}

impl List<'_> {
    /// Takes the next piece; returns whether there was room for it.
    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Key(key) => self.key = Some(key),
            Event::Scalar(place) => return self.push(place),
            Event::Open(at) => {
                if !self.push(at..at + 1) {
                    return false;
                }
                self.open.push(self.lines.len() - 1);
            }
            Event::Close(at) => {
                if let Some(line) = self.open.pop() {
                    self.lines[line].span.end = at + 1;
                }
            }
        }
        true
    }

    fn push(&mut self, span: Range<usize>) -> bool {
        let (path, key) = self.name();
        self.path_bytes += path.len();
        if self.lines.len() == MAX_FIELDS || self.path_bytes > MAX_PATH_BYTES {
            return false;
        }
        if let Some(parent) = self.open.last() {
            self.lines[*parent].children += 1;
        }
        let raw = &self.document[span.clone()];
        let kind = FieldKind::of(raw[0]);
        let is_container = matches!(kind, FieldKind::Object | FieldKind::Array);
        let value = if is_container { &raw[..0] } else { raw };
        self.lines.push(FieldLine {
            path,
            depth: self.open.len(),
            key,
            kind,
            value: String::from_utf8_lossy(value).into_owned(),
            children: 0,
            span,
        });
        true
    }

    /// Path and name of the next value.
    fn name(&mut self) -> (String, String) {
        let Some(parent) = self.open.last().map(|parent| &self.lines[*parent]) else {
            return ("$".to_owned(), "$".to_owned());
        };
        let mut path = parent.path.clone();
        let mut name = String::new();
        if let Some(key) = self.key.take() {
            let key = string_value(&self.document[key]);
            push_key(&mut path, &key);
            name.push_str(&key);
        } else {
            push_index(&mut path, parent.children);
            push_index(&mut name, parent.children);
        }
        (path, name)
    }

    /// Completes the lines of what is still open because the list is cut.
    fn close_cut(&mut self) {
        let mut around = read(self.document).unwrap_or_default();
        for line in std::mem::take(&mut self.open) {
            let line = &mut self.lines[line];
            let start = line.span.start;
            line.span.end = if start == around.start {
                around.end
            } else {
                let found = children(self.document, &around).find(|child| child.value.start == start);
                found.map_or(around.end, |child| child.value.end)
            };
            around = line.span.clone();
            line.children = children(self.document, &around).count();
        }
    }
}
