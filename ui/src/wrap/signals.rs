//! Signals that are meant for the command.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use shadowcat::child::ChildSignal;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for the signals that are passed on. From then on they no longer end this process.
///
/// Those that whoever started us chose to ignore (`nohup`) stay ignored, and so they are for the command.
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
        let ignored = ignored();
        let heard = all
            .into_iter()
            .filter(|(_, kind)| ignored & bit(kind.as_raw_value()) == 0);
        let listening = heard.map(|(ours, kind)| Ok((ours, signal(kind)?)));
        listening.collect::<io::Result<_>>().map(Self)
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

/// The signals that this process ignores, a bit each, where the system shows them in a file.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// Whether whoever started us chose to ignore signal `number`.
pub(super) fn is_ignored(number: i32) -> bool {
    ignored() & bit(number) != 0
}

/// The bit of signal `number`, which count from 1.
fn bit(number: i32) -> u64 {
    let shift = u32::try_from(number)
        .ok()
        .and_then(|number| number.checked_sub(1));
    shift.and_then(|shift| 1_u64.checked_shl(shift)).unwrap_or(0)
}
