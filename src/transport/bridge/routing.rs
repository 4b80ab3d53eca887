//! What a router of a child's messages is asked, whichever era it serves. Pure.

use std::fmt::Debug;

use bytes::Bytes;

use crate::codec::envelope::{Envelope, MessageKind, Scan};
use crate::codec::rpc_id::RpcId;
use crate::recording::hide_secrets;
use crate::transport::answer::RPC_CODE;

use super::spool::{Lane, Message, Spool};

/// What follows from a message, beside its place in a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// A line for the child, its end included.
    Say(Bytes),
    /// Something that should not be: counted, and said in the log.
    Finding(String),
}

/// Decides which stream carries what a child says.
pub(super) trait Routing: Debug + Send + 'static {
    /// What waits for clients.
    fn spool(&mut self) -> &mut Spool;

    /// Puts a line of the child, without its end, where it belongs.
    fn route(&mut self, line: &Bytes, scan: &Scan) -> Vec<Effect>;

    /// A line of the child was too long to be held; whoever waits for it is told so.
    fn route_too_long(&mut self, scan: &Scan, text: &str) -> Vec<Effect>;

    /// The reader of a lane has gone.
    fn left(&mut self, lane: Lane) -> Vec<Effect>;

    /// Whether all that the reader of a lane still waits for was cancelled.
    fn is_cancelled(&self, _lane: Lane) -> bool {
        false
    }

    /// Nothing more is waited for in a lane.
    fn give_up(&mut self, lane: Lane);

    /// The child is gone: everybody who waits is told `text`, or left to come back.
    fn over(&mut self, text: &str);

    /// Whether the child is gone.
    fn is_over(&self) -> bool;

    /// Whether nobody waits for an answer.
    fn is_idle(&self) -> bool;

    /// The proxy is about to end: streams that wait for nothing in particular end.
    fn close_idle_streams(&mut self);
}

/// What became of messages that had to go unread: a notification is a loss, a request of the child is refused.
pub(super) fn tell_lost(lost: Vec<Message>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for message in lost.into_iter().filter(|message| !message.is_ours) {
        let text = "a message of the server found no reader in time and had to go (replay_buffer, replay_buffer_bytes)";
        effects.push(Effect::Finding(text.to_owned()));
        if message.is_request {
            effects.push(refuse(
                &message.text,
                "no stream of the client took this request in time",
            ));
        }
    }
    effects
}

/// An error answer for the child to its own request.
pub(super) fn refuse(request: &[u8], text: &str) -> Effect {
    let id = super::ids::spelled_at(request, super::ids::IdPlace::Id);
    let mut line = error_text(id, RPC_CODE, text, "bridge");
    line.push('\n');
    Effect::Say(line.into())
}

/// A JSON-RPC error of our own. `id` as spelled; without one it is left out.
pub(super) fn error_text(id: Option<&str>, code: i64, text: &str, reason: &str) -> String {
    let text = serde_json::Value::from(text);
    let id = id.map(|id| format!(r#""id":{id},"#)).unwrap_or_default();
    format!(
        r#"{{"jsonrpc":"2.0",{id}"error":{{"code":{code},"message":{text},"data":{{"origin":"shadowcat","reason":"{reason}"}}}}}}"#
    )
}

/// The error with which a request ends whose answer cannot come.
pub(super) fn own_answer(id: &RpcId, text: &str) -> Message {
    Message {
        text: error_text(id.token(), RPC_CODE, text, "bridge").into(),
        is_request: false,
        is_ours: true,
    }
}

pub(super) fn is_answer(message: &Envelope) -> bool {
    matches!(message.kind, MessageKind::Result | MessageKind::Error)
}

/// The first words of a line, for findings.
pub(super) fn beginning_of(line: &[u8]) -> String {
    const SHOWN: usize = 120;
    // Of a long line, that is what can be shown and what tells the secrets in it.
    let start = &line[..line.len().min(SHOWN * 16)];
    let text = hide_secrets(&String::from_utf8_lossy(start));
    let text: String = text.chars().take(SHOWN).collect();
    text.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_quoted_without_the_secrets_in_it() {
        assert_eq!(
            beginning_of(b"Server starting, api_key=s3cr3t at http://u:s3cr3t@h/"),
            "Server starting, api_key=*** at http://***@h/"
        );
        let long = [&b"token="[..], &[b'x'; 5000]].concat();
        assert_eq!(beginning_of(&long), "token=***");
        let document = br#"{"id":1,"result":{"password":"correct horse"}}"#;
        assert_eq!(
            beginning_of(document),
            r#"{\"id\":1,\"result\":{\"password\":\"***\"}}"#
        );
    }
}
