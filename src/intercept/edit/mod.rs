//! Changes of messages that keep what they do not touch byte for byte.
//!
//! Pure: no I/O, no clock. Texts are read strictly and without recursion, numbers are never turned into floating
//! point, and every size has a bound.

mod apply;
mod assign;
mod changes;
mod check;
mod diff;
mod equal;
mod error;
mod fields;
mod fixups;
mod front_matter;
mod mask;
mod patch;
mod path;
mod reader;
mod schema;
mod splice;
mod sse;
mod suggest;
#[cfg(test)]
mod tests;

pub use apply::apply;
pub use assign::parse_assignment;
pub use changes::changes;
pub use check::{Expectation, MAX_PROBLEMS, Problem, check};
pub use diff::{Difference, DifferenceKind, MAX_DIFFERENCES, diff};
pub use error::{EditError, EditedText, MAX_OPERATIONS, MAX_RESULT_BYTES};
pub use fields::{FieldKind, FieldLine, MAX_FIELDS, MAX_PATH_BYTES, fields, value_at};
pub use fixups::{Fixup, fixups};
pub use front_matter::{FieldChanges, FrontMatter, STATUS_FIELD, Split};
pub use mask::{Placeholders, mask, unmask};
pub use patch::check_patch;
pub(crate) use path::names_of;
pub use reader::{MAX_NESTING, SyntaxError};
pub use sse::with_payload;
pub use suggest::{choices, example};

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
