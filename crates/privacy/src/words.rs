use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::PrivacyError;

/// Words to buffer when a whole vector is drawn: one call of the generator per 4 KiB.
pub(crate) const BATCH: usize = 1024;
/// Words to buffer for a single draw.
pub(crate) const SINGLE: usize = 16;

/// Uniform 32-bit words of the caller's generator, fetched `N` at a time.
///
/// A generator that is stuck (all words of a block equal) or repeats its last block is refused: with a sound one
/// that happens with probability below 2^-480, and the samplers would never end on such a stream.
pub(crate) struct Words<'a, R: ?Sized, const N: usize> {
    rng: &'a mut R,
    block: Zeroizing<[[u8; 4]; N]>,
    used: usize,
}

impl<'a, R: CryptoRng + ?Sized, const N: usize> Words<'a, R, N> {
    pub(crate) fn new(rng: &'a mut R) -> Self {
        Self {
            rng,
            block: Zeroizing::new([[0; 4]; N]),
            used: N,
        }
    }

    /// The next word, each used once.
    #[inline]
    pub(crate) fn word(&mut self) -> Result<u32, PrivacyError> {
        if self.used >= N {
            self.refill()?;
        }
        let word = self.block.get(self.used).copied().unwrap_or_default();
        self.used += 1;
        Ok(u32::from_le_bytes(word))
    }

    /// The next words, each used once: at least one and at most `most`, as many as are there.
    pub(crate) fn next(&mut self, most: usize) -> Result<&[[u8; 4]], PrivacyError> {
        if self.used >= N {
            self.refill()?;
        }
        let first = self.used;
        self.used = N.min(first.saturating_add(most));
        Ok(self.block.get(first..self.used).unwrap_or_default())
    }

    fn head(&self) -> Zeroizing<[[u8; 4]; SINGLE]> {
        let mut head = Zeroizing::new([[0; 4]; SINGLE]);
        head.iter_mut()
            .zip(self.block.iter())
            .for_each(|(head, word)| *head = *word);
        head
    }

    #[cold]
    fn refill(&mut self) -> Result<(), PrivacyError> {
        // Equal blocks have equal heads, and a sound generator never has two equal heads.
        let previous = self.head();
        self.rng.fill_bytes(self.block.as_flattened_mut());
        let stuck = self
            .block
            .windows(2)
            .all(|pair| matches!(pair, [first, second] if first == second));
        if stuck || self.head() == previous {
            return Err(PrivacyError::BrokenRandomness);
        }
        self.used = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::{Infallible, TryCryptoRng, TryRng};

    /// Repeats one block of bytes for ever.
    struct Repeating(Vec<u8>, usize);

    impl TryRng for Repeating {
        type Error = Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            let mut bytes = [0; 4];
            self.try_fill_bytes(&mut bytes)?;
            Ok(u32::from_le_bytes(bytes))
        }
        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(u64::from(self.try_next_u32()?))
        }
        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
            for byte in out {
                *byte = self.0[self.1 % self.0.len()];
                self.1 += 1;
            }
            Ok(())
        }
    }
    impl TryCryptoRng for Repeating {}

    #[test]
    fn a_stuck_generator_is_refused_instead_of_hanging_the_sampler() {
        for byte in [0, 0xff, 0x5a] {
            let mut rng = Repeating(vec![byte], 0);
            assert_eq!(
                crate::sample_discrete_gaussian(1 << 24, &mut rng),
                Err(PrivacyError::BrokenRandomness)
            );
            let mut noise = [0; 64];
            assert_eq!(
                crate::fill_discrete_gaussian(1 << 24, &mut noise, &mut rng),
                Err(PrivacyError::BrokenRandomness)
            );
            assert_eq!(noise, [0; 64]);
        }
    }

    #[test]
    fn a_generator_that_repeats_its_block_is_refused() {
        let mut rng = Repeating((0..64).collect(), 0);
        let mut words = Words::<_, SINGLE>::new(&mut rng);
        for word in 0..16u8 {
            let first = 4 * word;
            assert_eq!(
                words.word(),
                Ok(u32::from_le_bytes([first, first + 1, first + 2, first + 3]))
            );
        }
        assert_eq!(words.word(), Err(PrivacyError::BrokenRandomness));
        assert_eq!(words.word(), Err(PrivacyError::BrokenRandomness));
    }
}
