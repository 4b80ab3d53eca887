//! Serves one frontend.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use crate::frontend::CommandEnvelope;
use crate::session::history::HistoryView;
use crate::snapshot::{Command, Reply};

use super::detail::detail;
use super::door::Port;
use super::search::Search;
use super::view::View;
use super::{RESOURCES_INTERVAL, SNAPSHOT_INTERVAL, Shared};

/// How long a frontend may take before it asks for what it has not seen yet, once history has ended.
const PATIENCE: Duration = Duration::from_millis(500);

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Answers queries at once and publishes what changed, until the frontend or history ends.
pub(super) async fn serve(mut port: Port, mut history: watch::Receiver<Arc<HistoryView>>, shared: Shared) {
    let query = port.queries.borrow_and_update().clone();
    let latest = Arc::clone(&history.borrow_and_update());
    let mut view = View::new(shared.clone(), query, latest);
    let mut pace = Pace::new();
    let mut job: Option<Job> = None;
    let mut seconds = interval_at(Instant::now() + RESOURCES_INTERVAL, RESOURCES_INTERVAL);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut held = shared
        .surroundings
        .interceptor()
        .map(|interceptor| interceptor.holds.subscribe());
    loop {
        tokio::select! {
            biased;
            changed = port.queries.changed() => {
                if changed.is_err() {
                    return;
                }
                let query = port.queries.borrow_and_update().clone();
                view.ask(query);
                pace.publish(&mut view, &port, &mut history);
            }
            Some(command) = port.commands.recv(), if job.is_none() => {
                job = Some(start(command, &view, &shared));
            }
            () = finished(&mut job) => {
                job = None;
                pace.is_due = true;
            }
            changed = history.changed() => {
                if changed.is_err() {
                    pace.publish(&mut view, &port, &mut history);
                    break;
                }
                let latest = Arc::clone(&history.borrow_and_update());
                view.move_to(latest);
                pace.is_due = true;
            }
            () = sleep_until(pace.next), if pace.is_due => pace.publish(&mut view, &port, &mut history),
            () = held_changed(&mut held) => pace.is_due = true,
            _ = seconds.tick() => {
                view.sample_resources();
                pace.is_due = true;
            }
            () = tokio::task::yield_now(), if view.is_scanning() => {
                view.advance();
                pace.is_due = true;
            }
        }
    }
    answer_the_rest(port, job, &view, &shared).await;
}

/// Closes the snapshots, so that the frontend learns that history is complete, and answers it until it leaves: what
/// came last can still be asked for. One that neither asks nor leaves for [`PATIENCE`] does not keep the program from ending.
async fn answer_the_rest(port: Port, job: Option<Job>, view: &View, shared: &Shared) {
    let mut commands = port.into_commands();
    if let Some(job) = job {
        job.await;
    }
    while let Ok(Some(command)) = timeout(PATIENCE, commands.recv()).await {
        start(command, view, shared).await;
    }
}

/// Ends when something changes among the held messages; never if there cannot be any.
async fn held_changed(held: &mut Option<watch::Receiver<u64>>) {
    let is_changed = match held {
        Some(held) => held.changed().await.is_ok(),
        None => false,
    };
    if !is_changed {
        std::future::pending::<()>().await;
    }
}

/// Ends when the job does; never if there is none.
async fn finished(job: &mut Option<Job>) {
    match job {
        Some(job) => job.await,
        None => std::future::pending().await,
    }
}

/// When the next snapshot may go out.
struct Pace {
    next: Instant,
    is_due: bool,
}

impl Pace {
    fn new() -> Self {
        Self {
            next: Instant::now(),
            is_due: true,
        }
    }

    fn publish(&mut self, view: &mut View, port: &Port, history: &mut watch::Receiver<Arc<HistoryView>>) {
        self.is_due = false;
        let source = view.source();
        let latest = Arc::clone(&history.borrow_and_update());
        if latest.version() != view.history().version() {
            view.move_to(latest);
        }
        if let Some(snapshot) = view.news(source) {
            port.snapshots.send_replace(snapshot);
            self.next = Instant::now() + SNAPSHOT_INTERVAL;
        }
    }
}

fn start((command, reply): CommandEnvelope, view: &View, shared: &Shared) -> Job {
    let search = Search {
        history: Arc::clone(view.history()),
        max_parse_bytes: shared.max_parse_bytes,
        clock: shared.clock,
    };
    let recorder = shared.recorder.clone();
    let surroundings = Arc::clone(&shared.surroundings);
    Box::pin(async move {
        let answer = match command {
            Command::Inspect { id } => {
                detail(&search.history, id).map_or(Reply::Gone, |detail| Reply::Detail(Box::new(detail)))
            }
            Command::Rows { after, limit, filter } => search.rows(after, limit, &filter).await,
            Command::Find {
                from,
                is_backwards,
                filter,
                scope,
                session,
            } => search.find(from, is_backwards, [&filter, &scope], session).await,
            Command::Intercept { what, actor } => match surroundings.interceptor() {
                Some(interceptor) => match interceptor.carry_out(what, actor).await {
                    Ok(answer) => Reply::Intercept(answer),
                    Err(message) => Reply::Refused { message },
                },
                None => Reply::Refused {
                    message: "an opened recording has no traffic to act on".to_owned(),
                },
            },
            deed @ (Command::StartRecording { .. }
            | Command::StopRecording
            | Command::ResetBreaker { .. }
            | Command::Resend(_)) => {
                return forward(&recorder, (deed, reply)).await;
            }
        };
        // The frontend may have given up waiting.
        let _ = reply.send(answer);
    })
}

/// Hands a command to where it is carried out and answered.
async fn forward(recorder: &tokio::sync::mpsc::Sender<CommandEnvelope>, command: CommandEnvelope) {
    if let Err(unsent) = recorder.send(command).await {
        let (command, reply) = unsent.0;
        let message = match command {
            Command::ResetBreaker { .. } => "the engine has ended; there is no breaker to reset",
            Command::Resend(_) => "there is no traffic here that it could be sent in",
            _ => "could not reach the recorder, because it has ended; restart to record",
        };
        let message = message.to_owned();
        let _ = reply.send(Reply::Refused { message });
    }
}
