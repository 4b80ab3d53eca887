//! Says again what was said, with the ids of the live request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::core::Core;
use super::event::pieces;
use super::lane::Lane;
use super::library::{Block, Deed, Ending, Script, Step};
use super::plan::Request;
use super::session::LiveSession;
use crate::codec::envelope::{Field, scan};
use crate::transport::bridge::ids::{IdPlace, respelled};

/// Where the messages of a play go.
#[derive(Debug)]
pub(super) enum Stage<'a> {
    /// All into one stream.
    Lane(&'a Arc<Lane>),
    /// The answer is kept; what else there is goes to the session's own stream if somebody reads it.
    Answer(&'a mut Option<Bytes>),
}

impl Core {
    /// Plays a script for a request; true once it was answered or is over, which for a request without an answer
    /// is when it is cancelled.
    ///
    /// # Cancel safety
    /// Dropping it leaves the rest unsaid.
    pub(super) async fn play(
        &self,
        session: &LiveSession,
        request: &Request,
        script: &Script,
        mut stage: Stage<'_>,
    ) {
        let pace = self.options.pace;
        let last = script.steps.len().saturating_sub(1);
        for (place, step) in script.steps.iter().enumerate() {
            self.wait(pace.scaled(step.delay_us)).await;
            let is_answer = place == last && script.ending == Ending::Answered;
            self.step(session, (request, script), step, is_answer, &mut stage)
                .await;
        }
        if script.ending == Ending::Open {
            std::future::pending::<()>().await;
        }
    }

    async fn wait(&self, time: Duration) {
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
    }

    async fn step(
        &self,
        session: &LiveSession,
        (request, script): (&Request, &Script),
        step: &Step,
        is_answer: bool,
        stage: &mut Stage<'_>,
    ) {
        match &step.deed {
            Deed::Blank => self.put_blank(session, stage, step.block.as_ref()).await,
            Deed::Say(text) => {
                let Some(text) = bound(text, script, request) else {
                    return;
                };
                match stage {
                    Stage::Answer(answer) if is_answer => **answer = Some(text),
                    _ => self.put(session, stage, text, step.block.as_ref()).await,
                }
            }
            Deed::Ask {
                text,
                id,
                method,
                answer,
            } => {
                let can_be_heard = match stage {
                    Stage::Lane(_) => true,
                    Stage::Answer(_) => session.own_lane.has_reader(),
                };
                if request.is_modern || !can_be_heard || !session.can_be_asked(method, text) {
                    tracing::info!(%method, "a recorded request of the server is left out: this client cannot be asked it");
                    return;
                }
                let (live, mut asked) = session.ask();
                let text = id
                    .as_ref()
                    .map_or_else(|| text.clone(), |id| respelled(text, &[IdPlace::Id], id, &live));
                self.put(session, stage, text, step.block.as_ref()).await;
                let heard = asked.answer().await;
                if let (Some(heard), Some(recorded)) = (&heard, answer)
                    && !is_same_answer(recorded, heard)
                {
                    tracing::info!(%method, "the client answered otherwise than in the recording; what follows is as recorded");
                }
            }
        }
    }

    /// An event without a message. On the one channel of a session nobody would know what to make of it.
    async fn put_blank(&self, session: &LiveSession, stage: &Stage<'_>, block: Option<&Block>) {
        if let Stage::Lane(lane) = stage
            && !Arc::ptr_eq(lane, &session.own_lane)
        {
            self.say(lane, Bytes::new(), block).await;
        }
    }

    async fn put(&self, session: &LiveSession, stage: &Stage<'_>, text: Bytes, block: Option<&Block>) {
        match stage {
            Stage::Lane(lane) => self.say(lane, text, block).await,
            Stage::Answer(_) if session.own_lane.has_reader() && !text.is_empty() => {
                self.say(&session.own_lane, text, None).await;
            }
            Stage::Answer(_) => {}
        }
    }

    /// Says something on a stream.
    pub(super) async fn say(&self, lane: &Lane, text: Bytes, block: Option<&Block>) {
        let pace = self.options.pace;
        let message = text.clone();
        // An id from which nothing can be resumed would lead astray.
        let block = block.filter(|block| lane.event_id(0).is_some() || !block.has_id());
        let make = |number: u64| {
            let id = lane.event_id(number);
            pieces(block, &message, id.as_deref(), |us| pace.within_an_event(us))
        };
        lane.say(text, make).await;
    }

    /// Says what the server said on its own, once the handshake is done. What it asks is not waited for.
    pub(super) async fn monologue(&self, session: &LiveSession) {
        let Some(monologue) = session
            .recorded()
            .and_then(|place| self.library.monologues.get(place))
        else {
            return;
        };
        let pace = self.options.pace;
        for step in &monologue.steps {
            self.wait(pace.scaled(step.delay_us)).await;
            let text = match &step.deed {
                Deed::Say(text) => text.clone(),
                Deed::Ask { text, id, method, .. } if session.can_be_asked(method, text) => {
                    let (live, _) = session.ask();
                    id.as_ref()
                        .map_or_else(|| text.clone(), |id| respelled(text, &[IdPlace::Id], id, &live))
                }
                Deed::Ask { .. } | Deed::Blank => continue,
            };
            self.say(&session.own_lane, text, step.block.as_ref()).await;
        }
    }
}

/// A recorded message with the ids and tokens of the live request. `None` for progress that nobody asked for.
fn bound(text: &Bytes, script: &Script, request: &Request) -> Option<Bytes> {
    let scanned = scan(text);
    let envelope = scanned.messages.first()?;
    let mut text = text.clone();
    if let Some(told) = envelope.fields.id(Field::ParamsProgressToken)
        && envelope.method.as_deref() == Some("notifications/progress")
        && Some(told) == script.token.as_ref()
    {
        let live = request.token.as_ref()?;
        return Some(respelled(&text, &[IdPlace::ToldToken], told, live));
    }
    if let Some(id) = &script.id {
        text = respelled(&text, places(envelope.method.as_deref()), id, &request.id);
    }
    Some(text)
}

const fn places(method: Option<&str>) -> &'static [IdPlace] {
    match method {
        Some(_) => &[IdPlace::RequestId, IdPlace::Subscription],
        None => &[IdPlace::Id, IdPlace::EndedSubscription],
    }
}

/// Whether a client answered as recorded, as far as secrets let that be told.
fn is_same_answer(recorded: &[u8], heard: &[u8]) -> bool {
    let outcome = |text: &[u8]| {
        let mut value: Value = serde_json::from_slice(text).unwrap_or_default();
        if let Some(members) = value.as_object_mut() {
            members.remove("id");
            members.remove("jsonrpc");
        }
        value
    };
    crate::replay::alike::are_alike(&outcome(recorded), &outcome(heard))
}

/// An answer with an id as spelled.
pub(super) fn answer(id: &str, member: &str, value: &Value) -> Bytes {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"{member}\":{value}}}").into()
}
