//! What kinds of answer a client takes. Pure.

use http::{HeaderMap, header};

/// What a client takes, by its `Accept`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) json: bool,
    pub(super) events: bool,
}

impl Accepted {
    /// Reads `Accept`. Without one everything is taken (RFC 9110 §12.5.1).
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut fields = headers.get_all(header::ACCEPT).iter().peekable();
        if fields.peek().is_none() {
            return Self {
                json: true,
                events: true,
            };
        }
        let ranges = fields
            .filter_map(|field| field.to_str().ok())
            .flat_map(|field| field.split(','));
        let mut accepted = Self {
            json: false,
            events: false,
        };
        for range in ranges.filter(|range| !is_refused(range)) {
            let range = range.split(';').next().unwrap_or_default().trim();
            let is = |name: &str| range.eq_ignore_ascii_case(name);
            accepted.json |= is("*/*") || is("application/*") || is("application/json");
            accepted.events |= is("*/*") || is("text/*") || is("text/event-stream");
        }
        accepted
    }

    pub(super) const fn is_nothing(self) -> bool {
        !self.json && !self.events
    }
}

/// `q=0` names what is not taken.
fn is_refused(range: &str) -> bool {
    range.split(';').skip(1).any(|parameter| {
        let parameter = parameter.trim();
        let weight = parameter
            .strip_prefix("q=")
            .or_else(|| parameter.strip_prefix("Q="));
        weight.is_some_and(|weight| weight.trim().parse() == Ok(0.0_f32))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(fields: &[&'static str]) -> (bool, bool) {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::ACCEPT, http::HeaderValue::from_static(field));
        }
        let accepted = Accepted::of(&headers);
        (accepted.json, accepted.events)
    }

    #[test]
    fn both_kinds_are_found_in_any_order_and_spelling() {
        assert_eq!(accepted(&["application/json, text/event-stream"]), (true, true));
        assert_eq!(
            accepted(&["Text/Event-Stream", "application/json;q=0.5"]),
            (true, true)
        );
        assert_eq!(accepted(&[]), (true, true));
        assert_eq!(accepted(&["*/*"]), (true, true));
    }

    #[test]
    fn what_is_not_named_is_not_taken() {
        assert_eq!(accepted(&["application/json"]), (true, false));
        assert_eq!(accepted(&["text/event-stream"]), (false, true));
        assert_eq!(accepted(&["text/html"]), (false, false));
        assert_eq!(accepted(&["application/json;q=0, text/*"]), (false, true));
    }
}
