//! The real binary in front of an https upstream, whose certificate it has to find in the system's store.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

#[path = "support/tls.rs"]
mod tls;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The binary, ended when the test is.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn proxy(port: u16, store: &Path) -> (Proxy, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shadowcat-tui"));
    command.args(["--listen", "127.0.0.1:0", "--headless", "--format", "none"]);
    command.args(["--upstream", &format!("https://localhost:{port}/mcp")]);
    command
        .env("SSL_CERT_FILE", store)
        .env_remove("SSL_CERT_DIR")
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let errors = child.stderr.take().unwrap();
    let proxy = Proxy(child);
    let listening = BufReader::new(errors).lines().map(Result::unwrap);
    let mut addresses =
        listening.filter_map(|line| line.strip_prefix("listening on http://").map(str::to_owned));
    (proxy, addresses.next().unwrap())
}

async fn ask(address: &str) -> String {
    tls::get_plain(&format!("http://{address}/mcp")).await
}

#[tokio::test]
async fn https_upstreams_are_verified_and_spoken_to_as_they_negotiate() {
    for (protocols, expected) in [
        (&[&b"http/1.1"[..]][..], "HTTP/1.1"),
        (&[&b"h2"[..], b"http/1.1"], "HTTP/2.0"),
        (&[], "HTTP/1.1"),
    ] {
        let (server, authority) = tls::server(protocols).await;
        let store = tempfile::NamedTempFile::new().unwrap();
        store.as_file().write_all(authority.as_bytes()).unwrap();
        let (_proxy, address) = proxy(server.port(), store.path());
        assert_eq!(
            ask(&address).await,
            format!("{expected} localhost:{}", server.port())
        );
    }
}

#[tokio::test]
async fn an_upstream_whose_certificate_nobody_vouches_for_is_a_502_that_says_so() {
    let (server, _) = tls::server(&[b"http/1.1"]).await;
    let (_, other) = tls::server(&[]).await;
    let store = tempfile::NamedTempFile::new().unwrap();
    store.as_file().write_all(other.as_bytes()).unwrap();
    let (_proxy, address) = proxy(server.port(), store.path());
    let text = ask(&address).await;
    assert!(text.contains("the TLS handshake with localhost failed"), "{text}");
}
