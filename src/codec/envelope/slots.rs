//! The map of a message: which objects are entered, and what each of their keys means.

use super::fields::Field;

/// An object the scanner looks into. Each has one possible parent, so no stack is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    /// The array of a batch, or the document around a single message.
    Outside,
    Message,
    Params,
    ParamsClientInfo,
    ParamsRef,
    ParamsMeta,
    MetaClientInfo,
    Result,
    ResultTask,
    ResultServerInfo,
    ResultMeta,
    MetaServerInfo,
    Error,
}

impl Node {
    pub(super) fn parent(self) -> Self {
        match self {
            Self::Outside | Self::Message => Self::Outside,
            Self::Params | Self::Result | Self::Error => Self::Message,
            Self::ParamsClientInfo | Self::ParamsRef | Self::ParamsMeta => Self::Params,
            Self::MetaClientInfo => Self::ParamsMeta,
            Self::ResultTask | Self::ResultServerInfo | Self::ResultMeta => Self::Result,
            Self::MetaServerInfo => Self::ResultMeta,
        }
    }

    /// Whether this is `outer` or stands somewhere inside it.
    pub(super) fn is_within(self, outer: Self) -> bool {
        let mut node = self;
        while node != outer && node != Self::Outside {
            node = node.parent();
        }
        node == outer
    }
}

/// What the value of a key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Nothing: it is skipped.
    Ignored,
    Version,
    Id,
    Method,
    /// An object to look into.
    Enter(Node),
    Text(Field),
    Token(Field),
    Opaque(Field),
    InputRequests,
    InputResponses,
}

impl Slot {
    /// A bit of its own for every slot whose repetition matters, to notice duplicate keys.
    pub(super) fn bit(self) -> u64 {
        let index = match self {
            Self::Ignored => return 0,
            Self::Version => 0,
            Self::Id => 1,
            Self::Method => 2,
            Self::InputRequests => 3,
            Self::InputResponses => 4,
            Self::Enter(node) => 5 + node as u32,
            Self::Text(field) | Self::Token(field) | Self::Opaque(field) => 20 + field as u32,
        };
        1 << index
    }

    /// Whether the text of the value is needed.
    pub(super) fn wants_text(self) -> bool {
        matches!(
            self,
            Self::Version | Self::Id | Self::Method | Self::Text(_) | Self::Token(_) | Self::Opaque(_)
        )
    }

    /// Whether the whole text is compared, however long it is.
    pub(super) fn wants_fingerprint(self) -> bool {
        matches!(self, Self::Id | Self::Token(_) | Self::Opaque(_))
    }
}

/// The longest key with a meaning, in bytes.
pub(super) const MAX_KEY_BYTES: usize = 40;

/// What `key` means in an object.
pub(super) fn slot(node: Node, key: &[u8]) -> Slot {
    if key.len() > MAX_KEY_BYTES {
        return Slot::Ignored;
    }
    match node {
        Node::Message => message_slot(key),
        Node::Params => params_slot(key),
        Node::ParamsClientInfo => info_slot(key, Field::ParamsClientName, Field::ParamsClientVersion),
        Node::MetaClientInfo => info_slot(key, Field::MetaClientName, Field::MetaClientVersion),
        Node::ResultServerInfo => info_slot(key, Field::ResultServerName, Field::ResultServerVersion),
        Node::MetaServerInfo => info_slot(key, Field::ResultMetaServerName, Field::ResultMetaServerVersion),
        Node::ParamsRef => match key {
            b"name" => Slot::Text(Field::ParamsRefName),
            b"uri" => Slot::Text(Field::ParamsRefUri),
            _ => Slot::Ignored,
        },
        Node::ParamsMeta => meta_slot(key),
        Node::Result => result_slot(key),
        Node::ResultTask if key == b"taskId" => Slot::Text(Field::ResultTaskTaskId),
        Node::ResultMeta if key == b"io.modelcontextprotocol/serverInfo" => Slot::Enter(Node::MetaServerInfo),
        Node::Outside | Node::ResultTask | Node::ResultMeta => Slot::Ignored,
        Node::Error => match key {
            b"code" => Slot::Text(Field::ErrorCode),
            b"message" => Slot::Text(Field::ErrorMessage),
            _ => Slot::Ignored,
        },
    }
}

fn message_slot(key: &[u8]) -> Slot {
    match key {
        b"jsonrpc" => Slot::Version,
        b"id" => Slot::Id,
        b"method" => Slot::Method,
        b"params" => Slot::Enter(Node::Params),
        b"result" => Slot::Enter(Node::Result),
        b"error" => Slot::Enter(Node::Error),
        _ => Slot::Ignored,
    }
}

fn params_slot(key: &[u8]) -> Slot {
    match key {
        b"name" => Slot::Text(Field::ParamsName),
        b"uri" => Slot::Text(Field::ParamsUri),
        b"taskId" => Slot::Text(Field::ParamsTaskId),
        b"protocolVersion" => Slot::Text(Field::ParamsProtocolVersion),
        b"progressToken" => Slot::Token(Field::ParamsProgressToken),
        b"progress" => Slot::Text(Field::ParamsProgress),
        b"total" => Slot::Text(Field::ParamsTotal),
        b"message" => Slot::Text(Field::ParamsMessage),
        b"requestId" => Slot::Token(Field::ParamsRequestId),
        b"level" => Slot::Text(Field::ParamsLevel),
        b"cursor" => Slot::Text(Field::ParamsCursor),
        b"reason" => Slot::Text(Field::ParamsReason),
        b"mode" => Slot::Text(Field::ParamsMode),
        b"elicitationId" => Slot::Text(Field::ParamsElicitationId),
        b"requestState" => Slot::Opaque(Field::ParamsRequestState),
        b"inputResponses" => Slot::InputResponses,
        b"clientInfo" => Slot::Enter(Node::ParamsClientInfo),
        b"ref" => Slot::Enter(Node::ParamsRef),
        b"_meta" => Slot::Enter(Node::ParamsMeta),
        _ => Slot::Ignored,
    }
}

fn meta_slot(key: &[u8]) -> Slot {
    match key {
        b"progressToken" => Slot::Token(Field::MetaProgressToken),
        b"traceparent" => Slot::Text(Field::MetaTraceparent),
        b"io.modelcontextprotocol/protocolVersion" => Slot::Text(Field::MetaProtocolVersion),
        b"io.modelcontextprotocol/clientInfo" => Slot::Enter(Node::MetaClientInfo),
        b"io.modelcontextprotocol/subscriptionId" => Slot::Token(Field::MetaSubscriptionId),
        b"io.modelcontextprotocol/logLevel" => Slot::Text(Field::MetaLogLevel),
        _ => Slot::Ignored,
    }
}

fn result_slot(key: &[u8]) -> Slot {
    match key {
        b"protocolVersion" => Slot::Text(Field::ResultProtocolVersion),
        b"isError" => Slot::Text(Field::ResultIsError),
        b"resultType" => Slot::Text(Field::ResultType),
        b"taskId" => Slot::Text(Field::ResultTaskId),
        b"nextCursor" => Slot::Text(Field::ResultNextCursor),
        b"requestState" => Slot::Opaque(Field::ResultRequestState),
        b"inputRequests" => Slot::InputRequests,
        b"task" => Slot::Enter(Node::ResultTask),
        b"serverInfo" => Slot::Enter(Node::ResultServerInfo),
        b"_meta" => Slot::Enter(Node::ResultMeta),
        _ => Slot::Ignored,
    }
}

fn info_slot(key: &[u8], name: Field, version: Field) -> Slot {
    match key {
        b"name" => Slot::Text(name),
        b"version" => Slot::Text(version),
        _ => Slot::Ignored,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_key_that_leads_to_it_and_a_bit_of_its_own() {
        let mut bits = 0u64;
        for field in Field::ALL {
            let path = field.path();
            // The reserved keys contain dots of their own.
            let (_, last) = path.rsplit_once('.').unwrap();
            let reserved = format!("io.{last}");
            let key = if path.ends_with(&format!(".{reserved}")) {
                &reserved
            } else {
                last
            };
            let found = slot(field.node(), key.as_bytes());
            assert!(
                matches!(found, Slot::Text(name) | Slot::Token(name) | Slot::Opaque(name) if name == *field),
                "{key} is {found:?}"
            );
            assert_eq!(bits & found.bit(), 0);
            bits |= found.bit();
        }
    }

    #[test]
    fn nodes_know_what_is_around_them() {
        assert!(Node::MetaClientInfo.is_within(Node::Params));
        assert!(Node::Params.is_within(Node::Params));
        assert!(!Node::MetaServerInfo.is_within(Node::Params));
        assert!(Node::Message.is_within(Node::Outside));
    }
}
