//! An event of an event stream with another payload.

use crate::codec::event::{SseEvent, rewrite_data, single_data_line};

/// The block of an event with its data replaced by `payload`, one `data` line for each line of it. Everything else
/// stays: `event`, `id`, `retry`, comments, the order of the fields and the way lines end.
///
/// The payload it already has gives the block byte for byte. In another one bad UTF-8 becomes U+FFFD, which is what a
/// client would read, and a `\r` ends a line, because no event stream can carry it in any other way.
///
/// Source: WHATWG HTML, "Interpreting an event stream".
pub fn with_payload(block: &[u8], payload: &[u8]) -> Vec<u8> {
    if has_payload(block, payload) {
        return block.to_vec();
    }
    rewrite_data(block, &String::from_utf8_lossy(payload))
}

fn has_payload(block: &[u8], payload: &[u8]) -> bool {
    if let Some(place) = single_data_line(block) {
        return &block[place] == payload;
    }
    match SseEvent::parse(block, true).event {
        Some(event) => event.data == String::from_utf8_lossy(payload),
        None => payload.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewritten(block: &str, payload: &str) -> String {
        String::from_utf8(with_payload(block.as_bytes(), payload.as_bytes())).unwrap()
    }

    #[test]
    fn only_the_data_lines_change() {
        assert_eq!(
            rewritten(
                ": c\r\nid: 7\r\ndata: {\"a\":1}\r\nevent: message\r\nretry: 9\r\n\r\n",
                "{\n  \"a\": 2\n}"
            ),
            ": c\r\nid: 7\r\ndata: {\r\ndata:   \"a\": 2\r\ndata: }\r\nevent: message\r\nretry: 9\r\n\r\n"
        );
        assert_eq!(rewritten("data:[1,\rdata:2]\rid:\r\r", "[]"), "data:[]\rid:\r\r");
        assert_eq!(rewritten("id: 1\n\n", "[]"), "id: 1\ndata: []\n\n");
        assert_eq!(rewritten("\u{feff}data: 1\n\n", "2"), "\u{feff}data: 2\n\n");
    }

    #[test]
    fn the_same_payload_gives_the_same_bytes() {
        for (block, payload) in [
            ("data:a\r\ndata: b\n\n", "a\nb"),
            ("data\n\n", ""),
            (": keepalive\n\n", ""),
            ("\u{feff}data: 1\n\n", "1"),
        ] {
            assert_eq!(rewritten(block, payload), block);
        }
        let bad = b"data: \"\xff\"\n\n";
        assert_eq!(with_payload(bad, b"\"\xff\""), bad);
        assert_eq!(with_payload(bad, b"1"), b"data: 1\n\n");
    }

    proptest! {
        #[test]
        fn what_a_client_reads_is_the_payload(payload in "[a-z{}\":, \n]{0,20}", ending in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")]) {
            let block = format!("id: 1{ending}data: x{ending}: c{ending}data: y{ending}{ending}");
            let changed = rewritten(&block, &payload);
            let parsed = SseEvent::parse(changed.as_bytes(), true);
            prop_assert_eq!(&parsed.event.unwrap().data, &payload);
            prop_assert_eq!((parsed.id.as_deref(), parsed.comments), (Some("1"), 1));
            prop_assert_eq!(rewritten(&changed, &payload), changed);
        }
    }
}
