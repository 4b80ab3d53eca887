//! Cutting a stream of bytes into frames; see [`Cutter`].

use bytes::Bytes;

/// How much of an oversize frame is kept for display, in bytes.
pub const OVERSIZE_HEAD_BYTES: usize = 4096;

/// A part of a stream. All bytes of [`Frame`](Self::Frame), [`Part`](Self::Part) and [`Tail`](Self::Tail), one after the
/// other, are exactly the bytes that were pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// One whole frame with its end.
    Frame(Bytes),
    /// The next bytes of a frame above the limit, handed on as they came: it can be passed on, not held.
    Part(Bytes),
    /// A frame above the limit is over; its bytes were in the `Part`s before.
    Oversize {
        /// The first [`OVERSIZE_HEAD_BYTES`] bytes, in memory of their own.
        head: Bytes,
        /// The length of the whole frame.
        bytes: u64,
        /// Whether its end was found; else the stream ended inside it.
        is_complete: bool,
    },
    /// What followed the last whole frame when the stream ended; never empty.
    Tail(Bytes),
}

/// Finds the ends of frames in a stream.
pub trait Boundary {
    /// Looks at the next bytes of the stream, which follow all bytes seen or returned as used before.
    ///
    /// `Some(used)`: a frame ends after `used` bytes, at least one; go on with the rest. `None`: all of `bytes` were
    /// used and the frame goes on.
    fn find(&mut self, bytes: &[u8]) -> Option<usize>;
}

/// Cuts a stream into frames, in time linear to its length and with a limit on what it keeps.
///
/// A frame that lies in one chunk is a slice of that chunk and shares its memory; others are copied once into a buffer
/// of their own. A frame longer than the limit is not kept: it becomes [`Piece::Part`]s and then one
/// [`Piece::Oversize`], and the stream goes on after it.
#[derive(Debug)]
pub struct Cutter<B> {
    boundary: B,
    max_frame_bytes: usize,
    carry: Vec<u8>,
    oversize: Option<Oversize>,
}

#[derive(Debug, Default)]
struct Oversize {
    head: Vec<u8>,
    bytes: u64,
}

impl<B: Boundary + Default> Cutter<B> {
    /// A cutter at the start of a stream, for frames of up to `max_frame_bytes` bytes with their ends.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            boundary: B::default(),
            max_frame_bytes,
            carry: Vec::new(),
            oversize: None,
        }
    }
}

impl<B: Boundary> Cutter<B> {
    /// Takes the next chunk and appends what it completes to `out`.
    pub fn push(&mut self, chunk: &Bytes, out: &mut Vec<Piece>) {
        let mut at = 0;
        while at < chunk.len() {
            let Some(used) = self.boundary.find(&chunk[at..]) else {
                self.keep(chunk.slice(at..), out);
                return;
            };
            self.end_frame(chunk.slice(at..at + used), out);
            at += used;
        }
    }

    /// Ends the stream and appends its last piece, if there is one.
    pub fn finish(&mut self, out: &mut Vec<Piece>) {
        if let Some(oversize) = self.oversize.take() {
            out.push(oversize.into_piece(false));
        }
        if !self.carry.is_empty() {
            out.push(Piece::Tail(self.take_carry()));
        }
    }

    /// Gives up the memory of an unfinished frame: what there is of it becomes a part, and the frame one that is too
    /// long. The stream goes on after it.
    pub fn give_up(&mut self, out: &mut Vec<Piece>) {
        if !self.carry.is_empty() {
            self.pass_part(Bytes::new(), out);
        }
    }

    /// How many bytes of an unfinished frame are kept, at most the limit.
    pub fn buffered(&self) -> usize {
        self.carry.len()
    }

    /// How much memory is kept for an unfinished frame.
    pub fn reserved(&self) -> usize {
        self.carry.capacity()
    }

    /// Whether the stream is in the middle of a frame.
    pub fn is_inside_frame(&self) -> bool {
        self.oversize.is_some() || !self.carry.is_empty()
    }

    fn end_frame(&mut self, last: Bytes, out: &mut Vec<Piece>) {
        if self.oversize.is_some() || self.is_too_long(&last) {
            self.pass_part(last, out);
            out.extend(self.oversize.take().map(|oversize| oversize.into_piece(true)));
        } else if self.carry.is_empty() {
            out.push(Piece::Frame(last));
        } else {
            self.carry(&last);
            out.push(Piece::Frame(self.take_carry()));
        }
    }

    fn keep(&mut self, part: Bytes, out: &mut Vec<Piece>) {
        if self.oversize.is_some() || self.is_too_long(&part) {
            self.pass_part(part, out);
        } else {
            self.carry(&part);
        }
    }

    /// Grows by doubling, but never beyond the limit.
    fn carry(&mut self, more: &Bytes) {
        let needed = self.carry.len() + more.len();
        if needed > self.carry.capacity() {
            let doubled = (2 * self.carry.capacity()).min(self.max_frame_bytes);
            self.carry.reserve_exact(needed.max(doubled) - self.carry.len());
        }
        self.carry.extend_from_slice(more);
    }

    fn is_too_long(&self, more: &Bytes) -> bool {
        self.carry.len() + more.len() > self.max_frame_bytes
    }

    /// Hands on what was kept of a frame that is too long, and its next part.
    fn pass_part(&mut self, part: Bytes, out: &mut Vec<Piece>) {
        if !self.carry.is_empty() {
            let carried = self.take_carry();
            self.oversize.get_or_insert_default().note(&carried);
            out.push(Piece::Part(carried));
        }
        self.oversize.get_or_insert_default().note(&part);
        if !part.is_empty() {
            out.push(Piece::Part(part));
        }
    }

    fn take_carry(&mut self) -> Bytes {
        let mut carry = std::mem::take(&mut self.carry);
        // A frame may be kept for long, the spare half of a grown buffer need not be.
        carry.shrink_to_fit();
        carry.into()
    }
}

impl Oversize {
    fn note(&mut self, part: &[u8]) {
        let room = OVERSIZE_HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&part[..part.len().min(room)]);
        self.bytes += part.len() as u64;
    }

    fn into_piece(self, is_complete: bool) -> Piece {
        Piece::Oversize {
            head: self.head.into(),
            bytes: self.bytes,
            is_complete,
        }
    }
}
