//! Text to values. Depth is bounded, so that no file can use up the stack.

use super::{Member, Mistake, Node, Value};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 64;

/// Reads one value, with nothing but blanks and comments around it.
///
/// # Errors
/// [`Mistake`] at the first byte that cannot be read, with what was expected there.
pub(crate) fn parse(text: &str) -> Result<Node, Mistake> {
    let mut parser = Parser { text, at: 0 };
    if text.starts_with('\u{feff}') {
        parser.at = '\u{feff}'.len_utf8();
    }
    parser.skip()?;
    let node = parser.value(0)?;
    parser.skip()?;
    if parser.at < text.len() {
        return Err(parser.expected("nothing more"));
    }
    Ok(node)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn starts_with(&self, start: &str) -> bool {
        self.text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(start))
    }

    fn expected(&self, what: &str) -> Mistake {
        let found = match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            None => "the end of the file".to_owned(),
            Some(found) => format!("`{}`", found.escape_debug()),
        };
        Mistake::new(self.at, format!("{what} was expected here, not {found}"))
    }

    /// Blanks and comments.
    fn skip(&mut self) -> Result<(), Mistake> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(b'/') if self.starts_with("//") => {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    self.at += rest.find('\n').unwrap_or(rest.len());
                }
                Some(b'/') if self.starts_with("/*") => {
                    let rest = self.text.get(self.at + 2..).unwrap_or_default();
                    let end = rest.find("*/");
                    let end =
                        end.ok_or_else(|| Mistake::new(self.at, "this comment has no end: `*/` is missing"))?;
                    self.at += 2 + end + 2;
                }
                _ => return Ok(()),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Mistake> {
        if depth > MAX_DEPTH {
            return Err(Mistake::new(
                self.at,
                format!("nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node {
            span: start..self.at,
            value,
        })
    }

    fn object(&mut self, depth: usize) -> Result<Value, Mistake> {
        let mut members = Vec::new();
        self.at += 1;
        loop {
            self.skip()?;
            if self.peek() == Some(b'}') {
                break;
            }
            members.push(self.member(depth)?);
            if !self.has_comma(b'}', "`,` or `}`")? {
                break;
            }
        }
        self.at += 1;
        Ok(Value::Object(members))
    }

    fn member(&mut self, depth: usize) -> Result<Member, Mistake> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in quotes"));
        }
        let key = self.string()?;
        let key_span = start..self.at;
        self.skip()?;
        if self.peek() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.at += 1;
        self.skip()?;
        let value = self.value(depth + 1)?;
        Ok(Member { key, key_span, value })
    }

    fn list(&mut self, depth: usize) -> Result<Value, Mistake> {
        let mut items = Vec::new();
        self.at += 1;
        loop {
            self.skip()?;
            if self.peek() == Some(b']') {
                break;
            }
            items.push(self.value(depth + 1)?);
            if !self.has_comma(b']', "`,` or `]`")? {
                break;
            }
        }
        self.at += 1;
        Ok(Value::List(items))
    }

    /// After a member or an item: whether a comma says that there may be more. Without one the end has to be here.
    fn has_comma(&mut self, end: u8, what: &str) -> Result<bool, Mistake> {
        self.skip()?;
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(found) if found == end => Ok(false),
            _ => Err(self.expected(what)),
        }
    }

    fn string(&mut self) -> Result<String, Mistake> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(b'\n' | b'\r') | None => {
                    return Err(Mistake::new(start, "this text has no end: `\"` is missing"));
                }
                Some(_) => end += 1,
            }
        }
        self.at = end + 1;
        let spelled = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(spelled).map_err(|_| {
            Mistake::new(
                start,
                "this text has an escape or a control character that JSON does not know",
            )
        })
    }

    fn number(&mut self) -> Result<Value, Mistake> {
        let start = self.at;
        while let Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        let spelled = self.text.get(start..self.at).unwrap_or_default();
        match serde_json::from_str::<serde_json::Number>(spelled) {
            Ok(_) => Ok(Value::Number(spelled.to_owned())),
            Err(_) => Err(Mistake::new(start, format!("`{spelled}` is not a number"))),
        }
    }

    fn word(&mut self) -> Result<Value, Mistake> {
        let words = [
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("null", Value::Null),
        ];
        for (word, value) in words {
            if self.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.expected("a value"))
    }
}
