use super::MAX_VARIANCE;
use super::bars::{Bars, Height, LOWEST, ONE, Profile, scale_for};
use super::coins::{Coins, exponential};
use super::natural::Natural;
use crate::PrivacyError;

/// A bar is at most an eighth of a deviation wide: then 19 of 20 proposals are accepted.
const PARTS: u64 = 8;

/// The discrete Gaussian law of an integer variance, ready to be drawn from.
///
/// |k| = j w + y with 0 <= y < w, w a power of two. The probability is proportional to exp(-j^2 w^2 / (2 v)), the height of bar j,
/// times exp(-y (y + 2 j w) / (2 v)), with which a y drawn uniformly is accepted: Ducas, Durmus, Lepoint, Lyubashevsky 2013
/// (*Lattice signatures and bimodal Gaussians*), Algorithm 12, with a table of exact bars in the place of its base sampler.
pub(super) struct DiscreteGaussian {
    variance: u64,
    /// log2 of w.
    width: u32,
    bars: Bars,
}

/// exp(-bar^2 square / (2 variance)).
struct Heights {
    square: u64,
    twice_variance: u64,
}

impl Heights {
    /// Bounds of exp(bar^2 square / (2 variance)) x 2^bits: the partial sums of the series, each division rounded down for the one
    /// and up for the other. Once a term is less than half of the one before, the rest is at most as large as the last term.
    fn reciprocal(&self, bar: u64, bits: usize) -> (Natural, Natural) {
        let one = Natural::new(1);
        let mut lower = one.clone().shifted(bits);
        let mut upper = lower.clone();
        let (mut low, mut high) = (lower.clone(), lower.clone());
        let exponent = u128::from(bar) * u128::from(bar) * u128::from(self.square)
            / u128::from(self.twice_variance);
        let mut index = 0u64;
        loop {
            index += 1;
            let step = |term: Natural| term.times(bar).times(bar).times(self.square);
            lower = step(lower).over(self.twice_variance).over(index);
            upper = step(upper).over(self.twice_variance).plus(&one);
            upper = upper.over(index).plus(&one);
            low = low.plus(&lower);
            high = high.plus(&upper);
            if lower.is_zero() && u128::from(index) > 2 * exponent + 2 {
                return (low, high.plus(&upper));
            }
        }
    }

    /// Bounds of exp(-factor square / (2 variance)), at most 1, in units of 1 / ONE; the exponent is at most 1.
    fn falling(&self, factor: u64) -> (u128, u128) {
        let heights = Self {
            square: self.square * factor,
            ..*self
        };
        let (low, high) = heights.reciprocal(1, 64);
        // 2^128 / x between floor((2^128 - 1) / x) and one more.
        (
            u128::MAX / high.to_u128(),
            (u128::MAX / low.to_u128() + 1).min(ONE),
        )
    }

    /// Bounds of all heights down to the tail: h_{j+1} = h_j r_j and r_{j+1} = r_j exp(-2 alpha), alpha = square / (2 variance).
    fn tops(&self) -> Vec<(u128, u128)> {
        let (mut low, mut high) = (ONE, ONE);
        let (mut slower, mut faster) = self.falling(1);
        let (least, most) = self.falling(2);
        let mut tops = Vec::new();
        while high >= LOWEST {
            tops.push((low, high));
            // All factors are at most 2^64, and 2^64 only where nothing is multiplied with 2^64 yet.
            low = product(low, slower);
            high = product(high, faster) + 1;
            slower = product(slower, least);
            faster = product(faster, most) + 1;
        }
        tops
    }
}

/// floor(x y / 2^64) for x and y of at most 2^64.
fn product(x: u128, y: u128) -> u128 {
    match (x.checked_mul(y), x.max(y)) {
        (Some(product), _) => product >> 64,
        (None, _) => x.min(y),
    }
}

impl Profile for Heights {
    fn height(&self, bar: u64, bits: usize) -> Height {
        let (low, high) = self.reciprocal(bar, bits);
        Height {
            top: Natural::new(1).shifted(bits),
            low,
            high,
        }
    }
}

impl DiscreteGaussian {
    pub(super) fn new(variance: u64) -> Result<Self, PrivacyError> {
        if variance > MAX_VARIANCE {
            return Err(PrivacyError::NoiseTooWide(variance as f64));
        }
        let width = (variance.isqrt() / PARTS).max(1).ilog2();
        let heights = Self::heights_of(variance.max(1), width);
        let tops = heights.tops();
        Ok(Self {
            variance,
            width,
            bars: Bars::new(&tops, scale_for(&[&tops])),
        })
    }

    fn heights_of(variance: u64, width: u32) -> Heights {
        Heights {
            // The width is below 2^21, the variance at most 2^46.
            square: 1 << (2 * width),
            twice_variance: 2 * variance,
        }
    }

    fn heights(&self) -> Heights {
        Self::heights_of(self.variance, self.width)
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

    #[inline]
    pub(super) fn attempt<C: Coins>(&self, coins: &mut C) -> Result<Option<i64>, C::Stop> {
        let Some(bar) = coins.bar(&self.bars, &self.heights())? else {
            return Ok(None);
        };
        let (negative, inside) = coins.side(self.width)?;
        // At most 2^15 bars of width below 2^21.
        let (start, inside) = (bar << self.width, u64::from(inside));
        let magnitude = start + inside;
        if negative && magnitude == 0 {
            return Ok(None);
        }
        if inside > 0 && !exponential(coins, inside * (inside + 2 * start), 2 * self.variance)? {
            return Ok(None);
        }
        // Below 2^36: the cast keeps the value.
        let value = magnitude as i64;
        Ok(Some(if negative { -value } else { value }))
    }
}
