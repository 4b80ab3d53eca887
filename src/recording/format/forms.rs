//! How ids and bytes are written in a line.

use serde::Deserialize;

use crate::ids::ProxySessionId;

/// A session as people write it: `R1`, `F3`.
pub(super) mod session_text {
    use super::{Deserialize, ProxySessionId};
    use serde::{Deserializer, Serializer, de::Error};

    pub(in super::super) fn serialize<S: Serializer>(
        session: &ProxySessionId,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(session)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<ProxySessionId, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// A session that may be missing.
pub(super) mod session_option {
    use super::{Deserialize, ProxySessionId};
    use serde::{Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub(in super::super) fn serialize<S: Serializer>(
        session: &Option<ProxySessionId>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match session {
            Some(session) => to.collect_str(session),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<ProxySessionId>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom))
            .transpose()
    }
}

/// Bytes as base64 text, where they are not UTF-8.
pub(super) mod base64_option {
    use super::{Deserialize, decode_base64, encode_base64};
    use serde::{Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub(in super::super) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => to.serialize_str(&encode_base64(bytes)),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| decode_base64(&text)).transpose()
    }
}

pub(in super::super) fn encode_base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

pub(in super::super) fn decode_base64<E: serde::de::Error>(text: &str) -> Result<Vec<u8>, E> {
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
    decoded.map_err(E::custom)
}
