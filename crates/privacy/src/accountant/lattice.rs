//! Laws on the integers, listed value by value: discrete Gaussian, Skellam, and their sums.
//!
//! For one integer that a client changes by `shift`, everything can be summed: Renyi divergences, the exact delta of one
//! release, and the loss of each value. A vector with more than one changed coordinate is not covered by this: see
//! [`SummedNoise`](crate::SummedNoise) and [`skellam_renyi`].

use crate::PrivacyError;
use crate::accountant::subsampled::LogSum;

/// Values of a law at most.
const MANY: f64 = 4e6;

/// A symmetric law on the integers from -reach to reach.
#[derive(Clone, Debug)]
pub struct Law {
    /// ln of the probabilities of -reach..=reach.
    ln_mass: Vec<f64>,
    reach: usize,
    /// What the values beyond reach weigh at most.
    beyond: f64,
}

impl Law {
    /// The discrete Gaussian with parameter sigma^2 = `variance` (Canonne, Kamath, Steinke 2020): probability of k in proportion
    /// to exp(-k^2 / (2 variance)). `ln_beyond`: ln of the weight that may be cut off on the outside. `shift`: the
    /// largest that will be asked for, so that the law without the client is listed wherever the law with it counts.
    ///
    /// # Errors
    /// A variance that is not positive and finite, or with too many values to list.
    pub fn discrete_gaussian(
        variance: f64,
        shift: u32,
        ln_beyond: f64,
    ) -> Result<Self, PrivacyError> {
        check_variance(variance)?;
        // A tail of the discrete Gaussian is no heavier than 2 exp(-(k-1)^2 / (2 variance)) times a constant below e^2.
        let reach = ((4.0 - ln_beyond) * 2.0 * variance).sqrt().ceil() + 2.0 + f64::from(shift);
        let weight = |k: f64| -k * k / (2.0 * variance);
        Self::listed(reach, variance, ln_beyond, |reach| {
            (0..=reach).map(|k| weight(k as f64)).collect()
        })
    }

    /// The symmetric Skellam law of `variance`: the difference of two Poisson draws of mean `variance` / 2, probability of k
    /// e^-variance I_k(variance). The ratios I_k / I_(k-1) come from the backward recurrence, which is stable.
    ///
    /// # Errors
    /// As [`discrete_gaussian`](Self::discrete_gaussian).
    pub fn skellam(variance: f64, shift: u32, ln_beyond: f64) -> Result<Self, PrivacyError> {
        check_variance(variance)?;
        // Chernoff: ln P\[X >= k\] <= sqrt(v^2 + k^2) - v - k asinh(k/v).
        let ln_tail = |k: f64| {
            k * k / ((variance * variance + k * k).sqrt() + variance) - k * (k / variance).asinh()
        };
        let mut reach = variance.sqrt().max(1.0);
        while ln_tail(reach) > ln_beyond - 1.0 {
            reach *= 1.1;
        }
        Self::listed(
            reach.ceil() + f64::from(shift),
            variance,
            ln_beyond,
            |reach| {
                let ratio = |above: f64, k: usize| 1.0 / (2.0 * k as f64 / variance + above);
                let start = reach + 60;
                let asymptote = start as f64 + (variance.powi(2) + (start as f64).powi(2)).sqrt();
                let mut above = variance / asymptote;
                let mut ln_ratios = Vec::with_capacity(reach);
                for k in (1..start).rev() {
                    above = ratio(above, k);
                    if k <= reach {
                        ln_ratios.push(above.ln());
                    }
                }
                let mut sum = 0.0;
                let rest = ln_ratios.iter().rev().map(|ln_ratio| {
                    sum += ln_ratio;
                    sum
                });
                std::iter::once(0.0).chain(rest).collect()
            },
        )
    }

    /// From the logarithms of unscaled weights of 0..=reach.
    fn listed(
        reach: f64,
        variance: f64,
        ln_beyond: f64,
        weights: impl Fn(usize) -> Vec<f64>,
    ) -> Result<Self, PrivacyError> {
        if reach > MANY {
            return Err(PrivacyError::NoiseTooWideToList(variance.sqrt()));
        }
        let half = weights(reach as usize);
        let reach = half.len().saturating_sub(1);
        let (centre, side) = half.split_at(1);
        let ln_mass: Vec<f64> = side
            .iter()
            .rev()
            .chain(centre)
            .chain(side)
            .copied()
            .collect();
        let scale = sum(&ln_mass);
        Ok(Self {
            ln_mass: ln_mass.into_iter().map(|ln| ln - scale).collect(),
            reach,
            beyond: ln_beyond.exp(),
        })
    }

    /// The law of the sum of `shares` independent draws. Products of probabilities only: small ones keep their digits.
    pub fn sum_of(&self, shares: usize) -> Self {
        let mut total: Option<Vec<f64>> = None;
        let mut power: Vec<f64> = self.ln_mass.iter().map(|ln| ln.exp()).collect();
        let mut left = shares.max(1);
        loop {
            if left % 2 == 1 {
                total = Some(match total {
                    Some(so_far) => convolve(&so_far, &power),
                    None => power.clone(),
                });
            }
            left /= 2;
            if left == 0 {
                break;
            }
            power = convolve(&power, &power);
        }
        let ln_mass: Vec<f64> = total
            .unwrap_or(power)
            .iter()
            .map(|mass| mass.ln())
            .collect();
        Self {
            reach: ln_mass.len() / 2,
            ln_mass,
            beyond: self.beyond * shares as f64,
        }
    }

    /// Variance of the listed part.
    pub fn variance(&self) -> f64 {
        let square = |(at, ln): (usize, &f64)| (at as f64 - self.reach as f64).powi(2) * ln.exp();
        self.ln_mass.iter().enumerate().map(square).sum()
    }

    /// ln of the probability of `value`; minus infinity beyond the list.
    pub fn ln_probability(&self, value: i64) -> f64 {
        let at = usize::try_from(value + self.reach as i64).ok();
        at.and_then(|at| self.ln_mass.get(at))
            .copied()
            .unwrap_or(f64::NEG_INFINITY)
    }

    /// Every value with the client present that both laws list: its loss, ln of P over Q, and ln of its probability under P;
    /// losses ascend. P is this law moved by `shift`, Q is the law itself.
    pub fn losses(&self, shift: u32) -> impl Iterator<Item = (f64, f64)> + '_ {
        let moved = self.ln_mass.iter();
        let still = self.ln_mass.iter().skip(shift as usize);
        moved
            .zip(still)
            .filter(|(with, without)| with.is_finite() && without.is_finite())
            .map(|(with, without)| (with - without, *with))
    }

    /// What [`losses`](Self::losses) leaves out, at most: the tails, and values only P can list.
    pub fn unlisted(&self, shift: u32) -> f64 {
        let cut = self.ln_mass.iter().rev().take(shift as usize);
        self.beyond + cut.map(|ln| ln.exp()).sum::<f64>()
    }

    /// Renyi divergence of `order` > 1 in nats between the law moved by `shift` and the law.
    pub fn renyi(&self, shift: u32, order: f64) -> f64 {
        let mut total = LogSum::default();
        self.losses(shift)
            .for_each(|(loss, ln_mass)| total.add((order - 1.0) * loss + ln_mass));
        total.ln() / (order - 1.0)
    }

    /// delta at which one release is (`epsilon`, delta)-differentially private, exactly up to the tails cut off, which are added.
    pub fn delta(&self, shift: u32, epsilon: f64) -> f64 {
        let losing = self.losses(shift).filter(|(loss, _)| *loss > epsilon);
        let sum: f64 = losing
            .map(|(loss, ln_mass)| ln_mass.exp() * -(epsilon - loss).exp_m1())
            .sum();
        (sum + self.unlisted(shift)).min(1.0)
    }
}

fn check_variance(variance: f64) -> Result<(), PrivacyError> {
    if variance.is_finite() && variance > 0.0 {
        return Ok(());
    }
    Err(PrivacyError::Deviation(variance.sqrt()))
}

fn sum(ln_mass: &[f64]) -> f64 {
    let mut total = LogSum::default();
    ln_mass.iter().for_each(|ln| total.add(*ln));
    total.ln()
}

fn convolve(left: &[f64], right: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; left.len() + right.len() - 1];
    for (at, factor) in left.iter().enumerate() {
        for (slot, value) in out.iter_mut().skip(at).zip(right) {
            *slot += factor * value;
        }
    }
    out
}

/// Renyi divergence of a whole `order` >= 2 for Skellam noise of total `variance` on an integer vector; infinite for other orders,
/// for which nothing is proven.
///
/// Agarwal, Kairouz, Liu 2021 (arXiv 2110.04995), Theorem 3.5 in the form of `privacy.md` 1.3. `squared`: D2^2, `absolute`: D1, in
/// grid units; D1 <= D2^2 for integers.
pub fn skellam_renyi(order: f64, variance: f64, squared: f64, absolute: f64) -> f64 {
    if order < 2.0 || order.fract() != 0.0 {
        return f64::INFINITY;
    }
    let fine = ((2.0 * order - 1.0) * squared + 6.0 * absolute) / (4.0 * variance * variance);
    order * squared / (2.0 * variance) + fine.min(3.0 * absolute / (2.0 * variance))
}
