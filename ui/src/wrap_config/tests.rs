//! What is made of a client's text, and whether it can be had back.

use proptest::prelude::*;

use super::edit::{Plan, names, wrap};
use super::undo::{Parts, Undoing, undoing};

fn wrapped(text: &str) -> Plan {
    wrap(text, &|_| Some("/opt/shadowcat-tui".to_owned())).unwrap()
}

/// What was changed since; `None` if it is what wrapping made of it.
fn changes_since(before: &str, now: &str) -> Option<Vec<String>> {
    match undoing(before, now) {
        Undoing::Whole => None,
        Undoing::Parts { what, .. } => Some(what),
    }
}

fn parts(before: &str, now: &str) -> Parts {
    match undoing(before, now) {
        Undoing::Whole => panic!("it was not changed"),
        Undoing::Parts { parts, .. } => parts,
    }
}

/// The entry of that name, as any reader takes it.
fn entry(text: &str, name: &str) -> serde_json::Value {
    let root: serde_json::Value = serde_json::from_str(text).unwrap();
    let servers = root.get("mcpServers").or(root.get("servers")).unwrap();
    servers[name].clone()
}

#[test]
fn a_command_keeps_its_words_behind_ours_and_all_else_stays() {
    let text = r#"{
  "theme": "dark",
  "mcpServers": {
    "files": {
      "command": "npx",
      "args": [
        "-y",
        "server \u00e9"
      ],
      "env": { "K": "v" }, "x": [1,  2]
    }
  }
}
"#;
    let plan = wrapped(text);
    assert_eq!(
        plan.text,
        r#"{
  "theme": "dark",
  "mcpServers": {
    "files": {
      "command": "/opt/shadowcat-tui",
      "args": [
        "wrap",
        "--name",
        "files",
        "--",
        "npx",
        "-y",
        "server \u00e9"
      ],
      "env": { "K": "v" }, "x": [1,  2]
    }
  }
}
"#
    );
}

#[test]
fn a_command_without_arguments_gets_them_in_the_layout_of_its_neighbours() {
    let plan = wrapped(
        "{\"mcpServers\": {\n  \"a\": {\n    \"command\": \"x\"\n  },\n  \"b\": {\"command\": \"y\", \"args\": []},\n  \"c\": {\"args\": null, \"command\": \"z\"}}}",
    );
    assert_eq!(
        plan.text,
        "{\"mcpServers\": {\n  \"a\": {\n    \"command\": \"/opt/shadowcat-tui\",\n    \"args\": [\"wrap\", \"--name\", \"a\", \"--\", \"x\"]\n  },\n  \"b\": {\"command\": \"/opt/shadowcat-tui\", \"args\": [\"wrap\", \"--name\", \"b\", \"--\", \"y\"]},\n  \"c\": {\"args\": [\"wrap\", \"--name\", \"c\", \"--\", \"z\"], \"command\": \"/opt/shadowcat-tui\"}}}"
    );
}

#[test]
fn comments_and_trailing_commas_stay_where_they_are() {
    let text = "{ // mine\n \"servers\": { \"a\": { \"type\": \"stdio\", /* run */ \"command\": \"x\", \"args\": [ // first\n \"1\", ], }, }, }";
    let plan = wrapped(text);
    assert_eq!(
        plan.text,
        "{ // mine\n \"servers\": { \"a\": { \"type\": \"stdio\", /* run */ \"command\": \"/opt/shadowcat-tui\", \"args\": [\"wrap\", \"--name\", \"a\", \"--\", \"x\",  // first\n \"1\", ], }, }, }"
    );
    assert_eq!(changes_since(text, &plan.text), None);
}

#[test]
fn a_url_is_wrapped_too_and_its_headers_go_through_the_environment() {
    let text = r#"{"servers": {"docs": {"type": "http", "url": "https://x.dev/mcp", "headers": {"Authorization": "Bearer ${input:key}", "X-A": "1"}}}}"#;
    let plan = wrapped(text);
    let expected = serde_json::json!({
        "type": "stdio",
        "command": "/opt/shadowcat-tui",
        "args": [
            "wrap", "--name", "docs", "--upstream", "https://x.dev/mcp",
            "--header-env", "Authorization=SHADOWCAT_HEADER_1", "--header-env", "X-A=SHADOWCAT_HEADER_2"
        ],
        "env": {"SHADOWCAT_HEADER_1": "Bearer ${input:key}", "SHADOWCAT_HEADER_2": "1"}
    });
    assert_eq!(entry(&plan.text, "docs"), expected);
    assert!(!plan.changed[0].loses_login);
    let plan = wrapped(r#"{"mcpServers": {"a": {"url": "https://x.dev/mcp"}}}"#);
    assert!(plan.changed[0].loses_login, "its client may have logged in");
}

#[test]
fn what_is_wrapped_already_or_cannot_be_is_left_with_the_reason() {
    let text = r#"{"mcpServers": {
        "done": {"command": "/usr/bin/shadowcat-tui", "args": ["wrap", "--", "x"]},
        "login": {"url": "https://x/", "oauth": {}},
        "both": {"url": "http://x/", "headers": {"a": "b"}, "env": {}},
        "mixed": {"type": "http", "url": "http://x/", "command": "y"},
        "odd": {"type": "ws", "url": "ws://x/"},
        "twice": {"command": "x", "command": "y"},
        "text": "x"
    }}"#;
    let plan = wrapped(text);
    assert_eq!((plan.text.as_str(), plan.changed.len()), (text, 0));
    let reason = |name: &str| &plan.left.iter().find(|(known, _)| known == name).unwrap().1;
    for (name, part) in [
        ("done", "wrapped already"),
        ("login", "oauth"),
        ("both", "\"env\""),
        ("mixed", "\"command\""),
        ("odd", "stdio, http or sse"),
        ("twice", "twice"),
        ("text", "object"),
    ] {
        assert!(reason(name).contains(part), "{name}: {}", reason(name));
    }
}

#[test]
fn wrapping_what_is_wrapped_changes_nothing() {
    let text = r#"{"mcpServers": {"a": {"command": "x"}, "b": {"url": "http://x/"}, "-c": {"command": "y", "args": ["z"]}}}"#;
    let once = wrapped(text);
    assert_eq!(once.changed.len(), 3);
    assert_eq!(wrapped(&once.text).text, once.text);
    assert_eq!(entry(&once.text, "-c")["args"][1], "--name=-c");
}

#[test]
fn changes_by_hand_are_told_by_name_and_never_by_value() {
    let text =
        r#"{"x": 1, "mcpServers": {"a": {"command": "x"}, "b": {"command": "y", "env": {"K": "s3cret"}}}}"#;
    let now = wrapped(text).text;
    for (from, to, said) in [
        ("s3cret", "other-s3cret", "the server `b` has another \"env\""),
        ("\"x\": 1", "\"x\": 2", "\"x\" beside the servers has changed"),
        (
            "\"b\": {",
            "\"c\": {\"command\": \"z\"}, \"b\": {",
            "the server `c` is new",
        ),
        ("{\"x\"", "{ \"x\"", "blanks"),
    ] {
        let changed = now.replacen(from, to, 1);
        assert_ne!(changed, now);
        let what = changes_since(text, &changed).unwrap().join("; ");
        assert!(what.contains(said) && !what.contains("s3cret"), "{what}");
    }
    let gone = wrapped(r#"{"x": 1, "mcpServers": {"a": {"command": "x"}}}"#).text;
    assert_eq!(changes_since(text, &gone).unwrap(), ["the server `b` is gone"]);
    assert!(changes_since(text, "{").unwrap()[0].contains("no longer be read"));
}

#[test]
fn of_a_file_that_its_client_has_written_anew_the_servers_are_taken_back_and_all_else_stays() {
    let text = r#"{"numStartups": 1, "mcpServers": {"a": {"command":  "x"}, "b": {"url": "http://x/", "headers": {"K": "v"}}}}"#;
    let now: serde_json::Value = serde_json::from_str(&wrapped(text).text).unwrap();
    let mut now = serde_json::to_string_pretty(&now).unwrap();
    now = now.replace("\"numStartups\": 1", "\"numStartups\": 2");
    let back = parts(text, &now);
    assert_eq!((back.taken.len(), back.left.len()), (2, 0));
    assert_eq!(
        back.text,
        "{\n  \"numStartups\": 2,\n  \"mcpServers\": {\n    \"a\": {\"command\":  \"x\"},\n    \"b\": {\"url\": \"http://x/\", \"headers\": {\"K\": \"v\"}}\n  }\n}"
    );
}

#[test]
fn a_wrapped_server_that_was_changed_by_hand_or_is_not_in_the_backup_is_left_with_the_reason() {
    let text = r#"{"mcpServers": {"a": {"command": "x"}, "b": {"command": "y"}, "c": {"command": "z"}}}"#;
    let now = wrapped(text).text.replace("\"y\"]", "\"y\", \"--more\"]");
    let now = now.replace("\"c\": {", "\"d\": {");
    let back = parts(text, &now);
    assert_eq!(back.taken, ["a"]);
    let left: Vec<&str> = back.left.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(left, ["b", "d"]);
    assert!(back.left[0].1.contains("another \"args\""), "{:?}", back.left);
    assert!(back.left[1].1.contains("backup"), "{:?}", back.left);
    assert_eq!(entry(&back.text, "a"), serde_json::json!({"command": "x"}));
    assert_eq!(entry(&back.text, "b")["args"][5], "--more");
}

#[test]
fn what_is_there_twice_is_said_and_not_guessed() {
    let refused = |text: &str| {
        let mistake = wrap(text, &|_| Some("/opt/shadowcat-tui".to_owned())).unwrap_err();
        assert!(mistake.message.contains("twice"), "{}", mistake.message);
        text.get(mistake.at..).unwrap().to_owned()
    };
    let two_servers = r#"{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}"#;
    assert!(refused(two_servers).starts_with(r#""a": {"command": "y""#));
    assert!(refused(r#"{"mcpServers": {}, "mcpServers": {"a": {}}}"#).starts_with(r#""mcpServers": {"a""#));
    let plan = wrapped(r#"{"mcpServers": {"a": {"command": "x", "env": {"K": "1", "K": "2"}}}}"#);
    assert!(plan.left[0].1.contains("\"K\" is there twice"), "{:?}", plan.left);
}

#[test]
fn a_server_that_is_wrapped_by_a_program_of_another_name_is_known_as_wrapped() {
    let text = r#"{"mcpServers": {"a": {"command": "x"}, "-b": {"url": "http://x/"}}}"#;
    let once = wrap(text, &|_| Some("/opt/sc".to_owned())).unwrap();
    assert_eq!(wrapped(&once.text).changed.len(), 0);
    assert_eq!(changes_since(text, &once.text), None);
}

/// A file of servers in some layout, with comments.
fn file() -> impl Strategy<Value = String> {
    let blank = prop_oneof![
        Just(""),
        Just(" "),
        Just("\n    "),
        Just(" /* c */ "),
        Just("\n// c\n")
    ];
    let word = prop_oneof!["[a-zA-Z0-9 _./${}:=-]{0,8}", Just("\"\\\n\u{e9}".to_owned())];
    let text = word.prop_map(|word: String| serde_json::Value::from(word).to_string());
    let list = proptest::collection::vec(text.clone(), 0..4);
    let entry = (text.clone(), list, blank.clone(), 0..5_u8, any::<bool>());
    let entry = entry.prop_map(|(word, list, gap, shape, has_comma)| {
        let comma = if has_comma { "," } else { "" };
        let items: Vec<String> = list.iter().map(|item| format!("{gap}{item}")).collect();
        match shape {
            0 => format!("{{{gap}\"command\":{gap}{word}{comma}}}"),
            1 => format!(
                "{{\"args\": [{}]{gap},\"command\": {word}{gap}{comma}}}",
                items.join(",")
            ),
            2 => format!(
                "{{\"command\": {word},{gap}\"args\":{gap}[{}{gap}]{comma}}}",
                items.join(",")
            ),
            3 => format!("{{{gap}\"url\":{gap}{word},\"headers\": {{\"A\": {word}}}{comma}}}"),
            _ => format!("{{\"type\":\"sse\",{gap}\"url\": {word}{gap}}}"),
        }
    });
    let servers = proptest::collection::btree_map("[a-z -]{0,5}", entry, 0..5);
    (servers, blank).prop_map(|(servers, gap)| {
        let members = servers
            .iter()
            .map(|(name, entry)| format!("{gap}{}: {entry}", serde_json::Value::from(name.as_str())));
        format!(
            "{gap}{{\"mcpServers\": {{{}{gap}}}{gap}}}{gap}",
            members.collect::<Vec<_>>().join(",")
        )
    })
}

proptest! {
    #[test]
    fn whatever_the_layout_everything_ends_up_wrapped_and_is_known_as_unchanged(text in file()) {
        let plan = wrapped(&text);
        prop_assert_eq!(changes_since(&text, &plan.text), None);
        prop_assert_eq!(plan.left.len(), 0, "{:?}", plan.left);
        for (name, program) in names(&plan.text).unwrap() {
            prop_assert_eq!(program.as_deref(), Some("/opt/shadowcat-tui"), "{}", name);
        }
        // Whatever was there is still there, in its order: only `"command"`, `"url"` and their like are other words.
        let again = wrapped(&plan.text);
        prop_assert_eq!(again.text, plan.text);
        prop_assert_eq!(again.changed.len(), 0);
    }

    #[test]
    fn whatever_the_layout_the_servers_are_had_back_when_the_file_has_a_line_more(text in file()) {
        let now = format!("{}\n", wrapped(&text).text);
        match undoing(&text, &now) {
            Undoing::Whole => prop_assert!(false, "a line is more"),
            Undoing::Parts { parts, .. } => {
                prop_assert_eq!(parts.text, format!("{text}\n"));
                prop_assert_eq!(parts.left.len(), 0);
            }
        }
    }
}
