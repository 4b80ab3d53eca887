//! What was decided about a message, as its row says it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::HoldId;
use crate::intercept::hold::{Actor, Effect, Ending};

/// What was decided about a message, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowVerdict {
    /// The rule that acted on it, or held it.
    pub rule: String,
    /// Which message of a batch it was, from 1, and of how many; `None` if the frame is no batch, or was decided about as
    /// a whole.
    pub batch: Option<(u32, u32)>,
    /// What it was called while it was held; `None` if a rule acted at once.
    pub hold: Option<HoldId>,
    /// How it left; `None` while it waits.
    pub ending: Option<Ending>,
    /// What was done to it beside that.
    pub effect: Option<Effect>,
    /// Who decided.
    pub actor: Actor,
    /// How long it was held.
    pub held_for: Duration,
}

impl RowVerdict {
    /// In words, as an exchange lists it. `None` while it waits.
    pub fn words(&self) -> Option<String> {
        let ending = self.ending?.name();
        let who = self.actor.words();
        let rule = &self.rule;
        let which = self.batch.map_or_else(String::new, |(number, count)| {
            format!("entry {number} of {count}: ")
        });
        Some(match (self.hold, self.actor) {
            (Some(hold), _) => format!(
                "{which}held {hold} by the rule `{rule}` for {:.1} s, then {ending} {who}",
                self.held_for.as_secs_f64()
            ),
            (None, Actor::Rule) => format!("{which}{} by the rule `{rule}`", self.deed()),
            (None, _) => format!("{which}{} {who}", self.deed()),
        })
    }

    /// What was done, in a few words: `edited`, `delayed`, `fault: wrong id`; `held` while it waits.
    pub fn deed(&self) -> &'static str {
        match (self.ending, self.effect) {
            (Some(ending), Some(Effect::Delayed | Effect::Repeated)) if ending != Ending::Forwarded => {
                ending.name()
            }
            (_, Some(effect)) => effect.words(),
            (Some(ending), None) => ending.name(),
            (None, None) => "held",
        }
    }

    /// Who it was: `rule:NAME`, or who decided in the place of the rule that held it.
    pub fn by(&self) -> String {
        match self.actor {
            Actor::Rule => format!("by rule:{}", self.rule),
            actor => actor.words().to_owned(),
        }
    }

    /// Whether it went on just as it came, and at once when somebody looked at it.
    pub fn is_unchanged(&self) -> bool {
        self.ending == Some(Ending::Forwarded) && self.effect.is_none()
    }
}
