//! The table as it is, with keys of one's own, and as a page of the documentation.

use std::fmt::Write as _;

use crossterm::event::KeyCode;

use super::*;

/// The table as a page of Markdown.
fn markdown(keymap: &Keymap) -> String {
    let mut page = String::from(
        "# Keys\n\nMade from the key table in `ui/src/keymap/table.rs`. Every action has a name: `:` runs it, the \
         configuration's `[keys]` gives it other keys.\n",
    );
    let mut context = None;
    for entry in keymap.entries() {
        let binding = entry.binding;
        if context.replace(binding.context) != Some(binding.context) {
            // Writing to a string cannot fail.
            let _ = write!(
                page,
                "\n## {}\n\n| key | action | name |\n|---|---|---|\n",
                binding.context.title()
            );
        }
        let keys: Vec<String> = entry
            .keys
            .iter()
            .map(|key| format!("`{}`", spelled(key)))
            .collect();
        let names: Vec<String> = binding.names.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(
            page,
            "| {} | {} | {} |",
            keys.join(" "),
            binding.help,
            names.join(", ")
        );
    }
    page
}

#[test]
fn every_row_of_the_table_can_be_read_and_helps() {
    let keymap = Keymap::new(&[]).unwrap();
    for entry in keymap.entries() {
        let binding = entry.binding;
        assert_eq!(entry.keys.len(), binding.keys.len(), "{}", binding.name());
        assert!(
            !binding.help.is_empty() && !binding.names.is_empty(),
            "{:?}",
            binding.keys
        );
        assert_eq!(
            binding.priority > 0,
            binding.priority > 0 && !binding.label.is_empty(),
            "{}",
            binding.name()
        );
    }
}

#[test]
fn names_are_unique() {
    let mut names: Vec<&str> = TABLE.iter().flat_map(|binding| binding.names).copied().collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn no_key_needs_alt_or_a_function_key() {
    for entry in Keymap::new(&[]).unwrap().entries() {
        for chord in entry.keys.iter().flatten() {
            assert!(!matches!(chord.code, KeyCode::F(_)), "{}", entry.binding.name());
        }
    }
}

#[test]
fn a_key_of_ones_own_takes_the_place_of_ours() {
    let keymap = Keymap::new(&[("quit".to_owned(), vec!["X".to_owned()])]).unwrap();
    let press = |text: &str| keymap.look_up(&[Context::Global], &parse_sequence(text).unwrap());
    assert_eq!(press("X"), Lookup::Action(Action::Quit));
    assert_eq!(press("q"), Lookup::Nothing);
}

#[test]
fn keys_that_cannot_work_are_named() {
    let with = |name: &str, key: &str| Keymap::new(&[(name.to_owned(), vec![key.to_owned()])]).unwrap_err();
    assert_eq!(with("fly", "x"), KeymapError::UnknownAction("fly".to_owned()));
    assert_eq!(
        with("quit", "hyper-x"),
        KeymapError::UnknownKey("hyper-x".to_owned())
    );
    assert!(
        with("quit", "R")
            .to_string()
            .contains("`R` would mean both `record` and `quit`")
    );
    assert!(
        matches!(with("filter", "g"), KeymapError::Taken { .. }),
        "a key that begins a sequence"
    );
}

#[test]
fn the_page_of_keys_in_the_documentation_is_this_table() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/keys.md");
    let table = markdown(&Keymap::new(&[]).unwrap());
    if std::env::var_os("SHADOWCAT_WRITE_DOCS").is_some() {
        std::fs::write(page, &table).unwrap();
    }
    let written = std::fs::read_to_string(page).unwrap();
    assert!(
        written == table,
        "docs/keys.md is out of date; run this test with SHADOWCAT_WRITE_DOCS=1"
    );
}
