//! What becomes of a line.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use reqwest::{Client, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::codec::envelope::{Envelope, Field, MessageKind, Scan, scan};
use crate::codec::json::{PathStep, find_path};
use crate::config::forward::ViaProxy;
use crate::mcp::era;

use super::failure::Failure;
use super::http::{ToldBody, client, on_the_way, place};
use super::line::{Input, Line};
use super::pending::{Pending, Request, Ticket};
use super::room::Room;
use super::session::{Session, Stated, accept};
use super::status::Statuses;
use super::{Job, OutwardConfig, OutwardEnd, OutwardError, at_the_end};

/// POSTs of notifications and of the client's answers at once; then the next line waits for one to be taken.
const OTHER_POSTS: u32 = 64;
/// Streams at once that go on although all they were opened for is answered; then the next request waits for one.
const LATE_STREAMS: usize = 64;
/// All answers that are being read take so many times the longest one at most.
const ROOM: usize = 16;

/// Speaks for one client.
#[derive(Debug)]
pub(super) struct Outward {
    pub(super) client: Client,
    pub(super) url: Url,
    /// The proxy on the way, if there is one.
    pub(super) via: Option<ViaProxy>,
    fixed: HeaderMap,
    max_requests: usize,
    pub(super) max_bytes: usize,
    pub(super) pending: Pending,
    pub(super) room: Arc<Room>,
    requests: Arc<Semaphore>,
    others: Arc<Semaphore>,
    session: Mutex<Session>,
    lines: mpsc::Sender<Line>,
    notes: mpsc::Sender<String>,
    untold: AtomicU64,
    jobs: mpsc::Sender<Job>,
    /// The server has forgotten the session.
    pub(super) lost: CancellationToken,
    /// Where statuses are taken down, for who wants to know them.
    pub(super) statuses: Arc<Statuses>,
    cause_of_loss: OnceLock<String>,
}

/// A message on its way to the server.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) body: Bytes,
    pub(super) headers: HeaderMap,
    /// Its requests.
    pub(super) tickets: Vec<Ticket>,
    /// What it is, for people.
    pub(super) what: String,
    pub(super) is_modern: bool,
    pub(super) is_handshake: bool,
    pub(super) cancel: CancellationToken,
}

/// What has to happen before the next line.
enum Wait {
    /// The body is sent.
    Sent,
    /// The answer is here.
    Answered(oneshot::Receiver<()>),
    /// The server has taken it.
    Accepted,
}

impl Outward {
    pub(super) fn new(
        config: OutwardConfig,
        lines: mpsc::Sender<Line>,
        notes: mpsc::Sender<String>,
        jobs: mpsc::Sender<Job>,
        statuses: Arc<Statuses>,
    ) -> Result<Self, OutwardError> {
        let (client, url) = client(&config)?;
        let host = config.server.authority.host();
        let is_unchecked = url.scheme() == "https" && config.way().is_insecure(host);
        let host = host.to_owned();
        let outward = Self {
            client,
            url,
            via: on_the_way(&config).cloned(),
            fixed: config.headers,
            max_requests: config.max_requests,
            max_bytes: config.max_message_bytes,
            pending: Pending::default(),
            room: Room::new(config.max_message_bytes.saturating_mul(ROOM)),
            requests: Arc::new(Semaphore::new(config.max_requests.saturating_add(LATE_STREAMS))),
            others: Arc::new(Semaphore::new(OTHER_POSTS as usize)),
            session: Mutex::default(),
            lines,
            notes,
            untold: AtomicU64::new(0),
            jobs,
            lost: CancellationToken::new(),
            statuses,
            cause_of_loss: OnceLock::new(),
        };
        if is_unchecked {
            outward.note(format!(
                "the certificate of {host} is NOT checked (--insecure): whoever is on the way can read and change this traffic"
            ));
        }
        Ok(outward)
    }

    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where messages go.
    pub(super) fn target(&self) -> Url {
        self.session()
            .endpoint
            .clone()
            .unwrap_or_else(|| self.url.clone())
    }

    pub(super) fn place(&self) -> String {
        place(&self.target())
    }

    /// No response came.
    pub(super) fn unreachable(&self, error: reqwest::Error) -> Failure {
        Failure::unreachable(&self.place(), self.via.as_ref(), error)
    }

    /// The fixed headers and which answers are understood; compressed ones are not asked for, unless somebody wants it.
    pub(super) fn headers(&self, media_types: &'static str) -> HeaderMap {
        let mut headers = self.fixed.clone();
        accept(&mut headers, media_types);
        let coding = headers.entry(header::ACCEPT_ENCODING);
        coding.or_insert(HeaderValue::from_static("identity"));
        headers
    }

    /// Tells people something; without waiting for them to read it.
    pub(super) fn note(&self, text: impl Into<String>) {
        let untold = self.untold.swap(0, Ordering::Relaxed);
        let text = text.into();
        let text = if untold > 0 {
            format!("({untold} earlier lines were left out) {text}")
        } else {
            text
        };
        if self.notes.try_send(text).is_err() {
            self.untold.fetch_add(untold + 1, Ordering::Relaxed);
        }
    }

    /// Queues a line for the client.
    pub(super) async fn say(&self, line: Line) {
        // The end of the output ends everything.
        let _ = self.lines.send(line).await;
    }

    /// Does something beside everything else.
    pub(super) async fn start(&self, job: impl Future<Output = ()> + Send + 'static) {
        let _ = self.jobs.send(Box::pin(job)).await;
    }

    /// The session is gone, and with it all that waits.
    pub(super) fn lose(&self, cause: &str) {
        self.cause_of_loss.get_or_init(|| cause.to_owned());
        self.lost.cancel();
    }

    pub(super) fn cause_of_loss(&self) -> String {
        self.cause_of_loss.get().cloned().unwrap_or_default()
    }

    /// Takes lines until their end, and waits for the answers.
    pub(super) async fn talk(self: &Arc<Self>, mut messages: mpsc::Receiver<Input>) {
        while let Some(message) = messages.recv().await {
            match message {
                Input::Line(line) => self.take(line).await,
                Input::TooLong(scan, bytes) => self.refuse_long(&scan, bytes).await,
            }
        }
        self.pending.idle().await;
        // What expects no answer may still be under way.
        let _ = self.others.acquire_many(OTHER_POSTS).await;
    }

    /// Answers what still waits.
    pub(super) async fn give_up(&self, ended: &Result<OutwardEnd, OutwardError>) {
        let failure = at_the_end(ended);
        for request in self.pending.take_all() {
            self.say(Line::new(failure.line(&request.raw_id), None)).await;
        }
    }

    async fn refuse_long(&self, scan: &Scan, bytes: u64) {
        let text = format!(
            "the message has {bytes} bytes, more than the {} that are passed on",
            self.max_bytes
        );
        let failure = Failure::new("too_large", text);
        let is_request = |message: &&Envelope| message.kind == MessageKind::Request;
        let mut requests = scan.messages.iter().filter(is_request).peekable();
        if requests.peek().is_none() {
            self.note(failure.text.as_str());
        }
        for id in requests.filter_map(|request| request.id.as_ref()?.token()) {
            self.say(Line::new(failure.line(id.as_bytes()), None)).await;
        }
    }

    async fn take(self: &Arc<Self>, line: Bytes) {
        let scan = scan(&line);
        let first = scan.single();
        if first.is_some_and(|message| self.is_cancelled_by(message)) {
            return;
        }
        let requests = requests(&line, &scan);
        if self.pending.len() + requests.len() > self.max_requests {
            return self.refuse_many(requests).await;
        }
        let permits = if requests.is_empty() {
            &self.others
        } else {
            &self.requests
        };
        let Ok(permit) = Arc::clone(permits).acquire_owned().await else {
            return;
        };
        let is_handshake = first.is_some_and(era::is_legacy_handshake);
        if is_handshake {
            self.session().begin();
        }
        let (mut post, settled) = self.prepare(line, first, requests, is_handshake);
        post.is_handshake = is_handshake;
        let is_initialized =
            first.is_some_and(|message| message.method.as_deref() == Some("notifications/initialized"));
        let wait = match settled {
            Some(settled) if is_handshake => Wait::Answered(settled),
            _ if is_initialized => Wait::Accepted,
            _ => Wait::Sent,
        };
        self.send(post, permit, wait).await;
        if is_initialized {
            self.listen_if_agreed().await;
        }
    }

    async fn send(self: &Arc<Self>, post: Post, permit: OwnedSemaphorePermit, wait: Wait) {
        let (body, sent) = ToldBody::of(post.body.clone());
        let (done, accepted) = oneshot::channel::<()>();
        let outward = Arc::clone(self);
        self.start(async move {
            outward.exchange(post, body).await;
            drop((done, permit));
        })
        .await;
        // Each ends without a value: that is the sign.
        let _ = match wait {
            Wait::Sent => sent.await,
            Wait::Accepted => accepted.await,
            Wait::Answered(settled) => settled.await,
        };
    }

    /// Registers the requests of a message and finds its headers.
    fn prepare(
        &self,
        body: Bytes,
        first: Option<&Envelope>,
        requests: Vec<Found>,
        is_handshake: bool,
    ) -> (Post, Option<oneshot::Receiver<()>>) {
        let cancel = CancellationToken::new();
        let modern = first.filter(|message| era::is_modern(message));
        let modern = modern.filter(|message| message.method.is_some());
        let mut until = None;
        let mut tickets = Vec::with_capacity(requests.len());
        for found in requests {
            let request = Request {
                cancel: cancel.clone(),
                ..found.request
            };
            let (ticket, settled) = self.pending.add(found.id, request);
            tickets.push(ticket);
            until = Some(settled);
        }
        let mut headers = self.headers("application/json, text/event-stream");
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let stated = Stated {
            method: first.and_then(|message| message.method.as_deref()),
            revision: modern.and_then(era::stated_revision),
            is_handshake,
        };
        self.session().apply(stated, &body, &mut headers);
        let what = stated.method.unwrap_or("a message").to_owned();
        let post = Post {
            body,
            headers,
            tickets,
            what,
            is_modern: modern.is_some(),
            is_handshake,
            cancel,
        };
        (post, until)
    }

    /// Whether a message cancels a modern request, which is done by closing its POST; then there is nothing to send.
    fn is_cancelled_by(&self, message: &Envelope) -> bool {
        if message.method.as_deref() != Some("notifications/cancelled") {
            return false;
        }
        let Some(id) = message.fields.id(Field::ParamsRequestId) else {
            return false;
        };
        let Some(is_modern) = self.pending.with(id, |request| request.is_modern) else {
            return self.session().is_modern();
        };
        if let Some(request) = self.pending.settle(id)
            && is_modern
        {
            request.cancel.cancel();
        }
        is_modern
    }

    async fn refuse_many(&self, requests: Vec<Found>) {
        let text = format!("{} requests wait for their answers already", self.pending.len());
        let failure = Failure::new("too_many_requests", text);
        for found in requests {
            self.say(Line::new(failure.line(&found.request.raw_id), None))
                .await;
        }
    }
}

/// A request in a line.
struct Found {
    id: crate::codec::rpc_id::RpcId,
    request: Request,
}

/// The requests of a line, with their ids as they are spelled there.
fn requests(line: &Bytes, scan: &Scan) -> Vec<Found> {
    let whole = |message: &Envelope| {
        let start = usize::try_from(message.span.start).unwrap_or(usize::MAX);
        let end = usize::try_from(message.span.end).unwrap_or(usize::MAX);
        line.get(start..end)
    };
    let find = |message: &Envelope| {
        let id = message.id.clone().filter(|id| !id.is_null())?;
        let raw_id = find_path(whole(message)?, &[PathStep::Key("id")])?.into();
        let request = Request {
            raw_id,
            method: message.method.clone()?,
            is_modern: era::is_modern(message),
            is_first_page: message.fields.get(Field::ParamsCursor).is_none(),
            cancel: CancellationToken::new(),
        };
        Some(Found { id, request })
    };
    let messages = scan.messages.iter();
    messages
        .filter(|message| message.kind == MessageKind::Request)
        .filter_map(find)
        .collect()
}
