//! A task learned once, with everything that an adversary may know kept beside it.

use std::collections::BTreeSet;

use chorus_data::Dataset;
use chorus_model::{Engine, MeanDelta, Parameters, Step, Trainer};
use chorus_privacy::{LocalNoise, Release, fill_discrete_gaussian, spent};
use chorus_protocol::{
    Digest, RoundId, RoundPlan, Task, contribute, cost, decode, encode, noise_share,
};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use crate::SimulateError;
use crate::draw::{Stream, stream};
use crate::plain::Tally;

/// One sum of the task: its plan, the trainer of the model that was public then, and the sum before noise.
pub(super) struct Taken {
    pub plan: RoundPlan,
    pub trainer: Box<dyn Trainer>,
    pub exact: Vec<f64>,
    /// Deviation of the noise in each coordinate, parameter units; 0 without noise.
    pub noise: f64,
}

/// The whole task.
pub(super) struct World {
    pub sums: Vec<Taken>,
    pub parameters: Parameters,
    pub trainer: Box<dyn Trainer>,
    /// mu of Gaussian DP; nothing without noise.
    pub mu: Option<f64>,
}

/// Participants between two merges.
const BATCH: usize = 256;

impl World {
    /// Learns the task from everyone but the `absent`, who send zeros.
    ///
    /// Clip, quantise, sum and decode are the product's. The noise is drawn once for the whole sum instead of in
    /// `noise_min` shares: the two differ by less than e^-58 (Kairouz, Liu, Steinke 2021, Theorem 1).
    pub fn learn(
        task: &Task,
        dataset: &Dataset,
        engine: &dyn Engine,
        seed: u64,
        with_noise: bool,
        absent: &BTreeSet<usize>,
    ) -> Result<Self, SimulateError> {
        let mut learning = task.recipe.start(seed);
        let mut sums = Vec::new();
        let mut releases: Vec<Release> = Vec::new();
        let mut delta = 0.0;
        let mut index = 0;
        while index < task.sums().len() {
            let trainer = engine.open(&learning.parameters)?;
            let model = Digest::of(&learning.parameters.to_bytes()?);
            let round = RoundId(index as u64 + 1);
            let plan = task.plan(index, task.population, round, round.0, model)?;
            releases.extend(cost(&plan)?);
            delta = plan.delta;
            let exact = exact_sum(&plan, dataset, trainer.as_ref(), seed, absent)?;
            let mut taken = Taken {
                noise: 0.0,
                plan,
                trainer,
                exact,
            };
            let mut sum = taken.exact.clone();
            if with_noise {
                taken.noise = taken.deviation();
                let mut rng = stream(seed, round.0, Stream::Audit);
                add(&mut sum, &taken.draw(&mut rng)?);
            }
            let clients = task.population;
            let noise = taken.noise;
            let released = MeanDelta {
                sum,
                clients,
                noise,
            };
            let learned = task.learn(learning, index, &released)?;
            (learning, index) = (learned.learning, learned.next);
            sums.push(taken);
        }
        let mu = match with_noise {
            true => Some(spent(&releases, delta)?.mu),
            false => None,
        };
        Ok(Self {
            sums,
            trainer: engine.open(&learning.parameters)?,
            parameters: learning.parameters,
            mu,
        })
    }
}

impl Taken {
    fn deviation(&self) -> f64 {
        let honest = self.plan.survivors.honest;
        self.plan.noise.deviation_of_sum(honest) / self.plan.encoding.scale()
    }

    /// The noise of `noise_min` honest shares, afresh; zeros where the world has none. Whatever its law, as one discrete
    /// Gaussian of the same variance: the sum of so many shares is told apart from it by nothing that an attack here uses.
    pub fn draw(&self, rng: &mut ChaCha20Rng) -> Result<Vec<f64>, SimulateError> {
        let length = self.plan.encoding.length();
        let deviation = self.plan.noise.deviation_of_sum(self.plan.survivors.honest);
        if self.noise == 0.0 || deviation == 0.0 {
            return Ok(vec![0.0; length]);
        }
        let mut drawn = vec![0; length];
        fill_discrete_gaussian(deviation.powi(2).round() as u64, &mut drawn, rng)?;
        let scale = self.plan.encoding.scale();
        Ok(drawn
            .into_iter()
            .map(|noise| noise as f64 / scale)
            .collect())
    }

    /// What a person sends in this sum, before noise, cut to the clip.
    pub fn sent(&self, dataset: &Dataset, person: usize) -> Result<Vec<f64>, SimulateError> {
        let history = dataset.training_set(person);
        // An adversary of a model that samples guesses the draws; that only helps the person.
        let mut rng = stream(0, self.plan.round.0, Stream::Client(person));
        let delta = contribute(self.trainer.as_ref(), &self.plan, &history, &mut rng)?;
        let values = delta.into_values();
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
        let factor = (self.plan.encoding.clip() / norm).min(1.0);
        Ok(values.into_iter().map(|value| value * factor).collect())
    }

    /// Coordinates of one item in this sum, where the sum has a row for each item.
    pub fn width(&self, items: usize) -> Option<usize> {
        let length = self.plan.encoding.length();
        let is_of_items = !matches!(self.plan.step, Step::Gram | Step::Ranks);
        let is_rows = is_of_items && length.is_multiple_of(items);
        is_rows.then_some(length / items)
    }

    /// 1 / variance of the noise: what evidence of this sum weighs. Without noise every sum weighs the same.
    pub fn weight(&self) -> f64 {
        match self.noise > 0.0 {
            true => self.noise.powi(-2),
            false => 1.0,
        }
    }
}

fn exact_sum(
    plan: &RoundPlan,
    dataset: &Dataset,
    trainer: &dyn Trainer,
    seed: u64,
    absent: &BTreeSet<usize>,
) -> Result<Vec<f64>, SimulateError> {
    let quiet = RoundPlan {
        noise: LocalNoise::Off,
        ..plan.clone()
    };
    let present: Vec<usize> = (0..dataset.users())
        .filter(|person| !absent.contains(person))
        .collect();
    let length = plan.encoding.words();
    let threads = rayon::current_num_threads().max(1);
    let mut tally = Tally::new(plan.ring(), length);
    for batch in present.chunks(BATCH) {
        let parts: Vec<Tally> = batch
            .par_chunks(batch.len().div_ceil(threads))
            .map(|people| {
                let mut part = Tally::new(plan.ring(), length);
                for person in people {
                    let history = dataset.training_set(*person);
                    let mut rng = stream(seed, plan.round.0, Stream::Client(*person));
                    let share = noise_share(&quiet, &mut rng)?;
                    let delta = contribute(trainer, plan, &history, &mut rng)?;
                    let encoded = encode(delta, &quiet, share, &mut rng)?;
                    part.add(&encoded.update, encoded.clipped);
                }
                Ok(part)
            })
            .collect::<Result<_, SimulateError>>()?;
        tally = parts.into_iter().fold(tally, Tally::merge);
    }
    Ok(decode(&tally.words(), plan, present.len()).sum)
}

/// Adds vectors of one length.
pub(super) fn add(sum: &mut [f64], other: &[f64]) {
    for (sum, value) in sum.iter_mut().zip(other) {
        *sum += value;
    }
}

/// The inner product.
pub(super) fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter()
        .zip(right)
        .map(|(left, right)| left * right)
        .sum()
}
