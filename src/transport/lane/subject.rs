//! A message on its way as a filter asks about it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::codec::envelope::{Envelope, Field as Captured, MessageKind};
use crate::intercept::filter::{Field, FieldValue, Subject, direction_word, kind_word};
use crate::session::observation::PlacedMessage;
use crate::session::pairing;
use crate::session::registry::Session;
use crate::snapshot::{Carrier, Direction, RowKind};
use crate::transport::exchange::Exchange;

use super::Noted;

/// A message on its way.
pub(super) struct OnItsWay<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) direction: Direction,
    pub(super) noted: &'a Noted,
    /// `None` for an event or a body that is no message.
    pub(super) placed: Option<&'a PlacedMessage>,
    pub(super) session: Option<Arc<Session>>,
    pub(super) status: Option<u16>,
    pub(super) now: Timestamp,
}

impl OnItsWay<'_> {
    /// What it is.
    pub(super) fn kind(&self) -> RowKind {
        match self.envelope().map(|envelope| envelope.kind) {
            Some(MessageKind::Request) => RowKind::Request,
            Some(MessageKind::Notification) => RowKind::Notification,
            Some(MessageKind::Result) => RowKind::Result,
            Some(MessageKind::Error) => RowKind::Error,
            Some(MessageKind::Malformed) => RowKind::Malformed,
            None if self.noted.carrier == Carrier::Sse => RowKind::Event,
            None if self.direction == Direction::ServerToClient => RowKind::HttpResponse,
            None => RowKind::Http,
        }
    }

    /// Its method, or that of the request it answers.
    pub(super) fn method(&self) -> Option<&str> {
        let own = self.envelope()?.method.as_deref();
        own.or_else(|| self.placed?.placement.request_method.as_deref())
    }

    /// The tool, prompt or resource it is about.
    pub(super) fn name(&self) -> Option<&str> {
        let own = self.envelope().and_then(pairing::subject);
        own.or_else(|| self.placed?.placement.request_name.as_deref())
    }

    /// Its id as spelled.
    pub(super) fn rpc_id(&self) -> Option<&str> {
        self.envelope()?.id.as_ref()?.token()
    }

    /// What its client is called.
    pub(super) fn client(&self) -> Option<Arc<str>> {
        let session = self.session.as_ref()?;
        session.talk().client.clone()
    }

    fn envelope(&self) -> Option<&Envelope> {
        self.placed.map(|placed| &placed.envelope)
    }

    fn name_of(&self, methods: &[&str]) -> Option<FieldValue<'_>> {
        let method = self.method()?;
        let is_one = methods.iter().any(|prefix| method.starts_with(prefix));
        self.name().filter(|_| is_one).map(FieldValue::from)
    }

    fn status(&self) -> Option<FieldValue<'_>> {
        let word = match self.kind() {
            RowKind::Result => Some("ok"),
            RowKind::Error => Some("error"),
            RowKind::Request => Some("open"),
            _ => None,
        };
        let number = self.status.map(|status| FieldValue::Number(f64::from(status)));
        let values: Vec<_> = number.into_iter().chain(word.map(FieldValue::from)).collect();
        (!values.is_empty()).then_some(FieldValue::Many(values))
    }

    fn duration(&self) -> Option<FieldValue<'_>> {
        let asked = self.placed?.placement.request_at?;
        Some(FieldValue::Duration(self.now.since(asked)))
    }

    fn marks(&self) -> FieldValue<'_> {
        let is_error = self.kind() == RowKind::Error;
        let has_finding = self
            .placed
            .is_some_and(|placed| !placed.placement.findings.is_empty());
        let marks = [
            ("error", is_error),
            ("warning", has_finding),
            ("cut", self.noted.is_cut),
        ];
        let set = marks.iter().filter(|(_, is_set)| *is_set);
        FieldValue::Many(set.map(|(mark, _)| (*mark).into()).collect())
    }

    fn event(&self) -> Option<FieldValue<'_>> {
        let event = self.noted.sse.as_ref()?.event.as_deref()?;
        Some(event.into())
    }

    fn captured(&self, field: Captured) -> Option<FieldValue<'_>> {
        self.envelope()?.fields.get(field).map(FieldValue::from)
    }
}

impl Subject for OnItsWay<'_> {
    fn field(&self, field: Field) -> Option<FieldValue<'_>> {
        match field {
            Field::Method => self.method().map(FieldValue::from),
            Field::Tool => self.name_of(&["tools/call"]),
            Field::Prompt => self.name_of(&["prompts/get"]),
            Field::Uri => self.name_of(&["resources/", "notifications/resources/"]),
            Field::Name => self.name().map(FieldValue::from),
            Field::Id => self.rpc_id().map(FieldValue::Id),
            Field::Kind => Some(kind_word(self.kind()).into()),
            Field::Direction => Some(direction_word(self.direction).into()),
            Field::Side => Some(self.exchange.side.name().into()),
            Field::Session => self.session.as_ref().map(|session| session.id.to_string().into()),
            Field::Server => Some((&*self.exchange.server).into()),
            Field::Client => self.client().map(|client| client.to_string().into()),
            Field::Status => self.status(),
            Field::Code => {
                let code: f64 = self.envelope()?.fields.get(Captured::ErrorCode)?.parse().ok()?;
                Some(FieldValue::Number(code))
            }
            Field::Duration => self.duration(),
            Field::Size => Some(FieldValue::Bytes(self.noted.size)),
            Field::Carrier => Some(self.noted.carrier.name().into()),
            Field::Era => Some(
                if self.exchange.is_modern() {
                    "modern"
                } else {
                    "legacy"
                }
                .into(),
            ),
            Field::Revision => {
                let session = self.session.as_ref()?;
                let revision = session.talk().revision.clone()?;
                Some(revision.to_string().into())
            }
            Field::Call => Some(number(self.placed?.placement.call?.get())),
            Field::Exchange => Some(number(self.exchange.id.get())),
            Field::Stream => self.exchange.stream().map(|stream| number(stream.get())),
            Field::Event => self.event(),
            Field::Error => self.captured(Captured::ErrorMessage),
            Field::Level => self.captured(Captured::ParamsLevel),
            Field::Has => Some(self.marks()),
            // What a row says in few words is made later, by the ledger.
            Field::Summary | Field::Argument | Field::Text => None,
        }
    }

    fn body(&self) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(&self.noted.payload))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "filters compare numbers as JSON does; ids stay far below 2^53"
)]
fn number(magnitude: u64) -> FieldValue<'static> {
    FieldValue::Number(magnitude as f64)
}
