//! Pages that are made from tables in the code, compared with the code.
//!
//! `UPDATE_DOCS=1 cargo test -p shadowcat-tui --test docs` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use shadowcat::limits::{LimitField, ResourceLimits, Unit, display_value};

const LIMITS_HEAD: &str = "\
# Limits

Nothing in shadowcat-tui grows without one of these bounds. Set them with the flag of that name, or with the name with
underscores under `[limits]` in a `shadowcat.toml` (see [configuration](configuration.md)).

The Resources screen shows the use of each, and how often it was reached:

- Of what is held (connections, bytes in a queue), what is held now and what was held at most.
- Of sizes of messages and heads, and of times, which are over when they are known: the largest of the last 10 to 20
  seconds, and the largest so far. `session_idle_timeout` shows the longest silence of a session that is not idle,
  `drain_timeout` for how long the program has been ending.
- Limits where somebody waits or is refused stand first and turn red when nine tenths are in use; limits where the oldest
  goes, or less is kept, may be full for hours without anything being wrong.

Defaults that need more open files than the machine gives are lowered at the start, and the log and the screen say so:
`max_connections` to half of what remains beside 64. A limit that you set yourself is never lowered: if it cannot be met,
the program ends with exit code 2 and says what to do. The soft bound (`ulimit -n`) is raised to the hard one first.

Sizes are written as `4096`, `64KiB`, `16MiB` or `1GiB`, times as `500ms`, `30s`, `5m` or `1h`.

| flag | in | default | at least | what it bounds | at the limit |
|---|---|---|---|---|---|
";

const LIMITS_TAIL: &str = "
This page is made from the table in `src/limits.rs`; `UPDATE_DOCS=1 cargo test -p shadowcat-tui --test docs` makes it
anew.
";

fn limits_page() -> String {
    let mut page = LIMITS_HEAD.to_owned();
    for field in ResourceLimits::FIELDS {
        page.push_str(&limit_line(field));
    }
    page.push_str(LIMITS_TAIL);
    page
}

fn limit_line(field: &LimitField) -> String {
    let LimitField {
        name,
        unit,
        reason,
        at_limit,
        minimum,
    } = field;
    let flag = name.replace('_', "-");
    let counts = match unit {
        Unit::Count => "things",
        Unit::Bytes => "bytes",
        Unit::Time => "time",
    };
    let default = ResourceLimits::default().get(name).unwrap();
    let (default, minimum) = (display_value(*unit, default), display_value(*unit, *minimum));
    let mut line = String::new();
    writeln!(
        line,
        "| `--{flag}` | {counts} | {default} | {minimum} | {reason} | {at_limit} |"
    )
    .unwrap();
    line
}

fn docs(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page)
}

#[test]
fn docs_of_limits_say_what_the_table_says() {
    let path = docs("limits.md");
    let wanted = limits_page();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
    let differing: Vec<_> = wanted
        .lines()
        .filter(|line| !found.lines().any(|other| other == *line))
        .collect();
    assert!(
        found == wanted,
        "docs/limits.md lacks, or has in another order, {differing:#?}; run UPDATE_DOCS=1 cargo test -p shadowcat-tui --test docs"
    );
}

#[test]
fn docs_name_limits_by_flags_that_the_pages_of_the_table_can_set() {
    let page = limits_page();
    for field in ResourceLimits::FIELDS {
        let line = page
            .lines()
            .find(|line| line.contains(&format!("`--{}`", field.name.replace('_', "-"))))
            .unwrap();
        let default = line.split('|').nth(3).unwrap().trim();
        let mut limits = ResourceLimits::default();
        limits.set(field.name, default).unwrap();
        assert_eq!(limits, ResourceLimits::default(), "{line}");
    }
}
