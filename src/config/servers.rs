//! What is said of a server beside where it is: fields that are added to its requests, a port of its own.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::{CommandServer, ConfigError, UpstreamConfig};

/// Fields that frame a message or name its receiver: to set them would break what is sent.
const NOT_TO_BE_SET: [HeaderName; 9] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Header fields that every request to a server gets, in place of what the client says under the same names.
///
/// Their values are secrets: they are in no text that this type makes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AddedHeaders(HeaderMap);

impl AddedHeaders {
    /// Adds a field; the last one of a name stays.
    ///
    /// # Errors
    /// [`ConfigError::Header`] for what cannot be a field's name or value, and for fields that frame a message.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let problem = |problem: &'static str| ConfigError::Header {
            name: name.to_owned(),
            problem,
        };
        let field: HeaderName = name
            .parse()
            .map_err(|_| problem("a name has letters, digits and `-` only"))?;
        if NOT_TO_BE_SET.contains(&field) {
            return Err(problem("this field is made anew for each request; leave it out"));
        }
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| problem("its value has a line end or another control character; take it out"))?;
        value.set_sensitive(true);
        self.0.insert(field, value);
        Ok(())
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(HeaderName::as_str)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn fields(&self) -> &HeaderMap {
        &self.0
    }
}

impl fmt::Debug for AddedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// Ports on which each server is alone, beside the common one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerPorts {
    /// Whatever the system gives.
    Free,
    /// This one for the first server, the next for the second, and so on.
    From(u16),
}

impl ServerPorts {
    /// The port of the server at `place`, counted from 0; port 0 stands for any free one. `None` if there is none so high.
    pub fn of(self, place: usize) -> Option<u16> {
        match self {
            Self::Free => Some(0),
            Self::From(base) => u16::try_from(place)
                .ok()
                .and_then(|place| base.checked_add(place)),
        }
    }
}

/// First segments of the paths at which a command without a name is served.
const OF_COMMANDS: [&str; 3] = ["mcp", "sse", "messages"];

/// Checks that every server can be told from the others, on screen and by its paths.
///
/// # Errors
/// [`ConfigError`] for two without a name, for two called the same, and for a name that takes the paths of the server that
/// has none.
pub(super) fn check_names(
    upstreams: &[UpstreamConfig],
    commands: &[CommandServer],
) -> Result<(), ConfigError> {
    let names = upstreams.iter().map(|server| (&server.name, server.label()));
    let names = names.chain(commands.iter().map(|server| (&server.name, server.label())));
    let (mut labels, mut has_unnamed) = (HashSet::new(), false);
    for (name, label) in names {
        if name.is_none() && std::mem::replace(&mut has_unnamed, true) {
            return Err(ConfigError::Unnamed);
        }
        if !labels.insert(Arc::clone(&label)) {
            let name = label.to_string();
            return Err(ConfigError::DuplicateUpstream { name });
        }
    }
    let names = upstreams.iter().map(|server| &server.name);
    let mut names = names.chain(commands.iter().map(|server| &server.name)).flatten();
    let Some((paths, other)) = paths_of_unnamed(upstreams, commands) else {
        return Ok(());
    };
    match names.find(|name| paths.contains(&name.as_str())) {
        Some(name) => Err(ConfigError::HiddenServer {
            name: name.clone(),
            other,
        }),
        None => Ok(()),
    }
}

/// First segments of the paths that clients use of the server without a name, and what that is, for people.
fn paths_of_unnamed<'a>(
    upstreams: &'a [UpstreamConfig],
    commands: &'a [CommandServer],
) -> Option<(Vec<&'a str>, String)> {
    if let Some(command) = commands.iter().find(|command| command.name.is_none()) {
        return Some((OF_COMMANDS.to_vec(), format!("the command `{}`", command.label())));
    }
    let upstream = upstreams.iter().find(|upstream| upstream.name.is_none())?;
    let first = upstream.path.path().split('/').nth(1)?;
    Some((vec![first], upstream.shown_url()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_no_text() {
        let mut added = AddedHeaders::default();
        added.add("Authorization", "Bearer s3cret").unwrap();
        assert_eq!(format!("{added:?}"), r#"{"authorization"}"#);
        assert!(!format!("{:?}", added.fields()).contains("s3cret"));
    }

    #[test]
    fn a_field_that_would_break_the_request_is_refused_by_name() {
        let mut added = AddedHeaders::default();
        for (name, value, reason) in [
            ("Host", "x", "made anew"),
            ("content-length", "3", "made anew"),
            ("a b", "x", "letters"),
            ("X-A", "x\r\ny: z", "line end"),
        ] {
            let error = added.add(name, value).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(reason), "{error}");
        }
        assert!(added.is_empty());
    }

    #[test]
    fn ports_count_up_and_end_at_the_last_one() {
        assert_eq!(ServerPorts::From(9001).of(2), Some(9003));
        assert_eq!(ServerPorts::From(65_535).of(1), None);
        assert_eq!(ServerPorts::Free.of(7), Some(0));
    }
}
