//! Values of a ring as bytes without gaps: value `i` takes the bits `[i b, (i + 1) b)`, the lowest bit of a byte first.

use crate::kernel::add_packed;
use crate::ring::Ring;

/// Writes 16-bit values, as far as there is room.
pub(crate) fn pack_narrow(values: &[u16], bytes: &mut [u8]) {
    let (places, _) = bytes.as_chunks_mut::<2>();
    for (place, value) in places.iter_mut().zip(values) {
        *place = value.to_le_bytes();
    }
}

/// Writes the values modulo `2^b`, as far as there is room; a last byte that is not full gets zero bits. Only the last
/// part of a vector may have an odd number of values.
pub(crate) fn pack_wide(ring: Ring, values: &[u32], bytes: &mut [u8]) {
    match ring {
        Ring::Bits16 => {
            let (places, _) = bytes.as_chunks_mut::<2>();
            for (place, value) in places.iter_mut().zip(values) {
                *place = (*value as u16).to_le_bytes();
            }
        }
        Ring::Bits20 => {
            let (pairs, last) = values.as_chunks::<2>();
            let (places, rest) = bytes.as_chunks_mut::<5>();
            for (place, [first, second]) in places.iter_mut().zip(pairs) {
                let (first, second) = (ring.reduce(*first), ring.reduce(*second));
                let both = u64::from(first) | u64::from(second) << 20;
                let [a, b, c, d, e, ..] = both.to_le_bytes();
                *place = [a, b, c, d, e];
            }
            for (place, value) in rest.as_chunks_mut::<3>().0.iter_mut().zip(last) {
                let [a, b, c, _] = ring.reduce(*value).to_le_bytes();
                *place = [a, b, c];
            }
        }
        Ring::Bits24 => {
            let (places, _) = bytes.as_chunks_mut::<3>();
            for (place, value) in places.iter_mut().zip(values) {
                let [a, b, c, _] = value.to_le_bytes();
                *place = [a, b, c];
            }
        }
        Ring::Bits32 => {
            let (places, _) = bytes.as_chunks_mut::<4>();
            for (place, value) in places.iter_mut().zip(values) {
                *place = value.to_le_bytes();
            }
        }
    }
}

/// Adds the packed 16-bit values of several vectors, as far as they reach.
pub(crate) fn add_narrow(vectors: &[&[u8]], sums: &mut [u16]) {
    for bytes in vectors {
        for (sum, value) in sums.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *sum = sum.wrapping_add(u16::from_le_bytes(*value));
        }
    }
}

/// Adds the packed values of several vectors modulo `2^32`, as far as they reach.
pub(crate) fn add_wide(ring: Ring, vectors: &[&[u8]], sums: &mut [u32]) {
    let done = add_packed(ring, vectors, sums);
    let (_, sums) = sums.split_at_mut(done.min(sums.len()));
    if sums.is_empty() {
        return;
    }
    for bytes in vectors {
        // Sixteen values end where a byte ends.
        let (_, bytes) = bytes.split_at(ring.packed_bytes(done).min(bytes.len()));
        add_portably(ring, bytes, sums);
    }
}

fn add_portably(ring: Ring, bytes: &[u8], sums: &mut [u32]) {
    match ring {
        Ring::Bits16 => {
            for (sum, value) in sums.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *sum = sum.wrapping_add(u32::from(u16::from_le_bytes(*value)));
            }
        }
        Ring::Bits20 => {
            let (pairs, last) = sums.as_chunks_mut::<2>();
            let (values, rest) = bytes.split_at((5 * pairs.len()).min(bytes.len()));
            let values = values.as_chunks::<5>().0;
            for ([first, second], [a, b, c, d, e]) in pairs.iter_mut().zip(values) {
                let start = u32::from_le_bytes([*a, *b, *c, *d]);
                *first = first.wrapping_add(ring.reduce(start));
                *second = second.wrapping_add(start >> 20 | u32::from(*e) << 12);
            }
            for (sum, [a, b, c]) in last.iter_mut().zip(rest.as_chunks::<3>().0) {
                *sum = sum.wrapping_add(ring.reduce(u32::from_le_bytes([*a, *b, *c, 0])));
            }
        }
        Ring::Bits24 => {
            let (fours, last) = sums.as_chunks_mut::<4>();
            let (values, rest) = bytes.split_at((12 * fours.len()).min(bytes.len()));
            let values = values.as_chunks::<12>().0;
            for ([a, b, c, d], bytes) in fours.iter_mut().zip(values) {
                let [first, second, third] = three_words(bytes);
                *a = a.wrapping_add(ring.reduce(first));
                *b = b.wrapping_add(ring.reduce(first >> 24 | second << 8));
                *c = c.wrapping_add(ring.reduce(second >> 16 | third << 16));
                *d = d.wrapping_add(third >> 8);
            }
            for (sum, [a, b, c]) in last.iter_mut().zip(rest.as_chunks::<3>().0) {
                *sum = sum.wrapping_add(u32::from_le_bytes([*a, *b, *c, 0]));
            }
        }
        Ring::Bits32 => {
            for (sum, value) in sums.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *sum = sum.wrapping_add(u32::from_le_bytes(*value));
            }
        }
    }
}

fn three_words([a, b, c, d, e, f, g, h, i, j, k, l]: &[u8; 12]) -> [u32; 3] {
    [[*a, *b, *c, *d], [*e, *f, *g, *h], [*i, *j, *k, *l]].map(u32::from_le_bytes)
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
        fn packing_is_as_defined(values in prop::collection::vec(any::<u32>(), 0..200)) {
            for ring in Ring::ALL {
                let mut bytes = vec![0; (values.len() * ring.bits() as usize).div_ceil(8)];
                pack_wide(ring, &values, &mut bytes);
                prop_assert_eq!(&bytes, &slow(ring, &values));
                prop_assert!(spare_bits_are_zero(ring, &bytes));
                let mut sums = vec![0x9abc_def0; values.len()];
                add_portably(ring, &bytes, &mut sums);
                for (sum, value) in sums.iter().zip(&values) {
                    prop_assert_eq!(*sum, ring.reduce(*value).wrapping_add(0x9abc_def0));
                }
                // A part of the sums takes the same part of the bytes.
                let mut part = vec![0x9abc_def0; values.len() / 3];
                add_portably(ring, &bytes, &mut part);
                prop_assert_eq!(&part, &sums[..part.len()]);
                for vectors in 0..4 {
                    for length in [values.len(), values.len() / 3, values.len() / 7] {
                        let mut expected = vec![3; length];
                        (0..vectors).for_each(|_| add_portably(ring, &bytes, &mut expected));
                        let mut sums = vec![3; length];
                        add_wide(ring, &vec![bytes.as_slice(); vectors], &mut sums);
                        prop_assert_eq!(sums, expected);
                    }
                }
            }
            let narrow: Vec<u16> = values.iter().map(|value| *value as u16).collect();
            let mut bytes = vec![0; 2 * values.len()];
            pack_narrow(&narrow, &mut bytes);
            prop_assert_eq!(&bytes, &slow(Ring::Bits16, &values));
            let mut sums = vec![0xdef0; values.len()];
            add_narrow(&[&bytes, &vec![0; bytes.len()]], &mut sums);
            for (sum, value) in sums.iter().zip(&narrow) {
                prop_assert_eq!(*sum, value.wrapping_add(0xdef0));
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
