//! Configuration files: `shadowcat.toml`, and the files in which clients keep their servers. Found, read, and refused
//! with file, line and column.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use etcetera::BaseStrategy as _;
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use shadowcat::limits::ResourceLimits;
use toml::Spanned;

use super::forward_flags::ForwardLayer;
use super::layer::Layer;
use super::servers_file::{self, FoundServers, Surroundings};
use super::values::{LogLevel, PortsChoice, RecordChoice, ThemeName, recording_path};
use crate::jsonc::{self, Mistake, position};

/// Largest configuration file, in bytes; a larger one is not a configuration.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("could not read the configuration {}; check that it exists and is readable", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is larger than a configuration can be (1 MiB); give a shadowcat.toml or an mcp.json to --config", .path.display())]
    TooLarge { path: PathBuf },
    #[error("{}:{line}:{column}: {message}", .path.display())]
    Content {
        path: PathBuf,
        line: usize,
        column: usize,
        message: String,
    },
}

/// `shadowcat/shadowcat.toml` in the user's configuration directory; `None` if there is no home.
pub(super) fn default_path() -> Option<PathBuf> {
    let base = etcetera::choose_base_strategy().ok()?;
    Some(base.config_dir().join("shadowcat").join("shadowcat.toml"))
}

/// Reads a file that has to exist.
pub(super) fn read(path: &Path) -> Result<Layer, FileError> {
    let failed = |source| FileError::Read {
        path: path.to_owned(),
        source,
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE_BYTES {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
        });
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    parse(&text, path)
}

/// Reads a file that may be missing.
pub(super) fn read_if_there(path: &Path) -> Result<Option<Layer>, FileError> {
    match read(path) {
        Ok(layer) => Ok(Some(layer)),
        Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the text of a file; how it begins tells which kind it is.
pub(super) fn parse(text: &str, path: &Path) -> Result<Layer, FileError> {
    let layer = if jsonc::is_json(text) {
        servers(text, path)
    } else {
        layer(text)
    };
    layer.map_err(|Mistake { at, message }| {
        let (line, column) = position(text, at);
        FileError::Content {
            path: path.to_owned(),
            line,
            column,
            message,
        }
    })
}

/// The servers of a client's file.
fn servers(text: &str, path: &Path) -> Result<Layer, Mistake> {
    let around = Surroundings {
        env: &|name| std::env::var(name).ok(),
        workspace: servers_file::workspace_of(path),
    };
    Ok(Layer {
        servers: servers_file::read(text, path, &around)?,
        ..Layer::default()
    })
}

fn layer(text: &str) -> Result<Layer, Mistake> {
    let content: Content = toml::from_str(text).map_err(|error| Mistake {
        at: error.span().map_or(0, |span| span.start),
        message: error.message().to_owned(),
    })?;
    let keys = content.keys.into_iter();
    Ok(Layer {
        listen: content.listen.map(read_all).transpose()?,
        upstreams: content.upstreams.map(read_all).transpose()?,
        servers: FoundServers::default(),
        ports: content.ports,
        allow_hosts: content.allow_hosts.map(read_all).transpose()?,
        allow_origins: content.allow_origins.map(read_all).transpose()?,
        forward: ForwardLayer {
            no_intercept: content.no_intercept.map(read_all).transpose()?,
            insecure: content.insecure.map(read_all).transpose()?,
            upstream_ca: content.upstream_ca.map(read_all).transpose()?,
            allow_connect: content.allow_connect.map(read_all).transpose()?,
            proxy_auth: content.proxy_auth.map(read_one).transpose()?,
            via: content.via.map(read_one).transpose()?,
            ca_dir: content.ca_dir,
        },
        oauth: content.oauth.map(read_one).transpose()?,
        rules: content.rules,
        record: content.record,
        redact: content.redact.map(read_all).transpose()?,
        rotate_size: content.rotate_size.map(read_one).transpose()?,
        rotate_age: content.rotate_age.map(read_one).transpose()?,
        metrics: content.metrics.map(read_one).transpose()?,
        otlp: content.otlp.map(read_one).transpose()?,
        theme: content.theme,
        is_ascii: content.ascii,
        has_mouse: content.mouse,
        has_bell: content.bell,
        editor_cmd: content.editor_cmd,
        log_level: content.log_level,
        limits: content.limits.0,
        keys: keys
            .map(|(action, texts)| Ok((action, read_all(texts)?)))
            .collect::<Result<_, _>>()?,
    })
}

/// Reads each text as a `T`; a mistake in one is reported at its own place.
fn read_all<T: FromStr<Err: fmt::Display>>(texts: Spanned<Texts>) -> Result<Vec<T>, Mistake> {
    let whole = texts.span().start;
    let read = |(at, text): (Option<usize>, String)| {
        text.parse().map_err(|error: T::Err| Mistake {
            at: at.unwrap_or(whole),
            message: error.to_string(),
        })
    };
    texts.into_inner().0.into_iter().map(read).collect()
}

/// Reads a text as a `T`; a mistake in it is reported at its place.
fn read_one<T: FromStr<Err: fmt::Display>>(text: Spanned<String>) -> Result<T, Mistake> {
    let at = text.span().start;
    let message = |error: T::Err| error.to_string();
    text.into_inner().parse().map_err(|error| Mistake {
        at,
        message: message(error),
    })
}

/// The file's grammar.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    listen: Option<Spanned<Texts>>,
    upstreams: Option<Spanned<Texts>>,
    ports: Option<PortsChoice>,
    allow_hosts: Option<Spanned<Texts>>,
    allow_origins: Option<Spanned<Texts>>,
    no_intercept: Option<Spanned<Texts>>,
    insecure: Option<Spanned<Texts>>,
    upstream_ca: Option<Spanned<Texts>>,
    allow_connect: Option<Spanned<Texts>>,
    proxy_auth: Option<Spanned<String>>,
    via: Option<Spanned<String>>,
    ca_dir: Option<PathBuf>,
    oauth: Option<Spanned<String>>,
    rules: Option<PathBuf>,
    record: Option<RecordChoice>,
    redact: Option<Spanned<Texts>>,
    rotate_size: Option<Spanned<String>>,
    rotate_age: Option<Spanned<String>>,
    metrics: Option<Spanned<String>>,
    otlp: Option<Spanned<String>>,
    theme: Option<ThemeName>,
    ascii: Option<bool>,
    mouse: Option<bool>,
    bell: Option<bool>,
    editor_cmd: Option<String>,
    log_level: Option<LogLevel>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    keys: BTreeMap<String, Spanned<Texts>>,
}

/// A text, or a list of texts with the byte at which each begins.
struct Texts(Vec<(Option<usize>, String)>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes, or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
        Ok(Texts(vec![(None, text.to_owned())]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element::<Spanned<String>>()? {
            texts.push((Some(text.span().start), text.into_inner()));
        }
        Ok(Texts(texts))
    }
}

impl<'de> Deserialize<'de> for RecordChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RecordVisitor)
    }
}

struct RecordVisitor;

impl Visitor<'_> for RecordVisitor {
    type Value = RecordChoice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, or the path of a new file in quotes")
    }

    fn visit_bool<E: de::Error>(self, is_on: bool) -> Result<RecordChoice, E> {
        Ok(if is_on {
            RecordChoice::NewFile
        } else {
            RecordChoice::Off
        })
    }

    fn visit_str<E: de::Error>(self, path: &str) -> Result<RecordChoice, E> {
        if path.is_empty() {
            return Err(E::invalid_value(de::Unexpected::Str(path), &self));
        }
        recording_path(path.into())
            .map(RecordChoice::File)
            .map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for PortsChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PortsVisitor)
    }
}

struct PortsVisitor;

impl Visitor<'_> for PortsVisitor {
    type Value = PortsChoice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, or the port of the first server, from 1 to 65535")
    }

    fn visit_bool<E: de::Error>(self, is_on: bool) -> Result<PortsChoice, E> {
        Ok(if is_on {
            PortsChoice::Free
        } else {
            PortsChoice::Off
        })
    }

    fn visit_i64<E: de::Error>(self, port: i64) -> Result<PortsChoice, E> {
        let port = u16::try_from(port).ok().filter(|port| *port > 0);
        let port = port.ok_or_else(|| E::custom("a port is a number from 1 to 65535"))?;
        Ok(PortsChoice::From(port))
    }
}

/// The table of limits, each checked where it stands.
#[derive(Default)]
struct Limits(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Limits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LimitsVisitor)
    }
}

struct LimitsVisitor;

impl<'de> Visitor<'de> for LimitsVisitor {
    type Value = Limits;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of limits, such as `max_connections = 1000`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Limits, A::Error> {
        let mut limits = BTreeMap::new();
        while let Some(name) = table.next_key::<String>()? {
            let value = table.next_value_seed(LimitValue(&name))?;
            limits.insert(name.replace('-', "_"), value);
        }
        Ok(Limits(limits))
    }
}

/// The value of the limit with this name.
struct LimitValue<'a>(&'a str);

impl LimitValue<'_> {
    fn checked<E: de::Error>(&self, text: String) -> Result<String, E> {
        let checked = ResourceLimits::default().set(self.0, &text);
        checked.map_err(E::custom).map(|()| text)
    }
}

impl<'de> DeserializeSeed<'de> for LimitValue<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for LimitValue<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, or a text such as \"64MiB\" or \"30s\"")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        self.checked(number.to_string())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        self.checked(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text, Path::new("s.toml")).unwrap_err().to_string()
    }

    #[test]
    fn every_kind_of_mistake_names_file_line_and_column() {
        for (text, place, reason) in [
            (
                "theme = \"dark\"\nlisten = [\n  \"127.0.0.1\"]",
                "s.toml:3:3:",
                "HOST:PORT",
            ),
            (
                "upstreams = [\"http://x/\", \"y\"]",
                "s.toml:1:27:",
                "cannot use upstream `y`",
            ),
            (
                "[limits]\nmax_connections = \"5s\"",
                "s.toml:2:19:",
                "a whole number such as 1000",
            ),
            (
                "[limits]\n\nmax_fun = 1",
                "s.toml:3:",
                "there is no limit called `max_fun`",
            ),
            (
                "[limits]\nmax_connections = -1",
                "s.toml:2:19:",
                "`-1` is not a value",
            ),
            ("lisen = \"x\"", "s.toml:1:1:", "unknown field `lisen`"),
            ("theme = \"pink\"", "s.toml:1:9:", "`dark`"),
            ("via = \"socks5://x:1\"", "s.toml:1:7:", "http://HOST:PORT"),
            ("insecure = [\"a b\"]", "s.toml:1:13:", "`a b` is no host"),
            ("proxy_auth = \"secret\"", "s.toml:1:14:", "USER:PASSWORD"),
            ("oauth = \"on\"", "s.toml:1:9:", "assist, relay or off"),
            ("metrics = \"9464\"", "s.toml:1:11:", "HOST:PORT"),
            ("otlp = \"c:4317\"", "s.toml:1:8:", "http://"),
            ("ports = 70000", "s.toml:1:9:", "from 1 to 65535"),
            ("ports = \"x\"", "s.toml:1:9:", "the port of the first server"),
            (
                "{\"mcpServers\": {\n  \"a\": 3}}",
                "s.toml:2:8:",
                "`a` has to be an object",
            ),
            ("redact = [\"a\", \"b(\"]", "s.toml:1:16:", "cannot redact `b(`"),
            ("rotate_size = \"1\"", "s.toml:1:15:", "too small for a file"),
            ("rotate_age = \"1x\"", "s.toml:1:14:", "`1x` is no time"),
            ("record = 3", "s.toml:1:10:", "true, false, or the path"),
            ("record = \"-\"", "s.toml:1:10:", "write ./- for a file"),
            ("ascii = ", "s.toml:1:9:", "value"),
        ] {
            let shown = error(text);
            assert!(shown.starts_with(place), "{text}: {shown}");
            assert!(shown.contains(reason), "{text}: {shown}");
        }
    }

    #[test]
    fn a_single_text_stands_for_a_list_of_one() {
        let layer = parse("listen = \":8080\"\n[keys]\nquit = \"x\"", Path::new("s.toml")).unwrap();
        assert_eq!(layer.listen.unwrap().len(), 1);
        assert_eq!(layer.keys["quit"], ["x"]);
    }

    #[test]
    fn the_page_for_users_shows_files_that_can_be_read() {
        let page = include_str!("../../../docs/configuration.md");
        let mut examples = page.split("```toml\n").skip(1).peekable();
        assert!(examples.peek().is_some());
        for example in examples {
            let text = example.split("```").next().unwrap();
            parse(text, Path::new("docs/configuration.md")).unwrap();
        }
    }
}
