//! One line of text being typed.

/// Most characters that a line takes; a paste beyond that is cut.
const LONGEST: usize = 4_096;

/// Text and a cursor in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LineEdit {
    characters: Vec<char>,
    at: usize,
}

/// What a key does to the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edit {
    Insert(char),
    Backspace,
    Delete,
    Left,
    Right,
    Home,
    End,
    CutWord,
    CutAll,
}

impl LineEdit {
    pub(crate) fn with(text: &str) -> Self {
        let characters: Vec<char> = text.chars().take(LONGEST).collect();
        let at = characters.len();
        Self { characters, at }
    }

    pub(crate) fn text(&self) -> String {
        self.characters.iter().collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.characters.is_empty()
    }

    /// Characters before the cursor.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The text before and after the cursor.
    pub(crate) fn halves(&self) -> (String, String) {
        let (head, tail) = self.characters.split_at(self.at);
        (head.iter().collect(), tail.iter().collect())
    }

    pub(crate) fn apply(&mut self, edit: Edit) {
        match edit {
            Edit::Insert(character) => self.insert(character),
            Edit::Backspace if self.at > 0 => {
                self.at -= 1;
                self.characters.remove(self.at);
            }
            Edit::Delete if self.at < self.characters.len() => {
                self.characters.remove(self.at);
            }
            Edit::Left => self.at = self.at.saturating_sub(1),
            Edit::Right => self.at = (self.at + 1).min(self.characters.len()),
            Edit::Home => self.at = 0,
            Edit::End => self.at = self.characters.len(),
            Edit::CutWord => self.cut_word(),
            Edit::CutAll => *self = Self::default(),
            Edit::Backspace | Edit::Delete => {}
        }
    }

    fn insert(&mut self, character: char) {
        if self.characters.len() < LONGEST {
            self.characters.insert(self.at, character);
            self.at += 1;
        }
    }

    fn cut_word(&mut self) {
        let head = self.characters.iter().take(self.at);
        let mut start = self.at;
        let mut has_word = false;
        for character in head.rev() {
            if character.is_whitespace() && has_word {
                break;
            }
            has_word |= !character.is_whitespace();
            start -= 1;
        }
        self.characters.drain(start..self.at);
        self.at = start;
    }

    /// Inserts what was pasted; line ends become spaces.
    pub(crate) fn paste(&mut self, text: &str) {
        for character in text.chars().take(LONGEST) {
            self.insert(if character.is_control() { ' ' } else { character });
        }
    }

    /// Puts `text` in place of the characters in `range`, the cursor behind it.
    pub(crate) fn replace(&mut self, range: std::ops::Range<usize>, text: &str) {
        let end = range.end.min(self.characters.len());
        let start = range.start.min(end);
        self.characters.splice(start..end, text.chars());
        self.at = start + text.chars().count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_cut_with_the_spaces_after_it() {
        let mut line = LineEdit::with("method:a tool:b  ");
        line.apply(Edit::CutWord);
        assert_eq!(line.text(), "method:a ");
    }

    #[test]
    fn a_paste_stays_on_the_line() {
        let mut line = LineEdit::with("ab");
        line.apply(Edit::Left);
        line.paste("1\n2\x1b");
        assert_eq!(line.halves(), ("a1 2 ".to_owned(), "b".to_owned()));
    }

    #[test]
    fn keys_at_the_ends_do_nothing() {
        let mut line = LineEdit::with("é");
        line.apply(Edit::Right);
        line.apply(Edit::Delete);
        line.apply(Edit::Backspace);
        line.apply(Edit::Backspace);
        assert!(line.is_empty());
    }
}
