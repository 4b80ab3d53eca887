//! A recorded client talks to a live server, one session long. Lines in, lines out: what carries them is not known here.

mod asked;
mod said;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, sleep_until};
use tokio_util::codec::{AnyDelimiterCodec, AnyDelimiterCodecError, FramedRead};

use said::Said;

use super::DriveOptions;
use super::asks::Asks;
use super::bind::{Bindings, tags};
use super::call::{Call, End, State, Stray};
use super::message::{
    OwnFailure, failure_of_ours, fresh, refusal, shortened, status_of_task, with_request_id,
};
use super::plan::{Act, SessionPlan, Step};
use crate::clock::{Clock, Timestamp};
use crate::codec::envelope::{Envelope, Field, MessageKind, Shape, scan};
use crate::codec::json::{PathStep, find_path};
use crate::codec::rpc_id::RpcId;
use crate::outward::Statuses;
use crate::replay::compare::{CallEnd, Comparison, Lack, Moments, Row, compare, is_result, text_at};
use crate::session::describe::error_code;

/// How long a cancellation waits for what the client had heard before it.
const HEARD: Duration = Duration::from_secs(2);
/// How often a task is asked for unless its server says, and how seldom at most.
const POLL: Duration = Duration::from_millis(200);
const LONGEST_POLL: Duration = Duration::from_secs(2);
/// Why an answer may differ although the server is the same.
const REPEATS_TAGS: &str =
    "the answer repeats a tag that was sent in the place of a secret; --secret-env supplies the secret";
/// Why nothing follows a handshake that failed.
const NO_HANDSHAKE: &str = "there was no handshake";
/// Far from now.
const LONG: Duration = Duration::from_hours(1);

/// A conversation under way.
pub(super) struct Talk<'a> {
    plan: &'a SessionPlan,
    options: &'a DriveOptions,
    bindings: Bindings,
    calls: Vec<Call>,
    asks: Asks<'a>,
    by_id: HashMap<RpcId, usize>,
    by_token: HashMap<RpcId, usize>,
    /// Those that are sent and have no answer.
    open: BTreeSet<usize>,
    /// So many of the answers at the start of [`SessionPlan::answer_order`] are here, or are not waited for.
    arrived: usize,
    /// The step that is to be taken next.
    next: usize,
    /// What is said so far of a batch, which is one document.
    batch: Option<Vec<Vec<u8>>>,
    /// Since when a cancellation waits, or everything is done.
    waiting_since: Option<Instant>,
    began: Instant,
    clock: Clock,
    last_id: u64,
    outbox: BytesMut,
    extra: Vec<Row>,
    /// When the handshake was done.
    greeted: Option<Instant>,
    /// The server asks for roots, which the recording may have been too short for.
    has_early_end: bool,
    /// The server has answered at least once.
    has_answered: bool,
    /// Why it could not be reached.
    unreachable: Option<String>,
    /// The statuses of answers, where what carries them has any.
    statuses: Arc<Statuses>,
    /// What the server said that is no message.
    stray: Stray,
    /// It is over before its time.
    over: Option<End>,
}

impl<'a> Talk<'a> {
    pub(super) fn new(plan: &'a SessionPlan, options: &'a DriveOptions) -> Self {
        let mut bindings = Bindings::default();
        for (tag, value) in &options.secrets {
            bindings.supply(tag, value);
        }
        plan.each_brought(&mut |tag, _, _| bindings.brings(tag.to_owned()));
        let elicited = plan.asks.iter().map(|ask| &ask.request);
        let answers = plan.calls.iter().filter_map(|call| call.answer.as_ref());
        // Nothing but what is supplied needs to know.
        for recorded in elicited.chain(answers).filter(|_| !options.secrets.is_empty()) {
            bindings.expect_numbers(recorded);
        }
        Self {
            plan,
            options,
            bindings,
            calls: plan.calls.iter().map(|_| Call::default()).collect(),
            asks: Asks::new(&plan.asks),
            by_id: HashMap::new(),
            by_token: HashMap::new(),
            open: BTreeSet::new(),
            arrived: 0,
            next: 0,
            batch: None,
            waiting_since: None,
            began: Instant::now(),
            clock: Clock::start(),
            last_id: 0,
            outbox: BytesMut::new(),
            extra: Vec::new(),
            greeted: None,
            has_early_end: false,
            has_answered: false,
            unreachable: None,
            statuses: Arc::default(),
            stray: Stray::default(),
            over: None,
        }
    }

    /// Rows of a session that was not begun.
    pub(super) fn unsent(plan: &'a SessionPlan, options: &'a DriveOptions, end: &End) -> Vec<Row> {
        Self::new(plan, options).rows(end)
    }

    /// With the statuses of answers, which are taken from there.
    pub(super) fn noting(self, statuses: Arc<Statuses>) -> Self {
        Self { statuses, ..self }
    }

    /// Says everything and hears the answers, until that is done, the server ends it, or somebody stops it. Dropped are
    /// input and output then.
    pub(super) async fn say_all(
        mut self,
        input: impl AsyncRead + Unpin,
        mut output: impl AsyncWrite + Unpin,
    ) -> Said<'a> {
        let codec = AnyDelimiterCodec::new_with_max_length(
            b"\n".to_vec(),
            Vec::new(),
            self.options.max_message_bytes,
        );
        let mut lines = FramedRead::new(input, codec);
        let end = loop {
            if self.over.is_none() {
                self.advance();
            }
            if let Some(over) = self.over.take() {
                break over;
            }
            if self.is_done() && self.outbox.is_empty() {
                break End::Whole;
            }
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = self.options.stop.cancelled() => break End::Interrupted,
                written = output.write_buf(&mut self.outbox), if !self.outbox.is_empty() => {
                    if let Err(error) = written {
                        self.hear_rest(&mut lines).await;
                        break End::ByServer(format!("the server does not read any more: {error}"));
                    }
                }
                line = lines.next() => match self.take(line) {
                    Ok(()) => {}
                    Err(why) => break End::ByServer(why),
                },
                () = sleep_until(deadline) => self.time_passed(),
            }
        };
        Said { talk: self, end }
    }

    /// Hears a line.
    ///
    /// # Errors
    /// Why there are no more.
    fn take(&mut self, line: Option<Result<Bytes, AnyDelimiterCodecError>>) -> Result<(), String> {
        match line {
            Some(Ok(line)) => self.hear(&line),
            Some(Err(AnyDelimiterCodecError::MaxChunkLengthExceeded)) => {
                let most = self.options.max_message_bytes;
                return Err(format!("the server sent a message longer than {most} bytes"));
            }
            Some(Err(AnyDelimiterCodecError::Io(error))) => {
                return Err(format!("the server's messages cannot be read: {error}"));
            }
            None => return Err("the server ended the connection".to_owned()),
        }
        Ok(())
    }

    /// Takes every step whose turn it is.
    fn advance(&mut self) {
        while let Some(step) = self.plan.steps.get(self.next) {
            let is_within = step.batch.is_some() && step.batch == self.batch_of_step_before();
            if !is_within {
                self.end_batch();
                if !self.is_ready(step) {
                    return;
                }
                self.batch = step.batch.map(|_| Vec::new());
            }
            self.waiting_since = None;
            self.next += 1;
            match &step.act {
                Act::Request(call) => self.ask(*call),
                Act::Notify(text) => self.notify(text),
                Act::Cancel { call, text, .. } => self.cancel(*call, text.as_deref()),
            }
        }
        self.end_batch();
    }

    fn is_ready(&mut self, step: &Step) -> bool {
        // Anew for each step: a request that cannot be sent is settled at once, and nothing comes that would wake us.
        self.count_arrived();
        step.after_answers <= self.arrived
            && self.due(step.us) <= Instant::now()
            && self.has_heard_enough(&step.act)
    }

    fn batch_of_step_before(&self) -> Option<(usize, usize)> {
        self.plan.steps.get(self.next.checked_sub(1)?)?.batch
    }

    /// Says what was kept for one document.
    fn end_batch(&mut self) {
        let Some(batch) = self.batch.take().filter(|batch| !batch.is_empty()) else {
            return;
        };
        self.outbox.extend_from_slice(b"[");
        self.outbox.extend_from_slice(&batch.join(&b","[..]));
        self.outbox.extend_from_slice(b"]\n");
    }

    fn count_arrived(&mut self) {
        while let Some(call) = self.plan.answer_order.get(self.arrived)
            && (self.is_settled(*call) || !self.is_awaited(*call))
        {
            self.arrived += 1;
        }
    }

    /// When a step may be taken if the pace is that of the recording.
    fn due(&self, us: i64) -> Instant {
        let (Some(speed), Some(first)) = (self.options.speed, self.plan.steps.first()) else {
            return self.began;
        };
        let micros = u64::try_from(us.saturating_sub(first.us)).unwrap_or(0);
        self.began + Duration::from_micros(micros).div_f64(speed)
    }

    /// What was given up in the middle is given up in the middle again.
    fn has_heard_enough(&mut self, act: &Act) -> bool {
        let Act::Cancel {
            call, after_heard, ..
        } = act
        else {
            return true;
        };
        if self.calls[*call].heard >= *after_heard || self.is_settled(*call) {
            return true;
        }
        self.waiting_since.get_or_insert_with(Instant::now).elapsed() >= HEARD
    }

    fn ask(&mut self, call: usize) {
        let planned = &self.plan.calls[call];
        let request = match self.bindings.applied(&planned.request) {
            Ok(request) => request,
            Err(gone) => {
                let reason = format!(
                    "not sent: it needs `{}`, which was {}, and the server gives none there now",
                    shortened(&gone.handle),
                    gone.place
                );
                let failure = OwnFailure {
                    text: reason,
                    end: CallEnd {
                        status: None,
                        lack: Lack::Other,
                    },
                };
                return self.settle(call, State::NotSent(failure));
            }
        };
        self.last_id += 1;
        let fresh = fresh(&request, self.last_id);
        if let Some(id) = RpcId::parse(&fresh.id) {
            self.by_id.insert(id, call);
        }
        if let Some(token) = fresh.token.as_deref().and_then(RpcId::parse) {
            self.by_token.insert(token, call);
        }
        let now = Instant::now();
        self.open.insert(call);
        let state = &mut self.calls[call];
        state.state = State::Open;
        state.id = Some(fresh.id);
        state.since = Some(now);
        state.began.get_or_insert(now);
        state.poll_at = None;
        self.say(&fresh.text);
    }

    fn notify(&mut self, text: &[u8]) {
        if text_at(text, &["method"]).as_deref() == Some("notifications/initialized") {
            self.greeted.get_or_insert_with(Instant::now);
        }
        let text = self.bindings.translated(text);
        self.say(&text);
    }

    fn cancel(&mut self, call: usize, text: Option<&[u8]>) {
        let state = &mut self.calls[call];
        let Some(id) = &state.id else {
            return;
        };
        state.is_cancelled = true;
        let text = match text {
            Some(text) => with_request_id(text, id),
            None => format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
            )
            .into_bytes(),
        };
        self.say(&text);
    }

    fn say(&mut self, text: &[u8]) {
        let text = crate::codec::json::compact(text);
        if let Some(batch) = &mut self.batch {
            return batch.push(text);
        }
        self.outbox.extend_from_slice(&text);
        self.outbox.extend_from_slice(b"\n");
    }

    fn hear(&mut self, line: &Bytes) {
        let scan = scan(line);
        let is_message = |envelope: &Envelope| {
            let is_answer = matches!(envelope.kind, MessageKind::Result | MessageKind::Error);
            let is_to_nobody = envelope.id.as_ref().is_none_or(RpcId::is_null);
            envelope.kind != MessageKind::Malformed && !(is_answer && is_to_nobody)
        };
        if scan.shape != Shape::Empty && !scan.messages.iter().any(is_message) {
            self.stray.add(line);
        }
        for envelope in scan.messages {
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(line.len());
            let (start, end) = (place(envelope.span.start), place(envelope.span.end));
            let text = line.slice(start..end.max(start));
            match envelope.kind {
                MessageKind::Result | MessageKind::Error => self.answered(&envelope, &text),
                MessageKind::Request => self.asked(&envelope, &text),
                MessageKind::Notification => self.heard(&envelope),
                MessageKind::Malformed => {}
            }
        }
    }

    fn heard(&mut self, envelope: &Envelope) {
        let fields = &envelope.fields;
        let by_token = fields
            .id(Field::ParamsProgressToken)
            .and_then(|token| self.by_token.get(token));
        let by_id = fields
            .id(Field::MetaSubscriptionId)
            .and_then(|id| self.by_id.get(id));
        if let Some(call) = by_token.or(by_id) {
            let call = &mut self.calls[*call];
            call.heard += 1;
            call.since = Some(Instant::now());
        }
    }

    fn answered(&mut self, envelope: &Envelope, text: &Bytes) {
        let call = envelope.id.as_ref().and_then(|id| self.by_id.get(id).copied());
        let Some(call) = call.filter(|call| self.calls[*call].state == State::Open) else {
            return;
        };
        let status = envelope.id.as_ref().and_then(|id| self.statuses.take(id));
        if let Some(failure) = failure_of_ours(text) {
            return self.failed(call, failure.with_status(status));
        }
        self.has_answered = true;
        if self.is_to_be_polled(call, text) {
            return;
        }
        self.calls[call].compared = self.compared_answer(call, text, status);
        if !self.calls[call].is_cancelled {
            self.calls[call].early_error = refusal(text);
        }
        let planned = &self.plan.calls[call];
        if let Some(recorded) = &planned.answer {
            let result = |text| find_path(text, &[PathStep::Key("result")]);
            if let Some(was) = result(recorded) {
                let title = format!("{} {}", planned.method, planned.about);
                self.bindings
                    .learn(was, result(text).unwrap_or_default(), title.trim_end());
            }
        }
        self.settle(call, State::Answered);
        if let (true, Some(refusal)) = (planned.must_succeed(), refusal(text)) {
            self.over = Some(End::Refused {
                why: format!("the server answered {} with {refusal}", planned.method),
                briefly: NO_HANDSHAKE,
                advice: planned.advice_if_refused(error_code(envelope)),
            });
        }
    }

    /// What tells an answer from the recorded one; without such a one, the status alone.
    fn compared_answer(&self, call: usize, text: &Bytes, status: Option<u16>) -> Comparison {
        let planned = &self.plan.calls[call];
        let live = CallEnd {
            status,
            ..CallEnd::default()
        };
        match &planned.answer {
            Some(recorded) => {
                let ending = planned.end.against_answered(live, is_result(text));
                let mut found = self.compared(&planned.method, (recorded, planned.answered_at), text);
                if !found.is_same() && tags(&String::from_utf8_lossy(text)).next().is_some() {
                    found.remarks.push(REPEATS_TAGS.to_owned());
                }
                found.ending(ending)
            }
            None => Comparison::default().ending(planned.end.against_unanswered(live)),
        }
    }

    fn settle(&mut self, call: usize, state: State) {
        self.calls[call].state = state;
        self.open.remove(&call);
    }

    /// No answer of the server's came. Without a handshake, and without a server, nothing else is worth a try.
    fn failed(&mut self, call: usize, failure: OwnFailure) {
        let planned = &self.plan.calls[call];
        let why = failure.text.clone();
        let is_unreachable = failure.is_unreachable();
        let advice = planned.advice(failure.end, failure.advice());
        if is_unreachable && !self.has_answered {
            self.unreachable.get_or_insert_with(|| why.clone());
        }
        let was_unreachable = planned.answer.is_none() && planned.end.lack == Lack::Unreachable;
        let is_hopeless = planned.must_succeed() || (self.unreachable.is_some() && !was_unreachable);
        self.settle(
            call,
            if is_unreachable {
                State::NotSent(failure)
            } else {
                State::Failed(failure)
            },
        );
        if is_hopeless {
            let briefly = if is_unreachable {
                "the server could not be reached"
            } else {
                NO_HANDSHAKE
            };
            self.over.get_or_insert(End::Refused { why, briefly, advice });
        }
    }

    fn compared(&self, method: &str, (recorded, at): (&[u8], Option<Timestamp>), live: &[u8]) -> Comparison {
        let is_under_way =
            |text| method == "tasks/get" && status_of_task(text).is_some_and(|task| !task.is_final);
        if is_under_way(recorded) {
            // How far a task is when it is asked for is chance.
            return Comparison::default();
        }
        let recorded = self.bindings.translated(recorded);
        compare(method, &recorded, live, self.moments(at), &self.options.compare)
    }

    /// That of a recorded message, and this one.
    fn moments(&self, recorded: Option<Timestamp>) -> Moments {
        Moments {
            recorded,
            live: Some(self.clock.now()),
        }
    }

    /// A task that was done in the recording is asked for until it is done here.
    fn is_to_be_polled(&mut self, call: usize, text: &[u8]) -> bool {
        let planned = &self.plan.calls[call];
        let recorded = planned.answer.as_deref().and_then(status_of_task);
        let (Some(recorded), Some(live)) = (recorded, status_of_task(text)) else {
            return false;
        };
        let is_wanted = planned.method == "tasks/get" && recorded.is_final && !live.is_final;
        let began = self.calls[call].began;
        if !is_wanted || began.is_some_and(|began| began.elapsed() >= self.options.timeout) {
            return false;
        }
        let pause = live.poll.unwrap_or(POLL).min(LONGEST_POLL);
        self.calls[call].poll_at = Some(Instant::now() + pause);
        true
    }

    fn is_settled(&self, call: usize) -> bool {
        self.calls[call].is_settled()
    }

    /// Whether somebody waits for the answer. One that the recording lacks may come now; only that of a subscription
    /// is its end, which nobody waits for.
    ///
    /// Source: MCP 2026-07-28, Subscriptions.
    fn is_awaited(&self, call: usize) -> bool {
        let planned = &self.plan.calls[call];
        let is_endless = planned.answer.is_none() && planned.method == "subscriptions/listen";
        !planned.is_cancelled && !is_endless
    }

    fn is_done(&mut self) -> bool {
        let is_waiting = self.open.iter().any(|call| self.is_awaited(*call));
        if self.next < self.plan.steps.len() || is_waiting {
            return false;
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        self.asks.are_all_met() || self.lingers_until(since) <= Instant::now()
    }

    /// When something is to be done even if nobody says anything.
    fn deadline(&self) -> Instant {
        let far = Instant::now() + LONG;
        let answers = self.open.iter().filter_map(|call| {
            let state = &self.calls[*call];
            let patience = state.since.filter(|_| self.is_awaited(*call));
            state
                .poll_at
                .or(patience.map(|since| since + self.options.timeout))
        });
        let step = self.plan.steps.get(self.next).map(|step| self.due(step.us));
        let step = step.filter(|due| *due > Instant::now());
        let waiting = self.waiting_since.map(|since| {
            if self.next < self.plan.steps.len() {
                since + HEARD
            } else {
                self.lingers_until(since)
            }
        });
        answers.chain(step).chain(waiting).min().unwrap_or(far)
    }

    fn time_passed(&mut self) {
        let now = Instant::now();
        for call in self.open.clone() {
            let state = &self.calls[call];
            if state.poll_at.is_some_and(|at| at <= now) {
                self.ask(call);
            } else if state.poll_at.is_none()
                && self.is_awaited(call)
                && state
                    .since
                    .is_some_and(|since| since + self.options.timeout <= now)
            {
                let failure = OwnFailure {
                    text: format!("no answer within {:?}", self.options.timeout),
                    end: CallEnd {
                        status: None,
                        lack: Lack::Silence,
                    },
                };
                self.failed(call, failure);
            }
        }
    }

    fn rows(mut self, end: &End) -> Vec<Row> {
        let mut rows = Vec::new();
        for (planned, call) in self.plan.calls.iter().zip(self.calls) {
            if !planned.is_means() {
                rows.push(call.row(planned, &self.plan.name, end));
            }
        }
        rows.append(&mut self.extra);
        rows.extend(self.asks.rows(&self.plan.name, end));
        rows
    }
}
