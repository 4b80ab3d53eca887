//! Which messages a person wants, and what becomes of them: the filter language, rules, holds, edits.

pub mod edit;
pub mod filter;
pub mod rule;
pub mod rules;
