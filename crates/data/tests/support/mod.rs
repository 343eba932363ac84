//! Both algorithms in one place, without clip, masks or protocol: what the federation must come close to.

use std::collections::BTreeMap;

use chorus_data::Dataset;
use chorus_model::{Direct, Engine, Learning, MeanDelta, Quality, Recipe, TrainingSet, popularity};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// How a run is made.
pub struct Run {
    /// Share of the users invited to each sum; nobody twice before everybody once.
    pub cohort: f64,
    /// Share of the invited that drop out.
    pub dropout: f64,
    /// Standard deviation of the Gaussian noise on each coordinate of a sum that had the whole budget.
    pub noise: f64,
    pub seed: u64,
}

/// Learns from the training histories alone.
pub fn learn(dataset: &Dataset, recipe: &Recipe, run: &Run) -> Learning {
    recipe.validate().unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(run.seed);
    let histories: Vec<TrainingSet> = (0..dataset.users())
        .map(|user| dataset.training_set(user))
        .collect();
    let mut queues: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let clients = (dataset.users() as f64 * run.cohort * (1.0 - run.dropout)).round() as usize;
    let mut learning = recipe.start(run.seed);
    for (index, sum) in recipe.sums().iter().enumerate() {
        let trainer = Direct.open(&learning.parameters).unwrap();
        let queue = queues.entry(sum.turn()).or_default();
        let cohort = next(queue, clients, dataset.users(), &mut rng);
        let mut total = vec![0.0; sum.length];
        for user in &cohort {
            let part = trainer
                .contribution(sum.step, sum.block, &histories[*user], &mut rng)
                .unwrap()
                .into_values();
            total
                .iter_mut()
                .zip(part)
                .for_each(|(total, part)| *total += f64::from(part));
        }
        let noise = match run.noise {
            0.0 => 0.0,
            noise => noise / sum.share.sqrt(),
        };
        if noise > 0.0 {
            total
                .iter_mut()
                .for_each(|total| *total += noise * normal(&mut rng));
        }
        let delta = MeanDelta {
            sum: total,
            clients,
            noise,
        };
        learning = recipe
            .apply(learning, index, &delta, dataset.users())
            .unwrap();
    }
    learning
}

/// The next cohort: everyone has a turn before anyone has a second.
fn next(queue: &mut Vec<usize>, clients: usize, users: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut cohort: Vec<usize> = Vec::new();
    if queue.len() < clients {
        cohort = std::mem::take(queue);
        *queue = (0..users).filter(|user| !cohort.contains(user)).collect();
        queue.shuffle(rng);
    }
    cohort.extend(queue.drain(..clients - cohort.len()));
    cohort
}

/// What the learned model is worth on the held-out items.
pub fn quality(dataset: &Dataset, learning: &Learning) -> Quality {
    let trainer = Direct.open(&learning.parameters).unwrap();
    let mut quality = Quality::default();
    for case in (0..dataset.users()).filter_map(|user| dataset.case(user)) {
        let scores = trainer.scores(&case.history).unwrap();
        quality.add(&scores, &case).unwrap();
    }
    quality
}

/// The baseline.
pub fn popularity_quality(dataset: &Dataset) -> Quality {
    let histories: Vec<TrainingSet> = (0..dataset.users())
        .map(|user| dataset.training_set(user))
        .collect();
    let counts = popularity(&histories, dataset.items);
    let mut quality = Quality::default();
    for case in (0..dataset.users()).filter_map(|user| dataset.case(user)) {
        quality.add(&counts, &case).unwrap();
    }
    quality
}

fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}
