use std::collections::HashMap;

use chorus_model::ItemId;
use rand::{Rng, RngExt};

/// How many negatives a held-out item is ranked against: the NCF protocol.
pub(crate) const NEGATIVES: usize = 99;

/// Raw data has no published negatives; these are the same in every run.
pub(crate) const SEED: u64 = 20_261_121;

/// Up to 99 distinct items, drawn uniformly from those that are neither in the history nor held out.
pub(crate) fn negatives(
    history: &[ItemId],
    positive: ItemId,
    items: usize,
    rng: &mut impl Rng,
) -> Vec<ItemId> {
    let mut taken: Vec<usize> = history
        .iter()
        .chain([&positive])
        .map(|item| item.0 as usize)
        .collect();
    taken.retain(|item| *item < items);
    taken.sort_unstable();
    taken.dedup();
    let free = items - taken.len();
    // The first steps of a Fisher-Yates shuffle of the free items, of which only the moved ones are written down: the
    // catalogue may be far longer than what is drawn.
    let mut moved: HashMap<usize, usize> = HashMap::new();
    let count = NEGATIVES.min(free);
    (0..count)
        .map(|place| {
            let other = rng.random_range(place..free);
            let here = moved.get(&place).copied().unwrap_or(place);
            let drawn = moved.insert(other, here).unwrap_or(other);
            ItemId(nth_free(&taken, drawn) as u32)
        })
        .collect()
}

/// The free item that has `place` free ones before it; `taken` is ascending and distinct.
fn nth_free(taken: &[usize], place: usize) -> usize {
    let (mut low, mut high) = (0, taken.len());
    while low < high {
        let middle = low.midpoint(high);
        // Before the taken item number `middle` lie `item - middle` free ones.
        match taken.get(middle) {
            Some(item) if item - middle <= place => low = middle + 1,
            _ => high = middle,
        }
    }
    place + low
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    /// The same with the whole list in hand.
    fn plainly(
        history: &[ItemId],
        positive: ItemId,
        items: usize,
        rng: &mut impl Rng,
    ) -> Vec<ItemId> {
        let all = (0..items as u32).map(ItemId);
        let mut free: Vec<ItemId> = all
            .filter(|item| !history.contains(item) && *item != positive)
            .collect();
        let count = NEGATIVES.min(free.len());
        for place in 0..count {
            let other = rng.random_range(place..free.len());
            free.swap(place, other);
        }
        free.truncate(count);
        free
    }

    #[test]
    fn the_short_way_draws_what_the_long_one_does() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for round in 0..200 {
            let items = rng.random_range(1..400usize);
            let length = rng.random_range(0..=items.min(60));
            let mut item = || ItemId(rng.random_range(0..items as u32));
            let history: Vec<ItemId> = (0..length).map(|_| item()).collect();
            let positive = item();
            let seed = || ChaCha20Rng::seed_from_u64(round);
            assert_eq!(
                negatives(&history, positive, items, &mut seed()),
                plainly(&history, positive, items, &mut seed()),
                "{items} items, history of {length}"
            );
        }
    }
}
