//! What a message means.

pub mod era;
pub mod trace;
