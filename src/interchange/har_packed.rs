//! Archives that were compressed as a file: mitmproxy's `.zhar`, `.har.gz`, and `.har.zst` as `export` writes it.

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::read::{MultiGzDecoder, ZlibDecoder};

/// The text in `bytes`, of which one byte more than `max_bytes` is given at most.
///
/// # Errors
/// What is damaged.
pub(super) fn unpacked(bytes: &[u8], max_bytes: usize) -> io::Result<Cow<'_, [u8]>> {
    match *bytes {
        [0x1f, 0x8b, ..] => inflated(MultiGzDecoder::new(bytes), max_bytes),
        // The first two bytes of zlib are a multiple of 31, which no text begins with that could be an archive.
        [0x78, second, ..] if (0x7800 + u32::from(second)).is_multiple_of(31) => {
            inflated(ZlibDecoder::new(bytes), max_bytes)
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => inflated(zstd::Decoder::new(bytes)?, max_bytes),
        _ => Ok(bytes.into()),
    }
}

fn inflated(from: impl Read, max_bytes: usize) -> io::Result<Cow<'static, [u8]>> {
    let mut text = Vec::new();
    from.take(max_bytes as u64 + 1).read_to_end(&mut text)?;
    Ok(text.into())
}
