use rand_core::CryptoRng;

use super::bars::{Bars, Profile};
use crate::PrivacyError;
use crate::words::Words;

/// The random decisions that the samplers are made of. The product answers them from uniform words; a test walks all answers.
pub(super) trait Coins {
    /// What can end a draw early.
    type Stop;

    /// True with probability exactly `numerator / denominator`; `numerator <= denominator < 2^63`.
    fn ratio(&mut self, numerator: u64, denominator: u64) -> Result<bool, Self::Stop>;

    /// Uniform over `0..bound`; `bound >= 1`.
    fn below(&mut self, bound: u32) -> Result<u32, Self::Stop>;

    /// A fair coin, and a number uniform over `0..2^bits`; `bits <= 31`.
    fn side(&mut self, bits: u32) -> Result<(bool, u32), Self::Stop>;

    /// A bar of the table, or nothing: see [`Bars`].
    fn bar<P: Profile>(&mut self, bars: &Bars, profile: &P) -> Result<Option<u64>, Self::Stop>;

    /// True with the mean probability of `base / (base + rest + V)` for V uniform in [0, 1); `rest < base`.
    fn inverse(&mut self, rest: u32, base: u32) -> Result<bool, Self::Stop>;
}

impl<R: CryptoRng + ?Sized, const N: usize> Coins for Words<'_, R, N> {
    type Stop = PrivacyError;

    /// A ratio n / d is decided by comparing it with a uniform real U in [0, 1), read 32 bits at a time: after a word w, U lies
    /// in [w, w + 1) / 2^32. If that interval is on one side of n / d, we know; else the question is the same one step finer, with
    /// the remainder n 2^32 - w d in the place of n. Exact, without a division, and almost always decided by the first word.
    #[inline]
    fn ratio(&mut self, mut numerator: u64, denominator: u64) -> Result<bool, PrivacyError> {
        loop {
            let target = u128::from(numerator) << 32;
            let low = u128::from(self.word()?) * u128::from(denominator);
            if low >= target {
                return Ok(false);
            }
            if low + u128::from(denominator) <= target {
                return Ok(true);
            }
            // Below the denominator, so the cast keeps the value.
            numerator = (target - low) as u64;
        }
    }

    /// Lemire 2019 (arXiv 1805.10941): the high half of word x bound, with the few low halves that would be over-represented
    /// drawn again.
    #[inline]
    fn below(&mut self, bound: u32) -> Result<u32, PrivacyError> {
        loop {
            let product = u64::from(self.word()?) * u64::from(bound);
            let low = product as u32;
            // The threshold 2^32 mod bound is below bound: most words need no remainder.
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return Ok((product >> 32) as u32);
            }
        }
    }

    #[inline]
    fn side(&mut self, bits: u32) -> Result<(bool, u32), PrivacyError> {
        let word = self.word()?;
        Ok((word >> 31 == 1, word & ((1 << bits) - 1)))
    }

    #[inline]
    fn bar<P: Profile>(&mut self, bars: &Bars, profile: &P) -> Result<Option<u64>, PrivacyError> {
        bars.draw(profile, self)
    }

    /// 1 / (1 + u) for u = (rest + V) / base: toss a fair coin and one of u in turn, until the first is heads (yes) or the second
    /// (no); yes has the probability (1/2) / (1/2 + u/2). The bits of V are drawn when a comparison needs them, and kept.
    fn inverse(&mut self, rest: u32, base: u32) -> Result<bool, PrivacyError> {
        let mut fraction = Vec::new();
        loop {
            if self.side(0)?.0 {
                return Ok(true);
            }
            let chosen = self.below(base)?;
            if chosen < rest || (chosen == rest && is_below(self, &mut fraction)?) {
                return Ok(false);
            }
        }
    }
}

/// Whether a fresh uniform real is below the one whose first words are `known`; more of them are drawn as needed.
fn is_below<R: CryptoRng + ?Sized, const N: usize>(
    words: &mut Words<'_, R, N>,
    known: &mut Vec<u32>,
) -> Result<bool, PrivacyError> {
    for at in 0.. {
        let theirs = match known.get(at) {
            Some(word) => *word,
            None => {
                let word = words.word()?;
                known.push(word);
                word
            }
        };
        let ours = words.word()?;
        if ours != theirs {
            return Ok(ours < theirs);
        }
    }
    Ok(false)
}

/// True with probability exp(-numerator / denominator): a coin of 1/e for each whole part, and then Algorithm 1 of Canonne, Kamath,
/// Steinke 2020: K is the first k at which a coin of probability gamma / k fails, and K is odd with probability
/// exp(-gamma). A coin of gamma / k is tossed as one of 1 / k and one of gamma, so that the denominator does not grow.
#[inline]
pub(super) fn exponential<C: Coins>(
    coins: &mut C,
    mut numerator: u64,
    denominator: u64,
) -> Result<bool, C::Stop> {
    while numerator >= denominator {
        if !exponential_of_part(coins, 1, 1)? {
            return Ok(false);
        }
        numerator -= denominator;
    }
    exponential_of_part(coins, numerator, denominator)
}

#[inline]
fn exponential_of_part<C: Coins>(
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
