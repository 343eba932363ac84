//! Masks, and the only vector a client may upload.

use core::fmt;

use thiserror::Error;
use x25519_dalek::{SharedSecret, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::CHECK_WORDS;
use crate::derive::{RoundDigest, derive};
use crate::keys::{KeyError, PublicKeys, RoundKeys, agree};
use crate::keystream::{Keystream, Sign, TILE_WORDS, Tile};

/// Keystreams expanded side by side. Larger saves nothing; smaller touches the vector more often.
const STREAMS: usize = 32;

/// The 16-byte AES key of one mask. Wiped when dropped; neither `Clone` nor `Debug`.
///
/// # Privacy
/// One key masks one vector of one round. It never leaves the device; the coordinator derives the keys of dropped
/// clients and of survivors' own masks from what [`combine`](crate::combine) gives it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MaskKey([u8; 16]);

impl MaskKey {
    /// The key that clients `a` and `b` share, as one of the two computes it; `a` and `b` in either order.
    ///
    /// HKDF-SHA256 of the X25519 secret of both mask keys, with the round digest as salt and
    /// `"chorus/v1/mask/pair" | lower index | higher index | smaller public key | larger public key` as info (secagg.md
    /// 4.3; indices big-endian, public keys compared as byte strings).
    ///
    /// # Errors
    /// [`KeyError::LowOrder`] when `theirs` has a low-order mask key.
    pub fn pair(
        keys: &RoundKeys,
        theirs: &PublicKeys,
        digest: &RoundDigest,
        a: u32,
        b: u32,
    ) -> Result<Self, KeyError> {
        let agreed = keys.agree_mask(theirs)?;
        Ok(Self::from_agreed(
            &agreed,
            &keys.public().mask,
            &theirs.mask,
            digest,
            a,
            b,
        ))
    }

    /// The same key, as the coordinator computes it from the rebuilt secret mask key of a dropped client, the public
    /// keys that client advertised, and those of a survivor. [`secret_matches`](crate::secret_matches) tells whether
    /// the first two belong together.
    ///
    /// # Errors
    /// [`KeyError::LowOrder`] when `theirs` has a low-order mask key.
    pub fn recovered(
        mask_secret: &[u8; 32],
        advertised: &PublicKeys,
        theirs: &PublicKeys,
        digest: &RoundDigest,
        a: u32,
        b: u32,
    ) -> Result<Self, KeyError> {
        let secret = StaticSecret::from(*mask_secret);
        let agreed = agree(&secret, &theirs.mask)?;
        Ok(Self::from_agreed(
            &agreed,
            &advertised.mask,
            &theirs.mask,
            digest,
            a,
            b,
        ))
    }

    /// The key of the mask client `index` adds for itself, so that an upload that arrives late, after the client was
    /// declared dropped, stays masked (Bonawitz et al., CCS 2017, section 4, double masking).
    ///
    /// HKDF-SHA256 of the self seed, salt the round digest, info `"chorus/v1/mask/own" | index`.
    pub fn own(self_seed: &[u8; 32], digest: &RoundDigest, index: u32) -> Self {
        let key = derive(
            &digest.0,
            self_seed,
            &[b"chorus/v1/mask/own", &index.to_be_bytes()],
        );
        Self(*key)
    }

    fn from_agreed(
        agreed: &SharedSecret,
        ours: &[u8; 32],
        theirs: &[u8; 32],
        digest: &RoundDigest,
        a: u32,
        b: u32,
    ) -> Self {
        let key = derive(
            &digest.0,
            agreed.as_bytes(),
            &[
                b"chorus/v1/mask/pair",
                &a.min(b).to_be_bytes(),
                &a.max(b).to_be_bytes(),
                ours.min(theirs),
                ours.max(theirs),
            ],
        );
        Self(*key)
    }

    fn keystream(&self) -> Keystream {
        Keystream::new(&self.0)
    }
}

/// Adds the mask of `key` to `words`, from its first word on, modulo `2^32`.
pub fn expand_add(key: &MaskKey, words: &mut [u32]) {
    expand_range(key, Sign::Add, 0, words);
}

/// Subtracts the mask of `key` from `words`, from its first word on, modulo `2^32`.
pub fn expand_sub(key: &MaskKey, words: &mut [u32]) {
    expand_range(key, Sign::Subtract, 0, words);
}

/// Adds or subtracts a part of a mask: `words` is the part of the vector that starts at word `4 * first_block`.
/// Ranges can be expanded alone and in any order (secagg.md 4.3).
pub fn expand_range(key: &MaskKey, sign: Sign, first_block: u64, words: &mut [u32]) {
    let mut stream = key.keystream();
    stream.seek(first_block);
    stream.apply(&mut Tile::new(), sign, words);
}

/// Words of a masked vector of `length` values: the values and [`CHECK_WORDS`] more.
pub const fn masked_words(length: usize) -> usize {
    length.saturating_add(CHECK_WORDS)
}

/// A masked update: elements of Z modulo `2^32`, the check words at the end. The only type that turns into the bytes
/// of an upload, and on the client only [`mask`] makes one.
///
/// # Privacy
/// Every word is uniformly random to whoever lacks one of the masks. `Debug` prints the length only.
///
/// An unmasked vector can not become an upload:
///
/// ```compile_fail
/// let values: Vec<u32> = vec![1, 2, 3];
/// let upload = chorus_secagg::MaskedUpdate(values);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct MaskedUpdate(Vec<u32>);

/// A vector or its encoding has the wrong number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a masked vector of {expected} bytes was expected, this one has {found}")]
pub struct WrongLength {
    /// Bytes expected.
    pub expected: usize,
    /// Bytes found.
    pub found: usize,
}

impl MaskedUpdate {
    /// All words, the check words included.
    pub fn words(&self) -> &[u32] {
        &self.0
    }

    /// The upload: every word in little-endian order.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.0.len() * 4];
        for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(&self.0) {
            *place = word.to_le_bytes();
        }
        bytes
    }

    /// Reads an upload. `expected_words` counts the check words, as [`masked_words`] does.
    ///
    /// # Errors
    /// [`WrongLength`] unless there are exactly `4 * expected_words` bytes, and room for the check words.
    pub fn from_le_bytes(bytes: &[u8], expected_words: usize) -> Result<Self, WrongLength> {
        let expected = expected_words.max(CHECK_WORDS).saturating_mul(4);
        if bytes.len() != expected || expected_words < CHECK_WORDS {
            return Err(WrongLength {
                expected,
                found: bytes.len(),
            });
        }
        let (words, _) = bytes.as_chunks::<4>();
        Ok(Self(
            words.iter().map(|word| u32::from_le_bytes(*word)).collect(),
        ))
    }
}

impl fmt::Debug for MaskedUpdate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MaskedUpdate({} words)", self.0.len())
    }
}

/// Masks an encoded update: appends the check words, adds the client's own mask and, with its [`Sign`], the mask
/// shared with every neighbour that takes part. `values` are elements of Z modulo `2^32`, without check words.
///
/// # Privacy
/// The result hides `values` from anyone who lacks the own mask or one of the pairwise masks (Bonawitz et al., CCS
/// 2017, section 4; Bell et al., CCS 2020). Masking two different vectors with the same keys reveals their difference:
/// one upload per round, and a retry sends the same bytes.
pub fn mask(
    values: Vec<u32>,
    own: &MaskKey,
    pairs: impl IntoIterator<Item = (MaskKey, Sign)>,
) -> MaskedUpdate {
    let mut words = with_check_words(values);
    // Batches never outgrow their first allocation, so no key schedule is left behind in freed memory.
    let mut batch = Vec::with_capacity(STREAMS);
    batch.push((own.keystream(), Sign::Add));
    for (key, sign) in pairs {
        if batch.len() == STREAMS {
            apply(&mut batch, &mut words);
            batch.clear();
        }
        batch.push((key.keystream(), sign));
    }
    apply(&mut batch, &mut words);
    MaskedUpdate(words)
}

/// Applies several masks tile by tile: a part of the vector stays in cache while every keystream passes over it.
fn apply(streams: &mut [(Keystream, Sign)], words: &mut [u32]) {
    let mut tile = Tile::new();
    for words in words.chunks_mut(TILE_WORDS) {
        for (stream, sign) in streams.iter_mut() {
            stream.apply(&mut tile, *sign, words);
        }
    }
}

/// Appends the check words. Growing a vector can leave its old contents in freed memory: copy and wipe instead.
fn with_check_words(mut values: Vec<u32>) -> Vec<u32> {
    let length = masked_words(values.len());
    if values.capacity() < length {
        let mut words = Vec::with_capacity(length);
        words.extend_from_slice(&values);
        values.zeroize();
        values = words;
    }
    values.resize(length, 0);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    const DIGEST: RoundDigest = RoundDigest([7; 32]);

    fn two() -> (RoundKeys, RoundKeys) {
        let mut rng = ChaCha20Rng::from_seed([4; 32]);
        (RoundKeys::generate(&mut rng), RoundKeys::generate(&mut rng))
    }

    #[test]
    fn both_sides_and_the_coordinator_derive_one_key() {
        let (alice, bob) = two();
        let ours = MaskKey::pair(&alice, &bob.public(), &DIGEST, 2, 6)
            .ok()
            .unwrap();
        let theirs = MaskKey::pair(&bob, &alice.public(), &DIGEST, 6, 2)
            .ok()
            .unwrap();
        let recovered = MaskKey::recovered(
            &alice.mask_secret(),
            &alice.public(),
            &bob.public(),
            &DIGEST,
            2,
            6,
        );
        assert_eq!(ours.0, theirs.0);
        assert_eq!(ours.0, recovered.ok().unwrap().0);

        let other_round = RoundDigest([8; 32]);
        for (digest, a, b) in [(&other_round, 2, 6), (&DIGEST, 2, 7), (&DIGEST, 3, 6)] {
            let other = MaskKey::pair(&alice, &bob.public(), digest, a, b)
                .ok()
                .unwrap();
            assert_ne!(ours.0, other.0);
        }
        let seed = [1; 32];
        assert_ne!(
            MaskKey::own(&seed, &DIGEST, 0).0,
            MaskKey::own(&seed, &DIGEST, 1).0
        );
        assert_ne!(
            MaskKey::own(&seed, &DIGEST, 0).0,
            MaskKey::own(&seed, &other_round, 0).0
        );
    }

    #[test]
    fn low_order_keys_are_refused() {
        let (alice, _) = two();
        let zero = PublicKeys {
            cipher: [0; 32],
            mask: [0; 32],
        };
        let pair = MaskKey::pair(&alice, &zero, &DIGEST, 0, 1);
        assert_eq!(pair.err(), Some(KeyError::LowOrder));
        let recovered = MaskKey::recovered(&[1; 32], &zero, &zero, &DIGEST, 0, 1);
        assert_eq!(recovered.err(), Some(KeyError::LowOrder));
    }

    /// More masks than one batch holds, with and without spare capacity, equal masks applied one by one.
    #[test]
    fn batches_equal_single_masks() {
        for spare in [0, 100] {
            let mut values: Vec<u32> = Vec::with_capacity(2_500 + spare);
            values.extend(0..2_500_u32);
            let key = |i: u8| MaskKey([i; 16]);
            let sign = |i: u8| Sign::of(u32::from(i) % 2, 1);
            let mut expected: Vec<u32> = values.iter().copied().chain([0; CHECK_WORDS]).collect();
            expand_add(&key(200), &mut expected);
            for i in 0..70 {
                match sign(i) {
                    Sign::Add => expand_add(&key(i), &mut expected),
                    Sign::Subtract => expand_sub(&key(i), &mut expected),
                }
            }
            let masked = mask(values, &key(200), (0..70).map(|i| (key(i), sign(i))));
            assert_eq!(masked.words(), expected);
        }
    }

    #[test]
    fn ranges_make_up_the_whole() {
        let key = MaskKey([9; 16]);
        let mut whole = vec![0; 1_000];
        expand_add(&key, &mut whole);
        let mut parts = vec![0; 1_000];
        let (first, second) = parts.split_at_mut(600);
        expand_range(&key, Sign::Add, 150, second);
        expand_range(&key, Sign::Add, 0, first);
        assert_eq!(parts, whole);
    }

    /// Chi-square of the bytes of an upload of zeros, 255 degrees of freedom: 255 expected, deviation 22.6.
    #[test]
    fn a_masked_zero_vector_looks_uniform() {
        let (alice, bob) = two();
        let pair = MaskKey::pair(&alice, &bob.public(), &DIGEST, 0, 1)
            .ok()
            .unwrap();
        let own = MaskKey::own(&[3; 32], &DIGEST, 0);
        let bytes = mask(vec![0; 1 << 16], &own, [(pair, Sign::of(0, 1))]).to_le_bytes();
        let mut counts = [0_u32; 256];
        bytes
            .iter()
            .for_each(|byte| counts[usize::from(*byte)] += 1);
        let expected = bytes.len() as f64 / 256.0;
        let chi_square: f64 = counts
            .iter()
            .map(|count| (f64::from(*count) - expected).powi(2) / expected)
            .sum();
        assert!((160.0..370.0).contains(&chi_square), "{chi_square}");
    }

    proptest! {
        #[test]
        fn reading_arbitrary_bytes_never_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            expected in 0..60_usize,
        ) {
            match MaskedUpdate::from_le_bytes(&bytes, expected) {
                Ok(update) => {
                    prop_assert!(expected >= CHECK_WORDS);
                    prop_assert_eq!(update.words().len(), expected);
                    prop_assert_eq!(update.to_le_bytes(), bytes);
                }
                Err(error) => {
                    prop_assert!(bytes.len() != expected * 4 || expected < CHECK_WORDS);
                    prop_assert_eq!(error.found, bytes.len());
                }
            }
        }
    }

    #[test]
    fn absurd_lengths_are_refused() {
        for expected in [0, CHECK_WORDS - 1, usize::MAX, usize::MAX / 4 + 1] {
            assert!(MaskedUpdate::from_le_bytes(&[], expected).is_err());
        }
        assert!(MaskedUpdate::from_le_bytes(&[0; 4 * CHECK_WORDS], CHECK_WORDS).is_ok());
    }

    #[test]
    fn debug_shows_no_words() {
        let update = MaskedUpdate(vec![12_345; 9]);
        assert_eq!(format!("{update:?}"), "MaskedUpdate(9 words)");
    }
}
