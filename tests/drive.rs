//! A recording of the official Rust SDK, sent to its server again: nothing differs, in either era.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

#[expect(
    dead_code,
    reason = "what the server has to tell of cancelled calls is of no use here"
)]
mod sdk;
mod support;

use std::path::Path;

use sdk::*;
use support::*;

use shadowcat::config::RecordConfig;
use shadowcat::intercept::filter::Filter;
use shadowcat::outward::OutwardConfig;
use shadowcat::replay::compare::{Outcome, Report, Row};
use shadowcat::replay::drive::{DriveOptions, Plan, Target, drive};
use shadowcat::replay::tape::{Tape, TapeOptions};

/// What a client of `speaks` and the server say to each other, recorded.
async fn recorded(speaks: Speaks, path: &Path) -> Tape {
    let server = SdkServer::start().await;
    let engine = engine_with(&[&server.url()], |config| {
        config.record = Some(RecordConfig {
            path: Some(path.to_owned()),
        });
    });
    let way = Way {
        url: format!("http://{}/mcp", address(&engine)),
        proxy: None,
    };
    Box::pin(soon("the script", act_out(&way, speaks, "drive"))).await;
    tokio::task::block_in_place(|| engine.shut_down());
    Tape::load(path, &TapeOptions::as_it_arrived()).unwrap()
}

async fn driven(tape: &Tape, server: &SdkServer) -> Report {
    let plan = Plan::new(tape, &Filter::all());
    let upstream = server.url().parse().unwrap();
    let target = Target::Http(Box::new(OutwardConfig::new(upstream)));
    let options = DriveOptions::default();
    soon("the replay", drive(&plan, &target, &options)).await.report
}

fn differing(report: &Report) -> Vec<&Row> {
    let rows = report.rows.iter();
    rows.filter(|row| row.outcome != Outcome::Same).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_server_answers_a_recording_of_its_client_as_it_did() {
    let directory = tempfile::tempdir().unwrap();
    for (name, speaks) in [("legacy.jsonl", Speaks::Legacy), ("modern.jsonl", Speaks::Modern)] {
        let tape = Box::pin(recorded(speaks, &directory.path().join(name))).await;
        let server = SdkServer::start().await;
        let report = driven(&tape, &server).await;
        assert!(differing(&report).is_empty(), "{name}: {report:#?}");
        let calls = report
            .rows
            .iter()
            .filter(|row| row.method == "tools/call")
            .count();
        assert!(calls >= 3, "{name}: {report:#?}");
    }
}
