//! The local certificate authority in words: where it is, how to believe it, how to stop doing so.

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use shadowcat::ca::{Authority, CERTIFICATE_FILE, KEY_FILE};
use shadowcat::clock::{Clock, Timestamp};

use crate::cli::CaJob;
use crate::console::say;
use crate::{BAD_USAGE, CANNOT_OPEN, Failure};

/// Does what was asked. Returns what is to be printed.
pub(crate) fn run(job: &CaJob) -> Result<String, Failure> {
    let directory = job
        .directory
        .as_deref()
        .context("there is no home directory; name a directory with --ca-dir");
    let directory = directory.map_err(|error| Failure::with_code(BAD_USAGE, error))?;
    let now = Clock::start().now();
    let authority = if job.is_new {
        agree(job, directory)?;
        Authority::replace(directory, now)
    } else {
        Authority::open(directory).and_then(|found| match found {
            Some(authority) => Ok(authority),
            None => Authority::open_or_create(directory, now),
        })
    };
    let authority = authority.map_err(|error| Failure::with_code(CANNOT_OPEN, error))?;
    match &job.export {
        Some(path) => export(&authority, path),
        None => Ok(page(&authority, directory, now, job.is_new)),
    }
}

/// Asks before clients lose the authority that they believe.
fn agree(job: &CaJob, directory: &Path) -> Result<(), Failure> {
    if job.is_agreed || !directory.join(KEY_FILE).exists() {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        let error = anyhow::anyhow!(
            "clients that believe the authority in {} would have to trust the new one anew; add --yes if that is meant",
            directory.display()
        );
        return Err(Failure::with_code(BAD_USAGE, error));
    }
    say("Clients that believe the present authority will have to trust the new one. Make it? [y/N]");
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("could not read the answer")?;
    if answer.trim().eq_ignore_ascii_case("y") {
        return Ok(());
    }
    Err(anyhow::anyhow!("nothing was changed").into())
}

fn export(authority: &Authority, path: &Path) -> Result<String, Failure> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(authority.certificate_pem().as_bytes()));
    let written = written.with_context(|| {
        format!(
            "could not write {}; choose a file that is not there yet",
            path.display()
        )
    });
    written.map_err(|error| Failure::with_code(CANNOT_OPEN, error))?;
    Ok(format!(
        "The certificate is in {}. The key stays where it is.\n",
        path.display()
    ))
}

fn day(at: Timestamp) -> String {
    let micros = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
    at.strftime("%Y-%m-%d").to_string()
}

fn page(authority: &Authority, directory: &Path, now: Timestamp, is_new: bool) -> String {
    let certificate = directory.join(CERTIFICATE_FILE);
    let certificate = certificate.display();
    let key = directory.join(KEY_FILE);
    let (from, until) = (day(authority.not_before()), day(authority.not_after()));
    let state = if authority.not_after() <= now {
        "\n  It is NO LONGER VALID: make a new one with `shadowcat-tui ca --new`.\n"
    } else if is_new {
        "\n  It is new: restart running proxies, and let clients trust it in place of the old one.\n"
    } else {
        ""
    };
    format!(
        "\
The local certificate authority of shadowcat-tui

  certificate   {certificate}
  key           {key} (for you only; it never leaves this file)
  SHA-256       {fingerprint}
  valid         {from} to {until}
{state}
Let one client trust it, and nothing else:

  any client    shadowcat-tui exec -- CLIENT [ARGS]
  curl          curl --cacert '{certificate}' …
  Node          NODE_EXTRA_CA_CERTS='{certificate}'
                and for fetch() NODE_USE_ENV_PROXY=1, which Node obeys from 22.21 and 24.0 on
  Python        SSL_CERT_FILE (httpx, ssl) or REQUESTS_CA_BUNDLE (requests): a file with all authorities,
                such as the bundle that `exec` writes
  Rust          SSL_CERT_FILE, the same, if the client reads the system's store
  Go            SSL_CERT_FILE, the same; Go sends nothing for loopback hosts through a proxy

Let the whole system trust it, and undo that:

  Debian        sudo cp '{certificate}' /usr/local/share/ca-certificates/shadowcat-ca.crt && sudo update-ca-certificates
   undo         sudo rm /usr/local/share/ca-certificates/shadowcat-ca.crt && sudo update-ca-certificates --fresh
  Fedora        sudo cp '{certificate}' /etc/pki/ca-trust/source/anchors/shadowcat-ca.pem && sudo update-ca-trust
   undo         sudo rm /etc/pki/ca-trust/source/anchors/shadowcat-ca.pem && sudo update-ca-trust
  macOS         security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db '{certificate}'
   undo         security remove-trusted-cert '{certificate}'
  Windows       certutil -user -addstore Root shadowcat-ca.pem
   undo         certutil -user -delstore Root \"shadowcat-tui local CA\"

Whoever has the key can pretend to be any server to clients that trust it. To be rid of it, undo the trust and
delete {directory}.
",
        key = key.display(),
        fingerprint = authority.fingerprint(),
        directory = directory.display(),
    )
}
