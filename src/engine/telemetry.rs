//! What the engine tells other programs about itself: who asks, and where its spans go.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::config::Config;
use crate::resource::meters::Level;
use crate::session::ended_call::CallObserver;
use crate::snapshot::{QueueRow, RecorderState, SpanExport};
use crate::tasks::{TaskKind, Tasks};
use crate::telemetry::{
    self, Exporter, ExporterError, MetricsServer, MetricsSource, Reading, SpanFeed, SpanQueue,
};
use crate::views::Surroundings as _;

use super::surroundings::LiveSurroundings;

/// Metrics and spans, as the screen shows them.
#[derive(Debug)]
pub(super) struct Telemetry {
    metrics: Vec<SocketAddr>,
    scrapes: Arc<Level>,
    spans: Option<Arc<SpanQueue>>,
}

/// A gauge's use now, its peak, and how often the limit was reached.
type Usage = (u64, u64, u64);

impl Telemetry {
    pub(super) fn new(metrics: &[SocketAddr], spans: Option<Arc<SpanQueue>>) -> Self {
        Self {
            metrics: metrics.to_vec(),
            scrapes: Arc::default(),
            spans,
        }
    }

    pub(super) fn metrics_urls(&self) -> Vec<String> {
        let url = |address: &SocketAddr| format!("http://{address}/metrics");
        self.metrics.iter().map(url).collect()
    }

    pub(super) fn export(&self) -> Option<SpanExport> {
        self.spans.as_ref().map(|spans| spans.export())
    }

    /// Use of the limits of both.
    pub(super) fn usage(&self) -> [(&'static str, Usage); 2] {
        let spans = self.spans.as_ref().map(|spans| spans.usage());
        [
            ("max_scrapes", self.scrapes.read()),
            ("otlp_queue", spans.unwrap_or_default()),
        ]
    }
}

impl LiveSurroundings {
    /// The queues between the traffic and what watches it.
    pub(super) fn queues(&self) -> Vec<QueueRow> {
        let ledger = self.hub.watchers.ledger.usage();
        let recorder = self.recorder.usage();
        let row = |name: &str, usage: crate::resource::queue::QueueUse| QueueRow {
            name: name.to_owned(),
            items: usage.items,
            bytes: Some(usage.bytes),
            waits: usage.waits,
            ..QueueRow::default()
        };
        let ledger = QueueRow {
            lag: Some(self.ledger_lag.read(self.hub.clock.now())),
            ..row("ledger", ledger)
        };
        let recorder = QueueRow {
            dropped: self.recorder.recorded().lost,
            ..row("recorder", recorder)
        };
        let spans = self.telemetry.spans.as_ref().map(|spans| spans.row());
        [Some(ledger), Some(recorder), spans]
            .into_iter()
            .flatten()
            .collect()
    }
}

impl std::fmt::Debug for LiveSurroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveSurroundings").finish_non_exhaustive()
    }
}

impl MetricsSource for LiveSurroundings {
    fn reading(&self) -> Reading {
        Reading {
            started: self.hub.clock.started_at(),
            resources: self.resources(),
            upstreams: self.upstreams(),
            is_recording: matches!(self.recorder.state(), RecorderState::On { .. }),
            recorded: self.recorder.recorded(),
            history: Arc::clone(&self.history.borrow()),
            exchanges_open: self.hub.meters.exchanges.read().0,
        }
    }
}

/// The addresses that were bound for metrics.
pub(super) fn addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    let bound = listeners.iter();
    bound.filter_map(|listener| listener.local_addr().ok()).collect()
}

/// Answers those who scrape. Must be called within the engine's runtime.
pub(super) fn serve_metrics(surroundings: &Arc<LiveSurroundings>, listeners: Vec<TcpListener>) {
    let source: Arc<dyn MetricsSource> = Arc::clone(surroundings) as _;
    let scrapes = Arc::clone(&surroundings.telemetry.scrapes);
    let server = Arc::new(MetricsServer::new(Arc::clone(&surroundings.hub), source, scrapes));
    for listener in listeners {
        let accepting = telemetry::accept(Arc::clone(&server), listener);
        surroundings.hub.tasks.spawn(TaskKind::Metrics, accepting);
    }
}

/// Makes ready for the export of spans, if they are wanted.
pub(super) fn exporter(config: &Config) -> Result<Option<Exporter>, ExporterError> {
    let exporter = |url| {
        let queue = SpanQueue::new(url, config.limits.otlp_queue);
        Exporter::new(queue, config.limits.drain_timeout)
    };
    config.otlp.clone().map(exporter).transpose()
}

/// Starts the export of spans. Must be called within the engine's runtime.
pub(super) fn start_export(exporter: Exporter, tasks: &Tasks) -> Arc<SpanQueue> {
    let queue = Arc::clone(exporter.queue());
    tasks.spawn(TaskKind::Export, exporter.run());
    queue
}

/// Who makes spans of the calls that the ledger sees end.
pub(super) fn observer(spans: Option<&Arc<SpanQueue>>, config: &Config) -> Option<Arc<dyn CallObserver>> {
    let spans = Arc::clone(spans?);
    Some(Arc::new(SpanFeed::new(spans, &config.upstreams)))
}
