//! An exchange that is over as few bytes, and made again from them.

use std::sync::{Mutex, OnceLock};

use super::{Added, Charge, Direction, End, ExchangeRecord, Response};
use crate::ids::{ExchangeId, Side};
use crate::session::history::packing::{Packer, Unpacker, fields};

fields!(Response: status, head, is_ours, media_type, stream, rewrites, sent);
fields!(End: request, response, failure, timing, request_bytes, response_bytes);

impl ExchangeRecord {
    pub(in crate::session::history) fn pack(&self, out: &mut Packer) {
        out.put(&self.id.get());
        out.put(&self.started);
        out.put(&self.connection);
        out.put(&self.client);
        out.put(&(self.side == Side::Reverse));
        out.word(Some(&self.server));
        out.put(&self.kind);
        out.put(&self.method);
        out.put(&self.target);
        out.put(&self.request);
        out.put(&self.rewrites);
        out.put(&self.sent);
        out.put(&self.response.get().is_some());
        if let Some(response) = self.response.get() {
            out.put(&**response);
        }
        out.put(&self.end.get().is_some());
        if let Some(end) = self.end.get() {
            out.put(&**end);
        }
        let [of_request, of_response] = self.added(|added| added.rewrites.clone());
        out.put(&of_request);
        out.put(&of_response);
        out.put(&self.findings());
        let [of_request, of_response] = self.added(|added| added.sent.clone());
        out.put(&of_request);
        out.put(&of_response);
    }

    pub(in crate::session::history) fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(Self {
            id: ExchangeId::new(from.get()?)?,
            started: from.get()?,
            connection: from.get()?,
            client: from.get()?,
            side: if from.get()? { Side::Reverse } else { Side::Forward },
            server: from.word()??,
            kind: from.get()?,
            method: from.get()?,
            target: from.get()?,
            request: from.get()?,
            rewrites: from.get()?,
            sent: from.get()?,
            response: from
                .get::<Option<Response>>()?
                .map_or_else(OnceLock::new, |response| OnceLock::from(Box::new(response))),
            end: from
                .get::<Option<End>>()?
                .map_or_else(OnceLock::new, |end| OnceLock::from(Box::new(end))),
            added: Mutex::new(unpack_added(from)?),
            charge: Charge::default(),
        })
    }
}

#[expect(clippy::option_option, reason = "the outer one is that of every unpacking")]
fn unpack_added(from: &mut Unpacker<'_>) -> Option<Option<Box<Added>>> {
    let rewrites: [_; Direction::ALL.len()] = [from.get()?, from.get()?];
    let findings: Vec<_> = from.get()?;
    let sent = [from.get()?, from.get()?];
    let has_any = sent.iter().any(Option::is_some)
        || !findings.is_empty()
        || rewrites.iter().any(|texts: &Vec<Box<str>>| !texts.is_empty());
    Some(has_any.then(|| {
        Box::new(Added {
            rewrites,
            findings,
            sent,
        })
    }))
}
