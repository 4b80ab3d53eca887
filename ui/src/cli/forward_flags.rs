//! What flags, environment and configuration files say about the forward side and about TLS.

use std::path::PathBuf;

use clap::Args;
use etcetera::BaseStrategy as _;
use shadowcat::config::forward::{ConnectRule, ForwardConfig, HostPattern, ProxyCredentials, ViaProxy};

/// Flags of the proxy.
#[derive(Debug, Default, Args)]
pub(super) struct ForwardArguments {
    /// Do not look into TLS to this host; `*.example.com` for all below a name, `*` for every host; repeatable
    #[arg(long, value_name = "HOST", help_heading = "HTTPS")]
    pub(super) no_intercept: Vec<HostPattern>,
    /// Do not check the certificate of this upstream or destination; repeatable
    #[arg(long, value_name = "HOST", help_heading = "HTTPS")]
    pub(super) insecure: Vec<HostPattern>,
    /// Believe the certificates in this file (PEM) too, for upstreams and destinations: authorities, or a server's own; repeatable
    #[arg(long, value_name = "FILE", help_heading = "HTTPS")]
    pub(super) upstream_ca: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) ca: CaArguments,
    /// Open tunnels to this destination only; repeatable
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Proxy")]
    pub(super) allow_connect: Vec<ConnectRule>,
    /// Ask forward requests for these credentials; then they may come from other machines too. `@FILE` reads them from a file
    #[arg(
        long,
        value_name = "USER:PASSWORD",
        env = "SHADOWCAT_PROXY_AUTH",
        hide_env_values = true,
        help_heading = "Proxy"
    )]
    pub(super) proxy_auth: Option<ProxyCredentials>,
    /// Send everything on through this HTTP proxy; `http://USER:PASSWORD@HOST:PORT` if it asks for credentials
    #[arg(
        long,
        value_name = "URL",
        env = "SHADOWCAT_VIA",
        hide_env_values = true,
        help_heading = "Proxy"
    )]
    pub(super) via: Option<ViaProxy>,
}

/// Where the certificate authority is.
#[derive(Debug, Default, Args)]
pub(super) struct CaArguments {
    /// Directory of the local certificate authority [default: shadowcat/ca in the data directory]
    #[arg(long, value_name = "DIR", env = "SHADOWCAT_CA_DIR", help_heading = "HTTPS")]
    pub(super) ca_dir: Option<PathBuf>,
}

/// What one place says; `None` where it says nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ForwardLayer {
    pub(super) no_intercept: Option<Vec<HostPattern>>,
    pub(super) insecure: Option<Vec<HostPattern>>,
    pub(super) upstream_ca: Option<Vec<PathBuf>>,
    pub(super) allow_connect: Option<Vec<ConnectRule>>,
    pub(super) proxy_auth: Option<ProxyCredentials>,
    pub(super) via: Option<ViaProxy>,
    pub(super) ca_dir: Option<PathBuf>,
}

impl From<ForwardArguments> for ForwardLayer {
    fn from(arguments: ForwardArguments) -> Self {
        Self {
            no_intercept: some_if_any(arguments.no_intercept),
            insecure: some_if_any(arguments.insecure),
            upstream_ca: some_if_any(arguments.upstream_ca),
            allow_connect: some_if_any(arguments.allow_connect),
            proxy_auth: arguments.proxy_auth,
            via: arguments.via,
            ca_dir: arguments.ca.ca_dir,
        }
    }
}

fn some_if_any<T>(values: Vec<T>) -> Option<Vec<T>> {
    (!values.is_empty()).then_some(values)
}

impl ForwardLayer {
    /// What both say, `self` where they differ.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            no_intercept: self.no_intercept.or(below.no_intercept),
            insecure: self.insecure.or(below.insecure),
            upstream_ca: self.upstream_ca.or(below.upstream_ca),
            allow_connect: self.allow_connect.or(below.allow_connect),
            proxy_auth: self.proxy_auth.or(below.proxy_auth),
            via: self.via.or(below.via),
            ca_dir: self.ca_dir.or(below.ca_dir),
        }
    }

    /// The directory of the authority; `None` if nobody said one and there is no home.
    pub(super) fn ca_dir(&self) -> Option<PathBuf> {
        let given = self.ca_dir.clone();
        given.or_else(|| {
            let base = etcetera::choose_base_strategy().ok()?;
            Some(base.data_dir().join("shadowcat").join("ca"))
        })
    }

    /// The engine's part of it.
    pub(super) fn config(&self) -> ForwardConfig {
        ForwardConfig {
            ca_dir: self.ca_dir(),
            no_intercept: self.no_intercept.clone().unwrap_or_default(),
            insecure: self.insecure.clone().unwrap_or_default(),
            upstream_ca: self.upstream_ca.clone().unwrap_or_default(),
            allow_connect: self.allow_connect.clone().unwrap_or_default(),
            proxy_auth: self.proxy_auth.clone(),
            via: self.via.clone(),
        }
    }

    /// Its lists as keys of a configuration file, with what they hold.
    pub(super) fn lists(&self) -> [(&'static str, Vec<String>); 4] {
        fn texts<T: ToString>(values: Option<&Vec<T>>) -> Vec<String> {
            values.into_iter().flatten().map(ToString::to_string).collect()
        }
        let files = self.upstream_ca.iter().flatten();
        [
            ("no_intercept", texts(self.no_intercept.as_ref())),
            ("insecure", texts(self.insecure.as_ref())),
            (
                "upstream_ca",
                files.map(|path| path.display().to_string()).collect(),
            ),
            ("allow_connect", texts(self.allow_connect.as_ref())),
        ]
    }
}
