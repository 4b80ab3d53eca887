//! Names and origins that may ask beside our own. What could never match is a mistake that nobody would notice otherwise.

use http::uri::Authority;

use super::ConfigError;

/// Checks that each can be the value of the header field that it is for.
///
/// # Errors
/// [`ConfigError`] for the first that cannot.
pub(super) fn check(hosts: &[String], origins: &[String]) -> Result<(), ConfigError> {
    if let Some(text) = hosts.iter().find(|host| !is_host(host)) {
        return Err(ConfigError::AllowedHost { text: text.clone() });
    }
    match origins.iter().find(|origin| !is_origin(origin)) {
        Some(text) => Err(ConfigError::AllowedOrigin { text: text.clone() }),
        None => Ok(()),
    }
}

/// A host with or without a port (RFC 9110 §7.2); names stand for themselves only, so there are no patterns.
fn is_host(text: &str) -> bool {
    !text.contains(['@', '*']) && text.parse::<Authority>().is_ok()
}

/// `null`, or scheme, host and port, as browsers serialize them (RFC 6454 §6.2).
fn is_origin(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    text == "null"
        || text
            .split_once("://")
            .is_some_and(|(scheme, host)| is_scheme(scheme) && is_host(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(hosts: &[&str], origins: &[&str]) -> bool {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        check(&owned(hosts), &owned(origins)).is_ok()
    }

    #[test]
    fn what_can_be_a_host_or_an_origin_is_taken_and_all_else_is_refused() {
        for host in ["proxy.test", "proxy.test:8080", "10.0.0.1", "[::1]:80"] {
            assert!(is_taken(&[host], &[]), "{host}");
        }
        for host in ["http://x", "x/", "", "*.x", "a b", "me@x"] {
            assert!(!is_taken(&["fine", host], &[]), "{host}");
        }
        for origin in ["http://x", "https://x:3000", "null", "vscode-webview://1a2b"] {
            assert!(is_taken(&[], &[origin]), "{origin}");
        }
        for origin in ["foo", "http://x/", "x:80", "://x", "http://", "http://*.x", ""] {
            assert!(!is_taken(&[], &["http://fine", origin]), "{origin}");
        }
    }
}
