//! The little of HTTP/1.1 that both ends of the load need.

use anyhow::{Result, bail};
use memchr::{memchr, memmem};

/// Longest head, and longest line of chunk framing, that is taken.
const MAX_HEAD: usize = 64 * 1024;

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// What matters in the head of a request or response.
#[derive(Debug)]
pub(crate) struct Head {
    /// Bytes of the head with the empty line after it.
    pub(crate) length: usize,
    /// First line.
    pub(crate) line: String,
    pub(crate) content_length: Option<u64>,
    pub(crate) chunked: bool,
    pub(crate) closes: bool,
    pub(crate) event_stream: bool,
    pub(crate) session: Option<String>,
    /// The value of `X-Load`, which tells the mock server what to answer.
    pub(crate) load: Option<String>,
}

impl Head {
    /// The head at the start of `bytes`, if it is whole.
    ///
    /// # Errors
    /// It is too long or no head.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
            if bytes.len() > MAX_HEAD {
                bail!("a head of more than {MAX_HEAD} bytes");
            }
            return Ok(None);
        };
        let mut rest = bytes.get(..end + 2).unwrap_or_default();
        let mut head = Self::new(end + 4, text(next_line(&mut rest)));
        while !rest.is_empty() {
            head.field(next_line(&mut rest))?;
        }
        Ok(Some(head))
    }

    fn new(length: usize, line: String) -> Self {
        let (content_length, session, load) = (None, None, None);
        Self {
            length,
            line,
            content_length,
            chunked: false,
            closes: false,
            event_stream: false,
            session,
            load,
        }
    }

    fn field(&mut self, line: &[u8]) -> Result<()> {
        let Some(colon) = memchr(b':', line) else {
            bail!("a header field without a colon")
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        // Most fields are told apart by their length alone.
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.content_length = Some(text(value).parse()?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.chunked = true,
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.closes = value.eq_ignore_ascii_case(b"close");
            }
            12 if name.eq_ignore_ascii_case(b"content-type") => {
                self.event_stream = value.starts_with(b"text/event-stream");
            }
            14 if name.eq_ignore_ascii_case(b"mcp-session-id") => self.session = Some(text(value)),
            6 if name.eq_ignore_ascii_case(b"x-load") => self.load = Some(text(value)),
            _ => {}
        }
        Ok(())
    }

    /// The status of a response; zero if this is none.
    pub(crate) fn status(&self) -> u16 {
        self.line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0)
    }

    /// How the body of a response is framed.
    pub(crate) fn response_framing(&self) -> Framing {
        match self.content_length {
            _ if self.chunked => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None if self.status() == 204 || self.status() == 304 => Framing::Length(0),
            None => Framing::UntilClose,
        }
    }

    /// How the body of a request is framed.
    pub(crate) fn request_framing(&self) -> Framing {
        if self.chunked {
            Framing::Chunked
        } else {
            Framing::Length(self.content_length.unwrap_or(0))
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn next_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = memmem::find(rest, b"\r\n").unwrap_or(rest.len());
    let (line, after) = rest.split_at(end);
    *rest = after.get(2..).unwrap_or_default();
    line
}

/// Where a chunked body is between two reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunked {
    place: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Size,
    Data(usize),
    AfterData,
    Trailer,
    Done,
}

impl Chunked {
    /// Decodes what it can of `input` to the end of `out`; returns how much of `input` it took.
    ///
    /// # Errors
    /// This is not chunk framing.
    pub(crate) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize> {
        let mut taken = 0;
        while self.place != Place::Done {
            let rest = input.get(taken..).unwrap_or_default();
            let step = match self.place {
                Place::Data(left) => self.data(left, rest, out),
                _ => self.framing(rest)?,
            };
            if step == 0 {
                break;
            }
            taken += step;
        }
        Ok(taken)
    }

    /// Whether the last chunk and the trailer after it have been taken.
    pub(crate) fn is_done(&self) -> bool {
        self.place == Place::Done
    }

    fn data(&mut self, left: usize, rest: &[u8], out: &mut Vec<u8>) -> usize {
        let part = rest.get(..left.min(rest.len())).unwrap_or_default();
        out.extend_from_slice(part);
        self.place = if part.len() == left {
            Place::AfterData
        } else {
            Place::Data(left - part.len())
        };
        part.len()
    }

    /// Takes one whole line of framing, or nothing.
    fn framing(&mut self, rest: &[u8]) -> Result<usize> {
        let Some(end) = memchr(b'\n', rest) else {
            if rest.len() > MAX_HEAD {
                bail!("a line of chunk framing without an end");
            }
            return Ok(0);
        };
        let line = rest.get(..end).unwrap_or_default().trim_ascii();
        self.place = match self.place {
            Place::Size => after_size(line)?,
            Place::AfterData if line.is_empty() => Place::Size,
            Place::Trailer if line.is_empty() => Place::Done,
            Place::Trailer => Place::Trailer,
            Place::AfterData | Place::Data(_) | Place::Done => bail!("a chunk longer than its size"),
        };
        Ok(end + 1)
    }
}

fn after_size(line: &[u8]) -> Result<Place> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let Ok(size) = usize::from_str_radix(text(digits).trim(), 16) else {
        bail!("a chunk size that is no number")
    };
    Ok(if size == 0 {
        Place::Trailer
    } else {
        Place::Data(size)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-TYPE: text/event-stream; charset=utf-8\r\n\
        transfer-encoding: chunked\r\nmcp-session-id: abc\r\nConnection: close\r\n\r\nrest";

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        for end in 0..RESPONSE.len() - 4 {
            assert!(Head::parse(&RESPONSE[..end]).unwrap().is_none(), "{end}");
        }
        let head = Head::parse(RESPONSE).unwrap().unwrap();
        assert_eq!(&RESPONSE[head.length..], b"rest");
        assert_eq!((head.status(), head.response_framing()), (200, Framing::Chunked));
        assert!(head.event_stream && head.closes);
        assert_eq!(head.session.as_deref(), Some("abc"));
    }

    #[test]
    fn a_body_is_as_long_as_its_head_says() {
        let length = Head::parse(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n")
            .unwrap()
            .unwrap();
        assert_eq!(length.response_framing(), Framing::Length(12));
        let close = Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").unwrap().unwrap();
        assert_eq!(close.response_framing(), Framing::UntilClose);
        let request = Head::parse(b"GET / HTTP/1.1\r\nx-load: a=1\r\n\r\n")
            .unwrap()
            .unwrap();
        assert_eq!(request.request_framing(), Framing::Length(0));
        assert_eq!(request.load.as_deref(), Some("a=1"));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n").is_err());
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n").is_err());
        assert!(Head::parse(&vec![b'a'; MAX_HEAD + 1]).is_err());
    }

    const CHUNKS: &[u8] = b"4\r\nWiki\r\n5;name=value\r\npedia\r\nA\r\n\r\n\r\nchunks\r\n0\r\nX: y\r\n\r\n";

    #[test]
    fn chunks_are_joined_however_they_are_cut() {
        for cut in 0..CHUNKS.len() {
            let (mut chunked, mut out) = (Chunked::default(), Vec::new());
            let mut input = CHUNKS[..cut].to_vec();
            let taken = chunked.decode(&input, &mut out).unwrap();
            assert!(!chunked.is_done());
            input.drain(..taken);
            input.extend_from_slice(&CHUNKS[cut..]);
            input.extend_from_slice(b"next");
            let taken = chunked.decode(&input, &mut out).unwrap();
            assert!(chunked.is_done(), "{cut}");
            assert_eq!(
                (out.as_slice(), &input[taken..]),
                (&b"Wikipedia\r\n\r\nchunks"[..], &b"next"[..]),
                "{cut}"
            );
        }
    }

    #[test]
    fn broken_chunk_framing_is_refused() {
        for broken in [&b"x\r\n"[..], b"2\r\nabc\r\n", b"\r\n"] {
            assert!(Chunked::default().decode(broken, &mut Vec::new()).is_err());
        }
    }
}
