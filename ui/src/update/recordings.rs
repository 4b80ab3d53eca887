//! Keys on recordings, and what came of errands.

use std::path::{Path, PathBuf};

use shadowcat::snapshot::{RecorderState, Source};

use super::show;
use crate::effect::Effect;
use crate::keymap::Action;
use crate::model::{Model, Pane, Screen};
use crate::recordings::{Errand, Found, Outcome};
use crate::theme::Role;

/// The folder where recordings without a path of their own go.
const USUAL: &str = "recordings";

/// Why `action` cannot be done with the recording under the cursor.
pub(super) fn disabled(model: &Model, action: Action) -> Option<&'static str> {
    if !is_of_recordings(action) || model.screen != Screen::Recordings {
        return None;
    }
    let Some(found) = model.recordings.selected() else {
        return Some("there is no recording under the cursor");
    };
    (action == Action::OpenRecording && is_open(model, found)).then_some("this recording is the open one")
}

const fn is_of_recordings(action: Action) -> bool {
    matches!(
        action,
        Action::OpenRecording | Action::VerifyRecording | Action::CopyPath
    )
}

fn is_open(model: &Model, found: &Found) -> bool {
    matches!(&model.snapshot.source, Source::File { path, .. } if *path == found.path)
}

/// The file that is being written.
pub(crate) fn under_way(model: &Model) -> Option<&Path> {
    match &model.snapshot.recorder {
        RecorderState::On { path, .. } => Some(path),
        _ => None,
    }
}

/// `false` if the action is none of this screen's.
pub(super) fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) -> bool {
    if !is_of_recordings(action) {
        return false;
    }
    // By its name from another screen: what it would mean has to be seen first.
    if model.screen != Screen::Recordings {
        show(model, Screen::Recordings);
        model.say(Role::Warn, "choose a recording here first");
        return true;
    }
    let Some(path) = model.recordings.selected().map(|found| found.path.clone()) else {
        return true;
    };
    match action {
        Action::OpenRecording => effects.push(Effect::OpenRecording(path)),
        Action::CopyPath => effects.push(Effect::Copy {
            what: "path".to_owned(),
            text: path.to_string_lossy().into_owned(),
        }),
        _ => {
            model.focus(Pane::Recording);
            model.recordings.scroll = 0;
            read(model, path, effects);
        }
    }
    true
}

fn read(model: &mut Model, path: PathBuf, effects: &mut Vec<Effect>) {
    model.recordings.reading = Some(path.clone());
    effects.push(Effect::Recordings(Errand::Check { path }));
}

/// Takes in what came of an errand.
pub(super) fn came(model: &mut Model, outcome: Outcome) {
    match outcome {
        Outcome::Listed(listing) => model.recordings.put(listing, model.now),
        Outcome::Checked { path, outcome } => model.recordings.put_check(&path, outcome),
        Outcome::CameBack { path, outcome } => {
            if let Err(reason) = outcome {
                let name = name_of(&path);
                model.say(Role::Bad, format!("{name} was not shown: {reason}"));
            }
            model.recordings.make_stale();
        }
    }
}

/// Brings list and cursor in line, and has what is missing looked up.
pub(super) fn settle(model: &mut Model, has_time_passed: bool, effects: &mut Vec<Effect>) {
    if model.screen != Screen::Recordings {
        return;
    }
    if model.recordings.wants_list(model.now) {
        let folders = folders(model);
        effects.push(Effect::Recordings(Errand::List { folders }));
    }
    let rows = model.recordings.list_rows();
    let height = model.areas().rows_of(Pane::Recordings).saturating_sub(1).max(1);
    model.recordings.list.settle(&rows, height, true);
    if rows.ids.is_empty() {
        model.recordings.list.cursor = None;
    }
    if model.recordings.reads_another() {
        model.recordings.reading = None;
        effects.push(Effect::Recordings(Errand::Stop));
    }
    if has_time_passed {
        let under_way = under_way(model).map(Path::to_owned);
        if let Some(path) = model.recordings.due_for_reading(under_way.as_deref()) {
            read(model, path, effects);
        }
    }
}

/// Where recordings are looked for: the usual folder, that of the one under way, and that of the open one.
fn folders(model: &Model) -> Vec<PathBuf> {
    let open = match &model.snapshot.source {
        Source::File { path, .. } => Some(path.as_path()),
        Source::Live { .. } => None,
    };
    let recorded = match &model.snapshot.recorder {
        RecorderState::On { path, .. } | RecorderState::Failed { path, .. } => Some(path.as_path()),
        RecorderState::Off => None,
    };
    let before = model.recorded.as_ref().map(|(path, _)| path.as_path());
    let folder_of = |path: &'_ Path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    // The usual one last: where it is one of the others, files are called as those call them.
    let mut folders: Vec<PathBuf> = Vec::new();
    let others = [open, recorded, before].into_iter().flatten().map(folder_of);
    for folder in others.chain([USUAL.into()]) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// The last part of a path, as text.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}
