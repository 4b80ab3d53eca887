//! Signals that are meant for the command.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use shadowcat::child::ChildSignal;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for the signals that are passed on. From then on they no longer end this process.
#[derive(Debug)]
pub(super) struct PassedOn(Vec<(ChildSignal, Signal)>);

impl PassedOn {
    /// Begins to listen.
    ///
    /// # Errors
    /// What the system says if signals cannot be listened to.
    pub(super) fn listen() -> io::Result<Self> {
        let all = [
            (ChildSignal::Hangup, SignalKind::hangup()),
            (ChildSignal::Interrupt, SignalKind::interrupt()),
            (ChildSignal::Quit, SignalKind::quit()),
            (ChildSignal::Terminate, SignalKind::terminate()),
            (ChildSignal::User1, SignalKind::user_defined1()),
            (ChildSignal::User2, SignalKind::user_defined2()),
        ];
        let listening = all.map(|(ours, kind)| Ok((ours, signal(kind)?)));
        listening.into_iter().collect::<io::Result<_>>().map(Self)
    }

    /// Waits for the next signal.
    ///
    /// # Cancel safety
    /// Safe: no signal is lost.
    pub(super) async fn next(&mut self) -> ChildSignal {
        poll_fn(|cx| {
            for (ours, signal) in &mut self.0 {
                if let Poll::Ready(Some(())) = signal.poll_recv(cx) {
                    return Poll::Ready(*ours);
                }
            }
            Poll::Pending
        })
        .await
    }
}
