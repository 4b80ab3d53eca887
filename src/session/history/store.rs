//! Rows in immutable segments: cheap to share, cheap to append to, thinned out in batches.

use std::sync::Arc;

use crate::ids::MessageId;
use crate::resource::heap::{self, ARC_BYTES};

use super::row::Row;

/// Rows in a full segment.
pub const SEGMENT_ROWS: usize = 256;
/// Evicted rows that wait in their segments for the next clean-up, at most.
const MAX_PENDING: usize = 4 * SEGMENT_ROWS;
/// A segment with fewer rows is joined with its neighbour if both fit into one.
const SMALL_SEGMENT: usize = SEGMENT_ROWS / 2;

/// Some rows in order, never empty, never changed.
#[derive(Debug)]
pub struct Segment {
    rows: Box<[Arc<Row>]>,
}

impl Segment {
    /// Its rows, oldest first.
    pub fn rows(&self) -> &[Arc<Row>] {
        &self.rows
    }

    fn new(rows: Vec<Arc<Row>>) -> Option<Arc<Self>> {
        (!rows.is_empty()).then(|| Arc::new(Self { rows: rows.into() }))
    }

    pub(super) fn first(&self) -> Option<MessageId> {
        self.rows.first().map(|row| row.id())
    }

    fn last_number(&self) -> u64 {
        self.rows.last().map_or(0, |row| row.id().get())
    }
}

/// The rows as their one writer sees them.
#[derive(Debug, Default)]
pub(crate) struct Store {
    sealed: Vec<Arc<Segment>>,
    tail: Vec<Arc<Row>>,
    /// Numbers of evicted rows that still lie in their segments.
    pending: Vec<u64>,
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

    /// Appends a row; its id is above all others.
    pub(crate) fn push(&mut self, row: Arc<Row>) {
        self.tail.push(row);
        if self.tail.len() == SEGMENT_ROWS {
            let full = std::mem::replace(&mut self.tail, Vec::with_capacity(SEGMENT_ROWS));
            self.sealed.extend(Segment::new(full));
        }
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
                Segment::new(segment.rows.iter().filter(|row| !is_gone(row)).cloned().collect())
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

fn append(kept: &mut Vec<Arc<Segment>>, segment: Arc<Segment>) {
    let is_joinable = |last: &Arc<Segment>| {
        last.rows.len().min(segment.rows.len()) < SMALL_SEGMENT
            && last.rows.len() + segment.rows.len() <= SEGMENT_ROWS
    };
    match kept.pop_if(|last| is_joinable(last)) {
        Some(last) => kept.extend(Segment::new(
            last.rows.iter().chain(&segment.rows).cloned().collect(),
        )),
        None => kept.push(segment),
    }
}
