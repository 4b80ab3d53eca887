//! The gauges of the Resources screen: one at least for every field of `ResourceLimits`.
//!
//! What a gauge shows depends on what its limit bounds. For things that are held (connections, bytes in a queue) it is
//! what is held now. For sizes and times, which are over when they are known, it is the largest of the last 10 to 20
//! seconds. How often the limit was reached is counted for all.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Timestamp, millis};
use crate::ids::Side;
use crate::limits::{LimitField, ResourceLimits, Unit};
use crate::recording::Recorder;
use crate::resource::log_ring::LogRing;
use crate::resource::meters::{Share, Watermark};
use crate::resource::queue::QueueUse;
use crate::session::history::HistoryView;
use crate::snapshot::{Gauge, SessionState};
use crate::tasks::TaskKind;
use crate::transport::hub::{Hub, UpstreamState};
use crate::transport::route::Upstream;
use crate::views::Door;

use super::telemetry::Telemetry;

/// Steps in which the silence of sessions is shown: time that only goes by is no news.
const SILENCE_STEPS: u32 = 20;

/// What a gauge shows: use now, most so far, how often the limit was reached.
type Reading = (u64, u64, u64);

/// All that is measured, at one moment.
pub(super) struct Measured<'a> {
    pub(super) hub: &'a Hub,
    pub(super) recorder: &'a Recorder,
    pub(super) history: Arc<HistoryView>,
    pub(super) log: &'a LogRing,
    pub(super) door: &'a Door,
    pub(super) telemetry: &'a Telemetry,
    pub(super) now: Timestamp,
    /// How long the program has been ending.
    pub(super) ending_for: Option<Duration>,
}

impl Measured<'_> {
    /// The gauges, in the order of [`ResourceLimits::FIELDS`].
    pub(super) fn gauges(&self) -> Vec<Gauge> {
        let fields = ResourceLimits::FIELDS.iter();
        fields.flat_map(|field| self.of(field.name)).collect()
    }

    /// The gauges of one limit. None if there is no such limit.
    fn of(&self, name: &'static str) -> Vec<Gauge> {
        let hub = self.hub;
        let meters = &hub.meters;
        let reading = match name {
            "max_connections" => meters.connections.read(),
            "max_certificates" => meters.certificates.read(),
            "max_shims" => self.shims(),
            "max_concurrent_tasks" => hub.tasks.permits().in_use(),
            "breaker_failures" | "breaker_pause" | "breaker_max_pause" => return self.breakers(name),
            "max_children" => meters.children.read(),
            "max_held_messages" => hub.interceptor.holds.usage()[0],
            "max_held_bytes" => hub.interceptor.holds.usage()[1],
            "max_lane_events" => {
                return self.one(name, "most behind one", self.mark(&meters.lane_events));
            }
            "max_lane_bytes" => return self.one(name, "most behind one", self.mark(&meters.lane_bytes)),
            "replay_buffer" => return self.size(name, &meters.replay_messages, &meters.replay_messages),
            "replay_buffer_bytes" => return self.size(name, &meters.replay_bytes, &meters.replay_bytes),
            "max_exchanges_per_connection" => {
                return self.one(name, "most on one", self.mark(&meters.exchanges_per_connection));
            }
            "max_tasks_per_kind" => return self.shares(name),
            "max_idle_per_upstream" => return self.idle_upstreams(name),
            "max_sessions" => return self.sessions(name),
            "max_buffer_pool" => return self.buffers(name),
            "max_head_bytes" => return self.one(name, "largest", self.mark(&meters.head_bytes)),
            "max_headers" => return self.one(name, "most", self.mark(&meters.head_fields)),
            "max_body_kept" => return self.size(name, &meters.bodies, &meters.bodies),
            "max_parse_bytes" => return self.size(name, &meters.bodies, &meters.unparsed),
            "max_message_bytes" => return self.size(name, &meters.events, &meters.events),
            "max_event_tracker_events" => {
                return self.one(name, "most in a session", self.mark(&meters.event_ids));
            }
            "event_tracker_age" => self.mark(&meters.event_id_age),
            "head_timeout" => self.mark(&meters.head_time),
            "upstream_connect_timeout" => self.mark(&meters.connect_time),
            "queue_timeout" => self.mark(hub.tasks.permits().waits()),
            "recording_wait" => self.mark(self.recorder.waits()),
            "drain_timeout" => self.draining(),
            _ => return self.of_the_past(name),
        };
        self.one(name, "", reading)
    }

    /// The limits on history, on queues and on what shows them.
    fn of_the_past(&self, name: &'static str) -> Vec<Gauge> {
        let usage = self.history.usage();
        let (part, reading) = match name {
            "max_history_memory" => ("", (usage.bytes, usage.peak_bytes, usage.history_reached)),
            "max_memory_per_session" => (
                "largest",
                level(usage.largest_session_bytes, usage.session_reached),
            ),
            "max_open_calls" => (
                "most in a session",
                level(usage.most_open_calls, usage.calls_given_up),
            ),
            "max_ended_streams" => ("", level(usage.ended_streams, usage.streams_unlisted)),
            "session_idle_timeout" => ("", level(self.longest_silence(), usage.went_idle)),
            "observation_queue" => ("", items(self.hub.watchers.ledger.usage())),
            "observation_queue_bytes" => ("", bytes(self.hub.watchers.ledger.usage())),
            "max_disk" => ("", self.recorder.disk()),
            "recording_queue" => ("", items(self.recorder.usage())),
            "recording_queue_bytes" => ("", bytes(self.recorder.usage())),
            "log_ring" => ("", self.log_lines()),
            "log_file_bytes" => ("today", self.log.file().read()),
            "max_frontends" => ("", self.door.usage()),
            _ => return self.of_telemetry(name),
        };
        self.one(name, part, reading)
    }

    fn of_telemetry(&self, name: &'static str) -> Vec<Gauge> {
        let usage = self.telemetry.usage().into_iter();
        let of_name = usage.filter(|(limit, _)| *limit == name);
        of_name
            .flat_map(|(_, reading)| self.one(name, "", reading))
            .collect()
    }

    fn one(&self, name: &'static str, part: &str, reading: Reading) -> Vec<Gauge> {
        vec![gauge(name, part, self.limit(name), reading)]
    }

    fn limit(&self, name: &str) -> u64 {
        self.hub.limits.get(name).unwrap_or(0)
    }

    fn mark(&self, mark: &Watermark) -> Reading {
        mark.read(self.now)
    }

    /// Each kind of task that has a share, and the share.
    fn shares(&self, name: &'static str) -> Vec<Gauge> {
        let share = |kind: TaskKind| {
            let (reading, limit) = self.hub.tasks.permits().share_in_use(kind)?;
            Some(gauge(name, kind.name(), limit, reading))
        };
        TaskKind::WITH_SHARE.into_iter().filter_map(share).collect()
    }

    /// A limit on sizes. What is larger is not held as a whole, so no more than the limit is in use.
    fn size(&self, name: &'static str, sizes: &Watermark, above: &Watermark) -> Vec<Gauge> {
        let limit = self.limit(name);
        let (used, peak, _) = self.mark(sizes);
        let (_, _, reached) = self.mark(above);
        self.one(name, "largest", (used.min(limit), peak.min(limit), reached))
    }

    /// Open upstream connections that carry no exchange. The pool does not say whose they are, so this is about all
    /// upstreams together.
    fn idle_upstreams(&self, name: &'static str) -> Vec<Gauge> {
        let (open, _, reached) = self.hub.meters.idle_upstreams.read();
        let (busy, ..) = self.hub.meters.exchanges.read();
        let upstreams = self.hub.upstreams.len().max(1) as u64;
        let limit = self.limit(name).saturating_mul(upstreams);
        let idle = open.saturating_sub(busy);
        vec![gauge(name, "of all upstreams", limit, level(idle, reached))]
    }

    /// Failures in a row and the waits that follow from them, for each upstream.
    fn breakers(&self, name: &'static str) -> Vec<Gauge> {
        let limit = self.limit(name);
        let of_upstream = |(upstream, state): (&Arc<Upstream>, &UpstreamState)| {
            let usage = state.gate.usage();
            let (used, peak, reached) = match name {
                "breaker_failures" => usage.failures,
                "breaker_pause" => usage.wait,
                _ => usage.long_pause,
            };
            // Requests that were under way when it opened fail too.
            gauge(
                name,
                &upstream.label,
                limit,
                (used.min(limit), peak.min(limit), reached),
            )
        };
        let upstreams = self.hub.routes.upstreams.iter().zip(&self.hub.upstreams);
        let gauges: Vec<Gauge> = upstreams.map(of_upstream).collect();
        if gauges.is_empty() {
            self.one(name, "", level(0, 0))
        } else {
            gauges
        }
    }

    fn sessions(&self, name: &'static str) -> Vec<Gauge> {
        let side = |side: Side| {
            let (used, reached) = self.hub.registry.counts(side);
            gauge(name, side.name(), self.limit(name), level(used, reached))
        };
        Side::ALL.into_iter().map(side).collect()
    }

    /// What each carrier has of its own, and what all have in common.
    fn buffers(&self, name: &'static str) -> Vec<Gauge> {
        let pool = &self.hub.buffers;
        let own = |owner: Share| {
            let (_, peak, reached) = pool.usage(owner);
            let (used, share) = pool.own_share(owner);
            gauge(name, owner.name(), share, (used, peak.min(share), reached))
        };
        let (used, share) = pool.common_share();
        let common = gauge(name, "for all", share, level(used, 0));
        Share::ALL.into_iter().map(own).chain([common]).collect()
    }

    /// Those that are refused count for a moment too.
    fn shims(&self) -> Reading {
        let (used, peak, reached) = self.hub.door.links.read();
        let limit = self.hub.limits.max_shims as u64;
        (used.min(limit), peak.min(limit), reached)
    }

    fn log_lines(&self) -> Reading {
        let lines = self.log.len() as u64;
        level(lines, self.log.written().saturating_sub(lines))
    }

    fn draining(&self) -> Reading {
        let is_cut = self.hub.tasks.is_cutting_traffic();
        level(millis(self.ending_for.unwrap_or_default()), u64::from(is_cut))
    }

    /// How long the active session that has been silent longest has been so.
    fn longest_silence(&self) -> u64 {
        let sessions = self.history.sessions().iter();
        let active = sessions.filter(|row| row.state == SessionState::Active);
        let longest = active
            .map(|row| self.now.since(row.active_at))
            .max()
            .unwrap_or_default();
        let timeout = self.hub.limits.session_idle_timeout;
        let step = millis(timeout / SILENCE_STEPS).max(1);
        millis(longest.min(timeout)) / step * step
    }
}

/// A reading of something whose peak nobody keeps.
const fn level(used: u64, reached: u64) -> Reading {
    (used, used, reached)
}

const fn items(usage: QueueUse) -> Reading {
    (
        usage.items,
        usage.peak_items,
        usage.waits.saturating_sub(usage.byte_waits),
    )
}

const fn bytes(usage: QueueUse) -> Reading {
    (usage.bytes, usage.peak_bytes, usage.byte_waits)
}

fn gauge(name: &'static str, part: &str, limit: u64, (used, peak, reached): Reading) -> Gauge {
    Gauge {
        name: name.to_owned(),
        part: part.to_owned(),
        unit: LimitField::named(name).map_or(Unit::Count, |field| field.unit),
        used,
        limit,
        peak: peak.max(used),
        reached,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::Engine;

    #[tokio::test]
    async fn every_limit_has_a_gauge_and_they_stand_in_the_order_of_the_table() {
        let engine = Engine::start(Config {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            ..Config::default()
        })
        .unwrap();
        let mut frontend = engine.frontend().unwrap();
        let first = frontend
            .snapshots
            .wait_for(|snapshot| snapshot.revision > 0)
            .await;
        let gauges = first.unwrap().resources.gauges.clone();
        let mut names: Vec<&str> = gauges.iter().map(|gauge| gauge.name.as_str()).collect();
        names.dedup();
        let fields: Vec<&str> = ResourceLimits::FIELDS.iter().map(|field| field.name).collect();
        assert_eq!(names, fields);
        for gauge in &gauges {
            assert!(gauge.limit > 0 && gauge.used <= gauge.limit, "{gauge:?}");
        }
    }
}
