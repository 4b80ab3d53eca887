//! Decoding `Content-Encoding` for display, while the encoded bytes are what is forwarded.
//!
//! What was decoded comes out as soon as the sender flushed it, so a compressed event stream is shown event by event.
//! An error only ends the decoding.
//!
//! Source: RFC 9110, section 8.4; RFC 9659 for the window of zstd.

mod layer;

use std::borrow::Cow;

use layer::Layer;

/// The most codings that may be stacked.
pub const MAX_CODINGS: usize = 4;

/// How much output is always allowed, whatever the ratio, in bytes.
pub const RATIO_GRACE_BYTES: u64 = 1 << 20;

/// When to stop decoding, because a small body must not fill the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// The most bytes that come out of one coding in all.
    pub max_output_bytes: u64,
    /// The most bytes that come out for each byte that went in, once [`RATIO_GRACE_BYTES`] are exceeded.
    pub max_ratio: u64,
}

impl Default for DecodeLimits {
    /// 256 MiB, and 250 bytes for one.
    fn default() -> Self {
        Self {
            max_output_bytes: 256 << 20,
            max_ratio: 250,
        }
    }
}

/// Why decoding stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The header names a coding that is not known here, or too many.
    #[error("content coding {coding:?} cannot be decoded; gzip, deflate, br and zstd can")]
    Unsupported {
        /// The name as it was sent, or the whole header.
        coding: Box<str>,
    },
    /// The bytes are not in the coding that the header names.
    #[error("the body is not valid {coding}")]
    Corrupt {
        /// The coding that found the error.
        coding: &'static str,
    },
    /// The body ended in the middle.
    #[error("the body ends in the middle of its {coding} data")]
    Truncated {
        /// The coding that waits for more.
        coding: &'static str,
    },
    /// More came out than [`DecodeLimits`] allows.
    #[error("the body grows beyond {bytes} bytes when decoded")]
    TooLarge {
        /// How many bytes were allowed.
        bytes: u64,
    },
}

/// Decodes one body that arrives in parts.
#[derive(Debug)]
pub struct ContentDecoder {
    /// The coding that was applied last comes first.
    layers: Vec<Layer>,
    limits: DecodeLimits,
    failure: Option<DecodeError>,
}

impl ContentDecoder {
    /// A decoder for the value of a `Content-Encoding` header (several headers joined with commas), with the default
    /// limits. `None` when there is nothing to decode: no coding, or only `identity`.
    ///
    /// # Errors
    /// [`DecodeError::Unsupported`] for an unknown coding, and for more than [`MAX_CODINGS`] of them.
    pub fn for_header(value: &str) -> Result<Option<Self>, DecodeError> {
        Self::with_limits(value, DecodeLimits::default())
    }

    /// The same with limits of its own.
    ///
    /// # Errors
    /// As [`for_header`](Self::for_header).
    pub fn with_limits(value: &str, limits: DecodeLimits) -> Result<Option<Self>, DecodeError> {
        let names = value.split(',').map(str::trim);
        let names = names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"));
        let names: Vec<&str> = names.take(MAX_CODINGS + 1).collect();
        if names.len() > MAX_CODINGS {
            return Err(DecodeError::Unsupported { coding: value.into() });
        }
        let layers: Vec<Layer> = names
            .into_iter()
            .rev()
            .map(Layer::for_name)
            .collect::<Result<_, _>>()?;
        Ok((!layers.is_empty()).then_some(Self {
            layers,
            limits,
            failure: None,
        }))
    }

    /// Decodes the next part and appends what it yields to `out`, also when it ends in an error.
    ///
    /// # Errors
    /// [`DecodeError::Corrupt`] or [`DecodeError::TooLarge`]; every later call returns the same.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        self.failure.clone().map_or(Ok(()), Err)?;
        let decoded = self.decode(bytes, out);
        self.failure = decoded.clone().err();
        if self.failure.is_some() {
            self.layers.clear();
        }
        decoded
    }

    /// Ends the body; appends what was still to come.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when the body is not complete, else the error that decoding stopped with before. An
    /// empty body is complete in every coding.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        self.push(&[], out)?;
        self.layers.iter_mut().try_for_each(Layer::finish)
    }

    fn decode(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let Some((last, others)) = self.layers.split_last_mut() else {
            return Ok(());
        };
        let mut input = Cow::Borrowed(bytes);
        let mut result = Ok(());
        for layer in others {
            let mut output = Vec::new();
            result = result.and(layer.push(&input, self.limits, &mut output));
            input = Cow::Owned(output);
        }
        result.and(last.push(&input, self.limits, out))
    }
}

#[cfg(test)]
mod tests;
