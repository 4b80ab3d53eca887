//! Answers of a bridge: told and recorded like those of any server, with the fields that browsers want.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};

use crate::resource::meters::Share;
use crate::snapshot::{Direction, EndKind};
use crate::transport::answer::{MARKER, RPC_CODE, make_stream};
use crate::transport::body::ReplyBody;
use crate::transport::exchange::{Exchange, ResponseHead};
use crate::transport::held;
use crate::transport::hub::Hub;
use crate::transport::observed::response_fields;
use crate::transport::reader::{BodyKind, BodyReader};
use crate::transport::relay::Relay;
use crate::transport::relay::source::{MadeBody, Source};
use crate::transport::watchers::Outbox;

use super::body::Whole;
use super::routing::error_text;
use super::server::BridgeServer;

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE");
const EXPOSED: HeaderValue = HeaderValue::from_static("Mcp-Session-Id, WWW-Authenticate");
const ALLOWED_FIELDS: &str = "content-type, accept, authorization, mcp-session-id, mcp-protocol-version, mcp-method, mcp-name, last-event-id";

/// One request to a bridge, while it is served.
pub(super) struct Visit<'a> {
    pub(super) hub: &'a Arc<Hub>,
    pub(super) server: &'a Arc<BridgeServer>,
    pub(super) exchange: &'a Arc<Exchange>,
    pub(super) headers: &'a HeaderMap,
    pub(super) version: Version,
    /// Who asks, in words.
    pub(super) client: Arc<str>,
}

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// A word for programs.
    pub(super) reason: &'static str,
    /// JSON-RPC code.
    pub(super) code: i64,
    /// What was tried, what happened, what to do.
    pub(super) text: String,
    /// The id of the request, as spelled.
    pub(super) id: Option<String>,
    /// Methods that would be served.
    pub(super) allow: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: &'static str, text: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            code: RPC_CODE,
            text: text.into(),
            id: None,
            allow: None,
        }
    }

    pub(super) fn with_code(mut self, code: i64) -> Self {
        self.code = code;
        self
    }

    pub(super) fn with_id(mut self, id: Option<String>) -> Self {
        self.id = id;
        self
    }

    pub(super) fn allowing(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }
}

impl Visit<'_> {
    /// A field of the request as text; `None` if it is missing or no text.
    pub(super) fn field(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    }

    /// The fields of every answer.
    pub(super) fn fields(&self) -> HeaderMap {
        let mut fields = HeaderMap::new();
        if let Some(origin) = self.headers.get(header::ORIGIN) {
            fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            fields.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
            fields.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
        fields
    }

    /// An answer without a body.
    pub(super) async fn empty(&self, status: StatusCode) -> Response<ReplyBody> {
        if self.exchange.is_owing() && status.is_success() {
            // Nothing but what was answered here.
            return self.json(StatusCode::OK, None, Bytes::new()).await;
        }
        self.bare(status, self.fields()).await
    }

    /// The answer to OPTIONS: what a browser may send here (Fetch, "CORS protocol"), or just the methods.
    pub(super) async fn preflight(&self) -> Response<ReplyBody> {
        let mut fields = self.fields();
        if self.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            fields.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            fields.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, self.allowed_fields());
            fields.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        } else {
            fields.insert(header::ALLOW, METHODS);
        }
        self.bare(StatusCode::NO_CONTENT, fields).await
    }

    fn allowed_fields(&self) -> HeaderValue {
        let asked = self
            .field(header::ACCESS_CONTROL_REQUEST_HEADERS)
            .unwrap_or_default();
        let parameters = asked.split(',').map(|name| name.trim().to_ascii_lowercase());
        let mut names = ALLOWED_FIELDS.to_owned();
        for name in parameters.filter(|name| name.starts_with("mcp-param-")) {
            names.push_str(", ");
            names.push_str(&name);
        }
        HeaderValue::from_str(&names).unwrap_or(HeaderValue::from_static(ALLOWED_FIELDS))
    }

    async fn bare(&self, status: StatusCode, fields: HeaderMap) -> Response<ReplyBody> {
        self.tell_head(status, &fields, false, false).await;
        self.exchange
            .end_direction(Direction::ServerToClient, EndKind::Complete);
        response(self.version, status, fields, ReplyBody::Own(Some(Bytes::new())))
    }

    /// One JSON document.
    pub(super) async fn json(
        &self,
        status: StatusCode,
        session: Option<&str>,
        text: Bytes,
    ) -> Response<ReplyBody> {
        let fields = with_session(self.fields(), session);
        self.document(status, fields, text, false).await
    }

    async fn document(
        &self,
        status: StatusCode,
        mut fields: HeaderMap,
        text: Bytes,
        is_ours: bool,
    ) -> Response<ReplyBody> {
        fields.insert(header::CONTENT_TYPE, JSON);
        fields.insert(header::CONTENT_LENGTH, text.len().into());
        let outbox = self.tell_head(status, &fields, is_ours, false).await;
        let relay = self.relay(&fields, Box::new(Whole(Some(text))), outbox);
        let mut status = status;
        let relay = if is_ours {
            relay
        } else {
            held::response(self.exchange, relay, &mut status, &mut fields).await
        };
        response(self.version, status, fields, ReplyBody::Relay(Box::new(relay)))
    }

    /// An event stream.
    pub(super) async fn events(&self, session: Option<&str>, body: Box<dyn MadeBody>) -> Response<ReplyBody> {
        let mut fields = with_session(self.fields(), session);
        make_stream(&mut fields);
        let outbox = self.tell_head(StatusCode::OK, &fields, false, true).await;
        let relay = self.relay(&fields, body, outbox);
        let mut status = StatusCode::OK;
        let relay = held::response(self.exchange, relay, &mut status, &mut fields).await;
        response(self.version, status, fields, ReplyBody::Relay(Box::new(relay)))
    }

    /// An error of our own.
    pub(super) async fn refuse(&self, refusal: &Refusal) -> Response<ReplyBody> {
        self.exchange.fail(refusal.text.clone());
        let mut fields = self.fields();
        fields.insert(MARKER, HeaderValue::from_static(refusal.reason));
        if let Some(methods) = refusal.allow {
            fields.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        if refusal.status == StatusCode::SERVICE_UNAVAILABLE {
            fields.insert(header::RETRY_AFTER, 1.into());
        }
        self.exchange
            .answer_ourselves(refusal.status.as_u16(), EndKind::Complete);
        let text = error_text(refusal.id.as_deref(), refusal.code, &refusal.text, refusal.reason);
        self.document(refusal.status, fields, text.into(), true).await
    }

    /// The answer of ours that stands in for the server's to a request under way.
    pub(super) async fn failed(&self, text: Bytes) -> Response<ReplyBody> {
        let status = StatusCode::BAD_GATEWAY;
        let mut fields = self.fields();
        fields.insert(MARKER, HeaderValue::from_static("bridge"));
        self.exchange
            .fail("the server ended before it answered".to_owned());
        self.exchange.answer_ourselves(status.as_u16(), EndKind::Complete);
        self.document(status, fields, text, true).await
    }

    async fn tell_head(
        &self,
        status: StatusCode,
        fields: &HeaderMap,
        is_ours: bool,
        is_stream: bool,
    ) -> Outbox {
        let mut outbox = Outbox::new(Arc::clone(&self.hub.watchers));
        let head = ResponseHead {
            status: status.as_u16(),
            head: response_fields(self.version, status, fields),
            headers: fields,
            is_ours,
            is_stream,
            rewrites: Vec::new(),
            sent: None,
        };
        self.exchange.begin_response(head, &mut outbox);
        outbox.flush().await;
        self.exchange
            .time(|timing| timing.handed_on = Some(self.hub.clock.now()));
        outbox
    }

    fn relay(&self, fields: &HeaderMap, body: Box<dyn MadeBody>, outbox: Outbox) -> Relay {
        let lease = self.hub.buffers.lease(Share::Stdio);
        let reader = BodyReader::new(BodyKind::of_fields(fields), None, &self.hub.limits, lease);
        let exchange = Arc::clone(self.exchange);
        Relay::new(
            exchange,
            Direction::ServerToClient,
            Source::Made(body),
            reader,
            outbox,
        )
    }
}

fn with_session(mut fields: HeaderMap, session: Option<&str>) -> HeaderMap {
    if let Some(id) = session.and_then(|id| HeaderValue::from_str(id).ok()) {
        fields.insert(SESSION_ID, id);
    }
    fields
}

fn response(version: Version, status: StatusCode, fields: HeaderMap, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.version_mut() = version;
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    response
}
