//! Saving a rule into a file that a person wrote.

use super::*;

const FILE: &str = r#"# Rules of the search team.

# Look before anything is dropped.
[[rule]]
name = "drops" # keep in step with the wiki
on = true
when = 'arg.query~"drop"'   # all tools
then = "hold"

# Slow on purpose.
[[rule]]
name = "slow"
[rule.delay]
# as slow as the real one
fixed = "1s"
jitter = "500ms"

[[rule]]
name = "last"
then = "log"
"#;

fn rule(name: &str) -> Rule {
    let found = parse(FILE).unwrap().into_iter().find(|rule| rule.name == name);
    found.unwrap()
}

#[test]
fn a_new_rule_goes_behind_the_others() {
    let text = with_rule(FILE, &hold("new")).unwrap();
    assert_eq!(
        text,
        format!("{FILE}\n[[rule]]\nname = \"new\"\nthen = \"hold\"\n")
    );
    let first = with_rule("", &hold("new")).unwrap();
    assert_eq!(first, "[[rule]]\nname = \"new\"\nthen = \"hold\"\n");
    let unended = with_rule("# mine", &hold("new")).unwrap();
    assert_eq!(unended, "# mine\n\n[[rule]]\nname = \"new\"\nthen = \"hold\"\n");
}

#[test]
fn only_what_changed_of_a_rule_is_written_anew() {
    let changed = Rule {
        is_on: false,
        hits: Hits::Once,
        ..rule("drops")
    };
    let expected = FILE
        .replace("on = true", "on = false")
        .replace("then = \"hold\"\n", "then = \"hold\"\nhits = \"once\"\n");
    assert_eq!(with_rule(FILE, &changed).unwrap(), expected);
    assert_eq!(with_rule(FILE, &rule("slow")).unwrap(), FILE);
}

#[test]
fn another_verdict_takes_the_line_of_the_old_one() {
    let changed = Rule {
        verdict: Verdict::Refuse(Refusal::Status(429)),
        ..rule("last")
    };
    let expected = FILE.replace("then = \"log\"", "refuse = { status = 429 }");
    assert_eq!(with_rule(FILE, &changed).unwrap(), expected);
}

#[test]
fn an_entry_that_is_a_table_of_its_own_takes_the_lines_of_its_rule_only() {
    let changed = Rule {
        verdict: Verdict::Hold,
        ..rule("slow")
    };
    let text = with_rule(FILE, &changed).unwrap();
    let expected = FILE.replace(
        "name = \"slow\"\n[rule.delay]\n# as slow as the real one\nfixed = \"1s\"\njitter = \"500ms\"\n",
        "name = \"slow\"\nthen = \"hold\"\n",
    );
    assert_eq!(text, expected);
}

#[test]
fn a_rule_with_a_table_of_its_own_can_be_switched_off_and_keeps_its_comments() {
    let changed = Rule {
        is_on: false,
        ..rule("slow")
    };
    let expected = FILE.replace("name = \"slow\"\n", "name = \"slow\"\non = false\n");
    assert_eq!(with_rule(FILE, &changed).unwrap(), expected);
}

#[test]
fn a_rule_that_goes_takes_its_own_comment_along() {
    let text = without_rule(FILE, "slow").unwrap();
    let (before, after) = FILE.split_once("# Slow on purpose.").unwrap();
    let (_, after) = after.split_once("\"500ms\"\n\n").unwrap();
    assert_eq!(text, format!("{before}{after}"));
    assert_eq!(without_rule(FILE, "none").unwrap(), FILE);
}

#[test]
fn a_comment_that_begins_the_file_stays() {
    let text = "# Rules.\n[[rule]]\nname = \"a\"\nthen = \"log\"\n";
    assert_eq!(without_rule(text, "a").unwrap(), "# Rules.\n");
}

#[test]
fn line_ends_of_the_file_are_kept() {
    let text = "[[rule]]\r\nname = \"a\"\r\nthen = \"log\"\r\n";
    let off = Rule {
        is_on: false,
        verdict: Verdict::Log,
        ..hold("a")
    };
    let saved = with_rule(&with_rule(text, &off).unwrap(), &hold("b")).unwrap();
    assert_eq!(saved.matches('\n').count(), saved.matches("\r\n").count());
    assert_eq!(parse(&saved).unwrap(), [off, hold("b")]);
}

#[test]
fn a_file_with_a_mistake_and_a_rule_no_file_can_say_are_refused() {
    assert_eq!(with_rule("[[rule]", &hold("a")).unwrap_err().line, 1);
    let odd = Rule {
        verdict: Verdict::Refuse(Refusal::Status(99)),
        ..hold("a")
    };
    let error = with_rule("", &odd).unwrap_err();
    assert!(
        error.to_string().contains("`status` is a whole number"),
        "{error}"
    );
}
