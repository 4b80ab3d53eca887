//! Whether the screen keeps up: observations into history, a filter over a long history, a snapshot of it.

#![expect(
    clippy::expect_used,
    reason = "a bench that cannot be set up has nothing to measure"
)]

use std::sync::Arc;

use bytes::Bytes;
use divan::Bencher;
use shadowcat::clock::{Clock, Timestamp};
use shadowcat::codec::envelope::scan;
use shadowcat::ids::{ConnectionId, ExchangeId, IdSource, ProxySessionId, Side};
use shadowcat::limits::ResourceLimits;
use shadowcat::resource::queue::Sequenced;
use shadowcat::session::history::HistoryView;
use shadowcat::session::ledger::Ledger;
use shadowcat::session::observation::{
    Event, ExchangeKind, FrameObserved, Observation, ObservedHead, PlacedMessage, RequestObserved,
    SessionOpened,
};
use shadowcat::session::pairing::{Carriage, Pairing};
use shadowcat::snapshot::{
    Carrier, Direction, Head, LogRow, Notice, Page, RecorderState, Resources, SessionBasis, Source,
    ViewQuery, Window,
};
use shadowcat::views::{Surroundings, door, run};

fn main() {
    divan::main();
}

fn limits() -> ResourceLimits {
    ResourceLimits {
        max_memory_per_session: 1 << 30,
        max_history_memory: 1 << 30,
        ..ResourceLimits::default()
    }
}

fn session() -> ProxySessionId {
    "R1".parse().expect("R1 is a session")
}

fn exchange() -> ExchangeId {
    ExchangeId::new(1).expect("1 is not zero")
}

/// A session, a request head, and then calls and answers in turns: `frames` of them.
fn traffic(frames: u64) -> Vec<Observation> {
    let mut pairing = Pairing::new(1024);
    let ids = IdSource::default();
    let mut events = vec![opened(), head()];
    events.extend((0..frames).map(|number| {
        let id = number / 2;
        if number % 2 == 0 {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"tool{}","arguments":{{"query":"some words to look for"}}}}}}"#, id % 10);
            frame(&mut pairing, &ids, Direction::ClientToServer, &body)
        } else {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"an answer of middling length {id}"}}]}}}}"#);
            frame(&mut pairing, &ids, Direction::ServerToClient, &body)
        }
    }));
    (1..)
        .zip(events)
        .map(|(micros, event)| Observation {
            at: Timestamp::from_micros(micros),
            event,
        })
        .collect()
}

fn opened() -> Event {
    Event::Session(Box::new(SessionOpened {
        id: session(),
        server: "bench".into(),
        basis: SessionBasis::SessionHeader,
        client: "127.0.0.1".into(),
    }))
}

fn head() -> Event {
    Event::Request(Box::new(RequestObserved {
        exchange: exchange(),
        connection: ConnectionId::new(1).expect("1 is not zero"),
        client: "127.0.0.1:1".to_owned(),
        side: Side::Reverse,
        server: "bench".into(),
        session: Some(session()),
        kind: ExchangeKind::Message,
        method: "POST".to_owned(),
        target: "/mcp".to_owned(),
        head: ObservedHead::Fields(Box::<Head>::default()),
        rewrites: Vec::new(),
        sent: None,
        resumes: None,
    }))
}

fn frame(pairing: &mut Pairing, ids: &IdSource, direction: Direction, body: &str) -> Event {
    let carriage = Carriage {
        at: Timestamp::from_micros(1),
        direction,
        exchange: exchange(),
        is_modern: false,
    };
    let place = |envelope| {
        let placement = pairing.place(carriage, &envelope, ids);
        PlacedMessage { envelope, placement }
    };
    let payload = Bytes::copy_from_slice(body.as_bytes());
    Event::Frame(Arc::new(FrameObserved {
        exchange: exchange(),
        session: Some(session()),
        stream: None,
        direction,
        carrier: Carrier::Http,
        frame: 0,
        parts: 0,
        wire: payload.clone(),
        size: payload.len() as u64,
        payload_size: payload.len() as u64,
        messages: scan(body.as_bytes()).messages.into_iter().map(place).collect(),
        payload,
        is_cut: false,
        is_fragment: false,
        coding: None,
        sse: None,
        unreadable: None,
        is_synthetic: false,
        is_injected: false,
    }))
}

fn fill(ledger: &mut Ledger, traffic: Vec<Observation>) {
    for (seq, item) in (1..).zip(traffic) {
        ledger.apply(Sequenced { seq, item });
    }
}

fn history(rows: u64) -> Arc<HistoryView> {
    let mut ledger = Ledger::new(&limits());
    fill(&mut ledger, traffic(rows));
    ledger.publish()
}

/// One second of heavy traffic.
#[divan::bench]
fn apply_5000_observations(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(|| (Ledger::new(&limits()), traffic(5000)))
        .bench_values(|(mut ledger, traffic)| {
            fill(&mut ledger, traffic);
            ledger
        });
}

/// What the ledger pays 30 times a second over a long history.
#[divan::bench]
fn publish_100k_rows(bencher: Bencher<'_, '_>) {
    let mut ledger = Ledger::new(&limits());
    fill(&mut ledger, traffic(100_000));
    bencher.bench_local(|| ledger.publish());
}

struct Bare;

impl Surroundings for Bare {
    fn source(&self) -> Source {
        Source::default()
    }
    fn recorder(&self) -> RecorderState {
        RecorderState::Off
    }
    fn resources(&self) -> Resources {
        Resources::default()
    }
    fn log(&self, _window: Window<u64>) -> Page<LogRow> {
        Page::default()
    }
    fn notices(&self) -> Vec<Notice> {
        Vec::new()
    }
}

/// From a key to the snapshot that answers it; `is_complete` waits until every row was looked at.
fn answer(bencher: Bencher<'_, '_>, filter: &str, is_complete: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let view = history(100_000);
    let limits = limits();
    bencher.bench_local(|| {
        runtime.block_on(async {
            let (door, ports) = door(&limits);
            let (_history, views) = tokio::sync::watch::channel(Arc::clone(&view));
            let (recorder, _commands) = tokio::sync::mpsc::channel(1);
            let mut frontend = door.attach().expect("a free place");
            let query = ViewQuery {
                serial: 1,
                filter: filter.to_owned(),
                ..ViewQuery::default()
            };
            frontend.queries.send_replace(query);
            let answered = frontend.snapshots.wait_for(|snapshot| {
                snapshot.query_serial == 1 && (!is_complete || snapshot.messages.scanned == 100_000)
            });
            let views = run(ports, views, Arc::new(Bare), recorder, &limits, Clock::start());
            tokio::select! {
                answered = answered => answered.map(|snapshot| snapshot.messages.matched).unwrap_or_default(),
                () = views => 0,
            }
        })
    });
}

#[divan::bench(args = ["", "tool:tool3", "text:\"length 4999\""])]
fn first_answer_over_100k_rows(bencher: Bencher<'_, '_>, filter: &str) {
    answer(bencher, filter, false);
}

#[divan::bench(args = ["tool:tool3", "status:error", "text:\"length 4999\""])]
fn whole_filter_over_100k_rows(bencher: Bencher<'_, '_>, filter: &str) {
    answer(bencher, filter, true);
}
