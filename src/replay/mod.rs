//! Recordings that are used as a peer: what is on them as conversations, a server made of one, a client made of one, and how two compare.

mod alike;
pub mod compare;
pub mod drive;
mod hearing;
mod mask;
pub mod mock;
pub mod tape;

pub use mock::{MockServer, RunningMock};
