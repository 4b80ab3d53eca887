//! An HTTP Archive as the observations of a recording: those of browsers, of mitmproxy, and our own.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;

use super::har_form::{Archive, Entry, Line, Named, SocketMessage, Text};
use crate::clock::Timestamp;
use crate::codec::cut::Piece;
use crate::codec::envelope::scan;
use crate::codec::event::SseEvent;
use crate::codec::lines::line_content;
use crate::codec::sse::SseCutter;
use crate::ids::{ConnectionId, ExchangeId, ProxySessionId, SessionId, Side, StreamId};
use crate::recording::format::parse_header;
use crate::session::observation::{
    Event, ExchangeEnded, ExchangeKind, FrameObserved, Observation, ObservedHead, PlacedMessage, Placement,
    RequestObserved, ResponseObserved, SessionOpened, SseObserved,
};
use crate::snapshot::{Carrier, Direction, EndKind, Head, SessionBasis, Timing};

/// Longest archive that is read, in bytes.
pub const MAX_HAR_BYTES: usize = 256 << 20;

/// Longest event of a stream.
const MAX_EVENT_BYTES: usize = 64 << 20;

/// An archive cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportHarError {
    /// It is no HAR.
    #[error("this is no HTTP Archive (HAR 1.2): a JSON object with log.entries is expected")]
    NoHar(#[source] serde_json::Error),
    /// It ends in the middle.
    #[error("the archive is cut off: it ends in line {line}, before its JSON does; export it again")]
    Cut {
        /// The last line, from 1.
        line: usize,
    },
    /// It is a recording.
    #[error("this is a recording already; `shadowcat-tui show` and the other commands read it as it is")]
    Recording,
    /// There is nothing in it at all.
    #[error("the file is empty; export an archive into it first")]
    NoText,
    /// There is nothing in it.
    #[error("the archive has no entries")]
    Empty,
    /// It is too long.
    #[error("the archive is longer than {MAX_HAR_BYTES} bytes; export a part of it")]
    TooLarge,
}

/// What an archive has.
#[derive(Debug)]
pub struct HarImport {
    /// When its first request began.
    pub created: Timestamp,
    /// In the order of their times.
    pub observations: Vec<Observation>,
    /// Entries that could not be used, and why.
    pub remarks: Vec<String>,
}

/// Reads an archive. Times that it does not have are those of the exchange.
///
/// # Errors
/// [`ImportHarError`].
pub fn read_har(text: &[u8]) -> Result<HarImport, ImportHarError> {
    if text.len() > MAX_HAR_BYTES {
        return Err(ImportHarError::TooLarge);
    }
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let archive: Archive = serde_json::from_slice(text).map_err(|error| refused(text, error))?;
    let mut import = Import::default();
    for (number, entry) in archive.log.entries.into_iter().enumerate() {
        match moment(&entry.started) {
            Some(started) => import.entry(started, entry),
            None => import.remarks.push(format!(
                "entry {} is left out: it has no startedDateTime",
                number + 1
            )),
        }
    }
    import.observations.sort_by_key(|observation| observation.at);
    let first = import.observations.first().ok_or(ImportHarError::Empty)?;
    Ok(HarImport {
        created: first.at,
        observations: import.observations,
        remarks: import.remarks,
    })
}

/// Why this is no archive.
fn refused(text: &[u8], error: serde_json::Error) -> ImportHarError {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if text.trim_ascii().is_empty() {
        ImportHarError::NoText
    } else if parse_header(first).is_ok() {
        ImportHarError::Recording
    } else if error.is_eof() {
        ImportHarError::Cut { line: error.line() }
    } else {
        ImportHarError::NoHar(error)
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_micros(u64::try_from(at.as_microsecond()).ok()?))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of floating point numbers saturates, and times before zero are none"
)]
fn after(at: Timestamp, millis: f64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add((millis * 1000.0) as u64))
}

#[derive(Default)]
struct Import {
    observations: Vec<Observation>,
    remarks: Vec<String>,
    sessions: HashMap<String, ProxySessionId>,
    exchanges: u64,
    streams: u64,
}

/// An entry that is being read.
struct Draft {
    exchange: ExchangeId,
    /// One for each, since an archive does not tell.
    connection: ConnectionId,
    session: ProxySessionId,
    kind: ExchangeKind,
    started: Timestamp,
    answered: Timestamp,
    done: Timestamp,
    frames: [u32; 2],
    /// What request and answer were coded with on the wire.
    codings: [Option<Arc<str>>; 2],
}

impl Import {
    fn push(&mut self, at: Timestamp, event: Event) {
        self.observations.push(Observation { at, event });
    }

    fn entry(&mut self, started: Timestamp, mut entry: Entry) {
        let number = NonZeroU64::MIN.saturating_add(self.exchanges);
        self.exchanges += 1;
        let timings = &entry.timings;
        let before_answer = [
            timings.blocked,
            timings.dns,
            timings.connect,
            timings.send,
            timings.wait,
        ];
        let before_answer: f64 = before_answer
            .into_iter()
            .flatten()
            .filter(|part| *part > 0.0)
            .sum();
        let kind = entry.kind();
        let answered = after(started, before_answer);
        let mut draft = Draft {
            exchange: number.into(),
            connection: number.into(),
            session: self.session(started, &entry, kind),
            kind,
            started,
            answered,
            done: after(started, entry.time).max(answered),
            frames: [0; 2],
            codings: [coding(&entry.request.headers), coding(&entry.response.headers)],
        };
        self.request(&draft, &entry);
        let body = entry
            .request
            .body
            .take()
            .map(Text::into_bytes)
            .unwrap_or_default();
        if !body.is_empty() {
            self.frame(
                &mut draft,
                started,
                Direction::ClientToServer,
                Carrier::Http,
                body,
                None,
            );
        }
        if entry.response.status >= 100.0 {
            let stream = self.response(&draft, &entry);
            self.answer(&mut draft, &mut entry, stream);
        }
        self.sockets(&mut draft, &entry.sockets);
        self.lines(&mut draft, std::mem::take(&mut entry.own.lines));
        self.end(&draft, &entry);
    }

    /// The session of an entry: as our own archive says, by its session id, or all of a client with a server.
    fn session(&mut self, at: Timestamp, entry: &Entry, kind: ExchangeKind) -> ProxySessionId {
        let origin = origin(&entry.request.url);
        let id = field(&entry.request.headers, "mcp-session-id")
            .or_else(|| field(&entry.response.headers, "mcp-session-id"));
        let key = match (&entry.own.session, id) {
            (Some(session), _) => format!("own {session}"),
            (None, Some(id)) => format!("{origin} {id}"),
            (None, None) => origin.to_owned(),
        };
        if let Some(session) = self.sessions.get(&key) {
            return *session;
        }
        let number = NonZeroU64::MIN.saturating_add(self.sessions.len() as u64);
        let session = ProxySessionId::on(Side::Forward, SessionId::from(number));
        self.sessions.insert(key, session);
        let basis = match (kind, id) {
            (ExchangeKind::Run | ExchangeKind::BridgedRun, _) => SessionBasis::Process,
            (_, Some(_)) => SessionBasis::SessionHeader,
            _ if !entry.sockets.is_empty() => SessionBasis::Socket,
            _ => SessionBasis::Inferred,
        };
        let opened = SessionOpened {
            id: session,
            server: entry.server().into(),
            basis,
            client: "imported".into(),
        };
        self.push(at, Event::Session(Box::new(opened)));
        session
    }

    fn request(&mut self, draft: &Draft, entry: &Entry) {
        let request = &entry.request;
        let target = entry.own.command.as_deref().unwrap_or(&request.url);
        let is_run = matches!(draft.kind, ExchangeKind::Run | ExchangeKind::BridgedRun);
        let version = if request.version.is_empty() {
            "HTTP/1.1"
        } else {
            &request.version
        };
        let line = if is_run {
            target.to_owned()
        } else {
            format!("{} {target} {version}", request.method)
        };
        let observed = RequestObserved {
            exchange: draft.exchange,
            connection: draft.connection,
            client: "imported".to_owned(),
            side: Side::Forward,
            server: entry.server().into(),
            session: Some(draft.session),
            kind: draft.kind,
            method: if is_run {
                "run".to_owned()
            } else {
                request.method.clone()
            },
            target: target.to_owned(),
            head: head(line, &request.headers),
            rewrites: Vec::new(),
            resumes: field(&request.headers, "last-event-id").map(str::to_owned),
        };
        self.push(draft.started, Event::Request(Box::new(observed)));
    }

    fn response(&mut self, draft: &Draft, entry: &Entry) -> Option<StreamId> {
        let response = &entry.response;
        let media_type = entry.media_type();
        let stream = is_stream(media_type).then(|| {
            let number = NonZeroU64::MIN.saturating_add(self.streams);
            self.streams += 1;
            StreamId::from(number)
        });
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is 100 at least, and a cast saturates"
        )]
        let status = response.status as u16;
        let version = if response.version.is_empty() {
            "HTTP/1.1"
        } else {
            &response.version
        };
        let line = format!("{version} {status} {}", response.reason);
        let observed = ResponseObserved {
            exchange: draft.exchange,
            session: Some(draft.session),
            status,
            head: head(line.trim_end().to_owned(), &response.headers),
            is_ours: false,
            stream,
            media_type: (!media_type.is_empty()).then(|| media_type.to_owned()),
            rewrites: Vec::new(),
        };
        self.push(draft.answered, Event::Response(Box::new(observed)));
        stream
    }

    fn answer(&mut self, draft: &mut Draft, entry: &mut Entry, stream: Option<StreamId>) {
        let body = std::mem::take(&mut entry.response.content).into_bytes();
        if body.is_empty() {
            return;
        }
        if stream.is_none() {
            let at = draft.done;
            return self.frame(draft, at, Direction::ServerToClient, Carrier::Http, body, None);
        }
        let mut cutter = SseCutter::new(MAX_EVENT_BYTES);
        let mut pieces = Vec::new();
        cutter.push(&body, &mut pieces);
        cutter.finish(&mut pieces);
        let mut times = entry.events.iter().map(|event| moment(&event.time));
        for piece in pieces {
            let (Piece::Frame(block) | Piece::Tail(block)) = piece else {
                continue;
            };
            let at = times.next().flatten().unwrap_or(draft.done).max(draft.answered);
            self.frame(draft, at, Direction::ServerToClient, Carrier::Sse, block, stream);
        }
    }

    fn sockets(&mut self, draft: &mut Draft, messages: &[SocketMessage]) {
        for message in messages {
            let direction = if message.kind == "send" {
                Direction::ClientToServer
            } else {
                Direction::ServerToClient
            };
            let at = after(Timestamp::from_micros(0), message.time * 1000.0).max(draft.started);
            let bytes = if message.opcode > 1.5 {
                base64::engine::general_purpose::STANDARD
                    .decode(&message.data)
                    .unwrap_or_default()
            } else {
                message.data.clone().into_bytes()
            };
            self.frame(draft, at, direction, Carrier::WebSocket, bytes.into(), None);
        }
    }

    fn lines(&mut self, draft: &mut Draft, lines: Vec<Line>) {
        for line in lines {
            let at = moment(&line.time).unwrap_or(draft.started).max(draft.started);
            self.frame(
                draft,
                at,
                line.direction,
                Carrier::Stdio,
                line.text.into_bytes(),
                None,
            );
        }
    }

    fn frame(
        &mut self,
        draft: &mut Draft,
        at: Timestamp,
        direction: Direction,
        carrier: Carrier,
        bytes: Bytes,
        stream: Option<StreamId>,
    ) {
        draft.done = draft.done.max(at);
        let side = usize::from(direction == Direction::ServerToClient);
        let number = &mut draft.frames[side];
        let frame = *number;
        *number += 1;
        let (payload, sse) = payload(carrier, &bytes, frame == 0);
        let observed = FrameObserved {
            exchange: draft.exchange,
            session: Some(draft.session),
            stream,
            direction,
            carrier,
            frame,
            parts: 0,
            size: bytes.len() as u64,
            payload_size: payload.len() as u64,
            is_cut: false,
            is_fragment: false,
            coding: draft.codings[side].clone().filter(|_| is_decoded(&bytes)),
            sse,
            messages: messages(&payload, draft.kind),
            unreadable: None,
            is_synthetic: false,
            wire: bytes,
            payload,
        };
        self.push(at, Event::Frame(Box::new(observed)));
    }

    fn end(&mut self, draft: &Draft, entry: &Entry) {
        let is_answered = entry.response.status >= 100.0 || draft.kind == ExchangeKind::Run;
        let usual = if is_answered {
            EndKind::Complete
        } else {
            EndKind::UpstreamUnreachable
        };
        let ended = ExchangeEnded {
            exchange: draft.exchange,
            session: Some(draft.session),
            request_end: entry.own.request_end.unwrap_or(EndKind::Complete),
            response_end: entry.own.response_end.unwrap_or(usual),
            failure: None,
            our_status: None,
            timing: Timing {
                started: draft.started,
                response_head: Some(draft.answered),
                done: Some(draft.done),
                ..Timing::default()
            },
            request_bytes: 0,
            response_bytes: 0,
        };
        self.push(draft.done, Event::ExchangeEnd(Box::new(ended)));
    }
}

impl Entry {
    fn kind(&self) -> ExchangeKind {
        match self.own.kind.as_deref() {
            Some("run") => return ExchangeKind::Run,
            Some("bridged_run") => return ExchangeKind::BridgedRun,
            Some("message") => return ExchangeKind::Message,
            Some("http") => return ExchangeKind::Http,
            _ => {}
        }
        let body = self
            .request
            .body
            .as_ref()
            .and_then(|body| body.content.as_deref());
        let has_messages = body.is_some_and(|body| scan(body.as_bytes()).is_json_rpc());
        let has_field = ["mcp-session-id", "mcp-method", "mcp-protocol-version"]
            .iter()
            .any(|name| field(&self.request.headers, name).is_some());
        if has_messages || has_field || is_stream(self.media_type()) || !self.sockets.is_empty() {
            ExchangeKind::Message
        } else {
            ExchangeKind::Http
        }
    }

    fn media_type(&self) -> &str {
        let content = self.response.content.media_type.as_str();
        field(&self.response.headers, "content-type").unwrap_or(content)
    }

    fn server(&self) -> &str {
        let authority = || {
            origin(&self.request.url)
                .split_once("://")
                .map_or("imported", |(_, name)| name)
        };
        self.own.server.as_deref().unwrap_or_else(authority)
    }
}

/// Scheme and authority of a URL.
fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let length = url
        .get(start..)
        .and_then(|rest| rest.find(['/', '?', '#']))
        .unwrap_or(url.len() - start);
    url.get(..start + length).unwrap_or(url)
}

fn is_stream(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("text/event-stream")
}

fn field<'a>(headers: &'a [Named], name: &str) -> Option<&'a str> {
    let found = headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name));
    found.map(|header| header.value.as_str())
}

/// What a body was coded with, if at all.
fn coding(headers: &[Named]) -> Option<Arc<str>> {
    let coding = field(headers, "content-encoding")?.trim();
    (!coding.is_empty() && !coding.eq_ignore_ascii_case("identity")).then(|| coding.into())
}

/// Archives have bodies without their coding. What is no text may have been put in with it all the same.
fn is_decoded(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok()
}

fn head(line: String, headers: &[Named]) -> ObservedHead {
    // Browsers list the pseudo fields of HTTP/2 too.
    let fields = headers.iter().filter(|header| !header.name.starts_with(':'));
    let fields = fields.map(|header| (header.name.clone(), header.value.clone()));
    ObservedHead::Fields(Box::new(Head {
        line,
        fields: fields.collect(),
    }))
}

fn payload(carrier: Carrier, bytes: &Bytes, is_first: bool) -> (Bytes, Option<SseObserved>) {
    match carrier {
        Carrier::Sse => {
            let parsed = SseEvent::parse(bytes, is_first);
            let observed = SseObserved {
                event: parsed.event.as_ref().map(|event| event.name.clone()),
                id: parsed.id.map(Into::into),
                retry: parsed.retry,
                comments: parsed.comments,
            };
            let data = match (parsed.data_line, parsed.event) {
                (Some(range), _) => bytes.slice(range),
                (None, Some(event)) => event.data.into(),
                (None, None) => Bytes::new(),
            };
            (data, Some(observed))
        }
        Carrier::Stdio => (bytes.slice(..line_content(bytes).len()), None),
        _ => (bytes.clone(), None),
    }
}

/// The messages in a payload, in no relation to each other.
fn messages(payload: &[u8], kind: ExchangeKind) -> Vec<PlacedMessage> {
    let scanned = scan(payload);
    if kind == ExchangeKind::BridgedRun || !scanned.is_json_rpc() {
        return Vec::new();
    }
    let placed = |envelope| PlacedMessage {
        envelope,
        placement: Placement::default(),
    };
    scanned.messages.into_iter().map(placed).collect()
}
