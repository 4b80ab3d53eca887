//! Where the bytes of a message are: in memory, in a recording's file, or gone.

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::resource::heap::ARC_BYTES;

/// A place in a recording's file. Only the [`BodySource`] that goes with it knows what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyLocator {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Bytes to read.
    pub len: u64,
}

/// The bytes of one frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrameBytes {
    /// As it was on the wire, content coding undone.
    pub wire: Bytes,
    /// Its payload: `wire` itself for a body, the joined data lines for an SSE event.
    pub payload: Bytes,
}

/// Fetches the frames of an opened recording.
pub trait BodySource: Debug + Send + Sync {
    /// Reads the frame at `locator`. May block for a file read; it is called on the views' own thread only.
    ///
    /// # Errors
    /// What the system reports, or that the file does not hold a frame there.
    fn fetch(&self, locator: BodyLocator) -> io::Result<FrameBytes>;
}

/// The bytes of one row, as far as history has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowBytes {
    /// The payload, or its head.
    pub payload: Bytes,
    /// The whole block on the wire where that is more than the payload, else empty.
    pub wire: Bytes,
    /// Full size of the payload.
    pub size: u64,
    /// Only the head is here.
    pub is_cut: bool,
    /// Content coding that was undone.
    pub coding: Option<Arc<str>>,
}

/// What a row keeps of its bytes.
#[derive(Debug)]
pub(crate) struct KeptBody {
    pub(crate) place: Place,
    /// Full size of the payload.
    pub(crate) size: u64,
    pub(crate) is_cut: bool,
    pub(crate) coding: Option<Arc<str>>,
}

/// Where kept bytes are.
#[derive(Debug)]
pub(crate) enum Place {
    /// The payload, and nothing else was on the wire.
    Payload(Bytes),
    /// A block of which the payload is a part.
    Block { wire: Bytes, payload: Range<u32> },
    /// A block and a payload that stands nowhere in it as a whole.
    Apart(Box<Apart>),
    /// In a file; `span` is the row's part of the payload, `None` for all of it.
    File {
        locator: BodyLocator,
        span: Option<Range<u64>>,
    },
}

/// A payload and the block that it was read from.
#[derive(Debug)]
pub(crate) struct Apart {
    payload: Bytes,
    wire: Bytes,
}

impl KeptBody {
    /// Keeps a frame's bytes as they are if neither form is above `max_bytes`, else copies of their heads.
    ///
    /// An observed frame has its bytes for itself: they are no slices of a read buffer, which would be kept alive as a
    /// whole.
    pub(crate) fn of_frame(
        payload: &Bytes,
        wire: &Bytes,
        size: u64,
        coding: Option<Arc<str>>,
        max_bytes: usize,
    ) -> Self {
        if wire.len().max(payload.len()) > max_bytes {
            return Self::copied(payload, wire, size, coding, max_bytes);
        }
        let place = if wire.is_empty() || wire == payload {
            Place::Payload(payload.clone())
        } else if let Some(payload) = place_within(payload, wire) {
            Place::Block {
                wire: wire.clone(),
                payload,
            }
        } else {
            Place::Apart(Box::new(Apart {
                payload: payload.clone(),
                wire: wire.clone(),
            }))
        };
        Self {
            place,
            size,
            is_cut: (payload.len() as u64) < size,
            coding,
        }
    }

    /// Copies a part of a frame, `max_bytes` of each form at most: the payload of an SSE event with one data line is a
    /// part of the copy of its wire form.
    pub(crate) fn copied(
        payload: &[u8],
        wire: &[u8],
        size: u64,
        coding: Option<Arc<str>>,
        max_bytes: usize,
    ) -> Self {
        let kept = head(payload, max_bytes);
        let is_cut = (kept.len() as u64) < size;
        let place = if wire.is_empty() || wire == payload {
            Place::Payload(Bytes::copy_from_slice(kept))
        } else {
            block(head(wire, max_bytes), kept)
        };
        Self {
            place,
            size,
            is_cut,
            coding,
        }
    }

    /// Bytes of heap memory, this value included.
    pub(crate) fn heap_bytes(&self) -> usize {
        let bytes = match &self.place {
            Place::File { .. } => 0,
            Place::Payload(payload) => payload.len(),
            Place::Block { wire, .. } => wire.len(),
            Place::Apart(apart) => size_of::<Apart>() + apart.payload.len() + apart.wire.len(),
        };
        ARC_BYTES + size_of::<Self>() + bytes
    }

    pub(crate) fn read(&self, source: Option<&dyn BodySource>) -> io::Result<RowBytes> {
        let (payload, wire) = match &self.place {
            Place::Payload(payload) => (payload.clone(), Bytes::new()),
            Place::Block { wire, payload } => {
                let part = slice(wire, &(u64::from(payload.start)..u64::from(payload.end)));
                (wire.slice_ref(part), wire.clone())
            }
            Place::Apart(apart) => (apart.payload.clone(), apart.wire.clone()),
            Place::File { locator, span } => fetch(source, *locator, span.as_ref())?,
        };
        Ok(RowBytes {
            payload,
            wire,
            size: self.size,
            is_cut: self.is_cut,
            coding: self.coding.clone(),
        })
    }
}

/// A copy of `wire`, and where `payload` stands in it; or copies of both.
fn block(wire: &[u8], payload: &[u8]) -> Place {
    let place = |start: usize| {
        let end = start + payload.len();
        Some(u32::try_from(start).ok()?..u32::try_from(end).ok()?)
    };
    let (wire, payload) = match memchr::memmem::find(wire, payload).and_then(place) {
        Some(payload) => {
            let wire = Bytes::copy_from_slice(wire);
            return Place::Block { wire, payload };
        }
        None => (Bytes::copy_from_slice(wire), Bytes::copy_from_slice(payload)),
    };
    Place::Apart(Box::new(Apart { payload, wire }))
}

fn fetch(
    source: Option<&dyn BodySource>,
    locator: BodyLocator,
    span: Option<&Range<u64>>,
) -> io::Result<(Bytes, Bytes)> {
    let source = source.ok_or_else(|| io::Error::other("this history has no file to read bodies from"))?;
    let frame = source.fetch(locator)?;
    let Some(span) = span else {
        let wire = if frame.wire == frame.payload {
            Bytes::new()
        } else {
            frame.wire
        };
        return Ok((frame.payload, wire));
    };
    let part = slice(&frame.payload, span);
    Ok((frame.payload.slice_ref(part), Bytes::new()))
}

/// The bytes of `span`, as far as they are there.
pub(crate) fn slice<'a>(bytes: &'a [u8], span: &Range<u64>) -> &'a [u8] {
    let at = |place: u64| usize::try_from(place).map_or(bytes.len(), |place| place.min(bytes.len()));
    bytes.get(at(span.start)..at(span.end)).unwrap_or_default()
}

/// Where `part` stands in `whole`, if it is a slice of the same bytes.
fn place_within(part: &Bytes, whole: &Bytes) -> Option<Range<u32>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    let is_within = !part.is_empty() && end <= whole.len();
    is_within
        .then(|| Some(u32::try_from(start).ok()?..u32::try_from(end).ok()?))
        .flatten()
}

fn head(bytes: &[u8], max_bytes: usize) -> &[u8] {
    bytes.get(..max_bytes).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_of_an_event_shares_the_copy_of_its_block() {
        let body = KeptBody::copied(b"{}", b"data: {}\n\n", 2, None, 100);
        assert_eq!(body.heap_bytes(), size_of::<KeptBody>() + 16 + 10);
        let read = body.read(None).unwrap();
        assert_eq!(
            (&read.payload[..], &read.wire[..], read.is_cut),
            (&b"{}"[..], &b"data: {}\n\n"[..], false)
        );
    }

    #[test]
    fn data_of_several_lines_is_kept_beside_its_block() {
        let body = KeptBody::copied(b"{\n}", b"data: {\ndata: }\n\n", 3, None, 100);
        assert_eq!(
            body.heap_bytes(),
            size_of::<KeptBody>() + 16 + size_of::<Apart>() + 3 + 17
        );
        let read = body.read(None).unwrap();
        assert_eq!(
            (&read.payload[..], &read.wire[..]),
            (&b"{\n}"[..], &b"data: {\ndata: }\n\n"[..])
        );
    }

    #[test]
    fn a_long_body_keeps_its_head_and_its_length() {
        let body = KeptBody::copied(&[b'x'; 50], b"", 50, None, 8);
        let read = body.read(None).unwrap();
        assert_eq!((read.payload.len(), read.size, read.is_cut), (8, 50, true));
    }

    #[derive(Debug)]
    struct OneFrame;

    impl BodySource for OneFrame {
        fn fetch(&self, locator: BodyLocator) -> io::Result<FrameBytes> {
            assert_eq!(locator, BodyLocator { offset: 7, len: 9 });
            let payload = Bytes::from_static(b"[{\"a\":1},{}]");
            Ok(FrameBytes {
                wire: payload.clone(),
                payload,
            })
        }
    }

    #[test]
    fn a_body_in_a_file_costs_no_memory_and_gives_its_own_part() {
        let locator = BodyLocator { offset: 7, len: 9 };
        let place = Place::File {
            locator,
            span: Some(1..8),
        };
        let body = KeptBody {
            place,
            size: 7,
            is_cut: false,
            coding: None,
        };
        assert_eq!(body.heap_bytes(), size_of::<KeptBody>() + 16);
        assert_eq!(&body.read(Some(&OneFrame)).unwrap().payload[..], b"{\"a\":1}");
        assert!(body.read(None).is_err());
    }
}
