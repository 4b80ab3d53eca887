//! Event streams as the demonstration's clients read them: line by line, bounded.

use std::collections::VecDeque;
use std::time::Duration;

/// Longest event, in bytes, with the line that is being read.
const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// Something that stands in an event stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A line that starts with a colon.
    Comment,
    /// A block with data.
    Event {
        /// The id that this block carries.
        id: Option<String>,
        /// The data lines, joined.
        data: String,
    },
}

/// An event is longer than 4 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {MAX_EVENT_BYTES} bytes")]
pub(crate) struct EventTooLongError;

/// Cuts the bytes of an event stream into items, wherever the chunks end.
///
/// Source: WHATWG HTML, Server-sent events, interpreting an event stream.
#[derive(Debug, Default)]
pub(super) struct SseParser {
    line: Vec<u8>,
    is_after_return: bool,
    is_after_first_line: bool,
    data: Option<String>,
    id: Option<String>,
    last_id: Option<String>,
    retry: Option<Duration>,
    items: VecDeque<Item>,
}

impl SseParser {
    /// Takes a chunk. A chunk's items stay until they are taken, so at most one chunk's worth waits.
    ///
    /// # Errors
    /// [`EventTooLongError`]; the stream cannot be read any further then.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<(), EventTooLongError> {
        for byte in chunk {
            let is_after_return = std::mem::replace(&mut self.is_after_return, *byte == b'\r');
            match byte {
                b'\n' if is_after_return => {}
                b'\n' | b'\r' => self.end_line(),
                _ => self.line.push(*byte),
            }
            let held = self.data.as_ref().map_or(0, String::len);
            if held.saturating_add(self.line.len()) > MAX_EVENT_BYTES {
                return Err(EventTooLongError);
            }
        }
        Ok(())
    }

    /// The next whole item.
    pub(super) fn take(&mut self) -> Option<Item> {
        self.items.pop_front()
    }

    /// The last event id, to come back with.
    pub(super) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref().filter(|id| !id.is_empty())
    }

    /// How long to wait before coming back.
    pub(super) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let is_first = !std::mem::replace(&mut self.is_after_first_line, true);
        let line = match line.strip_prefix('\u{feff}') {
            Some(rest) if is_first => rest,
            _ => &line,
        };
        match line.split_once(':') {
            None if line.is_empty() => self.end_block(),
            Some(("", _)) => self.items.push_back(Item::Comment),
            Some((field, value)) => self.field(field, value.strip_prefix(' ').unwrap_or(value)),
            None => self.field(line, ""),
        }
    }

    fn field(&mut self, field: &str, value: &str) {
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                let retry = value.parse().ok().map(Duration::from_millis);
                self.retry = retry.or(self.retry);
            }
            _ => {}
        }
    }

    fn end_block(&mut self) {
        let id = self.id.take();
        if id.is_some() {
            self.last_id.clone_from(&id);
        }
        if let Some(data) = self.data.take() {
            self.items.push_back(Item::Event { id, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}: hello\r\nid: s1-0\rretry: 1500\ndata:\n\n\
        event: message\r\nid:s1-1\ndata: {\"a\":\ndata:\"\u{1f431}\"}\n\n\
        retry: soon\nid: s1-2\n\nunknown\ndata: lost";

    fn items(parser: &mut SseParser) -> Vec<Item> {
        std::iter::from_fn(|| parser.take()).collect()
    }

    #[test]
    fn a_stream_reads_the_same_wherever_it_is_cut() {
        let event = |id: &str, data: &str| Item::Event {
            id: Some(id.to_owned()),
            data: data.to_owned(),
        };
        let expected = [
            Item::Comment,
            event("s1-0", ""),
            event("s1-1", "{\"a\":\n\"\u{1f431}\"}"),
        ];
        for size in 1..STREAM.len() {
            let mut parser = SseParser::default();
            for chunk in STREAM.as_bytes().chunks(size) {
                parser.feed(chunk).unwrap();
            }
            assert_eq!(items(&mut parser), expected, "chunks of {size}");
            assert_eq!(parser.last_id(), Some("s1-2"));
            assert_eq!(parser.retry(), Some(Duration::from_millis(1500)));
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = SseParser::default();
        let chunk = vec![b'x'; MAX_EVENT_BYTES];
        assert_eq!(parser.feed(&chunk), Ok(()));
        assert_eq!(parser.feed(b"y"), Err(EventTooLongError));
    }
}
