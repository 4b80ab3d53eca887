//! The first event of an HTTP+SSE stream names the address for the client's messages. Behind a reverse proxy that address
//! has to lead through the proxy.
//!
//! Source: MCP 2024-11-05, Transports, "HTTP with SSE".

use bytes::Bytes;
use reqwest::Url;

use super::mount::{Mount, path_and_query};
use super::{Changes, Onward, Rewrite};
use crate::codec::BYTE_ORDER_MARK;
use crate::codec::event::{SseEvent, rewrite_data};
use crate::codec::sse::BoundaryFinder;

/// The most that is held of the first event. Addresses are short.
const MAX_HELD: usize = 8 * 1024;

/// Which address a client has to read in place of the one that its server wrote.
#[derive(Debug)]
pub(crate) struct EndpointMap {
    mount: Mount,
    /// The stream as its server knows it, and as the client does.
    stream: Url,
    client: Url,
}

impl EndpointMap {
    /// `target` is the stream's path at the upstream, `asked` what the client asked for.
    pub(crate) fn new(mount: Mount, target: &http::Uri, asked: &str) -> Option<Self> {
        let ours = Url::parse(&mount.origin()).ok()?;
        let client = ours.join(asked).ok()?;
        Some(Self {
            stream: Url::parse(&target.to_string()).ok()?,
            client: (client.origin() == ours.origin()).then_some(client)?,
            mount,
        })
    }

    /// The address to put in place of `endpoint`: the one with the least changes that leads to where the server means.
    /// `None` if it does so as it is, or if it belongs to somebody else.
    pub(crate) fn better(&self, endpoint: &str) -> Option<String> {
        let meant = self.stream.join(endpoint).ok()?;
        if meant.origin() != self.stream.origin() || self.leads_to(endpoint, &meant) {
            return None;
        }
        let candidates = [
            self.mount.url(endpoint),
            self.under_mount(endpoint),
            Some(self.resolved(endpoint, &meant)),
        ];
        candidates
            .into_iter()
            .flatten()
            .find(|candidate| self.leads_to(candidate, &meant))
    }

    /// Whether a client that reads `endpoint` reaches what the server `meant`.
    fn leads_to(&self, endpoint: &str, meant: &Url) -> bool {
        let Ok(url) = self.client.join(endpoint) else {
            return false;
        };
        let reached = self.mount.leads_to(&path_and_query(&url));
        url.origin() == self.client.origin()
            && reached.is_some_and(|path| path.as_str() == path_and_query(meant))
    }

    fn under_mount(&self, endpoint: &str) -> Option<String> {
        let is_path = endpoint.starts_with('/') && !endpoint.starts_with("//");
        is_path.then(|| [self.mount.prefix.as_str(), endpoint].concat())
    }

    /// In full, for relative forms and for those that are spelled in an unusual way.
    fn resolved(&self, endpoint: &str, meant: &Url) -> String {
        let path = [self.mount.prefix.as_str(), &path_and_query(meant)].concat();
        if endpoint.starts_with("//") {
            format!("//{}{path}", self.mount.own)
        } else if Url::parse(endpoint).is_ok() {
            self.mount.origin() + &path
        } else {
            path
        }
    }
}

/// Changes the address in the first event, and nothing else.
#[derive(Debug)]
pub(crate) struct EndpointRewrite {
    map: EndpointMap,
    finder: BoundaryFinder,
    held: Vec<u8>,
    is_first: bool,
    is_done: bool,
}

impl EndpointRewrite {
    pub(crate) fn new(map: EndpointMap) -> Self {
        Self {
            map,
            finder: BoundaryFinder::default(),
            held: Vec::new(),
            is_first: true,
            is_done: false,
        }
    }

    /// A whole block. The first one that dispatches an event decides.
    fn block(&mut self, block: Bytes, on: &mut Onward) {
        let parsed = SseEvent::parse(&block, std::mem::take(&mut self.is_first));
        let Some(event) = parsed.event else {
            return on.pass(block);
        };
        self.is_done = true;
        if event.name != "endpoint" {
            return on.pass(block);
        }
        match self.map.better(&event.data) {
            Some(better) => {
                on.pass(rewrite_data(&block, &better));
                on.changes.rewrote("endpoint", &event.data, &better);
                on.changes.endpoint = Some(better);
            }
            None => on.pass(block),
        }
    }

    /// Keeps the beginning of a block that is not whole; comments before its first field go on.
    fn hold(&mut self, rest: &[u8], on: &mut Onward) {
        self.held.extend_from_slice(rest);
        let comments = leading_comments(&self.held, self.is_first);
        if comments > 0 {
            self.is_first = false;
            on.pass(self.held.drain(..comments).collect::<Vec<u8>>());
        }
        if self.held.len() > MAX_HELD {
            self.give_up(on);
        }
    }

    fn give_up(&mut self, on: &mut Onward) {
        let parsed = SseEvent::parse(&self.held, self.is_first);
        if parsed.event.is_some_and(|event| event.name == "endpoint") {
            on.changes.warn(format!(
                "the endpoint event is longer than {MAX_HELD} bytes: it is passed on as it is"
            ));
        }
        self.is_done = true;
        on.pass(std::mem::take(&mut self.held));
    }
}

impl Rewrite for EndpointRewrite {
    fn push(&mut self, chunk: Bytes, on: &mut Onward) {
        let mut at = 0;
        while !self.is_done && at < chunk.len() {
            let Some(length) = self.finder.find(&chunk[at..]) else {
                return self.hold(&chunk[at..], on);
            };
            let end = at + length;
            let block = if self.held.is_empty() {
                chunk.slice(at..end)
            } else {
                self.held.extend_from_slice(&chunk[at..end]);
                std::mem::take(&mut self.held).into()
            };
            self.block(block, on);
            at = end;
        }
        on.pass(chunk.slice(at..));
    }

    fn finish(&mut self, _is_whole: bool, on: &mut Onward) {
        self.is_done = true;
        on.pass(std::mem::take(&mut self.held));
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}

/// Says of a stream that we may not change (it is compressed) what should have been changed.
pub(crate) fn unchanged(map: &EndpointMap, endpoint: &str, coding: Option<&str>) -> Changes {
    let mut changes = Changes::default();
    if let Some(better) = map.better(endpoint) {
        let coding = coding.unwrap_or("unknown");
        changes.warn(format!(
            "the client has to read {better} in place of {endpoint}, but this stream is compressed ({coding}) and passed on as it is: \
             let the server send event streams without a content coding"
        ));
    }
    changes
}

/// How many bytes of whole comment lines and blank lines stand at the start of a block.
fn leading_comments(block: &[u8], is_first: bool) -> usize {
    let mark = if is_first && block.starts_with(BYTE_ORDER_MARK) {
        BYTE_ORDER_MARK.len()
    } else {
        0
    };
    let mut start = mark;
    while let Some(line) = block.get(start..)
        && line.first() == Some(&b':')
        && let Some(end) = memchr::memchr2(b'\r', b'\n', line)
    {
        let is_pair = line.get(end..end + 2) == Some(b"\r\n");
        start += end + 1 + usize::from(is_pair);
    }
    if start == mark { 0 } else { start }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::mount::testing::mount;
    use super::*;

    fn map(upstream: &str, asked: &str) -> EndpointMap {
        let mount = mount(upstream);
        let path = mount.leads_to(asked).unwrap();
        let target = format!("{}{path}", mount.upstream.config.origin());
        EndpointMap::new(mount, &target.parse().unwrap(), asked).unwrap()
    }

    #[test]
    fn an_address_is_changed_only_where_it_would_lead_elsewhere() {
        const PLAIN: &str = "http://up:3001/sse";
        const NAMED: &str = "ev=http://up:3001/sse";
        const DEEP: &str = "ev=http://up:3001/a/b/sse?k=v";
        for (upstream, asked, endpoint, expected) in [
            // One to one: only an origin can be wrong.
            (PLAIN, "/sse", "/messages?s=1", None),
            (PLAIN, "/sse", "messages/x", None),
            (PLAIN, "/sse", "?s=1", None),
            (
                PLAIN,
                "/sse",
                "http://up:3001/m?s=1",
                Some("http://127.0.0.1:8080/m?s=1"),
            ),
            (PLAIN, "/sse", "HTTP://UP:3001/m", Some("http://127.0.0.1:8080/m")),
            (PLAIN, "/sse", "//up:3001/m", Some("//127.0.0.1:8080/m")),
            (PLAIN, "/sse", "http://other/m", None),
            (PLAIN, "/sse", "http://127.0.0.1:8080/m", None),
            // `/NAME` is the URL's path.
            (NAMED, "/ev", "/messages?s=1", Some("/ev/messages?s=1")),
            (NAMED, "/ev", "/ev/messages", Some("/ev/ev/messages")),
            (NAMED, "/ev", "messages/x", Some("/ev/messages/x")),
            (NAMED, "/ev", "./messages/x", Some("/ev/messages/x")),
            (NAMED, "/ev", "?s=1", None),
            (NAMED, "/ev", "", None),
            (NAMED, "/ev", "sse?s=1", Some("/ev/sse?s=1")),
            (
                NAMED,
                "/ev",
                "http://up:3001/m?s=1",
                Some("http://127.0.0.1:8080/ev/m?s=1"),
            ),
            (NAMED, "/ev", "//up:3001/m", Some("//127.0.0.1:8080/ev/m")),
            (NAMED, "/ev", "//other/m", None),
            (NAMED, "/ev?x=1", "messages", Some("/ev/messages")),
            // `/NAME/x` is `/x`.
            (NAMED, "/ev/sse", "/messages", Some("/ev/messages")),
            (NAMED, "/ev/sse", "messages", None),
            (NAMED, "/ev/sse", "?s=1", None),
            (NAMED, "/ev/a/sse", "../messages", None),
            (NAMED, "/ev/a/sse", "../../messages", Some("/ev/messages")),
            // The URL's own query belongs to its path only.
            (DEEP, "/ev", "?s=1", Some("/ev/a/b/sse?s=1")),
            (DEEP, "/ev", "../m", Some("/ev/a/m")),
            (DEEP, "/ev", "/a/../m", Some("/ev/a/../m")),
            (DEEP, "/ev", "/../m", Some("/ev/m")),
        ] {
            let better = map(upstream, asked).better(endpoint);
            assert_eq!(better.as_deref(), expected, "{upstream} {asked} {endpoint}");
        }
    }

    fn run(upstream: &str, chunks: &[&[u8]]) -> (Vec<Vec<u8>>, Changes) {
        let mut stage = EndpointRewrite::new(map(upstream, "/ev"));
        let (mut pushes, mut changes) = (Vec::new(), Changes::default());
        let mut take = |on: Onward| {
            pushes.push(on.pieces.concat());
            changes.rewrites.extend(on.changes.rewrites);
            changes.findings.extend(on.changes.findings);
        };
        for chunk in chunks {
            let mut on = Onward::default();
            stage.push(Bytes::copy_from_slice(chunk), &mut on);
            take(on);
        }
        let mut on = Onward::default();
        stage.finish(true, &mut on);
        take(on);
        (pushes, changes)
    }

    const UP: &str = "ev=http://up:3001/sse";

    #[test]
    fn comments_pass_at_once_and_only_the_first_event_is_held() {
        let (pushes, changes) = run(
            UP,
            &[
                b": hello\r\n",
                b": wor",
                b"ld\r\nevent: endp",
                b"oint\r\nid: 1\r\ndata: /m?s=1\r\n",
                b"\r\ndata: x",
                b"y\r\n\r\n",
            ],
        );
        let expected: [&[u8]; 7] = [
            b": hello\r\n",
            b"",
            b": world\r\n",
            b"",
            b"event: endpoint\r\nid: 1\r\ndata: /ev/m?s=1\r\n\r\ndata: x",
            b"y\r\n\r\n",
            b"",
        ];
        assert_eq!(pushes, expected);
        assert_eq!(changes.rewrites, ["endpoint: /m?s=1 → /ev/m?s=1"]);
    }

    #[test]
    fn a_first_event_of_another_name_ends_the_search() {
        let text: &[u8] = b"\xef\xbb\xbfid: 1\n\ndata: {}\n\nevent: endpoint\ndata: /m\n\n";
        let (pushes, changes) = run(UP, &[text]);
        assert_eq!(pushes.concat(), text);
        assert!(changes.is_empty());
    }

    #[test]
    fn an_event_beyond_the_bound_passes_as_it_is_and_says_so() {
        let long = [b"event: endpoint\ndata: /", "x".repeat(MAX_HELD).as_bytes()].concat();
        let (pushes, changes) = run(UP, &[&long, b"y\n\n"]);
        assert_eq!(pushes, [&long[..], b"y\n\n", b""]);
        assert!(changes.findings[0].text.contains("longer than"));
    }

    #[test]
    fn what_is_held_goes_on_when_the_stream_ends_inside_it() {
        let (pushes, changes) = run(UP, &[b"event: endpoint\ndata: /m\n"]);
        assert_eq!(pushes, [&b""[..], b"event: endpoint\ndata: /m\n"]);
        assert!(changes.is_empty());
    }

    proptest! {
        #[test]
        fn chunks_decide_nothing(cuts in proptest::collection::vec(1_usize..60, 0..8), ending in "\n|\r\n|\r") {
            let text = format!(": c{ending}{ending}: d{ending}event: endpoint{ending}data: m?x{ending}{ending}data: /m{ending}{ending}");
            let expected = text.replace("data: m?x", "data: /ev/m?x");
            let mut rest = text.as_bytes();
            let mut chunks = Vec::new();
            for cut in cuts {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            chunks.push(rest);
            let (pushes, changes) = run(UP, &chunks);
            prop_assert_eq!(String::from_utf8(pushes.concat()).unwrap(), expected);
            prop_assert_eq!(changes.rewrites.len(), 1);
        }
    }
}
