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
mod tests;
