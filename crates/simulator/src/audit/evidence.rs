//! What canaries show: scores of those that were included beside scores of those that were not.

use serde::{Deserialize, Serialize};

use super::statistics;
use crate::SimulateError;

/// Confidence of the figure that is printed.
const CONFIDENCE: f64 = 0.95;
/// Deviations of a normal law that leave out 5 %.
const TWO_SIDED: f64 = 1.959_963_984_540_054;

/// One adversary's scores of all canaries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    scores: Vec<(f64, bool)>,
}

/// What an adversary's scores say about epsilon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The one-shot estimate (Andrew et al. 2023, arXiv 2302.03098). No promise, and no proof.
    pub estimate: f64,
    /// The least that the estimate could be at 95 %: chance in the canaries' scores alone.
    pub estimate_low: f64,
    /// The most that it could be.
    pub estimate_high: f64,
    /// Epsilon is proven to be at least this, at 95 % (Steinke, Nasr, Jagielski 2023, arXiv 2305.08846).
    pub minimum: f64,
    /// Canaries that the adversary guessed about.
    pub guesses: usize,
    /// How many of them it guessed right.
    pub correct: usize,
    /// How many deviations the scores of included canaries lie above the others: mu of Gaussian DP.
    pub mu: f64,
}

impl Evidence {
    /// One score a canary, and whether its direction was in the sums.
    pub fn new(scores: impl IntoIterator<Item = (f64, bool)>) -> Self {
        Self {
            scores: scores.into_iter().collect(),
        }
    }

    /// How many canaries.
    pub fn canaries(&self) -> usize {
        self.scores.len()
    }

    /// How many guesses about the highest and the lowest scores are right: the `guesses / 2` highest are guessed to be
    /// included, as many of the lowest not. The guess depends on what was released alone, as the bound asks.
    pub fn correct(&self, guesses: usize) -> usize {
        let mut sorted = self.scores.clone();
        sorted.sort_by(|left, right| left.0.total_cmp(&right.0));
        let half = (guesses / 2).min(sorted.len() / 2);
        let low = sorted.iter().take(half).filter(|(_, included)| !included);
        let high = sorted
            .iter()
            .rev()
            .take(half)
            .filter(|(_, included)| *included);
        low.count() + high.count()
    }

    /// Mean and number of the scores on one side.
    fn side(&self, included: bool) -> (f64, f64) {
        let scores = self.scores.iter().filter(|(_, side)| *side == included);
        let (sum, count) = scores.fold((0.0, 0.0), |(sum, count), (score, _)| {
            (sum + score, count + 1.0)
        });
        (sum / f64::max(count, 1.0), count)
    }

    /// Estimate and proven minimum at `delta`. `planned`: the mu that the adversary expects when it decides how many
    /// guesses to make, before it looks.
    ///
    /// Both sides share one deviation, estimated from both: a canary's contribution moves its score and widens nothing.
    ///
    /// # Errors
    /// A delta outside (0, 1).
    pub fn measure(&self, planned: f64, delta: f64) -> Result<Measured, SimulateError> {
        let (null, absent) = self.side(false);
        let (mean, present) = self.side(true);
        let squares = self.scores.iter().map(|(score, included)| {
            let centre = if *included { mean } else { null };
            (score - centre).powi(2)
        });
        let freedom = (absent + present - 2.0).max(1.0);
        let deviation = (squares.sum::<f64>() / freedom)
            .sqrt()
            .max(f64::MIN_POSITIVE);
        let mu = ((mean - null) / deviation).max(0.0);
        let error =
            (1.0 / absent.max(1.0) + 1.0 / present.max(1.0) + mu * mu / (2.0 * freedom)).sqrt();
        let epsilon = |mu: f64| statistics::one_shot((0.0, 1.0), (mu.max(0.0), 1.0), delta);
        let guesses = planned_guesses(self.canaries(), planned, 1.0 - CONFIDENCE, delta)?;
        let correct = self.correct(guesses);
        let minimum = self.minimum(guesses, 1.0 - CONFIDENCE, delta)?;
        Ok(Measured {
            estimate: epsilon(mu),
            estimate_low: epsilon(mu - TWO_SIDED * error),
            estimate_high: epsilon(mu + TWO_SIDED * error),
            minimum,
            guesses,
            correct,
            mu,
        })
    }

    /// The epsilon that so many guesses prove, wrong with probability `significance` at most.
    ///
    /// # Errors
    /// As the bound of chorus-privacy.
    pub fn minimum(
        &self,
        guesses: usize,
        significance: f64,
        delta: f64,
    ) -> Result<f64, SimulateError> {
        let correct = self.correct(guesses);
        Ok(statistics::one_run(
            self.canaries(),
            guesses,
            correct,
            significance,
            delta,
        ))
    }
}

/// The largest epsilon that `canaries` canaries could prove, all guessed right.
///
/// # Errors
/// As the bound of chorus-privacy.
pub fn most_provable(canaries: usize, significance: f64, delta: f64) -> Result<f64, SimulateError> {
    let mut most = 0.0f64;
    for guesses in sizes(canaries) {
        most = most.max(statistics::one_run(
            canaries,
            guesses,
            guesses,
            significance,
            delta,
        ));
    }
    Ok(most)
}

/// How many guesses prove most when scores of included canaries lie `mu` deviations above the others: decided before
/// anything is looked at, so that the choice costs no confidence.
///
/// # Errors
/// As the bound of chorus-privacy.
pub fn planned_guesses(
    canaries: usize,
    mu: f64,
    significance: f64,
    delta: f64,
) -> Result<usize, SimulateError> {
    let mut best = (0.0, canaries / 2 * 2);
    for guesses in sizes(canaries) {
        let expected = (accuracy(guesses as f64 / canaries as f64, mu) * guesses as f64).floor();
        let proven = statistics::one_run(canaries, guesses, expected as usize, significance, delta);
        if proven > best.0 {
            best = (proven, guesses);
        }
    }
    Ok(best.1)
}

/// Even numbers of guesses to choose from, twelve to the factor of ten.
fn sizes(canaries: usize) -> impl Iterator<Item = usize> {
    let shares = (0..24).map(|step| 10f64.powf(-f64::from(step) / 12.0));
    shares
        .map(move |share| (share * canaries as f64 / 2.0).floor() as usize * 2)
        .filter(|guesses| *guesses >= 2)
}

/// Share of right guesses among the highest scores when `share` of all are guessed, half of them as included: one of two
/// scores is N(mu, 1), the other N(0, 1).
fn accuracy(share: f64, mu: f64) -> f64 {
    let above = |threshold: f64| {
        let included = statistics::distribution(mu - threshold);
        (included, statistics::distribution(-threshold))
    };
    let (mut low, mut high) = (-10.0, mu + 10.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        let (included, others) = above(middle);
        match included + others > share {
            true => low = middle,
            false => high = middle,
        }
    }
    let (included, others) = above(high);
    included / (included + others).max(f64::MIN_POSITIVE)
}
