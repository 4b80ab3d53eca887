//! One engine in front of a server that fails as the test says, and of one with which all is well.

use std::net::SocketAddr;
use std::time::Duration;

use shadowcat::clock::Clock;
use shadowcat::config::Config;
use shadowcat::engine::EngineHandle;
use shadowcat::frontend::Frontend;
use shadowcat::snapshot::{EndKind, ExchangeDetail};

use crate::support::stage::{call, reply};
use crate::support::{PATIENCE, RawPeer, RawServer, address, arrival, engine_with, rows, soon, spawn};

/// How the healthy server answers.
const WELL: &str = "HTTP/1.1 200 All Well\r\nX-OdD: 1\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
/// What it says then, in odd pieces.
const EVENTS: &[&str] = &[
    ": hi\n\n\n",
    "data: {\"jsonrpc\":\"2.0\",\"id\":1,",
    "\"result\":{}}\r\n\r",
    "\n",
];

/// How long a client's leaving may take to reach the server.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(1);

pub(crate) struct House {
    pub(crate) faulty: RawServer,
    pub(crate) engine: EngineHandle,
    pub(crate) frontend: Frontend,
}

pub(crate) async fn house(change: impl FnOnce(&mut Config)) -> House {
    let (faulty, healthy) = (RawServer::bind().await, RawServer::bind().await);
    let upstreams = [
        format!("faulty=http://{}/mcp", faulty.address()),
        format!("well=http://{}/mcp", healthy.address()),
    ];
    let engine = engine_with(&upstreams.each_ref().map(String::as_str), |config| {
        config.limits.max_idle_per_upstream = 0;
        change(config);
    });
    spawn(async move {
        loop {
            let mut peer = healthy.accept().await;
            spawn(async move {
                peer.read_head().await;
                peer.send(WELL).await;
                for piece in EVENTS {
                    peer.send(format!("{:x}\r\n{piece}\r\n", piece.len())).await;
                }
                peer.send("0\r\n\r\n").await;
            });
        }
    });
    House {
        faulty,
        frontend: engine.frontend().unwrap(),
        engine,
    }
}

/// A call to `server`, `faulty` or `well`.
pub(crate) fn request(host: SocketAddr, server: &str, id: u64) -> String {
    let body = call(id, "echo");
    format!(
        "POST /{server} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A client of the healthy server gets exactly what that sends.
pub(crate) async fn all_is_well(host: SocketAddr) {
    let mut client = RawPeer::connect(host).await;
    client.send(request(host, "well", 1)).await;
    let wanted = EVENTS.concat();
    assert_eq!(client.read_head().await, WELL);
    let got = client.read_chunked(wanted.len()).await;
    assert_eq!(String::from_utf8_lossy(&got), wanted);
    assert_eq!(client.read_chunk().await, b"");
}

/// One client after another of the healthy server, while `fault` goes on.
pub(crate) async fn while_others_go_on<T>(host: SocketAddr, fault: impl Future<Output = T>) -> T {
    all_is_well(host).await;
    let mut fault = std::pin::pin!(fault);
    let others = async {
        loop {
            all_is_well(host).await;
        }
    };
    let outcome = tokio::select! {
        outcome = &mut fault => outcome,
        () = others => unreachable!(),
    };
    all_is_well(host).await;
    outcome
}

impl House {
    pub(crate) fn address(&self) -> SocketAddr {
        address(&self.engine)
    }

    /// A call that the faulty server has read whole: the client's end and the server's.
    pub(crate) async fn begin(&self, id: u64) -> (RawPeer, RawPeer) {
        let request = request(self.address(), "faulty", id);
        let mut client = RawPeer::connect(self.address()).await;
        client.send(&request).await;
        (client, arrival(&self.faulty, &request).await)
    }

    /// The exchange of the faulty server's only call, once it has ended.
    pub(crate) async fn ended_exchange(&mut self) -> ExchangeDetail {
        let deadline = Clock::start();
        loop {
            let rows = rows(&self.frontend).await;
            if let Some(row) = rows.iter().find(|row| row.server == "faulty") {
                let inspect = shadowcat::snapshot::Command::Inspect { id: row.id };
                if let shadowcat::snapshot::Reply::Detail(detail) = reply(&self.frontend, inspect).await
                    && let Some(exchange) = detail.exchange
                    && exchange.response_end.is_some()
                {
                    return exchange;
                }
            }
            assert!(deadline.now().since(deadline.started_at()) < PATIENCE);
            soon("news", self.frontend.snapshots.changed()).await.unwrap();
        }
    }

    pub(crate) async fn assert_ended_as(&mut self, end: EndKind) {
        let exchange = self.ended_exchange().await;
        assert_eq!(exchange.response_end, Some(end), "{exchange:#?}");
    }
}

/// Fails if the other side does not leave at once.
pub(crate) async fn leaves_at_once(peer: &mut RawPeer, what: &str) {
    let clock = Clock::start();
    peer.wait_closed().await;
    let took = clock.now().since(clock.started_at());
    assert!(took < AT_ONCE, "{what}: the server was told after {took:?}");
}
