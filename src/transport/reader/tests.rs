//! Bodies that are read: documents, events, lines, text.

use super::*;
use crate::ids::Side;
use crate::resource::meters::BufferPool;

fn reader(kind: BodyKind, limits: &ResourceLimits) -> BodyReader {
    BodyReader::new(
        kind,
        None,
        limits,
        BufferPool::new(limits.max_buffer_pool).lease(Side::Reverse),
    )
}

fn read(kind: BodyKind, chunks: &[&'static str], limits: &ResourceLimits) -> Vec<FrameDraft> {
    let (mut reader, mut out) = (reader(kind, limits), Vec::new());
    for chunk in chunks {
        reader.push(&Bytes::from_static(chunk.as_bytes()), false, false, &mut out);
    }
    reader.finish(true, &mut out);
    out.into_iter()
        .filter_map(|draft| {
            if let Draft::Frame(frame) = draft {
                Some(*frame)
            } else {
                None
            }
        })
        .collect()
}

const JSON: BodyKind = BodyKind::Document { is_json: true };
const RESULT: &str = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;

#[test]
fn media_types_decide_in_any_case_and_with_parameters() {
    assert_eq!(
        BodyKind::of(Some("Text/Event-Stream; charset=utf-8")),
        BodyKind::Events
    );
    assert_eq!(BodyKind::of(Some("application/problem+JSON")), JSON);
    assert_eq!(BodyKind::of(None), BodyKind::Document { is_json: false });
}

#[test]
fn a_document_is_one_frame_however_it_arrives() {
    let limits = ResourceLimits::default();
    let (head, tail) = RESULT.split_at(10);
    for chunks in [&[RESULT][..], &[head, tail]] {
        let frames = read(JSON, chunks, &limits);
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].payload, RESULT);
        assert_eq!(frames[0].scan.messages.len(), 1);
        assert_eq!(frames[0].problem, None);
    }
    assert!(read(JSON, &[], &limits).is_empty());
}

#[test]
fn a_last_chunk_that_is_the_whole_document_needs_no_end() {
    let limits = ResourceLimits::default();
    let (mut reader, mut out) = (reader(JSON, &limits), Vec::new());
    reader.push(&Bytes::from_static(RESULT.as_bytes()), true, true, &mut out);
    assert!(matches!(&out[..], [Draft::Frame(frame)] if frame.parts == 0));
    reader.finish(true, &mut out);
    assert_eq!(out.len(), 1);
}

#[test]
fn a_recorder_gets_every_byte_of_a_document_in_parts() {
    let limits = ResourceLimits {
        max_body_kept: 8,
        ..ResourceLimits::default()
    };
    let (mut reader, mut out) = (reader(JSON, &limits), Vec::new());
    let (head, tail) = RESULT.split_at(10);
    for chunk in [head, tail] {
        reader.push(&Bytes::from_static(chunk.as_bytes()), false, true, &mut out);
    }
    reader.finish(true, &mut out);
    let mut bytes = Vec::new();
    for draft in &out {
        match draft {
            Draft::Part { bytes: part, .. } => bytes.extend_from_slice(part),
            Draft::Frame(frame) => {
                assert_eq!((frame.parts, frame.is_cut, frame.wire.len()), (2, true, 8));
                assert_eq!(frame.scan.messages[0].id.as_ref().unwrap().to_string(), "7");
            }
        }
    }
    assert_eq!(bytes, RESULT.as_bytes());
}

#[test]
fn events_show_what_they_carry() {
    let stream = "id: 1\nretry: 1500\ndata:\n\n: ping\n\nevent: endpoint\ndata: /m?s=1\n\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"id\":1,\"result\":{}}\n\ndata: hi\n\ndata: rest";
    let frames = read(BodyKind::Events, &[stream], &ResourceLimits::default());
    let names: Vec<_> = frames
        .iter()
        .map(|frame| frame.sse.as_ref().unwrap().event.as_deref())
        .collect();
    assert_eq!(
        names,
        [
            Some("message"),
            None,
            Some("endpoint"),
            Some("message"),
            Some("message"),
            None
        ]
    );
    assert_eq!(frames[0].problem, None);
    assert_eq!(frames[1].sse.as_ref().unwrap().comments, 1);
    assert_eq!(frames[2].payload, "/m?s=1");
    assert_eq!(frames[3].scan.messages.len(), 1);
    assert!(frames[4].problem.is_some());
    assert!(frames[5].is_fragment);
}

#[test]
fn an_event_that_finds_no_buffer_is_shown_by_its_head() {
    let limits = ResourceLimits {
        max_buffer_pool: 90,
        ..ResourceLimits::default()
    };
    let long: &'static str = Box::leak(format!("data: {}", "x".repeat(200)).into_boxed_str());
    let frames = read(BodyKind::Events, &[long, "yy\n\n", "data: 1\n\n"], &limits);
    assert_eq!((frames[0].is_cut, frames[0].size), (true, 210));
    assert_eq!(frames[1].payload, "1");
}

#[test]
fn an_unknown_coding_is_said_and_not_guessed_at() {
    let limits = ResourceLimits::default();
    let lease = BufferPool::new(limits.max_buffer_pool).lease(Side::Reverse);
    let mut reader = BodyReader::new(JSON, Some("secret"), &limits, lease);
    let mut out = Vec::new();
    reader.push(&Bytes::from_static(b"??"), true, false, &mut out);
    assert!(
        matches!(&out[..], [Draft::Frame(frame)] if frame.problem.as_deref().unwrap().contains("secret"))
    );
}

#[test]
fn nothing_is_kept_behind_a_gap_and_a_recorder_gets_what_history_has_no_room_for() {
    let limits = ResourceLimits::default();
    let pool = BufferPool::new(300);
    let mut reader = BodyReader::new(JSON, None, &limits, pool.lease(Side::Reverse));
    let mut out = Vec::new();
    let large = Bytes::from(vec![b' '; 250]);
    reader.push(&large, false, true, &mut out);
    reader.push(&Bytes::from_static(b"{}"), false, true, &mut out);
    reader.finish(true, &mut out);
    let frame = out.iter().find_map(|draft| match draft {
        Draft::Frame(frame) => Some(frame),
        Draft::Part { .. } => None,
    });
    assert_eq!(
        frame.map(|frame| (frame.wire.len(), frame.size, frame.is_cut)),
        Some((0, 252, true))
    );
    let mut reader = BodyReader::new(JSON, None, &limits, pool.lease(Side::Reverse));
    let mut out = Vec::new();
    reader.push(&large, true, true, &mut out);
    assert!(matches!(&out[0], Draft::Part { bytes, .. } if *bytes == large));
}

#[test]
fn lines_are_messages_and_what_else_a_command_prints_is_said_to_be_none() {
    let output = "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\r\n\nlistening on 80\n{\"a\":1}\n{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}";
    let frames = read(BodyKind::Lines, &[output], &ResourceLimits::default());
    let shown: Vec<_> = frames
        .iter()
        .map(|frame| {
            (
                frame.scan.messages.len(),
                frame.problem.as_deref(),
                &frame.payload[..],
            )
        })
        .collect();
    let no_json = "the line is no JSON: output that is not part of the protocol";
    assert_eq!(
        shown,
        [
            (1, None, RESULT.as_bytes()),
            (0, None, &b""[..]),
            (0, Some(no_json), b"listening on 80"),
            (1, Some("the line is JSON, but no JSON-RPC message"), b"{\"a\":1}"),
            (1, None, b"{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}"),
        ]
    );
    assert_eq!(&frames[0].wire[RESULT.len()..], b"\r\n");
}

#[test]
fn a_line_too_long_to_be_put_together_is_still_known_by_its_id() {
    let limits = ResourceLimits {
        max_message_bytes: 16,
        ..ResourceLimits::default()
    };
    for chunks in [
        &[RESULT, "\n"][..],
        &["{\"jsonrpc\":\"2.0\",", "\"id\":7,\"result\":{}}\n"],
    ] {
        let frames = read(BodyKind::Lines, chunks, &limits);
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].scan.messages[0].id.as_ref().unwrap().to_string(), "7");
        assert!(frames[0].is_cut);
    }
}

#[test]
fn error_output_is_text_whatever_is_in_it() {
    let frames = read(
        BodyKind::Text,
        &["{\"jsonrpc\"\n", "bye"],
        &ResourceLimits::default(),
    );
    let texts: Vec<_> = frames.iter().map(|frame| &frame.payload[..]).collect();
    assert_eq!(texts, [&b"{\"jsonrpc\""[..], b"bye"]);
    assert!(frames.iter().all(|frame| frame.problem.is_none()));
}

#[test]
fn a_byte_order_mark_that_comes_alone_still_belongs_to_the_first_event() {
    let events = read(
        BodyKind::Events,
        &["\u{feff}", "event: endpoint\ndata: /m\n\n"],
        &ResourceLimits::default(),
    );
    assert_eq!(events[0].sse.as_ref().unwrap().event.as_deref(), Some("endpoint"));
    assert_eq!(&events[0].payload[..], b"/m");
}
