//! Keys: as they are written, as they are pressed, as help shows them.

use std::fmt::{self, Write as _};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// One key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Chord {
    pub(crate) code: KeyCode,
    pub(crate) has_ctrl: bool,
}

const NAMED: [(&str, KeyCode); 16] = [
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pgup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("shift-tab", KeyCode::BackTab),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("space", KeyCode::Char(' ')),
];

impl Chord {
    /// Reads `j`, `G`, `ctrl-d`, `enter`.
    fn parse(text: &str) -> Option<Self> {
        let (has_ctrl, name) = text
            .strip_prefix("ctrl-")
            .map_or((false, text), |rest| (true, rest));
        let named = NAMED
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, code)| *code);
        let mut characters = name.chars();
        let single = characters.next().filter(|_| characters.next().is_none());
        let code = named.or(single.map(KeyCode::Char))?;
        Some(Self { code, has_ctrl })
    }

    /// The key that was pressed; Shift is in the character itself.
    pub(crate) fn pressed(event: KeyEvent) -> Option<Self> {
        if event
            .modifiers
            .intersects(KeyModifiers::ALT | KeyModifiers::SUPER | KeyModifiers::META)
        {
            return None;
        }
        let has_ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        let code = match event.code {
            KeyCode::Char(character) if has_ctrl => KeyCode::Char(character.to_ascii_lowercase()),
            KeyCode::Tab if event.modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
            other => other,
        };
        Some(Self { code, has_ctrl })
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has_ctrl {
            f.write_str("Ctrl-")?;
        }
        let named = NAMED.iter().find(|(_, code)| *code == self.code);
        match (self.code, named) {
            (KeyCode::Up, _) => f.write_char('↑'),
            (KeyCode::Down, _) => f.write_char('↓'),
            (KeyCode::Left, _) => f.write_char('←'),
            (KeyCode::Right, _) => f.write_char('→'),
            (KeyCode::BackTab, _) => f.write_str("Shift-Tab"),
            (KeyCode::PageUp, _) => f.write_str("PgUp"),
            (KeyCode::PageDown, _) => f.write_str("PgDn"),
            (_, Some((name, _))) => {
                let mut characters = name.chars();
                let first = characters.next().map(|first| first.to_ascii_uppercase());
                write!(f, "{}{}", first.unwrap_or_default(), characters.as_str())
            }
            (KeyCode::Char(character), None) if self.has_ctrl => {
                write!(f, "{}", character.to_ascii_uppercase())
            }
            (KeyCode::Char(character), None) => f.write_char(character),
            (other, None) => write!(f, "{other}"),
        }
    }
}

/// One or two keys after one another.
pub(crate) type Sequence = Vec<Chord>;

/// A sequence as help shows it: `gg`, `Ctrl-D`.
pub(crate) fn spelled(sequence: &[Chord]) -> String {
    sequence.iter().map(ToString::to_string).collect()
}

/// Reads one or two keys, with a blank between them.
pub(super) fn parse_sequence(text: &str) -> Option<Sequence> {
    let sequence: Option<Sequence> = text.split_whitespace().map(Chord::parse).collect();
    sequence.filter(|sequence| (1..=2).contains(&sequence.len()))
}
