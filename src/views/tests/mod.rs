mod commands;
mod filters;
mod matching;
mod pace;

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::{Door, Surroundings, door, run};
use crate::clock::Clock;
use crate::frontend::{CommandEnvelope, Frontend};
use crate::limits::ResourceLimits;
use crate::session::history::HistoryView;
use crate::session::ledger::testing::Talk;
use crate::snapshot::{LogRow, Notice, Page, RecorderState, Resources, Snapshot, Source, ViewQuery, Window};
use crate::tasks::{TaskKind, Tasks};

/// An engine's surroundings that say what a test sets.
#[derive(Debug, Default)]
struct Room {
    rss: Mutex<u64>,
    asked: Mutex<u64>,
}

impl Surroundings for Room {
    fn source(&self) -> Source {
        Source::default()
    }

    fn recorder(&self) -> RecorderState {
        RecorderState::Off
    }

    fn resources(&self) -> Resources {
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        Resources {
            uptime: Duration::from_secs(*asked),
            rss_bytes: Some(*self.rss.lock().unwrap()),
            ..Resources::default()
        }
    }

    fn log(&self, _window: Window<u64>) -> Page<LogRow> {
        Page::default()
    }

    fn notices(&self) -> Vec<Notice> {
        Vec::new()
    }
}

/// Views at work over the history of a talk.
struct House {
    talk: Talk,
    history: watch::Sender<Arc<HistoryView>>,
    door: Door,
    room: Arc<Room>,
    recorder: mpsc::Receiver<CommandEnvelope>,
    tasks: Tasks,
    clock: Clock,
}

impl House {
    fn new(talk: Talk) -> Self {
        Self::within(talk, ResourceLimits::default())
    }

    fn within(mut talk: Talk, limits: ResourceLimits) -> Self {
        let (door, ports) = door(&limits);
        let (history, views) = watch::channel(talk.view());
        let (commands, recorder) = mpsc::channel(1);
        let (tasks, clock, room) = (Tasks::new(8), Clock::start(), Arc::new(Room::default()));
        let surroundings: Arc<dyn Surroundings> = Arc::<Room>::clone(&room);
        tasks.spawn(TaskKind::Views, async move {
            run(ports, views, surroundings, commands, &limits, clock).await;
        });
        Self {
            talk,
            history,
            door,
            room,
            recorder,
            tasks,
            clock,
        }
    }

    fn attach(&self) -> Frontend {
        self.door.attach().unwrap()
    }

    fn publish(&mut self) {
        self.history.send_replace(self.talk.view());
    }
}

/// The next snapshot; a wait without end fails the test by its paused clock.
async fn next(frontend: &mut Frontend) -> Arc<Snapshot> {
    let wait = tokio::time::timeout(Duration::from_secs(60), frontend.snapshots.changed());
    wait.await.expect("a snapshot should come").unwrap();
    Arc::clone(&frontend.snapshots.borrow_and_update())
}

/// The snapshot that answers a query.
async fn ask(frontend: &mut Frontend, query: ViewQuery) -> Arc<Snapshot> {
    frontend.queries.send_replace(query.clone());
    loop {
        let snapshot = next(frontend).await;
        if snapshot.query_serial == query.serial {
            return snapshot;
        }
    }
}

fn shown(snapshot: &Snapshot) -> Vec<u64> {
    snapshot.messages.rows.iter().map(|row| row.id.get()).collect()
}
