//! What a lane knows of a frame: what was told of it, whole where it is held.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::content::{ContentDecoder, DecodeLimits};
use crate::codec::event::SseEvent;
use crate::codec::lines::line_content;
use crate::session::observation::{FrameObserved, PlacedMessage, SseObserved};
use crate::snapshot::Carrier;

use super::Form;

/// Larger blocks without a payload are no places to resume from.
const RESUME_POINT_BYTES: u64 = 4096;

/// What was told of a frame: what the rules are asked about.
#[derive(Debug, Clone)]
pub(crate) struct Noted {
    pub(crate) frame: u32,
    pub(crate) carrier: Carrier,
    pub(crate) messages: Vec<PlacedMessage>,
    pub(crate) payload: Bytes,
    pub(crate) size: u64,
    pub(crate) is_cut: bool,
    /// The content coding that was undone for the payload.
    pub(crate) coding: Option<Arc<str>>,
    pub(crate) sse: Option<SseObserved>,
    /// Which message of a batch it is, from 1, and of how many.
    pub(crate) batch: Option<(u32, u32)>,
}

impl Noted {
    /// What a lane has to know of a frame that was told.
    pub(crate) fn of(frame: &FrameObserved) -> Self {
        Self {
            frame: frame.frame,
            carrier: frame.carrier,
            messages: frame.messages.clone(),
            payload: frame.payload.clone(),
            size: frame.size,
            is_cut: frame.is_cut,
            coding: frame.coding.clone(),
            sse: frame.sse.clone(),
            batch: None,
        }
    }

    /// A document of which nothing else is known.
    pub(crate) fn of_document(payload: Bytes) -> Self {
        Self {
            frame: 0,
            carrier: Carrier::Http,
            messages: Vec::new(),
            size: payload.len() as u64,
            payload,
            is_cut: false,
            coding: None,
            sse: None,
            batch: None,
        }
    }

    /// A comment, or a blank line: nothing that anybody could want to hold.
    pub(super) fn is_silent(&self) -> bool {
        let says_nothing = |sse: &SseObserved| sse.event.is_none() && sse.id.is_none() && sse.retry.is_none();
        self.messages.is_empty() && self.payload.is_empty() && self.sse.as_ref().is_some_and(says_nothing)
    }

    /// An `id`, a `retry` or an event with empty data: a place to resume from, and no message.
    pub(super) fn is_resume_point(&self) -> bool {
        let is_nameless = |sse: &SseObserved| sse.event.as_deref().is_none_or(|event| event == "message");
        self.size < RESUME_POINT_BYTES
            && self.messages.is_empty()
            && self.payload.is_empty()
            && self.sse.as_ref().is_some_and(is_nameless)
    }

    /// What was kept for the screen may be cut; what is held is whole, unless it decodes to more than `max_bytes`.
    pub(super) fn whole(self, form: Form, bytes: &Bytes, max_bytes: usize) -> Self {
        if !self.is_cut {
            return self;
        }
        let payload = match form {
            Form::Document if self.coding.is_some() => match self.decoded(bytes, max_bytes) {
                Some(decoded) => decoded,
                None => return self,
            },
            Form::Document | Form::Messages | Form::Entry => bytes.clone(),
            Form::Lines => bytes.slice(..line_content(bytes).len()),
            Form::Events => {
                let is_first = self.frame == 0;
                let event = SseEvent::parse(bytes, is_first).event;
                event.map_or_else(Bytes::new, |event| Bytes::from(event.data))
            }
        };
        Self {
            payload,
            is_cut: false,
            ..self
        }
    }

    /// A document without its content coding, unless it is too large so.
    fn decoded(&self, bytes: &Bytes, max_bytes: usize) -> Option<Bytes> {
        let limits = DecodeLimits {
            max_output_bytes: max_bytes as u64,
            ..DecodeLimits::default()
        };
        let coding = self.coding.as_deref()?;
        let mut decoder = ContentDecoder::with_limits(coding, limits).ok()??;
        let mut plain = Vec::new();
        decoder.push(bytes, &mut plain).ok()?;
        decoder.finish(&mut plain).ok()?;
        Some(plain.into())
    }
}
