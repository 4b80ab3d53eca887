//! HTTP+SSE: one stream, and messages posted to the address in its first event.
//!
//! Source: MCP 2024-11-05, Transports, "HTTP with SSE".

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::super::body::{MockBody, Reading, whole};
use super::super::core::{Core, mint};
use super::super::plan::Request;
use super::{MESSAGES, Outcome, Posted, events, refused, words};
use crate::codec::envelope::MessageKind;
use crate::mcp::era;

/// Opens a session, which lasts as long as its stream.
pub(super) fn get(core: &Arc<Core>) -> Outcome {
    let id =
        mint().ok_or_else(|| words(StatusCode::SERVICE_UNAVAILABLE, "The system has no random bytes."))?;
    let session = core.open(Some(Arc::clone(&id)), false);
    let first = format!("event: endpoint\ndata: {MESSAGES}?sessionId={id}\n\n");
    let reading = Reading::new(Arc::clone(&session.own_lane), session.over.clone());
    let reading = reading.beginning_with(first.into()).ending(session.over.clone());
    Ok(events(reading.body()))
}

/// Takes messages; what is answered comes on the stream.
pub(super) fn post(core: &Arc<Core>, query: Option<&str>, posted: &Posted) -> Outcome {
    let mut pairs = query.unwrap_or_default().split('&');
    let id = pairs.find_map(|pair| pair.strip_prefix("sessionId="));
    let session = id
        .and_then(|id| core.session(id))
        .filter(|session| !session.over.is_cancelled());
    let Some(session) = session else {
        let text = format!(
            "There is no such session (any more): open {} first.",
            super::STREAM
        );
        return Err(refused(StatusCode::NOT_FOUND, None, "unknown_session", &text));
    };
    for (text, envelope) in posted.messages() {
        if envelope.kind == MessageKind::Request {
            let request = Request::new(text, envelope.clone(), era::is_modern(envelope));
            let plan = core.plan(&session, &request);
            core.perform(&session, request, plan, Arc::clone(&session.own_lane));
        } else {
            core.hear(&session, &text, envelope);
        }
    }
    let mut response: Response<MockBody> = Response::new(whole(Bytes::from_static(b"Accepted")));
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}
