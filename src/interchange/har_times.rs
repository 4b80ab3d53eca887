//! When things in an archive happened, and when they must have.

use std::collections::HashMap;

use bytes::Bytes;

use super::har_form::Entry;
use crate::clock::Timestamp;
use crate::codec::envelope::{Field, MessageKind, scan};
use crate::codec::event::SseEvent;
use crate::codec::rpc_id::RpcId;
use crate::ids::ProxySessionId;

pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_micros(u64::try_from(at.as_microsecond()).ok()?))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of floating point numbers saturates, and times before zero are none"
)]
pub(super) fn after(at: Timestamp, millis: f64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add((millis * 1000.0) as u64))
}

/// A time in seconds since 1970.
pub(super) fn at_seconds(seconds: f64) -> Timestamp {
    after(Timestamp::from_micros(0), seconds * 1000.0)
}

/// When the blocks of a stream came: our own archives say it of every block, Chromium's of each event, others not at all.
pub(super) struct StreamTimes {
    blocks: std::vec::IntoIter<Option<Timestamp>>,
    events: std::vec::IntoIter<Timestamp>,
    count: usize,
}

impl StreamTimes {
    pub(super) fn of(entry: &Entry) -> Self {
        let blocks: Vec<_> = entry.blocks.iter().map(|block| moment(&block.time)).collect();
        let events: Vec<_> = entry.events.iter().map(|event| at_seconds(event.time)).collect();
        Self {
            blocks: blocks.into_iter(),
            events: events.into_iter(),
            count: 0,
        }
    }

    pub(super) fn of_block(&mut self, block: &Bytes) -> Option<Timestamp> {
        let is_first = self.count == 0;
        self.count += 1;
        let is_event = SseEvent::parse(block, is_first).event.is_some();
        let event = is_event.then(|| self.events.next()).flatten();
        self.blocks.next().flatten().or(event)
    }
}

/// What clients asked, so that no answer in a stream without times comes before its request.
#[derive(Default)]
pub(super) struct Asked {
    /// When the exchange of a request ended.
    ids: HashMap<(ProxySessionId, RpcId), Timestamp>,
    /// Just after a request with this progress token began.
    tokens: HashMap<(ProxySessionId, RpcId), Timestamp>,
}

impl Asked {
    pub(super) fn note(
        &mut self,
        session: ProxySessionId,
        (started, done): (Timestamp, Timestamp),
        body: &str,
    ) {
        // Later than the request itself, which may be read after the stream.
        let later = Timestamp::from_micros(started.as_micros().saturating_add(1));
        for envelope in scan(body.as_bytes()).messages {
            let Some(id) = envelope.id.filter(|_| envelope.kind == MessageKind::Request) else {
                continue;
            };
            if let Some(token) = envelope.fields.id(Field::MetaProgressToken) {
                self.tokens.entry((session, token.clone())).or_insert(later);
            }
            self.ids.entry((session, id)).or_insert(done.max(later));
        }
    }

    /// The earliest time at which a server can have said this.
    pub(super) fn earliest(&self, session: ProxySessionId, data: &[u8]) -> Option<Timestamp> {
        let messages = scan(data).messages;
        let times = messages.into_iter().filter_map(|envelope| match envelope.kind {
            MessageKind::Result | MessageKind::Error => self.ids.get(&(session, envelope.id?)),
            MessageKind::Notification => {
                let token = envelope.fields.id(Field::ParamsProgressToken)?;
                self.tokens.get(&(session, token.clone()))
            }
            _ => None,
        });
        times.max().copied()
    }
}
