//! The only sockets and pipes: listener, HTTP server side, upstream client, tunnels.

pub(crate) mod answer;
pub(crate) mod bridge;
mod change;
pub(crate) mod exchange;
pub(crate) mod framing;
pub(crate) mod gate;
pub(crate) mod headers;
pub(crate) mod hub;
pub(crate) mod listener;
pub(crate) mod oauth;
pub(crate) mod own_client;
pub(crate) mod place;
pub(crate) mod reader;
pub(crate) mod relay;
pub(crate) mod rewrite;
pub(crate) mod route;
pub(crate) mod run;
pub(crate) mod serve;
mod stated;
pub(crate) mod tap;
pub(crate) mod tls;
pub(crate) mod tunnel;
pub(crate) mod upstream;
mod via;
pub(crate) mod watchers;
