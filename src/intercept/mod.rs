//! Which messages a person wants: the filter language, and the interest a rule has in a body.

pub mod filter;
