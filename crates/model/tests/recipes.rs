//! Recipes name their sums in order, and the server step refuses what does not fit and repeats itself exactly.
#![allow(clippy::unwrap_used)]

use chorus_model::{
    Direct, Engine, IalsPrivateRecipe, IalsRecipe, ItemId, LearnError, Learning, MeanDelta, Recipe,
    TrainingSet,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// No recipe of these tests draws from it.
fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

const ITEMS: usize = 12;
const USERS: u32 = 9;

fn open(rounds: usize) -> Recipe {
    Recipe::Ials(IalsRecipe::new(ITEMS, 3, rounds))
}

fn blocks(rounds: usize) -> Recipe {
    Recipe::Ials(IalsRecipe {
        block: Some(5),
        ..IalsRecipe::new(ITEMS, 3, rounds)
    })
}

fn private(sweeps: usize) -> Recipe {
    Recipe::IalsPrivate(IalsPrivateRecipe::new(ITEMS, 3, sweeps))
}

fn history(user: u32) -> TrainingSet {
    TrainingSet::of(
        (0..4).map(|step| ItemId((user + step * step) % ITEMS as u32)),
        ITEMS,
    )
}

/// The sum that all users make of sum number `index`.
fn sum(recipe: &Recipe, learning: &Learning, index: usize, noise: f64) -> MeanDelta {
    let trainer = Direct.open(&learning.parameters).unwrap();
    let sum = &recipe.sums()[index];
    let mut total = vec![0.0; sum.length];
    for user in 0..USERS {
        let part = trainer
            .contribution(sum.step, sum.block, &history(user), &mut rng())
            .unwrap()
            .into_values();
        total
            .iter_mut()
            .zip(part)
            .for_each(|(total, part)| *total += f64::from(part));
    }
    MeanDelta {
        sum: total,
        clients: USERS as usize,
        noise,
    }
}

fn run(recipe: &Recipe, noise: f64) -> Learning {
    let mut learning = recipe.start(1);
    for index in 0..recipe.sums().len() {
        let delta = sum(recipe, &learning, index, noise);
        learning = recipe
            .apply(learning, index, &delta, USERS as usize)
            .unwrap();
    }
    learning
}

#[test]
fn the_sums_are_named_in_order() {
    let names = |recipe: Recipe| {
        recipe
            .sums()
            .into_iter()
            .map(|sum| sum.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(open(2)),
        ["history", "gradient-1", "gradient-2", "head-1"]
    );
    let without = IalsRecipe {
        head: Some(0),
        ..IalsRecipe::new(ITEMS, 3, 1)
    };
    assert_eq!(names(Recipe::Ials(without)), ["history", "gradient-1"]);
    assert_eq!(
        names(private(2)),
        ["counts", "gram-1", "projection-1", "gram-2", "projection-2"]
    );
    for sweeps in 1..5 {
        let sums = private(sweeps).sums();
        assert!(sums.iter().all(|sum| sum.clip == 1.0 && sum.share > 0.0));
        let shares: f64 = sums.iter().map(|sum| sum.share).sum();
        assert!((shares - 1.0).abs() < 1e-12, "{sweeps} sweeps: {shares}");
    }
}

#[test]
fn recipes_read_as_they_are_written_and_refuse_unknown_fields() {
    for recipe in [open(5), blocks(5), private(2)] {
        let text = serde_json::to_string(&recipe).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&text).unwrap(), recipe);
    }
    let short: Recipe = serde_json::from_str(
        r#"{"algorithm": "ials-private", "items": 12, "factors": 3, "sweeps": 2}"#,
    )
    .unwrap();
    assert_eq!(short, private(2));
    let unknown = r#"{"algorithm": "ials", "items": 12, "factors": 3, "rounds": 2, "epochs": 3}"#;
    assert!(
        serde_json::from_str::<Recipe>(unknown)
            .unwrap_err()
            .to_string()
            .contains("epochs")
    );
}

#[test]
fn a_field_out_of_range_is_named() {
    assert!(open(3).validate().is_ok() && private(2).validate().is_ok());
    assert_eq!(
        open(0).validate().unwrap_err().to_string(),
        "rounds must be between 1 and 100000"
    );
    let recipe = Recipe::IalsPrivate(IalsPrivateRecipe {
        counts_share: Some(1.0),
        ..IalsPrivateRecipe::new(5, 2, 1)
    });
    assert_eq!(recipe.validate().unwrap_err().field, "counts_share");
    let recipe = Recipe::Ials(IalsRecipe {
        alpha0: Some(f64::NAN),
        ..IalsRecipe::new(5, 2, 1)
    });
    assert_eq!(recipe.validate().unwrap_err().field, "alpha0");
}

#[test]
fn learning_is_a_function_of_seed_and_sums() {
    for recipe in [open(4), blocks(4), private(2)] {
        assert_eq!(recipe.start(7), recipe.start(7));
        assert_ne!(recipe.start(7), recipe.start(8));
        assert_eq!(run(&recipe, 0.0), run(&recipe, 0.0));
    }
}

#[test]
fn learning_survives_a_restart_from_files() {
    let recipe = blocks(4);
    let mut learning = recipe.start(1);
    for index in 0..recipe.sums().len() {
        let delta = sum(&recipe, &learning, index, 0.0);
        let kept = recipe
            .apply(learning.clone(), index, &delta, USERS as usize)
            .unwrap();
        let read = |parameters: &chorus_model::Parameters| {
            chorus_model::Parameters::from_bytes(&parameters.to_bytes().unwrap()).unwrap()
        };
        let restored = Learning {
            parameters: read(&learning.parameters),
            state: read(&learning.state),
        };
        assert_eq!(
            recipe
                .apply(restored, index, &delta, USERS as usize)
                .unwrap(),
            kept
        );
        learning = kept;
    }
}

#[test]
fn counts_and_alpha0_come_from_the_first_sum() {
    let recipe = open(1);
    let start = recipe.start(1);
    let mut delta = sum(&recipe, &start, 0, 0.0);
    let learned = recipe
        .apply(start.clone(), 0, &delta, USERS as usize)
        .unwrap();
    let counted = (0..USERS)
        .filter(|user| history(*user).contains(ItemId(5)))
        .count();
    assert_eq!(
        learned.parameters.get("counts").unwrap().values[5],
        counted as f32
    );
    let mean = (0..USERS).map(|user| history(user).len()).sum::<usize>() as f64 / f64::from(USERS);
    let alpha0 = f64::from(learned.parameters.scalar("alpha0").unwrap());
    assert!((alpha0 - 6.7 * mean / ITEMS as f64).abs() < 1e-6);
    // A third of the population heard: counts are scaled up, the mean history is not.
    delta.clients = 9;
    let scaled = recipe.apply(start, 0, &delta, 27).unwrap();
    assert_eq!(
        scaled.parameters.get("counts").unwrap().values[5],
        3.0 * counted as f32
    );
    assert_eq!(
        scaled.parameters.scalar("alpha0"),
        learned.parameters.scalar("alpha0")
    );
}

#[test]
fn the_whitening_lives_between_gram_and_projection() {
    let recipe = private(1);
    let mut learning = recipe.start(1);
    let mut present = Vec::new();
    for index in 0..3 {
        let delta = sum(&recipe, &learning, index, 0.01);
        learning = recipe
            .apply(learning, index, &delta, USERS as usize)
            .unwrap();
        present.push(learning.parameters.get("whitening").is_some());
    }
    assert_eq!(present, [false, true, false]);
}

#[test]
fn a_rising_loss_brings_the_best_model_back() {
    let recipe = open(6);
    let apply = |learning: &Learning, index| {
        let delta = sum(&recipe, learning, index, 0.0);
        recipe
            .apply(learning.clone(), index, &delta, USERS as usize)
            .unwrap()
    };
    // What steps that are too long end in.
    let grown = |learning: &Learning| {
        let mut grown = learning.clone();
        let mut items = grown.parameters.get("items").cloned().unwrap();
        items.values.iter_mut().for_each(|value| *value *= 30.0);
        grown.parameters.set("items", items);
        grown
    };
    let mut learning = recipe.start(1);
    for index in 0..4 {
        if index > 0 {
            // The first steps may go up and down.
            let early = apply(&grown(&learning), index);
            assert_eq!(early.state.scalar("step_factor"), Ok(1.0));
        }
        learning = apply(&learning, index);
        assert_eq!(learning.state.scalar("step_factor"), Ok(1.0));
    }
    let calm = apply(&learning, 4);
    assert_eq!(calm.state.scalar("step_factor"), Ok(1.0));
    assert_eq!(recipe.note(&calm, 4), None);
    let alarmed = apply(&grown(&learning), 4);
    assert_eq!(alarmed.state.scalar("step_factor"), Ok(0.5));
    let best = learning.state.get("best_items");
    assert_eq!(alarmed.parameters.get("items"), best);
    assert!(recipe.note(&alarmed, 4).unwrap().contains("0.5 times"));
    // The best model is as good as it was, so steps stay short.
    let after = apply(&alarmed, 5);
    assert_eq!(after.state.scalar("step_factor"), Ok(0.5));
    assert_eq!(recipe.note(&after, 5), None);
}

/// An open number of head sums is settled by the share of clients in a round.
#[test]
fn heads_hear_everyone_once() {
    let heads = |rounds, block, cohort| {
        let mut recipe = IalsRecipe {
            block,
            ..IalsRecipe::new(ITEMS, 3, rounds)
        };
        recipe.settle(cohort);
        Recipe::Ials(recipe.clone()).validate().unwrap();
        recipe.heads()
    };
    assert_eq!(heads(30, None, 0.1), 10);
    assert_eq!(heads(30, None, 0.25), 4);
    assert_eq!(heads(30, None, 1.0), 1);
    assert_eq!(heads(100, None, 0.02), 33);
    assert_eq!(heads(120, Some(3), 0.1), 40);
    assert_eq!(heads(4, Some(3), 0.1), 4);
    assert_eq!(heads(1, None, 0.1), 1);
}

/// With as many factors as items nothing is left out, and the head is EASE (Steck 2019) itself.
#[test]
fn a_full_head_is_ease() {
    let recipe = Recipe::Ials(IalsRecipe {
        head: Some(1),
        ..IalsRecipe::new(ITEMS, ITEMS, 4)
    });
    let mut learning = recipe.start(3);
    for index in 0..recipe.sums().len() {
        let delta = sum(&recipe, &learning, index, 0.0);
        learning = recipe
            .apply(learning, index, &delta, USERS as usize)
            .unwrap();
    }
    // (X'WX + ridge I)^-1 by elimination, W = sqrt(mean k / k).
    let histories: Vec<TrainingSet> = (0..USERS).map(history).collect();
    let total: usize = histories.iter().map(TrainingSet::len).sum();
    let (mean, ridge) = (
        total as f64 / f64::from(USERS),
        3.7 * total as f64 / ITEMS as f64,
    );
    let mut matrix = vec![vec![0.0; 2 * ITEMS]; ITEMS];
    for history in &histories {
        let weight = (mean / history.len() as f64).sqrt();
        for left in history.items() {
            for right in history.items() {
                matrix[left.0 as usize][right.0 as usize] += weight;
            }
        }
    }
    for (place, row) in matrix.iter_mut().enumerate() {
        row[place] += ridge;
        row[ITEMS + place] = 1.0;
    }
    for pivot in 0..ITEMS {
        let scale = matrix[pivot][pivot];
        matrix[pivot].iter_mut().for_each(|value| *value /= scale);
        let row = matrix[pivot].clone();
        for (place, other) in matrix.iter_mut().enumerate() {
            let factor = if place == pivot { 0.0 } else { other[pivot] };
            other
                .iter_mut()
                .zip(&row)
                .for_each(|(value, cell)| *value -= factor * cell);
        }
    }
    let head = learning.parameters.get("head").unwrap();
    let scale = learning.parameters.get("head_scale").unwrap();
    let rows: Vec<&[f32]> = head.values.chunks_exact(ITEMS).collect();
    for left in 0..ITEMS {
        for right in (0..ITEMS).filter(|right| *right != left) {
            let ease = -matrix[left][ITEMS + right] / matrix[right][ITEMS + right];
            let product: f64 = rows[left]
                .iter()
                .zip(rows[right])
                .map(|(a, b)| f64::from(a * b))
                .sum();
            let found = product * f64::from(scale.values[right]);
            assert!(
                (found - ease).abs() < 1e-3,
                "{left} to {right}: {found} instead of {ease}"
            );
        }
    }
    assert!(learning.parameters.get("mixing").is_none());
}

#[test]
fn sums_that_do_not_fit_are_refused() {
    let recipe = open(1);
    let start = recipe.start(1);
    let good = sum(&recipe, &start, 0, 0.0);
    let apply = |delta: &MeanDelta, index, population| {
        recipe.apply(start.clone(), index, delta, population)
    };
    assert!(matches!(
        apply(&good, 3, 9),
        Err(LearnError::NoSuchSum { index: 3, sums: 3 })
    ));
    assert!(matches!(apply(&good, 1, 9), Err(LearnError::Length { .. })));
    assert!(matches!(
        apply(&good, 0, 8),
        Err(LearnError::Clients {
            clients: 9,
            population: 8
        })
    ));
    let nobody = MeanDelta {
        clients: 0,
        ..good.clone()
    };
    assert!(matches!(
        apply(&nobody, 0, 9),
        Err(LearnError::Clients { .. })
    ));
    let mut broken = good;
    broken.sum[0] = f64::INFINITY;
    assert!(matches!(apply(&broken, 0, 9), Err(LearnError::Numeric(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever clients send, the server step ends in a finite model or in an error.
    #[test]
    fn rubbish_gives_a_finite_model_or_an_error(
        values in prop::collection::vec(-1e6f64..1e6, 1..60), noise in 0.0f64..10.0, which in 0usize..3
    ) {
        let recipe = vec![private(1), open(2), blocks(3)].swap_remove(which);
        let mut learning = recipe.start(1);
        for (index, sum) in recipe.sums().iter().enumerate() {
            let sum = values.iter().copied().cycle().skip(index).take(sum.length).collect();
            match recipe.apply(learning, index, &MeanDelta { sum, clients: 3, noise }, 9) {
                Ok(next) => learning = next,
                Err(_) => break,
            }
            let finite = learning.parameters.iter().all(|(_, tensor)| tensor.values.iter().all(|v| v.is_finite()));
            prop_assert!(finite);
        }
    }
}
