//! Server optimisers, schedules, FedProx and moving bounds against steps computed by hand.
#![allow(clippy::unwrap_used, clippy::panic)]

use chorus_model::{
    AdaptiveClip, Delta, Direct, Engine, ItemId, Learning, MeanDelta, ModelPlan, Optimiser, Recipe,
    Schedule, Step, Tensor, TrainedRecipe, TrainingSet,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

const ITEMS: usize = 3;

fn plan(optimiser: Optimiser) -> ModelPlan {
    let mut plan: ModelPlan = serde_json::from_str(
        r#"{
            "name": "small", "architecture": "factors", "loss": "squared",
            "tensors": [
                {"name": "items", "shape": ["items", 1], "group": "items", "initial": {"constant": 1.0}}
            ],
            "groups": {"items": 10.0},
            "client": {"batch": 1000, "step_size": 0.5, "negatives": 0,
                       "person": {"steps": 1, "step_size": 1.0}},
            "server": {"optimiser": "fedavg", "step_size": 0.1, "tau": 0.01}
        }"#,
    )
    .unwrap();
    plan.server.optimiser = optimiser;
    // Two steps of another size would be cut.
    plan.server.guard.step = 1e6;
    plan
}

fn noised(plan: ModelPlan, rounds: usize) -> Recipe {
    Recipe::Trained(TrainedRecipe {
        noise: true,
        ..TrainedRecipe::new(ITEMS, rounds, plan)
    })
}

/// The item table after sums of these means over four clients, one a round.
fn table(plan: ModelPlan, means: &[[f64; ITEMS]]) -> Vec<f32> {
    let recipe = noised(plan, means.len());
    let mut learning = recipe.start(1);
    for (round, mean) in means.iter().enumerate() {
        let delta = MeanDelta {
            sum: mean.iter().map(|value| 4.0 * value).collect(),
            clients: 4,
            noise: 0.0,
        };
        learning = recipe.apply(learning, round + 1, &delta, 4).unwrap();
    }
    learning.parameters.get("items").unwrap().values.clone()
}

fn near(found: &[f32], expected: [f64; ITEMS]) {
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (f64::from(*found) - expected).abs() < 1e-5,
            "{found} {expected}"
        );
    }
}

const MEANS: [[f64; ITEMS]; 2] = [[1.0, -0.5, 0.0], [0.5, 0.5, 0.1]];

#[test]
fn each_optimiser_takes_the_steps_of_its_formula() {
    // x = 1 + 0.1 (1 + 0.5), ...
    near(&table(plan(Optimiser::FedAvg), &MEANS), [1.15, 1.0, 1.01]);
    // m: (1, -0.5, 0), then 0.9 m + D: (1.4, 0.05, 0.1).
    near(
        &table(plan(Optimiser::FedAvgM), &MEANS),
        [1.24, 0.955, 1.01],
    );
    // First moments: 0.1 D, then 0.9 of it and 0.1 D: (0.1, -0.05, 0), (0.14, 0.005, 0.01). Start of the second: 1e-4.
    let first = [[0.1, -0.05, 0.0], [0.14, 0.005, 0.01]];
    let steps = |second: [[f64; ITEMS]; 2]| -> [f64; ITEMS] {
        std::array::from_fn(|place| {
            let step = |round: usize| first[round][place] / (second[round][place].sqrt() + 0.01);
            1.0 + 0.1 * (step(0) + step(1))
        })
    };
    // 0.99 v + 0.01 D^2.
    let adam = steps([
        [0.010099, 0.002599, 0.000099],
        [0.01249801, 0.00507301, 0.00019801],
    ]);
    near(&table(plan(Optimiser::FedAdam), &MEANS), adam);
    // v - 0.01 D^2 sign(v - D^2): v is below D^2 but for the third word of the first round.
    let yogi = steps([[0.0101, 0.0026, 0.0001], [0.0126, 0.0051, 0.0002]]);
    near(&table(plan(Optimiser::FedYogi), &MEANS), yogi);
    // v + D^2.
    let adagrad = steps([[1.0001, 0.2501, 0.0001], [1.2501, 0.5001, 0.0101]]);
    near(&table(plan(Optimiser::FedAdagrad), &MEANS), adagrad);
    // Another start of the second moment is another first step: 0.1 * 0.1 / (sqrt(0.99 * 0.04 + 0.01) + 0.01).
    let mut wide = plan(Optimiser::FedAdam);
    wide.server.second_moment = Some(0.04);
    let found = f64::from(table(wide, &MEANS[..1])[0]);
    assert!((found - 1.0 - 0.01 / (0.0496f64.sqrt() + 0.01)).abs() < 1e-6);
}

#[test]
fn a_second_moment_of_yogi_falls_where_the_mean_is_small() {
    let mut plan = plan(Optimiser::FedYogi);
    plan.server.second_moment = Some(1.0);
    // v = 1 - 0.01 * 0.25 = 0.9975.
    let found = f64::from(table(plan, &[[0.5, 0.5, 0.5]])[0]);
    assert!((found - 1.0 - 0.1 * 0.05 / (0.9975f64.sqrt() + 0.01)).abs() < 1e-7);
}

#[test]
fn schedules_shorten_the_steps() {
    let means = [[1.0, 0.0, 0.0]; 4];
    for (schedule, factors) in [
        (Schedule::Constant, [1.0, 1.0, 1.0, 1.0]),
        (Schedule::Inverse(2.0), [1.0, 2.0 / 3.0, 0.5, 0.4]),
        (Schedule::Cosine(0.2), [1.0, 0.882_842_7, 0.6, 0.317_157_3]),
        (
            Schedule::Step {
                every: 2,
                factor: 0.1,
            },
            [1.0, 1.0, 0.1, 0.1],
        ),
    ] {
        let mut plan = plan(Optimiser::FedAvg);
        plan.server.schedule = schedule;
        let expected = 1.0 + 0.1 * factors.iter().sum::<f64>();
        near(&table(plan, &means), [expected, 1.0, 1.0]);
    }
}

/// With squared loss, no negatives and all weights 1: the person takes one step from 0 to 1 - 0 = mean gradient 1, so u = 1.
/// Then the score of each item is 1 already: so the table is set to 0.5, u = 0.5, the score 0.25, the error -0.75, and one
/// step over the batch of two gives 0.5 * 0.75 * 0.5 / 2 = 0.09375 to both rows.
#[test]
fn a_client_takes_the_step_of_its_formula_and_fedprox_draws_it_back() {
    let history = TrainingSet::of([ItemId(0), ItemId(2)], ITEMS);
    let update = |plan: ModelPlan| {
        let mut model = noised(plan, 1).start(1).parameters;
        let values = vec![0.5; ITEMS];
        model.set(
            "items",
            Tensor {
                shape: vec![ITEMS, 1],
                values,
            },
        );
        let trainer = Direct.open(&model).unwrap();
        let rng = &mut ChaCha20Rng::seed_from_u64(1);
        let delta = trainer.contribution(Step::NoisedUpdate, None, &history, rng);
        delta.unwrap().into_values()
    };
    let mut plan = plan(Optimiser::FedAvg);
    near(&update(plan.clone()), [0.09375, 0.0, 0.09375]);
    // A second epoch: the row is 0.59375, its score 0.296875, the step 0.5 * 0.703125 * 0.5 / 2 = 0.087890625.
    plan.client.epochs = 2;
    let far = 0.09375 + 0.087_890_625;
    near(&update(plan.clone()), [far, 0.0, far]);
    // mu 0.8: after each step a share of 0.5 * 0.8 of the way is taken back.
    plan.client.epochs = 1;
    plan.client.proximal = 0.8;
    near(&update(plan), [0.6 * 0.09375, 0.0, 0.6 * 0.09375]);
}

/// Clients whose norms are uniform in 0..4, so that the quantile 0.7 is 2.8; the bound starts far from it.
fn bound(noise: f64, start: f64) -> f64 {
    let mut plan = plan(Optimiser::FedAvg);
    plan.adaptive = Some(AdaptiveClip {
        quantile: 0.7,
        step_size: 0.2,
        weight: 0.2,
    });
    plan.groups.insert("items".to_owned(), start);
    let recipe = noised(plan, 200);
    let sum = &recipe.sums()[1];
    assert_eq!((sum.length, sum.groups.len()), (ITEMS + 1, 2));
    assert!((sum.clip - f64::sqrt(1.01)).abs() < 1e-12);
    let layout = chorus_model::Layout::new(recipe.start(1).parameters.plan().unwrap(), ITEMS);
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let mut uniform = || (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    let mut learning: Learning = recipe.start(1);
    let clients = 200;
    for round in 1..=200 {
        let bounds = layout.bounds(&learning.parameters).unwrap().unwrap();
        let mut total = vec![0.0; sum.length];
        for _ in 0..clients {
            let norm = 4.0 * uniform();
            let update = Delta::new(vec![norm as f32, 0.0, 0.0]);
            let delta = layout.contribution(Step::NoisedUpdate, update, None, Some(&bounds));
            let values = delta.into_values();
            // Scaled by the published bound, and the bit says whether it was within it.
            assert!((f64::from(values[0]) - norm / bounds[0]).abs() < 1e-5);
            let within = if norm as f32 <= bounds[0] as f32 {
                0.1
            } else {
                -0.1
            };
            assert!((f64::from(values[3]) - within).abs() < 1e-7);
            let scale = f64::min(1.0, bounds[0] / norm);
            total[0] += f64::from(values[0]) * scale;
            total[3] += f64::from(values[3]);
        }
        // A sum of twelve uniform draws, less six, is near to normal.
        for word in &mut total {
            *word += noise * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0);
        }
        let delta = MeanDelta {
            sum: total,
            clients,
            noise,
        };
        learning = recipe.apply(learning, round, &delta, clients).unwrap();
    }
    f64::from(learning.parameters.get("clip").unwrap().values[0])
}

#[test]
fn a_moving_bound_finds_the_quantile_with_noise_too() {
    for (noise, start) in [(0.0, 0.05), (0.0, 60.0), (3.0, 0.05), (3.0, 60.0)] {
        let found = bound(noise, start);
        assert!(
            (found - 2.8).abs() < 0.3,
            "noise {noise}, from {start}: {found}"
        );
    }
}
