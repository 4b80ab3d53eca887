//! What waits for a proxy's decision: the bytes of one pipe that were read and not passed on.
//!
//! A gate is open unless the proxy closed it. Behind it lines are kept as they came until the proxy says what becomes of
//! them; if it goes away, or is silent, they pass in their order. The pump of the pipe is the only one that writes.

use std::io::{self, PipeReader, PipeWriter, pipe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf as _, BytesMut};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use shadowcat::door::message::RunPipe;

use super::queue::Observers;

/// Most bytes that a proxy may say to go on before it settles what they are for.
const MAX_SAID_BYTES: usize = 64 << 20;

/// The gate of a pipe.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    wake: PipeWriter,
    woken: PipeReader,
}

/// What becomes of lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Passage {
    /// They pass.
    #[default]
    Free,
    /// They are asked about.
    Asked,
    /// Nothing more passes, whatever comes.
    Over,
}

#[derive(Debug, Default)]
struct State {
    passage: Passage,
    max_lines: usize,
    max_bytes: usize,
    /// Read, asked about and not settled.
    kept: BytesMut,
    kept_lines: usize,
    /// The line under way is asked about.
    is_within_asked: bool,
    /// What goes on once what it is for is settled, here and back.
    coming: Vec<u8>,
    coming_back: Vec<u8>,
    /// To be written.
    ready: Vec<u8>,
    /// To be written between two lines.
    between: Vec<u8>,
    is_woken: bool,
}

/// What a pump can do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// There is something to read, or the end.
    Readable,
    /// There may be something to write.
    Woken,
}

impl Gate {
    fn new() -> io::Result<Self> {
        let (woken, wake) = pipe()?;
        Ok(Self {
            state: Mutex::default(),
            wake,
            woken,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was read: tells of it, and says how much of it passes at once. `is_within_line`: what was read before
    /// it did not end a line.
    pub(super) fn take(
        &self,
        pipe: RunPipe,
        bytes: &[u8],
        is_within_line: bool,
        observers: &Observers,
    ) -> usize {
        let mut state = self.lock();
        let at = state.asked_from(bytes, is_within_line);
        let (passes, asked) = bytes.split_at(at);
        if !passes.is_empty() {
            observers.passed(pipe, passes);
        }
        if !asked.is_empty() {
            observers.asked(pipe, asked);
            state.keep(asked);
        }
        at
    }

    /// What is to be written now. `is_within_line`: what was written last did not end a line.
    pub(super) fn take_ready(&self, is_within_line: bool) -> Vec<u8> {
        let mut state = self.lock();
        let mut ready = std::mem::take(&mut state.ready);
        let is_within = ready.last().map_or(is_within_line, |byte| *byte != b'\n');
        if !is_within {
            ready.append(&mut state.between);
        }
        ready
    }

    /// Whether nothing more passes, so that the pipe is to be closed.
    pub(super) fn is_over(&self) -> bool {
        self.lock().passage == Passage::Over
    }

    /// Whether something waits.
    pub(super) fn has_kept(&self) -> bool {
        !self.lock().kept.is_empty()
    }

    /// Waits until there is something to do; what is read only if there is room, unless `from` has ended.
    pub(super) fn wait(&self, from: Option<&impl std::os::fd::AsFd>) -> Result<Event, Errno> {
        let from = from.filter(|_| self.lock().has_room());
        let mut polled = vec![PollFd::new(&self.woken, PollFlags::IN)];
        polled.extend(from.map(|from| PollFd::new(from, PollFlags::IN)));
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let is_woken = !polled[0].revents().is_empty();
        let is_readable = polled.get(1).is_some_and(|from| !from.revents().is_empty());
        drop(polled);
        if is_woken {
            self.calm();
        }
        Ok(if is_readable && !is_woken {
            Event::Readable
        } else {
            Event::Woken
        })
    }

    fn calm(&self) {
        let mut state = self.lock();
        if std::mem::take(&mut state.is_woken) {
            // One byte is in it, so this does not wait.
            let _ = rustix::io::read(&self.woken, &mut [0_u8; 1]);
        }
    }

    fn wake(&self, state: &mut State) {
        if !std::mem::replace(&mut state.is_woken, true) {
            // A pump that has gone needs no waking.
            let _ = rustix::io::write(&self.wake, &[0]);
        }
    }
}

impl State {
    fn asked_from(&self, bytes: &[u8], is_within_line: bool) -> usize {
        if self.is_within_asked || !self.kept.is_empty() {
            return 0;
        }
        if self.passage == Passage::Free {
            return bytes.len();
        }
        if !is_within_line {
            return 0;
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        end.map_or(bytes.len(), |at| at + 1)
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        self.kept_lines += lines(bytes);
        self.is_within_asked = bytes.last().is_some_and(|byte| *byte != b'\n');
    }

    fn has_room(&self) -> bool {
        self.kept.is_empty() || self.kept_lines <= self.max_lines && self.kept.len() < self.max_bytes
    }

    fn set_passage(&mut self, passage: Passage) {
        if self.passage != Passage::Over {
            self.passage = passage;
        }
    }

    fn release(&mut self) {
        self.set_passage(Passage::Free);
        self.is_within_asked = false;
        self.kept_lines = 0;
        let kept = self.kept.split();
        self.ready.extend_from_slice(&kept);
        (self.coming, self.coming_back) = (Vec::new(), Vec::new());
    }
}

fn lines(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

/// The gates of input and output. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Gates(Arc<[Gate; 2]>);

/// A proxy says more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuch;

impl Gates {
    /// Open gates.
    ///
    /// # Errors
    /// What the system says if it gives no pipes.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new([Gate::new()?, Gate::new()?])))
    }

    /// The gate of a pipe; error output has none.
    pub(super) fn of(&self, pipe: RunPipe) -> Option<&Gate> {
        match pipe {
            RunPipe::In => Some(&self.0[0]),
            RunPipe::Out => Some(&self.0[1]),
            RunPipe::Err => None,
        }
    }

    /// Closes the gates for lines from the next one on, or opens them for those behind what waits.
    pub(super) fn set_closed(&self, is_closed: bool, lines: u64, bytes: u64) {
        for gate in &*self.0 {
            let mut state = gate.lock();
            state.set_passage(if is_closed { Passage::Asked } else { Passage::Free });
            state.max_lines = usize::try_from(lines).unwrap_or(usize::MAX);
            state.max_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
    }

    /// Nobody decides any more: all that waits passes in its order.
    pub(super) fn release(&self) {
        for gate in &*self.0 {
            let mut state = gate.lock();
            state.release();
            gate.wake(&mut state);
        }
    }

    /// Nothing more passes, neither way: what waits is given up.
    pub(super) fn close(&self) {
        for gate in &*self.0 {
            let mut state = gate.lock();
            state.set_passage(Passage::Over);
            state.kept.clear();
            state.kept_lines = 0;
            gate.wake(&mut state);
        }
    }

    /// Whether a proxy is waited for.
    pub(super) fn has_kept(&self) -> bool {
        self.0.iter().any(Gate::has_kept)
    }

    /// What goes on in `pipe`, or `is_back` from it, once what it is for is settled.
    ///
    /// # Errors
    /// [`TooMuch`] if that is more than anybody needs.
    pub(super) fn say(&self, pipe: RunPipe, bytes: &[u8], is_back: bool) -> Result<(), TooMuch> {
        let Some(gate) = self.of(pipe) else { return Ok(()) };
        let mut state = gate.lock();
        let said = if is_back {
            &mut state.coming_back
        } else {
            &mut state.coming
        };
        if said.len() + bytes.len() > MAX_SAID_BYTES {
            return Err(TooMuch);
        }
        said.extend_from_slice(bytes);
        Ok(())
    }

    /// The next so many bytes of what waits in `pipe` are settled.
    pub(super) fn settle(&self, pipe: RunPipe, bytes: u64) {
        let Some(gate) = self.of(pipe) else { return };
        let mut state = gate.lock();
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(state.kept.len());
        state.kept_lines -= lines(&state.kept[..bytes]);
        state.kept.advance(bytes);
        let mut coming = std::mem::take(&mut state.coming);
        state.ready.append(&mut coming);
        let mut back = std::mem::take(&mut state.coming_back);
        gate.wake(&mut state);
        drop(state);
        let other = match pipe {
            RunPipe::In => RunPipe::Out,
            RunPipe::Out | RunPipe::Err => RunPipe::In,
        };
        if let Some(gate) = self.of(other).filter(|_| !back.is_empty()) {
            let mut state = gate.lock();
            state.between.append(&mut back);
            gate.wake(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gates() -> (Gates, Observers) {
        (Gates::new().unwrap(), Observers::new(1))
    }

    #[test]
    fn a_gate_closes_at_the_next_line_and_opens_behind_what_waits() {
        let (gates, observers) = gates();
        let gate = gates.of(RunPipe::In).unwrap();
        let take = |bytes: &[u8], is_within| gate.take(RunPipe::In, bytes, is_within, &observers);
        assert_eq!(take(b"one\ntw", false), 6);
        gates.set_closed(true, 10, 1000);
        assert_eq!(take(b"o\nthree\nfo", true), 2);
        gates.set_closed(false, 10, 1000);
        assert_eq!(take(b"ur\nfive\n", true), 0, "behind what waits");
        gates.say(RunPipe::In, b"THREE\n", false).unwrap();
        assert!(gate.take_ready(false).is_empty(), "not settled yet");
        gates.settle(RunPipe::In, 6);
        assert_eq!(gate.take_ready(false), b"THREE\n");
        gates.say(RunPipe::In, b"four\nfive\n", false).unwrap();
        gates.settle(RunPipe::In, 10);
        assert_eq!(gate.take_ready(false), b"four\nfive\n");
        assert!(!gates.has_kept());
        assert_eq!(take(b"six\n", false), 4);
    }

    #[test]
    fn what_waits_passes_unchanged_when_nobody_decides_any_more() {
        let (gates, observers) = gates();
        let gate = gates.of(RunPipe::Out).unwrap();
        gates.set_closed(true, 10, 1000);
        assert_eq!(gate.take(RunPipe::Out, b"a\nb\nc", false, &observers), 0);
        gates.settle(RunPipe::Out, 2);
        gates.say(RunPipe::Out, b"half of b", false).unwrap();
        gates.release();
        assert_eq!(gate.take_ready(false), b"b\nc");
        assert_eq!(gate.take(RunPipe::Out, b"d\n", true, &observers), 2);
    }

    #[test]
    fn a_closed_pipe_still_gets_what_was_settled_and_gives_up_what_waits() {
        let (gates, observers) = gates();
        let gate = gates.of(RunPipe::In).unwrap();
        gates.set_closed(true, 10, 1000);
        gate.take(RunPipe::In, b"call\nnext\n", false, &observers);
        gates.say(RunPipe::In, b"ca", false).unwrap();
        gates.settle(RunPipe::In, 10);
        gates.close();
        assert_eq!(gate.take_ready(false), b"ca");
        assert!(gate.is_over() && gates.of(RunPipe::Out).unwrap().is_over());
        gates.release();
        assert!(gate.take_ready(false).is_empty());
    }

    #[test]
    fn an_answer_goes_back_between_two_lines() {
        let (gates, observers) = gates();
        gates.set_closed(true, 10, 1000);
        let input = gates.of(RunPipe::In).unwrap();
        input.take(RunPipe::In, b"call\n", false, &observers);
        gates.say(RunPipe::In, b"answer\n", true).unwrap();
        gates.settle(RunPipe::In, 5);
        assert!(input.take_ready(false).is_empty());
        let output = gates.of(RunPipe::Out).unwrap();
        assert!(output.take_ready(true).is_empty(), "inside a line");
        assert_eq!(output.take_ready(false), b"answer\n");
    }
}
