//! The fused engine against a program that shares no line with it, and against finite differences.

use rand::SeedableRng;

use super::super::TrainedRecipe;
use super::*;
use crate::{ItemId, Recipe};

const REFERENCE: &str = include_str!("../../../../../tests/vectors/w1/check.json");
const W1: &str = include_str!("../../../../../models/w1/model.toml");

fn fused<const B: usize>(plan: &ModelPlan, model: &Parameters) -> Fused<B> {
    Fused::new(Opened::new(plan, model).unwrap(), model).unwrap()
}

/// The same made-up integers as in tests/vectors/w1/make.py.
fn mixed(word: u64) -> u64 {
    let mut word = word.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    word ^= word >> 32;
    word = word.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    word ^ (word >> 32)
}

fn history(client: u64, items: usize) -> TrainingSet {
    let item = |place: u64| {
        let draw = mixed(((client + 1) << 32) + place) >> 40;
        ItemId(((((draw * draw) >> 24) * items as u64) >> 24) as u32)
    };
    TrainingSet::of((0..20 + client).map(item), items)
}

#[test]
fn w1_is_the_workload_that_was_measured() {
    let items = 3_706;
    let plan: ModelPlan = toml::from_str(W1).unwrap();
    let recipe = Recipe::Trained(TrainedRecipe::new(items, 1, plan.clone()));
    recipe.validate().unwrap();
    assert_eq!(recipe.sums()[1].groups[0].bound, 1.0);
    let mut model = recipe.start(1).parameters;
    let values = (0..items as i64 * 32).map(|k| ((k * 7_919) % 2_001 - 1_000) as f32 * 2e-4);
    let (shape, values) = (vec![items, 32], values.collect());
    model.set("items", crate::Tensor { shape, values });
    let mut fused = fused::<2>(&plan, &model);
    let start: Vec<f32> = (0..32)
        .map(|d| ((d * 37) % 21 - 10) as f32 * 0.05)
        .collect();
    fill(&mut fused.published.person, &start, None);

    let mut total = vec![0.0f64; items * 32];
    for client in (0..200).step_by(10) {
        let history = history(client, items);
        let update = fused.with(|scratch| {
            let examples = &mut scratch.examples;
            examples.items = history.items().iter().map(|item| item.0).collect();
            examples.labels = vec![1.0; history.len()];
            let negative =
                |place: u64| (mixed(place + client * 1_000_003 + 1) % items as u64) as u32;
            examples
                .items
                .extend((0..4 * history.len() as u64).map(negative));
            examples.labels.resize(examples.items.len(), 0.0);
            let mut person = fused.published.person;
            widest::rebuild(
                scratch,
                &fused.published,
                &plan.client,
                plan.loss,
                &mut person,
            );
            widest::train(
                scratch,
                &fused.published,
                &plan.client,
                plan.loss,
                &person,
                &|| true,
            );
            let update = fused.update(scratch);
            scratch.forget();
            update.into_values()
        });
        let squares = update.iter().map(|value| f64::from(*value).powi(2));
        let factor = (1.0 / squares.sum::<f64>().sqrt()).min(1.0);
        for (total, value) in total.iter_mut().zip(&update) {
            *total += factor * f64::from(*value);
        }
    }
    let norm = total.iter().map(|value| value * value).sum::<f64>().sqrt();
    let reference: serde_json::Value = serde_json::from_str(REFERENCE).unwrap();
    for (name, found) in [
        ("norm", norm),
        ("sum", total.iter().sum()),
        ("first", total[0]),
        ("other", total[1_000 * 32 + 7]),
    ] {
        let expected = reference[name].as_f64().unwrap();
        let close = (found - expected).abs() <= 2e-6 * expected.abs().max(1.0);
        assert!(close, "{name}: {found}, the reference says {expected}");
    }
}

/// A held-out item is an item like any other that is not in the history: with 18 of 24 left to draw from, three draws for
/// each of six items, a given one is drawn in 1 - (17 / 18)^18 of all rounds.
#[test]
fn what_is_held_out_is_drawn_as_often_as_any_other_item() {
    let mut plan: ModelPlan = toml::from_str(W1).unwrap();
    plan.client.negatives = 3;
    let (items, held_out, rounds) = (24, 7, 4_000u32);
    let train = TrainingSet::of([0, 3, 5, 9, 14, 20].map(ItemId), items);
    let expected = 1.0 - (17.0f64 / 18.0).powi(18);
    let rates = |redraw: bool| -> Vec<f64> {
        let mut plan = plan.clone();
        plan.client.redraw = redraw;
        let recipe = Recipe::Trained(TrainedRecipe::new(items, 1, plan.clone()));
        let fused = fused::<2>(&plan, &recipe.start(1).parameters);
        let mut times = vec![0u32; items];
        for seed in 0..u64::from(rounds) {
            fused.learn(&train, mixed(seed)).unwrap();
            fused.with(|scratch| {
                let drawn = scratch.examples.items.iter().zip(&scratch.examples.labels);
                let mut drawn: Vec<u32> = drawn
                    .filter(|(_, label)| **label == 0.0)
                    .map(|(item, _)| *item)
                    .collect();
                assert_eq!(drawn.len(), 18);
                drawn.sort_unstable();
                drawn.dedup();
                drawn.iter().for_each(|item| times[*item as usize] += 1);
            });
        }
        times
            .into_iter()
            .map(|times| f64::from(times) / f64::from(rounds))
            .collect()
    };
    let redrawn = rates(true);
    for (item, rate) in redrawn.iter().enumerate() {
        match train.contains(ItemId(item as u32)) {
            true => assert_eq!(*rate, 0.0),
            // The standard error is 0.0076.
            false => assert!((rate - expected).abs() < 0.035, "{item}: {rate}"),
        }
    }
    assert!(redrawn[held_out] > 0.6);
    let any = 1.0 - (23.0f64 / 24.0).powi(18);
    assert!(rates(false).iter().all(|rate| (rate - any).abs() < 0.04));
}

/// One example a batch, one epoch, a tiny step: the change of a row is the step size times the gradient of the loss.
#[test]
fn updates_are_gradients() {
    for loss in [
        super::super::Loss::Squared,
        super::super::Loss::Binary,
        super::super::Loss::Bpr,
    ] {
        let text = W1.replace("[groups]", "[[tensors]]\nname = \"item-bias\"\nshape = [\"items\"]\ngroup = \"items\"\ninitial = { normal = 0.5 }\n\n[groups]");
        let mut plan: ModelPlan = toml::from_str(&text).unwrap();
        plan.loss = loss;
        plan.client.batch = 1_000;
        plan.client.step_size = 1e-3;
        plan.client.redraw = true;
        plan.validate().unwrap();
        let items = 12;
        let recipe = Recipe::Trained(TrainedRecipe::new(items, 1, plan.clone()));
        let mut model = recipe.start(3).parameters;
        // A table large enough that the loss is not flat.
        let large: Vec<f32> = model
            .require("items")
            .unwrap()
            .values
            .iter()
            .map(|v| 4.0 * v)
            .collect();
        model.set(
            "items",
            crate::Tensor {
                shape: vec![items, 32],
                values: large,
            },
        );
        let fused = fused::<3>(&plan, &model);
        let train = TrainingSet::of([1, 4, 6].map(ItemId), items);
        let update = fused.learn(&train, 5).unwrap().into_values();
        fused.with(|scratch| {
            let mut person = fused.published.person;
            widest::rebuild(
                scratch,
                &fused.published,
                &plan.client,
                plan.loss,
                &mut person,
            );
            let person: Vec<f64> = person
                .as_flattened()
                .iter()
                .map(|v| f64::from(*v))
                .collect();
            assert_eq!(person[32], 1.0);
            let score = |rows: &[Vec<f64>], item: u32| -> f64 {
                rows[item as usize]
                    .iter()
                    .zip(&person)
                    .map(|(a, b)| a * b)
                    .sum()
            };
            let examples = &scratch.examples;
            let value = |rows: &[Vec<f64>]| -> f64 {
                let each = examples.items.iter().enumerate().map(|(place, item)| {
                    let (s, y) = (score(rows, *item), f64::from(examples.labels[place]));
                    match loss {
                        super::super::Loss::Squared => (s - y).powi(2) / 2.0,
                        super::super::Loss::Bpr => {
                            (1.0 + (score(rows, examples.others[place]) - s).exp()).ln()
                        }
                        _ => (1.0 + s.exp()).ln() - y * s,
                    }
                });
                each.sum::<f64>() / examples.items.len() as f64
            };
            let mut rows: Vec<Vec<f64>> = fused
                .published
                .rows
                .iter()
                .map(|row| row.as_flattened().iter().map(|v| f64::from(*v)).collect())
                .collect();
            for (item, column) in [(1, 0), (4, 31), (6, 32), (0, 5), (2, 32), (7, 9)] {
                let kept = rows[item][column];
                let mut at = |value_at: f64| {
                    rows[item][column] = value_at;
                    value(&rows)
                };
                let slope = (at(kept + 1e-5) - at(kept - 1e-5)) / 2e-5;
                rows[item][column] = kept;
                let place = if column == 32 {
                    items * 32 + item
                } else {
                    item * 32 + column
                };
                let found = -f64::from(update[place]) / 1e-3;
                assert!(
                    (found - slope).abs() < 2e-3 * slope.abs() + 2e-4,
                    "{loss:?} {item} {column}: {found} {slope}"
                );
            }
        });
    }
}

/// Between its epochs a trainer asks whether it is still wanted.
#[test]
fn learning_that_nobody_wants_any_more_ends_at_the_next_epoch() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let mut plan: ModelPlan = toml::from_str(W1).unwrap();
    plan.client.epochs = 50;
    let recipe = TrainedRecipe::new(300, 1, plan.clone());
    let model = Recipe::Trained(recipe).start(1).parameters;
    let opened = || fused::<2>(&plan, &model);
    let learn = |fused: &Fused<2>| {
        let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
        fused.contribution(Step::Update, None, &history(1, 300), &mut rng)
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let wanted_for = |times: usize| {
        let (mut fused, asked) = (opened(), Arc::clone(&asked));
        asked.store(0, Ordering::Relaxed);
        fused.heed(Arc::new(move || {
            asked.fetch_add(1, Ordering::Relaxed) < times
        }));
        fused
    };
    assert!(matches!(learn(&wanted_for(3)), Err(TrainError::Stopped)));
    // The fourth epoch was not begun.
    assert_eq!(asked.load(Ordering::Relaxed), 5);
    // The control: asked before each epoch and at the end, and then it is as without.
    let whole = learn(&wanted_for(usize::MAX)).unwrap().into_values();
    assert_eq!(asked.load(Ordering::Relaxed), 51);
    assert_eq!(whole, learn(&opened()).unwrap().into_values());
}
