//! What is wrong with a filter, where, and what to write instead.

/// A filter text that cannot be understood.
///
/// `column` and `length` count characters of the text given to [`Filter::parse`](super::Filter::parse), so that a
/// prompt can underline the place. `length` is 0 where something is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// First character that is wrong, counted from 0.
    pub column: usize,
    /// How many characters are wrong.
    pub length: usize,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl FilterError {
    pub(super) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            column: span.start,
            length: span.end - span.start,
            message: message.into(),
        }
    }
}

/// Characters `start..end` of a filter text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    pub(super) fn at(column: usize) -> Self {
        Self {
            start: column,
            end: column + 1,
        }
    }
}

/// The candidate that was most likely meant by `typed`, if one is near enough to offer.
pub(in crate::intercept) fn nearest<'c>(
    typed: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    let typed: Vec<char> = typed.to_lowercase().chars().collect();
    // A field name is at most this long: a long word is not a slip of the finger, and costs nothing to compare.
    if typed.len() > 24 {
        return None;
    }
    // Of a short word two letters are half of it.
    let allowed = if typed.len() <= 4 { 1 } else { 2 };
    candidates
        .map(|candidate| {
            (
                distance(&typed, &candidate.chars().collect::<Vec<_>>()),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words, where two neighbours that changed places are one edit.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut rows = vec![vec![0; right.len() + 1]; left.len() + 1];
    for (row, cells) in rows.iter_mut().enumerate() {
        cells[0] = row;
    }
    for (column, cell) in rows[0].iter_mut().enumerate() {
        *cell = column;
    }
    for row in 1..=left.len() {
        for column in 1..=right.len() {
            let changed = usize::from(left[row - 1] != right[column - 1]);
            let mut best = (rows[row - 1][column - 1] + changed)
                .min(rows[row - 1][column] + 1)
                .min(rows[row][column - 1] + 1);
            if row > 1
                && column > 1
                && left[row - 1] == right[column - 2]
                && left[row - 2] == right[column - 1]
            {
                best = best.min(rows[row - 2][column - 2] + 1);
            }
            rows[row][column] = best;
        }
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_word() {
        let words = ["method", "tool", "dir"];
        assert_eq!(nearest("metohd", words.into_iter()), Some("method"));
        assert_eq!(nearest("tol", words.into_iter()), Some("tool"));
        assert_eq!(nearest("dri", words.into_iter()), Some("dir"));
        assert_eq!(nearest("unrelated", words.into_iter()), None);
    }
}
