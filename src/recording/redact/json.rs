//! Secrets in JSON: found by the name of their member, and by their place for those of MCP.

use super::leap::may_have_secret;
use super::names::{
    MAX_NAME_BYTES, is_secret_array, is_secret_member, is_secret_object, is_secret_top_member,
};
use super::output::Output;
use super::prose::ProseRedactor;
use super::tag::Secret;
use crate::codec::text::{Unescape, string_end};

/// How many levels of nesting are told apart by their place. Names count at any depth.
const MAX_LEVELS: usize = 32;

/// Redacts JSON that comes in parts of any size, in constant memory and without recursion.
///
/// Only values are changed, and only inside their quotes (a secret number becomes a string); every other byte stays.
/// Secret are strings and numbers
/// - of a member with a secret name, and in an array that is its value (an object that is its value is not touched:
///   a schema may well describe a property called `password`),
/// - called `code` or `state` in the outermost object,
/// - anywhere in the `content` object of an answer to an elicitation,
/// - in an object called `credentials` or `secrets`, except where a schema describes it,
/// - called `url` in the parameters of an elicitation.
///
/// Other strings are read as text for people, in which a secret may stand.
#[derive(Debug, Default)]
pub(super) struct JsonRedactor {
    levels: Vec<Level>,
    depth: u64,
    /// The depth of an object in which everything is secret.
    secret_depth: Option<u64>,
    is_after_colon: bool,
    /// The latest string that may be a member's name, decoded.
    name: Vec<u8>,
    token: Token,
    /// Reads the string that passes, if it may have a secret in it.
    prose: Option<Box<ProseRedactor>>,
}

#[derive(Debug, Default)]
enum Token {
    /// Between strings and numbers.
    #[default]
    None,
    /// In a string that passes.
    String { is_escaped: bool, is_read: bool },
    /// In a string that passes and may be a name.
    Name { is_escaped: bool, unescape: Unescape },
    /// In a string that is swallowed.
    Secret {
        is_escaped: bool,
        is_empty: bool,
        unescape: Unescape,
        secret: Secret,
    },
    /// In a number that is swallowed.
    Number(Secret),
}

#[derive(Debug, Clone, Copy)]
struct Level {
    is_object: bool,
    /// It is the value of a member with a secret name.
    is_secret: bool,
    /// It has members that an answer to an elicitation has not.
    is_sampling: bool,
    place: Place,
}

/// What an object or array is in a message of MCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Message,
    Batch,
    Params,
    Answer,
    InputRequests,
    InputResponses,
    Elicitations,
    Elicitation,
    /// Its members describe those of another object.
    Schema,
    Other,
}

impl Place {
    /// The place of a value called `name` (empty for the member of an array) in this place.
    fn inside(self, name: &[u8]) -> Self {
        match (self, name) {
            (_, b"inputRequests") => Self::InputRequests,
            (_, b"inputResponses") => Self::InputResponses,
            (_, b"elicitations") => Self::Elicitations,
            (Self::Batch | Self::InputRequests, _) => Self::Message,
            (Self::Elicitations, _) => Self::Elicitation,
            (Self::InputResponses, _) | (Self::Message | Self::Answer, b"result") => Self::Answer,
            (Self::Message, b"params") => Self::Params,
            (_, b"properties" | b"patternProperties" | b"$defs" | b"definitions") => Self::Schema,
            _ => Self::Other,
        }
    }
}

impl JsonRedactor {
    /// Takes the next bytes of the document.
    pub(super) fn push(&mut self, mut bytes: &[u8], out: &mut Output<'_>) {
        while !bytes.is_empty() {
            let used = match &mut self.token {
                Token::None => self.between(bytes, out),
                Token::Number(secret) => {
                    let end = bytes.iter().position(|byte| !is_in_number(*byte));
                    secret.push(&bytes[..end.unwrap_or(bytes.len())]);
                    if end.is_some() {
                        self.finish(out);
                    }
                    end.unwrap_or(bytes.len())
                }
                _ => self.in_string(bytes, out),
            };
            bytes = &bytes[used..];
        }
    }

    /// The document is over, or broken off: nothing stays swallowed without a tag.
    pub(super) fn finish(&mut self, out: &mut Output<'_>) {
        match std::mem::take(&mut self.token) {
            Token::Number(secret) => {
                out.pass(b"\"");
                out.end(secret);
                out.pass(b"\"");
            }
            Token::Secret {
                secret,
                mut unescape,
                is_empty,
                ..
            } => end_secret(secret, &mut unescape, is_empty, out),
            Token::String { is_read: true, .. } => {
                if let Some(prose) = &mut self.prose {
                    prose.finish(out);
                }
            }
            Token::None | Token::String { .. } | Token::Name { .. } => {}
        }
    }

    /// A line of SSE data is over and the document goes on in the next one. A secret in broken JSON may go on there too:
    /// each of its lines has a tag of its own, since what stands between them is none of it.
    pub(super) fn line_break(&mut self, out: &mut Output<'_>) {
        match &mut self.token {
            Token::Number(_) => self.finish(out),
            Token::Secret {
                secret,
                unescape,
                is_empty,
                ..
            } => {
                let begun = std::mem::replace(secret, out.begin());
                let is_empty = std::mem::replace(is_empty, true);
                end_secret(begun, &mut std::mem::take(unescape), is_empty, out);
            }
            Token::None | Token::String { .. } | Token::Name { .. } => {}
        }
    }

    /// Passes what is between strings and secret numbers; returns how many bytes were used.
    fn between(&mut self, bytes: &[u8], out: &mut Output<'_>) -> usize {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'"' => {
                    out.pass(&bytes[..=at]);
                    self.token = self.begin_string(out);
                    return at + 1;
                }
                b'-' | b'0'..=b'9' => {
                    let is_secret = self.is_secret(false);
                    self.is_after_colon = false;
                    if is_secret {
                        out.pass(&bytes[..at]);
                        self.token = Token::Number(out.begin());
                        return at;
                    }
                }
                b'{' | b'[' => self.open(*byte == b'{'),
                b'}' | b']' => self.close(),
                b':' => self.is_after_colon = true,
                b',' => self.is_after_colon = false,
                _ => {}
            }
        }
        out.pass(bytes);
        bytes.len()
    }

    fn begin_string(&mut self, out: &Output<'_>) -> Token {
        let is_secret = self.is_secret(true);
        let is_value = std::mem::take(&mut self.is_after_colon);
        if is_secret {
            Token::Secret {
                is_escaped: false,
                is_empty: true,
                unescape: Unescape::default(),
                secret: out.begin(),
            }
        } else if is_value || self.top().is_some_and(|level| !level.is_object) {
            Token::String {
                is_escaped: false,
                is_read: false,
            }
        } else {
            self.name.clear();
            Token::Name {
                is_escaped: false,
                unescape: Unescape::default(),
            }
        }
    }

    /// The innermost level, if it is not too deep to be known.
    fn top(&self) -> Option<&Level> {
        self.levels
            .last()
            .filter(|_| self.levels.len() as u64 == self.depth)
    }

    /// Whether the string or number that starts here is a secret value.
    fn is_secret(&self, is_string: bool) -> bool {
        let top = self.top();
        if !self.is_after_colon {
            // A name, or the member of an array. Too deep to know: rather a name too many.
            let is_member = top.is_none_or(|level| !level.is_object);
            return is_member && (self.secret_depth.is_some() || top.is_some_and(|level| level.is_secret));
        }
        let is_place = |place: Place| top.is_some_and(|level| level.place == place);
        self.secret_depth.is_some()
            || is_secret_member(&self.name)
            || is_string && self.depth == 1 && is_secret_top_member(&self.name)
            || is_string && self.name == b"url" && (is_place(Place::Params) || is_place(Place::Elicitation))
    }

    fn open(&mut self, is_object: bool) {
        let is_value = std::mem::take(&mut self.is_after_colon);
        let name = if is_value { &self.name[..] } else { &[] };
        let place = match self.top() {
            Some(level) => level.place.inside(name),
            None if self.depth == 0 && is_object => Place::Message,
            None if self.depth == 0 => Place::Batch,
            None => Place::Other,
        };
        let is_answered = self
            .top()
            .is_some_and(|level| level.place == Place::Answer && !level.is_sampling);
        let is_described = self.top().is_some_and(|level| level.place == Place::Schema);
        let is_secret = !is_object && is_value && is_secret_array(name);
        let is_secret_content = is_object
            && (is_answered && name == b"content" || is_value && !is_described && is_secret_object(name));
        if self.levels.len() as u64 == self.depth && self.levels.len() < MAX_LEVELS {
            self.levels.push(Level {
                is_object,
                is_secret,
                is_sampling: false,
                place,
            });
        }
        self.depth += 1;
        if is_secret_content && self.secret_depth.is_none() {
            self.secret_depth = Some(self.depth);
        }
    }

    fn close(&mut self) {
        self.is_after_colon = false;
        if self.secret_depth == Some(self.depth) {
            self.secret_depth = None;
        }
        if self.levels.len() as u64 == self.depth {
            self.levels.pop();
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// Handles bytes inside a string; returns how many were used.
    fn in_string(&mut self, bytes: &[u8], out: &mut Output<'_>) -> usize {
        let (Token::String { is_escaped, .. }
        | Token::Name { is_escaped, .. }
        | Token::Secret { is_escaped, .. }) = &mut self.token
        else {
            return 0;
        };
        let end = string_end(bytes, is_escaped);
        let text = &bytes[..end.unwrap_or(bytes.len())];
        match &mut self.token {
            Token::Secret {
                unescape,
                secret,
                is_empty,
                ..
            } => {
                *is_empty &= text.is_empty();
                unescape.push(text, &mut |decoded| secret.push(decoded));
            }
            Token::Name { unescape, .. } => {
                out.pass(text);
                collect_name(&mut self.name, unescape, text);
            }
            // Most strings are here as a whole, and most of these have nothing in them that needs a look.
            Token::String { is_read: false, .. } if end.is_some() && !may_have_secret(text) => out.pass(text),
            Token::String { is_read, .. } => {
                *is_read = true;
                let prose = self
                    .prose
                    .get_or_insert_with(|| Box::new(ProseRedactor::for_string()));
                prose.push(text, out);
            }
            Token::None | Token::Number(_) => {}
        }
        if end.is_some() {
            self.end_string(out);
        }
        end.map_or(bytes.len(), |end| end + 1)
    }

    fn end_string(&mut self, out: &mut Output<'_>) {
        if matches!(self.token, Token::Name { .. }) {
            self.note_name();
        }
        self.finish(out);
        out.pass(b"\"");
    }

    /// The answers to a sampling request have a `content` too, beside members that tell them from an elicitation.
    fn note_name(&mut self) {
        let is_sampling = matches!(&self.name[..], b"role" | b"model" | b"stopReason");
        let is_known = self.levels.len() as u64 == self.depth;
        if let Some(level) = self.levels.last_mut().filter(|_| is_known && is_sampling) {
            level.is_sampling = true;
        }
    }
}

fn collect_name(name: &mut Vec<u8>, unescape: &mut Unescape, text: &[u8]) {
    unescape.push(text, &mut |decoded| {
        let room = (MAX_NAME_BYTES + 1).saturating_sub(name.len());
        name.extend_from_slice(&decoded[..decoded.len().min(room)]);
    });
}

fn end_secret(mut secret: Secret, unescape: &mut Unescape, is_empty: bool, out: &mut Output<'_>) {
    unescape.finish(&mut |decoded| secret.push(decoded));
    if !is_empty {
        out.end(secret);
    }
}

const fn is_in_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
}
