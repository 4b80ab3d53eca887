//! The proxy's side of a script that asks about held messages and decides about them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

use super::frame::Frame;
use super::link::{FrameReader, FrameWriter, LinkError};
use super::message::{Answered, FromProxy, MessageError, ToProxy, read_message};
use super::parts::{Parts, write_parts};
use crate::ids::HoldId;
use crate::intercept::hold::{Actor, Holds};
use crate::intercept::interceptor::InterceptCommand;
use crate::transport::hub::Hub;

/// Bytes of a question beside a message in it.
const QUESTION_BYTES: usize = 64 * 1024;
/// How long one who watches is told what becomes of the last messages when the proxy ends.
const LAST_NEWS: Duration = Duration::from_millis(500);

/// Answers what is asked over a link, until it ends or the engine stops.
pub(super) async fn serve(
    hub: &Arc<Hub>,
    mut reader: FrameReader,
    writer: FrameWriter,
) -> Result<(), LinkError> {
    let mut script = Script {
        holds: Arc::clone(&hub.interceptor.holds),
        // In JSON text a message takes twice its bytes at most: it has no control characters but line ends.
        question: Parts::new(
            hub.limits
                .max_message_bytes
                .saturating_mul(2)
                .saturating_add(QUESTION_BYTES),
        ),
        hub: Arc::clone(hub),
        writer,
        news: None,
        edits: BTreeSet::new(),
        is_saying: false,
    };
    let stopping = hub.tasks.stopping().clone();
    match stopping.run_until_cancelled(script.follow(&mut reader)).await {
        Some(ended) => ended,
        None => script.take_leave().await,
    }
}

struct Script {
    hub: Arc<Hub>,
    holds: Arc<Holds>,
    writer: FrameWriter,
    question: Parts,
    news: Option<News>,
    /// What it said it edits. If it goes in the middle of that, clocks run again.
    edits: BTreeSet<HoldId>,
    /// A word is begun, and would be torn by another.
    is_saying: bool,
}

/// What it was told so far.
struct News {
    changes: watch::Receiver<u64>,
    told: u64,
}

impl Drop for Script {
    fn drop(&mut self) {
        for id in &self.edits {
            // It may have left.
            let _ = self.holds.set_editing(*id, false);
        }
    }
}

impl Script {
    async fn follow(&mut self, reader: &mut FrameReader) -> Result<(), LinkError> {
        loop {
            tokio::select! {
                frame = reader.next() => match frame? {
                    Some(frame) => self.take(&frame).await?,
                    None => return Ok(()),
                },
                () = changed(&mut self.news) => self.tell_news().await?,
            }
        }
    }

    async fn take(&mut self, frame: &Frame) -> Result<(), LinkError> {
        match read_message(frame)? {
            ToProxy::Ask { is_last } => match self.question.take(&frame.payload, is_last) {
                Ok(None) => Ok(()),
                Ok(Some(question)) => {
                    let answer = self.answer(&question).await;
                    self.say(&answer, |is_last| FromProxy::Answer { is_last }).await
                }
                Err(error) => {
                    let refused = Answered::Refused(error.to_string());
                    self.say(&refused, |is_last| FromProxy::Answer { is_last })
                        .await?;
                    Err(error)
                }
            },
            ToProxy::Watch => {
                self.news = Some(News {
                    changes: self.holds.subscribe(),
                    told: self.holds.events(u64::MAX).newest,
                });
                // An empty word says that from here on nothing is missed.
                self.say(&self.holds.events(u64::MAX), |is_last| FromProxy::Events {
                    is_last,
                })
                .await
            }
            // Of other roles, or newer than this build.
            _ => Ok(()),
        }
    }

    async fn answer(&mut self, question: &[u8]) -> Answered {
        let command: InterceptCommand = match serde_json::from_slice(question) {
            Ok(command) => command,
            Err(_) => {
                return Answered::Refused(
                    "the proxy does not understand that; use the same version of shadowcat-tui on both sides"
                        .to_owned(),
                );
            }
        };
        self.note_edit(&command);
        match self.hub.interceptor.carry_out(command, Actor::Script).await {
            Ok(reply) => Answered::Done(reply),
            Err(reason) => Answered::Refused(reason),
        }
    }

    fn note_edit(&mut self, command: &InterceptCommand) {
        if let InterceptCommand::Editing { id, is_editing } = command {
            // Of those that have left nothing has to be remembered.
            self.edits.retain(|id| self.holds.detail(*id).is_ok());
            if *is_editing {
                self.edits.insert(*id);
            } else {
                self.edits.remove(id);
            }
        }
    }

    async fn tell_news(&mut self) -> Result<(), LinkError> {
        let Some(news) = &mut self.news else {
            return Ok(());
        };
        let events = self.holds.events(news.told);
        news.told = events.newest;
        if events.events.is_empty() {
            return Ok(());
        }
        self.say(&events, |is_last| FromProxy::Events { is_last }).await
    }

    async fn say<M: Serialize>(
        &mut self,
        what: &impl Serialize,
        message: impl Fn(bool) -> M,
    ) -> Result<(), LinkError> {
        let text = serde_json::to_vec(what).map_err(MessageError::from)?;
        self.is_saying = true;
        write_parts(&mut self.writer, &text, message).await?;
        self.is_saying = false;
        Ok(())
    }

    /// The engine ends. What was held goes on; whoever watches hears that.
    async fn take_leave(&mut self) -> Result<(), LinkError> {
        if self.is_saying {
            return Ok(());
        }
        let leaving = async {
            while self.news.is_some() && !self.holds.is_empty() {
                changed(&mut self.news).await;
                self.tell_news().await?;
            }
            self.tell_news().await?;
            self.writer.close().await
        };
        timeout(LAST_NEWS, leaving).await.unwrap_or(Ok(()))
    }
}

/// Waits for a change among held messages; for ever if nobody wants to know.
async fn changed(news: &mut Option<News>) {
    let is_changed = match news {
        Some(news) => news.changes.changed().await.is_ok(),
        None => false,
    };
    if !is_changed {
        std::future::pending::<()>().await;
    }
}
