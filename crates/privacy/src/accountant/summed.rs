use std::f64::consts::PI;

use super::Release;
use crate::Encoding;

/// The sum of equal discrete Gaussian shares, with what one client can change in it (`privacy.md` 1.3).
///
/// Kairouz, Liu, Steinke 2021 (arXiv 2102.06387), Theorem 1: a sum of discrete Gaussians is not itself a discrete Gaussian; tau
/// bounds the difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SummedNoise {
    sensitivity: f64,
    sensitivity_l1: f64,
    deviation: f64,
    tau: f64,
    length: f64,
}

impl SummedNoise {
    /// `variance`: sigma_loc^2 of one share, grid units squared. `shares`: how many are certain to be in the sum.
    pub fn new(encoding: &Encoding, variance: f64, shares: usize) -> Self {
        let (sensitivity, sensitivity_l1) = (encoding.sensitivity(), encoding.sensitivity_l1());
        Self::with_sensitivity(
            sensitivity,
            sensitivity_l1,
            variance,
            shares,
            encoding.length(),
        )
    }

    /// The same from the sensitivities themselves: D2 and D1 in grid units, and the number of coordinates.
    pub fn with_sensitivity(
        sensitivity: f64,
        sensitivity_l1: f64,
        variance: f64,
        shares: usize,
        length: usize,
    ) -> Self {
        Self {
            sensitivity,
            sensitivity_l1,
            deviation: (variance * shares as f64).sqrt(),
            tau: Self::tau_of(variance, shares),
            length: length as f64,
        }
    }

    /// 10 sum_{k=1}^{n-1} exp(-2 pi^2 sigma_loc^2 k/(k+1)).
    pub fn tau_of(variance: f64, shares: usize) -> f64 {
        let term = |k: usize| (-2.0 * PI.powi(2) * variance * (k as f64 / (k as f64 + 1.0))).exp();
        10.0 * (1..shares).map(term).sum::<f64>()
    }

    /// tau of this sum, nats per coordinate.
    pub fn tau(&self) -> f64 {
        self.tau
    }

    /// Renyi divergence of order `order` > 1 in nats between a sum with a client and with zeros in its place: the smallest of
    /// the three bounds.
    pub fn renyi(&self, order: f64) -> f64 {
        let ratio = self.sensitivity / self.deviation;
        let (tau, length) = (self.tau, self.length);
        let added = order * ratio.powi(2) / 2.0 + tau * length;
        let mixed =
            ratio.powi(2) + 2.0 * self.sensitivity_l1 * tau / self.deviation + tau.powi(2) * length;
        let rooted = (ratio + length.sqrt() * tau).powi(2);
        added.min(order / 2.0 * mixed).min(order / 2.0 * rooted)
    }

    /// z_eff and tau d, which is what the ledger keeps.
    pub fn release(&self) -> Release {
        Release {
            noise_multiplier: self.deviation / self.sensitivity,
            tau_times_length: self.tau * self.length,
            skellam: None,
        }
    }
}
