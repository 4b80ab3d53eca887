//! A recorded request as a filter asks about it.

use std::borrow::Cow;
use std::time::Duration;

use crate::codec::envelope::{Field as Captured, MessageKind};
use crate::intercept::filter::{Field, FieldValue, Subject};
use crate::replay::tape::{TapeCall, TapeMessage, TapeSession};
use crate::session::describe::{error_code, outcome};
use crate::session::pairing::subject;
use crate::snapshot::{Era, Outcome};

/// A request of the client, and what is known of its answer.
pub(super) struct Asked<'a> {
    pub(super) session: &'a TapeSession,
    pub(super) call: &'a TapeCall,
}

impl<'a> Asked<'a> {
    fn message(&self) -> &'a TapeMessage {
        &self.session.messages[self.call.request]
    }

    fn answer(&self) -> Option<&'a TapeMessage> {
        Some(&self.session.messages[self.call.answer?])
    }

    fn name_of(&self, methods: &[&str]) -> Option<FieldValue<'_>> {
        let is_one = methods.iter().any(|prefix| self.call.method.starts_with(prefix));
        let name = subject(&self.message().envelope).filter(|_| is_one)?;
        Some(name.into())
    }

    fn is_error(&self) -> bool {
        let failed = |answer: &TapeMessage| {
            answer.envelope.kind == MessageKind::Error || outcome(&answer.envelope) == Outcome::ToolError
        };
        self.answer().is_some_and(failed)
    }

    fn status(&self) -> FieldValue<'_> {
        let word = match self.answer() {
            None => "open",
            Some(_) if self.is_error() => "error",
            Some(_) => "ok",
        };
        let exchange = self.session.exchange_of(self.message());
        let number = exchange
            .response
            .as_ref()
            .map(|response| f64::from(response.status));
        let values = number.map(FieldValue::Number).into_iter();
        FieldValue::Many(values.chain([word.into()]).collect())
    }

    fn duration(&self) -> Option<FieldValue<'_>> {
        let took = self.answer()?.us.saturating_sub(self.message().us);
        Some(Duration::from_micros(u64::try_from(took).unwrap_or(0)).into())
    }
}

impl Subject for Asked<'_> {
    fn field(&self, field: Field) -> Option<FieldValue<'_>> {
        let message = self.message();
        match field {
            Field::Method => Some((&*self.call.method).into()),
            Field::Tool => self.name_of(&["tools/call"]),
            Field::Prompt => self.name_of(&["prompts/get"]),
            Field::Uri => self.name_of(&["resources/"]),
            Field::Name => subject(&message.envelope).map(FieldValue::from),
            Field::Id => message.envelope.id.as_ref()?.token().map(FieldValue::Id),
            Field::Kind => Some("request".into()),
            Field::Direction => Some("c2s".into()),
            Field::Side => Some(self.session.exchange_of(message).side.name().into()),
            Field::Session => self.session.id.map(|id| id.to_string().into()),
            Field::Server => Some((&*self.session.server).into()),
            Field::Status => Some(self.status()),
            Field::Code => number(error_code(&self.answer()?.envelope)?),
            Field::Duration => self.duration(),
            Field::Size => Some(FieldValue::Bytes(message.text.len() as u64)),
            Field::Carrier => Some(self.session.frame_of(message).carrier.name().into()),
            Field::Era => Some(
                if self.session.era == Era::Modern {
                    "modern"
                } else {
                    "legacy"
                }
                .into(),
            ),
            Field::Revision => self.session.revision.as_deref().map(FieldValue::from),
            Field::Exchange => {
                let id = self.session.exchange_of(message).id.get();
                number(i64::try_from(id).unwrap_or(i64::MAX))
            }
            Field::Level => message
                .envelope
                .fields
                .get(Captured::ParamsLevel)
                .map(FieldValue::from),
            Field::Error => {
                let answer = self.answer()?;
                answer
                    .envelope
                    .fields
                    .get(Captured::ErrorMessage)
                    .map(FieldValue::from)
            }
            Field::Has => Some(FieldValue::Many(
                self.is_error().then(|| "error".into()).into_iter().collect(),
            )),
            Field::Client
            | Field::Call
            | Field::Stream
            | Field::Event
            | Field::Summary
            | Field::Argument
            | Field::Text => None,
        }
    }

    fn body(&self) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(&self.message().text))
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::unnecessary_wraps,
    reason = "filters compare numbers as JSON does; every caller wants a field that is there"
)]
fn number(magnitude: i64) -> Option<FieldValue<'static>> {
    Some(FieldValue::Number(magnitude as f64))
}
