//! Event streams: of a POST, of a session, of the transport HTTP+SSE.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use reqwest::Response;
use tokio::time::{sleep, timeout};

use crate::codec::cut::Piece;
use crate::codec::event::{ParsedBlock, SseEvent};
use crate::codec::sse::SseCutter;
use crate::transport::causes::describe;
use crate::transport::reader::BodyKind;

use super::failure::Failure;
use super::http::place;
use super::incoming::Incoming;
use super::pending::Ticket;
use super::session::endpoint;
use super::talk::Outward;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How long to wait before a stream is opened again, if the server does not say.
const RETRY: Duration = Duration::from_secs(1);
/// However short a server wants it.
const SHORTEST_RETRY: Duration = Duration::from_millis(50);
/// However often it failed.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// How often in a row it may fail to resume the stream of a request.
const MAX_ATTEMPTS: u32 = 5;
/// How long a stream may be silent once all it was opened for is answered.
const LINGER: Duration = Duration::from_secs(2);
/// How long an HTTP+SSE server may take to name its endpoint.
const ENDPOINT: Duration = Duration::from_secs(10);

/// How far a stream was read, and when to go on with it.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    last_id: Option<HeaderValue>,
    retry: Option<Duration>,
    /// Attempts in a row that brought nothing.
    failures: u32,
}

impl Cursor {
    /// Whether there is a place to go on from.
    pub(super) fn can_resume(&self) -> bool {
        self.last_id.is_some()
    }

    fn note(&mut self, block: &ParsedBlock) {
        if let Some(id) = &block.id {
            let value = HeaderValue::from_bytes(id.as_bytes()).ok();
            self.last_id = value.filter(|value| !value.is_empty());
        }
        if let Some(retry) = block.retry {
            self.retry = Some(Duration::from_millis(retry));
        }
    }

    /// What the server wants, and twice as long after each failure.
    fn pause(&self) -> Duration {
        let wanted = self.retry.unwrap_or(RETRY).max(SHORTEST_RETRY);
        if self.failures == 0 {
            return wanted;
        }
        let longer = wanted.saturating_mul(1 << self.failures.min(16));
        longer.min(LONGEST_RETRY).max(wanted)
    }
}

/// Reads the events of one response.
struct Events {
    incoming: Incoming,
    cutter: SseCutter,
    pieces: std::collections::VecDeque<Piece>,
    is_first: bool,
}

/// What is next in a stream.
enum Next {
    Block(Bytes, ParsedBlock),
    /// An event that is too long, already over.
    TooLong,
    /// More has to come.
    Nothing,
    End,
}

impl Events {
    fn new(response: Response, max_bytes: usize) -> Self {
        Self {
            incoming: Incoming::of(response),
            cutter: SseCutter::new(max_bytes),
            pieces: std::collections::VecDeque::new(),
            is_first: true,
        }
    }

    /// The next block, or what there is instead.
    ///
    /// # Errors
    /// As [`Incoming::chunk`].
    ///
    /// # Cancel safety
    /// Safe: what was read stays here.
    async fn next(&mut self) -> Result<Next, Failure> {
        match self.pieces.pop_front() {
            Some(Piece::Frame(block)) => {
                let parsed = SseEvent::parse(&block, std::mem::take(&mut self.is_first));
                Ok(Next::Block(block, parsed))
            }
            Some(Piece::Oversize { .. }) => Ok(Next::TooLong),
            Some(_) => Ok(Next::Nothing),
            None => {
                let Some(chunk) = self.incoming.chunk().await? else {
                    return Ok(Next::End);
                };
                let mut pieces = Vec::new();
                self.cutter.push(&chunk, &mut pieces);
                self.pieces.extend(pieces);
                Ok(Next::Nothing)
            }
        }
    }

    /// Gives up an event that is not whole yet.
    fn give_up(&mut self) {
        let mut pieces = Vec::new();
        self.cutter.give_up(&mut pieces);
        self.pieces.extend(pieces);
    }
}

/// The data of a message, as it came if it is one line.
fn data_of<'a>(block: &'a [u8], parsed: &'a ParsedBlock) -> Option<&'a [u8]> {
    let event = parsed.event.as_ref().filter(|event| event.name == "message")?;
    let data = match &parsed.data_line {
        Some(line) => &block[line.clone()],
        None => event.data.as_bytes(),
    };
    (!data.trim_ascii().is_empty()).then_some(data)
}

impl Outward {
    /// Passes on the messages of a stream until it ends. One that is for requests is left when they are answered and
    /// nothing more comes.
    ///
    /// # Errors
    /// [`Failure`] if it breaks off, or a message in it was too long to pass on.
    pub(super) async fn read_events(
        &self,
        response: Response,
        cursor: &mut Cursor,
        tickets: Option<&[Ticket]>,
    ) -> Result<(), Failure> {
        self.pass_events(Events::new(response, self.max_bytes), cursor, tickets)
            .await
    }

    async fn pass_events(
        &self,
        mut events: Events,
        cursor: &mut Cursor,
        tickets: Option<&[Ticket]>,
    ) -> Result<(), Failure> {
        let mut held = self.room.hold();
        let mut outcome = Ok(());
        loop {
            let is_over = tickets.is_some_and(|tickets| self.is_settled(tickets));
            let next = if is_over {
                let Ok(next) = timeout(LINGER, events.next()).await else {
                    return outcome;
                };
                next
            } else {
                events.next().await
            };
            match next? {
                Next::Block(block, parsed) => {
                    cursor.note(&parsed);
                    cursor.failures = 0;
                    if let Some(data) = data_of(&block, &parsed) {
                        self.deliver_held(data).await;
                    }
                }
                Next::TooLong => {
                    outcome = Err(Failure::too_large(self.max_bytes));
                    self.note(format!(
                        "{} sent a message that was left out: it is too long",
                        self.place()
                    ));
                }
                Next::Nothing => {
                    if !held.set(events.cutter.reserved()) {
                        events.give_up();
                        held.set(0);
                    }
                }
                Next::End => return outcome,
            }
        }
    }

    async fn deliver_held(&self, data: &[u8]) {
        let mut held = self.room.hold();
        // The bytes are here already: at worst one message more than there is room for.
        held.set(data.len());
        self.deliver(data, held).await;
    }

    async fn get(&self, last_id: Option<&HeaderValue>) -> Result<Response, reqwest::Error> {
        let mut headers = self.headers("text/event-stream");
        self.session().apply_agreed(&mut headers);
        if let Some(id) = last_id {
            headers.insert(LAST_EVENT_ID, id.clone());
        }
        let request = self.client.request(Method::GET, self.url.clone());
        request.headers(headers).send().await
    }

    /// Goes on with the stream of a request that was cut, when the server wants it.
    ///
    /// # Errors
    /// [`Failure`] if the server does not know it any more, or cannot be reached several times in a row.
    ///
    /// Source: MCP 2025-11-25, Transports, "Resumability and Redelivery".
    pub(super) async fn resume(&self, cursor: &mut Cursor) -> Result<Response, Failure> {
        loop {
            sleep(cursor.pause()).await;
            cursor.failures += 1;
            match self.get(cursor.last_id.as_ref()).await {
                Ok(response) if is_stream(&response) => {
                    // It may end at once, and be resumed again: that is how a server is polled.
                    cursor.failures = 0;
                    return Ok(response);
                }
                Ok(response) => {
                    let failure = self.refusal(&response);
                    if response.status() == StatusCode::NOT_FOUND {
                        self.lose(&format!("the session is gone: {}", failure.text));
                    }
                    return Err(failure);
                }
                Err(error) if cursor.failures >= MAX_ATTEMPTS => {
                    return Err(self.unreachable(error));
                }
                Err(_) => {}
            }
        }
    }

    /// After the handshake: opens the stream for what the server says on its own.
    pub(super) async fn listen_if_agreed(self: &Arc<Self>) {
        let stop = {
            let session = self.session();
            let is_wanted = session.is_agreed() && session.endpoint.is_none();
            is_wanted.then(|| session.listening.clone())
        };
        if let Some(stop) = stop {
            let outward = Arc::clone(self);
            self.start(async move {
                stop.run_until_cancelled(outward.listen()).await;
            })
            .await;
        }
    }

    /// Keeps the stream open as long as the server offers it.
    async fn listen(&self) {
        let mut cursor = Cursor::default();
        let mut was_open = false;
        loop {
            match self.get(cursor.last_id.as_ref()).await {
                Ok(response) if is_stream(&response) => {
                    was_open = true;
                    cursor.failures += 1;
                    // Why it ended does not matter: it is opened again.
                    let _ = self.read_events(response, &mut cursor, None).await;
                }
                Ok(response) => return self.stop_listening(&response, was_open),
                Err(error) => {
                    if cursor.failures == 0 {
                        let failure = self.unreachable(error);
                        self.note(format!(
                            "the server's own messages cannot be heard: {}",
                            failure.text
                        ));
                    }
                    cursor.failures += 1;
                }
            }
            sleep(cursor.pause()).await;
        }
    }

    /// Why a response to a GET is no event stream.
    fn refusal(&self, response: &Response) -> Failure {
        let place = place(response.url());
        if response.status().is_success() {
            return Failure::new(
                "not_mcp",
                format!("{place} answered a GET without an event stream"),
            );
        }
        let via = self.via.as_ref();
        Failure::refused(&place, via, response.status(), response.headers(), b"")
    }

    fn stop_listening(&self, response: &Response, was_open: bool) {
        let failure = self.refusal(response);
        match response.status() {
            // It has none.
            StatusCode::METHOD_NOT_ALLOWED => {}
            StatusCode::NOT_FOUND if was_open => {
                self.lose(&format!("the session is gone: {}", failure.text));
            }
            _ => self.note(format!(
                "the server's own messages cannot be heard: {}",
                failure.text
            )),
        }
    }

    /// Ends the session, if there is one.
    pub(super) async fn leave(&self) {
        let mut headers = self.headers("application/json");
        {
            let session = self.session();
            if session.id.is_none() || self.lost.is_cancelled() {
                return;
            }
            session.apply_agreed(&mut headers);
        }
        let request = self.client.delete(self.url.clone()).headers(headers);
        if let Err(error) = request.send().await {
            self.note(format!(
                "the session was not ended: {}",
                describe(&error.without_url())
            ));
        }
    }

    /// Asks for the endpoint of an HTTP+SSE server, and listens to its stream from then on.
    ///
    /// # Errors
    /// Why there is none.
    ///
    /// Source: MCP 2024-11-05, Transports, "HTTP with SSE".
    pub(super) async fn find_endpoint(self: &Arc<Self>) -> Result<(), String> {
        let response = self.get(None).await;
        let response = response.map_err(|error| describe(&error.without_url()))?;
        if !is_stream(&response) {
            return Err(self.refusal(&response).text);
        }
        let mut events = Events::new(response, self.max_bytes);
        let named = timeout(ENDPOINT, first_event(&mut events)).await;
        let event = named.map_err(|_| format!("it named no endpoint within {ENDPOINT:?}"))??;
        if event.name != "endpoint" {
            return Err("its stream does not begin with an endpoint".to_owned());
        }
        let Some(url) = endpoint(&self.url, &event.data) else {
            return Err("the endpoint that it names is not at its own origin".to_owned());
        };
        self.session().endpoint = Some(url);
        let outward = Arc::clone(self);
        self.start(async move {
            let ended = outward.pass_events(events, &mut Cursor::default(), None).await;
            let cause = ended
                .err()
                .map_or_else(String::new, |failure| format!(": {}", failure.text));
            outward.lose(&format!(
                "the server ended its stream, and the session with it{cause}"
            ));
        })
        .await;
        Ok(())
    }
}

async fn first_event(events: &mut Events) -> Result<SseEvent, String> {
    loop {
        match events.next().await {
            Ok(Next::Block(_, parsed)) => {
                if let Some(event) = parsed.event {
                    return Ok(event);
                }
            }
            Ok(Next::Nothing) => {}
            Ok(Next::TooLong | Next::End) => return Err("its stream has no endpoint".to_owned()),
            Err(failure) => return Err(failure.text),
        }
    }
}

fn is_stream(response: &Response) -> bool {
    response.status() == StatusCode::OK && BodyKind::of_fields(response.headers()) == BodyKind::Events
}
