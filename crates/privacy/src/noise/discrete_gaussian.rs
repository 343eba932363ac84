use super::MAX_VARIANCE;
use super::coins::Coins;
use crate::PrivacyError;

/// Multiples of the scale parameter beyond which a proposal is drawn again: probability below e^-4096. The bound keeps
/// every product below in u128.
const FARTHEST: u64 = 1 << 12;

/// The discrete Gaussian law of an integer variance, ready to be drawn from.
pub(super) struct DiscreteGaussian {
    variance: u64,
    /// Scale parameter t = floor(sigma) + 1 of the discrete Laplace proposals; at most 2^23 + 1.
    step: u32,
    /// 2 variance t^2; below 2^94.
    denominator: u128,
}

impl DiscreteGaussian {
    pub(super) fn new(variance: u64) -> Result<Self, PrivacyError> {
        if variance > MAX_VARIANCE {
            return Err(PrivacyError::NoiseTooWide(variance as f64));
        }
        // isqrt(2^46) = 2^23, so the cast keeps the value.
        let step = variance.isqrt() as u32 + 1;
        let denominator = 2 * u128::from(variance) * u128::from(step).pow(2);
        Ok(Self {
            variance,
            step,
            denominator,
        })
    }

    #[inline]
    pub(super) fn draw<C: Coins>(&self, coins: &mut C) -> Result<i64, C::Stop> {
        if self.variance == 0 {
            return Ok(0);
        }
        loop {
            if let Some(value) = self.attempt(coins)? {
                return Ok(value);
            }
        }
    }

    /// One attempt: a proposal from the discrete Laplace law of scale t (Algorithm 2), accepted with probability
    /// exp(-(|y| - variance/t)^2 / (2 variance)) (Algorithm 3). Every rejection, also the inner ones of Algorithm 2,
    /// starts over: the law of an accepted value is the same.
    #[inline]
    pub(super) fn attempt<C: Coins>(&self, coins: &mut C) -> Result<Option<i64>, C::Stop> {
        let rest = coins.below(self.step)?;
        if !exponential_of_ratio(coins, u64::from(rest), u64::from(self.step))? {
            return Ok(None);
        }
        let mut steps = 0;
        while exponential_of_one(coins)? {
            steps += 1;
            if steps == FARTHEST {
                return Ok(None);
            }
        }
        let magnitude = u64::from(rest) + u64::from(self.step) * steps;
        let negative = coins.fair()?;
        if negative && magnitude == 0 {
            return Ok(None);
        }
        // (|y| - v/t)^2 / (2 v) = (|y| t - v)^2 / (2 v t^2); |y| t < 2^59, so the square is below 2^118.
        let distance =
            (u128::from(magnitude) * u128::from(self.step)).abs_diff(u128::from(self.variance));
        let mut numerator = distance * distance;
        while numerator >= self.denominator {
            if !exponential_of_one(coins)? {
                return Ok(None);
            }
            numerator -= self.denominator;
        }
        if !exponential_of_wide_ratio(coins, numerator, self.denominator)? {
            return Ok(None);
        }
        // magnitude < 2^36: the cast keeps the value.
        let value = magnitude as i64;
        Ok(Some(if negative { -value } else { value }))
    }
}

/// True with probability exp(-numerator / denominator), for a ratio in [0, 1] (Algorithm 1): K is the first k at which
/// a coin of probability gamma / k fails, and K is odd with probability exp(-gamma). A coin of gamma / k is tossed as one of 1 / k
/// and one of gamma, so that the denominator does not grow.
#[inline]
fn exponential_of_ratio<C: Coins>(
    coins: &mut C,
    numerator: u64,
    denominator: u64,
) -> Result<bool, C::Stop> {
    let mut k = 1;
    while (k == 1 || coins.ratio(1, k)?) && coins.ratio(numerator, denominator)? {
        k += 1;
    }
    Ok(k % 2 == 1)
}

/// The same for wide numbers.
#[inline]
fn exponential_of_wide_ratio<C: Coins>(
    coins: &mut C,
    numerator: u128,
    denominator: u128,
) -> Result<bool, C::Stop> {
    let mut k = 1;
    while (k == 1 || coins.ratio(1, k)?) && coins.wide_ratio(numerator, denominator)? {
        k += 1;
    }
    Ok(k % 2 == 1)
}

/// True with probability 1/e: Algorithm 1 at gamma = 1, whose first coin always succeeds.
#[inline]
fn exponential_of_one<C: Coins>(coins: &mut C) -> Result<bool, C::Stop> {
    let mut k = 2;
    while coins.ratio(1, k)? {
        k += 1;
    }
    Ok(k % 2 == 1)
}
