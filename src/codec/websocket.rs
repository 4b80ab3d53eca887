//! Reading what is said on a WebSocket: messages out of frames, in one direction, as the bytes come.
//!
//! [`WebSocketReader`] keeps the header of one frame and one control frame, and the window of `permessage-deflate` if that was
//! agreed on; messages are handed on in pieces. What it cannot read ends the reading, never the traffic. It is tolerant:
//! who has to mask, UTF-8 and close codes are not checked.
//!
//! Source: RFC 6455 §5 (frames), RFC 7692 §7 (`permessage-deflate`).

mod write;

use flate2::{Decompress, FlushDecompress, Status};

pub(crate) use write::{Mask, mask_of, put_frame, reframed};

use super::content::{DecodeLimits, RATIO_GRACE_BYTES};

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

/// Undoes `permessage-deflate`.
#[derive(Debug)]
struct Inflater {
    stream: Decompress,
    keeps_context: bool,
    bytes_in: u64,
    bytes_out: u64,
}

impl Inflater {
    fn new(keeps_context: bool) -> Self {
        Self {
            stream: Decompress::new(false),
            keeps_context,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// A message begins.
    fn begin(&mut self) {
        (self.bytes_in, self.bytes_out) = (0, 0);
        if !self.keeps_context {
            self.stream.reset(false);
        }
    }

    fn push(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(&[u8])) -> Result<(), WebSocketError> {
        let mut plain = [0; STEP_BYTES];
        loop {
            let (before_in, before_out) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(bytes, &mut plain, FlushDecompress::Sync)
                .map_err(|_| WebSocketError::Deflate)?;
            let read = usize::try_from(self.stream.total_in() - before_in).unwrap_or(bytes.len());
            let written = usize::try_from(self.stream.total_out() - before_out).unwrap_or(plain.len());
            bytes = &bytes[read..];
            self.count(read, written)?;
            if written > 0 {
                sink(&plain[..written]);
            }
            if status == Status::StreamEnd {
                // A sender may end the stream of deflate with a message; the next begins anew.
                self.stream.reset(false);
            }
            let is_stuck = read == 0 && written == 0;
            if is_stuck || bytes.is_empty() && written < plain.len() {
                return Ok(());
            }
        }
    }

    fn count(&mut self, read: usize, written: usize) -> Result<(), WebSocketError> {
        let limits = DecodeLimits::default();
        self.bytes_in += read as u64;
        self.bytes_out += written as u64;
        let by_ratio = self
            .bytes_in
            .saturating_mul(limits.max_ratio)
            .max(RATIO_GRACE_BYTES);
        let allowed = by_ratio.min(limits.max_output_bytes);
        if self.bytes_out > allowed {
            return Err(WebSocketError::TooLarge(allowed));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};
    use proptest::prelude::*;

    use super::*;

    /// What was said, messages whole.
    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Said {
        Message(bool, Vec<u8>),
        Ping,
        Pong,
        Close(Option<u16>, Vec<u8>),
    }

    fn read_with(reader: &mut WebSocketReader, chunks: &[&[u8]]) -> (Vec<Said>, Result<(), WebSocketError>) {
        let (mut said, mut message) = (Vec::new(), Vec::new());
        let mut sink = |heard: Heard<'_>| match heard {
            Heard::Data {
                bytes,
                is_text,
                is_last,
            } => {
                message.extend_from_slice(bytes);
                if is_last {
                    said.push(Said::Message(is_text, std::mem::take(&mut message)));
                }
            }
            Heard::Ping => said.push(Said::Ping),
            Heard::Pong => said.push(Said::Pong),
            Heard::Close { code, reason } => said.push(Said::Close(code, reason.to_vec())),
        };
        let outcome = chunks.iter().try_for_each(|chunk| reader.push(chunk, &mut sink));
        (said, outcome)
    }

    fn read(bytes: &[u8]) -> (Vec<Said>, Result<(), WebSocketError>) {
        read_with(&mut WebSocketReader::new(None), &[bytes])
    }

    fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        let masked = if mask.is_some() { 0x80 } else { 0 };
        match payload.len() {
            short @ 0..126 => frame.push(masked | u8::try_from(short).unwrap()),
            length if length <= 0xFFFF => {
                frame.push(masked | 0x7E);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                frame.push(masked | 0x7F);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(
            mask.unwrap_or_default()
                .iter()
                .take(if mask.is_some() { 4 } else { 0 }),
        );
        let mask = mask.unwrap_or_default();
        frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        frame
    }

    /// The examples of RFC 6455 §5.7.
    #[test]
    fn the_examples_of_the_specification_are_read() {
        let hello = Said::Message(true, b"Hello".to_vec());
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(read(&masked).0, std::slice::from_ref(&hello));
        let fragments = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x89, 0x00, 0x80, 0x02, 0x6c, 0x6f];
        assert_eq!(read(&fragments).0, [Said::Ping, hello]);
        let close = frame(0x88, None, b"\x03\xf3no");
        assert_eq!(read(&close).0, [Said::Close(Some(1011), b"no".to_vec())]);
        assert_eq!(read(&[0x88, 0]).0, [Said::Close(None, Vec::new())]);
    }

    /// The examples of RFC 7692 §7.2.3: kept window, window given up, a stream that ends with its message.
    #[test]
    fn compressed_examples_of_the_specification_are_read() {
        let hello = Said::Message(true, b"Hello".to_vec());
        let first = [0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let again = [0xc1, 0x05, 0xf2, 0x00, 0x11, 0x00, 0x00];
        let mut reader = WebSocketReader::new(Some(true));
        assert_eq!(
            read_with(&mut reader, &[&first, &again]).0,
            [hello.clone(), hello.clone()]
        );
        let mut reader = WebSocketReader::new(Some(false));
        assert_eq!(
            read_with(&mut reader, &[&first, &first]).0,
            [hello.clone(), hello.clone()]
        );
        let with_end = [0xc1, 0x08, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        let mut reader = WebSocketReader::new(Some(true));
        assert_eq!(
            read_with(&mut reader, &[&with_end, &first]).0,
            [hello.clone(), hello]
        );
    }

    #[test]
    fn what_is_no_websocket_ends_the_reading_with_the_reason() {
        for (bytes, error) in [
            (&b"hello"[..], WebSocketError::Extension),
            (&[0xc1, 0x01, 0x00], WebSocketError::Extension),
            (&[0x83, 0x00], WebSocketError::Opcode(3)),
            (&[0x80, 0x00], WebSocketError::Order),
            (&[0x01, 0x00, 0x81, 0x00], WebSocketError::Order),
            (&[0x09, 0x00], WebSocketError::Control),
            (&[0x89, 126, 0, 126], WebSocketError::Control),
            (&[0x82, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0], WebSocketError::Length),
        ] {
            assert_eq!(read(bytes).1, Err(error), "{bytes:x?}");
        }
        let mut reader = WebSocketReader::new(Some(true));
        let broken = frame(0xC1, None, &[0xFF; 20]);
        assert_eq!(read_with(&mut reader, &[&broken]).1, Err(WebSocketError::Deflate));
        assert_eq!(
            read_with(&mut reader, &[&[0x81, 0]]).1,
            Err(WebSocketError::Deflate)
        );
    }

    #[test]
    fn a_message_that_grows_beyond_all_measure_is_given_up() {
        let mut bomb = Compress::new(Compression::best(), false);
        let bomb = deflated(&mut bomb, &vec![b' '; 8 << 20]);
        assert!(bomb.len() < 16 << 10, "{}", bomb.len());
        let mut reader = WebSocketReader::new(Some(true));
        let (said, outcome) = read_with(&mut reader, &[&frame(0xC1, None, &bomb)]);
        assert!(said.is_empty() && matches!(outcome, Err(WebSocketError::TooLarge(_))));
    }

    #[test]
    fn what_was_agreed_on_is_read_from_the_header() {
        let deflate = Deflate::agreed(
            "x-other, Permessage-Deflate; server_no_context_takeover; client_max_window_bits=10",
        );
        assert_eq!(
            deflate,
            Some(Deflate {
                client_keeps_context: true,
                server_keeps_context: false
            })
        );
        assert_eq!(Deflate::agreed("permessage-bzip"), None);
    }

    fn deflated(compress: &mut Compress, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plain.len() + 1024);
        compress
            .compress_vec(plain, &mut out, FlushCompress::Sync)
            .unwrap();
        out.truncate(out.len() - DEFLATE_TAIL.len());
        out
    }

    fn message() -> impl Strategy<Value = (bool, Vec<u8>, Vec<usize>, Option<[u8; 4]>, u8)> {
        let payload = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(any::<u8>(), 120..140),
            (0usize..70_000).prop_map(|length| vec![b'x'; length]),
        ];
        let cuts = prop::collection::vec(0usize..70_000, 0..4);
        (any::<bool>(), payload, cuts, any::<Option<[u8; 4]>>(), 0u8..4)
    }

    proptest! {
        #[test]
        fn messages_survive_masks_fragments_control_frames_and_any_chunks(
            messages in prop::collection::vec(message(), 0..5),
            compresses in any::<bool>(),
            chunk in 1usize..9_000,
        ) {
            let (mut wire, mut expected) = (Vec::new(), Vec::new());
            let mut compress = Compress::new(Compression::fast(), false);
            for (is_text, payload, mut cuts, mask, control) in messages {
                let sent = if compresses { deflated(&mut compress, &payload) } else { payload.clone() };
                for cut in &mut cuts {
                    *cut = (*cut).min(sent.len());
                }
                cuts.sort_unstable();
                let mut at = 0;
                for (index, cut) in cuts.iter().chain([&sent.len()]).enumerate() {
                    let is_last = index == cuts.len();
                    let opcode = if index > 0 { CONTINUATION } else if is_text { TEXT } else { BINARY };
                    let bits = if is_last { 0x80 } else { 0 } | if compresses && index == 0 { 0x40 } else { 0 };
                    wire.extend(frame(bits | opcode, mask, &sent[at..*cut]));
                    at = *cut;
                    if !is_last && control > 0 {
                        wire.extend(frame(0x80 | if control == 1 { PING } else { PONG }, mask, b"control"));
                        expected.push(if control == 1 { Said::Ping } else { Said::Pong });
                    }
                }
                expected.push(Said::Message(is_text, payload));
            }
            let mut reader = WebSocketReader::new(compresses.then_some(true));
            let chunks: Vec<&[u8]> = wire.chunks(chunk).collect();
            let (said, outcome) = read_with(&mut reader, &chunks);
            prop_assert_eq!(outcome, Ok(()));
            prop_assert_eq!(said, expected);
        }

        #[test]
        fn noise_is_read_without_a_panic(noise in prop::collection::vec(any::<u8>(), 0..400), agreed in any::<Option<bool>>()) {
            let _ = read_with(&mut WebSocketReader::new(agreed), &[&noise]);
        }
    }
}
