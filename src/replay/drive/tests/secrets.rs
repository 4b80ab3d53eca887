//! What has to be supplied.

use super::*;

#[test]
fn what_the_server_says_of_a_secret_after_it_was_sent_does_not_supply_it() {
    let tag = "‹secret:5be1c0ffee01›";
    let mut lines = handshake();
    lines.extend([
        call(1, "login", &json!({"password": tag})),
        result(1, &json!({"structuredContent": {"password": tag}})),
        call(2, "again", &json!({"password": tag})),
        result(2, &json!({})),
    ]);
    let named = |lines: &[(char, Value)]| -> Vec<String> {
        let plan = Plan::new(&tape(lines), &Filter::all());
        let missing = plan.missing_secrets(&BTreeSet::new(), &BTreeMap::new(), true);
        missing.iter().map(ToString::to_string).collect()
    };
    let needed = "tools/call login, password: add --secret-env 5be1c0ffee01=VARIABLE";
    assert_eq!(named(&lines), [needed]);
    // In the middle of a text nobody can tell what stands in its place now.
    lines[1].1["result"]["instructions"] = json!(format!("use {tag} to log in"));
    assert_eq!(named(&lines), [needed]);
    lines[1].1["result"]["instructions"] = json!(format!("{{\"password\":\"{tag}\"}}"));
    assert_eq!(named(&lines), [""; 0]);
}
