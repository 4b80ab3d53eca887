//! The built-in demonstration: a real MCP server on a loopback port and real clients that talk to it, in both eras.
//!
//! The server answers legacy sessions (2025-06-18, 2025-11-25) and modern requests (2026-07-28) on one endpoint,
//! `/mcp`. The clients play short scripts that touch every kind of traffic a debugger has to show: progress, log
//! lines, failing tools, JSON-RPC errors, requests from the server, rounds of input, subscriptions, resumed
//! streams, pages, pictures, cancelled calls. Nothing here knows the engine; the clients reach the server through
//! the proxy because they are given the proxy's address.

mod catalogue;
mod client;
mod server;
mod summary;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use client::{Pace, run_clients};
pub(crate) use server::DemoServer;
