//! All that the screen is made of, as plain data.

mod rows;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::KeyEvent;
use jiff::tz::TimeZone;
use shadowcat::clock::Timestamp;
use shadowcat::ids::{MessageId, ProxySessionId, StreamId};
use shadowcat::snapshot::{Snapshot, Source, ViewQuery};

use crate::detail::Detail;
use crate::held_screen::Held;
pub(crate) use crate::hold_modes::{
    FieldEdit, FieldsState, HeadState, HoldPrompt, HoldPurpose, ProblemsState, Question, Then,
};
use crate::keymap::{Chord, Context, Keymap};
use crate::layout::{self, Areas};
use crate::line_edit::LineEdit;
use crate::list::ListState;
use crate::playback::Playback;
use crate::recordings_screen::Recordings;
use crate::seen::Seen;
use crate::theme::{Role, Theme};
use crate::update::typed::TypedCommand;

/// The screens that digits lead to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Screen {
    #[default]
    Traffic,
    Streams,
    Resources,
    Log,
    Servers,
    Held,
    Rules,
    Recordings,
}

impl Screen {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Traffic => "Traffic",
            Self::Streams => "Streams",
            Self::Resources => "Resources",
            Self::Log => "Log",
            Self::Servers => "Servers",
            Self::Held => "Held",
            Self::Rules => "Rules",
            Self::Recordings => "Recordings",
        }
    }
}

/// The parts of the screens that can have the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pane {
    Sessions,
    Messages,
    Detail,
    Streams,
    Events,
    Resources,
    Log,
    /// All of the chosen line of the log.
    LogLine,
    Servers,
    /// All that is known of the chosen server.
    Server,
    /// The held messages.
    Held,
    /// The chosen held message.
    HeldText,
    Rules,
    /// The recordings of some folders.
    Recordings,
    /// The chosen recording.
    Recording,
}

impl Pane {
    /// The panes of a screen, in the order of Tab.
    pub(crate) const fn of(screen: Screen) -> &'static [Self] {
        match screen {
            Screen::Traffic => &[Self::Sessions, Self::Messages, Self::Detail],
            Screen::Streams => &[Self::Streams, Self::Events],
            Screen::Resources => &[Self::Resources],
            Screen::Log => &[Self::Log, Self::LogLine],
            Screen::Servers => &[Self::Servers, Self::Server],
            Screen::Held => &[Self::Held, Self::HeldText],
            Screen::Rules => &[Self::Rules],
            Screen::Recordings => &[Self::Recordings, Self::Recording],
        }
    }
}

/// What keys go to, instead of the panes.
#[derive(Debug, Clone, Default)]
pub(crate) enum Mode {
    #[default]
    Normal,
    /// A sequence was begun; what can follow is shown.
    Prefix(Chord),
    Filter(FilterEdit),
    /// Search within the detail.
    Search(LineEdit),
    /// The path of a new recording.
    Record(LineEdit),
    Palette(PaletteState),
    Help(HelpState),
    Copy,
    /// What to paste into a client.
    CopyServer,
    /// A yes or no before something that cannot be taken back.
    Ask(Question),
    /// How a held message is refused.
    Refuse(u64),
    /// When and how often a held message goes on.
    Faulting(u64),
    /// Something is typed for a held message or a rule.
    Hold(HoldPrompt),
    /// An edit that may be wrong: what becomes of it.
    Problems(ProblemsState),
    /// The values of a held message, to be changed in place.
    Fields(FieldsState),
    /// The fields of a head that follow an edit.
    Head(HeadState),
}

/// The filter while it is being typed.
#[derive(Debug, Clone, Default)]
pub(crate) struct FilterEdit {
    pub(crate) line: LineEdit,
    /// What was in force before.
    pub(crate) before: String,
    /// How far back in the history of filters.
    pub(crate) history_at: Option<usize>,
    /// Which proposal the last Tab put in, and the text that was completed.
    pub(crate) completion: Option<(usize, LineEdit)>,
}

/// The command palette.
#[derive(Debug, Clone, Default)]
pub(crate) struct PaletteState {
    pub(crate) line: LineEdit,
    /// Best match first.
    pub(crate) found: Vec<Choice>,
    pub(crate) chosen: usize,
    /// It was chosen among them, and is not only the first.
    pub(crate) is_chosen: bool,
    /// How what was typed could go on, after Tab.
    pub(crate) names: Vec<String>,
}

impl PaletteState {
    pub(crate) fn chosen(&self) -> Option<Choice> {
        self.found.get(self.chosen).copied()
    }
}

/// A command that the palette lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The one at this position of the key table.
    Action(usize),
    /// One that needs words behind its name.
    Typed(&'static TypedCommand),
}

/// The help window.
#[derive(Debug, Clone, Default)]
pub(crate) struct HelpState {
    pub(crate) search: LineEdit,
    pub(crate) scroll: usize,
    /// The keys of all views, not of this one only.
    pub(crate) is_all: bool,
}

/// A short message at the bottom of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toast {
    pub(crate) text: String,
    pub(crate) role: Role,
    pub(crate) until: Timestamp,
}

/// Which lines of the log are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum LogLevel {
    #[default]
    All,
    Info,
    Warnings,
    Errors,
}

impl LogLevel {
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::All => Self::Info,
            Self::Info => Self::Warnings,
            Self::Warnings => Self::Errors,
            Self::Errors => Self::All,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Info => "info and above",
            Self::Warnings => "warnings and errors",
            Self::Errors => "errors",
        }
    }

    pub(crate) fn shows(self, level: &str) -> bool {
        match self {
            Self::All => true,
            Self::Info => matches!(level, "ERROR" | "WARN" | "INFO"),
            Self::Warnings => matches!(level, "ERROR" | "WARN"),
            Self::Errors => level == "ERROR",
        }
    }
}

/// The row that was on screen under the cursor, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drawn {
    pub(crate) row: MessageId,
    /// When it came under the cursor without the user's doing; `None` if the user put the cursor there.
    pub(crate) moved_at: Option<Timestamp>,
}

/// How long a row has to be under the cursor before a key may act on it, if the list put it there.
pub(crate) const ROW_GUARD: Duration = Duration::from_millis(150);

/// Filters remembered for the Up key.
pub(crate) const FILTERS_KEPT: usize = 50;

/// The state of the frontend.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, not a state of one machine"
)]
pub(crate) struct Model {
    pub(crate) theme: Theme,
    /// Colours are not to be used whatever the palette key says.
    pub(crate) has_colours: bool,
    pub(crate) is_read_only: bool,
    /// The opened recording is one that another run of this program is writing.
    pub(crate) is_still_written: bool,
    pub(crate) title: String,
    pub(crate) zone: TimeZone,
    pub(crate) keymap: Keymap,
    /// Columns and rows of the terminal.
    pub(crate) size: (u16, u16),
    pub(crate) now: Timestamp,
    pub(crate) snapshot: Arc<Snapshot>,
    /// The engine has ended: what is shown is the last it said.
    pub(crate) is_engine_gone: bool,
    /// What was asked of the engine last.
    pub(crate) query: ViewQuery,
    pub(crate) screen: Screen,
    pub(crate) traffic_pane: Pane,
    pub(crate) streams_pane: Pane,
    pub(crate) servers_pane: Pane,
    pub(crate) held_pane: Pane,
    pub(crate) log_pane: Pane,
    pub(crate) recordings_pane: Pane,
    pub(crate) is_zoomed: bool,
    pub(crate) has_mouse: bool,
    pub(crate) has_bell: bool,
    pub(crate) mode: Mode,
    pub(crate) sessions: ListState<Option<ProxySessionId>>,
    pub(crate) messages: ListState<MessageId>,
    pub(crate) streams: ListState<StreamId>,
    /// Events of the chosen stream, by their position; the newest is followed.
    pub(crate) events: ListState<u64>,
    pub(crate) log: ListState<u64>,
    pub(crate) log_level: LogLevel,
    pub(crate) log_scroll_right: usize,
    pub(crate) log_line_scroll: usize,
    pub(crate) resources_scroll: usize,
    /// Servers by their place in the configuration.
    pub(crate) servers: ListState<u64>,
    pub(crate) server_scroll: usize,
    pub(crate) held: Held,
    /// Rules by their place in the order in which they are asked.
    pub(crate) rules: ListState<u64>,
    pub(crate) recordings: Recordings,
    /// The opened recording is played; the cursor of the messages goes with it.
    pub(crate) playback: Option<Playback>,
    pub(crate) detail: Detail,
    /// The filter in force (while typing: the one being typed).
    pub(crate) filter: String,
    pub(crate) filter_history: VecDeque<String>,
    /// What a filter could ask for.
    pub(crate) seen: Seen,
    pub(crate) session: Option<ProxySessionId>,
    pub(crate) drawn: Option<Drawn>,
    /// The cursor is where the user put it since the last drawing.
    pub(crate) has_user_moved: bool,
    /// Keys that came after one whose row is still to come; they are meant for that row.
    pub(crate) later: VecDeque<KeyEvent>,
    pub(crate) toast: Option<Toast>,
    /// The recording that was last written to, and its bytes so far.
    pub(crate) recorded: Option<(PathBuf, u64)>,
}

impl Model {
    pub(crate) fn new(keymap: Keymap, theme: Theme, zone: TimeZone) -> Self {
        Self {
            theme,
            has_colours: true,
            is_read_only: false,
            is_still_written: false,
            title: "shadowcat".to_owned(),
            zone,
            keymap,
            size: (80, 24),
            now: Timestamp::default(),
            snapshot: Arc::default(),
            is_engine_gone: false,
            query: ViewQuery::default(),
            screen: Screen::Traffic,
            traffic_pane: Pane::Messages,
            streams_pane: Pane::Streams,
            servers_pane: Pane::Servers,
            held_pane: Pane::Held,
            log_pane: Pane::Log,
            recordings_pane: Pane::Recordings,
            is_zoomed: false,
            has_mouse: true,
            has_bell: true,
            mode: Mode::Normal,
            sessions: ListState::new(false),
            messages: ListState::new(true),
            streams: ListState::new(true),
            events: ListState::new(true),
            log: ListState::new(true),
            log_level: LogLevel::All,
            log_scroll_right: 0,
            log_line_scroll: 0,
            resources_scroll: 0,
            servers: ListState::new(false),
            server_scroll: 0,
            held: Held::default(),
            rules: ListState::new(false),
            recordings: Recordings::default(),
            playback: None,
            detail: Detail::default(),
            filter: String::new(),
            filter_history: VecDeque::new(),
            seen: Seen::default(),
            session: None,
            drawn: None,
            has_user_moved: false,
            later: VecDeque::new(),
            toast: None,
            recorded: None,
        }
    }

    /// The pane that has the focus.
    pub(crate) const fn pane(&self) -> Pane {
        match self.screen {
            Screen::Traffic => self.traffic_pane,
            Screen::Streams => self.streams_pane,
            Screen::Resources => Pane::Resources,
            Screen::Log => self.log_pane,
            Screen::Servers => self.servers_pane,
            Screen::Held => self.held_pane,
            Screen::Rules => Pane::Rules,
            Screen::Recordings => self.recordings_pane,
        }
    }

    pub(crate) fn focus(&mut self, pane: Pane) {
        match pane {
            Pane::Sessions | Pane::Messages | Pane::Detail => self.traffic_pane = pane,
            Pane::Streams | Pane::Events => self.streams_pane = pane,
            Pane::Servers | Pane::Server => self.servers_pane = pane,
            Pane::Held | Pane::HeldText => self.held_pane = pane,
            Pane::Log | Pane::LogLine => self.log_pane = pane,
            Pane::Recordings | Pane::Recording => self.recordings_pane = pane,
            Pane::Resources | Pane::Rules => {}
        }
    }

    /// Where keys are looked up, the nearest first.
    pub(crate) const fn contexts(&self) -> &'static [Context] {
        match &self.mode {
            Mode::Normal | Mode::Prefix(_) => self.pane_contexts(),
            Mode::Filter(_) => &[Context::Filtering],
            Mode::Search(_) | Mode::Record(_) | Mode::Hold(_) => &[Context::Prompt],
            Mode::Palette(_) => &[Context::Palette],
            Mode::Help(_) => &[Context::Help],
            Mode::Copy => &[Context::Copying],
            Mode::CopyServer => &[Context::CopyingServer],
            Mode::Ask(_) => &[Context::Asking],
            Mode::Refuse(_) => &[Context::Refusing],
            Mode::Faulting(_) => &[Context::Faulting],
            Mode::Problems(_) => &[Context::Doubting],
            Mode::Fields(state) if state.edit.is_some() => &[Context::Prompt],
            Mode::Fields(_) => &[Context::Fields],
            Mode::Head(_) => &[Context::Heads],
        }
    }

    /// The contexts of the pane that has the focus.
    pub(crate) const fn pane_contexts(&self) -> &'static [Context] {
        use Context as C;
        match self.pane() {
            Pane::Sessions => &[C::Sessions, C::Traffic, C::List, C::Global],
            Pane::Messages => &[C::Messages, C::Traffic, C::List, C::Global],
            Pane::Detail => &[C::Detail, C::Traffic, C::List, C::Global],
            Pane::Streams => &[C::Streams, C::List, C::Global],
            Pane::Events => &[C::Events, C::List, C::Global],
            Pane::Resources => &[C::List, C::Global],
            Pane::Servers | Pane::Server => &[C::Servers, C::List, C::Global],
            Pane::Log | Pane::LogLine => &[C::Log, C::List, C::Global],
            Pane::Held | Pane::HeldText => &[C::Held, C::List, C::Global],
            Pane::Rules => &[C::Rules, C::List, C::Global],
            Pane::Recordings => &[C::Recordings, C::List, C::Global],
            Pane::Recording => &[C::RecordingPage, C::Recordings, C::List, C::Global],
        }
    }

    /// Where everything is on the screen.
    pub(crate) fn areas(&self) -> Areas {
        layout::areas(self)
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.snapshot.source, Source::Live { .. })
    }

    /// Shows `text` for a moment.
    pub(crate) fn say(&mut self, role: Role, text: impl Into<String>) {
        self.toast = Some(Toast {
            text: text.into(),
            role,
            until: self.now.plus(Duration::from_secs(4)),
        });
    }

    /// The snapshot answers what was asked last.
    pub(crate) fn is_current(&self) -> bool {
        self.snapshot.query_serial == self.query.serial
    }

    /// Notes what a drawing has put under the cursor.
    pub(crate) fn note_drawn(&mut self) {
        let is_users = std::mem::take(&mut self.has_user_moved);
        let drawn = self.messages.cursor.map(|row| {
            let same = self.drawn.filter(|drawn| drawn.row == row && !is_users);
            same.unwrap_or(Drawn {
                row,
                moved_at: (!is_users).then_some(self.now),
            })
        });
        self.drawn = drawn;
        self.held.note_drawn(self.screen == Screen::Held, self.now);
    }
}
