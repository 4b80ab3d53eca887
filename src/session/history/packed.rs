//! Rows of a recording that are over, compressed: an opened file may have a million of them.
//!
//! Nothing about such a row changes any more and its bytes are in the file, so it can be made again whenever somebody
//! looks at it. What may still change stays as it is, beside the compressed rows, and stands in its place among them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::ids::{ExchangeId, MessageId, ProxySessionId};
use crate::resource::heap::ARC_BYTES;

use super::Row;
use super::exchange::ExchangeRecord;
use super::owner::SessionFacts;
use super::packing::{Packer, Unpacker};
use super::row::pack::Shared;

/// Segments that are kept as rows after they were looked at.
const UNPACKED_KEPT: usize = 16;

/// Level of compression: higher ones take longer for little.
const LEVEL: i32 = 1;

/// Some rows, in order.
pub(crate) type Rows = Arc<[Arc<Row>]>;

/// The rows that were looked at last. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Unpacked(Arc<Mutex<VecDeque<Rows>>>);

impl Unpacked {
    fn keep(&self, rows: &Rows) {
        let mut kept = lock(&self.0);
        if kept.len() >= UNPACKED_KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(rows));
    }
}

/// Compressed rows, and those among them that are not.
#[derive(Debug)]
pub(super) struct PackedRows {
    packed: Arc<Packed>,
    /// Rows that may still change, in order.
    live: Box<[Arc<Row>]>,
    unpacked: Mutex<Weak<[Arc<Row>]>>,
    recent: Unpacked,
}

#[derive(Debug)]
struct Packed {
    first: MessageId,
    last: MessageId,
    rows: usize,
    bytes: Box<[u8]>,
    /// Bytes before they were compressed.
    size: usize,
    sessions: Box<[Arc<SessionFacts>]>,
    /// Exchanges that were going on; the others are packed.
    open: Box<[Arc<ExchangeRecord>]>,
}

impl PackedRows {
    /// Packs `rows`, in order, but for those that `is_live`. `None` if hardly any could be packed.
    pub(super) fn of(rows: &[Arc<Row>], is_live: impl Fn(&Row) -> bool, recent: &Unpacked) -> Option<Self> {
        let (live, over): (Vec<_>, Vec<_>) = rows
            .iter()
            .cloned()
            .partition(|row| !row.is_without_bytes() || row.decided().is_some() || is_live(row));
        if live.len() > over.len() {
            return None;
        }
        Some(Self {
            packed: Arc::new(Packed::of(&over)?),
            live: live.into(),
            unpacked: Mutex::new(Weak::<[Arc<Row>; 0]>::new()),
            recent: recent.clone(),
        })
    }

    /// The same without some of the rows that are not compressed.
    pub(super) fn without(&self, is_gone: impl Fn(&Arc<Row>) -> bool) -> Self {
        Self {
            packed: Arc::clone(&self.packed),
            live: self.live.iter().filter(|row| !is_gone(row)).cloned().collect(),
            unpacked: Mutex::new(Weak::<[Arc<Row>; 0]>::new()),
            recent: self.recent.clone(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.packed.rows + self.live.len()
    }

    /// Rows that are compressed.
    pub(super) fn packed_len(&self) -> usize {
        self.packed.rows
    }

    /// The first and the last of those.
    pub(super) fn span(&self) -> (MessageId, MessageId) {
        (self.packed.first, self.packed.last)
    }

    pub(super) fn live(&self) -> &[Arc<Row>] {
        &self.live
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = ProxySessionId> {
        self.packed.sessions.iter().map(|session| session.id)
    }

    /// Exchanges that were going on when the rows were packed.
    pub(super) fn open_exchanges(&self) -> &[Arc<ExchangeRecord>] {
        &self.packed.open
    }

    pub(super) fn first(&self) -> MessageId {
        let live = self.live.first().map(|row| row.id());
        live.map_or(self.packed.first, |live| live.min(self.packed.first))
    }

    pub(super) fn last(&self) -> MessageId {
        let live = self.live.last().map(|row| row.id());
        live.map_or(self.packed.last, |live| live.max(self.packed.last))
    }

    /// Whether ids count up from the first to the last without a hole.
    pub(super) fn is_dense(&self) -> bool {
        self.last().get() - self.first().get() + 1 == self.len() as u64
    }

    /// Bytes of heap memory, without the rows that are not compressed and their places.
    pub(super) fn heap_bytes(&self) -> usize {
        let pointers = self.packed.sessions.len() + self.packed.open.len();
        2 * ARC_BYTES
            + size_of::<Self>()
            + size_of::<Packed>()
            + self.packed.bytes.len()
            + pointers * size_of::<usize>()
    }

    /// All rows, in order. They are made again unless they were looked at lately.
    pub(super) fn rows(&self) -> Rows {
        let mut unpacked = lock(&self.unpacked);
        if let Some(rows) = unpacked.upgrade() {
            return rows;
        }
        let rows = self.unpack();
        *unpacked = Arc::downgrade(&rows);
        self.recent.keep(&rows);
        rows
    }

    fn unpack(&self) -> Rows {
        let mut rows = self.packed.unpack().unwrap_or_else(|| {
            tracing::error!(first = %self.packed.first, last = %self.packed.last, "rows could not be unpacked");
            Vec::new()
        });
        rows.extend(self.live.iter().cloned());
        rows.sort_by_key(|row| row.id());
        rows.into()
    }
}

impl Packed {
    fn of(rows: &[Arc<Row>]) -> Option<Self> {
        let (first, last) = (rows.first()?.id(), rows.last()?.id());
        let mut numbers = Numbers::default();
        let mut packer = Packer::default();
        for row in rows {
            let exchange = numbers.exchange(row.exchange(), &mut packer);
            let session = row.session_facts().map(|session| numbers.session(session));
            row.pack(&mut packer, exchange, session);
        }
        let text = packer.into_bytes();
        let bytes = zstd::bulk::compress(&text, LEVEL)
            .inspect_err(|error| tracing::warn!(%error, "rows could not be compressed"))
            .ok()?;
        Some(Self {
            first,
            last,
            rows: rows.len(),
            bytes: bytes.into(),
            size: text.len(),
            sessions: numbers.sessions.into(),
            open: numbers.open.into(),
        })
    }

    fn unpack(&self) -> Option<Vec<Arc<Row>>> {
        let text = zstd::bulk::decompress(&self.bytes, self.size).ok()?;
        let mut from = Unpacker::new(&text);
        let mut found = Found {
            of: self,
            exchanges: Vec::new(),
        };
        let mut rows = Vec::with_capacity(self.rows);
        for _ in 0..self.rows {
            found.next_exchange(&mut from)?;
            rows.push(Arc::new(Row::unpack(&mut from, &found)?));
        }
        Some(rows)
    }
}

/// What the rows that are being packed share, by number.
#[derive(Default)]
struct Numbers {
    exchanges: HashMap<ExchangeId, u64>,
    open: Vec<Arc<ExchangeRecord>>,
    sessions: Vec<Arc<SessionFacts>>,
}

impl Numbers {
    /// Packs what is new of the exchange, before its row: nothing (0), that it goes on (1), or all of it (2).
    fn exchange(&mut self, exchange: &Arc<ExchangeRecord>, out: &mut Packer) -> u64 {
        let next = self.exchanges.len() as u64;
        if let Some(number) = self.exchanges.get(&exchange.id) {
            out.put(&0_u64);
            return *number;
        }
        self.exchanges.insert(exchange.id, next);
        if exchange.is_open() {
            out.put(&1_u64);
            out.put(&(self.open.len() as u64));
            self.open.push(Arc::clone(exchange));
        } else {
            out.put(&2_u64);
            exchange.pack(out);
        }
        next
    }

    fn session(&mut self, session: &Arc<SessionFacts>) -> u64 {
        let known = self.sessions.iter().position(|known| Arc::ptr_eq(known, session));
        let place = known.unwrap_or_else(|| {
            self.sessions.push(Arc::clone(session));
            self.sessions.len() - 1
        });
        place as u64
    }
}

/// What the rows that are being unpacked share, by number.
struct Found<'a> {
    of: &'a Packed,
    exchanges: Vec<Arc<ExchangeRecord>>,
}

impl Found<'_> {
    fn next_exchange(&mut self, from: &mut Unpacker<'_>) -> Option<()> {
        let exchange = match from.get::<u64>()? {
            0 => return Some(()),
            1 => {
                let place = usize::try_from(from.get::<u64>()?).ok()?;
                Arc::clone(self.of.open.get(place)?)
            }
            _ => Arc::new(ExchangeRecord::unpack(from)?),
        };
        self.exchanges.push(exchange);
        Some(())
    }
}

impl Shared for Found<'_> {
    fn exchange(&self, number: u64) -> Option<Arc<ExchangeRecord>> {
        self.exchanges.get(usize::try_from(number).ok()?).cloned()
    }

    fn session(&self, number: u64) -> Option<Arc<SessionFacts>> {
        self.of.sessions.get(usize::try_from(number).ok()?).cloned()
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
