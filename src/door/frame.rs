//! Frames of the control door: two lengths, a JSON header, bytes. Pure: no socket and no clock.
//!
//! ```text
//! 4 bytes  length of the header, big-endian
//! 4 bytes  length of the payload, big-endian
//! header   one JSON object
//! payload  bytes as they are
//! ```

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Bytes of a header at most: it may carry a long command line.
pub const MAX_HEADER_BYTES: usize = 256 * 1024;
/// Bytes of a payload at most.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

const PREFIX_BYTES: usize = 8;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// One JSON object.
    pub header: Bytes,
    /// Bytes that it is about.
    pub payload: Bytes,
}

/// A frame that is larger than frames may be. What follows it cannot be read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a frame of {header} + {payload} bytes is no frame of this protocol; is the other side another version?"
)]
pub struct FrameTooLongError {
    /// Stated length of the header.
    pub header: usize,
    /// Stated length of the payload.
    pub payload: usize,
}

/// Appends a frame to `out`.
///
/// # Errors
/// [`FrameTooLongError`] if a part is above its bound; `out` is as before.
pub fn put_frame(header: &[u8], payload: &[u8], out: &mut BytesMut) -> Result<(), FrameTooLongError> {
    check(header.len(), payload.len())?;
    let bound = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    out.reserve(PREFIX_BYTES + header.len() + payload.len());
    out.put_u32(bound(header.len()));
    out.put_u32(bound(payload.len()));
    out.put_slice(header);
    out.put_slice(payload);
    Ok(())
}

const fn check(header: usize, payload: usize) -> Result<(), FrameTooLongError> {
    if header > MAX_HEADER_BYTES || payload > MAX_PAYLOAD_BYTES {
        return Err(FrameTooLongError { header, payload });
    }
    Ok(())
}

/// Cuts what arrives into frames. Keeps at most one frame and what came with it.
#[derive(Debug, Default)]
pub struct FrameCutter {
    buffer: BytesMut,
}

impl FrameCutter {
    /// Where the next bytes go.
    pub fn space(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Takes the next whole frame out; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`FrameTooLongError`], from then on always.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameTooLongError> {
        let Some((header, payload)) = self.lengths() else {
            return Ok(None);
        };
        check(header, payload)?;
        if self.buffer.len() < PREFIX_BYTES + header + payload {
            return Ok(None);
        }
        self.buffer.advance(PREFIX_BYTES);
        Ok(Some(Frame {
            header: self.buffer.split_to(header).freeze(),
            payload: self.buffer.split_to(payload).freeze(),
        }))
    }

    /// Whether nothing of a frame is there, so that an end here cuts none.
    pub fn is_between_frames(&self) -> bool {
        self.buffer.is_empty()
    }

    fn lengths(&self) -> Option<(usize, usize)> {
        let prefix = self.buffer.get(..PREFIX_BYTES)?;
        let (mut header, mut payload) = prefix.split_at(PREFIX_BYTES / 2);
        Some((header.get_u32() as usize, payload.get_u32() as usize))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(stream: &[u8], size: usize) -> Result<Vec<Frame>, FrameTooLongError> {
        let mut cutter = FrameCutter::default();
        let mut frames = Vec::new();
        for chunk in stream.chunks(size) {
            cutter.space().extend_from_slice(chunk);
            while let Some(frame) = cutter.next_frame()? {
                frames.push(frame);
            }
            let most = PREFIX_BYTES + MAX_HEADER_BYTES + MAX_PAYLOAD_BYTES;
            assert!(cutter.space().len() <= most);
        }
        assert!(cutter.is_between_frames());
        Ok(frames)
    }

    #[test]
    fn a_frame_above_the_bound_is_neither_written_nor_waited_for() {
        let mut out = BytesMut::from(&b"before"[..]);
        let too_long = vec![0; MAX_PAYLOAD_BYTES + 1];
        assert!(put_frame(b"{}", &too_long, &mut out).is_err());
        assert_eq!(&out[..], b"before");
        let mut cutter = FrameCutter::default();
        cutter.space().extend_from_slice(b"GET / HTTP/1.1\r\n");
        assert!(cutter.next_frame().is_err());
    }

    proptest! {
        #[test]
        fn frames_come_back_however_they_are_cut(
            frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..200)), 0..8),
            size in 1usize..64,
        ) {
            let mut stream = BytesMut::new();
            for (header, payload) in &frames {
                put_frame(header, payload, &mut stream).unwrap();
            }
            let found: Vec<(Vec<u8>, Vec<u8>)> = cut(&stream, size)
                .unwrap()
                .into_iter()
                .map(|frame| (frame.header.to_vec(), frame.payload.to_vec()))
                .collect();
            prop_assert_eq!(found, frames);
        }

        #[test]
        fn whatever_comes_is_frames_or_an_error_and_never_a_panic(stream in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut cutter = FrameCutter::default();
            cutter.space().extend_from_slice(&stream);
            while let Ok(Some(_)) = cutter.next_frame() {}
        }
    }
}
