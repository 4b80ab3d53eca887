//! When snapshots come.

use std::time::Duration;

use super::{House, ask, next, shown};
use crate::ids::MessageId;
use crate::limits::ResourceLimits;
use crate::session::ledger::testing::Talk;
use crate::snapshot::{Anchor, Command, Reply, ViewQuery, Window};
use crate::views::AttachError;

/// A talk whose history keeps everything.
fn roomy() -> Talk {
    let limits = ResourceLimits {
        max_memory_per_session: 1 << 30,
        max_history_memory: 1 << 30,
        ..ResourceLimits::default()
    };
    Talk::within(&limits)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_while_nothing_changes() {
    let house = House::new(Talk::default());
    let mut frontend = house.attach();
    assert_eq!(next(&mut frontend).await.revision, 1);
    // Uptime goes on, history is published again as it was: neither is news.
    for _ in 0..10 {
        house.history.send_modify(|_| ());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(*house.room.asked.lock().unwrap() >= 10);
    assert!(!frontend.snapshots.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn resources_are_looked_at_once_a_second() {
    let house = House::new(Talk::default());
    let mut frontend = house.attach();
    next(&mut frontend).await;
    let before = house.clock.now();
    *house.room.rss.lock().unwrap() = 5;
    let snapshot = next(&mut frontend).await;
    assert_eq!(snapshot.resources.rss_bytes, Some(5));
    assert_eq!(house.clock.now().since(before), Duration::from_secs(1));
    assert_eq!(snapshot.taken_at, house.clock.now());
}

#[tokio::test(start_paused = true)]
async fn a_burst_makes_twenty_snapshots_a_second_and_the_last_one_has_it_all() {
    let mut house = House::new(roomy());
    let mut frontend = house.attach();
    next(&mut frontend).await;
    let mut snapshots = 0;
    for number in 1..=1000 {
        house.talk.round_trip(number, "echo");
        house.publish();
        tokio::time::sleep(Duration::from_millis(1)).await;
        if frontend.snapshots.has_changed().unwrap() {
            snapshots += 1;
            frontend.snapshots.mark_unchanged();
        }
    }
    assert!((18..=21).contains(&snapshots), "{snapshots}");
    let last = next(&mut frontend).await;
    assert_eq!((last.messages.total, last.messages.matched), (2000, 2000));
    assert_eq!(last.messages.newest.map(MessageId::get), Some(2000));
}

#[tokio::test(start_paused = true)]
async fn a_query_is_answered_at_once_whatever_was_published_before() {
    let mut house = House::new(Talk::default());
    (1..=10).for_each(|number| house.talk.round_trip(number, "echo"));
    house.publish();
    let mut frontend = house.attach();
    next(&mut frontend).await;
    let before = house.clock.now();
    for serial in 1..=20 {
        let window = Window {
            anchor: Anchor::Index(serial - 1),
            rows: 3,
        };
        let snapshot = ask(
            &mut frontend,
            ViewQuery {
                serial,
                messages: window,
                ..ViewQuery::default()
            },
        )
        .await;
        assert_eq!(snapshot.messages.first, (serial - 1).min(17));
        assert_eq!(snapshot.messages.rows.len(), 3);
    }
    assert_eq!(house.clock.now(), before);
}

#[tokio::test(start_paused = true)]
async fn a_new_filter_over_a_long_history_never_keeps_a_key_waiting() {
    let mut house = House::new(roomy());
    house.talk.post(1);
    for number in 0..100_000 {
        house
            .talk
            .asks(1, &format!(r#"{{"jsonrpc":"2.0","method":"m{}"}}"#, number % 10));
    }
    house.publish();
    let mut frontend = house.attach();
    next(&mut frontend).await;
    let before = house.clock.now();
    let query = ViewQuery {
        serial: 1,
        filter: "method:m3".to_owned(),
        ..ViewQuery::default()
    };
    let first = ask(&mut frontend, query.clone()).await;
    // The end of the list is there at once, the rest is still being looked at.
    assert_eq!(first.messages.rows.last().map(|row| row.id.get()), Some(99_994));
    assert_eq!(first.messages.rows.len(), 100);
    assert!(first.messages.scanned < 50_000, "{}", first.messages.scanned);
    let moved = Window {
        anchor: Anchor::Tail,
        rows: 7,
    };
    let second = ask(
        &mut frontend,
        ViewQuery {
            serial: 2,
            messages: moved,
            ..query
        },
    )
    .await;
    assert_eq!(second.messages.rows.len(), 7);
    assert!(second.messages.scanned < 100_000);
    assert_eq!(house.clock.now(), before);
    let mut last = second;
    while last.messages.scanned < 100_000 {
        last = next(&mut frontend).await;
    }
    assert_eq!((last.messages.matched, last.messages.total), (10_000, 100_000));
}

#[tokio::test(start_paused = true)]
async fn a_long_search_does_not_keep_a_key_waiting() {
    let mut house = House::new(roomy());
    house.talk.post(1);
    for _ in 0..50_000 {
        house.talk.asks(1, r#"{"jsonrpc":"2.0","method":"m"}"#);
    }
    house.publish();
    let mut frontend = house.attach();
    next(&mut frontend).await;
    let commands = frontend.commands.clone();
    let find = commands.ask(Command::Find {
        from: None,
        is_backwards: true,
        filter: "text:nowhere".to_owned(),
        scope: String::new(),
        session: None,
    });
    tokio::pin!(find);
    assert!(futures_util::poll!(&mut find).is_pending());
    tokio::task::yield_now().await;
    let answered = ask(
        &mut frontend,
        ViewQuery {
            serial: 1,
            ..ViewQuery::default()
        },
    )
    .await;
    assert_eq!(answered.query_serial, 1);
    assert!(futures_util::poll!(&mut find).is_pending());
    assert_eq!(find.await, Ok(Reply::Found(None)));
}

#[tokio::test(start_paused = true)]
async fn the_last_snapshot_comes_when_history_ends() {
    let mut house = House::new(Talk::default());
    let mut frontend = house.attach();
    next(&mut frontend).await;
    house.talk.round_trip(1, "echo");
    house.publish();
    drop(house.history);
    assert_eq!(shown(&*next(&mut frontend).await), [1, 2]);
    assert!(frontend.snapshots.changed().await.is_err());
    let ask = Command::Rows {
        after: None,
        limit: 10,
        filter: String::new(),
    };
    assert!(matches!(frontend.commands.ask(ask).await, Ok(Reply::Rows { rows, .. }) if rows.len() == 2));
    drop(frontend);
    assert_eq!(house.tasks.end_services(Duration::from_secs(5)).await, Vec::new());
    assert!(matches!(house.door.attach(), Err(AttachError::Ended)));
}

#[tokio::test(start_paused = true)]
async fn a_frontend_too_many_is_refused_until_another_one_goes() {
    let house = House::within(
        Talk::default(),
        ResourceLimits {
            max_frontends: 2,
            ..ResourceLimits::default()
        },
    );
    let first = house.attach();
    let mut second = house.attach();
    let refused = house.door.attach().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "max_frontends (2) views are open; close one of them or raise --max-frontends"
    );
    assert_eq!(house.door.open(), 2);
    next(&mut second).await;
    drop(first);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(house.door.attach().is_ok());
}
