//! What the program's own log says of an exchange at the levels `debug` and `trace`. It has no secrets: of a target only
//! the path is told, of heads and bodies nothing.

use crate::ids::ExchangeId;
use crate::recording::{hide_secrets, hide_url_secrets};
use crate::session::observation::ExchangeEnded;

use super::Exchange;

/// Tells that it began, and which server it goes to. The target of a command is its command line, so that is left out.
pub(super) fn began(exchange: &Exchange, client: &str, method: &str, target: Option<&str>) {
    tracing::debug!(
        exchange = %exchange.id,
        side = ?exchange.side,
        server = &*exchange.server,
        client,
        method,
        path = target.map(path_of),
        kind = ?exchange.kind,
        "an exchange began"
    );
}

/// Tells that its request is on its way to the server.
pub(super) fn sent(id: ExchangeId) {
    tracing::trace!(exchange = %id, "its head was sent to the server");
}

/// Tells of the head of its answer.
pub(super) fn answered(exchange: &Exchange, status: u16, is_ours: bool, is_stream: bool) {
    tracing::trace!(exchange = %exchange.id, status, is_ours, is_stream, "its answer began");
}

/// Tells how it ended.
pub(super) fn ended(end: &ExchangeEnded, status: Option<u16>) {
    let took = end.timing.done.map(|done| done.since(end.timing.started));
    tracing::debug!(
        exchange = %end.exchange,
        session = end.session.map(tracing::field::display),
        status,
        request = ?end.request_end,
        response = ?end.response_end,
        request_bytes = end.request_bytes,
        response_bytes = end.response_bytes,
        took = took.map(tracing::field::debug),
        failure = end.failure.as_deref().map(hide_secrets),
        "an exchange ended"
    );
}

/// The path of a target in whatever form, without its query.
fn path_of(target: &str) -> String {
    let end = target.find(['?', '#']).unwrap_or(target.len());
    hide_url_secrets(target.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_told_without_what_may_be_secret_in_it() {
        for (target, told) in [
            ("/mcp?token=s3cret#x", "/mcp"),
            ("/mcp", "/mcp"),
            ("example.com:443", "example.com:443"),
        ] {
            assert_eq!(path_of(target), told);
        }
        let told = path_of("http://me:s3cret@example.com/mcp?sid=1");
        assert!(
            told.ends_with("@example.com/mcp") && !told.contains("s3cret"),
            "{told}"
        );
    }
}
