//! The fields of an HTTP head as lines between `---` before its body, and what they say when somebody has changed them.

use http::{HeaderName, HeaderValue};

use super::check::Problem;
use crate::recording::redact::{Output, Tagger, redact_field};
use crate::snapshot::Severity;

/// Before the first field and behind the last.
const FENCE: &str = "---";
/// Fields that follow from the connection and from the body: whoever sends the request says them.
const OF_THE_CONNECTION: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Stands for the status among the fields of a response; no field of HTTP can have this name.
pub const STATUS_FIELD: &str = ":status";

/// Changes of a head: a field and its new value, or none if it goes.
pub type FieldChanges = Vec<(String, Option<String>)>;

/// The fields that can be changed, as an editor shows them. Secrets, which recordings would not keep either, are placeholders
/// such as `«header 1»`.
#[derive(Clone, PartialEq, Eq)]
pub struct FrontMatter {
    /// As they came.
    original: Vec<(String, String)>,
    /// As they would go on.
    current: Vec<(String, String)>,
    secrets: Vec<String>,
}

/// What an edited text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split<'t> {
    /// How the head differs from what came.
    pub fields: FieldChanges,
    /// The rest of the text.
    pub body: &'t [u8],
    /// Lines before it.
    pub lines_before: usize,
    /// Lines that say no field, or one that cannot be changed. They count for nothing: a field that such a line names goes
    /// on as it was, and else the problem says what is not sent.
    pub problems: Vec<Problem>,
}

impl std::fmt::Debug for FrontMatter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FrontMatter({} fields)", self.current.len())
    }
}

impl FrontMatter {
    /// For a head as it came, and what was changed of it before.
    pub fn of(head: &[(String, String)], changed: &[(String, Option<String>)]) -> Self {
        let is_ours = |name: &str| OF_THE_CONNECTION.contains(&name.to_ascii_lowercase().as_str());
        let fields = head.iter().filter(|(name, _)| !is_ours(name));
        let original: Vec<(String, String)> = fields.cloned().collect();
        let current = with_changes(&original, changed);
        let secrets = current.iter().filter(|(name, value)| is_secret(name, value));
        let secrets = secrets.map(|(_, value)| value.clone()).collect();
        Self {
            original,
            current,
            secrets,
        }
    }

    /// The lines for the editor, the fences too.
    pub fn text(&self) -> String {
        let mut text = format!("{FENCE}\n");
        for line in self.lines() {
            text.extend([&line, "\n"]);
        }
        text + FENCE + "\n"
    }

    /// The fields as they would go on, one a line, without their secrets.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.current.iter().map(|(name, value)| {
            let place = self.secrets.iter().position(|secret| secret == value);
            let shown = match place.filter(|_| is_secret(name, value)) {
                Some(place) => placeholder(place),
                None => value.clone(),
            };
            format!("{name}: {shown}")
        })
    }

    /// Takes an edited text apart. One without fences says nothing of the head: it stays as it was.
    pub fn split<'t>(&self, text: &'t [u8]) -> Split<'t> {
        let mut split = Split {
            fields: changes_between(&self.original, &self.current),
            body: text,
            lines_before: 0,
            problems: Vec::new(),
        };
        let mut lines = text.split_inclusive(|byte| *byte == b'\n');
        if lines.next().is_none_or(|line| trimmed(line) != FENCE.as_bytes()) {
            return split;
        }
        let (mut read, mut fields) = (
            text.len() - lines.clone().map(<[u8]>::len).sum::<usize>(),
            Vec::new(),
        );
        split.lines_before = 1;
        let mut unclear = Vec::new();
        for line in lines {
            read += line.len();
            split.lines_before += 1;
            let line = trimmed(line);
            if line == FENCE.as_bytes() {
                self.keep_unclear(&unclear, &mut fields);
                split.problems = self.problems(&unclear, &fields);
                split.fields = changes_between(&self.original, &fields);
                split.body = &text[read..];
                return split;
            }
            match self.field(line) {
                Ok(field) => fields.extend(field),
                Err(reason) => unclear.push(Unclear {
                    line: split.lines_before,
                    reason,
                    field: self.named_in(line),
                }),
            }
        }
        // All of it may be body, or head: nobody knows.
        let reason = "the fields of the head end with a line `---`, and there is none";
        split.problems = vec![problem(1, reason.to_owned())];
        split.lines_before = 0;
        split
    }

    /// The name of the field that a line is about, if the head has one of that name.
    fn named_in(&self, line: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(line);
        let name = text.split([':', ' ', '=']).next()?.trim();
        let mut known = self.current.iter();
        known
            .find(|(there, _)| there.eq_ignore_ascii_case(name))
            .map(|(there, _)| there.clone())
    }

    /// Fields that only unclear lines name go on as they were.
    fn keep_unclear(&self, unclear: &[Unclear], fields: &mut Vec<(String, String)>) {
        for name in unclear.iter().filter_map(|unclear| unclear.field.as_ref()) {
            let is_it = |(there, _): &&(String, String)| there.eq_ignore_ascii_case(name);
            if !fields.iter().any(|field| is_it(&field)) {
                fields.extend(self.current.iter().filter(is_it).cloned());
            }
        }
    }

    /// What is wrong with each unclear line, and what that means for what is sent.
    fn problems(&self, unclear: &[Unclear], fields: &[(String, String)]) -> Vec<Problem> {
        let is_there = |name: &str| fields.iter().any(|(there, _)| there.eq_ignore_ascii_case(name));
        let gone = self.current.iter().filter(|(name, _)| !is_there(name));
        let gone: Vec<String> = gone.map(|(name, _)| format!("`{name}`")).collect();
        let told = unclear.iter().map(|unclear| {
            let reason = &unclear.reason;
            let effect = match &unclear.field {
                Some(name) => format!("`{name}` goes on as it was"),
                None if gone.is_empty() => "this line is not sent".to_owned(),
                None => format!(
                    "this line is not sent, and no line says {} any more",
                    gone.join(", ")
                ),
            };
            problem(unclear.line, format!("{reason}: {effect}"))
        });
        told.collect()
    }

    fn field(&self, line: &[u8]) -> Result<Option<(String, String)>, String> {
        if line.is_empty() {
            return Ok(None);
        }
        let text = std::str::from_utf8(line).map_err(|_| "this line is no UTF-8".to_owned())?;
        if let Some(code) = text.strip_prefix(STATUS_FIELD) {
            return self.status(code).map(Some);
        }
        let (name, value) = text
            .split_once(':')
            .ok_or_else(|| "a field is a name, a colon and a value".to_owned())?;
        let (name, value) = (name.trim(), self.with_secrets(value.trim()));
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(format!("`{name}` cannot be the name of a field"));
        }
        if OF_THE_CONNECTION.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(format!("`{name}` follows from the connection and the body"));
        }
        if HeaderValue::from_str(&value).is_err() {
            return Err(format!(
                "the value of `{name}` has characters that no head may have"
            ));
        }
        Ok(Some((name.to_owned(), value)))
    }

    fn status(&self, text: &str) -> Result<(String, String), String> {
        let is_response = self.original.iter().any(|(name, _)| name == STATUS_FIELD);
        let code = text.strip_prefix(':').map(str::trim);
        let number: Option<u16> = code.and_then(|code| code.parse().ok());
        match number.filter(|number| is_response && (200..=599).contains(number)) {
            Some(number) => Ok((STATUS_FIELD.to_owned(), number.to_string())),
            None => Err(format!(
                "`{STATUS_FIELD}` is a number from 200 to 599, and only in a response"
            )),
        }
    }

    fn with_secrets(&self, value: &str) -> String {
        let secrets = self.secrets.iter().enumerate();
        secrets.fold(value.to_owned(), |value, (place, secret)| {
            value.replace(&placeholder(place), secret)
        })
    }
}

/// A line of the head that says no field that can be sent.
struct Unclear {
    line: usize,
    reason: String,
    /// The field of the head that it seems to be about.
    field: Option<String>,
}

fn placeholder(place: usize) -> String {
    format!("«header {}»", place + 1)
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.trim_ascii_end()
}

fn problem(line: usize, text: String) -> Problem {
    Problem {
        severity: Severity::Error,
        line,
        column: 1,
        path: "head".to_owned(),
        text,
    }
}

/// Whether a recording would not keep the value.
fn is_secret(name: &str, value: &str) -> bool {
    let Ok(tagger) = Tagger::random() else {
        // Without a key for the tags nothing can be found, so nothing is shown.
        return true;
    };
    let mut out = Output::new(&tagger);
    redact_field(name.as_bytes(), value.as_bytes(), &mut out);
    out.bytes != value.as_bytes()
}

/// The fields with the changes made: a changed one stands where the first of its name stood.
fn with_changes(fields: &[(String, String)], changed: &[(String, Option<String>)]) -> Vec<(String, String)> {
    let mut current = fields.to_vec();
    for (name, value) in changed {
        let place = current
            .iter()
            .position(|(there, _)| there.eq_ignore_ascii_case(name));
        current.retain(|(there, _)| !there.eq_ignore_ascii_case(name));
        if let Some(value) = value {
            let place = place.unwrap_or(current.len()).min(current.len());
            current.insert(place, (name.clone(), value.clone()));
        }
    }
    current
}

/// What makes the second head of the first. Fields that come several times become one, with commas between.
///
/// Source: RFC 9110, section 5.3.
fn changes_between(before: &[(String, String)], after: &[(String, String)]) -> FieldChanges {
    let values = |fields: &[(String, String)], name: &str| -> Vec<String> {
        let of_name = fields
            .iter()
            .filter(|(there, _)| there.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.clone()).collect()
    };
    let mut changes: FieldChanges = Vec::new();
    for (name, _) in before.iter().chain(after) {
        let is_told = changes.iter().any(|(told, _)| told.eq_ignore_ascii_case(name));
        let (old, new) = (values(before, name), values(after, name));
        if old != new && !is_told {
            changes.push((name.clone(), (!new.is_empty()).then(|| new.join(", "))));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Vec<(String, String)> {
        [
            ("Host", "a"),
            ("accept", "application/json"),
            ("authorization", "Bearer s3cr3t-and-long"),
            ("content-length", "2"),
            ("x-a", "1"),
            ("X-A", "2"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    fn change(name: &str, value: Option<&str>) -> (String, Option<String>) {
        (name.to_owned(), value.map(str::to_owned))
    }

    #[test]
    fn fields_stand_before_the_body_without_secrets_and_without_those_of_the_connection() {
        let front = FrontMatter::of(&head(), &[]);
        assert_eq!(
            front.text(),
            "---\naccept: application/json\nauthorization: «header 1»\nx-a: 1\nX-A: 2\n---\n"
        );
        let text = front.text() + "{}";
        let split = front.split(text.as_bytes());
        assert_eq!(
            (split.fields, split.body, split.lines_before),
            (Vec::new(), &b"{}"[..], 6)
        );
        assert_eq!(split.problems, []);
    }

    #[test]
    fn what_was_changed_is_told_field_by_field_and_secrets_come_back() {
        let front = FrontMatter::of(&head(), &[]);
        let text = "---\nauthorization: «header 1»x\nx-a: 1\nx-new: y\n\n---\n{}";
        let split = front.split(text.as_bytes());
        assert_eq!(
            split.fields,
            [
                change("accept", None),
                change("authorization", Some("Bearer s3cr3t-and-longx")),
                change("x-a", Some("1")),
                change("x-new", Some("y")),
            ]
        );
        let again = FrontMatter::of(&head(), &split.fields);
        assert!(again.text().contains("x-new: y\n") && !again.text().contains("accept"));
        assert_eq!(again.split(b"{}").fields, split.fields, "no fences: as it was");
    }

    #[test]
    fn a_line_that_is_no_field_is_told_with_its_number() {
        let front = FrontMatter::of(&head(), &[]);
        let told = |text: &str| -> Vec<(usize, String)> {
            let problems = front.split(text.as_bytes()).problems;
            problems
                .into_iter()
                .map(|problem| (problem.line, problem.text))
                .collect()
        };
        let lines = told("---\nx\nhost: b\nb ad: c\n---\n{}");
        assert_eq!(lines.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4]);
        assert!(lines[0].1.contains("a colon") && lines[1].1.contains("follows from the connection"));
        assert!(told("---\naccept: a\n{}")[0].1.contains("there is none"));
    }

    #[test]
    fn a_field_with_a_mistake_in_its_line_is_not_lost_without_a_word() {
        let front = FrontMatter::of(&head(), &[]);
        let text = front.text();
        let broken = text.replacen("accept:", "accept", 1);
        let split = front.split(broken.as_bytes());
        assert_eq!(split.fields, [], "it goes on as it was");
        let told = &split.problems[0].text;
        assert!(told.ends_with(": `accept` goes on as it was"), "{told}");
        let renamed = text.replacen("accept:", "ac cept:", 1);
        let split = front.split(renamed.as_bytes());
        let told = &split.problems[0].text;
        assert!(
            told.ends_with("this line is not sent, and no line says `accept` any more"),
            "{told}"
        );
        assert_eq!(split.fields, [("accept".to_owned(), None)]);
    }

    #[test]
    fn the_status_of_a_response_is_changed_like_a_field_and_a_request_has_none() {
        let response = vec![
            (STATUS_FIELD.to_owned(), "200".to_owned()),
            ("x-a".to_owned(), "1".to_owned()),
        ];
        let front = FrontMatter::of(&response, &[]);
        assert_eq!(front.text(), "---\n:status: 200\nx-a: 1\n---\n");
        let split = front.split(b"---\n:status: 404\nx-a: 1\n---\n");
        assert_eq!(split.fields, [change(STATUS_FIELD, Some("404"))]);
        for wrong in [":status: 99", ":status: many", ":status"] {
            let text = format!("---\n{wrong}\n---\n");
            assert_eq!(front.split(text.as_bytes()).problems.len(), 1, "{wrong}");
        }
        let request = FrontMatter::of(&head(), &[]);
        assert_eq!(request.split(b"---\n:status: 404\n---\n").problems.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_apart_without_a_fault(text: Vec<u8>) {
            let front = FrontMatter::of(&head(), &[]);
            let split = front.split(&text);
            proptest::prop_assert!(text.ends_with(split.body));
        }
    }
}
