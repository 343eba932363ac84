use multiversion::multiversion;
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::rotation::rotate;
use crate::update::Places;
use crate::words::{BATCH, Words};
use crate::{ClippedUpdate, Encoding, PrivacyError};

/// Roundings tried before the update is made smaller (`privacy.md` 1.2 step 4).
const ROUNDINGS: usize = 64;
/// What the update is multiplied by when no rounding fits.
const SHRINK: f64 = 0.875;
/// Times the update is made smaller before it is given up for zeros; 0.875^64 leaves two ten-thousandths of it.
const SHRINKS: usize = 64;

/// An update on the integer grid, whose integer L2 norm is proven to be at most [`Encoding::sensitivity`].
///
/// Neither `Clone` nor serialisable: its one way on is [`add_noise`](crate::add_noise).
///
/// ```compile_fail
/// fn twice(update: chorus_privacy::QuantisedUpdate) { let _copy = update.clone(); }
/// ```
///
/// # Privacy
/// Still says everything about a person. It stays on the client; its memory is wiped when it is dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct QuantisedUpdate {
    values: Vec<i32>,
    places: Places,
}

impl QuantisedUpdate {
    fn zeros(length: usize) -> Self {
        // Of few sizes, so that the next client finds memory that fits.
        let mut values = Vec::with_capacity(length.next_power_of_two());
        values.resize(length, 0);
        Self {
            values,
            places: Places::all(length),
        }
    }

    /// Coordinates on the grid.
    pub(crate) fn length(&self) -> usize {
        self.places.length()
    }

    /// Grid units, without the coordinates that are zero for want of a value.
    #[cfg(test)]
    pub(crate) fn values(&self) -> &[i32] {
        &self.values
    }

    /// The values in grid units, and where they stand.
    pub(crate) fn into_parts(mut self) -> (Vec<i32>, Places) {
        let places = std::mem::replace(&mut self.places, Places::all(0));
        (std::mem::take(&mut self.values), places)
    }
}

/// Puts a clipped update on the grid by stochastic rounding (`privacy.md` 1.2 steps 3 and 4).
///
/// Rounding is unbiased to within 2^-32 of a grid step. The sum of squares of the integers is compared in u128 with
/// floor(D2^2): it is this integer comparison that bounds the sensitivity, not the f64 norm. Rounding is repeated up to 64
/// times (Kairouz, Liu, Steinke 2021, "conditional rounding"), then the update is made smaller. An update that was clipped
/// to more than the encoding's clip is clipped to the encoding's. A rotation of the encoding comes before the rounding. A
/// coordinate without a value is zero and stays so; every other one takes one word of `rng`, whatever its value.
///
/// # Errors
/// An update of another length than the encoding's; a generator that repeats itself.
pub fn quantise<R: CryptoRng + ?Sized>(
    mut update: ClippedUpdate,
    encoding: &Encoding,
    rng: &mut R,
) -> Result<QuantisedUpdate, PrivacyError> {
    if update.length() != encoding.length() {
        return Err(PrivacyError::UpdateLength {
            expected: encoding.length(),
            found: update.length(),
        });
    }
    let mut words = Words::<_, BATCH>::new(rng);
    let factor = update.factor_for(encoding.clip()) * encoding.scale();
    let limit = encoding.norm_limit();
    let Some(seed) = encoding.rotation() else {
        let mut rounded = QuantisedUpdate::zeros(update.count());
        let stretches: Vec<(&[f32], f64)> = update.cut().collect();
        round_within(limit, factor, &stretches, &mut rounded.values, &mut words)?;
        rounded.places = update.take_places();
        return Ok(rounded);
    };
    let values: Zeroizing<Vec<f64>> = Zeroizing::new(update.values().collect());
    let places = update.take_places();
    let mut turned = Zeroizing::new(places.spread(&values, encoding.words()));
    rotate(&mut turned, seed);
    let mut rounded = QuantisedUpdate::zeros(turned.len());
    let stretches = [(turned.as_slice(), 1.0)];
    round_within(limit, factor, &stretches, &mut rounded.values, &mut words)?;
    Ok(rounded)
}

/// Rounds values, of each stretch times its factor and the common one, to `rounded`, of squares that sum to at most `limit`.
fn round_within<R: CryptoRng + ?Sized, T: Copy + Into<f64>>(
    limit: u128,
    mut factor: f64,
    stretches: &[(&[T], f64)],
    rounded: &mut [i32],
    words: &mut Words<'_, R, BATCH>,
) -> Result<(), PrivacyError> {
    for _ in 0..SHRINKS {
        for _ in 0..ROUNDINGS {
            let (mut squares, mut rest) = (0, &mut *rounded);
            for (values, own) in stretches {
                let mut values = *values;
                while !values.is_empty() {
                    let chance = words.next(values.len())?;
                    let (now, later) = values.split_at_checked(chance.len()).unwrap_or_default();
                    let (cells, after) = rest.split_at_mut_checked(now.len()).unwrap_or_default();
                    squares += round_all(now, *own, factor, chance, cells);
                    (values, rest) = (later, after);
                }
            }
            if squares <= limit {
                return Ok(());
            }
        }
        factor *= SHRINK;
    }
    rounded.fill(0);
    Ok(())
}

/// Rounds some values by as many words, and gives the sum of the squares of what they became; with the same result on every
/// processor.
#[allow(
    unsafe_code,
    reason = "calls what was built for a processor that it asked for; twice as fast, see scripts/bench-peers"
)]
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn round_all<T: Copy + Into<f64>>(
    values: &[T],
    own: f64,
    factor: f64,
    words: &[[u8; 4]],
    rounded: &mut [i32],
) -> u128 {
    // Squares of up to 2^62 in two sums: neither overflows before 2^32 of them.
    let (mut low, mut high) = (0u64, 0u64);
    for ((value, word), integer) in values.iter().zip(words).zip(rounded) {
        *integer = round((*value).into() * own * factor, u32::from_le_bytes(*word));
        let size = u64::from(integer.unsigned_abs());
        let square = size * size;
        low += square & 0xffff_ffff;
        high += square >> 32;
    }
    u128::from(low) + (u128::from(high) << 32)
}

/// Up with a probability equal to the fraction, down otherwise. One word per value, whole or not: the number of words used says
/// how many coordinates were touched, as the time that learning took does, and nothing about their values.
///
/// Without a call and without a branch: a sum with 1.5 * 2^52 is rounded to a whole number, which then stands in its low bits; and a
/// word behind the sign and exponent of 1 is its fraction.
#[inline(always)]
fn round(value: f64, word: u32) -> i32 {
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    // |value| <= scale x clip <= 2^30.
    let nearest = (value + WHOLE) - WHOLE;
    let below = nearest - f64::from(u8::from(nearest > value));
    let chance = f64::from_bits(0x3ff0_0000_0000_0000 | (u64::from(word) << 20)) - 1.0;
    let up = below + f64::from(u8::from(chance < value - below));
    (up + WHOLE).to_bits() as u32 as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Update, clip};
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    fn squares(update: &QuantisedUpdate) -> u128 {
        update
            .values()
            .iter()
            .map(|value| u128::from(value.unsigned_abs()).pow(2))
            .sum()
    }

    #[test]
    fn rounding_is_unbiased_and_whole_numbers_stay() {
        assert_eq!(round(3.0, 0), 3);
        assert_eq!(round(-3.0, 0), -3);
        assert_eq!(round(-0.25, 0), 0);
        assert_eq!(round(-0.25, u32::MAX), -1);
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let encoding = Encoding::new(1.0, 8.0, 1, 32).unwrap();
        let draws = 200_000;
        let sum: i64 = (0..draws)
            .map(|_| {
                i64::from(
                    quantise(clip(vec![-0.0375], 1.0), &encoding, &mut rng)
                        .unwrap()
                        .values()[0],
                )
            })
            .sum();
        let deviation = (0.3f64 * 0.7 / f64::from(draws)).sqrt();
        assert!((sum as f64 / f64::from(draws) + 0.3).abs() < 5.0 * deviation);
    }

    #[test]
    fn rounding_is_that_of_the_library_for_every_value_of_the_grid() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let most = f64::exp2(30.0);
        for case in 0..200_000 {
            let (word, size) = (rng.next_u32(), f64::from(case % 31));
            let value = (f64::from(rng.next_u32()) / f64::exp2(31.0) - 1.0) * f64::exp2(size);
            let value = [value, value.floor(), value.floor() + 0.5, most, -most][case as usize % 5];
            let below = value.floor();
            let up = f64::from(word) < (value - below) * 4_294_967_296.0;
            assert_eq!(round(value, word), below as i32 + i32::from(up), "{value}");
        }
    }

    #[test]
    fn a_coarse_grid_never_exceeds_the_bound_and_zeros_stay_zeros() {
        // Many coordinates far below one step: rounding alone would often exceed the bound without the repeats.
        let length = 4096;
        let encoding = Encoding::new(1.0, 3.0, length, 32).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        for _ in 0..200 {
            let update = clip(vec![1.0 / 64.0; length], 1.0);
            assert!(
                squares(&quantise(update, &encoding, &mut rng).unwrap()) <= encoding.norm_limit()
            );
        }
        let zeros = quantise(clip(vec![f32::NAN; length], 1.0), &encoding, &mut rng).unwrap();
        assert_eq!(squares(&zeros), 0);
    }

    #[test]
    fn what_was_not_touched_takes_no_randomness_and_stays_zero() {
        let encoding = Encoding::new(1.0, 1e3, 9, 32).unwrap();
        let sparse = Update::sparse(9, [2..4, 8..9], vec![0.1234, -0.5, 0.3]).unwrap();
        let rounded = |update| {
            let mut rng = ChaCha20Rng::seed_from_u64(4);
            quantise(clip(update, 1.0), &encoding, &mut rng).unwrap()
        };
        let (values, places) = rounded(sparse).into_parts();
        let dense = places.spread(&values, 9);
        // The same three values alone take the same three words.
        let alone = Encoding::new(1.0, 1e3, 3, 32).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let alone = quantise(clip(vec![0.1234, -0.5, 0.3], 1.0), &alone, &mut rng).unwrap();
        assert_eq!(values, alone.values);
        assert_eq!(dense[2..4], values[..2]);
        assert_eq!(
            (dense[8], dense.iter().filter(|value| **value != 0).count()),
            (values[2], 3)
        );
        let turned = encoding.rotated(7);
        let spread = |update: Update| {
            let mut rng = ChaCha20Rng::seed_from_u64(5);
            quantise(clip(update, 1.0), &turned, &mut rng)
                .unwrap()
                .values
                .clone()
        };
        let sparse = Update::sparse(9, [2..4, 8..9], vec![0.1234, -0.5, 0.3]).unwrap();
        let dense = vec![0.0, 0.0, 0.1234, -0.5, 0.0, 0.0, 0.0, 0.0, 0.3];
        assert_eq!(spread(sparse), spread(dense.into()));
    }

    #[test]
    fn a_wrong_length_is_refused() {
        let encoding = Encoding::new(1.0, 8.0, 2, 32).unwrap();
        let refused = quantise(
            clip(vec![0.0], 1.0),
            &encoding,
            &mut ChaCha20Rng::seed_from_u64(0),
        )
        .err();
        assert_eq!(
            refused,
            Some(PrivacyError::UpdateLength {
                expected: 2,
                found: 1
            })
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn the_integer_norm_is_bounded_for_arbitrary_input(
            values in proptest::collection::vec(any::<f32>(), 1..200),
            clipped_to in prop_oneof![any::<f64>(), 1e-3f64..1e3],
            bound in 1e-3f64..1e3,
            steps in 0.5f64..1e9,
            seed in any::<u64>(),
            rotation in proptest::option::of(any::<u64>()),
        ) {
            let plain = Encoding::new(bound, steps / bound, values.len(), 32).unwrap();
            let encoding = rotation.map_or(plain, |seed| plain.rotated(seed));
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let rounded = quantise(clip(values, clipped_to), &encoding, &mut rng).unwrap();
            prop_assert!(squares(&rounded) <= encoding.norm_limit());
            prop_assert!((encoding.norm_limit() as f64).sqrt() <= encoding.sensitivity());
        }
    }
}
