//! Times that run backwards. A running engine reads the wall clock once and counts on with the monotonic one, so only a
//! recording (of a machine whose clock was set, or edited by hand) can bring them.

use std::time::Duration;

use serde_json::Value;
use shadowcat::config::RecordConfig;
use shadowcat::engine::Engine;
use shadowcat::frontend::Frontend;
use shadowcat::limits::ResourceLimits;
use shadowcat::resource::log_ring::LogRing;
use shadowcat::snapshot::{Command, Reply, RowState, Snapshot, Source};

use crate::house::{all_is_well, house};
use crate::support::stage::reply;
use crate::support::{rows, snapshot_when};

type Change = fn(i64) -> i64;

fn is_loaded(snapshot: &Snapshot) -> bool {
    matches!(&snapshot.source, Source::File { read_bytes, total_bytes, .. } if read_bytes == total_bytes)
}

/// Every time of a line, changed.
fn change_times(line: &mut Value, change: Change) {
    let is_time = |name: &str| {
        matches!(
            name,
            "us" | "started" | "request_done" | "sent" | "response_head" | "first_byte" | "done"
        )
    };
    let Some(fields) = line.as_object_mut() else {
        return;
    };
    for (name, value) in fields {
        if let Some(time) = value.as_i64().filter(|_| is_time(name)) {
            *value = change(time).into();
        }
        change_times(value, change);
    }
}

async fn open(path: &std::path::Path) -> (shadowcat::engine::EngineHandle, Frontend, Snapshot) {
    let opened = Engine::open(path, &ResourceLimits::default(), LogRing::new(64)).unwrap();
    let mut frontend = opened.frontend().unwrap();
    let snapshot = snapshot_when(&mut frontend, "the whole file", is_loaded).await;
    (opened, frontend, snapshot)
}

#[tokio::test]
async fn a_recording_whose_clock_jumps_shows_every_row_and_no_absurd_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("straight.jsonl");
    let record = RecordConfig {
        path: Some(path.clone()),
    };
    let house = house(|config| config.record = Some(record)).await;
    for _ in 0..5 {
        all_is_well(house.address()).await;
    }
    house.engine.shut_down();
    let straight = std::fs::read_to_string(&path).unwrap();
    let (_engine, _frontend, snapshot) = open(&path).await;
    let wanted = snapshot.messages.total;
    assert!(wanted >= 10);

    let jumps: [(&str, Change); 4] = [
        ("backwards", |time| -time),
        ("before 1970", |time| time - (1 << 52)),
        ("far ahead", |time| time + (1 << 52)),
        ("to and fro", |time| {
            if time % 2 == 0 {
                time - 3_600_000_000
            } else {
                time + 3_600_000_000
            }
        }),
    ];
    for (what, change) in jumps {
        let lines = straight.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            change_times(&mut line, change);
            format!("{line}\n")
        });
        let path = directory.path().join(format!("{what}.jsonl"));
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        let (engine, frontend, snapshot) = open(&path).await;
        assert_eq!(snapshot.messages.total, wanted, "{what}");
        for row in rows(&frontend).await {
            if let RowState::Answered { took, .. } = row.state {
                assert!(took < Duration::from_hours(3), "{what}: {took:?}");
            }
            let detail = reply(&frontend, Command::Inspect { id: row.id }).await;
            assert!(matches!(detail, Reply::Detail(_)), "{what}");
        }
        assert!(engine.tasks().take_faults().is_empty(), "{what}");
    }
}
