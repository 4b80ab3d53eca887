//! Asking an expression about a row, in three values.
//!
//! A condition on what the row does not have is neither true nor false. "Not" leaves it so; "and" is false as soon as
//! one part is, and "or" true as soon as one is (Kleene's logic). A row matches only if the whole is true.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::atom::{Atom, Operator, Target, Test};
use super::compare::{JsonTest, TextTest, Truth, holds_word, texts};
use super::path::JsonPath;
use super::syntax::Expression;
use super::{Field, Subject};

/// The fields in which a bare word is looked for, besides the body.
const SEARCHED: [Field; 5] = [
    Field::Method,
    Field::Name,
    Field::Uri,
    Field::Summary,
    Field::Error,
];

/// A subject and its body, which is asked for at most once.
pub(super) struct Row<'s, S: ?Sized> {
    subject: &'s S,
    body: OnceCell<Option<Cow<'s, [u8]>>>,
}

impl<'s, S: Subject + ?Sized> Row<'s, S> {
    pub(super) fn new(subject: &'s S) -> Self {
        Self {
            subject,
            body: OnceCell::new(),
        }
    }

    pub(super) fn ask(&self, expression: &Expression) -> Truth {
        match expression {
            Expression::All(terms) => self.ask_all(terms),
            Expression::Any(alternatives) => self.ask_any(alternatives),
            Expression::Not(inner) => self.ask(inner).negated(),
            Expression::Atom(atom) => self.ask_atom(atom),
        }
    }

    fn ask_all(&self, terms: &[Expression]) -> Truth {
        let mut all = Truth::Yes;
        for term in terms {
            match self.ask(term) {
                Truth::No => return Truth::No,
                Truth::Absent => all = Truth::Absent,
                Truth::Yes => {}
            }
        }
        all
    }

    fn ask_any(&self, alternatives: &[Expression]) -> Truth {
        let mut any = Truth::No;
        for alternative in alternatives {
            match self.ask(alternative) {
                Truth::Yes => return Truth::Yes,
                Truth::Absent => any = Truth::Absent,
                Truth::No => {}
            }
        }
        any
    }

    fn ask_atom(&self, atom: &Atom) -> Truth {
        let truth = match (&atom.test, &atom.target) {
            (Test::Field(test), Target::Field(field)) => self
                .subject
                .field(*field)
                .map_or(Truth::Absent, |value| test.check(*field, &value)),
            (Test::Json(test), Target::Path(path) | Target::Argument(path)) => self.ask_path(path, test),
            (Test::Pattern(test), Target::Anywhere) => self.ask_anywhere(test),
            (Test::Pattern(test), _) => self
                .body_text()
                .map_or(Truth::Absent, |text| test.holds(&text).into()),
            (Test::Has { mark, field }, _) => self.has(*mark, *field).into(),
            (Test::Exists(path), _) => self.body().is_some_and(|body| path.exists(body)).into(),
            (Test::Field(_) | Test::Json(_), _) => Truth::Absent,
        };
        if atom.operator == Operator::NotEqual {
            truth.negated()
        } else {
            truth
        }
    }

    fn ask_path(&self, path: &JsonPath, test: &JsonTest) -> Truth {
        let Some(body) = self.body() else {
            return Truth::Absent;
        };
        let mut truth = Truth::Absent;
        path.visit(body, &mut |value| {
            truth = truth.or_else(test.check(&value));
            truth == Truth::Yes
        });
        truth
    }

    fn ask_anywhere(&self, test: &TextTest) -> Truth {
        let mut truth = Truth::Absent;
        for field in SEARCHED {
            let Some(value) = self.subject.field(field) else {
                continue;
            };
            let is_found = texts(&value).iter().any(|text| test.holds(text));
            truth = truth.or_else(is_found.into());
            if is_found {
                return truth;
            }
        }
        let in_body = self
            .body_text()
            .map_or(Truth::Absent, |text| test.holds(&text).into());
        truth.or_else(in_body)
    }

    fn has(&self, mark: Option<&str>, field: Option<Field>) -> bool {
        let is_marked = mark.is_some_and(|mark| {
            self.subject
                .field(Field::Has)
                .is_some_and(|marks| holds_word(&marks, mark))
        });
        is_marked || field.is_some_and(|field| self.is_present(field))
    }

    fn is_present(&self, field: Field) -> bool {
        match field {
            Field::Text => self.body().is_some(),
            field => self.subject.field(field).is_some(),
        }
    }

    fn body(&self) -> Option<&[u8]> {
        self.body.get_or_init(|| self.subject.body()).as_deref()
    }

    fn body_text(&self) -> Option<Cow<'_, str>> {
        self.body().map(String::from_utf8_lossy)
    }
}
