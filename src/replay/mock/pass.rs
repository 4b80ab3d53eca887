//! Requests that were not recorded, answered by a live server: for each session of a client one of its own there.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::event::one_line;
use super::lane::Lane;
use super::plan::Request;
use super::play::{Stage, answer};
use super::session::LiveSession;
use super::{MISSED, MockOptions, OnMiss};
use crate::codec::envelope::{Envelope, Field, MessageKind, scan};
use crate::codec::json::{PathStep, find_path, string_value};
use crate::codec::rpc_id::RpcId;
use crate::config::UpstreamConfig;
use crate::outward::{OutwardConfig, OutwardEnd, OutwardError, run};
use crate::recording::TextMask;
use crate::tasks::TaskKind;
use crate::transport::bridge::ids::{IdPlace, respelled};

/// Lines that wait for the live server.
const LINES: usize = 64;
/// Bytes that wait in each direction.
const PIPE_BYTES: usize = 64 * 1024;
/// How long a live server may take to agree on a session.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Why there is no answer if nothing else is known.
const ENDED: &str = "the connection to it has ended";
/// What our own handshake is called there.
const OWN_ID: &str = "\"shadowcat-replay\"";

/// The way to the live server, if there is one.
#[derive(Debug)]
pub(super) struct Passer {
    server: Option<Box<UpstreamConfig>>,
    max_message_bytes: usize,
}

/// The way of one session to the live server.
#[derive(Debug)]
pub(super) struct Link {
    lines: mpsc::Sender<Bytes>,
    shared: Arc<Mutex<Shared>>,
    /// The handshake there was ours; otherwise the client's own was passed on.
    is_shaken: bool,
    stop: CancellationToken,
}

/// Who waits for what.
#[derive(Debug, Default)]
struct Shared {
    waiting: HashMap<RpcId, Waiting>,
    /// Requests of the live server by our own ids.
    asked: HashMap<RpcId, RpcId>,
    /// Why nothing more can be said.
    gone: Option<String>,
}

#[derive(Debug)]
struct Waiting {
    answer: oneshot::Sender<Bytes>,
    lane: Option<Arc<Lane>>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Passer {
    pub(super) fn new(options: &MockOptions) -> Self {
        Self {
            server: match &options.on_miss {
                OnMiss::Pass(server) => Some(server.clone()),
                OnMiss::Error | OnMiss::Nearest => None,
            },
            max_message_bytes: options.limits.max_message_bytes,
        }
    }

    /// Lets the live server answer.
    ///
    /// # Errors
    /// [`PassFailure`] if it does not.
    pub(super) async fn pass(
        &self,
        core: &Arc<Core>,
        session: &Arc<LiveSession>,
        request: &Request,
        stage: &Stage<'_>,
    ) -> Result<Bytes, PassFailure> {
        let lane = match stage {
            Stage::Lane(lane) => Some(Arc::clone(lane)),
            Stage::Answer(_) => None,
        };
        let url = || {
            self.server
                .as_deref()
                .map(UpstreamConfig::shown_url)
                .unwrap_or_default()
        };
        let passed = if request.is_modern {
            // Ids of different clients without sessions may be the same, so each request has a way of its own.
            let link = self.open(core, session);
            match &link {
                Some(link) => link.ask(request.envelope.id.clone(), &request.text, lane).await,
                None => Err(String::new()),
            }
        } else {
            self.in_session(core, session, request, lane).await
        };
        passed
            .and_then(|answer| own_failure(&answer).map_or(Ok(answer), Err))
            .map_err(|reason| PassFailure { url: url(), reason })
    }

    async fn in_session(
        &self,
        core: &Arc<Core>,
        session: &Arc<LiveSession>,
        request: &Request,
        lane: Option<Arc<Lane>>,
    ) -> Result<Bytes, String> {
        let link = {
            let mut passed = session.passed.lock().await;
            match &*passed {
                Some(link) if lock(&link.shared).gone.is_none() => Arc::clone(link),
                _ => {
                    let mut link = self.open(core, session).ok_or_else(String::new)?;
                    link.is_shaken = request.method != "initialize";
                    if link.is_shaken {
                        link.shake_hands(&session.handshake()).await?;
                    }
                    Arc::clone(passed.insert(Arc::new(link)))
                }
            }
        };
        link.ask(request.envelope.id.clone(), &request.text, lane).await
    }

    fn open(&self, core: &Arc<Core>, session: &Arc<LiveSession>) -> Option<Link> {
        let server = self.server.as_deref()?.clone();
        let (ours_in, theirs_in) = duplex(PIPE_BYTES);
        let (ours_out, theirs_out) = duplex(PIPE_BYTES);
        let (lines, queue) = mpsc::channel(LINES);
        let shared = Arc::new(Mutex::new(Shared::default()));
        let stop = session.over.child_token();
        let config = OutwardConfig {
            max_message_bytes: self.max_message_bytes,
            ..OutwardConfig::new(server)
        };
        let link = Link {
            lines,
            shared: Arc::clone(&shared),
            is_shaken: true,
            stop: stop.clone(),
        };
        let (to, session) = (Arc::clone(core), Arc::clone(session));
        core.tasks.spawn(TaskKind::ClientStream, async move {
            let speaking = async {
                let ended = run(config, theirs_in, theirs_out, tokio::io::sink(), stop).await;
                lock(&shared).gone = Some(why(&ended));
            };
            let listening = listen(&to, &session, ours_out, &shared);
            // Its queue may never end, since whoever holds the link may yet have something to say.
            let writing = async {
                write(ours_in, queue).await;
                std::future::pending::<Infallible>().await
            };
            tokio::select! {
                ((), ()) = async { tokio::join!(speaking, listening) } => {}
                never = writing => match never {},
            }
        });
        Some(link)
    }

    /// Takes an answer or a notification of the client that is for the live server.
    pub(super) fn hear(&self, session: &LiveSession, text: &Bytes, envelope: &Envelope) {
        if self.server.is_none() {
            return;
        }
        let Ok(passed) = session.passed.try_lock() else {
            return;
        };
        if let Some(link) = passed.as_ref() {
            link.hear(text, envelope);
        }
    }
}

impl Link {
    /// # Errors
    /// Why there is no answer.
    async fn ask(&self, id: Option<RpcId>, text: &Bytes, lane: Option<Arc<Lane>>) -> Result<Bytes, String> {
        let (sender, answer) = oneshot::channel();
        let id = id.ok_or("the request has no id")?;
        {
            let mut shared = lock(&self.shared);
            if let Some(reason) = &shared.gone {
                return Err(reason.clone());
            }
            shared.waiting.insert(id, Waiting { answer: sender, lane });
        }
        let is_sent = self.lines.send(one_line(text)).await.is_ok();
        let heard = if is_sent { answer.await.ok() } else { None };
        heard.ok_or_else(|| {
            lock(&self.shared)
                .gone
                .clone()
                .unwrap_or_else(|| ENDED.to_owned())
        })
    }

    /// Begins a session there in the words of the client.
    ///
    /// # Errors
    /// Why there is none.
    async fn shake_hands(&self, params: &Value) -> Result<(), String> {
        let hello =
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{OWN_ID},\"method\":\"initialize\",\"params\":{params}}}");
        let hello = hello.into();
        let asked = self.ask(RpcId::parse(OWN_ID), &hello, None);
        let answer = tokio::time::timeout(HANDSHAKE, asked).await;
        let answer = answer.map_err(|_| format!("no answer to `initialize` within {HANDSHAKE:?}"))??;
        let is_agreed = scan(&answer)
            .single()
            .is_some_and(|answer| answer.kind == MessageKind::Result);
        if !is_agreed {
            let said = message_of_error(&answer).unwrap_or_default();
            return Err(own_failure(&answer).unwrap_or_else(|| format!("it refused `initialize`: {said}")));
        }
        let initialized = Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        let sent = self.lines.send(initialized).await;
        sent.map_err(|_| ENDED.to_owned())
    }

    fn hear(&self, text: &Bytes, envelope: &Envelope) {
        let line = match envelope.kind {
            MessageKind::Result | MessageKind::Error => {
                let Some(id) = &envelope.id else { return };
                let Some(theirs) = lock(&self.shared).asked.remove(id) else {
                    return;
                };
                let Some(spelled) = theirs.token() else { return };
                respelled(text, &[IdPlace::Id], id, spelled)
            }
            _ => {
                let cancelled = envelope.fields.id(Field::ParamsRequestId);
                let is_theirs = cancelled.is_some_and(|id| lock(&self.shared).waiting.remove(id).is_some());
                let is_handshake = envelope.method.as_deref() == Some("notifications/initialized");
                if !is_theirs && (self.is_shaken || !is_handshake) {
                    return;
                }
                text.clone()
            }
        };
        // A server that does not read gets no answers either.
        let _ = self.lines.try_send(one_line(&line));
    }
}

async fn write(mut pipe: DuplexStream, mut queue: mpsc::Receiver<Bytes>) {
    while let Some(line) = queue.recv().await {
        let line = [&line[..], b"\n"].concat();
        if pipe.write_all(&line).await.is_err() {
            return;
        }
    }
}

async fn listen(core: &Core, session: &LiveSession, pipe: DuplexStream, shared: &Mutex<Shared>) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        heard(core, session, shared, line.into()).await;
    }
    let mut shared = lock(shared);
    shared.gone.get_or_insert_with(|| ENDED.to_owned());
    shared.waiting.clear();
}

async fn heard(core: &Core, session: &LiveSession, shared: &Mutex<Shared>, text: Bytes) {
    let scanned = scan(&text);
    let Some(envelope) = scanned.messages.first() else {
        return;
    };
    if matches!(envelope.kind, MessageKind::Result | MessageKind::Error) {
        let waiting = envelope
            .id
            .as_ref()
            .and_then(|id| lock(shared).waiting.remove(id));
        if let Some(waiting) = waiting {
            // Whoever asked may have gone.
            let _ = waiting.answer.send(text);
        }
        return;
    }
    let lane = lock(shared)
        .waiting
        .values()
        .find_map(|waiting| waiting.lane.clone());
    let lane = lane.unwrap_or_else(|| Arc::clone(&session.own_lane));
    if envelope.kind == MessageKind::Request
        && let Some(theirs) = &envelope.id
    {
        let fresh = session.fresh_id();
        if let Some(key) = RpcId::parse(&fresh) {
            lock(shared).asked.insert(key, theirs.clone());
        }
        let text = respelled(&text, &[IdPlace::Id], theirs, &fresh);
        core.say(&lane, text, None).await;
    } else {
        core.say(&lane, text, None).await;
    }
}

/// Why the way to the live server is at its end.
fn why(ended: &Result<OutwardEnd, OutwardError>) -> String {
    match ended {
        Ok(OutwardEnd::SessionLost { cause }) => cause.clone(),
        Ok(_) => ENDED.to_owned(),
        Err(error) => error.to_string(),
    }
}

/// What our own side says in the place of an answer, because none came.
fn own_failure(answer: &[u8]) -> Option<String> {
    let origin = ["error", "data", "origin"].map(PathStep::Key);
    let is_ours = find_path(answer, &origin).is_some_and(|origin| origin == b"\"shadowcat\"");
    is_ours.then(|| message_of_error(answer)).flatten()
}

fn message_of_error(answer: &[u8]) -> Option<String> {
    let message = find_path(answer, &["error", "message"].map(PathStep::Key))?;
    Some(string_value(message).into_owned())
}

/// The live server did not answer.
#[derive(Debug)]
pub(super) struct PassFailure {
    url: String,
    reason: String,
}

impl fmt::Display for PassFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, reason } = self;
        if reason.contains(url.as_str()) {
            f.write_str(reason)
        } else {
            write!(f, "{url} did not answer: {reason}")
        }
    }
}

impl PassFailure {
    /// The same without the secrets of what it quotes.
    pub(super) fn masked(self, mask: &TextMask) -> Self {
        Self {
            url: mask.masked(&self.url),
            reason: mask.masked(&self.reason),
        }
    }

    /// What the client gets.
    pub(super) fn answer(&self, id: &str) -> Bytes {
        let error = json!({
            "code": MISSED,
            "message": format!("Not in the recording, and {self}"),
            "data": {"origin": "shadowcat", "reason": "upstream_failed", "upstream": self.url},
        });
        answer(id, "error", &error)
    }
}
