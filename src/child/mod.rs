//! Programs that are started here: in a group of their own, with three pipes, watched by a guardian.
//!
//! [`ChildProcess::start`] gives the process and its pipes apart from each other, since different tasks use them. What
//! the pipes carry is the caller's: stdout and stderr have to be read all the time, or the program stops at a full pipe.
//!
//! Source: MCP 2025-11-25 and 2026-07-28, Transports, stdio, for the way a server is asked to end.

mod command;
mod end;
mod group;
pub mod guard;
mod process;
#[cfg(test)]
mod tests;

pub use command::{CommandConfig, EnvironmentChange, GuardCommand, StartChildError};
pub use end::ChildEnd;
pub use group::ChildSignal;
pub use process::{ChildPipes, ChildProcess, EndGraces};
