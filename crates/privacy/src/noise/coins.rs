use rand_core::CryptoRng;

use crate::PrivacyError;
use crate::words::Words;

/// The random decisions that the sampler is made of. The product answers them from uniform words; a test walks all answers.
pub(super) trait Coins {
    /// What can end a draw early.
    type Stop;

    /// True with probability exactly `numerator / denominator`; `numerator <= denominator < 2^32`.
    fn ratio(&mut self, numerator: u64, denominator: u64) -> Result<bool, Self::Stop>;

    /// The same for `numerator <= denominator < 2^95`.
    fn wide_ratio(&mut self, numerator: u128, denominator: u128) -> Result<bool, Self::Stop>;

    /// Uniform over `0..bound`; `bound >= 1`.
    fn below(&mut self, bound: u32) -> Result<u32, Self::Stop>;

    /// True with probability 1/2.
    fn fair(&mut self) -> Result<bool, Self::Stop>;
}

/// A ratio n / d is decided by comparing it with a uniform real U in [0, 1), read 32 bits at a time: after a word w, U lies in
/// [w, w + 1) / 2^32. If that interval is on one side of n / d, we know; else the question is the same one step finer, with
/// the remainder n 2^32 - w d in the place of n. Exact, without a division, and almost always decided by the first word.
impl<R: CryptoRng + ?Sized, const N: usize> Coins for Words<'_, R, N> {
    type Stop = PrivacyError;

    #[inline]
    fn ratio(&mut self, mut numerator: u64, denominator: u64) -> Result<bool, PrivacyError> {
        loop {
            let target = numerator << 32;
            let low = u64::from(self.word()?) * denominator;
            if low >= target {
                return Ok(false);
            }
            if low + denominator <= target {
                return Ok(true);
            }
            numerator = target - low;
        }
    }

    #[inline]
    fn wide_ratio(&mut self, mut numerator: u128, denominator: u128) -> Result<bool, PrivacyError> {
        loop {
            let target = numerator << 32;
            let low = u128::from(self.word()?) * denominator;
            if low >= target {
                return Ok(false);
            }
            if low + denominator <= target {
                return Ok(true);
            }
            numerator = target - low;
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
    fn fair(&mut self) -> Result<bool, PrivacyError> {
        Ok(self.word()? >> 31 == 1)
    }
}
