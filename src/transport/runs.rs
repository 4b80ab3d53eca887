//! Commands under way behind shims, by the exchanges that stand for them: what may be said to them in the place of their
//! clients.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::ids::{ExchangeId, IdMap, ProxySessionId};

/// Messages that wait to be said to one command.
const WORDS: usize = 16;

/// All of them. There are no more than shims.
#[derive(Debug, Default)]
pub(crate) struct Runs(Mutex<IdMap<ExchangeId, Ear>>);

/// The way to a command.
#[derive(Debug, Clone)]
pub(crate) struct Ear {
    pub(crate) session: ProxySessionId,
    words: mpsc::Sender<Bytes>,
}

impl Ear {
    /// False if too much waits, or the command has ended.
    pub(crate) fn say(&self, message: Bytes) -> bool {
        self.words.try_send(message).is_ok()
    }
}

/// What is to be said to a command. It can be spoken to as long as this is there.
#[derive(Debug)]
pub(crate) struct Listening {
    runs: Arc<Runs>,
    exchange: ExchangeId,
    words: mpsc::Receiver<Bytes>,
}

impl Listening {
    /// The next message.
    ///
    /// # Cancel safety
    /// Safe: no message is lost.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        self.words.recv().await
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.runs.change(|runs| runs.remove(&self.exchange));
    }
}

impl Runs {
    /// From now on the command of `exchange` can be spoken to.
    pub(crate) fn listen(self: &Arc<Self>, exchange: ExchangeId, session: ProxySessionId) -> Listening {
        let (sender, words) = mpsc::channel(WORDS);
        let ear = Ear {
            session,
            words: sender,
        };
        self.change(|runs| runs.insert(exchange, ear));
        Listening {
            runs: Arc::clone(self),
            exchange,
            words,
        }
    }

    /// The way to the command of `exchange`, as long as it is under way.
    pub(crate) fn ear(&self, exchange: ExchangeId) -> Option<Ear> {
        self.change(|runs| runs.get(&exchange).cloned())
    }

    fn change<T>(&self, change: impl FnOnce(&mut IdMap<ExchangeId, Ear>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
