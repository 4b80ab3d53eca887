//! Trace context: of which trace a request says that it is a part.
//!
//! Source: W3C Trace Context, "traceparent Header"; MCP 2026-07-28, Basic, `_meta` (the key is not prefixed). What a
//! request carries is read here and passed on untouched.

/// A `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: [u8; 16],
    /// The span of the sender.
    pub parent: [u8; 8],
    /// The sender records the trace.
    pub is_sampled: bool,
}

impl TraceContext {
    /// Reads the text of a `traceparent`; `None` for what is none. A version that is not known is read like the first
    /// one, as far as that goes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let [version]: [u8; 1] = bytes(parts.next()?)?;
        let (trace, parent) = (bytes(parts.next()?)?, bytes(parts.next()?)?);
        let [flags]: [u8; 1] = bytes(parts.next()?)?;
        let has_more = parts.next().is_some();
        let is_valid = version != 0xff && !(version == 0 && has_more) && trace != [0; 16] && parent != [0; 8];
        is_valid.then_some(Self {
            trace,
            parent,
            is_sampled: flags & 1 == 1,
        })
    }
}

/// Exactly `N` bytes, written as lower-case hexadecimal digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_specification_is_read() {
        let context = TraceContext::parse(GOOD).unwrap();
        assert_eq!(context.trace[..2], [0x4b, 0xf9]);
        assert_eq!(context.parent, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
        assert!(context.is_sampled);
        let unsampled = GOOD.replace("-01", "-00");
        assert!(!TraceContext::parse(&unsampled).unwrap().is_sampled);
    }

    #[test]
    fn a_later_version_may_say_more() {
        assert!(TraceContext::parse(&format!("{}-what-else", GOOD.replacen("00", "cc", 1))).is_some());
    }

    #[test]
    fn what_is_no_traceparent_is_not_read() {
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16));
        for text in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &GOOD.replacen("00", "ff", 1),
            &format!("{GOOD}-more"),
            &GOOD.replace("4bf9", "4bg9"),
            &GOOD.replace("4bf9", "4b"),
            &zero_trace,
            &zero_parent,
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }
}
