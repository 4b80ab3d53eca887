//! Which status of HTTP came with an answer. Lines have no place for it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::codec::rpc_id::RpcId;

/// The statuses of answers that nobody has asked for yet. Whoever wants them takes each; without such a one nothing is
/// kept.
#[derive(Debug, Default)]
pub(crate) struct Statuses(Option<Mutex<HashMap<RpcId, u16>>>);

impl Statuses {
    /// For somebody who takes the status of each request that it sends.
    pub(crate) fn kept() -> Self {
        Self(Some(Mutex::default()))
    }

    /// Whether somebody wants to know them.
    pub(super) const fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    fn known(&self) -> Option<MutexGuard<'_, HashMap<RpcId, u16>>> {
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The response to the POST with this request has come; its body has not.
    pub(super) fn note(&self, id: &RpcId, status: u16) {
        if let Some(mut known) = self.known() {
            known.insert(id.clone(), status);
        }
    }

    /// The status of the response to the POST with this request; `None` if its answer comes another way.
    pub(crate) fn take(&self, id: &RpcId) -> Option<u16> {
        self.known()?.remove(id)
    }
}
