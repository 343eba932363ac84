//! Figures about lists on cases computed by hand.

use chorus_model::Case;
use chorus_model::{Categories, ItemId, ListFigures, Lists, Mean, Quality, TrainingSet, World};

/// Five items: 8, 4, 2, 1 and 1 of 8 people had them.
fn world(categories: Option<Categories>) -> World {
    World::new(&[8.0, 4.0, 2.0, 1.0, 1.0], 8, categories)
}

fn categories() -> Categories {
    Categories {
        names: ["A", "B", "C"].map(str::to_owned).to_vec(),
        of: vec![vec![0], vec![0, 1], vec![1], vec![2], vec![]],
    }
}

fn history(items: &[u32]) -> TrainingSet {
    TrainingSet::of(items.iter().copied().map(ItemId), 5)
}

fn near(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-12,
        "{found}, expected {expected}"
    );
}

#[test]
fn figures_of_two_lists() {
    let world = world(Some(categories()));
    let mut lists = Lists::new(&world);
    lists.add(&history(&[0]), &[ItemId(1), ItemId(2)]);
    let one = lists.figures();
    // -log2(4/8) and -log2(2/8).
    near(one.novelty, 1.5);
    near(one.popularity_lift, 3.0 / 8.0 - 1.0);
    // Ascending: 3, 4, 2, 1, 0; of equal counts the lower number first.
    near(one.popularity_percentile, 0.625);
    near(one.tail_share, 1.0);
    near(one.diversity.unwrap(), 1.0 - 1.0 / 2f64.sqrt());
    // History all A; of the list A has a quarter.
    near(
        one.calibration.unwrap(),
        (1.0 / (0.99 * 0.25 + 0.01f64)).ln(),
    );

    let mut other = Lists::new(&world);
    other.add(&history(&[1, 3]), &[ItemId(0)]);
    lists.merge(&other);
    lists.add(&history(&[2]), &[]);
    let both = lists.figures();
    near(both.novelty, 0.75);
    near(both.popularity_lift, (-0.625 + 2.2) / 2.0);
    near(both.popularity_percentile, 0.8125);
    near(both.tail_share, 0.5);
    let first = one.calibration.unwrap();
    let second = 0.25 * (0.25 / 0.9925f64).ln() + 0.25 * 100f64.ln() + 0.5 * 100f64.ln();
    near(both.calibration.unwrap(), (first + second) / 2.0);
    near(both.coverage, 0.6);
    // Exposures 0, 0, 1, 1, 1: (2 + 4) / (5 * 3).
    near(both.gini, 0.4);
}

#[test]
fn without_categories_nothing_is_said_about_them_and_nobody_is_nobody() {
    let world = world(None);
    let lists = Lists::new(&world);
    assert_eq!(lists.figures(), ListFigures::default());
    let mut lists = Lists::new(&world);
    lists.add(&history(&[0]), &[ItemId(1)]);
    assert_eq!(
        (lists.figures().diversity, lists.figures().calibration),
        (None, None)
    );
}

#[test]
fn one_item_for_all_is_the_most_unequal_exposure() {
    let world = world(None);
    let mut lists = Lists::new(&world);
    for _ in 0..3 {
        lists.add(&history(&[1]), &[ItemId(0)]);
    }
    near(lists.figures().gini, 0.8);
    near(lists.figures().coverage, 0.2);
}

#[test]
fn an_estimate_has_the_interval_of_its_people() {
    let mut mean = Mean::default();
    for value in [1.0, 0.0, 0.0, 1.0] {
        mean.add(value);
    }
    let estimate = mean.estimate();
    near(estimate.mean, 0.5);
    near(estimate.within, 1.959_964 * 0.25);
    assert_eq!(Mean::default().estimate().mean, 0.0);
}

/// Two held-out items of five at ranks 0 and 2: (1 + 1/2) / (1 + 1/log2 3).
#[test]
fn the_gain_of_several_held_out_items_is_over_the_largest_possible() {
    let case = Case {
        history: history(&[]),
        positive: ItemId(0),
        also: vec![ItemId(2)],
        negatives: vec![],
    };
    let mut quality = Quality::default();
    quality.add(&[5.0, 4.0, 3.0, 2.0, 1.0], &case).unwrap();
    near(quality.full_ndcg_at_20, 1.5 / (1.0 + 1.0 / 3f64.log2()));
}
