//! What somebody has changed in a file since: in names of servers and members, never in their values.

use crate::client_file::servers_of;
use crate::jsonc::{self, Node, Value};

/// Sentences for what tells `now` from `then`. Empty if only formatting or comments differ.
pub(super) fn between(then: &str, now: &str) -> Vec<String> {
    let (then, now) = match (jsonc::parse(then), jsonc::parse(now)) {
        (Ok(then), Ok(now)) => (then, now),
        (_, Err(mistake)) => return vec![format!("it can no longer be read: {}", mistake.message)],
        (Err(_), _) => return vec!["the backup cannot be read".to_owned()],
    };
    let (old, new) = match (servers_of(&then), servers_of(&now)) {
        (Ok(old), Ok(new)) => (old, new),
        (_, Err(mistake)) => return vec![mistake.message],
        (Err(_), _) => return vec!["the servers of the backup cannot be read".to_owned()],
    };
    let mut said = Vec::new();
    for member in old.members() {
        match new.get(&member.key) {
            None => said.push(format!("the server `{}` is gone", member.key)),
            Some(entry) if !is_same(&member.value, entry) => {
                let keys = changed_keys(&member.value, entry).join(", ");
                said.push(format!("the server `{}` has another {keys}", member.key));
            }
            Some(_) => {}
        }
    }
    let added = new
        .members()
        .iter()
        .filter(|member| old.get(&member.key).is_none());
    said.extend(added.map(|member| format!("the server `{}` is new", member.key)));
    let others = changed_keys(&then, &now);
    let others: Vec<&String> = others
        .iter()
        .filter(|key| !["\"mcpServers\"", "\"servers\"", "\"mcp\""].contains(&key.as_str()))
        .collect();
    said.extend(
        others
            .iter()
            .map(|key| format!("{key} beside the servers has changed")),
    );
    said
}

/// Keys whose values differ, in quotes.
pub(super) fn changed_keys(then: &Node, now: &Node) -> Vec<String> {
    let mut keys: Vec<&str> = then.members().iter().map(|member| member.key.as_str()).collect();
    keys.extend(now.members().iter().map(|member| member.key.as_str()));
    keys.sort_unstable();
    keys.dedup();
    let differs = |key: &&str| match (then.get(key), now.get(key)) {
        (Some(then), Some(now)) => !is_same(then, now),
        _ => true,
    };
    keys.into_iter()
        .filter(differs)
        .map(|key| format!("\"{}\"", key.escape_debug()))
        .collect()
}

/// The same values, wherever they stand.
pub(super) fn is_same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(members), Value::Object(others)) => {
            members.len() == others.len()
                && members.iter().all(|member| {
                    other
                        .get(&member.key)
                        .is_some_and(|value| is_same(&member.value, value))
                })
        }
        (one, other) => one == other,
    }
}
