//! Messages as events of a stream. Pure.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::library::Block;
use crate::codec::json::compact;
use crate::intercept::edit::with_payload;

/// The message in one line, as pipes and events need it.
pub(super) fn one_line(text: &Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', text).is_some() {
        compact(text).into()
    } else {
        text.clone()
    }
}

/// The event for a message, in the pieces in which it is sent: as the recorded one, if there is one.
///
/// An event that had an id gets the `id`; one that had none gets none, so that nobody resumes what cannot be resumed.
/// Without a recorded event the id is used if there is one. `scale` says how long a recorded wait takes now.
pub(super) fn pieces(
    block: Option<&Block>,
    text: &Bytes,
    id: Option<&str>,
    scale: impl Fn(u64) -> Duration,
) -> Vec<(Duration, Bytes)> {
    let Some(block) = block else {
        return vec![(Duration::ZERO, fresh(text, id))];
    };
    let payload = if text.is_empty() {
        block.bytes.clone()
    } else {
        Bytes::from(with_payload(&block.bytes, text))
    };
    let event = match id {
        Some(id) => with_id(&payload, id),
        None => payload,
    };
    split(block, event, scale)
}

/// Cuts where the recorded event was cut; what is longer or shorter now is in the last piece.
fn split(block: &Block, mut event: Bytes, scale: impl Fn(u64) -> Duration) -> Vec<(Duration, Bytes)> {
    let mut pieces = Vec::new();
    let (mut start, mut before) = (0, 0);
    for (place, part) in block.parts.iter().enumerate() {
        let is_last = place + 1 == block.parts.len();
        let wait = scale(u64::try_from(part.us.saturating_sub(before)).unwrap_or(0));
        before = part.us;
        let length = (part.end - start).min(event.len());
        start = part.end;
        let piece = if is_last {
            std::mem::take(&mut event)
        } else {
            event.split_to(length)
        };
        match pieces.last_mut() {
            // Without a wait they might as well be one.
            Some((_, last)) if wait.is_zero() => *last = join(last, &piece),
            _ => pieces.push((wait, piece)),
        }
    }
    pieces
}

fn join(one: &Bytes, other: &Bytes) -> Bytes {
    let mut both = BytesMut::with_capacity(one.len() + other.len());
    both.put_slice(one);
    both.put_slice(other);
    both.freeze()
}

fn fresh(text: &Bytes, id: Option<&str>) -> Bytes {
    let mut event = BytesMut::with_capacity(text.len() + 64);
    event.put_slice(b"event: message\n");
    if let Some(id) = id {
        event.put_slice(format!("id: {id}\n").as_bytes());
    }
    event.put_slice(b"data: ");
    event.put_slice(&one_line(text));
    event.put_slice(b"\n\n");
    event.freeze()
}

/// The block with another id, if it has one.
fn with_id(block: &Bytes, id: &str) -> Bytes {
    let mut event = BytesMut::with_capacity(block.len() + id.len());
    for line in block.split_inclusive(|byte| *byte == b'\n') {
        let is_id = line.starts_with(b"id:") && !line.starts_with(b"id: \n");
        let line: Cow<'_, [u8]> = if is_id {
            let content = crate::codec::lines::line_content(line);
            let ending = line.get(content.len()..).unwrap_or_default();
            [b"id: ", id.as_bytes(), ending].concat().into()
        } else {
            line.into()
        };
        event.put_slice(&line);
    }
    event.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::tape::TapePart;

    fn block(text: &'static str, parts: &[(i64, usize)]) -> Block {
        let part = |(us, end): &(i64, usize)| TapePart { us: *us, end: *end };
        Block {
            bytes: Bytes::from_static(text.as_bytes()),
            parts: parts.iter().map(part).collect(),
        }
    }

    #[test]
    fn a_recorded_event_keeps_its_form_and_gets_the_live_id_and_message() {
        let block = block(
            "event: message\r\nid: 9f-3\r\nretry: 1500\r\ndata: {\"id\":7}\r\n\r\n",
            &[(0, 20), (500, 58)],
        );
        let told = |scale: fn(u64) -> Duration| {
            pieces(
                Some(&block),
                &Bytes::from_static(b"{\"id\":\"x\"}"),
                Some("2-1"),
                scale,
            )
        };
        let whole = "event: message\r\nid: 2-1\r\nretry: 1500\r\ndata: {\"id\":\"x\"}\r\n\r\n";
        assert_eq!(told(|_| Duration::ZERO), [(Duration::ZERO, Bytes::from(whole))]);
        let timed = told(Duration::from_micros);
        assert_eq!(timed.len(), 2);
        assert_eq!((timed[0].1.len(), timed[1].0), (20, Duration::from_micros(500)));
        assert_eq!([&timed[0].1[..], &timed[1].1[..]].concat(), whole.as_bytes());
    }

    #[test]
    fn a_message_from_elsewhere_becomes_a_plain_event_in_one_line() {
        let event = pieces(None, &Bytes::from_static(b"{\n \"id\": 1\n}"), None, |_| {
            Duration::ZERO
        });
        assert_eq!(
            event,
            [(
                Duration::ZERO,
                Bytes::from_static(b"event: message\ndata: {\"id\":1}\n\n")
            )]
        );
    }
}
