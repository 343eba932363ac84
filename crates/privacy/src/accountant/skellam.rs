use serde::{Deserialize, Serialize};

use super::Release;
use crate::{Encoding, PrivacyError};

/// The sum of Skellam shares, which is Skellam again, with what one client can change in it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SummedSkellam {
    /// Variance of the honest noise in each coordinate of the sum, grid units squared.
    pub variance: f64,
    /// D1: what one client can change at most, as an L1 norm in grid units.
    pub sensitivity_l1: f64,
}

impl SummedSkellam {
    /// Renyi divergence of order `order` > 1 in nats. `multiplier`: root of the variance over D2.
    ///
    /// Agarwal, Kairouz, Liu 2021 (arXiv 2110.04995), Theorem 3.5 in the form of `privacy.md` 1.3. It is proven for whole orders from 2
    /// on; a divergence never falls with its order, so between them the next whole order bounds it.
    pub fn renyi(&self, order: f64, multiplier: f64) -> f64 {
        let order = order.ceil().max(2.0);
        let variance = self.variance;
        let squared = variance / multiplier.powi(2);
        let fine =
            ((2.0 * order - 1.0) * squared + 6.0 * self.sensitivity_l1) / (4.0 * variance.powi(2));
        let plain = 3.0 * self.sensitivity_l1 / (2.0 * variance);
        order * squared / (2.0 * variance) + fine.min(plain)
    }

    pub(super) fn check(&self) -> Result<(), PrivacyError> {
        let is_positive = |value: f64| value.is_finite() && value > 0.0;
        match is_positive(self.variance) && is_positive(self.sensitivity_l1) {
            true => Ok(()),
            false => Err(PrivacyError::SkellamNumbers {
                variance: self.variance,
                sensitivity_l1: self.sensitivity_l1,
            }),
        }
    }
}

impl Release {
    /// One sum with Skellam noise of `variance` in each coordinate, honest shares only, in grid units squared.
    pub fn skellam(encoding: &Encoding, variance: f64) -> Self {
        Self {
            noise_multiplier: variance.sqrt() / encoding.sensitivity(),
            tau_times_length: 0.0,
            skellam: Some(SummedSkellam {
                variance,
                sensitivity_l1: encoding.sensitivity_l1(),
            }),
        }
    }
}
