//! What an observation keeps alive while it waits in a queue.
//!
//! Bytes are counted as long as they are: of a slice nobody can tell how much memory is behind it, and what its frame
//! does not need of that is shared with the frames around it.

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    Event, ExchangeEnded, FrameObserved, Observation, ObservedHead, PlacedMessage, ProgressTold,
    RequestObserved, ResponseObserved, RewrittenObserved, SessionOpened, SseObserved, VerdictObserved,
};
use crate::codec::envelope::{Envelope, Field, FieldValue};
use crate::codec::rpc_id::RpcId;
use crate::resource::heap;
use crate::resource::queue::{Sequenced, Weigh};
use crate::snapshot::{Finding, Head, SentHead};

/// The place in the queue, whose room grows by doubling and so is three quarters full.
const PLACE_BYTES: usize = size_of::<Sequenced<Observation>>() * 4 / 3;
/// What `Bytes` need to be shared.
const SHARED_BYTES: usize = 24;

impl Weigh for Observation {
    fn weight(&self) -> usize {
        PLACE_BYTES
            + match &self.event {
                Event::Session(_) => size_of::<SessionOpened>(),
                Event::SessionEnded { .. } => 0,
                Event::Request(request) => request.weight(),
                Event::Response(response) => response.weight(),
                Event::Rewritten(rewritten) => rewritten.weight(),
                Event::Verdict(verdict) => {
                    size_of::<VerdictObserved>()
                        + verdict.sent.as_ref().map_or(0, |sent| SHARED_BYTES + sent.len())
                }
                Event::Part(part) => SHARED_BYTES + part.bytes.len(),
                Event::Frame(frame) => frame.weight(),
                Event::ExchangeEnd(end) => size_of::<ExchangeEnded>() + text(end.failure.as_ref()),
            }
    }
}

impl RequestObserved {
    fn weight(&self) -> usize {
        size_of::<Self>()
            + self.client.capacity()
            + self.method.capacity()
            + self.target.capacity()
            + self.head.weight()
            + texts(&self.rewrites)
            + SentHead::boxed_bytes(self.sent.as_deref())
            + text(self.resumes.as_ref())
    }
}

impl ResponseObserved {
    fn weight(&self) -> usize {
        size_of::<Self>()
            + self.head.weight()
            + text(self.media_type.as_ref())
            + texts(&self.rewrites)
            + SentHead::boxed_bytes(self.sent.as_deref())
    }
}

impl RewrittenObserved {
    fn weight(&self) -> usize {
        let finding = |finding: &Finding| finding.text.capacity();
        size_of::<Self>()
            + texts(&self.rewrites)
            + SentHead::boxed_bytes(self.sent.as_deref())
            + heap::vector(&self.findings)
            + self.findings.iter().map(finding).sum::<usize>()
    }
}

impl ObservedHead {
    fn weight(&self) -> usize {
        match self {
            Self::Raw(bytes) => SHARED_BYTES + bytes.len(),
            Self::Fields(head) => {
                let field = |(name, value): &(String, String)| name.capacity() + value.capacity();
                size_of::<Head>()
                    + head.line.capacity()
                    + heap::vector(&head.fields)
                    + head.fields.iter().map(field).sum::<usize>()
            }
        }
    }
}

impl FrameObserved {
    fn weight(&self) -> usize {
        let payload = if is_within(&self.payload, &self.wire) {
            0
        } else {
            SHARED_BYTES + self.payload.len()
        };
        size_of::<Self>()
            + SHARED_BYTES
            + self.wire.len()
            + payload
            + heap::vector(&self.messages)
            + self.messages.iter().map(PlacedMessage::weight).sum::<usize>()
            + self.sse.as_ref().map_or(0, SseObserved::weight)
            + text(self.unreadable.as_ref())
    }
}

impl SseObserved {
    fn weight(&self) -> usize {
        let event = match &self.event {
            Some(Cow::Owned(name)) => name.capacity(),
            _ => 0,
        };
        event + self.id.as_ref().map_or(0, |id| id.len())
    }
}

impl PlacedMessage {
    fn weight(&self) -> usize {
        let placement = &self.placement;
        let shared = [&placement.request_method, &placement.request_name];
        let finding = |finding: &Finding| finding.text.capacity();
        envelope_weight(&self.envelope)
            + shared.into_iter().flatten().map(heap::shared_text).sum::<usize>()
            + placement
                .progress
                .as_ref()
                .map_or(0, |told| size_of::<ProgressTold>() + told.token.heap_bytes())
            + heap::vector(&placement.findings)
            + placement.findings.iter().map(finding).sum::<usize>()
    }
}

fn envelope_weight(envelope: &Envelope) -> usize {
    /// The least room that a list makes for its first value.
    const FIRST_ROOM: usize = 4;
    let (mut count, mut values) = (0_usize, 0);
    for (_, value) in envelope.fields.iter() {
        count += 1;
        values += match value {
            FieldValue::Text(text) => text.len(),
            FieldValue::Id(id) => id.heap_bytes(),
            FieldValue::Fingerprint(_) => 0,
        };
    }
    let room = if count == 0 {
        0
    } else {
        count.next_power_of_two().max(FIRST_ROOM)
    };
    envelope.id.as_ref().map_or(0, RpcId::heap_bytes)
        + envelope.method.as_deref().map_or(0, str::len)
        + room * size_of::<(Field, FieldValue)>()
        + values
}

fn is_within(part: &Bytes, whole: &Bytes) -> bool {
    part.is_empty() || whole.as_ptr_range().contains(&part.as_ptr())
}

fn text(text: Option<&String>) -> usize {
    text.map_or(0, String::capacity)
}

fn texts(texts: &Vec<String>) -> usize {
    heap::vector(texts) + texts.iter().map(String::capacity).sum::<usize>()
}
