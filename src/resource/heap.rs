//! What the allocations behind std's containers cost, by their capacity. The values' own heap memory is not in it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// The two counters in front of what an `Arc` shares.
pub(crate) const ARC_BYTES: usize = 2 * size_of::<usize>();

/// Entries of a full node of a `BTreeMap`.
const NODE_ENTRIES: usize = 11;
/// What a node of a `BTreeMap` has beside its entries.
const NODE_BYTES: usize = 16;

/// The room of a `Vec`.
pub(crate) const fn vector<T>(values: &Vec<T>) -> usize {
    values.capacity() * size_of::<T>()
}

/// The room of a `VecDeque`.
pub(crate) fn queue<T>(values: &VecDeque<T>) -> usize {
    values.capacity() * size_of::<T>()
}

/// The table of a `HashMap`.
pub(crate) fn map<K, V, S>(values: &HashMap<K, V, S>) -> usize {
    table(values.capacity(), size_of::<(K, V)>())
}

/// The table of a `HashSet`.
pub(crate) fn set<T, S>(values: &HashSet<T, S>) -> usize {
    table(values.capacity(), size_of::<T>())
}

/// A table has a power of two of places, of which it fills seven eighths, and one byte more for each.
fn table(capacity: usize, entry: usize) -> usize {
    const GROUP_BYTES: usize = 16;
    let places = match capacity {
        0 => return 0,
        1..8 => (capacity + 1).next_power_of_two(),
        _ => (capacity * 8 / 7).next_power_of_two(),
    };
    places * (entry + 1) + GROUP_BYTES
}

/// The nodes of a `BTreeMap`: one is there from the first entry on; of many, the usual three quarters are filled.
pub(crate) fn tree<K, V>(values: &BTreeMap<K, V>) -> usize {
    nodes(values.len(), size_of::<(K, V)>())
}

/// The nodes of a `BTreeSet`.
pub(crate) fn tree_set<T>(values: &BTreeSet<T>) -> usize {
    nodes(values.len(), size_of::<T>())
}

const fn nodes(entries: usize, entry: usize) -> usize {
    let node = NODE_ENTRIES * entry + NODE_BYTES;
    if entries <= NODE_ENTRIES {
        return if entries == 0 { 0 } else { node };
    }
    (entries * 4).div_ceil(NODE_ENTRIES * 3) * node
}

/// A text behind an `Arc`.
pub(crate) fn shared_text(text: &Arc<str>) -> usize {
    ARC_BYTES + text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_costs_by_its_places_and_nothing_while_it_is_empty() {
        let mut values: HashMap<u64, u64> = HashMap::new();
        assert_eq!(map(&values), 0);
        values.insert(1, 1);
        assert_eq!(map(&values), 4 * 17 + 16);
        values.extend((0..28).map(|number| (number, number)));
        assert_eq!(map(&values), 32 * 17 + 16);
    }
}
