//! What waits for the clients of one child, and what they have had, as long as there is room. Pure.
//!
//! A lane is what one response stream carries. An event that its client has had is kept so that the stream can be
//! resumed behind it; when the bounds are reached those go first.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

/// What one response stream carries, numbered from 1; 0 is that of the standalone GET.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Lane(pub(super) u64);

impl Lane {
    /// What belongs to no request: it goes to the standalone GET stream.
    pub(super) const STANDALONE: Self = Self(0);
}

/// A message on its way to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// One line of JSON, without its end.
    pub(super) text: Bytes,
    /// It waits for an answer, so it cannot go without a word.
    pub(super) is_request: bool,
    /// We say it, not the child.
    pub(super) is_ours: bool,
}

/// What a lane has next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// A message and its number, which is unique among all lanes. `is_last`: nothing follows it.
    Message {
        number: u64,
        message: Message,
        is_last: bool,
    },
    /// Everything was said.
    End,
    /// The lane has another reader now, or was taken from this one because it did not read.
    Taken,
}

#[derive(Debug)]
struct Stored {
    number: u64,
    message: Message,
}

#[derive(Debug, Default)]
struct LaneState {
    stored: VecDeque<Stored>,
    /// How many of them were delivered.
    delivered: usize,
    /// The reader, by the number of its attachment.
    reader: Option<u64>,
    is_ended: bool,
    /// The last of its messages that went for want of room.
    last_gone: u64,
    waker: Option<Waker>,
}

impl LaneState {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn is_over(&self) -> bool {
        self.is_ended && self.reader.is_none() && self.stored.is_empty()
    }

    /// The oldest message that may go: a delivered one, or any if nobody reads. Notifications before requests.
    fn dispensable(&self) -> Option<usize> {
        if self.delivered > 0 {
            return Some(0);
        }
        if self.reader.is_some() || self.stored.is_empty() {
            return None;
        }
        let notification = self.stored.iter().position(|stored| !stored.message.is_request);
        Some(notification.unwrap_or(0))
    }
}

/// Bounds of a spool.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpoolBounds {
    /// Messages, delivered ones included.
    pub(super) messages: usize,
    /// Their bytes.
    pub(super) bytes: usize,
    /// Whether delivered messages are kept for resumption.
    pub(super) keeps_delivered: bool,
}

/// All lanes of one child.
#[derive(Debug)]
pub(super) struct Spool {
    bounds: SpoolBounds,
    lanes: BTreeMap<Lane, LaneState>,
    messages: usize,
    bytes: usize,
    last_number: u64,
    last_lane: u64,
    last_reader: u64,
}

impl Spool {
    pub(super) fn new(bounds: SpoolBounds) -> Self {
        Self {
            bounds,
            lanes: BTreeMap::from([(Lane::STANDALONE, LaneState::default())]),
            messages: 0,
            bytes: 0,
            last_number: 0,
            last_lane: 0,
            last_reader: 0,
        }
    }

    /// A new lane, without a reader.
    pub(super) fn open(&mut self) -> Lane {
        self.last_lane += 1;
        let lane = Lane(self.last_lane);
        self.lanes.insert(lane, LaneState::default());
        lane
    }

    pub(super) fn has_reader(&self, lane: Lane) -> bool {
        self.lanes.get(&lane).is_some_and(|state| state.reader.is_some())
    }

    /// Messages kept and their bytes.
    pub(super) const fn usage(&self) -> (usize, usize) {
        (self.messages, self.bytes)
    }

    /// Puts a message into a lane. Returns messages that nobody had read and that had to go for it.
    pub(super) fn push(&mut self, lane: Lane, message: Message) -> Vec<Message> {
        let Some(state) = self.lanes.get_mut(&lane).filter(|state| !state.is_ended) else {
            return vec![message];
        };
        self.last_number += 1;
        self.messages += 1;
        self.bytes += message.text.len();
        state.stored.push_back(Stored {
            number: self.last_number,
            message,
        });
        state.wake();
        self.make_room()
    }

    /// Makes the reader of a lane look again.
    pub(super) fn wake(&mut self, lane: Lane) {
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.wake();
        }
    }

    /// Nothing more will be put into the lane.
    pub(super) fn end(&mut self, lane: Lane) {
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.is_ended = true;
            state.wake();
        }
        self.clear(lane);
    }

    /// Makes the caller the reader of a lane, instead of whoever was it. `after`: the number of the last message that it
    /// has had; without it, it goes on where the last reader was. `None` if the lane is not known (any more), or lacks
    /// what followed.
    pub(super) fn attach(&mut self, lane: Lane, after: Option<u64>) -> Option<u64> {
        self.last_reader += 1;
        let reader = self.last_reader;
        let state = self.lanes.get_mut(&lane)?;
        if after.is_some_and(|after| after < state.last_gone) {
            return None;
        }
        state.reader = Some(reader);
        if let Some(after) = after {
            state.delivered = state.stored.partition_point(|stored| stored.number <= after);
        }
        state.wake();
        Some(reader)
    }

    /// The reader has gone. False if it was not the reader any more.
    pub(super) fn detach(&mut self, lane: Lane, reader: u64) -> bool {
        let Some(state) = self
            .lanes
            .get_mut(&lane)
            .filter(|state| state.reader == Some(reader))
        else {
            return false;
        };
        state.reader = None;
        state.waker = None;
        self.clear(lane);
        true
    }

    /// The next message of a lane for its reader.
    pub(super) fn poll_next(&mut self, lane: Lane, reader: u64, cx: &mut Context<'_>) -> Poll<Next> {
        let keeps = self.bounds.keeps_delivered;
        let Some(state) = self
            .lanes
            .get_mut(&lane)
            .filter(|state| state.reader == Some(reader))
        else {
            return Poll::Ready(Next::Taken);
        };
        let Some(stored) = state.stored.get(state.delivered) else {
            if state.is_ended {
                return Poll::Ready(Next::End);
            }
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let next = Next::Message {
            number: stored.number,
            message: stored.message.clone(),
            is_last: state.is_ended && state.delivered + 1 == state.stored.len(),
        };
        state.delivered += 1;
        if keeps {
            self.make_room_of(false);
        } else {
            self.take_out(lane, 0);
        }
        Poll::Ready(next)
    }

    /// Takes out what nobody has read of a lane.
    pub(super) fn take_unread(&mut self, lane: Lane) -> Vec<Message> {
        let Some(state) = self.lanes.get_mut(&lane) else {
            return Vec::new();
        };
        let unread = state.stored.split_off(state.delivered);
        self.messages -= unread.len();
        self.bytes -= unread
            .iter()
            .map(|stored| stored.message.text.len())
            .sum::<usize>();
        unread.into_iter().map(|stored| stored.message).collect()
    }

    /// Forgets what was delivered of a lane that cannot be resumed.
    pub(super) fn forget_delivered(&mut self, lane: Lane) {
        while self.lanes.get(&lane).is_some_and(|state| state.delivered > 0) {
            self.take_out(lane, 0);
        }
    }

    /// Whether more is kept than there is room for, and nothing of it may go: its readers have to read first.
    pub(super) const fn is_full(&self) -> bool {
        self.messages > self.bounds.messages || self.bytes > self.bounds.bytes
    }

    /// Takes its lane from the reader that has kept a message waiting longest. What goes for it is returned.
    pub(super) fn shed(&mut self) -> Option<(Lane, Vec<Message>)> {
        let waiting = self.lanes.iter_mut().filter(|(_, state)| state.reader.is_some());
        let oldest = waiting
            .filter_map(|(lane, state)| Some((state.stored.get(state.delivered)?.number, *lane)))
            .min()?;
        let lane = oldest.1;
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.reader = None;
            state.wake();
        }
        Some((lane, self.make_room()))
    }

    /// Lets go what may go while there is more than there is room for. Returns what nobody had read.
    pub(super) fn make_room(&mut self) -> Vec<Message> {
        self.make_room_of(true)
    }

    fn make_room_of(&mut self, may_be_unread: bool) -> Vec<Message> {
        let mut lost = Vec::new();
        while self.is_full() {
            let oldest = |(lane, state): (&Lane, &LaneState)| {
                let at = state.dispensable()?;
                let is_unread = state.delivered == 0;
                let number = state.stored.get(at)?.number;
                (may_be_unread || !is_unread).then_some((is_unread, number, *lane, at))
            };
            let Some((is_unread, number, lane, at)) = self.lanes.iter().filter_map(oldest).min() else {
                break;
            };
            let gone = self.take_out(lane, at);
            if let (true, Some(state)) = (self.bounds.keeps_delivered, self.lanes.get_mut(&lane)) {
                state.last_gone = state.last_gone.max(number);
            }
            lost.extend(gone.filter(|_| is_unread));
            self.clear(lane);
        }
        lost
    }

    fn take_out(&mut self, lane: Lane, at: usize) -> Option<Message> {
        let state = self.lanes.get_mut(&lane)?;
        let stored = state.stored.remove(at)?;
        state.delivered -= usize::from(at < state.delivered);
        self.messages -= 1;
        self.bytes -= stored.message.text.len();
        Some(stored.message)
    }

    /// Forgets a lane of which nothing is left. The standalone one stays.
    fn clear(&mut self, lane: Lane) {
        if lane != Lane::STANDALONE && self.lanes.get(&lane).is_some_and(LaneState::is_over) {
            self.lanes.remove(&lane);
        }
    }
}

#[cfg(test)]
impl Spool {
    /// All that a reader can have now, and `end` where there is nothing more.
    pub(super) fn read(&mut self, lane: Lane, reader: u64) -> Vec<String> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut all = Vec::new();
        loop {
            match self.poll_next(lane, reader, &mut cx) {
                Poll::Ready(Next::Message { message, .. }) => {
                    all.push(String::from_utf8(message.text.to_vec()).unwrap());
                }
                Poll::Ready(_) => {
                    all.push("end".to_owned());
                    return all;
                }
                Poll::Pending => return all,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(messages: usize, keeps_delivered: bool) -> Spool {
        Spool::new(SpoolBounds {
            messages,
            bytes: 1000,
            keeps_delivered,
        })
    }

    fn message(text: &'static str) -> Message {
        Message {
            text: Bytes::from_static(text.as_bytes()),
            is_request: false,
            is_ours: false,
        }
    }

    fn request(text: &'static str) -> Message {
        Message {
            is_request: true,
            ..message(text)
        }
    }

    /// What a reader gets now: texts, then `.` for the end, `!` if the lane was taken from it.
    fn read(spool: &mut Spool, lane: Lane, reader: u64) -> String {
        let mut cx = Context::from_waker(Waker::noop());
        let mut all = String::new();
        loop {
            match spool.poll_next(lane, reader, &mut cx) {
                Poll::Ready(Next::Message { message, .. }) => {
                    all.push_str(std::str::from_utf8(&message.text).unwrap());
                }
                Poll::Ready(Next::End) => return all + ".",
                Poll::Ready(Next::Taken) => return all + "!",
                Poll::Pending => return all,
            }
        }
    }

    #[test]
    fn a_lane_is_resumed_behind_the_last_message_that_its_reader_had() {
        let mut spool = spool(10, true);
        let lane = spool.open();
        let first = spool.attach(lane, None).unwrap();
        for text in ["a", "b", "c"] {
            assert_eq!(spool.push(lane, message(text)), []);
        }
        assert_eq!(read(&mut spool, lane, first), "abc");
        assert!(spool.detach(lane, first));
        spool.push(lane, message("d"));
        spool.end(lane);
        let second = spool.attach(lane, Some(2)).unwrap();
        assert_eq!(read(&mut spool, lane, second), "cd.");
        assert_eq!(
            read(&mut spool, lane, first),
            "!",
            "the first reader has no say any more"
        );
        assert!(!spool.detach(lane, first));
    }

    #[test]
    fn what_was_delivered_goes_first_and_what_nobody_read_is_named() {
        let mut spool = spool(3, true);
        let reader = spool.attach(Lane::STANDALONE, None).unwrap();
        spool.push(Lane::STANDALONE, message("a"));
        assert_eq!(read(&mut spool, Lane::STANDALONE, reader), "a");
        spool.detach(Lane::STANDALONE, reader);
        for text in ["b", "c"] {
            assert_eq!(spool.push(Lane::STANDALONE, request(text)), []);
        }
        assert_eq!(spool.push(Lane::STANDALONE, message("n")), [], "`a` went for it");
        assert_eq!(
            spool.push(Lane::STANDALONE, request("d")),
            [message("n")],
            "notifications go before requests"
        );
        assert_eq!(spool.push(Lane::STANDALONE, request("e")), [request("b")]);
        let reader = spool.attach(Lane::STANDALONE, None).unwrap();
        assert_eq!(read(&mut spool, Lane::STANDALONE, reader), "cde");
        assert_eq!(
            spool.attach(Lane::STANDALONE, Some(1)),
            None,
            "`b` followed it and is gone"
        );
    }

    #[test]
    fn a_reader_that_does_not_read_fills_the_spool_until_its_lane_is_taken() {
        let mut spool = spool(2, true);
        let (slow, quick) = (spool.open(), spool.open());
        let slow_reader = spool.attach(slow, None).unwrap();
        let quick_reader = spool.attach(quick, None).unwrap();
        for text in ["a", "b", "c"] {
            spool.push(slow, message(text));
        }
        assert!(spool.is_full());
        assert_eq!(spool.shed(), Some((slow, vec![message("a")])));
        assert!(!spool.is_full());
        assert_eq!(read(&mut spool, slow, slow_reader), "!");
        spool.push(quick, message("q"));
        assert_eq!(read(&mut spool, quick, quick_reader), "q");
    }

    #[test]
    fn a_full_spool_has_room_as_soon_as_its_reader_reads() {
        let mut spool = spool(2, true);
        let reader = spool.attach(Lane::STANDALONE, None).unwrap();
        for text in ["a", "b", "c"] {
            spool.push(Lane::STANDALONE, message(text));
        }
        assert!(spool.is_full());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(spool.poll_next(Lane::STANDALONE, reader, &mut cx).is_ready());
        assert!(!spool.is_full());
        assert_eq!(read(&mut spool, Lane::STANDALONE, reader), "bc");
    }

    #[test]
    fn without_resumption_nothing_is_kept_and_an_ended_lane_is_forgotten() {
        let mut spool = spool(2, false);
        let lane = spool.open();
        let reader = spool.attach(lane, None).unwrap();
        spool.push(lane, message("a"));
        assert_eq!(read(&mut spool, lane, reader), "a");
        assert_eq!(spool.usage(), (0, 0));
        spool.end(lane);
        assert_eq!(read(&mut spool, lane, reader), ".");
        spool.detach(lane, reader);
        assert_eq!(spool.attach(lane, None), None);
        assert_eq!(spool.push(lane, message("late")), [message("late")]);
    }

    #[test]
    fn what_waits_for_a_stream_can_be_moved_to_another_one() {
        let mut spool = spool(9, true);
        spool.push(Lane::STANDALONE, message("a"));
        spool.push(Lane::STANDALONE, message("b"));
        assert_eq!(spool.take_unread(Lane::STANDALONE), [message("a"), message("b")]);
        assert_eq!(spool.usage(), (0, 0));
    }
}
