//! Which call of one recording is which call of another.

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::Value;

use super::canonical::{Canonical, Task};
use super::ignore::IgnorePath;
use crate::replay::alike::{SECRET_MASK, are_alike};

/// Most comparisons of calls that have no partner, for those with secrets in them; the rest stays alone.
const MAX_TRIES: usize = 1 << 22;

/// What tells two calls of a method apart is everything in their parameters but this.
const NOT_SALIENT: [&str; 2] = ["$.params._meta", "$.params.clientInfo"];

/// Handed out by the server, so another one each time.
const HANDLES: [&str; 4] = [
    "$.params.cursor",
    "$.params.requestState",
    "$.params.taskId",
    "$.params.elicitationId",
];

/// A text that is the same for requests that ask for the same: their method and parameters without `_meta`, ids, and
/// what a server hands out anew each time, such as cursors.
pub fn call_key(request: &[u8]) -> String {
    let method = super::text_at(request, &["method"]).unwrap_or_default();
    let ignore: Vec<IgnorePath> = NOT_SALIENT.iter().filter_map(|path| path.parse().ok()).collect();
    let task = Task {
        method: &method,
        ignore: &ignore,
        volatile: &HANDLES,
        is_exact: false,
        is_key: true,
    };
    String::from_utf8_lossy(&Canonical::of(&task, request).text).into_owned()
}

/// Pairs what has equal keys, the first with the first, and then what is equal if a secret may be any text or number.
/// What is only among `ones` has no partner, what is only among `others` comes last.
pub fn pair_up(ones: &[String], others: &[String]) -> Vec<(Option<usize>, Option<usize>)> {
    let mut waiting: HashMap<&str, VecDeque<usize>> = HashMap::new();
    for (index, key) in others.iter().enumerate() {
        waiting.entry(key).or_default().push_back(index);
    }
    let mut pairs: Vec<(Option<usize>, Option<usize>)> = Vec::with_capacity(ones.len());
    for (index, key) in ones.iter().enumerate() {
        let partner = waiting.get_mut(key.as_str()).and_then(VecDeque::pop_front);
        pairs.push((Some(index), partner));
    }
    let mut left: Vec<usize> = waiting.into_values().flatten().collect();
    left.sort_unstable();
    pair_hidden(&mut pairs, &mut left, ones, others);
    pairs.extend(left.into_iter().map(|index| (None, Some(index))));
    pairs
}

/// Pairs calls without partners that differ only where one of them has a secret.
fn pair_hidden(
    pairs: &mut [(Option<usize>, Option<usize>)],
    left: &mut Vec<usize>,
    ones: &[String],
    others: &[String],
) {
    let is_hidden = |key: &str| key.contains(SECRET_MASK);
    let parsed = |key: &str| serde_json::from_str::<Value>(key).ok();
    let mut candidates: VecDeque<(usize, bool, Value)> = left
        .iter()
        .map(|index| (*index, &others[*index]))
        .filter_map(|(index, key)| Some((index, is_hidden(key), parsed(key)?)))
        .collect();
    let mut tries = MAX_TRIES;
    for (one, partner) in pairs.iter_mut().filter(|(_, partner)| partner.is_none()) {
        let Some((key, value)) = one.and_then(|one| Some((&ones[one], parsed(&ones[one])?))) else {
            continue;
        };
        let has_secret = is_hidden(key);
        let found = candidates
            .iter()
            .take(tries)
            .position(|(_, is_hidden, other)| (has_secret || *is_hidden) && are_alike(&value, other));
        tries = tries.saturating_sub(found.map_or(candidates.len(), |place| place + 1));
        *partner = found
            .and_then(|place| candidates.remove(place))
            .map(|(index, ..)| index);
    }
    let taken: HashSet<usize> = pairs.iter().filter_map(|(_, partner)| *partner).collect();
    left.retain(|index| !taken.contains(index));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_ask_for_the_same_have_one_key() {
        let one = r#"{"id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":1,"y":2},"_meta":{"progressToken":1}}}"#;
        let same = r#"{"method":"tools/call","id":"7","params":{"arguments":{"y":2,"x":1},"name":"a"}}"#;
        let other = r#"{"method":"tools/call","id":"7","params":{"arguments":{"y":2,"x":2},"name":"a"}}"#;
        assert_eq!(call_key(one.as_bytes()), call_key(same.as_bytes()));
        assert_ne!(call_key(one.as_bytes()), call_key(other.as_bytes()));
        let first = r#"{"method":"tools/list"}"#;
        let page = |cursor: &str| format!(r#"{{"method":"tools/list","params":{{"cursor":"{cursor}"}}}}"#);
        assert_eq!(call_key(page("a").as_bytes()), call_key(page("b").as_bytes()));
        assert_ne!(call_key(first.as_bytes()), call_key(page("b").as_bytes()));
    }

    #[test]
    fn what_is_absent_null_or_empty_asks_for_the_same() {
        let key = |params: &str| call_key(format!(r#"{{"method":"tools/call"{params}}}"#).as_bytes());
        let plain = key(r#","params":{"name":"a"}"#);
        for params in [
            r#","params":{"name":"a","arguments":null}"#,
            r#","params":{"arguments":{},"name":"a"}"#,
            r#","params":{"arguments":[],"name":"a","_meta":{"x":1}}"#,
            r#","params":{"arguments":{"to":null},"name":"a","task":null}"#,
        ] {
            assert_eq!(key(params), plain, "{params}");
        }
        assert_ne!(key(r#","params":{"name":"a","arguments":{"to":{}}}"#), plain);
        assert_ne!(key(r#","params":{"name":"a","arguments":{"to":[]}}"#), plain);
        assert_eq!(key(""), key(r#","params":{}"#));
        assert_eq!(key(""), key(r#","params":null"#));
        assert_eq!(key(""), key(r#","params":{"_meta":{"progressToken":1}}"#));
    }

    #[test]
    fn equal_calls_are_paired_in_their_order() {
        let keys = |text: &str| -> Vec<String> { text.chars().map(|key| key.to_string()).collect() };
        assert_eq!(
            pair_up(&keys("aba"), &keys("aacb")),
            [
                (Some(0), Some(0)),
                (Some(1), Some(3)),
                (Some(2), Some(1)),
                (None, Some(2))
            ]
        );
    }

    #[test]
    fn a_call_with_a_secret_is_the_call_with_any_text_or_number_in_its_place() {
        let key = |key: &str, n: u32| {
            let arguments = format!(r#"{{"apiKey":{key},"n":{n}}}"#);
            let request =
                format!(r#"{{"method":"tools/call","params":{{"name":"login","arguments":{arguments}}}}}"#);
            call_key(request.as_bytes())
        };
        let hidden = r#""‹secret:5be1c0ffee01›""#;
        let bearer = r#""Bearer ‹secret:5be1c0ffee01›""#;
        let tagged = [key(hidden, 1), key(bearer, 2), key(hidden, 3), key(hidden, 4)];
        let plain = [
            key("17", 3),
            key(r#""Bearer abc""#, 2),
            key(r#""abc""#, 1),
            key("{}", 4),
        ];
        assert_eq!(
            pair_up(&tagged, &plain),
            [
                (Some(0), Some(2)),
                (Some(1), Some(1)),
                (Some(2), Some(0)),
                (Some(3), None),
                (None, Some(3))
            ]
        );
        assert_eq!(
            pair_up(&plain, &tagged)[..3],
            [(Some(0), Some(2)), (Some(1), Some(1)), (Some(2), Some(0))]
        );
        let basic = [key(r#""Basic abc""#, 2)];
        assert_eq!(pair_up(&tagged[1..2], &basic), [(Some(0), None), (None, Some(0))]);
    }
}
