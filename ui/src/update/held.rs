//! Keys on held messages, and what the engine says about them.

use shadowcat::ids::HoldId;
use shadowcat::intercept::filter::Filter;
use shadowcat::intercept::hold::{Actor, HeldRow, HeldState};
use shadowcat::intercept::interceptor::{InterceptCommand, InterceptReply};
use shadowcat::intercept::rule::Refusal;
use shadowcat::intercept::rules::template;
use shadowcat::snapshot::{Command, Direction, RowKind};

use super::by_hand::{self, decide};
use super::{marks, rules, show};
use crate::effect::{Effect, Purpose};
use crate::format;
use crate::held_screen;
use crate::keymap::Action;
use crate::line_edit::LineEdit;
use crate::model::{HoldPrompt, HoldPurpose, Mode, Model, Pane, Question, Screen, Then};
use crate::theme::Role;

/// Seconds that a prompt for a delay begins with.
const DELAY: &str = "5";

/// Longest delay, in seconds.
const LONGEST_DELAY: f64 = 3_600.0;

/// Asks the engine to do something about holds or rules.
pub(super) fn send(what: InterceptCommand, effects: &mut Vec<Effect>) {
    send_for(Purpose::Intercept, what, effects);
}

/// The same, its answer for `purpose`.
pub(super) fn send_for(purpose: Purpose, what: InterceptCommand, effects: &mut Vec<Effect>) {
    let command = Command::Intercept {
        what,
        actor: Actor::Key,
    };
    effects.push(Effect::Ask(purpose, command));
}

/// Why `action` cannot be done about what is held; `None` if it can, or if it is none of these.
pub(super) fn disabled(model: &Model, action: Action) -> Option<&'static str> {
    if !is_of_holds(action) {
        return None;
    }
    if !model.is_live() {
        return Some("a recording is open; nothing can be held in it");
    }
    if action == Action::CopyHeld || action == Action::HeldDiff {
        return model.selected_held().is_none().then_some("nothing is held");
    }
    if model.is_read_only {
        return Some("this view is read-only; it decides nothing");
    }
    if model.is_engine_gone {
        return Some("the engine has ended");
    }
    match action {
        Action::Intercept | Action::Break | Action::BreakAnswer | Action::NewRule | Action::ForwardAll => {
            return None;
        }
        Action::Always => return by_hand::no_rule(model),
        Action::ToggleRule | Action::NextOnly | Action::RemoveRule => {
            return rules::disabled(model, action);
        }
        _ => {}
    }
    let Some(row) = model.selected_held() else {
        return Some("nothing is held");
    };
    if marks::takes(model, action) {
        return None;
    }
    unfit(row, action)
}

const fn is_of_holds(action: Action) -> bool {
    use Action as A;
    matches!(
        action,
        A::Intercept
            | A::Break
            | A::NewRule
            | A::ToggleRule
            | A::NextOnly
            | A::RemoveRule
            | A::BreakAnswer
            | A::Forward
            | A::ForwardLane
            | A::ForwardAll
            | A::StepCall
            | A::ContinueRule
            | A::DropHeld
            | A::Refuse
            | A::AnswerHeld
            | A::KeepHeld
            | A::EditHeld
            | A::EditFields
            | A::EditHead
            | A::DelayHeld
            | A::RevertHeld
            | A::UndoEdit
            | A::RepeatHeld
            | A::MoveEarlier
            | A::MoveLater
            | A::Mark
            | A::MarkRange
            | A::Always
            | A::HeldDiff
            | A::CopyHeld
            | A::RefuseMethod
            | A::RefuseParams
            | A::RefuseInternal
            | A::RefuseServer
            | A::RefuseTool
            | A::RefuseAuth
            | A::RefuseBusy
            | A::RefuseDown
            | A::RefuseClose
            | A::DropSilently
    )
}

/// What does not fit the message.
fn unfit(row: &HeldRow, action: Action) -> Option<&'static str> {
    let is_request = row.kind == RowKind::Request;
    match action {
        _ if row.state == HeldState::Decided => Some("it is decided about, and goes on with its batch"),
        Action::RepeatHeld if !is_request => Some("only requests are sent again"),
        Action::RepeatHeld if row.direction == Direction::ServerToClient => {
            Some("a request of the server is not sent again")
        }
        Action::MoveEarlier if row.state != HeldState::Queued => Some("it is at the head of its lane"),
        Action::MoveLater if row.state != HeldState::Queued && row.queued_behind == 0 => {
            Some("nothing waits behind it")
        }
        Action::AnswerHeld if !is_request && row.kind != RowKind::Http => {
            Some("only requests can be answered")
        }
        Action::Refuse if row.kind == RowKind::Notification => {
            Some("nobody waits for an answer to a notification; drop it instead")
        }
        Action::StepCall if row.call.is_none() => Some("it belongs to no call; there is no next message"),
        Action::RevertHeld if !row.is_edited => Some("it was not edited"),
        Action::KeepHeld if row.is_kept => Some("it is kept already"),
        Action::RefuseTool if row.method.as_deref() != Some("tools/call") => Some("it is no call of a tool"),
        _ => None,
    }
}

/// A range of marks goes with the cursor until something is done that is not for the marked: what is marked by then stays
/// marked.
pub(super) fn end_range(model: &mut Model, action: Action) {
    let goes_on = action == Action::MarkRange || marks::takes(model, action);
    if !goes_on && model.held.range.take().is_some() && action != Action::Back {
        let count = format::plural(model.held.marks.len() as u64, "message");
        model.say(Role::Dim, format!("the range ends here: {count} marked"));
    }
}

/// Does `action` if it is about holds; `false` if it is not.
pub(super) fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) -> bool {
    match action {
        Action::GoHeld => go_to_oldest(model),
        Action::Intercept => switch(model, effects),
        Action::ForwardAll => forward_all(model, effects),
        Action::Break
        | Action::BreakAnswer
        | Action::NewRule
        | Action::ToggleRule
        | Action::NextOnly
        | Action::RemoveRule => rules::perform(model, action, effects),
        Action::Always => {
            let row = meant(model).ok();
            by_hand::always(model, row);
        }
        _ if marks::takes(model, action) => marks::perform(model, action, effects),
        // By its name from another screen: what it would mean has to be seen first.
        _ if is_of_holds(action) && model.screen != Screen::Held => {
            show(model, Screen::Held);
            model.say(Role::Warn, "choose a message here first");
        }
        _ if is_of_holds(action) => match meant(model) {
            Ok(row) => act_on(model, &row, action, effects),
            Err(reason) => model.say(Role::Warn, reason),
        },
        _ => return false,
    }
    true
}

/// The row that a key is meant for: the one that was drawn, as long as it is there.
fn meant(model: &Model) -> Result<HeldRow, String> {
    let number = model.held.meant(model.now)?;
    let row = model.held_row(number).cloned();
    row.ok_or_else(|| format!("h{number} has left; nothing was done"))
}

fn act_on(model: &mut Model, row: &HeldRow, action: Action, effects: &mut Vec<Effect>) {
    // The row that is meant may be another one than that under the cursor.
    if let Some(reason) = unfit(row, action) {
        return model.say(Role::Warn, reason);
    }
    let id = row.id;
    match action {
        Action::Forward => decide(model, InterceptCommand::Forward { id }, effects),
        Action::ForwardLane => send(InterceptCommand::ForwardLane { id }, effects),
        Action::StepCall => decide(model, InterceptCommand::Step { id }, effects),
        Action::ContinueRule => decide(model, InterceptCommand::Continue { id }, effects),
        Action::KeepHeld => send(InterceptCommand::Keep { id }, effects),
        Action::RevertHeld => by_hand::edit(model, id, None, effects),
        Action::UndoEdit => by_hand::undo(model, id, effects),
        Action::Mark => marks::toggle(model, id),
        Action::MarkRange => marks::range(model, id),
        Action::EditFields => super::fields::begin(model, id),
        Action::EditHead => super::head::begin(model, id),
        Action::EditHeld => super::edits::begin(model, id, effects),
        Action::DropHeld => drop_held(model, row, effects),
        Action::Refuse => model.mode = Mode::Refuse(id.get()),
        Action::AnswerHeld => super::mock::begin(model, row, effects),
        Action::MoveEarlier | Action::MoveLater => shift(model, id, action == Action::MoveEarlier),
        Action::DelayHeld => model.mode = Mode::Faulting(id.get()),
        Action::RepeatHeld => super::repeat::held(model, id, effects),
        Action::HeldDiff => {
            model.held.shows_difference = !model.held.shows_difference;
            model.held.scroll = 0;
            model.held.lay_out(model.theme);
        }
        Action::CopyHeld => copy(model, id, effects),
        _ => {}
    }
}

pub(super) fn prompt(model: &mut Model, purpose: HoldPurpose, text: &str) {
    model.mode = Mode::Hold(HoldPrompt {
        line: LineEdit::with(text),
        purpose,
    });
}

/// Another place in its lane, which is asked about: the order of messages means something.
fn shift(model: &mut Model, id: HoldId, is_earlier: bool) {
    let place = if is_earlier {
        "before the one in front of it"
    } else {
        "behind the next one"
    };
    let text = format!("let {id} go {place}, out of the order in which they came?");
    ask(
        model,
        text,
        Then::Intercept(InterceptCommand::Move { id, is_earlier }),
    );
}

/// A dropped request or answer gives the client an error. An answer there is only one of, so that is asked about.
fn drop_held(model: &mut Model, row: &HeldRow, effects: &mut Vec<Effect>) {
    let id = row.id;
    let then = InterceptCommand::Drop { id, is_silent: false };
    if matches!(row.kind, RowKind::Result | RowKind::Error) {
        let name = row.method.as_deref().unwrap_or("a request");
        let text = format!("drop {id}, the answer to {name}? An error goes in its place.");
        return ask(model, text, Then::Intercept(then));
    }
    decide(model, then, effects);
}

pub(super) fn ask(model: &mut Model, text: String, then: Then) {
    model.mode = Mode::Ask(Question { text, then });
}

fn copy(model: &mut Model, id: HoldId, effects: &mut Vec<Effect>) {
    let text = model.held.text.as_ref().filter(|text| text.row.id == id);
    let Some(text) = text else {
        return model.say(Role::Warn, "its text has not come yet");
    };
    let text = text.edited.as_ref().unwrap_or(&text.original);
    let (mut what, text) = super::copy::exact(&id.to_string(), text.as_bytes());
    // Its text comes from the engine with this sign in the place of other bytes.
    if text.contains(char::REPLACEMENT_CHARACTER) {
        what.push_str(" (what is not UTF-8 as shown)");
    }
    effects.push(Effect::Copy { what, text });
}

fn go_to_oldest(model: &mut Model) {
    show(model, Screen::Held);
    model.focus(Pane::Held);
    let rows = model.held_rows();
    model.held.list.go_first(&rows);
    model.held.has_user_moved = true;
    if rows.ids.is_empty() {
        model.say(Role::Dim, "nothing is held");
    }
}

/// The master switch. Letting go of several messages is asked about.
fn switch(model: &mut Model, effects: &mut Vec<Effect>) {
    let view = &model.snapshot.intercept;
    let off = InterceptCommand::Intercept { is_on: false };
    let count = view.summary.held + view.summary.queued;
    match (view.is_on, count) {
        (false, _) => send(InterceptCommand::Intercept { is_on: true }, effects),
        (true, 0 | 1) => send(off, effects),
        (true, _) => {
            let text = format!("switch all rules off? {count} held messages go on unchanged.");
            ask(model, text, Then::Intercept(off));
        }
    }
}

fn forward_all(model: &mut Model, effects: &mut Vec<Effect>) {
    let count = model.snapshot.intercept.rows.len();
    match count {
        0 => model.say(Role::Dim, "nothing is held"),
        1 => send(InterceptCommand::ForwardAll, effects),
        _ => {
            let text = format!("forward all {count} held messages of all lanes?");
            ask(model, text, Then::Intercept(InterceptCommand::ForwardAll));
        }
    }
}

/// A yes or a no.
pub(super) fn decided(model: &mut Model, question: Question, action: Action, effects: &mut Vec<Effect>) {
    if action != Action::Yes {
        return model.say(Role::Dim, "nothing was done");
    }
    match question.then {
        Then::Intercept(what @ InterceptCommand::Together { .. }) => {
            marks::clear(model);
            send(what, effects);
        }
        Then::Intercept(what) => decide(model, what, effects),
        Then::Quit => effects.push(Effect::Quit),
    }
}

/// A key of the menu of delays and copies.
pub(super) fn fault(model: &mut Model, number: u64, action: Action, effects: &mut Vec<Effect>) {
    let Some(id) = HoldId::new(number).filter(|_| model.held_row(number).is_some()) else {
        return model.say(Role::Warn, format!("h{number} has left; nothing was done"));
    };
    let times = match action {
        Action::Later => return prompt(model, HoldPurpose::Delay(id), DELAY),
        Action::Twice => 2,
        Action::Thrice => 3,
        _ => return model.say(Role::Dim, "nothing was done"),
    };
    send(InterceptCommand::Duplicate { id, times }, effects);
}

/// A key of the menu of refusals.
pub(super) fn refuse(model: &mut Model, number: u64, action: Action, effects: &mut Vec<Effect>) {
    if number == 0 {
        return refuse_marked(model, action, effects);
    }
    let Some(id) = HoldId::new(number).filter(|_| model.held_row(number).is_some()) else {
        return model.say(Role::Warn, format!("h{number} has left; nothing was done"));
    };
    if action == Action::DropSilently {
        let text = format!("drop {id} without a word? Whoever waits for it waits until it gives up.");
        let then = InterceptCommand::Drop { id, is_silent: true };
        return ask(model, text, Then::Intercept(then));
    }
    let Some(refusal) = refusal(action) else {
        return model.say(Role::Dim, "nothing was done");
    };
    decide(model, InterceptCommand::Refuse { id, refusal }, effects);
}

fn refuse_marked(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    match refusal(action) {
        None if action != Action::DropSilently => model.say(Role::Dim, "nothing was done"),
        refusal => marks::refuse(model, refusal, effects),
    }
}

fn refusal(action: Action) -> Option<Refusal> {
    let error = |code, message: &str| Refusal::Error {
        code,
        message: message.to_owned(),
    };
    Some(match action {
        Action::RefuseMethod => error(-32601, "Method not found"),
        Action::RefuseParams => error(-32602, "Invalid params"),
        Action::RefuseInternal => error(-32603, "Internal error"),
        Action::RefuseServer => error(-32000, "Server error"),
        Action::RefuseTool => Refusal::ToolError {
            text: "refused by hand".to_owned(),
        },
        Action::RefuseAuth => Refusal::Status(401),
        Action::RefuseBusy => Refusal::Status(429),
        Action::RefuseDown => Refusal::Status(503),
        Action::RefuseClose => Refusal::Close,
        _ => return None,
    })
}

/// Enter in a prompt.
pub(super) fn typed(model: &mut Model, prompt: &HoldPrompt, effects: &mut Vec<Effect>) {
    let text = prompt.line.text().trim().to_owned();
    if let Err(reason) = fit(model, &prompt.purpose, &text) {
        model.mode = Mode::Hold(prompt.clone());
        return model.say(Role::Bad, reason);
    }
    match &prompt.purpose {
        HoldPurpose::Answer(id) => {
            let (id, result) = (*id, text);
            decide(model, InterceptCommand::Answer { id, result }, effects);
        }
        HoldPurpose::Break { is_once } => {
            let (filter, is_once) = (text, *is_once);
            send(InterceptCommand::Break { filter, is_once }, effects);
        }
        HoldPurpose::Always(done) => by_hand::always_for(done, text, effects),
        HoldPurpose::Delay(id) => {
            let id = *id;
            if let Some(millis) = millis(&text) {
                send(InterceptCommand::Delay { id, millis }, effects);
            }
        }
    }
}

/// Whether the engine will take `text`: a prompt stays open with one that is wrong.
///
/// # Errors
/// What is wrong with it.
fn fit(model: &Model, purpose: &HoldPurpose, text: &str) -> Result<(), String> {
    match purpose {
        HoldPurpose::Answer(id) => {
            let shown = model.held.text.as_ref().filter(|shown| shown.row.id == *id);
            // Without the request only the engine can tell.
            let filled = shown.map(|shown| template::fill(text, shown.original.as_bytes()));
            filled.transpose().map(drop).map_err(|error| error.to_string())
        }
        HoldPurpose::Break { .. } | HoldPurpose::Always(_) => {
            Filter::parse(text).map(drop).map_err(|error| error.to_string())
        }
        HoldPurpose::Delay(_) => {
            let hint = "a number of seconds, such as 2.5; 3600 at most";
            millis(text).map(drop).ok_or_else(|| hint.to_owned())
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number was checked to be small and positive"
)]
fn millis(text: &str) -> Option<u64> {
    let seconds: f64 = text.parse().ok()?;
    (0.0..=LONGEST_DELAY)
        .contains(&seconds)
        .then_some((seconds * 1_000.0) as u64)
}

/// What the engine answers.
pub(super) fn answered(model: &mut Model, reply: InterceptReply) {
    match reply {
        InterceptReply::Done { words } => {
            model.held.is_stale = true;
            let hint = by_hand::keep_in_mind(model);
            if !words.is_empty() {
                model.say(Role::Good, words + &hint);
            }
        }
        InterceptReply::Message(text) => model.held.put(*text, model.theme),
        _ => {}
    }
}

/// Rings once for each message whose client will soon give up.
fn ring(model: &mut Model, effects: &mut Vec<Effect>) {
    if !model.has_bell || model.is_read_only || model.is_engine_gone {
        return;
    }
    let now = model.now;
    let rows = model.snapshot.intercept.rows.iter();
    let pressing: Vec<&HeldRow> = rows
        .filter(|row| {
            let is_late = held_screen::urgency(held_screen::age(row, now), row.budget) == Role::Bad;
            is_late && !row.is_kept && !model.held.rung.contains(&row.id.get())
        })
        .collect();
    let Some(first) = pressing.first() else {
        return;
    };
    let age = held_screen::age(first, now).as_secs();
    let others = match pressing.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let text = format!(
        "shadowcat-tui: {} held {age} of {} s{others}",
        first.id,
        first.budget.as_secs()
    );
    let numbers: Vec<u64> = pressing.iter().map(|row| row.id.get()).collect();
    model.held.rung.extend(numbers);
    effects.push(Effect::Ring(text));
}

/// Brings the list of held messages and the text beside it in line with what is known now.
pub(super) fn settle(model: &mut Model, effects: &mut Vec<Effect>) {
    rules::settle(model);
    super::edits::settle(model);
    let rows = model.held_rows();
    model.held.forget_all_but(&rows.ids);
    if rows.ids.is_empty() {
        model.held.list.cursor = None;
        return model.held.clear();
    }
    // Heading above, the line of the lane below.
    let height = model.areas().rows_of(Pane::Held).saturating_sub(2).max(1);
    if model.held.list.cursor.is_none() {
        model.held.list.go_first(&rows);
    }
    model.held.list.settle(&rows, height, true);
    marks::settle(model);
    ring(model, effects);
    let Some(row) = model.selected_held() else {
        return;
    };
    let (id, is_edited) = (row.id, row.is_edited);
    let shown = model.held.text.as_ref();
    let is_known = shown.is_some_and(|text| text.row.id == id && text.row.is_edited == is_edited);
    if model.screen == Screen::Held
        && (!is_known || model.held.is_stale)
        && model.held.asked.is_none()
        && !model.is_engine_gone
    {
        model.held.asked = Some(id);
        model.held.is_stale = false;
        let command = Command::Intercept {
            what: InterceptCommand::Show { id },
            actor: Actor::Key,
        };
        effects.push(Effect::Ask(Purpose::HeldText(id), command));
    }
    let height = model.areas().rows_of(Pane::HeldText);
    let last = model
        .held
        .lines
        .len()
        .saturating_sub(height.min(model.held.lines.len()));
    model.held.scroll = model.held.scroll.min(last);
}
