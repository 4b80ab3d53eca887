//! Single rows and facts of the made-up engine.

use std::time::Duration;

use bytes::Bytes;
use shadowcat::clock::Timestamp;
use shadowcat::ids::{ConnectionId, ProxySessionId, SessionId, Side};
use shadowcat::limits::Unit;
use shadowcat::snapshot::{
    Anchor, Body, BreakerRow, EndKind, Era, ExchangeDetail, Gauge, Head, LatencyRow, MessageRow, Page,
    QueueRow, Resources, RowState, ServerKind, SessionBasis, SessionRow, SessionState, SpanExport, TaskRow,
    Timing, UpstreamRow, Window,
};

use super::START;

pub(super) fn plain_body(text: &str) -> Body {
    Body {
        bytes: Bytes::from(text.to_owned()),
        wire: Bytes::new(),
        size: text.len() as u64,
        is_cut: false,
        coding: None,
        media_type: Some("application/json".to_owned()),
    }
}

pub(super) fn page<T: Clone, Id: Copy + PartialEq + PartialOrd>(
    all: &[T],
    window: Window<Id>,
    id: fn(&T) -> Option<Id>,
) -> Page<T> {
    let wanted = usize::from(window.rows);
    let first = match window.anchor {
        Anchor::Tail => all.len().saturating_sub(wanted),
        Anchor::Index(index) => usize::try_from(index).unwrap_or(0),
        Anchor::Row { id: held, shift } => {
            let place = all.partition_point(|row| id(row) < Some(held));
            place.saturating_add_signed(isize::try_from(shift).unwrap_or(0))
        }
    };
    Page {
        rows: all.iter().skip(first).take(wanted).cloned().collect(),
        first: first as u64,
        total: all.len() as u64,
    }
}

pub(crate) fn session_id(text: &str) -> ProxySessionId {
    text.parse().unwrap()
}

pub(super) fn session(id: &str, server: &str, messages: u64, errors: u64) -> SessionRow {
    SessionRow {
        id: session_id(id),
        server: server.to_owned(),
        client: Some("example-app 2.1".to_owned()),
        server_info: Some("everything 1.0".to_owned()),
        era: Some(Era::Legacy),
        revision: Some("2025-11-25".to_owned()),
        basis: SessionBasis::SessionHeader,
        opened_at: Timestamp::from_micros(START),
        active_at: Timestamp::from_micros(START),
        state: if id == "F2" {
            SessionState::Idle
        } else {
            SessionState::Active
        },
        messages,
        errors,
        open_calls: u64::from(id == "R1"),
        open_streams: u64::from(id == "R1"),
        history_bytes: 3_000,
    }
}

pub(super) fn upstream(name: &str, is_healthy: Option<bool>) -> UpstreamRow {
    UpstreamRow {
        name: name.to_owned(),
        url: "http://127.0.0.1:3001/mcp".to_owned(),
        client_url: "http://127.0.0.1:8080/mcp".to_owned(),
        is_healthy,
        last_error: None,
        exchanges: 42,
        failures: 0,
        breaker: BreakerRow::default(),
        ..UpstreamRow::default()
    }
}

/// A server of several: `down` is why it cannot be reached.
pub(crate) fn server(name: &str, is_healthy: Option<bool>, calls: u64) -> UpstreamRow {
    UpstreamRow {
        client_url: format!("http://127.0.0.1:8080/{name}"),
        port_url: Some(format!("http://127.0.0.1:9{:03}/mcp", name.len())),
        calls,
        failed_calls: calls / 7,
        exchanges: calls + 3,
        ..upstream(name, is_healthy)
    }
}

/// The same, but a command, of which so many run.
pub(crate) fn command(name: &str, running: u64, calls: u64) -> UpstreamRow {
    UpstreamRow {
        kind: ServerKind::Command,
        url: format!("npx -y @example/server-{name} /home/cat/src"),
        running,
        last_exit: (running > 0).then(|| "the command exited with code 0".to_owned()),
        findings: running,
        ..server(name, (calls > 0).then_some(true), calls)
    }
}

pub(super) fn exchange(row: &MessageRow) -> ExchangeDetail {
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let after = |millis| Some(row.at.plus(Duration::from_millis(millis)));
    ExchangeDetail {
        id: row.exchange,
        connection: ConnectionId::new(3).unwrap(),
        client: "127.0.0.1:50312".to_owned(),
        side: Side::Reverse,
        server: row.server.clone(),
        is_run: false,
        target: "/mcp?api_key=s3cret".to_owned(),
        request: Head {
            line: "POST /mcp?api_key=s3cret HTTP/1.1".to_owned(),
            fields: vec![
                field("Host", "127.0.0.1:8080"),
                field("Content-Type", "application/json"),
                field("Authorization", "Bearer abcdefghijklmnop"),
                field("Mcp-Session-Id", "1f0c"),
            ],
        },
        rewrites: vec!["Host: 127.0.0.1:8080 → 127.0.0.1:3001".to_owned()],
        sent: None,
        body_rewrites: Vec::new(),
        response_rewrites: Vec::new(),
        response_sent: None,
        response_body_rewrites: Vec::new(),
        response: Some(Head {
            line: "HTTP/1.1 200 OK".to_owned(),
            fields: vec![
                field("Content-Type", "application/json"),
                field("Set-Cookie", "sid=abc"),
            ],
        }),
        is_our_answer: false,
        timing: Timing {
            started: row.at,
            request_done: after(1),
            sent: after(4),
            connect: Some(Duration::from_millis(2)),
            response_head: after(30),
            handed_on: after(30),
            first_byte: after(32),
            done: after(50).filter(|_| !matches!(row.state, RowState::Open { .. })),
        },
        request_end: Some(EndKind::Complete),
        response_end: Some(EndKind::Complete),
        failure: None,
        request_bytes: row.size,
        response_bytes: 1_024,
    }
}

fn queues(scale: u64) -> Vec<QueueRow> {
    let scale = scale.min(1_000);
    let ledger = QueueRow {
        name: "ledger".to_owned(),
        items: 3 * scale,
        bytes: Some(2_048 * scale),
        waits: scale - 1,
        dropped: 0,
        lag: Some((
            Duration::from_micros(120 * scale),
            Duration::from_millis(4 * scale),
        )),
    };
    let recorder = QueueRow {
        name: "recorder".to_owned(),
        items: 9 * scale,
        bytes: Some(4_096 * scale),
        waits: 0,
        dropped: scale - 1,
        lag: None,
    };
    vec![ledger, recorder]
}

fn latencies() -> Vec<LatencyRow> {
    let row = |name: &str, micros: u64| LatencyRow {
        name: name.to_owned(),
        count: 311,
        p50: Duration::from_micros(micros),
        p95: Duration::from_micros(micros * 3),
        p99: Duration::from_micros(micros * 40),
    };
    vec![row("request", 60), row("upstream", 2_400), row("response", 110)]
}

pub(super) fn resources(scale: u64) -> Resources {
    let gauge = |name: &str, part: &str, unit, used: u64, limit: u64| {
        let used = used.saturating_mul(scale).min(limit);
        Gauge {
            name: name.to_owned(),
            part: part.to_owned(),
            unit,
            used,
            limit,
            peak: used,
            reached: u64::from(used == limit) * 12,
        }
    };
    let task = |kind: &str, live| TaskRow {
        kind: kind.to_owned(),
        live,
        peak: live + 2,
        started: live * 40,
        panicked: 0,
    };
    Resources {
        uptime: Duration::from_secs(754),
        gauges: vec![
            gauge("max_connections", "", Unit::Count, 12, 10_000),
            gauge("max_concurrent_tasks", "", Unit::Count, 37, 16_384),
            gauge("max_sessions", "forward", Unit::Count, 1, 10_000),
            gauge("max_sessions", "reverse", Unit::Count, 1, 10_000),
            gauge("max_history_memory", "", Unit::Bytes, 3_565_158, 256 << 20),
            gauge("max_buffer_pool", "forward", Unit::Bytes, 0, 128 << 20),
            gauge("max_buffer_pool", "reverse", Unit::Bytes, 1_153_434, 128 << 20),
            gauge("max_body_kept", "largest", Unit::Bytes, 7_340, 256 << 10),
            gauge("recording_queue", "", Unit::Count, 9, 8_192),
            gauge("queue_timeout", "", Unit::Time, 40, 30_000),
        ],
        tasks: vec![
            task("listener", 1),
            task("connection", 12),
            task("client stream", 0),
            task("ledger", 1),
        ],
        rates: [
            (
                "messages".to_owned(),
                (0..120).map(|second| second * 7 % 31).collect(),
            ),
            (
                "bytes_from_servers".to_owned(),
                (0..120).map(|second| second * 4_001 % 9_000).collect(),
            ),
        ]
        .into(),
        session_bytes: 1_606,
        rss_bytes: Some(48 << 20),
        threads: Some(6),
        open_files: Some(31),
        cpu: Some(Duration::from_millis(8_340)),
        queues: queues(scale),
        latencies: latencies(),
        spans: Some(SpanExport {
            url: "http://127.0.0.1:4318/v1/traces".to_owned(),
            sent: 311,
            dropped: 12 * (scale - 1).min(1),
            unsampled: 0,
            failure: (scale > 1).then(|| "it answers 503 Service Unavailable".to_owned()),
        }),
    }
}

/// A session's number on the reverse side.
pub(crate) fn reverse(number: u64) -> ProxySessionId {
    ProxySessionId::on(Side::Reverse, SessionId::new(number).unwrap())
}
