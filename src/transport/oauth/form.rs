//! Parameters of forms and queries, changed one by one: every other byte stays.
//!
//! Source: WHATWG URL, "application/x-www-form-urlencoded".

use reqwest::Url;

/// The value of a parameter; `None` if it is missing or stands there more than once.
pub(super) fn single(form: &str, name: &str) -> Option<String> {
    let mut values = form.split('&').filter_map(|part| raw_value(part, name));
    let value = values.next()?;
    values.next().is_none().then(|| decoded(value))
}

/// Whether a parameter is there at all.
pub(super) fn has(form: &str, name: &str) -> bool {
    form.split('&').any(|part| raw_value(part, name).is_some())
}

/// The value as spelled, if `part` is the parameter of this name.
pub(super) fn raw_value<'a>(part: &'a str, name: &str) -> Option<&'a str> {
    part.strip_prefix(name)?.strip_prefix('=')
}

/// The form with another value in place of each of one name.
pub(super) fn replaced(form: &str, name: &str, with: &str) -> String {
    let parts: Vec<String> = form
        .split('&')
        .map(|part| match raw_value(part, name) {
            Some(_) => [name, "=", &encoded(with)].concat(),
            None => part.to_owned(),
        })
        .collect();
    parts.join("&")
}

pub(super) fn decoded(value: &str) -> String {
    let url = Url::parse(&["http://x/?v=", value].concat());
    let value = url
        .ok()
        .and_then(|url| url.query_pairs().next().map(|(_, value)| value.into_owned()));
    value.unwrap_or_default()
}

pub(super) fn encoded(value: &str) -> String {
    let Ok(mut url) = Url::parse("http://x/") else {
        return String::new();
    };
    url.query_pairs_mut().append_pair("v", value);
    url.query()
        .and_then(|query| query.strip_prefix("v="))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_only_known_if_it_stands_there_once() {
        let form = "a=1&b=x%20y+z&b_c=3&a=2&d";
        assert_eq!(single(form, "b").as_deref(), Some("x y z"));
        for name in ["a", "c", "d"] {
            assert_eq!(single(form, name), None, "{name}");
        }
        assert!(has(form, "a") && !has(form, "c"));
        assert_eq!(replaced(form, "b", "&="), "a=1&b=%26%3D&b_c=3&a=2&d");
    }
}
