//! Enters the screen and leaves it exactly once, whatever happens in between.

use std::io::{self, IsTerminal as _, Stdout, Write as _};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossterm::cursor::{MoveTo, Show};
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

/// Most bytes that terminals take into the clipboard at once, before base64.
pub(crate) const CLIPBOARD_BYTES: usize = 75_000;

/// The terminal while it is ours. Dropping it gives it back.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    is_entered: bool,
    has_alternate: bool,
    has_mouse: bool,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// What the system says if standard output is no terminal or cannot be written.
    pub(crate) fn enter(has_alternate: bool, has_mouse: bool) -> io::Result<Self> {
        if !io::stdout().is_terminal() {
            return Err(io::Error::other("standard output is not a terminal"));
        }
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        let mut screen = Self {
            terminal,
            is_entered: false,
            has_alternate,
            has_mouse,
        };
        screen.resume()?;
        Ok(screen)
    }

    /// Takes the terminal again after [`Screen::leave`].
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        self.is_entered = true;
        enable_raw_mode()?;
        let mut out = io::stdout();
        if self.has_alternate {
            queue!(out, EnterAlternateScreen)?;
        }
        if self.has_mouse {
            queue!(out, EnableMouseCapture)?;
        }
        execute!(out, EnableBracketedPaste)?;
        self.clear()
    }

    /// Gives the terminal back. A second call does nothing. Errors are of no use to anybody: the terminal may be gone.
    pub(crate) fn leave(&mut self) {
        if !std::mem::replace(&mut self.is_entered, false) {
            return;
        }
        let mut out = io::stdout();
        let _ = queue!(out, DisableMouseCapture, DisableBracketedPaste);
        if self.has_alternate {
            let _ = queue!(out, LeaveAlternateScreen);
        } else if let Ok(size) = self.terminal.size() {
            let _ = queue!(out, MoveTo(0, size.height.saturating_sub(1)));
            let _ = out.write_all(b"\r\n");
        }
        let _ = execute!(out, Show);
        let _ = disable_raw_mode();
    }

    pub(crate) fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }

    /// Draws one frame; `draw` gives the place of the text cursor.
    pub(crate) fn draw(
        &mut self,
        draw: impl FnOnce(&mut ratatui::buffer::Buffer) -> Option<(u16, u16)>,
    ) -> io::Result<()> {
        self.terminal.draw(|frame| {
            if let Some(place) = draw(frame.buffer_mut()) {
                frame.set_cursor_position(place);
            }
        })?;
        Ok(())
    }

    /// Draws every cell anew with the next frame. Does not ask the terminal where its cursor is, as ratatui's own `clear`
    /// does: some never answer, and the answer would get in the way of the keys.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    pub(crate) fn capture_mouse(&mut self, is_wanted: bool) -> io::Result<()> {
        self.has_mouse = is_wanted;
        if is_wanted {
            execute!(io::stdout(), EnableMouseCapture)
        } else {
            execute!(io::stdout(), DisableMouseCapture)
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Gives `text` to the clipboard of whatever terminal is at the other end (OSC 52), also over SSH.
///
/// # Errors
/// What the system says if the terminal cannot be written.
pub(crate) fn copy(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(clipboard_sequence(text).as_bytes())?;
    out.flush()
}

fn clipboard_sequence(text: &str) -> String {
    format!("\x1b]52;c;{}\x07", STANDARD.encode(text))
}

/// Rings the terminal's bell, and has it show `text` to whoever looks elsewhere (OSC 9), if it can. Only while the screen
/// is ours.
///
/// # Errors
/// What the system says if the terminal cannot be written.
pub(crate) fn ring(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(notice_sequence(text).as_bytes())?;
    out.flush()
}

/// The bell last: it ends the sequence for terminals that do not know its proper end, and rings for them all the same.
fn notice_sequence(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("\x1b]9;{text}\x1b\\\x07")
}

/// The last panic while a screen was up: its message and where it was.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Keeps panics off the screen while this is alive: they go to the log, and the last one can be taken.
pub(crate) struct QuietPanics(());

type Hook = Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Sync + Send>;

/// The hook that was there before.
static BEFORE: Mutex<Option<Hook>> = Mutex::new(None);

impl QuietPanics {
    pub(crate) fn install() -> Self {
        let before = std::panic::take_hook();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        std::panic::set_hook(Box::new(|info| {
            let text = info.to_string();
            tracing::error!(panic = %text, backtrace = %std::backtrace::Backtrace::capture(), "a task panicked");
            *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        }));
        Self(())
    }
}

impl Drop for QuietPanics {
    fn drop(&mut self) {
        // While this thread is unwinding the hook cannot be changed.
        if std::thread::panicking() {
            return;
        }
        if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
            std::panic::set_hook(before);
        }
    }
}

/// The message of the last panic.
pub(crate) fn take_panic() -> Option<String> {
    PANIC.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Stops the process as Ctrl-Z does for others; comes back when it goes on.
pub(crate) fn stop_process() -> io::Result<()> {
    let ourselves = rustix::process::getpid();
    // The whole group, so that a shell script or a wrapper around us stops too, as the terminal itself would do it.
    match rustix::process::kill_current_process_group(rustix::process::Signal::TSTP) {
        Ok(()) => Ok(()),
        Err(_) => rustix::process::kill_process(ourselves, rustix::process::Signal::TSTP).map_err(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_ends_where_it_should() {
        assert_eq!(notice_sequence("h3\x07\x1b]0;x"), "\x1b]9;h3]0;x\x1b\\\x07");
    }

    #[test]
    fn the_clipboard_gets_base64_only() {
        assert_eq!(clipboard_sequence("a\x1b]0;x\x07"), "\x1b]52;c;YRtdMDt4Bw==\x07");
    }
}
