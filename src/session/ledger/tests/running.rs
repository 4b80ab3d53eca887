//! The ledger at work: batches in, views out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::limits::ResourceLimits;
use crate::resource::queue::batch_queue;
use crate::session::history::{History as _, HistoryView};
use crate::session::ledger::testing::session_id;
use crate::session::ledger::{Ledger, PUBLISH_INTERVAL, run};
use crate::session::observation::{Event, Observation, SessionOpened};
use crate::snapshot::SessionBasis;
use crate::tasks::{TaskKind, Tasks};

fn session(number: u32) -> Observation {
    Observation {
        at: crate::clock::Timestamp::from_micros(u64::from(number)),
        event: Event::Session(Box::new(SessionOpened {
            id: session_id(&format!("R{number}")),
            server: "s".into(),
            basis: SessionBasis::Peer,
            client: "c".into(),
        })),
    }
}

#[tokio::test(start_paused = true)]
async fn news_after_silence_is_published_at_once_and_a_stream_of_news_twenty_times_a_second() {
    let tasks = Tasks::new(4);
    let clock = Clock::start();
    let (producer, consumer) = batch_queue(100, 1 << 20);
    let (out, mut views) = watch::channel(Arc::<HistoryView>::default());
    let ledger = Ledger::new(&ResourceLimits::default());
    tasks.spawn(TaskKind::Ledger, run(ledger, consumer, out, clock));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(views.borrow_and_update().version(), 0);

    let before = clock.now();
    producer.push(session(1)).await;
    views.changed().await.unwrap();
    assert_eq!(clock.now().since(before), Duration::ZERO);
    assert_eq!(views.borrow_and_update().sessions().len(), 1);

    for number in 2..=1000 {
        producer.push(session(number)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(2 * PUBLISH_INTERVAL).await;
    let view = Arc::clone(&views.borrow_and_update());
    assert_eq!((view.sessions().len(), view.count()), (1000, 0));
    assert!((17..=22).contains(&view.version()), "{}", view.version());

    producer.push(session(1001)).await;
    producer.close();
    while views.changed().await.is_ok() {}
    assert_eq!(views.borrow().sessions().len(), 1001);
    tasks.end_services(Duration::from_secs(1)).await;
}
