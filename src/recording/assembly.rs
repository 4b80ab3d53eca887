//! Puts frames together that a recording has in parts.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::body::BodyRange;
use super::format::FrameLine;
use crate::codec::envelope::{EnvelopeScanner, Scan};
use crate::ids::ExchangeId;
use crate::limits::ResourceLimits;
use crate::snapshot::{Carrier, Direction};

/// How much of a frame is kept that finds no room.
const HEAD_BYTES: usize = 4096;

/// A frame that is complete, or whose rest is missing.
#[derive(Debug)]
pub(super) struct Assembled {
    /// Its last line, without bytes.
    pub(super) line: FrameLine,
    /// Its bytes, or their head.
    pub(super) wire: Bytes,
    /// How many bytes the recording has of it.
    pub(super) total: u64,
    /// `wire` is not all of it.
    pub(super) is_cut: bool,
    /// Lines it takes in the file.
    pub(super) lines: u32,
    /// The messages in it, if it is a body.
    pub(super) scan: Option<Scan>,
    /// How many messages the proxy found in it, if the recording says so.
    pub(super) expected: Option<u32>,
    /// Where it stands; `None` for an empty one.
    pub(super) range: Option<BodyRange>,
}

/// What one more line led to.
#[derive(Debug, Default)]
pub(super) struct Pushed {
    /// Frames that are complete now, or given up.
    pub(super) done: Vec<Assembled>,
    /// Lines before this one are missing.
    pub(super) is_torn: bool,
    /// They are those with which the frame began.
    pub(super) is_headless: bool,
}

/// The frames that are under way, at most one for each stream of bytes of an exchange.
#[derive(Debug)]
pub(super) struct Assemblies {
    open: BTreeMap<(ExchangeId, DirectionKey), Assembly>,
    /// Bytes of all that is open.
    held: usize,
    max_frame: usize,
    max_held: usize,
    max_open: usize,
}

/// One of the three streams of bytes that an exchange can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum DirectionKey {
    Request,
    Response,
    Errors,
}

impl DirectionKey {
    const ALL: [Self; 3] = [Self::Request, Self::Response, Self::Errors];

    const fn of(line: &FrameLine) -> Self {
        match (line.direction, line.transport) {
            (Direction::ClientToServer, _) => Self::Request,
            (Direction::ServerToClient, Carrier::Stderr) => Self::Errors,
            (Direction::ServerToClient, _) => Self::Response,
        }
    }
}

#[derive(Debug)]
struct Assembly {
    /// The latest line, without bytes.
    line: FrameLine,
    wire: Vec<u8>,
    total: u64,
    is_cut: bool,
    lines: u32,
    scanner: Option<Box<EnvelopeScanner>>,
    range: BodyRange,
}

impl Assemblies {
    /// With the limits that hold for live traffic.
    pub(super) fn new(limits: &ResourceLimits) -> Self {
        Self {
            open: BTreeMap::new(),
            held: 0,
            max_frame: limits.max_message_bytes,
            max_held: limits.max_buffer_pool,
            max_open: limits.max_concurrent_tasks,
        }
    }

    /// Takes one line, which stands at `offset`.
    pub(super) fn push(&mut self, mut line: FrameLine, number: u64, offset: u64, length: u64) -> Pushed {
        let mut pushed = Pushed::default();
        let bytes = line.take_bytes();
        let is_last = line.last;
        let key = (line.exchange, DirectionKey::of(&line));
        let open = self.take(key);
        let mut assembly = match open {
            Some(open) if open.line.frame == line.frame => open,
            other => {
                pushed.done.extend(other.map(Assembly::give_up));
                Assembly::new(&line, number, offset)
            }
        };
        if line.part != assembly.lines {
            pushed.is_torn = true;
            pushed.is_headless = assembly.lines == 0;
            assembly.is_cut = true;
        }
        let room = self
            .max_held
            .saturating_sub(self.held)
            .max(HEAD_BYTES)
            .min(self.max_frame);
        assembly.add(line, &bytes, room);
        assembly.range.length = offset + length - assembly.range.offset;
        if is_last {
            pushed.done.push(assembly.finish());
        } else {
            pushed.done.extend(self.keep(key, assembly));
        }
        pushed
    }

    /// Everything of an exchange that is over.
    pub(super) fn take_exchange(&mut self, exchange: ExchangeId) -> Vec<(i64, Assembled)> {
        DirectionKey::ALL
            .into_iter()
            .filter_map(|direction| self.take((exchange, direction)))
            .map(|open| (open.line.us, open.give_up()))
            .collect()
    }

    /// Everything that is left, in no order but that of the exchanges.
    pub(super) fn drain(&mut self) -> Vec<(i64, Assembled)> {
        self.held = 0;
        std::mem::take(&mut self.open)
            .into_values()
            .map(|open| (open.line.us, open.give_up()))
            .collect()
    }

    fn take(&mut self, key: (ExchangeId, DirectionKey)) -> Option<Assembly> {
        let open = self.open.remove(&key)?;
        self.held -= open.wire.len();
        Some(open)
    }

    /// Keeps an unfinished frame; returns the oldest one if there are too many.
    fn keep(&mut self, key: (ExchangeId, DirectionKey), assembly: Assembly) -> Option<Assembled> {
        self.held += assembly.wire.len();
        self.open.insert(key, assembly);
        if self.open.len() <= self.max_open {
            return None;
        }
        let (_, oldest) = self.open.pop_first()?;
        self.held -= oldest.wire.len();
        Some(oldest.give_up())
    }
}

impl Assembly {
    fn new(line: &FrameLine, number: u64, offset: u64) -> Self {
        Self {
            line: line.clone(),
            wire: Vec::new(),
            total: 0,
            is_cut: false,
            lines: 0,
            scanner: (line.transport == Carrier::Http).then(Box::default),
            range: BodyRange {
                offset,
                length: 0,
                line: number,
                exchange: line.exchange,
                direction: line.direction,
                carrier: line.transport,
                frame: line.frame,
            },
        }
    }

    fn add(&mut self, line: FrameLine, bytes: &[u8], room: usize) {
        self.total += bytes.len() as u64;
        self.lines = line.part.saturating_add(1);
        self.is_cut |= line.withheld > 0 || line.missing > 0;
        if let Some(scanner) = &mut self.scanner {
            scanner.push(bytes);
        }
        if self.wire.len() as u64 + bytes.len() as u64 == self.total && self.wire.len() + bytes.len() <= room
        {
            self.wire.extend_from_slice(bytes);
        } else {
            self.is_cut = true;
            self.wire
                .extend_from_slice(&bytes[..bytes.len().min(HEAD_BYTES.saturating_sub(self.wire.len()))]);
            self.wire.truncate(HEAD_BYTES);
            self.wire.shrink_to_fit();
        }
        self.line = line;
    }

    /// The rest is missing: what is there is a fragment.
    fn give_up(mut self) -> Assembled {
        self.line.fragment = true;
        self.finish()
    }

    fn finish(self) -> Assembled {
        let whole = self.line.size.unwrap_or(self.total);
        Assembled {
            is_cut: self.is_cut || self.total == 0 && whole > 0,
            wire: self.wire.into(),
            total: self.total,
            lines: self.lines,
            scan: self.scanner.map(|scanner| scanner.finish()),
            expected: self.line.messages,
            range: (self.total > 0).then_some(self.range),
            line: self.line,
        }
    }
}
