//! Requests that were not recorded, answered by a live server: for each session of a client one of its own there.

use std::collections::HashMap;
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
use crate::codec::rpc_id::RpcId;
use crate::config::UpstreamConfig;
use crate::outward::{OutwardConfig, run};
use crate::tasks::TaskKind;
use crate::transport::bridge::ids::{IdPlace, respelled};

/// Lines that wait for the live server.
const LINES: usize = 64;
/// Bytes that wait in each direction.
const PIPE_BYTES: usize = 64 * 1024;
/// How long a live server may take to agree on a session.
const HANDSHAKE: Duration = Duration::from_secs(10);
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
    is_gone: bool,
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
    pub(super) async fn pass(
        &self,
        core: &Arc<Core>,
        session: &Arc<LiveSession>,
        request: &Request,
        stage: &Stage<'_>,
    ) -> Bytes {
        let lane = match stage {
            Stage::Lane(lane) => Some(Arc::clone(lane)),
            Stage::Answer(_) => None,
        };
        let passed = if request.is_modern {
            // Ids of different clients without sessions may be the same, so each request has a way of its own.
            match self.open(core, session) {
                Some(link) => link.ask(request.envelope.id.clone(), &request.text, lane).await,
                None => None,
            }
        } else {
            self.in_session(core, session, request, lane).await
        };
        passed.unwrap_or_else(|| unreachable(&request.id))
    }

    async fn in_session(
        &self,
        core: &Arc<Core>,
        session: &Arc<LiveSession>,
        request: &Request,
        lane: Option<Arc<Lane>>,
    ) -> Option<Bytes> {
        let link = {
            let mut passed = session.passed.lock().await;
            if passed.as_ref().is_none_or(|link| lock(&link.shared).is_gone) {
                let mut link = self.open(core, session)?;
                link.is_shaken = request.method != "initialize";
                let is_ready = !link.is_shaken || link.shake_hands(&session.handshake()).await;
                *passed = is_ready.then(|| Arc::new(link));
            }
            passed.clone()?
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
            let speaking = run(config, theirs_in, theirs_out, tokio::io::sink(), stop);
            let listening = listen(&to, &session, ours_out, &shared);
            let (ended, (), ()) = tokio::join!(speaking, listening, write(ours_in, queue));
            if let Err(error) = ended {
                tracing::warn!(%error, "requests that were not recorded cannot be passed on");
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
    async fn ask(&self, id: Option<RpcId>, text: &Bytes, lane: Option<Arc<Lane>>) -> Option<Bytes> {
        let (sender, answer) = oneshot::channel();
        let id = id?;
        {
            let mut shared = lock(&self.shared);
            if shared.is_gone {
                return None;
            }
            shared.waiting.insert(id, Waiting { answer: sender, lane });
        }
        self.lines.send(one_line(text)).await.ok()?;
        answer.await.ok()
    }

    /// Begins a session there in the words of the client.
    async fn shake_hands(&self, params: &Value) -> bool {
        let hello =
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{OWN_ID},\"method\":\"initialize\",\"params\":{params}}}");
        let hello = hello.into();
        let asked = self.ask(RpcId::parse(OWN_ID), &hello, None);
        let Ok(Some(answer)) = tokio::time::timeout(HANDSHAKE, asked).await else {
            return false;
        };
        let is_agreed = scan(&answer)
            .single()
            .is_some_and(|answer| answer.kind == MessageKind::Result);
        let initialized = Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        is_agreed && self.lines.send(initialized).await.is_ok()
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
    shared.is_gone = true;
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

/// What a client gets if the live server does not answer.
fn unreachable(id: &str) -> Bytes {
    let error = json!({
        "code": MISSED,
        "message": "Not in the recording, and the live server it was passed on to did not answer; look at the log, or leave out --on-miss",
        "data": {"origin": "shadowcat", "reason": "upstream_failed"},
    });
    answer(id, "error", &error)
}
