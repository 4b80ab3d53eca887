//! An engine that records, and a script of traffic for it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use shadowcat::config::{Config, RecordConfig};
use shadowcat::engine::EngineHandle;
use shadowcat::frontend::Frontend;
use shadowcat::snapshot::{MessageDetail, MessageRow, RowKind, RowState};
use tempfile::TempDir;

use crate::details;
use crate::support::stage::{ACCEPTED, EVENTS, json};
use crate::support::*;

pub(crate) const BEARER: &str = "tok-8f2c91d4e6b7";
pub(crate) const SESSION: &str = "sess-41c7a09be2f3";
pub(crate) const ACCESS: &str = "acc-77d1e25bb9a0";
pub(crate) const STATE: &str = "state-c3VyZWx5IHNlY3JldA";

pub(crate) const BIG: usize = 600_000;

/// An engine that records, its server, and where the recording goes.
pub(crate) struct Stage {
    pub(crate) server: RawServer,
    pub(crate) engine: EngineHandle,
    pub(crate) frontend: Frontend,
    pub(crate) path: PathBuf,
    _directory: TempDir,
}

pub(crate) async fn stage_with(change: impl FnOnce(&mut Config, &Path)) -> Stage {
    let server = RawServer::bind().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("session.jsonl");
    let engine = engine_with(&[&format!("http://{}/mcp", server.address())], |config| {
        // Each exchange is a connection of its own for the server that the tests play.
        config.limits.max_idle_per_upstream = 0;
        change(config, &path);
    });
    Stage {
        frontend: engine.frontend().unwrap(),
        server,
        engine,
        path,
        _directory: directory,
    }
}

pub(crate) async fn recording_stage(records_secrets: bool) -> Stage {
    stage_with(|config, path| {
        config.record = Some(RecordConfig {
            path: Some(path.to_owned()),
        });
        config.records_secrets = records_secrets;
    })
    .await
}

pub(crate) fn gzip_answer(body: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body.as_bytes()).unwrap();
    let body = encoder.finish().unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

pub(crate) fn events(events: &[&str]) -> Vec<u8> {
    [EVENTS, &events.concat()].concat().into_bytes()
}

pub(crate) fn event(message: &str) -> String {
    format!("event: message\r\ndata: {message}\r\n\r\n")
}

pub(crate) fn big_answer(id: u32) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{}"}}]}}}}"#,
        "0123456789".repeat(BIG / 10)
    )
}

impl Stage {
    /// A request's bytes; `fields` each end in CRLF.
    pub(crate) fn request(&self, method: &str, target: &str, fields: &str, body: &str) -> String {
        let host = address(&self.engine);
        let length = if body.is_empty() {
            String::new()
        } else {
            format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            )
        };
        format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {BEARER}\r\n{fields}{length}\r\n{body}"
        )
    }

    /// One exchange, whole.
    pub(crate) async fn exchange(&self, request: &str, response: impl AsRef<[u8]>) {
        let (mut client, mut upstream) = begin(&self.engine, &self.server, request).await;
        upstream.send(response).await;
        drop(upstream);
        client.read_to_end().await;
    }

    pub(crate) fn legacy(&self, body: &str) -> String {
        let fields = format!("Mcp-Session-Id: {SESSION}\r\nMCP-Protocol-Version: 2025-06-18\r\n");
        self.request("POST", "/mcp", &fields, body)
    }

    pub(crate) fn modern(&self, method: &str, id: u32, params: &str) -> String {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"newer","version":"9"}}"#;
        let separator = if params.is_empty() { "" } else { "," };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{separator}{meta}}}}}"#
        );
        let fields = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n");
        self.request("POST", "/mcp", &fields, &body)
    }

    pub(crate) async fn legacy_handshake(&self) {
        let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"older","version":"3"}}}"#;
        let result = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"everything","version":"1"}}}"#;
        let response = json(result).replace("\r\n\r\n", &format!("\r\nMcp-Session-Id: {SESSION}\r\n\r\n"));
        self.exchange(&self.request("POST", "/mcp", "", body), response)
            .await;
        self.exchange(
            &self.legacy(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
            ACCEPTED,
        )
        .await;
    }

    /// A stream with progress, a question of the server's that is answered elsewhere, and the result.
    pub(crate) async fn legacy_stream(&self) {
        let call = r#"{"jsonrpc":"2.0","id":"a-1","method":"tools/call","params":{"name":"slow","_meta":{"progressToken":7}}}"#;
        let (mut client, mut upstream) = begin(&self.engine, &self.server, &self.legacy(call)).await;
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}"#;
        let question = r#"{"jsonrpc":"2.0","id":0,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":5}}"#;
        upstream
            .send(events(&[
                "id: s1-0\nretry: 1500\ndata:\n\n",
                &event(progress),
                ": a comment\n\n",
                &event(question),
            ]))
            .await;
        client.read_through(b"\"maxTokens\":5}}").await;
        self.exchange(
            &self.legacy(r#"{"jsonrpc":"2.0","id":0,"result":{"model":"m","role":"assistant","content":{"type":"text","text":"x"}}}"#),
            ACCEPTED,
        )
        .await;
        upstream
            .send(event(r#"{"jsonrpc":"2.0","id":"a-1","result":{"content":[]}}"#))
            .await;
        drop(upstream);
        client.read_to_end().await;
    }

    pub(crate) async fn legacy_answers(&self) {
        let call = |id: u32, tool: &str| {
            self.legacy(&format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}"}}}}"#
            ))
        };
        self.exchange(&call(3, "big"), json(&big_answer(3))).await;
        let gzipped = r#"{"jsonrpc":"2.0","id":4,"result":{"content":[{"type":"text","text":"pressed"}]}}"#;
        self.exchange(&call(4, "gzip"), gzip_answer(gzipped)).await;
        let secret = format!(
            r#"{{"jsonrpc":"2.0","id":5,"result":{{"content":[],"structuredContent":{{"access_token":"{ACCESS}","expires_in":3600}}}}}}"#
        );
        self.exchange(&call(5, "login"), json(&secret)).await;
        let error = r#"{"jsonrpc":"2.0","id":6,"error":{"code":-32602,"message":"no such tool"}}"#;
        self.exchange(&call(6, "missing"), json(error)).await;
        let failed =
            r#"{"jsonrpc":"2.0","id":7,"result":{"isError":true,"content":[{"type":"text","text":"jam"}]}}"#;
        self.exchange(&call(7, "print"), json(failed)).await;
        let broken = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n5\r\ndata:";
        self.exchange(&call(8, "broken"), broken).await;
        self.exchange(
            &call(9, "nowhere"),
            "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
        let batch =
            r#"[{"jsonrpc":"2.0","id":10,"method":"ping"},{"jsonrpc":"2.0","id":11,"method":"ping"}]"#;
        let answers = r#"[{"jsonrpc":"2.0","id":11,"result":{}},{"jsonrpc":"2.0","id":10,"result":{}}]"#;
        self.exchange(&self.legacy(batch), json(answers)).await;
    }

    pub(crate) async fn legacy_end(&self) {
        let fields = format!("Mcp-Session-Id: {SESSION}\r\n");
        self.exchange(
            &self.request("DELETE", "/mcp", &fields, ""),
            "HTTP/1.1 204 No Content\r\n\r\n",
        )
        .await;
        let target = format!("/.well-known/x?access_token={ACCESS}&page=2");
        self.exchange(
            &self.request("GET", &target, "", ""),
            "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope",
        )
        .await;
    }

    pub(crate) async fn modern_session(&self) {
        let discovered = r#"{"jsonrpc":"2.0","id":0,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"everything","version":"2"}}}}"#;
        self.exchange(&self.modern("server/discover", 0, ""), json(discovered))
            .await;
        let asks = format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"resultType":"input_required","inputRequests":{{"who":{{"method":"elicitation/create","params":{{"mode":"form","message":"Name?","requestedSchema":{{}}}}}}}},"requestState":"{STATE}"}}}}"#
        );
        self.exchange(&self.modern("tools/call", 1, r#""name":"greet""#), json(&asks))
            .await;
        let params = format!(
            r#""name":"greet","inputResponses":{{"who":{{"action":"accept","content":{{"name":"Ada"}}}}}},"requestState":"{STATE}""#
        );
        let result = event(r#"{"jsonrpc":"2.0","id":2,"result":{"resultType":"complete","content":[]}}"#);
        self.exchange(
            &self.modern("tools/call", 2, &params),
            events(&[": keepalive\n\n", &result]),
        )
        .await;
    }

    pub(crate) async fn whole_script(&self) {
        self.legacy_handshake().await;
        self.legacy_stream().await;
        self.legacy_answers().await;
        self.legacy_end().await;
        self.modern_session().await;
    }

    /// The rows once nothing is open any more, and what there is to know of each. A last exchange marks the end.
    pub(crate) async fn settled(&mut self) -> Vec<MessageDetail> {
        let last = self.request("GET", "/the-end", "", "");
        self.exchange(&last, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await;
        snapshot_when(&mut self.frontend, "everything's end", |snapshot| {
            let rows = &snapshot.messages.rows;
            let asked = rows.iter().find(|row| row.summary == "/the-end");
            let has_answer = |row: &MessageRow| {
                rows.iter()
                    .any(|answer| answer.kind == RowKind::HttpResponse && answer.exchange == row.exchange)
            };
            asked.is_some_and(has_answer)
                && snapshot.totals.open_calls == 0
                && snapshot.sessions.rows.iter().all(|row| row.open_streams == 0)
                && rows.iter().all(|row| !matches!(row.state, RowState::Open { .. }))
        })
        .await;
        details(&self.frontend).await
    }
}
