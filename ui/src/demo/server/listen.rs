//! `subscriptions/listen`: one stream that tells of changes for as long as its client reads it.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};
use shadowcat::tasks::TaskKind;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use super::events::plain_event;
use super::http::{Answer, Source, events, refuse};
use super::modern::{complete, too_many};
use super::{Change, Shared};
use crate::demo::catalogue::{NOTE, contents};
use crate::demo::wire::{self, Fault, INVALID_PARAMS, SUBSCRIPTION_KEY, at};

/// Notifications that wait for a listener that reads slowly.
const NOTIFICATION_QUEUE: usize = 16;

/// Opens a subscription.
pub(super) fn listen(shared: &Arc<Shared>, id: &Value, params: &Value) -> Answer {
    let wanted = at(params, &["notifications"]);
    if !wanted.is_object() {
        let fault = Fault::new(INVALID_PARAMS, "`notifications` is missing");
        return refuse(StatusCode::OK, Some(id), &fault);
    }
    let Some(permit) = shared.stream_permit() else {
        return too_many(id);
    };
    let (sender, receiver) = mpsc::channel(NOTIFICATION_QUEUE);
    let subscription = Subscription::new(id.clone(), wanted, sender);
    let changes = shared.changes.subscribe();
    let stopping = shared.tasks.stopping().clone();
    shared.tasks.spawn(TaskKind::Frontend, async move {
        subscription.serve(changes, stopping).await;
        drop(permit);
    });
    events(Source::Channel(receiver), shared.keep_alive)
}

struct Subscription {
    id: Value,
    granted: Map<String, Value>,
    sender: mpsc::Sender<Bytes>,
}

impl Subscription {
    /// Grants the part of what is wanted that this server ever tells.
    fn new(id: Value, wanted: &Value, sender: mpsc::Sender<Bytes>) -> Self {
        let mut granted = Map::new();
        if at(wanted, &["toolsListChanged"]) == &json!(true) {
            granted.insert("toolsListChanged".to_owned(), json!(true));
        }
        let uris = at(wanted, &["resourceSubscriptions"]).as_array();
        let known = uris.into_iter().flatten().filter_map(Value::as_str);
        let known: Vec<_> = known.filter(|uri| contents(uri, 0).is_some()).collect();
        if !known.is_empty() {
            granted.insert("resourceSubscriptions".to_owned(), json!(known));
        }
        Self { id, granted, sender }
    }

    /// Acknowledges, tells of changes, and ends with a result when the server does or when nothing was granted.
    async fn serve(&self, mut changes: broadcast::Receiver<Change>, stopping: CancellationToken) {
        let granted = json!({ "notifications": self.granted });
        self.tell("notifications/subscriptions/acknowledged", granted)
            .await;
        if !self.granted.is_empty() {
            tokio::select! {
                () = self.sender.closed() => return,
                () = stopping.cancelled() => {}
                () = self.relay(&mut changes) => {}
            }
        }
        let result = json!({ "_meta": { SUBSCRIPTION_KEY: self.id } });
        let result = wire::result(&self.id, complete(result));
        // Nobody is there to hear it when the client left first.
        let _ = self.sender.try_send(plain_event(&result));
    }

    async fn relay(&self, changes: &mut broadcast::Receiver<Change>) {
        loop {
            match changes.recv().await {
                Ok(change) => self.tell_change(change).await,
                Err(RecvError::Lagged(lost)) => tracing::debug!(lost, "a listener reads too slowly"),
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn tell_change(&self, change: Change) {
        match change {
            Change::Tools if self.granted.contains_key("toolsListChanged") => {
                self.tell("notifications/tools/list_changed", json!({})).await;
            }
            Change::Note if self.has_note() => {
                self.tell("notifications/resources/updated", json!({ "uri": NOTE }))
                    .await;
            }
            Change::Tools | Change::Note => {}
        }
    }

    fn has_note(&self) -> bool {
        let uris = self
            .granted
            .get("resourceSubscriptions")
            .and_then(Value::as_array);
        uris.is_some_and(|uris| uris.contains(&json!(NOTE)))
    }

    async fn tell(&self, method: &str, mut params: Value) {
        if let Value::Object(params) = &mut params {
            params.insert("_meta".to_owned(), json!({ SUBSCRIPTION_KEY: self.id }));
        }
        let message = wire::notification(method, params);
        // A listener that left is noticed by `serve`.
        let _ = self.sender.send(plain_event(&message)).await;
    }
}
