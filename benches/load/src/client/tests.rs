//! Clients and mock server against each other: alone, and with somebody between them who changes things.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::events::Spec;
use crate::faults::Faults;
use crate::shared::locked;

use super::{Audience, Callers, Download, Heard, Link, Mix, Session, Target, new_stream, open_sessions};

/// A mock server, and perhaps a relay before it.
struct Stage {
    target: Arc<Target>,
    _tasks: JoinSet<()>,
}

/// Changes what a server sends.
type Change = fn(&mut Vec<u8>);

impl Stage {
    async fn new(change: Option<Change>) -> Self {
        let mut tasks = JoinSet::new();
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut address = server.local_addr().unwrap();
        tasks.spawn(async { drop(crate::mock::serve(server).await) });
        if let Some(change) = change {
            let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let upstream = std::mem::replace(&mut address, relay.local_addr().unwrap());
            tasks.spawn(relay_all(relay, upstream, change));
        }
        Self {
            target: Arc::new(Target::direct(address)),
            _tasks: tasks,
        }
    }

    async fn session(&self) -> (Link, Session) {
        let mut link = Link::open(&self.target).await.unwrap();
        let session = Session::open(&mut link).await.unwrap();
        (link, session)
    }
}

async fn relay_all(listener: TcpListener, upstream: SocketAddr, change: Change) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(relay(client, upstream, change));
    }
}

async fn relay(client: TcpStream, upstream: SocketAddr, change: Change) {
    let server = TcpStream::connect(upstream).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::io::copy(&mut from_client, &mut to_server);
    let down = async {
        // Large enough for what the server writes at once.
        let mut bytes = Vec::with_capacity(64 << 10);
        while let Ok(1..) = from_server.read_buf(&mut bytes).await {
            change(&mut bytes);
            to_client.write_all(&bytes).await.unwrap();
            bytes.clear();
        }
    };
    tokio::select! {
        _ = up => {}
        () = down => {}
    }
}

/// Replaces the first `from` by `to`, which is as long.
fn replace(bytes: &mut [u8], from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    if let Some(at) = memchr::memmem::find(bytes, from.as_bytes()) {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
}

/// Replaces the event with `mark` in it by lines of nothing, so that chunks keep their sizes.
fn remove_event(bytes: &mut [u8], mark: &str) {
    let Some(mark) = memchr::memmem::find(bytes, mark.as_bytes()) else {
        return;
    };
    let start = memchr::memmem::rfind(&bytes[..mark], b"id: ").unwrap();
    let end = mark + memchr::memmem::find(&bytes[mark..], b"\n\n").unwrap();
    bytes[start..end].fill(b'\n');
}

async fn call(change: Option<Change>) -> Faults {
    let stage = Stage::new(change).await;
    let (mut link, mut session) = stage.session().await;
    let mut faults = Faults::default();
    for _ in 0..3 {
        session.call(&mut link, 1024).await.unwrap();
        session.check(&link, &mut faults);
    }
    faults
}

async fn listen(change: Option<Change>) -> Faults {
    let stage = Stage::new(change).await;
    let sessions = open_sessions(&stage.target, 1).await.unwrap();
    let mut audience = Audience::default();
    let spec = |_| Spec {
        interval: Duration::from_millis(1),
        ..Spec::new(new_stream(), 9)
    };
    audience.add(sessions, spec).await.unwrap();
    audience.ended().await.unwrap();
    audience.close(&stage.target).await.unwrap().faults
}

#[tokio::test]
async fn calls_and_streams_without_a_fault_have_none() {
    assert!(call(None).await.is_empty());
    assert!(listen(None).await.is_empty());
    assert!(listen(Some(|_| ())).await.is_empty());
}

#[tokio::test]
async fn a_changed_answer_is_noticed() {
    let faults = call(Some(|bytes| replace(bytes, "type\":\"text", "type\":\"tExt"))).await;
    assert_eq!((faults.wrong, faults.total()), (3, 3));
}

#[tokio::test]
async fn a_call_that_was_sent_twice_is_noticed() {
    let faults = call(Some(|bytes| replace(bytes, "\"nth\":2", "\"nth\":3"))).await;
    assert_eq!((faults.duplicated, faults.total()), (1, 1));
}

#[tokio::test]
async fn a_lost_event_is_noticed() {
    let faults = listen(Some(|bytes| remove_event(bytes, "-4\ndata:"))).await;
    assert_eq!(faults.lost, 1, "{faults}");
}

#[tokio::test]
async fn a_changed_event_is_noticed() {
    let faults = listen(Some(|bytes| replace(bytes, "\"seq\":7", "\"seq\":6"))).await;
    assert_eq!((faults.wrong, faults.lost), (1, 1), "{faults}");
}

#[tokio::test]
async fn a_call_with_a_stream_and_a_download_are_checked_to_the_end() {
    let stage = Stage::new(None).await;
    let (mut link, mut session) = stage.session().await;
    let heard = Mutex::new(Heard::default());
    session
        .stream_call(&mut link, Spec::new(new_stream(), 5), 1024, &heard)
        .await
        .unwrap();
    assert_eq!(locked(&heard).latency.count(), 5);
    assert!(locked(&heard).faults.is_empty());
    let spec = Spec {
        plain: 300_000,
        ..Spec::new(new_stream(), 0)
    };
    let mut faults = Faults::default();
    Download::open(link, &session, &spec)
        .await
        .unwrap()
        .finish(&mut faults)
        .await
        .unwrap();
    assert!(faults.is_empty(), "{faults}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_a_failed_call() {
    let stage = Stage::new(None).await;
    let mut callers = Callers::open(&stage.target, 2).await.unwrap();
    drop(stage);
    let calls = callers
        .run(Mix::Mixed, Duration::from_secs(1), Duration::ZERO)
        .await;
    assert_eq!((calls.faults.failed, calls.latency.count()), (2, 0));
}
