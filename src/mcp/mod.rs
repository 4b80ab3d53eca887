//! What a message means.

pub mod era;
