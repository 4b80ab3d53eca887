//! Held messages on a WebSocket: each direction is a lane, and what nobody changes goes on byte for byte.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod support;

use support::holding::{breakpoint, decide, held_one, held_rows};
use support::stage::call;
use support::*;

use shadowcat::engine::EngineHandle;
use shadowcat::frontend::Frontend;
use shadowcat::intercept::interceptor::InterceptCommand;

const TEXT: u8 = 0x81;
const COMPRESSED: u8 = 0xC1;
const PING: &[u8] = &[0x89, 0x80, 7, 7, 7, 7];
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Both ends after the consent, and the engine between them with a rule.
struct Wire {
    client: RawPeer,
    server: RawPeer,
    frontend: Frontend,
    engine: EngineHandle,
}

/// `fields` are added to the consent.
async fn wire(when: Option<&str>, fields: &str) -> Wire {
    let listener = RawServer::bind().await;
    let engine = engine_with(&[&format!("http://{}/mcp", listener.address())], |config| {
        config.can_hold = true;
        config.rules = when.map(breakpoint).into_iter().collect();
    });
    let host = address(&engine);
    let asked = format!(
        "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mcp\r\n\r\n"
    );
    let (mut client, mut server) = begin(&engine, &listener, &asked).await;
    let consent = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: mcp\r\n";
    server.send(format!("{consent}{fields}\r\n")).await;
    client.read_head().await;
    Wire {
        client,
        server,
        frontend: engine.frontend().unwrap(),
        engine,
    }
}

impl Wire {
    /// The server gets exactly this.
    async fn reaches_server(&mut self, bytes: &[u8]) {
        assert_eq!(self.server.read_exactly(bytes.len()).await, bytes);
    }

    /// The client gets exactly this.
    async fn reaches_client(&mut self, bytes: &[u8]) {
        assert_eq!(self.client.read_exactly(bytes.len()).await, bytes);
    }

    async fn decide(&self, what: InterceptCommand) {
        decide(&self.frontend, what).await;
    }
}

/// A frame; a client's is masked.
fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(masked | length),
        _ => {
            frame.push(masked | 0x7E);
            frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend(
        mask.unwrap_or_default()
            .iter()
            .take(4 * usize::from(mask.is_some())),
    );
    let mask = mask.unwrap_or_default();
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    frame
}

fn says(text: &str) -> Vec<u8> {
    frame(TEXT, Some(MASK), text.as_bytes())
}

fn answers(text: &str) -> Vec<u8> {
    frame(TEXT, None, text.as_bytes())
}

#[tokio::test]
async fn a_held_message_waits_with_all_behind_it_while_pings_and_the_other_direction_run() {
    let mut wire = wire(Some("tool:held dir:c2s"), "").await;
    let held = call(1, "held");
    let (first, rest) = held.split_at(9);
    let fragments = [
        frame(0x01, Some(MASK), first.as_bytes()),
        frame(0x80, Some([1, 2, 3, 4]), rest.as_bytes()),
    ]
    .concat();
    wire.client.send(says(&call(0, "free"))).await;
    wire.reaches_server(&says(&call(0, "free"))).await;
    wire.client
        .send([fragments.clone(), says(&call(2, "next")), PING.to_vec()].concat())
        .await;
    wire.reaches_server(PING).await;
    let note = answers(r#"{"jsonrpc":"2.0","method":"notifications/message"}"#);
    wire.server.send(&note).await;
    wire.reaches_client(&note).await;
    let id = held_one(&mut wire.frontend).await;
    wire.decide(InterceptCommand::Forward { id }).await;
    wire.reaches_server(&[fragments, says(&call(2, "next"))].concat())
        .await;
}

#[tokio::test]
async fn an_edited_message_has_its_own_length_and_the_mask_of_the_one_that_came() {
    let mut wire = wire(Some("method:tools/call | status:ok"), "").await;
    wire.client.send(says(&call(1, "a"))).await;
    let id = held_one(&mut wire.frontend).await;
    let long = call(1, &"b".repeat(200));
    let text = Some(long.clone());
    wire.decide(InterceptCommand::Edit { id, text }).await;
    wire.decide(InterceptCommand::Forward { id }).await;
    wire.reaches_server(&says(&long)).await;
    held_rows(&mut wire.frontend, 0).await;
    wire.server
        .send(answers(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#))
        .await;
    let id = held_one(&mut wire.frontend).await;
    let edited = r#"{"jsonrpc":"2.0","id":1,"result":{"edited":true}}"#;
    let text = Some(edited.to_owned());
    wire.decide(InterceptCommand::Edit { id, text }).await;
    wire.decide(InterceptCommand::Forward { id }).await;
    wire.reaches_client(&answers(edited)).await;
}

#[tokio::test]
async fn an_answered_call_never_reaches_the_server_and_its_client_gets_the_answer_between_messages() {
    let mut wire = wire(Some("tool:held"), "").await;
    wire.client.send(says(&call(1, "held"))).await;
    let id = held_one(&mut wire.frontend).await;
    // The server is in the middle of a message.
    let note = answers(r#"{"jsonrpc":"2.0","method":"notifications/message"}"#);
    let (head, tail) = note.split_at(10);
    // In one piece with a whole one, so that the proxy has seen where it begins when the client has that.
    wire.server.send([&note, head].concat()).await;
    wire.reaches_client(&note).await;
    let result = r#"{"ok":true}"#.to_owned();
    wire.decide(InterceptCommand::Answer { id, result }).await;
    wire.client.send(says(&call(2, "free"))).await;
    wire.reaches_server(&says(&call(2, "free"))).await;
    wire.server.send(tail).await;
    wire.reaches_client(&note).await;
    wire.reaches_client(&answers(r#"{"jsonrpc":"2.0","id":1,"result":{"ok":true}}"#))
        .await;
}

#[tokio::test]
async fn a_rule_armed_on_an_open_socket_acts_from_the_next_message_on() {
    let mut wire = wire(None, "").await;
    let first = says(&call(1, "held"));
    let (head, tail) = first.split_at(10);
    wire.client.send(head).await;
    wire.reaches_server(head).await;
    let filter = "tool:held".to_owned();
    wire.decide(InterceptCommand::Break {
        filter,
        is_once: false,
    })
    .await;
    wire.client.send([tail, &says(&call(2, "held"))].concat()).await;
    wire.reaches_server(tail).await;
    let rows = held_rows(&mut wire.frontend, 1).await;
    assert_eq!(rows[0].rpc_id.as_deref(), Some("2"));
    wire.decide(InterceptCommand::Intercept { is_on: false }).await;
    wire.reaches_server(&says(&call(2, "held"))).await;
}

#[tokio::test]
async fn a_close_waits_behind_a_held_message_and_follows_it() {
    let mut wire = wire(Some("status:ok"), "").await;
    wire.client.send(says(&call(1, "a"))).await;
    wire.reaches_server(&says(&call(1, "a"))).await;
    let result = answers(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    let close = frame(0x88, None, &1000_u16.to_be_bytes());
    wire.server.send([result.clone(), close.clone()].concat()).await;
    let id = held_one(&mut wire.frontend).await;
    wire.decide(InterceptCommand::Forward { id }).await;
    wire.reaches_client(&[result, close].concat()).await;
}

#[tokio::test]
async fn compressed_messages_are_held_edited_and_dropped_without_breaking_those_behind_them() {
    let mut wire = wire(
        Some("tool:held"),
        "Sec-WebSocket-Extensions: permessage-deflate\r\n",
    )
    .await;
    let mut deflate = flate2::Compress::new(flate2::Compression::default(), false);
    let mut compressed = |text: &str| {
        let mut bytes = Vec::with_capacity(1024);
        deflate
            .compress_vec(text.as_bytes(), &mut bytes, flate2::FlushCompress::Sync)
            .unwrap();
        bytes.truncate(bytes.len() - 4);
        frame(COMPRESSED, Some(MASK), &bytes)
    };
    let stream = [
        compressed(&call(1, "held")),
        compressed(&call(2, "held")),
        compressed(&call(3, "free")),
    ];
    wire.client.send(stream.concat()).await;
    let rows = held_rows(&mut wire.frontend, 2).await;
    let is_silent = true;
    wire.decide(InterceptCommand::Drop {
        id: rows[0].id,
        is_silent,
    })
    .await;
    held_rows(&mut wire.frontend, 1).await;
    let text = Some(call(2, "other"));
    wire.decide(InterceptCommand::Edit { id: rows[1].id, text }).await;
    wire.decide(InterceptCommand::Forward { id: rows[1].id }).await;
    // Their receiver has no window for what leans on the dropped one, and needs none.
    wire.reaches_server(&[says(&call(2, "other")), says(&call(3, "free"))].concat())
        .await;
}

#[tokio::test]
async fn what_is_held_on_a_socket_when_the_proxy_ends_goes_on_unchanged() {
    let mut wire = wire(Some("tool:held"), "").await;
    let message = says(&call(1, "held"));
    wire.client.send(&message).await;
    held_one(&mut wire.frontend).await;
    let Wire {
        engine,
        frontend,
        mut server,
        client,
    } = wire;
    #[expect(
        clippy::disallowed_methods,
        reason = "ending an engine blocks, and its peers are in this runtime"
    )]
    let ending = tokio::task::spawn_blocking(move || {
        drop(frontend);
        engine.shut_down()
    });
    assert_eq!(server.read_exactly(message.len()).await, message);
    drop((client, server));
    ending.await.unwrap();
}
