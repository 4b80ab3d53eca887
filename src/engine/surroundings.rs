//! What snapshots show beside history: the proxy itself, its limits and its log.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::config::Config;
use crate::ids::Side;
use crate::limits::{ResourceLimits, Unit};
use crate::recording::Recorder;
use crate::resource::log_ring::LogRing;
use crate::resource::queue::QueueUse;
use crate::session::history::{HistoryUsage, HistoryView};
use crate::snapshot::{
    Gauge, LogRow, Notice, Page, RecorderState, Resources, Severity, Source, UpstreamRow, Window,
};
use crate::transport::hub::{Hub, UpstreamState};
use crate::transport::route::Upstream;
use crate::views::{Door, Surroundings};

/// Most notices that are shown; the newest stay.
const MAX_NOTICES: usize = 16;

/// What the notices about recordings are about.
const RECORDING: &str = "recording";

/// What the user should know without asking, each with what it is about if there can be a later word about that.
#[derive(Debug, Default)]
pub(super) struct Notices(Mutex<Vec<(Option<String>, Notice)>>);

impl Notices {
    /// What is to be said about the configuration itself.
    pub(super) fn of_config(config: &Config, now: Timestamp) -> Self {
        let notices = Self::default();
        for address in config.listen.iter().filter(|address| address.is_open_to_others()) {
            let text = format!(
                "{address} can be reached from other machines: everyone there can use the upstreams and is seen here. Listen on 127.0.0.1 if that is not wanted."
            );
            notices.add(Notice {
                at: now,
                severity: Severity::Warning,
                text,
            });
        }
        if config.records_secrets {
            let text =
                "Recordings carry secrets as they are (--record-secrets): do not share them.".to_owned();
            notices.add(Notice {
                at: now,
                severity: Severity::Warning,
                text,
            });
        }
        notices
    }

    pub(super) fn add(&self, notice: Notice) {
        self.put(None, notice);
    }

    /// Takes the place of the last word about `subject`, so that what comes and goes crowds out nothing.
    fn add_about(&self, subject: &str, notice: Notice) {
        self.put(Some(subject.to_owned()), notice);
    }

    /// Says once that a recording cannot be written, and once that it can again.
    fn follow_recorder(&self, state: &RecorderState, now: Timestamp) {
        let said = self.about(RECORDING);
        let is_bad = said.is_some_and(|notice| notice.severity == Severity::Error);
        let (severity, text) = match state {
            RecorderState::Failed { path, cause } if !is_bad => (
                Severity::Error,
                format!("Recording to {} fails: {cause}.", path.display()),
            ),
            RecorderState::On { path, lost, .. } if is_bad => (
                Severity::Warning,
                format!(
                    "Recording to {} goes on; it lacks {lost} records.",
                    path.display()
                ),
            ),
            RecorderState::Off if is_bad => (
                Severity::Warning,
                "The last recording could not be written to its end.".to_owned(),
            ),
            _ => return,
        };
        let notice = Notice {
            at: now,
            severity,
            text,
        };
        self.add_about(RECORDING, notice);
    }

    fn about(&self, subject: &str) -> Option<Notice> {
        let notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = notices
            .iter()
            .find(|(other, _)| other.as_deref() == Some(subject));
        found.map(|(_, notice)| notice.clone())
    }

    fn put(&self, subject: Option<String>, notice: Notice) {
        let mut notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notices.retain(|(other, _)| other.is_none() || *other != subject);
        if notices.len() == MAX_NOTICES {
            notices.remove(0);
        }
        notices.push((subject, notice));
    }

    pub(super) fn all(&self) -> Vec<Notice> {
        let notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notices.iter().map(|(_, notice)| notice.clone()).collect()
    }
}

/// The surroundings of a running proxy.
pub(super) struct LiveSurroundings {
    pub(super) hub: Arc<Hub>,
    pub(super) recorder: Recorder,
    pub(super) history: watch::Receiver<Arc<HistoryView>>,
    pub(super) log: LogRing,
    pub(super) door: Door,
    pub(super) notices: Notices,
}

impl Surroundings for LiveSurroundings {
    fn source(&self) -> Source {
        let listening = self.hub.listening.get().map(Vec::as_slice).unwrap_or_default();
        Source::Live {
            listen: listening.iter().map(ToString::to_string).collect(),
            upstreams: self.upstreams(),
            is_draining: self.hub.tasks.stopping().is_cancelled(),
        }
    }

    fn recorder(&self) -> RecorderState {
        self.recorder.state()
    }

    fn resources(&self) -> Resources {
        Resources {
            uptime: self.hub.clock.now().since(self.hub.clock.started_at()),
            gauges: self.gauges(),
            tasks: self.hub.tasks.rows(),
            rates: BTreeMap::new(),
            rss_bytes: memory_stats::memory_stats().map(|stats| stats.physical_mem as u64),
            threads: count_entries("/proc/self/task"),
            open_files: count_entries("/proc/self/fd"),
        }
    }

    fn log(&self, window: Window<u64>) -> Page<LogRow> {
        self.log.page(window)
    }

    fn notices(&self) -> Vec<Notice> {
        for fault in self.hub.tasks.take_faults() {
            let text = format!(
                "A {} task failed ({}); others go on. The log has more.",
                fault.kind.name(),
                fault.message
            );
            self.notices.add(Notice {
                at: self.hub.clock.now(),
                severity: Severity::Error,
                text,
            });
        }
        self.notices
            .follow_recorder(&self.recorder.state(), self.hub.clock.now());
        for (upstream, state) in self.hub.routes.upstreams.iter().zip(&self.hub.upstreams) {
            for turn in state.gate.take_turns() {
                self.notices
                    .add_about(&format!("upstream {}", upstream.label), turn);
            }
        }
        self.notices.all()
    }
}

/// Entries of a directory that the system keeps about us; `None` where there is no such directory.
fn count_entries(path: &str) -> Option<u64> {
    std::fs::read_dir(path).ok().map(|entries| entries.count() as u64)
}

/// One gauge in the making.
struct Reading {
    used: u64,
    peak: u64,
    reached: u64,
}

impl LiveSurroundings {
    fn upstreams(&self) -> Vec<UpstreamRow> {
        let listening = self.hub.listening.get().and_then(|addresses| addresses.first());
        let own = listening.map(ToString::to_string).unwrap_or_default();
        let row = |(upstream, state): (&Arc<Upstream>, &UpstreamState)| {
            let last = state.last();
            let named = upstream.config.name.as_ref().map(|name| format!("/{name}"));
            let path = named.unwrap_or_else(|| upstream.config.path.to_string());
            UpstreamRow {
                name: upstream.label.to_string(),
                url: upstream.config.url(),
                client_url: format!("http://{own}{path}"),
                is_healthy: last.as_ref().map(Result::is_ok),
                last_error: last.and_then(Result::err),
                exchanges: state.exchanges.load(Ordering::Relaxed),
                failures: state.failures.load(Ordering::Relaxed),
                breaker: state.gate.row(),
            }
        };
        self.hub
            .routes
            .upstreams
            .iter()
            .zip(&self.hub.upstreams)
            .map(row)
            .collect()
    }

    fn gauges(&self) -> Vec<Gauge> {
        let usage = *Arc::clone(&self.history.borrow()).usage();
        let mut gauges = GaugeList {
            limits: &self.hub.limits,
            gauges: Vec::new(),
        };
        self.traffic_gauges(&mut gauges);
        self.breaker_gauges(&mut gauges);
        history_gauges(&usage, &mut gauges);
        self.session_gauges(&mut gauges);
        self.queue_gauges(&mut gauges);
        gauges.gauges
    }

    fn traffic_gauges(&self, gauges: &mut GaugeList<'_>) {
        let (used, peak, reached) = self.hub.meters.connections.read();
        gauges.add("max_connections", "", &Reading { used, peak, reached });
        let (used, peak, reached) = self.hub.tasks.permits_in_use();
        gauges.add("max_concurrent_tasks", "", &Reading { used, peak, reached });
        for side in Side::ALL {
            let (_, peak, reached) = self.hub.buffers.usage(side);
            let (used, share) = self.hub.buffers.own_share(side);
            let reading = Reading {
                used,
                peak: peak.min(share),
                reached,
            };
            gauges.add_with("max_buffer_pool", side.name(), share, &reading);
        }
        let (used, share) = self.hub.buffers.common_share();
        gauges.add_with(
            "max_buffer_pool",
            "for both",
            share,
            &Reading {
                used,
                peak: used,
                reached: 0,
            },
        );
    }

    fn breaker_gauges(&self, gauges: &mut GaugeList<'_>) {
        for (upstream, state) in self.hub.routes.upstreams.iter().zip(&self.hub.upstreams) {
            let usage = state.gate.usage();
            for (name, (used, peak, reached)) in [
                ("breaker_failures", usage.failures),
                ("breaker_pause", usage.wait),
                ("breaker_max_pause", usage.long_pause),
            ] {
                // Requests that were under way when it opened fail too.
                let limit = self.hub.limits.get(name).unwrap_or(0);
                let (used, peak) = (used.min(limit), peak.min(limit));
                gauges.add(name, &upstream.label, &Reading { used, peak, reached });
            }
        }
    }

    fn session_gauges(&self, gauges: &mut GaugeList<'_>) {
        for side in Side::ALL {
            let (used, reached) = self.hub.registry.counts(side);
            gauges.add(
                "max_sessions",
                side.name(),
                &Reading {
                    used,
                    peak: used,
                    reached,
                },
            );
        }
        let open = self.door.open() as u64;
        gauges.add(
            "max_frontends",
            "",
            &Reading {
                used: open,
                peak: open,
                reached: 0,
            },
        );
        let lines = self.log.len() as u64;
        let gone = self.log.written() - lines;
        gauges.add(
            "log_ring",
            "",
            &Reading {
                used: lines,
                peak: lines,
                reached: gone,
            },
        );
    }

    fn queue_gauges(&self, gauges: &mut GaugeList<'_>) {
        gauges.add_queue(
            "observation_queue",
            "observation_queue_bytes",
            self.hub.watchers.ledger.usage(),
        );
        gauges.add_queue("recording_queue", "recording_queue_bytes", self.recorder.usage());
    }
}

fn history_gauges(usage: &HistoryUsage, gauges: &mut GaugeList<'_>) {
    let used = usage.bytes;
    let reading = Reading {
        used,
        peak: usage.peak_bytes,
        reached: usage.history_reached,
    };
    gauges.add("max_history_memory", "", &reading);
    let used = usage.largest_session_bytes;
    let reading = Reading {
        used,
        peak: used,
        reached: usage.session_reached,
    };
    gauges.add("max_memory_per_session", "largest", &reading);
    let used = usage.most_open_calls;
    gauges.add(
        "max_open_calls",
        "most in a session",
        &Reading {
            used,
            peak: used,
            reached: usage.calls_given_up,
        },
    );
    let used = usage.ended_streams;
    gauges.add(
        "max_ended_streams",
        "",
        &Reading {
            used,
            peak: used,
            reached: 0,
        },
    );
}

struct GaugeList<'a> {
    limits: &'a ResourceLimits,
    gauges: Vec<Gauge>,
}

impl GaugeList<'_> {
    fn add(&mut self, name: &str, part: &str, reading: &Reading) {
        let limit = self.limits.get(name).unwrap_or(0);
        self.add_with(name, part, limit, reading);
    }

    fn add_with(&mut self, name: &str, part: &str, limit: u64, reading: &Reading) {
        let field = ResourceLimits::FIELDS.iter().find(|field| field.name == name);
        self.gauges.push(Gauge {
            name: name.to_owned(),
            part: part.to_owned(),
            unit: field.map_or(Unit::Count, |field| field.unit),
            used: reading.used,
            limit,
            peak: reading.peak.max(reading.used),
            reached: reading.reached,
        });
    }

    fn add_queue(&mut self, items: &str, bytes: &str, usage: QueueUse) {
        let reading = Reading {
            used: usage.items,
            peak: usage.peak_items,
            reached: usage.waits,
        };
        self.add(items, "", &reading);
        let reading = Reading {
            used: usage.bytes,
            peak: usage.bytes,
            reached: usage.waits,
        };
        self.add(bytes, "", &reading);
    }
}
