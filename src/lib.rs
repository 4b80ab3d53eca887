//! The engine of `shadowcat-tui`: an MCP debugging proxy without a screen.

pub mod clock;
pub mod codec;
pub mod config;
pub mod engine;
pub mod frontend;
pub mod ids;
pub mod intercept;
pub mod limits;
pub mod mcp;
pub mod outward;
pub mod recording;
pub mod resource;
pub mod session;
pub mod snapshot;
pub mod tasks;
pub mod telemetry;
mod transport;
pub mod views;
