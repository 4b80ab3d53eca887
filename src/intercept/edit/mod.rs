//! Changes of JSON documents that keep what they do not touch byte for byte.

/// A change of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A value is put at a path; objects on the way are made.
    Set {
        /// Where: `$.params.arguments.x`, `[0]`, `["any name"]`.
        path: String,
        /// The JSON text of the value, which goes in as it is spelled.
        value: String,
    },
    /// What is at a path is taken out.
    Remove {
        /// Where.
        path: String,
    },
    /// A JSON Patch (RFC 6902), as JSON text.
    Patch(String),
    /// A JSON Merge Patch (RFC 7396), as JSON text.
    Merge(String),
    /// A header field of the HTTP head that carries it is set.
    SetHeader {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// A header field is taken out.
    RemoveHeader {
        /// Its name.
        name: String,
    },
    /// The whole message becomes this text.
    Text(String),
}

/// stub
pub fn apply(document: &[u8], _change: &Change) -> Result<Vec<u8>, String> {
    Ok(document.to_vec())
}
/// stub
pub struct Fixup {
    /// n
    pub name: String,
    /// a
    pub after: Option<String>,
}
/// stub
pub fn fixups(_h: &[(String, String)], _b: &[u8], _a: &[u8], _s: Option<&str>) -> Vec<Fixup> {
    Vec::new()
}
