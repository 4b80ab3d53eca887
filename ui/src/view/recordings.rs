//! The recordings of some folders, the newest first, and all that is known of the chosen one.

use ratatui::layout::Rect;

use super::sessions::title_role;
use super::{prose, scroll_mark};
use crate::format::{self, cells, plural};
use crate::model::{Model, Pane};
use crate::paint::{Canvas, Line};
use crate::recordings::{Checked, Found, Head, MockState, Problem, Tail};
use crate::recordings_screen::{Comparison, RecordingNumber, age};
use crate::text::Safe;
use crate::theme::Role;
use crate::update::recordings::{is_under_way, name_of};

/// What the columns are wide; one that has no room is 0.
struct Columns {
    name: usize,
    size: usize,
    age: usize,
    secrets: usize,
    state: usize,
}

/// Columns between two cells.
const GAP: usize = 2;

impl Columns {
    /// As wide as these rows need them, the name in what is left.
    fn within(model: &Model, width: usize, rows: &[(RecordingNumber, Found)]) -> Self {
        let widest = |heading: &str, of: &dyn Fn(&Found) -> usize| {
            let cells = rows.iter().map(|(_, found)| of(found));
            cells.max().unwrap_or(0).max(heading.len()) + GAP
        };
        let state = widest("state", &|found| Safe::of(&state(model, found).1).width()) - GAP;
        let mut columns = Self {
            name: 0,
            size: widest("size", &|found| format::size(found.bytes).len()),
            age: widest("changed", &|found| age(found, model.now).len()),
            secrets: widest("secrets", &|found| secrets(&found.head).1.len()),
            // What is read, served or ended while it is looked at does not move the other columns.
            state: state.max(LIKELY_STATE),
        };
        if width < 72 {
            (columns.age, columns.secrets) = (0, 0);
        }
        if width < 56 {
            columns.size = 0;
        }
        let others = 2 + columns.size + columns.age + columns.secrets + columns.state;
        let name = widest("recording", &|found| Safe::of(&name_of(&found.path)).width());
        columns.name = width.saturating_sub(others).min(name);
        columns
    }

    /// The cells of a line, each as wide as its column.
    fn line(&self, sign: Line, [name, size, age, secrets, state]: [Line; 5]) -> Line {
        let mut line = sign.pad_to(2);
        let mut end = 2;
        let in_order = [
            (self.name, name),
            (self.size, size),
            (self.age, age),
            (self.secrets, secrets),
            (self.state, state),
        ];
        for (width, cell) in in_order.into_iter().filter(|(width, _)| *width > 0) {
            line.extend(cell);
            end += width;
            line = line.pad_to(end);
        }
        line
    }
}

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let has_focus = model.pane() == Pane::Recordings;
    let recordings = &model.recordings;
    let inner = canvas.frame(area, &title(model, has_focus), has_focus);
    if recordings.rows.is_empty() {
        return nothing(model, canvas, inner);
    }
    let height = usize::from(inner.height.saturating_sub(1));
    let shown = recordings
        .rows
        .get(recordings.list.top_position..)
        .unwrap_or_default();
    let shown = shown.get(..height).unwrap_or(shown);
    let columns = Columns::within(model, inner.width.into(), shown);
    let headings = ["recording", "size", "changed", "secrets", "state"];
    let headings = headings.map(|text| Line::of(Role::Dim, text));
    canvas.line(inner, 0, &columns.line(Line::default(), headings));
    for (y, (number, found)) in shown.iter().enumerate() {
        let y = cells(y + 1);
        let mark = if recordings.marks.contains(number) {
            Line::of(Role::Key, model.theme.sign("●", "*"))
        } else {
            Line::default()
        };
        canvas.line(inner, y, &line(model, found, mark, &columns));
        if recordings.list.cursor == Some(*number) {
            canvas.cursor_row(inner, y, has_focus);
        }
    }
    let (top, total) = (recordings.list.top_index(), recordings.rows.len() as u64);
    scroll_mark(canvas, area, top, height, total);
}

fn title(model: &Model, has_focus: bool) -> Line {
    let recordings = &model.recordings;
    let mut title = Line::of(Role::Text, " ")
        .with(title_role(has_focus), "Recordings")
        .say(Role::Dim, &format!(" {} ", recordings.rows.len()));
    if recordings.left_out > 0 {
        let text = format!("{} older ones are not listed ", recordings.left_out);
        title = title.say(Role::Warn, &text);
    }
    for trouble in &recordings.trouble {
        title = title.say(Role::Bad, &format!("{trouble} "));
    }
    title
}

fn nothing(model: &Model, canvas: &mut Canvas<'_>, inner: Rect) {
    if !model.recordings.is_listed {
        return prose(canvas, inner, &[Line::of(Role::Dim, "looking")]);
    }
    let lines = [
        Line::of(Role::Strong, "there are no recordings"),
        Line::of(
            Role::Dim,
            "they are looked for in recordings/ and where the one under way or the open one is; R begins one",
        ),
    ];
    prose(canvas, inner, &lines);
}

fn line(model: &Model, found: &Found, mark: Line, columns: &Columns) -> Line {
    // Names of one program begin and end alike: what tells them apart is cut last.
    let name = Safe::of(&name_of(&found.path));
    let name = name.fit_middle(columns.name.saturating_sub(GAP), model.theme.ellipsis());
    let (role, state) = state(model, found);
    let (secrets_role, secrets) = secrets(&found.head);
    columns.line(
        mark,
        [
            Line::of(Role::Text, name),
            Line::default().say(Role::Text, &format::size(found.bytes)),
            Line::default().say(Role::Dim, &age(found, model.now)),
            Line::of(secrets_role, secrets),
            Line::default().say(role, &state),
        ],
    )
}

const fn secrets(head: &Head) -> (Role, &'static str) {
    match head {
        Head::Read {
            is_redacted: true, ..
        } => (Role::Dim, "tags"),
        Head::Read { .. } => (Role::Warn, "in it"),
        Head::Unreadable(_) => (Role::Dim, "?"),
    }
}

/// Columns for the states that are seen most.
const LIKELY_STATE: usize = 13;

/// How it is, as far as that is known, in words and with a sign.
fn state(model: &Model, found: &Found) -> (Role, String) {
    let theme = model.theme;
    let (good, bad) = (theme.sign("✓", "+"), theme.sign("✗", "x"));
    if is_under_way(model, &found.path) {
        return (Role::Bad, theme.sign("● recording", "* recording").to_owned());
    }
    match model.recordings.mocks.get(&found.path) {
        Some(MockState::Starting) => return (Role::Wait, "begins to serve".to_owned()),
        Some(MockState::Serving { .. }) => {
            return (Role::Good, theme.sign("⇄ served", "= served").to_owned());
        }
        Some(MockState::Ending) => return (Role::Wait, "ends serving".to_owned()),
        Some(MockState::Failed(_)) | None => {}
    }
    if model.recordings.reading.as_ref() == Some(&found.path) {
        return (Role::Wait, format!("{} reading", theme.sign("⏳", "~")));
    }
    if let Head::Unreadable(_) = found.head {
        return (Role::Bad, format!("{bad} cannot be opened"));
    }
    match model.recordings.check_of(found).map(|check| &check.outcome) {
        Some(Ok(checked)) if checked.is_whole => return (Role::Good, format!("{good} whole")),
        Some(Ok(checked)) => {
            let places = plural(checked.damages(), "place");
            return (Role::Bad, format!("{bad} damaged, {places}"));
        }
        Some(Err(_)) => return (Role::Bad, format!("{bad} cannot be read")),
        None => {}
    }
    match found.tail {
        Tail::Ended { lost: 0 } => (Role::Dim, "ended".to_owned()),
        Tail::Ended { lost } => (Role::Warn, format!("{} lost", format::count(lost))),
        Tail::Open => (Role::Warn, "has no end".to_owned()),
        Tail::Torn => (Role::Warn, "torn last line".to_owned()),
        Tail::Unknown => (Role::Dim, "? compressed".to_owned()),
    }
}

pub(super) fn draw_card(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let has_focus = model.pane() == Pane::Recording;
    let title = Line::of(Role::Text, " ");
    if let Some(comparison) = &model.recordings.comparison {
        let title = title
            .with(title_role(has_focus), "Compared ")
            .say(Role::Strong, &name_of(&comparison.before))
            .with(Role::Dim, " with ")
            .say(Role::Strong, &format!("{} ", name_of(&comparison.after)));
        return page(model, canvas, area, &title, &compared(comparison));
    }
    let title = title.with(title_role(has_focus), "Recording ");
    let Some(found) = model.recordings.selected() else {
        canvas.frame(area, &title, has_focus);
        return;
    };
    let title = title.say(Role::Strong, &format!("{} ", name_of(&found.path)));
    page(model, canvas, area, &title, &card(model, found));
}

/// Lines below each other, scrolled.
fn page(model: &Model, canvas: &mut Canvas<'_>, area: Rect, title: &Line, lines: &[Line]) {
    let has_focus = model.pane() == Pane::Recording;
    let inner = canvas.frame(area, title, has_focus);
    let inner = Rect {
        x: inner.x + 1,
        width: inner.width.saturating_sub(2),
        ..inner
    };
    let lines: Vec<Line> = lines
        .iter()
        .flat_map(|line| line.wrapped_at_words(inner.width.into()))
        .collect();
    let height = usize::from(inner.height);
    let scroll = model.recordings.scroll.min(lines.len().saturating_sub(height));
    for (y, line) in lines.iter().skip(scroll).take(height).enumerate() {
        canvas.line(inner, cells(y), line);
    }
    scroll_mark(canvas, area, scroll as u64, height, lines.len() as u64);
}

/// What differs, a line each, as `diff` prints it.
fn compared(comparison: &Comparison) -> Vec<Line> {
    let outcome = match &comparison.outcome {
        None => return vec![Line::of(Role::Wait, "comparing")],
        Some(Err(reason)) => return vec![Line::default().say(Role::Bad, reason)],
        Some(Ok(outcome)) => outcome,
    };
    let mut lines: Vec<Line> = outcome.lines.iter().map(|line| compared_line(line)).collect();
    if outcome.is_cut {
        lines.push(Line::of(
            Role::Warn,
            "there is more: `shadowcat-tui diff` prints all of it",
        ));
    }
    lines
}

fn compared_line(text: &str) -> Line {
    let role = match text.split_whitespace().next() {
        _ if text.starts_with(' ') => Role::Dim,
        Some("same") => Role::Good,
        Some("changed") => Role::Warn,
        Some("missing") => Role::Bad,
        Some("extra") => Role::Accent,
        _ => Role::Text,
    };
    Line::default().say(role, text)
}

fn fact(name: &'static str, role: Role, value: &str) -> Line {
    Line::of(Role::Dim, name).pad_to(10).say(role, value)
}

fn card(model: &Model, found: &Found) -> Vec<Line> {
    let (role, state) = state(model, found);
    let mut lines = vec![fact("state", role, &state)];
    let path = found.path.display().to_string();
    match &found.head {
        Head::Read {
            created,
            is_redacted,
            proxy,
            segment,
        } => {
            let begun = format::date_and_time(*created, &model.zone);
            let number = segment.map_or_else(String::new, |number| format!(", file {number} of it"));
            lines.push(fact("begun", Role::Text, &format!("{begun} by {proxy}{number}")));
            let (role, secrets) = if *is_redacted {
                (Role::Text, "have tags in their place")
            } else {
                (Role::Warn, "are in it; `scrub FILE` makes a copy without them")
            };
            lines.push(fact("secrets", role, secrets));
        }
        Head::Unreadable(reason) => lines.push(fact("reason", Role::Bad, reason)),
    }
    lines.extend(mock(model, found));
    let size = format::size(found.bytes);
    lines.push(fact("file", Role::Text, &format!("{path}, {size}")));
    match model.recordings.check_of(found).map(|check| &check.outcome) {
        Some(Ok(checked)) => {
            if is_under_way(model, &found.path) {
                let text = "is still to come: it is still being written";
                lines.push(fact("end", Role::Dim, text));
            }
            lines.extend(contents(checked));
        }
        Some(Err(reason)) => lines.push(fact("reason", Role::Bad, reason)),
        None if model.recordings.reading.as_ref() == Some(&found.path) => {}
        None => lines.push(fact("holds", Role::Dim, "V reads it to its end and tells")),
    }
    lines
}

fn mock(model: &Model, found: &Found) -> Option<Line> {
    match model.recordings.mocks.get(&found.path)? {
        MockState::Serving { url } => {
            let line = fact("clients", Role::Accent, url);
            Some(line.with(Role::Dim, "  u copies that, r ends it"))
        }
        MockState::Failed(reason) => Some(fact("serving", Role::Bad, reason)),
        MockState::Starting | MockState::Ending => None,
    }
}

fn contents(checked: &Checked) -> Vec<Line> {
    let counts = [
        plural(checked.sessions, "session"),
        plural(checked.messages, "message"),
        plural(checked.frames, "frame"),
        plural(checked.lines, "line"),
    ];
    let mut lines = vec![fact("holds", Role::Text, &counts.join(", "))];
    lines.extend(checked.problems.iter().map(problem));
    if checked.more > 0 {
        let text = format!("{} more", checked.more);
        lines.push(Line::default().say(Role::Bad, &text));
    }
    lines
}

fn problem(problem: &Problem) -> Line {
    let role = if problem.is_damage { Role::Bad } else { Role::Dim };
    let place = problem
        .line
        .map_or_else(|| "file".to_owned(), |line| format!("line {line}"));
    Line::default()
        .say(role, &place)
        .pad_to(10)
        .say(Role::Text, &problem.text)
}
