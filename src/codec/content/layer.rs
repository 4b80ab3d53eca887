//! One content coding.

use std::fmt;
use std::io::{self, Write};

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

use super::{DecodeError, DecodeLimits, RATIO_GRACE_BYTES};

/// How much is decoded at a time, in bytes.
const STEP_BYTES: usize = 16 * 1024;

/// The largest window of zstd over HTTP: 8 MiB, so that a peer cannot ask for more memory.
const ZSTD_WINDOW_LOG: u32 = 23;

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// One coding of a stack, with what it has taken and given.
pub(super) struct Layer {
    codec: Codec,
    coding: &'static str,
    bytes_in: u64,
    bytes_out: u64,
    /// Whether all that came so far is complete.
    is_at_end: bool,
}

enum Codec {
    Gzip(Box<MultiGzDecoder<Sink>>),
    /// `deflate` before its first two bytes, which tell the zlib format from raw deflate.
    Undecided(Vec<u8>),
    Deflate(Decompress),
    Brotli(Box<Brotli>),
    Zstd(ZstdDecoder<'static>),
}

/// Where a gzip decoder writes, up to a limit.
#[derive(Default)]
struct Sink {
    bytes: Vec<u8>,
    room: u64,
    is_full: bool,
}

/// What one step of a decoder did.
struct Step {
    read: usize,
    written: usize,
    is_at_end: bool,
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer")
            .field("coding", &self.coding)
            .field("bytes_in", &self.bytes_in)
            .finish_non_exhaustive()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.room {
            self.is_full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Layer {
    pub(super) fn for_name(name: &str) -> Result<Self, DecodeError> {
        let unsupported = || DecodeError::Unsupported { coding: name.into() };
        let (coding, codec) = match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => (
                "gzip",
                Codec::Gzip(Box::new(MultiGzDecoder::new(Sink::default()))),
            ),
            "deflate" => ("deflate", Codec::Undecided(Vec::new())),
            "br" => ("br", Codec::Brotli(Box::new(brotli()))),
            "zstd" => ("zstd", Codec::Zstd(zstd().map_err(|_| unsupported())?)),
            _ => return Err(unsupported()),
        };
        Ok(Self {
            codec,
            coding,
            bytes_in: 0,
            bytes_out: 0,
            is_at_end: true,
        })
    }

    /// Decodes all of `input`; what came out before an error is in `out`.
    pub(super) fn push(
        &mut self,
        input: &[u8],
        limits: DecodeLimits,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        if input.is_empty() {
            return Ok(());
        }
        self.bytes_in += input.len() as u64;
        let by_ratio = self
            .bytes_in
            .saturating_mul(limits.max_ratio)
            .max(RATIO_GRACE_BYTES);
        let allowed = limits.max_output_bytes.min(by_ratio);
        let room = allowed.saturating_sub(self.bytes_out);
        let before = out.len();
        let decoded = match &mut self.codec {
            Codec::Gzip(decoder) => push_gzip(decoder, input, room, out),
            _ => self.push_steps(input, room, out),
        };
        self.bytes_out += (out.len() - before) as u64;
        decoded.map_err(|failure| match failure {
            Failure::Full => DecodeError::TooLarge { bytes: allowed },
            Failure::Corrupt => DecodeError::Corrupt { coding: self.coding },
        })
    }

    /// Whether everything that was started is complete.
    pub(super) fn finish(&mut self) -> Result<(), DecodeError> {
        let is_complete = match &mut self.codec {
            Codec::Gzip(decoder) => self.bytes_in == 0 || decoder.try_finish().is_ok(),
            Codec::Undecided(head) => head.is_empty(),
            _ => self.is_at_end,
        };
        if is_complete {
            Ok(())
        } else {
            Err(DecodeError::Truncated { coding: self.coding })
        }
    }

    fn push_steps(&mut self, input: &[u8], room: u64, out: &mut Vec<u8>) -> Result<(), Failure> {
        let head;
        let mut input = input;
        if let Codec::Undecided(start) = &mut self.codec {
            start.extend_from_slice(input);
            if start.len() < 2 {
                return Ok(());
            }
            head = std::mem::take(start);
            input = &head;
            self.codec = Codec::Deflate(Decompress::new(is_zlib(input)));
        }
        let mut buffer = vec![0; STEP_BYTES];
        let mut room = room;
        loop {
            let step = self.codec.step(input, &mut buffer)?;
            room = room.checked_sub(step.written as u64).ok_or(Failure::Full)?;
            out.extend_from_slice(&buffer[..step.written]);
            input = &input[step.read..];
            self.is_at_end = step.is_at_end;
            if step.written < buffer.len() && (input.is_empty() || step.read == 0) {
                break;
            }
        }
        if input.is_empty() {
            Ok(())
        } else {
            Err(Failure::Corrupt)
        }
    }
}

/// Why a layer stopped.
enum Failure {
    Full,
    Corrupt,
}

impl Codec {
    fn step(&mut self, input: &[u8], buffer: &mut [u8]) -> Result<Step, Failure> {
        match self {
            Self::Deflate(decoder) => step_deflate(decoder, input, buffer),
            Self::Brotli(state) => step_brotli(state, input, buffer),
            Self::Zstd(decoder) => step_zstd(decoder, input, buffer),
            Self::Gzip(_) | Self::Undecided(_) => Err(Failure::Corrupt),
        }
    }
}

fn push_gzip(
    decoder: &mut MultiGzDecoder<Sink>,
    input: &[u8],
    room: u64,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    decoder.get_mut().room = room;
    let result = decoder.write_all(input).and_then(|()| decoder.flush());
    let sink = decoder.get_mut();
    out.append(&mut sink.bytes);
    result.map_err(|_| {
        if sink.is_full {
            Failure::Full
        } else {
            Failure::Corrupt
        }
    })
}

fn step_deflate(decoder: &mut Decompress, input: &[u8], buffer: &mut [u8]) -> Result<Step, Failure> {
    let (bytes_in, bytes_out) = (decoder.total_in(), decoder.total_out());
    let status = decoder
        .decompress(input, buffer, FlushDecompress::None)
        .map_err(|_| Failure::Corrupt)?;
    let count = |total: u64| usize::try_from(total).unwrap_or(0);
    Ok(Step {
        read: count(decoder.total_in() - bytes_in),
        written: count(decoder.total_out() - bytes_out),
        is_at_end: status == Status::StreamEnd,
    })
}

fn step_brotli(state: &mut Brotli, input: &[u8], buffer: &mut [u8]) -> Result<Step, Failure> {
    let (mut left, mut read, mut space, mut written, mut total) = (input.len(), 0, buffer.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut left,
        &mut read,
        input,
        &mut space,
        &mut written,
        buffer,
        &mut total,
        state,
    );
    let is_at_end = match result {
        BrotliResult::ResultFailure => return Err(Failure::Corrupt),
        BrotliResult::ResultSuccess => true,
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => false,
    };
    Ok(Step {
        read,
        written,
        is_at_end,
    })
}

fn step_zstd(decoder: &mut ZstdDecoder<'static>, input: &[u8], buffer: &mut [u8]) -> Result<Step, Failure> {
    let status = decoder
        .run_on_buffers(input, buffer)
        .map_err(|_| Failure::Corrupt)?;
    Ok(Step {
        read: status.bytes_read,
        written: status.bytes_written,
        is_at_end: status.remaining == 0,
    })
}

/// Without large windows, which HTTP does not have and which may ask for a gigabyte.
fn brotli() -> Brotli {
    BrotliState::new_strict(
        StandardAlloc::default(),
        StandardAlloc::default(),
        StandardAlloc::default(),
    )
}

fn zstd() -> io::Result<ZstdDecoder<'static>> {
    let mut decoder = ZstdDecoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
    Ok(decoder)
}

/// Whether a body that says `deflate` has the header of the zlib format, as it should; some senders leave it out.
fn is_zlib(head: &[u8]) -> bool {
    let [first, second, ..] = head else { return false };
    first & 0x0F == 8 && first >> 4 <= 7 && u16::from_be_bytes([*first, *second]) % 31 == 0
}
