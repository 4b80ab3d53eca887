//! A body on its way and the rules that are asked about it.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Frame;

use crate::session::observation::Observation;
use crate::snapshot::EndKind;
use crate::transport::lane::{Form, Lane, Noted, Outcome, Passed, Progress, Reported, as_event};

use super::Relay;
use super::source::BodyError;

impl Relay {
    /// Asks the rules about what passes, from the first byte on.
    pub(crate) fn with_rules(self, form: Form) -> Self {
        self.with_rules_joining(form, Vec::new())
    }

    /// As [`Relay::with_rules`], and has answers of ours go on with the document.
    pub(crate) fn with_rules_joining(mut self, form: Form, answers: Vec<Bytes>) -> Self {
        let mut lane = Lane::new(Arc::clone(&self.exchange), self.direction, form, false);
        lane.join(answers);
        let read = if form == Form::Document {
            self.take_read()
        } else {
            Bytes::new()
        };
        if !read.is_empty() {
            lane.push(&read, None);
        }
        if self.is_done {
            lane.finish((!read.is_empty()).then(|| Noted::of_document(read)));
        }
        self.lane = Some(Box::new(lane));
        self
    }

    /// Whether what came was no document that answers could be joined to.
    pub(crate) fn has_unjoined(&self) -> bool {
        self.lane.as_ref().is_some_and(|lane| lane.has_unjoined())
    }

    /// What was read of a document before anybody was asked, since something in it was changed.
    fn take_read(&mut self) -> Bytes {
        let mut read = BytesMut::new();
        while let Some(Ok(frame)) = self.waiting.front()
            && let Some(data) = frame.data_ref()
        {
            read.extend_from_slice(data);
            self.waiting.pop_front();
        }
        read.freeze()
    }

    /// Waits until it is decided what becomes of a document, and says so.
    ///
    /// # Cancel safety
    /// Dropped with its relay when the client goes away: what is held ends as orphaned.
    pub(crate) async fn decided(&mut self) -> Outcome {
        std::future::poll_fn(|cx| self.poll_decided(cx)).await;
        self.outcome()
    }

    /// As [`Relay::decided`]; `None` as soon as a rule holds it whose client is to get an event stream meanwhile.
    pub(crate) async fn decided_or_early(&mut self) -> Option<Outcome> {
        let is_decided = std::future::poll_fn(|cx| match self.poll_decided(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if self.wants_early_stream() => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        });
        if is_decided.await {
            Some(self.outcome())
        } else {
            None
        }
    }

    fn wants_early_stream(&self) -> bool {
        self.lane.as_ref().is_some_and(|lane| lane.wants_early_stream())
    }

    fn poll_decided(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.outbox.poll_flush(cx));
            match self.poll_lane(cx) {
                _ if self.lane.as_ref().is_some_and(|lane| lane.lets_pass()) => return Poll::Ready(()),
                Some(Progress::Empty) if self.is_over() => return Poll::Ready(()),
                None | Some(Progress::Closed) => return Poll::Ready(()),
                Some(Progress::Full) => return Poll::Pending,
                Some(Progress::Blocked) if self.is_over() => return Poll::Pending,
                Some(_) => ready!(self.poll_source(cx)),
            }
        }
    }

    fn outcome(&mut self) -> Outcome {
        self.lane
            .as_mut()
            .map(|lane| lane.take_outcome())
            .unwrap_or_default()
    }

    /// Lets the lane bring on its way what may go.
    pub(super) fn poll_lane(&mut self, cx: &mut Context<'_>) -> Option<Progress> {
        let may_say = !self.reader.is_inside_frame() && self.stage.is_none();
        let lane = self.lane.as_mut()?;
        let mut on = Passed {
            may_say,
            ..Passed::default()
        };
        let progress = lane.poll(cx, &mut on);
        let at = self.exchange.hub.clock.now();
        for event in on.events {
            self.outbox.put(Observation { at, event });
        }
        // An empty piece would make a body of none.
        let pieces = on.pieces.into_iter().filter(|piece| !piece.is_empty());
        self.waiting.extend(pieces.map(|piece| Ok(Frame::data(piece))));
        for message in on.synthetic {
            self.say_synthetic(&message);
        }
        if progress == Progress::Closed && !std::mem::replace(&mut self.has_ended, true) {
            self.finish(EndKind::CutByProxy);
            self.behind.clear();
            self.waiting
                .push_back(Err(BodyError::GivenUp("closed by a rule")));
        }
        if progress == Progress::Empty {
            self.waiting.append(&mut self.behind);
        }
        Some(progress)
    }

    /// Says a message that we made up, between two events.
    fn say_synthetic(&mut self, message: &Bytes) {
        let event = as_event(message);
        self.read(&event, false);
        let what = (self.direction, self.exchange.carrier(self.direction));
        self.exchange
            .tell_synthetic(what, &mut self.drafts, &mut self.outbox);
        self.waiting.push_back(Ok(Frame::data(event)));
    }

    /// What the client of a held request is to be told of its progress.
    pub(crate) fn early_report(&self) -> Option<Reported> {
        self.lane.as_ref()?.early_report()
    }

    /// Rules that were armed since the body began are asked from its next frame on.
    pub(super) fn look_for_rules(&mut self) {
        if !self.exchange.has_other_rules(&mut self.rules_seen) {
            return;
        }
        let is_stream = self.reader.is_of_events() && self.reader.coding().is_none();
        if self.lane.is_some() || !is_stream || !self.exchange.asks_rules() {
            return;
        }
        let is_inside = self.reader.is_inside_frame();
        let lane = Lane::new(
            Arc::clone(&self.exchange),
            self.direction,
            Form::Events,
            is_inside,
        );
        self.lane = Some(Box::new(lane));
    }
}
