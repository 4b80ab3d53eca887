//! Texts that may be longer than a frame, in several of them.

use serde::Serialize;

use super::frame::MAX_PAYLOAD_BYTES;
use super::link::{FrameWriter, LinkError};

/// Puts parts together again.
#[derive(Debug)]
pub(super) struct Parts {
    text: Vec<u8>,
    most: usize,
}

impl Parts {
    /// For texts of at most `most` bytes.
    pub(super) const fn new(most: usize) -> Self {
        Self {
            text: Vec::new(),
            most,
        }
    }

    /// Takes the next part; the text if it was the last one.
    ///
    /// # Errors
    /// [`LinkError::TooMuch`] if it is longer than it may be; it is forgotten then.
    pub(super) fn take(&mut self, part: &[u8], is_last: bool) -> Result<Option<Vec<u8>>, LinkError> {
        if self.text.len() + part.len() > self.most {
            self.text = Vec::new();
            return Err(LinkError::TooMuch { most: self.most });
        }
        self.text.extend_from_slice(part);
        Ok(is_last.then(|| std::mem::take(&mut self.text)))
    }
}

/// Writes `text` in parts, each under the header that `message` makes of whether it is the last one. Waits while the other
/// side does not read, so that only one part is on its way.
pub(super) async fn write_parts<M: Serialize>(
    writer: &mut FrameWriter,
    text: &[u8],
    message: impl Fn(bool) -> M,
) -> Result<(), LinkError> {
    let mut rest = text;
    loop {
        let (part, behind) = rest.split_at(rest.len().min(MAX_PAYLOAD_BYTES));
        writer.put(&message(behind.is_empty()), part)?;
        writer.flush().await?;
        if behind.is_empty() {
            return Ok(());
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_together_and_none_is_kept_beyond_the_bound() {
        let mut parts = Parts::new(6);
        assert_eq!(parts.take(b"abc", false).unwrap(), None);
        assert_eq!(parts.take(b"def", true).unwrap(), Some(b"abcdef".to_vec()));
        assert_eq!(parts.take(b"", true).unwrap(), Some(Vec::new()));
        assert!(parts.take(b"abcdefg", false).is_err());
        assert_eq!(parts.take(b"again", true).unwrap(), Some(b"again".to_vec()));
    }
}
