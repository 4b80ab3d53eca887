//! What we say of values in messages, without their secrets.

use crate::intercept::edit::names_of;
use crate::recording::TextMask;

/// A value as it is spelled, which stands at `path` in what `around` leads to. A path that is none, such as `line 3`, is
/// that of a text.
pub(super) fn masked_at(mask: &TextMask, around: &[&str], path: &str, value: &str) -> String {
    let Some(names) = names_of(path) else {
        return mask.masked(value);
    };
    let around = around.iter().map(|name| Some(*name));
    let names: Vec<Option<&str>> = around.chain(names.iter().map(Option::as_deref)).collect();
    mask.masked_inside(&names, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_what_is_a_secret() {
        let mask = TextMask::random().unwrap();
        for path in [
            "$.password",
            "$.a[0][\"api key\"]",
            "$.tokens[1]",
            "$.secrets.a.b",
        ] {
            assert!(
                !masked_at(&mask, &["params"], path, "\"X1\"").contains("X1"),
                "{path}"
            );
        }
        assert_eq!(masked_at(&mask, &["params"], "$.city", "\"X1\""), "\"X1\"");
        assert!(!masked_at(&mask, &[], "line 3", "  token: X1").contains("X1"));
        assert_eq!(masked_at(&mask, &[], "status", "404"), "404");
    }
}
