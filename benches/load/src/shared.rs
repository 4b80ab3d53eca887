//! Shared state behind a lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The content of a lock, also after a holder panicked: counters stay usable.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
