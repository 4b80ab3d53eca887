//! Values that are equal where neither hides a secret: recordings have tags in the place of secrets. Pure.

use serde_json::{Number, Value};

pub(super) use crate::recording::redact::{TAG_END, TAG_START};

/// What stands for a secret, whichever tag it had.
pub(super) const SECRET_MASK: &str = "\u{2039}secret\u{203a}";

/// What tags and the mask begin with.
const START: &str = "\u{2039}secret";

/// Whether two values are equal; a tag stands for any text or number, on either side, and within a text for any part of
/// it. Numbers are equal by their value: SDKs spell the same one as `2` and as `2.0`.
pub(super) fn are_alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let is_alike =
                |(key, value): (&String, &Value)| other.get(key).is_some_and(|other| are_alike(value, other));
            one.len() == other.len() && one.iter().all(is_alike)
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| are_alike(one, other))
        }
        (Value::String(one), Value::String(other)) => one == other || fits(one, other) || fits(other, one),
        (Value::String(text), Value::Number(_)) | (Value::Number(_), Value::String(text)) => is_one_tag(text),
        (Value::Number(one), Value::Number(other)) => is_same_number(one, other),
        _ => one == other,
    }
}

/// Whole numbers are compared as they are: not all of them have a floating point number of their own.
fn is_same_number(one: &Number, other: &Number) -> bool {
    one == other || ((one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64())
}

/// Whether `text` is `pattern` with something in the place of each tag; not if there is none.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, mut after)) = next_tag(pattern) else {
        return false;
    };
    let Some(mut rest) = text.strip_prefix(head) else {
        return false;
    };
    while let Some((between, behind)) = next_tag(after) {
        let Some((_, found)) = rest.split_once(between) else {
            return false;
        };
        (rest, after) = (found, behind);
    }
    rest.ends_with(after)
}

/// Whether a text is a tag and nothing else.
pub(super) fn is_one_tag(text: &str) -> bool {
    next_tag(text) == Some(("", ""))
}

/// What is before the first tag, and what is behind it.
fn next_tag(text: &str) -> Option<(&str, &str)> {
    text.match_indices(START).find_map(|(at, _)| {
        let (head, tag) = text.split_at_checked(at)?;
        let (name, behind) = tag.strip_prefix(START)?.split_once(TAG_END)?;
        let is_tag = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        (name.is_empty() || name.strip_prefix(':').is_some_and(is_tag)).then_some((head, behind))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tag_stands_for_any_text_or_number_but_not_for_what_is_around_it() {
        let tag = "‹secret:5be1c0ffee01›";
        for (one, other, is_alike) in [
            (json!(tag), json!("abc"), true),
            (json!(tag), json!(17), true),
            (json!(tag), json!("‹secret:0a›"), true),
            (json!(tag), json!({}), false),
            (json!(format!("Bearer {tag}")), json!("Bearer abc"), true),
            (json!(format!("Bearer {tag}")), json!("Basic abc"), false),
            (json!(format!("Bearer {tag}")), json!(17), false),
            (json!(format!("{tag}:{tag}!")), json!("a:b!"), true),
            (json!(format!("{tag}:{tag}!")), json!("a:b"), false),
            (json!(SECRET_MASK), json!("x"), true),
            (json!("‹secret:no tag›"), json!("x"), false),
            (json!([{"a": tag}]), json!([{"a": "x"}]), true),
            (json!([{"a": tag}]), json!([{"b": "x"}]), false),
        ] {
            assert_eq!(are_alike(&one, &other), is_alike, "{one} {other}");
            assert_eq!(are_alike(&other, &one), is_alike, "{other} {one}");
        }
    }

    #[test]
    fn numbers_are_equal_by_their_value_and_large_ones_stay_apart() {
        assert!(are_alike(&json!(2), &json!(2.0)));
        assert!(!are_alike(&json!(2), &json!(2.5)));
        assert!(!are_alike(
            &json!(9_007_199_254_740_993_u64),
            &json!(9_007_199_254_740_992_u64)
        ));
    }
}
