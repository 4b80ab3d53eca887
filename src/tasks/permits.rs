//! Room for tasks: how many may be alive at once, and how many of one kind.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::limits::ResourceLimits;
use crate::resource::meters::{Level, Watermark};

use super::TaskKind;

/// Permits for a number of tasks, and how they are used.
#[derive(Debug)]
struct Room {
    permits: Arc<Semaphore>,
    limit: usize,
    counts: Level,
}

impl Room {
    fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            permits: Arc::new(Semaphore::new(limit)),
            limit,
            counts: Level::default(),
        }
    }

    fn used(&self) -> u64 {
        self.limit.saturating_sub(self.permits.available_permits()) as u64
    }

    fn try_take(&self) -> Option<OwnedSemaphorePermit> {
        let taken = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        self.counts.raise_to(self.used());
        Some(taken)
    }

    async fn take(&self, deadline: Instant) -> Option<OwnedSemaphorePermit> {
        let waiting = Arc::clone(&self.permits).acquire_owned();
        let Ok(Ok(taken)) = timeout_at(deadline, waiting).await else {
            self.counts.reach();
            return None;
        };
        self.counts.raise_to(self.used());
        Some(taken)
    }

    /// In use now and at most, and how often there was no room in time.
    fn usage(&self) -> (u64, u64, u64) {
        let (_, peak, refused) = self.counts.read();
        let used = self.used();
        (used, peak.max(used), refused)
    }
}

/// Room for one more task or exchange. Given back when dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held for its drop")]
pub struct TaskPermit {
    share: Option<OwnedSemaphorePermit>,
    permit: OwnedSemaphorePermit,
}

/// No task found room in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoRoomError {
    /// Too many tasks of all kinds.
    #[error(
        "max_concurrent_tasks ({limit}) was reached and no task ended within {waited:?}; raise --max-concurrent-tasks or send less at once"
    )]
    Tasks {
        /// The limit.
        limit: usize,
        /// How long was waited.
        waited: Duration,
    },
    /// Too many tasks of one kind.
    #[error(
        "max_tasks_per_kind ({limit}) was reached by tasks of the kind `{}` and none of them ended within {waited:?}; raise --max-tasks-per-kind or open fewer at once",
        .kind.name()
    )]
    Kind {
        /// The kind.
        kind: TaskKind,
        /// What it may have.
        limit: usize,
        /// How long was waited.
        waited: Duration,
    },
}

/// Room for tasks: for all of them, and a share for each kind that could take it all.
#[derive(Debug)]
pub struct Permits {
    all: Room,
    client_streams: Room,
    tunnels: Room,
    waits: Watermark,
}

/// The part of `max_concurrent_tasks` that one kind can have at most, whatever `max_tasks_per_kind` says: two kinds with
/// a share leave a quarter to connections.
const fn most_of_a_kind(all: usize) -> usize {
    all / 8 * 3 + all % 8 * 3 / 8
}

/// The part of `max_connections` that tunnels can have at most: each keeps the connection it came on.
const fn most_tunnels(connections: usize) -> usize {
    connections / 4 * 3 + connections % 4 * 3 / 4
}

impl Permits {
    /// Room within `max_concurrent_tasks`, `max_tasks_per_kind` and `max_connections`.
    pub(super) fn new(limits: &ResourceLimits) -> Self {
        let all = limits.max_concurrent_tasks;
        let share = limits.max_tasks_per_kind.min(most_of_a_kind(all));
        Self {
            all: Room::new(all),
            client_streams: Room::new(share),
            tunnels: Room::new(share.min(most_tunnels(limits.max_connections))),
            waits: Watermark::default(),
        }
    }

    /// As [`Tasks::permit`](super::Tasks::permit).
    pub(super) async fn take(&self, kind: TaskKind, patience: Duration) -> Result<TaskPermit, NoRoomError> {
        let share = self.room_of(kind);
        let at_once = share.map_or(Some(None), |share| share.try_take().map(Some));
        if let Some(share) = at_once
            && let Some(permit) = self.all.try_take()
        {
            return Ok(TaskPermit { share, permit });
        }
        let started = Instant::now();
        let taken = self.wait_for(kind, started + patience, patience).await;
        // Who does not wait at all has not waited too long.
        if !patience.is_zero() {
            self.waits.note_time(started.elapsed());
            if taken.is_err() {
                self.waits.reach();
            }
        }
        taken
    }

    /// The kind's share first: who waits for it must not keep others from what is left.
    async fn wait_for(
        &self,
        kind: TaskKind,
        deadline: Instant,
        waited: Duration,
    ) -> Result<TaskPermit, NoRoomError> {
        let mut share = None;
        if let Some(room) = self.room_of(kind) {
            share = room.take(deadline).await;
            if share.is_none() {
                let limit = room.limit;
                return Err(NoRoomError::Kind { kind, limit, waited });
            }
        }
        let permit = self.all.take(deadline).await;
        let limit = self.all.limit;
        let permit = permit.ok_or(NoRoomError::Tasks { limit, waited })?;
        Ok(TaskPermit { share, permit })
    }

    fn room_of(&self, kind: TaskKind) -> Option<&Room> {
        match kind {
            TaskKind::ClientStream => Some(&self.client_streams),
            TaskKind::Tunnel => Some(&self.tunnels),
            _ => None,
        }
    }

    /// Permits in use now and at most, and how often one was refused.
    pub fn in_use(&self) -> (u64, u64, u64) {
        self.all.usage()
    }

    /// The same for a kind with a share, and its share.
    pub fn share_in_use(&self, kind: TaskKind) -> Option<((u64, u64, u64), u64)> {
        let room = self.room_of(kind)?;
        Some((room.usage(), room.limit as u64))
    }

    /// How long was waited for permits, and how often in vain.
    pub fn waits(&self) -> &Watermark {
        &self.waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::tasks::Tasks;

    #[tokio::test(start_paused = true)]
    async fn a_permit_is_waited_for_and_then_refused_with_the_limit_named() {
        let tasks = Tasks::new(1);
        let second = Duration::from_secs(1);
        let first = tasks.permit(TaskKind::Connection, second).await.unwrap();
        let refused = tasks.permit(TaskKind::Connection, second).await.unwrap_err();
        assert_eq!(
            refused,
            NoRoomError::Tasks {
                limit: 1,
                waited: second
            }
        );
        drop(first);
        assert!(tasks.permit(TaskKind::Connection, second).await.is_ok());
        assert_eq!(tasks.permits().in_use(), (0, 1, 1));
        assert_eq!(
            tasks.permits().waits().read(Timestamp::from_micros(0)),
            (1000, 1000, 1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_has_its_share_leaves_the_rest_to_others() {
        let tasks = Tasks::within(&ResourceLimits {
            max_concurrent_tasks: 16,
            max_tasks_per_kind: 2,
            ..ResourceLimits::default()
        });
        let at_once = Duration::ZERO;
        let mut open = Vec::new();
        for _ in 0..2 {
            open.push(tasks.permit(TaskKind::Tunnel, at_once).await.unwrap());
        }
        let refused = tasks.permit(TaskKind::Tunnel, at_once).await.unwrap_err();
        assert!(refused.to_string().contains("`tunnel`"), "{refused}");
        for kind in [TaskKind::Connection, TaskKind::ClientStream] {
            open.push(tasks.permit(kind, at_once).await.unwrap());
        }
        assert_eq!(
            tasks.permits().share_in_use(TaskKind::Tunnel),
            Some(((2, 2, 1), 2))
        );
        drop(open);
        assert!(tasks.permit(TaskKind::Tunnel, at_once).await.is_ok());
    }

    #[test]
    fn a_share_is_never_so_large_that_nothing_is_left() {
        for (all, connections) in [(16, 1), (17, 5), (16_384, 10_000), (usize::MAX, usize::MAX)] {
            assert!(most_of_a_kind(all) * 2 < all);
            assert!(most_tunnels(connections) < connections);
        }
    }
}
