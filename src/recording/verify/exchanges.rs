//! Whether the exchanges of a recording, and the frames in them, are whole.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use super::problem::ProblemKind;
use crate::ids::ExchangeId;
use crate::recording::format::{FrameLine, Line};
use crate::snapshot::{Carrier, Direction};

/// Exchanges that are remembered as open, and as over. Beyond that the oldest are forgotten: so many cannot be open at
/// once, and a number that old does not come again.
const MAX_REMEMBERED: usize = 1 << 17;

#[derive(Debug)]
pub(super) struct Exchanges {
    open: BTreeMap<ExchangeId, Open>,
    over: BTreeSet<ExchangeId>,
    frames: u64,
    /// The file goes on with another one: what it tells of may have begun there.
    is_continued: bool,
    /// Gaps so far.
    gaps: u64,
}

#[derive(Debug, Default)]
struct Open {
    has_request: bool,
    has_response: bool,
    /// It began before the recording, so its first frames may be missing.
    is_old: bool,
    /// The line that first told of it.
    line: u64,
    request: Stream,
    response: Stream,
    errors: Stream,
}

/// One of the streams of bytes of an exchange.
#[derive(Debug, Default)]
struct Stream {
    /// The number that the next frame has; `None` before the first one.
    next: Option<u32>,
    frame: Option<Frame>,
    /// Gaps there were when the latest line of it came.
    gaps: u64,
}

/// A frame that is under way.
#[derive(Debug)]
struct Frame {
    number: u32,
    next_part: u32,
    bytes: u64,
    /// Its bytes cannot be counted: some were replaced or left out.
    is_changed: bool,
    gaps: u64,
}

impl Exchanges {
    pub(super) const fn new(is_continued: bool) -> Self {
        Self {
            open: BTreeMap::new(),
            over: BTreeSet::new(),
            frames: 0,
            is_continued,
            gaps: 0,
        }
    }

    /// Frames that are whole.
    pub(super) const fn frames(&self) -> u64 {
        self.frames
    }

    /// Lines are missing here.
    pub(super) const fn gap(&mut self) {
        self.gaps += 1;
    }

    pub(super) fn line(&mut self, number: u64, line: &Line, found: &mut Found) {
        match line {
            Line::Request(request) => {
                let is_old = request.us < 0;
                let open = self.of(request.exchange, number, found);
                if std::mem::replace(&mut open.has_request, true) {
                    let text = format!("is a second request of exchange {}", request.exchange.get());
                    found.add(Some(number), ProblemKind::Duplicate, text);
                }
                open.is_old |= is_old;
            }
            Line::Response(response) => {
                let open = self.known(response.exchange, number, found);
                if std::mem::replace(&mut open.has_response, true) {
                    let text = format!("is a second response of exchange {}", response.exchange.get());
                    found.add(Some(number), ProblemKind::Duplicate, text);
                }
            }
            Line::Frame(frame) => self.frame(number, frame, found),
            Line::ExchangeEnd(end) => {
                let gaps = self.gaps;
                let open = self.known(end.exchange, number, found);
                for stream in [&open.request, &open.response, &open.errors] {
                    stream.ends(number, gaps, found);
                }
                self.close(end.exchange);
            }
            // What is said of an exchange may come after its end.
            _ => {}
        }
    }

    /// The file is over.
    pub(super) fn at_end(&mut self, is_ended: bool, is_continued: bool, found: &mut Found) {
        if is_continued {
            return;
        }
        let kind = if is_ended {
            ProblemKind::StillOpen
        } else {
            ProblemKind::Unfinished
        };
        for (exchange, open) in std::mem::take(&mut self.open) {
            let text = format!("exchange {} begins here and has no end", exchange.get());
            found.add(Some(open.line), kind, text);
        }
    }

    fn frame(&mut self, number: u64, line: &FrameLine, found: &mut Found) {
        let gaps = self.gaps;
        let is_continued = self.is_continued;
        let open = self.known(line.exchange, number, found);
        let may_lack_start = open.is_old || is_continued || gaps > 0;
        let stream = match (line.direction, line.transport) {
            (Direction::ClientToServer, _) => &mut open.request,
            (Direction::ServerToClient, Carrier::Stderr) => &mut open.errors,
            (Direction::ServerToClient, _) => &mut open.response,
        };
        let is_whole = stream.push(number, line, gaps, may_lack_start, found);
        self.frames += u64::from(is_whole);
    }

    fn close(&mut self, exchange: ExchangeId) {
        self.open.remove(&exchange);
        self.over.insert(exchange);
        if self.over.len() > MAX_REMEMBERED {
            self.over.pop_first();
        }
    }

    /// The exchange, which has begun before.
    fn known(&mut self, exchange: ExchangeId, number: u64, found: &mut Found) -> &mut Open {
        let may_be_unknown = self.is_continued || self.gaps > 0;
        let open = self.of(exchange, number, found);
        if !open.has_request {
            open.has_request = true;
            open.is_old = true;
            if !may_be_unknown {
                let text = format!(
                    "is of exchange {}, whose request is not in the file",
                    exchange.get()
                );
                found.add(Some(number), ProblemKind::Headless, text);
            }
        }
        open
    }

    fn of(&mut self, exchange: ExchangeId, number: u64, found: &mut Found) -> &mut Open {
        if self.over.remove(&exchange) {
            let text = format!("is of exchange {}, which has ended before", exchange.get());
            found.add(Some(number), ProblemKind::Duplicate, text);
        }
        if self.open.len() >= MAX_REMEMBERED && !self.open.contains_key(&exchange) {
            self.open.pop_first();
        }
        let open = self.open.entry(exchange).or_default();
        if open.line == 0 {
            open.line = number;
        }
        open
    }
}

impl Stream {
    /// Takes one line; true if a frame is whole with it.
    fn push(
        &mut self,
        number: u64,
        line: &FrameLine,
        gaps: u64,
        may_lack_start: bool,
        found: &mut Found,
    ) -> bool {
        let is_excused = self.gaps < gaps;
        self.gaps = gaps;
        let of = format!("frame {} of exchange {}", line.frame, line.exchange.get());
        if self
            .frame
            .as_ref()
            .is_some_and(|frame| frame.number != line.frame)
        {
            self.ends(number, gaps, found);
            self.frame = None;
        }
        if self.frame.is_none() {
            self.begin(number, line, is_excused, may_lack_start, &of, found);
        }
        let Some(frame) = &mut self.frame else {
            return false;
        };
        frame.part(
            number,
            line,
            is_excused || may_lack_start && frame.next_part == 0,
            &of,
            found,
        );
        if !line.last {
            return false;
        }
        frame.check_size(number, line, gaps, &of, found);
        self.next = Some(line.frame.saturating_add(1));
        self.frame = None;
        true
    }

    fn begin(
        &mut self,
        number: u64,
        line: &FrameLine,
        is_excused: bool,
        may_lack_start: bool,
        of: &str,
        found: &mut Found,
    ) {
        let expected = self.next.unwrap_or(0);
        if line.frame < expected {
            found.add(
                Some(number),
                ProblemKind::Duplicate,
                format!("{of} comes a second time"),
            );
        } else if line.frame > expected && !is_excused && !(may_lack_start && self.next.is_none()) {
            let text = format!("frames are missing before {of} ({})", line.frame - expected);
            found.add(Some(number), ProblemKind::MissingFrame, text);
        }
        self.frame = Some(Frame {
            number: line.frame,
            next_part: 0,
            bytes: 0,
            is_changed: false,
            gaps: self.gaps,
        });
    }

    /// Nothing more comes of the frame that is under way, if there is one.
    fn ends(&self, number: u64, gaps: u64, found: &mut Found) {
        if let Some(frame) = &self.frame
            && frame.gaps == gaps
        {
            let text = format!("frame {} has no end before this line", frame.number);
            found.add(Some(number), ProblemKind::Unfinished, text);
        }
    }
}

impl Frame {
    fn part(&mut self, number: u64, line: &FrameLine, is_excused: bool, of: &str, found: &mut Found) {
        if line.part < self.next_part {
            let text = format!("part {} of {of} comes a second time", line.part);
            found.add(Some(number), ProblemKind::Duplicate, text);
        } else if line.part > self.next_part {
            self.is_changed = true;
            if !is_excused {
                let text = format!(
                    "parts of {of} are missing before it ({})",
                    line.part - self.next_part
                );
                found.add(Some(number), ProblemKind::MissingFrame, text);
            }
        }
        self.next_part = line.part.saturating_add(1);
        let bytes = line.text.as_ref().map(String::len);
        let bytes = bytes.or_else(|| line.base64.as_ref().map(Vec::len));
        self.bytes += bytes.unwrap_or(0) as u64;
        self.is_changed |= line.redactions > 0 || line.withheld > 0 || line.missing > 0;
    }

    /// The last part says how large the frame was.
    fn check_size(&self, number: u64, line: &FrameLine, gaps: u64, of: &str, found: &mut Found) {
        let Some(size) = line.size else { return };
        if self.bytes != size && !self.is_changed && self.gaps == gaps {
            let text = format!("{of} had {size} bytes, of which {} are there", self.bytes);
            found.add(Some(number), ProblemKind::MissingFrame, text);
        }
    }
}
