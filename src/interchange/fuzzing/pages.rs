//! Whether all that looks like markup in a page is ours.

use crate::codec::hidden::without_hidden;

/// All elements of a page behind its head.
const ELEMENTS: [&str; 32] = [
    "a", "b", "code", "details", "div", "em", "h1", "h2", "header", "i", "input", "label", "li", "main",
    "nav", "ol", "p", "pre", "section", "span", "summary", "table", "tbody", "td", "th", "thead", "time",
    "title", "tr", "ul", "br", "hr",
];

/// Those without an end tag.
const VOID: [&str; 3] = ["input", "br", "hr"];

/// What they may have: nothing that runs, and nothing that fetches.
const ATTRIBUTES: [&str; 10] = [
    "aria-label",
    "checked",
    "class",
    "for",
    "href",
    "id",
    "name",
    "open",
    "style",
    "type",
];

/// What stands behind an ampersand.
const ENTITIES: [&str; 5] = ["amp;", "lt;", "gt;", "quot;", "#39;"];

/// Characters with which a peer could reach a terminal, or change how a text is read.
fn is_harmless(text: &str) -> bool {
    without_hidden(text, "\n\t") == text
}

/// The tags of a page are those that we write, and are closed in order; all else is text.
pub(super) fn html(page: &str) {
    assert!(is_harmless(page), "{page:?}");
    let body = page
        .split_once("</style>\n")
        .and_then(|(_, body)| body.strip_suffix("</body></html>\n"));
    let Some(body) = body else {
        panic!("a page without an end: {page}");
    };
    let body = body.replacen("</head><body>", "", 1);
    let mut open = Vec::new();
    let mut rest = &*body;
    while let Some((text, markup)) = rest.split_once('<') {
        is_text(text);
        let Some((tag, after)) = markup.split_once('>') else {
            panic!("a tag without an end: {markup}");
        };
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "{body}");
        } else {
            let name = element(tag);
            open.extend((!VOID.contains(&name)).then_some(name));
        }
        rest = after;
    }
    is_text(rest);
    assert!(open.is_empty(), "{open:?}");
}

/// The name of an element that we write, in whose attributes all is ours or escaped.
fn element(tag: &str) -> &str {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    assert!(ELEMENTS.contains(&name), "{tag}");
    while !rest.is_empty() {
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let (attribute, behind) = rest.split_at(end);
        assert!(ATTRIBUTES.contains(&attribute), "{tag}");
        let Some(quoted) = behind.strip_prefix("=\"") else {
            rest = behind.trim_start();
            continue;
        };
        let Some((value, behind)) = quoted.split_once('"') else {
            panic!("an attribute without an end: {tag}");
        };
        is_text(value);
        assert!(attribute != "href" || value.starts_with("#i"), "{tag}");
        assert!(attribute != "style" || value.starts_with("width:"), "{tag}");
        rest = behind.trim_start();
    }
    name
}

fn is_text(text: &str) {
    assert!(!text.contains(['<', '>', '"', '\'']), "{text}");
    let is_known = |after: &str| ENTITIES.iter().any(|entity| after.starts_with(entity));
    assert!(text.split('&').skip(1).all(is_known), "{text}");
}

/// Every block of code ends where we end it, and outside of blocks there is no HTML.
pub(super) fn markdown(page: &str) {
    assert!(is_harmless(page), "{page:?}");
    let mut fence: Option<&str> = None;
    for line in page.split('\n') {
        match fence {
            Some(open) if line == open => fence = None,
            Some(open) => {
                let ticks = line.len() - line.trim_start_matches('`').len();
                assert!(ticks < open.len(), "{line} ends a block that {open} begins");
            }
            None => {
                fence = line.strip_suffix("json").filter(|start| is_fence(start));
                assert!(
                    fence.is_some() || !line.contains('<') && !line.starts_with("```"),
                    "{line}"
                );
            }
        }
    }
    assert_eq!(fence, None);
}

fn is_fence(text: &str) -> bool {
    text.len() >= 3 && text.bytes().all(|byte| byte == b'`')
}

/// Every line of a diagram is one that we write, and its text has nothing of the grammar.
pub(super) fn mermaid(page: &str) {
    assert!(is_harmless(page), "{page:?}");
    let mut is_inside = false;
    for line in page.split('\n') {
        match line {
            "```mermaid" => is_inside = true,
            "```" => is_inside = false,
            "sequenceDiagram" | "    participant C as client" | "" => {}
            line if is_inside => {
                let text = diagram_text(line);
                assert!(text.chars().all(is_plain), "{line}");
            }
            heading => assert!(
                heading.starts_with("## ") && !heading.contains(['<', '`']),
                "{heading}"
            ),
        }
    }
    assert!(!is_inside);
}

fn diagram_text(line: &str) -> &str {
    let arrows = ["->>", "-)", "-->>", "--x"];
    let ways = arrows
        .iter()
        .flat_map(|arrow| [format!("    C{arrow}S: "), format!("    S{arrow}C: ")]);
    let known = ["    participant S as ", "    Note over C,S: "].map(str::to_owned);
    let text = ways.chain(known).find_map(|start| line.strip_prefix(&start));
    let Some(text) = text else {
        panic!("a line that is not ours: {line}");
    };
    text
}

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || " /_-.,()=+*#;\u{fffd}\u{2026}".contains(c)
}
