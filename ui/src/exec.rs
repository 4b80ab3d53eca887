//! Runs a client with the environment that sends its HTTP and HTTPS through the proxy and lets it believe the proxy.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use shadowcat::ca::{ClientFiles, PROBE_FIELD};

use crate::cli::ExecJob;
use crate::console::say;
use crate::{BAD_USAGE, CANNOT_OPEN, Failure};

/// Where a proxy is looked for unless something else is said.
pub(crate) const DEFAULT_PLACE: &str = "127.0.0.1:8080";
/// How long a proxy on this machine, or near, may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer that can be a certificate.
const MAX_ANSWER: u64 = 64 * 1024;
/// What a shell says if there is no such program, and if it cannot be run.
const NO_PROGRAM: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;
/// How much of a file tells whether it is a script, and of what.
const FIRST_LINE: u64 = 256;
/// What runs on Node, by name.
const ON_NODE: [&str; 10] = [
    "node", "nodejs", "npx", "npm", "pnpm", "pnpx", "yarn", "tsx", "ts-node", "corepack",
];

/// Where a proxy is, and what it asks for.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ProxyPlace {
    /// `USER:PASSWORD`, spelled as in a URL.
    credentials: Option<String>,
    address: String,
}

impl ProxyPlace {
    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The URL for clients, with credentials.
    fn url(&self) -> String {
        match &self.credentials {
            Some(credentials) => format!("http://{credentials}@{}", self.address),
            None => format!("http://{}", self.address),
        }
    }
}

impl std::fmt::Debug for ProxyPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address)
    }
}

impl FromStr for ProxyPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = text.strip_prefix("http://");
        let place = url.unwrap_or(text);
        let place = place.strip_suffix('/').unwrap_or(place);
        let (credentials, address) = match place.rsplit_once('@') {
            Some((credentials, address)) => (Some(in_url(credentials, url.is_some())), address),
            None => (None, place),
        };
        let address = match address.strip_prefix(':') {
            Some(port) => format!("127.0.0.1:{port}"),
            None => address.to_owned(),
        };
        let has_port = address.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
        });
        if !has_port {
            return Err("write HOST:PORT such as 127.0.0.1:8080".to_owned());
        }
        Ok(Self { credentials, address })
    }
}

/// `USER:PASSWORD` as it is spelled in a URL (RFC 3986 §3.2.1). In one that is written as a URL already, what is encoded
/// there stays so; elsewhere every character stands for itself.
fn in_url(credentials: &str, may_be_encoded: bool) -> String {
    let (user, password) = match credentials.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (credentials, None),
    };
    let mut text = percent_encoded(user, may_be_encoded);
    if let Some(password) = password {
        text.push(':');
        text.push_str(&percent_encoded(password, may_be_encoded));
    }
    text
}

fn percent_encoded(text: &str, may_be_encoded: bool) -> String {
    let bytes = text.as_bytes();
    let is_encoding = |at: usize| {
        let digits = bytes.get(at + 1..at + 3);
        may_be_encoded && digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let mut encoded = String::with_capacity(text.len());
    for (at, byte) in bytes.iter().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        if is_plain || *byte == b'%' && is_encoding(at) {
            encoded.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Becomes the client; returns only if that fails (elsewhere than on Unix: when the client has ended).
pub(crate) fn run(job: &ExecJob) -> Result<(), Failure> {
    let place = match &job.connect {
        Some(place) => place.clone(),
        None => DEFAULT_PLACE.parse().map_err(anyhow::Error::msg)?,
    };
    let certificate = certificate_of(&place).map_err(|error| Failure::with_code(CANNOT_OPEN, error))?;
    let files = match &certificate {
        Some(pem) => Some(files_for_client(job, pem)?),
        None => None,
    };
    let Some((program, arguments)) = job.client.split_first() else {
        return Err(Failure::with_code(
            BAD_USAGE,
            anyhow::anyhow!("there is no client to run; write it behind --"),
        ));
    };
    let found = find(program)?;
    tell(&place, program, &found, files.is_some());
    let mut client = Command::new(program);
    client.args(arguments).envs(environment(&place, files.as_ref()));
    become_client(client).map_err(|error| {
        let program = program.display();
        let error = error.context(format!(
            "could not run {program}; check its permissions and, for a script, its first line (#!)"
        ));
        Failure::with_code(NOT_EXECUTABLE, error)
    })
}

/// The file that will be run: known beforehand, so that nothing is said of a client that there is not.
fn find(program: &OsStr) -> Result<PathBuf, Failure> {
    let name = Path::new(program);
    let has_place = name.components().count() > 1;
    let places = if has_place {
        vec![name.to_owned()]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|directory| directory.join(name))
            .collect()
    };
    let mut files = places.into_iter().filter(|place| place.is_file());
    let first = files.clone().next();
    let runnable = files.find(|file| is_executable(file));
    runnable.ok_or_else(|| match first {
        Some(file) => Failure::with_code(
            NOT_EXECUTABLE,
            anyhow::anyhow!("could not run {}: it is not executable", file.display()),
        ),
        None if has_place => Failure::with_code(
            NO_PROGRAM,
            anyhow::anyhow!(
                "could not run {}: there is no such file; check the path",
                name.display()
            ),
        ),
        None => Failure::with_code(
            NO_PROGRAM,
            anyhow::anyhow!(
                "could not run {}: no program of this name in PATH; install it, or give its full path",
                name.display()
            ),
        ),
    })
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|facts| facts.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    true
}

/// Whether Node may run it: by its name, or as a script that does not say it is for something else.
fn may_be_node(program: &OsStr, file: &Path) -> bool {
    let stem = Path::new(program).file_stem().unwrap_or_default();
    if ON_NODE.iter().any(|name| stem == *name) {
        return true;
    }
    let mut start = Vec::new();
    let reading = std::fs::File::open(file).and_then(|file| file.take(FIRST_LINE).read_to_end(&mut start));
    let first = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let is_other = ["python", "ruby", "perl", "uv"]
        .iter()
        .any(|name| first.contains(name));
    reading.is_ok() && first.starts_with("#!") && !is_other
}

fn files_for_client(job: &ExecJob, pem: &str) -> Result<ClientFiles, Failure> {
    let directory = job
        .ca_dir
        .as_ref()
        .context("there is no home directory; name a directory with --ca-dir");
    let directory = directory.map_err(|error| Failure::with_code(BAD_USAGE, error))?;
    let files = ClientFiles::write(directory, pem);
    files.map_err(|error| Failure::with_code(CANNOT_OPEN, error))
}

fn tell(place: &ProxyPlace, program: &OsStr, file: &Path, is_trusted: bool) {
    let address = &place.address;
    say(format_args!(
        "{} is started with the proxy http://{address} in its environment",
        program.display()
    ));
    if may_be_node(program, file) {
        say("if it runs on Node: only 22.21, 24.0 and later ones obey that");
    }
    if !is_trusted {
        say(format_args!(
            "the proxy at {address} does not intercept TLS, so https:// is passed on unseen"
        ));
    }
}

/// What the client finds in its environment. No host is left out: servers on this machine are what is debugged most.
fn environment(place: &ProxyPlace, files: Option<&ClientFiles>) -> Vec<(&'static str, OsString)> {
    let url = place.url();
    let mut variables: Vec<(&'static str, OsString)> = Vec::new();
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
        variables.push((name, url.clone().into()));
    }
    for name in ["NO_PROXY", "no_proxy"] {
        variables.push((name, OsString::new()));
    }
    variables.push(("NODE_USE_ENV_PROXY", "1".into()));
    if let Some(files) = files {
        variables.push(("NODE_EXTRA_CA_CERTS", files.certificate.clone().into()));
        for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
            variables.push((name, files.bundle.clone().into()));
        }
    }
    variables
}

/// The process becomes the client, so signals, terminal and exit code are the client's own.
#[cfg(unix)]
fn become_client(mut client: Command) -> anyhow::Result<()> {
    use std::os::unix::process::CommandExt as _;
    Err(client.exec().into())
}

#[cfg(not(unix))]
fn become_client(mut client: Command) -> anyhow::Result<()> {
    let status = client.status()?;
    std::process::exit(status.code().unwrap_or(1));
}

/// The certificate of the proxy's authority; `None` if the proxy intercepts nothing.
fn certificate_of(place: &ProxyPlace) -> anyhow::Result<Option<String>> {
    let address = &place.address;
    let nobody = || {
        format!(
            "there is no shadowcat-tui at {address}; start one with `shadowcat-tui --listen {address}`, or name another with --connect ADDR"
        )
    };
    let answer = ask(address).with_context(nobody)?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(nobody)?;
    let head = head.to_ascii_lowercase();
    if head.contains("\r\nshadowcat-answer: ca_certificate") {
        return Ok(Some(body.to_owned()));
    }
    if !head.contains("\r\nshadowcat-error: no_ca_certificate") {
        return Err(anyhow::anyhow!("something else answers there").context(nobody()));
    }
    if body.contains("does not intercept") {
        return Ok(None);
    }
    Err(anyhow::anyhow!(body.trim().to_owned()).context(format!("the proxy at {address} has no certificate")))
}

/// What asks the proxy for its certificate, through itself, so that no upstream is in the way.
fn question() -> String {
    format!(
        "GET http://shadowcat.invalid/shadowcat-ca.pem HTTP/1.1\r\nHost: shadowcat.invalid\r\n{PROBE_FIELD}: exec\r\nConnection: close\r\n\r\n"
    )
}

fn ask(address: &str) -> io::Result<String> {
    let mut stream = connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(question().as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    String::from_utf8(answer).map_err(io::Error::other)
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_with_and_without_credentials_and_shown_without() {
        let place: ProxyPlace = "http://me:secret@localhost:8080/".parse().unwrap();
        assert_eq!(place.url(), "http://me:secret@localhost:8080");
        assert_eq!(format!("{place:?}"), "localhost:8080");
        for (given, url) in [
            ("me:p@ss/w%d ü@h:1", "http://me:p%40ss%2Fw%25d%20%C3%BC@h:1"),
            ("me:a:b@h:1", "http://me:a%3Ab@h:1"),
            ("me:p%40s@h:1", "http://me:p%2540s@h:1"),
            ("http://me:p%40s%zz@h:1", "http://me:p%40s%25zz@h:1"),
            ("me@h:1", "http://me@h:1"),
        ] {
            assert_eq!(given.parse::<ProxyPlace>().unwrap().url(), url, "{given}");
        }
        let place: ProxyPlace = ":9000".parse().unwrap();
        assert_eq!(place.url(), "http://127.0.0.1:9000");
        for text in ["", "8080", "localhost", "x:y", ":", "https://x:1"] {
            assert!(text.parse::<ProxyPlace>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_host_is_left_out() {
        let variables = environment(&":1".parse().unwrap(), None);
        let value = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| value.to_string_lossy().into_owned())
        };
        assert_eq!(value("NO_PROXY").as_deref(), Some(""));
        assert_eq!(value("https_proxy").as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(
            value("SSL_CERT_FILE"),
            None,
            "the system's store stays in force without interception"
        );
    }
}
