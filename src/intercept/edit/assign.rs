//! `$.params.arguments.x=1`.

use super::Change;
use super::error::EditError;
use super::path::{read_path, written};
use super::reader::read;

/// Reads `PATH=VALUE`. A value that is no JSON is a text: `$.params.name=echo` and `$.params.name="echo"` are the same.
/// White space around path and value does not count.
///
/// # Errors
/// [`EditError::Path`] for a path that cannot be read, [`EditError::Assignment`] without a `=` behind it.
pub fn parse_assignment(text: &str) -> Result<Change, EditError> {
    let (steps, rest) = read_path(text.trim())?;
    let value = rest
        .trim_start()
        .strip_prefix('=')
        .ok_or(EditError::Assignment)?
        .trim();
    Ok(Change::Set {
        path: written(&steps),
        value: match read(value.as_bytes()) {
            Ok(_) => value.to_owned(),
            Err(_) => serde_json::Value::from(value).to_string(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_json_or_else_a_text() {
        for (text, path, value) in [
            ("$.a=1.50", "$.a", "1.50"),
            (" $.a.b[0] = {\"x\": 1} ", "$.a.b[0]", "{\"x\": 1}"),
            ("$[\"a=b\"]=\"1\"", "$[\"a=b\"]", "\"1\""),
            ("$.a=hello = \"you\"", "$.a", "\"hello = \\\"you\\\"\""),
            ("$.a=", "$.a", "\"\""),
            ("$=[]", "$", "[]"),
        ] {
            let change = Change::Set {
                path: path.to_owned(),
                value: value.to_owned(),
            };
            assert_eq!(parse_assignment(text), Ok(change), "{text}");
        }
    }

    #[test]
    fn what_is_no_assignment_is_refused() {
        assert_eq!(parse_assignment("$.a"), Err(EditError::Assignment));
        assert_eq!(parse_assignment("$.a:=1"), Err(EditError::Assignment));
        assert!(matches!(parse_assignment("a=1"), Err(EditError::Path { .. })));
    }
}
