//! Values of the file with their places, so that every mistake is told where it was made.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::intercept::filter::nearest;
use crate::intercept::rules::units::{read_size, read_time};

use super::error::Mistake;
use super::json;

/// A value, the key it was written under, and where.
#[derive(Clone, Copy)]
pub(super) struct Node<'t> {
    pub(super) key: &'t str,
    /// Byte of the text at which the key begins.
    pub(super) key_at: usize,
    pub(super) value: &'t Spanned<DeValue<'t>>,
    pub(super) text: &'t str,
}

/// The entries of a table in the order in which they were written.
pub(super) struct Table<'t> {
    entries: Vec<Node<'t>>,
    at: usize,
}

impl<'t> Table<'t> {
    pub(super) fn new(table: &'t DeTable<'t>, at: usize, text: &'t str) -> Self {
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| Node {
                key: key.get_ref(),
                key_at: key.span().start,
                value,
                text,
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_at);
        Self { entries, at }
    }

    pub(super) fn entries(&self) -> &[Node<'t>] {
        &self.entries
    }

    pub(super) fn get(&self, key: &str) -> Option<Node<'t>> {
        self.entries.iter().find(|entry| entry.key == key).copied()
    }

    pub(super) fn need(&self, key: &str, example: &str) -> Result<Node<'t>, Mistake> {
        self.get(key)
            .ok_or_else(|| Mistake::new(self.at, format!("`{key}` is missing; write {example}")))
    }

    /// Refuses every key but these.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Mistake> {
        let unknown = self.entries.iter().find(|entry| !known.contains(&entry.key));
        unknown.map_or(Ok(()), |entry| Err(entry.unknown(known)))
    }

    /// The one entry of a table that has to have exactly one of these.
    pub(super) fn single(&self, known: &[&str]) -> Result<Node<'t>, Mistake> {
        self.only(known)?;
        match self.entries.as_slice() {
            [entry] => Ok(*entry),
            [] => Err(Mistake::new(self.at, format!("write one of {}", list(known)))),
            [first, second, ..] => Err(Mistake::new(
                second.key_at,
                format!("`{}` is there already; write one of the two", first.key),
            )),
        }
    }
}

impl<'t> Node<'t> {
    /// Byte of the text at which the value begins.
    pub(super) fn at(&self) -> usize {
        self.value.span().start
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    fn inner(&self) -> &'t DeValue<'t> {
        self.value.get_ref()
    }

    pub(super) fn wrong(&self, message: impl Into<String>) -> Mistake {
        Mistake::new(self.at(), message)
    }

    /// That something else belongs here, such as `a text in quotes`.
    pub(super) fn expected(&self, what: &str) -> Mistake {
        self.wrong(format!("`{}` is {what}", self.key))
    }

    pub(super) fn unknown(&self, known: &[&str]) -> Mistake {
        let hint = match nearest(self.key, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("keys here are {}", list(known)),
        };
        Mistake::new(self.key_at, format!("unknown key `{}`; {hint}", self.key))
    }

    pub(super) fn as_text(&self) -> Option<&'t str> {
        self.inner().as_str()
    }

    pub(super) fn string(&self) -> Result<&'t str, Mistake> {
        self.as_text().ok_or_else(|| self.expected("a text in quotes"))
    }

    pub(super) fn boolean(&self) -> Result<bool, Mistake> {
        self.inner()
            .as_bool()
            .ok_or_else(|| self.expected("true or false"))
    }

    pub(super) fn integer(&self) -> Option<i64> {
        let number = self.inner().as_integer()?;
        i64::from_str_radix(number.as_str(), number.radix()).ok()
    }

    /// A whole number within bounds.
    pub(super) fn count(&self, bounds: Range<u64>) -> Result<u64, Mistake> {
        let number = self.integer().and_then(|number| u64::try_from(number).ok());
        number.filter(|number| bounds.contains(number)).ok_or_else(|| {
            let least = bounds.start;
            match bounds.end {
                u64::MAX => self.expected(&format!("a whole number from {least} on")),
                end => self.expected(&format!("a whole number from {least} to {}", end - 1)),
            }
        })
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self.inner() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => i32::try_from(self.integer()?).ok().map(f64::from),
        }
    }

    pub(super) fn time(&self, most: Duration) -> Result<Duration, Mistake> {
        let time = self.as_text().and_then(read_time);
        let time = time.ok_or_else(|| self.expected("a time with its unit, such as \"250ms\" or \"2s\""))?;
        if time > most {
            return Err(self.wrong(format!("`{}` is at most {} s", self.key, most.as_secs())));
        }
        Ok(time)
    }

    pub(super) fn size(&self) -> Result<u64, Mistake> {
        let size = match self.as_text() {
            Some(text) => read_size(text),
            None => self.integer().and_then(|size| u64::try_from(size).ok()),
        };
        size.ok_or_else(|| self.expected("a number of bytes, such as 100 or \"64KiB\""))
    }

    pub(super) fn as_table(&self) -> Option<Table<'t>> {
        let table = self.inner().as_table()?;
        Some(Table::new(table, self.at(), self.text))
    }

    pub(super) fn table(&self, example: &str) -> Result<Table<'t>, Mistake> {
        self.as_table()
            .ok_or_else(|| self.expected(&format!("a table, such as {example}")))
    }

    pub(super) fn as_list(&self) -> Option<Vec<Node<'t>>> {
        let list = self.inner().as_array()?;
        Some(list.iter().map(|value| Node { value, ..*self }).collect())
    }

    pub(super) fn list(&self, example: &str) -> Result<Vec<Node<'t>>, Mistake> {
        self.as_list()
            .ok_or_else(|| self.expected(&format!("a list, such as {example}")))
    }

    /// The value as JSON text.
    pub(super) fn json(&self) -> Result<String, Mistake> {
        json::from_toml(self.value)
    }

    /// Byte of the text at which the character with this number of a string's value was written.
    pub(super) fn character_at(&self, number: usize) -> usize {
        let span = self.span();
        let written = self.text.get(span.clone()).unwrap_or_default();
        span.start + offset_of(written, number)
    }
}

/// Known words for a message.
pub(super) fn list(known: &[&str]) -> String {
    let quoted: Vec<_> = known.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

/// Where a character of a string's value stands in the string as it was written, quotes included.
fn offset_of(written: &str, number: usize) -> usize {
    let (quote, has_escapes) = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quote| written.starts_with(quote))
        .map_or(("", false), |quote| (quote, quote.starts_with('"')));
    let mut at = quote.len();
    if quote.len() == 3 {
        let rest = written.get(at..).unwrap_or_default();
        // A line end right behind the quotes is not part of the value.
        at += ["\r\n", "\n"]
            .into_iter()
            .find(|end| rest.starts_with(end))
            .map_or(0, str::len);
    }
    for _ in 0..number {
        let rest = written.get(at..).unwrap_or_default();
        at += written_length(rest, has_escapes);
    }
    at.min(written.len())
}

/// How many bytes spell the first character of `rest`.
fn written_length(rest: &str, has_escapes: bool) -> usize {
    let mut characters = rest.chars();
    let first = characters.next().map_or(0, char::len_utf8);
    if !has_escapes || !rest.starts_with('\\') {
        return first;
    }
    match characters.next() {
        Some('u') => 6,
        Some('U') => 10,
        Some('x') => 4,
        Some(c) if c.is_whitespace() => {
            // A backslash at the end of a line takes the white space before the next character away.
            let after = rest.trim_start_matches('\\').trim_start();
            let skipped = rest.len() - after.len();
            skipped + written_length(after, has_escapes)
        }
        Some(c) => 1 + c.len_utf8(),
        None => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_found_in_every_way_to_write_a_string() {
        for (written, number, rest) in [
            (r#""abc""#, 1, "bc\""),
            (r#""\"\u00e9\x41bc""#, 3, "bc\""),
            (r"'\bc'", 1, "bc'"),
            ("\"\"\"\nabc\"\"\"", 1, "bc\"\"\""),
            ("'''abc'''", 1, "bc'''"),
            ("\"\"\"a\\\n   bc\"\"\"", 2, "c\"\"\""),
            ("\"abc\"", 9, ""),
        ] {
            assert_eq!(written.split_at(offset_of(written, number)).1, rest, "{written}");
        }
    }
}
