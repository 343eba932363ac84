//! What the releases of a task cost together.

pub mod account;
mod buffered;
pub mod gaussian;
pub mod lattice;
pub mod matrix;
mod mechanism;
mod pld;
mod reference;
pub mod renyi;
mod skellam;
pub mod subsampled;
mod summed;

use serde::{Deserialize, Serialize};

use crate::PrivacyError;
pub use account::{Accountant, Answer, Bound, Kind};
pub use mechanism::{Event, Mechanism};
pub use skellam::SummedSkellam;
pub use summed::SummedNoise;

/// Name and version of the accountant, printed in every guarantee. It changes when a figure could change.
pub const ACCOUNTANT: &str = "renyi-discrete-gaussian 1";

/// Step of calibrated sigmas.
const SIGMA_STEP: f64 = 1e-4;
/// The largest sigma tried, in steps: beyond, every planned noise would be wider than the sampler draws.
const SIGMA_LIMIT: u64 = 1 << 50;

/// One sum that a client takes part in, as the accountant sees it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// z_eff: total deviation of the honest noise over the sensitivity D2.
    pub noise_multiplier: f64,
    /// tau d of `privacy.md` 1.3: how far the sum of discrete Gaussians can be from one; below 1e-60 at sigma_loc >= 4.
    pub tau_times_length: f64,
    /// For Skellam noise what its own bound needs; nothing for discrete Gaussian noise.
    #[serde(default)]
    pub skellam: Option<SummedSkellam>,
}

impl Release {
    /// Renyi divergence of order `order` in nats: the smaller of the first and the last bound of `privacy.md` 1.3 (the last with
    /// sqrt(d) <= d). [`SummedNoise::renyi`] has all three.
    fn renyi(&self, order: f64) -> f64 {
        if let Some(skellam) = self.skellam {
            return skellam.renyi(order, self.noise_multiplier);
        }
        let first = order / (2.0 * self.noise_multiplier.powi(2)) + self.tau_times_length;
        first.min(order * self.rho())
    }

    /// rho of zero-concentrated DP: (D2/sigma + sqrt(d) tau)^2 / 2, with sqrt(d) <= d. For Skellam noise the divergence of order 2,
    /// which bounds all below it: no closer rho is proven.
    fn rho(&self) -> f64 {
        if let Some(skellam) = self.skellam {
            return skellam.renyi(2.0, self.noise_multiplier);
        }
        (1.0 / self.noise_multiplier + self.tau_times_length).powi(2) / 2.0
    }

    fn check(&self) -> Result<(), PrivacyError> {
        if !(self.noise_multiplier.is_finite() && self.noise_multiplier > 0.0) {
            return Err(PrivacyError::NoiseMultiplier(self.noise_multiplier));
        }
        if !(self.tau_times_length.is_finite() && self.tau_times_length >= 0.0) {
            return Err(PrivacyError::TauTimesLength(self.tau_times_length));
        }
        if let Some(skellam) = self.skellam {
            skellam.check()?;
        }
        Ok(())
    }
}

/// What a client has spent over all its releases. Zero-out neighbours; no amplification by sampling.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// The upper bound that is a theorem for the discrete mechanism: print this one.
    pub epsilon: f64,
    /// The probability that `epsilon` may fail with.
    pub delta: f64,
    /// rho of zero-concentrated DP (Bun, Steinke 2016), added over the releases.
    pub rho: f64,
    /// mu of Gaussian DP (Dong, Roth, Su 2019): root of the summed squares of 1/z. Exact for continuous noise, an estimate here.
    pub mu: f64,
    /// The Renyi order at which `epsilon` was found.
    pub order: f64,
}

impl Spent {
    /// The epsilon that continuous Gaussian noise of the same size would have exactly (Balle, Wang 2018). For the integer
    /// mechanism it is an *estimate*, about 8 % below the bound: show it beside `epsilon`, never in its place.
    ///
    /// # Errors
    /// As [`gaussian::epsilon`], when the fields were not made by [`spent`].
    pub fn estimate(&self) -> Result<f64, PrivacyError> {
        gaussian::epsilon(self.mu, self.delta)
    }
}

/// Composes releases: adds their Renyi curves and converts the sum at the best of [`renyi::orders`].
///
/// No release at all costs nothing.
///
/// # Errors
/// A delta outside (0, 1); a release whose multiplier is not positive and finite, or whose tau d is negative or infinite.
pub fn spent(releases: &[Release], delta: f64) -> Result<Spent, PrivacyError> {
    releases.iter().try_for_each(Release::check)?;
    let curve = |order: f64| releases.iter().map(|release| release.renyi(order)).sum();
    let (epsilon, order) = renyi::epsilon(curve, &renyi::orders(), delta)?;
    let rho = releases.iter().map(Release::rho).sum();
    let mu = releases
        .iter()
        .map(|release| release.noise_multiplier.powi(-2))
        .sum::<f64>()
        .sqrt();
    Ok(Spent {
        epsilon,
        delta,
        rho,
        mu,
        order,
    })
}

/// The smallest sigma, a multiple of 1e-4, with which all releases together cost at most `epsilon` (by [`spent`]).
///
/// `weights`: clip^2 of each release in one common unit; the same absolute noise sigma goes on every sum, so release i has the
/// multiplier sigma / sqrt(weight_i). The result is in that unit ("clip = 1"). Example: `recommender.md` 4.2 with two sweeps
/// and gram share beta has the weights 1, beta^2, 1 - beta^2, beta^2, 1 - beta^2.
///
/// # Errors
/// An epsilon that is not positive and finite; a delta outside (0, 1); no weights, or one that is not positive and finite; an
/// epsilon that no noise we can represent reaches.
pub fn calibrate(epsilon: f64, delta: f64, weights: &[f64]) -> Result<f64, PrivacyError> {
    if !(epsilon.is_finite() && epsilon > 0.0) {
        return Err(PrivacyError::Epsilon(epsilon));
    }
    if weights.is_empty() {
        return Err(PrivacyError::NoWeights);
    }
    if let Some(weight) = weights
        .iter()
        .find(|weight| !(weight.is_finite() && **weight > 0.0))
    {
        return Err(PrivacyError::Weight(*weight));
    }
    let reaches = |steps: u64| -> Result<bool, PrivacyError> {
        let sigma = steps as f64 * SIGMA_STEP;
        let release = |weight: &f64| Release {
            noise_multiplier: sigma / weight.sqrt(),
            tau_times_length: 0.0,
            skellam: None,
        };
        let releases: Vec<Release> = weights.iter().map(release).collect();
        Ok(spent(&releases, delta)?.epsilon <= epsilon)
    };
    let mut enough = 1;
    while !reaches(enough)? {
        if enough >= SIGMA_LIMIT {
            return Err(PrivacyError::Unreachable(epsilon));
        }
        enough *= 2;
    }
    let mut too_little = enough / 2;
    while enough - too_little > 1 {
        let middle = too_little + (enough - too_little) / 2;
        if reaches(middle)? {
            enough = middle;
        } else {
            too_little = middle;
        }
    }
    Ok(enough as f64 * SIGMA_STEP)
}
