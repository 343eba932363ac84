//! The rings of integers modulo a power of two in which updates are masked and added.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The integers modulo `2^b`. Values, masks and sums live in the ring; on the wire a value takes exactly `b` bits.
///
/// A narrower ring makes uploads shorter, but a sum that leaves it wraps around: which ring is wide enough is for the
/// encoding of the values to say (secagg.md 4.3 and 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum Ring {
    /// Modulo `2^16`.
    Bits16,
    /// Modulo `2^20`.
    Bits20,
    /// Modulo `2^24`.
    Bits24,
    /// Modulo `2^32`.
    Bits32,
}

/// A number of bits that names no [`Ring`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a ring has 16, 20, 24 or 32 bits, not {bits}")]
pub struct UnknownRing {
    /// The number given.
    pub bits: u32,
}

impl Ring {
    /// Every ring, the narrowest first.
    pub const ALL: [Self; 4] = [Self::Bits16, Self::Bits20, Self::Bits24, Self::Bits32];

    /// Bits of one value.
    pub fn bits(self) -> u32 {
        match self {
            Self::Bits16 => 16,
            Self::Bits20 => 20,
            Self::Bits24 => 24,
            Self::Bits32 => 32,
        }
    }

    /// The narrowest ring whose values have at least this many bits; `None` above 32.
    pub fn smallest_holding(bits: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|ring| ring.bits() >= bits)
    }

    /// Values, all zero before masking, at the end of every masked vector: as many as hold 256 bits.
    ///
    /// Only when every mask cancels is their sum zero again, so [`Aggregate::finish`](crate::Aggregate::finish) can tell
    /// a sound sum from a spoiled one (a client that saw another model, a wrong share, a forgotten mask) before any
    /// value is given out. A spoiled sum passes with probability `2^-256`.
    pub fn check_values(self) -> usize {
        match self {
            Self::Bits16 => 16,
            Self::Bits20 => 13,
            Self::Bits24 => 11,
            Self::Bits32 => 8,
        }
    }

    /// Values of a masked vector: `length` and the check values.
    pub fn masked_values(self, length: usize) -> usize {
        length.saturating_add(self.check_values())
    }

    /// Bytes of an upload of `length` values: they and the check values, packed without gaps, the last byte filled up
    /// with zero bits. `usize::MAX` for a length whose upload no memory could hold.
    pub fn upload_bytes(self, length: usize) -> usize {
        self.packed_bytes(self.masked_values(length))
    }

    /// Bytes that so many values take.
    pub(crate) fn packed_bytes(self, values: usize) -> usize {
        let bits = values as u128 * u128::from(self.bits());
        usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX)
    }

    /// Bytes of keystream that mask one value: two in the ring of 16 bits, four in the others.
    pub fn lane_bytes(self) -> usize {
        match self {
            Self::Bits16 => 2,
            Self::Bits20 | Self::Bits24 | Self::Bits32 => 4,
        }
    }

    /// The value modulo `2^b`.
    pub fn reduce(self, value: u32) -> u32 {
        value & (u32::MAX >> (32 - self.bits()))
    }
}

impl TryFrom<u32> for Ring {
    type Error = UnknownRing;

    fn try_from(bits: u32) -> Result<Self, UnknownRing> {
        let ring = Self::ALL.into_iter().find(|ring| ring.bits() == bits);
        ring.ok_or(UnknownRing { bits })
    }
}

impl From<Ring> for u32 {
    fn from(ring: Ring) -> Self {
        ring.bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_hold_256_bits() {
        for ring in Ring::ALL {
            assert_eq!(
                ring.check_values(),
                256_usize.div_ceil(ring.bits() as usize)
            );
        }
    }

    #[test]
    fn names_are_numbers_of_bits() {
        for ring in Ring::ALL {
            assert_eq!(Ring::try_from(u32::from(ring)), Ok(ring));
            assert_eq!(Ring::smallest_holding(ring.bits()), Some(ring));
        }
        for bits in [0, 8, 15, 17, 31, 33, u32::MAX] {
            assert_eq!(Ring::try_from(bits), Err(UnknownRing { bits }));
        }
        assert_eq!(Ring::smallest_holding(0), Some(Ring::Bits16));
        assert_eq!(Ring::smallest_holding(17), Some(Ring::Bits20));
        assert_eq!(Ring::smallest_holding(25), Some(Ring::Bits32));
        assert_eq!(Ring::smallest_holding(33), None);
    }

    #[test]
    fn reduction_keeps_the_low_bits() {
        let expected = [0xcdef, 0xb_cdef, 0xab_cdef, 0x89ab_cdef];
        for (ring, expected) in Ring::ALL.into_iter().zip(expected) {
            assert_eq!(ring.reduce(0x89ab_cdef), expected);
        }
    }

    #[test]
    fn uploads_are_packed_without_gaps() {
        let bytes = |length| Ring::ALL.map(|ring| ring.upload_bytes(length));
        assert_eq!(bytes(0), [32, 33, 33, 32]);
        assert_eq!(bytes(1), [34, 35, 36, 36]);
        assert_eq!(
            bytes(1_000_000),
            [2_000_032, 2_500_033, 3_000_033, 4_000_032]
        );
        assert_eq!(bytes(usize::MAX)[3], usize::MAX);
        assert_eq!(Ring::Bits16.masked_values(usize::MAX), usize::MAX);
    }
}
