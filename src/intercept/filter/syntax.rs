//! From text to an expression, without recursion.
//!
//! Source: the grammar in `docs/filters.md`.

use std::fmt;

use super::atom::{Atom, Operator, Target, Value};
use super::compile::Draft;
use super::error::{FilterError, Span, nearest};
use super::path::{JsonPath, read_quoted};
use super::{Field, MAX_ATOMS, MAX_NESTING, MAX_REGEXES, MAX_TEXT_BYTES};

/// A filter as a tree. Its depth is bounded by [`MAX_NESTING`], so walking it may recurse.
#[derive(Clone, Debug)]
pub(super) enum Expression {
    /// Every one of these; at least two.
    All(Vec<Self>),
    /// One of these; at least two.
    Any(Vec<Self>),
    Not(Box<Self>),
    Atom(Box<Atom>),
}

/// An open parenthesis, or the whole text.
#[derive(Default)]
struct Group {
    open: usize,
    is_negated: bool,
    alternatives: Vec<Expression>,
    terms: Vec<Expression>,
    /// The `|` that the next alternative follows.
    bar: Option<usize>,
}

struct Parser {
    text: Vec<char>,
    at: usize,
    groups: Vec<Group>,
    group: Group,
    /// The `!` that stands before the next term.
    negation: Option<usize>,
    atoms: usize,
    regexes: usize,
}

/// Reads a filter; `None` for blank text, which matches everything.
pub(super) fn parse(text: &str) -> Result<Option<Expression>, FilterError> {
    let chars: Vec<char> = text.chars().collect();
    if text.len() > MAX_TEXT_BYTES {
        let message = format!(
            "a filter has at most {MAX_TEXT_BYTES} bytes; this one has {}",
            text.len()
        );
        return Err(FilterError::new(Span::new(0, chars.len()), message));
    }
    if text.trim().is_empty() {
        return Ok(None);
    }
    let parser = Parser {
        text: chars,
        at: 0,
        groups: Vec::new(),
        group: Group::default(),
        negation: None,
        atoms: 0,
        regexes: 0,
    };
    parser.run().map(Some)
}

impl Parser {
    fn run(mut self) -> Result<Expression, FilterError> {
        loop {
            self.skip_white();
            match self.peek() {
                None => return self.finish(),
                Some('(') => self.open()?,
                Some(')') => self.close()?,
                Some('|') => self.bar()?,
                Some('!') if self.text.get(self.at + 1) != Some(&'=') => self.negate()?,
                Some(_) => self.atom()?,
            }
        }
    }

    fn open(&mut self) -> Result<(), FilterError> {
        if self.groups.len() == MAX_NESTING {
            let message = format!("a filter has at most {MAX_NESTING} parentheses inside each other");
            return Err(FilterError::new(Span::at(self.at), message));
        }
        let inner = Group {
            open: self.at,
            is_negated: self.negation.take().is_some(),
            ..Group::default()
        };
        self.groups.push(std::mem::replace(&mut self.group, inner));
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) -> Result<(), FilterError> {
        let Some(outer) = self.groups.pop() else {
            let message = "no ( is open here; put text that holds ) in \"quotes\"";
            return Err(FilterError::new(Span::at(self.at), message));
        };
        self.refuse_negation_of_nothing()?;
        self.at += 1;
        let inner = std::mem::replace(&mut self.group, outer);
        let is_negated = inner.is_negated;
        let expression = inner.finish(self.at)?;
        self.push(expression, is_negated);
        Ok(())
    }

    fn bar(&mut self) -> Result<(), FilterError> {
        self.refuse_negation_of_nothing()?;
        if self.group.terms.is_empty() {
            let message = match self.group.bar {
                Some(bar) if bar + 1 == self.at => "one | is enough",
                _ => "write what | is an alternative to before it",
            };
            return Err(FilterError::new(Span::at(self.at), message));
        }
        self.group.end_alternative();
        self.group.bar = Some(self.at);
        self.at += 1;
        Ok(())
    }

    fn negate(&mut self) -> Result<(), FilterError> {
        if self.negation.is_some() {
            return Err(FilterError::new(
                Span::at(self.at),
                "one ! is enough; !(!a) is the same as a",
            ));
        }
        self.negation = Some(self.at);
        self.at += 1;
        Ok(())
    }

    fn atom(&mut self) -> Result<(), FilterError> {
        let start = self.at;
        let draft = self.draft()?;
        self.atoms += 1;
        self.regexes += usize::from(draft.operator == Operator::Matches);
        let limit = if self.atoms > MAX_ATOMS {
            Some(format!("a filter has at most {MAX_ATOMS} conditions"))
        } else if self.regexes > MAX_REGEXES {
            Some(format!(
                "a filter has at most {MAX_REGEXES} regular expressions; join them with | in one pattern"
            ))
        } else {
            None
        };
        if let Some(message) = limit {
            return Err(FilterError::new(Span::new(start, self.at), message));
        }
        let atom = draft.compile()?;
        let is_negated = self.negation.take().is_some();
        self.push(Expression::Atom(Box::new(atom)), is_negated);
        Ok(())
    }

    fn push(&mut self, expression: Expression, is_negated: bool) {
        let terms = &mut self.group.terms;
        match expression {
            expression if is_negated => terms.push(Expression::Not(Box::new(expression))),
            // Parentheses around what is "and"-ed anyway say nothing.
            Expression::All(inner) => terms.extend(inner),
            expression => terms.push(expression),
        }
    }

    fn finish(mut self) -> Result<Expression, FilterError> {
        self.refuse_negation_of_nothing()?;
        if !self.groups.is_empty() {
            let message = "this ( is never closed; write ) at its end";
            return Err(FilterError::new(Span::at(self.group.open), message));
        }
        std::mem::take(&mut self.group).finish(self.text.len())
    }

    fn refuse_negation_of_nothing(&self) -> Result<(), FilterError> {
        match self.negation {
            Some(column) => Err(FilterError::new(
                Span::at(column),
                "write what ! excludes right after it",
            )),
            None => Ok(()),
        }
    }

    fn draft(&mut self) -> Result<Draft, FilterError> {
        match self.peek() {
            Some('$') => self.path(),
            Some('"') => {
                let start = self.at;
                let value = self.value()?;
                Ok(self.words(value, start))
            }
            _ => self.field_or_words(),
        }
    }

    fn path(&mut self) -> Result<Draft, FilterError> {
        let start = self.at;
        let mut path = JsonPath::root();
        self.at = path.read_segments(&self.text, start + 1)?;
        self.comparison(Target::Path(path), start)
    }

    fn field_or_words(&mut self) -> Result<Draft, FilterError> {
        let start = self.at;
        let name: String = self.rest().iter().take_while(|c| is_identifier(**c)).collect();
        let end = start + name.len();
        if name.eq_ignore_ascii_case("arg") && matches!(self.text.get(end), Some('.' | '[')) {
            let mut path = JsonPath::arguments();
            self.at = path.read_segments(&self.text, end)?;
            return self.comparison(Target::Argument(path), start);
        }
        if Operator::read(self.text.get(end..).unwrap_or_default()).is_none() {
            return self.bare_words(start);
        }
        let Some(field) = Field::named(&name) else {
            return Err(self.unknown_field(&name, Span::new(start, end)));
        };
        self.at = end;
        self.comparison(Target::Field(field), start)
    }

    fn bare_words(&mut self, start: usize) -> Result<Draft, FilterError> {
        let value = self.value()?;
        let hint = match value.text.as_str() {
            "AND" | "&" | "&&" => "a space means \"and\"",
            "OR" => "write | for \"or\"",
            "NOT" => "write ! for \"not\"",
            _ => return Ok(self.words(value, start)),
        };
        let message = format!("{hint}; to search for the word write \"{}\"", value.text);
        Err(FilterError::new(Span::new(start, self.at), message))
    }

    fn words(&self, value: Value, start: usize) -> Draft {
        let span = Span::new(start, self.at);
        Draft {
            target: Target::Anywhere,
            operator: Operator::Is,
            operator_span: span,
            value,
            value_span: span,
        }
    }

    fn comparison(&mut self, target: Target, start: usize) -> Result<Draft, FilterError> {
        let written: String = self.text.iter().take(self.at).skip(start).collect();
        let Some(operator) = Operator::read(self.rest()) else {
            let message = format!("write an operator after it, such as {written}:value, or has:{written}");
            return Err(FilterError::new(Span::new(start, self.at), message));
        };
        let operator_start = self.at;
        self.at += operator.width();
        let operator_span = Span::new(operator_start, self.at);
        self.refuse_foreign_operator(operator, operator_span, &written)?;
        let value_start = self.at;
        if self.peek().is_none_or(ends_value) {
            let message = format!(
                "write a value right after {written}{}, without a space; \"\" is the empty text",
                operator.symbol()
            );
            return Err(FilterError::new(Span::new(start, self.at), message));
        }
        let value = self.value()?;
        let value_span = Span::new(value_start, self.at);
        Ok(Draft {
            target,
            operator,
            operator_span,
            value,
            value_span,
        })
    }

    /// `==` and `=~` come from other languages, and would silently look for a value that starts with `=` or `~`.
    fn refuse_foreign_operator(
        &self,
        operator: Operator,
        span: Span,
        written: &str,
    ) -> Result<(), FilterError> {
        let ours = match (operator, self.peek()) {
            (Operator::Equal, Some('=')) => "=",
            (Operator::Equal, Some('~')) => "~",
            _ => return Ok(()),
        };
        let message = format!("write {written}{ours}value; quote a value that starts with = or ~");
        Err(FilterError::new(Span::new(span.start, span.end + 1), message))
    }

    /// Reads a value that is bare up to white space, `)` or `|`, or quoted.
    fn value(&mut self) -> Result<Value, FilterError> {
        if self.peek() != Some('"') {
            let text: String = self.rest().iter().take_while(|c| !ends_value(**c)).collect();
            self.at += text.chars().count();
            return Ok(Value {
                text,
                is_quoted: false,
            });
        }
        let (text, end) = read_quoted(&self.text, self.at)?;
        self.at = end;
        if self.peek().is_some_and(|c| !ends_value(c)) {
            let message = "put a space after the closing quote, or \\\" for a quote inside";
            return Err(FilterError::new(Span::at(end), message));
        }
        Ok(Value {
            text,
            is_quoted: true,
        })
    }

    fn unknown_field(&self, name: &str, span: Span) -> FilterError {
        if name.is_empty() {
            let symbol = Operator::read(self.rest()).map_or("", Operator::symbol);
            let span = Span::new(span.start, span.start + symbol.len());
            let message = format!(
                "{symbol} needs a field right before it, such as method{symbol}value; or put the text in \"quotes\""
            );
            return FilterError::new(span, message);
        }
        let names = Field::ALL
            .into_iter()
            .flat_map(|field| field.aliases().iter().copied().chain([field.name()]));
        let message = match nearest(name, names) {
            Some(guess) => format!("no field is named `{name}`; did you mean `{guess}`?"),
            None => format!("no field is named `{name}`; to search for the text put it in \"quotes\""),
        };
        FilterError::new(span, message)
    }

    fn skip_white(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &[char] {
        self.text.get(self.at..).unwrap_or_default()
    }
}

impl Group {
    fn end_alternative(&mut self) {
        let terms = std::mem::take(&mut self.terms);
        match one_or(terms, Expression::All) {
            // Parentheses around what is "or"-ed anyway say nothing.
            Expression::Any(inner) => self.alternatives.extend(inner),
            expression => self.alternatives.push(expression),
        }
    }

    fn finish(mut self, end: usize) -> Result<Expression, FilterError> {
        match (self.terms.is_empty(), self.bar) {
            (true, Some(bar)) => {
                return Err(FilterError::new(Span::at(bar), "write an alternative after |"));
            }
            (true, None) => {
                let message = "nothing is inside these parentheses; write a condition or leave them out";
                return Err(FilterError::new(Span::new(self.open, end), message));
            }
            (false, _) => self.end_alternative(),
        }
        Ok(one_or(self.alternatives, Expression::Any))
    }
}

fn one_or(mut expressions: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    if expressions.len() == 1 {
        expressions.remove(0)
    } else {
        join(expressions)
    }
}

pub(super) fn is_identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

pub(super) fn ends_value(c: char) -> bool {
    c.is_whitespace() || c == ')' || c == '|'
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(terms) => write_joined(terms, " ", f),
            Self::Any(alternatives) => write_joined(alternatives, " | ", f),
            Self::Not(inner) => match &**inner {
                Self::Atom(atom) => write!(f, "!{atom}"),
                inner => write!(f, "!({inner})"),
            },
            Self::Atom(atom) => atom.fmt(f),
        }
    }
}

fn write_joined(parts: &[Expression], joint: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(joint)?;
        }
        // Only "or" inside "and" needs them: an "and" inside an "or" binds closer.
        if matches!(part, Expression::Any(_)) {
            write!(f, "({part})")?;
        } else {
            write!(f, "{part}")?;
        }
    }
    Ok(())
}
