//! Clients that check all they get.

mod audience;
mod calls;
mod link;
mod listener;
mod session;

pub(crate) use audience::{Audience, Progress, open_sessions};
pub(crate) use calls::{Callers, Calls, Mix};
pub(crate) use link::{Link, Target};
pub(crate) use listener::{Heard, Listener, new_stream};
pub(crate) use session::Session;
