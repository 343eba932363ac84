//! The direct engine computes what recommender.md writes, in the layouts that `Step` documents.
#![allow(clippy::unwrap_used)]

use chorus_model::{
    Direct, Engine, ItemId, Parameters, PersonVector, Step, Tensor, TrainError, Trainer,
    TrainingSet,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// No recipe of these tests draws from it.
fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

const ITEMS: usize = 7;
const FACTORS: usize = 3;

/// A model for every step, its numbers from a little generator.
fn model(seed: u64) -> Parameters {
    let mut state = seed.wrapping_mul(2) + 1;
    let mut draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32) / (1u32 << 23) as f32 - 1.0
    };
    let mut parameters = Parameters::default();
    let mut table = |name: &str, rows: usize| {
        let values = (0..rows * FACTORS).map(|_| draw()).collect();
        parameters.set(name, Tensor::new(name, &[rows, FACTORS], values).unwrap());
    };
    table("items", ITEMS);
    table("whitening", FACTORS);
    parameters.set_scalar("alpha0", 0.3);
    parameters.set_scalar("regularisation", 0.02);
    // Two orthonormal directions, the first of them popularity; the items from 4 on are not taught.
    let (half, root) = (0.5f32, 0.5f32.sqrt());
    let mut known = vec![0.0; ITEMS * 2];
    (0..4).for_each(|item| known[item * 2] = half);
    (known[1], known[3]) = (root, -root);
    let known = Tensor::new("known", &[ITEMS, 2], known).unwrap();
    parameters.set("known", known);
    let gains = Tensor::new("gains", &[2], vec![0.0, 0.4]).unwrap();
    parameters.set("gains", gains);
    parameters
}

fn history(items: &[u32]) -> TrainingSet {
    TrainingSet::of(items.iter().copied().map(ItemId), ITEMS)
}

fn open(parameters: &Parameters) -> Box<dyn Trainer> {
    Direct.open(parameters).unwrap()
}

fn contribution(trainer: &dyn Trainer, step: Step, history: &TrainingSet) -> Vec<f32> {
    let delta = trainer
        .contribution(step, None, history, &mut rng())
        .unwrap();
    delta.into_values()
}

fn norm(values: &[f32]) -> f64 {
    values
        .iter()
        .map(|value| f64::from(*value).powi(2))
        .sum::<f64>()
        .sqrt()
}

fn row(parameters: &Parameters, item: usize) -> Vec<f64> {
    let values = &parameters.get("items").unwrap().values[item * FACTORS..(item + 1) * FACTORS];
    values.iter().copied().map(f64::from).collect()
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

/// What is left of (sum v v' + alpha0 V'V + lambda (k + alpha0 m)) u = sum v, written as in the paper.
fn residual(parameters: &Parameters, history: &TrainingSet, person: &PersonVector) -> f64 {
    let u: Vec<f64> = person.0.iter().copied().map(f64::from).collect();
    let k = history.len() as f64;
    let ridge = 0.02 * (k + 0.3 * ITEMS as f64);
    let mut left: Vec<f64> = u.iter().map(|value| ridge * value).collect();
    for item in 0..ITEMS {
        let v = row(parameters, item);
        let seen = history.contains(ItemId(item as u32));
        let weight = dot(&v, &u) * (0.3 + f64::from(u8::from(seen))) - f64::from(u8::from(seen));
        left.iter_mut()
            .zip(&v)
            .for_each(|(left, v)| *left += weight * v);
    }
    left.iter().map(|value| value.abs()).fold(0.0, f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_person_vector_solves_the_ridge(seed in any::<u64>(), items in prop::collection::vec(0u32..7, 1..7)) {
        let (parameters, history) = (model(seed), history(&items));
        let person = open(&parameters).person(&history).unwrap();
        prop_assert!(residual(&parameters, &history, &person) < 1e-4);
    }

    #[test]
    fn private_contributions_have_the_norm_they_are_charged_for(
        seed in any::<u64>(), items in prop::collection::vec(0u32..7, 1..7)
    ) {
        let mut parameters = model(seed);
        let history = history(&items);
        for start in [0.0, 1.0] {
            parameters.set_scalar("start", start);
            let trainer = open(&parameters);
            for step in [Step::Counts, Step::Gram, Step::Projection] {
                let norm = norm(&contribution(&*trainer, step, &history));
                // A history that is popularity itself says nothing that is not known: zeros.
                let nothing = norm == 0.0 && step == Step::Projection;
                prop_assert!((norm - 1.0).abs() < 1e-5 || nothing, "{step:?}: {norm}");
            }
        }
    }
}

/// z z' with its off-diagonal cells times sqrt 2, and y omega' with y = xh - Qb ((1 - g) Qb'xh), both normalised, written as
/// in ials-private.md.
#[test]
fn the_private_steps_have_the_documented_layout() {
    let mut parameters = model(5);
    let history = history(&[1, 4, 6]);
    for start in [0.0f32, 1.0] {
        parameters.set_scalar("start", start);
        let trainer = open(&parameters);
        let z: Vec<f64> = match start {
            0.0 => trainer
                .person(&history)
                .unwrap()
                .0
                .iter()
                .copied()
                .map(f64::from)
                .collect(),
            _ => (0..FACTORS)
                .map(|factor| {
                    [1, 4, 6]
                        .map(|item| row(&parameters, item)[factor])
                        .iter()
                        .sum()
                })
                .collect(),
        };
        let unit = |values: &[f64]| {
            let norm = dot(values, values).sqrt();
            values.iter().map(|value| value / norm).collect::<Vec<_>>()
        };
        let z = unit(&z);
        let mut gram = Vec::new();
        for left in 0..FACTORS {
            let scale = |right| if left == right { 1.0 } else { 2f64.sqrt() };
            gram.extend((left..FACTORS).map(|right| scale(right) * z[left] * z[right]));
        }
        let tensor = |name: &str| {
            let values = parameters.get(name).unwrap().values.iter().copied();
            values.map(f64::from).collect::<Vec<_>>()
        };
        let white: Vec<f64> = tensor("whitening")
            .chunks_exact(FACTORS)
            .map(|row| dot(row, &z))
            .collect();
        let omega = unit(&white);
        let known = tensor("known");
        let size = 1.0 / 3f64.sqrt();
        let x: Vec<f64> = (0..ITEMS as u32)
            .map(|item| {
                if history.contains(ItemId(item)) && known[item as usize * 2] != 0.0 {
                    size
                } else {
                    0.0
                }
            })
            .collect();
        let along = |place: usize| {
            (0..ITEMS)
                .map(|item| known[item * 2 + place] * x[item])
                .sum::<f64>()
        };
        let (popular, other) = (along(0), along(1));
        let y: Vec<f64> = (0..ITEMS)
            .map(|item| x[item] - known[item * 2] * popular - 0.6 * known[item * 2 + 1] * other)
            .collect();
        let y = unit(&y);
        let projection: Vec<f64> = y
            .iter()
            .flat_map(|y| omega.iter().map(move |omega| y * omega))
            .collect();
        for (step, expected) in [(Step::Gram, gram), (Step::Projection, projection)] {
            let found = contribution(&*trainer, step, &history);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-5,
                    "{step:?}: {found} instead of {expected}"
                );
            }
        }
    }
}

#[test]
fn the_gradient_has_the_documented_layout() {
    let parameters = model(3);
    let (trainer, history) = (open(&parameters), history(&[1, 4]));
    let u: Vec<f64> = trainer
        .person(&history)
        .unwrap()
        .0
        .iter()
        .copied()
        .map(f64::from)
        .collect();
    let scores: Vec<f64> = (0..ITEMS)
        .map(|item| dot(&u, &row(&parameters, item)))
        .collect();
    let mut expected = Vec::new();
    for (item, score) in scores.iter().enumerate() {
        let factor = if item == 1 || item == 4 {
            score - 1.0
        } else {
            0.0
        };
        expected.extend(u.iter().map(|value| factor * value));
    }
    for scale in [1.0, 2.0 / 64.0] {
        for left in 0..FACTORS {
            expected.extend((left..FACTORS).map(|right| scale * u[left] * u[right]));
        }
    }
    expected.extend([0.0, scores[1], 0.0, 0.0, scores[4], 0.0, 0.0]);
    expected.extend([0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    expected.extend([(2.0 - scores[1] - scores[4]) / 64.0, 2.0 / 64.0]);
    let found = contribution(&*trainer, Step::Gradient, &history);
    assert_eq!(found.len(), Step::Gradient.length(ITEMS, FACTORS, None));
    for (found, expected) in found.iter().zip(&expected) {
        assert!(
            (f64::from(*found) - expected).abs() < 1e-5,
            "{found} instead of {expected}"
        );
    }
}

/// Q'x / sqrt(k) at the history's items, Q = (c + 10)^-1/2 V mixing; then 1 / sqrt(k).
#[test]
fn the_head_has_the_documented_layout() {
    let mut parameters = model(3);
    let counts = [4.0, 1.0, 0.0, 2.0, 9.0, 3.0, 3.0];
    parameters.set(
        "counts",
        Tensor::new("counts", &[ITEMS], counts.to_vec()).unwrap(),
    );
    let mixing = [0.5f32, -0.25, 1.0, 2.0, 0.0, 0.75, -1.0, 0.5, 0.25];
    let square = Tensor::new("mixing", &[FACTORS, FACTORS], mixing.to_vec()).unwrap();
    parameters.set("mixing", square);
    let size = 1.0 / 2f64.sqrt();
    let along: Vec<f64> = (0..FACTORS)
        .map(|column| {
            let cell = |item: usize, place: usize| {
                let row = row(&parameters, item)[place] / (f64::from(counts[item]) + 10.0).sqrt();
                row * f64::from(mixing[place * FACTORS + column])
            };
            let places = (0..FACTORS).map(|place| cell(1, place) + cell(4, place));
            size * places.sum::<f64>()
        })
        .collect();
    let mut expected = vec![0.0; ITEMS * FACTORS];
    for item in [1, 4] {
        expected[item * FACTORS..][..FACTORS].copy_from_slice(&along);
    }
    expected.extend([0.0, size, 0.0, 0.0, size, 0.0, 0.0]);
    let found = contribution(&*open(&parameters), Step::Head, &history(&[1, 4]));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!(
            (f64::from(*found) - expected).abs() < 1e-6,
            "{found} instead of {expected}"
        );
    }
}

#[test]
fn the_history_step_counts() {
    let found = contribution(&*open(&model(3)), Step::History, &history(&[0, 6]));
    assert_eq!(found, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn an_empty_history_adds_nothing() {
    let trainer = open(&model(1));
    for step in [
        Step::Counts,
        Step::History,
        Step::Gram,
        Step::Projection,
        Step::Gradient,
        Step::Head,
    ] {
        let values = contribution(&*trainer, step, &history(&[]));
        assert_eq!(values.len(), step.length(ITEMS, FACTORS, None));
        assert!(values.iter().all(|value| *value == 0.0));
    }
    assert_eq!(trainer.person(&history(&[])).unwrap().0, [0.0; FACTORS]);
}

#[test]
fn a_history_from_a_larger_catalogue_is_an_error() {
    let history = TrainingSet::of([ItemId(7)], 100);
    assert!(matches!(
        open(&model(1)).person(&history),
        Err(TrainError::Numeric(_))
    ));
}

#[test]
fn a_model_without_the_tensors_of_a_step_is_an_error() {
    let mut parameters = model(1);
    parameters.remove("whitening");
    let error = open(&parameters)
        .contribution(Step::Projection, None, &history(&[1]), &mut rng())
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "the model has no tensor `whitening`, which this step needs"
    );
    parameters.remove("items");
    assert!(Direct.open(&parameters).is_err());
}
