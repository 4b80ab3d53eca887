//! Clients that check all they get.

mod calls;
mod session;

pub(crate) use calls::{Callers, Calls};
pub(crate) use session::{Session, Target};
