//! The loop around `update`: terminal, engine, signals and timers in; effects out.

use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crossterm::event::{Event as Input, EventStream, KeyEventKind, MouseEventKind};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::tz::TimeZone;
use shadowcat::clock::Clock;
use shadowcat::frontend::{EngineGoneError, Frontend};
use shadowcat::ids::HoldId;
use shadowcat::intercept::hold::Actor;
use shadowcat::intercept::interceptor::InterceptCommand;
use shadowcat::snapshot::{Command, Reply};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use crate::editor::Draft;
use crate::editor_place::{self, Outcome as EditOutcome, Place};
use crate::effect::{Effect, Purpose};
use crate::format;
use crate::keymap::{Keymap, KeymapError};
use crate::model::Model;
use crate::recordings::{Desk, LookFlags, Outcome, from_home, is_still_written, open_in_front, unreadable};
use crate::terminal::{self, QuietPanics, Screen};
use crate::theme::{Palette, Role, Theme};
use crate::update::recordings::is_under_way;
use crate::update::{Event, update};
use crate::view;

/// Least time between two frames.
const FRAME: Duration = Duration::from_millis(16);

/// Commands under way at once.
const MOST_ASKED: usize = 8;

/// Inputs taken in before the next frame.
const MOST_INPUTS: usize = 256;

/// What the frontend is to look like and may do.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each stands for a flag of the command line"
)]
pub(crate) struct AppOptions {
    /// Colours to begin with.
    pub(crate) palette: Palette,
    /// `NO_COLOR` is set, or colours are not wanted: none are ever used.
    pub(crate) no_color: bool,
    /// Signs and borders of ASCII only.
    pub(crate) ascii: bool,
    /// Names of actions and the keys they are to have in place of the table's.
    pub(crate) keys: Vec<(String, Vec<String>)>,
    /// Draw on the ordinary screen, so that the last picture stays.
    pub(crate) no_alt_screen: bool,
    /// Leave the mouse to the terminal until it is asked for.
    pub(crate) no_mouse: bool,
    /// Never ring the terminal.
    pub(crate) no_bell: bool,
    /// How an editor is opened for a message; what the environment offers if `None`.
    pub(crate) editor_cmd: Option<String>,
    /// Look, but start and stop nothing.
    pub(crate) read_only: bool,
    /// Shown at the left of the status line; `shadowcat` if `None`.
    pub(crate) title: Option<String>,
    /// The filter to begin with; empty shows all.
    pub(crate) filter: String,
}

/// The frontend could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum AppError {
    /// A key of the configuration cannot be used.
    #[error("a key binding cannot be used: {0}")]
    Keys(#[from] KeymapError),
    /// The terminal does not do what it has to.
    #[error("the terminal cannot be used; run in a terminal, or use --headless")]
    Terminal(#[source] io::Error),
    /// The terminal has gone (SIGHUP, end of input). Nothing may be written to it any more: end the process.
    #[error("the terminal has gone")]
    TerminalGone,
    /// A mistake of this program. The terminal has been given back.
    #[error("the screen stopped by a mistake of shadowcat-tui; please report it: {0}")]
    Panicked(String),
}

/// Shows `frontend` on the terminal until the user quits, or SIGINT or SIGTERM comes.
///
/// The terminal is given back before this returns, also on a panic. The engine is left as it is: ending it is the
/// caller's business. Must be polled by one task only; panics of other tasks go to the log meanwhile. From the first
/// call on, SIGHUP, SIGINT, SIGTERM and SIGCONT are the runtime's: a caller that goes on working afterwards has to
/// listen for them itself.
///
/// # Errors
/// [`AppError`]; after [`AppError::TerminalGone`] the process should end at once.
pub(crate) async fn run(frontend: Frontend, options: AppOptions) -> Result<(), AppError> {
    let model = first_model(&options)?;
    let place = Place::of(options.editor_cmd.as_deref());
    let quiet = QuietPanics::install();
    let outcome = AssertUnwindSafe(show(frontend, model, !options.no_alt_screen, place))
        .catch_unwind()
        .await;
    drop(quiet);
    outcome.unwrap_or_else(|_| {
        let text = terminal::take_panic().unwrap_or_else(|| "no message".to_owned());
        Err(AppError::Panicked(text))
    })
}

fn first_model(options: &AppOptions) -> Result<Model, AppError> {
    let palette = if options.no_color {
        Palette::Mono
    } else {
        options.palette
    };
    let theme = Theme {
        palette,
        is_ascii: options.ascii,
    };
    let mut model = Model::new(Keymap::new(&options.keys)?, theme, TimeZone::system());
    model.has_colours = !options.no_color;
    model.is_read_only = options.read_only;
    model.is_still_written = is_still_written();
    model.has_mouse = !options.no_mouse;
    model.has_bell = !options.no_bell;
    model.filter.clone_from(&options.filter);
    if let Some(title) = &options.title {
        title.clone_into(&mut model.title);
    }
    Ok(model)
}

async fn show(frontend: Frontend, model: Model, has_alternate: bool, place: Place) -> Result<(), AppError> {
    let mut signals = Signals::install().map_err(AppError::Terminal)?;
    let screen = Screen::enter(has_alternate, model.has_mouse).map_err(AppError::Terminal)?;
    let mut app = App {
        clock: Clock::start(),
        frontend,
        model,
        screen,
        asked: FuturesUnordered::new(),
        place,
        editing: FuturesUnordered::new(),
        to_edit: None,
        to_open: None,
        beat_at: None,
        desk: Desk::default(),
        has_alternate,
        is_dirty: true,
        is_ending: false,
    };
    let outcome = app.work(&mut signals).await;
    app.screen.leave();
    outcome
}

struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
    go_on: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            go_on: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        })
    }
}

/// What an editor saved, `None` if nothing was to be saved, or what went wrong.
type Edit = Result<Option<Vec<u8>>, String>;

/// A message that an editor beside this terminal had, its text, and what became of it.
type Beside = (Option<HoldId>, Vec<u8>, EditOutcome);

type Answer = (Purpose, Result<Reply, EngineGoneError>);

struct App {
    clock: Clock,
    frontend: Frontend,
    model: Model,
    screen: Screen,
    asked: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Where an editor opens.
    place: Place,
    /// An editor beside this terminal.
    editing: FuturesUnordered<BoxFuture<'static, Beside>>,
    /// A message that the user's editor is to get next, in this terminal.
    to_edit: Option<(Option<HoldId>, Vec<u8>)>,
    /// A recording that is to have the terminal next.
    to_open: Option<PathBuf>,
    /// When the next beat comes.
    beat_at: Option<Instant>,
    desk: Desk,
    has_alternate: bool,
    is_dirty: bool,
    is_ending: bool,
}

impl App {
    async fn work(&mut self, signals: &mut Signals) -> Result<(), AppError> {
        let mut inputs = EventStream::new();
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_frame = Instant::now();
        self.begin(signals).await?;
        while !self.is_ending {
            if let Some((id, text)) = self.to_edit.take() {
                // Whoever reads the terminal beside the editor takes its keys away.
                drop(inputs);
                self.edit(id, &text, signals).await?;
                inputs = EventStream::new();
                continue;
            }
            if let Some(path) = self.to_open.take() {
                drop(inputs);
                self.show_recording(path, signals).await?;
                inputs = EventStream::new();
                continue;
            }
            let is_gone = self.model.is_engine_gone;
            let beat_at = self.beat_at;
            tokio::select! {
                biased;
                _ = signals.hang_up.recv() => return Err(AppError::TerminalGone),
                _ = signals.terminate.recv() => self.is_ending = true,
                _ = signals.interrupt.recv() => self.is_ending = true,
                input = inputs.next() => self.take_inputs(input, &mut inputs, signals).await?,
                () = sleep_until(next_frame), if self.is_dirty => {
                    self.meet_size(signals).await?;
                    self.draw()?;
                    next_frame = Instant::now() + FRAME;
                }
                Some(beside) = self.editing.next() => self.came_back(beside, signals).await?,
                Some((purpose, reply)) = self.asked.next() => self.take(Event::Reply(purpose, reply), signals).await?,
                () = sleep_until(beat_at.unwrap_or(next_frame)), if beat_at.is_some() => {
                    self.beat_at = None;
                    self.take(Event::Beat, signals).await?;
                }
                outcome = self.desk.next() => self.take(Event::Recordings(outcome), signals).await?,
                changed = self.frontend.snapshots.changed(), if !is_gone => {
                    let event = match changed {
                        Ok(()) => Event::Snapshot(Arc::clone(&self.frontend.snapshots.borrow_and_update())),
                        Err(_) => Event::EngineGone,
                    };
                    self.take(event, signals).await?;
                }
                _ = ticks.tick() => self.take(Event::Tick, signals).await?,
            }
        }
        Ok(())
    }

    /// The first frame shows what there is already.
    async fn begin(&mut self, signals: &mut Signals) -> Result<(), AppError> {
        self.meet_size(signals).await?;
        let latest = Arc::clone(&self.frontend.snapshots.borrow_and_update());
        self.take(Event::Snapshot(latest), signals).await
    }

    /// Takes in the size that the terminal has now. It may have changed before anybody listened for that, or while the
    /// process was stopped.
    async fn meet_size(&mut self, signals: &mut Signals) -> Result<(), AppError> {
        let (columns, rows) = self.screen.size().map_err(AppError::Terminal)?;
        if self.model.size != (columns, rows) {
            self.take(Event::Resize(columns, rows), signals).await?;
        }
        Ok(())
    }

    /// Takes what was typed, all that is there, before anything is drawn.
    async fn take_inputs(
        &mut self,
        first: Option<io::Result<Input>>,
        inputs: &mut EventStream,
        signals: &mut Signals,
    ) -> Result<(), AppError> {
        let mut next = Some(first);
        let mut left = MOST_INPUTS;
        while let Some(input) = next {
            let input = input.ok_or(AppError::TerminalGone)?.map_err(AppError::Terminal)?;
            if let Some(event) = event_of(input) {
                self.take(event, signals).await?;
            }
            left -= 1;
            let goes_on = left > 0 && !self.is_ending && self.to_edit.is_none() && self.to_open.is_none();
            next = if goes_on { ready_input(inputs).await } else { None };
        }
        Ok(())
    }

    async fn take(&mut self, event: Event, signals: &mut Signals) -> Result<(), AppError> {
        self.is_dirty = true;
        let effects = update(&mut self.model, event, self.clock.now());
        for effect in effects {
            self.carry_out(effect, signals).await?;
        }
        Ok(())
    }

    async fn carry_out(&mut self, effect: Effect, signals: &mut Signals) -> Result<(), AppError> {
        match effect {
            Effect::Query(query) => {
                self.frontend.queries.send_replace(query);
            }
            Effect::Ask(purpose, command) => self.ask(purpose, command),
            Effect::Copy { what, text } => self.copy(&what, &text),
            Effect::Ring(text) => terminal::ring(&text).map_err(AppError::Terminal)?,
            Effect::Mouse(is_wanted) => self.screen.capture_mouse(is_wanted).map_err(AppError::Terminal)?,
            Effect::Redraw => self.screen.clear().map_err(AppError::Terminal)?,
            Effect::Edit { id, text } => self.open_editor(id, text).await,
            Effect::Recordings(errand) => self.desk.take(errand),
            Effect::Beat(after) => self.beat_at = Some(Instant::now() + after),
            Effect::OpenRecording(path) => self.to_open = Some(path),
            Effect::Suspend => self.suspend(signals).await?,
            Effect::Quit => self.is_ending = true,
        }
        Ok(())
    }

    fn ask(&mut self, purpose: Purpose, command: Command) {
        let is_detail = matches!(purpose, Purpose::Detail(_) | Purpose::HeldText(_));
        // Of details there is never more than one; it must have an answer.
        if !is_detail && self.asked.len() >= MOST_ASKED {
            return self.tell(Role::Warn, "still busy with earlier commands; try again");
        }
        let commands = self.frontend.commands.clone();
        let answer = async move { (purpose, commands.ask(command).await) };
        self.asked.push(answer.boxed());
    }

    fn copy(&mut self, what: &str, text: &str) {
        let size = format::size(text.len() as u64);
        if text.len() > terminal::CLIPBOARD_BYTES {
            let most = format::size(terminal::CLIPBOARD_BYTES as u64);
            return self.tell(
                Role::Warn,
                &format!("{what}: {size} is more than the {most} that terminals take"),
            );
        }
        match terminal::copy(text) {
            Ok(()) => self.tell(
                Role::Good,
                &format!("copied {what}, {size}, through the terminal (OSC 52)"),
            ),
            Err(error) => self.tell(Role::Bad, &format!("{what} was not copied: {error}")),
        }
    }

    /// A word to the user from outside of `update`; it has no effects of its own.
    fn tell(&mut self, role: Role, text: &str) {
        self.is_dirty = true;
        self.model.say(role, text);
    }

    /// Back to the shell until it lets us go on. Where nobody stops us the screen comes back after a moment.
    async fn suspend(&mut self, signals: &mut Signals) -> Result<(), AppError> {
        self.screen.leave();
        terminal::stop_process().map_err(AppError::Terminal)?;
        tokio::select! {
            _ = signals.go_on.recv() => {}
            () = sleep(Duration::from_millis(500)) => {}
        }
        self.screen.resume().map_err(AppError::Terminal)?;
        self.is_dirty = true;
        Ok(())
    }

    /// Opens the user's editor where it has its place.
    async fn open_editor(&mut self, id: Option<HoldId>, text: Vec<u8>) {
        if self.place == Place::Terminal {
            self.to_edit = Some((id, text));
            return;
        }
        let what = what_of(id);
        let now = self.clock.now();
        let draft = match Draft::create(&what, now, &text) {
            Ok(draft) => draft,
            Err(error) => {
                let outcome = EditOutcome::Saved(Err(error));
                self.editing.push(std::future::ready((id, text, outcome)).boxed());
                return;
            }
        };
        self.say_editing(id, true).await;
        let place = self.place.clone();
        let edited = async move { (id, text, editor_place::edit(place, draft, now).await) };
        self.editing.push(edited.boxed());
        self.tell(
            Role::Accent,
            &format!("{what} is in your editor beside this; the queue goes on"),
        );
    }

    /// An editor beside this terminal has ended, or could not be opened: then it gets this terminal.
    async fn came_back(
        &mut self,
        (id, text, outcome): Beside,
        signals: &mut Signals,
    ) -> Result<(), AppError> {
        let saved = match outcome {
            EditOutcome::Saved(saved) => saved,
            EditOutcome::NotOpened(reason) => {
                tracing::warn!("no editor beside the screen ({reason}); it gets this terminal");
                self.to_edit = Some((id, text));
                return Ok(());
            }
        };
        self.say_editing(id, false).await;
        let outcome = saved.map_err(|error| format!("what was edited is lost: {error}"));
        self.take(Event::Edited(id, outcome), signals).await
    }

    /// Gives the terminal to the user's editor until that has ended. Traffic goes on meanwhile, and the message stays
    /// held however long it takes.
    async fn edit(&mut self, id: Option<HoldId>, text: &[u8], signals: &mut Signals) -> Result<(), AppError> {
        self.say_editing(id, true).await;
        self.screen.leave();
        let outcome = self.run_editor(id, text, signals).await?;
        self.screen.resume().map_err(AppError::Terminal)?;
        self.say_editing(id, false).await;
        self.take(Event::Edited(id, outcome), signals).await
    }

    /// What the editor leaves, or why there was none.
    async fn run_editor(
        &mut self,
        id: Option<HoldId>,
        text: &[u8],
        signals: &mut Signals,
    ) -> Result<Edit, AppError> {
        let draft = match Draft::create(&what_of(id), self.clock.now(), text) {
            Ok(draft) => draft,
            Err(error) => return Ok(Err(format!("no file for the editor: {error}"))),
        };
        let mut child = match draft.open() {
            Ok(child) => child,
            Err(error) => return Ok(Err(format!("the editor could not be started: {error}"))),
        };
        let status = loop {
            tokio::select! {
                biased;
                _ = signals.hang_up.recv() => return Err(AppError::TerminalGone),
                _ = signals.terminate.recv() => {
                    self.is_ending = true;
                    return Ok(Ok(None));
                }
                // Ctrl-C on this terminal is the editor's.
                _ = signals.interrupt.recv() => {}
                status = child.wait() => break status,
            }
        };
        let taken = status.and_then(|status| draft.take(status.success()));
        Ok(taken.map_err(|error| format!("what was edited is lost: {error}")))
    }

    /// Gives the terminal to another run of this program until that has ended. Traffic goes on meanwhile.
    async fn show_recording(&mut self, path: PathBuf, signals: &mut Signals) -> Result<(), AppError> {
        let path = from_home(&path);
        // The terminal is given away only if there is something to show.
        if let Some(reason) = unreadable(&path) {
            let outcome = Err(reason);
            let came = Outcome::CameBack { path, outcome };
            return self.take(Event::Recordings(came), signals).await;
        }
        self.screen.leave();
        let outcome = self.run_recording(&path, signals).await?;
        self.screen.resume().map_err(AppError::Terminal)?;
        self.take(Event::Recordings(Outcome::CameBack { path, outcome }), signals)
            .await
    }

    /// How that run ended.
    async fn run_recording(
        &mut self,
        path: &Path,
        signals: &mut Signals,
    ) -> Result<Result<(), String>, AppError> {
        let model = &self.model;
        let look = LookFlags {
            theme: model.has_colours.then(|| model.theme.palette.name()),
            is_ascii: model.theme.is_ascii,
            has_mouse: model.has_mouse,
            has_alternate: self.has_alternate,
            is_read_only: model.is_read_only,
            is_still_written: is_under_way(model, path),
        };
        let mut run = match open_in_front(path, look) {
            Ok(run) => run,
            Err(reason) => return Ok(Err(reason)),
        };
        loop {
            tokio::select! {
                biased;
                _ = signals.hang_up.recv() => return Err(AppError::TerminalGone),
                _ = signals.terminate.recv() => {
                    self.is_ending = true;
                    run.end().await;
                    return Ok(Ok(()));
                }
                // Ctrl-C on this terminal is that run's.
                _ = signals.interrupt.recv() => {}
                outcome = run.ended() => return Ok(outcome),
            }
        }
    }

    /// While it is edited nothing happens to it by itself.
    async fn say_editing(&mut self, id: Option<HoldId>, is_editing: bool) {
        let Some(id) = id else {
            return;
        };
        let command = Command::Intercept {
            what: InterceptCommand::Editing { id, is_editing },
            actor: Actor::Key,
        };
        // An engine that has gone says so by its snapshots.
        let _ = self.frontend.commands.ask(command).await;
    }

    fn draw(&mut self) -> Result<(), AppError> {
        self.is_dirty = false;
        let model = &self.model;
        let drawn = self.screen.draw(|buffer| view::draw(model, buffer));
        drawn.map_err(AppError::Terminal)?;
        self.model.now = self.clock.now();
        self.model.note_drawn();
        Ok(())
    }
}

/// What is edited, in a word.
fn what_of(id: Option<HoldId>) -> String {
    id.map_or_else(|| "copy".to_owned(), |id| id.to_string())
}

/// What has been typed already, if anything.
async fn ready_input(inputs: &mut EventStream) -> Option<Option<io::Result<Input>>> {
    // The stream keeps the first waker it is polled with until an input comes: it has to be this task's own, so
    // `now_or_never` would lose the next key.
    std::future::poll_fn(|context| match inputs.poll_next_unpin(context) {
        Poll::Ready(input) => Poll::Ready(Some(input)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

fn event_of(input: Input) -> Option<Event> {
    match input {
        Input::Key(key) if key.kind == KeyEventKind::Release => None,
        Input::Key(key) => Some(Event::Key(key)),
        // Moving about changes nothing, and would have everything drawn anew.
        Input::Mouse(mouse) if mouse.kind == MouseEventKind::Moved => None,
        Input::Mouse(mouse) => Some(Event::Mouse(mouse)),
        Input::Paste(text) => Some(Event::Paste(text)),
        Input::Resize(columns, rows) => Some(Event::Resize(columns, rows)),
        Input::FocusGained | Input::FocusLost => None,
    }
}
