//! Tables of the file as rules.

use toml::Spanned;
use toml::de::DeTable;

use crate::intercept::filter::{Filter, direction_word, nearest};
use crate::intercept::rule::{Hits, OnExpire, Rule, WhileHeld};
use crate::intercept::rules::{MAX_NAME_BYTES, MAX_RULES};
use crate::snapshot::Direction;

use super::error::Mistake;
use super::node::{Node, Table, list};
use super::verdict;

pub(super) const KEYS: [&str; 14] = [
    "name",
    "on",
    "when",
    "direction",
    "hits",
    "then",
    "replace",
    "answer",
    "refuse",
    "delay",
    "fault",
    "on-expire",
    "early-stream",
    "synthetic-progress",
];

const WHOLE: std::ops::Range<u64> = 1..u64::MAX;

/// A rule with the table it was read from.
pub(super) struct Read<'t> {
    pub(super) rule: Rule,
    pub(super) table: Table<'t>,
    /// Byte of the text at which its `[[rule]]` begins.
    pub(super) at: usize,
}

pub(super) fn rules<'t>(document: &'t DeTable<'t>, text: &'t str) -> Result<Vec<Read<'t>>, Mistake> {
    let document = Table::new(document, 0, text);
    document.only(&["rule"])?;
    let Some(entry) = document.get("rule") else {
        return Ok(Vec::new());
    };
    let tables = entry.as_list().filter(|tables| tables.iter().all(has_header));
    let tables = tables.ok_or_else(|| {
        Mistake::new(
            entry.key_at,
            "each rule is a table of its own; begin it with a line [[rule]]",
        )
    })?;
    if let Some(first_too_many) = tables.get(MAX_RULES) {
        return Err(first_too_many.wrong(format!("a file has at most {MAX_RULES} rules")));
    }
    let mut rules: Vec<Read<'t>> = Vec::new();
    let mut names = std::collections::HashSet::new();
    for table in tables {
        let read = read(&table)?;
        if !names.insert(read.rule.name.clone()) {
            let at = read.table.get("name").map_or(read.at, |name| name.at());
            let message = format!("there is a rule `{}` already; names are unique", read.rule.name);
            return Err(Mistake::new(at, message));
        }
        rules.push(read);
    }
    Ok(rules)
}

/// Whether a table was written under a line of its own, and not between braces.
fn has_header(table: &Node<'_>) -> bool {
    table.as_table().is_some()
        && table
            .text
            .get(table.at()..)
            .is_some_and(|rest| rest.starts_with("[["))
}

fn read<'t>(node: &Node<'t>) -> Result<Read<'t>, Mistake> {
    let table = node.table("[[rule]]")?;
    table.only(&KEYS)?;
    let rule = Rule {
        name: name(&table.need("name", "name = \"…\"")?)?,
        is_on: table.get("on").map_or(Ok(true), |node| node.boolean())?,
        when: table
            .get("when")
            .map_or_else(|| Ok(Filter::all()), |node| filter(&node))?,
        direction: table.get("direction").map(|node| direction(&node)).transpose()?,
        hits: table.get("hits").map_or(Ok(Hits::Always), |node| hits(&node))?,
        verdict: verdict::read(&table, node.at())?,
        on_expire: table.get("on-expire").map(|node| on_expire(&node)).transpose()?,
        while_held: while_held(&table)?,
    };
    Ok(Read {
        rule,
        table,
        at: node.at(),
    })
}

fn name(node: &Node<'_>) -> Result<String, Mistake> {
    let name = node.string()?;
    if name.trim().is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        let what = format!("a text of 1 to {MAX_NAME_BYTES} bytes on one line");
        return Err(node.expected(&what));
    }
    Ok(name.to_owned())
}

fn filter(node: &Node<'_>) -> Result<Filter, Mistake> {
    Filter::parse(node.string()?)
        .map_err(|error| Mistake::new(node.character_at(error.column), error.message))
}

fn direction(node: &Node<'_>) -> Result<Direction, Mistake> {
    let chosen = word(node, &Direction::ALL.map(direction_word))?;
    let known = Direction::ALL
        .into_iter()
        .find(|known| direction_word(*known) == chosen);
    Ok(known.unwrap_or(Direction::ClientToServer))
}

fn on_expire(node: &Node<'_>) -> Result<OnExpire, Mistake> {
    let chosen = word(node, &OnExpire::ALL.map(OnExpire::name))?;
    let found = OnExpire::ALL.into_iter().find(|choice| choice.name() == chosen);
    Ok(found.unwrap_or(OnExpire::Wait))
}

fn while_held(table: &Table<'_>) -> Result<WhileHeld, Mistake> {
    let holds = table
        .get("then")
        .is_some_and(|then| then.as_text() == Some("hold"));
    let is_wanted = |key: &str| match table.get(key) {
        None => Ok(false),
        Some(node) if holds => node.boolean(),
        Some(node) => Err(Mistake::new(
            node.key_at,
            format!("`{key}` is for rules that hold; write then = \"hold\""),
        )),
    };
    Ok(WhileHeld {
        early_stream: is_wanted("early-stream")?,
        synthetic_progress: is_wanted("synthetic-progress")?,
    })
}

fn hits(node: &Node<'_>) -> Result<Hits, Mistake> {
    let Some(table) = node.as_table() else {
        return match word(node, &["always", "once", "next"])? {
            "always" => Ok(Hits::Always),
            _ => Ok(Hits::Once),
        };
    };
    let entry = table.single(&["nth", "every", "after", "percent"])?;
    match entry.key {
        "nth" => entry.count(WHOLE).map(Hits::Nth),
        "every" => entry.count(WHOLE).map(Hits::Every),
        "after" => entry.count(0..u64::MAX).map(Hits::After),
        _ => percent(&entry).map(Hits::Percent),
    }
}

fn percent(node: &Node<'_>) -> Result<f64, Mistake> {
    let number = node.number().filter(|number| (0.0..=100.0).contains(number));
    number.ok_or_else(|| node.expected("a number from 0 to 100"))
}

/// One of a few words.
pub(super) fn word<'t>(node: &Node<'t>, known: &[&str]) -> Result<&'t str, Mistake> {
    let typed = node
        .as_text()
        .ok_or_else(|| node.expected(&format!("one of {} in quotes", list(known))))?;
    if known.contains(&typed) {
        return Ok(typed);
    }
    let message = match nearest(typed, known.iter().copied()) {
        Some(meant) => format!("`{}` cannot be `{typed}`; did you mean `{meant}`?", node.key),
        None => format!("`{}` cannot be `{typed}`; write one of {}", node.key, list(known)),
    };
    Err(node.wrong(message))
}

/// Reads the whole text as a table.
pub(super) fn document(text: &str) -> Result<Spanned<DeTable<'_>>, Mistake> {
    DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        Mistake::new(at, error.message())
    })
}
