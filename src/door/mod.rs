//! The control door: how other processes of the same user find a running proxy and talk to it.
//!
//! A proxy listens on one Unix socket in a directory that only its owner can enter. Whoever connects says a version and
//! a role; what follows depends on the role: a shim before a command tells what passes, a script asks about held messages
//! and decides about them.
//!
//! What travels is cut into frames ([`frame`]) of a JSON header ([`message`]) and bytes.

pub mod frame;
pub mod message;

#[cfg(unix)]
mod client;
#[cfg(unix)]
mod control;
#[cfg(unix)]
mod held;
#[cfg(unix)]
mod link;
#[cfg(unix)]
mod notes;
#[cfg(unix)]
mod parts;
#[cfg(unix)]
pub mod place;
#[cfg(unix)]
pub(crate) mod server;
#[cfg(unix)]
mod shim;

#[cfg(unix)]
pub use client::{ConnectDoorError, DoorLink, connect, greet};
#[cfg(unix)]
pub use held::HeldClient;
#[cfg(unix)]
pub use link::{FrameReader, FrameWriter, LinkError};
#[cfg(unix)]
pub(crate) use notes::DoorNotes;
