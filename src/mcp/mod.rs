//! What a message means.

pub mod era;
pub(crate) mod tool_headers;
pub mod trace;
