//! What a row has to be to be shown, and what a row says when a filter asks it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use bytes::Bytes;

use crate::ids::ProxySessionId;
use crate::intercept::filter::{Field, FieldValue, Filter, FilterError, Subject, direction_word, kind_word};
use crate::session::history::owner::Known;
use crate::session::history::{History, Row};
use crate::snapshot::{Carrier, Era, FilterProblem, Outcome, RowKind, RowState, Severity, is_copy};

/// A filter and a session.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Criteria {
    pub(super) filter: Filter,
    pub(super) session: Option<ProxySessionId>,
    pub(super) max_parse_bytes: u64,
}

impl Criteria {
    /// Whether every row is shown.
    pub(super) fn is_all(&self) -> bool {
        self.session.is_none() && self.filter.is_all()
    }

    pub(super) fn hold(&self, history: &impl History, row: &Row) -> bool {
        if self.session.is_some() && row.session() != self.session {
            return false;
        }
        self.filter.is_all()
            || self
                .filter
                .matches(&RowSubject::new(history, row, self.max_parse_bytes))
    }
}

pub(super) fn problem(error: FilterError) -> FilterProblem {
    FilterProblem {
        column: error.column,
        length: error.length,
        message: error.message,
    }
}

/// A row of history as a filter asks it.
struct RowSubject<'a, H> {
    history: &'a H,
    row: &'a Row,
    state: RowState,
    session: SessionWords,
    body: OnceCell<Option<Bytes>>,
    max_parse_bytes: u64,
}

/// What is known of the row's session, fetched when a filter first asks.
type SessionWords = OnceCell<Option<Arc<Known>>>;

impl<'a, H: History> RowSubject<'a, H> {
    fn new(history: &'a H, row: &'a Row, max_parse_bytes: u64) -> Self {
        let state = row.state();
        Self {
            history,
            row,
            state,
            session: OnceCell::new(),
            body: OnceCell::new(),
            max_parse_bytes,
        }
    }

    fn known(&self) -> Option<&Known> {
        self.session
            .get_or_init(|| self.row.session_facts().map(|session| session.known()))
            .as_deref()
    }

    fn outcome(&self) -> Option<Outcome> {
        match &self.state {
            RowState::Answered { outcome, .. } | RowState::Answer { outcome, .. } => Some(*outcome),
            RowState::Passed | RowState::Open { .. } => None,
        }
    }

    fn status(&self) -> Option<FieldValue<'a>> {
        let number = match &self.state {
            RowState::Answered { status, .. } | RowState::Answer { status, .. } => *status,
            RowState::Passed | RowState::Open { .. } => None,
        };
        let word = match (&self.state, self.outcome()) {
            (RowState::Open { .. }, _) => Some("open"),
            (_, Some(Outcome::Cancelled)) => Some("cancelled"),
            (_, Some(outcome)) => Some(if outcome.is_error() { "error" } else { "ok" }),
            (_, None) => None,
        };
        let number = number.map(|status| FieldValue::Number(f64::from(status)));
        let values: Vec<_> = number.into_iter().chain(word.map(FieldValue::from)).collect();
        (!values.is_empty()).then_some(FieldValue::Many(values))
    }

    fn duration(&self) -> Option<FieldValue<'a>> {
        match &self.state {
            RowState::Answered { took, .. } | RowState::Answer { took: Some(took), .. } => {
                Some(FieldValue::Duration(*took))
            }
            _ => None,
        }
    }

    fn marks(&self) -> FieldValue<'a> {
        let is_cut = self.row.kept_body().is_some_and(|body| body.is_cut);
        let rpc_id = self.row.facts.rpc_id.as_deref();
        let marks = [
            ("resent", rpc_id.is_some_and(is_copy)),
            ("error", self.outcome().is_some_and(Outcome::is_error)),
            ("warning", self.row.has_finding(Severity::Warning)),
            ("progress", self.row.progress().is_some()),
            ("cut", is_cut),
        ];
        FieldValue::Many(
            marks
                .iter()
                .filter(|(_, is_set)| *is_set)
                .map(|(mark, _)| (*mark).into())
                .collect(),
        )
    }

    /// What the call is about, if its method is one of `methods`.
    fn name_of(&self, methods: &[&str]) -> Option<FieldValue<'a>> {
        let method = self.row.facts.method.as_deref()?;
        let is_one = methods.iter().any(|prefix| method.starts_with(prefix));
        self.row
            .facts
            .name
            .as_deref()
            .filter(|_| is_one)
            .map(FieldValue::from)
    }

    fn event(&self) -> Option<FieldValue<'a>> {
        let facts = &self.row.facts;
        let named = facts.rare.as_deref().and_then(|rare| rare.event.as_deref());
        let implied = (facts.carrier == Carrier::Sse && facts.kind != RowKind::Event).then_some("message");
        named.or(implied).map(FieldValue::from)
    }
}

impl<H: History> Subject for RowSubject<'_, H> {
    fn field(&self, field: Field) -> Option<FieldValue<'_>> {
        let facts = &self.row.facts;
        let rare = facts.rare.as_deref();
        match field {
            Field::Method => facts.method.as_deref().map(FieldValue::from),
            Field::Tool => self.name_of(&["tools/call"]),
            Field::Prompt => self.name_of(&["prompts/get"]),
            Field::Uri => self.name_of(&["resources/", "notifications/resources/"]),
            Field::Name => facts.name.as_deref().map(FieldValue::from),
            Field::Id => facts.rpc_id.as_deref().map(FieldValue::Id),
            Field::Kind => Some(kind_word(facts.kind).into()),
            Field::Direction => Some(direction_word(facts.direction).into()),
            Field::Side => Some(self.row.side().name().into()),
            Field::Session => self.row.session().map(|session| session.to_string().into()),
            Field::Server => Some((&*facts.exchange.server).into()),
            Field::Client => self.known()?.client.as_deref().map(client),
            Field::Status => self.status(),
            Field::Code => match self.outcome()? {
                Outcome::RpcError(code) => Some(number(code.unsigned_abs(), code < 0)),
                _ => None,
            },
            Field::Duration => self.duration(),
            Field::Size => Some(FieldValue::Bytes(self.row.size())),
            Field::Carrier => Some(facts.carrier.name().into()),
            Field::Era => self.known()?.era.map(|era| self::era(era).into()),
            Field::Revision => self.known()?.revision.as_deref().map(FieldValue::from),
            Field::Call => facts.call.map(|call| number(call.get(), false)),
            Field::Exchange => Some(number(facts.exchange.id.get(), false)),
            Field::Stream => facts.stream.map(|stream| number(stream.get(), false)),
            Field::Event => self.event(),
            Field::Error => rare?.error.as_deref().map(FieldValue::from),
            Field::Level => rare?.level.as_deref().map(FieldValue::from),
            Field::Has => Some(self.marks()),
            Field::Summary => Some((&*facts.summary).into()),
            // Read from the body by the filter itself.
            Field::Argument | Field::Text => None,
        }
    }

    fn body(&self) -> Option<Cow<'_, [u8]>> {
        let read = || {
            let is_small = self.row.kept_body()?.size <= self.max_parse_bytes;
            is_small
                .then(|| self.history.body(self.row))
                .flatten()
                .map(|bytes| bytes.payload)
        };
        self.body.get_or_init(read).as_deref().map(Cow::Borrowed)
    }
}

/// A client by its name, and by its name and version as the screen shows them.
fn client(shown: &str) -> FieldValue<'_> {
    match shown.rsplit_once(' ') {
        Some((name, version)) if version.starts_with(|first: char| first.is_ascii_digit()) => {
            FieldValue::Many(vec![name.into(), shown.into()])
        }
        _ => shown.into(),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "filters compare numbers as JSON does; ids stay far below 2^53"
)]
fn number(magnitude: u64, is_negative: bool) -> FieldValue<'static> {
    let number = magnitude as f64;
    FieldValue::Number(if is_negative { -number } else { number })
}

fn era(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    }
}
