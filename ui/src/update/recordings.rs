//! Keys on recordings, and what came of errands.

use std::path::{Path, PathBuf};

use shadowcat::snapshot::{RecorderState, Source};

use super::show;
use crate::effect::Effect;
use crate::keymap::Action;
use crate::model::{Model, Pane, Screen};
use crate::recordings::{Errand, Found, Head, MOST_SERVED, MockState, Outcome, Tail};
use crate::recordings_screen::{Comparison, is_same};
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
    match action {
        Action::OpenRecording if is_open(model, found) => Some("this recording is the open one"),
        Action::ServeRecording if model.is_read_only => {
            Some("this view is read-only; it starts and stops nothing")
        }
        Action::ServeRecording if !has_mock(model, found) && model.recordings.served() >= MOST_SERVED => {
            Some("as many recordings as can be are served; r on one of them ends it")
        }
        Action::CopyMockUrl if url_of(model, found).is_none() => Some("it is not served; r serves it"),
        _ => None,
    }
}

fn has_mock(model: &Model, found: &Found) -> bool {
    let mock = model.recordings.mocks.get(&found.path);
    mock.is_some_and(MockState::is_running)
}

fn url_of(model: &Model, found: &Found) -> Option<String> {
    match model.recordings.mocks.get(&found.path)? {
        MockState::Serving { url } => Some(url.clone()),
        _ => None,
    }
}

const fn is_of_recordings(action: Action) -> bool {
    matches!(
        action,
        Action::OpenRecording
            | Action::VerifyRecording
            | Action::CopyPath
            | Action::MarkRecording
            | Action::CompareRecordings
            | Action::ServeRecording
            | Action::CopyMockUrl
    )
}

fn is_open(model: &Model, found: &Found) -> bool {
    matches!(&model.snapshot.source, Source::File { path, .. } if *path == found.path)
}

/// Whether `path` is the file that is being written.
pub(crate) fn is_under_way(model: &Model, path: &Path) -> bool {
    under_way(model).is_some_and(|written| is_same(written, path))
}

/// The file that is being written, as far as is known without looking at it.
fn just_begun(model: &Model) -> Option<Found> {
    let RecorderState::On {
        path,
        bytes,
        is_redacted,
        ..
    } = &model.snapshot.recorder
    else {
        return None;
    };
    Some(Found {
        path: path.clone(),
        bytes: *bytes,
        modified: model.now,
        head: Head::Read {
            created: model.now,
            is_redacted: *is_redacted,
            proxy: "this run".to_owned(),
            segment: None,
        },
        tail: Tail::Open,
    })
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
        Action::CopyMockUrl => {
            let url = model.recordings.selected().and_then(|found| url_of(model, found));
            effects.extend(url.map(|text| Effect::Copy {
                what: "address".to_owned(),
                text,
            }));
        }
        Action::MarkRecording => mark(model),
        Action::CompareRecordings => compare(model, effects),
        Action::ServeRecording => serve(model, path, effects),
        _ => {
            model.focus(Pane::Recording);
            model.recordings.show_card();
            read(model, path, effects);
        }
    }
    true
}

/// Marks the recording under the cursor, or takes its mark away, and goes to the next one.
fn mark(model: &mut Model) {
    let recordings = &mut model.recordings;
    if let Some(number) = recordings.list.cursor
        && !recordings.marks.remove(&number)
    {
        recordings.marks.insert(number);
    }
    let rows = recordings.list_rows();
    recordings.list.step(&rows, 1);
    recordings.show_card();
}

fn compare(model: &mut Model, effects: &mut Vec<Effect>) {
    let (before, after) = match model.recordings.pair() {
        Ok(pair) => pair,
        Err(reason) => return model.say(Role::Warn, reason),
    };
    show_comparison(model, before.clone(), after.clone());
    effects.push(Effect::Recordings(Errand::Compare { before, after }));
}

/// Makes room for what will be known soon.
pub(super) fn show_comparison(model: &mut Model, before: PathBuf, after: PathBuf) {
    model.recordings.show_card();
    model.recordings.comparison = Some(Comparison {
        before,
        after,
        outcome: None,
        at: model.recordings.list.cursor,
    });
    model.recordings.is_comparing = true;
    model.focus(Pane::Recording);
}

/// Begins to serve the recording, or ends that.
fn serve(model: &mut Model, path: PathBuf, effects: &mut Vec<Effect>) {
    let mocks = &mut model.recordings.mocks;
    match mocks.get(&path) {
        Some(MockState::Ending) => model.say(Role::Dim, "it is ending"),
        Some(mock) if mock.is_running() => {
            mocks.insert(path.clone(), MockState::Ending);
            effects.push(Effect::Recordings(Errand::EndServing { path }));
        }
        _ => {
            mocks.insert(path.clone(), MockState::Starting);
            effects.push(Effect::Recordings(Errand::Serve { path }));
        }
    }
}

/// One level out within the screen; `false` if there was none.
pub(super) fn back(model: &mut Model) -> bool {
    if model.pane() == Pane::Recording {
        model.focus(Pane::Recordings);
        model.recordings.comparison = None;
    } else if model.recordings.comparison.is_some() {
        model.recordings.show_card();
    } else if !model.recordings.marks.is_empty() {
        model.recordings.marks.clear();
        model.say(Role::Dim, "no marks");
    } else {
        return false;
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
        Outcome::Listed(mut listing) => {
            // Its first bytes may still be on their way to the disk; its row stays meanwhile.
            if let Some(begun) = just_begun(model)
                && !listing
                    .found
                    .iter()
                    .any(|found| is_same(&found.path, &begun.path))
            {
                listing.found.insert(0, begun);
            }
            model.recordings.put(listing, model.now);
        }
        Outcome::Checked { path, outcome } => model.recordings.put_check(&path, outcome),
        Outcome::Compared {
            before,
            after,
            outcome,
        } => {
            model.recordings.is_comparing = false;
            let shown = model.recordings.comparison.as_mut();
            if let Some(shown) = shown.filter(|shown| shown.before == before && shown.after == after) {
                shown.outcome = Some(outcome);
            }
        }
        Outcome::Named { typed, names } => super::open_file::named(model, &typed, &names),
        Outcome::Mock { path, state } => mock_changed(model, path, state),
        Outcome::CameBack { path, outcome } => {
            if let Err(reason) = outcome {
                let name = name_of(&path);
                model.say(Role::Bad, format!("{name} was not shown: {reason}"));
            }
            model.recordings.make_stale();
        }
    }
}

fn mock_changed(model: &mut Model, path: PathBuf, state: Option<MockState>) {
    let name = name_of(&path);
    match &state {
        Some(MockState::Serving { url }) => model.say(Role::Good, format!("{name} is served at {url}")),
        Some(MockState::Failed(reason)) => model.say(Role::Bad, format!("{name} is not served: {reason}")),
        _ => model.say(Role::Dim, format!("{name} is served no more")),
    }
    let mocks = &mut model.recordings.mocks;
    // It came up while it was told to end.
    if mocks.get(&path) == Some(&MockState::Ending) && matches!(state, Some(MockState::Serving { .. })) {
        return;
    }
    match state {
        Some(state) => mocks.insert(path, state),
        None => mocks.remove(&path),
    };
}

/// Brings list and cursor in line, and has what is missing looked up.
pub(super) fn settle(model: &mut Model, has_time_passed: bool, effects: &mut Vec<Effect>) {
    let waits = model
        .recordings
        .comparison
        .as_ref()
        .is_some_and(|shown| shown.outcome.is_none());
    if model.recordings.is_comparing && !waits {
        model.recordings.is_comparing = false;
        effects.push(Effect::Recordings(Errand::StopComparing));
    }
    if model.screen != Screen::Recordings {
        return;
    }
    if model.recordings.wants_list(model.now) {
        let folders = folders(model);
        effects.push(Effect::Recordings(Errand::List { folders }));
    }
    if let Some(begun) = just_begun(model) {
        model.recordings.include(begun);
    }
    let rows = model.recordings.list_rows();
    let height = model.areas().rows_of(Pane::Recordings).saturating_sub(1).max(1);
    model.recordings.list.settle(&rows, height, true);
    if rows.ids.is_empty() {
        model.recordings.list.cursor = None;
    }
    model.recordings.settle_comparison();
    if model.recordings.reads_another() {
        model.recordings.reading = None;
        effects.push(Effect::Recordings(Errand::StopReading));
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
    let whole = path.to_string_lossy();
    // A live server, as it was called.
    if whole.contains("://") {
        return whole.into_owned();
    }
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}
