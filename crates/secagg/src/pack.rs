//! Values of a ring as bytes without gaps: value `i` takes the bits `[i b, (i + 1) b)`, the lowest bit of a byte first.

use crate::ring::Ring;

/// Appends the values modulo `2^b`; a last byte that is not full gets zero bits. Only the last call for one vector may
/// pass an odd number of values.
pub(crate) fn pack(ring: Ring, values: &[u32], bytes: &mut Vec<u8>) {
    match ring {
        Ring::Bits16 => values
            .iter()
            .for_each(|value| bytes.extend_from_slice(&(*value as u16).to_le_bytes())),
        Ring::Bits20 => {
            let (pairs, last) = values.as_chunks::<2>();
            for [first, second] in pairs {
                let both = u64::from(ring.reduce(*first)) | u64::from(ring.reduce(*second)) << 20;
                let [a, b, c, d, e, ..] = both.to_le_bytes();
                bytes.extend_from_slice(&[a, b, c, d, e]);
            }
            for value in last {
                let [a, b, c, _] = ring.reduce(*value).to_le_bytes();
                bytes.extend_from_slice(&[a, b, c]);
            }
        }
        Ring::Bits24 => {
            for value in values {
                let [a, b, c, _] = value.to_le_bytes();
                bytes.extend_from_slice(&[a, b, c]);
            }
        }
        Ring::Bits32 => values
            .iter()
            .for_each(|value| bytes.extend_from_slice(&value.to_le_bytes())),
    }
}

/// Calls `each` with every value in turn; the bits after the last whole value are not looked at.
pub(crate) fn unpack(ring: Ring, bytes: &[u8], mut each: impl FnMut(u32)) {
    match ring {
        Ring::Bits16 => {
            let (values, _) = bytes.as_chunks::<2>();
            values
                .iter()
                .for_each(|value| each(u32::from(u16::from_le_bytes(*value))));
        }
        Ring::Bits20 => {
            let (pairs, last) = bytes.as_chunks::<5>();
            for [a, b, c, d, e] in pairs {
                each(u32::from_le_bytes([*a, *b, *c & 0x0f, 0]));
                each(u32::from_le_bytes([*c, *d, *e, 0]) >> 4);
            }
            if let [a, b, c] = last {
                each(u32::from_le_bytes([*a, *b, *c & 0x0f, 0]));
            }
        }
        Ring::Bits24 => {
            let (values, _) = bytes.as_chunks::<3>();
            values
                .iter()
                .for_each(|[a, b, c]| each(u32::from_le_bytes([*a, *b, *c, 0])));
        }
        Ring::Bits32 => {
            let (values, _) = bytes.as_chunks::<4>();
            values
                .iter()
                .for_each(|value| each(u32::from_le_bytes(*value)));
        }
    }
}

/// Whether the bits that fill up the last byte are zero, as [`pack`] leaves them.
pub(crate) fn spare_bits_are_zero(ring: Ring, bytes: &[u8]) -> bool {
    match (ring, bytes.as_chunks::<5>().1) {
        // Half a byte is left only after an odd number of 20-bit values.
        (Ring::Bits20, [_, _, last]) => last >> 4 == 0,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One bit at a time, from the definition.
    fn slow(ring: Ring, values: &[u32]) -> Vec<u8> {
        let bits = ring.bits() as usize;
        let mut bytes = vec![0; (values.len() * bits).div_ceil(8)];
        for bit in 0..values.len() * bits {
            let set = values[bit / bits] >> (bit % bits) & 1;
            bytes[bit / 8] |= (set as u8) << (bit % 8);
        }
        bytes
    }

    proptest! {
        #[test]
        fn packing_is_as_defined(values in prop::collection::vec(any::<u32>(), 0..70)) {
            for ring in Ring::ALL {
                let mut bytes = Vec::new();
                pack(ring, &values, &mut bytes);
                prop_assert_eq!(&bytes, &slow(ring, &values));
                prop_assert!(spare_bits_are_zero(ring, &bytes));
                let mut back = Vec::new();
                unpack(ring, &bytes, |value| back.push(value));
                let reduced: Vec<u32> = values.iter().map(|value| ring.reduce(*value)).collect();
                prop_assert_eq!(back, reduced);
            }
        }
    }

    #[test]
    fn a_spare_bit_is_seen() {
        for bit in 4..8 {
            assert!(!spare_bits_are_zero(Ring::Bits20, &[0, 0, 1 << bit]));
            assert!(!spare_bits_are_zero(
                Ring::Bits20,
                &[0, 0, 0, 0, 0, 0, 0, 1 << bit]
            ));
            assert!(spare_bits_are_zero(Ring::Bits20, &[0, 0, 0, 0, 1 << bit]));
        }
    }
}
