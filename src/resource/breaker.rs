//! When requests to an upstream that accepts no connections are let through. Pure: time is an argument.
//!
//! Closed until so many connects in a row have failed, then open: one attempt a pause is let through as a probe, all
//! else is refused. The first connection that comes about closes it, whoever asked for it.
//!
//! The time between attempts never grows, so a server that was just restarted is found by the first request after one
//! pause. What doubles is the time between *patient* probes: an attempt that hangs (a connect timeout, rather than a
//! refusal) holds a client for as long as connecting may take. In between, probes are given up after one pause.

use std::time::Duration;

use crate::clock::Timestamp;

/// When a breaker opens and how it tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Connects in a row that have to fail before it opens.
    pub failures: u64,
    /// Time between two attempts while it is open, and how long an impatient one waits for its connection.
    pub pause: Duration,
    /// Longest time between two patient attempts.
    pub max_pause: Duration,
}

/// What a breaker says of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Closed: nothing special.
    Pass,
    /// Open, and this one finds out whether it still has to be.
    Probe {
        /// Names the attempt when its outcome is told.
        ticket: u64,
        /// How long it may wait for its connection; `None`: as long as any other.
        patience: Option<Duration>,
    },
    /// Open, and tried a moment ago.
    Refuse {
        /// When it opened.
        since: Timestamp,
        /// From when on a request is let through.
        next: Timestamp,
    },
}

/// What has become of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It opened.
    Opened,
    /// It had been open since then, and closed.
    Closed {
        /// When it had opened.
        since: Timestamp,
    },
}

/// A breaker. Closed at first.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    outage: Option<Outage>,
    failures: u64,
    tickets: u64,
}

#[derive(Debug, Clone, Copy)]
struct Outage {
    since: Timestamp,
    next: Timestamp,
    probe: Option<u64>,
    patient: Patient,
    /// Time between the last patient probe and the next one.
    long_pause: Duration,
}

/// Who may take its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patient {
    /// The first probe from then on.
    From(Timestamp),
    /// The probe with this ticket does.
    Probe(u64),
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            outage: None,
            failures: 0,
            tickets: 0,
        }
    }

    /// Closed, and no failure to be remembered: nothing to do for a request, nor for a connection.
    pub fn is_quiet(&self) -> bool {
        self.outage.is_none() && self.failures == 0
    }

    /// Connects that have failed in a row.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Since when it is open, when a request is tried next, and whether one is being tried; `None` while it is closed.
    pub fn outage(&self) -> Option<(Timestamp, Timestamp, bool)> {
        let outage = self.outage.as_ref()?;
        Some((outage.since, outage.next, outage.probe.is_some()))
    }

    /// Time between two patient probes, as far as it has grown; zero while it is closed.
    pub fn long_pause(&self) -> Duration {
        self.outage.map_or(Duration::ZERO, |outage| outage.long_pause)
    }

    /// Decides about a request at `now`.
    pub fn admit(&mut self, now: Timestamp) -> Verdict {
        let Some(outage) = &mut self.outage else {
            return Verdict::Pass;
        };
        if now < outage.next {
            return Verdict::Refuse {
                since: outage.since,
                next: outage.next,
            };
        }
        self.tickets += 1;
        let ticket = self.tickets;
        // A probe that hangs keeps the next one waiting for a pause, no longer.
        outage.next = now.plus(self.settings.pause);
        outage.probe = Some(ticket);
        let is_patient = matches!(outage.patient, Patient::From(from) if from <= now);
        if is_patient {
            outage.patient = Patient::Probe(ticket);
        }
        Verdict::Probe {
            ticket,
            patience: (!is_patient).then_some(self.settings.pause),
        }
    }

    /// A connect failed, of the probe with that ticket or of a request that had passed while the breaker was closed.
    pub fn failed(&mut self, probe: Option<u64>, took: Duration, now: Timestamp) -> Option<Turn> {
        self.failures += 1;
        let pause = self.settings.pause;
        let Some(outage) = &mut self.outage else {
            return self.open(now);
        };
        let ticket = probe?;
        let is_slow = took >= pause;
        let was_patient = outage.patient == Patient::Probe(ticket);
        if was_patient && is_slow {
            outage.long_pause = (outage.long_pause * 2).min(self.settings.max_pause).max(pause);
            outage.patient = Patient::From(now.plus(outage.long_pause));
        } else if was_patient || !is_slow && matches!(outage.patient, Patient::From(_)) {
            // It is told no at once: nobody has to be patient, so everybody may be.
            outage.long_pause = pause;
            outage.patient = Patient::From(now);
        }
        outage.probe = outage.probe.filter(|other| *other != ticket);
        None
    }

    fn open(&mut self, now: Timestamp) -> Option<Turn> {
        if self.failures < self.settings.failures {
            return None;
        }
        let pause = self.settings.pause;
        self.outage = Some(Outage {
            since: now,
            next: now.plus(pause),
            probe: None,
            patient: Patient::From(now),
            long_pause: pause,
        });
        Some(Turn::Opened)
    }

    /// Nobody waits for that probe any more; it said nothing about the upstream.
    pub fn abandoned(&mut self, ticket: u64) {
        let Some(outage) = &mut self.outage else { return };
        outage.probe = outage.probe.filter(|other| *other != ticket);
        if outage.patient == Patient::Probe(ticket) {
            outage.patient = Patient::From(outage.since);
        }
    }

    /// A connection came about, or somebody says that it will: closes it.
    pub fn close(&mut self) -> Option<Turn> {
        self.failures = 0;
        let outage = self.outage.take()?;
        Some(Turn::Closed { since: outage.since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTINGS: BreakerSettings = BreakerSettings {
        failures: 5,
        pause: Duration::from_secs(1),
        max_pause: Duration::from_secs(30),
    };
    const AT_ONCE: Duration = Duration::from_millis(1);
    const HUNG: Duration = Duration::from_secs(10);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + millis * 1000)
    }

    fn open_at(millis: u64) -> Breaker {
        let mut breaker = Breaker::new(SETTINGS);
        for _ in 0..5 {
            breaker.failed(None, AT_ONCE, at(millis));
        }
        breaker
    }

    fn ticket(verdict: Verdict) -> (u64, Option<Duration>) {
        match verdict {
            Verdict::Probe { ticket, patience } => (ticket, patience),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_opens_at_the_last_of_so_many_failures_in_a_row() {
        let mut breaker = Breaker::new(SETTINGS);
        for _ in 0..4 {
            assert_eq!(breaker.failed(None, AT_ONCE, at(0)), None);
        }
        breaker.close();
        for _ in 0..4 {
            assert_eq!(breaker.failed(None, AT_ONCE, at(0)), None);
            assert_eq!(breaker.admit(at(0)), Verdict::Pass);
        }
        assert_eq!(breaker.failed(None, AT_ONCE, at(0)), Some(Turn::Opened));
        let refused = Verdict::Refuse {
            since: at(0),
            next: at(1000),
        };
        assert_eq!(breaker.admit(at(999)), refused);
        assert_eq!(
            breaker.failed(None, AT_ONCE, at(999)),
            None,
            "it had passed before"
        );
    }

    #[test]
    fn one_request_probes_and_its_connection_closes_it_for_all() {
        let mut breaker = open_at(0);
        ticket(breaker.admit(at(1000)));
        assert!(matches!(breaker.admit(at(1000)), Verdict::Refuse { .. }));
        assert_eq!(breaker.outage(), Some((at(0), at(2000), true)));
        assert_eq!(breaker.close(), Some(Turn::Closed { since: at(0) }));
        assert!(breaker.is_quiet());
        assert_eq!(breaker.admit(at(1001)), Verdict::Pass);
    }

    #[test]
    fn a_server_that_refuses_is_tried_every_second_however_long_it_is_down() {
        let mut breaker = open_at(0);
        for second in 1..1000 {
            let (probe, patience) = ticket(breaker.admit(at(second * 1000)));
            assert_eq!(patience, None);
            breaker.failed(Some(probe), AT_ONCE, at(second * 1000 + 1));
            assert!(matches!(
                breaker.admit(at(second * 1000 + 999)),
                Verdict::Refuse { .. }
            ));
        }
    }

    #[test]
    fn where_connecting_hangs_clients_are_held_ever_more_rarely_and_otherwise_for_a_second() {
        let mut breaker = open_at(0);
        let (mut now, mut patient_at) = (1000, Vec::new());
        while now < 200_000 {
            let (probe, patience) = ticket(breaker.admit(at(now)));
            if patience.is_none() {
                patient_at.push(now / 1000);
            }
            assert!(breaker.long_pause() <= SETTINGS.max_pause);
            let took = patience.unwrap_or(HUNG);
            now += u64::try_from(took.as_millis()).unwrap();
            breaker.failed(Some(probe), took, at(now));
        }
        assert_eq!(patient_at, [1, 13, 27, 45, 71, 111, 151, 191]);
    }

    #[test]
    fn a_patient_probe_keeps_others_waiting_for_a_second_only() {
        let mut breaker = open_at(0);
        let (patient, _) = ticket(breaker.admit(at(1000)));
        assert!(matches!(breaker.admit(at(1999)), Verdict::Refuse { .. }));
        let (_, patience) = ticket(breaker.admit(at(2000)));
        assert_eq!(patience, Some(SETTINGS.pause), "one patient probe at a time");
        breaker.failed(Some(patient), HUNG, at(11_000));
        let (_, patience) = ticket(breaker.admit(at(11_000)));
        assert_eq!(patience, Some(SETTINGS.pause));
        let (_, patience) = ticket(breaker.admit(at(13_000)));
        assert_eq!(patience, None);
    }

    #[test]
    fn a_probe_whose_client_leaves_says_nothing() {
        let mut breaker = open_at(0);
        let (probe, _) = ticket(breaker.admit(at(1000)));
        breaker.abandoned(probe);
        assert_eq!(breaker.outage(), Some((at(0), at(2000), false)));
        assert_eq!(breaker.failures(), 5);
        let (_, patience) = ticket(breaker.admit(at(2000)));
        assert_eq!(patience, None);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Wait(u64),
        Ask,
        /// The oldest attempt under way fails, having taken so long.
        Fail(u64),
        Leave,
        Connect,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0_u64..2500).prop_map(Step::Wait),
            4 => Just(Step::Ask),
            4 => (0_u64..12_000).prop_map(Step::Fail),
            1 => Just(Step::Leave),
            1 => Just(Step::Connect),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_a_request_is_tried_a_pause_after_the_last_attempt_and_never_two_within_one(
            steps in proptest::collection::vec(step(), 1..200)
        ) {
            let mut breaker = Breaker::new(SETTINGS);
            let (mut now, mut under_way) = (0, Vec::new());
            let (mut in_a_row, mut last_failure, mut last_probe) = (0, 0, None);
            for step in steps {
                match step {
                    Step::Wait(millis) => now += millis,
                    Step::Ask => match breaker.admit(at(now)) {
                        Verdict::Pass => {
                            prop_assert!(in_a_row < SETTINGS.failures);
                            under_way.push(None);
                        }
                        Verdict::Probe { ticket, patience } => {
                            prop_assert!(in_a_row >= SETTINGS.failures);
                            prop_assert!(last_probe.is_none_or(|last| now - last >= 1000));
                            prop_assert!(patience.is_none_or(|patience| patience == SETTINGS.pause));
                            last_probe = Some(now);
                            under_way.push(Some(ticket));
                        }
                        Verdict::Refuse { since, next } => {
                            let last = last_probe.unwrap_or(0).max(last_failure);
                            prop_assert!(now - last < 1000, "refused {} ms after the last attempt", now - last);
                            prop_assert!(since <= at(now) && next > at(now) && next <= at(now + 1000));
                        }
                    },
                    Step::Fail(took) if !under_way.is_empty() => {
                        let turn = breaker.failed(under_way.remove(0), Duration::from_millis(took), at(now));
                        in_a_row += 1;
                        last_failure = now;
                        prop_assert_eq!(turn.is_some(), in_a_row == SETTINGS.failures);
                    }
                    Step::Leave => {
                        if let Some(Some(ticket)) = under_way.pop() {
                            breaker.abandoned(ticket);
                        }
                    }
                    Step::Connect => {
                        breaker.close();
                        (in_a_row, last_probe) = (0, None);
                        prop_assert!(breaker.is_quiet());
                    }
                    Step::Fail(_) => {}
                }
            }
        }
    }
}
