//! Bodies of the server, decoded: some compress whatever a client asks for.

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use reqwest::Response;

use crate::codec::content::{ContentDecoder, DecodeError, DecodeLimits};

use super::failure::Failure;
use super::http::place;

/// A body that is read part by part.
#[derive(Debug)]
pub(super) struct Incoming {
    response: Response,
    decoder: Option<ContentDecoder>,
    /// Why nothing of it can be read.
    failure: Option<DecodeError>,
}

impl Incoming {
    /// The body of a response, in whichever codings it comes. Who reads it bounds how much of it is kept.
    ///
    /// Source: RFC 9110, section 8.4.
    pub(super) fn of(response: Response) -> Self {
        let limits = DecodeLimits {
            max_output_bytes: u64::MAX,
            ..DecodeLimits::default()
        };
        let codings = response.headers().get_all(CONTENT_ENCODING).iter();
        let codings: Vec<&str> = codings.map(|value| value.to_str().unwrap_or("?")).collect();
        let (decoder, failure) = match ContentDecoder::with_limits(&codings.join(","), limits) {
            Ok(decoder) => (decoder, None),
            Err(error) => (None, Some(error)),
        };
        Self {
            response,
            decoder,
            failure,
        }
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// [`Failure`] if it breaks off, or cannot be decoded.
    ///
    /// # Cancel safety
    /// Safe: nothing that was read is lost.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        if let Some(error) = &self.failure {
            return Err(self.undecodable(error));
        }
        loop {
            let read = self.response.chunk().await;
            let read = read.map_err(|error| Failure::broke_off(&place(self.response.url()), error))?;
            let Some(decoder) = &mut self.decoder else {
                return Ok(read);
            };
            let mut out = Vec::new();
            let is_end = read.is_none();
            let outcome = match read {
                Some(bytes) => decoder.push(&bytes, &mut out),
                None => decoder.finish(&mut out),
            };
            if is_end {
                self.decoder = None;
            }
            outcome.map_err(|error| self.undecodable(&error))?;
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
            if is_end {
                return Ok(None);
            }
        }
    }

    fn undecodable(&self, error: &DecodeError) -> Failure {
        let place = place(self.response.url());
        let text = format!("the answer of {place} cannot be read: {error}");
        Failure::new("undecodable", text)
    }
}
