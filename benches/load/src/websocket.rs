//! The little of WebSocket that both ends of the load need: whole text messages in one frame each.
//!
//! Source: RFC 6455 §5.2.

use anyhow::{Result, bail};
use tokio::io::AsyncWriteExt as _;

use crate::buffered::Buffered;

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const MASKED: u8 = 0x80;
/// In place of a length: that follows in two bytes, or in eight.
const LONG: u8 = 0x7E;
const VERY_LONG: u8 = 0x7F;
/// A mask need not be random where nobody is protected by it.
const MASK: [u8; 4] = [7, 77, 177, 207];
/// Longest message that is taken.
const MAX_BYTES: u64 = 1 << 20;

/// Sends `text` as one message; a client's is masked.
///
/// # Errors
/// The connection broke.
pub(crate) async fn say(wire: &mut Buffered, text: &[u8], is_client: bool) -> Result<()> {
    send(wire, TEXT, text, is_client).await
}

/// Says that nothing more comes.
///
/// # Errors
/// The connection broke.
pub(crate) async fn close(wire: &mut Buffered, is_client: bool) -> Result<()> {
    send(wire, CLOSE, &[], is_client).await
}

async fn send(wire: &mut Buffered, first: u8, payload: &[u8], is_client: bool) -> Result<()> {
    let masked = if is_client { MASKED } else { 0 };
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => frame.push(masked | length),
        (_, Ok(length)) => {
            frame.push(masked | LONG);
            frame.extend(length.to_be_bytes());
        }
        _ => bail!("a message of {} bytes is too long for this load", payload.len()),
    }
    if is_client {
        frame.extend(MASK);
        frame.extend(
            payload
                .iter()
                .zip(MASK.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
    } else {
        frame.extend(payload);
    }
    wire.stream.write_all(&frame).await?;
    Ok(wire.stream.flush().await?)
}

/// The next text message; `None` once the other end has closed.
///
/// # Errors
/// The connection broke, or what came is something that no end of this load sends.
pub(crate) async fn hear(wire: &mut Buffered) -> Result<Option<Vec<u8>>> {
    loop {
        let head = wire.exactly(2).await?;
        let [first, second] = head[..] else {
            bail!("half a frame")
        };
        let payload = payload(wire, second).await?;
        match first {
            TEXT => return Ok(Some(payload)),
            CLOSE => return Ok(None),
            // Pings and pongs of others.
            0x89 | 0x8A => {}
            other => bail!("a frame that begins with {other:#x}"),
        }
    }
}

async fn payload(wire: &mut Buffered, second: u8) -> Result<Vec<u8>> {
    let length = match second & 0x7F {
        LONG => u64::from_be_bytes(padded(&wire.exactly(2).await?)),
        VERY_LONG => u64::from_be_bytes(padded(&wire.exactly(8).await?)),
        length => u64::from(length),
    };
    if length > MAX_BYTES {
        bail!("a message of {length} bytes");
    }
    let mask = if second & MASKED == 0 {
        vec![0; 4]
    } else {
        wire.exactly(4).await?
    };
    let payload = wire.exactly(usize::try_from(length)?).await?;
    Ok(payload
        .iter()
        .zip(mask.iter().cycle())
        .map(|(byte, mask)| byte ^ mask)
        .collect())
}

fn padded(bytes: &[u8]) -> [u8; 8] {
    let mut padded = [0; 8];
    for (place, byte) in padded.iter_mut().rev().zip(bytes.iter().rev()) {
        *place = *byte;
    }
    padded
}
