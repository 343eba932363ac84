//! The sum of masked updates, on the coordinator.

use core::fmt;

use thiserror::Error;

use crate::CHECK_WORDS;
use crate::keystream::Sign;
use crate::mask::{MaskKey, MaskedUpdate, WrongLength, expand_range, expand_sub, masked_words};

/// The running sum of masked updates, modulo `2^32`. Adding and unmasking commute, so uploads can be added as they
/// arrive and masks removed in any order.
///
/// # Privacy
/// While one mask remains the words are uniformly random. `Debug` prints the length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Aggregate {
    /// Values, then check words.
    words: Vec<u32>,
}

/// The check words of a sum were not zero after unmasking: some client masked under another round digest, or a share
/// or a mask was wrong. Nothing of the sum can be used, and nothing of it was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the masks did not cancel: the check words of the sum are not zero, so the round is void")]
pub struct SpoiledSum;

impl Aggregate {
    /// An empty sum of vectors of `length` values, check words not counted.
    pub fn new(length: usize) -> Self {
        Self {
            words: vec![0; masked_words(length)],
        }
    }

    /// Number of values in the sum, check words not counted.
    pub fn len(&self) -> usize {
        self.words.len() - CHECK_WORDS
    }

    /// Whether the sum has no values but check words.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds one upload.
    ///
    /// # Errors
    /// [`WrongLength`] when the upload has another number of words; the sum is then unchanged.
    pub fn add(&mut self, update: &MaskedUpdate) -> Result<(), WrongLength> {
        let words = update.words();
        if words.len() != self.words.len() {
            return Err(WrongLength {
                expected: self.words.len() * 4,
                found: words.len() * 4,
            });
        }
        for (sum, word) in self.words.iter_mut().zip(words) {
            *sum = sum.wrapping_add(*word);
        }
        Ok(())
    }

    /// Removes the own mask of a survivor.
    pub fn remove_own(&mut self, key: &MaskKey) {
        expand_sub(key, &mut self.words);
    }

    /// Removes the mask that a survivor shares with a dropped client. `sign` is the one the *survivor* masked with:
    /// `Sign::of(survivor, dropped)`.
    pub fn remove_pair(&mut self, key: &MaskKey, sign: Sign) {
        expand_range(key, sign.opposite(), 0, &mut self.words);
    }

    /// The sum of the survivors' values, once every mask is removed.
    ///
    /// # Errors
    /// [`SpoiledSum`] when a check word is not zero. That is decided before any value is given out.
    pub fn finish(mut self) -> Result<Vec<u32>, SpoiledSum> {
        let check_words = self.words.split_off(self.len());
        if check_words.iter().any(|word| *word != 0) {
            return Err(SpoiledSum);
        }
        Ok(self.words)
    }
}

impl fmt::Debug for Aggregate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Aggregate({} values)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::RoundDigest;
    use crate::mask::mask;

    fn own(seed: u8) -> MaskKey {
        MaskKey::own(&[seed; 32], &RoundDigest([0; 32]), 0)
    }

    #[test]
    fn own_and_pairwise_masks_come_off() {
        let mut sum = Aggregate::new(3);
        let upload = mask(
            vec![1, 2, u32::MAX],
            &own(1),
            [(own(2), Sign::Add), (own(3), Sign::Subtract)],
        );
        sum.add(&upload).unwrap();
        sum.add(&mask(vec![10, 20, 30], &own(4), [])).unwrap();
        assert_eq!(sum.len(), 3);
        let mut forgotten = sum.clone();
        for sum in [&mut sum, &mut forgotten] {
            sum.remove_own(&own(1));
            sum.remove_own(&own(4));
            sum.remove_pair(&own(2), Sign::Add);
        }
        assert_eq!(forgotten.finish(), Err(SpoiledSum));
        sum.remove_pair(&own(3), Sign::Subtract);
        assert_eq!(sum.finish(), Ok(vec![11, 22, 29]));
    }

    #[test]
    fn every_check_word_counts() {
        for place in 0..CHECK_WORDS {
            let mut sum = Aggregate::new(2);
            sum.words[2 + place] = 1 << (4 * place);
            assert_eq!(sum.finish(), Err(SpoiledSum));
        }
    }

    #[test]
    fn another_length_changes_nothing() {
        let mut sum = Aggregate::new(4);
        let before = sum.clone();
        let error = sum.add(&mask(vec![1; 5], &own(1), [])).unwrap_err();
        assert_eq!(
            error,
            WrongLength {
                expected: 48,
                found: 52
            }
        );
        assert_eq!(sum, before);
    }

    #[test]
    fn an_empty_vector_still_has_its_check() {
        let mut sum = Aggregate::new(0);
        assert!(sum.is_empty());
        sum.add(&mask(vec![], &own(1), [])).unwrap();
        assert_eq!(sum.clone().finish(), Err(SpoiledSum));
        sum.remove_own(&own(1));
        assert_eq!(sum.finish(), Ok(vec![]));
    }
}
