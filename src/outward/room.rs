//! How many bytes of answers are kept at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Room for bytes that are kept, shared by all who keep some.
#[derive(Debug)]
pub(super) struct Room {
    used: AtomicUsize,
    max: usize,
}

/// Bytes that somebody keeps. Given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            max,
        })
    }

    /// Nothing yet.
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        Held {
            room: Arc::clone(self),
            bytes: 0,
        }
    }
}

impl Held {
    /// Makes it `bytes` in all; false, and no change, if there is no room. Never waits: two who each have half of
    /// what they need would wait for each other.
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        let fits = |used: usize| {
            let used = used - self.bytes + bytes;
            (used <= self.room.max || bytes <= self.bytes).then_some(used)
        };
        let changed = self
            .room
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        if changed.is_ok() {
            self.bytes = bytes;
        }
        changed.is_ok()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_shared_and_given_back() {
        let room = Room::new(10);
        let (mut one, mut other) = (room.hold(), room.hold());
        assert!(one.set(6) && !other.set(5) && other.set(4));
        assert!(one.set(2) && other.set(8), "less is always possible");
        drop(one);
        assert!(other.set(10) && !other.set(11));
    }
}
