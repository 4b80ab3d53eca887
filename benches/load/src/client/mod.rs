//! Clients that check all they get.

mod audience;
mod calls;
mod download;
mod legacy;
mod link;
mod listener;
mod pipe;
mod quitter;
mod secure;
mod session;
#[cfg(test)]
mod tests;

pub(crate) use audience::{Audience, Progress, open_sessions};
pub(crate) use calls::{Callers, Calls, Mix};
pub(crate) use download::Download;
pub(crate) use legacy::Legacy;
pub(crate) use link::{Link, Target};
pub(crate) use listener::{Heard, Listener, new_stream};
pub(crate) use pipe::Pipe;
pub(crate) use quitter::Leave;
pub(crate) use secure::Secure;
pub(crate) use session::Session;
