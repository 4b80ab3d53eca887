//! Which key does what, where: parsing, looking up and describing the [`TABLE`].

mod table;

use std::fmt::{self, Write as _};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub(crate) use table::TABLE;

/// Everything a key can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Help,
    HelpAll,
    Palette,
    ShowTraffic,
    ShowStreams,
    ShowResources,
    ShowLog,
    ShowServers,
    ShowHeld,
    ShowRules,
    ShowRecordings,
    OpenRecording,
    VerifyRecording,
    CopyPath,
    Play,
    PausePlay,
    PlayFaster,
    PlaySlower,
    MarkRecording,
    CompareRecordings,
    ServeRecording,
    CopyMockUrl,
    ToggleRule,
    NextOnly,
    RemoveRule,
    NewRule,
    GoHeld,
    Intercept,
    Break,
    BreakAnswer,
    Forward,
    ForwardLane,
    ForwardAll,
    StepCall,
    ContinueRule,
    DropHeld,
    Refuse,
    AnswerHeld,
    KeepHeld,
    EditHeld,
    EditFields,
    EditHead,
    RepeatHeld,
    MoveEarlier,
    MoveLater,
    RepeatRow,
    RepeatEdited,
    Later,
    Twice,
    Thrice,
    EditAgain,
    KeepEdit,
    DiscardEdit,
    DelayHeld,
    RevertHeld,
    UndoEdit,
    Mark,
    MarkRange,
    Always,
    HeldDiff,
    CopyHeld,
    RefuseMethod,
    RefuseParams,
    RefuseInternal,
    RefuseServer,
    RefuseTool,
    RefuseAuth,
    RefuseBusy,
    RefuseDown,
    RefuseClose,
    DropSilently,
    Yes,
    NextPane,
    PreviousPane,
    Zoom,
    Unzoom,
    Back,
    Record,
    Theme,
    Mouse,
    Redraw,
    Suspend,
    Quit,
    QuitNow,
    Down,
    Up,
    HalfDown,
    HalfUp,
    PageDown,
    PageUp,
    First,
    Last,
    Left,
    Right,
    Filter,
    FilterFromRow,
    NextError,
    PreviousError,
    PreviousTab,
    NextTab,
    Copy,
    LimitSession,
    GoRequest,
    GoAnswer,
    GoStream,
    Open,
    FocusSessions,
    Follow,
    Search,
    NextHit,
    PreviousHit,
    Wrap,
    Hex,
    Unmask,
    LogLevel,
    ResetBreakers,
    CopyPretty,
    CopyBody,
    CopyWire,
    CopyHeaders,
    CopyId,
    CopyRow,
    CopyServer,
    CopyUrl,
    CopyPortUrl,
    CopyMcpServers,
    CopyClaude,
    CopyVsCode,
    Accept,
    Complete,
}

/// Where a key has its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Context {
    Global,
    List,
    Traffic,
    Sessions,
    Messages,
    Detail,
    Streams,
    Events,
    Log,
    Servers,
    Held,
    Rules,
    Recordings,
    Asking,
    Refusing,
    Doubting,
    Fields,
    Heads,
    Faulting,
    Copying,
    CopyingServer,
    Filtering,
    Prompt,
    Palette,
    Help,
}

impl Context {
    /// The heading of its keys.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Global => "Everywhere",
            Self::List => "In lists",
            Self::Traffic => "Traffic screen",
            Self::Sessions => "Sessions",
            Self::Messages => "Messages",
            Self::Detail => "Detail",
            Self::Streams => "Streams",
            Self::Events => "Events of a stream",
            Self::Log => "Log",
            Self::Servers => "Servers",
            Self::Held => "Held messages",
            Self::Rules => "Rules",
            Self::Recordings => "Recordings",
            Self::Asking => "Before what cannot be taken back",
            Self::Refusing => "Menu of refusals",
            Self::Fields => "Fields of a held message",
            Self::Heads => "Headers that follow an edit",
            Self::Faulting => "Menu of delays and copies",
            Self::Doubting => "After an edit that may be wrong",
            Self::Copying => "Copy menu",
            Self::CopyingServer => "Copy menu of a server",
            Self::Filtering => "While filtering",
            Self::Prompt => "While typing an answer",
            Self::Palette => "Command palette",
            Self::Help => "Help",
        }
    }

    /// Text is typed here: plain characters are no commands.
    pub(crate) const fn is_typing(self) -> bool {
        matches!(self, Self::Filtering | Self::Prompt | Self::Palette | Self::Help)
    }
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) context: Context,
    pub(crate) keys: &'static [&'static str],
    pub(crate) action: Action,
    /// Name in palette and configuration, then aliases.
    pub(crate) names: &'static [&'static str],
    /// In the footer and in menus.
    pub(crate) label: &'static str,
    pub(crate) help: &'static str,
    /// In the footer, high first; 0: not there.
    pub(crate) priority: u8,
}

impl Binding {
    pub(crate) fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }
}

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

/// What the keys mean, with the user's own keys in place of ours.
#[derive(Debug, Clone)]
pub(crate) struct Keymap(Vec<Entry>);

/// A row of the table with the keys that are in force.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) binding: &'static Binding,
    pub(crate) keys: Vec<Sequence>,
}

/// A key in the configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeymapError {
    #[error("there is no action called `{0}`; `?` and docs/keys.md name them all")]
    UnknownAction(String),
    #[error("`{0}` is not a key; write `j`, `G`, `ctrl-d`, `enter`, `shift-tab` or two of them, as in `g g`")]
    UnknownKey(String),
    #[error("`{key}` would mean both `{first}` and `{second}` ({place}); give one of them another key")]
    Taken {
        key: String,
        first: &'static str,
        second: &'static str,
        place: &'static str,
    },
}

/// What pressing a key amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    Action(Action),
    /// The key begins a sequence.
    Prefix,
    Nothing,
}

impl Keymap {
    /// The table, with the keys of `overrides` (action name, its keys) in place of its own.
    ///
    /// # Errors
    /// [`KeymapError`] for an unknown action or key, or a key that would mean two things in one place.
    pub(crate) fn new(overrides: &[(String, Vec<String>)]) -> Result<Self, KeymapError> {
        let mut entries = Vec::with_capacity(TABLE.len());
        for binding in TABLE {
            let keys = binding.keys.iter().filter_map(|text| parse_sequence(text));
            entries.push(Entry {
                binding,
                keys: keys.collect(),
            });
        }
        for (name, keys) in overrides {
            let parsed: Result<Vec<_>, _> = keys
                .iter()
                .map(|key| parse_sequence(key).ok_or_else(|| KeymapError::UnknownKey(key.clone())))
                .collect();
            let parsed = parsed?;
            let entry = entries
                .iter_mut()
                .find(|entry| entry.binding.names.contains(&name.as_str()))
                .ok_or_else(|| KeymapError::UnknownAction(name.clone()))?;
            entry.keys = parsed;
        }
        let keymap = Self(entries);
        keymap.check()?;
        Ok(keymap)
    }

    fn check(&self) -> Result<(), KeymapError> {
        for (number, entry) in self.0.iter().enumerate() {
            let later = self.0.iter().skip(number + 1);
            for other in later.filter(|other| other.binding.context == entry.binding.context) {
                if let Some(key) = entry
                    .keys
                    .iter()
                    .find(|key| other.keys.iter().any(|taken| clash(key, taken)))
                {
                    return Err(KeymapError::Taken {
                        key: spelled(key),
                        first: entry.binding.name(),
                        second: other.binding.name(),
                        place: entry.binding.context.title(),
                    });
                }
            }
        }
        Ok(())
    }

    /// What `keys` mean in the first of `contexts` that knows them.
    pub(crate) fn look_up(&self, contexts: &[Context], keys: &[Chord]) -> Lookup {
        for context in contexts {
            let here = self.0.iter().filter(|entry| entry.binding.context == *context);
            for entry in here {
                if entry.keys.iter().any(|sequence| sequence == keys) {
                    return Lookup::Action(entry.binding.action);
                }
                if entry.keys.iter().any(|sequence| is_start(keys, sequence)) {
                    return Lookup::Prefix;
                }
            }
        }
        Lookup::Nothing
    }

    /// The rows of `contexts`, in the order of the contexts.
    pub(crate) fn entries_of<'a>(&'a self, contexts: &'a [Context]) -> impl Iterator<Item = &'a Entry> {
        contexts.iter().flat_map(|context| {
            self.0
                .iter()
                .filter(move |entry| entry.binding.context == *context)
        })
    }

    /// All rows, in the order of the table.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// What can follow after `prefix` in `contexts`.
    pub(crate) fn after<'a>(
        &'a self,
        contexts: &'a [Context],
        prefix: &'a [Chord],
    ) -> impl Iterator<Item = (String, &'a Entry)> {
        self.entries_of(contexts).filter_map(move |entry| {
            let sequence = entry.keys.iter().find(|sequence| is_start(prefix, sequence))?;
            let rest = sequence.get(prefix.len()..)?;
            Some((spelled(rest), entry))
        })
    }
}

/// One of them is the other, or begins it.
fn clash(one: &[Chord], other: &[Chord]) -> bool {
    one == other || is_start(one, other) || is_start(other, one)
}

fn is_start(start: &[Chord], sequence: &[Chord]) -> bool {
    start.len() < sequence.len() && sequence.starts_with(start)
}

fn parse_sequence(text: &str) -> Option<Sequence> {
    let sequence: Option<Sequence> = text.split_whitespace().map(Chord::parse).collect();
    sequence.filter(|sequence| (1..=2).contains(&sequence.len()))
}

/// The keys of an entry as help shows them: `j ↓`.
pub(crate) fn keys_of(entry: &Entry) -> String {
    let keys: Vec<String> = entry.keys.iter().map(|key| spelled(key)).collect();
    keys.join(" ")
}

/// The table as a page of Markdown.
#[cfg(test)]
pub(crate) fn markdown(keymap: &Keymap) -> String {
    let mut page = String::from(
        "# Keys\n\nMade from the key table in `ui/src/keymap/table.rs`. Every action has a name: `:` runs it, the \
         configuration's `[keys]` gives it other keys.\n",
    );
    let mut context = None;
    for entry in keymap.entries() {
        let binding = entry.binding;
        if context.replace(binding.context) != Some(binding.context) {
            // Writing to a string cannot fail.
            let _ = write!(
                page,
                "\n## {}\n\n| key | action | name |\n|---|---|---|\n",
                binding.context.title()
            );
        }
        let keys: Vec<String> = entry
            .keys
            .iter()
            .map(|key| format!("`{}`", spelled(key)))
            .collect();
        let names: Vec<String> = binding.names.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(
            page,
            "| {} | {} | {} |",
            keys.join(" "),
            binding.help,
            names.join(", ")
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_can_be_read_and_helps() {
        let keymap = Keymap::new(&[]).unwrap();
        for entry in keymap.entries() {
            let binding = entry.binding;
            assert_eq!(entry.keys.len(), binding.keys.len(), "{}", binding.name());
            assert!(
                !binding.help.is_empty() && !binding.names.is_empty(),
                "{:?}",
                binding.keys
            );
            assert_eq!(
                binding.priority > 0,
                binding.priority > 0 && !binding.label.is_empty(),
                "{}",
                binding.name()
            );
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = TABLE.iter().flat_map(|binding| binding.names).copied().collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn no_key_needs_alt_or_a_function_key() {
        for entry in Keymap::new(&[]).unwrap().entries() {
            for chord in entry.keys.iter().flatten() {
                assert!(!matches!(chord.code, KeyCode::F(_)), "{}", entry.binding.name());
            }
        }
    }

    #[test]
    fn a_key_of_ones_own_takes_the_place_of_ours() {
        let keymap = Keymap::new(&[("quit".to_owned(), vec!["X".to_owned()])]).unwrap();
        let press = |text: &str| keymap.look_up(&[Context::Global], &parse_sequence(text).unwrap());
        assert_eq!(press("X"), Lookup::Action(Action::Quit));
        assert_eq!(press("q"), Lookup::Nothing);
    }

    #[test]
    fn keys_that_cannot_work_are_named() {
        let with =
            |name: &str, key: &str| Keymap::new(&[(name.to_owned(), vec![key.to_owned()])]).unwrap_err();
        assert_eq!(with("fly", "x"), KeymapError::UnknownAction("fly".to_owned()));
        assert_eq!(
            with("quit", "hyper-x"),
            KeymapError::UnknownKey("hyper-x".to_owned())
        );
        assert!(
            with("quit", "R")
                .to_string()
                .contains("`R` would mean both `record` and `quit`")
        );
        assert!(
            matches!(with("filter", "g"), KeymapError::Taken { .. }),
            "a key that begins a sequence"
        );
    }

    #[test]
    fn the_page_of_keys_in_the_documentation_is_this_table() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/keys.md");
        let table = markdown(&Keymap::new(&[]).unwrap());
        if std::env::var_os("SHADOWCAT_WRITE_DOCS").is_some() {
            std::fs::write(page, &table).unwrap();
        }
        let written = std::fs::read_to_string(page).unwrap();
        assert!(
            written == table,
            "docs/keys.md is out of date; run this test with SHADOWCAT_WRITE_DOCS=1"
        );
    }
}
