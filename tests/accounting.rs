//! The bytes that are shown, against the allocator's own figure; and what the limits on bytes are worth.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod support;

#[path = "support/feed.rs"]
mod feed;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use feed::{Feed, Watcher};
use shadowcat::clock::Clock;
use shadowcat::limits::ResourceLimits;
use shadowcat::recording::{Redaction, recorder};
use shadowcat::resource::queue::batch_queue;
use shadowcat::session::history::HistoryView;
use shadowcat::session::ledger::Ledger;
use shadowcat::session::observation::Observation;
use shadowcat::snapshot::Snapshot;
use shadowcat::tasks::Tasks;
use support::stage::{EVENTS, stage};
use support::{RawPeer, address, gauge, snapshot_when};

#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

/// The allocator counts for the whole process, so tests that measure must not run beside each other.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Bytes that dropping `value` gives back.
fn freed_by<T>(value: T) -> usize {
    let before = ALLOCATOR.allocated();
    drop(value);
    before - ALLOCATOR.allocated()
}

#[track_caller]
fn assert_close(what: &str, shown: usize, held: usize) {
    let difference = shown.abs_diff(held);
    assert!(
        difference * 100 <= held * 15,
        "{what}: {shown} bytes are shown and {held} are held"
    );
}

/// Some sessions and what they do.
#[derive(Debug, Clone, Copy)]
struct Traffic {
    sessions: usize,
    /// Calls of each session.
    calls: usize,
    /// Bytes of text in each question and each answer.
    text: usize,
    /// Events on the open stream of each session, if it has one.
    events: Option<usize>,
}

const QUIET: Traffic = Traffic {
    sessions: 1000,
    calls: 0,
    text: 0,
    events: None,
};

/// Every shape of traffic that fills history in another way.
const SHAPES: [(&str, Traffic); 6] = [
    ("sessions that only said hello", QUIET),
    (
        "sessions with an open stream",
        Traffic {
            events: Some(3),
            ..QUIET
        },
    ),
    (
        "streams with more events than their lane shows",
        Traffic {
            sessions: 200,
            events: Some(60),
            ..QUIET
        },
    ),
    (
        "many sessions with few small calls",
        Traffic {
            calls: 4,
            text: 20,
            ..QUIET
        },
    ),
    (
        "few sessions with many small calls",
        Traffic {
            sessions: 5,
            calls: 1000,
            text: 20,
            ..QUIET
        },
    ),
    (
        "large bodies",
        Traffic {
            sessions: 5,
            calls: 20,
            text: 200_000,
            ..QUIET
        },
    ),
];

fn feed<W: Watcher>(limits: &ResourceLimits, watcher: W, traffic: Traffic) -> Feed<W> {
    let mut feed = Feed::new(limits, watcher);
    for session in 0..traffic.sessions {
        feed.open(session);
        if let Some(events) = traffic.events {
            feed.stream(session, events);
        }
    }
    for call in 0..traffic.calls {
        for session in 0..traffic.sessions {
            feed.call(session, call, traffic.text);
        }
    }
    feed
}

/// Fills a ledger and gives it back with its latest view, without anything else that was needed for that.
fn filled(limits: &ResourceLimits, traffic: Traffic) -> (Ledger, Arc<HistoryView>) {
    let Feed { mut watcher, .. } = feed(limits, Ledger::new(limits), traffic);
    let view = watcher.publish();
    (watcher, view)
}

fn shown(view: &HistoryView) -> usize {
    usize::try_from(view.usage().bytes).unwrap()
}

#[test]
fn the_bytes_of_history_are_those_that_it_holds() {
    let _alone = alone();
    for (what, traffic) in SHAPES {
        let history = filled(&ResourceLimits::default(), traffic);
        assert_close(what, shown(&history.1), freed_by(history));
    }
}

#[test]
fn they_are_also_when_most_of_it_had_to_go() {
    let _alone = alone();
    let limits = ResourceLimits {
        max_history_memory: 2 * MIB,
        max_memory_per_session: 256 * KIB,
        ..ResourceLimits::default()
    };
    for (what, traffic) in SHAPES {
        let history = filled(&limits, traffic);
        let shown = shown(&history.1);
        assert_close(what, shown, freed_by(history));
        // Nothing is taken from what is still open.
        let is_bound = traffic.events.is_none() || traffic.sessions < 1000;
        assert!(shown <= limits.max_history_memory || !is_bound, "{what}: {shown}");
    }
}

#[test]
fn calls_that_wait_for_their_answer_are_counted_even_without_their_rows() {
    const SESSIONS: usize = 10;
    const CALLS: usize = 300;
    let _alone = alone();
    for max_memory_per_session in [16 * MIB, 1] {
        let limits = ResourceLimits {
            max_memory_per_session,
            ..ResourceLimits::default()
        };
        let mut feed = Feed::new(&limits, Ledger::new(&limits));
        for call in 0..SESSIONS * CALLS {
            feed.unanswered_call(call % SESSIONS, call);
        }
        let Feed {
            mut watcher,
            registry,
            ..
        } = feed;
        let view = watcher.publish();
        assert_eq!(view.totals().open_calls, (SESSIONS * CALLS) as u64);
        let what = format!("open calls, {max_memory_per_session} bytes a session");
        assert_close(&what, registry.heap_bytes(), freed_by(registry));
        assert_close(&what, shown(&view), freed_by((watcher, view)));
    }
}

#[test]
fn ten_thousand_sessions_stay_within_the_memory_of_history() {
    let _alone = alone();
    let limits = ResourceLimits::default();
    let traffic = Traffic {
        sessions: 10_000,
        calls: 6,
        text: 1_200,
        ..QUIET
    };
    let history = filled(&limits, traffic);
    assert_eq!(history.1.usage().sessions[1], 10_000);
    assert!(history.1.usage().history_reached > 0, "the limit is not reached");
    let held = freed_by(history);
    assert!(held * 100 <= limits.max_history_memory * 115, "{held}");
}

#[test]
fn one_loud_session_stays_within_the_memory_of_history() {
    let _alone = alone();
    let limits = ResourceLimits {
        max_memory_per_session: 1024 * MIB,
        max_history_memory: 32 * MIB,
        ..ResourceLimits::default()
    };
    for (calls, text) in [(400, 200_000), (20_000, 20)] {
        let traffic = Traffic {
            sessions: 1,
            calls,
            text,
            ..QUIET
        };
        let history = filled(&limits, traffic);
        assert!(history.1.usage().history_reached > 0, "the limit is not reached");
        let held = freed_by(history);
        assert!(held * 100 <= limits.max_history_memory * 115, "{held}");
    }
}

#[test]
fn the_bytes_of_live_sessions_are_those_that_they_hold() {
    let _alone = alone();
    for (what, traffic) in SHAPES {
        let limits = ResourceLimits::default();
        let Feed { registry, .. } = feed(&limits, Ledger::new(&limits), traffic);
        assert_close(what, registry.heap_bytes(), freed_by(registry));
    }
}

#[test]
fn an_idle_session_with_an_open_stream_costs_less_than_four_kib_beside_its_messages() {
    const SESSIONS: usize = 1500;
    let _alone = alone();
    // So little memory that every message goes, and what is left is the sessions and their streams themselves.
    let limits = ResourceLimits {
        max_memory_per_session: 1,
        ..ResourceLimits::default()
    };
    for events in [0, 3, 33] {
        let traffic = Traffic {
            sessions: SESSIONS,
            events: Some(events),
            ..QUIET
        };
        let Feed {
            mut watcher,
            registry,
            ..
        } = feed(&limits, Ledger::new(&limits), traffic);
        let view = watcher.publish();
        assert_eq!(view.streams().len(), SESSIONS);
        let (ledger, registry) = (freed_by((watcher, view)), freed_by(registry));
        let each = (ledger + registry) / SESSIONS;
        let most = if events > 32 { 10 * KIB } else { 4 * KIB };
        assert!(
            each < most,
            "{each} bytes with {events} events: {ledger} + {registry}"
        );
    }
}

/// What the transport tells of such traffic.
fn observations(traffic: Traffic) -> Vec<Observation> {
    let traffic = Traffic {
        sessions: traffic.sessions.min(100),
        calls: traffic.calls.min(if traffic.text > KIB { 2 } else { 100 }),
        ..traffic
    };
    feed(&ResourceLimits::default(), Vec::new(), traffic).watcher
}

/// Runs on a runtime of this thread alone, so that nothing goes on that is not waited for.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work)
}

#[test]
fn the_bytes_of_a_queue_are_those_that_wait_in_it() {
    let _alone = alone();
    for (what, traffic) in SHAPES {
        let (producer, consumer) = batch_queue(usize::MAX, usize::MAX);
        for observation in observations(traffic) {
            block_on(producer.push(observation));
        }
        let shown = usize::try_from(producer.usage().bytes).unwrap();
        drop(producer);
        assert_close(what, shown, freed_by(consumer));
    }
}

#[test]
fn the_bytes_of_the_recorders_queue_are_those_that_wait_in_it() {
    let _alone = alone();
    let limits = ResourceLimits {
        recording_queue: usize::MAX,
        recording_queue_bytes: usize::MAX,
        ..ResourceLimits::default()
    };
    for (what, traffic) in SHAPES {
        let directory = tempfile::tempdir().unwrap();
        block_on(async {
            let tasks = Tasks::new(16);
            let (recorder, tap) = recorder(&limits, Redaction::On, Clock::start(), &tasks);
            let path = directory.path().join("run.jsonl");
            recorder
                .start(Some(path), std::future::ready(Vec::new()))
                .await
                .unwrap();
            let before = ALLOCATOR.allocated();
            // The writer gets no turn meanwhile: pushing into a queue with room never waits.
            for observation in observations(traffic) {
                tap.record(observation).await;
            }
            let held = ALLOCATOR.allocated() - before;
            let usage = recorder.usage();
            assert!(usage.items > 0);
            assert_close(what, usize::try_from(usage.bytes).unwrap(), held);
            recorder.shut_down().await;
        });
    }
}

/// Half-received messages of both kinds: documents from clients, events from servers.
#[test]
fn the_bytes_of_buffers_are_those_of_half_received_messages() {
    const MESSAGES: usize = 20;
    const HALF: usize = 3 * MIB;
    let _alone = alone();
    block_on(async {
        let mut stage = stage(|config| {
            config.limits.max_body_kept = 8 * MIB;
            config.limits.max_memory_per_session = 64 * MIB;
        })
        .await;
        let half = vec![b'x'; HALF];
        let opening = br#"{"jsonrpc":"2.0","method":"notifications/x","params":{"text":""#;
        let length = opening.len() + 2 * HALF;
        let host = address(&stage.engine);
        let post = format!(
            "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let get = format!("GET /mcp HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n");
        let mut open = Vec::new();
        let before = ALLOCATOR.allocated();
        for number in 0..MESSAGES {
            let mut client = RawPeer::connect(host).await;
            let is_post = number % 2 == 0;
            client.send(if is_post { &post } else { &get }).await;
            let mut upstream = stage.server.accept().await;
            upstream.read_head().await;
            let (from, to) = if is_post {
                client.send(opening).await;
                (&mut client, &mut upstream)
            } else {
                upstream.send(EVENTS).await;
                upstream.send("data: ").await;
                (&mut upstream, &mut client)
            };
            tokio::join!(from.send(&half), to.skip(HALF));
            open.push((client, upstream));
        }
        // Room for a document is taken for all of it, as its length is known.
        let wanted = (MESSAGES / 2 * (length + HALF)) as u64;
        let used = |snapshot: &Snapshot| {
            let parts = ["reverse", "for all"];
            let used = parts.map(|part| gauge(snapshot, "max_buffer_pool", part).used);
            used.into_iter().sum::<u64>()
        };
        let snapshot = snapshot_when(&mut stage.frontend, "the buffers", |snapshot| {
            used(snapshot) >= wanted
        })
        .await;
        let held = ALLOCATOR.allocated() - before;
        assert_close("buffers", usize::try_from(used(&snapshot)).unwrap(), held);
    });
}
