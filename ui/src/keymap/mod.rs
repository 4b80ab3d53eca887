//! Which key does what, where: parsing, looking up and describing the [`TABLE`].

mod chord;
mod table;

use chord::parse_sequence;
pub(crate) use chord::{Chord, Sequence, spelled};
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
    /// What is known of a recording, or what differs, below the list.
    RecordingPage,
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
            Self::RecordingPage => "Below the list of recordings",
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

/// The keys of an entry as help shows them: `j ↓`.
pub(crate) fn keys_of(entry: &Entry) -> String {
    let keys: Vec<String> = entry.keys.iter().map(|key| spelled(key)).collect();
    keys.join(" ")
}

#[cfg(test)]
mod tests;
