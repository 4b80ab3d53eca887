//! A mistake of ours in one task.

use shadowcat::snapshot::Severity;
use shadowcat::tasks::TaskKind;

use crate::house::{house, while_others_go_on};
use crate::support::{PATIENCE, snapshot_when};

#[tokio::test]
async fn a_task_that_panics_is_shown_and_counted_and_stops_nothing() {
    let mut house = house(|config| config.limits.drain_timeout = PATIENCE).await;
    let host = house.address();
    let (mut client, mut upstream) = house.begin(1).await;
    while_others_go_on(host, async {
        for number in 0..40 {
            house
                .engine
                .spawn(TaskKind::Connection, async move { panic!("mistake {number}") });
            house
                .engine
                .spawn(TaskKind::File, async { panic!("another mistake") });
        }
        snapshot_when(&mut house.frontend, "the mistakes", |snapshot| {
            let panicked = |kind: &str| {
                let mut rows = snapshot.resources.tasks.iter();
                rows.any(|row| row.kind == kind && row.panicked == 40)
            };
            let mut notices = snapshot.notices.iter();
            panicked("connection")
                && panicked("file work")
                && notices.any(|notice| notice.severity == Severity::Error && notice.text.contains("mistake"))
                && snapshot.notices.len() <= 16
        })
        .await;
    })
    .await;
    let answer = crate::support::stage::json("{}");
    upstream.send(&answer).await;
    assert_eq!(
        client.read_exactly(answer.len()).await,
        answer.as_bytes(),
        "a call from before goes on"
    );
    let report = house.engine.shut_down();
    assert_eq!(report.cut, []);
}
