//! The engine of `shadowcat-tui`: an MCP debugging proxy without a screen.

pub mod ca;
pub mod child;
pub mod clock;
pub mod codec;
pub mod config;
pub mod door;
pub mod engine;
pub mod frontend;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod ids;
pub mod intercept;
pub mod interchange;
pub mod limits;
pub mod mcp;
pub mod outward;
pub mod recording;
pub mod replay;
pub mod resource;
pub mod session;
pub mod snapshot;
pub mod tasks;
pub mod telemetry;
mod transport;
/// The run of a command as it is observed, for programs that move its bytes themselves.
pub mod run {
    pub use crate::transport::run::{Run, RunEnd, RunFacts, RunStream, RunTap};
}
pub mod views;
