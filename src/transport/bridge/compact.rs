//! One message, one line: what HTTP lets stand over several lines must not reach a pipe so.

use bytes::Bytes;

use crate::codec::json;

/// A JSON body as a line for a command's input, its end included: as it was sent if it is one line already, otherwise
/// without the white space between its tokens. Nothing is re-serialised.
///
/// Source: MCP, Transports, stdio: messages are delimited by newlines and contain none.
pub(super) fn input_line(body: &[u8]) -> Bytes {
    let trimmed = body.trim_ascii();
    let has_line_ends = memchr::memchr2(b'\n', b'\r', trimmed).is_some();
    let mut line = if has_line_ends || trimmed.starts_with(b"\xef\xbb\xbf") {
        json::compact(trimmed)
    } else {
        trimmed.to_vec()
    };
    line.push(b'\n');
    line.into()
}

/// A line of a command's output as it can stand behind `data: `. A carriage return, which is white space in JSON, would
/// end the field there.
pub(super) fn event_text(line: &Bytes) -> Bytes {
    let trimmed = line.trim_ascii();
    if memchr::memchr(b'\r', trimmed).is_some() || trimmed.starts_with(b"\xef\xbb\xbf") {
        return json::compact(trimmed).into();
    }
    line.slice_ref(trimmed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_one_line_stays_as_it_is() {
        let body = br#"{ "b": 1.0,  "a":"\u00e9\n" }"#;
        assert_eq!(input_line(body), [&body[..], b"\n"].concat());
        assert_eq!(input_line(b"{}\r\n"), "{}\n");
    }

    #[test]
    fn a_pretty_body_becomes_one_line_that_says_the_same() {
        let pretty = "\u{feff}{\r\n  \"b\": 1.0,\n  \"a\": [ 1e3 ,\n \"x  y\\n\" ]\n}\n";
        assert_eq!(
            input_line(pretty.as_bytes()),
            "{\"b\":1.0,\"a\":[1e3,\"x  y\\n\"]}\n"
        );
    }

    #[test]
    fn a_carriage_return_between_tokens_does_not_end_a_data_field() {
        assert_eq!(event_text(&Bytes::from_static(b"{\r\"a\":1}\r\n")), "{\"a\":1}");
        assert_eq!(event_text(&Bytes::from_static(b"{ \"a\":1}\n")), "{ \"a\":1}");
    }

    proptest! {
        #[test]
        fn a_line_never_has_an_end_inside_and_means_the_same(keys in prop::collection::vec(".{0,8}", 0..6)) {
            let value: Value = keys.iter().map(|key| (key.clone(), Value::from(key.as_str()))).collect();
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let line = input_line(pretty.as_bytes());
            let (last, inner) = line.split_last().unwrap();
            prop_assert_eq!(*last, b'\n');
            prop_assert!(!inner.contains(&b'\n') && !inner.contains(&b'\r'));
            prop_assert_eq!(serde_json::from_slice::<Value>(inner).unwrap(), value);
        }
    }
}
