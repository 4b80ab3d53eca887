//! Which messages a person wants, and what becomes of them: the filter language, rules, holds, edits.

pub mod edit;
pub mod filter;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod hold;
pub mod interceptor;
pub mod patience;
pub mod rule;
pub mod rules;
