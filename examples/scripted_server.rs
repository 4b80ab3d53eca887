//! An MCP server on standard input and output that does what its client says: for tests of the bridge.
//!
//! It speaks the era of the first message. A `tools/call` names what to do; see [`call`].

#![expect(
    clippy::print_stderr,
    reason = "what a server says on the side is part of what is tested"
)]

use std::io::{self, BufRead as _, Write as _};

use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let mode = std::env::args().nth(1).unwrap_or_default();
    if mode == "broken" {
        eprintln!("first a hint");
        eprintln!("Error: no database at db.example");
        std::process::exit(7);
    }
    let mut server = Server {
        out: io::stdout().lock(),
        is_modern: mode == "modern",
        sleeping: Vec::new(),
    };
    eprintln!("ready with {} variables", std::env::vars_os().count().min(1));
    for line in io::stdin().lock().lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else {
            eprintln!("not JSON");
            continue;
        };
        match &message {
            Value::Array(members) => server.batch(members)?,
            _ => server.take(&message)?,
        }
    }
    if mode == "stubborn" {
        // Only SIGKILL or SIGTERM ends it.
        loop {
            std::thread::park();
        }
    }
    Ok(())
}

struct Server {
    out: io::StdoutLock<'static>,
    is_modern: bool,
    /// Requests that are not answered until somebody says `wake`.
    sleeping: Vec<Value>,
}

impl Server {
    fn say(&mut self, message: &Value) -> io::Result<()> {
        writeln!(self.out, "{message}")?;
        self.out.flush()
    }

    fn answer(&mut self, id: &Value, result: &Value) -> io::Result<()> {
        self.say(&json!({"jsonrpc": "2.0", "id": id, "result": result}))
    }

    fn fail(&mut self, id: &Value, code: i64, message: &str) -> io::Result<()> {
        self.say(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}))
    }

    fn log(&mut self, text: &str) -> io::Result<()> {
        self.say(&json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": text}}))
    }

    fn batch(&mut self, members: &[Value]) -> io::Result<()> {
        let answers: Vec<Value> = members
            .iter()
            .filter_map(|member| member.get("id"))
            .map(|id| json!({"jsonrpc": "2.0", "id": id, "result": {"batched": true}}))
            .collect();
        self.say(&Value::Array(answers))
    }

    fn take(&mut self, message: &Value) -> io::Result<()> {
        let (id, params) = (&message["id"], &message["params"]);
        match message["method"].as_str() {
            None => self.log(&format!("answered: {}", message["result"])),
            Some("notifications/cancelled") => self.log(&format!("cancelled: {}", params["requestId"])),
            Some(_) if id.is_null() => Ok(()),
            Some("initialize") => self.initialize(id, params),
            Some("ping") => self.answer(id, &json!({})),
            Some("server/discover") if self.is_modern => {
                let result = json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "resultType": "complete"});
                self.answer(id, &result)
            }
            Some("subscriptions/listen") if self.is_modern => self.listen(id),
            Some("tools/list") => {
                let region = json!({"type": "string", "x-mcp-header": "Region"});
                let result = json!({"tools": [
                    {"name": "echo", "inputSchema": {"type": "object"}},
                    {"name": "deploy", "inputSchema": {"type": "object", "properties": {"region": region}}},
                ]});
                self.answer(id, &result)
            }
            Some("tools/call") => self.call(id, params),
            Some(_) => self.fail(id, -32601, "no such method"),
        }
    }

    fn initialize(&mut self, id: &Value, params: &Value) -> io::Result<()> {
        if self.is_modern {
            return self.fail(id, -32601, "this server has no initialize");
        }
        if params["clientInfo"]["name"] == "unwanted" {
            return self.fail(id, -32602, "not you");
        }
        let result = json!({
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}, "logging": {}},
            "serverInfo": {"name": "scripted", "version": std::process::id().to_string()},
        });
        self.answer(id, &result)
    }

    fn listen(&mut self, id: &Value) -> io::Result<()> {
        let meta = json!({"io.modelcontextprotocol/subscriptionId": id});
        self.say(&json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {"notifications": {"toolsListChanged": true}, "_meta": meta}}))?;
        self.sleeping.push(id.clone());
        Ok(())
    }

    /// Tools: `echo` answers with its arguments; `progress` tells progress first, `count` times; `log` logs first; `ask`
    /// sends a request of its own first; `sleep` answers only after a `wake`; `noise` prints what is no message; `flood`
    /// logs `count` times `bytes` bytes; `large` answers with `bytes` bytes; `exit` ends the program.
    fn call(&mut self, id: &Value, params: &Value) -> io::Result<()> {
        let arguments = &params["arguments"];
        let count = arguments["count"].as_u64().unwrap_or(1);
        let bytes = usize::try_from(arguments["bytes"].as_u64().unwrap_or(1)).unwrap_or(1);
        let token = &params["_meta"]["progressToken"];
        match params["name"].as_str().unwrap_or_default() {
            "progress" => {
                for step in 1..=count {
                    self.say(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": step}}))?;
                }
            }
            "log" => self.log("before the answer")?,
            "ask" => self.say(&json!({"jsonrpc": "2.0", "id": 0, "method": "roots/list"}))?,
            "sleep" => {
                self.sleeping.push(id.clone());
                return Ok(());
            }
            "wake" => {
                for sleeper in std::mem::take(&mut self.sleeping) {
                    self.answer(&sleeper, &json!({"woken": true}))?;
                }
            }
            "noise" => {
                writeln!(self.out, "Listening on nothing at all")?;
                eprintln!("a word on the side");
            }
            "flood" => {
                for number in 0..count {
                    self.log(&format!("{number} {}", "x".repeat(bytes)))?;
                }
            }
            "large" => {
                return self.answer(
                    id,
                    &json!({"content": [{"type": "text", "text": "x".repeat(bytes)}]}),
                );
            }
            "exit" => {
                eprintln!("giving up");
                std::process::exit(3);
            }
            _ => {}
        }
        let result =
            json!({"content": [{"type": "text", "text": "done"}], "arguments": arguments, "token": token});
        self.answer(id, &result)
    }
}
