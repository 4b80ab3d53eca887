//! What one place says about the settings: a file, or the command line with the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use shadowcat::config::{ListenAddress, OauthMode, UpstreamConfig};
use shadowcat::recording::RedactPattern;
use shadowcat::telemetry::OtlpUrl;

use super::forward_flags::ForwardLayer;
use super::servers_file::FoundServers;
use super::values::{FileAge, FileSize, LogLevel, PortsChoice, RecordChoice, ThemeName};

/// `None` where the place says nothing. A later layer replaces lists as a whole; limits and keys it replaces one by one.
/// Servers of clients' files are never replaced: each file adds its own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) listen: Option<Vec<ListenAddress>>,
    pub(super) upstreams: Option<Vec<UpstreamConfig>>,
    pub(super) servers: FoundServers,
    pub(super) ports: Option<PortsChoice>,
    pub(super) allow_hosts: Option<Vec<String>>,
    pub(super) allow_origins: Option<Vec<String>>,
    pub(super) forward: ForwardLayer,
    pub(super) oauth: Option<OauthMode>,
    pub(super) rules: Option<PathBuf>,
    pub(super) record: Option<RecordChoice>,
    pub(super) redact: Option<Vec<RedactPattern>>,
    pub(super) rotate_size: Option<FileSize>,
    pub(super) rotate_age: Option<FileAge>,
    pub(super) metrics: Option<ListenAddress>,
    pub(super) otlp: Option<OtlpUrl>,
    pub(super) theme: Option<ThemeName>,
    pub(super) is_ascii: Option<bool>,
    pub(super) has_mouse: Option<bool>,
    pub(super) has_bell: Option<bool>,
    pub(super) editor_cmd: Option<String>,
    pub(super) log_level: Option<LogLevel>,
    /// Checked texts, by the limit's name with underscores.
    pub(super) limits: BTreeMap<String, String>,
    /// Keys by the name of their action.
    pub(super) keys: BTreeMap<String, Vec<String>>,
}

impl Layer {
    /// What both say, `self` where they differ.
    pub(super) fn over(mut self, below: Self) -> Self {
        let (mut limits, mut keys) = (below.limits, below.keys);
        limits.append(&mut self.limits);
        keys.append(&mut self.keys);
        Self {
            listen: self.listen.or(below.listen),
            upstreams: self.upstreams.or(below.upstreams),
            servers: below.servers.and(self.servers),
            ports: self.ports.or(below.ports),
            allow_hosts: self.allow_hosts.or(below.allow_hosts),
            allow_origins: self.allow_origins.or(below.allow_origins),
            forward: self.forward.over(below.forward),
            oauth: self.oauth.or(below.oauth),
            rules: self.rules.or(below.rules),
            record: self.record.or(below.record),
            redact: self.redact.or(below.redact),
            rotate_size: self.rotate_size.or(below.rotate_size),
            rotate_age: self.rotate_age.or(below.rotate_age),
            metrics: self.metrics.or(below.metrics),
            otlp: self.otlp.or(below.otlp),
            theme: self.theme.or(below.theme),
            is_ascii: self.is_ascii.or(below.is_ascii),
            has_mouse: self.has_mouse.or(below.has_mouse),
            has_bell: self.has_bell.or(below.has_bell),
            editor_cmd: self.editor_cmd.or(below.editor_cmd),
            log_level: self.log_level.or(below.log_level),
            limits,
            keys,
        }
    }
}
