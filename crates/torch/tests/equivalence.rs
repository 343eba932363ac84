//! The engine on libtorch and the one in plain Rust must teach a client the same.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use chorus_model::{Block, Direct, Engine, ItemId, Parameters, Step, Tensor, Trainer, TrainingSet};
use chorus_torch::Torch;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_chacha::ChaCha20Rng;

/// No recipe of these tests draws from it.
fn draws() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

const STEPS: [Step; 6] = [
    Step::Counts,
    Step::History,
    Step::Gram,
    Step::Projection,
    Step::Gradient,
    Step::Head,
];

fn random(rng: &mut ChaCha8Rng, count: usize, size: f32) -> Vec<f32> {
    (0..count)
        .map(|_| size * (rng.random::<f32>() * 2.0 - 1.0))
        .collect()
}

fn model(rng: &mut ChaCha8Rng, items: usize, factors: usize) -> Parameters {
    let mut parameters = Parameters::default();
    let table = random(rng, items * factors, 0.5);
    parameters.set(
        "items",
        Tensor::new("items", &[items, factors], table).unwrap(),
    );
    let whitening = random(rng, factors * factors, 2.0);
    parameters.set(
        "whitening",
        Tensor::new("whitening", &[factors, factors], whitening).unwrap(),
    );
    parameters.set_scalar("alpha0", rng.random::<f32>() * 0.3 + 0.01);
    parameters.set_scalar("regularisation", rng.random::<f32>() * 0.01 + 0.001);
    let known = random(rng, items * 2, 0.3);
    parameters.set("known", Tensor::new("known", &[items, 2], known).unwrap());
    let gains = Tensor::new("gains", &[2], vec![0.0, 0.4]).unwrap();
    parameters.set("gains", gains);
    let mixing = random(rng, factors * factors, 1.0);
    let mixing = Tensor::new("mixing", &[factors, factors], mixing).unwrap();
    parameters.set("mixing", mixing);
    let counts = (0..items).map(|_| rng.random_range(0..50) as f32).collect();
    parameters.set("counts", Tensor::new("counts", &[items], counts).unwrap());
    parameters
}

/// The same model once it is learned, with another regularisation to rank with and a head.
fn with_head(
    mut parameters: Parameters,
    rng: &mut ChaCha8Rng,
    items: usize,
    width: usize,
) -> Parameters {
    let lambda = parameters.scalar("regularisation").unwrap();
    parameters.set_scalar("serving_regularisation", 0.7 * lambda);
    let head = random(rng, items * width, 0.3);
    parameters.set("head", Tensor::new("head", &[items, width], head).unwrap());
    let scale = (0..items).map(|_| rng.random::<f32>() + 0.5).collect();
    parameters.set(
        "head_scale",
        Tensor::new("head_scale", &[items], scale).unwrap(),
    );
    parameters
}

fn history(rng: &mut ChaCha8Rng, items: usize, length: usize) -> TrainingSet {
    TrainingSet::of(
        (0..length).map(|_| ItemId(rng.random_range(0..items as u32))),
        items,
    )
}

/// L2 distance over the L2 norm of the reference.
fn relative_error(reference: &[f32], other: &[f32]) -> f64 {
    assert_eq!(reference.len(), other.len());
    let square = |value: f32| f64::from(value) * f64::from(value);
    let norm: f64 = reference.iter().map(|value| square(*value)).sum();
    let distance: f64 = reference
        .iter()
        .zip(other)
        .map(|(a, b)| square(a - b))
        .sum();
    if norm == 0.0 {
        distance.sqrt()
    } else {
        (distance / norm).sqrt()
    }
}

fn both(parameters: &Parameters) -> (Box<dyn Trainer>, Box<dyn Trainer>) {
    (
        Direct.open(parameters).unwrap(),
        Torch.open(parameters).unwrap(),
    )
}

#[test]
fn person_vectors_and_contributions_agree() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (items, factors) in [(1, 1), (7, 3), (60, 8), (300, 16), (500, 64), (90, 128)] {
        let (direct, torch) = both(&model(&mut rng, items, factors));
        for length in [0, 1, 2, items / 2, 2 * items] {
            let history = history(&mut rng, items, length);
            let (expected, found) = (
                direct.person(&history).unwrap(),
                torch.person(&history).unwrap(),
            );
            let error = relative_error(&expected.0, &found.0);
            assert!(
                error <= 1e-5,
                "person: {error} at {items} items, {factors} factors, {} in the history",
                history.len()
            );
            for step in STEPS {
                let expected = direct
                    .contribution(step, None, &history, &mut draws())
                    .unwrap()
                    .into_values();
                let found = torch
                    .contribution(step, None, &history, &mut draws())
                    .unwrap()
                    .into_values();
                assert_eq!(found.len(), step.length(items, factors, None));
                let error = relative_error(&expected, &found);
                assert!(
                    error <= 1e-5,
                    "{step:?}: {error} at {items} items, {factors} factors, {} in the history",
                    history.len()
                );
            }
        }
    }
}

#[test]
fn contributions_to_a_start_agree() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let mut parameters = model(&mut rng, 60, 8);
    parameters.set_scalar("start", 1.0);
    let (direct, torch) = both(&parameters);
    let history = history(&mut rng, 60, 20);
    for step in [Step::Gram, Step::Projection] {
        let of = |trainer: &dyn Trainer| {
            let delta = trainer.contribution(step, None, &history, &mut draws());
            delta.unwrap().into_values()
        };
        assert!(relative_error(&of(&*direct), &of(&*torch)) <= 1e-5);
    }
}

#[test]
fn gradients_of_a_block_agree() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (items, factors) in [(1, 1), (7, 3), (300, 16)] {
        let (direct, torch) = both(&model(&mut rng, items, factors));
        for length in [0, 1, items] {
            let history = history(&mut rng, items, length);
            for first in [0, items / 3, items - 1] {
                for size in [1, items - first] {
                    let block = Some(Block { first, items: size });
                    let gradient = |trainer: &dyn Trainer| {
                        let delta =
                            trainer.contribution(Step::Gradient, block, &history, &mut draws());
                        delta.unwrap().into_values()
                    };
                    let (expected, found) = (gradient(&*direct), gradient(&*torch));
                    assert_eq!(found.len(), Step::Gradient.length(items, factors, block));
                    let error = relative_error(&expected, &found);
                    assert!(error <= 1e-5, "{error} in {block:?} of {items} items");
                }
            }
        }
    }
}

/// Both engines rank alike, and what each explains a score with adds up to it.
#[test]
fn scores_and_causes_agree_and_add_up() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for (items, factors) in [(3, 2), (60, 8), (300, 32)] {
        let plain = model(&mut rng, items, factors);
        let headed = with_head(plain.clone(), &mut rng, items, factors + 1);
        for parameters in [plain, headed] {
            let engines = both(&parameters);
            for length in [1, 2, items] {
                let history = history(&mut rng, items, length);
                let scores = engines.0.scores(&history).unwrap();
                assert!(relative_error(&scores, &engines.1.scores(&history).unwrap()) <= 1e-5);
                for item in (0..items as u32).step_by(7).map(ItemId) {
                    let causes = [&engines.0, &engines.1]
                        .map(|trainer| trainer.explain(&history, item).unwrap());
                    for causes in &causes {
                        let sum: f64 = causes.iter().map(|cause| f64::from(cause.adds)).sum();
                        let score = f64::from(scores[item.0 as usize]);
                        assert!((sum - score).abs() < 1e-4, "{sum} instead of {score}");
                    }
                    let [direct, torch] = causes.map(|causes| {
                        let adds = causes.into_iter().map(|cause| cause.adds);
                        adds.collect::<Vec<_>>()
                    });
                    assert!(relative_error(&direct, &torch) <= 1e-4);
                }
                assert!(engines.1.explain(&history, ItemId(items as u32)).is_err());
            }
        }
    }
}

#[test]
fn the_comparison_can_fail() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (one, other) = (model(&mut rng, 60, 8), model(&mut rng, 60, 8));
    let history = history(&mut rng, 60, 20);
    let (one, other) = (Direct.open(&one).unwrap(), Torch.open(&other).unwrap());
    let error = relative_error(
        &one.person(&history).unwrap().0,
        &other.person(&history).unwrap().0,
    );
    assert!(error > 1e-2, "two models gave the same person: {error}");
}

#[test]
fn an_empty_history_contributes_zeros() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let trainer = Torch.open(&model(&mut rng, 20, 4)).unwrap();
    let nothing = TrainingSet::of([], 20);
    assert_eq!(trainer.person(&nothing).unwrap().0, vec![0.0; 4]);
    for step in STEPS {
        let values = trainer
            .contribution(step, None, &nothing, &mut draws())
            .unwrap()
            .into_values();
        assert_eq!(values, vec![0.0; step.length(20, 4, None)]);
    }
}

#[test]
fn one_trainer_serves_many_threads() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let parameters = model(&mut rng, 200, 16);
    let (direct, torch) = both(&parameters);
    let histories: Vec<TrainingSet> = (0..200).map(|_| history(&mut rng, 200, 30)).collect();
    std::thread::scope(|scope| {
        for part in histories.chunks(50) {
            let (direct, torch) = (&direct, &torch);
            scope.spawn(move || {
                for history in part {
                    let expected = direct
                        .contribution(Step::Gradient, None, history, &mut draws())
                        .unwrap()
                        .into_values();
                    let found = torch
                        .contribution(Step::Gradient, None, history, &mut draws())
                        .unwrap()
                        .into_values();
                    assert!(relative_error(&expected, &found) <= 1e-5);
                }
            });
        }
    });
}
