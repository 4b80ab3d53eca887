//! `WWW-Authenticate`: the one parameter in it that names a URL of the server.
//!
//! Source: RFC 9110 §11.6.1 for the grammar, RFC 9728 §5.1 for `resource_metadata`.

/// The value with other URLs in each `resource_metadata`, whatever the challenge and wherever in it; `None` if nothing
/// changes. Everything else stays byte for byte. `map` gives the new URL, and is told the old one.
pub(crate) fn map_metadata_url(value: &[u8], mut map: impl FnMut(&str) -> Option<String>) -> Option<Vec<u8>> {
    let mut changed = Vec::new();
    let (mut at, mut copied) = (0, 0);
    while at < value.len() {
        if value[at] == b'"' {
            at = after_quoted(value, at);
            continue;
        }
        let name_end = end_of(value, at, is_token);
        if name_end == at {
            at += 1;
            continue;
        }
        let name = &value[at..name_end];
        let equals = end_of(value, name_end, is_blank);
        at = name_end;
        if value.get(equals) != Some(&b'=') {
            continue;
        }
        let start = end_of(value, equals + 1, is_blank);
        let (content, end) = parameter(value, start);
        at = end.max(at);
        if name.eq_ignore_ascii_case(b"resource_metadata")
            && let Some(ours) = content.as_deref().and_then(&mut map)
        {
            let is_quoted = value.get(start) == Some(&b'"');
            changed.extend_from_slice(&value[copied..start]);
            changed.extend_from_slice(if is_quoted { b"\"" } else { b"" });
            changed.extend_from_slice(ours.as_bytes());
            changed.extend_from_slice(if is_quoted { b"\"" } else { b"" });
            copied = end;
        }
    }
    if copied == 0 {
        return None;
    }
    changed.extend_from_slice(&value[copied..]);
    Some(changed)
}

/// The value that starts at `start`, without quotes and escapes, and where it ends. A bare URL is no token by the
/// grammar, yet some servers send one.
fn parameter(value: &[u8], start: usize) -> (Option<String>, usize) {
    if value.get(start) != Some(&b'"') {
        let end = end_of(value, start, |byte| {
            !is_blank(byte) && !matches!(byte, b',' | b'"')
        });
        let text = value.get(start..end).unwrap_or_default();
        return (String::from_utf8(text.to_vec()).ok(), end);
    }
    let end = after_quoted(value, start);
    let Some(inside) = value.get(start + 1..end - 1).filter(|_| value[end - 1] == b'"') else {
        return (None, end);
    };
    let mut text = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(byte) = bytes.next() {
        text.extend(if *byte == b'\\' { bytes.next() } else { Some(byte) });
    }
    (String::from_utf8(text).ok(), end)
}

/// Where the quoted string that starts at `start` ends; at the end if it is never closed.
fn after_quoted(value: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = value.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    value.len()
}

fn end_of(value: &[u8], start: usize, is_part: impl Fn(u8) -> bool) -> usize {
    let rest = value.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|byte| is_part(**byte)).count()
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mapped(value: &str) -> Option<String> {
        let map = |url: &str| {
            url.strip_prefix("http://up")
                .map(|rest| format!("http://me{rest}"))
        };
        map_metadata_url(value.as_bytes(), map).map(|value| String::from_utf8(value).unwrap())
    }

    #[test]
    fn the_url_is_found_in_every_form_and_place() {
        for (value, expected) in [
            (
                r#"Bearer resource_metadata="http://up/m""#,
                r#"Bearer resource_metadata="http://me/m""#,
            ),
            (
                r#"Bearer realm="a, b=\"x", resource_metadata = "http://up/m" , scope="r w""#,
                r#"Bearer realm="a, b=\"x", resource_metadata = "http://me/m" , scope="r w""#,
            ),
            (
                "Bearer Resource_Metadata=http://up/m?a=b, error=x",
                "Bearer Resource_Metadata=http://me/m?a=b, error=x",
            ),
            (
                r#"Basic realm="x", DPoP algs="ES256",resource_metadata="http://up/1", Bearer resource_metadata=http://up/2"#,
                r#"Basic realm="x", DPoP algs="ES256",resource_metadata="http://me/1", Bearer resource_metadata=http://me/2"#,
            ),
            (
                r#"Negotiate ab==, Bearer resource_metadata="http:\/\/up/m""#,
                r#"Negotiate ab==, Bearer resource_metadata="http://me/m""#,
            ),
        ] {
            assert_eq!(mapped(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_only_looks_like_it_stays() {
        for value in [
            r#"Bearer realm="resource_metadata=http://up/m""#,
            r#"Bearer x_resource_metadata="http://up/m""#,
            r#"Bearer resource_metadata="http://other/m""#,
            r#"Bearer resource_metadata="http://up/open"#,
            "Bearer resource_metadata",
            "Bearer resource_metadata=",
            "",
        ] {
            assert_eq!(mapped(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_value_is_too_odd(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            let changed = map_metadata_url(&value, |_| None);
            prop_assert_eq!(changed, None);
            let mut odd = b"Bearer resource_metadata=".to_vec();
            odd.extend_from_slice(&value);
            let _ = map_metadata_url(&odd, |url| Some(url.to_owned()));
        }
    }
}
