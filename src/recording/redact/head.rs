//! Secrets in the fields of a head.

use super::names::{is_secret_header, is_secret_parameter};
use super::output::Output;
use super::text::TextRedactor;

/// Writes the value of the field `name` without its secrets.
///
/// Of credentials the scheme stays, of cookies their names and attributes; other secret fields are replaced as a
/// whole. In all other fields URLs lose their secrets (`Referer`, `Location`, `WWW-Authenticate`).
pub(crate) fn redact_field(name: &[u8], value: &[u8], out: &mut Output<'_>) {
    if name.eq_ignore_ascii_case(b"cookie") {
        redact_cookies(value, usize::MAX, out);
    } else if name.eq_ignore_ascii_case(b"set-cookie") {
        redact_cookies(value, 1, out);
    } else if name.to_ascii_lowercase().ends_with(b"authorization") {
        redact_credentials(value, out);
    } else if is_secret_header(name) {
        out.replace(value);
    } else {
        redact_urls(value, out);
    }
}

/// Where the secret in an argument of a command starts: `--token=x`, `TOKEN=x`, or all of it if the one before it was
/// `--token` (`is_value`). Also whether the next one is the value of this one.
pub fn secret_of_argument(argument: &[u8], is_value: bool) -> (Option<usize>, bool) {
    let is_option = argument.starts_with(b"-");
    if is_value && !is_option {
        return (Some(0), false);
    }
    match memchr::memchr(b'=', argument) {
        Some(at) if is_secret_parameter(&argument[..at]) => (Some(at + 1), false),
        Some(_) => (None, false),
        None => (None, is_option && is_secret_parameter(argument)),
    }
}

/// Writes an argument of a command without its secret; see [`secret_of_argument`]. True if the next one is its value.
pub(crate) fn redact_argument(argument: &[u8], is_value: bool, out: &mut Output<'_>) -> bool {
    let (secret, is_value_next) = secret_of_argument(argument, is_value);
    match secret {
        Some(start) => {
            out.pass(&argument[..start]);
            out.replace(&argument[start..]);
        }
        None => redact_urls(argument, out),
    }
    is_value_next
}

/// Writes a whole text without the secrets of the URLs in it.
pub(crate) fn redact_urls(text: &[u8], out: &mut Output<'_>) {
    let mut redactor = TextRedactor::for_urls();
    redactor.push(text, out);
    redactor.finish(out);
}

/// `Bearer abc`: the scheme tells nothing, what follows is the secret. Without a scheme all of it is.
fn redact_credentials(value: &[u8], out: &mut Output<'_>) {
    let scheme = memchr::memchr(b' ', value).unwrap_or(0);
    let credentials = value[scheme..].trim_ascii_start();
    out.pass(&value[..value.len() - credentials.len()]);
    out.replace(credentials);
}

/// `a=1; b=2`: replaces the values of the first `count` pairs.
fn redact_cookies(value: &[u8], count: usize, out: &mut Output<'_>) {
    for (index, pair) in value.split(|byte| *byte == b';').enumerate() {
        if index > 0 {
            out.pass(b";");
        }
        if index >= count {
            out.pass(pair);
            continue;
        }
        let equals = memchr::memchr(b'=', pair);
        let start = equals.map_or_else(|| pair.len() - pair.trim_ascii_start().len(), |at| at + 1);
        out.pass(&pair[..start]);
        out.replace(&pair[start..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::redact::tag::Tagger;

    fn redacted(name: &str, value: &str) -> String {
        let tagger = Tagger::fixed();
        let mut out = Output::new(&tagger);
        redact_field(name.as_bytes(), value.as_bytes(), &mut out);
        String::from_utf8(out.bytes).unwrap()
    }

    fn tag(secret: &str) -> String {
        Tagger::fixed().tag(secret.as_bytes())
    }

    #[test]
    fn the_secrets_among_arguments_are_replaced() {
        let tagger = Tagger::fixed();
        let mut out = Output::new(&tagger);
        let mut is_value = false;
        for argument in ["--api-key", "k", "--token=t", "-v", "API_TOKEN=e", "--port", "80"] {
            is_value = redact_argument(argument.as_bytes(), is_value, &mut out);
            out.pass(b" ");
        }
        let expected = format!(
            "--api-key {} --token={} -v API_TOKEN={} --port 80 ",
            tag("k"),
            tag("t"),
            tag("e")
        );
        assert_eq!(String::from_utf8(out.bytes).unwrap(), expected);
    }

    #[test]
    fn credentials_keep_their_scheme() {
        assert_eq!(
            redacted("Authorization", "Bearer abc"),
            format!("Bearer {}", tag("abc"))
        );
        assert_eq!(redacted("proxy-authorization", "abc"), tag("abc"));
        assert_eq!(redacted("AUTHORIZATION", ""), "");
    }

    #[test]
    fn cookies_keep_their_names_and_attributes() {
        assert_eq!(
            redacted("Cookie", "a=1; b=2"),
            format!("a={}; b={}", tag("1"), tag("2"))
        );
        assert_eq!(redacted("Cookie", "bare"), tag("bare"));
        assert_eq!(
            redacted("Set-Cookie", "a=1; Path=/; HttpOnly"),
            format!("a={}; Path=/; HttpOnly", tag("1"))
        );
    }

    #[test]
    fn other_fields_lose_the_secrets_of_their_urls_only() {
        assert_eq!(
            redacted("Location", "http://a/cb?code=x&iss=http://b"),
            format!("http://a/cb?code={}&iss=http://b", tag("x"))
        );
        assert_eq!(redacted("Accept", "text/event-stream"), "text/event-stream");
        assert_eq!(redacted("Mcp-Param-Api-Key", "k"), tag("k"));
    }
}
