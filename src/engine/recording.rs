//! Carries out the frontends' commands to the recorder, to the upstreams' breakers and to the servers.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::frontend::CommandEnvelope;
use crate::recording::Recorder;
use crate::session::history::HistoryView;
use crate::session::observation::{Event, Observation};
use crate::snapshot::{Command, RecorderState, Reply};
use crate::transport::causes::describe;
use crate::transport::hub::Hub;
use crate::transport::resend;

/// Obeys until nobody can command any more.
pub(super) async fn obey(
    recorder: Recorder,
    hub: Arc<Hub>,
    history: watch::Receiver<Arc<HistoryView>>,
    mut commands: mpsc::Receiver<CommandEnvelope>,
) {
    let stopping = hub.tasks.stopping().clone();
    let obeying = async {
        while let Some((command, reply)) = commands.recv().await {
            let answer = match command {
                Command::StartRecording { path } => start(&recorder, &hub, &history, path).await,
                Command::StopRecording => stop(&recorder).await,
                Command::ResetBreaker { upstream } => reset_breakers(&hub, upstream.as_deref()),
                Command::Resend(repeat) => match resend::resend(&hub, &repeat) {
                    Ok(id) => Reply::Resent { id },
                    Err(message) => Reply::Refused { message },
                },
                _ => Reply::Refused {
                    message: "the recorder only starts and stops".to_owned(),
                },
            };
            if reply.send(answer).is_err() {
                tracing::debug!("whoever commanded the recorder has gone");
            }
        }
    };
    stopping.run_until_cancelled(obeying).await;
}

async fn start(
    recorder: &Recorder,
    hub: &Hub,
    history: &watch::Receiver<Arc<HistoryView>>,
    path: Option<PathBuf>,
) -> Reply {
    let preamble = async {
        let view = Arc::clone(&history.borrow());
        preamble(hub, &view)
    };
    match recorder.start(path, preamble).await {
        Ok(_) => Reply::Recording(recorder.state()),
        Err(error) => Reply::Refused {
            message: describe(&error),
        },
    }
}

/// What a recording that begins in mid-traffic has to know: the sessions, and the heads of what is open.
fn preamble(hub: &Hub, history: &HistoryView) -> Vec<Observation> {
    let mut told = HashSet::new();
    let mut observations: Vec<Observation> = Vec::new();
    for opened in hub.registry.all() {
        observations.push(Observation {
            at: hub.clock.now(),
            event: Event::Session(Box::new(opened)),
        });
    }
    for row in history.rows_from(0) {
        let exchange = row.exchange();
        if exchange.is_open() && told.insert(row.exchange_id()) {
            observations.extend(exchange.beginning(row.session()));
        }
    }
    observations
}

fn reset_breakers(hub: &Hub, name: Option<&str>) -> Reply {
    let all = hub.routes.upstreams.iter().zip(&hub.upstreams);
    let mut meant = all
        .filter(|(upstream, _)| name.is_none_or(|name| *upstream.label == *name))
        .peekable();
    if let (Some(name), None) = (name, meant.peek()) {
        let known: Vec<&str> = hub.routes.upstreams.iter().map(|known| &*known.label).collect();
        let message = format!("no upstream is called `{name}`; there are: {}", known.join(", "));
        return Reply::Refused { message };
    }
    let upstreams = meant
        .filter(|(_, state)| state.gate.reset())
        .map(|(upstream, _)| upstream.label.to_string());
    Reply::BreakersReset {
        upstreams: upstreams.collect(),
    }
}

async fn stop(recorder: &Recorder) -> Reply {
    match recorder.stop().await {
        Ok(finished) => match finished.failure {
            Some(cause) => Reply::Recording(RecorderState::Failed {
                path: finished.path,
                cause,
            }),
            None => Reply::Recording(RecorderState::Off),
        },
        Err(error) => Reply::Refused {
            message: error.to_string(),
        },
    }
}
