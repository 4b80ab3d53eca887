//! The text that an editor gets for a message, and what its text means when it comes back.

use shadowcat::codec::json::{compact, pretty};
use shadowcat::ids::HoldId;
use shadowcat::intercept::edit::{
    Expectation, FieldChanges, FrontMatter, Placeholders, Problem, check, mask, unmask, value_at,
};
use shadowcat::intercept::interceptor::HeldText;
use shadowcat::snapshot::{Repeat, RowKind, Severity};

/// Largest message that is laid out for the editor, in bytes; larger ones are edited as they are.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// A message that is being edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EditJob {
    pub(crate) target: Target,
    /// What came, for comparison.
    original: Vec<u8>,
    /// What would go on now.
    current: Vec<u8>,
    secrets: Placeholders,
    /// What it has to follow, by its tool.
    schema: Option<String>,
    /// The head of an HTTP request, before the message.
    front: Option<FrontMatter>,
    /// What was done to the head before.
    fields: FieldChanges,
    /// The message as an editor shows it.
    shown: Vec<u8>,
    /// It is no MCP, so that nothing is known of what is right.
    is_http: bool,
    /// What the editor begins with: that, or what was typed before.
    pub(crate) text: Vec<u8>,
}

/// What becomes of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// It takes the place of a held message.
    Held(HoldId),
    /// It is sent as a copy of a request.
    Copy(Box<Repeat>),
}

impl Target {
    /// The held message that it is about.
    pub(crate) const fn held(&self) -> Option<HoldId> {
        match self {
            Self::Held(id) => Some(*id),
            Self::Copy(_) => None,
        }
    }
}

/// What an edited text amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edited {
    /// The message; `None` if it is as it was before.
    pub(crate) payload: Option<Vec<u8>>,
    /// What is done to the head; `None` if that is as before.
    pub(crate) fields: Option<FieldChanges>,
    /// What is wrong or doubtful, the worst first.
    pub(crate) problems: Vec<Problem>,
}

impl EditJob {
    /// For `message` as it would go on now.
    pub(crate) fn new(message: &HeldText) -> Self {
        let current = message.edited.as_ref().unwrap_or(&message.original);
        let (masked, secrets) = mask(current.as_bytes());
        let fields = message.head_edit.fields.clone();
        let head = message.head.as_ref();
        let front = head.map(|head| FrontMatter::of(&head.fields, &fields));
        let mut text = front
            .as_ref()
            .map_or_else(String::new, FrontMatter::text)
            .into_bytes();
        text.extend(laid_out(&masked));
        Self {
            target: Target::Held(message.row.id),
            original: message.original.clone().into(),
            current: current.clone().into(),
            secrets,
            schema: message.schema.clone(),
            front,
            fields,
            shown: text.clone(),
            is_http: matches!(message.row.kind, RowKind::Http | RowKind::HttpResponse),
            text,
        }
    }

    /// For a request that is sent again.
    pub(crate) fn of_copy(repeat: Repeat) -> Self {
        let (masked, secrets) = mask(repeat.body.as_bytes());
        let has_head = !repeat.head.line.is_empty();
        let front = has_head.then(|| FrontMatter::of(&repeat.head.fields, &[]));
        let mut text = front
            .as_ref()
            .map_or_else(String::new, FrontMatter::text)
            .into_bytes();
        text.extend(laid_out(&masked));
        Self {
            original: repeat.original.clone().into(),
            current: repeat.body.clone().into(),
            secrets,
            schema: None,
            front,
            fields: Vec::new(),
            shown: text.clone(),
            is_http: false,
            text,
            target: Target::Copy(Box::new(repeat)),
        }
    }

    /// What `text`, as the editor left it, is to become. `None` if nothing was changed.
    pub(crate) fn finish(&self, text: &[u8]) -> Option<Edited> {
        if text == self.shown || text == without_line_end(&self.shown) {
            return None;
        }
        let (body, fields, mut told) = self.without_head(text);
        let typed = unmask(body.text, &self.secrets);
        let expected = Expectation {
            original: &self.original,
            // Of another tool nothing is known here.
            schema: self.schema.as_deref().filter(|_| self.is_same_tool(&typed)),
        };
        let mut problems = if self.is_http {
            Vec::new()
        } else {
            check(&typed, &expected)
        };
        problems.retain(|problem| problem.severity >= Severity::Warning);
        for problem in &mut problems {
            problem.line += body.lines_before;
        }
        told.extend(problems);
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&typed).is_ok();
        let payload = if is_json && is_one_line(&self.original) {
            compact(&typed)
        } else if self.original.ends_with(b"\n") {
            typed
        } else {
            without_line_end(&typed).to_vec()
        };
        let edited = Edited {
            payload: (payload != self.current).then_some(payload),
            fields: (fields != self.fields).then_some(fields),
            problems: told,
        };
        let is_told = edited.payload.is_some() || edited.fields.is_some() || !edited.problems.is_empty();
        is_told.then_some(edited)
    }

    /// The message that a text has, behind the fields of its head, and what these say.
    fn without_head<'t>(&self, text: &'t [u8]) -> (Body<'t>, FieldChanges, Vec<Problem>) {
        let Some(front) = &self.front else {
            let lines_before = 0;
            return (Body { text, lines_before }, Vec::new(), Vec::new());
        };
        let split = front.split(text);
        let body = Body {
            text: split.body,
            lines_before: split.lines_before,
        };
        (body, split.fields, split.problems)
    }

    fn is_same_tool(&self, typed: &[u8]) -> bool {
        let tool = |text| value_at(text, "$.params.name");
        tool(typed) == tool(&self.original)
    }

    /// Whether it begins with what was typed before.
    pub(crate) fn is_again(&self) -> bool {
        self.text != self.shown
    }

    /// The same with what the user has typed, to go on from there.
    pub(crate) fn again(self, text: Vec<u8>) -> Self {
        Self { text, ..self }
    }
}

/// The message in a text of the editor.
struct Body<'t> {
    text: &'t [u8],
    lines_before: usize,
}

fn is_one_line(text: &[u8]) -> bool {
    !text.contains(&b'\n')
}

fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// One member a line, every value as it is spelled. What is no JSON stays as it is.
fn laid_out(payload: &[u8]) -> Vec<u8> {
    if serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_err() {
        return payload.to_vec();
    }
    let pretty = pretty(payload, MOST_BYTES);
    if pretty.is_cut {
        return payload.to_vec();
    }
    let mut text = Vec::with_capacity(payload.len() * 2);
    for line in pretty.lines {
        text.resize(text.len() + usize::from(line.indent) * 2, b' ');
        for (_, span) in line.spans {
            text.extend_from_slice(span.as_bytes());
        }
        text.push(b'\n');
    }
    // Laying out may not have changed anything but white space.
    if compact(&text) == compact(payload) {
        text
    } else {
        payload.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = r#"{"jsonrpc":"2.0","id":1.0,"method":"tools/call","params":{"name":"a","arguments":{"n":1.10,"big":12345678901234567890123}}}"#;

    fn message(text: &str) -> HeldText {
        crate::fake::held_message(text)
    }

    fn job(text: &str) -> EditJob {
        EditJob::new(&message(text))
    }

    impl Edited {
        /// The message that was edited.
        fn text(&self) -> &[u8] {
            self.payload.as_deref().unwrap()
        }
    }

    #[test]
    fn a_message_is_edited_one_member_a_line_and_goes_on_in_one_line() {
        let job = job(CALL);
        let text = String::from_utf8(job.text.clone()).unwrap();
        assert!(text.contains("\n      \"n\": 1.10,\n"), "{text}");
        let edited = job.finish(text.replace("\"a\"", "\"b\"").as_bytes()).unwrap();
        assert_eq!(edited.text(), CALL.replace("\"a\"", "\"b\"").as_bytes());
        assert_eq!(edited.problems, []);
    }

    #[test]
    fn a_text_that_was_not_changed_is_no_edit() {
        let job = job(CALL);
        assert_eq!(job.finish(&job.text), None);
        assert_eq!(job.finish(without_line_end(&job.text)), None);
        let other_spaces = String::from_utf8(job.text.clone()).unwrap().replace("  ", "\t");
        assert_eq!(job.finish(other_spaces.as_bytes()), None);
    }

    #[test]
    fn what_was_typed_before_is_an_edit_though_nothing_is_changed_any_more() {
        let broken = b"{\"id\": 1,\n";
        let again = job(CALL).again(broken.to_vec());
        assert_eq!(again.text, broken);
        assert_eq!(again.finish(broken), job(CALL).finish(broken));
        assert_eq!(again.finish(&job(CALL).text), None, "it is as it was again");
    }

    #[test]
    fn what_is_no_json_any_more_goes_on_as_saved_and_is_told() {
        let edited = job(CALL).finish(b"{\"id\": 1,\n").unwrap();
        assert_eq!(edited.text(), b"{\"id\": 1,");
        assert!(
            edited.problems[0].text.contains("no JSON"),
            "{:?}",
            edited.problems
        );
    }

    #[test]
    fn an_argument_that_its_tool_does_not_take_is_told_with_its_line() {
        let schema = r#"{"type":"object","properties":{"n":{"type":"number"}}}"#;
        let job = EditJob::new(&HeldText {
            schema: Some(schema.to_owned()),
            ..message(CALL)
        });
        let text = String::from_utf8(job.text.clone()).unwrap();
        let edited = job.finish(text.replace("1.10", "\"many\"").as_bytes()).unwrap();
        let [problem] = &edited.problems[..] else {
            panic!("{:?}", edited.problems);
        };
        assert_eq!((problem.line, problem.path.as_str()), (8, "$.params.arguments.n"));
        let other = text.replace("1.10", "\"many\"").replace("\"a\"", "\"b\"");
        assert_eq!(job.finish(other.as_bytes()).unwrap().problems, []);
    }

    #[test]
    fn the_head_of_a_request_stands_before_it_and_is_changed_there() {
        let fields = [
            ("host", "a"),
            ("mcp-name", "a"),
            ("authorization", "Bearer abcdefghijkl"),
        ];
        let head = shadowcat::snapshot::Head {
            line: String::new(),
            fields: fields
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
        };
        let job = EditJob::new(&HeldText {
            head: Some(head),
            ..message(CALL)
        });
        let text = String::from_utf8(job.text.clone()).unwrap();
        assert!(
            text.starts_with("---\nmcp-name: a\nauthorization: «header 1»\n---\n{\n"),
            "{text}"
        );
        let edited = job
            .finish(text.replace("mcp-name: a", "mcp-name: b").as_bytes())
            .unwrap();
        let fields = vec![("mcp-name".to_owned(), Some("b".to_owned()))];
        assert_eq!((edited.payload, edited.fields), (None, Some(fields)));
        let edited = job
            .finish(text.replace("mcp-name: a", "mcp-name").as_bytes())
            .unwrap();
        assert_eq!(
            (edited.problems[0].line, edited.problems[0].path.as_str()),
            (2, "head")
        );
        let edited = job
            .finish(text.replace("\"id\": 1.0", "\"id\": 2").as_bytes())
            .unwrap();
        assert_eq!(edited.problems[0].line, 7, "{:?}", edited.problems);
        assert_eq!(edited.fields, None);
    }

    #[test]
    fn secrets_are_not_in_the_file_and_come_back() {
        let call = CALL.replace("\"n\":1.10", "\"password\":\"hunter2-and-more\"");
        let job = job(&call);
        let text = String::from_utf8(job.text.clone()).unwrap();
        assert!(!text.contains("hunter2") && text.contains("secret 1"), "{text}");
        let edited = job.finish(text.replace("\"a\"", "\"b\"").as_bytes()).unwrap();
        assert_eq!(edited.text(), call.replace("\"a\"", "\"b\"").as_bytes());
    }

    #[test]
    fn a_body_of_several_lines_stays_as_the_user_saves_it() {
        let edited = job("{\n \"id\": 1\n}").finish(b"{\n \"id\": 2\n}\n").unwrap();
        assert_eq!(edited.text(), b"{\n \"id\": 2\n}");
    }
}
