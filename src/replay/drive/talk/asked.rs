//! What the server asks.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Talk;
use crate::codec::envelope::Envelope;
use crate::codec::json::{PathStep, find_path};
use crate::replay::compare::{Outcome, Row, compare};
use crate::replay::drive::message::with_id;

/// How long requests of the server that were recorded are waited for at least when everything else is done.
const LINGER: Duration = Duration::from_millis(500);

impl Talk<'_> {
    pub(super) fn asked(&mut self, envelope: &Envelope, text: &Bytes) {
        let (Some(id), Some(method)) = (&envelope.id, envelope.method.as_deref()) else {
            return;
        };
        let Some(id) = id.token() else { return };
        if method == "ping" {
            return self.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#).as_bytes());
        }
        let Some(ask) = self.asks.take(method, text) else {
            return self.asked_anew(method, id);
        };
        let planned = &self.plan.asks[ask];
        let recorded = self.bindings.translated(&planned.request);
        let moments = self.moments(Some(planned.at));
        let found = compare(method, &recorded, text, moments, &self.options.compare.of_asks());
        self.asks.note(ask, found);
        let params = |text| find_path(text, &[PathStep::Key("params")]);
        if let (Some(was), Some(is)) = (params(&planned.request), params(text)) {
            self.bindings.learn(was, is, method);
        }
        if let Some(answer) = &planned.answer {
            let answer = with_id(&self.bindings.translated(answer), id);
            self.say(&answer);
        }
    }

    /// The recording has no such request. That tells something only if it could have one.
    ///
    /// Source: MCP, Roots: servers ask for them when a client is ready, without a reason in any call.
    fn asked_anew(&mut self, method: &str, id: &str) {
        let is_during_call = self.open.iter().any(|call| self.is_awaited(*call));
        let elapsed = self.greeted.map(|greeted| greeted.elapsed());
        let is_too_late = elapsed.is_some_and(|elapsed| !self.plan.hearing.covers(elapsed, is_during_call));
        if method == "roots/list" && is_too_late {
            self.has_early_end = true;
        } else {
            let row = Row {
                is_from_server: true,
                ..Row::new(&self.plan.name, method, "", Outcome::Extra)
            };
            self.extra
                .push(row.noting("the recording has no such request, so it was answered with an error"));
        }
        let code = crate::session::observation::OWN_ERROR;
        self.say(
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"the recording has no answer to this request","data":{{"origin":"shadowcat"}}}}}}"#
            )
            .as_bytes(),
        );
    }

    /// How long requests of the server that were recorded are waited for, if everything else was done at `since`.
    pub(super) fn lingers_until(&self, since: Instant) -> Instant {
        let own_time = self.asks.own_time().min(self.options.timeout);
        let own = self.greeted.map_or(since, |greeted| greeted + own_time);
        own.max(since + LINGER)
    }

    /// What is remarkable about the whole.
    pub(super) fn remarks(&self) -> Vec<String> {
        let early_end = "the server asks roots/list, which is not in the recording; that may have ended too early for it, or had no stream for it";
        self.has_early_end
            .then(|| early_end.to_owned())
            .into_iter()
            .collect()
    }
}
