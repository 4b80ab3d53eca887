//! Secrets in any bytes.

use bytes::Bytes;

use crate::fuzzing::cuttings;
use crate::recording::head_line::HeadLine;
use crate::recording::redact::{
    BodyFacts, BodyKind, BodyRedactor, Output, PatternWindow, RedactPattern, TAG_BYTES, TAG_END, TAG_START,
    Tagger,
};
use crate::session::observation::ObservedHead;
use crate::snapshot::Carrier;

pub(super) const KNOWN: BodyFacts = BodyFacts {
    is_known: true,
    kind: BodyKind::Text,
    is_encoded: false,
};

pub(super) const FORM: BodyFacts = BodyFacts {
    kind: BodyKind::Form,
    ..KNOWN
};

/// What is written of a frame that comes in these parts, and how many bytes are left out.
pub(super) fn redacted(
    carrier: Carrier,
    facts: BodyFacts,
    parts: &[&[u8]],
    tagger: &Tagger,
) -> (Vec<u8>, u64) {
    let mut out = Output::new(tagger);
    let mut body = BodyRedactor::new(carrier, facts, false);
    for part in parts {
        body.push(part, &mut out);
    }
    body.finish(&mut out);
    (out.bytes, out.withheld)
}

/// Any bytes lose the same secrets however they come, and nothing but these.
pub(crate) fn redact(bytes: &[u8]) {
    let tagger = Tagger::fixed();
    for (carrier, facts) in [
        (Carrier::Http, KNOWN),
        (Carrier::Http, FORM),
        (Carrier::Http, BodyFacts::default()),
        (Carrier::Sse, KNOWN),
        (Carrier::Stdio, KNOWN),
        (Carrier::Stderr, KNOWN),
        (Carrier::WebSocket, KNOWN),
        (Carrier::Tunnel, KNOWN),
    ] {
        let (text, withheld) = redacted(carrier, facts, &[bytes], &tagger);
        if withheld == 0 {
            assert!(
                is_masked(bytes, &text),
                "{carrier:?}: {}",
                String::from_utf8_lossy(&text)
            );
        }
        for parts in cuttings(bytes) {
            assert_eq!(
                redacted(carrier, facts, &parts, &tagger),
                (text.clone(), withheld),
                "{carrier:?}"
            );
        }
    }
    patterns(bytes);
    head(bytes);
}

/// What a user describes is found across parts.
fn patterns(bytes: &[u8]) {
    let patterns = ["acme-[0-9a-f]+", r"\bs1\b", "^key"].map(|text| match text.parse::<RedactPattern>() {
        Ok(pattern) => pattern,
        Err(error) => panic!("{error}"),
    });
    let tagger = Tagger::fixed().with_patterns(patterns.into_iter().collect());
    let mut out = Output::new(&tagger);
    out.bytes = bytes.to_vec();
    let whole = (out.take(), out.redactions);
    for parts in cuttings(bytes) {
        let mut window = PatternWindow::default();
        let (mut text, mut replaced) = (Vec::new(), 0);
        for (part, is_last) in parts.iter().map(|part| (*part, false)).chain([(&[][..], true)]) {
            let (more, count) = window.push(part, is_last, &tagger);
            text.extend(more);
            replaced += count;
        }
        assert_eq!((text, replaced), whole);
    }
}

/// A head comes back byte for byte, and without its secrets it is still one.
fn head(bytes: &[u8]) {
    let mut line = HeadLine::new(&ObservedHead::Raw(Bytes::copy_from_slice(bytes)));
    let text = serde_json::to_vec(&line).unwrap_or_default();
    match serde_json::from_slice::<HeadLine>(&text) {
        Ok(read) => assert_eq!(read, line),
        Err(error) => panic!("{error}"),
    }
    match line.to_observed() {
        ObservedHead::Raw(raw) => assert_eq!(raw, bytes),
        ObservedHead::Fields(_) => panic!("an exact head became fields"),
    }
    let before = line.clone();
    line.redact(&Tagger::fixed());
    let values =
        |line: &HeadLine| -> Vec<Vec<u8>> { line.fields.iter().map(|field| field.value.0.clone()).collect() };
    for (before, after) in values(&before).iter().zip(&values(&line)) {
        assert!(is_masked(before, after), "{}", String::from_utf8_lossy(after));
    }
    assert!(is_masked(&before.line.0, &line.line.0));
}

/// Whether `text` is `bytes` with tags in the place of some of them, around which quotes may have come.
fn is_masked(bytes: &[u8], text: &[u8]) -> bool {
    let literals = between_tags(text);
    let last = literals.len() - 1;
    // How far `bytes` are used up at least, without and with quotes around the latest tag.
    let mut ends = [literals[0], without_end(literals[0]).unwrap_or(b"\0")]
        .map(|start| bytes.starts_with(start).then_some(start.len()));
    if last == 0 {
        return bytes == literals[0];
    }
    if !literals[0].ends_with(b"\"") {
        ends[1] = None;
    }
    for literal in &literals[1..last] {
        let mut next = [None; 2];
        for (quoted, end) in ends.iter().enumerate() {
            let Some(end) = end else { continue };
            let Some(literal) = (if quoted == 1 {
                literal.strip_prefix(b"\"")
            } else {
                Some(*literal)
            }) else {
                continue;
            };
            for (ends_quoted, literal) in [Some(literal), without_end(literal)].into_iter().enumerate() {
                let Some(literal) = literal else { continue };
                let found = bytes
                    .get(end + 1..)
                    .and_then(|rest| memchr::memmem::find(rest, literal));
                let end = found.map(|at| end + 1 + at + literal.len());
                next[ends_quoted] = [next[ends_quoted], end].into_iter().flatten().min();
            }
        }
        ends = next;
    }
    let tail = literals[last];
    let fits = |end: Option<usize>, tail: Option<&[u8]>| {
        end.zip(tail)
            .is_some_and(|(end, tail)| bytes.ends_with(tail) && end + 1 + tail.len() <= bytes.len())
    };
    fits(ends[0], Some(tail)) || fits(ends[1], tail.strip_prefix(b"\""))
}

fn without_end(literal: &[u8]) -> Option<&[u8]> {
    literal.strip_suffix(b"\"")
}

/// What stands before, between and behind the tags of a text.
fn between_tags(text: &[u8]) -> Vec<&[u8]> {
    let (mut literals, mut start) = (Vec::new(), 0);
    for at in memchr::memmem::find_iter(text, TAG_START.as_bytes()) {
        let is_tag = at >= start
            && text.get(at..at + TAG_BYTES).is_some_and(|tag| {
                let digits = tag.get(TAG_START.len()..TAG_BYTES - TAG_END.len());
                tag.ends_with(TAG_END.as_bytes())
                    && digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            });
        if is_tag {
            literals.push(&text[start..at]);
            start = at + TAG_BYTES;
        }
    }
    literals.push(&text[start..]);
    literals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_where_a_tag_is_may_differ() {
        let tag = Tagger::fixed().tag(b"x");
        let is_masked = |bytes: &str, text: &str| is_masked(bytes.as_bytes(), text.as_bytes());
        assert!(is_masked("a", "a") && !is_masked("a", "b") && !is_masked("ab", "a"));
        assert!(is_masked("a=secret&b", &format!("a={tag}&b")));
        assert!(!is_masked("a=secret&b", &format!("a={tag}&c")));
        assert!(!is_masked("a=&b", &format!("a={tag}&b")), "nothing is no secret");
        assert!(is_masked("[12,3]", &format!("[\"{tag}\",\"{tag}\"]")));
        assert!(!is_masked("[12,3]", &format!("[\"{tag}\",\"{tag}]")));
        assert!(is_masked("[\"12\",3]", &format!("[\"{tag}\",3]")));
    }
}
