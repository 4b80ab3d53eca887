//! The rules that are armed at one moment, and the question which of them acts on a message.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::intercept::filter::{Field, FieldValue, Needs, Subject};
use crate::intercept::rule::{Hits, OnExpire, Rule, Verdict};
use crate::snapshot::Direction;

use super::Shared;
use super::state::State;

/// A rule with its counts.
#[derive(Debug)]
pub struct ArmedRule {
    rule: Rule,
    is_saved: bool,
    /// It is asked before those that are not.
    is_first: bool,
    state: Arc<State>,
}

impl ArmedRule {
    pub(super) fn new(rule: Rule, is_saved: bool, seed: u64) -> Self {
        let state = Arc::new(State::new(rule.is_on, seed));
        Self {
            rule,
            is_saved,
            is_first: false,
            state,
        }
    }

    /// The same, to be asked before the others.
    pub(super) fn first(self) -> Self {
        Self {
            is_first: true,
            ..self
        }
    }

    pub(super) fn is_first(&self) -> bool {
        self.is_first
    }

    /// This rule in the place of `old`, where it stands and with its counts if it means the same.
    pub(super) fn succeed(self, old: &Self) -> Self {
        let this = Self {
            is_first: old.is_first,
            ..self
        };
        this.with_counts_of(old)
    }

    fn with_counts_of(self, old: &Self) -> Self {
        let mut meaning = self.rule.clone();
        meaning.is_on = old.rule.is_on;
        if meaning != old.rule {
            return self;
        }
        // A switch at the keyboard outlives a reload, unless the file itself was switched.
        if self.rule.is_on != old.rule.is_on {
            old.state.switch(self.rule.is_on);
        }
        Self {
            state: Arc::clone(&old.state),
            ..self
        }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// The rule as it was written; [`ArmedRule::is_on`] tells how its switch stands now.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.rule.name
    }

    /// What becomes of the messages it acts on.
    pub fn verdict(&self) -> &Verdict {
        &self.rule.verdict
    }

    /// Whether it acts.
    pub fn is_on(&self) -> bool {
        self.state.is_on()
    }

    /// Whether it came from the file of rules.
    pub fn is_saved(&self) -> bool {
        self.is_saved
    }

    /// How often it acted.
    pub fn hits(&self) -> u64 {
        self.state.hits()
    }

    /// How many messages matched, whether or not it acted on them.
    pub fn matches(&self) -> u64 {
        self.state.matches()
    }

    /// How long to delay a message, drawn anew each time; zero unless the verdict is [`Verdict::Delay`].
    pub fn delay(&self) -> Duration {
        match self.rule.verdict {
            Verdict::Delay { fixed, jitter } => fixed.saturating_add(self.state.up_to(jitter)),
            _ => Duration::ZERO,
        }
    }

    /// How much of a message must be known to ask this rule and to do as it says.
    fn needs(&self) -> Needs {
        let verdict = match self.rule.verdict {
            Verdict::Hold | Verdict::Replace(_) | Verdict::Answer { .. } | Verdict::Fault(_) => Needs::Whole,
            // What is refused, dropped or delayed is one message, not one read of the socket; the log names it.
            Verdict::Refuse(_) | Verdict::Drop { .. } | Verdict::Delay { .. } | Verdict::Log => {
                Needs::Envelope
            }
            Verdict::Forward => Needs::Nothing,
        };
        self.rule.when.needs().max(verdict)
    }

    fn goes(&self, direction: Direction) -> bool {
        self.rule.direction.is_none_or(|wanted| wanted == direction)
    }

    fn fits(&self, subject: &(impl Subject + ?Sized)) -> bool {
        let can_act = match self.rule.verdict {
            Verdict::Answer { .. } => is_request(subject),
            _ => true,
        };
        can_act && self.rule.when.matches(subject)
    }

    fn row(&self) -> RuleRow {
        RuleRow {
            name: self.rule.name.clone(),
            is_on: self.is_on(),
            is_saved: self.is_saved,
            is_breakpoint: self.rule.verdict == Verdict::Hold,
            when: self.rule.when.to_string(),
            direction: self.rule.direction,
            policy: self.rule.hits.to_string(),
            verdict: format!("{}{}", self.rule.verdict, self.rule.while_held),
            on_expire: self.rule.on_expire,
            matches: self.matches(),
            hits: self.hits(),
            last_hit: self.state.last_hit(),
        }
    }
}

fn is_request(subject: &(impl Subject + ?Sized)) -> bool {
    matches!(subject.field(Field::Kind), Some(FieldValue::Text(kind)) if kind == "request")
}

/// The line of a rule on a screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRow {
    /// What it is called.
    pub name: String,
    /// Whether it acts.
    pub is_on: bool,
    /// Whether it is in the file of rules.
    pub is_saved: bool,
    /// Whether its verdict is to hold.
    pub is_breakpoint: bool,
    /// Its filter, normalised; empty if it matches everything.
    pub when: String,
    /// Only messages that go this way; both if `None`.
    pub direction: Option<Direction>,
    /// Which of the messages that match, in words.
    pub policy: String,
    /// What becomes of them, in words.
    pub verdict: String,
    /// What becomes of a message that is held too long; the default if `None`.
    pub on_expire: Option<OnExpire>,
    /// How many messages matched.
    pub matches: u64,
    /// How often it acted.
    pub hits: u64,
    /// When it last acted.
    pub last_hit: Option<Timestamp>,
}

/// The rules as they stand at one moment. Never changes but for the counts and switches of its rules.
#[derive(Debug)]
pub struct Armed {
    pub(super) rules: Vec<Arc<ArmedRule>>,
    pub(super) is_intercepting: bool,
    version: u64,
    needs: [Option<Needs>; 2],
    shared: Weak<Shared>,
}

/// A rule that acts on a message.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The rule.
    pub rule: Arc<ArmedRule>,
    /// The number of this hit of the rule, from 1.
    pub hit: u64,
}

impl Armed {
    pub(super) fn new(
        rules: Vec<Arc<ArmedRule>>,
        is_intercepting: bool,
        version: u64,
        shared: Weak<Shared>,
    ) -> Self {
        let needs = Direction::ALL.map(|direction| {
            let wanting = rules
                .iter()
                .filter(|rule| is_intercepting && rule.is_on() && rule.goes(direction));
            wanting.map(|rule| rule.needs()).max()
        });
        Self {
            rules,
            is_intercepting,
            version,
            needs,
            shared,
        }
    }

    /// Whether no rule acts on anything: none is on, or the master switch is off.
    pub fn is_empty(&self) -> bool {
        self.needs.iter().all(Option::is_none)
    }

    /// How much of a message that goes this way some rule may want, to be asked or to act; `None` if no rule could.
    pub fn needs(&self, direction: Direction) -> Option<Needs> {
        self.needs[direction as usize]
    }

    /// The number of this state; see [`Armory::version`](super::Armory::version).
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The rules in the order in which they are asked.
    pub fn rules(&self) -> &[Arc<ArmedRule>] {
        &self.rules
    }

    /// The first rule that is on, matches, and acts on this match by its [`Hits`]. Counts as it goes.
    ///
    /// A rule that only logs writes its line, counts, and lets the next be asked; one that answers is asked about
    /// requests only. `now` is shown as the time of the last hit. Takes no lock, but for the one hit that switches a
    /// [`Hits::Once`] off.
    pub fn choose(
        &self,
        subject: &(impl Subject + ?Sized),
        direction: Direction,
        now: Timestamp,
    ) -> Option<Chosen> {
        self.needs(direction)?;
        self.rules
            .iter()
            .filter(|rule| rule.is_on() && rule.goes(direction) && rule.fits(subject))
            .find_map(|rule| self.ask(rule, subject, direction, now))
    }

    fn ask(
        &self,
        rule: &Arc<ArmedRule>,
        subject: &(impl Subject + ?Sized),
        direction: Direction,
        now: Timestamp,
    ) -> Option<Chosen> {
        if !rule.state.is_due(rule.rule.hits) {
            return None;
        }
        let hit = rule.state.hit(now);
        if rule.rule.hits == Hits::Once
            && let Some(shared) = self.shared.upgrade()
        {
            shared.refresh();
        }
        if rule.rule.verdict == Verdict::Log {
            log(rule, hit, subject, direction);
            return None;
        }
        Some(Chosen {
            rule: Arc::clone(rule),
            hit,
        })
    }

    pub(super) fn rows(&self) -> Vec<RuleRow> {
        self.rules.iter().map(|rule| rule.row()).collect()
    }
}

fn log(rule: &ArmedRule, hit: u64, subject: &(impl Subject + ?Sized), direction: Direction) {
    let word = |field| match subject.field(field) {
        Some(FieldValue::Text(text)) => text.into_owned(),
        Some(FieldValue::Id(id)) => id.to_owned(),
        _ => "-".to_owned(),
    };
    tracing::info!(
        rule = rule.name(),
        hit,
        direction = direction.name(),
        session = word(Field::Session),
        method = word(Field::Method),
        id = word(Field::Id),
        "a rule matched a message"
    );
}
