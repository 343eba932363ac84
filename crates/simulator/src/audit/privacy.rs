//! The canary audit of a whole task.

use chorus_data::Dataset;
use chorus_model::{Delta, Engine, Learning, MeanDelta, Parameters, Tensor, Trainer};
use chorus_privacy::{LocalNoise, Release, Spent, spent};
use chorus_protocol::{
    Digest, Privacy, RoundId, RoundPlan, Task, contribute, cost, decode, encode, noise_share,
};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::canary::{Cast, Part};
use super::evidence::{Evidence, Measured};
use super::monitor::{Look, Monitor};
use crate::SimulateError;
use crate::draw::{Stream, stream};
use crate::plain::Tally;

/// How to audit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AuditOptions {
    /// Decides everything that is drawn.
    pub seed: u64,
    /// Participants that are nobody: each is included by a fair coin.
    pub canaries: usize,
    /// A fault to see the audit fail: no client adds the noise that the plan asks for.
    pub forget_noise: bool,
    /// Go on when the monitor asks to stop.
    pub run_on: bool,
}

/// What an audit found. Only `claimed` is a guarantee.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacyAudit {
    /// Epsilon that the task claims: the upper limit for everything that was released.
    pub claimed: f64,
    /// The probability at which the claim may fail.
    pub delta: f64,
    /// mu of Gaussian DP that goes with the claim.
    pub mu: f64,
    /// The exact epsilon of continuous noise of this size: what a perfect adversary's estimate tends to.
    pub expected: f64,
    /// The adversary that knows what every real person sent, and sees each sum.
    pub strong: Measured,
    /// The adversary that sees the final model alone; nothing where no tensor of it has the layout of a sum, or the task
    /// was stopped.
    pub realistic: Option<Measured>,
    /// Participants that were nobody.
    pub canaries: usize,
    /// How many of them were included.
    pub included: usize,
    /// Participants that were people of the data.
    pub people: usize,
    /// What the monitor saw, sum by sum.
    pub looks: Vec<Look>,
    /// How many sums the task has; fewer looks mean that it was stopped.
    pub sums: usize,
    /// Name of the data.
    pub data: String,
    /// The seed.
    pub seed: u64,
    /// The command, as it can be repeated.
    pub command: String,
}

/// How an audit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Proven minimum, estimate and claim stand in this order.
    Agrees,
    /// The estimate is above the claim, but nothing above the claim is proven: chance.
    Unclear,
    /// There are too few canaries for this claim: even a task without any noise would not have been found out.
    CannotRefute,
    /// More is proven than was claimed: the mechanism or the claim is wrong.
    Broken,
}

impl PrivacyAudit {
    /// What the three marks say together.
    pub fn verdict(&self) -> Verdict {
        let measured = [Some(self.strong), self.realistic];
        let proven = measured.into_iter().flatten().map(|found| found.minimum);
        if self.looks.iter().any(|look| look.stop) || proven.fold(0.0, f64::max) > self.claimed {
            Verdict::Broken
        } else if !self.could_refute() {
            Verdict::CannotRefute
        } else if self.strong.minimum <= self.strong.estimate
            && self.strong.estimate <= self.claimed
        {
            Verdict::Agrees
        } else {
            Verdict::Unclear
        }
    }

    /// The largest epsilon that so many canaries could have proven, at the end or in a look in between.
    pub fn most_provable(&self) -> f64 {
        let looks = self.looks.iter().map(|look| look.provable);
        looks.fold(self.strong.provable, f64::max)
    }

    /// Whether a task without any noise would have been found out, by a look in between or at the end.
    fn could_refute(&self) -> bool {
        let mut looks = self.looks.iter();
        self.strong.provable > self.claimed || looks.any(|look| look.provable > look.claimed)
    }
}

/// Runs the task through the product's own functions, with canaries among the participants, and measures what an
/// adversary can tell about them.
///
/// Each sum is the worst that its plan allows: as many people vanish as may, and as many of the rest collude as may, so
/// that exactly `noise_min` shares of noise protect everyone. `task.population` must count people and canaries.
/// `progress` hears which of how many sums is done, and what the monitor saw.
///
/// # Errors
/// When task and data do not fit each other, the task has no noise, there are too few or too many canaries, or a step of
/// the road fails.
pub fn audit_privacy(
    task: &Task,
    dataset: &Dataset,
    engine: &dyn Engine,
    options: AuditOptions,
    progress: &mut dyn FnMut(usize, &Look),
) -> Result<PrivacyAudit, SimulateError> {
    task.validate()?;
    let Privacy::Distributed { delta, .. } = task.privacy else {
        return Err(SimulateError::NothingToAudit);
    };
    let people = dataset.users();
    if task.population != people + options.canaries {
        return Err(SimulateError::Population {
            task: task.population,
            data: people + options.canaries,
        });
    }
    let mut audit = Audit {
        task,
        dataset,
        cast: Cast::new(people, options.canaries, options.seed),
        options,
        scores: vec![0.0; options.canaries],
        directions: Vec::new(),
    };
    let mut monitor = Monitor::default();
    let mut releases: Vec<Release> = Vec::new();
    let mut learning = task.recipe.start(options.seed);
    let sums = task.sums().len();
    for index in 0..sums {
        let trainer = engine.open(&learning.parameters)?;
        let plan = audit.plan(index, &learning)?;
        releases.extend(cost(&plan)?);
        let delta_of_sum = audit.sum(&plan, trainer.as_ref())?;
        learning = task
            .recipe
            .apply(learning, index, &delta_of_sum, task.population)?;
        let look = monitor.look(&plan.release, &audit.strong(), &spent(&releases, delta)?)?;
        progress(index, look);
        if look.stop && !options.run_on {
            break;
        }
    }
    let complete = monitor.looks().len() == sums;
    let claimed = spent(&releases, delta)?;
    audit.report(&claimed, monitor, complete.then_some(&learning.parameters))
}

/// An audit on its way.
struct Audit<'a> {
    task: &'a Task,
    dataset: &'a Dataset,
    options: AuditOptions,
    cast: Cast,
    /// One matched-filter score a canary, over the sums so far.
    scores: Vec<f64>,
    /// Round and length of each sum so far: what directions are drawn again from.
    directions: Vec<(u64, usize)>,
}

/// One thread's share of a sum.
struct Share {
    tally: Tally,
    /// What real people sent, before noise, in parameter units: the strong adversary knows it.
    known: Vec<f64>,
}

/// Participants between two merges: bounds the sums held at a time.
const BATCH: usize = 256;

impl Audit<'_> {
    fn plan(&self, index: usize, learning: &Learning) -> Result<RoundPlan, SimulateError> {
        let model = Digest::of(&learning.parameters.to_bytes()?);
        let round = RoundId(index as u64 + 1);
        let plan = self
            .task
            .plan(index, self.task.population, round, round.0, model)?;
        let most = plan.survivors.honest;
        if !(2..=most).contains(&self.options.canaries) {
            return Err(SimulateError::Canaries {
                wanted: self.options.canaries,
                most,
            });
        }
        Ok(plan)
    }

    /// One sum and every canary's score in it.
    fn sum(&mut self, plan: &RoundPlan, trainer: &dyn Trainer) -> Result<MeanDelta, SimulateError> {
        let needed = plan.survivors;
        let parts = self.cast.worst(plan.round.0, needed.minimum, needed.honest);
        let length = plan.encoding.length();
        let quiet = RoundPlan {
            noise: LocalNoise::Off,
            ..plan.clone()
        };
        let empty = || Share {
            tally: Tally::new(plan.ring(), length),
            known: vec![0.0; length],
        };
        let threads = rayon::current_num_threads().max(1);
        let mut whole = empty();
        for batch in parts.chunks(BATCH) {
            let shares: Vec<Share> = batch
                .par_chunks(batch.len().div_ceil(threads))
                .map(|parts| {
                    let mut share = empty();
                    for part in parts {
                        self.take_part(*part, plan, &quiet, trainer, &mut share)?;
                    }
                    Ok(share)
                })
                .collect::<Result<_, SimulateError>>()?;
            for share in shares {
                whole.tally = whole.tally.merge(share.tally);
                add(&mut whole.known, &share.known);
            }
        }
        if !whole.tally.is_exact() {
            return Err(SimulateError::Message {
                round: plan.round.0,
                reason: "the sum wrapped around its ring".to_owned(),
            });
        }
        let delta = decode(&whole.tally.words(), plan, parts.len());
        self.score(plan, &delta.sum, &whole.known);
        self.directions.push((plan.round.0, length));
        Ok(delta)
    }

    /// One participant, through the product's functions.
    fn take_part(
        &self,
        part: Part,
        plan: &RoundPlan,
        quiet: &RoundPlan,
        trainer: &dyn Trainer,
        share: &mut Share,
    ) -> Result<(), SimulateError> {
        let (values, number, noisy) = match part {
            Part::Honest(person) | Part::Colluding(person) => {
                let history = self.dataset.training_set(person);
                let mut rng = self.draws(plan, person);
                let delta = contribute(trainer, plan, &history, &mut rng)?;
                let values = delta.into_values();
                let norm = norm(&values);
                let factor = (plan.encoding.clip() / norm).min(1.0);
                for (known, value) in share.known.iter_mut().zip(&values) {
                    *known += f64::from(*value) * factor;
                }
                (values, person, part == Part::Honest(person))
            }
            Part::Canary(canary) => {
                let number = self.dataset.users() + canary;
                (self.sent(plan, canary), number, true)
            }
        };
        let with_noise = noisy && !self.options.forget_noise;
        let plan = if with_noise { plan } else { quiet };
        let mut rng = self.draws(plan, number);
        let noise = noise_share(plan, &mut rng)?;
        let encoded = encode(Delta::new(values), plan, noise, &mut rng)?;
        share.tally.add(&encoded.update, encoded.clipped);
        Ok(())
    }

    /// The randomness of participant `number` in the round of `plan`.
    fn draws(&self, plan: &RoundPlan, number: usize) -> ChaCha20Rng {
        stream(self.options.seed, plan.round.0, Stream::Client(number))
    }

    /// A canary's contribution: its direction as long as the clip, or zeros.
    fn sent(&self, plan: &RoundPlan, canary: usize) -> Vec<f32> {
        let length = plan.encoding.length();
        if !self.cast.included.get(canary).is_some_and(|coin| *coin) {
            return vec![0.0; length];
        }
        let clip = plan.encoding.clip() as f32;
        let direction = self.cast.direction(plan.round.0, canary, length);
        direction.into_iter().map(|value| value * clip).collect()
    }

    /// The matched filter: what is left of the sum once everything known is taken away, along each canary's direction,
    /// weighted by what else is in it. Added over the sums that is the best test of the whole task (Neyman, Pearson).
    fn score(&mut self, plan: &RoundPlan, sum: &[f64], known: &[f64]) {
        let left: Vec<f64> = sum
            .iter()
            .zip(known)
            .map(|(sum, known)| sum - known)
            .collect();
        let clip = plan.encoding.clip();
        let noise = plan.noise.deviation_of_sum(plan.survivors.honest) / plan.encoding.scale();
        // The adversary does not know the other canaries: half of them are in the sum, spread over all coordinates.
        let others = self.options.canaries as f64 / 2.0 * clip * clip / left.len() as f64;
        let weight = clip / (noise * noise + others);
        let cast = &self.cast;
        self.scores
            .par_iter_mut()
            .enumerate()
            .for_each(|(canary, score)| {
                let direction = cast.direction(plan.round.0, canary, left.len());
                *score += weight * along(&left, &direction);
            });
    }

    fn evidence(&self, scores: impl IntoIterator<Item = f64>) -> Evidence {
        Evidence::new(scores.into_iter().zip(self.cast.included.iter().copied()))
    }

    fn strong(&self) -> Evidence {
        self.evidence(self.scores.iter().copied())
    }

    /// Scores from the final model alone: the cosine of a canary's direction in a sum with what of the model has the layout
    /// of that sum, a whole tensor or neighbouring columns of one.
    fn realistic(&self, parameters: &Parameters) -> Option<Evidence> {
        let mut seen: Vec<(u64, Vec<f64>)> = Vec::new();
        for (_, tensor) in parameters.iter() {
            let mut first = 0;
            for (round, length) in &self.directions {
                if let Some(part) = columns(tensor, *length, &mut first) {
                    seen.push((*round, standard(&part)));
                }
            }
        }
        if seen.is_empty() {
            return None;
        }
        let score = |canary: usize| {
            let cosines = seen.iter().map(|(round, tensor)| {
                along(tensor, &self.cast.direction(*round, canary, tensor.len()))
            });
            cosines.sum::<f64>()
        };
        let canaries = 0..self.options.canaries;
        let scores: Vec<f64> = canaries.into_par_iter().map(score).collect();
        Some(self.evidence(scores))
    }

    fn report(
        &self,
        claimed: &Spent,
        monitor: Monitor,
        parameters: Option<&Parameters>,
    ) -> Result<PrivacyAudit, SimulateError> {
        let realistic = match parameters.and_then(|parameters| self.realistic(parameters)) {
            // What little the model shows is guessed from everyone: nothing better is known beforehand.
            Some(evidence) => Some(evidence.measure(0.0, claimed.delta)?),
            None => None,
        };
        Ok(PrivacyAudit {
            claimed: claimed.epsilon,
            delta: claimed.delta,
            mu: claimed.mu,
            expected: claimed.estimate()?,
            strong: self.strong().measure(claimed.mu, claimed.delta)?,
            realistic,
            canaries: self.options.canaries,
            included: self.cast.included.iter().filter(|coin| **coin).count(),
            people: self.dataset.users(),
            looks: monitor.looks().to_vec(),
            sums: self.task.sums().len(),
            data: self.dataset.name.clone(),
            seed: self.options.seed,
            command: String::new(),
        })
    }
}

/// The part of a tensor that a sum of `length` words could have gone into: all of it, or as many columns as the sum has, from
/// the column `first` on, which then moves on: tables of several sums stand side by side in the order of the sums.
fn columns(tensor: &Tensor, length: usize, first: &mut usize) -> Option<Vec<f32>> {
    if tensor.values.len() == length {
        return Some(tensor.values.clone());
    }
    let [rows, columns] = *tensor.shape.as_slice() else {
        return None;
    };
    let width = length.checked_div(rows)?;
    let (from, end) = (*first, *first + width);
    if width < 2 || width * rows != length || end > columns {
        return None;
    }
    *first = end;
    let rows = tensor.values.chunks_exact(columns);
    let parts = rows.filter_map(|row| row.get(from..end));
    Some(parts.flatten().copied().collect())
}

fn add(sum: &mut [f64], other: &[f64]) {
    for (sum, value) in sum.iter_mut().zip(other) {
        *sum += value;
    }
}

fn norm(values: &[f32]) -> f64 {
    let squares = values.iter().map(|value| f64::from(*value).powi(2));
    squares.sum::<f64>().sqrt()
}

/// The inner product.
fn along(values: &[f64], direction: &[f32]) -> f64 {
    let products = values.iter().zip(direction);
    products.map(|(value, cell)| value * f64::from(*cell)).sum()
}

/// The values less their mean, of norm 1 a coordinate on average.
fn standard(values: &[f32]) -> Vec<f64> {
    let count = values.len() as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let centred: Vec<f64> = values
        .iter()
        .map(|value| f64::from(*value) - mean)
        .collect();
    let square = centred.iter().map(|value| value * value).sum::<f64>() / count;
    let deviation = square.sqrt().max(f64::MIN_POSITIVE);
    centred.into_iter().map(|value| value / deviation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_several_sums_stand_side_by_side() {
        let values: Vec<f32> = (0..12).map(|value| value as f32).collect();
        let tensor = Tensor::new("items", &[2, 6], values.clone()).unwrap();
        let mut first = 0;
        assert_eq!(columns(&tensor, 2, &mut first), None);
        assert_eq!(
            columns(&tensor, 4, &mut first).unwrap(),
            [0.0, 1.0, 6.0, 7.0]
        );
        let next = columns(&tensor, 6, &mut first).unwrap();
        assert_eq!(next, [2.0, 3.0, 4.0, 8.0, 9.0, 10.0]);
        assert_eq!(columns(&tensor, 4, &mut first), None);
        assert_eq!(columns(&tensor, 5, &mut first), None);
        assert_eq!(columns(&tensor, 12, &mut first).unwrap(), values);
    }
}
