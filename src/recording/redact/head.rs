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

/// Where the secret in an argument of a command starts: `--token=x`, `TOKEN=x`, `Authorization: x`, `run --token x`, or
/// all of it if the one before it was `--token` (`is_value`). All that follows counts as the secret. Also whether the next
/// argument is the value of this one.
pub fn secret_of_argument(argument: &[u8], is_value: bool) -> (Option<usize>, bool) {
    let is_option = argument.starts_with(b"-");
    if is_value && !is_option {
        return (Some(0), false);
    }
    match named_secret(argument) {
        Some(start) => (Some(start), false),
        None => (None, is_option && is_secret_parameter(argument)),
    }
}

/// An argument as it can be shown: stars in place of its secret, see [`secret_of_argument`], and of the user and the
/// password in a URL. `None` if it has none. Also whether the next argument is the value of this one.
pub fn masked_argument(argument: &str, is_value: bool) -> (Option<String>, bool) {
    let (secret, is_value_next) = secret_of_argument(argument.as_bytes(), is_value);
    let (open, stars) = match secret.and_then(|start| argument.get(..start)) {
        Some(open) => (open, "***"),
        None => (argument, ""),
    };
    let masked = match user_of_url(open) {
        Some((before, after)) => Some([before, "***", after, stars].concat()),
        None => (!stars.is_empty()).then(|| [open, stars].concat()),
    };
    (masked, is_value_next)
}

/// What stands before and behind the user and the password of the first URL that has some.
fn user_of_url(text: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    loop {
        let start = at + text.get(at..)?.find("://")? + 3;
        let rest = text.get(start..)?;
        let authority = rest.split(|c: char| c <= ' ' || "/?#\"'<>".contains(c)).next()?;
        if let Some(end) = authority.rfind('@') {
            return Some((text.get(..start)?, rest.get(end..)?));
        }
        at = start;
    }
}

/// Where the first value starts that is named like a secret parameter or a secret header.
fn named_secret(argument: &[u8]) -> Option<usize> {
    let mut name_start = 0;
    for (at, byte) in argument.iter().enumerate() {
        let name = argument[name_start..at].trim_ascii();
        match byte {
            b'=' if is_secret_parameter(name) => return Some(at + 1),
            b':' if is_secret_header(unquoted(name)) => {
                let value = &argument[at + 1..];
                return Some(argument.len() - value.trim_ascii_start().len());
            }
            // A whole command line in one argument: `sh -c "server --token x"`.
            b' ' | b'\t' | b'\n' if name.starts_with(b"-") && is_secret_parameter(name) => {
                let value = &argument[at + 1..];
                return Some(argument.len() - value.trim_ascii_start().len());
            }
            _ => {}
        }
        if matches!(
            byte,
            b'=' | b':' | b'?' | b'&' | b';' | b',' | b'{' | b' ' | b'\t' | b'\n'
        ) {
            name_start = at + 1;
        }
    }
    None
}

fn unquoted(name: &[u8]) -> &[u8] {
    let is_quote = |byte: &u8| matches!(byte, b'"' | b'\'');
    let start = name.iter().position(|byte| !is_quote(byte)).unwrap_or(name.len());
    let end = name
        .iter()
        .rposition(|byte| !is_quote(byte))
        .map_or(start, |last| last + 1);
    &name[start..end]
}

/// Writes an argument of a command without its secret; see [`secret_of_argument`]. True if the next one is its value.
pub(crate) fn redact_argument(argument: &[u8], is_value: bool, out: &mut Output<'_>) -> bool {
    let (secret, is_value_next) = secret_of_argument(argument, is_value);
    match secret {
        Some(start) => {
            redact_urls(&argument[..start], out);
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
    fn secrets_inside_an_argument_are_found_wherever_it_names_them() {
        for (argument, open) in [
            ("Authorization: Bearer abc==", "Authorization: "),
            ("--header=X-Api-Key: abc", "--header=X-Api-Key: "),
            ("authorization:Bearer abc", "authorization:"),
            (r#"{"Authorization":"Bearer abc"}"#, r#"{"Authorization":"#),
            ("--env=API_TOKEN=abc", "--env=API_TOKEN="),
            ("export A=1; API_TOKEN=abc run", "export A=1; API_TOKEN="),
            ("AWS_SECRET_ACCESS_KEY=abc", "AWS_SECRET_ACCESS_KEY="),
            ("SUPABASE_SERVICE_ROLE_KEY=abc", "SUPABASE_SERVICE_ROLE_KEY="),
            ("exec npx weather --api-key abc", "exec npx weather --api-key "),
            ("npx weather --token 'a b'", "npx weather --token "),
            ("https://h/mcp?a=b&api_key=abc", "https://h/mcp?a=b&api_key="),
        ] {
            let found = secret_of_argument(argument.as_bytes(), false);
            assert_eq!(found, (Some(open.len()), false), "{argument}");
        }
        for argument in [
            "http://127.0.0.1:80/mcp",
            r"C:\x",
            "a=b",
            "npx weather --port 80",
            "the api-key is elsewhere",
            "AWS_ACCESS_KEY_ID=abc",
            "Accept: text/html",
            "-v",
        ] {
            assert_eq!(
                secret_of_argument(argument.as_bytes(), false).0,
                None,
                "{argument}"
            );
        }
        let tagger = Tagger::fixed();
        let mut out = Output::new(&tagger);
        redact_argument(b"https://u:pw@h/?token=abc", false, &mut out);
        let text = String::from_utf8(out.bytes).unwrap();
        assert!(!text.contains("pw@") && !text.contains("abc"), "{text}");
    }

    #[test]
    fn an_argument_is_shown_without_its_secret_and_without_the_user_of_its_url() {
        for (argument, shown) in [
            ("--api-key=abc", Some("--api-key=***")),
            ("postgres://u:p@ss@db:5432/x", Some("postgres://***@db:5432/x")),
            ("https://u:p@h/?token=abc", Some("https://***@h/?token=***")),
            (
                "see http://h/ and redis://:pw@h/0",
                Some("see http://h/ and redis://***@h/0"),
            ),
            ("http://h/a@b", None),
            ("--port", None),
        ] {
            assert_eq!(masked_argument(argument, false).0.as_deref(), shown, "{argument}");
        }
        assert_eq!(masked_argument("abc", true), (Some("***".to_owned()), false));
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
