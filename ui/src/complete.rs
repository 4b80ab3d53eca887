//! Proposals for the word under the cursor of a filter.

use std::ops::Range;

/// Characters to replace, what to put there, what it means.
pub(crate) type Proposal = (Range<usize>, String, String);

const FIELDS: [(&str, &str); 27] = [
    ("method", "JSON-RPC or HTTP method"),
    ("tool", "name of the tool called"),
    ("prompt", "name of the prompt asked for"),
    ("name", "tool, prompt or resource by name"),
    ("uri", "resource"),
    ("id", "JSON-RPC id"),
    ("kind", "request, result, error, notification"),
    ("dir", "which way: c2s, s2c"),
    ("side", "forward or reverse"),
    ("session", "R1, F2"),
    ("server", "upstream or destination"),
    ("client", "what the client calls itself"),
    ("status", "ok, error, open"),
    ("code", "JSON-RPC error code"),
    ("dur", "time to the answer: dur:>2s"),
    ("size", "size:>64k"),
    ("carrier", "http, sse, tunnel"),
    ("era", "legacy or modern"),
    ("rev", "protocol revision"),
    ("call", "number of a call"),
    ("exchange", "number of an HTTP exchange"),
    ("stream", "number of a stream"),
    ("event", "SSE event name"),
    ("error", "text of an error"),
    ("level", "severity of findings"),
    ("has", "body, finding, progress"),
    ("text", "anywhere in the message"),
];

const VALUES: [(&str, &[&str]); 8] = [
    (
        "kind",
        &[
            "request",
            "result",
            "error",
            "notification",
            "event",
            "malformed",
            "http",
            "tunnel",
        ],
    ),
    ("dir", &["c2s", "s2c"]),
    ("side", &["forward", "reverse"]),
    ("status", &["ok", "error", "open"]),
    ("carrier", &["http", "sse", "tunnel"]),
    ("era", &["legacy", "modern"]),
    ("level", &["info", "warning", "error"]),
    ("has", &["body", "finding", "progress"]),
];

/// What could stand in place of the word that ends at the character `cursor` of `text`.
pub(crate) fn complete(text: &str, cursor: usize) -> Vec<Proposal> {
    let head: Vec<char> = text.chars().take(cursor).collect();
    let is_break = |c: &char| c.is_whitespace() || matches!(c, '(' | '|' | '!');
    let start = head.iter().rposition(is_break).map_or(0, |at| at + 1);
    let word: String = head.iter().skip(start).collect();
    match word.split_once(':') {
        None => fields(&word, start..cursor),
        Some((field, typed)) => {
            let value_start = start + field.chars().count() + 1;
            values(field, typed, value_start..cursor)
        }
    }
}

fn fields(typed: &str, range: Range<usize>) -> Vec<Proposal> {
    let matching = FIELDS.iter().filter(|(name, _)| name.starts_with(typed));
    matching
        .map(|(name, help)| (range.clone(), format!("{name}:"), (*help).to_owned()))
        .collect()
}

fn values(field: &str, typed: &str, range: Range<usize>) -> Vec<Proposal> {
    let known = VALUES
        .iter()
        .find(|(name, _)| *name == field)
        .map_or(&[][..], |(_, values)| values);
    let matching = known.iter().filter(|value| value.starts_with(typed));
    matching
        .map(|value| (range.clone(), (*value).to_owned(), String::new()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_proposed_for_the_word_under_the_cursor() {
        let proposals = complete("kind:error !se rest", 14);
        let texts: Vec<&str> = proposals.iter().map(|(_, text, _)| text.as_str()).collect();
        assert_eq!(texts, ["session:", "server:"]);
        assert_eq!(proposals[0].0, 12..14);
    }

    #[test]
    fn a_value_is_proposed_after_its_field() {
        assert_eq!(
            complete("kind:no", 7),
            [(5..7, "notification".to_owned(), String::new())]
        );
        assert_eq!(complete("tool:x", 6), []);
    }
}
