//! Rules and held messages together, as frontends and the control socket ask for them.

mod always;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{HoldId, Side};
use crate::mcp::tool_schemas::ToolSchemas;
use crate::snapshot::{Direction, Head, RowKind};

use super::edit::{Fixup, fixups};
use super::filter::Filter;
use super::hold::{
    Actor, Decision, HeadEdit, HeldDetail, HeldRow, HeldSummary, HoldError, HoldEvents, Holds,
};
use super::patience::Patience;
use super::rule::{Hits, Refusal, Rule, Verdict, WhileHeld};
use super::rules::watch::Saver;
use super::rules::{Armory, RuleRow, RulesMistake, template};

pub use always::Remedy;

/// What acts on messages. One for an engine; clones share it.
#[derive(Debug, Clone)]
pub struct Interceptor {
    /// The rules.
    pub armory: Armory,
    /// What they hold.
    pub holds: Arc<Holds>,
    /// What clients will bear.
    pub patience: Arc<Patience>,
    /// Where rules are saved, if they come from a file.
    pub saver: Arc<OnceLock<Saver>>,
    /// What the tools of the servers say of themselves.
    pub(crate) schemas: Arc<ToolSchemas>,
}

/// What is asked about held messages and rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum InterceptCommand {
    /// All held messages.
    List,
    /// What happened among them after the event with this number.
    Events {
        /// Its number; 0 for all that is still known.
        after: u64,
    },
    /// One of them with its text.
    Show {
        /// Which.
        id: HoldId,
    },
    /// It goes on, edited if it was.
    Forward {
        /// Which.
        id: HoldId,
    },
    /// All of its lane go on.
    ForwardLane {
        /// One of them.
        id: HoldId,
    },
    /// All go on.
    ForwardAll,
    /// It goes on, and the next message of its call is held.
    Step {
        /// Which.
        id: HoldId,
    },
    /// It goes on, and the rule that held it is switched off.
    Continue {
        /// Which.
        id: HoldId,
    },
    /// Its text becomes this; as it came if `None`.
    Edit {
        /// Which.
        id: HoldId,
        /// The message.
        text: Option<String>,
    },
    /// Fields of its HTTP head are other ones, in place of all that was said of them before.
    Head {
        /// Which.
        id: HoldId,
        /// What.
        edit: HeadEdit,
    },
    /// Somebody edits it, or no longer does: until then nothing happens by itself.
    Editing {
        /// Which.
        id: HoldId,
        /// Whether.
        is_editing: bool,
    },
    /// It is answered with this result, under its own id.
    Answer {
        /// Which.
        id: HoldId,
        /// The JSON text of the result; may have places such as `{{$.params.arguments.x}}`. For a request that is no MCP the
        /// body of a response with status 200.
        result: String,
    },
    /// It is refused.
    Refuse {
        /// Which.
        id: HoldId,
        /// How.
        refusal: Refusal,
    },
    /// It is dropped.
    Drop {
        /// Which.
        id: HoldId,
        /// Without a word to its sender.
        is_silent: bool,
    },
    /// The same is done to several, each lane in its order: one that waits behind another leaves when its turn comes.
    Together {
        /// Which.
        ids: Vec<HoldId>,
        /// What.
        deed: Deed,
    },
    /// It changes its place in its lane by one, which breaks the order on purpose.
    Move {
        /// Which.
        id: HoldId,
        /// Towards the head.
        is_earlier: bool,
    },
    /// It goes on later.
    Delay {
        /// Which.
        id: HoldId,
        /// Milliseconds.
        millis: u64,
    },
    /// It goes on more than once.
    Duplicate {
        /// Which.
        id: HoldId,
        /// So often.
        times: u32,
    },
    /// Nothing happens by itself when its time is over.
    Keep {
        /// Which.
        id: HoldId,
    },
    /// All rules.
    Rules,
    /// Messages that match are held from now on.
    Break {
        /// The filter.
        filter: String,
        /// Only the next one.
        is_once: bool,
    },
    /// What was done by hand is done to all messages that match, before any other rule is asked.
    Always {
        /// The filter.
        when: String,
        /// What the rule is to be called; gets a number if another one is called so.
        name: String,
        /// What was done.
        remedy: Remedy,
    },
    /// A rule is switched on or off.
    Switch {
        /// Its name.
        rule: String,
        /// On or off.
        is_on: bool,
    },
    /// A rule is taken away.
    Remove {
        /// Its name.
        rule: String,
    },
    /// The master switch. Off: all that is held goes on unchanged.
    Intercept {
        /// On or off.
        is_on: bool,
    },
}

/// What is done to several messages at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Deed {
    /// They go on, edited where they were.
    Forward,
    /// They are refused.
    Refuse {
        /// How.
        refusal: Refusal,
    },
    /// They are dropped.
    Drop {
        /// Without a word to their senders.
        is_silent: bool,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum InterceptReply {
    /// The held messages, oldest first.
    Held {
        /// They.
        rows: Vec<HeldRow>,
    },
    /// What happened.
    Events(HoldEvents),
    /// One of them.
    Message(Box<HeldText>),
    /// The rules, in the order in which they are asked.
    Rules {
        /// They.
        rows: Vec<RuleRow>,
    },
    /// It was done.
    Done {
        /// What, in words.
        words: String,
    },
}

/// A held message as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldText {
    /// What the queue says of it.
    pub row: HeldRow,
    /// What came.
    pub original: String,
    /// What goes on instead.
    pub edited: Option<String>,
    /// The HTTP head that came with it.
    pub head: Option<Head>,
    /// What was done to that.
    pub head_edit: HeadEdit,
    /// Who chose the server.
    pub side: Side,
    /// The client's address without its port.
    pub address: String,
    /// Fields of the head that follow the edit, unless that is refused.
    pub fixups: Vec<Fixup>,
    /// The JSON Schema of what it carries, if it is known: of the arguments of a call, of the structured result of an
    /// answer.
    pub schema: Option<String>,
    /// For a call: the JSON Schema of the structured result of an answer to it, if it is known.
    pub answer_schema: Option<String>,
}

/// What a frontend draws of interception.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InterceptView {
    /// Counts for the status line.
    pub summary: HeldSummary,
    /// The held messages, oldest first; at most [`MAX_ROWS`].
    pub rows: Vec<HeldRow>,
    /// The rules.
    pub rules: Vec<RuleRow>,
    /// The master switch.
    pub is_on: bool,
    /// Why the file of rules, as it is now, was not taken over.
    #[serde(default)]
    pub mistake: Option<RulesMistake>,
}

/// Most held messages in a snapshot; the rest is counted.
pub const MAX_ROWS: usize = 200;

impl Interceptor {
    /// For a snapshot.
    pub fn view(&self) -> InterceptView {
        let armed = self.armory.load();
        let mistake = self.armory.mistake().map(|mistake| (*mistake).clone());
        if armed.rules().is_empty() && self.holds.is_empty() {
            return InterceptView {
                is_on: self.armory.is_intercepting(),
                mistake,
                ..InterceptView::default()
            };
        }
        InterceptView {
            summary: self.holds.summary(),
            rows: self.holds.rows(MAX_ROWS),
            rules: self.armory.list(),
            is_on: self.armory.is_intercepting(),
            mistake,
        }
    }

    /// Does what is asked, and writes nothing to the disk.
    ///
    /// # Errors
    /// Why not, and what to do next.
    pub fn obey(&self, command: InterceptCommand, actor: Actor) -> Result<InterceptReply, String> {
        match command {
            InterceptCommand::List => Ok(InterceptReply::Held {
                rows: self.holds.rows(usize::MAX),
            }),
            InterceptCommand::Events { after } => Ok(InterceptReply::Events(self.holds.events(after))),
            InterceptCommand::Show { id } => self.show(id),
            InterceptCommand::Edit { id, text } => self.edit(id, text),
            InterceptCommand::Head { id, edit } => {
                self.holds.edit_head(id, edit).map_err(words)?;
                Ok(done(format!("{id} goes on with the head as edited")))
            }
            InterceptCommand::Rules => Ok(InterceptReply::Rules {
                rows: self.armory.list(),
            }),
            InterceptCommand::Break { filter, is_once } => self.break_on(&filter, is_once),
            InterceptCommand::Always { when, name, remedy } => {
                let rule = self.always(&when, &name, &remedy)?;
                Ok(done(format!("the rule `{}` does so from now on", rule.name)))
            }
            InterceptCommand::Switch { rule, is_on } => self.switch(&rule, is_on),
            InterceptCommand::Remove { rule } => self.remove(&rule),
            InterceptCommand::Intercept { is_on } => Ok(self.intercept(is_on)),
            other => self.decide(other, actor),
        }
    }

    /// Everything that is held goes on as it came, and nothing more is held: the proxy ends.
    pub(crate) fn let_go(&self) -> usize {
        self.armory.set_intercepting(false);
        self.holds.set_can_hold(false);
        self.holds.release_all(Actor::Release)
    }

    fn show(&self, id: HoldId) -> Result<InterceptReply, String> {
        let HeldDetail {
            row,
            original,
            edited,
            head,
            head_edit,
            side,
            address,
            ..
        } = self.holds.detail(id).map_err(words)?;
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let (schema, answer_schema) = self.schemas_of(&row);
        let fixups = match (&head, &edited) {
            (Some(head), Some(edited)) => {
                let schema = self.schemas.of(&row.server, edited).input;
                fixups(&head.fields, &original, edited, schema.as_deref())
            }
            _ => Vec::new(),
        };
        Ok(InterceptReply::Message(Box::new(HeldText {
            row,
            original: text(&original),
            edited: edited.as_ref().map(text),
            head,
            head_edit,
            side,
            address,
            fixups,
            schema,
            answer_schema,
        })))
    }

    fn schemas_of(&self, row: &HeldRow) -> (Option<String>, Option<String>) {
        let is_call = row.method.as_deref() == Some("tools/call");
        let Some(tool) = row.name.as_deref().filter(|_| is_call) else {
            return (None, None);
        };
        let schemas = self.schemas.named(&row.server, tool);
        let (input, output) = (schemas.input, schemas.output);
        let text = |schema: Option<Arc<str>>| schema.map(|schema| schema.to_string());
        match (row.kind, row.direction) {
            (RowKind::Request, Direction::ClientToServer) => (text(input), text(output)),
            (RowKind::Result, Direction::ServerToClient) => (text(output), None),
            _ => (None, None),
        }
    }

    fn edit(&self, id: HoldId, text: Option<String>) -> Result<InterceptReply, String> {
        let is_edit = text.is_some();
        self.holds.edit(id, text.map(Bytes::from)).map_err(words)?;
        Ok(done(if is_edit {
            format!("{id} goes on as edited")
        } else {
            format!("{id} is as it came again")
        }))
    }

    fn decide(&self, command: InterceptCommand, actor: Actor) -> Result<InterceptReply, String> {
        let holds = &self.holds;
        match command {
            InterceptCommand::Forward { id } => {
                holds.decide(id, Decision::Forward, actor).map_err(words)?;
                Ok(done(format!("{id} was forwarded")))
            }
            InterceptCommand::ForwardLane { id } => {
                let count = holds.release_lane(id, actor).map_err(words)?;
                Ok(done(format!("{count} of its lane were forwarded")))
            }
            InterceptCommand::ForwardAll => {
                let count = holds.release_all(actor);
                Ok(done(match count {
                    0 => "nothing is held".to_owned(),
                    count => format!("{count} were forwarded"),
                }))
            }
            InterceptCommand::Step { id } => {
                holds.step(id, actor).map_err(words)?;
                Ok(done(format!(
                    "{id} was forwarded; the next message of its call is held"
                )))
            }
            InterceptCommand::Continue { id } => {
                let rule = holds.detail(id).map_err(words)?.rule;
                self.armory.switch(&rule, false);
                holds.decide(id, Decision::Forward, actor).map_err(words)?;
                Ok(done(format!("{id} was forwarded; the rule `{rule}` is off")))
            }
            InterceptCommand::Answer { id, result } => {
                let held = holds.detail(id).map_err(words)?;
                let message = if held.row.kind == RowKind::Http {
                    Bytes::from(result)
                } else {
                    let result = template::fill(&result, &held.original);
                    let result = result.map_err(|error| error.to_string())?;
                    template::answer(&held.original, &result).into()
                };
                holds
                    .decide(id, Decision::Answer(message), actor)
                    .map_err(words)?;
                Ok(done(format!("{id} was answered")))
            }
            InterceptCommand::Refuse { id, refusal } => {
                let text = format!("{id} was refused: {refusal}");
                holds
                    .decide(id, Decision::Refuse(refusal), actor)
                    .map_err(words)?;
                Ok(done(text))
            }
            InterceptCommand::Drop { id, is_silent } => {
                holds
                    .decide(id, Decision::Drop { is_silent }, actor)
                    .map_err(words)?;
                Ok(done(format!("{id} was dropped")))
            }
            InterceptCommand::Together { ids, deed } => self.together(&ids, deed, actor),
            InterceptCommand::Delay { id, millis } => {
                let delay = Decision::Delay(Duration::from_millis(millis));
                holds.decide(id, delay, actor).map_err(words)?;
                Ok(done(format!("{id} goes on in {millis} ms")))
            }
            InterceptCommand::Duplicate { id, times } => {
                holds
                    .decide(id, Decision::Duplicate(times), actor)
                    .map_err(words)?;
                Ok(done(format!("{id} was forwarded {times} times")))
            }
            InterceptCommand::Move { id, is_earlier } => {
                holds.shift(id, is_earlier).map_err(words)?;
                let word = if is_earlier { "earlier" } else { "later" };
                Ok(done(format!("{id} goes one place {word}")))
            }
            InterceptCommand::Keep { id } => {
                holds.keep(id).map_err(words)?;
                Ok(done(format!("{id} waits however long it takes")))
            }
            InterceptCommand::Editing { id, is_editing } => {
                holds.set_editing(id, is_editing).map_err(words)?;
                Ok(done(String::new()))
            }
            _ => Err("this is no decision about a held message".to_owned()),
        }
    }

    fn together(&self, ids: &[HoldId], deed: Deed, actor: Actor) -> Result<InterceptReply, String> {
        let (decision, verb) = match deed {
            Deed::Forward => (Decision::Forward, "forwarded"),
            Deed::Refuse { refusal } => (Decision::Refuse(refusal), "refused"),
            Deed::Drop { is_silent } => (Decision::Drop { is_silent }, "dropped"),
        };
        let (count, problem) = self.holds.decide_several(ids, &decision, actor);
        match problem {
            Some(problem) if count == 0 => Err(problem.to_string()),
            Some(problem) => Ok(done(format!("{count} were {verb}; {problem}"))),
            None => Ok(done(format!("{count} were {verb}"))),
        }
    }

    fn break_on(&self, filter: &str, is_once: bool) -> Result<InterceptReply, String> {
        let when = Filter::parse(filter).map_err(|error| error.to_string())?;
        let name = self.free_name(filter);
        let rule = Rule {
            name: name.clone(),
            is_on: true,
            when,
            direction: None,
            hits: if is_once { Hits::Once } else { Hits::Always },
            verdict: Verdict::Hold,
            on_expire: None,
            while_held: WhileHeld::default(),
        };
        self.armory.add(rule).map_err(|error| error.to_string())?;
        self.armory.set_intercepting(true);
        Ok(done(if is_once {
            format!("the next message that matches is held (rule `{name}`)")
        } else {
            format!("messages that match are held (rule `{name}`)")
        }))
    }

    fn free_name(&self, filter: &str) -> String {
        let armed = self.armory.load();
        let is_taken = |name: &str| armed.rules().iter().any(|rule| rule.name() == name);
        let base: String = if filter.trim().is_empty() {
            "everything".to_owned()
        } else {
            filter.trim().chars().take(32).collect()
        };
        let names = std::iter::once(base.clone()).chain((2..).map(|number| format!("{base} {number}")));
        names.into_iter().find(|name| !is_taken(name)).unwrap_or(base)
    }

    fn switch(&self, rule: &str, is_on: bool) -> Result<InterceptReply, String> {
        if !self.armory.switch(rule, is_on) {
            return Err(format!("there is no rule `{rule}`"));
        }
        Ok(done(format!(
            "the rule `{rule}` is {}",
            if is_on { "on" } else { "off" }
        )))
    }

    fn remove(&self, rule: &str) -> Result<InterceptReply, String> {
        if !self.armory.remove(rule) {
            return Err(format!("there is no rule `{rule}`"));
        }
        Ok(done(format!("the rule `{rule}` is gone")))
    }

    fn intercept(&self, is_on: bool) -> InterceptReply {
        self.armory.set_intercepting(is_on);
        let words = if is_on {
            "rules act again".to_owned()
        } else {
            let count = self.holds.release_all(Actor::Release);
            format!("no rule acts; {count} held went on unchanged")
        };
        InterceptReply::Done { words }
    }
}

const fn done(words: String) -> InterceptReply {
    InterceptReply::Done { words }
}

#[expect(clippy::needless_pass_by_value, reason = "a callback of map_err")]
fn words(error: HoldError) -> String {
    error.to_string()
}
