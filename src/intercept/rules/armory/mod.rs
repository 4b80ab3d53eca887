//! The armed rules, shared by all connections: read without a lock, changed behind one.

mod armed;
mod mistake;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::intercept::rule::Rule;

use super::{MAX_NAME_BYTES, MAX_RULES};

pub use armed::{Armed, ArmedRule, Chosen, RuleRow};
pub use mistake::RulesMistake;

/// The armed rules. Clones share them.
///
/// Rules made at the keyboard or on the command line are asked before those of the file, in the order in which they
/// were made. Every change makes a new [`Armed`]; streams notice by [`Armory::version`].
#[derive(Debug, Clone)]
pub struct Armory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    armed: ArcSwap<Armed>,
    version: AtomicU64,
    /// Held while a new [`Armed`] is made, never while a rule is asked.
    writing: Mutex<()>,
    seed: u64,
    /// Rules made so far: each gets a row of chance of its own.
    made: AtomicU64,
    itself: Weak<Shared>,
    /// Why the file as it is now was not taken over.
    mistake: ArcSwapOption<RulesMistake>,
}

/// What a reload of the file changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reload {
    /// Rules that are new or mean something else than before.
    pub changed: usize,
    /// Rules that are as they were, and keep their counts.
    pub kept: usize,
    /// Rules that are gone.
    pub removed: usize,
}

/// A rule cannot be armed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArmError {
    /// Another rule has the name.
    #[error("there is a rule `{name}` already; choose another name or change that one")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// There are [`MAX_RULES`] already.
    #[error("there are {MAX_RULES} rules already; remove one first")]
    TooMany,
}

impl Default for Armory {
    fn default() -> Self {
        Self::new()
    }
}

impl Armory {
    /// No rules; the master switch is on. Chance differs from run to run.
    pub fn new() -> Self {
        Self::seeded(RandomState::new().hash_one(0))
    }

    /// As [`Armory::new`], with chance that is the same for the same seed and the same rules.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new_cyclic(|itself| Shared {
            armed: ArcSwap::from_pointee(Armed::new(Vec::new(), true, 0, itself.clone())),
            version: AtomicU64::new(0),
            writing: Mutex::new(()),
            seed,
            made: AtomicU64::new(0),
            itself: itself.clone(),
            mistake: ArcSwapOption::empty(),
        }))
    }

    /// The rules of this moment.
    pub fn load(&self) -> Arc<Armed> {
        self.0.armed.load_full()
    }

    /// Counts every change of the rules, of their switches and of the master switch. One relaxed load: a stream
    /// compares it with [`Armed::version`] of what it loaded last.
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Relaxed)
    }

    /// Adds a rule that is not in the file, behind the others of its kind.
    ///
    /// # Errors
    /// [`ArmError`] if the name is taken or there are [`MAX_RULES`].
    pub fn add(&self, rule: Rule) -> Result<(), ArmError> {
        self.insert(rule, |rules, armed| {
            let at = rules.partition_point(|old| old.is_first() || !old.is_saved());
            rules.insert(at, Arc::new(armed));
        })
    }

    /// Adds a rule that is not in the file and is asked before all others, and stays so when it is saved: what was
    /// decided about messages that a breakpoint holds would never come to be otherwise.
    ///
    /// # Errors
    /// As for [`Armory::add`].
    pub fn add_first(&self, rule: Rule) -> Result<(), ArmError> {
        self.insert(rule, |rules, armed| rules.insert(0, Arc::new(armed.first())))
    }

    fn insert(
        &self,
        rule: Rule,
        place: impl FnOnce(&mut Vec<Arc<ArmedRule>>, ArmedRule),
    ) -> Result<(), ArmError> {
        self.0.change(|armed| {
            let mut rules = armed.rules.clone();
            if rules.iter().any(|old| old.name() == rule.name) {
                return Err(ArmError::NameTaken { name: rule.name });
            }
            place(&mut rules, self.0.arm(rule, false));
            self.0.publish(rules, armed.is_intercepting)
        })
    }

    /// Puts a rule in the place of the one with its name, whose counts it takes over if it means the same; adds it if
    /// there is none. It is on or off as it says.
    ///
    /// # Errors
    /// [`ArmError::TooMany`] if it would be added to [`MAX_RULES`].
    pub fn put(&self, rule: Rule) -> Result<(), ArmError> {
        let is_known = self.load().rules.iter().any(|old| old.name() == rule.name);
        if !is_known {
            return self.add(rule);
        }
        self.0.change(|armed| {
            let replaced = armed.rules.iter().map(|old| {
                if old.name() != rule.name {
                    return Arc::clone(old);
                }
                let fresh = self.0.arm(rule.clone(), old.is_saved()).succeed(old);
                // Whoever puts a rule means its switch too: one for the next message may have switched itself off.
                fresh.state().switch(rule.is_on);
                Arc::new(fresh)
            });
            self.0.publish(replaced.collect(), armed.is_intercepting)
        })
    }

    /// Takes a rule away. False if there is none of the name.
    pub fn remove(&self, name: &str) -> bool {
        let mut is_found = false;
        let _ = self.0.change(|armed| {
            let mut rules = armed.rules.clone();
            rules.retain(|rule| rule.name() != name);
            is_found = rules.len() < armed.rules.len();
            self.0.publish(rules, armed.is_intercepting)
        });
        is_found
    }

    /// Switches a rule on or off. False if there is none of the name. A rule that is switched on counts its matches
    /// for `once`, the n-th and the like from 1 again.
    pub fn switch(&self, name: &str, is_on: bool) -> bool {
        let armed = self.load();
        let Some(rule) = armed.rules.iter().find(|rule| rule.name() == name) else {
            return false;
        };
        if rule.state().switch(is_on) {
            self.0.refresh();
        }
        true
    }

    /// The master switch: while it is off no rule is asked and none counts.
    pub fn set_intercepting(&self, is_intercepting: bool) {
        let _ = self
            .0
            .change(|armed| self.0.publish(armed.rules.clone(), is_intercepting));
    }

    /// Whether the master switch is on.
    pub fn is_intercepting(&self) -> bool {
        self.load().is_intercepting
    }

    /// Puts the rules of the file in the place of those that came from it before.
    ///
    /// A rule that means the same as before keeps its counts, and its switch unless the file itself was switched. A
    /// rule made at the keyboard stays, unless the file has one of its name now: that is how it is saved.
    ///
    /// # Errors
    /// [`ArmError`] if there would be more than [`MAX_RULES`] or two of a name; then nothing changes.
    pub fn replace_saved(&self, rules: Vec<Rule>) -> Result<Reload, ArmError> {
        let mut reload = Reload::default();
        self.0.change(|armed| {
            let old: HashMap<&str, &Arc<ArmedRule>> =
                armed.rules.iter().map(|rule| (rule.name(), rule)).collect();
            let mut saved = HashSet::new();
            let mut next = Vec::new();
            for rule in rules {
                if !saved.insert(rule.name.clone()) {
                    return Err(ArmError::NameTaken { name: rule.name });
                }
                let fresh = self.0.arm(rule, true);
                next.push(match old.get(fresh.name()) {
                    Some(before) => fresh.succeed(before),
                    None => fresh,
                });
            }
            let unsaved = armed.rules.iter();
            let unsaved = unsaved.filter(|rule| !rule.is_saved() && !saved.contains(rule.name()));
            let mut merged: Vec<_> = unsaved.cloned().chain(next.into_iter().map(Arc::new)).collect();
            // Stable: only those that come first change their places.
            merged.sort_by_key(|rule| !rule.is_first());
            reload = compare(&armed.rules, &merged);
            self.0.publish(merged, armed.is_intercepting)
        })?;
        Ok(reload)
    }

    /// A name that no rule has: the one that is wished for, if need be with a number behind it.
    pub fn free_name(&self, wish: &str) -> String {
        let armed = self.load();
        let is_free = |name: &str| armed.rules.iter().all(|rule| rule.name() != name);
        let wish = shortened(wish);
        let numbered = (2..).map(|number| format!("{wish} {number}"));
        let mut names = std::iter::once(wish.clone()).chain(numbered);
        names.find(|name| is_free(name)).unwrap_or(wish)
    }

    /// Why the file of rules, as it is now, was not taken over; `None` if the rules are as it says.
    pub fn mistake(&self) -> Option<Arc<RulesMistake>> {
        self.0.mistake.load_full()
    }

    /// Notes why the file was not taken over, or that it was.
    pub(super) fn note_mistake(&self, mistake: Option<RulesMistake>) {
        self.0.mistake.store(mistake.map(Arc::new));
        self.0.refresh();
    }

    /// The rules for a screen, in the order in which they are asked.
    pub fn list(&self) -> Vec<RuleRow> {
        self.load().rows()
    }

    /// The rule of this name as it is now, switch included.
    pub fn rule(&self, name: &str) -> Option<Rule> {
        let armed = self.load();
        let found = armed.rules.iter().find(|rule| rule.name() == name)?;
        Some(Rule {
            is_on: found.is_on(),
            ..found.rule().clone()
        })
    }
}

impl Shared {
    fn arm(&self, rule: Rule, is_saved: bool) -> ArmedRule {
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        // Far apart, so that no two rules draw the same row.
        let seed = self.seed ^ number.wrapping_mul(0xd134_2543_de82_ef95);
        ArmedRule::new(rule, is_saved, seed)
    }

    fn change<T>(&self, change: impl FnOnce(&Armed) -> Result<T, ArmError>) -> Result<T, ArmError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        change(&self.armed.load())
    }

    /// Only while `writing` is held.
    fn publish(&self, rules: Vec<Arc<ArmedRule>>, is_intercepting: bool) -> Result<(), ArmError> {
        if rules.len() > MAX_RULES {
            return Err(ArmError::TooMany);
        }
        let version = self.version.load(Ordering::Relaxed) + 1;
        let armed = Armed::new(rules, is_intercepting, version, self.itself.clone());
        self.armed.store(Arc::new(armed));
        self.version.store(version, Ordering::Release);
        Ok(())
    }

    /// Says that a switch was turned.
    fn refresh(&self) {
        let _ = self.change(|armed| self.publish(armed.rules.clone(), armed.is_intercepting));
    }
}

/// A text that can be a name and leaves room for a number.
fn shortened(wish: &str) -> String {
    let mut name: String = wish.trim().chars().filter(|c| !c.is_control()).collect();
    let mut end = name.len().min(MAX_NAME_BYTES - 8);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    if name.trim().is_empty() {
        "rule".to_owned()
    } else {
        name
    }
}

fn compare(before: &[Arc<ArmedRule>], after: &[Arc<ArmedRule>]) -> Reload {
    let old: HashMap<&str, &Arc<ArmedRule>> = before.iter().map(|rule| (rule.name(), rule)).collect();
    let is_kept = |rule: &&Arc<ArmedRule>| {
        old.get(rule.name())
            .is_some_and(|before| std::ptr::eq(before.state(), rule.state()))
    };
    let saved = || after.iter().filter(|rule| rule.is_saved());
    let kept = saved().filter(is_kept).count();
    let names: HashSet<&str> = after.iter().map(|rule| rule.name()).collect();
    Reload {
        changed: saved().count() - kept,
        kept,
        removed: before.iter().filter(|rule| !names.contains(rule.name())).count(),
    }
}
