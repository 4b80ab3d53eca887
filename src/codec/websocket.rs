//! Reading what is said on a WebSocket: messages out of frames, in one direction, as the bytes come.
//!
//! [`WebSocketReader`] keeps the header of one frame and one control frame, and the window of `permessage-deflate` if that was
//! agreed on; messages are handed on in pieces. What it cannot read ends the reading, never the traffic. It is tolerant:
//! who has to mask, UTF-8 and close codes are not checked.
//!
//! Source: RFC 6455 §5 (frames), RFC 7692 §7 (`permessage-deflate`).

mod inflate;
mod write;

pub(crate) use write::{Mask, mask_of, put_frame, reframed};

use inflate::Inflater;

/// How much is unmasked or inflated at a time, in bytes.
const STEP_BYTES: usize = 16 * 1024;
/// The longest header: two bytes, a length of eight, a mask.
const MAX_HEADER_BYTES: usize = 14;
/// The longest control frame.
const MAX_CONTROL_BYTES: u64 = 125;
/// What a sender leaves out at the end of a compressed message.
const DEFLATE_TAIL: &[u8] = &[0, 0, 0xFF, 0xFF];

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// Something that was said.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// The next bytes of a message, unmasked and inflated.
    Data {
        /// They may be none.
        bytes: &'a [u8],
        /// Whether the message is text.
        is_text: bool,
        /// Whether the message is whole with them.
        is_last: bool,
    },
    /// A ping.
    Ping,
    /// A pong.
    Pong,
    /// The wish to close.
    Close {
        /// The status code, if there is one.
        code: Option<u16>,
        /// The reason as it was sent.
        reason: &'a [u8],
    },
}

/// How far a reader came with the bytes of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// So many bytes belong to the frame.
    pub(crate) taken: usize,
    /// It is a control frame.
    pub(crate) is_control: bool,
    /// It is over with them.
    is_frame_over: bool,
    /// A message is under way behind them.
    is_in_message: bool,
}

impl Step {
    /// Whether the frame is over.
    pub(crate) const fn ends_frame(self) -> bool {
        self.is_frame_over
    }

    /// Whether a message is over with the frame.
    pub(crate) const fn ends_message(self) -> bool {
        self.is_frame_over && !self.is_control && !self.is_in_message
    }
}

/// Why no more can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketError {
    /// A reserved bit is set: an extension that was not agreed on, or is not known here.
    #[error("a frame uses an extension that is not understood")]
    Extension,
    /// A kind of frame that does not exist.
    #[error("a frame has the unknown opcode {0:#x}")]
    Opcode(u8),
    /// A control frame that is too long, or not whole.
    #[error("a control frame is longer than 125 bytes or fragmented")]
    Control,
    /// A message begins inside another, or goes on without a beginning.
    #[error("the fragments of messages are out of order")]
    Order,
    /// A length of more than 63 bits.
    #[error("the length of a frame is not possible")]
    Length,
    /// The compressed data is broken.
    #[error("the compressed data is broken")]
    Deflate,
    /// A message grows beyond all measure when it is inflated.
    #[error("a message grows beyond {0} bytes when it is inflated")]
    TooLarge(u64),
}

/// What was agreed on about `permessage-deflate`, for each direction: whether the window is kept from message to message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deflate {
    /// For what the client sends.
    pub client_keeps_context: bool,
    /// For what the server sends.
    pub server_keeps_context: bool,
}

impl Deflate {
    /// Reads the `Sec-WebSocket-Extensions` of the response. `None` if it was not agreed on.
    pub fn agreed(extensions: &str) -> Option<Self> {
        let mut extensions = extensions
            .split(',')
            .map(|extension| extension.split(';').map(str::trim));
        extensions.find_map(|mut words| {
            let is_deflate = words
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("permessage-deflate"));
            let parameters: Vec<&str> = words.collect();
            let has = |name: &str| parameters.iter().any(|word| word.eq_ignore_ascii_case(name));
            is_deflate.then(|| Self {
                client_keeps_context: !has("client_no_context_takeover"),
                server_keeps_context: !has("server_no_context_takeover"),
            })
        })
    }
}

/// Reads one direction of a WebSocket.
#[derive(Debug)]
pub struct WebSocketReader {
    header: Header,
    frame: Option<Frame>,
    message: Option<Message>,
    control: Vec<u8>,
    inflater: Option<Inflater>,
    failure: Option<WebSocketError>,
    /// First byte of the frame that is being read, or was read last.
    first: u8,
}

#[derive(Debug, Default)]
struct Header {
    bytes: [u8; MAX_HEADER_BYTES],
    have: usize,
}

/// The frame whose payload is being read.
#[derive(Debug, Clone, Copy)]
struct Frame {
    opcode: u8,
    is_final: bool,
    left: u64,
    mask: [u8; 4],
    /// How much of the payload was unmasked, as far as that matters.
    phase: usize,
}

#[derive(Debug, Clone, Copy)]
struct Message {
    is_text: bool,
    is_compressed: bool,
}

impl WebSocketReader {
    /// A reader at the start. `keeps_context`: `permessage-deflate` was agreed on, and whether its window is kept.
    pub fn new(keeps_context: Option<bool>) -> Self {
        Self {
            header: Header::default(),
            frame: None,
            message: None,
            control: Vec::new(),
            inflater: keeps_context.map(Inflater::new),
            failure: None,
            first: 0,
        }
    }

    /// Whether the bytes so far end between two messages, and inside no frame.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.message.is_none() && self.is_between_frames()
    }

    const fn is_between_frames(&self) -> bool {
        self.frame.is_none() && self.header.have == 0
    }

    /// As [`push`](Self::push), but takes no byte behind the end of the frame that is under way.
    ///
    /// # Errors
    /// [`WebSocketError`]; every later call returns the same.
    pub(crate) fn push_frame(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(Heard<'_>),
    ) -> Result<Step, WebSocketError> {
        self.failure.map_or(Ok(()), Err)?;
        let mut rest = bytes;
        if let (true, Some(first)) = (self.is_between_frames(), bytes.first()) {
            self.first = *first;
        }
        while !rest.is_empty() {
            self.step_or_fail(&mut rest, sink)?;
            if self.is_between_frames() {
                break;
            }
        }
        Ok(Step {
            taken: bytes.len() - rest.len(),
            is_control: is_control(self.first & 0x0F),
            is_frame_over: self.is_between_frames(),
            is_in_message: self.message.is_some(),
        })
    }

    /// Takes the next bytes and says what is in them.
    ///
    /// # Errors
    /// [`WebSocketError`]; every later call returns the same.
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(Heard<'_>)) -> Result<(), WebSocketError> {
        self.failure.map_or(Ok(()), Err)?;
        while !bytes.is_empty() {
            self.step_or_fail(&mut bytes, sink)?;
        }
        Ok(())
    }

    fn step_or_fail(
        &mut self,
        bytes: &mut &[u8],
        sink: &mut impl FnMut(Heard<'_>),
    ) -> Result<(), WebSocketError> {
        self.step(bytes, sink).inspect_err(|error| {
            self.failure = Some(*error);
            self.inflater = None;
        })
    }

    fn step(&mut self, bytes: &mut &[u8], sink: &mut impl FnMut(Heard<'_>)) -> Result<(), WebSocketError> {
        let Some(frame) = self.frame else {
            let Some(head) = self.header.take(bytes)? else {
                return Ok(());
            };
            self.begin(head)?;
            return self.end_if_over(sink);
        };
        let step = usize::try_from(frame.left).unwrap_or(usize::MAX);
        let (piece, rest) = bytes.split_at(step.min(bytes.len()).min(STEP_BYTES));
        *bytes = rest;
        let mut plain = [0; STEP_BYTES];
        let plain = &mut plain[..piece.len()];
        for (at, (plain, byte)) in plain.iter_mut().zip(piece).enumerate() {
            *plain = byte ^ frame.mask[(frame.phase + at) % 4];
        }
        let left = frame.left - piece.len() as u64;
        self.frame = Some(Frame {
            left,
            phase: (frame.phase + piece.len()) % 4,
            ..frame
        });
        if is_control(frame.opcode) {
            self.control.extend_from_slice(plain);
        } else {
            self.data(plain, left == 0 && frame.is_final, sink)?;
        }
        self.end_if_over(sink)
    }

    /// Takes in a header, whose frame may be empty.
    fn begin(&mut self, (first, frame): (u8, Frame)) -> Result<(), WebSocketError> {
        let (is_compressed, is_extended) = (first & 0x40 != 0, first & 0x30 != 0);
        if is_extended || is_compressed && self.inflater.is_none() {
            return Err(WebSocketError::Extension);
        }
        match frame.opcode {
            CONTINUATION if self.message.is_some() => {}
            TEXT | BINARY if self.message.is_none() => {
                self.message = Some(Message {
                    is_text: frame.opcode == TEXT,
                    is_compressed,
                });
                if let Some(inflater) = &mut self.inflater {
                    inflater.begin();
                }
            }
            CONTINUATION | TEXT | BINARY => return Err(WebSocketError::Order),
            CLOSE | PING | PONG if frame.is_final && frame.left <= MAX_CONTROL_BYTES => self.control.clear(),
            CLOSE | PING | PONG => return Err(WebSocketError::Control),
            other => return Err(WebSocketError::Opcode(other)),
        }
        self.frame = Some(frame);
        Ok(())
    }

    fn end_if_over(&mut self, sink: &mut impl FnMut(Heard<'_>)) -> Result<(), WebSocketError> {
        let Some(frame) = self.frame.filter(|frame| frame.left == 0) else {
            return Ok(());
        };
        self.frame = None;
        if is_control(frame.opcode) {
            self.say_control(frame.opcode, sink);
        } else if frame.is_final && self.message.is_some() {
            // An empty last frame has no bytes with which the message could have ended.
            self.data(&[], true, sink)?;
        }
        Ok(())
    }

    fn say_control(&self, opcode: u8, sink: &mut impl FnMut(Heard<'_>)) {
        sink(match (opcode, self.control.split_first_chunk::<2>()) {
            (PING, _) => Heard::Ping,
            (PONG, _) => Heard::Pong,
            (_, Some((code, reason))) => Heard::Close {
                code: Some(u16::from_be_bytes(*code)),
                reason,
            },
            (_, None) => Heard::Close {
                code: None,
                reason: &[],
            },
        });
    }

    /// Hands on a piece of the message; the message is over with the last one.
    fn data(
        &mut self,
        bytes: &[u8],
        is_last: bool,
        sink: &mut impl FnMut(Heard<'_>),
    ) -> Result<(), WebSocketError> {
        let Some(message) = self.message else {
            return Ok(());
        };
        if is_last {
            self.message = None;
        }
        let is_text = message.is_text;
        let mut say = |bytes: &[u8], is_last| {
            sink(Heard::Data {
                bytes,
                is_text,
                is_last,
            });
        };
        match self.inflater.as_mut().filter(|_| message.is_compressed) {
            None => say(bytes, is_last),
            Some(inflater) => {
                inflater.push(bytes, &mut |plain| say(plain, false))?;
                if is_last {
                    inflater.push(DEFLATE_TAIL, &mut |plain| say(plain, false))?;
                    say(&[], true);
                }
            }
        }
        Ok(())
    }
}

const fn is_control(opcode: u8) -> bool {
    opcode & 0x8 != 0
}

impl Header {
    /// Takes bytes until the header is whole. Gives its first byte beside what it says.
    fn take(&mut self, bytes: &mut &[u8]) -> Result<Option<(u8, Frame)>, WebSocketError> {
        while self.have < self.wanted() {
            let Some((byte, rest)) = bytes.split_first() else {
                return Ok(None);
            };
            self.bytes[self.have] = *byte;
            self.have += 1;
            *bytes = rest;
        }
        let Self { bytes, have } = std::mem::take(self);
        let left = match bytes[1] & 0x7F {
            126 => u64::from(u16::from_be_bytes([bytes[2], bytes[3]])),
            127 => bytes[2..10]
                .iter()
                .fold(0, |length, byte| length << 8 | u64::from(*byte)),
            short => u64::from(short),
        };
        if left >> 63 != 0 {
            return Err(WebSocketError::Length);
        }
        let mut mask = [0; 4];
        if bytes[1] & 0x80 != 0 {
            mask.copy_from_slice(&bytes[have - 4..have]);
        }
        let frame = Frame {
            opcode: bytes[0] & 0x0F,
            is_final: bytes[0] & 0x80 != 0,
            left,
            mask,
            phase: 0,
        };
        Ok(Some((bytes[0], frame)))
    }

    /// How long it is, as far as that is known.
    const fn wanted(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let length = match self.bytes[1] & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.bytes[1] & 0x80 != 0 { 4 } else { 0 };
        2 + length + mask
    }
}

#[cfg(test)]
mod tests;
