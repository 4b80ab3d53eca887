//! An HTTP Archive as the observations of a recording: those of browsers, of mitmproxy, and our own.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;

use super::har_form::{
    Archive, Entry, Named, SocketMessage, Text, coding, field, is_decoded, is_stream, origin,
};
use super::har_packed::unpacked;
use super::har_times::{Asked, StreamTimes, after, at_seconds, moment};
use crate::clock::Timestamp;
use crate::codec::BYTE_ORDER_MARK;
use crate::codec::cut::Piece;
use crate::codec::envelope::scan;
use crate::codec::event::SseEvent;
use crate::codec::lines::line_content;
use crate::codec::sse::SseCutter;
use crate::ids::{ConnectionId, ExchangeId, ProxySessionId, SessionId, Side, StreamId};
use crate::recording::first_line::parse_header;
use crate::session::observation::{
    Event, ExchangeEnded, ExchangeKind, FrameObserved, Observation, ObservedHead, PlacedMessage, Placement,
    RequestObserved, ResponseObserved, SessionOpened, SseObserved,
};
use crate::snapshot::{Carrier, Direction, EndKind, Head, SessionBasis, Timing};

/// Longest archive that is read, in bytes.
pub const MAX_HAR_BYTES: usize = 256 << 20;

/// Remarks that are kept; of the rest the count.
const MAX_REMARKS: usize = 100;

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
    /// It is compressed and damaged.
    #[error("the archive cannot be decompressed; get it anew, or decompress it by other means")]
    Packed(#[source] io::Error),
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

/// Reads an archive, which may be compressed: with zlib as mitmproxy's `.zhar`, with gzip, or with zstd. Times that it does
/// not have are those of the exchange; entries that cannot be used are told by [`HarImport::remarks`].
///
/// # Errors
/// [`ImportHarError`].
pub fn read_har(text: &[u8]) -> Result<HarImport, ImportHarError> {
    let text = unpacked(text, MAX_HAR_BYTES).map_err(ImportHarError::Packed)?;
    if text.len() > MAX_HAR_BYTES {
        return Err(ImportHarError::TooLarge);
    }
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let archive: Archive<'_> = serde_json::from_slice(text).map_err(|error| refused(text, error))?;
    let mut import = Import::default();
    for (number, entry) in archive.log.entries.into_iter().enumerate() {
        let taken = match serde_json::from_str(entry.get()) {
            Ok(entry) => import.take(entry),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = taken {
            import.left_out(number + 1, &reason);
        }
    }
    import.finish()
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

#[derive(Default)]
struct Import {
    entries: Vec<(Timestamp, Entry)>,
    asked: Asked,
    observations: Vec<Observation>,
    remarks: Vec<String>,
    more_remarks: u64,
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
    /// Bytes of them, by direction.
    bytes: [u64; 2],
    /// What request and answer were coded with on the wire.
    codings: [Option<Arc<str>>; 2],
}

impl Import {
    fn push(&mut self, at: Timestamp, event: Event) {
        self.observations.push(Observation { at, event });
    }

    fn left_out(&mut self, number: usize, reason: &str) {
        if self.remarks.len() < MAX_REMARKS {
            self.remarks.push(format!("entry {number} is left out: {reason}"));
        } else {
            self.more_remarks += 1;
        }
    }

    fn finish(mut self) -> Result<HarImport, ImportHarError> {
        self.observe();
        if self.more_remarks > 0 {
            self.remarks
                .push(format!("{} more entries are left out", self.more_remarks));
        }
        self.observations.sort_by_key(|observation| observation.at);
        let first = self.observations.first().ok_or(ImportHarError::Empty)?;
        Ok(HarImport {
            created: first.at,
            observations: self.observations,
            remarks: self.remarks,
        })
    }

    /// Takes an entry in, or says why not.
    fn take(&mut self, mut entry: Entry) -> Result<(), String> {
        let started = moment(&entry.started).ok_or("it has no startedDateTime")?;
        let scheme = entry.request.url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" | "stdio" => {}
            // Chromium names a WebSocket so; on its way it is HTTP.
            "ws" | "wss" => entry.request.url.replace_range(.."ws".len(), "http"),
            _ => return Err(format!("{scheme:?} leads to no server")),
        }
        self.entries.push((started, entry));
        Ok(())
    }

    /// Makes observations of all entries, the earliest first: some programs list them by their ends.
    fn observe(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by_key(|(started, _)| *started);
        let drafts: Vec<Draft> = entries
            .iter()
            .map(|(started, entry)| self.draft(*started, entry))
            .collect();
        for (mut draft, (_, entry)) in drafts.into_iter().zip(entries) {
            self.entry(&mut draft, entry);
        }
    }

    fn draft(&mut self, started: Timestamp, entry: &Entry) -> Draft {
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
        let draft = Draft {
            exchange: number.into(),
            connection: number.into(),
            session: self.session(started, entry, kind),
            kind,
            started,
            answered,
            done: after(started, entry.time).max(answered),
            frames: [0; 2],
            bytes: [0; 2],
            codings: [coding(&entry.request.headers), coding(&entry.response.headers)],
        };
        let body = entry
            .request
            .body
            .as_ref()
            .and_then(|body| body.content.as_deref());
        self.asked.note(
            draft.session,
            (draft.started, draft.done),
            body.unwrap_or_default(),
        );
        draft
    }

    fn entry(&mut self, draft: &mut Draft, mut entry: Entry) {
        let started = draft.started;
        self.request(draft, &entry);
        let body = entry
            .request
            .body
            .take()
            .map(Text::into_bytes)
            .unwrap_or_default();
        if !body.is_empty() {
            self.frame(
                draft,
                started,
                Direction::ClientToServer,
                Carrier::Http,
                body,
                None,
            );
        }
        if entry.response.status >= 100.0 {
            let stream = self.response(draft, &entry);
            self.answer(draft, &mut entry, stream);
        }
        self.sockets(draft, &entry.sockets);
        self.end(draft, &entry);
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
        let version = version(&request.version);
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
            sent: None,
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
        let version = version(&response.version);
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
            sent: None,
        };
        self.push(draft.answered, Event::Response(Box::new(observed)));
        stream
    }

    fn answer(&mut self, draft: &mut Draft, entry: &mut Entry, stream: Option<StreamId>) {
        let body = std::mem::take(&mut entry.response.content).into_bytes();
        let body = if body.is_empty() && stream.is_some() {
            entry.events_as_stream()
        } else {
            body
        };
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
        let mut times = StreamTimes::of(entry);
        let mut at = draft.answered;
        for piece in pieces {
            let (Piece::Frame(block) | Piece::Tail(block)) = piece else {
                continue;
            };
            let (data, _) = payload(Carrier::Sse, &block, false);
            let known = times.of_block(&block);
            let inferred = || self.asked.earliest(draft.session, &data);
            at = known.or_else(inferred).unwrap_or(at).max(at);
            self.frame(draft, at, Direction::ServerToClient, Carrier::Sse, block, stream);
        }
    }

    /// What a WebSocket carried, or the lines of a command. Control frames and what Chromium calls an error carry no
    /// message.
    fn sockets(&mut self, draft: &mut Draft, messages: &[SocketMessage]) {
        let carrier = match draft.kind {
            ExchangeKind::Run | ExchangeKind::BridgedRun => Carrier::Stdio,
            _ => Carrier::WebSocket,
        };
        for message in messages {
            let direction = match message.kind.as_str() {
                "send" => Direction::ClientToServer,
                "receive" => Direction::ServerToClient,
                _ => continue,
            };
            let Some(bytes) = message.bytes() else { continue };
            let at = at_seconds(message.time).max(draft.started);
            self.frame(draft, at, direction, carrier, bytes, None);
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
        draft.bytes[side] += bytes.len() as u64;
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
            is_injected: false,
            wire: bytes,
            payload,
        };
        self.push(at, Event::Frame(Arc::new(observed)));
    }

    fn end(&mut self, draft: &Draft, entry: &Entry) {
        let ended = ExchangeEnded {
            exchange: draft.exchange,
            session: Some(draft.session),
            request_end: entry.own.request_end.unwrap_or(EndKind::Complete),
            response_end: entry
                .own
                .response_end
                .unwrap_or_else(|| usual_end(draft.kind, entry)),
            failure: entry.response.failure.clone().filter(|text| !text.is_empty()),
            our_status: None,
            timing: Timing {
                started: draft.started,
                response_head: Some(draft.answered),
                done: Some(draft.done),
                ..Timing::default()
            },
            request_bytes: wire_bytes(entry.request.body_size, draft.bytes[0]),
            response_bytes: wire_bytes(entry.response.body_size, draft.bytes[1]),
        };
        self.push(draft.done, Event::ExchangeEnd(Box::new(ended)));
    }
}

/// How an answer ended, as far as an archive of another program tells.
fn usual_end(kind: ExchangeKind, entry: &Entry) -> EndKind {
    // In the words of Chromium and of mitmproxy.
    let is_clients =
        |failure: &str| failure.contains("ERR_ABORTED") || failure.starts_with("Client disconnected");
    let failure = entry.response.failure.as_deref().filter(|text| !text.is_empty());
    let is_answered = entry.response.status >= 100.0 || kind == ExchangeKind::Run;
    match failure {
        Some(failure) if is_clients(failure) => EndKind::ClientAborted,
        Some(_) if is_answered => EndKind::UpstreamAborted,
        None if is_answered => EndKind::Complete,
        _ => EndKind::UpstreamUnreachable,
    }
}

/// The size of a body on the wire; what is not known is -1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is not negative, and a cast saturates"
)]
fn wire_bytes(stated: Option<f64>, found: u64) -> u64 {
    stated
        .filter(|size| *size >= 0.0)
        .map_or(found, |size| size as u64)
}

/// The version as a head states it; Chromium has names of its own, such as `h3`.
fn version(stated: &str) -> &str {
    match stated.to_ascii_lowercase().as_str() {
        "" | "http/1.1" => "HTTP/1.1",
        "http/1.0" => "HTTP/1.0",
        "h2" | "http/2" | "http/2.0" => "HTTP/2",
        "h3" | "http/3" | "http/3.0" => "HTTP/3",
        _ => stated,
    }
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
