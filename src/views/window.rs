//! Which rows of a list are in view.

use crate::snapshot::{Anchor, MAX_WINDOW_ROWS, Window};

/// The part of a list that a window shows: as many rows as it asks for, as long as the list has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) rows: usize,
}

/// Lays `window` over a list of `total` rows. `place` gives the index of a row, or of the first one after its place.
///
/// A window that would reach beyond an end of the list is moved back until it is full.
pub(super) fn lay<Id: Copy>(window: &Window<Id>, total: u64, place: impl FnOnce(Id) -> u64) -> Span {
    let rows = u64::from(window.rows.min(MAX_WINDOW_ROWS)).min(total);
    let last = total - rows;
    let first = match window.anchor {
        Anchor::Tail => last,
        Anchor::Row { id, shift } => place(id).saturating_add_signed(shift).min(last),
        Anchor::Index(index) => index.min(last),
    };
    Span {
        first,
        rows: usize::try_from(rows).unwrap_or(usize::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(anchor: Anchor<u64>, rows: u16, total: u64) -> (u64, usize) {
        let span = lay(&Window { anchor, rows }, total, |id| id.min(total));
        (span.first, span.rows)
    }

    #[test]
    fn the_tail_is_the_end_of_the_list_or_all_of_a_short_one() {
        assert_eq!(span(Anchor::Tail, 10, 100), (90, 10));
        assert_eq!(span(Anchor::Tail, 10, 4), (0, 4));
        assert_eq!(span(Anchor::Tail, 10, 0), (0, 0));
    }

    #[test]
    fn a_row_holds_the_window_and_the_ends_of_the_list_stop_it() {
        let held = |id, shift| span(Anchor::Row { id, shift }, 10, 100);
        assert_eq!(held(50, 0), (50, 10));
        assert_eq!(held(50, -20), (30, 10));
        assert_eq!(held(5, -20), (0, 10));
        assert_eq!(held(98, 0), (90, 10));
        assert_eq!(held(50, i64::MIN), (0, 10));
        assert_eq!(held(50, i64::MAX), (90, 10));
    }

    #[test]
    fn an_index_beyond_the_end_shows_the_last_rows() {
        assert_eq!(span(Anchor::Index(7), 10, 100), (7, 10));
        assert_eq!(span(Anchor::Index(u64::MAX), 10, 100), (90, 10));
    }

    #[test]
    fn a_window_is_never_larger_than_the_most_that_may_be_asked_for() {
        assert_eq!(
            span(Anchor::Index(0), u16::MAX, 5000),
            (0, usize::from(MAX_WINDOW_ROWS))
        );
        assert_eq!(span(Anchor::Tail, 0, 100), (100, 0));
    }
}
