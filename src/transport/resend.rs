//! A request of our own within a session of a client: a copy of one of its requests under a new id.
//!
//! Over HTTP it comes in on a connection within this process, and takes the way that the client's own takes; to a command
//! it is said as a line. Nobody else hears its answer: where that comes in a stream which the client reads, it is left out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderName, HeaderValue, Uri, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::timeout;

use crate::codec::envelope::{MessageKind, scan};
use crate::ids::{ConnectionId, ProxySessionId, Side};
use crate::intercept::edit::{Change, FieldChanges, apply, fixups, value_at};
use crate::session::registry::SessionKey;
use crate::snapshot::{Repeat, copy_id};
use crate::tasks::TaskKind;

use super::exchange::Peer;
use super::hub::Hub;
use super::inside;
use super::listener::Accepted;
use super::place::ConnectionPlace;
use super::route::{ServerPlace, Within};
use super::runs::Ear;
use super::stated::path_of;

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
    let id = copy_id(connection.get());
    let body = under_id(repeat.body.as_bytes(), &id)?;
    match hub.runs.ear(repeat.exchange) {
        Some(command) => to_command(hub, &command, &id, body)?,
        None => by_post(hub, repeat, connection, &id, &body)?,
    }
    Ok(id)
}

/// Says it to a command, in whose output the answer comes.
fn to_command(hub: &Arc<Hub>, command: &Ear, id: &str, body: Vec<u8>) -> Result<(), String> {
    let awaited = Awaited::begin(hub, command.session, id)?;
    if !command.say(Bytes::from(body)) {
        return Err("the command does not take it; try again in a moment".to_owned());
    }
    hub.tasks.spawn(TaskKind::Connection, awaited.wait());
    Ok(())
}

/// Posts it as its client did.
fn by_post(
    hub: &Arc<Hub>,
    repeat: &Repeat,
    connection: ConnectionId,
    id: &str,
    body: &[u8],
) -> Result<(), String> {
    let request = written(hub, repeat, body)?;
    let within = within(repeat)?;
    let (local, only) = entrance(hub, repeat)?;
    let awaited = elsewhere(hub, repeat, id)?;
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
            is_repeat: true,
        },
        local,
        place: Arc::new(ConnectionPlace::new(Arc::clone(hub), room)),
        only,
        refusal: None,
        within,
    };
    let (ours, served) = inside::connect(hub, accepted);
    hub.tasks.spawn(TaskKind::Connection, async move {
        tokio::join!(served, talk(ours, request));
        if let Some(awaited) = awaited {
            awaited.wait().await;
        }
    });
    Ok(())
}

/// An answer that comes where its client listens, and is not for it. It is waited for as long as this is there.
struct Awaited {
    hub: Arc<Hub>,
    session: ProxySessionId,
    id: String,
}

impl Awaited {
    fn begin(hub: &Arc<Hub>, session: ProxySessionId, id: &str) -> Result<Self, String> {
        if !hub.interceptor.holds.await_answer(session, id) {
            return Err("too many requests that were sent again have no answer yet".to_owned());
        }
        Ok(Self {
            hub: Arc::clone(hub),
            session,
            id: id.to_owned(),
        })
    }

    /// Waits until it has come, but not for ever.
    async fn wait(self) {
        let holds = &self.hub.interceptor.holds;
        let mut changes = holds.subscribe();
        let coming =
            async { while holds.awaits(self.session, &self.id) && changes.changed().await.is_ok() {} };
        let waiting = timeout(PATIENCE, coming);
        // Whether it came is seen among the rows.
        let _ = self.hub.tasks.stopping().run_until_cancelled(waiting).await;
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.hub.interceptor.holds.end_wait(self.session, &self.id);
    }
}

/// What awaits the answer if that comes in the event stream of an HTTP+SSE session (MCP 2024-11-05, Transports).
fn elsewhere(hub: &Arc<Hub>, repeat: &Repeat, id: &str) -> Result<Option<Awaited>, String> {
    let key = SessionKey::Endpoint {
        server: repeat.server.as_str().into(),
        target: path_of(&repeat.target).into(),
    };
    let Some(session) = hub.registry.find(repeat.side, &key) else {
        return Ok(None);
    };
    let is_open = session
        .talk()
        .words
        .as_ref()
        .is_some_and(|words| !words.is_closed());
    if !is_open {
        return Err("its answer would come on the event stream of its session, which has ended".to_owned());
    }
    Awaited::begin(hub, session.id, id).map(Some)
}

/// The tunnel that it comes in, as it were: then it goes where it went, whoever may ask for that.
fn within(repeat: &Repeat) -> Result<Option<Within>, String> {
    if repeat.side == Side::Reverse {
        return Ok(None);
    }
    let url: Option<Uri> = repeat.target.parse().ok();
    let scheme = url.as_ref().and_then(Uri::scheme).cloned();
    let authority: Option<Authority> = repeat.server.parse().ok();
    let (Some(scheme), Some(authority)) = (scheme, authority) else {
        return Err("history does not say where it went".to_owned());
    };
    // In the clear a client may speak HTTP/2 to us alone; every server that has it has HTTP/1.1 too.
    let is_http2 = scheme == Scheme::HTTPS && repeat.head.line.ends_with("HTTP/2.0");
    let spoken = if is_http2 {
        Version::HTTP_2
    } else {
        Version::HTTP_11
    };
    Ok(Some(Within {
        scheme,
        authority,
        spoken: Some(spoken),
    }))
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
    let port = host(repeat)
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    let mut alone = hub.ports.iter().map(|(place, local)| (*local, Some(*place)));
    let asked = alone.find(|(local, _)| repeat.side == Side::Reverse && Some(local.port()) == port);
    let common = hub.common.first().map(|local| (*local, None));
    let found = asked.or(common);
    // Where a request goes that has a URL does not depend on who is asked.
    let any = hub.ports.first().map(|(_, local)| (*local, None));
    let found = found.or(any.filter(|_| repeat.side == Side::Forward));
    found.ok_or_else(|| "no listener is open that it could come in at".to_owned())
}

/// What its client calls the server, or us.
fn host(repeat: &Repeat) -> String {
    let of_url = || {
        let url: Uri = repeat.target.parse().ok()?;
        url.authority().map(ToString::to_string)
    };
    let stated = value_of(&repeat.head.fields, "host").map(str::to_owned);
    stated.or_else(of_url).unwrap_or_else(|| repeat.server.clone())
}

/// The request as it is written.
fn written(hub: &Hub, repeat: &Repeat, body: &[u8]) -> Result<Vec<u8>, String> {
    if repeat.head.line.split_ascii_whitespace().next() != Some("POST") {
        return Err(
            "only messages that came by HTTP POST are sent again, and lines of commands that still run"
                .to_owned(),
        );
    }
    let (target, host) = (&repeat.target, host(repeat));
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
        // What its client has proved to us is no business of the server.
        let is_ours = name.eq_ignore_ascii_case("proxy-authorization");
        if is_field && inside::is_repeated(name) && !(is_ours && hub.routes.takes_proxy_authorization()) {
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
