//! What one event of an event stream says, and how to change its data.
//!
//! A block is one [`Piece::Frame`](super::cut::Piece::Frame) of the [`SseCutter`](super::sse::SseCutter).
//!
//! Source: WHATWG HTML, "Interpreting an event stream"; MCP reads only the events `message` and `endpoint`.

use std::borrow::Cow;
use std::iter;
use std::ops::Range;

use memchr::memchr2;

use super::BYTE_ORDER_MARK;

/// An event as a client would receive it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The event type; `message` when the block has none, or an empty one.
    pub name: Cow<'static, str>,
    /// The `data` lines, joined with `\n`. Empty for the priming event of MCP 2025-11-25, which is not JSON.
    pub data: String,
}

/// Everything a block says. Bytes that are not UTF-8 are read as U+FFFD.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParsedBlock {
    /// The event, if the block has a `data` line; without one a client dispatches nothing.
    pub event: Option<SseEvent>,
    /// The value of the last usable `id` line; `Some("")` resets the last event id. One with U+0000 is ignored.
    pub id: Option<String>,
    /// The reconnection time in milliseconds, of the last usable `retry` line: digits only.
    pub retry: Option<u64>,
    /// How many comment lines there are; a block of nothing else is a keepalive.
    pub comments: u32,
    /// Whether there are only empty lines.
    pub is_blank: bool,
    /// Whether there is a `data` line, also an empty one.
    pub has_data_field: bool,
    /// Where the data stands, if it is one line: what [`single_data_line`] gives.
    pub data_line: Option<Range<usize>>,
}

impl SseEvent {
    /// Reads a block; `is_first` for the first one of a stream, which may start with a byte order mark.
    ///
    /// Copies the data, so cap what is given to it. A block without its
    /// blank line is read as if it had one, although a client would never dispatch it.
    pub fn parse(block: &[u8], is_first: bool) -> ParsedBlock {
        let has_mark = block.starts_with(BYTE_ORDER_MARK);
        let block = if is_first && has_mark {
            &block[BYTE_ORDER_MARK.len()..]
        } else {
            block
        };
        let mut parsed = ParsedBlock {
            is_blank: true,
            ..ParsedBlock::default()
        };
        let mut name = 0..0;
        for line in lines(block) {
            if line.name(block) == b"event" {
                name = line.value();
            }
            parsed.note(block, &line);
        }
        if let Some(event) = &mut parsed.event {
            event.name = event_name(&block[name]);
        }
        parsed.data_line = parsed.data_line.filter(|_| !has_mark);
        parsed
    }

    fn empty() -> Self {
        Self {
            name: Cow::Borrowed(MESSAGE),
            data: String::new(),
        }
    }
}

/// The type of an event without a name of its own.
const MESSAGE: &str = "message";

impl ParsedBlock {
    fn add_data(&mut self, value: &[u8], place: Range<usize>) {
        self.data_line = (!self.has_data_field).then_some(place);
        self.has_data_field = true;
        let text = String::from_utf8_lossy(value);
        match &mut self.event {
            Some(event) => {
                event.data.push('\n');
                event.data.push_str(&text);
            }
            None => {
                self.event = Some(SseEvent {
                    data: text.into_owned(),
                    ..SseEvent::empty()
                });
            }
        }
    }

    fn note(&mut self, block: &[u8], line: &Line) {
        let content = &block[line.content.clone()];
        if content.is_empty() {
            return;
        }
        self.is_blank = false;
        let value = &block[line.value()];
        match line.name(block) {
            b"" => self.comments += 1,
            b"data" => self.add_data(value, line.value()),
            b"id" if !value.contains(&0) => self.id = Some(String::from_utf8_lossy(value).into_owned()),
            b"retry" => self.retry = milliseconds(value).or(self.retry),
            _ => {}
        }
    }
}

fn event_name(name: &[u8]) -> Cow<'static, str> {
    if name.is_empty() || name == MESSAGE.as_bytes() {
        return Cow::Borrowed(MESSAGE);
    }
    Cow::Owned(String::from_utf8_lossy(name).into_owned())
}

fn milliseconds(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Where the JSON of a block stands, if it has exactly one `data` line: what [`SseEvent::parse`] would return as the
/// data, without copying. `None` for other blocks, and for one that starts with a byte order mark.
pub fn single_data_line(block: &[u8]) -> Option<Range<usize>> {
    if block.starts_with(BYTE_ORDER_MARK) {
        return None;
    }
    let mut data = lines(block).filter(|line| line.name(block) == b"data");
    let only = data.next()?;
    data.next().is_none().then(|| only.value())
}

/// Whether the block has a `data` line at all, also an empty one; a cheap look before [`SseEvent::parse`].
pub fn has_data(block: &[u8]) -> bool {
    let block = block.strip_prefix(BYTE_ORDER_MARK).unwrap_or(block);
    lines(block).any(|line| line.name(block) == b"data")
}

/// The block with other data and everything else as it was: field order, line endings, comments, `id` and `retry`.
///
/// The new data takes the place of the first `data` line, one line for each of its own; further `data` lines go. In a
/// block without one it stands at the end, before the blank line. A `\r` in the new data is a line end, because no
/// event stream can carry it in any other way.
pub fn rewrite_data(block: &[u8], new_data: &str) -> Vec<u8> {
    let mut rewritten = Vec::with_capacity(block.len() + new_data.len());
    let mark = if block.starts_with(BYTE_ORDER_MARK) {
        BYTE_ORDER_MARK.len()
    } else {
        0
    };
    rewritten.extend_from_slice(&block[..mark]);
    let block = &block[mark..];
    let ending = first_ending(block);
    let mut is_written = false;
    for line in lines(block) {
        let is_data = line.name(block) == b"data";
        let is_end = line.content.is_empty() && line.end == block.len();
        if !is_written && (is_data || is_end) {
            let prefix = if is_data {
                &block[line.content.start..line.value().start]
            } else {
                b"data: "
            };
            let last = if is_data {
                &block[line.content.end..line.end]
            } else {
                ending
            };
            push_data(&mut rewritten, new_data, prefix, ending, last);
            is_written = true;
        }
        if !is_data {
            rewritten.extend_from_slice(&block[line.content.start..line.end]);
        }
    }
    if !is_written {
        rewritten.extend_from_slice(if block.is_empty() || ends_line(block) {
            b""
        } else {
            ending
        });
        push_data(&mut rewritten, new_data, b"data: ", ending, ending);
    }
    rewritten
}

fn push_data(out: &mut Vec<u8>, data: &str, prefix: &[u8], ending: &[u8], last_ending: &[u8]) {
    // `data` without a colon cannot carry a value.
    let prefix = if prefix.ends_with(b":") || prefix.ends_with(b" ") {
        prefix
    } else {
        b"data: "
    };
    // A line ending at the end of the data stands for an empty last line.
    let data = data.as_bytes();
    let extra = (data.is_empty() || ends_line(data)).then_some(data.len()..data.len());
    let mut texts = lines(data).map(|line| line.content).chain(extra).peekable();
    while let Some(text) = texts.next() {
        let text = &data[text];
        out.extend_from_slice(prefix);
        if prefix.ends_with(b":") && text.starts_with(b" ") {
            out.push(b' ');
        }
        out.extend_from_slice(text);
        out.extend_from_slice(if texts.peek().is_some() {
            ending
        } else {
            last_ending
        });
    }
}

fn ends_line(text: &[u8]) -> bool {
    matches!(text.last(), Some(b'\r' | b'\n'))
}

/// The line ending that a block uses first; `\n` if it has none.
fn first_ending(block: &[u8]) -> &[u8] {
    lines(block)
        .next()
        .map(|line| &block[line.content.end..line.end])
        .filter(|ending| !ending.is_empty())
        .unwrap_or(b"\n")
}

/// One line: where its content and its ending are.
#[derive(Debug)]
struct Line {
    content: Range<usize>,
    /// Where its name ends: at the first colon, or at the end of the content.
    name_end: usize,
    /// Where the value starts: after the colon and one blank.
    value_start: usize,
    end: usize,
}

impl Line {
    /// The field name; empty for a comment and for an empty line.
    fn name<'a>(&self, block: &'a [u8]) -> &'a [u8] {
        &block[self.content.start..self.name_end]
    }

    fn value(&self) -> Range<usize> {
        self.value_start..self.content.end
    }
}

/// The lines of a block, each looked at once.
fn lines(block: &[u8]) -> impl Iterator<Item = Line> {
    let mut start = 0;
    iter::from_fn(move || {
        if start >= block.len() {
            return None;
        }
        let content_end = memchr2(b'\r', b'\n', &block[start..]).map_or(block.len(), |at| start + at);
        let content = &block[start..content_end];
        let end = match &block[content_end..] {
            [b'\r', b'\n', ..] => content_end + 2,
            [] => content_end,
            _ => content_end + 1,
        };
        let name_end = memchr::memchr(b':', content).map_or(content_end, |at| start + at);
        let has_blank = block[name_end..content_end].get(1) == Some(&b' ');
        let value_start = (name_end + 1 + usize::from(has_blank)).min(content_end);
        let line = Line {
            content: start..content_end,
            name_end,
            value_start,
            end,
        };
        start = end;
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(block: &str) -> ParsedBlock {
        SseEvent::parse(block.as_bytes(), false)
    }

    fn event(name: &str, data: &str) -> SseEvent {
        SseEvent {
            name: name.to_owned().into(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn an_event_has_its_name_and_its_joined_data() {
        assert_eq!(
            parse("data: {\"a\":1}\n\n").event,
            Some(event("message", "{\"a\":1}"))
        );
        assert_eq!(
            parse("event: endpoint\r\ndata:/m?s=1\r\n\r\n").event,
            Some(event("endpoint", "/m?s=1"))
        );
        assert_eq!(
            parse("data: a\rdata\rdata:  b\r\r").event,
            Some(event("message", "a\n\n b"))
        );
        assert_eq!(
            parse("event: x\nevent:\ndata: a\n\n").event,
            Some(event("message", "a"))
        );
        assert_eq!(parse("Data: a\ndata : b\nother: c\n\n").event, None);
    }

    #[test]
    fn a_priming_event_is_an_event_with_empty_data_and_a_bare_id_is_none() {
        let priming = parse("id: s1-0\nretry: 1500\ndata:\n\n");
        assert_eq!(priming.event, Some(event("message", "")));
        assert_eq!((priming.id.as_deref(), priming.retry), (Some("s1-0"), Some(1500)));
        let bare = parse("id\n\n");
        assert_eq!(
            (bare.event, bare.id.as_deref(), bare.has_data_field),
            (None, Some(""), false)
        );
    }

    #[test]
    fn ids_with_nul_and_retries_that_are_not_digits_are_ignored() {
        assert_eq!(parse("id: a\0b\n\n").id, None);
        assert_eq!(parse("id: a\nid: b\0\n\n").id.as_deref(), Some("a"));
        for retry in ["+5", "5 ", "", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(parse(&format!("retry: {retry}\n\n")).retry, None, "{retry:?}");
        }
    }

    #[test]
    fn keepalives_and_blank_lines_are_told_apart() {
        let keepalive = parse(": keepalive\n:\n\n");
        assert_eq!(
            (keepalive.comments, keepalive.is_blank, keepalive.event),
            (2, false, None)
        );
        assert!(parse("\r\n").is_blank && parse("\n").is_blank && parse("").is_blank);
    }

    #[test]
    fn a_byte_order_mark_is_dropped_from_the_first_block_only() {
        let block = b"\xEF\xBB\xBFdata: a\n\n";
        assert_eq!(SseEvent::parse(block, true).event, Some(event("message", "a")));
        assert_eq!(SseEvent::parse(block, false).event, None);
        assert_eq!(
            SseEvent::parse(b"\xEF\xBB\xBF\n\n", true),
            ParsedBlock {
                is_blank: true,
                ..ParsedBlock::default()
            }
        );
        assert_eq!(single_data_line(block), None);
    }

    #[test]
    fn bad_bytes_become_replacement_characters() {
        assert_eq!(
            SseEvent::parse(b"data: a\xFFb\n\n", false).event,
            Some(event("message", "a\u{fffd}b"))
        );
    }

    #[test]
    fn new_data_takes_the_place_of_the_old_and_keeps_the_rest() {
        let block = b": hi\r\nevent: message\r\ndata: {\r\nid: 7\r\ndata: }\r\nretry: 5\r\n\r\n";
        let expected = b": hi\r\nevent: message\r\ndata: {\"a\":\r\ndata: 1}\r\nid: 7\r\nretry: 5\r\n\r\n";
        assert_eq!(rewrite_data(block, "{\"a\":\n1}"), expected);
        assert_eq!(rewrite_data(b"data:old\r\r", "new"), b"data:new\r\r");
        assert_eq!(rewrite_data(b"data:old\n\n", " new"), b"data:  new\n\n");
        assert_eq!(rewrite_data(b"data\n\n", "new"), b"data: new\n\n");
        assert_eq!(rewrite_data(b"id: 1\n\n", "new"), b"id: 1\ndata: new\n\n");
        assert_eq!(rewrite_data(b"data: old", "a\nb"), b"data: a\ndata: b");
        assert_eq!(rewrite_data(b"id: 1", "a"), b"id: 1\ndata: a\n");
    }

    fn block() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            "data:? ?[a-z{}:\" ]{0,9}",
            "event: ?[a-z]{0,5}",
            "id: ?[a-z0-9]{0,5}",
            "retry: [0-9]{1,4}",
            ":[a-z ]{0,5}",
            "[a-z]{1,3}: [a-z]{1,3}",
        ];
        let ending = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
        (prop::collection::vec(line, 1..6), ending).prop_map(|(mut lines, ending)| {
            lines.extend([String::new(), String::new()]);
            lines.join(ending)
        })
    }

    /// What another parser makes of a block, fed with whole lines.
    fn reference(block: &[u8]) -> Option<SseEvent> {
        use futures_util::{FutureExt as _, StreamExt as _, stream};
        let text = |line: Line| String::from_utf8_lossy(&block[line.content]).into_owned() + "\n";
        // The comment takes it past its check for a byte order mark, which panics on one.
        let whole = iter::once(":\n".to_owned())
            .chain(lines(block).map(text))
            .chain(iter::once("\n".to_owned()));
        let lines = stream::iter(whole.map(Ok::<_, std::convert::Infallible>));
        let event = eventsource_stream::EventStream::new(lines)
            .next()
            .now_or_never()??
            .ok()?;
        Some(SseEvent {
            name: event.event.into(),
            data: event.data,
        })
    }

    proptest! {
        #[test]
        fn an_event_is_what_another_parser_makes_of_it(block in block(), odd in prop::collection::vec(any::<u8>(), 0..60)) {
            for block in [block.as_bytes(), &odd] {
                let parsed = SseEvent::parse(block, false);
                if parsed.has_data_field {
                    prop_assert_eq!(parsed.event, reference(block));
                }
            }
        }

        #[test]
        fn the_fast_path_agrees_with_the_parser(block in block()) {
            let parsed = SseEvent::parse(block.as_bytes(), false);
            prop_assert_eq!(has_data(block.as_bytes()), parsed.has_data_field);
            prop_assert_eq!(&parsed.data_line, &single_data_line(block.as_bytes()));
            if let Some(range) = parsed.data_line {
                let data = parsed.event.unwrap().data;
                prop_assert_eq!(&block.as_bytes()[range], data.as_bytes());
            }
        }

        #[test]
        fn a_rewritten_block_says_the_new_data_and_the_same_rest(block in block(), data in "[a-z \n:]{0,12}") {
            let before = SseEvent::parse(block.as_bytes(), false);
            let after = SseEvent::parse(&rewrite_data(block.as_bytes(), &data), false);
            let name = before.event.as_ref().map(|event| event.name.clone());
            let event = after.event.unwrap();
            prop_assert_eq!(&event.data, &data);
            prop_assert!(name.is_none_or(|name| name == event.name));
            prop_assert_eq!((after.id, after.retry, after.comments), (before.id, before.retry, before.comments));
        }

        #[test]
        fn any_bytes_are_parsed(block in prop::collection::vec(any::<u8>(), 0..60), data in ".{0,20}") {
            let parsed = SseEvent::parse(&block, true);
            prop_assert_eq!(parsed.event.is_some(), parsed.has_data_field);
            rewrite_data(&block, &data);
        }
    }
}
