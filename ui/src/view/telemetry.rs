//! Latency, queues and what other programs are told, for the Resources screen.

use std::time::Duration;

use shadowcat::snapshot::{LatencyRow, QueueRow, Source, SpanExport};

use crate::format;
use crate::model::Model;
use crate::paint::Line;
use crate::theme::Role;

/// Cells of a name at the start of a line.
const NAME: usize = 10;

pub(super) fn lines(model: &Model) -> Vec<Line> {
    let resources = &model.snapshot.resources;
    let mut lines = latencies(&resources.latencies);
    lines.extend(queues(&resources.queues));
    lines.extend(told(model));
    lines
}

/// A part of the screen with its title, if there is something in it.
fn section(title: &'static str, content: Vec<Line>) -> Vec<Line> {
    if content.is_empty() {
        return content;
    }
    let mut lines = vec![Line::of(Role::Title, title)];
    lines.extend(content);
    lines.push(Line::default());
    lines
}

fn latencies(rows: &[LatencyRow]) -> Vec<Line> {
    let measured = rows.iter().filter(|row| row.count > 0);
    section(
        "Latency: what we add to requests and responses, and the upstream",
        measured.map(latency).collect(),
    )
}

fn latency(row: &LatencyRow) -> Line {
    let line = Line::default().say(Role::Text, &row.name).pad_to(NAME);
    let line = [("p50", row.p50), ("p95", row.p95), ("p99", row.p99)]
        .into_iter()
        .fold(line, |line, (name, took)| {
            line.say(Role::Dim, name)
                .say(Role::Strong, &format!(" {:<12}", precise(took)))
        });
    line.say(Role::Dim, &format!("of {}", format::count(row.count)))
}

/// Short times matter here: `0.062 ms`, `2.4 ms`, else as everywhere.
fn precise(took: Duration) -> String {
    match took.as_micros() {
        micros @ 0..1_000 => format!("0.{micros:03} ms"),
        micros @ 1_000..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format::duration(took),
    }
}

fn queues(rows: &[QueueRow]) -> Vec<Line> {
    section("Queues", rows.iter().map(queue).collect())
}

fn queue(row: &QueueRow) -> Line {
    let mut line = Line::default()
        .say(Role::Text, &row.name)
        .pad_to(NAME)
        .say(Role::Strong, &format!("{:>6}", format::count(row.items)));
    if let Some(bytes) = row.bytes {
        line = line.say(Role::Dim, &format!("  {}", format::size(bytes)));
    }
    if let Some((now, most)) = row.lag {
        let (now, most) = (precise(now), precise(most));
        line = line.say(Role::Dim, &format!("  behind {now}, at most {most}"));
    }
    if row.waits > 0 {
        let times = format::plural(row.waits, "time");
        line = line.say(Role::Warn, &format!("  traffic waited {times}"));
    }
    if row.dropped > 0 {
        line = line.say(Role::Bad, &format!("  {} dropped", format::count(row.dropped)));
    }
    line
}

fn told(model: &Model) -> Vec<Line> {
    let urls = match &model.snapshot.source {
        Source::Live { metrics, .. } => metrics.as_slice(),
        Source::File { .. } => &[],
    };
    let metrics = urls.iter().map(|url| {
        Line::of(Role::Text, "metrics")
            .pad_to(NAME)
            .say(Role::Strong, url)
    });
    let spans = model.snapshot.resources.spans.iter().flat_map(spans);
    section("Telemetry", metrics.chain(spans).collect())
}

fn spans(export: &SpanExport) -> Vec<Line> {
    let counts = format!(
        "  {} sent, {} dropped",
        format::count(export.sent),
        format::count(export.dropped)
    );
    let role = if export.dropped > 0 { Role::Bad } else { Role::Dim };
    let line = Line::of(Role::Text, "spans")
        .pad_to(NAME)
        .say(Role::Strong, &export.url)
        .say(role, &counts);
    let failure = export.failure.as_ref();
    let failure = failure.map(|cause| {
        let text = format!("  not taken: {cause}");
        Line::default().say(Role::Bad, &text)
    });
    [Some(line), failure].into_iter().flatten().collect()
}
