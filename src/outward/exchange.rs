//! One POST and what comes of it.

use std::sync::Arc;

use http::{StatusCode, header};
use reqwest::Response;

use crate::codec::envelope::{Envelope, Field, MessageKind, Shape, scan};
use crate::codec::json::{PathStep, find_path};
use crate::transport::reader::BodyKind;

use super::failure::{Failure, with_id};
use super::http::{some_of_body, whole_body};
use super::line::{Line, one_line};
use super::pending::{Request, Ticket};
use super::room::Held;
use super::session::SESSION_ID;
use super::stream::Cursor;
use super::talk::{Outward, Post};

/// How much is read of a body that says why something was refused.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// What came of a POST that did not fail.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// All that is to come has come.
    Here,
    /// Answers come on the session's stream.
    Elsewhere,
}

impl Outward {
    /// Sends a message and passes on what comes back, until there is nothing more or it is cancelled.
    pub(super) async fn exchange(self: &Arc<Self>, post: Post, body: reqwest::Body) {
        let cancel = post.cancel.clone();
        let conversing = async {
            let outcome = self.converse(&post, body).await;
            self.conclude(&post, outcome).await;
        };
        cancel.run_until_cancelled(conversing).await;
    }

    async fn converse(self: &Arc<Self>, post: &Post, body: reqwest::Body) -> Result<Done, Failure> {
        let failure = match self.attempt(post, body).await {
            Err(failure) if post.is_handshake && invites_older_transport(&failure) => failure,
            outcome => return outcome,
        };
        if self.session().endpoint.is_some() {
            return Err(failure);
        }
        match self.find_endpoint().await {
            // The server has refused the message before; it has not been taken yet.
            Ok(()) => {
                for ticket in &post.tickets {
                    self.statuses.take(&ticket.id);
                }
                self.attempt(post, post.body.clone().into()).await
            }
            Err(why) => Err(failure.and(&format!("; nor is it a server of the older HTTP+SSE: {why}"))),
        }
    }

    async fn attempt(self: &Arc<Self>, post: &Post, body: reqwest::Body) -> Result<Done, Failure> {
        let sending = self.client.post(self.target()).headers(post.headers.clone());
        let sent = sending.body(body).send().await;
        let response = sent.map_err(|error| self.unreachable(error))?;
        let is_answer_here = self.session().endpoint.is_none();
        for ticket in post.tickets.iter().filter(|_| is_answer_here) {
            self.statuses.note(&ticket.id, response.status().as_u16());
        }
        if !response.status().is_success() {
            return self.refused(post, response).await;
        }
        if self.session().endpoint.is_some() {
            some_of_body(response, MAX_REFUSAL_BYTES).await;
            return Ok(Done::Elsewhere);
        }
        if post.is_handshake {
            let id = response.headers().get(SESSION_ID).cloned();
            self.session().id = id;
        }
        let is_unnamed = !response.headers().contains_key(header::CONTENT_TYPE);
        match BodyKind::of_fields(response.headers()) {
            BodyKind::Events => self.follow(post, response).await?,
            kind if kind.is_json() || is_unnamed => self.document(post, response).await?,
            _ => self.no_messages(post, response).await?,
        }
        Ok(Done::Here)
    }

    /// An answer that is a document; what a server says to a notification need not be a message.
    async fn document(&self, post: &Post, response: Response) -> Result<(), Failure> {
        let mut held = self.room.hold();
        let body = whole_body(response, self.max_bytes, &mut held).await?;
        if !post.tickets.is_empty() || scan(&body).is_json_rpc() {
            self.deliver(&body, held).await;
        }
        Ok(())
    }

    /// A success without messages, which is right for what expects no answer.
    async fn no_messages(&self, post: &Post, response: Response) -> Result<(), Failure> {
        let media_type = response.headers().get(header::CONTENT_TYPE).cloned();
        let body = some_of_body(response, MAX_REFUSAL_BYTES).await;
        match media_type {
            Some(media_type) if !post.tickets.is_empty() && !body.is_empty() => {
                let text = format!("{} answered with {media_type:?}, which is no MCP", self.place());
                Err(Failure::new("not_mcp", text))
            }
            _ => Ok(()),
        }
    }

    /// A status that is no success: an answer of the server's passes, all else is a failure.
    async fn refused(&self, post: &Post, response: Response) -> Result<Done, Failure> {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = some_of_body(response, MAX_REFUSAL_BYTES).await;
        let is_answered = self.pass_refusal(post, &body).await;
        let failure = Failure::refused(&self.place(), self.via.as_ref(), status, &headers, &body);
        if status == StatusCode::NOT_FOUND && post.headers.contains_key(SESSION_ID) {
            let text = format!("the session is gone: {}", failure.text);
            self.lose(&text);
            return Err(Failure::session_lost(text));
        }
        if is_answered { Ok(Done::Here) } else { Err(failure) }
    }

    /// Passes on an error that is the answer to the message. In the modern era it may lack the id, and says things
    /// that a client has to know, such as the revisions that a server speaks.
    async fn pass_refusal(&self, post: &Post, body: &[u8]) -> bool {
        let scan = scan(body);
        let is_answer = |message: &&Envelope| {
            message.kind == MessageKind::Error
                || (message.kind == MessageKind::Result && self.statuses.are_kept())
        };
        let Some(message) = scan.single().filter(is_answer) else {
            return false;
        };
        let id = message.id.as_ref().filter(|id| !id.is_null());
        if let Some(id) = id {
            let is_ours = post.tickets.iter().any(|ticket| ticket.id == *id);
            if is_ours {
                self.deliver(body, self.room.hold()).await;
            }
            return is_ours;
        }
        let (true, [ticket], Some(error)) = (
            post.is_modern,
            post.tickets.as_slice(),
            find_path(body, &[PathStep::Key("error")]),
        ) else {
            return false;
        };
        let Some(request) = self.pending.take(ticket) else {
            return false;
        };
        self.say(Line::new(with_id(&request.raw_id, error), None)).await;
        true
    }

    /// Whether nothing of a message waits any more.
    pub(super) fn is_settled(&self, tickets: &[Ticket]) -> bool {
        !tickets.iter().any(|ticket| self.pending.has(ticket))
    }

    /// Answers what the server did not.
    async fn conclude(&self, post: &Post, outcome: Result<Done, Failure>) {
        let failure = match outcome {
            Ok(Done::Elsewhere) => return,
            Ok(Done::Here) => Failure::no_answer(&self.place()),
            Err(failure) => {
                if post.tickets.is_empty() {
                    self.note(format!("{} was not taken: {}", post.what, failure.text));
                }
                failure
            }
        };
        if self.lost.is_cancelled() {
            // All that waits is answered at the end, with the reason.
            return;
        }
        for ticket in &post.tickets {
            if let Some(request) = self.pending.take(ticket) {
                self.say(Line::new(failure.line(&request.raw_id), None)).await;
            }
        }
    }

    /// Passes a document on to the client, as one line, and notes what it answers.
    pub(super) async fn deliver(&self, document: &[u8], held: Held) {
        let line = one_line(document);
        let scan = scan(&line);
        match scan.shape {
            Shape::Empty => return,
            Shape::NotJson => {
                self.note(format!("{} sent something that is no message", self.place()));
                return;
            }
            Shape::Single | Shape::Batch | Shape::Cut | Shape::Broken => {}
        }
        let is_answer =
            |message: &&Envelope| matches!(message.kind, MessageKind::Result | MessageKind::Error);
        let answers = scan.messages.iter().filter(is_answer);
        for answer in answers.clone() {
            if let Some(id) = &answer.id {
                self.pending
                    .with(id, |request| self.learn(request, answer, &line));
            }
        }
        self.say(Line::new(line, Some(held))).await;
        for id in answers.filter_map(|answer| answer.id.as_ref()) {
            self.pending.settle(id);
        }
    }

    /// Takes from an answer what later requests need.
    fn learn(&self, request: &Request, answer: &Envelope, line: &[u8]) {
        if answer.kind != MessageKind::Result {
            return;
        }
        match &*request.method {
            "initialize" if !request.is_modern => {
                self.session()
                    .agree(answer.fields.get(Field::ResultProtocolVersion));
            }
            "tools/list" => self.session().mirror.learn(line, request.is_first_page),
            _ => {}
        }
    }

    async fn follow(self: &Arc<Self>, post: &Post, response: Response) -> Result<(), Failure> {
        let mut cursor = Cursor::default();
        let mut response = response;
        loop {
            let end = self.read_events(response, &mut cursor, Some(&post.tickets)).await;
            if self.is_settled(&post.tickets) {
                return Ok(());
            }
            if post.is_modern || !cursor.can_resume() {
                return end.and(Err(Failure::no_answer(&self.place())));
            }
            response = self.resume(&mut cursor).await?;
        }
    }
}

/// Whether a server that fails like this may be one of the transport HTTP+SSE.
///
/// Source: MCP 2025-03-26 and later, Transports, "Backwards compatibility".
fn invites_older_transport(failure: &Failure) -> bool {
    matches!(
        failure.status.map(|status| status.as_u16()),
        Some(400 | 404 | 405)
    )
}
