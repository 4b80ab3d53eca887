//! The places that clients take, and give back whatever becomes of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;

use crate::tasks::{TaskKind, TaskPermit};

use super::hub::Hub;
use super::serve::ClientConnection;

/// One of the `max_connections` places. A tunnel keeps the place of the connection that it came on.
#[derive(Debug)]
pub(crate) struct ConnectionPlace {
    hub: Arc<Hub>,
    _room: OwnedSemaphorePermit,
}

impl ConnectionPlace {
    pub(crate) fn new(hub: Arc<Hub>, room: OwnedSemaphorePermit) -> Self {
        hub.meters.connections.add(1);
        Self { hub, _room: room }
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.hub.meters.connections.sub(1);
    }
}

/// The place of a request on an HTTP/2 connection, until its response has gone. It is a task of its own there.
#[derive(Debug)]
pub(crate) struct StreamPlace {
    connection: Arc<ClientConnection>,
    permit: Option<TaskPermit>,
}

impl StreamPlace {
    /// A place, once there is room for it.
    ///
    /// # Errors
    /// What to tell the client if there is none within `queue_timeout`.
    pub(crate) async fn find(connection: &Arc<ClientConnection>) -> Result<Self, String> {
        let hub = &connection.hub;
        let in_flight = connection.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        let mut place = Self {
            connection: Arc::clone(connection),
            permit: None,
        };
        hub.meters.exchanges_per_connection.note(in_flight);
        if in_flight >= hub.limits.max_exchanges_per_connection as u64 {
            hub.meters.exchanges_per_connection.reach();
        }
        let patience = hub.limits.queue_timeout;
        let permit = hub.tasks.permit(TaskKind::ClientStream, patience).await;
        place.permit = Some(permit.map_err(|error| error.to_string())?);
        Ok(place)
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.connection.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
