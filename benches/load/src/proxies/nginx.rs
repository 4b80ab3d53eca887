//! nginx as a reverse proxy, with a configuration of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::child::Process;
use crate::proc::children_of;

use super::Programs;

#[derive(Debug)]
pub(super) struct Nginx {
    pub(super) address: SocketAddr,
    pub(super) process: Process,
    _home: TempDir,
}

/// nginx in `PATH`, or where Debian puts it for others than root.
pub(super) fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    directories
        .map(|directory| directory.join("nginx"))
        .find(|program| program.is_file())
}

impl Nginx {
    pub(super) async fn start(programs: &Programs, upstream: SocketAddr) -> Result<Self> {
        let program = programs.nginx.as_ref().context("there is no nginx")?;
        let home = tempfile::tempdir()?;
        let address = free_address()?;
        let file = home.path().join("nginx.conf");
        fs::write(&file, configuration(home.path(), address, upstream))?;
        let mut command = Command::new(program);
        command
            .arg("-e")
            .arg("stderr")
            .arg("-p")
            .arg(home.path())
            .arg("-c")
            .arg(&file);
        let mut process = Process::start(&mut command)?;
        wait_for(address, &mut process).await?;
        wait_for_workers(&mut process).await?;
        Ok(Self {
            address,
            process,
            _home: home,
        })
    }
}

/// An address that nothing listened on a moment ago.
pub(super) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Waits until something listens.
pub(super) async fn wait_for(address: SocketAddr, process: &mut Process) -> Result<()> {
    const TRIES: u32 = 5_000;
    for _ in 0..TRIES {
        if TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        process.check()?;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    anyhow::bail!(
        "nothing listens on {address}; the last lines were:\n{}",
        process.output()
    )
}

fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Waits until all workers are there: the port is open before, and what they use counts.
async fn wait_for_workers(process: &mut Process) -> Result<()> {
    const TRIES: u32 = 1_000;
    for _ in 0..TRIES {
        if children_of(process.pid()).len() == workers() {
            return Ok(());
        }
        process.check()?;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    anyhow::bail!("nginx has not started all of its workers")
}

/// Keeps connections on both sides, never cuts or buffers a stream, writes no log.
fn configuration(home: &Path, address: SocketAddr, upstream: SocketAddr) -> String {
    let home = home.display();
    let workers = workers();
    // Workers of root run as nobody, who may not look into a temporary directory.
    let user = if rustix::process::geteuid().is_root() {
        "user root root;"
    } else {
        ""
    };
    let files = crate::limits::open_files();
    format!(
        "{user}
daemon off;
worker_processes {workers};
worker_rlimit_nofile {files};
pid {home}/nginx.pid;
error_log stderr error;
events {{ worker_connections {files}; }}
http {{
  access_log off;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  upstream mock {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 1h; }}
  server {{
    listen {address} backlog=4096;
    location / {{
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_buffering off;
      proxy_read_timeout 1h;
      proxy_send_timeout 1h;
    }}
  }}
}}
"
    )
}
