//! JSON over several lines for an editor, and back into one. Values and the order of members stay as they are spelled.

use serde::de::IgnoredAny;

/// Whether a text is JSON in one line: then it can be spread and comes back as one line.
pub(super) fn is_spreadable(json: &str) -> bool {
    !json.contains('\n') && is_json(json)
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Each member and element in a line of its own. `json` has to be JSON.
pub(super) fn spread(json: &str) -> String {
    let mut out = String::with_capacity(2 * json.len());
    let mut depth = 0_usize;
    let mut tokens = outside_of_strings(json).peekable();
    while let Some((character, is_text)) = tokens.next() {
        if is_text {
            out.push(character);
            continue;
        }
        match character {
            '{' | '[' => {
                out.push(character);
                let close = tokens.next_if(|(next, is_text)| !is_text && matches!(next, '}' | ']'));
                if let Some((close, _)) = close {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(character);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push(character),
        }
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    (0..depth).for_each(|_| out.push_str("  "));
}

/// The same in one line without white space between values; what is no JSON stays as it is.
pub(super) fn compact(json: &str) -> String {
    if !is_json(json) {
        return json.to_owned();
    }
    outside_of_strings(json).map(|(character, _)| character).collect()
}

/// All characters but white space between values, each with whether it is in a string.
fn outside_of_strings(json: &str) -> impl Iterator<Item = (char, bool)> {
    let (mut is_in_string, mut is_escaped) = (false, false);
    json.chars().filter_map(move |character| {
        if !is_in_string {
            is_in_string = character == '"';
            let is_space = matches!(character, ' ' | '\t' | '\n' | '\r');
            return (!is_space).then_some((character, is_in_string));
        }
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_in_string = false,
            _ => {}
        }
        Some((character, true))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spread_comes_back_as_it_was_spelled() {
        let json = r#"{"a":[1.50,{},[]],"b \"{,:":{"c":"x\\"},"d":1e400}"#;
        let lines = spread(json);
        assert_eq!(
            lines,
            "{\n  \"a\": [\n    1.50,\n    {},\n    []\n  ],\n  \"b \\\"{,:\": {\n    \"c\": \"x\\\\\"\n  },\n  \"d\": 1e400\n}"
        );
        assert_eq!(compact(&lines), json);
    }

    #[test]
    fn what_is_no_json_stays_as_it_is() {
        assert_eq!(compact("{ \"a\": \n"), "{ \"a\": \n");
        assert!(!is_spreadable("{\n}") && !is_spreadable("{a}") && is_spreadable("[]"));
    }
}
