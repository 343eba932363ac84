//! Masks, and the only vector a client may upload.

use core::fmt;

use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::derive::{RoundDigest, derive};
use crate::expand::{BATCH, Batch, UNIT_BYTES};
use crate::generator::Generator;
use crate::kernel::Kernel;
use crate::keys::{KeyError, PublicKeys, RoundKeys};
use crate::keystream::Sign;
use crate::pack::{pack_narrow, pack_wide, spare_bits_are_zero};
use crate::ring::Ring;

/// The key of one mask, for one generator. Wiped when dropped; neither `Clone` nor `Debug`.
///
/// # Privacy
/// One key masks one vector of one round. It never leaves the device; the coordinator derives the keys of dropped
/// clients and of survivors' own masks from what [`combine`](crate::combine) gives it.
#[derive(ZeroizeOnDrop)]
pub struct MaskKey(pub(crate) Secret);

/// A full-entropy key of the length its generator takes.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) enum Secret {
    Aes128Ctr([u8; 16]),
    ChaCha12([u8; 32]),
}

impl MaskKey {
    /// The key that clients `a` and `b` share, as one of the two computes it; `a` and `b` in either order. Its generator
    /// is [`Generator::between`] those the two advertise.
    ///
    /// HKDF-SHA256 of the X25519 secret of both mask keys, with the round digest as salt and
    /// `"chorus/v1/mask/pair/" | name of the generator | lower index | higher index | smaller public key | larger public
    /// key` as info (secagg.md 4.3; indices big-endian, public keys compared as byte strings).
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
        let ends = [(a, &keys.public()), (b, theirs)];
        Ok(Self::from_agreed(agreed.as_bytes(), ends, digest))
    }

    /// The key of the mask client `index` adds for itself, so that an upload that arrives late, after the client was
    /// declared dropped, stays masked (Bonawitz et al., CCS 2017, section 4, double masking). `generator` is the one the
    /// client advertised.
    ///
    /// HKDF-SHA256 of the self seed, salt the round digest, info `"chorus/v1/mask/own/" | name of the generator | index`.
    pub fn own(
        self_seed: &[u8; 32],
        digest: &RoundDigest,
        index: u32,
        generator: Generator,
    ) -> Self {
        let info: [&[u8]; 3] = [
            b"chorus/v1/mask/own/",
            generator.name().as_bytes(),
            &index.to_be_bytes(),
        ];
        Self::derived(generator, digest, self_seed, &info)
    }

    /// From the X25519 secret of two clients, each given by its index and what it advertised.
    pub(crate) fn from_agreed(
        agreed: &[u8; 32],
        [(a, ours), (b, theirs)]: [(u32, &PublicKeys); 2],
        digest: &RoundDigest,
    ) -> Self {
        let generator = Generator::between(ours.generator, theirs.generator);
        let info: [&[u8]; 6] = [
            b"chorus/v1/mask/pair/",
            generator.name().as_bytes(),
            &a.min(b).to_be_bytes(),
            &a.max(b).to_be_bytes(),
            ours.mask.as_slice().min(theirs.mask.as_slice()),
            ours.mask.as_slice().max(theirs.mask.as_slice()),
        ];
        Self::derived(generator, digest, agreed, &info)
    }

    fn derived(
        generator: Generator,
        digest: &RoundDigest,
        from: &[u8; 32],
        info: &[&[u8]],
    ) -> Self {
        Self(match generator {
            Generator::Aes128Ctr => Secret::Aes128Ctr(*derive(&digest.0, from, info)),
            Generator::ChaCha12 => Secret::ChaCha12(*derive(&digest.0, from, info)),
        })
    }

    /// The generator it is a key for.
    pub fn generator(&self) -> Generator {
        match self.0 {
            Secret::Aes128Ctr(_) => Generator::Aes128Ctr,
            Secret::ChaCha12(_) => Generator::ChaCha12,
        }
    }
}

/// A masked update: values of a ring, the check values at the end, packed as they travel. The only type that turns into
/// an upload, and on the client only [`mask`] makes one.
///
/// # Privacy
/// Every value is uniformly random to whoever lacks one of the masks. `Debug` prints the shape only.
///
/// An unmasked vector can not become an upload:
///
/// ```compile_fail
/// let values: Vec<u32> = vec![1, 2, 3];
/// let upload = chorus_secagg::MaskedUpdate(values);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct MaskedUpdate {
    ring: Ring,
    length: usize,
    bytes: Vec<u8>,
}

/// Bytes are not a vector of the expected ring and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MalformedUpdate {
    /// The number of bytes is wrong.
    #[error("a masked vector of {expected} bytes was expected, this one has {found}")]
    Length {
        /// Bytes expected.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// A bit after the last value is set: the same vector would have two encodings.
    #[error("the bits after the last value of a masked vector are not zero")]
    SpareBits,
}

impl MaskedUpdate {
    /// The ring of its values.
    pub fn ring(&self) -> Ring {
        self.ring
    }

    /// Number of values, check values not counted.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The upload: [`Ring::upload_bytes`] of them. Value `i` takes the bits `[i b, (i + 1) b)`, the lowest bit of a byte
    /// first; the check values are the last ones.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The upload, without copying it.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Reads an upload of `length` values, check values not counted, without copying it.
    ///
    /// # Errors
    /// [`MalformedUpdate`] unless there are exactly [`Ring::upload_bytes`] of them and the bits after the last value
    /// are zero.
    pub fn from_bytes(bytes: Vec<u8>, ring: Ring, length: usize) -> Result<Self, MalformedUpdate> {
        check_encoding(&bytes, ring, length)?;
        Ok(Self {
            ring,
            length,
            bytes,
        })
    }
}

/// Whether `bytes` are `length` values and the check values, as an upload has them.
pub(crate) fn check_encoding(
    bytes: &[u8],
    ring: Ring,
    length: usize,
) -> Result<(), MalformedUpdate> {
    let (expected, found) = (ring.upload_bytes(length), bytes.len());
    if found != expected {
        return Err(MalformedUpdate::Length { expected, found });
    }
    if !spare_bits_are_zero(ring, bytes) {
        return Err(MalformedUpdate::SpareBits);
    }
    Ok(())
}

impl fmt::Debug for MaskedUpdate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.ring.bits();
        write!(
            formatter,
            "MaskedUpdate({} values of {bits} bits)",
            self.length
        )
    }
}

/// Masks an encoded update: appends the check values, adds the client's own mask and, with its [`Sign`], the mask
/// shared with every neighbour that takes part. `values` are elements of Z modulo `2^32`, without check values; they are
/// reduced to the ring, which is a homomorphism, and wiped.
///
/// # Privacy
/// The result hides `values` from anyone who lacks the own mask or one of the pairwise masks (Bonawitz et al., CCS
/// 2017, section 4; Bell et al., CCS 2020). Masking two different vectors with the same keys reveals their difference:
/// one upload per round, and a retry sends the same bytes.
pub fn mask(
    values: Vec<u32>,
    ring: Ring,
    own: &MaskKey,
    pairs: impl IntoIterator<Item = (MaskKey, Sign)>,
) -> MaskedUpdate {
    mask_with(Kernel::detect(), values, ring, own, pairs)
}

/// [`mask`], with a kernel of the caller's choice: the result is the same.
pub fn mask_with(
    kernel: Kernel,
    values: Vec<u32>,
    ring: Ring,
    own: &MaskKey,
    pairs: impl IntoIterator<Item = (MaskKey, Sign)>,
) -> MaskedUpdate {
    let length = values.len();
    let mut bytes = vec![0; ring.upload_bytes(length)];
    let pairs = pairs.into_iter();
    match ring {
        Ring::Bits16 => narrow(kernel, values, own, pairs, &mut bytes),
        Ring::Bits20 | Ring::Bits24 | Ring::Bits32 => {
            wide(kernel, values, ring, own, pairs, &mut bytes);
        }
    }
    MaskedUpdate {
        ring,
        length,
        bytes,
    }
}

fn narrow(
    kernel: Kernel,
    mut values: Vec<u32>,
    own: &MaskKey,
    pairs: impl Iterator<Item = (MaskKey, Sign)>,
    bytes: &mut [u8],
) {
    let mut lanes = vec![0; Ring::Bits16.masked_values(values.len())];
    for (lane, value) in lanes.iter_mut().zip(&values) {
        *lane = *value as u16;
    }
    values.zeroize();
    in_batches(kernel, own, pairs, |batch| batch.apply(0, &mut lanes));
    pack_narrow(&lanes, bytes);
}

/// In place, but for the end: a vector that grew to take the check values would leave its values in freed memory.
fn wide(
    kernel: Kernel,
    mut values: Vec<u32>,
    ring: Ring,
    own: &MaskKey,
    pairs: impl Iterator<Item = (MaskKey, Sign)>,
    bytes: &mut [u8],
) {
    const UNIT: usize = UNIT_BYTES / 4;
    let units = values.len() / UNIT;
    let (start, rest) = values.split_at_mut(units * UNIT);
    let mut end = vec![0; ring.masked_values(rest.len())];
    for (lane, value) in end.iter_mut().zip(rest.iter()) {
        *lane = *value;
    }
    in_batches(kernel, own, pairs, |batch| {
        batch.apply(0, start);
        batch.apply(units as u64, &mut end);
    });
    // A unit has an even number of values, so the first part ends where a byte ends.
    let (first, second) = bytes.split_at_mut(ring.packed_bytes(units * UNIT));
    pack_wide(ring, start, first);
    pack_wide(ring, &end, second);
    values.zeroize();
}

/// Calls `apply` with all masks, as few times as their number allows.
fn in_batches(
    kernel: Kernel,
    own: &MaskKey,
    pairs: impl Iterator<Item = (MaskKey, Sign)>,
    mut apply: impl FnMut(&Batch),
) {
    let mut batch = Batch::new(kernel, BATCH);
    batch.push(own, Sign::Add);
    for (key, sign) in pairs {
        if batch.is_full() {
            apply(&batch);
            batch.clear();
        }
        batch.push(&key, sign);
    }
    apply(&batch);
}

#[cfg(test)]
mod tests;
