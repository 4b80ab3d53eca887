//! The values that are taken out of a message beside its id and method.

use serde::{Deserialize, Serialize};

use super::slots::Node;
use crate::codec::fingerprint::Fingerprint;
use crate::codec::rpc_id::RpcId;

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: $node:ident, $path:literal;)*) => {
        /// A place in a message whose value is captured.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Field {
            $(#[doc = concat!("`", $path, "`")] $(#[$doc])* $name,)*
        }

        impl Field {
            /// Every field, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The path inside the message, keys joined with dots.
            pub fn path(self) -> &'static str {
                match self { $(Self::$name => $path,)* }
            }

            /// The object that holds it.
            pub(super) fn node(self) -> Node {
                match self { $(Self::$name => Node::$node,)* }
            }
        }
    };
}

fields! {
    ParamsName: Params, "params.name";
    ParamsUri: Params, "params.uri";
    ParamsTaskId: Params, "params.taskId";
    ParamsProtocolVersion: Params, "params.protocolVersion";
    /// (an id)
    ParamsProgressToken: Params, "params.progressToken";
    ParamsProgress: Params, "params.progress";
    ParamsTotal: Params, "params.total";
    ParamsMessage: Params, "params.message";
    /// (an id)
    ParamsRequestId: Params, "params.requestId";
    ParamsLevel: Params, "params.level";
    ParamsCursor: Params, "params.cursor";
    ParamsReason: Params, "params.reason";
    ParamsMode: Params, "params.mode";
    ParamsElicitationId: Params, "params.elicitationId";
    /// (a fingerprint)
    ParamsRequestState: Params, "params.requestState";
    ParamsClientName: ParamsClientInfo, "params.clientInfo.name";
    ParamsClientVersion: ParamsClientInfo, "params.clientInfo.version";
    ParamsRefName: ParamsRef, "params.ref.name";
    ParamsRefUri: ParamsRef, "params.ref.uri";
    /// (an id)
    MetaProgressToken: ParamsMeta, "params._meta.progressToken";
    MetaProtocolVersion: ParamsMeta, "params._meta.io.modelcontextprotocol/protocolVersion";
    MetaClientName: MetaClientInfo, "params._meta.io.modelcontextprotocol/clientInfo.name";
    MetaClientVersion: MetaClientInfo, "params._meta.io.modelcontextprotocol/clientInfo.version";
    /// (an id)
    MetaSubscriptionId: ParamsMeta, "params._meta.io.modelcontextprotocol/subscriptionId";
    MetaLogLevel: ParamsMeta, "params._meta.io.modelcontextprotocol/logLevel";
    MetaTraceparent: ParamsMeta, "params._meta.traceparent";
    ResultProtocolVersion: Result, "result.protocolVersion";
    ResultIsError: Result, "result.isError";
    ResultType: Result, "result.resultType";
    ResultTaskId: Result, "result.taskId";
    ResultTaskTaskId: ResultTask, "result.task.taskId";
    ResultNextCursor: Result, "result.nextCursor";
    /// (a fingerprint)
    ResultRequestState: Result, "result.requestState";
    ResultServerName: ResultServerInfo, "result.serverInfo.name";
    ResultServerVersion: ResultServerInfo, "result.serverInfo.version";
    ResultMetaServerName: MetaServerInfo, "result._meta.io.modelcontextprotocol/serverInfo.name";
    ResultMetaServerVersion: MetaServerInfo, "result._meta.io.modelcontextprotocol/serverInfo.version";
    ErrorCode: Error, "error.code";
    ErrorMessage: Error, "error.message";
}

/// A captured value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldValue {
    /// A string, decoded and capped at [`super::MAX_FIELD_BYTES`]; a number, `true` or `false` as spelled. A `null` is
    /// not captured.
    Text(Box<str>),
    /// An id or a token, typed.
    Id(RpcId),
    /// An opaque value that is only compared.
    Fingerprint(Fingerprint),
}

/// The values captured from one message; usually none to four of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeFields {
    values: Vec<(Field, FieldValue)>,
    has_input_requests: bool,
    has_input_responses: bool,
}

impl EnvelopeFields {
    /// The text of a field: a decoded string, or a scalar as it was spelled. `None` for ids and fingerprints.
    pub fn get(&self, field: Field) -> Option<&str> {
        match self.value(field)? {
            FieldValue::Text(text) => Some(text),
            FieldValue::Id(_) | FieldValue::Fingerprint(_) => None,
        }
    }

    /// The id or token in a field.
    pub fn id(&self, field: Field) -> Option<&RpcId> {
        match self.value(field)? {
            FieldValue::Id(id) => Some(id),
            FieldValue::Text(_) | FieldValue::Fingerprint(_) => None,
        }
    }

    /// The fingerprint of a field that is only compared.
    pub fn fingerprint(&self, field: Field) -> Option<Fingerprint> {
        match self.value(field)? {
            FieldValue::Fingerprint(fingerprint) => Some(*fingerprint),
            FieldValue::Text(_) | FieldValue::Id(_) => None,
        }
    }

    /// The value of a field.
    pub fn value(&self, field: Field) -> Option<&FieldValue> {
        self.values
            .iter()
            .find(|(name, _)| *name == field)
            .map(|(_, value)| value)
    }

    /// All captured values, in the order of the message.
    pub fn iter(&self) -> impl Iterator<Item = (Field, &FieldValue)> {
        self.values.iter().map(|(field, value)| (*field, value))
    }

    /// Whether `result.inputRequests` is present: the server asks for more before it answers.
    pub fn has_input_requests(&self) -> bool {
        self.has_input_requests
    }

    /// Whether `params.inputResponses` is present.
    pub fn has_input_responses(&self) -> bool {
        self.has_input_responses
    }

    pub(super) fn put(&mut self, field: Field, value: FieldValue) {
        self.values.push((field, value));
    }

    pub(super) fn note_input_requests(&mut self) {
        self.has_input_requests = true;
    }

    pub(super) fn note_input_responses(&mut self) {
        self.has_input_responses = true;
    }

    /// Forgets one value, because its key comes a second time.
    pub(super) fn forget(&mut self, field: Field) {
        self.values.retain(|(name, _)| *name != field);
    }

    /// Forgets what was found inside an object, because the key of that object comes a second time.
    pub(super) fn forget_inside(&mut self, node: Node) {
        self.values.retain(|(field, _)| !field.node().is_within(node));
        self.has_input_requests &= node != Node::Result;
        self.has_input_responses &= node != Node::Params;
    }
}
