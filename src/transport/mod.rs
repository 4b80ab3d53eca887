//! The only sockets: listener, HTTP server side, upstream client, tunnels.

pub(crate) mod framing;
pub(crate) mod headers;
pub(crate) mod route;
