//! Whose budget a row belongs to, and what is known of a session while its rows are shown.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::ids::{ProxySessionId, Side};
use crate::snapshot::Era;

/// Who pays for a row: its session, or the common shelf of a side for traffic that belongs to no session (yet).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Owner {
    Stray(Side),
    Session(ProxySessionId),
}

impl Owner {
    pub(crate) fn of(session: Option<ProxySessionId>, side: Side) -> Self {
        session.map_or(Self::Stray(side), Self::Session)
    }
}

/// What rows say about their session; one value shared by all of them.
#[derive(Debug)]
pub(crate) struct SessionFacts {
    pub(crate) id: ProxySessionId,
    known: ArcSwap<Known>,
}

/// What the messages have told so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// `clientInfo`: name and version.
    pub(crate) client: Option<Box<str>>,
    /// `serverInfo`: name and version.
    pub(crate) server_info: Option<Box<str>>,
    pub(crate) era: Option<Era>,
    pub(crate) revision: Option<Box<str>>,
}

impl Known {
    /// Bytes of its texts.
    pub(crate) fn text_bytes(&self) -> usize {
        let texts = [&self.client, &self.server_info, &self.revision];
        texts.into_iter().flatten().map(|text| text.len()).sum()
    }
}

impl SessionFacts {
    pub(crate) fn new(id: ProxySessionId) -> Self {
        Self {
            id,
            known: ArcSwap::default(),
        }
    }

    pub(crate) fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    /// Takes over what is now known. True if it says something new.
    pub(crate) fn learn(&self, known: Known) -> bool {
        let is_new = **self.known.load() != known;
        if is_new {
            self.known.store(Arc::new(known));
        }
        is_new
    }
}
