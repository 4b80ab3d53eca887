//! Secrets in the fields of a head.

use super::json::JsonRedactor;
use super::names::{is_secret_header, is_secret_parameter};
use super::output::Output;
use super::tag::Tagger;
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

/// What the argument before says of an argument.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Behind {
    /// Nothing.
    #[default]
    Nothing,
    /// `--token`: it is a secret.
    Secret,
    /// `-u`, as `curl` has it: a user and, behind a colon, the password.
    User,
}

/// Where the secret in an argument of a command starts: `--token=x`, `TOKEN=x`, `Authorization: x`, `run --token x`,
/// `-u me:x`, or all of it if the one before it was `--token`. All that follows counts as the secret. Also what the
/// argument says of the next one.
pub fn secret_of_argument(argument: &[u8], behind: Behind) -> (Option<usize>, Behind) {
    let is_option = argument.starts_with(b"-");
    if behind == Behind::Secret && !is_option {
        return (Some(0), Behind::Nothing);
    }
    if behind == Behind::User
        && let Some(start) = password_in(argument)
    {
        return (Some(start), Behind::Nothing);
    }
    match named_secret(argument).or_else(|| password_of_user(argument)) {
        Some(start) => (Some(start), Behind::Nothing),
        None if is_option && is_secret_parameter(argument) => (None, Behind::Secret),
        None if is_user_option(argument) => (None, Behind::User),
        None => (None, Behind::Nothing),
    }
}

/// An argument as it can be shown: stars in place of its secret, see [`secret_of_argument`], and of the user and the
/// password in a URL. `None` if it has none. Also what it says of the next one.
pub fn masked_argument(argument: &str, behind: Behind) -> (Option<String>, Behind) {
    let tagger = Tagger::hiding();
    if let Some(start) = json_in(argument.as_bytes(), behind) {
        let mut out = Output::new(&tagger);
        redact_with_json(argument.as_bytes(), start, &mut out);
        let masked = String::from_utf8_lossy(&out.bytes).into_owned();
        return (Some(masked).filter(|masked| masked != argument), Behind::Nothing);
    }
    let (secret, next) = secret_of_argument(argument.as_bytes(), behind);
    let (open, stars) = match secret.and_then(|start| argument.get(..start)) {
        Some(open) => (open, "***"),
        None => (argument, ""),
    };
    let masked = match user_of_url(open) {
        Some((before, after)) => Some([before, "***", after, stars].concat()),
        None => (!stars.is_empty()).then(|| [open, stars].concat()),
    };
    (masked, next)
}

/// Where JSON starts that the argument ends with, if it can be told which of its values are secrets: all of it is none,
/// and no text in it is a command line with one.
fn json_in(argument: &[u8], behind: Behind) -> Option<usize> {
    let start = memchr::memchr2(b'{', b'[', argument)?;
    let (open, json) = argument.split_at(start);
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(json).is_ok();
    let is_open = behind != Behind::Secret && named_secret(open).is_none();
    (is_json && is_open && option_in_text(json).is_none()).then_some(start)
}

fn redact_with_json(argument: &[u8], start: usize, out: &mut Output<'_>) {
    redact_urls(&argument[..start], out);
    let mut redactor = JsonRedactor::default();
    redactor.push(&argument[start..], out);
    redactor.finish(out);
}

/// Whether a user and a password follow, as `curl` and `wget` have it.
fn is_user_option(argument: &[u8]) -> bool {
    const OPTIONS: [&[u8]; 4] = [b"-u", b"-U", b"--user", b"--proxy-user"];
    OPTIONS.contains(&argument)
}

/// Where the password starts in `me:password`; `http://h` and `C:\x` have none.
fn password_in(argument: &[u8]) -> Option<usize> {
    let colon = memchr::memchr(b':', argument).filter(|colon| *colon > 0)?;
    let first = argument.get(colon + 1)?;
    (!matches!(first, b'/' | b'\\' | b' ')).then_some(colon + 1)
}

/// The same in `-ume:password` and `--user=me:password`.
fn password_of_user(argument: &[u8]) -> Option<usize> {
    const STARTS: [&[u8]; 4] = [b"-u", b"-U", b"--user=", b"--proxy-user="];
    let start = STARTS.iter().find(|start| argument.starts_with(start))?.len();
    password_in(&argument[start..]).map(|at| start + at)
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
    match (assigned_secret(argument), option_in_text(argument)) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The same in a whole command line: `sh -c "server --token x"`, `sh -c "curl -u me:x"`.
fn option_in_text(argument: &[u8]) -> Option<usize> {
    let mut place = 0;
    for word in argument.split_inclusive(u8::is_ascii_whitespace) {
        place += word.len();
        let (name, rest) = (word.trim_ascii(), &argument[place..]);
        let value = argument.len() - rest.trim_ascii_start().len();
        if name.len() == word.len() || value == argument.len() {
            continue;
        }
        let name = name
            .rsplit(|byte| b"\"'=:;,{".contains(byte))
            .next()
            .unwrap_or(name);
        if name.starts_with(b"-") && is_secret_parameter(name) {
            return Some(value);
        }
        if is_user_option(name) {
            let word = argument[value..].split(u8::is_ascii_whitespace).next();
            if let Some(password) = password_in(word.unwrap_or_default()) {
                return Some(value + password);
            }
        }
    }
    None
}

fn assigned_secret(argument: &[u8]) -> Option<usize> {
    let mut name_start = 0;
    for (at, byte) in argument.iter().enumerate() {
        let name = argument[name_start..at].trim_ascii();
        match byte {
            b'=' if is_secret_parameter(name) => return Some(at + 1),
            b':' if is_secret_header(unquoted(name)) => {
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

/// Writes an argument of a command without its secret; see [`secret_of_argument`]. Gives what it says of the next one.
pub(crate) fn redact_argument(argument: &[u8], behind: Behind, out: &mut Output<'_>) -> Behind {
    if let Some(start) = json_in(argument, behind) {
        redact_with_json(argument, start, out);
        return Behind::Nothing;
    }
    let (secret, next) = secret_of_argument(argument, behind);
    match secret {
        Some(start) => {
            redact_urls(&argument[..start], out);
            out.replace(&argument[start..]);
        }
        None => redact_urls(argument, out),
    }
    next
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
            ("curl -s -u me:abc http://h/", "curl -s -u me:"),
            ("-ume:abc", "-ume:"),
            ("--user=me:abc", "--user=me:"),
        ] {
            let found = secret_of_argument(argument.as_bytes(), Behind::Nothing);
            assert_eq!(found, (Some(open.len()), Behind::Nothing), "{argument}");
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
            "-u",
            "-uhttp://h/",
            "python -u server.py",
        ] {
            assert_eq!(
                secret_of_argument(argument.as_bytes(), Behind::Nothing).0,
                None,
                "{argument}"
            );
        }
        let tagger = Tagger::fixed();
        let mut out = Output::new(&tagger);
        redact_argument(b"https://u:pw@h/?token=abc", Behind::Nothing, &mut out);
        let text = String::from_utf8(out.bytes).unwrap();
        assert!(!text.contains("pw@") && !text.contains("abc"), "{text}");
    }

    #[test]
    fn of_a_user_and_a_password_behind_an_option_the_password_is_a_secret() {
        for (option, value, masked) in [
            ("-u", "me:abc", Some("me:***")),
            ("--proxy-user", "me:a:b", Some("me:***")),
            ("-u", "server.py", None),
            ("-u", "http://h/", None),
            ("-u", "-v", None),
            ("-x", "me:abc", None),
        ] {
            let (_, behind) = masked_argument(option, Behind::Nothing);
            let (shown, next) = masked_argument(value, behind);
            assert_eq!(
                (shown.as_deref(), next),
                (masked, Behind::Nothing),
                "{option} {value}"
            );
        }
    }

    #[test]
    fn json_in_an_argument_stays_json() {
        for (argument, expected) in [
            (r#"{"password":"X"}"#, format!(r#"{{"password":"{}"}}"#, tag("X"))),
            (
                r#"--env={"a":[1],"API_TOKEN":"X","b":{}}"#,
                format!(r#"--env={{"a":[1],"API_TOKEN":"{}","b":{{}}}}"#, tag("X")),
            ),
            (r#"--token={"a":1}"#, format!("--token={}", tag(r#"{"a":1}"#))),
            (
                r#"{"run":"x --token X","a":1}"#,
                format!(r#"{{"run":"x --token {}"#, tag(r#"X","a":1}"#)),
            ),
            (r#"{"password":"X"#, format!(r#"{{"password":{}"#, tag("\"X"))),
        ] {
            let tagger = Tagger::fixed();
            let mut out = Output::new(&tagger);
            redact_argument(argument.as_bytes(), Behind::Nothing, &mut out);
            assert_eq!(String::from_utf8(out.bytes).unwrap(), expected);
        }
        let (masked, _) = masked_argument(r#"{"password":"X"}"#, Behind::Nothing);
        assert_eq!(masked.as_deref(), Some(r#"{"password":"***"}"#));
        assert_eq!(masked_argument(r#"{"a":"X"}"#, Behind::Nothing).0, None);
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
            let (masked, _) = masked_argument(argument, Behind::Nothing);
            assert_eq!(masked.as_deref(), shown, "{argument}");
        }
        let masked = masked_argument("abc", Behind::Secret);
        assert_eq!(masked, (Some("***".to_owned()), Behind::Nothing));
    }

    #[test]
    fn the_secrets_among_arguments_are_replaced() {
        let tagger = Tagger::fixed();
        let mut out = Output::new(&tagger);
        let mut behind = Behind::Nothing;
        for argument in ["--api-key", "k", "--token=t", "-v", "API_TOKEN=e", "--port", "80"] {
            behind = redact_argument(argument.as_bytes(), behind, &mut out);
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
