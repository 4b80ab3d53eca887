//! The settings in force, written as a `shadowcat.toml` that says the same.

use std::fmt::Write as _;
use std::path::PathBuf;

use shadowcat::config::UpstreamConfig;
use shadowcat::limits::{ResourceLimits, Unit, display_value};

use super::forward_flags::ForwardLayer;
use super::layer::Layer;
use super::settings::{self, DEFAULT_LISTEN};
use super::values::{FileAge, FileSize, PortsChoice, RecordChoice};

/// `layer` with every default filled in; `sources` are the files that were read.
pub(super) fn page(layer: &Layer, limits: &ResourceLimits, sources: &[PathBuf]) -> String {
    let mut page = heading(sources);
    let listen = layer.listen.as_ref().map_or_else(
        || vec![DEFAULT_LISTEN.to_owned()],
        |all| all.iter().map(ToString::to_string).collect(),
    );
    let upstreams: Vec<String> = layer.upstreams.iter().flatten().map(upstream_text).collect();
    let none = Vec::new();
    for (name, texts) in [
        ("listen", &listen),
        ("upstreams", &upstreams),
        ("allow_hosts", layer.allow_hosts.as_ref().unwrap_or(&none)),
        ("allow_origins", layer.allow_origins.as_ref().unwrap_or(&none)),
    ] {
        let _ = writeln!(page, "{name} = {}", list(texts));
    }
    page.push_str(&ports(layer.ports));
    page.push_str(&client_servers(layer));
    forward(&mut page, &layer.forward);
    let _ = writeln!(page, "oauth = {}", quoted(layer.oauth.unwrap_or_default().name()));
    if let Some(path) = &layer.rules {
        let _ = writeln!(page, "rules = {}", quoted(&path.display().to_string()));
    }
    let _ = writeln!(page, "record = {}", record(layer.record.as_ref()));
    let redact: Vec<String> = layer
        .redact
        .iter()
        .flatten()
        .map(|pattern| pattern.as_str().to_owned())
        .collect();
    let _ = writeln!(page, "redact = {}", list(&redact));
    if let Some(FileSize(bytes)) = layer.rotate_size {
        let _ = writeln!(
            page,
            "rotate_size = {}",
            quoted(&display_value(Unit::Bytes, bytes))
        );
    }
    if let Some(FileAge(millis)) = layer.rotate_age {
        let _ = writeln!(
            page,
            "rotate_age = {}",
            quoted(&display_value(Unit::Time, millis))
        );
    }
    if let Some(address) = &layer.metrics {
        let _ = writeln!(page, "metrics = {}", quoted(&address.to_string()));
    }
    if let Some(url) = &layer.otlp {
        let _ = writeln!(page, "otlp = {}", quoted(url.as_str()));
    }
    let _ = writeln!(page, "theme = {}", quoted(settings::theme(layer).name()));
    let _ = writeln!(page, "ascii = {}", layer.is_ascii.unwrap_or(false));
    let _ = writeln!(page, "mouse = {}", layer.has_mouse.unwrap_or(true));
    let _ = writeln!(page, "bell = {}", layer.has_bell.unwrap_or(true));
    if let Some(template) = &layer.editor_cmd {
        let _ = writeln!(page, "editor_cmd = {}", quoted(template));
    }
    let _ = writeln!(
        page,
        "log_level = {}",
        quoted(layer.log_level.unwrap_or_default().name())
    );
    page.push_str("\n[limits]\n");
    for field in ResourceLimits::FIELDS {
        let number = limits.get(field.name).unwrap_or_default();
        let value = match field.unit {
            Unit::Count => number.to_string(),
            Unit::Bytes | Unit::Time => quoted(&display_value(field.unit, number)),
        };
        let _ = writeln!(
            page,
            "# {}. At the limit: {}.\n{} = {value}",
            field.reason, field.at_limit, field.name
        );
    }
    page.push_str("\n[keys]\n");
    for (action, keys) in &layer.keys {
        let _ = writeln!(page, "{} = {}", quoted(action), list(keys));
    }
    page
}

/// Passwords are not printed, so what needs one stands there as a comment.
fn forward(page: &mut String, layer: &ForwardLayer) {
    for (name, texts) in layer.lists() {
        let _ = writeln!(page, "{name} = {}", list(&texts));
    }
    if let Some(credentials) = &layer.proxy_auth {
        let _ = writeln!(page, "# proxy_auth = {}", quoted(&credentials.to_string()));
    }
    if let Some(via) = &layer.via {
        let text = via.to_string();
        let sign = if text.contains('@') { "# " } else { "" };
        let _ = writeln!(page, "{sign}via = {}", quoted(&text));
    }
    if let Some(directory) = layer.ca_dir() {
        let _ = writeln!(page, "ca_dir = {}", quoted(&directory.display().to_string()));
    }
}

fn heading(sources: &[PathBuf]) -> String {
    let mut page = "# The configuration in force: defaults".to_owned();
    for path in sources {
        let _ = write!(page, ", {}", path.display().to_string().escape_debug());
    }
    page.push_str(", environment, command line\n");
    page
}

fn ports(choice: Option<PortsChoice>) -> String {
    match choice.unwrap_or(PortsChoice::Off) {
        PortsChoice::Off => "ports = false\n".to_owned(),
        PortsChoice::Free => "ports = true\n".to_owned(),
        PortsChoice::From(port) => format!("ports = {port}\n"),
    }
}

/// Servers of clients' files cannot be written here: they have secrets, and commands that only such a file may name.
fn client_servers(layer: &Layer) -> String {
    let servers = &layer.servers;
    let upstreams = servers.upstreams.iter().map(upstream_text);
    let commands = servers.commands.iter();
    let commands = commands.map(|command| format!("{} (a command)", command.label()));
    let names = upstreams.chain(commands);
    let lines = names.map(|name| {
        format!(
            "# And from the file of a client, to be given again with --config: {}\n",
            name.escape_debug()
        )
    });
    lines.collect()
}

fn upstream_text(upstream: &UpstreamConfig) -> String {
    match &upstream.name {
        Some(name) => format!("{name}={}", upstream.url()),
        None => upstream.url(),
    }
}

fn record(choice: Option<&RecordChoice>) -> String {
    match choice {
        None | Some(RecordChoice::Off) => "false".to_owned(),
        Some(RecordChoice::NewFile) => "true".to_owned(),
        Some(RecordChoice::File(path)) => quoted(&path.display().to_string()),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}
