//! A row as few bytes, and made again from them.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use super::{Changing, Course, Later, RareFacts, Row, RowEnd, RowFacts};
use crate::ids::MessageId;
use crate::session::history::body::{BodyLocator, KeptBody, Place};
use crate::session::history::exchange::ExchangeRecord;
use crate::session::history::owner::SessionFacts;
use crate::session::history::packing::{Near, Pack, Packer, Unpacker, fields};

fields!(RareFacts: event, event_id, retry, comments, error, level);
fields!(RowEnd: took, outcome, status);

/// What rows share, by the number under which it is packed.
pub(in crate::session::history) trait Shared {
    fn exchange(&self, number: u64) -> Option<Arc<ExchangeRecord>>;
    fn session(&self, number: u64) -> Option<Arc<SessionFacts>>;
}

impl Pack for Course {
    fn pack(&self, out: &mut Packer) {
        out.put(&(*self as u64));
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        const ALL: [Course; 3] = [Course::Passes, Course::Opens, Course::Ends];
        ALL.get(usize::try_from(from.get::<u64>()?).ok()?).copied()
    }
}

impl Row {
    /// Whether its bytes, if it has any, are in a file.
    pub(in crate::session::history) fn is_without_bytes(&self) -> bool {
        let body = self.kept_body();
        body.is_none_or(|body| matches!(body.place, Place::File { .. }))
    }

    /// Packs all of it but its exchange and its session, of which the numbers are packed. Bytes that are not in a file
    /// are left out, and so is what was decided about it.
    pub(in crate::session::history) fn pack(&self, out: &mut Packer, exchange: u64, session: Option<u64>) {
        let facts = &self.facts;
        out.put(&facts.id);
        out.put(&facts.at);
        out.put(&exchange);
        out.put(&session);
        out.put(&facts.frame);
        out.put(&facts.stream);
        out.put(&facts.call);
        out.put(&facts.previous_in_call.map(MessageId::get));
        out.put(&self.next_in_call().map(MessageId::get));
        out.put(&facts.direction);
        out.put(&facts.carrier);
        out.put(&facts.kind);
        out.put(&facts.course);
        out.word(facts.method.as_ref());
        out.word(facts.name.as_ref());
        out.put(&facts.rpc_id);
        out.put(&facts.summary);
        out.put(&facts.findings);
        out.put(&facts.batch);
        out.put(&facts.rare.is_some());
        if let Some(rare) = &facts.rare {
            out.put(&**rare);
        }
        out.put(&self.size());
        out.put(&self.end.get().copied());
        out.put(&self.progress().as_deref().cloned());
        pack_body(self.kept_body().as_deref(), out);
    }

    /// Makes the row again.
    pub(in crate::session::history) fn unpack(from: &mut Unpacker<'_>, shared: &impl Shared) -> Option<Self> {
        let id = from.get()?;
        let at = from.get()?;
        let exchange = shared.exchange(from.get()?)?;
        let session = match from.get::<Option<u64>>()? {
            Some(number) => Some(shared.session(number)?),
            None => None,
        };
        let frame = from.get()?;
        let stream = from.get()?;
        let call = from.get()?;
        let previous_in_call = from.get::<Option<u64>>()?.and_then(MessageId::new);
        let next_in_call = from.get::<Option<u64>>()?.unwrap_or_default();
        let facts = RowFacts {
            id,
            at,
            exchange,
            frame,
            stream,
            call,
            previous_in_call,
            direction: from.get()?,
            carrier: from.get()?,
            kind: from.get()?,
            course: from.get()?,
            method: from.word()?,
            name: from.word()?,
            rpc_id: from.get()?,
            summary: from.get()?,
            findings: from.get()?,
            batch: from.get()?,
            rare: from.get::<Option<RareFacts>>()?.map(Box::new),
        };
        Some(Self {
            facts,
            session: session.map_or_else(OnceLock::new, OnceLock::from),
            size: AtomicU64::new(from.get()?),
            end: from
                .get::<Option<RowEnd>>()?
                .map_or_else(OnceLock::new, OnceLock::from),
            changing: Mutex::new(Changing {
                later: from.get::<Option<_>>()?.map(|progress| {
                    Box::new(Later {
                        progress: Some(Arc::new(progress)),
                        ..Later::default()
                    })
                }),
                body: unpack_body(from)?.map(Arc::new),
            }),
            next_in_call: AtomicU64::new(next_in_call),
        })
    }
}

fn pack_body(body: Option<&KeptBody>, out: &mut Packer) {
    let Some((body, Place::File { locator, span })) = body.map(|body| (body, &body.place)) else {
        return out.put(&false);
    };
    out.put(&true);
    out.near(Near::Offset, locator.offset);
    out.put(&locator.len);
    out.put(&span.as_ref().map(|span| (span.start, span.end)));
    out.put(&body.size);
    out.put(&body.is_cut);
    out.word(body.coding.as_ref());
}

#[expect(clippy::option_option, reason = "the outer one is that of every unpacking")]
fn unpack_body(from: &mut Unpacker<'_>) -> Option<Option<KeptBody>> {
    if !from.get::<bool>()? {
        return Some(None);
    }
    let locator = BodyLocator {
        offset: from.near(Near::Offset)?,
        len: from.get()?,
    };
    let span = from.get::<Option<(u64, u64)>>()?.map(|(start, end)| start..end);
    Some(Some(KeptBody {
        place: Place::File { locator, span },
        size: from.get()?,
        is_cut: from.get()?,
        coding: from.word()?,
    }))
}
