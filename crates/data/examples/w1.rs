//! Client updates a second of processor time, workload W1 (models/w1): what a federation of ml-1m costs a simulator.
//!
//! `CHORUS_DATA=... cargo run --release -p chorus-data --example w1 [CLIENTS] [ROUNDS]`
#![allow(clippy::print_stdout, reason = "prints its measurement")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "an example that stops at the first surprise"
)]

use std::path::Path;

use chorus_model::{Direct, Engine, ModelPlan, Recipe, Step, TrainedRecipe, TrainingSet};
use rand::seq::index;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// Seconds that this thread was on a processor, from the kernel of Linux.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds: f64 = text.split(' ').next().unwrap().parse().unwrap();
    nanoseconds * 1e-9
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |usual: usize| match arguments.next() {
        Some(text) => text.parse().unwrap(),
        None => usual,
    };
    let (clients, rounds) = (number(1_000), number(20));
    let folder = std::env::var("CHORUS_DATA").expect("CHORUS_DATA");
    let dataset = chorus_data::read(&Path::new(&folder).join("ml-1m")).unwrap();
    let people: Vec<TrainingSet> = (0..dataset.users())
        .map(|user| dataset.training_set(user))
        .collect();
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/w1/model.toml"
    ));
    let plan: ModelPlan = toml::from_str(&text.unwrap()).unwrap();
    let model = Recipe::Trained(TrainedRecipe::new(dataset.items, rounds, plan))
        .start(1)
        .parameters;
    let trainer = Direct.open(&model).unwrap();
    let mut draws = ChaCha20Rng::seed_from_u64(1);
    for step in [Step::NoisedUpdate, Step::Update, Step::Check] {
        let mut rates = Vec::new();
        for round in 0..rounds {
            let cohort = index::sample(&mut draws, people.len(), clients).into_vec();
            let began = processor_seconds();
            let mut words = 0;
            for person in cohort {
                let mut rng = ChaCha20Rng::seed_from_u64((round * 10_000 + person) as u64);
                let history = &people[person];
                let delta = trainer.contribution(step, None, history, &mut rng);
                words += delta.unwrap().into_values().len();
            }
            rates.push(clients as f64 / (processor_seconds() - began));
            assert!(words >= 3 * clients);
        }
        rates.sort_by(f64::total_cmp);
        println!(
            "{step:?}: {:.0} a processor second (median of {rounds} rounds of {clients}; {:.0} to {:.0})",
            rates[rounds / 2],
            rates[0],
            rates[rounds - 1]
        );
    }
}
