//! Raw peers for tests of what is on the wire: no HTTP library between the test and the bytes.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking, and its helpers too"
)]

pub mod again;
pub mod holding;
pub mod openmetrics;
pub mod stage;

use std::net::SocketAddr;
use std::time::Duration;

use shadowcat::config::Config;
use shadowcat::engine::{Engine, EngineHandle};
use shadowcat::frontend::Frontend;
use shadowcat::snapshot::{Command, Gauge, MessageRow, Reply, Snapshot};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Far more than anything here takes; reached only by a hang.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Fails instead of hanging.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let value = tokio::time::timeout(PATIENCE, future).await;
    value.unwrap_or_else(|_| panic!("{what} did not happen within {PATIENCE:?}"))
}

/// Runs `future` beside the test, for a peer that acts on its own.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's peer ends with the test's runtime; the engine's tasks are counted without it"
    )]
    tokio::spawn(future);
}

/// A server that does what the test says.
pub struct RawServer(TcpListener);

impl RawServer {
    pub async fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub async fn accept(&self) -> RawPeer {
        RawPeer::new(soon("a connection", self.0.accept()).await.unwrap().0)
    }
}

/// A port that is ours and refuses connections until somebody listens.
pub struct DeadPort(TcpSocket);

impl DeadPort {
    pub fn bind() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The server comes up.
    pub fn listen(self) -> RawServer {
        RawServer(self.0.listen(1024).unwrap())
    }

    /// The server comes up and its queue of connections is full: connecting hangs until the server accepts.
    pub async fn listen_deaf(self) -> (RawServer, Vec<TcpStream>) {
        let address = self.address();
        let server = RawServer(self.0.listen(1).unwrap());
        let mut waiting = Vec::new();
        let patience = Duration::from_millis(300);
        while let Ok(connected) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
            waiting.push(connected.unwrap());
        }
        (server, waiting)
    }
}

/// One end of a connection.
pub struct RawPeer {
    pub socket: TcpStream,
    buffer: Vec<u8>,
}

impl RawPeer {
    fn new(socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            buffer: Vec::new(),
        }
    }

    pub async fn connect(address: SocketAddr) -> Self {
        Self::new(soon("a connection", TcpStream::connect(address)).await.unwrap())
    }

    /// A client whose system keeps as little for it as it can.
    pub async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self::new(soon("a connection", socket.connect(address)).await.unwrap())
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon("a write", self.socket.write_all(bytes.as_ref()))
            .await
            .unwrap();
    }

    /// Everything up to and including `end`.
    pub async fn read_through(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return self.buffer.drain(..at + end.len()).collect();
            }
            let read = soon(
                &format!("{:?}", String::from_utf8_lossy(end)),
                self.socket.read_buf(&mut self.buffer),
            )
            .await;
            let read = read.unwrap();
            assert!(
                read > 0,
                "ended before {:?}: {:?}",
                String::from_utf8_lossy(end),
                self.text()
            );
        }
    }

    /// A head, blank line included.
    pub async fn read_head(&mut self) -> String {
        String::from_utf8(self.read_through(b"\r\n\r\n").await).unwrap()
    }

    pub async fn read_exactly(&mut self, bytes: usize) -> Vec<u8> {
        while self.buffer.len() < bytes {
            let read = soon("more bytes", self.socket.read_buf(&mut self.buffer))
                .await
                .unwrap();
            assert!(read > 0, "ended after {} of {bytes} bytes", self.buffer.len());
        }
        self.buffer.drain(..bytes).collect()
    }

    /// Reads at least `bytes` bytes and keeps none.
    pub async fn skip(&mut self, bytes: usize) {
        let mut buffer = [0; 16 * 1024];
        let mut read = self.buffer.len();
        self.buffer = Vec::new();
        while read < bytes {
            let more = soon("more bytes", self.socket.read(&mut buffer)).await.unwrap();
            assert!(more > 0, "ended after {read} of {bytes} bytes");
            read += more;
        }
    }

    /// One chunk of a chunked body; empty at its end.
    pub async fn read_chunk(&mut self) -> Vec<u8> {
        let size = String::from_utf8(self.read_through(b"\r\n").await).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let mut chunk = self.read_exactly(size + 2).await;
        chunk.truncate(size);
        chunk
    }

    /// A chunked body up to `bytes` bytes, however it is cut.
    pub async fn read_chunked(&mut self, bytes: usize) -> Vec<u8> {
        let mut body = Vec::new();
        while body.len() < bytes {
            let chunk = self.read_chunk().await;
            assert!(
                !chunk.is_empty(),
                "the body ended after {} of {bytes} bytes",
                body.len()
            );
            body.extend(chunk);
        }
        body
    }

    /// Everything up to the end of the connection, and whether that was clean.
    pub async fn read_to_end(&mut self) -> (Vec<u8>, bool) {
        let outcome = soon("the end", self.socket.read_to_end(&mut self.buffer)).await;
        (std::mem::take(&mut self.buffer), outcome.is_ok())
    }

    /// A chunked body up to its end.
    pub async fn read_all_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let chunk = self.read_chunk().await;
            if chunk.is_empty() {
                return body;
            }
            body.extend(chunk);
        }
    }

    /// Waits until the other side has gone, whichever way.
    pub async fn wait_closed(&mut self) {
        let mut rest = [0; 4096];
        soon("the other side's leaving", async {
            while matches!(self.socket.read(&mut rest).await, Ok(read) if read > 0) {}
        })
        .await;
    }

    /// Vanishes: the other side is told by a reset, not by an orderly end.
    pub fn reset(self) {
        self.socket.set_zero_linger().unwrap();
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }
}

/// An engine on a free port in front of `upstream`.
pub fn engine_for(upstream: SocketAddr) -> EngineHandle {
    engine_with(&[&format!("http://{upstream}/mcp")], |_| {})
}

/// An engine on a free port in front of `upstreams`.
pub fn engine_with(upstreams: &[&str], change: impl FnOnce(&mut Config)) -> EngineHandle {
    let mut config = Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        upstreams: upstreams.iter().map(|text| text.parse().unwrap()).collect(),
        ..Config::default()
    };
    config.limits.drain_timeout = Duration::from_millis(200);
    change(&mut config);
    Engine::start(config).unwrap()
}

/// The address on which `engine` listens.
pub fn address(engine: &EngineHandle) -> SocketAddr {
    engine.addresses()[0]
}

/// A POST of a JSON body as a raw head and body.
pub fn post(host: SocketAddr, body: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Waits until a snapshot fulfils `is_it`. What a frontend holds before its first snapshot does not count.
pub async fn snapshot_when(
    frontend: &mut Frontend,
    what: &str,
    is_it: impl Fn(&Snapshot) -> bool,
) -> Snapshot {
    let latest = soon(
        what,
        frontend
            .snapshots
            .wait_for(|snapshot| snapshot.revision > 0 && is_it(snapshot)),
    )
    .await;
    Snapshot::clone(&latest.unwrap())
}

/// All rows that history has now.
pub async fn rows(frontend: &Frontend) -> Vec<MessageRow> {
    let ask = Command::Rows {
        after: None,
        limit: 1000,
        filter: String::new(),
    };
    match soon("rows", frontend.commands.ask(ask)).await.unwrap() {
        Reply::Rows { rows, .. } => rows,
        other => panic!("{other:?}"),
    }
}

/// A request that `client` has sent and `upstream` has read whole.
pub async fn begin(engine: &EngineHandle, server: &RawServer, request: &str) -> (RawPeer, RawPeer) {
    let mut client = RawPeer::connect(address(engine)).await;
    client.send(request).await;
    let upstream = arrival(server, request).await;
    (client, upstream)
}

/// The upstream's end of `request`, on a connection of its own, once it is there as a whole.
pub async fn arrival(server: &RawServer, request: &str) -> RawPeer {
    let mut upstream = server.accept().await;
    upstream.read_head().await;
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    upstream.read_exactly(body.len()).await;
    upstream
}

/// A gauge of the Resources screen.
pub fn gauge<'a>(snapshot: &'a Snapshot, name: &str, part: &str) -> &'a Gauge {
    let gauges = &snapshot.resources.gauges;
    let found = gauges
        .iter()
        .find(|gauge| gauge.name == name && gauge.part == part);
    found.unwrap_or_else(|| panic!("no {name} ({part}) among {gauges:#?}"))
}

/// Runs an ignored test of the same binary. How many threads a runtime has is said to a process as a whole, so that it has a
/// process of its own, with enough descriptors.
pub fn alone_on_two_threads(test: &str) {
    let here = std::env::current_exe().unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 8192; exec \"$0\" \"$@\""])
        .arg(here)
        .args(["--ignored", "--nocapture", "--exact", test])
        .env("TOKIO_WORKER_THREADS", "2")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{complained}"
    );
}
