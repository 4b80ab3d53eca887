//! A client of a bridge, with no HTTP library between it and the bytes.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;
use shadowcat::config::{CommandServer, Config};
use shadowcat::engine::EngineHandle;

use crate::support::*;

/// A program of `examples/`, which is built beside the tests.
pub fn example(name: &str) -> String {
    let mut folder: PathBuf = std::env::current_exe().unwrap();
    folder.pop();
    folder.pop();
    let program = folder
        .join("examples")
        .join(name)
        .with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        program.is_file(),
        "{} is missing; `cargo build --examples` makes it",
        program.display()
    );
    program.display().to_string()
}

/// The scripted server in one of its modes.
pub fn scripted(mode: &str) -> CommandServer {
    command(&example("scripted_server"), &[mode])
}

pub fn command(program: &str, args: &[&str]) -> CommandServer {
    CommandServer {
        name: None,
        program: program.to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        cwd: None,
        env: Vec::new(),
    }
}

/// An engine in front of a command.
pub fn bridge(server: CommandServer, change: impl FnOnce(&mut Config)) -> EngineHandle {
    engine_with(&[], |config| {
        config.commands = vec![server];
        config.limits.drain_timeout = std::time::Duration::from_secs(4);
        change(config);
    })
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .unwrap_or_else(|| panic!("{text:?}"))
            .parse()
            .unwrap();
        let body = if head.to_lowercase().contains("transfer-encoding: chunked") {
            dechunked(body)
        } else {
            body.to_owned()
        };
        Self {
            status,
            head: head.to_owned(),
            body,
        }
    }

    /// A field of the head.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:#?}"))
    }

    /// The messages of an event stream.
    pub fn events(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|text| !text.is_empty())
            .map(|text| serde_json::from_str(text).unwrap())
            .collect()
    }
}

fn dechunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        body.push_str(after.get(..size).unwrap());
        rest = after.get(size + 2..).unwrap();
    }
    body
}

/// A client of the bridge, in a session or before one.
#[derive(Debug, Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub session: Option<String>,
}

pub const BOTH: &str = "application/json, text/event-stream";

pub fn initialize(revision: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{revision}","capabilities":{{}},"clientInfo":{{"name":"test","version":"1"}}}}}}"#
    )
}

/// A call of a tool of the scripted server.
pub fn call(id: &str, tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments},"_meta":{{"progressToken":{id}}}}}}}"#
    )
}

impl Client {
    pub fn new(engine: &EngineHandle) -> Self {
        Self {
            address: address(engine),
            session: None,
        }
    }

    /// A client that is through with its handshake.
    pub async fn in_session(engine: &EngineHandle, revision: &str) -> Self {
        let mut client = Self::new(engine);
        let answer = client.post(&initialize(revision)).await;
        client.session = answer.field("mcp-session-id").map(str::to_owned);
        assert!(client.session.is_some(), "{answer:#?}");
        let done = client
            .post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
            .await;
        assert_eq!((done.status, &*done.body), (202, ""));
        client
    }

    pub fn request(&self, method: &str, fields: &str, body: &str) -> String {
        let session = self.session.as_ref();
        let session = session
            .map(|id| format!("Mcp-Session-Id: {id}\r\n"))
            .unwrap_or_default();
        let host = self.address;
        let length = if body.is_empty() {
            String::new()
        } else {
            format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            )
        };
        format!(
            "{method} /mcp HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{session}{length}{fields}\r\n{body}"
        )
    }

    /// A request that is under way.
    pub async fn begin(&self, method: &str, fields: &str, body: &str) -> RawPeer {
        let mut peer = RawPeer::connect(self.address).await;
        peer.send(self.request(method, fields, body)).await;
        peer
    }

    /// One exchange, whole.
    pub async fn exchange(&self, method: &str, fields: &str, body: &str) -> Answer {
        let mut peer = self.begin(method, fields, body).await;
        let (bytes, _) = peer.read_to_end().await;
        Answer::parse(&String::from_utf8(bytes).unwrap())
    }

    pub async fn post(&self, body: &str) -> Answer {
        self.exchange("POST", &format!("Accept: {BOTH}\r\n"), body).await
    }

    /// The session's stream, once it is open.
    pub async fn listen(&self, fields: &str) -> RawPeer {
        let mut peer = self
            .begin("GET", &format!("Accept: text/event-stream\r\n{fields}"), "")
            .await;
        let head = peer.read_head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        peer
    }

    pub async fn delete(&self) -> Answer {
        self.exchange("DELETE", "", "").await
    }

    /// A request of the modern era, with the head that it needs.
    pub async fn begin_modern(&self, body: &str) -> RawPeer {
        self.begin("POST", &modern_head(body), body).await
    }

    pub async fn post_modern(&self, body: &str) -> Answer {
        self.exchange("POST", &modern_head(body), body).await
    }
}

/// A request of the modern era.
pub fn modern(id: &str, method: &str, params: &str) -> String {
    let comma = if params.is_empty() { "" } else { "," };
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{comma}"_meta":{{"progressToken":{id},"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

pub fn modern_call(id: &str, tool: &str, arguments: &str) -> String {
    modern(
        id,
        "tools/call",
        &format!(r#""name":"{tool}","arguments":{arguments}"#),
    )
}

/// The head fields that repeat what a body of the modern era says.
pub fn modern_head(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    let method = body["method"].as_str().unwrap();
    let name = body["params"]["name"].as_str();
    let name = name
        .map(|name| format!("Mcp-Name: {name}\r\n"))
        .unwrap_or_default();
    format!("Accept: {BOTH}\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{name}")
}

/// The next message of an open stream, and its id.
pub async fn next_event(stream: &mut RawPeer) -> (Option<String>, Value) {
    loop {
        let text = String::from_utf8(stream.read_through(b"\n\n").await).unwrap();
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::to_owned)
        };
        let id = field("id: ");
        match field("data: ").filter(|data| !data.is_empty()) {
            Some(data) => return (id, serde_json::from_str(&data).unwrap()),
            None if id.is_some() => return (id, Value::Null),
            None => {}
        }
    }
}

/// Waits until a process has gone.
pub async fn until_gone(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    soon("the program's end", async {
        while rustix::process::test_kill_process(pid).is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}
