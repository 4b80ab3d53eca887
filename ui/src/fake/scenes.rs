//! What the screens are looked at with: nothing, the usual, too much, what fails, what is hostile.

use std::path::PathBuf;
use std::time::Duration;

use shadowcat::snapshot::{
    BreakerRow, BreakerState, Direction, Finding, Notice, Outcome, RecorderState, Severity, Source,
    UpstreamRow,
};

use super::Fake;
use super::parts::{command, plain_body, resources, server, session, upstream};

impl Fake {
    /// A proxy that has just been started.
    pub(crate) fn empty() -> Self {
        Self {
            source: Source::Live {
                listen: vec!["127.0.0.1:8080".to_owned()],
                metrics: vec!["http://127.0.0.1:9464/metrics".to_owned()],
                upstreams: vec![upstream("everything", None)],
                is_draining: false,
            },
            resources: resources(1),
            ..Self::default()
        }
    }

    /// A few calls of two clients, one of them under way.
    pub(crate) fn typical() -> Self {
        let mut fake = Self::empty();
        fake.source = Source::Live {
            listen: vec!["127.0.0.1:8080".to_owned()],
            metrics: vec!["http://127.0.0.1:9464/metrics".to_owned()],
            upstreams: vec![upstream("everything", Some(true))],
            is_draining: false,
        };
        fake.recorder = RecorderState::On {
            path: PathBuf::from("recordings/session-1.jsonl"),
            bytes: 1_258_291,
            lines: 512,
            lost: 0,
            is_redacted: true,
            files: 1,
            removed: 0,
        };
        fake.sessions = vec![
            session("R1", "everything", 1_310, 1),
            session("F2", "api.x.dev", 88, 0),
        ];
        fake.call("initialize", "2025-11-25, example-app 2.1", 3, Outcome::Ok);
        fake.notify(Direction::ClientToServer, "notifications/initialized", "");
        fake.call("tools/list", "13 tools", 2, Outcome::Ok);
        fake.call("tools/call", "echo", 3, Outcome::Ok);
        fake.call("tools/call", "add", 5, Outcome::RpcError(-32602));
        fake.call("resources/read", "file:///etc/hosts", 41, Outcome::ToolError);
        fake.open_call("tools/call", "longRunningOperation", Some(("3", "10")));
        fake.notify(Direction::ServerToClient, "notifications/progress", "3/10 of #7");
        fake.stream();
        fake.log_line("INFO", "shadowcat::engine", "listening on 127.0.0.1:8080");
        fake.log_line(
            "WARN",
            "shadowcat::transport",
            "upstream everything: connection reset, next exchange will reconnect",
        );
        fake.log_line(
            "DEBUG",
            "shadowcat::session",
            "session R1 opened by Mcp-Session-Id",
        );
        fake.rate = 412.0;
        fake
    }

    /// More of everything than any screen shows.
    pub(crate) fn overfull() -> Self {
        let mut fake = Self::typical();
        for number in 3..200 {
            fake.sessions.push(session(
                &format!("R{number}"),
                "a-server-with-a-very-long-name.example.com:8443",
                number * 977,
                number % 7,
            ));
            fake.log_line(
                "INFO",
                "shadowcat::session",
                &format!("session R{number} opened, {}", "long text ".repeat(30)),
            );
        }
        for number in 0..600_u64 {
            let tool = format!("tool_with_a_long_name_{number} {}", "x".repeat(80));
            fake.call(
                "tools/call",
                &tool,
                number * 37,
                if number % 9 == 0 {
                    Outcome::RpcError(-32603)
                } else {
                    Outcome::Ok
                },
            );
        }
        for _ in 0..40 {
            fake.stream();
        }
        fake.resources = resources(1_000_000);
        fake.rate = 98_765.4;
        fake
    }

    /// Nothing works.
    pub(crate) fn failing() -> Self {
        let mut fake = Self::empty();
        let mut broken = upstream("everything", Some(false));
        broken.last_error = Some("connection refused by 127.0.0.1:3001; is the server running?".to_owned());
        broken.failures = 7;
        fake.recorder = RecorderState::Failed {
            path: PathBuf::from("recordings/session-1.jsonl"),
            cause: "No space left on device".to_owned(),
        };
        fake.sessions = vec![session("R1", "everything", 4, 4)];
        fake.call("initialize", "2026-07-28", 1, Outcome::ProxyError(502));
        fake.call("tools/call", "echo", 10_002, Outcome::UpstreamGone);
        fake.call("tools/list", "", 7, Outcome::HttpError(404));
        fake.call("tools/call", "add", 61_000, Outcome::ClientGone);
        fake.call("tools/call", "sleep", 61_000, Outcome::Cancelled);
        fake.call("tools/call", "lost", 61_000, Outcome::Unanswered);
        if let Some(row) = fake.rows.last_mut() {
            row.findings = vec![Finding {
                severity: Severity::Warning,
                text: "answers an id that no open request has".to_owned(),
            }];
        }
        broken.breaker = BreakerRow {
            state: BreakerState::Open {
                since: fake.now(),
                next: fake.now().plus(Duration::from_millis(1_400)),
            },
            failures: 7,
            cause: broken.last_error.clone(),
            opened: 2,
            refused: 31,
        };
        fake.source = Source::Live {
            listen: vec!["127.0.0.1:8080".to_owned()],
            metrics: vec!["http://127.0.0.1:9464/metrics".to_owned()],
            upstreams: vec![broken],
            is_draining: true,
        };
        fake.resources = resources(50_000_000_000);
        fake.notices = vec![Notice {
            at: fake.now(),
            severity: Severity::Error,
            text: "recording stopped: No space left on device; free some and press R".to_owned(),
        }];
        fake.log_line(
            "ERROR",
            "shadowcat::recording",
            "recordings/session-1.jsonl: No space left on device",
        );
        fake
    }

    /// The same engine with these servers.
    pub(crate) fn with_servers(mut self, servers: Vec<UpstreamRow>) -> Self {
        if let Source::Live { upstreams, .. } = &mut self.source {
            *upstreams = servers;
        }
        self
    }

    /// Some servers of each kind.
    pub(crate) fn several_servers() -> Vec<UpstreamRow> {
        let mut docs = server("docs", Some(true), 1_204);
        docs.url = "https://mcp.example.com/mcp".to_owned();
        docs.added_headers = vec!["authorization".to_owned(), "x-team".to_owned()];
        vec![
            docs,
            command("files", 2, 88),
            server("everything", None, 0),
            command("never-started", 0, 0),
        ]
    }

    /// Of six servers three cannot be reached.
    pub(crate) fn failing_servers(&self) -> Vec<UpstreamRow> {
        let down = |mut server: UpstreamRow, cause: &str| {
            server.is_healthy = Some(false);
            server.last_error = Some(cause.to_owned());
            server.down_since = Some(self.now());
            server.failures = 7;
            server
        };
        let mut first = down(
            server("db", None, 40),
            "connection refused by 127.0.0.1:3001; is the server running?",
        );
        first.breaker = BreakerRow {
            state: BreakerState::Open {
                since: self.now(),
                next: self.now().plus(Duration::from_millis(1_400)),
            },
            failures: 7,
            cause: first.last_error.clone(),
            opened: 2,
            refused: 31,
        };
        let second = down(
            command("files", 0, 12),
            "the command exited with code 127: npx was not found",
        );
        let third = down(
            server("a-server-with-a-very-long-name", None, 3),
            "no connection within 10 s",
        );
        let mut servers = vec![first, second, third];
        let well = Self::several_servers();
        servers.extend(well.into_iter().filter(|server| server.name != "files"));
        servers
    }

    /// Traffic that tries to take over the terminal.
    pub(crate) fn hostile() -> Self {
        let mut fake = Self::typical();
        let evil = "\x1b[2J\x1b]0;owned\x07 \u{202e}txet\u{202c} zero\u{200b}width\u{feff}\r\n\u{9b}31m\ttab";
        fake.rows.clear();
        fake.call("tools/\x1b[31mcall", evil, 3, Outcome::Ok);
        if let Some(session) = fake.sessions.first_mut() {
            session.server = format!("ev\x1bil{evil}");
            session.client = Some(evil.to_owned());
        }
        let body = format!("{{\"text\":\"{evil}\",\"\u{202e}key\":1}}");
        for id in fake.rows.iter_mut().map(|row| {
            row.rpc_id = Some("\"\x1b[1m\"".to_owned());
            row.id.get()
        }) {
            fake.bodies.insert(id, plain_body(&body));
        }
        fake.log_line("WARN", "x", evil);
        fake
    }

    /// It is a recording of so many bytes, of which so many were read.
    pub(crate) fn open(&mut self, path: &str, read_bytes: u64, total_bytes: u64) {
        self.source = Source::File {
            path: path.into(),
            created: self.now(),
            read_bytes,
            total_bytes,
            damage: Vec::new(),
            upstreams: Vec::new(),
        };
    }
}
