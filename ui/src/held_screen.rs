//! The Held screen as plain data: which message is chosen, and its text.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use shadowcat::clock::Timestamp;
use shadowcat::ids::HoldId;
use shadowcat::intercept::edit::{Fixup, FrontMatter, diff};
use shadowcat::intercept::hold::HeldRow;
use shadowcat::intercept::interceptor::{HeldText, Remedy};
use shadowcat::snapshot::RowKind;

use crate::document::{difference_lines, headers, pretty};
use crate::edit_job::EditJob;
use crate::list::ListState;
use crate::model::{ProblemsState, ROW_GUARD};
use crate::paint::Line;
use crate::theme::{Role, Theme};

/// Lines of a held message that are laid out; `e` shows all of it.
const MOST_LINES: usize = 20_000;

/// The row that was on screen under the cursor, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Drawn {
    row: u64,
    /// When it came under the cursor without the user's doing; `None` if the user put the cursor there.
    moved_at: Option<Timestamp>,
}

/// What was done to a message by hand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ByHand {
    pub(crate) row: HeldRow,
    pub(crate) remedy: Remedy,
}

/// The state of the Held screen.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// The held messages by the numbers of their ids.
    pub(crate) list: ListState<u64>,
    drawn: Option<Drawn>,
    /// The cursor is where the user put it since the last drawing.
    pub(crate) has_user_moved: bool,
    /// The message that is shown.
    pub(crate) text: Option<Arc<HeldText>>,
    /// It was asked for and has not come yet.
    pub(crate) asked: Option<HoldId>,
    /// Something was done to it: it has to be asked for again.
    pub(crate) is_stale: bool,
    /// What is in the user's editor, or was and is not decided about yet.
    pub(crate) job: Option<EditJob>,
    /// An edit that may be wrong and is not asked about yet: something else is being typed.
    pub(crate) doubted: Option<ProblemsState>,
    /// What messages said before each edit, the latest last.
    pub(crate) steps: Vec<(HoldId, Option<String>)>,
    /// What the engine was asked to do last, until it has answered.
    pub(crate) tried: Option<ByHand>,
    /// What was done last that a rule could do too.
    pub(crate) last: Option<ByHand>,
    /// Those for which the terminal has been rung.
    pub(crate) rung: BTreeSet<u64>,
    /// Those that keys act on together.
    pub(crate) marks: BTreeSet<u64>,
    /// Where a range of marks begins that goes with the cursor, and the marks of before.
    pub(crate) range: Option<(u64, BTreeSet<u64>)>,
    /// What differs is shown instead of the whole.
    pub(crate) shows_difference: bool,
    pub(crate) scroll: usize,
    /// What is shown of the message, one for each line before wrapping.
    pub(crate) lines: Vec<Line>,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            list: ListState::new(false),
            drawn: None,
            has_user_moved: false,
            text: None,
            asked: None,
            is_stale: false,
            job: None,
            doubted: None,
            steps: Vec::new(),
            tried: None,
            last: None,
            rung: BTreeSet::new(),
            marks: BTreeSet::new(),
            range: None,
            shows_difference: false,
            scroll: 0,
            lines: Vec::new(),
        }
    }
}

impl Held {
    /// The message whose text is shown.
    pub(crate) fn shown(&self) -> Option<HoldId> {
        self.text.as_ref().map(|text| text.row.id)
    }

    /// Shows `text`; the place is kept if it is the same message again.
    pub(crate) fn put(&mut self, text: HeldText, theme: Theme) {
        if self.shown() != Some(text.row.id) {
            self.scroll = 0;
            self.shows_difference = false;
        }
        self.shows_difference &= text.row.is_edited;
        self.text = Some(Arc::new(text));
        self.lay_out(theme);
    }

    pub(crate) fn clear(&mut self) {
        self.text = None;
        self.lines.clear();
        (self.scroll, self.shows_difference) = (0, false);
    }

    /// What was remembered of messages that have left goes.
    pub(crate) fn forget_all_but(&mut self, rows: &[u64]) {
        let is_there = |id: &u64| rows.binary_search(id).is_ok();
        self.rung.retain(is_there);
        self.marks.retain(is_there);
        self.steps.retain(|(id, _)| is_there(&id.get()));
    }

    /// Makes the lines anew.
    pub(crate) fn lay_out(&mut self, theme: Theme) {
        self.lines = match &self.text {
            Some(text) if self.shows_difference => difference(text, theme),
            Some(text) => {
                let mut lines = http_head(text);
                lines.extend(head(text, theme));
                lines.extend(whole(text.edited.as_ref().unwrap_or(&text.original)));
                lines
            }
            None => Vec::new(),
        };
    }

    /// The row that was drawn under the cursor, or where keys have led it since.
    ///
    /// # Errors
    /// What to tell the user if there is none, or if the list itself has put it there only just now.
    pub(crate) fn meant(&self, now: Timestamp) -> Result<u64, &'static str> {
        let chosen = self.list.cursor.map(|row| Drawn { row, moved_at: None });
        let meant = if self.has_user_moved { chosen } else { self.drawn };
        let Drawn { row, moved_at } = meant.ok_or("nothing held is on the screen yet; press again")?;
        if moved_at.is_some_and(|moved| now.since(moved) < ROW_GUARD) {
            return Err("another message has just come under the cursor; press again");
        }
        Ok(row)
    }

    /// Notes what a drawing has put under the cursor.
    pub(crate) fn note_drawn(&mut self, is_shown: bool, now: Timestamp) {
        if !is_shown {
            self.drawn = None;
            return;
        }
        let is_users = std::mem::take(&mut self.has_user_moved);
        self.drawn = self.list.cursor.map(|row| {
            let same = self.drawn.filter(|drawn| drawn.row == row && !is_users);
            // The first one there was: nothing was under the cursor that a key could have meant.
            let is_new = self.drawn.is_some() && !is_users;
            same.unwrap_or(Drawn {
                row,
                moved_at: is_new.then_some(now),
            })
        });
    }
}

fn whole(text: &str) -> Vec<Line> {
    let mut layout = pretty::lay_out(text.as_bytes(), MOST_LINES);
    if layout.is_cut {
        layout.lines.push(Line::of(Role::Warn, "the rest is not shown"));
    }
    layout.lines
}

/// The head of what is no MCP, as it would go on.
fn http_head(text: &HeldText) -> Vec<Line> {
    let is_http = matches!(text.row.kind, RowKind::Http | RowKind::HttpResponse);
    let Some(head) = text.head.as_ref().filter(|_| is_http) else {
        return Vec::new();
    };
    let front = FrontMatter::of(&head.fields, &text.head_edit.fields);
    let fields = front.lines().map(|line| Line::default().say(Role::Text, &line));
    // The line of a request may have secrets in its query, which its name has not.
    let about = match (text.row.kind, &text.row.name) {
        (RowKind::Http, Some(name)) => name,
        _ => &head.line,
    };
    let about = Line::default().say(Role::Strong, about);
    let gap = Line::default();
    std::iter::once(about).chain(fields).chain([gap]).collect()
}

/// What is done to the head that goes on with it: by hand, and because it says the same as the message.
fn head(text: &HeldText, theme: Theme) -> Vec<Line> {
    let by_hand = text.head_edit.fields.iter().map(|(name, value)| {
        let line = Line::default().say(Role::JsonKey, name).with(Role::Dim, ": ");
        match value {
            Some(_) if headers::is_secret(name) => line.with(Role::Warn, "another secret"),
            Some(value) => line.say(Role::Good, value),
            None => line.with(Role::Bad, "removed"),
        }
    });
    let following = text.fixups.iter().map(|fixup| followed(text, fixup, theme));
    let mut lines: Vec<Line> = by_hand.chain(following).collect();
    if !lines.is_empty() {
        lines.push(Line::default());
    }
    lines
}

/// A field that follows the edit, or does not.
pub(crate) fn followed(text: &HeldText, fixup: &Fixup, theme: Theme) -> Line {
    let line = Line::default()
        .say(Role::JsonKey, &fixup.name)
        .with(Role::Dim, ": ");
    let before = fixup.before.as_deref().unwrap_or("none");
    if is_refused(text, fixup) {
        return line
            .say(Role::Text, before)
            .with(Role::Warn, " stays as it came, the server may refuse that");
    }
    line.say(Role::Dim, before)
        .with(Role::Dim, theme.sign(" → ", " -> "))
        .say(Role::Good, fixup.after.as_deref().unwrap_or("none"))
        .with(Role::Dim, " follows the edit")
}

/// Whether the field is to stay as it came.
pub(crate) fn is_refused(text: &HeldText, fixup: &Fixup) -> bool {
    let mut refused = text.head_edit.refused.iter();
    refused.any(|name| name.eq_ignore_ascii_case(&fixup.name))
}

/// What was edited, value by value.
fn difference(text: &HeldText, theme: Theme) -> Vec<Line> {
    let Some(edited) = &text.edited else {
        let head = head(text, theme);
        if !head.is_empty() {
            return head;
        }
        return vec![Line::of(Role::Dim, "not edited: it goes on as it came")];
    };
    let mut lines = head(text, theme);
    let found = diff(text.original.as_bytes(), edited.as_bytes());
    lines.extend(difference_lines(&found, theme));
    lines
}

/// How long `row` has been held at `now`.
pub(crate) fn age(row: &HeldRow, now: Timestamp) -> Duration {
    now.since(row.at).max(row.age)
}

/// How near the end of what the client will bear: quiet, yellow from a half, red from three quarters.
pub(crate) fn urgency(age: Duration, budget: Duration) -> Role {
    let (age, budget) = (age.as_millis(), budget.as_millis());
    if age * 4 >= budget * 3 {
        Role::Bad
    } else if age * 2 >= budget {
        Role::Warn
    } else {
        Role::Good
    }
}
