//! Which family of revisions a message belongs to.

use crate::codec::envelope::{Envelope, Field};
use crate::snapshot::Era;

/// The first revision of the modern era.
pub const FIRST_MODERN_REVISION: &str = "2026-07-28";

/// What an HTTP request without any statement is taken for (MCP 2025-06-18, Transports, "Protocol Version Header").
pub const ASSUMED_REVISION: &str = "2025-03-26";

/// The era of a revision. Revisions are ISO dates, so their order is that of their text; `None` for what is no date.
pub fn of_revision(revision: &str) -> Option<Era> {
    let is_date = revision.len() == 10 && revision.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let era = if revision >= FIRST_MODERN_REVISION {
        Era::Modern
    } else {
        Era::Legacy
    };
    is_date.then_some(era)
}

/// The revision a message states for itself in `params._meta`.
pub fn stated_revision(envelope: &Envelope) -> Option<&str> {
    envelope.fields.get(Field::MetaProtocolVersion)
}

/// Whether a message is of the modern era by its own words: it states a revision that is modern, or no date at all
/// (then the presence of the key decides), or it is a result with a `resultType`.
///
/// Source: MCP 2026-07-28, Basic, "Protocol version"; a missing `resultType` proves nothing.
pub fn is_modern(envelope: &Envelope) -> bool {
    match stated_revision(envelope) {
        Some(revision) => of_revision(revision) != Some(Era::Legacy),
        None => envelope.fields.get(Field::ResultType).is_some(),
    }
}

/// Whether a message begins a legacy session. An `initialize` that states a modern revision is a modern request.
pub fn is_legacy_handshake(envelope: &Envelope) -> bool {
    envelope.method.as_deref() == Some("initialize") && !is_modern(envelope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::envelope::scan;

    fn message(text: &str) -> Envelope {
        scan(text.as_bytes()).messages.into_iter().next().unwrap()
    }

    #[test]
    fn revisions_are_ordered_by_their_date() {
        assert_eq!(of_revision("2025-11-25"), Some(Era::Legacy));
        assert_eq!(of_revision("2026-07-28"), Some(Era::Modern));
        assert_eq!(of_revision("2027-01-01"), Some(Era::Modern));
        assert_eq!(of_revision("DRAFT-2026"), None);
    }

    #[test]
    fn the_body_states_the_modern_era() {
        let modern = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        assert!(is_modern(&message(modern)));
        assert!(!is_legacy_handshake(&message(modern)));
        let unknown = modern.replace("2026-07-28", "next");
        assert!(is_modern(&message(&unknown)));
    }

    #[test]
    fn a_plain_initialize_is_a_legacy_handshake() {
        let legacy =
            r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
        assert!(is_legacy_handshake(&message(legacy)));
    }

    #[test]
    fn a_result_type_comes_from_a_modern_server() {
        assert!(is_modern(&message(
            r#"{"jsonrpc":"2.0","id":0,"result":{"resultType":"complete"}}"#
        )));
        assert!(!is_modern(&message(r#"{"jsonrpc":"2.0","id":0,"result":{}}"#)));
    }
}
