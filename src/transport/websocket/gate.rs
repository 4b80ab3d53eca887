//! One direction of a WebSocket with rules armed: what came is put together to whole messages for its lane.
//!
//! A message that nobody changes goes on in the frames in which it came. One that is compressed with the window of those
//! before it goes on inflated instead, as do all after it: its receiver could not read them any more if one was missing
//! (RFC 7692 §7.2.3.2). Pings and pongs wait for nothing but the end of a frame; the wish to close is the end of a
//! stream, and waits behind all that was said before.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::codec::websocket::{Mask, Step, mask_of, put_frame};
use crate::snapshot::Direction;
use crate::transport::exchange::Exchange;
use crate::transport::lane::{Form, Lane, Noted};

/// First byte of a frame: its message is compressed.
const COMPRESSED: u8 = 0x40;
const CONTINUATION: u8 = 0;

/// Puts messages together and asks about them.
pub(super) struct Gate {
    pub(super) lane: Box<Lane>,
    /// Compressed messages go on inflated.
    inflates: bool,
    max: usize,
    /// The frame that is under way, as it came.
    frame: BytesMut,
    /// The frames before it of the same message.
    message: BytesMut,
    /// What the message says so far.
    plain: Vec<u8>,
    flow: Flow,
    /// Nothing can follow what is in the lane.
    pub(super) is_broken: bool,
    /// Control frames that wait for nothing but the end of a frame.
    pub(super) at_once: Vec<Bytes>,
}

/// How the message under way goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// Whole, when it was decided about.
    Whole,
    /// It is too large to hold: as it comes.
    AsItComes,
    /// It is too large to hold: inflated, a piece at a time.
    Inflated { opcode: u8, mask: Option<Mask> },
}

impl Gate {
    /// A gate from the next message on. `keeps_context`: compressed messages lean on those before them.
    pub(super) fn new(exchange: &Arc<Exchange>, direction: Direction, keeps_context: bool) -> Self {
        let lane = Lane::new(Arc::clone(exchange), direction, Form::Messages, false);
        Self {
            lane: Box::new(lane),
            inflates: keeps_context,
            max: exchange.hub.limits.max_message_bytes,
            frame: BytesMut::new(),
            message: BytesMut::new(),
            plain: Vec::new(),
            flow: Flow::Whole,
            is_broken: false,
            at_once: Vec::new(),
        }
    }

    /// Whether everything that went on so far was whole messages, as far as this side knows.
    pub(super) fn is_between_messages(&self) -> bool {
        self.flow == Flow::Whole && !self.lane.is_within_frame()
    }

    /// Whether nothing is left in it.
    pub(super) fn is_empty(&self) -> bool {
        self.lane.is_empty() && self.at_once.is_empty()
    }

    /// Takes what the message under way says.
    pub(super) fn hear(&mut self, plain: &[u8]) {
        if self.flow != Flow::AsItComes {
            self.plain.extend_from_slice(plain);
        }
    }

    /// Takes the next bytes of a frame, behind what they say; `noted` if a message is over with them.
    pub(super) fn take(&mut self, bytes: &[u8], step: Step, noted: Option<Noted>) {
        self.frame.extend_from_slice(bytes);
        if step.is_control {
            if step.ends_frame() {
                self.take_control();
            }
            return;
        }
        if step.ends_frame() {
            let frame = self.frame.split();
            self.message.unsplit(frame);
        }
        self.grow();
        if self.flow != Flow::Whole {
            self.stream(step.ends_message());
        } else if step.ends_message() {
            self.put(noted);
        }
    }

    /// What comes from here on cannot be read: it passes behind the rest. What would have to be inflated for that has
    /// nowhere to go, and is the end.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        self.is_broken = self.inflates;
        if self.is_broken {
            return;
        }
        self.flow = Flow::AsItComes;
        self.stream(false);
        self.lane.push_unasked(Bytes::copy_from_slice(bytes));
    }

    fn take_control(&mut self) {
        const CLOSE: u8 = 0x8;
        let frame = self.frame.split().freeze();
        let is_close = frame.first().is_some_and(|first| first & 0x0F == CLOSE);
        if is_close || self.flow != Flow::Whole {
            self.lane.push_unasked(frame);
        } else {
            self.at_once.push(frame);
        }
    }

    fn is_inflated(&self) -> bool {
        let first = self.message.first().or(self.frame.first());
        self.inflates && first.is_some_and(|first| first & COMPRESSED != 0)
    }

    /// A message that is too large to hold passes from here on.
    fn grow(&mut self) {
        let size = (self.message.len() + self.frame.len()).max(self.plain.len());
        if self.flow != Flow::Whole || size <= self.max {
            return;
        }
        self.flow = if self.is_inflated() {
            let first: &[u8] = if self.message.is_empty() {
                &self.frame
            } else {
                &self.message
            };
            Flow::Inflated {
                opcode: first.first().copied().unwrap_or_default(),
                mask: mask_of(first),
            }
        } else {
            Flow::AsItComes
        };
    }

    /// Lets go of what there is of a message that is too large.
    fn stream(&mut self, is_over: bool) {
        let mut came = self.message.split();
        came.unsplit(self.frame.split());
        let plain = std::mem::take(&mut self.plain);
        let bytes = match &mut self.flow {
            Flow::Inflated { opcode, mask } => {
                let mut frame = Vec::with_capacity(plain.len() + 14);
                let opcode = std::mem::replace(opcode, CONTINUATION);
                put_frame(opcode, is_over, *mask, &plain, &mut frame);
                frame.into()
            }
            _ => came.freeze(),
        };
        self.lane.push_unasked(bytes);
        if is_over {
            self.flow = Flow::Whole;
        }
    }

    fn put(&mut self, noted: Option<Noted>) {
        let is_inflated = self.is_inflated();
        let came = self.message.split().freeze();
        let plain = Bytes::from(std::mem::take(&mut self.plain));
        let bytes = if is_inflated {
            crate::codec::websocket::reframed(&came, &plain)
        } else {
            came
        };
        let noted = noted.map(|noted| Noted {
            payload: plain,
            is_cut: false,
            ..noted
        });
        match noted {
            Some(noted) => self.lane.push(&bytes, Some(noted)),
            None => self.lane.push_unasked(bytes),
        }
    }
}
