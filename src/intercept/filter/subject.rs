//! What a filter is asked about.

use std::borrow::Cow;
use std::time::Duration;

use super::Field;

/// A row, a message or a call: whatever a filter can be asked about.
pub trait Subject {
    /// The value of a field, or `None` when this row does not have it.
    ///
    /// [`Field::Argument`] and [`Field::Text`] are read from [`Subject::body`] and never asked for here. The others
    /// expect, and anything else counts as missing:
    ///
    /// - [`FieldValue::Id`] for [`Field::Id`];
    /// - [`FieldValue::Number`] for [`Field::Code`], [`Field::Call`], [`Field::Exchange`] and [`Field::Stream`];
    /// - [`FieldValue::Duration`] for [`Field::Duration`] and [`FieldValue::Bytes`] for [`Field::Size`];
    /// - for [`Field::Status`] the HTTP status as [`FieldValue::Number`], the word as [`FieldValue::Text`], or both in
    ///   a [`FieldValue::Many`];
    /// - for [`Field::Has`] the marks as a [`FieldValue::Many`] of texts;
    /// - [`FieldValue::Text`] for the rest: the first names of [`Field::values`] where there are any (`c2s`, never
    ///   `client`; `result` or `error`, never `response`, once it is known), `R1` for a session.
    fn field(&self, field: Field) -> Option<FieldValue<'_>>;

    /// The body of the message, decoded from its content coding, or `None` when there is none or it was not kept.
    ///
    /// Asked for at most once for each [`Filter::matches`](super::Filter::matches), and only by filters whose
    /// [`Filter::needs`](super::Filter::needs) is [`Needs::Whole`](super::Needs::Whole). A body that was cut is fine:
    /// what lies behind the cut counts as missing.
    fn body(&self) -> Option<Cow<'_, [u8]>>;
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// Words.
    Text(Cow<'a, str>),
    /// A number, such as an HTTP status or an error code.
    Number(f64),
    /// A time span.
    Duration(Duration),
    /// A size in bytes.
    Bytes(u64),
    /// A JSON-RPC id as its raw JSON token: `7`, `"7"`, `null`.
    Id(&'a str),
    /// Several values at once: one that fits is enough. Empty is a field that is there and has no value.
    Many(Vec<Self>),
}

impl<'a> From<&'a str> for FieldValue<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for FieldValue<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<Duration> for FieldValue<'_> {
    fn from(duration: Duration) -> Self {
        Self::Duration(duration)
    }
}
