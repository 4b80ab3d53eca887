//! Frames in the place of others.

use bytes::Bytes;

/// What is added to the payload of a client's frames.
pub(crate) type Mask = [u8; 4];

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const OPCODE: u8 = 0x0F;
const TEXT: u8 = 0x1;

/// Appends a frame without extensions: the last of its message if `is_final`.
pub(crate) fn put_frame(opcode: u8, is_final: bool, mask: Option<Mask>, payload: &[u8], out: &mut Vec<u8>) {
    out.push(opcode & OPCODE | if is_final { FINAL } else { 0 });
    let masked = if mask.is_some() { MASKED } else { 0 };
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => out.push(masked | short),
        (_, Ok(length)) => {
            out.push(masked | 126);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    match mask {
        None => out.extend_from_slice(payload),
        Some(mask) => {
            out.extend(mask);
            out.extend(
                payload
                    .iter()
                    .zip(mask.iter().cycle())
                    .map(|(byte, mask)| byte ^ mask),
            );
        }
    }
}

/// The mask of a whole frame, if it has one.
pub(crate) fn mask_of(frame: &[u8]) -> Option<Mask> {
    let second = *frame.get(1)?;
    let at = match second & !MASKED {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let mask = frame.get(at..at + 4)?.try_into().ok()?;
    (second & MASKED != 0).then_some(mask)
}

/// A message of one frame, not compressed, with `payload` in the place of `message`: of the same kind, and with the mask
/// of its first frame, which its client could not foresee either (RFC 6455 §10.3).
pub(crate) fn reframed(message: &[u8], payload: &[u8]) -> Bytes {
    let opcode = message.first().map_or(TEXT, |first| first & OPCODE);
    let mut frame = Vec::with_capacity(payload.len() + 14);
    put_frame(opcode, true, mask_of(message), payload, &mut frame);
    frame.into()
}

#[cfg(test)]
mod tests {
    use super::super::{Heard, WebSocketReader};
    use super::*;

    fn read(frame: &[u8]) -> Vec<u8> {
        let mut said = Vec::new();
        let mut reader = WebSocketReader::new(None);
        let mut ends = 0;
        reader
            .push(frame, &mut |heard| {
                if let Heard::Data { bytes, is_last, .. } = heard {
                    said.extend_from_slice(bytes);
                    ends += u32::from(is_last);
                }
            })
            .unwrap();
        assert_eq!(ends, 1);
        assert!(reader.is_between_messages());
        said
    }

    #[test]
    fn a_frame_of_any_length_is_read_as_it_was_written() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let payload: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            for mask in [None, Some([1, 2, 3, 4])] {
                let mut frame = Vec::new();
                put_frame(TEXT, true, mask, &payload, &mut frame);
                assert_eq!(read(&frame), payload);
                assert_eq!(mask_of(&frame), mask);
                let other = reframed(&frame, b"other");
                assert_eq!(read(&other), b"other");
                assert_eq!(mask_of(&other), mask);
            }
        }
    }

    #[test]
    fn frames_are_taken_one_at_a_time_however_they_come() {
        let mut stream = Vec::new();
        put_frame(TEXT, false, Some([9, 8, 7, 6]), b"ab", &mut stream);
        put_frame(0x9, true, Some([1, 1, 1, 1]), b"ping", &mut stream);
        put_frame(0x0, true, None, b"", &mut stream);
        for size in 1..stream.len() {
            let mut reader = WebSocketReader::new(None);
            let (mut ends, mut taken) = (Vec::new(), 0);
            for mut chunk in stream.chunks(size) {
                while !chunk.is_empty() {
                    let step = reader.push_frame(chunk, &mut |_| {}).unwrap();
                    chunk = &chunk[step.taken..];
                    taken += step.taken;
                    if step.ends_frame() {
                        ends.push((taken, step.is_control, step.ends_message()));
                    }
                }
            }
            assert_eq!(ends, [(8, false, false), (18, true, false), (20, false, true)]);
        }
    }
}
