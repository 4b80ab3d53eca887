//! Recordings that are used as a peer: what is on them as conversations, and a server made of one.

pub mod mock;
pub mod tape;

pub use mock::{MockServer, RunningMock};
