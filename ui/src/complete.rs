//! Proposals for the place of the cursor in a filter: the engine's, in characters as the line counts them.

use std::ops::Range;

use shadowcat::intercept::filter;

use crate::seen::Seen;

/// A way to go on with the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposal {
    /// Characters that are replaced.
    pub(crate) replace: Range<usize>,
    /// What is put there. May hold what a peer said: not yet safe for a terminal.
    pub(crate) text: String,
    /// What it means.
    pub(crate) help: &'static str,
}

/// What could stand where the cursor is, before the character `cursor` of `text`; the best first, and nothing that is there already.
pub(crate) fn complete(text: &str, cursor: usize, seen: &Seen) -> Vec<Proposal> {
    let place = text.char_indices().nth(cursor).map_or(text.len(), |(at, _)| at);
    let mut completions = filter::complete(text, place, &|field| seen.values(field));
    completions.retain(|completion| text.get(completion.replace.clone()) != Some(completion.text.as_str()));
    let proposals = completions.into_iter().map(|completion| Proposal {
        replace: characters(text, completion.replace.start)..characters(text, completion.replace.end),
        text: completion.text,
        help: completion.help,
    });
    proposals.collect()
}

/// Characters before the byte `at`.
fn characters(text: &str, at: usize) -> usize {
    text.char_indices().take_while(|(start, _)| *start < at).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    fn seen() -> Seen {
        let mut seen = Seen::default();
        seen.learn(&Fake::typical().snapshot(&shadowcat::snapshot::ViewQuery::default()));
        seen
    }

    fn texts(text: &str) -> Vec<String> {
        let proposals = complete(text, text.chars().count(), &seen());
        proposals.into_iter().map(|proposal| proposal.text).collect()
    }

    #[test]
    fn a_field_is_proposed_for_the_word_under_the_cursor() {
        let proposals = complete("kind:error !se rest", 14, &seen());
        let texts: Vec<&str> = proposals.iter().map(|proposal| proposal.text.as_str()).collect();
        assert_eq!(texts[..2], ["session:", "server:"]);
        assert_eq!(proposals[0].replace, 12..14);
    }

    #[test]
    fn characters_of_several_bytes_do_not_move_the_place() {
        let proposals = complete("text:é→ kind:no", 15, &seen());
        assert_eq!(
            proposals
                .first()
                .map(|first| (first.replace.clone(), first.text.as_str())),
            Some((13..15, "notification"))
        );
    }

    #[test]
    fn what_traffic_has_shown_is_proposed_after_its_field() {
        assert_eq!(texts("tool:ec"), ["echo"]);
        assert_eq!(texts("tool:echo"), [""; 0]);
        assert!(texts("method:to").contains(&"tools/call".to_owned()));
        assert!(texts("session:").contains(&"R1".to_owned()));
        assert!(texts("server:ev").contains(&"everything".to_owned()));
    }
}
