//! What the copies were made of that this screen has sent again, for the Sent tab.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

/// Most copies that are remembered; the oldest go.
const MOST: usize = 64;

/// Most bytes of a message that is kept to be compared with its copy.
const MOST_BYTES: usize = 64 * 1024;

/// The message that a copy was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Original {
    /// Its JSON-RPC id, as spelled.
    pub(crate) id: Option<String>,
    /// The message; `None` if it is too large to be kept.
    pub(crate) text: Option<Arc<str>>,
}

impl Original {
    fn of(text: &str) -> Self {
        let message: Option<Value> = serde_json::from_str(text).ok();
        Self {
            id: message
                .as_ref()
                .and_then(|message| message.get("id"))
                .map(Value::to_string),
            text: (text.len() <= MOST_BYTES).then(|| text.into()),
        }
    }
}

/// The copies of this screen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Copies {
    last: u64,
    /// Sent, and not known yet under which id.
    asked: VecDeque<(u64, Original)>,
    /// By the JSON-RPC id of the copy, as spelled; the oldest first.
    sent: VecDeque<(String, Original)>,
}

impl Copies {
    /// Remembers what is about to be sent again; the number under which [`Copies::sent`] is told of it.
    pub(crate) fn ask(&mut self, original: &str) -> u64 {
        self.last += 1;
        push(&mut self.asked, (self.last, Original::of(original)));
        self.last
    }

    /// That one was sent, under this id.
    pub(crate) fn sent(&mut self, number: u64, id: &str) {
        let place = self.asked.iter().position(|(asked, _)| *asked == number);
        if let Some((_, original)) = place.and_then(|place| self.asked.remove(place)) {
            push(&mut self.sent, (id.to_owned(), original));
        }
    }

    /// What the copy with this id was made of, if this screen has sent it and still knows.
    pub(crate) fn original(&self, id: &str) -> Option<&Original> {
        let mut newest_first = self.sent.iter().rev();
        newest_first
            .find(|(copy, _)| copy == id)
            .map(|(_, original)| original)
    }
}

fn push<T>(queue: &mut VecDeque<T>, value: T) {
    if queue.len() >= MOST {
        queue.pop_front();
    }
    queue.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_known_under_the_id_that_it_was_given_and_the_oldest_are_forgotten() {
        let mut copies = Copies::default();
        for number in 0..=MOST {
            let asked = copies.ask(&format!(r#"{{"id":{number}}}"#));
            copies.sent(asked, &format!("copy {number}"));
        }
        let id = |copy: &str| copies.original(copy).and_then(|original| original.id.clone());
        assert_eq!(id(&format!("copy {MOST}")), Some(MOST.to_string()));
        assert_eq!(id("copy 1").as_deref(), Some("1"));
        assert_eq!(id("copy 0"), None);
    }
}
