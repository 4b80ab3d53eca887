//! A large recording, to see how long it takes to open one.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result};

/// Writes tool calls whose answers have so many bytes of text to the new file `path` until it has `bytes`. Gives how many.
pub(crate) fn write(path: &Path, bytes: u64, answer: usize) -> Result<u64> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let file = file.with_context(|| format!("could not create {}", path.display()))?;
    let mut recording = Recording {
        out: BufWriter::with_capacity(1 << 20, file),
        bytes: 0,
        seq: 0,
    };
    recording.begin()?;
    let answer = "x".repeat(answer);
    let mut calls = 0;
    while recording.bytes < bytes {
        calls += 1;
        recording.call(calls, &answer)?;
    }
    recording.end()?;
    Ok(calls)
}

struct Recording<W> {
    out: W,
    bytes: u64,
    seq: u64,
}

impl<W: Write> Recording<W> {
    fn begin(&mut self) -> Result<()> {
        self.raw("{\"type\":\"header\",\"format\":\"shadowcat-recording\",\"version\":1,\"created\":\"2026-11-23T04:23:03.123456Z\",\"proxy\":\"load\",\"redacted\":true}\n")?;
        self.line("session", 1, "\"session\":\"R1\",\"server\":\"everything\",\"basis\":\"session_header\",\"client\":\"127.0.0.1\"")
    }

    fn call(&mut self, number: u64, answer: &str) -> Result<()> {
        // Times that do not repeat, as in life.
        let us = number * 100 + (number * 7919) % 61;
        let took = 300 + (number * 104_729) % 997;
        let of = format!("\"session\":\"R1\",\"exchange\":{number}");
        let frame =
            format!("{of},\"transport\":\"http\",\"frame\":0,\"part\":0,\"last\":true,\"messages\":1");
        self.line("request", us, &format!(
            "{of},\"connection\":3,\"client\":\"127.0.0.1:50412\",\"side\":\"reverse\",\"server\":\"everything\",\"kind\":\"message\",\"method\":\"POST\",\"target\":\"/mcp\",\"head\":{{\"line\":\"POST /mcp HTTP/1.1\",\"fields\":[[\"host\",\"127.0.0.1:8080\"],[\"user-agent\",\"client/1.2.3\"],[\"accept\",\"application/json, text/event-stream\"],[\"mcp-session-id\",\"‹secret:5be1c0ffee01›\"],[\"mcp-protocol-version\",\"2025-11-25\"],[\"content-type\",\"application/json\"]],\"exact\":true}}"
        ))?;
        self.line("frame", us + 1, &format!(
            "{frame},\"direction\":\"client_to_server\",\"text\":\"{{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":{number},\\\"method\\\":\\\"tools/call\\\",\\\"params\\\":{{\\\"name\\\":\\\"echo\\\"}}}}\""
        ))?;
        self.line("response", us + 40, &format!(
            "{of},\"status\":200,\"head\":{{\"line\":\"HTTP/1.1 200 OK\",\"fields\":[[\"content-type\",\"application/json\"]],\"exact\":true}},\"media_type\":\"application/json\""
        ))?;
        self.line("frame", us + 41, &format!(
            "{frame},\"direction\":\"server_to_client\",\"text\":\"{{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":{number},\\\"result\\\":{{\\\"content\\\":[{{\\\"type\\\":\\\"text\\\",\\\"text\\\":\\\"{answer}\\\"}}]}}}}\""
        ))?;
        self.line("exchange_end", us + 42, &format!(
            "{of},\"request_end\":\"complete\",\"response_end\":\"complete\",\"timing\":{{\"started\":{us},\"request_done\":{},\"sent\":{},\"response_head\":{},\"handed_on\":{},\"first_byte\":{},\"done\":{}}},\"request_bytes\":71,\"response_bytes\":990",
            us + 1,
            us + 9 + took % 31,
            us + took,
            us + took + 12,
            us + took + 15,
            us + took + 20 + took % 7
        ))
    }

    fn end(&mut self) -> Result<()> {
        let (lines, bytes) = (self.seq + 2, self.bytes);
        self.line(
            "end",
            lines * 100,
            &format!("\"lines\":{lines},\"bytes\":{bytes},\"lost\":0"),
        )?;
        Ok(self.out.flush()?)
    }

    fn line(&mut self, kind: &str, us: u64, rest: &str) -> Result<()> {
        self.seq += 1;
        let seq = self.seq;
        self.raw(&format!(
            "{{\"type\":\"{kind}\",\"seq\":{seq},\"us\":{us},{rest}}}\n"
        ))
    }

    fn raw(&mut self, text: &str) -> Result<()> {
        self.bytes += text.len() as u64;
        Ok(self.out.write_all(text.as_bytes())?)
    }
}
