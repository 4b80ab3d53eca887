//! The end of an engine: in which order, and what it left undone.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::recording::{NO_ROOM, NOT_KEPT_UP, REMOVED};
use crate::tasks::{TaskKind, Tasks};

use super::{Proxy, Running};

/// How long the tasks that watch the traffic may take to finish once it has ended.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What the end of an engine left undone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// How many tasks of each kind were cut, because they did not finish within `drain_timeout`.
    pub cut: Vec<(String, u64)>,
    /// The file of the recording that was finished.
    pub recording: Option<PathBuf>,
    /// Records that this recording lacks.
    pub lost: u64,
    /// How many of them its file does not tell of, because there was no room for that.
    pub untold: u64,
    /// Why the recording could not be written when that failed last.
    pub lost_to: Option<String>,
    /// Why the end of the recording could not be written, or not all of it be brought to the disk.
    pub failure: Option<String>,
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sentences = Vec::new();
        if !self.cut.is_empty() {
            let kinds: Vec<String> = self
                .cut
                .iter()
                .map(|(kind, count)| format!("{count} × {kind}"))
                .collect();
            sentences.push(format!(
                "Cut because it did not finish in time: {}.",
                kinds.join(", ")
            ));
        }
        let cause = self.failure.as_deref();
        let is_removed = cause == Some(REMOVED);
        match &self.recording {
            Some(path) if is_removed => sentences.push(format!(
                "Nothing is left of the recording {}: its file was removed while it was written.",
                path.display()
            )),
            Some(path) => sentences.push(format!("Recorded to {}.", path.display())),
            None => {}
        }
        if is_removed {
            return f.write_str(&sentences.join(" "));
        }
        if self.lost > 0 {
            let (reason, advice) = match self.lost_to.as_deref() {
                None => (
                    NOT_KEPT_UP,
                    "Raise --recording-queue-bytes or --recording-wait (masking secrets takes the processor, writing the disk)",
                ),
                Some(NO_ROOM) => (NO_ROOM, "Raise --max-disk"),
                Some(cause) => (cause, "Make room on the disk, or choose another"),
            };
            sentences.push(format!(
                "The recording lacks {} records: {reason}. {advice}; `shadowcat-tui verify FILE` names the places.",
                self.lost
            ));
            if self.untold > 0 {
                sentences.push(format!(
                    "There was no room to tell the file of {} of them: its gaps count {}.",
                    self.untold,
                    self.lost.saturating_sub(self.untold)
                ));
            }
        } else if let Some(cause) = cause {
            sentences.push(format!("The recording is not whole: {cause}."));
        }
        f.write_str(&sentences.join(" "))
    }
}

impl Running {
    pub(super) fn end(self, tasks: &Tasks) -> ShutdownReport {
        let report = if let Some(proxy) = &self.proxy {
            end_proxy(&self.runtime, proxy, proxy.hub.limits.drain_timeout)
        } else {
            tasks.stop();
            let cut = self.runtime.block_on(tasks.end_services(LAST_WORDS));
            ShutdownReport {
                cut: named(cut),
                ..ShutdownReport::default()
            }
        };
        if self.views.join().is_err() {
            tracing::error!("the views ended by a panic");
        }
        drop(self.proxy);
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        report
    }
}

/// Stops accepting, lets exchanges finish, closes the recording, in this order.
pub(super) fn end_proxy(runtime: &Runtime, proxy: &Proxy, drain: Duration) -> ShutdownReport {
    let tasks = &proxy.hub.tasks;
    let held = proxy.hub.interceptor.let_go();
    if held > 0 {
        tracing::info!("{held} held messages went on unchanged, because the proxy ends");
    }
    runtime.block_on(async {
        let mut cut = tasks.end_traffic(drain).await;
        let finished = proxy.recorder.stop().await.ok();
        proxy.recorder.shut_down().await;
        proxy.hub.watchers.ledger.close();

        cut.extend(tasks.end_services(LAST_WORDS).await);
        ShutdownReport {
            cut: named(cut),
            lost: finished.as_ref().map_or(0, |finished| finished.lost),
            untold: finished.as_ref().map_or(0, |finished| finished.untold),
            lost_to: finished.as_ref().and_then(|finished| finished.lost_to.clone()),
            failure: finished.as_ref().and_then(|finished| finished.failure.clone()),
            recording: finished.map(|finished| finished.path),
        }
    })
}

fn named(kinds: Vec<(TaskKind, u64)>) -> Vec<(String, u64)> {
    kinds
        .into_iter()
        .map(|(kind, count)| (kind.name().to_owned(), count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_fits_why_records_are_missing() {
        let advice = |lost_to: Option<&str>| {
            let report = ShutdownReport {
                lost: 3,
                lost_to: lost_to.map(str::to_owned),
                ..ShutdownReport::default()
            };
            report.to_string()
        };
        let too_large = advice(Some("max_disk has no room for it"));
        assert!(too_large.contains("Raise --max-disk;"), "{too_large}");
        let full = advice(Some("No space left on device"));
        assert!(full.contains("Make room on the disk"), "{full}");
        let slow = advice(None);
        assert!(
            slow.contains("the recorder did not keep up") && slow.contains("--recording-queue-bytes"),
            "{slow}"
        );
    }

    #[test]
    fn a_recording_whose_file_was_removed_is_not_said_to_be_there() {
        let report = ShutdownReport {
            recording: Some("a.jsonl".into()),
            failure: Some("its file was removed".to_owned()),
            ..ShutdownReport::default()
        };
        assert_eq!(
            report.to_string(),
            "Nothing is left of the recording a.jsonl: its file was removed while it was written."
        );
    }

    #[test]
    fn what_the_file_has_no_room_to_tell_is_told_at_the_end() {
        let report = ShutdownReport {
            recording: Some("a.jsonl".into()),
            lost: 447,
            lost_to: Some("File too large".to_owned()),
            ..ShutdownReport::default()
        };
        let text = report.to_string();
        assert!(
            text.contains("lacks 447 records: File too large.") && !text.contains("no room"),
            "{text}"
        );
        let text = ShutdownReport {
            untold: 317,
            ..report
        }
        .to_string();
        assert!(
            text.contains("no room to tell the file of 317 of them: its gaps count 130."),
            "{text}"
        );
    }
}
