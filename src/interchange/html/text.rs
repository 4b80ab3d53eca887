//! Text of peers in a page: it stays text.

use crate::codec::hidden::without_hidden;

/// `text` without what HTML takes for its own; what would be hidden, or turns the order of text, is written as an escape.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_escaped(&mut out, text);
    out
}

fn push_escaped(out: &mut String, text: &str) {
    for c in without_hidden(text, "\n\t").chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

/// Indented JSON with its keys marked, or any other text as it is.
pub(super) fn marked(pretty: &str) -> String {
    let mut out = String::with_capacity(pretty.len() + pretty.len() / 4);
    for line in pretty.split_inclusive('\n') {
        let start = line.len() - line.trim_start_matches(' ').len();
        let (indent, rest) = line.split_at(start);
        let key = key_bytes(rest);
        let (key, rest) = rest.split_at(key);
        out.push_str(indent);
        if !key.is_empty() {
            out.push_str("<i>");
            push_escaped(&mut out, key);
            out.push_str("</i>");
        }
        push_escaped(&mut out, rest);
    }
    out
}

/// How much of the line is a quoted key.
fn key_bytes(line: &str) -> usize {
    if !line.starts_with('"') {
        return 0;
    }
    let mut is_escaped = false;
    let end = line.char_indices().skip(1).find(|(_, c)| {
        let is_end = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        is_end
    });
    let end = end.map_or(0, |(at, _)| at + 1);
    let is_key = line.get(end..).is_some_and(|rest| rest.starts_with(": "));
    if is_key { end } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::{escaped, marked};

    #[test]
    fn nothing_in_a_text_is_taken_for_markup_or_turns_it_round() {
        assert_eq!(
            escaped("<a b='c'>\"&\u{1b}\u{202e}\n"),
            "&lt;a b=&#39;c&#39;&gt;&quot;&amp;\\u001b\\u202e\n"
        );
    }

    #[test]
    fn keys_are_marked_and_strings_that_look_like_them_are_not() {
        let pretty = "{\n  \"a\\\": \": [\n    \"b\\\": c\",\n    \"d\"\n  ]\n}";
        assert_eq!(
            marked(pretty),
            "{\n  <i>&quot;a\\&quot;: &quot;</i>: [\n    &quot;b\\&quot;: c&quot;,\n    &quot;d&quot;\n  ]\n}"
        );
    }
}
