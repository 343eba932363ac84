//! What canaries show: scores of those that were included beside scores of those that were not.

use chorus_privacy::PrivacyError;
use chorus_privacy::audit::{Ceiling, OneRun, OneShot};
use serde::{Deserialize, Serialize};

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
    /// The most that the minimum could have been, every guess right.
    pub provable: f64,
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
        let epsilon = |mu: f64| {
            let laws = OneShot {
                shift: mu.max(0.0),
                absent: 1.0,
                present: 1.0,
            };
            laws.epsilon(delta)
        };
        let guesses = planned_guesses(self.canaries(), planned, 1.0 - CONFIDENCE, delta)?;
        let correct = self.correct(guesses);
        let minimum = self.minimum(guesses, 1.0 - CONFIDENCE, delta)?;
        let provable = provable(self.canaries(), guesses, 1.0 - CONFIDENCE, delta)?;
        Ok(Measured {
            estimate: epsilon(mu)?,
            estimate_low: epsilon(mu - TWO_SIDED * error)?,
            estimate_high: epsilon(mu + TWO_SIDED * error)?,
            minimum,
            provable,
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
        Ok(one_run(
            self.canaries(),
            guesses,
            correct,
            significance,
            delta,
        )?)
    }
}

/// The bound of Steinke, Nasr, Jagielski 2023.
fn one_run(
    canaries: usize,
    guesses: usize,
    correct: usize,
    significance: f64,
    delta: f64,
) -> Result<f64, PrivacyError> {
    let run = OneRun {
        canaries: canaries as u64,
        guessed: guesses as u64,
        correct: correct as u64,
    };
    run.epsilon(significance, delta)
}

/// The epsilon that `guesses` guesses about `canaries` canaries prove when all are right, wrong with probability `significance`.
///
/// # Errors
/// As the bound of chorus-privacy.
pub fn provable(
    canaries: usize,
    guesses: usize,
    significance: f64,
    delta: f64,
) -> Result<f64, SimulateError> {
    Ok(one_run(canaries, guesses, guesses, significance, delta)?)
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
        let proven = one_run(canaries, guesses, expected as usize, significance, delta)?;
        if proven > best.0 {
            best = (proven, guesses);
        }
    }
    Ok(best.1)
}

/// Even numbers of guesses to choose from, five to the factor of ten.
fn sizes(canaries: usize) -> impl Iterator<Item = usize> {
    let shares = (0..10).map(|step| 10f64.powf(-f64::from(step) / 5.0));
    shares
        .map(move |share| (share * canaries as f64 / 2.0).floor() as usize * 2)
        .filter(|guesses| *guesses >= 2)
}

/// Share of right guesses among the highest scores when `share` of all are guessed, half of them as included: one of two
/// scores is N(mu, 1), the other N(0, 1).
fn accuracy(share: f64, mu: f64) -> f64 {
    let law = Ceiling { mu };
    // The share of the others that passes a threshold says where the threshold is.
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let others = (low + high) / 2.0;
        match law.true_positive_rate(others) + others > share {
            true => high = others,
            false => low = others,
        }
    }
    let included = law.true_positive_rate(high);
    included / (included + high).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_planned_before_anything_is_seen() {
        // No difference: every second guess is right, however few.
        assert!((accuracy(0.1, 0.0) - 0.5).abs() < 1e-9);
        // All guessed: right where the score lies on its side of mu / 2, Phi(1).
        assert!((accuracy(1.0, 2.0) - 0.841_344_746).abs() < 1e-6);
        assert!(accuracy(0.01, 2.0) > 0.98);
        let strong = planned_guesses(1_000, 3.0, 0.05, 1e-5).unwrap();
        let weak = planned_guesses(1_000, 0.3, 0.05, 1e-5).unwrap();
        assert!(
            strong < 800 && strong > 50 && weak <= 1_000,
            "{strong} {weak}"
        );
        // The golden table: 100 of 100 prove 3.49.
        assert!((provable(100, 100, 0.05, 1e-5).unwrap() - 3.490).abs() < 1e-3);
    }

    #[test]
    fn scores_far_apart_are_measured_as_such() {
        let scores = (0..200).map(|canary| {
            let included = canary % 2 == 0;
            let wave = f64::from(canary / 2) / 99.0 - 0.5;
            (
                wave * 12f64.sqrt() + if included { 2.0 } else { 0.0 },
                included,
            )
        });
        let evidence = Evidence::new(scores);
        let found = evidence.measure(2.0, 1e-5).unwrap();
        assert!((found.mu - 2.0).abs() < 0.05, "{found:?}");
        assert!((found.estimate - 9.997).abs() < 0.3);
        assert!(found.estimate_low < found.estimate && found.estimate < found.estimate_high);
        assert!(
            found.correct <= found.guesses && found.minimum > 0.5,
            "{found:?}"
        );
        let turned =
            Evidence::new((0..200).map(|canary| (0.0 - f64::from(canary % 2), canary % 2 == 1)));
        let nothing = turned.measure(2.0, 1e-5).unwrap();
        assert_eq!((nothing.mu, nothing.minimum), (0.0, 0.0));
    }
}
