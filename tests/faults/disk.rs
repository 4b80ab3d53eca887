//! A disk that is full in mid-recording.

use std::process::{Command, Stdio};

use shadowcat::config::RecordConfig;
use shadowcat::engine::Engine;
use shadowcat::resource::log_ring::LogRing;
use shadowcat::snapshot::{RecorderState, Severity};

use crate::house::{all_is_well, house};
use crate::support::snapshot_when;

/// The limit of a process on its files' sizes is a full disk that takes no disk. It is for the whole process, so the test
/// has one of its own.
#[test]
fn a_full_disk_costs_records_and_nobody_a_byte() {
    let here = std::env::current_exe().unwrap();
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""])
        .arg(here)
        .args([
            "--ignored",
            "--exact",
            "disk::records_to_a_disk_for_a_few_kilobytes",
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&status.stdout);
    assert!(
        status.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&status.stderr)
    );
}

#[tokio::test]
#[ignore = "run by the test above in a process that may write small files only"]
async fn records_to_a_disk_for_a_few_kilobytes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("full.jsonl");
    let record = RecordConfig {
        path: Some(path.clone()),
    };
    let mut house = house(|config| config.record = Some(record)).await;
    for _ in 0..100 {
        all_is_well(house.address()).await;
    }
    let snapshot = snapshot_when(&mut house.frontend, "the loss on the screen", |snapshot| {
        let is_failed =
            matches!(&snapshot.recorder, RecorderState::Failed { cause, .. } if cause.contains("large"));
        let mut notices = snapshot.notices.iter();
        is_failed && notices.any(|notice| notice.severity == Severity::Error && notice.text.contains("large"))
    })
    .await;
    assert_eq!(
        snapshot.notices.len(),
        1,
        "one word about it: {:?}",
        snapshot.notices
    );
    assert!(snapshot.resources.tasks.iter().all(|row| row.panicked == 0));
    for _ in 0..20 {
        all_is_well(house.address()).await;
    }
    let report = house.engine.shut_down();
    assert!(
        report.lost > 0 && report.to_string().contains("lacks") && report.to_string().contains("large"),
        "{report}"
    );
    assert!(std::fs::metadata(&path).unwrap().len() <= 64 * 1024);
    let opened = Engine::open(
        &path,
        &shadowcat::limits::ResourceLimits::default(),
        LogRing::new(16),
    )
    .unwrap();
    let mut frontend = opened.frontend().unwrap();
    snapshot_when(&mut frontend, "what fitted", |snapshot| {
        snapshot.messages.total > 10
    })
    .await;
}
