//! A cursor and a view in a list of which only a window is here.
//!
//! Cursor and upper edge are held by id: rows that come, go or are hidden never move them to another row while theirs is there.

use shadowcat::ids::{MessageId, ProxySessionId, StreamId};
use shadowcat::snapshot::{Anchor, MAX_WINDOW_ROWS, Window};

use crate::format::{cells, index};

/// What a list's rows are called by.
pub(crate) trait RowId: Copy + PartialEq {
    /// Its place among the others, where ids count up in the order of the list.
    fn rank(self) -> Option<u64>;
}

impl RowId for MessageId {
    fn rank(self) -> Option<u64> {
        Some(self.get())
    }
}

impl RowId for StreamId {
    fn rank(self) -> Option<u64> {
        Some(self.get())
    }
}

impl RowId for u64 {
    fn rank(self) -> Option<u64> {
        Some(self)
    }
}

/// `None` is the row for all sessions.
impl RowId for Option<ProxySessionId> {
    fn rank(self) -> Option<u64> {
        None
    }
}

/// The ids of the rows that are here, and where they lie in the whole list.
#[derive(Debug, Clone)]
pub(crate) struct Rows<Id> {
    pub(crate) ids: Vec<Id>,
    pub(crate) first: u64,
    pub(crate) total: u64,
}

impl<Id: RowId> Rows<Id> {
    fn position(&self, id: Id) -> Option<usize> {
        self.ids.iter().position(|other| *other == id)
    }

    fn has_start(&self) -> bool {
        self.first == 0
    }

    fn has_end(&self) -> bool {
        self.first + self.ids.len() as u64 >= self.total
    }

    /// The row nearest to the place where `id` was; `None` if that place is not here.
    fn nearest(&self, id: Id, last_index: u64) -> Option<usize> {
        let last = self.ids.len().checked_sub(1)?;
        let place = match id.rank() {
            Some(rank) => self.ids.partition_point(|other| other.rank() < Some(rank)),
            None => index(last_index.saturating_sub(self.first)),
        };
        let is_before = place == 0 && !self.has_start() && id.rank().is_some();
        let is_after = place > last && !self.has_end();
        (!is_before && !is_after).then_some(place.min(last))
    }
}

/// A place to go to that is not here yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish<Id> {
    First,
    At(Id),
}

/// Cursor, upper edge and following of one list.
#[derive(Debug, Clone)]
pub(crate) struct ListState<Id> {
    /// The chosen row.
    pub(crate) cursor: Option<Id>,
    /// The cursor goes with the newest row.
    pub(crate) is_following: bool,
    top: Option<Id>,
    wish: Option<Wish<Id>>,
    /// The engine has been asked for the wish; before that no answer proves that it cannot be had.
    is_asked: bool,
    /// Position of the upper edge and of the cursor among the rows that are here.
    pub(crate) top_position: usize,
    cursor_position: usize,
    cursor_index: u64,
    top_index: u64,
    /// Length of the whole list when following ended, and what was in view since.
    left_at: u64,
}

impl<Id: RowId> ListState<Id> {
    pub(crate) fn new(is_following: bool) -> Self {
        Self {
            cursor: None,
            is_following,
            top: None,
            wish: None,
            is_asked: false,
            top_position: 0,
            cursor_position: 0,
            cursor_index: 0,
            top_index: 0,
            left_at: 0,
        }
    }

    /// Moves the cursor; moving up leaves following, the last row of a list does not join it again.
    pub(crate) fn step(&mut self, rows: &Rows<Id>, by: isize) {
        if by < 0 {
            self.leave(rows);
        }
        if self.is_following {
            return;
        }
        let last = rows.ids.len().saturating_sub(1);
        let position = self.cursor_position.saturating_add_signed(by).min(last);
        if let Some(id) = rows.ids.get(position) {
            self.put_cursor(*id, position, rows);
        }
    }

    fn put_cursor(&mut self, id: Id, position: usize, rows: &Rows<Id>) {
        self.cursor = Some(id);
        self.cursor_position = position;
        self.cursor_index = rows.first + position as u64;
        self.wish = None;
    }

    /// Stops following; the cursor stays on the row where it is.
    pub(crate) fn leave(&mut self, rows: &Rows<Id>) {
        if std::mem::replace(&mut self.is_following, false) {
            self.left_at = rows.total;
        }
    }

    /// Rows that came since following ended and were never in view.
    pub(crate) fn new_below(&self, total: u64) -> u64 {
        if self.is_following {
            0
        } else {
            total.saturating_sub(self.left_at)
        }
    }

    /// Goes to the row `position` rows below the upper edge of the view.
    pub(crate) fn choose(&mut self, rows: &Rows<Id>, below_top: usize) {
        let position = self.top_position + below_top;
        if let Some(id) = rows.ids.get(position) {
            self.leave(rows);
            self.put_cursor(*id, position, rows);
        }
    }

    pub(crate) fn go_first(&mut self, rows: &Rows<Id>) {
        self.leave(rows);
        match rows.ids.first() {
            Some(id) if rows.has_start() => self.put_cursor(*id, 0, rows),
            _ => self.want(Wish::First),
        }
    }

    fn want(&mut self, wish: Wish<Id>) {
        self.wish = Some(wish);
        self.is_asked = false;
    }

    /// Goes to the newest row and stays with it.
    pub(crate) fn follow(&mut self) {
        self.is_following = true;
        self.wish = None;
    }

    /// A key has led to a row that is not here yet.
    pub(crate) fn is_on_its_way(&self, rows: &Rows<Id>) -> bool {
        let is_missing = self.is_following && !rows.has_end();
        !rows.ids.is_empty() && (is_missing || self.wish.is_some())
    }

    /// Goes to the last row without following.
    pub(crate) fn go_last(&mut self, rows: &Rows<Id>) {
        let last = rows.ids.len().saturating_sub(1);
        if let Some(id) = rows.ids.get(last) {
            self.put_cursor(*id, last, rows);
        }
    }

    /// Goes to the row `id`, wherever it is.
    pub(crate) fn go_to(&mut self, id: Id, rows: &Rows<Id>) {
        self.leave(rows);
        self.cursor = Some(id);
        match rows.position(id) {
            Some(position) => self.put_cursor(id, position, rows),
            None => self.want(Wish::At(id)),
        }
    }

    /// Brings cursor and view in line with the rows that are here. `is_answer` says that they were chosen by the latest
    /// query, so that what is missing among them is gone.
    pub(crate) fn settle(&mut self, rows: &Rows<Id>, height: usize, is_answer: bool) {
        if rows.ids.is_empty() {
            self.top_position = 0;
            return;
        }
        let Some(position) = self.find_cursor(rows, is_answer) else {
            self.top_position = self.top_position.min(rows.ids.len().saturating_sub(height));
            return;
        };
        let had_wish = self.wish.is_some();
        if let Some(id) = rows.ids.get(position) {
            self.put_cursor(*id, position, rows);
        }
        self.settle_top(rows, height, had_wish);
    }

    fn find_cursor(&mut self, rows: &Rows<Id>, is_answer: bool) -> Option<usize> {
        if self.is_following {
            return rows.has_end().then(|| rows.ids.len() - 1);
        }
        match self.wish {
            Some(Wish::First) => return (is_answer && rows.has_start()).then_some(0),
            Some(Wish::At(id)) if rows.position(id).is_none() && !(is_answer && self.is_asked) => {
                return None;
            }
            _ => {}
        }
        let Some(cursor) = self.cursor else {
            return Some(0);
        };
        let found = rows.position(cursor);
        if found.is_none() && is_answer {
            let near = rows.nearest(cursor, self.cursor_index);
            if near.is_none() {
                self.want(Wish::At(cursor));
            }
            return near;
        }
        found
    }

    fn settle_top(&mut self, rows: &Rows<Id>, height: usize, is_jump: bool) {
        let cursor = self.cursor_position;
        let last_top = rows.ids.len().saturating_sub(height);
        let kept = self
            .top
            .and_then(|top| rows.position(top).or_else(|| rows.nearest(top, self.top_index)));
        let mut top = match kept {
            _ if self.is_following => last_top,
            Some(top) if !is_jump || (top..top + height).contains(&cursor) => top,
            _ => cursor.saturating_sub(height / 2),
        };
        if cursor >= top + height {
            top = cursor + 1 - height;
        }
        top = top.min(cursor);
        if rows.has_end() {
            top = top.min(last_top);
        }
        self.top_position = top;
        self.top = rows.ids.get(top).copied();
        self.top_index = rows.first + top as u64;
        // What is in view is no longer new.
        let seen = rows.first + rows.ids.len().min(top + height) as u64;
        self.left_at = self.left_at.max(seen);
    }

    /// Position of the cursor among the rows drawn.
    #[cfg(test)]
    pub(crate) fn cursor_below_top(&self) -> usize {
        self.cursor_position.saturating_sub(self.top_position)
    }

    /// Index of the upper edge in the whole list.
    pub(crate) fn top_index(&self) -> u64 {
        self.top_index
    }

    /// The window to ask for: `current` as long as the view is well within it.
    pub(crate) fn window(&mut self, rows: &Rows<Id>, height: usize, current: Window<Id>) -> Window<Id> {
        self.is_asked = true;
        let wanted = window_rows(height);
        let fasten = |id, shift| Window {
            anchor: Anchor::Row { id, shift },
            rows: wanted,
        };
        let middle = -i64::from(wanted / 2);
        let anchor = match (self.is_following, self.wish, self.top) {
            (true, _, _) | (false, None, None) => Anchor::Tail,
            (_, Some(Wish::First), _) => Anchor::Index(0),
            (_, Some(Wish::At(id)), _) => return fasten(id, middle),
            (_, None, Some(_)) if self.is_well_within(rows, height, current, wanted) => return current,
            (_, None, Some(top)) => return fasten(top, middle),
        };
        Window { anchor, rows: wanted }
    }

    fn is_well_within(&self, rows: &Rows<Id>, height: usize, current: Window<Id>, wanted: u16) -> bool {
        let before = self.top_position;
        let after = rows.ids.len().saturating_sub(before + height);
        let is_fastened = !matches!(current.anchor, Anchor::Tail) && current.rows == wanted;
        is_fastened && (before >= height || rows.has_start()) && (after >= height || rows.has_end())
    }

    /// The same for lists that are held by index.
    pub(crate) fn index_window<Other>(
        &mut self,
        rows: &Rows<Id>,
        height: usize,
        current: Window<Other>,
    ) -> Window<Other>
    where
        Other: Copy,
    {
        self.is_asked = true;
        let wanted = window_rows(height);
        let after = rows.ids.len().saturating_sub(self.top_position + height);
        let is_near =
            (self.top_position >= height || rows.has_start()) && (after >= height || rows.has_end());
        let is_fastened = matches!(current.anchor, Anchor::Index(_)) && current.rows == wanted;
        if is_fastened && is_near && self.wish.is_none() {
            return current;
        }
        let start = match self.wish {
            Some(Wish::First) => 0,
            _ => self.top_index.saturating_sub(u64::from(wanted / 2)),
        };
        Window {
            anchor: Anchor::Index(start),
            rows: wanted,
        }
    }
}

/// Rows for a view of `height`, with enough on both sides that moving shows no gap.
fn window_rows(height: usize) -> u16 {
    cells(height.saturating_mul(6)).clamp(120, MAX_WINDOW_ROWS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(range: std::ops::Range<u64>, first: u64, total: u64) -> Rows<u64> {
        Rows {
            ids: range.collect(),
            first,
            total,
        }
    }

    fn settled(range: std::ops::Range<u64>) -> (ListState<u64>, Rows<u64>) {
        let rows = rows(range.clone(), 0, range.end - range.start);
        let mut list = ListState::new(true);
        list.settle(&rows, 5, true);
        (list, rows)
    }

    #[test]
    fn following_keeps_the_newest_row_at_the_bottom() {
        let (mut list, _) = settled(1..11);
        assert_eq!((list.cursor, list.top_position), (Some(10), 5));
        list.settle(&rows(1..14, 0, 13), 5, true);
        assert_eq!((list.cursor, list.top_position), (Some(13), 8));
    }

    #[test]
    fn new_rows_move_neither_cursor_nor_view_once_the_cursor_was_moved_up() {
        let (mut list, here) = settled(1..11);
        list.step(&here, -1);
        list.settle(&here, 5, true);
        list.settle(&rows(3..40, 2, 39), 5, true);
        assert_eq!(list.cursor, Some(9));
        assert_eq!(list.cursor_below_top(), 3);
        assert_eq!(list.new_below(39), 29);
    }

    #[test]
    fn a_cursor_whose_row_is_gone_goes_to_the_nearest() {
        let (mut list, here) = settled(1..11);
        list.step(&here, -5);
        let rest = Rows {
            ids: vec![1, 2, 8, 9],
            first: 0,
            total: 4,
        };
        list.settle(&rest, 5, false);
        assert_eq!(list.cursor, Some(5), "an answer to an older query proves nothing");
        list.settle(&rest, 5, true);
        assert_eq!(list.cursor, Some(8));
    }

    #[test]
    fn a_cursor_outside_of_the_window_is_asked_for_and_not_moved() {
        let (mut list, here) = settled(1..11);
        list.step(&here, -9);
        let far = rows(500..600, 499, 700);
        list.settle(&far, 5, true);
        assert_eq!(list.cursor, Some(1));
        let window = list.window(
            &far,
            5,
            Window {
                anchor: Anchor::Tail,
                rows: 120,
            },
        );
        assert_eq!(window.anchor, Anchor::Row { id: 1, shift: -60 });
    }

    #[test]
    fn going_to_the_first_row_waits_for_it() {
        let mut list = ListState::new(true);
        let tail = rows(900..1000, 899, 999);
        list.settle(&tail, 5, true);
        list.go_first(&tail);
        let window = list.window(
            &tail,
            5,
            Window {
                anchor: Anchor::Tail,
                rows: 120,
            },
        );
        assert_eq!(window.anchor, Anchor::Index(0));
        list.settle(&rows(1..121, 0, 999), 5, true);
        assert_eq!(list.cursor, Some(1));
    }

    #[test]
    fn a_window_is_not_asked_for_again_while_the_view_is_well_within_it() {
        let mut list = ListState::new(true);
        let here = rows(400..520, 400, 1000);
        list.go_to(450, &here);
        list.settle(&here, 5, true);
        let current = Window {
            anchor: Anchor::Row { id: 460, shift: -60 },
            rows: 120,
        };
        assert_eq!(list.window(&here, 5, current), current);
        list.step(&here, 66);
        list.settle(&here, 5, true);
        assert_ne!(list.window(&here, 5, current), current);
    }
}
