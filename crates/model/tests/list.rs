//! Lists: what may be shown, how alike it is, and what chance adds.

use chorus_model::{Everything, ItemId, Recommendation, Shelf, TrainingSet, Wish, list};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn items(places: &[Recommendation]) -> Vec<u32> {
    places.iter().map(|place| place.item.0).collect()
}

/// Items of one parity are the same thing; those from `sold_out` on cannot be had.
struct Parity {
    sold_out: u32,
}

impl Shelf for Parity {
    fn may_show(&self, item: ItemId) -> bool {
        item.0 < self.sold_out
    }

    fn likeness(&self, one: ItemId, other: ItemId) -> f64 {
        f64::from(u8::from(one.0 % 2 == other.0 % 2))
    }
}

#[test]
fn the_best_unseen_items_that_may_be_shown() {
    let seen = TrainingSet::of([ItemId(1)], 6);
    let scores = [0.5, 9.0, 0.7, 0.5, -1.0, 8.0];
    let all = list(&scores, &seen, Wish::best(3), &Everything, &mut rng(1));
    assert_eq!(items(&all), [5, 2, 0]);
    let some = list(
        &scores,
        &seen,
        Wish::best(9),
        &Parity { sold_out: 5 },
        &mut rng(1),
    );
    assert_eq!(items(&some), [2, 0, 3, 4]);
}

/// Scores 4, 3.9, 3.8, 1, 0 over items 0, 2, 4, 1, 3: worth of item 1 behind item 0 is 0.5 * 0.25, of item 2 0.5 * 0.975 - 0.5.
#[test]
fn a_diverse_list_takes_the_next_best_that_is_unlike() {
    let scores = [4.0, 1.0, 3.9, 0.0, 3.8];
    let nobody = TrainingSet::of([], 5);
    let wish = Wish {
        diversity: 0.5,
        ..Wish::best(3)
    };
    let places = list(&scores, &nobody, wish, &Parity { sold_out: 9 }, &mut rng(1));
    assert_eq!(items(&places), [0, 1, 2]);
    let by_score = list(
        &scores,
        &nobody,
        Wish::best(3),
        &Parity { sold_out: 9 },
        &mut rng(1),
    );
    assert_eq!(items(&by_score), [0, 2, 4]);
}

#[test]
fn exploration_gives_its_share_of_the_places_to_chance() {
    let scores: Vec<f32> = (0..1000u16).map(|item| -f32::from(item)).collect();
    let nobody = TrainingSet::of([], 1000);
    let wish = Wish {
        exploration: 0.2,
        ..Wish::best(10)
    };
    let mut found = vec![0u32; 1000];
    for seed in 0..2000 {
        let places = list(&scores, &nobody, wish, &Everything, &mut rng(seed));
        assert_eq!(places.len(), 10);
        let explored = places.iter().filter(|place| place.explored);
        assert_eq!(explored.clone().count(), 2);
        explored.for_each(|place| found[place.item.0 as usize] += 1);
        let best: Vec<u32> = items(&places)
            .into_iter()
            .filter(|item| *item < 8)
            .collect();
        assert_eq!(
            best,
            [0, 1, 2, 3, 4, 5, 6, 7],
            "what was not drawn is the best, in order"
        );
    }
    // 4,000 draws over 992 items: about four each, and none of them an item that stood there already.
    assert!(found[..8].iter().all(|count| *count == 0));
    assert!(found[8..].iter().filter(|count| **count > 0).count() > 950);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_wished_nothing_stands_twice_or_was_seen(
        scores in prop::collection::vec(-1e6f32..1e6, 0..60),
        seen in prop::collection::vec(0u32..60, 0..20),
        length in 0usize..70,
        diversity in prop::num::f64::ANY,
        exploration in prop::num::f64::ANY,
        seed in any::<u64>(),
    ) {
        let seen = TrainingSet::of(seen.into_iter().map(ItemId), 60);
        let wish = Wish { length, diversity, exploration };
        let shelf = Parity { sold_out: 50 };
        let places = list(&scores, &seen, wish, &shelf, &mut rng(seed));
        let free = (0..scores.len() as u32).filter(|item| *item < 50 && !seen.contains(ItemId(*item))).count();
        prop_assert_eq!(places.len(), length.min(free));
        let mut numbers = items(&places);
        numbers.sort_unstable();
        numbers.dedup();
        prop_assert_eq!(numbers.len(), places.len());
        prop_assert!(places.iter().all(|place| place.item.0 < 50 && !seen.contains(place.item)));
        prop_assert_eq!(places, list(&scores, &seen, wish, &shelf, &mut rng(seed)));
    }
}
