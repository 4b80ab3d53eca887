//! What a message means.

pub mod era;
pub(crate) mod tool_headers;
pub(crate) mod tool_schemas;
pub mod trace;
