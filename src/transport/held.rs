//! Requests and responses where rules are armed: what becomes of each before its head goes on.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::intercept::edit::STATUS_FIELD;
use crate::session::observation::{Event, RewrittenObserved};
use crate::snapshot::{Direction, EndKind};

use super::body::ReplyBody;
use super::change;
use super::early;
use super::exchange::Exchange;
use super::headers;
use super::lane::{Form, Outcome, Reply, as_batch};
use super::own::tell_own;
use super::reader::BodyKind;
use super::relay::Relay;
use super::serve::ClientConnection;
use super::stead::Way;
use super::watchers::Outbox;

/// Why a client does not get what was answered here.
const UNJOINED: &str = "entries of the batch were answered here, and this is no answer that those could go with: its client does not get them";

/// What becomes of a request.
pub(super) enum Fate {
    /// It goes on.
    Onward(Box<Relay>),
    /// It was answered here.
    Answered(Response<ReplyBody>),
}

/// How far a request is that rules were asked about.
enum Progress {
    /// It is known what becomes of it.
    Decided(Fate),
    /// It is held, and its client is to get an event stream meanwhile.
    Early(Box<Relay>),
}

/// Asks the rules about a request, waits for what is held of it, and corrects the fields of its head; `meet` answers it then.
/// Where a rule wants that, the client gets an event stream before. Notes the way it came where a request of the server
/// may have to be answered that way.
///
/// # Cancel safety
/// Dropped when the client goes away: what is held ends as orphaned.
pub(super) async fn request<F>(
    connection: &ClientConnection,
    exchange: &Arc<Exchange>,
    relay: Relay,
    mut parts: Parts,
    meet: impl FnOnce(Parts, Fate) -> F + Send + 'static,
) -> Response<ReplyBody>
where
    F: Future<Output = Response<ReplyBody>> + Send + 'static,
{
    let mut relay = match progress(connection, exchange, relay, &mut parts).await {
        Progress::Decided(fate) => return meet(parts, fate).await,
        Progress::Early(relay) => relay,
    };
    let waiting = Arc::clone(exchange);
    early::begin(exchange, relay.early_report(), move |is_held| async move {
        let outcome = relay.decided().await;
        let fate = carried_out(&waiting, *relay, outcome, &mut parts).await;
        is_held.end();
        meet(parts, fate).await
    })
}

async fn progress(
    connection: &ClientConnection,
    exchange: &Arc<Exchange>,
    relay: Relay,
    parts: &mut Parts,
) -> Progress {
    let asks_rules = exchange.asks_rules();
    // On a stream that was asked for with GET, rules may be armed long after it has begun.
    // What the server asks about a copy is answered from here.
    if asks_rules || parts.method == Method::GET || exchange.is_repeat() {
        exchange.came(Way::of(connection, parts));
    }
    if !asks_rules {
        return Progress::Decided(Fate::Onward(Box::new(relay)));
    }
    let mut relay = relay.with_rules(Form::Document);
    let may_be_early = parts.method == Method::POST && early::is_accepted(&parts.headers);
    let outcome = match relay.decided_or_early().await {
        Some(outcome) => outcome,
        None if may_be_early && !exchange.is_answered_elsewhere() => return Progress::Early(Box::new(relay)),
        None => relay.decided().await,
    };
    Progress::Decided(carried_out(exchange, relay, outcome, parts).await)
}

async fn carried_out(exchange: &Arc<Exchange>, relay: Relay, outcome: Outcome, parts: &mut Parts) -> Fate {
    if outcome.is_silent {
        // Nobody hears of it any more; its client leaves when it has waited enough.
        return std::future::pending().await;
    }
    if let Some(reply) = outcome.reply {
        return Fate::Answered(answer(exchange, &reply).await);
    }
    if outcome.is_closed {
        exchange.answer_ourselves(0, EndKind::CutByProxy);
        return Fate::Answered(closed());
    }
    if !outcome.joins.is_empty() && !exchange.says_in_stream(&as_batch(&outcome.joins)) {
        exchange.owe(outcome.joins.clone());
    }
    apply(&relay, &outcome, &mut parts.headers);
    tell_fields(exchange, Direction::ClientToServer, &outcome);
    Fate::Onward(Box::new(relay))
}

/// Asks the rules about a response. Waits for what is held of a document; an event stream goes on at once.
///
/// # Cancel safety
/// As [`request`].
pub(super) async fn response(
    exchange: &Arc<Exchange>,
    relay: Relay,
    status: &mut StatusCode,
    fields: &mut HeaderMap,
) -> Relay {
    let owed = exchange.take_owed();
    let relay = if owed.is_empty() {
        relay
    } else {
        return joined(exchange, relay, owed, status, fields).await;
    };
    let is_repeat = exchange.is_repeat() && BodyKind::of_fields(fields) == BodyKind::Events;
    if !exchange.asks_rules() && !is_repeat {
        return relay;
    }
    if BodyKind::of_fields(fields) == BodyKind::Events {
        if change::is_encoded(fields) {
            let mut relay = relay;
            relay.warn("its events come compressed, so that none of them can be held");
            return relay;
        }
        return relay.with_rules(Form::Events);
    }
    exchange.keep_response_head(*status, fields);
    let relay = relay.with_rules(Form::Document);
    document(exchange, relay, status, fields).await
}

/// As [`response`], and brings our answers to some entries of a batch with the server's answer to the rest.
///
/// Source: MCP 2025-03-26, Transports: one JSON array, or several events; a status counts for the whole POST.
async fn joined(
    exchange: &Arc<Exchange>,
    mut relay: Relay,
    owed: Vec<Bytes>,
    status: &mut StatusCode,
    fields: &mut HeaderMap,
) -> Relay {
    let is_stream = BodyKind::of_fields(fields) == BodyKind::Events;
    if !status.is_success() || is_stream && change::is_encoded(fields) {
        relay.warn(UNJOINED);
        return relay;
    }
    tell_joined(exchange, owed.len());
    if is_stream {
        let relay = relay.saying(&as_batch(&owed));
        return if exchange.asks_rules() {
            relay.with_rules(Form::Events)
        } else {
            relay
        };
    }
    let mut relay = document(
        exchange,
        relay.with_rules_joining(Form::Document, owed),
        status,
        fields,
    )
    .await;
    if relay.has_unjoined() {
        relay.warn(UNJOINED);
    }
    relay
}

/// Waits for what is held of a document.
async fn document(
    exchange: &Arc<Exchange>,
    mut relay: Relay,
    status: &mut StatusCode,
    fields: &mut HeaderMap,
) -> Relay {
    let outcome = relay.decided().await;
    if outcome.is_silent {
        return std::future::pending().await;
    }
    let by_hand = outcome.fields.iter().find(|(name, _)| name == STATUS_FIELD);
    let by_hand = by_hand.and_then(|(_, code)| code.as_deref()?.parse().ok());
    let code = by_hand.or(outcome.status);
    if let Some(code) = code.and_then(|code| StatusCode::from_u16(code).ok()) {
        *status = code;
    }
    apply(&relay, &outcome, fields);
    tell_fields(exchange, Direction::ServerToClient, &outcome);
    relay
}

/// Makes the head fit what goes on.
fn apply(relay: &Relay, outcome: &Outcome, fields: &mut HeaderMap) {
    if outcome.is_changed {
        *fields = headers::without(std::mem::take(fields), &change::ABOUT_BYTES);
        fields.remove(header::CONTENT_ENCODING);
        if fields.contains_key(header::CONTENT_LENGTH)
            && let Some(length) = relay.exact_length()
        {
            fields.insert(header::CONTENT_LENGTH, length.into());
        }
    }
    for (name, value) in &outcome.fields {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            continue;
        };
        match value.as_ref().map(|value| HeaderValue::from_str(value)) {
            Some(Ok(value)) => drop(fields.insert(name, value)),
            Some(Err(_)) => {}
            None => drop(fields.remove(name)),
        }
    }
}

/// Tells which fields of a head are other ones than came. Their values may be secrets, so that only names are told.
fn tell_fields(exchange: &Exchange, direction: Direction, outcome: &Outcome) {
    if outcome.fields.is_empty() {
        return;
    }
    let lines = outcome.fields.iter().map(|(name, value)| match value {
        Some(_) => format!("header {name} set"),
        None => format!("header {name} taken out"),
    });
    exchange.tell_now(Event::Rewritten(Box::new(RewrittenObserved {
        exchange: exchange.id,
        session: exchange.session().map(|session| session.id),
        direction,
        rewrites: lines.collect(),
        sent: None,
        findings: Vec::new(),
    })));
}

/// Gives the client an answer in the place of its server's.
async fn answer(exchange: &Arc<Exchange>, reply: &Reply) -> Response<ReplyBody> {
    let accepted = Reply::of_status(202);
    let is_said = reply.status == 200 && exchange.says_in_stream(&reply.body);
    let reply = if is_said { &accepted } else { reply };
    let mut response = Response::new(ReplyBody::Own(Some(reply.body.clone())));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    if !reply.body.is_empty() {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
    }
    let mut outbox = Outbox::new(Arc::clone(&exchange.hub.watchers));
    tell_own(exchange, &response, Vec::new(), &mut outbox);
    exchange.end_direction(Direction::ServerToClient, EndKind::Complete);
    outbox.flush().await;
    response
}

fn tell_joined(exchange: &Exchange, count: usize) {
    exchange.tell_now(Event::Rewritten(Box::new(RewrittenObserved {
        exchange: exchange.id,
        session: exchange.session().map(|session| session.id),
        direction: Direction::ServerToClient,
        rewrites: vec![format!("answers to entries of the batch joined: {count}")],
        sent: None,
        findings: Vec::new(),
    })));
}

/// A response that breaks off before its first byte.
fn closed() -> Response<ReplyBody> {
    Response::new(ReplyBody::Broken)
}
