//! What a running proxy is made of.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tokio::sync::{Semaphore, mpsc, watch};

use crate::clock::Clock;
use crate::config::{CommandServer, Config, UpstreamConfig};
use crate::door::DoorNotes;
use crate::frontend::CommandEnvelope;
use crate::intercept::hold::Holds;
use crate::intercept::interceptor::Interceptor;
use crate::intercept::rule::{Rule, Verdict};
use crate::intercept::rules::Armory;
use crate::recording::{RecorderSettings, Redaction, recorder};
use crate::resource::meters::{BufferPool, Meters};
use crate::resource::queue::batch_queue;
use crate::session::history::HistoryView;
use crate::session::ledger::{self, Ledger};
use crate::session::registry::Registry;
use crate::tasks::{TaskKind, Tasks};
use crate::telemetry::Exporter;
use crate::transport::bridge::{BridgeServer, program};
use crate::transport::gate::Gate;
use crate::transport::hub::{Hub, Ids, UpstreamState};
use crate::transport::oauth::Oauth;
use crate::transport::route::Routes;
use crate::transport::tls::Interception;
use crate::transport::upstream::{Clients, KnownUpstream, Way};
use crate::transport::watchers::Watchers;
use crate::views::{self, Door};

use super::binding::Sockets;
use super::surroundings::{LiveSurroundings, Notices};
use super::{Proxy, recording, telemetry};

/// Commands to the recorder that wait for the one under way; beyond, the frontend waits.
const RECORDER_COMMANDS: usize = 8;

/// All of it, with what connects it to the views.
pub(super) struct Parts {
    pub(super) tasks: Tasks,
    pub(super) proxy: Proxy,
    pub(super) door: Door,
    pub(super) ports: views::Ports,
    pub(super) history: watch::Receiver<Arc<HistoryView>>,
    pub(super) surroundings: Arc<LiveSurroundings>,
    pub(super) recorder_commands: mpsc::Sender<CommandEnvelope>,
    pub(super) clock: Clock,
}

/// Starts the tasks that watch the traffic, and makes what serves it.
pub(super) fn start(
    config: &Config,
    sockets: &Sockets,
    metrics_addresses: &[SocketAddr],
    exporter: Option<Exporter>,
    way: Way,
) -> Parts {
    let limits = &config.limits;
    let clock = Clock::start();
    let tasks = Tasks::within(limits);
    let (ledger_queue, observations) = batch_queue(limits.observation_queue, limits.observation_queue_bytes);
    let (recorder, tap) = recorder(limits, recorder_settings(config), clock, &tasks);
    let (publish, history) = watch::channel(Arc::new(HistoryView::default()));
    let spans = exporter.map(|exporter| telemetry::start_export(exporter, &tasks));
    let ledger = Ledger::new(limits)
        .with_servers(labels(config))
        .with_observer(telemetry::observer(spans.as_ref(), config));
    let ledger_lag = Arc::clone(ledger.lag());
    tasks.spawn(
        TaskKind::Ledger,
        ledger::run(ledger, observations, publish, clock),
    );
    let watchers = Watchers {
        ledger: ledger_queue,
        recorder: tap,
    };
    let hub = Arc::new(hub(config, sockets, way, clock, &tasks, watchers));
    let (recorder_commands, asked) = mpsc::channel(RECORDER_COMMANDS);
    tasks.spawn(
        TaskKind::Frontend,
        recording::obey(recorder.clone(), Arc::clone(&hub), history.clone(), asked),
    );
    let (door, ports) = views::door(limits);
    let surroundings = LiveSurroundings {
        hub: Arc::clone(&hub),
        recorder: recorder.clone(),
        history: history.clone(),
        log: config.log.clone(),
        door: door.clone(),
        notices: Notices::of_config(config, clock.now()),
        ledger_lag,
        telemetry: telemetry::Telemetry::new(metrics_addresses, spans),
        ending_since: OnceLock::new(),
    };
    Parts {
        tasks,
        proxy: Proxy { hub, recorder },
        door,
        ports,
        history,
        surroundings: Arc::new(surroundings),
        recorder_commands,
        clock,
    }
}

fn recorder_settings(config: &Config) -> RecorderSettings {
    let redaction = if config.records_secrets {
        Redaction::Off
    } else {
        Redaction::On
    };
    RecorderSettings {
        redaction,
        recording: config.recording.clone(),
    }
}

/// What all connections share.
fn hub(config: &Config, sockets: &Sockets, way: Way, clock: Clock, tasks: &Tasks, watchers: Watchers) -> Hub {
    let limits = config.limits.clone();
    let (common, ports) = (sockets.addresses(), sockets.ports());
    let all = common.iter().chain(ports.iter().map(|(_, address)| address));
    let listening: Arc<OnceLock<Vec<SocketAddr>>> =
        Arc::new(OnceLock::from(all.copied().collect::<Vec<_>>()));
    let meters: Arc<Meters> = Arc::default();
    let gates = gates(config, clock);
    Hub {
        clock,
        ids: Ids::default(),
        registry: Registry::new(&limits),
        tasks: tasks.clone(),
        watchers: Arc::new(watchers),
        meters: Arc::clone(&meters),
        buffers: BufferPool::new(limits.max_buffer_pool),
        routes: Routes::new(config),
        oauth: Arc::new(Oauth::new(config.oauth)),
        upstreams: gates
            .iter()
            .map(|known| UpstreamState::new(Arc::clone(&known.gate)))
            .collect(),
        bridges: bridges(config, clock),
        interception: Interception::new(&config.forward, &limits, clock, &meters),
        clients: Clients::new(&limits, tasks, clock, &meters, listening, gates, way),
        common,
        ports,
        door: DoorNotes::default(),
        interceptor: interceptor(config, clock),
        runs: Arc::default(),
        room: Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS))),
        limits,
    }
}

fn interceptor(config: &Config, clock: Clock) -> Interceptor {
    let limits = &config.limits;
    let interceptor = Interceptor {
        armory: Armory::new(),
        holds: Arc::new(Holds::new(clock, limits.max_held_messages, limits.max_held_bytes)),
        patience: Arc::default(),
        saver: Arc::default(),
        schemas: Arc::default(),
    };
    interceptor.holds.set_can_hold(config.can_hold);
    if let Some(every) = config.comment_every {
        interceptor.holds.set_comment_every(every);
    }
    for rule in &config.rules {
        if let Err(error) = interceptor.armory.put(rule.clone()) {
            tracing::warn!("the rule `{}` is not armed: {error}", rule.name);
        }
    }
    warn_of_idle(&config.rules, &interceptor);
    interceptor
}

/// Tells of rules that hold messages where nobody can decide about them.
pub(super) fn warn_of_idle(rules: &[Rule], interceptor: &Interceptor) {
    let idle = rules.iter().filter(|rule| rule.verdict == Verdict::Hold);
    let names: Vec<&str> = idle.map(|rule| &*rule.name).collect();
    if !names.is_empty() && !interceptor.holds.can_hold() {
        tracing::warn!(
            "nothing is held by {}, since nobody is there who decides: add --wait and use `shadowcat-tui held`",
            names.join(", ")
        );
    }
}

/// The commands that are served, in their order.
fn bridges(config: &Config, clock: Clock) -> Vec<Arc<BridgeServer>> {
    let served = |command: &CommandServer| {
        let server = Arc::new(BridgeServer::new(command, config.guard.as_ref()));
        if let Some(problem) = program::problem(command) {
            tracing::warn!(
                server = &*server.label,
                "the command cannot be started: {problem}"
            );
            server.note_missing(problem, clock.now());
        }
        server
    };
    config.commands.iter().map(served).collect()
}

/// What the configured servers are called on screen.
fn labels(config: &Config) -> impl Iterator<Item = Arc<str>> {
    let upstreams = config.upstreams.iter().map(UpstreamConfig::label);
    upstreams.chain(config.commands.iter().map(CommandServer::label))
}

/// A breaker for each upstream, in their order.
fn gates(config: &Config, clock: Clock) -> Vec<KnownUpstream> {
    let known = |upstream: &UpstreamConfig| KnownUpstream {
        scheme: upstream.scheme(),
        authority: upstream.authority.clone(),
        gate: Arc::new(Gate::new(
            &upstream.label(),
            upstream.shown_url(),
            &config.limits,
            clock,
        )),
    };
    config.upstreams.iter().map(known).collect()
}
