//! The text that an editor gets for a message, and what its text means when it comes back.

use shadowcat::codec::json::{compact, pretty};
use shadowcat::ids::HoldId;
use shadowcat::intercept::edit::{Expectation, Placeholders, Problem, check, mask, unmask, value_at};
use shadowcat::snapshot::Severity;

/// Largest message that is laid out for the editor, in bytes; larger ones are edited as they are.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// A message that is being edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EditJob {
    pub(crate) id: HoldId,
    /// What came, for comparison.
    original: Vec<u8>,
    /// What would go on now.
    current: Vec<u8>,
    secrets: Placeholders,
    /// What it has to follow, by its tool.
    schema: Option<String>,
    /// What the editor shows first.
    pub(crate) text: Vec<u8>,
}

/// What an edited text amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edited {
    pub(crate) payload: Vec<u8>,
    /// What is wrong or doubtful, the worst first.
    pub(crate) problems: Vec<Problem>,
}

impl EditJob {
    /// `original` came, `current` would go on, and `schema` is what its tool says of it.
    pub(crate) fn new(id: HoldId, original: &str, current: &str, schema: Option<&str>) -> Self {
        let (masked, secrets) = mask(current.as_bytes());
        Self {
            id,
            original: original.into(),
            current: current.into(),
            secrets,
            schema: schema.map(str::to_owned),
            text: laid_out(&masked),
        }
    }

    /// What `text`, as the editor left it, is to become. `None` if nothing was changed.
    pub(crate) fn finish(&self, text: &[u8]) -> Option<Edited> {
        if text == self.text || text == without_line_end(&self.text) {
            return None;
        }
        let typed = unmask(text, &self.secrets);
        let mut problems = check(
            &typed,
            &Expectation {
                original: &self.original,
                // Of another tool nothing is known here.
                schema: self.schema.as_deref().filter(|_| self.is_same_tool(&typed)),
            },
        );
        problems.retain(|problem| problem.severity >= Severity::Warning);
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&typed).is_ok();
        let payload = if is_json && is_one_line(&self.original) {
            compact(&typed)
        } else if self.original.ends_with(b"\n") {
            typed
        } else {
            without_line_end(&typed).to_vec()
        };
        (payload != self.current).then_some(Edited { payload, problems })
    }

    fn is_same_tool(&self, typed: &[u8]) -> bool {
        let tool = |text| value_at(text, "$.params.name");
        tool(typed) == tool(&self.original)
    }

    /// The same with what the user has typed, to go on from there.
    pub(crate) fn again(self, text: Vec<u8>) -> Self {
        Self { text, ..self }
    }
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

    fn job(text: &str) -> EditJob {
        EditJob::new(HoldId::new(1).unwrap(), text, text, None)
    }

    #[test]
    fn a_message_is_edited_one_member_a_line_and_goes_on_in_one_line() {
        let job = job(CALL);
        let text = String::from_utf8(job.text.clone()).unwrap();
        assert!(text.contains("\n      \"n\": 1.10,\n"), "{text}");
        let edited = job.finish(text.replace("\"a\"", "\"b\"").as_bytes()).unwrap();
        assert_eq!(edited.payload, CALL.replace("\"a\"", "\"b\"").as_bytes());
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
    fn what_is_no_json_any_more_goes_on_as_saved_and_is_told() {
        let edited = job(CALL).finish(b"{\"id\": 1,\n").unwrap();
        assert_eq!(edited.payload, b"{\"id\": 1,");
        assert!(
            edited.problems[0].text.contains("no JSON"),
            "{:?}",
            edited.problems
        );
    }

    #[test]
    fn an_argument_that_its_tool_does_not_take_is_told_with_its_line() {
        let schema = r#"{"type":"object","properties":{"n":{"type":"number"}}}"#;
        let job = EditJob::new(HoldId::new(1).unwrap(), CALL, CALL, Some(schema));
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
    fn secrets_are_not_in_the_file_and_come_back() {
        let call = CALL.replace("\"n\":1.10", "\"password\":\"hunter2-and-more\"");
        let job = job(&call);
        let text = String::from_utf8(job.text.clone()).unwrap();
        assert!(!text.contains("hunter2") && text.contains("secret 1"), "{text}");
        let edited = job.finish(text.replace("\"a\"", "\"b\"").as_bytes()).unwrap();
        assert_eq!(edited.payload, call.replace("\"a\"", "\"b\"").as_bytes());
    }

    #[test]
    fn a_body_of_several_lines_stays_as_the_user_saves_it() {
        let edited = job("{\n \"id\": 1\n}").finish(b"{\n \"id\": 2\n}\n").unwrap();
        assert_eq!(edited.payload, b"{\n \"id\": 2\n}");
    }
}
