//! The metrics: one table says their names, kinds, labels and meaning, and how they are read. `docs/metrics.md` is made
//! from it.
//!
//! Label values come from closed lists: names in this program, and the names of upstreams in its configuration. Never
//! from the traffic.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};

use crate::clock::Timestamp;
use crate::ids::Side;
use crate::limits;
use crate::recording::RecordedTotals;
use crate::resource::histogram::HistogramReading;
use crate::session::history::{History as _, HistoryView};
use crate::snapshot::{Direction, Gauge, Resources, SessionState, SpanExport, UpstreamRow};

/// The state of the engine at the moment of a scrape.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) started: Timestamp,
    pub(crate) resources: Resources,
    pub(crate) upstreams: Vec<UpstreamRow>,
    pub(crate) is_recording: bool,
    pub(crate) recorded: RecordedTotals,
    pub(crate) history: Arc<HistoryView>,
    pub(crate) exchanges_open: u64,
}

/// Whoever knows the state of the engine. Asked once a scrape, on a thread where it may block for a moment.
pub(crate) trait MetricsSource: std::fmt::Debug + Send + Sync + 'static {
    fn reading(&self) -> Reading;
}

/// What kind of numbers a metric has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only rises; its samples end in `_total`.
    Counter,
    /// Counts in buckets; its samples end in `_bucket`, `_sum` and `_count`.
    Histogram,
    /// It is always 1, and its labels say something; its sample ends in `_info`.
    Info,
}

/// One metric with all its label values.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    name: &'static str,
    /// What kind of numbers it has.
    pub kind: Kind,
    unit: Option<Base>,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
    read: fn(&Reading) -> Vec<Sample>,
}

impl Family {
    /// The name by which it is asked for: unit and `_total` or `_info` included, `_bucket` and the like not.
    pub fn name(&self) -> String {
        let unit = self.unit.map_or("", Base::suffix);
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{unit}{suffix}", self.name)
    }
}

/// The base units of metrics.
#[derive(Debug, Clone, Copy)]
enum Base {
    Seconds,
    Bytes,
}

impl Base {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Seconds => "_seconds",
            Self::Bytes => "_bytes",
        }
    }
}

/// One number, and the values of the family's labels in their order.
struct Sample {
    labels: Vec<String>,
    value: Value,
}

enum Value {
    Number(u64),
    Seconds(Duration),
    Histogram(Box<HistogramReading>),
    Info,
}

/// The only sample of a family without labels.
fn only(value: Value) -> Vec<Sample> {
    let labels = Vec::new();
    vec![Sample { labels, value }]
}

fn number(number: u64) -> Vec<Sample> {
    only(Value::Number(number))
}

/// The only sample, if the number is known.
fn known(number: Option<u64>) -> Vec<Sample> {
    number.map(Value::Number).map_or_else(Vec::new, only)
}

fn labelled<const N: usize>(labels: [&str; N], value: Value) -> Sample {
    Sample {
        labels: labels.map(str::to_owned).into(),
        value,
    }
}

fn counted<'a>(pairs: impl IntoIterator<Item = (&'a str, u64)>) -> Vec<Sample> {
    let sample = |(label, count)| labelled([label], Value::Number(count));
    pairs.into_iter().map(sample).collect()
}

fn of_gauges(reading: &Reading, value: fn(&Gauge) -> u64) -> Vec<Sample> {
    let unit = |gauge: &Gauge| match gauge.unit {
        limits::Unit::Count => "things",
        limits::Unit::Bytes => "bytes",
        limits::Unit::Time => "milliseconds",
    };
    let gauges = reading.resources.gauges.iter();
    gauges
        .map(|gauge| {
            labelled(
                [&gauge.name, &gauge.part, unit(gauge)],
                Value::Number(value(gauge)),
            )
        })
        .collect()
}

fn of_tasks(reading: &Reading, value: fn(&crate::snapshot::TaskRow) -> u64) -> Vec<Sample> {
    let tasks = reading.resources.tasks.iter();
    tasks
        .map(|task| labelled([&task.kind.replace(' ', "_")], Value::Number(value(task))))
        .collect()
}

fn of_queues(reading: &Reading, value: impl Fn(&crate::snapshot::QueueRow) -> Option<Value>) -> Vec<Sample> {
    let queues = reading.resources.queues.iter();
    queues
        .filter_map(|queue| Some(labelled([&queue.name], value(queue)?)))
        .collect()
}

fn of_upstreams(reading: &Reading, value: fn(&UpstreamRow) -> Option<u64>) -> Vec<Sample> {
    let upstreams = reading.upstreams.iter();
    upstreams
        .filter_map(|upstream| Some(labelled([&upstream.name], Value::Number(value(upstream)?))))
        .collect()
}

fn sessions(reading: &Reading) -> Vec<Sample> {
    let mut counts = [[0; SessionState::ALL.len()]; Side::ALL.len()];
    for session in reading.history.sessions() {
        counts[session.id.side() as usize][session.state as usize] += 1;
    }
    let of_side = |side: Side| {
        SessionState::ALL.map(|state| {
            let count = counts[side as usize][state as usize];
            labelled([side.name(), state.name()], Value::Number(count))
        })
    };
    Side::ALL.into_iter().flat_map(of_side).collect()
}

fn messages(reading: &Reading) -> Vec<Sample> {
    let counts = reading.history.tally().messages();
    counts
        .map(|(kind, direction, count)| labelled([kind.name(), direction.name()], Value::Number(count)))
        .collect()
}

fn body_bytes(reading: &Reading) -> Vec<Sample> {
    let totals = reading.history.totals();
    counted([
        (Direction::ClientToServer.name(), totals.bytes_from_clients),
        (Direction::ServerToClient.name(), totals.bytes_from_servers),
    ])
}

fn evicted(reading: &Reading) -> Vec<Sample> {
    let totals = reading.history.totals();
    counted([("rows", totals.rows_evicted), ("bodies", totals.bodies_evicted)])
}

fn forgotten(reading: &Reading) -> Vec<Sample> {
    let counts = reading.history.usage().sessions_forgotten;
    counted(Side::ALL.map(Side::name).into_iter().zip(counts))
}

fn phases(reading: &Reading) -> Vec<Sample> {
    let latencies = reading.history.latencies().read();
    latencies
        .map(|(phase, reading)| labelled([phase.name], Value::Histogram(Box::new(reading))))
        .collect()
}

fn spans(reading: &Reading) -> Vec<Sample> {
    let of = |export: &SpanExport| {
        counted([
            ("sent", export.sent),
            ("dropped", export.dropped),
            ("unsampled", export.unsampled),
        ])
    };
    reading.resources.spans.as_ref().map(of).unwrap_or_default()
}

fn is_failing(reading: &Reading) -> Vec<Sample> {
    let export = reading.resources.spans.as_ref();
    known(export.map(|export| export.failure.is_some().into()))
}

macro_rules! families {
    ($( $kind:ident $name:literal $([$unit:ident])? ($($label:literal),*) $help:literal $read:expr; )*) => {
        /// Every metric, in the order in which they are exposed.
        pub const FAMILIES: &[Family] = &[$(
            Family { name: $name, kind: Kind::$kind, unit: families!(@unit $($unit)?), labels: &[$($label),*], help: $help, read: $read },
        )*];
    };
    (@unit) => { None };
    (@unit $unit:ident) => { Some(Base::$unit) };
}

families! {
    Info "shadowcat_build" ("version") "The build that runs."
        |_| vec![labelled([env!("CARGO_PKG_VERSION")], Value::Info)];
    Gauge "process_start_time" [Seconds] () "When the engine was started, since the Unix epoch."
        |reading| only(Value::Seconds(reading.started.since(Timestamp::default())));
    Counter "process_cpu" [Seconds] () "Processor time used."
        |reading| reading.resources.cpu.map_or_else(Vec::new, |cpu| only(Value::Seconds(cpu)));
    Gauge "process_resident_memory" [Bytes] () "Resident memory."
        |reading| known(reading.resources.rss_bytes);
    Gauge "process_open_fds" () "Open file descriptors."
        |reading| known(reading.resources.open_files);
    Gauge "process_threads" () "Operating system threads."
        |reading| known(reading.resources.threads);

    Gauge "shadowcat_limit_used" ("limit", "part", "unit") "Use of each limit now, in its own unit."
        |reading| of_gauges(reading, |gauge| gauge.used);
    Gauge "shadowcat_limit_max" ("limit", "part", "unit") "Each limit, in its own unit."
        |reading| of_gauges(reading, |gauge| gauge.limit);
    Gauge "shadowcat_limit_peak" ("limit", "part", "unit") "Highest use of each limit so far, in its own unit."
        |reading| of_gauges(reading, |gauge| gauge.peak);
    Counter "shadowcat_limit_reached" ("limit", "part", "unit") "How often each limit was reached."
        |reading| of_gauges(reading, |gauge| gauge.reached);

    Gauge "shadowcat_tasks_live" ("kind") "Tasks alive now."
        |reading| of_tasks(reading, |task| task.live);
    Counter "shadowcat_tasks_started" ("kind") "Tasks started."
        |reading| of_tasks(reading, |task| task.started);
    Counter "shadowcat_tasks_panicked" ("kind") "Tasks that ended by a panic."
        |reading| of_tasks(reading, |task| task.panicked);

    Gauge "shadowcat_sessions" ("side", "state") "Sessions known."
        sessions;
    Counter "shadowcat_sessions_forgotten" ("side") "Sessions that had to make room for others."
        forgotten;
    Gauge "shadowcat_exchanges_open" () "HTTP exchanges in flight."
        |reading| number(reading.exchanges_open);
    Counter "shadowcat_exchanges_begun" () "HTTP exchanges begun."
        |reading| number(reading.history.tally().exchanges_begun);
    Counter "shadowcat_exchanges" ("outcome") "HTTP exchanges that have ended."
        |reading| counted(reading.history.tally().exchanges());
    Gauge "shadowcat_calls_open" () "JSON-RPC requests that wait for their answer."
        |reading| number(reading.history.totals().open_calls);
    Counter "shadowcat_calls" ("outcome") "JSON-RPC requests that have ended, whichever side sent them."
        |reading| counted(reading.history.tally().calls());
    Counter "shadowcat_messages" ("kind", "direction") "JSON-RPC messages, and SSE events that carry none."
        messages;
    Counter "shadowcat_events" () "SSE events."
        |reading| number(reading.history.tally().events);
    Gauge "shadowcat_streams_open" () "SSE streams that have not ended."
        |reading| number(reading.history.streams().iter().filter(|stream| stream.ended.is_none()).count() as u64);
    Counter "shadowcat_errors" () "JSON-RPC errors, failed tools, HTTP statuses from 400 and everything else that failed."
        |reading| number(reading.history.totals().errors);
    Counter "shadowcat_body" [Bytes] ("direction") "Body bytes that passed."
        body_bytes;
    Histogram "shadowcat_exchange_phase" [Seconds] ("phase") "How long the parts of an exchange took that an upstream answered."
        phases;

    Counter "shadowcat_upstream_exchanges" ("upstream") "Exchanges sent to each configured upstream."
        |reading| of_upstreams(reading, |upstream| Some(upstream.exchanges));
    Counter "shadowcat_upstream_failures" ("upstream") "Exchanges that failed at each configured upstream: connect, TLS, reset."
        |reading| of_upstreams(reading, |upstream| Some(upstream.failures));
    Gauge "shadowcat_upstream_up" ("upstream") "Whether the last contact succeeded; absent before the first."
        |reading| of_upstreams(reading, |upstream| upstream.is_healthy.map(u64::from));

    Gauge "shadowcat_history_rows" () "Rows in history."
        |reading| number(reading.history.count());
    Counter "shadowcat_history_evicted" ("what") "Rows and bodies that history no longer has."
        evicted;

    Gauge "shadowcat_queue_items" ("queue") "Items in the queues between the traffic and what watches it."
        |reading| of_queues(reading, |queue| Some(Value::Number(queue.items)));
    Gauge "shadowcat_queue" [Bytes] ("queue") "Bytes of the items in a queue."
        |reading| of_queues(reading, |queue| queue.bytes.map(Value::Number));
    Counter "shadowcat_queue_waits" ("queue") "How often traffic had to wait for room in a queue."
        |reading| of_queues(reading, |queue| Some(Value::Number(queue.waits)));
    Counter "shadowcat_queue_dropped" ("queue") "Items given up because there was no room."
        |reading| of_queues(reading, |queue| Some(Value::Number(queue.dropped)));
    Gauge "shadowcat_queue_lag" [Seconds] ("queue") "Age of what is being taken from a queue; 0 while there is nothing to take."
        |reading| of_queues(reading, |queue| queue.lag.map(|(now, _)| Value::Seconds(now)));
    Gauge "shadowcat_queue_lag_peak" [Seconds] ("queue") "Highest age of what was taken from a queue so far."
        |reading| of_queues(reading, |queue| queue.lag.map(|(_, most)| Value::Seconds(most)));

    Gauge "shadowcat_recording" () "1 while a recording is being written."
        |reading| number(reading.is_recording.into());
    Counter "shadowcat_recorded" [Bytes] () "Bytes written to recordings."
        |reading| number(reading.recorded.bytes);
    Counter "shadowcat_recording_lost" () "Records that recordings lack because the recorder did not keep up."
        |reading| number(reading.recorded.lost);

    Counter "shadowcat_spans" ("result") "Spans of --otlp: taken to the receiver, dropped, or not made because the trace is not sampled."
        spans;
    Gauge "shadowcat_spans_failing" () "1 while the receiver of --otlp cannot be reached."
        is_failing;
}

impl Family {
    fn encode(&self, reading: &Reading, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let unit = self.unit.map(|unit| match unit {
            Base::Seconds => Unit::Seconds,
            Base::Bytes => Unit::Bytes,
        });
        let kind = match self.kind {
            Kind::Gauge => MetricType::Gauge,
            Kind::Counter => MetricType::Counter,
            Kind::Histogram => MetricType::Histogram,
            Kind::Info => MetricType::Info,
        };
        let mut metric = encoder.encode_descriptor(self.name, self.help, unit.as_ref(), kind)?;
        for sample in (self.read)(reading) {
            let values = sample.labels.iter().map(String::as_str);
            let labels: Vec<(&str, &str)> = self.labels.iter().copied().zip(values).collect();
            match &sample.value {
                Value::Info => metric.encode_info(&labels)?,
                value if labels.is_empty() => self.encode_value(value, &mut metric)?,
                value => self.encode_value(value, &mut metric.encode_family(&labels)?)?,
            }
        }
        Ok(())
    }

    fn encode_value(&self, value: &Value, metric: &mut MetricEncoder<'_>) -> std::fmt::Result {
        const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, f64>> = None;
        match (value, self.kind) {
            (Value::Number(number), Kind::Counter) => metric.encode_counter(number, NO_EXEMPLAR),
            (Value::Number(number), _) => metric.encode_gauge(number),
            (Value::Seconds(time), Kind::Counter) => metric.encode_counter(&time.as_secs_f64(), NO_EXEMPLAR),
            (Value::Seconds(time), _) => metric.encode_gauge(&time.as_secs_f64()),
            (Value::Histogram(histogram), _) => encode_histogram(histogram, metric),
            // Its labels are all it has.
            (Value::Info, _) => Ok(()),
        }
    }
}

fn encode_histogram(histogram: &HistogramReading, metric: &mut MetricEncoder<'_>) -> std::fmt::Result {
    let end = |end: Option<Duration>| end.map_or(f64::INFINITY, |end| end.as_secs_f64());
    let buckets: Vec<(f64, u64)> = histogram
        .buckets()
        .map(|(upper, count)| (end(upper), count))
        .collect();
    metric.encode_histogram::<NoLabelSet>(histogram.sum.as_secs_f64(), histogram.count(), &buckets, None)
}

/// Reads the engine's state at each scrape.
#[derive(Debug)]
struct EngineCollector(Arc<dyn MetricsSource>);

impl Collector for EngineCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let reading = self.0.reading();
        FAMILIES
            .iter()
            .try_for_each(|family| family.encode(&reading, &mut encoder))
    }
}

/// The metrics of one engine.
#[derive(Debug)]
pub(super) struct Exposition(Registry);

impl Exposition {
    /// The media type of [`Exposition::text`].
    pub(super) const MEDIA_TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    pub(super) fn new(source: Arc<dyn MetricsSource>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(EngineCollector(source)));
        Self(registry)
    }

    /// All metrics as they are now, as `OpenMetrics` text. May block for a moment.
    pub(super) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.0)?;
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_follow_the_conventions() {
        let mut seen = HashSet::new();
        for family in FAMILIES {
            assert!(seen.insert(family.name), "{} is there twice", family.name);
            assert!(family.help.ends_with('.'), "{}", family.name);
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(family.name.bytes().all(is_plain), "{}", family.name);
            assert!(!family.name.ends_with("_total"), "{}", family.name);
        }
    }

    #[test]
    fn an_engine_without_traffic_has_a_page_too() {
        #[derive(Debug)]
        struct Nothing;
        impl MetricsSource for Nothing {
            fn reading(&self) -> Reading {
                Reading::default()
            }
        }
        let page = Exposition::new(Arc::new(Nothing)).text().unwrap();
        assert!(page.ends_with("# EOF\n"), "{page}");
        assert!(page.contains("\nshadowcat_exchanges_open 0\n"), "{page}");
        assert!(
            page.contains(r#"shadowcat_exchange_phase_seconds_bucket{le="0.00005",phase="request"} 0"#),
            "{page}"
        );
    }
}
