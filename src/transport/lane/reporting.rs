//! Progress that we make up for the call of a held message, so that its client waits longer.
//!
//! Source: MCP 2025-11-25, Progress: the value has to grow with each notification, and may be no whole number.

use std::task::Context;

use bytes::Bytes;
use tokio::time::Instant;

use crate::codec::envelope::Field;
use crate::session::observation::{CallRole, ProgressTold};
use crate::snapshot::Direction;

use super::{Entry, Fate, Form, Lane, Noted, Passed};

/// How much a made up value is above the one before: less than a server reports at once.
const STEP: f64 = 0.001;

/// The progress that the client of a call was told of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reported {
    told: ProgressTold,
    /// What the held message itself says, if it is progress: no made up value may reach it.
    limit: Option<f64>,
}

impl Reported {
    /// The next notification. Its value is above all that the client was told.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let last = self.told.before;
        let limit = self.limit.filter(|limit| *limit > last);
        let step = limit.map_or(STEP, |limit| STEP.min((limit - last) / 2.0));
        let value = (last + step).max(last.next_up());
        // For whoever reads it.
        let short = format!("{value:.3}").parse().unwrap_or(value);
        let is_between = short > last && limit.is_none_or(|limit| short < limit);
        let value = if is_between { short } else { value };
        self.told.before = value;
        let token = self.told.token.token()?;
        let message = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{value}}}}}"#
        );
        Some(message.into())
    }
}

impl Lane {
    /// Says progress to the client of what is held, if its rule wants that and there is a stream to it.
    pub(super) fn report(&mut self, cx: &mut Context<'_>, on: &mut Passed) {
        let Some((came, fresh)) = self.reportable() else {
            return;
        };
        let every = self.exchange.hub.interceptor.holds.comment_every();
        let due = self.last_report.max(came) + every;
        let now = Instant::now();
        if now < due || !on.may_say {
            let _ = self.poll_until(cx, due.max(now + super::ASK_AGAIN));
            return;
        }
        let mut reported = fresh;
        if let Some(before) = self
            .reported
            .take()
            .filter(|before| before.told.token == reported.told.token)
        {
            reported.told.before = reported.told.before.max(before.told.before);
        }
        on.synthetic.extend(reported.next());
        self.reported = Some(reported);
        self.last_report = now;
        let _ = self.poll_until(cx, now + every);
    }

    /// Since when something is held here whose client can be told of progress, and what it was told.
    fn reportable(&self) -> Option<(Instant, Reported)> {
        let is_way = match (self.form, self.direction) {
            (Form::Events, Direction::ServerToClient) | (Form::Lines, _) => true,
            (Form::Document | Form::Messages | Form::Entry | Form::Events, _) => false,
        };
        let head = self.queue.front().filter(|_| is_way)?;
        let reported = match &head.fate {
            Fate::Batch(batch) => batch.entries.iter().find_map(|entry| self.reported_of(entry)),
            _ => self.reported_of(head),
        };
        reported.map(|reported| (head.came, reported))
    }

    fn reported_of(&self, entry: &Entry) -> Option<Reported> {
        let (Fate::Wait { ticket, .. } | Fate::Delayed { ticket, .. }) = &entry.fate else {
            return None;
        };
        let is_wanted = ticket.facts().while_held.synthetic_progress;
        entry
            .noted
            .as_ref()
            .filter(|_| is_wanted)?
            .reported(self.direction)
    }

    /// What the client of a held request was told of its call, if it is to hear more.
    pub(crate) fn early_report(&self) -> Option<Reported> {
        self.reported_of(self.queue.front()?)
    }
}

impl Noted {
    /// What the client was told of the call of this message, if it asked for that.
    fn reported(&self, direction: Direction) -> Option<Reported> {
        let placed = self.messages.first()?;
        // The request of the client, or what comes back to it.
        let is_its_request = placed.placement.role == CallRole::Opens;
        if is_its_request != (direction == Direction::ClientToServer) {
            return None;
        }
        let value = placed.envelope.fields.get(Field::ParamsProgress);
        Some(Reported {
            told: placed.placement.progress.as_deref()?.clone(),
            limit: value.and_then(|value| value.parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::rpc_id::RpcId;

    fn values(before: f64, limit: Option<f64>, count: usize) -> Vec<f64> {
        let token = RpcId::parse("\"t\"").unwrap();
        let mut reported = Reported {
            told: ProgressTold { token, before },
            limit,
        };
        let mut value = || {
            let message = reported.next().unwrap();
            let message: serde_json::Value = serde_json::from_slice(&message).unwrap();
            assert_eq!(message["params"]["progressToken"], "t");
            message["params"]["progress"].as_f64().unwrap()
        };
        (0..count).map(|_| value()).collect()
    }

    #[test]
    fn made_up_progress_grows_and_never_reaches_what_is_held() {
        for (before, limit) in [
            (0.0, None),
            (2.0, Some(3.0)),
            (0.5, Some(0.500_1)),
            (1e18, None),
            (7.0, Some(7.0)),
        ] {
            let values = values(before, limit, 30);
            assert!(values[0] > before, "{before} {values:?}");
            assert!(values.is_sorted_by(|a, b| a < b), "{values:?}");
            if let Some(limit) = limit.filter(|limit| *limit > before) {
                assert!(values.iter().all(|value| *value < limit), "{values:?}");
            }
        }
    }
}
