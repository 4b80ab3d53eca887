//! Where spans are sent.

use std::fmt;
use std::str::FromStr;

use http::Uri;

use crate::config::port_problem;

/// The URL of an OTLP/HTTP receiver of traces. A URL without a path gets `/v1/traces`.
///
/// Source: OpenTelemetry Protocol 1.x, "OTLP/HTTP Request".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpUrl(String);

/// A text is not the URL of a receiver of spans.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot send spans to `{text}`: {problem}; write a URL such as http://127.0.0.1:4318")]
pub struct ParseOtlpUrlError {
    text: String,
    problem: &'static str,
}

impl OtlpUrl {
    /// The URL, with its path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OtlpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OtlpUrl {
    type Err = ParseOtlpUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |problem| ParseOtlpUrlError {
            text: text.to_owned(),
            problem,
        };
        let uri: Uri = text.parse().map_err(|_| refuse("it is no URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(refuse("there is no http:// or https://"));
        }
        let authority = uri.authority().ok_or_else(|| refuse("there is no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("a user or password would end up in logs"));
        }
        if let Some(problem) = port_problem(authority) {
            return Err(refuse(problem));
        }
        let text = text.trim_end_matches('/');
        let has_path = !matches!(uri.path(), "" | "/");
        if uri.query().is_some() && !has_path {
            return Err(refuse("there is a query without a path"));
        }
        Ok(Self(if has_path {
            text.to_owned()
        } else {
            format!("{text}/v1/traces")
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_path_gets_the_path_of_the_protocol() {
        for (given, wanted) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            (
                "https://collector.example/",
                "https://collector.example/v1/traces",
            ),
            ("http://c:4318/otlp/v1/traces", "http://c:4318/otlp/v1/traces"),
        ] {
            assert_eq!(given.parse::<OtlpUrl>().unwrap().as_str(), wanted);
        }
    }

    #[test]
    fn what_nothing_can_be_sent_to_is_refused_with_an_example() {
        for (text, reason) in [
            ("127.0.0.1:4318", "http://"),
            ("grpc://c:4317", "http://"),
            ("http://u:p@c:4318", "password"),
            ("http://c:4318?key=1", "query"),
            ("http://c:", "no port behind it"),
            ("", "no URL"),
        ] {
            let error = text.parse::<OtlpUrl>().unwrap_err().to_string();
            assert!(
                error.contains(reason) && error.ends_with("http://127.0.0.1:4318"),
                "{text}: {error}"
            );
        }
    }
}
