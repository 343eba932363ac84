use serde::{Deserialize, Serialize};

use super::matrix::tree_height;
use super::subsampled::Subsampled;
use crate::PrivacyError;

/// Repetitions of one event at most.
const MOST_STEPS: u64 = 1_000_000_000_000;

/// A mechanism that adds noise to a sum, as the accountant sees it.
///
/// Neighbours: one client more or less (for discrete noise, trees and matrices: its contributions or zeros).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Mechanism {
    /// Continuous Gaussian noise; every client is in every step.
    Gaussian {
        /// z: deviation over L2 sensitivity.
        noise_multiplier: f64,
    },
    /// Continuous Gaussian noise on a Poisson sample that nobody but the curator knows.
    SubsampledGaussian {
        /// q: the probability that a client is in one step.
        sampling_rate: f64,
        /// z.
        noise_multiplier: f64,
    },
    /// Discrete Gaussian noise on an integer vector.
    DiscreteGaussian {
        /// z: sigma over L2 sensitivity, both in grid units.
        noise_multiplier: f64,
        /// Set when only one integer is released, which a client moves by exactly this or not at all.
        shift: Option<u32>,
    },
    /// Symmetric Skellam noise on an integer vector.
    Skellam {
        /// z: root of the total variance over L2 sensitivity.
        noise_multiplier: f64,
        /// D2 in grid units; with a shift, the shift.
        sensitivity: f64,
        /// As for the discrete Gaussian.
        shift: Option<u32>,
    },
    /// Binary tree of partial sums; each client is in one round of it. One step is one whole tree.
    Tree {
        /// z of one node.
        noise_multiplier: f64,
        /// Rounds of one tree.
        rounds: u64,
    },
    /// Noise correlated by a factorisation. One step is one whole run.
    Matrix {
        /// Deviation of the independent noise over the clip.
        noise_multiplier: f64,
        /// Sensitivity of the encoder: [`Toeplitz::sensitivity`](super::matrix::Toeplitz::sensitivity), or 1 when the multiplier
        /// is already relative to it.
        sensitivity: f64,
    },
}

/// A mechanism and how often it runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// What runs.
    pub mechanism: Mechanism,
    /// How often, each run on the same clients or on samples of them.
    pub steps: u64,
}

impl Event {
    /// Whether every number makes sense.
    ///
    /// # Errors
    /// Names the number that does not.
    pub fn check(&self) -> Result<(), PrivacyError> {
        if !(1..=MOST_STEPS).contains(&self.steps) {
            return Err(PrivacyError::Steps(self.steps));
        }
        let multiplier = self.noise_multiplier();
        if !(multiplier.is_finite() && multiplier > 0.0) {
            return Err(PrivacyError::NoiseMultiplier(multiplier));
        }
        match self.mechanism {
            Mechanism::SubsampledGaussian { sampling_rate, .. } => {
                Subsampled::new(sampling_rate, multiplier).map(|_| ())
            }
            Mechanism::Tree { rounds, .. } if !(1..=MOST_STEPS).contains(&rounds) => {
                Err(PrivacyError::Steps(rounds))
            }
            Mechanism::Skellam { sensitivity, .. } | Mechanism::Matrix { sensitivity, .. }
                if !(sensitivity.is_finite() && sensitivity > 0.0) =>
            {
                Err(PrivacyError::Sensitivity(sensitivity))
            }
            Mechanism::DiscreteGaussian { shift: Some(0), .. }
            | Mechanism::Skellam { shift: Some(0), .. } => Err(PrivacyError::Sensitivity(0.0)),
            _ => Ok(()),
        }
    }

    /// z, whatever the mechanism.
    pub fn noise_multiplier(&self) -> f64 {
        match self.mechanism {
            Mechanism::Gaussian { noise_multiplier }
            | Mechanism::SubsampledGaussian {
                noise_multiplier, ..
            }
            | Mechanism::DiscreteGaussian {
                noise_multiplier, ..
            }
            | Mechanism::Skellam {
                noise_multiplier, ..
            }
            | Mechanism::Tree {
                noise_multiplier, ..
            }
            | Mechanism::Matrix {
                noise_multiplier, ..
            } => noise_multiplier,
        }
    }

    /// mu^2 of Gaussian DP of all steps, where the noise is continuous and nobody is sampled: then this says everything.
    pub fn squared_mu(&self) -> Option<f64> {
        let steps = self.steps as f64;
        let each = self.noise_multiplier().powi(-2);
        match self.mechanism {
            Mechanism::Gaussian { .. } => Some(steps * each),
            Mechanism::SubsampledGaussian { sampling_rate, .. } => {
                (sampling_rate == 1.0).then_some(steps * each)
            }
            Mechanism::Tree { rounds, .. } => Some(steps * f64::from(tree_height(rounds)) * each),
            Mechanism::Matrix { sensitivity, .. } => Some(steps * sensitivity.powi(2) * each),
            Mechanism::DiscreteGaussian { .. } | Mechanism::Skellam { .. } => None,
        }
    }

    /// The same for continuous noise of the same size in place of discrete noise: an estimate.
    pub fn estimated_squared_mu(&self) -> Option<f64> {
        match self.mechanism {
            Mechanism::DiscreteGaussian { .. } | Mechanism::Skellam { .. } => {
                Some(self.steps as f64 * self.noise_multiplier().powi(-2))
            }
            _ => self.squared_mu(),
        }
    }
}
