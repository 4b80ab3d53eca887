//! What keys go to while a held message or a rule is decided about.

use shadowcat::ids::HoldId;
use shadowcat::intercept::edit::FieldLine;
use shadowcat::intercept::interceptor::InterceptCommand;

use crate::edit_job::Edited;
use crate::held_screen::ByHand;
use crate::line_edit::LineEdit;

/// The values of a held message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldsState {
    pub(crate) id: HoldId,
    /// The message as it is edited so far.
    pub(crate) payload: Vec<u8>,
    pub(crate) lines: Vec<FieldLine>,
    pub(crate) chosen: usize,
    /// What its tool says of it.
    pub(crate) schema: Option<String>,
    /// The chosen value while it is being typed.
    pub(crate) edit: Option<FieldEdit>,
}

/// A value that is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldEdit {
    pub(crate) line: LineEdit,
    /// What the line began with.
    pub(crate) before: String,
    /// A text that is typed without quotes.
    pub(crate) is_bare: bool,
    /// What the value may be, as it is typed; empty for anything.
    pub(crate) choices: Vec<String>,
}

/// The fields of a head that follow an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeadState {
    pub(crate) id: HoldId,
    pub(crate) chosen: usize,
}

/// An edit that may be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProblemsState {
    /// What the user saved.
    pub(crate) text: Vec<u8>,
    pub(crate) edited: Edited,
}

/// What is asked before something that cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) text: String,
    pub(crate) then: Then,
}

/// What is done after a yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Then {
    Intercept(InterceptCommand),
    Quit,
}

/// Something that is typed for a held message or a rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HoldPrompt {
    pub(crate) line: LineEdit,
    pub(crate) purpose: HoldPurpose,
}

/// What it is typed for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HoldPurpose {
    /// The result that answers this request.
    Answer(HoldId),
    /// How long this message waits, in seconds.
    Delay(HoldId),
    /// Messages that are held from now on.
    Break { is_once: bool },
    /// Messages to which the same is done from now on.
    Always(Box<ByHand>),
}
