//! Saving one rule into a file that a person wrote: everything else in it stays as it is, comments included.

use std::fmt::Write as _;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use crate::intercept::rule::Rule;

use super::error::{Mistake, RulesError};
use super::node::Node;
use super::read::{self, Read};
use super::write::{Entry, block, entries};
use super::{check_size, parse};

/// The text of a file with this rule in it: changed in its place if there is one of its name, else behind the others.
///
/// Only the entries that mean something else than before are written anew, so comments stay; a changed entry that is
/// spread over several tables takes the lines of its rule with it.
///
/// # Errors
/// [`RulesError`] if the text is no file of rules, would be too large with this one, or if no file can say the rule.
pub fn with_rule(text: &str, rule: &Rule) -> Result<String, RulesError> {
    with_rule_at(text, rule, Place::Last)
}

/// As [`with_rule`], but a new rule goes before the others, so that it is asked first.
///
/// # Errors
/// As for [`with_rule`].
pub fn with_rule_first(text: &str, rule: &Rule) -> Result<String, RulesError> {
    with_rule_at(text, rule, Place::First)
}

/// Where a new rule goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Last,
}

fn with_rule_at(text: &str, rule: &Rule, place: Place) -> Result<String, RulesError> {
    let mut expected = parse(text)?;
    let candidates = candidates_with(text, rule, place).map_err(|mistake| mistake.within(text))?;
    match expected.iter_mut().find(|old| old.name == rule.name) {
        Some(old) => *old = rule.clone(),
        None if place == Place::First => expected.insert(0, rule.clone()),
        None => expected.push(rule.clone()),
    }
    let mut refused = None;
    for candidate in candidates {
        match parse(&candidate) {
            Ok(rules) if rules == expected => return Ok(candidate),
            Ok(_) => {}
            Err(error) => refused = Some(error),
        }
    }
    let unsaid = || {
        Mistake::new(
            0,
            format!("the rule `{}` cannot be written to the file", rule.name),
        )
    };
    Err(refused.unwrap_or_else(|| unsaid().within(text)))
}

/// The text of a file without the rule of this name, and without the comment lines directly above it, unless those
/// begin the file. The same text if there is none.
///
/// # Errors
/// [`RulesError`] if the text is no file of rules.
pub fn without_rule(text: &str, name: &str) -> Result<String, RulesError> {
    let cut = || {
        let document = read::document(text)?;
        let rules = read::rules(document.get_ref(), text)?;
        let found = rules.iter().find(|read| read.rule.name == name);
        Ok(found.map(|found| with_comments(text, lines_of(found, text))))
    };
    check_size(text)
        .and_then(|()| cut())
        .map(|range| {
            range.map_or_else(
                || text.to_owned(),
                |range| apply(text, vec![(range, String::new())]),
            )
        })
        .map_err(|mistake| mistake.within(text))
}

/// Texts that may be the answer, the least changed one first.
fn candidates_with(text: &str, rule: &Rule, place: Place) -> Result<Vec<String>, Mistake> {
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let written = block(rule).replace('\n', line_end);
    let document = read::document(text)?;
    let rules = read::rules(document.get_ref(), text)?;
    let Some(old) = rules.iter().find(|read| read.rule.name == rule.name) else {
        let first = rules.first().filter(|_| place == Place::First);
        return Ok(vec![match first {
            Some(first) => insert_before(text, lines_of(first, text), &written, line_end),
            None => append(text, &written, line_end),
        }]);
    };
    let mut candidates = Vec::new();
    if let Some(edits) = edits(old, rule, text, line_end) {
        candidates.push(apply(text, edits));
    }
    candidates.push(apply(text, vec![(lines_of(old, text), written)]));
    Ok(candidates)
}

fn append(text: &str, written: &str, line_end: &str) -> String {
    let mut appended = text.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        appended.push_str(line_end);
    }
    if !text.trim().is_empty() {
        appended.push_str(line_end);
    }
    appended + written
}

/// Before the rule in these lines, and the comments above that are about it.
fn insert_before(text: &str, lines: Range<usize>, written: &str, line_end: &str) -> String {
    let at = with_comments(text, lines).start;
    apply(text, vec![(at..at, format!("{written}{line_end}"))])
}

type Edit = (Range<usize>, String);

/// What to write where so that the old rule becomes the new one; `None` if its entries are spread over tables.
fn edits(old: &Read<'_>, rule: &Rule, text: &str, line_end: &str) -> Option<Vec<Edit>> {
    let (before, after) = (entries(&old.rule), entries(rule));
    let mut edits = Vec::new();
    for node in old.table.entries() {
        let had = value_of(&before, node.key);
        match value_of(&after, node.key) {
            Some(value) if had != Some(value) => {
                edits.push((plain(node, text)?.span(), value.to_owned()));
            }
            None if had.is_some() => {
                let node = plain(node, text)?;
                edits.push((whole_lines(node.key_at..node.span().end, text), String::new()));
            }
            _ => {}
        }
    }
    let missing = after.iter().filter(|(key, _)| old.table.get(key).is_none());
    let mut lines = String::new();
    for (key, value) in missing {
        let _ = write!(lines, "{key} = {value}{line_end}");
    }
    if !lines.is_empty() {
        edits.push(insertion(old, text, lines, line_end)?);
    }
    Some(edits)
}

fn value_of<'e>(entries: &'e [Entry], key: &str) -> Option<&'e str> {
    let found = entries.iter().find(|(name, _)| *name == key)?;
    Some(&found.1)
}

/// New lines behind the last one that has a key and its value.
fn insertion(old: &Read<'_>, text: &str, lines: String, line_end: &str) -> Option<Edit> {
    let last = old
        .table
        .entries()
        .iter()
        .rev()
        .find_map(|node| plain(node, text))?;
    let at = whole_lines(last.span(), text).end;
    let has_end = text.get(..at).is_some_and(|before| before.ends_with('\n'));
    let lines = if has_end {
        lines
    } else {
        format!("{line_end}{lines}")
    };
    Some((at..at, lines))
}

/// The node if it was written as `key = value`, and not as a table of its own or with dots.
fn plain<'n, 't>(node: &'n Node<'t>, text: &str) -> Option<&'n Node<'t>> {
    let between = text.get(node.key_at..node.at())?;
    between.trim_end().ends_with('=').then_some(node)
}

/// All lines of a rule from its `[[rule]]` on.
fn lines_of(read: &Read<'_>, text: &str) -> Range<usize> {
    let end = read.table.entries().iter().map(|node| end_of(node.value)).max();
    whole_lines(read.at..end.unwrap_or(read.at), text)
}

/// Where a value ends, with all that is in it: a table may go on under further headers.
fn end_of(value: &Spanned<DeValue<'_>>) -> usize {
    let inside = match value.get_ref() {
        DeValue::Array(list) => list.iter().map(end_of).max(),
        DeValue::Table(table) => table.iter().map(|(_, value)| end_of(value)).max(),
        _ => None,
    };
    inside.map_or(value.span().end, |inside| inside.max(value.span().end))
}

fn whole_lines(range: Range<usize>, text: &str) -> Range<usize> {
    let start = text.get(..range.start).and_then(|before| before.rfind('\n'));
    let end = text.get(range.end..).and_then(|after| after.find('\n'));
    start.map_or(0, |at| at + 1)..end.map_or(text.len(), |at| range.end + at + 1)
}

/// The range with the comment lines directly above it and the blank lines below.
fn with_comments(text: &str, range: Range<usize>) -> Range<usize> {
    let mut start = range.start;
    while let Some(above) = start.checked_sub(1) {
        let line = whole_lines(above..above, text);
        let is_comment = text
            .get(line.clone())
            .is_some_and(|line| line.trim_start().starts_with('#'));
        if !is_comment {
            break;
        }
        start = line.start;
    }
    // What begins the file is more likely about the file than about its first rule.
    let start = if start == 0 { range.start } else { start };
    let after = text.get(range.end..).unwrap_or_default();
    let blank = after
        .split_inclusive('\n')
        .take_while(|line| line.trim().is_empty());
    start..range.end + blank.map(str::len).sum::<usize>()
}

fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut edited = text.to_owned();
    for (range, written) in edits.into_iter().rev() {
        edited.replace_range(range, &written);
    }
    edited
}
