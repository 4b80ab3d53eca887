//! The changes that make one message of another, for a rule that does again what was done by hand.

use super::{Change, DifferenceKind, MAX_DIFFERENCES, apply, diff};

/// The changes that make `after` of `before`, and of other messages what the same edit would make of them: values are
/// put at places and taken out, all else is left alone.
///
/// Where one of them is no JSON, or all of it is another value, the whole text is the change. `None` if nothing differs
/// but white space and the order of members, if there are [`MAX_DIFFERENCES`], or if places cannot say what differs,
/// as between members of the same name.
pub fn changes(before: &[u8], after: &[u8]) -> Option<Vec<Change>> {
    let found = diff(before, after);
    if found.is_empty() || found.len() >= MAX_DIFFERENCES {
        return None;
    }
    if found
        .iter()
        .any(|difference| !difference.path.starts_with("$.") && !difference.path.starts_with("$["))
    {
        let text = std::str::from_utf8(after).ok()?;
        return Some(vec![Change::Text(text.to_owned())]);
    }
    let (gone, there): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|difference| difference.kind == DifferenceKind::Removed);
    let sets = there.into_iter().filter_map(|difference| {
        let value = difference.after?;
        Some(Change::Set {
            path: difference.path,
            value,
        })
    });
    // From the end: what goes moves the elements behind it.
    let removals = gone.into_iter().rev().map(|difference| Change::Remove {
        path: difference.path,
    });
    let changes: Vec<Change> = sets.chain(removals).collect();
    makes(&changes, before, after).then_some(changes)
}

fn makes(changes: &[Change], before: &[u8], after: &[u8]) -> bool {
    let made = changes
        .iter()
        .try_fold(before.to_vec(), |document, change| apply(&document, change).ok());
    made.is_some_and(|made| diff(&made, after).is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::intercept::edit::tests::{spelled, value};

    fn told(before: &str, after: &str) -> Vec<String> {
        let line = |change: Change| match change {
            Change::Set { path, value } => format!("{path} = {value}"),
            Change::Remove { path } => format!("- {path}"),
            other => format!("{other:?}"),
        };
        let found = changes(before.as_bytes(), after.as_bytes()).unwrap_or_default();
        found.into_iter().map(line).collect()
    }

    #[test]
    fn an_edit_becomes_the_places_it_changed() {
        assert_eq!(
            told(
                r#"{"a":1,"b":{"c":"x"},"d":2}"#,
                r#"{"a":1.0,"b":{"c":"x","e":[]}}"#
            ),
            ["$.a = 1.0", "$.b.e = []", "- $.d"]
        );
    }

    #[test]
    fn elements_are_taken_out_from_the_end() {
        assert_eq!(told("[1,2,3,4]", "[1,5]"), ["$[1] = 5", "- $[3]", "- $[2]"]);
        assert_eq!(told("[1]", "[1,2,3]"), ["$[1] = 2", "$[2] = 3"]);
    }

    #[test]
    fn what_is_no_json_is_the_text_itself() {
        assert_eq!(told("{\"a\":1}", "{\"a\":"), ["Text(\"{\\\"a\\\":\")"]);
        assert_eq!(told("{\"a\":1}", "[]"), ["Text(\"[]\")"]);
    }

    #[test]
    fn members_of_the_same_name_cannot_be_told_apart() {
        assert_eq!(changes(b"{\"a\":1,\"a\":2}", b"{\"a\":3,\"a\":2}"), None);
        assert_eq!(changes(b"{\"a\":1}", b"{ \"a\": 1 }"), None);
    }

    proptest! {
        #[test]
        fn the_changes_make_the_one_of_the_other(one in value(), other in value()) {
            let (one, other) = (spelled(&one, false), spelled(&other, true));
            if let Some(changes) = changes(one.as_bytes(), other.as_bytes()) {
                let made = changes.iter().fold(one.into_bytes(), |made, change| apply(&made, change).unwrap());
                prop_assert!(diff(&made, other.as_bytes()).is_empty());
            }
        }
    }
}
