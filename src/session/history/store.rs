//! Rows in immutable segments: cheap to share, cheap to append to, thinned out in batches.

use std::sync::Arc;

use crate::ids::{MessageId, ProxySessionId};
use crate::resource::heap::{self, ARC_BYTES};

use super::exchange::ExchangeRecord;
use super::packed::{PackedRows, Rows, Unpacked};
use super::row::Row;

/// Rows in a full segment.
pub const SEGMENT_ROWS: usize = 256;
/// Evicted rows that wait in their segments for the next clean-up, at most.
const MAX_PENDING: usize = 4 * SEGMENT_ROWS;
/// A segment with fewer rows is joined with its neighbour if both fit into one.
const SMALL_SEGMENT: usize = SEGMENT_ROWS / 2;
/// Full segments that are not packed, since answers and late messages still change them.
const UNPACKED_SEGMENTS: usize = 8;

/// Some rows in order, never empty, never changed.
#[derive(Debug)]
pub struct Segment(Form);

#[derive(Debug)]
enum Form {
    Rows(Rows),
    Packed(PackedRows),
}

impl Segment {
    /// Its rows, oldest first. Those of a large recording are made again from what is kept of them, which takes less than
    /// a millisecond, unless they were looked at lately.
    pub fn rows(&self) -> Arc<[Arc<Row>]> {
        match &self.0 {
            Form::Rows(rows) => Arc::clone(rows),
            Form::Packed(packed) => packed.rows(),
        }
    }

    /// How many they are.
    pub(super) fn len(&self) -> usize {
        match &self.0 {
            Form::Rows(rows) => rows.len(),
            Form::Packed(packed) => packed.len(),
        }
    }

    /// The place of a row among them; `Err` with that of the first one behind it.
    pub(super) fn place(&self, id: MessageId) -> Result<usize, usize> {
        if let Form::Packed(packed) = &self.0
            && packed.is_dense()
        {
            let place = id.get().checked_sub(packed.first().get()).ok_or(0_usize)?;
            let place = usize::try_from(place).ok().filter(|place| *place < packed.len());
            return place.ok_or(packed.len());
        }
        self.rows().binary_search_by_key(&id, |row| row.id())
    }

    /// The last of them.
    pub(super) fn last(&self) -> Option<Arc<Row>> {
        self.rows().last().cloned()
    }

    fn new(rows: Vec<Arc<Row>>) -> Option<Arc<Self>> {
        (!rows.is_empty()).then(|| Arc::new(Self(Form::Rows(rows.into()))))
    }

    pub(super) fn first(&self) -> Option<MessageId> {
        match &self.0 {
            Form::Rows(rows) => rows.first().map(|row| row.id()),
            Form::Packed(packed) => Some(packed.first()),
        }
    }

    fn last_number(&self) -> u64 {
        match &self.0 {
            Form::Rows(rows) => rows.last().map_or(0, |row| row.id().get()),
            Form::Packed(packed) => packed.last().get(),
        }
    }

    fn without(&self, is_gone: impl Fn(&Arc<Row>) -> bool) -> Option<Arc<Self>> {
        match &self.0 {
            Form::Rows(rows) => Self::new(rows.iter().filter(|row| !is_gone(row)).cloned().collect()),
            Form::Packed(packed) => Some(Arc::new(Self(Form::Packed(packed.without(is_gone))))),
        }
    }
}

/// Rows that were packed, or whose packed form went.
#[derive(Debug)]
pub(crate) struct PackedSegment {
    /// The rows that are packed now; empty for those that went.
    pub(crate) rows: Vec<Arc<Row>>,
    /// How many they are.
    pub(crate) count: u64,
    /// The first and the last of them.
    pub(crate) span: (MessageId, MessageId),
    /// Exchanges that are held by them as they are.
    pub(crate) open: Vec<Arc<ExchangeRecord>>,
    /// Their sessions.
    pub(crate) sessions: Vec<ProxySessionId>,
}

/// The rows as their one writer sees them.
#[derive(Debug, Default)]
pub(crate) struct Store {
    sealed: Vec<Arc<Segment>>,
    tail: Vec<Arc<Row>>,
    /// Numbers of evicted rows that still lie in their segments.
    pending: Vec<u64>,
    /// Rows up to this number are packed, or were found not to be worth it.
    packed_to: u64,
    packed_bytes: usize,
    unpacked: Unpacked,
}

impl Store {
    /// Bytes of heap memory beside the rows and their places, the latest view's own included.
    pub(crate) fn heap_bytes(&self) -> usize {
        let segment = ARC_BYTES + size_of::<Segment>() + size_of::<u64>() + size_of::<Arc<Segment>>();
        heap::vector(&self.sealed)
            + self.sealed.len() * segment
            + heap::vector(&self.tail)
            + heap::vector(&self.pending)
    }

    /// Bytes of heap memory of packed rows.
    pub(crate) fn packed_bytes(&self) -> usize {
        self.packed_bytes
    }

    /// Appends a row; its id is above all others.
    pub(crate) fn push(&mut self, row: Arc<Row>) {
        self.tail.push(row);
        if self.tail.len() == SEGMENT_ROWS {
            let full = std::mem::replace(&mut self.tail, Vec::with_capacity(SEGMENT_ROWS));
            self.sealed.extend(Segment::new(full));
        }
    }

    /// Packs the next segment that is old enough, but for its rows that are `is_live`. `None` if there is none.
    pub(crate) fn pack_next(&mut self, is_live: impl Fn(&Row) -> bool) -> Option<PackedSegment> {
        let last = self.sealed.len().checked_sub(UNPACKED_SEGMENTS + 1)?;
        if self.sealed.get(last)?.last_number() <= self.packed_to {
            return None;
        }
        self.clean_up();
        let next = self
            .sealed
            .partition_point(|segment| segment.last_number() <= self.packed_to);
        let segment = self.sealed.get_mut(next)?;
        self.packed_to = segment.last_number();
        let Form::Rows(rows) = &segment.0 else {
            return None;
        };
        let packed = PackedRows::of(rows, is_live, &self.unpacked)?;
        let is_packed = |row: &&Arc<Row>| !packed.live().iter().any(|live| Arc::ptr_eq(live, row));
        let outcome = PackedSegment {
            rows: rows.iter().filter(is_packed).cloned().collect(),
            ..described(&packed)
        };
        self.packed_bytes += packed.heap_bytes();
        *segment = Arc::new(Segment(Form::Packed(packed)));
        Some(outcome)
    }

    /// Lets the oldest packed rows go. `None` if there are none.
    pub(crate) fn drop_packed(&mut self) -> Option<PackedSegment> {
        let is_packed = |segment: &Arc<Segment>| matches!(segment.0, Form::Packed(_));
        let place = self.sealed.iter().position(is_packed)?;
        let segment = self.sealed.remove(place);
        let Form::Packed(packed) = &segment.0 else {
            return None;
        };
        if let Some(live) = Segment::new(packed.live().to_vec()) {
            self.sealed.insert(place, live);
        }
        self.packed_bytes = self.packed_bytes.saturating_sub(packed.heap_bytes());
        Some(described(packed))
    }

    /// Takes a row out. Its place is cleaned up later, with others.
    pub(crate) fn evict(&mut self, id: MessageId) {
        self.pending.push(id.get());
        if self.pending.len() >= MAX_PENDING {
            self.clean_up();
        }
    }

    /// The segments as they are now, the unfinished last one included.
    pub(crate) fn share(&mut self) -> Vec<Arc<Segment>> {
        self.clean_up();
        let mut segments = Vec::with_capacity(self.sealed.len() + 1);
        segments.extend(self.sealed.iter().cloned());
        segments.extend(Segment::new(self.tail.clone()));
        segments
    }

    fn clean_up(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut gone = std::mem::take(&mut self.pending);
        gone.sort_unstable();
        let is_gone = |row: &Arc<Row>| gone.binary_search(&row.id().get()).is_ok();
        self.tail.retain(|row| !is_gone(row));
        let mut next = 0;
        let mut kept: Vec<Arc<Segment>> = Vec::with_capacity(self.sealed.len());
        for segment in self.sealed.drain(..) {
            let here = gone.partition_point(|number| *number <= segment.last_number());
            let is_touched = here > next;
            next = here;
            let segment = if is_touched {
                segment.without(is_gone)
            } else {
                Some(segment)
            };
            if let Some(segment) = segment {
                append(&mut kept, segment);
            }
        }
        self.sealed = kept;
        gone.clear();
        gone.shrink_to(SEGMENT_ROWS);
        self.pending = gone;
    }
}

fn described(packed: &PackedRows) -> PackedSegment {
    PackedSegment {
        rows: Vec::new(),
        count: packed.packed_len() as u64,
        span: packed.span(),
        open: packed.open_exchanges().to_vec(),
        sessions: packed.sessions().collect(),
    }
}

fn append(kept: &mut Vec<Arc<Segment>>, segment: Arc<Segment>) {
    if let (Some(Form::Rows(last)), Form::Rows(rows)) = (kept.last().map(|last| &last.0), &segment.0)
        && last.len().min(rows.len()) < SMALL_SEGMENT
        && last.len() + rows.len() <= SEGMENT_ROWS
    {
        let joined = Segment::new(last.iter().chain(rows.iter()).cloned().collect());
        kept.pop();
        kept.extend(joined);
        return;
    }
    kept.push(segment);
}
