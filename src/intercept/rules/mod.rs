//! Rules at work: the file in which people write them, the armed ones and their counts, and the answers they give.
//!
//! `docs/rules.md` is the page for people. All but [`watch`] is pure: no file and no clock.

mod armory;
pub mod file;
mod path;
pub mod template;
mod units;
pub mod watch;
mod words;

pub use armory::{ArmError, Armed, ArmedRule, Armory, Chosen, Reload, RuleRow, RulesMistake};

/// Most rules of a file, and most armed at once. More: refused.
pub const MAX_RULES: usize = 1_000;
/// Largest file of rules, in bytes. Larger: refused.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;
/// Longest name of a rule, in bytes. Longer: refused.
pub const MAX_NAME_BYTES: usize = 128;
