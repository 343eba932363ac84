use super::bars::{Bars, Height, LOWEST, ONE, Profile, scale_for};
use super::coins::Coins;
use super::natural::Natural;
use super::{MAX_SKELLAM_VARIANCE, PrivacyError};

/// A bar is at most an eighth of a deviation wide, as for the discrete Gaussian.
const PARTS: u64 = 8;

/// The symmetric Skellam law of an even variance: the difference of two Poisson draws of mean variance / 2 (Agarwal, Kairouz,
/// Liu 2021, arXiv 2110.04995).
pub(super) struct Skellam {
    poisson: Option<Poisson>,
}

impl Skellam {
    pub(super) fn new(variance: u64) -> Result<Self, PrivacyError> {
        if variance > MAX_SKELLAM_VARIANCE {
            return Err(PrivacyError::SkellamTooWide(variance as f64));
        }
        if !variance.is_multiple_of(2) {
            return Err(PrivacyError::OddVariance(variance));
        }
        // At most 2^31.
        let mean = (variance / 2) as u32;
        Ok(Self {
            poisson: (mean > 0).then(|| Poisson::new(mean)),
        })
    }

    #[inline]
    pub(super) fn draw<C: Coins>(&self, coins: &mut C) -> Result<i64, C::Stop> {
        match &self.poisson {
            Some(poisson) => Ok(poisson.draw(coins)? - poisson.draw(coins)?),
            None => Ok(0),
        }
    }
}

/// The Poisson law of a whole mean m, as the distance from m.
///
/// To the right of m, at m + x, the probability is that of m times the product of m / (m + i), to the left, at
/// m - 1 - x, times the product of (m - i) / m, i from 1 to x. With x = j w + y the product up to j w is the height of
/// bar j of a table, exact because it is rational; the rest is the probability of accepting a y drawn uniformly.
pub(super) struct Poisson {
    mean: u32,
    /// log2 of w.
    width: u32,
    right: Bars,
    left: Bars,
}

/// The heights of one side.
struct Side {
    mean: u32,
    width: u32,
    is_left: bool,
}

impl Side {
    /// Numerator and denominator of factor i of the product.
    fn factor(&self, i: u64) -> (u64, u64) {
        let mean = u64::from(self.mean);
        match self.is_left {
            true => (mean.saturating_sub(i), mean),
            false => (mean, mean + i),
        }
    }

    /// Bounds of the heights down to the tail, one factor after the other.
    fn tops(&self) -> Vec<(u128, u128)> {
        let (mut low, mut high) = (ONE, ONE);
        let mut tops = Vec::new();
        let mut i = 0u64;
        while high >= LOWEST {
            if i.is_multiple_of(1 << self.width) {
                tops.push((low, high));
            }
            i += 1;
            let (top, bottom) = self.factor(i);
            let (top, bottom) = (u128::from(top), u128::from(bottom));
            low = low * top / bottom;
            high = high * top / bottom + 1;
        }
        tops
    }
}

impl Profile for Side {
    /// Exact, so as good for any number of bits.
    fn height(&self, bar: u64, _bits: usize) -> Height {
        let start = bar << self.width;
        let (mut top, mut bottom) = (Natural::new(1), Natural::new(1));
        for i in 1..=start {
            let (numerator, denominator) = self.factor(i);
            (top, bottom) = (top.times(numerator), bottom.times(denominator));
            if numerator == 0 {
                break;
            }
        }
        Height {
            top,
            low: bottom.clone(),
            high: bottom,
        }
    }
}

impl Poisson {
    /// `mean`: at least 1.
    pub(super) fn new(mean: u32) -> Self {
        let width = (u64::from(mean.isqrt()) / PARTS).max(1).ilog2();
        Self::with_width(mean, width)
    }

    fn with_width(mean: u32, width: u32) -> Self {
        let side = |is_left| Side {
            mean,
            width,
            is_left,
        };
        let (right, left) = (side(false).tops(), side(true).tops());
        // One scale for both sides.
        let scale = scale_for(&[&right, &left]);
        Self {
            mean,
            width,
            right: Bars::new(&right, scale),
            left: Bars::new(&left, scale),
        }
    }

    /// A draw minus the mean.
    #[inline]
    pub(super) fn draw<C: Coins>(&self, coins: &mut C) -> Result<i64, C::Stop> {
        loop {
            if let Some(value) = self.attempt(coins)? {
                return Ok(value);
            }
        }
    }

    #[inline]
    pub(super) fn attempt<C: Coins>(&self, coins: &mut C) -> Result<Option<i64>, C::Stop> {
        let (is_left, inside) = coins.side(self.width)?;
        let side = Side {
            mean: self.mean,
            width: self.width,
            is_left,
        };
        let bars = if is_left { &self.left } else { &self.right };
        let Some(bar) = coins.bar(bars, &side)? else {
            return Ok(None);
        };
        // At most 2^15 bars of width below 2^13.
        let start = bar << self.width;
        let distance = start + u64::from(inside);
        if is_left && distance >= u64::from(self.mean) {
            return Ok(None);
        }
        let survives = match inside {
            0 => true,
            _ if bar < bars.count() => self.survives(coins, &side, start as u32, inside)?,
            _ => each_survives(coins, &side, start, inside)?,
        };
        // Below 2^29.
        let distance = distance as i64;
        Ok(survives.then_some(if is_left { -1 - distance } else { distance }))
    }

    /// True with the probability of the product of the factors from `start` + 1 to `start` + `inside`, with few coins.
    ///
    /// With m the mean, -ln of factor i is the integral over s from 0 to i of 1 / (m + s), to the left of 1 / (m - s). So the
    /// product is the probability that a Poisson process of that intensity has no point under the staircase i. It is thinned
    /// (Lewis, Shedler 1979) from one of constant intensity 1 / base on the rectangle of `inside` by reach = `start` + `inside`,
    /// base = m, to the left m - reach: a point survives thinning with probability base / (m + s) or base / (m - s).
    #[inline]
    fn survives<C: Coins>(
        &self,
        coins: &mut C,
        side: &Side,
        start: u32,
        inside: u32,
    ) -> Result<bool, C::Stop> {
        let reach = start + inside;
        let base = match side.is_left {
            true => self.mean.saturating_sub(reach),
            false => self.mean,
        };
        let area = u64::from(inside) * u64::from(reach);
        if area >= u64::from(base) || reach > base {
            return each_survives(coins, side, u64::from(start), inside);
        }
        for _ in 0..few(coins, area, u64::from(base))? {
            let row = start + 1 + coins.below(inside)?;
            let across = coins.below(reach)?;
            if across < row {
                let rest = match side.is_left {
                    true => reach - 1 - across,
                    false => across,
                };
                if coins.inverse(rest, base)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// The same as [`Poisson::survives`] with one coin for each factor.
fn each_survives<C: Coins>(
    coins: &mut C,
    side: &Side,
    start: u64,
    inside: u32,
) -> Result<bool, C::Stop> {
    for i in start + 1..=start + u64::from(inside) {
        let (numerator, denominator) = side.factor(i);
        if !coins.ratio(numerator, denominator)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A Poisson draw of mean `numerator` / `denominator` < 1: a geometric proposal n, accepted with probability 1 / n! (Flajolet,
/// Pelletier, Soria 2011, *On Buffon machines and numbers*, section 3).
#[inline]
fn few<C: Coins>(coins: &mut C, numerator: u64, denominator: u64) -> Result<u32, C::Stop> {
    loop {
        let mut count = 0u32;
        while coins.ratio(numerator, denominator)? {
            count += 1;
        }
        let mut accepted = true;
        for k in 2..=u64::from(count) {
            accepted = accepted && coins.ratio(1, k)?;
        }
        if accepted {
            return Ok(count);
        }
    }
}

#[cfg(test)]
impl Poisson {
    /// With bars of width 2^`width`, whatever suits the mean.
    pub(super) fn coarse(mean: u32, width: u32) -> Self {
        Self::with_width(mean, width)
    }
}
