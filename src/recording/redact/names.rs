//! Which names carry secrets: header fields, query and form parameters, JSON members.
//!
//! Source: the security best practices of MCP; RFC 6749, 7591, 7636, 8628, 8693 for the names of OAuth.

/// The longest name that is compared; a longer one is none of ours.
pub(super) const MAX_NAME_BYTES: usize = 96;

/// Endings that make a name secret wherever it stands, in lower case and without `-`, `_` and `.`.
const ENDINGS: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "authkey",
    "privatekey",
    "secretkey",
    "subscriptionkey",
    "accesskey",
    "rolekey",
    "servicekey",
    "signingkey",
    "encryptionkey",
    "masterkey",
    "connectionstring",
    "functionskey",
    "credential",
    "credentials",
    "assertion",
    "authorization",
    "codeverifier",
    "devicecode",
    "usercode",
    "requeststate",
];

/// Names that end like a secret and are none: they pair messages or turn pages.
const HARMLESS: &[&str] = &[
    "progresstoken",
    "pagetoken",
    "nextpagetoken",
    "prevpagetoken",
    "nexttoken",
    "continuationtoken",
    "synctoken",
    "maxtoken",
];

/// Whole names that are secret wherever they stand.
const ANYWHERE: &[&str] = &["baggage", "dpop", "mcpsessionid", "softwarestatement"];

/// Whole names that are secret as a member of a JSON object.
const MEMBERS: &[&str] = &[
    "cookie",
    "cookies",
    "sessionid",
    "sig",
    "signature",
    // An e-mail address or a telephone number.
    "loginhint",
    "logouthint",
];

/// Whole names that are secret as a member whose value is an array.
const ARRAYS: &[&str] = &["tokens", "secrets", "passwords"];

/// Whole names that are secret as a member whose value is an object: whatever it has in it.
const OBJECTS: &[&str] = &["credentials", "secrets"];

/// Whole names that are secret in text for people.
const PROSE: &[&str] = &["cookie", "setcookie", "sessionid"];

/// Names whose value in text for people goes on to the end of the line.
const WHOLE_LINES: &[&str] = &["cookie", "setcookie"];

/// Whole names that are secret as a header field.
const HEADERS: &[&str] = &[
    "cookie",
    "setcookie",
    "xauth",
    "authentication",
    "xsessionid",
    "dpopnonce",
    "signature",
];

/// Whole names that are secret as a query or form parameter.
const PARAMETERS: &[&str] = &[
    "sessionid",
    "key",
    "code",
    "state",
    "sig",
    "signature",
    "xamzsignature",
    "xgoogsignature",
    "auth",
    "jwt",
    "sid",
    "sas",
    "idtokenhint",
    "loginhint",
    "logouthint",
    "samlresponse",
];

/// Names that are secret as a member of a JSON document itself (not deeper): the answer and request bodies of OAuth.
/// Deeper, `code` is too often a program and `state` a state.
const TOP_LEVEL: &[&str] = &["code", "state"];

const LETTERS: usize = 26;

/// The last three letters of all names above, in which most other names do not end: a bit for the first of them, by the
/// last and the last but one.
static LAST_LETTERS: [u32; LETTERS * LETTERS] = {
    let lists = [
        ENDINGS,
        ANYWHERE,
        MEMBERS,
        ARRAYS,
        OBJECTS,
        PROSE,
        WHOLE_LINES,
        HEADERS,
        PARAMETERS,
        TOP_LEVEL,
    ];
    let mut letters = [0; LETTERS * LETTERS];
    let mut list = 0;
    while list < lists.len() {
        let mut index = 0;
        while index < lists[list].len() {
            let name = lists[list][index].as_bytes();
            let [.., first, second, last] = name else { panic!() };
            letters[(*last - b'a') as usize * LETTERS + (*second - b'a') as usize] |= 1 << (*first - b'a');
            index += 1;
        }
        list += 1;
    }
    letters
};

/// Whether the name, or a text that ends with it, ends like one of ours.
pub(super) fn ends_like_ours(name: &[u8]) -> bool {
    let mut letters = name.iter().rev().filter(|byte| byte.is_ascii_alphanumeric());
    let mut next = || {
        let letter = letters.next()?.to_ascii_lowercase().wrapping_sub(b'a');
        Some(usize::from(letter)).filter(|letter| *letter < LETTERS)
    };
    let (Some(last), Some(second), Some(first)) = (next(), next(), next()) else {
        return false;
    };
    LAST_LETTERS[last * LETTERS + second] & 1 << first != 0
}

/// A name in lower case without separators: `X-Api-Key`, `x_api_key` and `xApiKey` are one name.
struct Normalized {
    bytes: [u8; MAX_NAME_BYTES],
    length: usize,
}

impl Normalized {
    /// `None` if it cannot be one of ours.
    fn new(name: &[u8]) -> Option<Self> {
        if name.len() > MAX_NAME_BYTES || !ends_like_ours(name) || !name.is_ascii() {
            return None;
        }
        let mut bytes = [0; MAX_NAME_BYTES];
        let significant = name.iter().filter(|byte| byte.is_ascii_alphanumeric());
        let mut length = 0;
        for (place, byte) in bytes.iter_mut().zip(significant) {
            *place = byte.to_ascii_lowercase();
            length += 1;
        }
        Some(Self { bytes, length })
    }

    fn is_one_of(&self, names: &[&str]) -> bool {
        names
            .iter()
            .any(|name| name.as_bytes() == &self.bytes[..self.length])
    }

    fn ends_like(&self, endings: &[&str]) -> bool {
        endings
            .iter()
            .any(|ending| self.bytes[..self.length].ends_with(ending.as_bytes()))
    }

    fn is_secret_anywhere(&self) -> bool {
        self.is_one_of(ANYWHERE) || self.ends_like(ENDINGS) && !self.ends_like(HARMLESS)
    }
}

fn is_secret_in(name: &[u8], whole: &[&str]) -> bool {
    Normalized::new(name).is_some_and(|name| name.is_secret_anywhere() || name.is_one_of(whole))
}

/// A header field whose whole value is a secret.
pub(super) fn is_secret_header(name: &[u8]) -> bool {
    is_secret_in(name, HEADERS)
}

/// A query or form parameter whose value is a secret.
pub(super) fn is_secret_parameter(name: &[u8]) -> bool {
    is_secret_in(name, PARAMETERS)
}

/// A member of a JSON object whose strings and numbers are secrets, at any depth.
pub(super) fn is_secret_member(name: &[u8]) -> bool {
    is_secret_in(name, MEMBERS)
}

/// A member of a JSON object that is an array whose strings and numbers are secrets.
pub(super) fn is_secret_array(name: &[u8]) -> bool {
    is_secret_in(name, MEMBERS) || Normalized::new(name).is_some_and(|name| name.is_one_of(ARRAYS))
}

/// A member of a JSON object that is an object in which all strings and numbers are secrets.
pub(super) fn is_secret_object(name: &[u8]) -> bool {
    Normalized::new(name).is_some_and(|name| name.is_one_of(OBJECTS))
}

/// A word behind which a secret comes, after a `:` or `=`.
pub(super) fn is_secret_in_prose(name: &[u8]) -> bool {
    is_secret_in(name, PROSE)
}

/// One of these whose secret goes on to the end of the line.
pub(super) fn is_whole_line(name: &[u8]) -> bool {
    Normalized::new(name).is_some_and(|name| name.is_one_of(WHOLE_LINES))
}

/// A member of the outermost JSON object whose string is a secret.
pub(super) fn is_secret_top_member(name: &[u8]) -> bool {
    Normalized::new(name).is_some_and(|name| name.is_one_of(TOP_LEVEL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_hide_a_secret() {
        for name in [
            "X-Api-Key",
            "x_api_key",
            "apiKey",
            "Authorization",
            "X-Auth-Token",
            "Mcp-Session-Id",
            "DPoP",
        ] {
            assert!(is_secret_header(name.as_bytes()), "{name}");
        }
        for name in [
            "access_token",
            "clientSecret",
            "registration_access_token",
            "login_hint",
            "requestState",
            "code_verifier",
            "software_statement",
        ] {
            assert!(is_secret_member(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn what_pairs_messages_or_turns_pages_is_no_secret() {
        for name in [
            "progressToken",
            "nextPageToken",
            "nextCursor",
            "maxTokens",
            "code",
            "key",
            "tokens",
            "pin",
            "session",
            "Mcp-Name",
        ] {
            assert!(!is_secret_member(name.as_bytes()), "{name}");
        }
        assert!(!is_secret_in_prose(b"signature") && !is_secret_in_prose(b"sig"));
        assert!(!is_secret_header(b"WWW-Authenticate"));
        assert!(!is_secret_header(b"Mcp-Param-Region"));
    }
}
