//! Through another proxy (`--via`): CONNECT, and what is known of the way.
//!
//! Source: RFC 9110 §9.3.6 (CONNECT), RFC 9112 §3.2.2 (absolute-form).

use std::io;

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri, header};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::config::forward::{ProxyCredentials, ViaProxy, is_loopback};

use super::headers;
use super::hub::Hub;
use super::upstream::{ConnectError, Speaks};

/// The other proxy did not open a tunnel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ViaError {
    #[error("it answered `{0}`")]
    Refused(String),
    #[error("it answered with something that is no HTTP")]
    NoHttp,
    #[error("it closed the connection or broke it off")]
    Broken(#[from] io::Error),
}

/// What to do about a connection that did not come about because of the proxy on the way. `None` if that was not the cause.
pub(crate) fn advice(error: &ConnectError) -> Option<&'static str> {
    match error {
        ConnectError::NoVia { .. } => {
            Some("Check that this proxy runs, and that --via has its host and port.")
        }
        ConnectError::Via {
            source: ViaError::Refused(line),
            ..
        } if line.split(' ').nth(1) == Some("407") => {
            Some("It asks for credentials: start with --via http://USER:PASSWORD@HOST:PORT.")
        }
        ConnectError::Via { .. } => Some("The proxy decides that; its own log may say why."),
        _ => None,
    }
}

/// What is said about an answer 407 of the proxy on the way to `uri`, if there is one that is ours to convince.
pub(super) fn wants_credentials(hub: &Hub, (uri, speaks): (&Uri, Speaks)) -> Option<String> {
    let via = hub.clients.forwarder(uri, speaks)?;
    Some(format!(
        "The proxy {via} on the way asks for credentials (407): start with --via http://USER:PASSWORD@{}.",
        via.authority()
    ))
}

/// Whether connections to `host` go through `via`. A proxy elsewhere cannot reach this machine's loopback addresses.
pub(crate) fn is_on_the_way(via: &ViaProxy, host: &str) -> bool {
    via.is_here() || !is_loopback(host)
}

/// Takes out of a request what its client proves to us, if it `is_for_us` as a proxy, and puts in what we prove to the
/// next proxy.
pub(super) fn prove(
    hub: &Hub,
    is_for_us: bool,
    (target, speaks): (&Uri, Speaks),
    mut fields: HeaderMap,
) -> HeaderMap {
    if is_for_us && hub.routes.takes_proxy_authorization() {
        fields = headers::without_proxy_authorization(&fields).unwrap_or(fields);
    }
    let forwarder = hub.clients.forwarder(target, speaks);
    let proof = forwarder
        .and_then(ViaProxy::credentials)
        .map(ProxyCredentials::field);
    if let Some(mut proof) = proof.and_then(|proof| HeaderValue::from_str(proof).ok()) {
        proof.set_sensitive(true);
        fields.insert(header::PROXY_AUTHORIZATION, proof);
    }
    fields
}

/// Asks the proxy at the other end of `stream` for a tunnel. Its answer has `max_head_bytes` at most.
///
/// # Cancel safety
/// Not: a dropped future leaves the stream in the middle of an answer, so it goes with it.
pub(super) async fn open_tunnel(
    stream: &mut TcpStream,
    via: &ViaProxy,
    authority: &Authority,
    port: u16,
    max_head_bytes: usize,
) -> Result<(), ViaError> {
    let place = format!("{}:{port}", authority.host());
    let proof = via
        .credentials()
        .map(|credentials| format!("Proxy-Authorization: {}\r\n", credentials.field()));
    let proof = proof.unwrap_or_default();
    let request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{proof}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let head = read_head(stream, max_head_bytes).await?;
    let line = head.lines().next().unwrap_or_default();
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    match status {
        Some(status) if status.starts_with('2') => Ok(()),
        Some(_) => Err(ViaError::Refused(line.to_owned())),
        None => Err(ViaError::NoHttp),
    }
}

/// Byte by byte, since what follows the head belongs to the tunnel.
async fn read_head(stream: &mut TcpStream, max_head_bytes: usize) -> Result<String, ViaError> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == max_head_bytes {
            return Err(ViaError::NoHttp);
        }
        head.push(stream.read_u8().await?);
    }
    String::from_utf8(head).map_err(|_| ViaError::NoHttp)
}
