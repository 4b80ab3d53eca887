//! The only code that writes to the screen's cells; it takes nothing but [`Safe`] text.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::format::cells;
use crate::text::Safe;
use crate::theme::{Role, Theme};

/// Text with one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) text: Safe,
    pub(crate) role: Role,
}

/// One line of text with its looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line(pub(crate) Vec<Span>);

impl Line {
    pub(crate) fn of(role: Role, text: impl Into<Safe>) -> Self {
        Self::default().with(role, text)
    }

    #[must_use]
    pub(crate) fn with(mut self, role: Role, text: impl Into<Safe>) -> Self {
        self.push(role, text);
        self
    }

    /// With text that comes from elsewhere, or was put together.
    #[must_use]
    pub(crate) fn say(self, role: Role, text: &str) -> Self {
        self.with(role, Safe::of(text))
    }

    pub(crate) fn push(&mut self, role: Role, text: impl Into<Safe>) {
        let text = text.into();
        if !text.is_empty() {
            self.0.push(Span { text, role });
        }
    }

    /// With another line behind it.
    #[must_use]
    pub(crate) fn joined(mut self, other: Self) -> Self {
        self.extend(other);
        self
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Spaces up to `column`.
    #[must_use]
    pub(crate) fn pad_to(self, column: usize) -> Self {
        let missing = column.saturating_sub(self.width());
        if missing == 0 {
            return self;
        }
        self.say(Role::Text, &" ".repeat(missing))
    }

    pub(crate) fn width(&self) -> usize {
        self.0.iter().map(|span| span.text.width()).sum()
    }

    /// All of its text.
    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|span| span.text.as_str()).collect()
    }

    /// The same line cut into lines of at most `columns`.
    /// As much of it as there is room for, with a sign at the end if that is not all.
    pub(crate) fn fit(self, columns: usize, theme: Theme) -> Self {
        if self.width() <= columns {
            return self;
        }
        let sign = Safe::fixed(theme.ellipsis());
        let mut room = columns.saturating_sub(sign.width());
        let mut line = Self::default();
        for span in self.0 {
            let part = span.text.fit(room, "");
            room -= part.width().min(room);
            line.push(span.role, part);
            if room == 0 {
                break;
            }
        }
        line.with(Role::Dim, sign)
    }

    pub(crate) fn wrapped(&self, columns: usize) -> Vec<Self> {
        if columns == 0 || self.width() <= columns {
            return vec![self.clone()];
        }
        let mut lines = vec![Self::default()];
        let mut used = 0;
        for span in &self.0 {
            for (number, piece) in span.text.pieces(columns - used, columns).into_iter().enumerate() {
                if number > 0 {
                    lines.push(Self::default());
                    used = 0;
                }
                used += piece.width();
                if let Some(line) = lines.last_mut() {
                    line.push(span.role, piece);
                }
            }
        }
        lines
    }

    /// The same line as prose: cut between words, and within one only if it is longer than a line.
    pub(crate) fn wrapped_at_words(&self, columns: usize) -> Vec<Self> {
        if columns == 0 || self.width() <= columns {
            return vec![self.clone()];
        }
        let mut lines = vec![Self::default()];
        for (role, word) in self.words() {
            let used = lines.last().map_or(0, Self::width);
            let bare = word.trim_end();
            if used > 0 && used + Safe::of(bare).width() > columns {
                lines.push(Self::default());
            }
            let used = lines.last().map_or(0, Self::width);
            let fits = used + Safe::of(&word).width() <= columns;
            let piece = Self::default().say(role, if fits { &word } else { bare });
            let mut pieces = piece.wrapped(columns).into_iter();
            if let (Some(line), Some(first)) = (lines.last_mut(), pieces.next()) {
                line.extend(first);
            }
            lines.extend(pieces);
        }
        lines
    }

    /// Its words, each with the spaces behind it.
    fn words(&self) -> impl Iterator<Item = (Role, String)> {
        self.0.iter().flat_map(|span| {
            let words = span.text.as_str().split_inclusive(' ');
            words.map(|word| (span.role, word.to_owned()))
        })
    }
}

/// A screen to draw on.
pub(crate) struct Canvas<'a> {
    buffer: &'a mut Buffer,
    pub(crate) theme: Theme,
}

impl<'a> Canvas<'a> {
    pub(crate) fn new(buffer: &'a mut Buffer, theme: Theme) -> Self {
        Self { buffer, theme }
    }

    /// The part of `area` that exists: the terminal may have become smaller since the model was told its size.
    fn clipped(&self, area: Rect) -> Rect {
        area.intersection(self.buffer.area)
    }

    /// Draws `line` into the row `y` of `area`, cut with an ellipsis if it is too long.
    pub(crate) fn line(&mut self, area: Rect, y: u16, line: &Line) {
        self.line_from(area, y, line, 0);
    }

    /// The same, without the line's first `skip` columns.
    pub(crate) fn line_from(&mut self, area: Rect, y: u16, line: &Line, skip: usize) {
        let area = self.clipped(area);
        if y >= area.height {
            return;
        }
        let (mut column, mut skip) = (area.x, skip);
        let end = area.x.saturating_add(area.width);
        for span in &line.0 {
            let width = span.text.width();
            if skip >= width {
                skip -= width;
                continue;
            }
            let text = if skip > 0 {
                span.text.skip(std::mem::take(&mut skip))
            } else {
                span.text.clone()
            };
            let room = usize::from(end.saturating_sub(column));
            if room == 0 {
                self.mark_cut(end.saturating_sub(1), area.y + y);
                return;
            }
            let text = text.fit(room, self.theme.ellipsis());
            let style = self.theme.style(span.role);
            (column, _) = self
                .buffer
                .set_stringn(column, area.y + y, text.as_str(), room, style);
        }
    }

    fn mark_cut(&mut self, x: u16, y: u16) {
        let (ellipsis, style) = (self.theme.ellipsis(), self.theme.style(Role::Dim));
        self.buffer.set_stringn(x, y, ellipsis, 1, style);
    }

    /// Draws `line` at the right end of the row `y` of `area`.
    pub(crate) fn line_right(&mut self, area: Rect, y: u16, line: &Line) {
        let width = cells(line.width()).min(area.width);
        let x = area.x + area.width - width;
        self.line(Rect { x, width, ..area }, y, line);
    }

    /// Lays `style` over the row `y` of `area`.
    pub(crate) fn tint(&mut self, area: Rect, y: u16, style: Style) {
        let area = self.clipped(area);
        if y < area.height {
            let row = Rect {
                y: area.y + y,
                height: 1,
                ..area
            };
            self.buffer.set_style(row, style);
        }
    }

    /// Lays the look of a cursor over the row `y` of `area`, in place of the row's own colours.
    pub(crate) fn cursor_row(&mut self, area: Rect, y: u16, has_focus: bool) {
        if has_focus {
            // Reversed over many colours is a patchwork: one look for the whole row.
            self.tint(area, y, Style::reset());
        }
        let style = self.theme.cursor(has_focus);
        self.tint(area, y, style);
    }

    /// A frame with `title` in its upper edge; gives the room inside.
    pub(crate) fn frame(&mut self, area: Rect, title: &Line, has_focus: bool) -> Rect {
        let area = self.clipped(area);
        if area.width < 2 || area.height < 2 {
            return Rect {
                width: 0,
                height: 0,
                ..area
            };
        }
        let role = if has_focus {
            Role::BorderFocus
        } else {
            Role::Border
        };
        let (set, style) = (self.theme.borders(), self.theme.style(role));
        let middle = usize::from(area.width - 2);
        let (right, bottom) = (area.x + area.width - 1, area.y + area.height - 1);
        for (y, left, line, end) in [
            (area.y, set.top_left, set.horizontal_top, set.top_right),
            (bottom, set.bottom_left, set.horizontal_bottom, set.bottom_right),
        ] {
            let edge = format!("{left}{}{end}", line.repeat(middle));
            self.buffer.set_stringn(area.x, y, edge, middle + 2, style);
        }
        for y in area.y + 1..bottom {
            self.buffer.set_stringn(area.x, y, set.vertical_left, 1, style);
            self.buffer.set_stringn(right, y, set.vertical_right, 1, style);
        }
        let room = Rect {
            x: area.x + 1,
            y: area.y,
            width: area.width - 2,
            height: 1,
        };
        self.line(room, 0, title);
        Rect {
            x: area.x + 1,
            y: area.y + 1,
            width: area.width - 2,
            height: area.height - 2,
        }
    }

    /// Empties `area`, for something that lies above all else.
    pub(crate) fn clear(&mut self, area: Rect) {
        let area = self.clipped(area);
        for position in area.positions() {
            if let Some(cell) = self.buffer.cell_mut(position) {
                cell.reset();
            }
        }
    }
}

/// A bar of `columns` that is full to `part` of `whole`.
pub(crate) fn bar(part: u64, whole: u64, columns: usize, theme: Theme) -> (Safe, Safe) {
    let filled = u128::from(part.min(whole)) * columns as u128 / u128::from(whole.max(1));
    let filled = usize::try_from(filled).unwrap_or(columns);
    // The smallest use is to be seen.
    let filled = if part > 0 { filled.max(1) } else { filled };
    let empty = columns.saturating_sub(filled);
    (
        Safe::of(&theme.sign("█", "#").repeat(filled)),
        Safe::of(&theme.sign("░", ".").repeat(empty)),
    )
}

/// A line of little columns, one a value, the latest `columns` of them.
pub(crate) fn sparkline(values: &[u64], columns: usize, theme: Theme) -> Safe {
    const UNICODE: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ASCII: [char; 9] = [' ', '.', ':', '-', '=', '+', '*', '#', '@'];
    let steps = if theme.is_ascii { ASCII } else { UNICODE };
    let latest: Vec<u64> = values.iter().rev().take(columns).rev().copied().collect();
    let highest = latest.iter().copied().max().unwrap_or(0).max(1);
    let column = |value: u64| {
        let step = (u128::from(value) * 8).div_ceil(u128::from(highest));
        steps[usize::try_from(step).unwrap_or(8).min(8)]
    };
    Safe::of(&latest.into_iter().map(column).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_even_the_smallest_use_and_never_more_than_full() {
        let theme = Theme::default();
        assert_eq!(bar(1, 1_000_000, 4, theme).0.as_str(), "█");
        assert_eq!(bar(9, 4, 4, theme).0.as_str(), "████");
        assert_eq!(bar(0, 0, 4, theme).1.as_str(), "░░░░");
    }

    #[test]
    fn a_sparkline_keeps_the_latest_values() {
        assert_eq!(sparkline(&[9, 0, 4, 8], 3, Theme::default()).as_str(), " ▄█");
    }

    #[test]
    fn wrapping_loses_nothing() {
        let line = Line::of(Role::Key, "abcdef").with(Role::Text, "ghij");
        let wrapped: Vec<String> = line.wrapped(4).iter().map(Line::text).collect();
        assert_eq!(wrapped, ["abcd", "efgh", "ij"]);
    }

    #[test]
    fn prose_is_cut_between_words_as_far_as_it_can_be() {
        let line = Line::of(Role::Key, "one two").with(Role::Text, " three incomprehensible x");
        let wrapped: Vec<String> = line.wrapped_at_words(8).iter().map(Line::text).collect();
        assert!(
            wrapped.iter().all(|line| line.trim_end().len() <= 8),
            "{wrapped:?}"
        );
        assert_eq!(wrapped.first().map(String::as_str), Some("one two "));
        let words: Vec<String> = wrapped.iter().map(|line| line.trim_end().to_owned()).collect();
        assert_eq!(words, ["one two", "three", "incompre", "hensible", "x"]);
        assert_eq!(line.wrapped_at_words(80), [line]);
    }
}
