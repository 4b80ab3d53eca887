//! Recordings that are used as a peer: what is on them as conversations.

pub mod compare;
pub mod drive;
pub mod tape;
