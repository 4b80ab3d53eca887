//! A request of our own within a session of a client: a copy of one of its requests under a new id.
//!
//! It comes in on a connection within this process. Nobody else hears its answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::timeout;

use crate::codec::envelope::{MessageKind, scan};
use crate::ids::{ConnectionId, Side};
use crate::intercept::edit::{Change, FieldChanges, apply, fixups, value_at};
use crate::snapshot::Repeat;
use crate::tasks::TaskKind;

use super::exchange::Peer;
use super::hub::Hub;
use super::inside;
use super::listener::Accepted;
use super::place::ConnectionPlace;
use super::route::ServerPlace;

/// What the screen shows in place of a client's address.
const OURSELVES: &str = "shadowcat-tui";
/// How long the answer may be silent before it is given up.
const PATIENCE: Duration = Duration::from_mins(5);

/// Sends the request again. Returns the JSON-RPC id of the copy, as it is spelled.
///
/// # Errors
/// Why it cannot be sent again, and what to do instead.
pub(crate) fn resend(hub: &Arc<Hub>, repeat: &Repeat) -> Result<String, String> {
    let connection = ConnectionId::from(hub.ids.connections.next());
    let id = format!("\"shadowcat-{}\"", connection.get());
    let body = under_id(repeat.body.as_bytes(), &id)?;
    let (local, only) = entrance(hub, repeat)?;
    let request = written(hub, repeat, &body)?;
    let room = Arc::clone(&hub.room).try_acquire_owned();
    let room =
        room.map_err(|_| "max_connections are open; try again when one of them has closed".to_owned())?;
    let accepted = Accepted {
        peer: Peer {
            connection,
            address: OURSELVES.into(),
            // Sessions without an id are told apart by the address of their client.
            host: repeat.client.as_str().into(),
            is_ours: false,
        },
        local,
        place: Arc::new(ConnectionPlace::new(Arc::clone(hub), room)),
        only,
        refusal: None,
        within: None,
    };
    let (ours, served) = inside::connect(hub, accepted);
    hub.tasks.spawn(TaskKind::Connection, async move {
        tokio::join!(served, talk(ours, request));
    });
    Ok(id)
}

/// The body with this id, and this token for its progress, so that what comes back is not taken for the other's.
fn under_id(body: &[u8], id: &str) -> Result<Vec<u8>, String> {
    let scanned = scan(body);
    let kind = scanned.single().map(|message| message.kind);
    if kind != Some(MessageKind::Request) {
        return Err("only a request by itself is sent again".to_owned());
    }
    let mut body = body.to_vec();
    for path in ["$.id", "$.params._meta.progressToken"] {
        if value_at(&body, path).is_some() {
            let change = Change::Set {
                path: path.to_owned(),
                value: id.to_owned(),
            };
            body = apply(&body, &change).map_err(|error| error.to_string())?;
        }
    }
    Ok(body)
}

/// The listener that the client asked.
fn entrance(hub: &Hub, repeat: &Repeat) -> Result<(SocketAddr, Option<ServerPlace>), String> {
    let host = value_of(&repeat.head.fields, "host").unwrap_or_default();
    let port: Option<u16> = host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let alone = hub.ports.iter().find(|(_, local)| Some(local.port()) == port);
    match alone {
        Some((place, local)) => Ok((*local, Some(*place))),
        None => hub
            .common
            .first()
            .map(|local| (*local, None))
            .ok_or_else(|| "no listener is open that it could come in at".to_owned()),
    }
}

/// The request as it is written.
fn written(hub: &Hub, repeat: &Repeat, body: &[u8]) -> Result<Vec<u8>, String> {
    let mut words = repeat.head.line.split_ascii_whitespace();
    let (Some("POST"), Some(target)) = (words.next(), words.next()) else {
        return Err("only messages that came by HTTP POST are sent again".to_owned());
    };
    let has_session = value_of(&repeat.head.fields, "mcp-session-id").is_some();
    if !has_session && target.to_ascii_lowercase().contains("session") {
        return Err(
            "its answer would come on the event stream of its client (HTTP+SSE), who knows nothing of it"
                .to_owned(),
        );
    }
    let target = whole_target(target, repeat);
    let host = value_of(&repeat.head.fields, "host").unwrap_or(&repeat.server);
    let mut text = format!("POST {target} HTTP/1.1\r\nhost: {host}\r\n").into_bytes();
    let schema = hub.interceptor.schemas.of(&repeat.server, body).input;
    let changes = head_changes(repeat, schema.as_deref());
    let is_other = |name: &str| changes.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let kept = repeat.head.fields.iter().filter(|(name, _)| !is_other(name));
    let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
    let fresh = changes
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
    for (name, value) in kept.chain(fresh) {
        let is_field =
            HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok();
        if is_field && inside::is_repeated(name) {
            text.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
    }
    text.extend_from_slice(format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()).as_bytes());
    text.extend_from_slice(body);
    Ok(text)
}

/// What somebody says of the head, and what follows from the body, unless that was refused.
fn head_changes(repeat: &Repeat, schema: Option<&str>) -> FieldChanges {
    let (original, body) = (repeat.original.as_bytes(), repeat.body.as_bytes());
    let mut changes = repeat.edit.fields.clone();
    for fixup in fixups(&repeat.head.fields, original, body, schema) {
        let is_it = |name: &String| name.eq_ignore_ascii_case(&fixup.name);
        let is_said = changes.iter().any(|(name, _)| is_it(name));
        if !is_said && !repeat.edit.refused.iter().any(is_it) {
            changes.push((fixup.name, fixup.after));
        }
    }
    changes
}

/// Where a request went that came through a tunnel; its own line has only the path.
fn whole_target(target: &str, repeat: &Repeat) -> String {
    if repeat.side == Side::Reverse || !target.starts_with('/') {
        return target.to_owned();
    }
    let is_plain = repeat.server.ends_with(":80");
    let scheme = if is_plain { "http" } else { "https" };
    format!("{scheme}://{}{target}", repeat.server)
}

fn value_of<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    let found = fields.iter().find(|(there, _)| there.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// Asks, and reads the answer to its end; it was told where it passed.
async fn talk(mut pipe: DuplexStream, request: Vec<u8>) {
    let asked = pipe.write_all(&request).await;
    let mut buffer = vec![0; inside::PIPE_BYTES];
    let mut goes_on = asked.is_ok();
    while goes_on {
        let read = timeout(PATIENCE, pipe.read(&mut buffer)).await;
        goes_on = matches!(read, Ok(Ok(1..)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_an_id_and_a_progress_token_of_its_own() {
        let call = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":{"progressToken":7},"n":1.10}}"#;
        let copy = under_id(call, "\"s-1\"").unwrap();
        let expected = r#"{"jsonrpc":"2.0","id":"s-1","method":"tools/call","params":{"_meta":{"progressToken":"s-1"},"n":1.10}}"#;
        assert_eq!(String::from_utf8(copy).unwrap(), expected);
    }

    #[test]
    fn what_is_no_request_is_not_sent_again() {
        for body in [
            r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#,
            r#"[{"jsonrpc":"2.0","id":7,"method":"ping"}]"#,
            "no JSON",
        ] {
            assert!(under_id(body.as_bytes(), "1").is_err(), "{body}");
        }
    }
}
