//! What heads of requests repeat of their bodies, and how the recorded server minded it.
//!
//! Source: MCP 2026-07-28, Transports, "Standard Request Headers" and "Custom headers from tool parameters".

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::codec::envelope::{Envelope, Field, MessageKind};
use crate::mcp::tool_headers::ToolHeaders;
use crate::replay::tape::{TapeCall, TapeExchange, TapeSession};
use crate::transport::bridge::agreement::{Disagreement, called_tool, check, check_params};

/// What was learned of it from a recording.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// Arguments that the recorded lists of tools want in headers.
    tools: ToolHeaders,
    /// The recorded server answered a request whose head contradicted its body.
    takes_any: bool,
}

impl Heads {
    /// Learns from a recorded request of 2026-07-28 or later.
    pub(super) fn learn(&mut self, session: &TapeSession, call: &TapeCall) {
        let request = &session.messages[call.request];
        let answer = call.answer.map(|answer| &session.messages[answer]);
        let result = answer.filter(|answer| answer.envelope.kind == MessageKind::Result);
        if &*call.method == "tools/list"
            && let Some(result) = result
        {
            let is_first_page = request.envelope.fields.get(Field::ParamsCursor).is_none();
            self.tools.learn(&result.text, is_first_page);
        }
        let exchange = session.exchange_of(request);
        // A stream without an answer was one all the same.
        let is_taken = result.is_some() || (answer.is_none() && exchange.is_stream());
        if exchange.method == "POST" && is_taken {
            let head = recorded_head(exchange);
            self.takes_any |= check(&head, &request.text, &request.envelope).is_err();
        }
    }

    /// What the head of a live request says otherwise than its body; `None` if the recorded server did not mind.
    pub(super) fn contradiction(
        &self,
        headers: &HeaderMap,
        text: &[u8],
        message: &Envelope,
    ) -> Option<Disagreement> {
        if self.takes_any {
            return None;
        }
        check(headers, text, message).err().or_else(|| {
            let repeated = self.tools.of(called_tool(message)?)?;
            check_params(headers, text, &repeated).err()
        })
    }
}

fn recorded_head(exchange: &TapeExchange) -> HeaderMap {
    let fields = exchange.request_head.fields.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    });
    let mut head = HeaderMap::new();
    for (name, value) in fields {
        head.append(name, value);
    }
    head
}
