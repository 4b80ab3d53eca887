//! What snapshots show beside history: the proxy itself, its limits and its log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::config::Config;
use crate::intercept::interceptor::Interceptor;
use crate::recording::Recorder;
use crate::resource::lag::Lag;
use crate::resource::log_ring::LogRing;
use crate::resource::process;
use crate::session::history::HistoryView;
use crate::snapshot::{LogRow, Notice, Page, RecorderState, Resources, Severity, Source, Window};
use crate::transport::hub::Hub;
use crate::views::{Door, Surroundings};

use super::gauges::Measured;
use super::telemetry::Telemetry;

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
        notices.add_metrics(config, now);
        notices.add_insecure(config, now);
        for address in config.listen.iter().filter(|address| address.is_open_to_others()) {
            let forward = if config.forward.proxy_auth.is_some() {
                ""
            } else {
                " Forward requests from there are refused: they need --proxy-auth USER:PASSWORD."
            };
            let text = format!(
                "{address} can be reached from other machines: everyone there can use the upstreams and is seen here.{forward} Listen on 127.0.0.1 if that is not wanted."
            );
            tracing::warn!("{text}");
            notices.add(Notice {
                at: now,
                severity: Severity::Warning,
                text,
            });
        }
        for clamp in &config.clamps {
            let severity = if clamp.is_drastic() {
                Severity::Warning
            } else {
                Severity::Info
            };
            notices.add(Notice {
                at: now,
                severity,
                text: format!("{clamp}."),
            });
        }
        if config.records_secrets {
            tracing::warn!("recordings carry secrets as they are (--record-secrets): do not share them");
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

    fn add_insecure(&self, config: &Config, now: Timestamp) {
        let hosts: Vec<String> = config.forward.insecure.iter().map(ToString::to_string).collect();
        if hosts.is_empty() {
            return;
        }
        let hosts = hosts.join(", ");
        tracing::warn!(hosts, "certificates of these hosts are NOT checked (--insecure)");
        let text = format!(
            "The certificates of {hosts} are NOT checked (--insecure): whoever is on the way can read and change that traffic."
        );
        self.add(Notice {
            at: now,
            severity: Severity::Warning,
            text,
        });
    }

    fn add_metrics(&self, config: &Config, now: Timestamp) {
        if let Some(address) = config
            .metrics
            .as_ref()
            .filter(|address| address.is_open_to_others())
        {
            let text = format!(
                "The metrics on {address} can be read from other machines: counts, and the names of upstreams. Give --metrics a loopback address if that is not wanted."
            );
            self.add(Notice {
                at: now,
                severity: Severity::Warning,
                text,
            });
        }
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
    pub(super) ledger_lag: Arc<Lag>,
    pub(super) telemetry: Telemetry,
    /// When the end of the program was first seen.
    pub(super) ending_since: OnceLock<Timestamp>,
}

impl Surroundings for LiveSurroundings {
    fn source(&self) -> Source {
        Source::Live {
            listen: self.hub.common.iter().map(ToString::to_string).collect(),
            metrics: self.telemetry.metrics_urls(),
            upstreams: self.upstreams(),
            is_draining: self.hub.tasks.stopping().is_cancelled(),
        }
    }

    fn interceptor(&self) -> Option<&Interceptor> {
        Some(&self.hub.interceptor)
    }

    fn recorder(&self) -> RecorderState {
        self.recorder.state()
    }

    fn resources(&self) -> Resources {
        Resources {
            uptime: self.hub.clock.now().since(self.hub.clock.started_at()),
            gauges: self.measure().gauges(),
            tasks: self.hub.tasks.rows(),
            rates: BTreeMap::new(),
            session_bytes: self.hub.registry.heap_bytes() as u64,
            rss_bytes: process::resident_bytes(),
            cpu: process::cpu_time(),
            threads: process::threads(),
            open_files: process::open_files(),
            queues: self.queues(),
            latencies: Vec::new(),
            spans: self.telemetry.export(),
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
        for (subject, notice) in self.hub.interception.take_notices() {
            self.notices.add_about(subject, notice);
        }
        for (subject, word) in self.hub.door.take_words() {
            self.notices.add_about(&subject, word);
        }
        for (upstream, state) in self.hub.routes.upstreams.iter().zip(&self.hub.upstreams) {
            for turn in state.gate.take_turns() {
                self.notices
                    .add_about(&format!("upstream {}", upstream.label), turn);
            }
        }
        for (upstream, notice) in self.hub.oauth.take_notices() {
            self.notices
                .add_about(&format!("authorization for {upstream}"), notice);
        }
        self.notices.all()
    }
}

impl LiveSurroundings {
    fn measure(&self) -> Measured<'_> {
        let now = self.hub.clock.now();
        let is_ending = self.hub.tasks.stopping().is_cancelled();
        let ending_since = is_ending.then(|| *self.ending_since.get_or_init(|| now));
        Measured {
            hub: &self.hub,
            recorder: &self.recorder,
            history: Arc::clone(&self.history.borrow()),
            log: &self.log,
            door: &self.door,
            telemetry: &self.telemetry,
            now,
            ending_for: ending_since.map(|since| now.since(since)),
        }
    }
}
