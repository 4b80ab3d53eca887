//! A client that listens to an event stream and checks every byte of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use memchr::memmem;

use crate::buffered::Body;
use crate::clock::now_ns;
use crate::events::{self, Event, Spec};
use crate::faults::{Faults, Sequence};
use crate::shared::locked;
use crate::stats::Histogram;

use super::{Link, Session};

/// Streams are numbered over the whole run, so that an event of another stream is noticed.
static NEXT_STREAM: AtomicU64 = AtomicU64::new(1);

/// A number for a stream that no other has.
pub(crate) fn new_stream() -> u64 {
    NEXT_STREAM.fetch_add(1, Ordering::Relaxed)
}

/// What the proxy says while it holds an event, so that the connection is kept.
const KEPT_ALIVE: &[u8] = b": held\n\n";

/// What listeners heard.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    /// From the moment that an event carries until it was read.
    pub(crate) latency: Histogram,
    pub(crate) faults: Faults,
}

/// Cuts a stream into events and compares each with what it has to be.
#[derive(Debug)]
pub(super) struct Checker {
    spec: Spec,
    sequence: Sequence,
    /// Bytes of `buffer` that hold no end of an event.
    scanned: usize,
    buffer: Vec<u8>,
    expected: Vec<u8>,
    /// Events before the farewell, once that has come.
    farewell: Option<u64>,
    /// The events that are neither numbered nor a farewell.
    others: Vec<Vec<u8>>,
}

impl Checker {
    pub(super) fn new(spec: Spec) -> Self {
        let (buffer, expected, others) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            spec,
            sequence: Sequence::default(),
            scanned: 0,
            buffer,
            expected,
            farewell: None,
            others,
        }
    }

    /// Takes the whole events in the buffer.
    fn take(&mut self, heard: &mut Heard) {
        let now = now_ns();
        let mut start = 0;
        while let Some(end) = self.next_end(start) {
            self.event(start, end, now, heard);
            (start, self.scanned) = (end, end);
        }
        self.buffer.drain(..start);
        // An end may be cut in its middle.
        self.scanned = self.buffer.len().saturating_sub(1);
    }

    fn next_end(&self, start: usize) -> Option<usize> {
        let from = self.scanned.max(start);
        Some(from + memmem::find(self.buffer.get(from..)?, b"\n\n")? + 2)
    }

    fn event(&mut self, start: usize, end: usize, now: u64, heard: &mut Heard) {
        let found = self.buffer.get(start..end).unwrap_or_default();
        self.expected.clear();
        if found == KEPT_ALIVE {
            return;
        }
        match Event::read(found) {
            Event::Numbered { seq, at_ns } => {
                events::append_event(self.spec.stream, seq, at_ns, self.spec.bytes, &mut self.expected);
                if self.expected != found {
                    return wrong(found, &mut heard.faults);
                }
                self.sequence.take(seq, &mut heard.faults);
                heard.latency.add(now.saturating_sub(at_ns));
            }
            Event::Farewell { events } if self.farewell.is_none() => {
                events::append_farewell(self.spec.stream, events, &mut self.expected);
                if self.expected != found {
                    return wrong(found, &mut heard.faults);
                }
                self.farewell = Some(events);
            }
            Event::Farewell { .. } => heard.faults.duplicated += 1,
            Event::Other => self.others.push(found.to_vec()),
        }
    }

    /// Ends the stream: were there as many events as the server sent?
    fn finish(self, faults: &mut Faults) {
        for other in &self.others {
            wrong(other, faults);
        }
        if !self.buffer.is_empty() {
            wrong(&self.buffer, faults);
        }
        if let Some(events) = self.farewell {
            self.sequence.finish(events, faults);
        } else {
            faults.lost += 1;
            faults.example(format_args!(
                "stream {} ended without its last event",
                self.spec.stream
            ));
        }
    }

    /// As [`Self::finish`] for the stream of a call, which ends with its answer.
    fn finish_call(mut self, session: &mut Session, faults: &mut Faults) {
        if let Some(answer) = self.others.pop() {
            self.expected.clear();
            self.farewell = Some(self.spec.events);
            let data = answer
                .strip_prefix(b"data: ")
                .and_then(|rest| rest.strip_suffix(b"\n\n"));
            session.check_answer(data.unwrap_or_default(), faults);
        }
        self.finish(faults);
    }
}

fn wrong(found: &[u8], faults: &mut Faults) {
    faults.wrong += 1;
    let start: String = String::from_utf8_lossy(found).chars().take(200).collect();
    faults.example(format_args!(
        "an event of {} bytes that nobody sent: {start:?}",
        found.len()
    ));
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct Listener {
    link: Link,
    body: Body,
    checker: Checker,
}

impl Listener {
    /// Opens a stream of a session with GET; `link` is busy with it until its end.
    ///
    /// # Errors
    /// The answer was no event stream.
    pub(crate) async fn open(mut link: Link, session: &Session, spec: Spec) -> Result<Self> {
        let fields = format!("{}X-Load: {}\r\n", session.handle.fields, spec.to_field());
        link.send("GET", &fields).await?;
        let head = link.answer_head().await?;
        if head.status() != 200 || !head.event_stream {
            bail!("a stream was answered with `{}`", head.line);
        }
        Ok(Self {
            link,
            body: Body::new(head.response_framing()),
            checker: Checker::new(spec),
        })
    }

    /// Listens until `events` events have come, or the stream has ended; false if it has ended.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) async fn hear(&mut self, events: u64, heard: &Mutex<Heard>) -> Result<bool> {
        while self.checker.sequence.seen() < events {
            let more = self
                .link
                .wire
                .part(&mut self.body, &mut self.checker.buffer)
                .await?;
            self.checker.take(&mut locked(heard));
            if !more {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Listens to the end of the stream and checks that nothing was left out; returns the connection.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) async fn finish(mut self, heard: &Mutex<Heard>) -> Result<Link> {
        self.hear(u64::MAX, heard).await?;
        self.checker.finish(&mut locked(heard).faults);
        Ok(self.link)
    }
}

impl Session {
    /// Makes a call that is answered with an event stream, and checks all of it.
    ///
    /// # Errors
    /// There was no answer with status 200, or the connection broke.
    pub(crate) async fn stream_call(
        &mut self,
        link: &mut Link,
        spec: Spec,
        answer_bytes: usize,
        heard: &Mutex<Heard>,
    ) -> Result<()> {
        let fields = format!("{}X-Load: {}\r\n", self.handle.fields, spec.to_field());
        link.send_post(&fields, self.next_call(answer_bytes)).await?;
        let response = link.answer_head().await?;
        if response.status() != 200 || !response.event_stream {
            bail!("a call for a stream was answered with `{}`", response.line);
        }
        let (mut body, mut checker) = (Body::new(response.response_framing()), Checker::new(spec));
        loop {
            let more = link.wire.part(&mut body, &mut checker.buffer).await?;
            checker.take(&mut locked(heard));
            if !more {
                break;
            }
        }
        checker.finish_call(self, &mut locked(heard).faults);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The faults of a stream that should have 3 events, after `change` was made to its events.
    fn heard(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> (Faults, u64) {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for seq in 0..3 {
            let mut event = Vec::new();
            events::append_event(9, seq, 1_000, 300, &mut event);
            parts.push(event);
        }
        let mut last = Vec::new();
        events::append_farewell(9, 3, &mut last);
        parts.push(last);
        change(&mut parts);
        let mut heard = Heard::default();
        let mut checker = Checker::new(Spec {
            bytes: 300,
            ..Spec::new(9, 3)
        });
        // Cut everywhere: byte by byte.
        for byte in parts.concat() {
            checker.buffer.push(byte);
            checker.take(&mut heard);
        }
        checker.finish(&mut heard.faults);
        (heard.faults, heard.latency.count())
    }

    #[test]
    fn a_whole_stream_is_no_fault() {
        let (faults, count) = heard(|_| ());
        assert!(faults.is_empty(), "{faults}");
        assert_eq!(count, 3);
    }

    #[test]
    fn an_event_that_is_missing_is_lost() {
        for index in 0..3 {
            let (faults, _) = heard(|parts| drop(parts.remove(index)));
            assert_eq!((faults.lost, faults.total()), (1, 1), "{index}");
        }
    }

    #[test]
    fn a_stream_without_its_end_is_a_loss() {
        let (faults, _) = heard(|parts| drop(parts.pop()));
        assert_eq!((faults.lost, faults.total()), (1, 1));
    }

    #[test]
    fn an_event_that_comes_twice_is_a_duplicate() {
        let (faults, _) = heard(|parts| parts.insert(2, parts[1].clone()));
        assert_eq!((faults.duplicated, faults.total()), (1, 1));
    }

    #[test]
    fn events_that_change_places_are_out_of_order() {
        let (faults, _) = heard(|parts| parts.swap(0, 1));
        assert_eq!((faults.out_of_order, faults.total()), (1, 1));
    }

    #[test]
    fn one_wrong_byte_is_wrong() {
        let (faults, _) = heard(|parts| parts[1][200] ^= 1);
        assert_eq!(faults.wrong, 1);
    }

    #[test]
    fn an_event_of_another_stream_is_wrong() {
        let (faults, _) = heard(|parts| {
            parts[1].clear();
            events::append_event(8, 1, 1_000, 300, &mut parts[1]);
        });
        assert_eq!(faults.wrong, 1);
    }

    #[test]
    fn bytes_after_the_last_event_are_wrong() {
        let (faults, _) = heard(|parts| parts.push(b": x".to_vec()));
        assert_eq!((faults.wrong, faults.total()), (1, 1));
    }
}
