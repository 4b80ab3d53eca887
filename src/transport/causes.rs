//! Errors of the network and of HTTP, and what was behind them.

/// An error and then its causes, one behind the other.
pub(crate) fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// An error and its causes in one line, without those that only say in which part of the HTTP library it was.
pub(crate) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    for cause in chain(error).filter(|cause| !is_only_a_part(*cause)) {
        let next = cause.to_string();
        if text.is_empty() {
            text = next;
        } else if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
    }
    text
}

/// Whether what came back was something else than HTTP, as from a server that speaks TLS.
pub(crate) fn is_no_http(error: &(dyn std::error::Error + 'static)) -> bool {
    chain(error).any(|cause| {
        cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(|error| error.is_parse() && !error.is_parse_too_large())
    })
}

/// `client error (Connect)`, `error sending request`: what matters is behind them.
fn is_only_a_part(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_part = error.is::<hyper_util::client::legacy::Error>()
        || error
            .downcast_ref::<reqwest::Error>()
            .is_some_and(reqwest::Error::is_request);
    is_part && error.source().is_some()
}
