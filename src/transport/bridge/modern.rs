//! Clients without sessions: all of them share one program, which is started for the first and again after its end.
//!
//! Source: MCP 2026-07-28, Transports, "Streamable HTTP".

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::codec::envelope::{Field, MessageKind, scan};
use crate::mcp::era::{self, FIRST_MODERN_REVISION};
use crate::mcp::tool_headers::ToolHeaders;
use crate::resource::meters::Share;
use crate::snapshot::Era;
use crate::transport::body::ReplyBody;

use super::accept::Accepted;
use super::agreement;
use super::body::{Events, event};
use super::child_link::{Launch, start};
use super::desk::{Desk, Seat};
use super::legacy::{QUICK, names_session, not_started};
use super::modern_router::{Begun, ModernRouter};
use super::posted::{INVALID_REQUEST, Posted};
use super::reply::{Refusal, Visit};
use super::routing::{Routing as _, is_answer};
use super::spool::Next;

/// How long a program may take to say which era it speaks. The first start of a package may have to fetch it.
const PROBE: Duration = Duration::from_secs(30);
/// How long a program is taken for one of the legacy era before it is asked again.
const REMEMBERED: Duration = Duration::from_mins(1);

/// The program that clients of this era share.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    desk: Option<Arc<Desk<ModernRouter>>>,
    /// It has spoken this era before.
    is_modern: bool,
    /// Until when it is taken for one that does not.
    is_legacy_until: Option<Instant>,
}

/// Whether a POST is of this era: by its body, by its session, by its header, in this order.
///
/// Source: MCP 2026-07-28, Transports, "Protocol Version Header": the body is the truth, the header mirrors it.
pub(super) fn is_modern(visit: &Visit<'_>, posted: &Posted) -> bool {
    if posted.messages().iter().any(era::is_legacy_handshake) {
        return false;
    }
    let first = posted.messages().first();
    if let Some(first) = first.filter(|first| era::stated_revision(first).is_some()) {
        return era::is_modern(first);
    }
    states_revision(visit)
}

/// Whether the head alone speaks for this era.
pub(super) fn states_revision(visit: &Visit<'_>) -> bool {
    let revision = visit.field("mcp-protocol-version");
    !names_session(visit) && revision.and_then(era::of_revision) == Some(Era::Modern)
}

/// The answer to a GET or DELETE of this era, which has neither.
pub(super) fn only_post() -> Refusal {
    let text = format!(
        "Revision {FIRST_MODERN_REVISION} has neither sessions nor a stream for GET; it uses POST only."
    );
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", text).allowing("POST")
}

/// Serves a POST.
pub(super) async fn post(visit: &Visit<'_>, posted: Posted) -> Result<Response<ReplyBody>, Refusal> {
    let id = posted.request_id();
    let served = serve(visit, posted).await;
    served.map_err(|refusal| refusal.with_id(id))
}

async fn serve(visit: &Visit<'_>, posted: Posted) -> Result<Response<ReplyBody>, Refusal> {
    let accepted = Accepted::of(visit.headers);
    check(visit, &posted, accepted)?;
    let desk = obtain(visit).await?;
    check_params(visit, &posted, &desk)?;
    if !posted.has_requests() {
        return notify(visit, &desk, posted).await;
    }
    let message = posted.messages().first();
    let begun = message.and_then(|message| desk.router().begin(&posted.line, message));
    let Begun { lane, reader, line } = begun.ok_or_else(|| gone(&desk))?;
    let seat = desk.seat(lane, reader);
    let link = desk.link().ok_or_else(|| gone(&desk))?;
    link.send(line, posted.lease).await.map_err(|_| gone(&desk))?;
    desk.router().sent(lane);
    answer(visit, &desk, seat, accepted).await
}

fn check(visit: &Visit<'_>, posted: &Posted, accepted: Accepted) -> Result<(), Refusal> {
    if accepted.is_nothing() {
        let text = "The client accepts neither application/json nor text/event-stream; name both in Accept.";
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", text));
    }
    if posted.is_batch() || posted.messages().iter().any(is_answer) {
        let text = "A body of this revision is one request or one notification.";
        return Err(bad((INVALID_REQUEST, text.to_owned())));
    }
    let Some(message) = posted.messages().first() else {
        return Ok(());
    };
    agreement::check(visit.headers, &posted.line, message).map_err(bad)
}

fn bad((code, text): (i64, String)) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "invalid_request", text).with_code(code)
}

/// Checks the headers that repeat arguments, as far as a list of tools has passed that says which those are.
fn check_params(visit: &Visit<'_>, posted: &Posted, desk: &Desk<ModernRouter>) -> Result<(), Refusal> {
    let tool = posted.messages().first().and_then(agreement::called_tool);
    let repeated = tool.and_then(|tool| desk.router().repeated(tool));
    let Some(repeated) = repeated else { return Ok(()) };
    agreement::check_params(visit.headers, &posted.line, &repeated).map_err(bad)
}

/// Passes a notification on. A cancellation names an id that only its client knows: closing the stream is what cancels.
async fn notify(
    visit: &Visit<'_>,
    desk: &Desk<ModernRouter>,
    posted: Posted,
) -> Result<Response<ReplyBody>, Refusal> {
    let method = posted
        .messages()
        .first()
        .and_then(|message| message.method.as_deref());
    if method == Some("notifications/cancelled") {
        let text = "a client of the modern era posted a cancellation instead of closing its stream; it was not passed on";
        visit.server.tally.find(text);
    } else {
        let link = desk.link().ok_or_else(|| gone(desk))?;
        link.send(posted.line, posted.lease)
            .await
            .map_err(|_| gone(desk))?;
    }
    Ok(visit.empty(StatusCode::ACCEPTED).await)
}

fn gone(desk: &Desk<ModernRouter>) -> Refusal {
    let router = desk.router();
    let text = router
        .fate()
        .unwrap_or("The server does not read its input any more; it seems to be ending. Try again.");
    Refusal::new(StatusCode::BAD_GATEWAY, "bridge", text)
}

/// The program that is shared, started if there is none. It is asked once whether it speaks this era at all.
async fn obtain(visit: &Visit<'_>) -> Result<Arc<Desk<ModernRouter>>, Refusal> {
    let mut state = visit.server.shared.0.lock().await;
    if let Some(desk) = state.desk.as_ref().filter(|desk| !desk.router().is_over()) {
        return Ok(Arc::clone(desk));
    }
    if state.is_legacy_until.is_some_and(|until| Instant::now() < until) {
        return Err(legacy_only(visit));
    }
    // A program that is started anew is the same one to its clients, which do not list its tools again.
    let last = state.desk.as_ref().map(|desk| desk.router().tools());
    let trial = launch(visit, last.unwrap_or_default()).await?;
    if !state.is_modern {
        state.is_modern = speaks_modern(visit, &trial.desk).await;
        if !state.is_modern {
            state.is_legacy_until = Some(Instant::now() + REMEMBERED);
            return Err(legacy_only(visit));
        }
    }
    let desk = trial.keep();
    state.desk = Some(Arc::clone(&desk));
    Ok(desk)
}

/// A program that is on trial: it ends if it is not kept.
struct Trial {
    desk: Arc<Desk<ModernRouter>>,
    is_kept: bool,
}

impl Trial {
    fn keep(mut self) -> Arc<Desk<ModernRouter>> {
        self.is_kept = true;
        Arc::clone(&self.desk)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if !self.is_kept {
            self.desk.stop();
        }
    }
}

async fn launch(visit: &Visit<'_>, tools: ToolHeaders) -> Result<Trial, Refusal> {
    let desk = visit.desk(ModernRouter::new(visit.bounds(), tools));
    let launch = Launch {
        hub: visit.hub,
        server: visit.server,
        client: "all clients without a session".to_owned(),
        session: None,
    };
    let started = start(launch, &desk, || ()).await;
    started.map_err(|failure| not_started(visit, &failure))?;
    Ok(Trial { desk, is_kept: false })
}

/// Asks a program for its revisions. Some servers of the legacy era end at anything but `initialize`, others are silent:
/// all of that means no.
async fn speaks_modern(visit: &Visit<'_>, desk: &Arc<Desk<ModernRouter>>) -> bool {
    let version = env!("CARGO_PKG_VERSION");
    let asked = Bytes::from(format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":\"shadowcat-probe\",\"method\":\"server/discover\",\"params\":{{\"_meta\":{{\"io.modelcontextprotocol/protocolVersion\":\"{FIRST_MODERN_REVISION}\",\"io.modelcontextprotocol/clientCapabilities\":{{}},\"io.modelcontextprotocol/clientInfo\":{{\"name\":\"shadowcat-tui\",\"version\":\"{version}\"}}}}}}}}\n"
    ));
    let scanned = scan(&asked);
    let begun = scanned
        .messages
        .first()
        .and_then(|message| desk.router().begin(&asked, message));
    let (Some(begun), Some(link)) = (begun, desk.link()) else {
        return false;
    };
    let mut seat = desk.seat(begun.lane, begun.reader);
    if link
        .send(begun.line, visit.hub.buffers.lease(Share::Stdio))
        .await
        .is_err()
    {
        return false;
    }
    let answer = timeout(PROBE, seat.next()).await;
    matches!(answer, Ok(Next::Message { message, .. }) if is_modern_answer(&message.text))
}

/// A result, or an error that only this era has: it does speak it, if in another revision.
fn is_modern_answer(text: &[u8]) -> bool {
    scan(text).messages.first().is_some_and(|answer| {
        let code = answer
            .fields
            .get(Field::ErrorCode)
            .and_then(|code| code.parse().ok());
        answer.kind == MessageKind::Result || code.is_some_and(is_modern_code)
    })
}

fn is_modern_code(code: i64) -> bool {
    (-32_022..=-32_020).contains(&code)
}

/// Clients that speak both eras take a 400 without an error of this era for a sign to send `initialize`.
///
/// Source: MCP 2026-07-28, Basic, "Backward compatibility".
fn legacy_only(visit: &Visit<'_>) -> Refusal {
    let text = format!(
        "Server {} speaks only revisions with a handshake: it does not answer `server/discover`. Send `initialize`.",
        visit.server.label
    );
    Refusal::new(StatusCode::BAD_REQUEST, "legacy_only", text)
}

async fn answer(
    visit: &Visit<'_>,
    desk: &Desk<ModernRouter>,
    mut seat: Seat<ModernRouter>,
    accepted: Accepted,
) -> Result<Response<ReplyBody>, Refusal> {
    let patience = if accepted.json { QUICK } else { Duration::ZERO };
    let first = if accepted.events {
        timeout(patience, seat.next()).await.ok()
    } else {
        Some(last(&mut seat).await)
    };
    match first {
        Some(Next::Message {
            message,
            is_last: true,
            ..
        }) if accepted.json => {
            if message.is_ours {
                return Ok(visit.failed(message.text).await);
            }
            Ok(visit.json(status_of(&message.text), None, message.text).await)
        }
        Some(Next::Message { message, .. }) => {
            let body = Box::new(Events::new(seat, Some(event(&message, None)), false));
            Ok(visit.events(None, body).await)
        }
        Some(Next::End | Next::Taken) => Err(gone(desk)),
        None => Ok(visit.events(None, Box::new(Events::new(seat, None, false))).await),
    }
}

/// For a client that takes no streams: the answer, without what came before it.
async fn last(seat: &mut Seat<ModernRouter>) -> Next {
    loop {
        match seat.next().await {
            Next::Message { is_last: false, .. } => {}
            next => return next,
        }
    }
}

/// The status of a JSON answer.
///
/// Source: MCP 2026-07-28, Transports, "Streamable HTTP", error responses.
fn status_of(text: &[u8]) -> StatusCode {
    let scanned = scan(text);
    let code = scanned
        .messages
        .first()
        .and_then(|answer| answer.fields.get(Field::ErrorCode));
    match code.and_then(|code| code.parse::<i64>().ok()) {
        Some(-32_601) => StatusCode::NOT_FOUND,
        Some(code) if is_modern_code(code) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_protocol_have_their_status_and_results_have_200() {
        for (code, status) in [
            (-32_601, 404),
            (-32_020, 400),
            (-32_022, 400),
            (-32_602, 200),
            (1, 200),
        ] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":""}}}}"#);
            assert_eq!(status_of(text.as_bytes()), status);
        }
        assert_eq!(status_of(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#), 200);
    }

    #[test]
    fn a_result_or_an_error_of_the_era_shows_that_a_server_speaks_it() {
        assert!(is_modern_answer(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#));
        assert!(is_modern_answer(
            br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":""}}"#
        ));
        assert!(!is_modern_answer(
            br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":""}}"#
        ));
    }
}
