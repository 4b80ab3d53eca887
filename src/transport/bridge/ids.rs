//! Ids of several clients on one pipe: where two are the same, one is spelled differently on the pipe and restored on
//! the way back. Only those bytes change.

use std::ops::Range;

use bytes::Bytes;

use crate::codec::json::{PathStep, find_path};
use crate::codec::rpc_id::RpcId;

/// Where an id, or a token that works like one, stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdPlace {
    /// `id`
    Id,
    /// `params._meta.progressToken` of a request
    AskedToken,
    /// `params.progressToken` of a progress notification
    ToldToken,
    /// `params.requestId` of a cancellation
    RequestId,
    /// `params._meta` of a notification of a subscription
    Subscription,
    /// `result._meta` of the answer that ends a subscription
    EndedSubscription,
}

const SUBSCRIPTION: PathStep<'static> = PathStep::Key("io.modelcontextprotocol/subscriptionId");
const PARAMS: PathStep<'static> = PathStep::Key("params");
const META: PathStep<'static> = PathStep::Key("_meta");
const TOKEN: PathStep<'static> = PathStep::Key("progressToken");

impl IdPlace {
    const fn path(self) -> &'static [PathStep<'static>] {
        match self {
            Self::Id => &[PathStep::Key("id")],
            Self::AskedToken => &[PARAMS, META, TOKEN],
            Self::ToldToken => &[PARAMS, TOKEN],
            Self::RequestId => &[PARAMS, PathStep::Key("requestId")],
            Self::Subscription => &[PARAMS, META, SUBSCRIPTION],
            Self::EndedSubscription => &[PathStep::Key("result"), META, SUBSCRIPTION],
        }
    }
}

/// The id at a place, as it is spelled there.
pub(crate) fn spelled_at(line: &[u8], place: IdPlace) -> Option<&str> {
    std::str::from_utf8(find_path(line, place.path())?).ok()
}

/// The same message with `spelling` at those places that have `wire` now.
pub(crate) fn respelled(line: &Bytes, places: &[IdPlace], wire: &RpcId, spelling: &str) -> Bytes {
    let mut spans: Vec<Range<usize>> = places
        .iter()
        .filter_map(|place| {
            let found = find_path(line, place.path())?;
            let is_wire = std::str::from_utf8(found).ok().and_then(RpcId::parse).as_ref() == Some(wire);
            is_wire.then(|| span_in(line, found))
        })
        .collect();
    if spans.is_empty() {
        return line.clone();
    }
    spans.sort_unstable_by_key(|span| span.start);
    let mut text = Vec::with_capacity(line.len() + spans.len() * spelling.len());
    let mut done = 0;
    for span in spans {
        text.extend_from_slice(&line[done..span.start]);
        text.extend_from_slice(spelling.as_bytes());
        done = span.end;
    }
    text.extend_from_slice(&line[done..]);
    text.into()
}

fn span_in(line: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - line.as_ptr() as usize;
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(spelling: &str) -> RpcId {
        RpcId::parse(spelling).unwrap()
    }

    #[test]
    fn only_the_id_changes_and_its_type_comes_back() {
        let line = Bytes::from_static(br#"{ "jsonrpc":"2.0", "id" : 0 ,"params":{"id":0,"x":1.0} }"#);
        let sent = respelled(&line, &[IdPlace::Id], &id("0"), "1099511627776");
        assert_eq!(
            sent,
            r#"{ "jsonrpc":"2.0", "id" : 1099511627776 ,"params":{"id":0,"x":1.0} }"#
        );
        let answer = Bytes::from_static(br#"{"result":{"id":7},"id":1099511627776}"#);
        assert_eq!(
            respelled(&answer, &[IdPlace::Id], &id("1099511627776"), "\"0\""),
            r#"{"result":{"id":7},"id":"0"}"#
        );
    }

    #[test]
    fn every_place_is_found_where_the_protocol_has_it() {
        let line = Bytes::from_static(
            br#"{"id":1,"params":{"progressToken":2,"requestId":3,"_meta":{"progressToken":4,"io.modelcontextprotocol/subscriptionId":5}},"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":6}}}"#,
        );
        let places = [
            (IdPlace::Id, "1"),
            (IdPlace::ToldToken, "2"),
            (IdPlace::RequestId, "3"),
            (IdPlace::AskedToken, "4"),
            (IdPlace::Subscription, "5"),
            (IdPlace::EndedSubscription, "6"),
        ];
        for (place, spelling) in places {
            assert_eq!(spelled_at(&line, place), Some(spelling));
            let changed = respelled(&line, &[place], &id(spelling), "\"new\"");
            assert_eq!(spelled_at(&changed, place), Some("\"new\""));
        }
    }

    #[test]
    fn what_is_something_else_stays() {
        let line = Bytes::from_static(br#"{"id":"1"}"#);
        assert_eq!(
            respelled(&line, &[IdPlace::Id, IdPlace::RequestId], &id("1"), "2"),
            line
        );
    }
}
