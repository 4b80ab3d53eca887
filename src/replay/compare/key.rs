//! Which call of one recording is which call of another.

use std::collections::{HashMap, VecDeque};

use super::canonical::{Canonical, Task};
use super::ignore::IgnorePath;

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
        is_sorted: true,
    };
    String::from_utf8_lossy(&Canonical::of(&task, request).text).into_owned()
}

/// Pairs what has equal keys, the first with the first. What is only among `ones` has no partner, what is only among
/// `others` comes last.
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
    pairs.extend(left.into_iter().map(|index| (None, Some(index))));
    pairs
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
}
