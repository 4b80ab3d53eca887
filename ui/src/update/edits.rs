//! A held message goes to the user's editor and comes back.

use shadowcat::ids::HoldId;

use super::by_hand;
use crate::edit_job::{EditJob, Edited, Target};
use crate::effect::Effect;
use crate::keymap::Action;
use crate::model::{Mode, Model, ProblemsState};
use crate::theme::Role;

/// Opens the editor with the message `id`.
pub(super) fn begin(model: &mut Model, id: HoldId, effects: &mut Vec<Effect>) {
    let text = model.held.text.as_ref().filter(|text| text.row.id == id);
    let Some(text) = text else {
        return model.say(Role::Warn, "its text has not come yet");
    };
    let current = text.edited.as_ref().unwrap_or(&text.original);
    if current.contains(char::REPLACEMENT_CHARACTER) {
        return model.say(
            Role::Warn,
            "it is not all UTF-8, so an editor would change more than you do",
        );
    }
    let job = EditJob::new(text);
    open(model, job, effects);
}

pub(super) fn open(model: &mut Model, job: EditJob, effects: &mut Vec<Effect>) {
    if let Some(open) = &model.held.job {
        let what = open
            .target
            .held()
            .map_or_else(|| "a copy".to_owned(), |id| id.to_string());
        return model.say(
            Role::Warn,
            format!("{what} is in your editor already; end that first"),
        );
    }
    effects.push(Effect::Edit {
        id: job.target.held(),
        text: job.text.clone(),
    });
    model.held.job = Some(job);
}

/// The editor has ended.
pub(super) fn came_back(
    model: &mut Model,
    id: Option<HoldId>,
    outcome: Result<Option<Vec<u8>>, String>,
    effects: &mut Vec<Effect>,
) {
    let Some(job) = model.held.job.take_if(|job| job.target.held() == id) else {
        return;
    };
    let text = match outcome {
        Ok(Some(text)) => text,
        Ok(None) => {
            let reason = format!("the editor ended with an error: {}", left_as_it_was(&job));
            return gave_up(model, job, Role::Warn, &reason);
        }
        Err(reason) => return gave_up(model, job, Role::Bad, &reason),
    };
    let Some(edited) = job.finish(&text) else {
        return model.say(Role::Dim, left_as_it_was(&job));
    };
    if edited.problems.is_empty() {
        return keep(model, job.target, edited, effects);
    }
    doubt(model, job, ProblemsState { text, edited });
}

/// What an edit without a change comes to.
const fn left_as_it_was(job: &EditJob) -> &'static str {
    match job.target {
        Target::Held(_) => "nothing was changed",
        Target::Copy(_) => "nothing was changed, and nothing was sent",
    }
}

/// Asks what becomes of an edit that may be wrong, as soon as nothing else is being typed or asked.
fn doubt(model: &mut Model, job: EditJob, state: ProblemsState) {
    model.held.job = Some(job);
    if matches!(model.mode, Mode::Normal | Mode::Prefix(_)) {
        model.mode = Mode::Problems(state);
    } else {
        model.held.doubted = Some(state);
    }
}

/// Asks about an edit that came back while something else was typed.
pub(super) fn settle(model: &mut Model) {
    if matches!(model.mode, Mode::Normal)
        && let Some(state) = model.held.doubted.take()
    {
        model.mode = Mode::Problems(state);
    }
}

/// There is nothing new. What was typed before stays to be decided about.
fn gave_up(model: &mut Model, job: EditJob, role: Role, reason: &str) {
    model.say(role, reason);
    if !job.is_again() {
        return;
    }
    if let Some(edited) = job.finish(&job.text) {
        let text = job.text.clone();
        doubt(model, job, ProblemsState { text, edited });
    }
}

fn keep(model: &mut Model, target: Target, edited: Edited, effects: &mut Vec<Effect>) {
    let text = edited
        .payload
        .map(|payload| String::from_utf8_lossy(&payload).into_owned());
    match target {
        Target::Held(id) => {
            if text.is_some() {
                by_hand::edit(model, id, text, effects);
            }
            if let Some(fields) = edited.fields {
                super::head::put(model, id, fields, effects);
            }
        }
        Target::Copy(mut repeat) => {
            if let Some(text) = text {
                repeat.body = text;
            }
            repeat.edit.fields = edited.fields.unwrap_or_default();
            super::repeat::ask(model, *repeat, effects);
        }
    }
}

/// What the user wants done with an edit that may be wrong.
pub(super) fn judged(model: &mut Model, state: ProblemsState, action: Action, effects: &mut Vec<Effect>) {
    let Some(job) = model.held.job.take() else {
        return;
    };
    match action {
        Action::EditAgain => open(model, job.again(state.text), effects),
        Action::KeepEdit => keep(model, job.target, state.edited, effects),
        Action::DiscardEdit => model.say(Role::Dim, "the edit was discarded"),
        _ => {
            model.held.job = Some(job);
            model.mode = Mode::Problems(state);
        }
    }
}
