//! Scores, lists and metrics follow recommender.md section 6: ties against the model, duplicates dropped.
#![allow(clippy::unwrap_used)]

use chorus_model::{
    Case, ItemId, MetricsError, Parameters, Quality, Tensor, TrainingSet, by_popularity,
    popularity, products, rank_full, rank_sampled, top,
};

fn case(history: &[u32], positive: u32, negatives: &[u32]) -> Case {
    Case {
        history: TrainingSet::of(history.iter().copied().map(ItemId), 100),
        positive: ItemId(positive),
        also: Vec::new(),
        negatives: negatives.iter().copied().map(ItemId).collect(),
    }
}

#[test]
fn ties_count_against_the_positive() {
    let flat = [1.0; 6];
    assert_eq!(rank_sampled(&flat, &case(&[0], 1, &[2, 3, 4])).unwrap(), 3);
    assert_eq!(rank_full(&flat, &case(&[0], 1, &[2])).unwrap(), 4);
}

#[test]
fn the_positive_among_its_own_negatives_is_dropped() {
    let scores = [0.0, 5.0, 9.0, 1.0];
    assert_eq!(
        rank_sampled(&scores, &case(&[0], 1, &[1, 2, 1, 3])).unwrap(),
        1
    );
}

#[test]
fn the_full_rank_leaves_the_history_out() {
    let scores = [9.0, 8.0, 7.0, 6.0];
    assert_eq!(rank_full(&scores, &case(&[], 3, &[])).unwrap(), 3);
    assert_eq!(rank_full(&scores, &case(&[0, 2], 3, &[])).unwrap(), 1);
    assert_eq!(
        rank_full(&scores, &case(&[0, 3], 3, &[])).unwrap(),
        2,
        "a positive in the history is still ranked"
    );
}

#[test]
fn scores_that_cannot_be_ranked_are_errors() {
    let mut quality = Quality::default();
    let nan = [0.0, f32::NAN, 1.0];
    assert_eq!(
        quality.add(&nan, &case(&[], 0, &[2])),
        Err(MetricsError::NotFinite)
    );
    let missing = MetricsError::Catalogue { item: 7, scores: 3 };
    assert_eq!(quality.add(&[0.0; 3], &case(&[], 0, &[7])), Err(missing));
    assert_eq!(quality, Quality::default());
}

#[test]
fn quality_is_the_mean_over_cases() {
    // Item 0 has the highest score, item 29 the lowest.
    let scores: Vec<f32> = (0..30u8).map(|item| -f32::from(item)).collect();
    let others: Vec<u32> = (0..30).collect();
    let mut quality = Quality::default();
    quality.add(&scores, &case(&[], 0, &others)).unwrap();
    quality.add(&scores, &case(&[], 2, &others)).unwrap();
    quality.add(&scores, &case(&[], 15, &others)).unwrap();
    quality.add(&scores, &case(&[], 25, &others)).unwrap();
    assert_eq!(
        (quality.cases, quality.hr_at_10, quality.full_hr_at_10),
        (4, 0.5, 0.5)
    );
    assert_eq!(
        (quality.full_recall_at_20, quality.ndcg_at_10),
        (0.75, 0.375)
    );
    let mut twice = quality;
    twice.merge(&quality);
    assert_eq!(
        twice,
        Quality {
            cases: 8,
            ..quality
        }
    );
}

fn model() -> Parameters {
    let mut parameters = Parameters::default();
    parameters.set(
        "counts",
        Tensor::new("counts", &[3], vec![10.0, 5.0, 0.0]).unwrap(),
    );
    parameters
}

#[test]
fn scores_are_inner_products() {
    let table = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0];
    let scores: Vec<f64> = products(&table, &[2.0, -1.0]).collect();
    assert_eq!(scores, [2.0, -1.0, 1.0]);
    // More columns than are added up side by side, and some besides.
    let row: Vec<f32> = (0..19u8).map(f32::from).collect();
    assert!(products(&row, &[1.0; 19]).eq([171.0]));
}

#[test]
fn a_person_without_a_history_gets_what_is_popular() {
    let found = by_popularity(&model(), 3).unwrap();
    assert_eq!(
        top(&found, &TrainingSet::of([], 3), 2),
        [ItemId(0), ItemId(1)]
    );
}

#[test]
fn counts_of_another_catalogue_are_an_error() {
    assert!(by_popularity(&model(), 4).is_err());
}

#[test]
fn lists_hold_unseen_items_best_first() {
    let seen = TrainingSet::of([ItemId(1)], 5);
    assert_eq!(
        top(&[0.5, 9.0, 0.7, 0.5, -1.0], &seen, 3),
        [ItemId(2), ItemId(0), ItemId(3)]
    );
    assert_eq!(top(&[0.5, 9.0], &seen, 10), [ItemId(0)]);
}

#[test]
fn popularity_counts_histories() {
    let histories = [
        TrainingSet::of([ItemId(0), ItemId(2)], 3),
        TrainingSet::of([ItemId(2)], 3),
    ];
    assert_eq!(popularity(&histories, 3), [1.0, 0.0, 2.0]);
}

#[test]
fn several_held_out_items_are_ranked_each_among_all() {
    let scores: Vec<f32> = (0..40u8).rev().map(f32::from).collect();
    let several = Case {
        also: vec![ItemId(15), ItemId(39)],
        ..case(&[0, 1], 5, &[6, 7])
    };
    let mut quality = Quality::default();
    quality.add(&scores, &several).unwrap();
    // Ranks from 0 among the 38 items outside the history: 3, 13 and 37.
    assert_eq!(quality.hr_at_10, 1.0);
    assert!((quality.full_hr_at_10 - 1.0 / 3.0).abs() < 1e-12);
    assert!((quality.full_recall_at_20 - 2.0 / 3.0).abs() < 1e-12);
    assert!((quality.full_ndcg_at_10 - 1.0 / (3.0 * 5f64.log2())).abs() < 1e-12);
}
