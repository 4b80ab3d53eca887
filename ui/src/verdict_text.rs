//! What was decided about a message, in signs and words.

use shadowcat::intercept::hold::{Actor, Effect, Ending};
use shadowcat::snapshot::{MessageRow, RowVerdict};

use crate::format;
use crate::paint::Line;
use crate::theme::{Role, Theme};

/// The sign of a verdict and how it looks.
fn sign(verdict: &RowVerdict, theme: Theme) -> (Role, &'static str) {
    match (verdict.effect, verdict.ending) {
        (Some(effect), _) if effect.is_fault() => (Role::Bad, theme.sign("↯", "!")),
        (_, Some(Ending::Edited)) => (Role::Accent, theme.sign("✎", "~")),
        (_, Some(Ending::Answered)) => (Role::Accent, theme.sign("↶", "=")),
        (_, Some(Ending::Refused)) => (Role::Bad, theme.sign("⊗", "x")),
        (_, Some(Ending::Dropped)) => (Role::Bad, theme.sign("⊖", "-")),
        (_, Some(Ending::Cancelled | Ending::Orphaned)) => (Role::Warn, theme.sign("⊘", "--")),
        (Some(Effect::Delayed), _) => (Role::Wait, theme.sign("◷", "@")),
        (_, None) => (Role::Warn, theme.sign("⏸", "||")),
        (_, Some(Ending::Forwarded)) => (Role::Accent, theme.sign("↷", "+")),
    }
}

/// Who it was, as short as that can be said: `rule:NAME`, `by hand`.
fn short_by(verdict: &RowVerdict) -> String {
    match verdict.actor {
        Actor::Rule => format!("rule:{}", verdict.rule),
        Actor::Timer => "by time".to_owned(),
        Actor::Peer => "sender left".to_owned(),
        Actor::Release => "let go".to_owned(),
        actor @ (Actor::Key | Actor::Script) => actor.words().to_owned(),
    }
}

/// Marks for the row of a message, the one that says most first: `✎ edited rule:deep`, `✎ edited`, `✎`. None if it went
/// on as it came.
pub(crate) fn marks(row: &MessageRow, theme: Theme) -> Option<[Line; 3]> {
    let verdict = row.verdict.as_ref().filter(|verdict| !verdict.is_unchanged())?;
    let (role, sign) = sign(verdict, theme);
    let bare = Line::of(role, sign);
    let word = bare.clone().say(role, &format!(" {}", verdict.deed()));
    let whole = word.clone().say(Role::Dim, &format!(" {}", short_by(verdict)));
    Some([whole, word, bare])
}

/// `edited by rule:deep after 1.2 s`; `None` if nothing was decided about it.
pub(crate) fn sentence(row: &MessageRow) -> Option<String> {
    let verdict = row.verdict.as_ref()?;
    let mut text = format!("{} {}", verdict.deed(), verdict.by());
    let has_waited = verdict.hold.is_some() || verdict.effect == Some(Effect::Delayed);
    if verdict.ending.is_some() && has_waited {
        text = format!("{text} after {}", format::duration(verdict.held_for));
    }
    if verdict.actor != Actor::Rule {
        text = format!("{text} (held by rule:{})", verdict.rule);
    }
    Some(text)
}

/// The same with its sign.
pub(crate) fn line(row: &MessageRow, theme: Theme) -> Option<Line> {
    let (role, sign) = sign(row.verdict.as_ref()?, theme);
    Some(Line::of(role, sign).say(Role::Text, &format!(" {}", sentence(row)?)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lines::sample_row;

    fn row(ending: Option<Ending>, effect: Option<Effect>, actor: Actor) -> MessageRow {
        let mut row = sample_row();
        row.verdict = Some(RowVerdict {
            batch: None,
            rule: "deep".to_owned(),
            hold: shadowcat::ids::HoldId::new(3).filter(|_| actor != Actor::Rule),
            ending,
            effect,
            actor,
            held_for: Duration::from_millis(1200),
        });
        row
    }

    #[test]
    fn a_verdict_says_what_was_done_by_whom_and_after_how_long() {
        let said = |ending, effect, actor| sentence(&row(Some(ending), effect, actor)).unwrap();
        let cases = [
            (Ending::Edited, None, Actor::Rule, "edited by rule:deep"),
            (
                Ending::Edited,
                None,
                Actor::Key,
                "edited by hand after 1.2 s (held by rule:deep)",
            ),
            (
                Ending::Forwarded,
                Some(Effect::Delayed),
                Actor::Rule,
                "delayed by rule:deep after 1.2 s",
            ),
            (
                Ending::Edited,
                Some(Effect::WrongId),
                Actor::Rule,
                "fault: wrong id by rule:deep",
            ),
        ];
        for (ending, effect, actor, text) in cases {
            assert_eq!(said(ending, effect, actor), text);
        }
        assert_eq!(sentence(&sample_row()), None);
    }

    #[test]
    fn what_went_on_as_it_came_has_no_mark_and_what_waits_has_one() {
        let theme = Theme::default();
        assert!(marks(&row(Some(Ending::Forwarded), None, Actor::Key), theme).is_none());
        let [whole, word, bare] = marks(&row(None, None, Actor::Rule), theme).unwrap();
        assert_eq!(whole.text(), "⏸ held rule:deep");
        assert_eq!((word.text().as_str(), bare.text().as_str()), ("⏸ held", "⏸"));
    }

    #[test]
    fn signs_are_plain_characters_where_others_cannot_be_shown() {
        let theme = Theme {
            is_ascii: true,
            ..Theme::default()
        };
        for ending in [
            Ending::Edited,
            Ending::Answered,
            Ending::Refused,
            Ending::Dropped,
            Ending::Orphaned,
        ] {
            let [whole, ..] = marks(&row(Some(ending), None, Actor::Rule), theme).unwrap();
            assert!(whole.text().is_ascii(), "{}", whole.text());
        }
    }
}
