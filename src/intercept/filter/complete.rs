//! What could come next while a filter is typed.

use std::ops::Range;

use super::Field;
use super::atom::{Operator, Value};
use super::field::Shape;
use super::syntax::{ends_value, is_identifier};

/// Most completions given at once, the best first. More: left out.
pub const MAX_COMPLETIONS: usize = 100;

/// A way to go on with the text of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Bytes of the text that are replaced; on character boundaries.
    pub replace: Range<usize>,
    /// What to put there.
    pub text: String,
    /// One line of help.
    pub help: &'static str,
}

/// The word that the cursor is in, as columns.
struct Word {
    start: usize,
    cursor: usize,
}

struct Completer<'t> {
    text: &'t str,
    chars: Vec<char>,
    found: Vec<Completion>,
}

/// What could stand at the cursor: field names, operators, or values of the field before it.
///
/// `cursor` is a byte offset; inside a character or behind the end it means the next place before it. `values` gives
/// what traffic has shown of a field: methods, tools, servers, sessions, and for [`Field::Argument`] the names of
/// arguments. Values of a fixed set need no help from it. Half-typed and wrong text is fine. The completions are
/// ordered: those that begin with what is typed, then those that hold it.
pub fn complete(text: &str, cursor: usize, values: &dyn Fn(Field) -> Vec<String>) -> Vec<Completion> {
    let cursor = text
        .char_indices()
        .filter(|(at, c)| at + c.len_utf8() <= cursor)
        .count();
    let mut completer = Completer {
        text,
        chars: text.chars().collect(),
        found: Vec::new(),
    };
    completer.run(cursor, values);
    completer.found.truncate(MAX_COMPLETIONS);
    completer.found
}

impl Completer<'_> {
    fn run(&mut self, cursor: usize, values: &dyn Fn(Field) -> Vec<String>) {
        let word = self.word_at(cursor);
        let name: String = self
            .from(word.start)
            .iter()
            .take_while(|c| is_identifier(**c))
            .collect();
        let name_end = word.start + name.len();
        if cursor <= name_end {
            return self.complete_name(&word, name_end);
        }
        if name.eq_ignore_ascii_case("arg") && self.chars.get(name_end) == Some(&'.') {
            return self.complete_argument(&word, name_end + 1, values);
        }
        let (Some(field), Some(operator)) = (Field::named(&name), Operator::read(self.from(name_end))) else {
            return;
        };
        let value_start = name_end + operator.width();
        if cursor >= value_start {
            self.complete_value(field, value_start, cursor, values);
        }
    }

    /// Finds the start of the word that the cursor is in or behind.
    fn word_at(&self, cursor: usize) -> Word {
        let mut start = None;
        let mut is_quoted = false;
        let mut at = 0;
        while at < cursor {
            let Some(&c) = self.chars.get(at) else { break };
            match start {
                _ if is_quoted && c == '\\' => at += 1,
                _ if c == '"' && (is_quoted || self.opens_quote(start, at)) => {
                    is_quoted = !is_quoted;
                    start = start.or(Some(at));
                }
                _ if is_quoted => {}
                Some(_) if ends_value(c) => start = None,
                None if !ends_value(c) && c != '(' && c != '!' => start = Some(at),
                _ => {}
            }
            at += 1;
        }
        Word {
            start: start.unwrap_or(cursor),
            cursor,
        }
    }

    /// A quote means something at the start of a word and after an operator or `[`; elsewhere it is a character.
    fn opens_quote(&self, start: Option<usize>, at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|before| self.chars.get(before));
        start.is_none() || before.is_some_and(|before| ":=~<>[".contains(*before))
    }

    fn complete_name(&mut self, word: &Word, end: usize) {
        let typed: String = self.between(word.start, word.cursor).to_lowercase();
        let has_operator = Operator::read(self.from(end)).is_some();
        let exact = Field::named(&typed).filter(|_| word.cursor == end && !has_operator);
        if let Some(field) = exact {
            for operator in operators(field) {
                self.offer(
                    word.start..end,
                    format!("{}{}", field.name(), operator.symbol()),
                    operator.help(),
                );
            }
        }
        let others: Vec<Field> = Field::ALL
            .into_iter()
            .filter(|field| Some(*field) != exact)
            .collect();
        for field in ranked(others, &typed, |field| field.name().trim_end_matches(".NAME")) {
            let text = match field {
                Field::Argument => "arg.".to_owned(),
                field if has_operator => field.name().to_owned(),
                field => format!("{}:", field.name()),
            };
            self.offer(word.start..end, text, field.description());
        }
    }

    fn complete_argument(&mut self, word: &Word, start: usize, values: &dyn Fn(Field) -> Vec<String>) {
        let end = start
            + self
                .from(start)
                .iter()
                .take_while(|c| is_identifier(**c) || **c == '.')
                .count();
        if word.cursor < start || word.cursor > end {
            return;
        }
        let typed = self.between(start, word.cursor);
        let has_operator = Operator::read(self.from(end)).is_some();
        for name in ranked(values(Field::Argument), &typed, |name| name) {
            let path = if name.chars().all(|c| is_identifier(c) || c == '.') {
                format!("arg.{name}")
            } else {
                format!(
                    "arg[{}]",
                    Value {
                        text: name,
                        is_quoted: true
                    }
                )
            };
            let joint = if has_operator { "" } else { ":" };
            self.offer(
                word.start..end,
                format!("{path}{joint}"),
                Field::Argument.description(),
            );
        }
    }

    fn complete_value(
        &mut self,
        field: Field,
        start: usize,
        cursor: usize,
        values: &dyn Fn(Field) -> Vec<String>,
    ) {
        // `level:>wa`: what is typed behind the inner operator counts.
        let inner = self
            .from(start)
            .iter()
            .take_while(|c| matches!(**c, '<' | '>' | '='))
            .count();
        let start = if start + inner <= cursor {
            start + inner
        } else {
            start
        };
        let typed = self.between(start, cursor);
        let typed = typed.trim_start_matches('"');
        let known = field.values().map(|(name, help)| (name.to_owned(), help));
        let seen = values(field)
            .into_iter()
            .map(|value| (value, field.description()));
        let mut candidates: Vec<(String, &'static str)> = known.chain(seen).collect();
        if field == Field::Has {
            let fields = Field::ALL
                .into_iter()
                .filter(|field| !matches!(field, Field::Has | Field::Argument));
            candidates.extend(fields.map(|field| (field.name().to_owned(), field.description())));
        }
        let end = self.value_end(start);
        for (text, help) in ranked(candidates, typed, |candidate| &candidate.0) {
            // An id is a JSON token already, and its quotes are its type.
            let is_quoted = field != Field::Id && needs_quotes(&text);
            self.offer(start..end, Value { text, is_quoted }.to_string(), help);
        }
    }

    fn value_end(&self, start: usize) -> usize {
        let mut is_quoted = false;
        let mut at = start;
        while let Some(&c) = self.chars.get(at) {
            match c {
                '\\' if is_quoted => at += 1,
                '"' if is_quoted => return at + 1,
                '"' if at == start => is_quoted = true,
                c if !is_quoted && ends_value(c) => break,
                _ => {}
            }
            at += 1;
        }
        at.min(self.chars.len())
    }

    fn offer(&mut self, columns: Range<usize>, text: String, help: &'static str) {
        let replace = self.byte(columns.start)..self.byte(columns.end);
        if !self.found.iter().any(|found| found.text == text) {
            self.found.push(Completion { replace, text, help });
        }
    }

    fn byte(&self, column: usize) -> usize {
        self.text
            .char_indices()
            .nth(column)
            .map_or(self.text.len(), |(at, _)| at)
    }

    fn from(&self, column: usize) -> &[char] {
        self.chars.get(column..).unwrap_or_default()
    }

    fn between(&self, start: usize, end: usize) -> String {
        self.chars.get(start..end).unwrap_or_default().iter().collect()
    }
}

/// Those that begin with what is typed, then those that hold it, at most [`MAX_COMPLETIONS`] of each.
fn ranked<T>(candidates: Vec<T>, typed: &str, name: impl Fn(&T) -> &str) -> Vec<T> {
    let typed = typed.to_lowercase();
    let mut first = Vec::new();
    let mut second = Vec::new();
    for candidate in candidates {
        let place = name(&candidate).to_lowercase().find(&typed);
        match place {
            Some(0) if first.len() < MAX_COMPLETIONS => first.push(candidate),
            Some(at) if at > 0 && second.len() < MAX_COMPLETIONS => second.push(candidate),
            _ => {}
        }
    }
    first.append(&mut second);
    first
}

fn needs_quotes(text: &str) -> bool {
    let is_bare = |c: char| !ends_value(c) && c != '*' && c != '"';
    text.is_empty() || !text.chars().all(is_bare) || text.starts_with(['=', '~', '<', '>'])
}

/// The operators that a field takes.
fn operators(field: Field) -> &'static [Operator] {
    use Operator::{Equal, Greater, GreaterOrEqual, Is, Less, LessOrEqual, Matches, NotEqual, Prefix};
    match field.shape() {
        Shape::Text | Shape::Prose | Shape::Words(_) | Shape::Session => {
            &[Is, Equal, NotEqual, Matches, Prefix]
        }
        Shape::Number | Shape::Duration | Shape::Size | Shape::Status(_) => {
            &[Is, Equal, NotEqual, Greater, GreaterOrEqual, Less, LessOrEqual]
        }
        Shape::Ordered | Shape::Ranked(_) | Shape::Id | Shape::Json => &[
            Is,
            Equal,
            NotEqual,
            Matches,
            Prefix,
            Greater,
            GreaterOrEqual,
            Less,
            LessOrEqual,
        ],
        Shape::Marks(_) => &[Is, NotEqual],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intercept::filter::Filter;

    fn seen(field: Field) -> Vec<String> {
        let values: &[&str] = match field {
            Field::Tool => &["search", "read file", "research"],
            Field::Argument => &["query", "limit", "a.b", "odd name"],
            _ => &[],
        };
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    /// The texts that taking each completion at the `▮` leads to.
    fn taken(marked: &str) -> Vec<String> {
        let cursor = marked.find('▮').expect("a cursor");
        let text = marked.replace('▮', "");
        let completions = complete(&text, cursor, &seen);
        completions
            .into_iter()
            .map(|completion| {
                let mut text = text.clone();
                text.replace_range(completion.replace, &completion.text);
                text
            })
            .collect()
    }

    #[test]
    fn an_empty_text_offers_every_field() {
        assert_eq!(taken("▮").len(), Field::ALL.len());
        assert_eq!(taken("method:ping !(▮").len(), Field::ALL.len());
    }

    #[test]
    fn a_begun_name_offers_the_fields_that_begin_so_first() {
        assert_eq!(taken("st▮"), ["status:", "stream:"]);
        assert_eq!(taken("ping | !to▮"), ["ping | !tool:"]);
        assert_eq!(taken("me▮:ping"), ["method:ping", "name:ping"]);
    }

    #[test]
    fn a_whole_name_offers_its_operators() {
        assert_eq!(taken("kind▮"), ["kind:", "kind=", "kind!=", "kind~", "kind^="]);
        assert!(taken("dur▮").contains(&"dur>=".to_owned()));
    }

    #[test]
    fn a_field_of_fixed_words_offers_them() {
        assert_eq!(taken("era:▮"), ["era:legacy", "era:modern"]);
        assert_eq!(taken("(level:>wa▮)"), ["(level:>warning)"]);
        assert_eq!(taken("kind:not▮if size>1"), ["kind:notification size>1"]);
    }

    #[test]
    fn other_fields_offer_what_was_seen_quoted_where_needed() {
        assert_eq!(
            taken("tool:▮"),
            ["tool:search", "tool:\"read file\"", "tool:research"]
        );
        assert_eq!(taken("tool:se▮"), ["tool:search", "tool:research"]);
        assert_eq!(taken("tool:\"read f▮"), ["tool:\"read file\""]);
        assert_eq!(taken("tool:\"read▮ it\" x"), ["tool:\"read file\" x"]);
    }

    #[test]
    fn arguments_offer_the_names_that_were_seen() {
        assert_eq!(taken("arg.q▮"), ["arg.query:"]);
        assert_eq!(
            taken("arg.▮~x"),
            ["arg.query~x", "arg.limit~x", "arg.a.b~x", "arg[\"odd name\"]~x"]
        );
    }

    #[test]
    fn has_offers_marks_and_fields() {
        assert_eq!(taken("has:pro▮"), ["has:progress", "has:prompt"]);
    }

    #[test]
    fn inside_quoted_words_there_is_nothing_to_offer() {
        assert_eq!(taken("\"tool:▮"), [""; 0]);
        assert_eq!(taken("$.a:▮"), [""; 0]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_and_cursor_give_ranges_that_can_be_replaced(
            text in "[a-z:=\"\\\\()|! é.$>]{0,24}", cursor in 0_usize..40,
        ) {
            for completion in complete(&text, cursor, &seen) {
                let mut text = text.clone();
                text.replace_range(completion.replace, &completion.text);
            }
        }

        #[test]
        fn a_completed_value_is_a_filter_that_means_it(value in "\\PC{1,12}") {
            let text = "tool:";
            let found = complete(text, text.len(), &|_| vec![value.clone()]);
            let filter = Filter::parse(&format!("{text}{}", found[0].text));
            proptest::prop_assert!(filter.is_ok(), "{:?}", filter);
        }
    }
}
