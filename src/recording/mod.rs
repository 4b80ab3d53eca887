//! Recordings: everything that passed, in a file that stays readable whatever happens to the proxy.
//!
//! The format is described in `docs/recording-format.md` and is a promise to users.

pub mod redact;
