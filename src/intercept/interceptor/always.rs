//! What was done by hand to one message, as a rule for all that are like it.

use serde::{Deserialize, Serialize};

use super::{InterceptReply, Interceptor, done};
use crate::intercept::edit::{Change, changes};
use crate::intercept::filter::Filter;
use crate::intercept::hold::Actor;
use crate::intercept::rule::{Hits, Refusal, Rule, Verdict, WhileHeld};
use crate::intercept::rules::template;

use super::InterceptCommand;

/// What was done to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "done")]
pub enum Remedy {
    /// It was edited: its text before, and afterwards.
    Edited {
        /// What came.
        before: String,
        /// What went on.
        after: String,
        /// Fields of its HTTP head that were set, or taken out where there is no value.
        fields: Vec<(String, Option<String>)>,
    },
    /// It was answered with this result, in which places such as `{{$.params.arguments.x}}` stand for what the request
    /// says.
    Answered {
        /// The JSON text.
        result: String,
    },
    /// It was refused.
    Refused {
        /// How.
        refusal: Refusal,
    },
    /// It was dropped.
    Dropped {
        /// Without a word to its sender.
        is_silent: bool,
    },
}

impl Remedy {
    /// The word for doing so.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Edited { .. } => "edit",
            Self::Answered { .. } => "answer",
            Self::Refused { .. } => "refuse",
            Self::Dropped { .. } => "drop",
        }
    }

    fn verdict(&self) -> Result<Verdict, String> {
        Ok(match self {
            Self::Edited {
                before,
                after,
                fields,
            } => Verdict::Replace(replacement(before, after, fields)?),
            Self::Answered { result } => {
                template::check(result).map_err(|error| error.to_string())?;
                Verdict::Answer {
                    result: result.clone(),
                }
            }
            Self::Refused { refusal } => Verdict::Refuse(refusal.clone()),
            Self::Dropped { is_silent } => Verdict::Drop {
                is_silent: *is_silent,
            },
        })
    }
}

fn replacement(
    before: &str,
    after: &str,
    fields: &[(String, Option<String>)],
) -> Result<Vec<Change>, String> {
    let head = fields.iter().map(|(name, value)| match value {
        Some(value) => Change::SetHeader {
            name: name.clone(),
            value: value.clone(),
        },
        None => Change::RemoveHeader { name: name.clone() },
    });
    let body = match changes(before.as_bytes(), after.as_bytes()) {
        Some(body) => body,
        None if before == after && !fields.is_empty() => Vec::new(),
        None => {
            return Err(
                "this edit is no change of values that a rule could make again; write the rule by hand"
                    .to_owned(),
            );
        }
    };
    Ok(body.into_iter().chain(head).collect())
}

impl Interceptor {
    /// As [`Interceptor::obey`]; a rule that is to act always is saved to the file of rules too, if there is one.
    ///
    /// # Errors
    /// Why not, and what to do next. A rule that could not be saved is armed all the same, and this says so.
    ///
    /// # Cancel safety
    /// What was begun is done, but nobody hears of it.
    pub async fn carry_out(&self, command: InterceptCommand, actor: Actor) -> Result<InterceptReply, String> {
        let InterceptCommand::Always { when, name, remedy } = &command else {
            return self.obey(command, actor);
        };
        let rule = self.always(when, name, remedy)?;
        let armed = format!("the rule `{}` does so from now on", rule.name);
        let Some(saver) = self.saver.get() else {
            return Ok(done(armed));
        };
        let path = saver.path().display().to_string();
        match saver.save(rule).await {
            Ok(()) => Ok(done(format!("{armed}; saved to {path}"))),
            Err(reason) => Err(format!("{armed}, but it was not saved: {reason}")),
        }
    }

    /// Arms a rule that is asked before all others.
    pub(super) fn always(&self, when: &str, name: &str, remedy: &Remedy) -> Result<Rule, String> {
        let when = Filter::parse(when).map_err(|error| error.to_string())?;
        let rule = Rule {
            name: self.armory.free_name(name),
            is_on: true,
            when,
            direction: None,
            hits: Hits::Always,
            verdict: remedy.verdict()?,
            on_expire: None,
            while_held: WhileHeld::default(),
        };
        self.armory
            .add_first(rule.clone())
            .map_err(|error| error.to_string())?;
        self.armory.set_intercepting(true);
        Ok(rule)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Clock;
    use crate::intercept::hold::Holds;
    use crate::intercept::rules::Armory;
    use crate::intercept::rules::file;

    fn interceptor() -> Interceptor {
        Interceptor {
            armory: Armory::new(),
            holds: Arc::new(Holds::new(Clock::start(), 16, 1024)),
            patience: Arc::default(),
            saver: Arc::default(),
            schemas: Arc::default(),
        }
    }

    fn always(interceptor: &Interceptor, remedy: Remedy) -> Result<InterceptReply, String> {
        let command = InterceptCommand::Always {
            when: "method:tools/call tool:search dir:c2s".to_owned(),
            name: "search".to_owned(),
            remedy,
        };
        interceptor.obey(command, Actor::Key)
    }

    fn written(interceptor: &Interceptor) -> String {
        let armed = interceptor.armory.load();
        let rules: Vec<Rule> = armed.rules().iter().map(|armed| armed.rule().clone()).collect();
        file::render(&rules)
    }

    #[test]
    fn an_edit_becomes_a_rule_for_the_values_that_it_changed() {
        let interceptor = interceptor();
        let remedy = Remedy::Edited {
            before: r#"{"id":7,"params":{"arguments":{"limit":1.10,"q":"a"}}}"#.to_owned(),
            after: r#"{"id":7,"params":{"arguments":{"limit":3}}}"#.to_owned(),
            fields: vec![("x-a".to_owned(), Some("1".to_owned())), ("x-b".to_owned(), None)],
        };
        always(&interceptor, remedy).unwrap();
        let text = written(&interceptor);
        assert!(
            text.contains("when = \"method:tools/call tool:search dir:c2s\""),
            "{text}"
        );
        assert!(
            text.contains("\"$.params.arguments.limit\" = 3")
                && text.contains("remove = [\"$.params.arguments.q\"]"),
            "{text}"
        );
        assert!(
            text.contains("\"x-a\" = \"1\"") && text.contains("remove-header = [\"x-b\"]"),
            "{text}"
        );
        assert_eq!(file::parse(&text).unwrap().len(), 1);
    }

    #[test]
    fn the_rule_is_asked_before_the_breakpoint_that_held_the_message() {
        let interceptor = interceptor();
        let filter = "tool:search".to_owned();
        interceptor
            .obey(
                InterceptCommand::Break {
                    filter,
                    is_once: false,
                },
                Actor::Key,
            )
            .unwrap();
        always(
            &interceptor,
            Remedy::Answered {
                result: "{}".to_owned(),
            },
        )
        .unwrap();
        always(&interceptor, Remedy::Dropped { is_silent: true }).unwrap();
        let names: Vec<String> = interceptor
            .armory
            .list()
            .into_iter()
            .map(|row| row.name)
            .collect();
        assert_eq!(names, ["search 2", "search", "tool:search"]);
    }

    #[test]
    fn what_no_rule_can_say_is_refused_with_the_reason() {
        let interceptor = interceptor();
        let same = "{\"a\":1}".to_owned();
        let remedy = Remedy::Edited {
            before: same.clone(),
            after: same,
            fields: Vec::new(),
        };
        assert!(always(&interceptor, remedy).unwrap_err().contains("by hand"));
        let broken = Remedy::Answered {
            result: "{".to_owned(),
        };
        assert!(always(&interceptor, broken).unwrap_err().contains("no JSON"));
        assert_eq!(interceptor.armory.list().len(), 0);
    }
}
