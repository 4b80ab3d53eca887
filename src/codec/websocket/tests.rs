//! What is said on a WebSocket: examples of the specifications, what is none, and any messages in any chunks.

use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

use super::*;

/// What was said, messages whole.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Message(bool, Vec<u8>),
    Ping,
    Pong,
    Close(Option<u16>, Vec<u8>),
}

fn read_with(reader: &mut WebSocketReader, chunks: &[&[u8]]) -> (Vec<Said>, Result<(), WebSocketError>) {
    let (mut said, mut message) = (Vec::new(), Vec::new());
    let mut sink = |heard: Heard<'_>| match heard {
        Heard::Data {
            bytes,
            is_text,
            is_last,
        } => {
            message.extend_from_slice(bytes);
            if is_last {
                said.push(Said::Message(is_text, std::mem::take(&mut message)));
            }
        }
        Heard::Ping => said.push(Said::Ping),
        Heard::Pong => said.push(Said::Pong),
        Heard::Close { code, reason } => said.push(Said::Close(code, reason.to_vec())),
    };
    let outcome = chunks.iter().try_for_each(|chunk| reader.push(chunk, &mut sink));
    (said, outcome)
}

fn read(bytes: &[u8]) -> (Vec<Said>, Result<(), WebSocketError>) {
    read_with(&mut WebSocketReader::new(None), &[bytes])
}

fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        short @ 0..126 => frame.push(masked | u8::try_from(short).unwrap()),
        length if length <= 0xFFFF => {
            frame.push(masked | 0x7E);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(masked | 0x7F);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(
        mask.unwrap_or_default()
            .iter()
            .take(if mask.is_some() { 4 } else { 0 }),
    );
    let mask = mask.unwrap_or_default();
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    frame
}

/// The examples of RFC 6455 §5.7.
#[test]
fn the_examples_of_the_specification_are_read() {
    let hello = Said::Message(true, b"Hello".to_vec());
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read(&masked).0, std::slice::from_ref(&hello));
    let fragments = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x89, 0x00, 0x80, 0x02, 0x6c, 0x6f];
    assert_eq!(read(&fragments).0, [Said::Ping, hello]);
    let close = frame(0x88, None, b"\x03\xf3no");
    assert_eq!(read(&close).0, [Said::Close(Some(1011), b"no".to_vec())]);
    assert_eq!(read(&[0x88, 0]).0, [Said::Close(None, Vec::new())]);
}

/// The examples of RFC 7692 §7.2.3: kept window, window given up, a stream that ends with its message.
#[test]
fn compressed_examples_of_the_specification_are_read() {
    let hello = Said::Message(true, b"Hello".to_vec());
    let first = [0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let again = [0xc1, 0x05, 0xf2, 0x00, 0x11, 0x00, 0x00];
    let mut reader = WebSocketReader::new(Some(true));
    assert_eq!(
        read_with(&mut reader, &[&first, &again]).0,
        [hello.clone(), hello.clone()]
    );
    let mut reader = WebSocketReader::new(Some(false));
    assert_eq!(
        read_with(&mut reader, &[&first, &first]).0,
        [hello.clone(), hello.clone()]
    );
    let with_end = [0xc1, 0x08, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let mut reader = WebSocketReader::new(Some(true));
    assert_eq!(
        read_with(&mut reader, &[&with_end, &first]).0,
        [hello.clone(), hello]
    );
}

#[test]
fn what_is_no_websocket_ends_the_reading_with_the_reason() {
    for (bytes, error) in [
        (&b"hello"[..], WebSocketError::Extension),
        (&[0xc1, 0x01, 0x00], WebSocketError::Extension),
        (&[0x83, 0x00], WebSocketError::Opcode(3)),
        (&[0x80, 0x00], WebSocketError::Order),
        (&[0x01, 0x00, 0x81, 0x00], WebSocketError::Order),
        (&[0x09, 0x00], WebSocketError::Control),
        (&[0x89, 126, 0, 126], WebSocketError::Control),
        (&[0x82, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0], WebSocketError::Length),
    ] {
        assert_eq!(read(bytes).1, Err(error), "{bytes:x?}");
    }
    let mut reader = WebSocketReader::new(Some(true));
    let broken = frame(0xC1, None, &[0xFF; 20]);
    assert_eq!(read_with(&mut reader, &[&broken]).1, Err(WebSocketError::Deflate));
    assert_eq!(
        read_with(&mut reader, &[&[0x81, 0]]).1,
        Err(WebSocketError::Deflate)
    );
}

#[test]
fn a_message_that_grows_beyond_all_measure_is_given_up() {
    let mut bomb = Compress::new(Compression::best(), false);
    let bomb = deflated(&mut bomb, &vec![b' '; 8 << 20]);
    assert!(bomb.len() < 16 << 10, "{}", bomb.len());
    let mut reader = WebSocketReader::new(Some(true));
    let (said, outcome) = read_with(&mut reader, &[&frame(0xC1, None, &bomb)]);
    assert!(said.is_empty() && matches!(outcome, Err(WebSocketError::TooLarge(_))));
}

#[test]
fn what_was_agreed_on_is_read_from_the_header() {
    let deflate =
        Deflate::agreed("x-other, Permessage-Deflate; server_no_context_takeover; client_max_window_bits=10");
    assert_eq!(
        deflate,
        Some(Deflate {
            client_keeps_context: true,
            server_keeps_context: false
        })
    );
    assert_eq!(Deflate::agreed("permessage-bzip"), None);
}

fn deflated(compress: &mut Compress, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() + 1024);
    compress
        .compress_vec(plain, &mut out, FlushCompress::Sync)
        .unwrap();
    out.truncate(out.len() - DEFLATE_TAIL.len());
    out
}

fn message() -> impl Strategy<Value = (bool, Vec<u8>, Vec<usize>, Option<[u8; 4]>, u8)> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(any::<u8>(), 120..140),
        (0usize..70_000).prop_map(|length| vec![b'x'; length]),
    ];
    let cuts = prop::collection::vec(0usize..70_000, 0..4);
    (any::<bool>(), payload, cuts, any::<Option<[u8; 4]>>(), 0u8..4)
}

proptest! {
    #[test]
    fn messages_survive_masks_fragments_control_frames_and_any_chunks(
        messages in prop::collection::vec(message(), 0..5),
        compresses in any::<bool>(),
        chunk in 1usize..9_000,
    ) {
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        let mut compress = Compress::new(Compression::fast(), false);
        for (is_text, payload, mut cuts, mask, control) in messages {
            let sent = if compresses { deflated(&mut compress, &payload) } else { payload.clone() };
            for cut in &mut cuts {
                *cut = (*cut).min(sent.len());
            }
            cuts.sort_unstable();
            let mut at = 0;
            for (index, cut) in cuts.iter().chain([&sent.len()]).enumerate() {
                let is_last = index == cuts.len();
                let opcode = if index > 0 { CONTINUATION } else if is_text { TEXT } else { BINARY };
                let bits = if is_last { 0x80 } else { 0 } | if compresses && index == 0 { 0x40 } else { 0 };
                wire.extend(frame(bits | opcode, mask, &sent[at..*cut]));
                at = *cut;
                if !is_last && control > 0 {
                    wire.extend(frame(0x80 | if control == 1 { PING } else { PONG }, mask, b"control"));
                    expected.push(if control == 1 { Said::Ping } else { Said::Pong });
                }
            }
            expected.push(Said::Message(is_text, payload));
        }
        let mut reader = WebSocketReader::new(compresses.then_some(true));
        let chunks: Vec<&[u8]> = wire.chunks(chunk).collect();
        let (said, outcome) = read_with(&mut reader, &chunks);
        prop_assert_eq!(outcome, Ok(()));
        prop_assert_eq!(said, expected);
    }

    #[test]
    fn noise_is_read_without_a_panic(noise in prop::collection::vec(any::<u8>(), 0..400), agreed in any::<Option<bool>>()) {
        let _ = read_with(&mut WebSocketReader::new(agreed), &[&noise]);
    }
}
