//! Both HTTP heads, what we changed in them, and how the exchange ended. Secrets are masked unless asked for.

use shadowcat::recording::redact::{Behind, masked_argument};
use shadowcat::snapshot::{EndKind, ExchangeDetail, Head, MessageDetail, SentHead};

use super::Look;
use crate::format;
use crate::paint::Line;
use crate::theme::Role;

/// Whether the value of a field lets somebody in.
pub(crate) fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name.to_ascii_lowercase().as_str())
}

/// Fields whose value lets somebody in.
const SECRETS: [&str; 10] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "x-goog-api-key",
    "x-amz-security-token",
    "mcp-session-id",
];

pub(super) fn lines(message: &MessageDetail, look: &Look<'_>) -> Vec<Line> {
    let Some(exchange) = &message.exchange else {
        return vec![Line::of(Role::Dim, "history no longer has the exchange")];
    };
    let mut lines = vec![summary(exchange)];
    if let Some(failure) = &exchange.failure {
        lines.push(Line::of(Role::Bad, "failed: ").say(Role::Text, failure));
    }
    lines.push(Line::default());
    if exchange.is_run {
        lines.extend(run(exchange, look));
        return lines;
    }
    lines.extend(head(&exchange.request, look));
    lines.extend(rewrites(&exchange.rewrites, &exchange.body_rewrites, look));
    lines.extend(sent(exchange.sent.as_deref(), &exchange.rewrites, look));
    lines.push(ended(
        "request body",
        exchange.request_end,
        exchange.request_bytes,
    ));
    lines.push(Line::default());
    match &exchange.response {
        Some(response) => {
            if exchange.is_our_answer {
                lines.push(Line::of(
                    Role::Warn,
                    "this answer is the proxy's own, not the server's",
                ));
            }
            lines.extend(head(response, look));
            lines.extend(rewrites(
                &exchange.response_rewrites,
                &exchange.response_body_rewrites,
                look,
            ));
            lines.extend(sent(
                exchange.response_sent.as_deref(),
                &exchange.response_rewrites,
                look,
            ));
        }
        None => lines.push(Line::of(Role::Wait, "no response yet")),
    }
    lines.push(ended(
        "response body",
        exchange.response_end,
        exchange.response_bytes,
    ));
    lines
}

fn summary(exchange: &ExchangeDetail) -> Line {
    let text = format!(
        "{} on {} from {} to {} ({})",
        exchange.id,
        exchange.connection,
        exchange.client,
        exchange.server,
        exchange.side.name()
    );
    Line::default().say(Role::Dim, &text)
}

/// A command, its arguments and its surroundings. Secrets among the arguments are masked like those of heads.
fn run(exchange: &ExchangeDetail, look: &Look<'_>) -> Vec<Line> {
    let mut lines = vec![Line::default().say(Role::Strong, &exchange.request.line)];
    let mut behind = Behind::Nothing;
    for (name, value) in &exchange.request.fields {
        let mut shown = value.clone();
        if name == "argument" {
            let (masked, next) = masked_argument(value, behind);
            behind = next;
            if let Some(masked) = masked.filter(|_| !look.switches.is_unmasked) {
                shown = masked;
            }
        }
        let line = Line::default().say(Role::JsonKey, name).with(Role::Dim, ": ");
        lines.push(line.say(Role::Text, &shown));
    }
    lines.push(ended("input", exchange.request_end, exchange.request_bytes));
    lines.push(ended("output", exchange.response_end, exchange.response_bytes));
    lines
}

fn head(head: &Head, look: &Look<'_>) -> Vec<Line> {
    let is_masked = !look.switches.is_unmasked;
    let hint = if look.is_for_copy {
        Hint::None
    } else {
        Hint::Length
    };
    let first = if is_masked {
        masked_target(&head.line)
    } else {
        head.line.clone()
    };
    let mut lines = vec![Line::default().say(Role::Strong, &first)];
    lines.extend(head.fields.iter().map(|(name, value)| {
        let line = Line::default().say(Role::JsonKey, name).with(Role::Dim, ": ");
        if is_masked && is_secret(name) {
            line.say(Role::Warn, &masked(value, hint))
        } else {
            line.say(Role::Text, value)
        }
    }));
    lines
}

/// What is said about a secret that is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hint {
    None,
    /// How long it is, and the key that shows it.
    Length,
}

/// The scheme of a credential, and what `hint` says of the rest.
fn masked(value: &str, hint: Hint) -> String {
    let (scheme, secret) = match value.split_once(' ') {
        Some((scheme, rest)) if scheme.chars().all(|c| c.is_ascii_alphabetic()) => (scheme, rest),
        _ => ("", value),
    };
    let gap = if scheme.is_empty() { "" } else { " " };
    let length = format::plural(secret.chars().count() as u64, "character");
    match hint {
        Hint::None => format!("{scheme}{gap}***"),
        Hint::Length => format!("{scheme}{gap}*** ({length}; m shows it)"),
    }
}

/// A request line without the values of query parameters that look like secrets.
fn masked_target(line: &str) -> String {
    let Some((path, query)) = line.split_once('?') else {
        return line.to_owned();
    };
    let (query, version) = query.rsplit_once(' ').unwrap_or((query, ""));
    let parameters: Vec<String> = query.split('&').map(masked_parameter).collect();
    format!("{path}?{} {version}", parameters.join("&"))
        .trim_end()
        .to_owned()
}

fn masked_parameter(parameter: &str) -> String {
    const TELLING: [&str; 7] = [
        "token",
        "key",
        "secret",
        "password",
        "code",
        "assertion",
        "signature",
    ];
    match parameter.split_once('=') {
        Some((name, _))
            if TELLING
                .iter()
                .any(|word| name.to_ascii_lowercase().contains(word)) =>
        {
            format!("{name}=***")
        }
        _ => parameter.to_owned(),
    }
}

/// What was changed in a head and in the body behind it.
fn rewrites(head: &[String], body: &[String], look: &Look<'_>) -> Vec<Line> {
    let told = |changes: &[String], sign, ascii| {
        let line =
            |change: &String| Line::of(Role::Accent, look.theme.sign(sign, ascii)).say(Role::Text, change);
        changes.iter().map(line).collect::<Vec<Line>>()
    };
    let mut lines = told(head, "↳ sent on with ", "> sent on with ");
    lines.extend(told(body, "↳ body sent on with ", "> body sent on with "));
    lines
}

/// What else is different in the head that went on: what `told` does not say in words.
fn sent(sent: Option<&SentHead>, told: &[String], look: &Look<'_>) -> Vec<Line> {
    let Some(sent) = sent else {
        return Vec::new();
    };
    let is_told = |name: &str| {
        let names = told.iter().filter_map(|text| text.split_once(':'));
        names.into_iter().any(|(told, _)| told.eq_ignore_ascii_case(name))
    };
    let is_masked = !look.switches.is_unmasked;
    let sign = |sign, ascii| Line::of(Role::Accent, look.theme.sign(sign, ascii));
    let line = sent.line.iter().map(|line| {
        let line = if is_masked {
            masked_target(line)
        } else {
            line.clone()
        };
        sign("↳ sent on as ", "> sent on as ").say(Role::Text, &line)
    });
    let removed = (!sent.removed.is_empty())
        .then(|| sign("↳ sent on without ", "> sent on without ").say(Role::Text, &sent.removed.join(", ")));
    let fields = sent.set.iter().filter(|(name, _)| !is_told(name));
    let fields = fields.map(|(name, value)| {
        let value = if is_masked && is_secret(name) {
            masked(value, Hint::None)
        } else {
            value.clone()
        };
        sign("↳ sent on with ", "> sent on with ").say(Role::Text, &format!("{name}: {value}"))
    });
    line.chain(removed).chain(fields).collect()
}

fn ended(what: &str, end: Option<EndKind>, bytes: u64) -> Line {
    let (role, text) = match end {
        None => (Role::Wait, "still going on"),
        Some(EndKind::Complete) => (Role::Dim, "complete"),
        Some(EndKind::ClientAborted) => (Role::Bad, "the client went away"),
        Some(EndKind::UpstreamAborted) => (Role::Bad, "the server broke off"),
        Some(EndKind::UpstreamUnreachable) => (Role::Bad, "the server could not be reached"),
        Some(EndKind::CutByProxy) => (Role::Bad, "cut by the proxy: shutdown or a limit"),
        Some(EndKind::Unwatched) => (Role::Bad, "how it ended is not known: the shim has gone"),
    };
    let size = format::size(bytes);
    Line::default().say(role, &format!("{what} {size}, {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_credential_shows_its_scheme_and_length_only() {
        let shown = |value| masked(value, Hint::Length);
        assert_eq!(shown("Bearer abcdef"), "Bearer *** (6 characters; m shows it)");
        assert_eq!(shown("a=1; b=2"), "*** (8 characters; m shows it)");
        assert_eq!(masked("Bearer abcdef", Hint::None), "Bearer ***");
    }

    #[test]
    fn secrets_in_the_query_are_masked_too() {
        assert_eq!(
            masked_target("GET /cb?state=1&access_token=s3cret HTTP/1.1"),
            "GET /cb?state=1&access_token=*** HTTP/1.1"
        );
        assert_eq!(masked_target("POST /mcp HTTP/1.1"), "POST /mcp HTTP/1.1");
    }
}
