//! Values as few bytes, for rows that nobody looks at. The bytes never leave the process.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::ids::{CallId, ConnectionId, MessageId, StreamId};
use crate::session::observation::{ExchangeKind, ObservedHead};
use crate::snapshot::{
    Carrier, Direction, EndKind, Finding, Head, Outcome, Progress, RowKind, SentHead, Severity, Timing,
};

/// Numbers of a kind stand near to each other, so only the difference from the one before is kept.
#[derive(Debug, Clone, Copy)]
pub(super) enum Near {
    Moment,
    Id,
    Call,
    Offset,
}

const NEAR: usize = 4;

/// Takes values in.
#[derive(Debug, Default)]
pub(super) struct Packer {
    bytes: Vec<u8>,
    last: [u64; NEAR],
    words: HashMap<Arc<str>, u64>,
}

impl Packer {
    /// All that was taken in.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn put(&mut self, value: &impl Pack) {
        value.pack(self);
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.put(&(bytes.len() as u64));
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn near(&mut self, kind: Near, value: u64) {
        let last = std::mem::replace(&mut self.last[kind as usize], value);
        self.put(&value.wrapping_sub(last).cast_signed());
    }

    /// A text that others share.
    pub(super) fn word(&mut self, word: Option<&Arc<str>>) {
        let Some(word) = word else {
            return self.put(&0_u64);
        };
        let next = self.words.len() as u64 + 1;
        if let Some(known) = self.words.get(word) {
            let known = *known;
            return self.put(&known);
        }
        self.put(&next);
        self.raw(word.as_bytes());
        self.words.insert(Arc::clone(word), next);
    }
}

/// Gives the same values back, in the same order. `None` where something else was put in.
#[derive(Debug)]
pub(super) struct Unpacker<'a> {
    bytes: &'a [u8],
    last: [u64; NEAR],
    words: Vec<Arc<str>>,
}

impl<'a> Unpacker<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            last: [0; NEAR],
            words: Vec::new(),
        }
    }

    pub(super) fn get<T: Pack>(&mut self) -> Option<T> {
        T::unpack(self)
    }

    pub(super) fn near(&mut self, kind: Near) -> Option<u64> {
        let difference: i64 = self.get()?;
        let last = &mut self.last[kind as usize];
        *last = last.wrapping_add(difference.cast_unsigned());
        Some(*last)
    }

    /// `Some(None)` where there was no text.
    #[expect(clippy::option_option, reason = "the outer one is that of every unpacking")]
    pub(super) fn word(&mut self) -> Option<Option<Arc<str>>> {
        let place = usize::try_from(self.get::<u64>()?).ok()?;
        let Some(index) = place.checked_sub(1) else {
            return Some(None);
        };
        if index == self.words.len() {
            let word: Box<str> = self.get()?;
            self.words.push(word.into());
        }
        self.words.get(index).cloned().map(Some)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }
}

/// What can be packed.
pub(super) trait Pack {
    fn pack(&self, out: &mut Packer);

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self>
    where
        Self: Sized;
}

/// Seven bits a byte, the lowest first.
impl Pack for u64 {
    fn pack(&self, out: &mut Packer) {
        let mut left = *self;
        while left >= 0x80 {
            out.bytes.push(left.to_le_bytes()[0] | 0x80);
            left >>= 7;
        }
        out.bytes.push(left.to_le_bytes()[0]);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let mut value = 0;
        for shift in (0..Self::BITS).step_by(7) {
            let byte = from.take(1)?[0];
            value |= Self::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

/// The sign is the lowest bit, so that small negative numbers are short as well.
impl Pack for i64 {
    fn pack(&self, out: &mut Packer) {
        out.put(&((*self << 1) ^ (*self >> 63)).cast_unsigned());
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let value: u64 = from.get()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }
}

impl Pack for bool {
    fn pack(&self, out: &mut Packer) {
        out.bytes.push(u8::from(*self));
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(from.take(1)?[0] == 1)
    }
}

impl<T: Pack> Pack for Option<T> {
    fn pack(&self, out: &mut Packer) {
        out.put(&self.is_some());
        if let Some(value) = self {
            out.put(value);
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        if from.get::<bool>()? {
            from.get().map(Some)
        } else {
            Some(None)
        }
    }
}

/// Small numbers and what has one.
macro_rules! numbers {
    ($($kind:ty: $to:expr, $of:expr;)*) => {$(
        impl Pack for $kind {
            fn pack(&self, out: &mut Packer) {
                let to: fn(&$kind) -> u64 = $to;
                out.put(&to(self));
            }

            fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
                let of: fn(u64) -> Option<$kind> = $of;
                of(from.get()?)
            }
        }
    )*};
}

numbers! {
    u32: |value| u64::from(*value), |number| number.try_into().ok();
    u16: |value| u64::from(*value), |number| number.try_into().ok();
    NonZeroU32: |value| u64::from(value.get()), |number| NonZeroU32::new(number.try_into().ok()?);
    ConnectionId: |id| id.get(), ConnectionId::new;
    StreamId: |id| id.get(), StreamId::new;
    Duration: |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX), |micros| Some(Duration::from_micros(micros));
}

/// Ids and moments that are near to the one before.
macro_rules! near {
    ($($kind:ty: $near:ident, $to:expr, $of:expr;)*) => {$(
        impl Pack for $kind {
            fn pack(&self, out: &mut Packer) {
                let to: fn(&$kind) -> u64 = $to;
                out.near(Near::$near, to(self));
            }

            fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
                let of: fn(u64) -> Option<$kind> = $of;
                of(from.near(Near::$near)?)
            }
        }
    )*};
}

near! {
    Timestamp: Moment, |at| at.as_micros(), |micros| Some(Timestamp::from_micros(micros));
    MessageId: Id, |id| id.get(), MessageId::new;
    CallId: Call, |id| id.get(), CallId::new;
}

/// One byte for each of few.
macro_rules! choices {
    ($($kind:ty: [$($choice:path),* $(,)?];)*) => {$(
        impl Pack for $kind {
            fn pack(&self, out: &mut Packer) {
                const ALL: &[$kind] = &[$($choice),*];
                let place = ALL.iter().position(|choice| choice == self);
                out.put(&place.map_or(u64::MAX, |place| place as u64));
            }

            fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
                const ALL: &[$kind] = &[$($choice),*];
                ALL.get(usize::try_from(from.get::<u64>()?).ok()?).copied()
            }
        }
    )*};
}

choices! {
    Direction: [Direction::ClientToServer, Direction::ServerToClient];
    Severity: [Severity::Info, Severity::Warning, Severity::Error];
    EndKind: [
        EndKind::Complete, EndKind::ClientAborted, EndKind::UpstreamAborted, EndKind::UpstreamUnreachable,
        EndKind::CutByProxy, EndKind::Unwatched,
    ];
    ExchangeKind: [
        ExchangeKind::Message, ExchangeKind::Http, ExchangeKind::Tunnel, ExchangeKind::Run,
        ExchangeKind::BridgedRun,
    ];
}

impl Pack for Carrier {
    fn pack(&self, out: &mut Packer) {
        out.put(&(*self as u64));
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Self::ALL.get(usize::try_from(from.get::<u64>()?).ok()?).copied()
    }
}

impl Pack for RowKind {
    fn pack(&self, out: &mut Packer) {
        out.put(&(*self as u64));
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Self::ALL.get(usize::try_from(from.get::<u64>()?).ok()?).copied()
    }
}

/// Its place among all, and the code it may carry.
impl Pack for Outcome {
    fn pack(&self, out: &mut Packer) {
        out.put(&(self.index() as u64));
        match self {
            Self::RpcError(code) => out.put(code),
            Self::HttpError(status) | Self::ProxyError(status) => out.put(status),
            _ => {}
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let index: u64 = from.get()?;
        Some(match Self::NAMES.get(usize::try_from(index).ok()?).copied()? {
            "ok" => Self::Ok,
            "rpc_error" => Self::RpcError(from.get()?),
            "tool_error" => Self::ToolError,
            "input_required" => Self::InputRequired,
            "task" => Self::Task,
            "http_error" => Self::HttpError(from.get()?),
            "cancelled" => Self::Cancelled,
            "client_gone" => Self::ClientGone,
            "upstream_gone" => Self::UpstreamGone,
            "proxy_error" => Self::ProxyError(from.get()?),
            "unanswered" => Self::Unanswered,
            "unwatched" => Self::Unwatched,
            _ => return None,
        })
    }
}

impl Pack for Bytes {
    fn pack(&self, out: &mut Packer) {
        out.raw(self);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let length = usize::try_from(from.get::<u64>()?).ok()?;
        from.take(length).map(Self::copy_from_slice)
    }
}

impl Pack for Box<str> {
    fn pack(&self, out: &mut Packer) {
        out.raw(self.as_bytes());
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let length = usize::try_from(from.get::<u64>()?).ok()?;
        std::str::from_utf8(from.take(length)?).ok().map(Into::into)
    }
}

impl Pack for String {
    fn pack(&self, out: &mut Packer) {
        out.raw(self.as_bytes());
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        from.get::<Box<str>>().map(Into::into)
    }
}

impl<T: Pack> Pack for Vec<T> {
    fn pack(&self, out: &mut Packer) {
        out.put(&(self.len() as u64));
        for value in self {
            out.put(value);
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let length: u64 = from.get()?;
        (0..length).map(|_| from.get()).collect()
    }
}

impl<T: Pack> Pack for Box<[T]> {
    fn pack(&self, out: &mut Packer) {
        out.put(&(self.len() as u64));
        for value in self {
            out.put(value);
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        from.get::<Vec<T>>().map(Into::into)
    }
}

impl Pack for Box<SentHead> {
    fn pack(&self, out: &mut Packer) {
        out.put(&**self);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        from.get().map(Box::new)
    }
}

impl<A: Pack, B: Pack> Pack for (A, B) {
    fn pack(&self, out: &mut Packer) {
        out.put(&self.0);
        out.put(&self.1);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some((from.get()?, from.get()?))
    }
}

/// All fields, one after the other.
macro_rules! fields {
    ($kind:ty: $($field:ident),* $(,)?) => {
        impl $crate::session::history::packing::Pack for $kind {
            fn pack(&self, out: &mut $crate::session::history::packing::Packer) {
                $(out.put(&self.$field);)*
            }

            fn unpack(from: &mut $crate::session::history::packing::Unpacker<'_>) -> Option<Self> {
                Some(Self { $($field: from.get()?),* })
            }
        }
    };
}
pub(super) use fields;

fields!(Finding: severity, text);
fields!(Head: line, fields);
fields!(SentHead: line, removed, set, configured);
fields!(Progress: progress, total);
fields!(Timing: started, request_done, sent, connect, response_head, handed_on, first_byte, done);

impl Pack for ObservedHead {
    fn pack(&self, out: &mut Packer) {
        match self {
            Self::Raw(bytes) => {
                out.put(&true);
                out.put(bytes);
            }
            Self::Fields(head) => {
                out.put(&false);
                out.put(&**head);
            }
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        if from.get::<bool>()? {
            from.get().map(Self::Raw)
        } else {
            from.get().map(|head| Self::Fields(Box::new(head)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again<T: Pack>(value: &T) -> T {
        let mut packer = Packer::default();
        packer.put(value);
        let bytes = packer.into_bytes();
        let mut unpacker = Unpacker::new(&bytes);
        let value = unpacker.get().unwrap();
        assert!(unpacker.bytes.is_empty(), "{bytes:?}");
        value
    }

    #[test]
    fn numbers_of_every_size_and_sign_come_back() {
        for value in [0, 1, 127, 128, 1 << 20, u64::MAX] {
            assert_eq!(again(&value), value);
        }
        for value in [0, -1, 1, -64, i64::MIN, i64::MAX] {
            assert_eq!(again(&value), value);
        }
    }

    #[test]
    fn every_outcome_and_kind_comes_back() {
        for outcome in [
            Outcome::Ok,
            Outcome::RpcError(-32_601),
            Outcome::ToolError,
            Outcome::InputRequired,
            Outcome::Task,
            Outcome::HttpError(404),
            Outcome::Cancelled,
            Outcome::ClientGone,
            Outcome::UpstreamGone,
            Outcome::ProxyError(502),
            Outcome::Unanswered,
            Outcome::Unwatched,
        ] {
            assert_eq!(again(&outcome), outcome);
        }
        for kind in RowKind::ALL {
            assert_eq!(again(&kind), kind);
        }
        for carrier in Carrier::ALL {
            assert_eq!(again(&carrier), carrier);
        }
    }

    #[test]
    fn a_word_is_kept_once_and_moments_as_what_is_between_them() {
        let mut packer = Packer::default();
        let word: Arc<str> = "tools/call".into();
        let moments = [
            1_795_407_783_123_456,
            1_795_407_783_123_460,
            1_795_407_783_123_458,
        ];
        for moment in moments {
            packer.word(Some(&word));
            packer.put(&Timestamp::from_micros(moment));
            packer.word(None);
        }
        let bytes = packer.into_bytes();
        assert_eq!(bytes.len(), (1 + 11 + 8 + 1) + 2 * 3);
        let mut unpacker = Unpacker::new(&bytes);
        for moment in moments {
            assert_eq!(unpacker.word(), Some(Some(Arc::clone(&word))));
            assert_eq!(unpacker.get(), Some(Timestamp::from_micros(moment)));
            assert_eq!(unpacker.word(), Some(None));
        }
        assert_eq!(unpacker.get::<bool>(), None);
    }
}
