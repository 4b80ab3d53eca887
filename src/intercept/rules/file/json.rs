//! Values of the file as JSON text and back.

use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

use crate::codec::text::is_number;
use crate::intercept::rules::template::json_string;

use super::error::Mistake;
use super::write::{key_text, string_text};

/// A value as JSON text. A number with a decimal point keeps its spelling.
///
/// The nesting is bounded by the reader of the file, so that this may recurse.
pub(super) fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<String, Mistake> {
    match value.get_ref() {
        DeValue::String(text) => Ok(json_string(text)),
        DeValue::Integer(number) => whole(number).ok_or_else(|| {
            Mistake::new(
                value.span().start,
                "the number is too large; write it as JSON text",
            )
        }),
        DeValue::Float(number) => {
            float(number).ok_or_else(|| Mistake::new(value.span().start, "JSON has neither inf nor nan"))
        }
        DeValue::Boolean(is_true) => Ok(is_true.to_string()),
        DeValue::Datetime(time) => Ok(json_string(&time.to_string())),
        DeValue::Array(list) => {
            let elements: Result<Vec<_>, _> = list.iter().map(from_toml).collect();
            Ok(format!("[{}]", elements?.join(",")))
        }
        DeValue::Table(table) => from_table(table),
    }
}

fn from_table(table: &DeTable<'_>) -> Result<String, Mistake> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let member = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        from_toml(value).map(|value| format!("{}:{value}", json_string(key)))
    };
    let members: Result<Vec<_>, _> = entries.into_iter().map(member).collect();
    Ok(format!("{{{}}}", members?.join(",")))
}

fn whole(number: &DeInteger<'_>) -> Option<String> {
    i64::from_str_radix(number.as_str(), number.radix())
        .ok()
        .map(|number| number.to_string())
}

fn float(number: &DeFloat<'_>) -> Option<String> {
    let spelled = number.as_str().replace('_', "");
    let spelled = spelled.strip_prefix('+').unwrap_or(&spelled);
    is_number(spelled.as_bytes()).then(|| spelled.to_owned())
}

/// JSON text as a value of the file, if that says exactly the same when it is read again.
pub(super) fn to_toml(json: &str) -> Option<String> {
    let mut written = String::new();
    write(&serde_json::from_str(json).ok()?, &mut written)?;
    let read = DeValue::parse(&written).ok()?;
    (from_toml(&read).ok()? == json).then_some(written)
}

fn write(value: &serde_json::Value, written: &mut String) -> Option<()> {
    use serde_json::Value;
    match value {
        Value::Null => return None,
        Value::Bool(is_true) => written.push_str(&is_true.to_string()),
        Value::Number(number) => written.push_str(&number.to_string()),
        Value::String(text) => written.push_str(&string_text(text)),
        Value::Array(elements) => {
            written.push('[');
            for (index, element) in elements.iter().enumerate() {
                written.push_str(if index == 0 { "" } else { ", " });
                write(element, written)?;
            }
            written.push(']');
        }
        Value::Object(members) => {
            written.push('{');
            for (index, (key, member)) in members.iter().enumerate() {
                written.push_str(if index == 0 { " " } else { ", " });
                written.push_str(&key_text(key));
                written.push_str(" = ");
                write(member, written)?;
            }
            written.push_str(if members.is_empty() { "}" } else { " }" });
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(toml: &str) -> String {
        from_toml(&DeValue::parse(toml).unwrap()).unwrap_or_else(|mistake| mistake.message)
    }

    #[test]
    fn values_become_the_json_a_person_means() {
        let toml = r#"{ z = 1, a = [1.50, +2e3, 0x10, true], "x y" = "a\"b", t = 2026-07-28 }"#;
        let expected = r#"{"z":1,"a":[1.50,2e3,16,true],"x y":"a\"b","t":"2026-07-28"}"#;
        assert_eq!(json(toml), expected);
        assert_eq!(json("inf"), "JSON has neither inf nor nan");
    }

    #[test]
    fn only_json_that_comes_back_the_same_is_written_as_a_value() {
        let same = r#"{"b":[1,"x",{"a b":true}],"a":{},"f":1.5}"#;
        let written = to_toml(same).unwrap();
        assert_eq!(written, r#"{ b = [1, "x", { "a b" = true }], a = {}, f = 1.5 }"#);
        assert_eq!(json(&written), same);
        for json in [
            "null",
            "[1, 2]",
            "1.50",
            "12345678901234567890123",
            "{\"a\":1,\"a\":2}",
            "{{id}}",
        ] {
            assert_eq!(to_toml(json), None, "{json}");
        }
    }
}
