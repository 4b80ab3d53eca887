//! From a field, an operator and a value to a test, or to an error that says what to write instead.

use std::time::Duration;

use regex::{Regex, RegexBuilder};

use super::atom::{Atom, Operator, Target, Test, Value};
use super::compare::{Comparison, FieldTest, JsonTest, Number, TextTest};
use super::error::{FilterError, Span, nearest};
use super::field::{Shape, Word};
use super::path::JsonPath;
use super::{Field, MAX_REGEX_BYTES};

/// A condition as it was read, with the places of its parts.
pub(super) struct Draft {
    pub(super) target: Target,
    pub(super) operator: Operator,
    pub(super) operator_span: Span,
    pub(super) value: Value,
    pub(super) value_span: Span,
}

/// The operators that may follow `:`, the longest first.
const INNER_OPERATORS: [Operator; 5] = [
    Operator::GreaterOrEqual,
    Operator::LessOrEqual,
    Operator::Greater,
    Operator::Less,
    Operator::Equal,
];

type Compiled<T> = Result<T, FilterError>;

impl Draft {
    pub(super) fn compile(mut self) -> Compiled<Atom> {
        let test = match self.target {
            Target::Anywhere => Test::Pattern(self.contains()?),
            Target::Path(_) | Target::Argument(_) => Test::Json(self.json(false)?),
            Target::Field(Field::Text) => Test::Pattern(self.prose(Field::Text)?),
            Target::Field(Field::Has) => self.mark()?,
            Target::Field(field) => Test::Field(self.field(field)?),
        };
        Ok(Atom {
            target: self.target,
            operator: self.operator,
            value: self.value,
            test,
        })
    }

    fn field(&mut self, field: Field) -> Compiled<FieldTest> {
        match field.shape() {
            Shape::Text | Shape::Marks(_) => self.text(field).map(FieldTest::Text),
            Shape::Ordered => self.ordered(field).map(FieldTest::Text),
            Shape::Prose => self.prose(field).map(FieldTest::Text),
            Shape::Words(words) => self.words(field, words),
            Shape::Ranked(words) => self.ranked(field, words),
            Shape::Number => self.number(field),
            Shape::Duration => self.duration(field),
            Shape::Size => self.size(field),
            Shape::Status(words) => self.status(field, words),
            Shape::Session => self.session(field),
            Shape::Id | Shape::Json => self.json(true).map(FieldTest::Id),
        }
    }

    fn text(&self, field: Field) -> Compiled<TextTest> {
        match self.operator {
            Operator::Is => self.loosely(),
            Operator::Equal | Operator::NotEqual => Ok(TextTest::Exact(self.value.text.clone())),
            Operator::Matches => self.regex().map(TextTest::Pattern),
            Operator::Prefix => Ok(TextTest::Prefix(self.value.text.clone())),
            _ => Err(self.wrong_operator(field, "is text and has no order; use : = != ~ or ^=")),
        }
    }

    fn ordered(&self, field: Field) -> Compiled<TextTest> {
        match self.comparison() {
            Some(comparison) if comparison != Comparison::Equal => {
                Ok(TextTest::Ordered(comparison, self.value.text.clone()))
            }
            _ => self.text(field),
        }
    }

    /// As text, but `:` looks for a part: nobody types a whole body.
    fn prose(&self, field: Field) -> Compiled<TextTest> {
        match self.operator {
            Operator::Is => self.contains(),
            _ => self.text(field),
        }
    }

    fn loosely(&self) -> Compiled<TextTest> {
        if self.is_glob() {
            let pattern = format!("(?is)^(?:{})$", glob_pattern(&self.value.text));
            return self.build_regex(&pattern).map(TextTest::Pattern);
        }
        Ok(TextTest::same(&self.value.text))
    }

    /// A part of a text; without regard to case unless the value has an upper-case letter.
    fn contains(&self) -> Compiled<TextTest> {
        let text = &self.value.text;
        let is_glob = self.is_glob() && !matches!(self.target, Target::Anywhere);
        let pattern = if is_glob {
            glob_pattern(text)
        } else {
            regex::escape(text)
        };
        let flags = if text.chars().any(char::is_uppercase) {
            "(?s)"
        } else {
            "(?is)"
        };
        self.build_regex(&format!("{flags}{pattern}"))
            .map(TextTest::Pattern)
    }

    fn is_glob(&self) -> bool {
        !self.value.is_quoted && self.value.text.contains('*')
    }

    fn regex(&self) -> Compiled<Regex> {
        self.build_regex(&self.value.text)
    }

    fn build_regex(&self, pattern: &str) -> Compiled<Regex> {
        let built = RegexBuilder::new(pattern)
            .size_limit(MAX_REGEX_BYTES)
            .dfa_size_limit(MAX_REGEX_BYTES)
            .build();
        built.map_err(|error| {
            FilterError::new(
                self.value_span,
                format!("{}{}", regex_fault(&error), self.quoting_hint()),
            )
        })
    }

    /// A bare value ends at `)` and `|`, which regular expressions are full of.
    fn quoting_hint(&self) -> &'static str {
        if self.value.is_quoted {
            ""
        } else {
            "; put it in \"quotes\" if it holds a space, ) or |"
        }
    }

    fn words(&mut self, field: Field, words: &'static [Word]) -> Compiled<FieldTest> {
        match self.operator {
            Operator::Is if self.is_glob() => self.text(field).map(FieldTest::Text),
            Operator::Is | Operator::Equal | Operator::NotEqual => {
                let index = self.word(field, words)?;
                Ok(FieldTest::Words(words[index].accepts))
            }
            Operator::Matches | Operator::Prefix => self.text(field).map(FieldTest::Text),
            _ => Err(self.wrong_operator(field, "is a word and has no order; use : = != ~ or ^=")),
        }
    }

    fn ranked(&mut self, field: Field, words: &'static [Word]) -> Compiled<FieldTest> {
        if self.operator == Operator::Is {
            self.read_inner_operator();
        }
        match self.comparison() {
            Some(comparison) if comparison != Comparison::Equal => {
                let rank = self.word(field, words)?;
                Ok(FieldTest::Rank(comparison, rank))
            }
            _ => self.words(field, words),
        }
    }

    /// Finds the word, and writes it the way the table does.
    fn word(&mut self, field: Field, words: &'static [Word]) -> Compiled<usize> {
        if let Some(index) = words.iter().position(|word| word.is_named(&self.value.text)) {
            words[index].name.clone_into(&mut self.value.text);
            return Ok(index);
        }
        let names: Vec<&str> = words.iter().map(|word| word.name).collect();
        let guess = nearest(&self.value.text, names.iter().copied());
        let list = names.join(", ");
        let name = field.name();
        Err(self.wrong_value(match guess {
            Some(guess) => format!(
                "{name} is never `{}`; did you mean `{guess}`? It is one of {list}",
                self.value.text
            ),
            None => format!("{name} is never `{}`; it is one of {list}", self.value.text),
        }))
    }

    fn number(&mut self, field: Field) -> Compiled<FieldTest> {
        let comparison = self.measure(field)?;
        // `#17` is how the screen writes the number of an exchange.
        let digits = self.value.text.strip_prefix('#').unwrap_or(&self.value.text);
        match Number::parse(digits) {
            Some(number) => Ok(FieldTest::Number(comparison, number.float())),
            None => Err(self.wrong_value(format!(
                "{} is a number, such as {}",
                field.name(),
                field.example()
            ))),
        }
    }

    fn duration(&mut self, field: Field) -> Compiled<FieldTest> {
        let comparison = self.measure(field)?;
        match parse_duration(&self.value.text) {
            Some(duration) => Ok(FieldTest::Duration(comparison, duration)),
            None => Err(self.wrong_value(format!(
                "{} is a time with a unit of us, ms, s or m, such as {}",
                field.name(),
                field.example()
            ))),
        }
    }

    fn size(&mut self, field: Field) -> Compiled<FieldTest> {
        let comparison = self.measure(field)?;
        match parse_size(&self.value.text) {
            Some(bytes) => Ok(FieldTest::Bytes(comparison, bytes)),
            None => Err(self.wrong_value(format!(
                "{} is a number of bytes, with k, M or G for units of 1,024, such as {}",
                field.name(),
                field.example()
            ))),
        }
    }

    fn status(&mut self, field: Field, words: &'static [Word]) -> Compiled<FieldTest> {
        let is_word = words.iter().any(|word| word.is_named(&self.value.text));
        if is_word || self.is_glob() || self.value.text.starts_with(char::is_alphabetic) {
            return self.words(field, words);
        }
        let comparison = self.measure(field)?;
        match Number::parse(&self.value.text) {
            Some(number) => Ok(FieldTest::Number(comparison, number.float())),
            None => Err(self.wrong_value(
                "status is a number, such as 404, or one of ok, error, open, cancelled; \
                 for a range write status>=400 status<500"
                    .to_owned(),
            )),
        }
    }

    fn session(&self, field: Field) -> Compiled<FieldTest> {
        let is_number =
            !self.value.text.is_empty() && self.value.text.bytes().all(|byte| byte.is_ascii_digit());
        let is_equality = matches!(self.operator, Operator::Is | Operator::Equal | Operator::NotEqual);
        if is_number && is_equality {
            return Ok(FieldTest::SessionNumber(self.value.text.clone()));
        }
        self.text(field).map(FieldTest::Text)
    }

    /// Marks, fields, arguments and paths that a row has or has not: always yes or no.
    fn mark(&mut self) -> Compiled<Test> {
        if !matches!(self.operator, Operator::Is | Operator::Equal | Operator::NotEqual) {
            return Err(self.wrong_operator(Field::Has, "takes a name; use : or !="));
        }
        let text = self.value.text.clone();
        if let Some(path) = self.path_value(&text)? {
            return Ok(Test::Exists(path));
        }
        let field = Field::named(&text).filter(|field| *field != Field::Has);
        if let Some(mark) = Field::Has.words().iter().find(|mark| mark.is_named(&text)) {
            mark.name.clone_into(&mut self.value.text);
            return Ok(Test::Has {
                mark: Some(mark.name),
                field,
            });
        }
        match field {
            Some(field) => {
                field.name().clone_into(&mut self.value.text);
                Ok(Test::Has {
                    mark: None,
                    field: Some(field),
                })
            }
            None => Err(self.unknown_mark()),
        }
    }

    fn unknown_mark(&self) -> FilterError {
        let marks: Vec<&str> = Field::Has.words().iter().map(|mark| mark.name).collect();
        let fields = Field::ALL.into_iter().map(Field::name);
        let guess = nearest(&self.value.text, marks.iter().copied().chain(fields));
        let guess = guess
            .map(|guess| format!("did you mean `{guess}`? "))
            .unwrap_or_default();
        self.wrong_value(format!(
            "no mark or field is named `{}`; {guess}The marks are {}",
            self.value.text,
            marks.join(", ")
        ))
    }

    /// Reads `$.a.b` and `arg.name` as a value.
    fn path_value(&mut self, text: &str) -> Compiled<Option<JsonPath>> {
        let chars: Vec<char> = text.chars().collect();
        let (mut path, start) = match chars.as_slice() {
            ['$', ..] => (JsonPath::root(), 1),
            ['a', 'r', 'g', '.' | '[', ..] => (JsonPath::arguments(), 3),
            _ => return Ok(None),
        };
        match path.read_segments(&chars, start) {
            Ok(end) if end == chars.len() => Ok(Some(path)),
            Ok(_) => Err(self.wrong_value("this is not a path, such as $.params.cursor".to_owned())),
            // Columns of the inner error count from the value, and escapes may have moved them.
            Err(error) => Err(self.wrong_value(error.message)),
        }
    }

    fn json(&mut self, is_typed: bool) -> Compiled<JsonTest> {
        if self.operator == Operator::Is && !self.value.is_quoted {
            // A value of no known type may well start with `<`; only before a number is it an operator.
            self.read_inner_operator_before(|rest| Number::parse(rest).is_some());
        }
        match self.operator {
            Operator::Matches => self.regex().map(|regex| JsonTest::Any(TextTest::Pattern(regex))),
            Operator::Prefix => Ok(JsonTest::Any(TextTest::Prefix(self.value.text.clone()))),
            Operator::Is if self.is_glob() => self.loosely().map(JsonTest::Any),
            Operator::Is => Ok(self.json_equality(&TextTest::same(&self.value.text), !is_typed)),
            Operator::Equal | Operator::NotEqual => {
                Ok(self.json_equality(&TextTest::Exact(self.value.text.clone()), false))
            }
            _ => Ok(self.json_order()),
        }
    }

    fn json_equality(&self, text: &TextTest, takes_strings: bool) -> JsonTest {
        let also = takes_strings.then(|| text.clone());
        if self.value.is_quoted {
            return JsonTest::String(text.clone());
        }
        match self.value.text.as_str() {
            literal @ ("true" | "false" | "null") => JsonTest::Literal(literal.to_owned(), also),
            bare => match Number::parse(bare) {
                Some(number) => JsonTest::Number(number, also),
                None => JsonTest::Any(text.clone()),
            },
        }
    }

    fn json_order(&self) -> JsonTest {
        let comparison = self.comparison().unwrap_or(Comparison::Equal);
        match Number::parse(&self.value.text).filter(|_| !self.value.is_quoted) {
            Some(number) => JsonTest::Order(comparison, number),
            None => JsonTest::OrderText(TextTest::Ordered(comparison, self.value.text.clone())),
        }
    }

    /// The comparison of a field that is measured; `:` may have one of its own, as in `dur:>2s`.
    fn measure(&mut self, field: Field) -> Compiled<Comparison> {
        if self.operator == Operator::Is {
            self.read_inner_operator();
        }
        self.comparison()
            .ok_or_else(|| self.wrong_operator(field, "is measured; use : = != > >= < or <="))
    }

    fn comparison(&self) -> Option<Comparison> {
        match self.operator {
            Operator::Is | Operator::Equal | Operator::NotEqual => Some(Comparison::Equal),
            Operator::Greater => Some(Comparison::Greater),
            Operator::GreaterOrEqual => Some(Comparison::GreaterOrEqual),
            Operator::Less => Some(Comparison::Less),
            Operator::LessOrEqual => Some(Comparison::LessOrEqual),
            Operator::Matches | Operator::Prefix => None,
        }
    }

    /// Takes `>`, `>=`, `<`, `<=` or `=` from the front of the value of `:`.
    fn read_inner_operator(&mut self) {
        self.read_inner_operator_before(|_| true);
    }

    fn read_inner_operator_before(&mut self, is_operand: impl Fn(&str) -> bool) {
        if self.value.is_quoted {
            return;
        }
        let found = INNER_OPERATORS.into_iter().find_map(|operator| {
            self.value
                .text
                .strip_prefix(operator.symbol())
                .map(|rest| (operator, rest.to_owned()))
        });
        if let Some((operator, rest)) = found.filter(|(_, rest)| is_operand(rest)) {
            self.operator = operator;
            self.value.text = rest;
            self.value_span.start += operator.width();
        }
    }

    fn wrong_value(&self, message: String) -> FilterError {
        FilterError::new(self.value_span, message)
    }

    fn wrong_operator(&self, field: Field, message: &str) -> FilterError {
        FilterError::new(self.operator_span, format!("{} {message}", field.name()))
    }
}

fn glob_pattern(glob: &str) -> String {
    glob.split('*').map(regex::escape).collect::<Vec<_>>().join(".*")
}

fn regex_fault(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            format!(
                "this pattern compiles to more than {} KiB; repeat less",
                MAX_REGEX_BYTES / 1024
            )
        }
        // The crate draws the pattern with a caret over several lines; a status line has one.
        error => {
            let text = error.to_string();
            let last = text
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            format!("this is not a regular expression: {last}")
        }
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let seconds_per_unit = match unit {
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * seconds_per_unit).ok()
}

fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let bytes_per_unit = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1024.0 * 1024.0,
        "g" | "gb" | "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let bytes = number * bytes_per_unit;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the digits have no sign, and a size beyond 16 EiB may as well be 16 EiB"
    )]
    Some(bytes as u64)
}

fn split_unit(text: &str) -> Option<(f64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("2s"), Some(Duration::from_secs(2)));
        assert_eq!(parse_duration("1.5ms"), Some(Duration::from_micros(1500)));
        assert_eq!(parse_duration("20us"), Some(Duration::from_micros(20)));
        assert_eq!(parse_duration("3m"), Some(Duration::from_mins(3)));
        for wrong in ["2", "s", "", "2h", "-1s", "1e9s", "99999999999999999999999s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_count_in_1024() {
        assert_eq!(parse_size("64k"), Some(65_536));
        assert_eq!(parse_size("1M"), Some(1_048_576));
        assert_eq!(parse_size("1.5KiB"), Some(1_536));
        assert_eq!(parse_size("512"), Some(512));
        for wrong in ["k", "", "1x", "-1", "1 k"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}
