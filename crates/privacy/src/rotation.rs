//! The randomised Hadamard rotation: y = H D x / sqrt(d), with D random signs and H the Walsh-Hadamard matrix.
//!
//! Kairouz, Liu, Steinke 2021 (arXiv 2102.06387), section 4: it keeps the L2 norm and makes every coordinate of a sum about
//! equally large. H / sqrt(d) is its own inverse.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// The length of a rotated vector: the next power of two.
pub(crate) fn padded(length: usize) -> usize {
    length.next_power_of_two()
}

/// Rotates in place. `values`: a power of two of them.
pub(crate) fn rotate(values: &mut [f64], seed: u64) {
    sign(values, seed);
    transform(values);
}

/// Undoes [`rotate`] of the same seed.
pub(crate) fn unrotate(values: &mut [f64], seed: u64) {
    transform(values);
    sign(values, seed);
}

/// Turns about half of the signs: those with a zero bit in the ChaCha20 stream of the seed, the lowest bit of a word first.
fn sign(values: &mut [f64], seed: u64) {
    let mut key = [0; 32];
    for (byte, of_seed) in key.iter_mut().zip(seed.to_le_bytes()) {
        *byte = of_seed;
    }
    let mut stream = ChaCha20Rng::from_seed(key);
    for block in values.chunks_mut(32) {
        let word = stream.next_u32();
        for (bit, value) in block.iter_mut().enumerate() {
            if word >> bit & 1 == 0 {
                *value = -*value;
            }
        }
    }
}

/// The fast Walsh-Hadamard transform (Fino, Algazi 1976), in place and orthonormal.
fn transform(values: &mut [f64]) {
    let mut half = 1;
    while half < values.len() {
        for block in values.chunks_mut(2 * half) {
            let (upper, lower) = block.split_at_mut(half);
            for (a, b) in upper.iter_mut().zip(lower) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let norm = 1.0 / (values.len() as f64).sqrt();
    values.iter_mut().for_each(|value| *value *= norm);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Encoding, LocalNoise, NoiseShare, add_noise, clip, decode, quantise, survivors};
    use proptest::prelude::*;

    fn norm(values: &[f64]) -> f64 {
        values.iter().map(|value| value * value).sum::<f64>().sqrt()
    }

    proptest! {
        #[test]
        fn a_rotation_keeps_the_norm_and_comes_undone(
            values in proptest::collection::vec(-1e3f64..1e3, 1..300),
            seed in any::<u64>(),
        ) {
            let mut rotated = values.clone();
            rotated.resize(padded(values.len()), 0.0);
            let before = rotated.clone();
            rotate(&mut rotated, seed);
            prop_assert!((norm(&rotated) - norm(&values)).abs() <= 1e-9 * norm(&values));
            unrotate(&mut rotated, seed);
            for (found, value) in rotated.iter().zip(&before) {
                prop_assert!((found - value).abs() <= 1e-6);
            }
        }
    }

    #[test]
    fn one_large_coordinate_becomes_flat_and_other_seeds_turn_other_ways() {
        let turned = |seed| {
            let mut values = vec![0.0; 1024];
            values[0] = 3.0;
            values[700] = 4.0;
            rotate(&mut values, seed);
            values
        };
        assert!(
            turned(1)
                .iter()
                .all(|value| value.abs() <= 7.0 / 32.0 + 1e-12)
        );
        assert!((1..9).any(|seed| turned(seed) != turned(0)));
        let mut other = turned(1);
        unrotate(&mut other, 2);
        assert!(norm(&other) > 4.9, "the norm stays, whatever the seed");
    }

    /// 200 clients that all say the same in one coordinate, the worst case for a ring: 18 bits hold the sum only when it is rotated.
    #[test]
    fn a_sum_in_18_bits_is_the_sum_within_the_predicted_error() {
        let (clients, length, multiplier) = (200usize, 3000, 1.0);
        let plan = survivors(clients, 0.1, 0.1).unwrap();
        let all = multiplier * (clients as f64 / plan.honest as f64).sqrt();
        let encoding = Encoding::for_rotated_sum(1.0, length, clients, all, 18, 7).unwrap();
        assert_eq!(encoding.words(), 4096);
        let noise = LocalNoise::share(multiplier, &encoding, &plan).unwrap();
        let deviation = noise.deviation_of_sum(clients);
        assert!(
            encoding.cannot_wrap(clients, deviation)
                && encoding.wrap_probability(clients, deviation) < 3.1e-8
        );
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let mut values = vec![0.01; length];
        values[17] = 0.7;
        let mut sum = vec![0u32; encoding.words()];
        for _ in 0..clients {
            let share = NoiseShare::draw(&noise, encoding.words(), &mut rng).unwrap();
            let update = quantise(clip(values.clone(), 1.0), &encoding, &mut rng).unwrap();
            let update = add_noise(update, share).unwrap();
            for (sum, word) in sum.iter_mut().zip(&update.into_words()) {
                *sum = sum.wrapping_add(*word) & 0x3_ffff;
            }
        }
        // Noise of all shares, and rounding of at most 1/4 a client.
        let variance = (deviation.powi(2) + clients as f64 / 4.0) / encoding.scale().powi(2);
        let miss = |found: &[f64]| {
            let squares = found.iter().zip(&values);
            squares
                .map(|(found, value)| (found - clients as f64 * f64::from(*value)).powi(2))
                .sum::<f64>()
                / length as f64
        };
        let ratio = miss(&decode(&sum, &encoding)) / variance;
        assert!((0.85..1.1).contains(&ratio), "{ratio}");
        // The control: without the rotation the same grid wraps.
        let plain = Encoding::new(1.0, encoding.scale(), length, 18).unwrap();
        assert!(!plain.cannot_wrap(clients, deviation));
        assert!(
            Encoding::for_sum(1.0, length, clients, all, 18)
                .unwrap()
                .scale()
                < encoding.scale() / 2.0
        );
    }
}
