//! What all carriers of a mock server share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::MockOptions;
use super::lane::Lane;
use super::library::Library;
use super::pass::Passer;
use super::plan::{Plan, Request};
use super::play::{Stage, answer};
use super::record::{Journal, MockCall};
use super::session::LiveSession;
use crate::clock::Clock;
use crate::codec::envelope::{Envelope, Field, MessageKind};
use crate::recording::TextMask;
use crate::replay::tape::Tape;
use crate::tasks::{TaskKind, Tasks};

/// What all carriers of a mock server share.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) options: MockOptions,
    pub(super) library: Library,
    /// What each recorded session agreed on.
    pub(super) revisions: HashMap<usize, String>,
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    /// Clients without sessions.
    pub(super) everybody: Arc<LiveSession>,
    sessions: Mutex<Sessions>,
    labels: AtomicU64,
    pub(super) passer: Passer,
    /// Keeps secrets out of what we say ourselves.
    pub(super) mask: TextMask,
}

#[derive(Debug, Default)]
struct Sessions {
    by_id: HashMap<Arc<str>, (u64, Arc<LiveSession>)>,
    /// Oldest first.
    ages: BTreeMap<u64, Arc<str>>,
    count: u64,
}

impl Core {
    pub(super) fn new(tape: &Tape, options: MockOptions, tasks: Tasks) -> Self {
        let revision = |(place, session): (usize, &crate::replay::tape::TapeSession)| {
            Some((place, session.revision.clone()?))
        };
        let everybody = LiveSession::new(
            String::new(),
            None,
            Lane::new(None, &options.limits),
            tasks.stopping(),
        );
        Self {
            library: Library::new(tape),
            revisions: tape.sessions.iter().enumerate().filter_map(revision).collect(),
            journal: Journal::default(),
            clock: Clock::start(),
            everybody: Arc::new(everybody),
            sessions: Mutex::default(),
            labels: AtomicU64::new(0),
            passer: Passer::new(&options),
            mask: TextMask::random_or_stars().with_patterns(options.redact.clone()),
            options,
            tasks,
        }
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session for a client. `id` is what the client calls it by; the oldest goes if there are too many.
    pub(super) fn open(&self, id: Option<Arc<str>>, has_event_ids: bool) -> Arc<LiveSession> {
        let label = format!("S{}", self.labels.fetch_add(1, Ordering::Relaxed) + 1);
        let lane = Lane::new(has_event_ids.then_some(0), &self.options.limits);
        let session = LiveSession::new(label, id.clone(), lane, self.tasks.stopping());
        let session = Arc::new(session);
        if let Some(id) = id {
            let mut sessions = self.sessions();
            if sessions.by_id.len() >= self.options.limits.max_sessions
                && let Some((_, oldest)) = sessions.ages.pop_first()
                && let Some((_, oldest)) = sessions.by_id.remove(&oldest)
            {
                oldest.over.cancel();
            }
            sessions.count += 1;
            let age = sessions.count;
            sessions.ages.insert(age, Arc::clone(&id));
            sessions.by_id.insert(id, (age, Arc::clone(&session)));
        }
        session
    }

    pub(super) fn session(&self, id: &str) -> Option<Arc<LiveSession>> {
        self.sessions()
            .by_id
            .get(id)
            .map(|(_, session)| Arc::clone(session))
    }

    /// The session is over.
    pub(super) fn close(&self, id: &str) {
        let mut sessions = self.sessions();
        if let Some((age, session)) = sessions.by_id.remove(id) {
            sessions.ages.remove(&age);
            session.over.cancel();
        }
    }

    /// Takes an answer or a notification of a client.
    pub(super) fn hear(self: &Arc<Self>, session: &Arc<LiveSession>, text: &Bytes, envelope: &Envelope) {
        match (envelope.kind, envelope.method.as_deref()) {
            (MessageKind::Result | MessageKind::Error, _) => {
                if let Some(id) = &envelope.id {
                    session.answered(id, text.clone());
                }
            }
            (_, Some("notifications/cancelled")) => {
                if let Some(id) = envelope.fields.id(Field::ParamsRequestId) {
                    session.cancel(id);
                }
            }
            (_, Some("notifications/initialized")) => self.tell(session),
            _ => {}
        }
        self.passer.hear(session, text, envelope);
    }

    /// Begins to say what the server said on its own.
    fn tell(self: &Arc<Self>, session: &Arc<LiveSession>) {
        if !session.is_to_be_told() {
            return;
        }
        let (core, session) = (Arc::clone(self), Arc::clone(session));
        self.tasks.spawn(TaskKind::ClientStream, async move {
            let over = session.over.clone();
            over.run_until_cancelled(core.monologue(&session)).await;
        });
    }

    /// Answers a request on a stream, which ends with it unless it is the session's own. The token cancels it.
    pub(super) fn perform(
        self: &Arc<Self>,
        session: &Arc<LiveSession>,
        request: Request,
        plan: Plan,
        lane: Arc<Lane>,
    ) -> tokio_util::sync::CancellationToken {
        let running = session.run(request.envelope.id.clone());
        let cancelled = running.cancelled.clone();
        let (core, session) = (Arc::clone(self), Arc::clone(session));
        self.tasks.spawn(TaskKind::ClientStream, async move {
            let answering = core.answer_into(&session, &request, &plan, Stage::Lane(&lane));
            running.cancelled.run_until_cancelled(answering).await;
            if !Arc::ptr_eq(&lane, &session.own_lane) {
                lane.end();
            }
        });
        cancelled
    }

    /// Answers several requests on one stream, one after the other.
    pub(super) fn perform_all(
        self: &Arc<Self>,
        session: &Arc<LiveSession>,
        planned: Vec<(Request, Plan)>,
        lane: Arc<Lane>,
    ) {
        let (core, session) = (Arc::clone(self), Arc::clone(session));
        self.tasks.spawn(TaskKind::ClientStream, async move {
            for (request, plan) in planned {
                let running = session.run(request.envelope.id.clone());
                let answering = core.answer_into(&session, &request, &plan, Stage::Lane(&lane));
                running.cancelled.run_until_cancelled(answering).await;
            }
            lane.end();
        });
    }

    /// Answers a request.
    pub(super) async fn answer_into(
        self: &Arc<Self>,
        session: &Arc<LiveSession>,
        request: &Request,
        plan: &Plan,
        stage: Stage<'_>,
    ) {
        tokio::time::sleep(self.options.pace.before()).await;
        let said = match plan {
            Plan::Play(script) => {
                let script = &self.library.scripts[*script];
                return self.play(session, request, script, stage).await;
            }
            Plan::Pass(call) => self.passed(session, request, call.as_deref(), &stage).await,
            Plan::Result(result) => answer(&request.id, "result", result),
            Plan::Error { error, .. } => answer(&request.id, "error", error),
        };
        match stage {
            Stage::Lane(lane) => self.say(lane, said, None).await,
            Stage::Answer(answer) => *answer = Some(said),
        }
    }
}

impl Core {
    /// The live server's answer, or an error that says why there is none. The call is taken down before it is told.
    async fn passed(
        self: &Arc<Self>,
        session: &Arc<LiveSession>,
        request: &Request,
        call: Option<&MockCall>,
        stage: &Stage<'_>,
    ) -> Bytes {
        let mut row = call.map(|call| self.journal.later(call.clone()));
        match self.passer.pass(self, session, request, stage).await {
            Ok(answer) => answer,
            Err(failure) => {
                let failure = failure.masked(&self.mask);
                tracing::warn!(method = %request.method, "{failure}");
                if let Some(row) = &mut row {
                    row.fail(failure.to_string());
                }
                failure.answer(&request.id)
            }
        }
    }
}

/// An id that nobody can guess, in visible ASCII. `None` if the system has no random bytes.
pub(super) fn mint() -> Option<Arc<str>> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(digits.concat().into())
}
