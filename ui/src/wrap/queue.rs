//! What passed and was not told yet: one queue for each link, bounded, never waited for.
//!
//! A queue that is full, or that nobody reads from, counts what passes instead of keeping it. When there is room again,
//! telling goes on at the next line, so that no message is told in part.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use shadowcat::child::ChildEnd;
use shadowcat::door::message::{GapReason, RunExit, RunPipe};
use tokio::sync::Notify;

/// Most bytes in a queue.
pub(super) const MAX_BYTES: usize = 8 << 20;
/// Most chunks in a queue.
pub(super) const MAX_CHUNKS: usize = 1_000;
/// From so many bytes on a batch is large enough.
const BATCH_BYTES: usize = 256 << 10;

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// These bytes passed.
    Bytes(RunPipe, Bytes),
    /// These came, and wait for what is said about them.
    Asked(RunPipe, Bytes),
    /// Something passed and is not told; what follows begins a line.
    Gap(RunPipe, Missed),
    /// The stream is at its end.
    End(RunPipe),
    /// The command has ended.
    Exit(RunExit),
}

/// What was not told of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) reason: GapReason,
    pub(super) chunks: u64,
    pub(super) bytes: u64,
}

/// What is known of a stream.
#[derive(Debug, Default)]
struct Stream {
    /// All that passed so far.
    chunks: u64,
    bytes: u64,
    /// What passed last was not the end of a line.
    is_within_line: bool,
    missed: Option<Missed>,
    has_ended: bool,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    chunks: usize,
    bytes: usize,
    streams: [Stream; RunPipe::ALL.len()],
    /// Nobody reads: nothing is kept.
    is_idle: bool,
    exit: Option<RunExit>,
}

/// The queue of one link.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    news: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody reads from here on. Hears first what already ended.
    pub(super) fn wake(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.is_idle, false) {
            return;
        }
        for pipe in RunPipe::ALL {
            if state.streams[pipe as usize].has_ended {
                state.put_end(pipe);
            }
        }
        if let Some(exit) = state.exit {
            state.items.push_back(Item::Exit(exit));
        }
    }

    /// Nobody reads any more: what is in the queue, and all that was told before, counts as passed without being told.
    pub(super) fn idle(&self) {
        let mut state = self.lock();
        state.is_idle = true;
        state.items.clear();
        (state.chunks, state.bytes) = (0, 0);
        for stream in &mut state.streams {
            stream.missed = (stream.bytes > 0).then_some(Missed {
                reason: GapReason::Away,
                chunks: stream.chunks,
                bytes: stream.bytes,
            });
        }
    }

    /// Notes that `bytes` passed. Never waits.
    fn push(&self, pipe: RunPipe, bytes: &Bytes) {
        self.lock().push(pipe, bytes, false);
        self.news.notify_one();
    }

    /// Notes that `bytes` wait for what the reader says. They are told whatever else waits: who keeps them has a bound.
    fn ask(&self, pipe: RunPipe, bytes: &Bytes) {
        self.lock().push(pipe, bytes, true);
        self.news.notify_one();
    }

    fn end(&self, pipe: RunPipe) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.streams[pipe as usize].has_ended, true) && !state.is_idle {
            state.put_end(pipe);
        }
        drop(state);
        self.news.notify_one();
    }

    fn exit(&self, exit: RunExit) {
        let mut state = self.lock();
        state.exit = Some(exit);
        if !state.is_idle {
            state.items.push_back(Item::Exit(exit));
        }
        drop(state);
        self.news.notify_one();
    }

    /// Whether the command has ended.
    pub(super) fn has_exit(&self) -> bool {
        self.lock().exit.is_some()
    }

    /// Waits until something changed. May come without a change.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn changed(&self) {
        self.news.notified().await;
    }

    /// Takes what is to be told next, some hundred KiB at most; nothing if there is nothing.
    pub(super) fn take(&self) -> Vec<Item> {
        let mut state = self.lock();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES
            && let Some(item) = state.items.pop_front()
        {
            if let Item::Bytes(_, chunk) | Item::Asked(_, chunk) = &item {
                bytes += chunk.len();
                state.bytes -= chunk.len();
                state.chunks -= 1;
            }
            batch.push(item);
        }
        batch
    }
}

impl State {
    fn push(&mut self, pipe: RunPipe, bytes: &Bytes, is_asked: bool) {
        let stream = &mut self.streams[pipe as usize];
        let was_within_line = stream.is_within_line;
        stream.chunks += 1;
        stream.bytes += bytes.len() as u64;
        stream.is_within_line = bytes.last().is_some_and(|byte| *byte != b'\n');
        let told = if stream.missed.is_none() {
            Some(0)
        } else if was_within_line {
            behind_newline(bytes)
        } else {
            Some(0)
        };
        match told.filter(|at| *at < bytes.len()) {
            Some(at) if !self.is_idle && (is_asked || self.has_room(bytes.len() - at)) => {
                self.put(pipe, bytes, at, is_asked);
            }
            _ => self.miss(pipe, bytes.len()),
        }
    }

    const fn has_room(&self, bytes: usize) -> bool {
        self.chunks < MAX_CHUNKS && self.bytes + bytes <= MAX_BYTES
    }

    /// Puts what is behind `at`; what is before it was missed.
    fn put(&mut self, pipe: RunPipe, bytes: &Bytes, at: usize, is_asked: bool) {
        if let Some(mut missed) = self.streams[pipe as usize].missed.take() {
            missed.bytes += at as u64;
            self.items.push_back(Item::Gap(pipe, missed));
        }
        self.chunks += 1;
        self.bytes += bytes.len() - at;
        let bytes = bytes.slice(at..);
        self.items.push_back(if is_asked {
            Item::Asked(pipe, bytes)
        } else {
            Item::Bytes(pipe, bytes)
        });
    }

    fn miss(&mut self, pipe: RunPipe, bytes: usize) {
        let reason = if self.is_idle {
            GapReason::Away
        } else {
            GapReason::Full
        };
        let missed = self.streams[pipe as usize].missed.get_or_insert(Missed {
            reason,
            chunks: 0,
            bytes: 0,
        });
        missed.chunks += 1;
        missed.bytes += bytes as u64;
    }

    fn put_end(&mut self, pipe: RunPipe) {
        if let Some(missed) = self.streams[pipe as usize].missed.take() {
            self.items.push_back(Item::Gap(pipe, missed));
        }
        self.items.push_back(Item::End(pipe));
    }
}

/// Behind the first newline.
fn behind_newline(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1)
}

/// All queues; what passes goes into each. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Observers(Arc<[Queue]>);

impl Observers {
    /// So many queues, all empty and with a reader that is to come.
    pub(super) fn new(links: usize) -> Self {
        Self((0..links).map(|_| Queue::default()).collect())
    }

    /// The queues.
    pub(super) fn queues(&self) -> &[Queue] {
        &self.0
    }

    /// Notes that `bytes` passed in a stream.
    pub(super) fn passed(&self, pipe: RunPipe, bytes: &[u8]) {
        let copy = Bytes::copy_from_slice(bytes);
        for queue in &*self.0 {
            queue.push(pipe, &copy);
        }
    }

    /// Notes that `bytes` came and wait for what the first reader says; for the others they pass.
    pub(super) fn asked(&self, pipe: RunPipe, bytes: &[u8]) {
        let copy = Bytes::copy_from_slice(bytes);
        for (at, queue) in self.0.iter().enumerate() {
            if at == 0 {
                queue.ask(pipe, &copy);
            } else {
                queue.push(pipe, &copy);
            }
        }
    }

    /// Notes the end of a stream.
    pub(super) fn ended(&self, pipe: RunPipe) {
        for queue in &*self.0 {
            queue.end(pipe);
        }
    }

    /// Notes the end of the command.
    pub(super) fn exit(&self, end: ChildEnd) {
        let exit = match end {
            ChildEnd::Code(code) => RunExit {
                code: Some(code),
                signal: None,
            },
            ChildEnd::Signal(signal) => RunExit {
                code: None,
                signal: Some(signal),
            },
            ChildEnd::Unknown => RunExit {
                code: None,
                signal: None,
            },
        };
        for queue in &*self.0 {
            queue.exit(exit);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(text: &[u8]) -> Item {
        Item::Bytes(RunPipe::Out, Bytes::copy_from_slice(text))
    }

    fn gap(reason: GapReason, chunks: u64, bytes: u64) -> Item {
        Item::Gap(
            RunPipe::Out,
            Missed {
                reason,
                chunks,
                bytes,
            },
        )
    }

    fn all(queue: &Queue) -> Vec<Item> {
        std::iter::repeat_with(|| queue.take())
            .take_while(|batch| !batch.is_empty())
            .flatten()
            .collect()
    }

    #[test]
    fn what_passes_before_the_first_link_is_kept_for_it() {
        let observers = Observers::new(1);
        observers.passed(RunPipe::Out, b"one\ntw");
        let queue = &observers.queues()[0];
        queue.wake();
        observers.passed(RunPipe::Out, b"o\n");
        assert_eq!(all(queue), [bytes(b"one\ntw"), bytes(b"o\n")]);
    }

    #[test]
    fn after_a_time_without_reader_telling_goes_on_at_the_next_line() {
        let observers = Observers::new(1);
        let queue = &observers.queues()[0];
        observers.passed(RunPipe::Out, b"told\n");
        assert_eq!(all(queue), [bytes(b"told\n")]);
        queue.idle();
        observers.passed(RunPipe::Out, b"untold, be");
        queue.wake();
        observers.passed(RunPipe::Out, b"gun ");
        observers.passed(RunPipe::Out, b"before\n{}\n");
        let away = gap(GapReason::Away, 3, 26);
        assert_eq!(all(queue), [away, bytes(b"{}\n")]);
    }

    #[test]
    fn a_run_of_which_nothing_passed_yet_has_no_gap() {
        let observers = Observers::new(1);
        let queue = &observers.queues()[0];
        queue.idle();
        queue.wake();
        observers.passed(RunPipe::Out, b"first\n");
        assert_eq!(all(queue), [bytes(b"first\n")]);
    }

    #[test]
    fn a_full_queue_counts_what_it_does_not_keep() {
        let observers = Observers::new(1);
        let queue = &observers.queues()[0];
        for _ in 0..MAX_CHUNKS + 5 {
            observers.passed(RunPipe::Out, b"x\n");
        }
        assert_eq!(all(queue).len(), MAX_CHUNKS);
        observers.passed(RunPipe::Out, b"y\n");
        assert_eq!(all(queue), [gap(GapReason::Full, 5, 10), bytes(b"y\n")]);
        let large = vec![b'z'; MAX_BYTES];
        observers.passed(RunPipe::Out, &large);
        observers.passed(RunPipe::Out, b"z");
        observers.ended(RunPipe::Out);
        let rest = all(queue);
        assert_eq!(rest.len(), 3);
        assert_eq!(rest[1..], [gap(GapReason::Full, 1, 1), Item::End(RunPipe::Out)]);
    }

    #[test]
    fn who_comes_late_hears_what_has_ended() {
        let observers = Observers::new(1);
        let queue = &observers.queues()[0];
        queue.idle();
        observers.passed(RunPipe::Out, b"x");
        observers.ended(RunPipe::Out);
        observers.exit(ChildEnd::Code(3));
        assert!(queue.has_exit() && all(queue).is_empty());
        queue.wake();
        let exit = Item::Exit(RunExit {
            code: Some(3),
            signal: None,
        });
        let away = gap(GapReason::Away, 1, 1);
        assert_eq!(all(queue), [away, Item::End(RunPipe::Out), exit]);
    }

    proptest! {
        #[test]
        fn what_is_told_begins_a_line_and_nothing_is_unaccounted_for(
            steps in prop::collection::vec((prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), 1..6), 0u8..8), 1..60),
        ) {
            let observers = Observers::new(1);
            let queue = &observers.queues()[0];
            let (mut passed, mut told, mut at) = (Vec::new(), Vec::new(), 0);
            let mut hear = |items: Vec<Item>| {
                for item in items {
                    match item {
                        Item::Bytes(_, bytes) => { told.push((at, bytes.clone())); at += bytes.len(); }
                        Item::Gap(_, Missed { reason: GapReason::Away, bytes, .. }) => at = usize::try_from(bytes).unwrap(),
                        Item::Gap(_, missed) => at += usize::try_from(missed.bytes).unwrap(),
                        _ => {}
                    }
                }
            };
            for (chunk, what) in &steps {
                passed.extend_from_slice(chunk);
                observers.passed(RunPipe::Out, chunk);
                match what {
                    0 => queue.idle(),
                    1 | 2 => queue.wake(),
                    3 | 4 => hear(all(queue)),
                    _ => {}
                }
            }
            queue.wake();
            observers.ended(RunPipe::Out);
            hear(all(queue));
            prop_assert_eq!(at, passed.len());
            for (start, bytes) in told {
                prop_assert_eq!(&passed[start..start + bytes.len()], &bytes[..]);
            }
        }
    }
}
