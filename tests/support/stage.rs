//! One server, one engine, whole exchanges: for tests that care about many of them rather than about bytes.

use shadowcat::config::Config;
use shadowcat::engine::EngineHandle;
use shadowcat::frontend::Frontend;
use shadowcat::snapshot::{Command, Reply};

use super::{RawPeer, RawServer, address, begin, engine_with, soon};

/// The head of a stream that ends with its connection.
pub const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
/// The answer to a notification.
pub const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";

/// A server that the test plays, and an engine in front of it.
pub struct Stage {
    pub server: RawServer,
    pub engine: EngineHandle,
    pub frontend: Frontend,
}

pub async fn stage(change: impl FnOnce(&mut Config)) -> Stage {
    let server = RawServer::bind().await;
    let engine = engine_with(&[&format!("http://{}/mcp", server.address())], |config| {
        // Each exchange is a connection of its own for the server that the tests play.
        config.limits.max_idle_per_upstream = 0;
        change(config);
    });
    Stage {
        frontend: engine.frontend().unwrap(),
        server,
        engine,
    }
}

impl Stage {
    /// A request of a session; `session` empty for none.
    pub fn request(&self, method: &str, session: &str, body: &str) -> String {
        let host = address(&self.engine);
        let session = if session.is_empty() {
            String::new()
        } else {
            format!("Mcp-Session-Id: {session}\r\n")
        };
        format!(
            "{method} /mcp HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{session}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    pub async fn begin(&self, request: &str) -> (RawPeer, RawPeer) {
        begin(&self.engine, &self.server, request).await
    }

    /// One exchange, whole.
    pub async fn exchange(&self, request: &str, response: &str) {
        let (mut client, mut upstream) = self.begin(request).await;
        upstream.send(response).await;
        drop(upstream);
        client.read_to_end().await;
    }

    pub async fn notify(&self, session: &str) {
        let body = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        self.exchange(&self.request("POST", session, body), ACCEPTED)
            .await;
    }

    pub async fn call(&self, session: &str, id: u64, tool: &str, text: &str) {
        let result = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
        );
        self.exchange(&self.request("POST", session, &call(id, tool)), &json(&result))
            .await;
    }
}

pub fn call(id: u64, tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
}

pub fn json(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub async fn reply(frontend: &Frontend, command: Command) -> Reply {
    soon("a reply", frontend.commands.ask(command)).await.unwrap()
}
