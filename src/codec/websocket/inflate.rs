//! Messages out of compressed ones.
//!
//! Source: RFC 7692 §7.2.2 (decompression).

use flate2::{Decompress, FlushDecompress, Status};

use crate::codec::content::{DecodeLimits, RATIO_GRACE_BYTES};

use super::{STEP_BYTES, WebSocketError};

/// Undoes `permessage-deflate`.
#[derive(Debug)]
pub(super) struct Inflater {
    stream: Decompress,
    keeps_context: bool,
    bytes_in: u64,
    bytes_out: u64,
}

impl Inflater {
    pub(super) fn new(keeps_context: bool) -> Self {
        Self {
            stream: Decompress::new(false),
            keeps_context,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// A message begins.
    pub(super) fn begin(&mut self) {
        (self.bytes_in, self.bytes_out) = (0, 0);
        if !self.keeps_context {
            self.stream.reset(false);
        }
    }

    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        sink: &mut impl FnMut(&[u8]),
    ) -> Result<(), WebSocketError> {
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
