use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::{Block, Delta};

/// The number of an item in the catalogue, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemId(pub u32);

/// Something a person did with an item.
///
/// # Privacy
/// Stays on the client. No message of the protocol can carry one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The item that was touched.
    pub item: ItemId,
    /// When, in seconds since 1970-01-01 UTC.
    pub at: i64,
}

/// What one client learns from: the distinct items of its history.
///
/// # Privacy
/// Stays on the client, like the events it is selected from.
#[derive(Clone, PartialEq, Eq)]
pub struct TrainingSet {
    items: Vec<ItemId>,
    sequence: Vec<ItemId>,
}

impl TrainingSet {
    /// Selects what can be learned from: every known item once, of events in the order of their times. Items outside a catalogue of
    /// `catalogue` items are left out, because an older app may hold items a newer model dropped.
    pub fn select(events: impl IntoIterator<Item = Event>, catalogue: usize) -> Self {
        let mut events: Vec<Event> = events.into_iter().collect();
        events.sort_by_key(|event| event.at);
        Self::of(events.into_iter().map(|event| event.item), catalogue)
    }

    /// The same from bare items, the earliest first.
    pub fn of(items: impl IntoIterator<Item = ItemId>, catalogue: usize) -> Self {
        let mut sequence: Vec<ItemId> = items
            .into_iter()
            .filter(|item| (item.0 as usize) < catalogue)
            .collect();
        let mut seen = HashSet::with_capacity(sequence.len());
        sequence.retain(|item| seen.insert(*item));
        let mut items = sequence.clone();
        items.sort_unstable();
        Self { items, sequence }
    }

    /// The same items in the order in which they first came.
    pub fn sequence(&self) -> &[ItemId] {
        &self.sequence
    }

    /// Where in `block` its items lie, ascending; without those that lie outside.
    pub fn positions(&self, block: Block) -> impl Iterator<Item = usize> {
        let items = self.items.iter();
        items.filter_map(move |item| block.position(item.0 as usize))
    }

    /// `value` at its items that lie in `block`, a word an item: its contribution to a sum of counts.
    ///
    /// # Privacy
    /// Is the history itself. It must go through clip, noise and mask before it leaves.
    pub fn marks(&self, block: Block, value: f64) -> Delta {
        let mut delta = Delta::zeros(block.items);
        for position in self.positions(block) {
            delta.write(position, [value as f32]);
        }
        delta
    }

    /// The same history as if `item` had never been in it.
    pub fn without(&self, item: ItemId) -> Self {
        let others = |items: &[ItemId]| {
            items
                .iter()
                .copied()
                .filter(|other| *other != item)
                .collect()
        };
        Self {
            items: others(&self.items),
            sequence: others(&self.sequence),
        }
    }

    /// The history before the item that was touched first last, and that item: what a client leaves out of all that it adds to a
    /// task that is evaluated. The whole history and nothing where it has under two items.
    pub fn newest_apart(&self) -> (Self, Option<ItemId>) {
        match self.sequence.as_slice() {
            [_, .., newest] => (self.without(*newest), Some(*newest)),
            _ => (self.clone(), None),
        }
    }

    /// The items, ascending and distinct.
    pub fn items(&self) -> &[ItemId] {
        &self.items
    }

    /// How many items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// True when there is nothing to learn from.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// True when the history holds `item`.
    pub fn contains(&self, item: ItemId) -> bool {
        self.items.binary_search(&item).is_ok()
    }
}
