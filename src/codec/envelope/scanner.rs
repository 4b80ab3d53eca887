//! The state machine behind [`super::scan`].

use std::ops::Range;

use super::fields::FieldValue;
use super::slots::{Node, Slot, slot};
use super::{Envelope, EnvelopeFields, EnvelopeProblem, MAX_BATCH, MessageKind, Scan, Shape};
use crate::codec::BYTE_ORDER_MARK;
use crate::codec::rpc_id::RpcId;
use crate::codec::text::{Text, TextCollector, blanks, scalar_end, special, string_end, structural};

/// Scans one document that arrives in parts; see the [module](super).
///
/// How the document is cut into parts makes no difference. Memory does not grow with the document: two kilobytes of text
/// in flight, and one envelope for each of at most [`MAX_BATCH`] messages.
#[derive(Debug)]
pub struct EnvelopeScanner {
    state: State,
    node: Node,
    slot: Slot,
    is_batch: bool,
    /// Whether a backslash was the last byte of the previous part, inside a string.
    is_escaped: bool,
    /// Bytes taken so far.
    offset: u64,
    /// Where the current message starts.
    start: u64,
    /// Open objects and arrays in what is being skipped.
    depth: u64,
    draft: Draft,
    collector: TextCollector,
    messages: Vec<Envelope>,
    messages_cut: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the document; `mark` bytes of a byte order mark were seen.
    Before {
        mark: usize,
    },
    FirstKey,
    NextKey,
    /// Inside a key that has escapes or is cut by the end of a part.
    Key,
    Colon,
    FirstMember,
    Value,
    /// Inside a string that is captured; see `Key`.
    Text,
    /// Inside a number or word that is cut by the end of a part.
    Scalar,
    /// Inside something of no interest.
    Skip {
        is_in_string: bool,
    },
    AfterValue,
    Done,
    NotJson,
    Broken,
}

/// A message being scanned.
#[derive(Debug, Default)]
struct Draft {
    seen: u64,
    id: Option<RpcId>,
    method: Option<Box<str>>,
    is_version_2: bool,
    is_error_null: bool,
    is_duplicate: bool,
    fields: EnvelopeFields,
}

impl Default for EnvelopeScanner {
    fn default() -> Self {
        Self::new()
    }
}

impl EnvelopeScanner {
    /// A scanner before its document.
    pub fn new() -> Self {
        Self {
            state: State::Before { mark: 0 },
            node: Node::Outside,
            slot: Slot::Ignored,
            is_batch: false,
            is_escaped: false,
            offset: 0,
            start: 0,
            depth: 0,
            draft: Draft::default(),
            collector: TextCollector::default(),
            messages: Vec::new(),
            messages_cut: 0,
        }
    }

    /// Takes the next part of the document.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = self.step(rest);
            self.offset += used as u64;
            rest = &rest[used..];
        }
    }

    /// Ends the document.
    pub fn finish(mut self) -> Scan {
        let shape = match self.state {
            State::Before { mark } if mark == 0 || mark == BYTE_ORDER_MARK.len() => Shape::Empty,
            State::Before { .. } | State::NotJson => Shape::NotJson,
            State::Done if self.is_batch => Shape::Batch,
            State::Done => Shape::Single,
            State::Broken => Shape::Broken,
            _ => Shape::Cut,
        };
        if shape == Shape::Cut {
            self.keep_unfinished();
        }
        Scan {
            shape,
            messages: self.messages,
            messages_cut: self.messages_cut,
        }
    }

    /// Does the next piece of work and returns how many bytes it used up; if none, the state has changed.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match self.state {
            State::Skip { is_in_string } => self.skip(bytes, is_in_string),
            State::Key | State::Text => self.string(bytes),
            State::Scalar => self.scalar(bytes),
            State::NotJson | State::Broken => bytes.len(),
            State::Before { mark } => self.before(bytes[0], mark),
            _ => match blanks(bytes) {
                0 => self.token(bytes),
                blanks => blanks,
            },
        }
    }

    fn before(&mut self, byte: u8, mark: usize) -> usize {
        let is_at_start = self.offset == mark as u64;
        if is_at_start && BYTE_ORDER_MARK.get(mark) == Some(&byte) {
            self.state = State::Before { mark: mark + 1 };
            return 1;
        }
        let is_mark_broken = mark > 0 && mark < BYTE_ORDER_MARK.len();
        match byte {
            _ if is_mark_broken => self.state = State::NotJson,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'{' => self.begin_message(),
            b'[' => {
                self.is_batch = true;
                self.state = State::FirstMember;
            }
            _ => self.state = State::NotJson,
        }
        1
    }

    /// Takes the first byte of a token between values, or the whole of a short string or scalar.
    fn token(&mut self, bytes: &[u8]) -> usize {
        let is_outside = self.node == Node::Outside;
        match (self.state, bytes[0]) {
            (State::FirstKey | State::NextKey, b'"') => return self.begin_string(bytes, State::Key),
            (State::Colon, b':') => self.state = State::Value,
            (State::FirstMember, b']') => self.state = State::Done,
            (State::FirstMember | State::Value, _) if is_outside => return self.begin_member(bytes),
            (State::Value, _) => return self.begin_value(bytes),
            (State::AfterValue, b',') if is_outside => self.state = State::Value,
            (State::AfterValue, b',') => self.state = State::NextKey,
            (State::AfterValue, b']') if is_outside => self.state = State::Done,
            (State::AfterValue, b'}') if !is_outside => self.end_object(),
            (State::FirstKey, b'}') => self.end_object(),
            _ => self.fail(),
        }
        1
    }

    fn begin_member(&mut self, bytes: &[u8]) -> usize {
        let is_kept = self.messages.len() < MAX_BATCH;
        if is_kept && bytes[0] == b'{' {
            self.begin_message();
            return 1;
        }
        self.messages_cut += u64::from(!is_kept);
        self.start = self.offset;
        self.slot = Slot::Ignored;
        self.begin_value(bytes)
    }

    fn begin_message(&mut self) {
        self.start = self.offset;
        self.draft = Draft::default();
        self.node = Node::Message;
        self.state = State::FirstKey;
    }

    fn begin_value(&mut self, bytes: &[u8]) -> usize {
        self.depth = 0;
        self.is_escaped = false;
        match (bytes[0], self.slot) {
            (b'{', Slot::Enter(node)) => {
                self.node = node;
                self.state = State::FirstKey;
            }
            (b'{' | b'[', _) => {
                self.depth = 1;
                self.state = State::Skip { is_in_string: false };
            }
            (b'"', slot) if slot.wants_text() => return self.begin_string(bytes, State::Text),
            (b'"', _) => self.state = State::Skip { is_in_string: true },
            (b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z', _) => return self.begin_scalar(bytes),
            _ => self.fail(),
        }
        1
    }

    /// A string with its opening quote. Without escapes and whole, as nearly always, it is used where it stands.
    fn begin_string(&mut self, bytes: &[u8], state: State) -> usize {
        let inside = &bytes[1..];
        self.state = state;
        match special(inside) {
            Some(end) if inside[end] == b'"' => {
                self.accept_string(Text::plain(&inside[..end]), end + 2);
                end + 2
            }
            _ => {
                self.is_escaped = false;
                self.collector
                    .reset(state == State::Text && self.slot.wants_fingerprint());
                self.string(inside) + 1
            }
        }
    }

    fn string(&mut self, bytes: &[u8]) -> usize {
        let Some(end) = string_end(bytes, &mut self.is_escaped) else {
            self.collector.push_string(bytes);
            return bytes.len();
        };
        self.collector.push_string(&bytes[..end]);
        let mut collector = std::mem::take(&mut self.collector);
        self.accept_string(collector.finish(), end + 1);
        self.collector = collector;
        end + 1
    }

    fn accept_string(&mut self, text: Text<'_>, used: usize) {
        if self.state == State::Key {
            self.accept_key(text);
        } else {
            self.draft.accept_string(self.slot, text);
            self.end_value(used);
        }
    }

    fn accept_key(&mut self, text: Text<'_>) {
        self.slot = if text.is_decoded_cut {
            Slot::Ignored
        } else {
            slot(self.node, text.decoded)
        };
        self.draft.note_key(self.slot);
        self.state = State::Colon;
    }

    fn begin_scalar(&mut self, bytes: &[u8]) -> usize {
        if let Some(end) = scalar_end(bytes) {
            self.draft.accept_scalar(self.slot, Text::plain(&bytes[..end]));
            self.end_value(end);
            return end;
        }
        self.state = State::Scalar;
        self.collector.reset(self.slot.wants_fingerprint());
        self.scalar(bytes)
    }

    fn scalar(&mut self, bytes: &[u8]) -> usize {
        let Some(end) = scalar_end(bytes) else {
            self.collector.push_scalar(bytes);
            return bytes.len();
        };
        self.collector.push_scalar(&bytes[..end]);
        self.draft.accept_scalar(self.slot, self.collector.finish());
        self.end_value(end);
        end
    }

    /// Passes over what is of no interest: only strings and the depth are followed.
    fn skip(&mut self, bytes: &[u8], mut is_in_string: bool) -> usize {
        let mut at = 0;
        loop {
            if is_in_string {
                let Some(end) = string_end(&bytes[at..], &mut self.is_escaped) else {
                    break;
                };
                at += end + 1;
                is_in_string = false;
            } else {
                let Some(next) = structural(&bytes[at..]) else {
                    break;
                };
                at += next + 1;
                match bytes[at - 1] {
                    b'"' => is_in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    _ => self.depth -= 1,
                }
            }
            if self.depth == 0 && !is_in_string {
                self.end_value(at);
                return at;
            }
        }
        self.state = State::Skip { is_in_string };
        bytes.len()
    }

    /// A value is over, `used` bytes after the current offset.
    fn end_value(&mut self, used: usize) {
        self.state = State::AfterValue;
        if self.node == Node::Outside && self.messages.len() < MAX_BATCH {
            let end = self.offset + used as u64;
            self.messages
                .push(no_object(self.start..end, EnvelopeProblem::NotAnObject));
        }
    }

    /// The closing brace of the current object is here.
    fn end_object(&mut self) {
        let is_message = self.node == Node::Message;
        self.node = self.node.parent();
        self.state = if is_message && !self.is_batch {
            State::Done
        } else {
            State::AfterValue
        };
        if is_message {
            let draft = std::mem::take(&mut self.draft);
            self.messages
                .push(draft.into_envelope(self.start..self.offset + 1));
        }
    }

    fn fail(&mut self) {
        self.keep_unfinished();
        self.state = State::Broken;
    }

    /// Keeps what is known of a message that will not end.
    fn keep_unfinished(&mut self) {
        let span = self.start..self.offset;
        let is_in_value = matches!(self.state, State::Skip { .. } | State::Scalar);
        if self.node != Node::Outside {
            let draft = std::mem::take(&mut self.draft);
            let envelope = draft.into_envelope(span);
            self.messages.push(Envelope {
                problem: Some(EnvelopeProblem::Cut),
                ..envelope
            });
        } else if is_in_value && self.messages.len() < MAX_BATCH {
            self.messages.push(no_object(span, EnvelopeProblem::Cut));
        }
    }
}

impl Draft {
    /// Notes that a key is there; what an earlier one like it brought is forgotten.
    fn note_key(&mut self, slot: Slot) {
        let bit = slot.bit();
        if self.seen & bit != 0 {
            self.is_duplicate = true;
            self.forget(slot);
        }
        self.seen |= bit;
        match slot {
            Slot::InputRequests => self.fields.note_input_requests(),
            Slot::InputResponses => self.fields.note_input_responses(),
            _ => {}
        }
    }

    fn forget(&mut self, slot: Slot) {
        match slot {
            Slot::Version => self.is_version_2 = false,
            Slot::Id => self.id = None,
            Slot::Method => self.method = None,
            Slot::Enter(node) => {
                self.is_error_null &= node != Node::Error;
                self.fields.forget_inside(node);
            }
            Slot::Text(field) | Slot::Token(field) | Slot::Opaque(field) => self.fields.forget(field),
            Slot::Ignored | Slot::InputRequests | Slot::InputResponses => {}
        }
    }

    fn accept_string(&mut self, slot: Slot, text: Text<'_>) {
        match slot {
            Slot::Version => self.is_version_2 = text.decoded == b"2.0",
            Slot::Id => self.id = Some(RpcId::from_string(text)),
            Slot::Method => self.method = Some(text.to_capped()),
            Slot::Text(field) => self.fields.put(field, FieldValue::Text(text.to_capped())),
            Slot::Token(field) => self.fields.put(field, FieldValue::Id(RpcId::from_string(text))),
            Slot::Opaque(field) => self
                .fields
                .put(field, FieldValue::Fingerprint(text.fingerprint())),
            Slot::Ignored | Slot::Enter(_) | Slot::InputRequests | Slot::InputResponses => {}
        }
    }

    fn accept_scalar(&mut self, slot: Slot, text: Text<'_>) {
        let is_null = text.raw == b"null";
        match slot {
            Slot::Id => self.id = RpcId::from_scalar(text),
            Slot::Enter(Node::Error) => self.is_error_null = is_null,
            // For every field, `null` says the same as its absence.
            _ if is_null => {}
            Slot::Text(field) => self.fields.put(field, FieldValue::Text(text.to_capped())),
            Slot::Token(field) => {
                if let Some(id) = RpcId::from_scalar(text) {
                    self.fields.put(field, FieldValue::Id(id));
                }
            }
            Slot::Opaque(field) => self
                .fields
                .put(field, FieldValue::Fingerprint(text.fingerprint())),
            _ => {}
        }
    }

    fn has(&self, slot: Slot) -> bool {
        self.seen & slot.bit() != 0
    }

    fn into_envelope(self, span: Range<u64>) -> Envelope {
        let (kind, problem) = self.classify();
        let duplicate = self.is_duplicate.then_some(EnvelopeProblem::DuplicateKey);
        Envelope {
            kind,
            id: self.id,
            method: self.method,
            is_version_2: self.is_version_2,
            fields: self.fields,
            span,
            problem: problem.or(duplicate),
        }
    }

    fn classify(&self) -> (MessageKind, Option<EnvelopeProblem>) {
        let has_result = self.has(Slot::Enter(Node::Result));
        let has_error = self.has(Slot::Enter(Node::Error));
        let both = (has_result && has_error).then_some(EnvelopeProblem::ResultAndError);
        if self.has(Slot::Method) {
            return self.classify_call(has_result || has_error);
        }
        if has_error && !(has_result && self.is_error_null) {
            let has_bad_id = self.has(Slot::Id) && self.id.is_none();
            return (
                MessageKind::Error,
                has_bad_id.then_some(EnvelopeProblem::InvalidId).or(both),
            );
        }
        if !has_result {
            return (MessageKind::Malformed, Some(EnvelopeProblem::NoKind));
        }
        match &self.id {
            Some(id) if !id.is_null() => (MessageKind::Result, both),
            None if self.has(Slot::Id) => (MessageKind::Malformed, Some(EnvelopeProblem::InvalidId)),
            _ => (MessageKind::Malformed, Some(EnvelopeProblem::MissingId)),
        }
    }

    /// The kind of a message with a method.
    fn classify_call(&self, is_also_answer: bool) -> (MessageKind, Option<EnvelopeProblem>) {
        let problem = is_also_answer.then_some(EnvelopeProblem::MethodAndAnswer);
        match &self.id {
            _ if self.method.is_none() => (MessageKind::Malformed, Some(EnvelopeProblem::InvalidMethod)),
            Some(id) if id.is_null() => (MessageKind::Malformed, Some(EnvelopeProblem::NullId)),
            None if self.has(Slot::Id) => (MessageKind::Malformed, Some(EnvelopeProblem::InvalidId)),
            Some(_) => (MessageKind::Request, problem),
            None => (MessageKind::Notification, problem),
        }
    }
}

/// The stand-in for a member of a batch that is no message.
fn no_object(span: Range<u64>, problem: EnvelopeProblem) -> Envelope {
    Envelope {
        kind: MessageKind::Malformed,
        id: None,
        method: None,
        is_version_2: false,
        fields: EnvelopeFields::default(),
        span,
        problem: Some(problem),
    }
}
