use std::collections::BTreeMap;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Infallible, SeedableRng, TryCryptoRng, TryRng};

use super::bars::{Bars, Profile};
use super::coins::Coins;
use super::discrete_gaussian::DiscreteGaussian;
use super::natural::Natural;
use super::skellam::Poisson;
use super::*;
use crate::words::{SINGLE, Words};
use crate::{clip, decode, quantise, survivors};

/// A path through the sampler's decisions that became too unlikely to follow.
struct TooUnlikely;

/// What a client does: draws its share, and adds it.
fn noised<R: CryptoRng>(
    update: crate::QuantisedUpdate,
    noise: &LocalNoise,
    rng: &mut R,
) -> Result<NoisedUpdate, PrivacyError> {
    let share = NoiseShare::draw(noise, update.length(), rng)?;
    add_noise(update, share)
}

/// Answers decisions from a script and multiplies their probabilities; asks for more script at its end.
struct Scripted<'a> {
    script: &'a [u32],
    used: usize,
    mass: f64,
    floor: f64,
    /// Answers that the decision after the script has.
    open: Option<u32>,
}

impl Scripted<'_> {
    fn toss(&mut self, probability: f64) -> Result<bool, TooUnlikely> {
        Ok(self.choose(2, |answer| {
            if answer == 1 {
                probability
            } else {
                1.0 - probability
            }
        })? == 1)
    }

    fn choose(
        &mut self,
        answers: u32,
        probability: impl Fn(u32) -> f64,
    ) -> Result<u32, TooUnlikely> {
        let Some(answer) = self.script.get(self.used).copied() else {
            self.open = Some(answers);
            return Err(TooUnlikely);
        };
        self.used += 1;
        self.mass *= probability(answer);
        if self.mass < self.floor {
            Err(TooUnlikely)
        } else {
            Ok(answer)
        }
    }
}

impl Coins for Scripted<'_> {
    type Stop = TooUnlikely;
    fn ratio(&mut self, numerator: u64, denominator: u64) -> Result<bool, TooUnlikely> {
        let probability = numerator as f64 / denominator as f64;
        self.toss(probability)
    }
    fn below(&mut self, bound: u32) -> Result<u32, TooUnlikely> {
        self.choose(bound, |_| 1.0 / f64::from(bound))
    }
    fn side(&mut self, bits: u32) -> Result<(bool, u32), TooUnlikely> {
        let answers = 2 << bits;
        let answer = self.choose(answers, |_| 1.0 / f64::from(answers))?;
        Ok((answer >> bits == 1, answer & ((1 << bits) - 1)))
    }
    fn bar<P: Profile>(&mut self, bars: &Bars, profile: &P) -> Result<Option<u64>, TooUnlikely> {
        let probability = |bar: u32| {
            let height = profile.height(u64::from(bar), 64);
            let value = as_f64(&height.top) / as_f64(&height.low);
            value * f64::from(bars.scale()) / 2f64.powi(32)
        };
        let count = bars.count() as u32 + 8;
        let answer = self.choose(count + 1, |answer| {
            if answer < count {
                probability(answer)
            } else {
                1.0 - (0..count).map(probability).sum::<f64>()
            }
        })?;
        Ok((answer < count).then_some(u64::from(answer)))
    }
    fn inverse(&mut self, rest: u32, base: u32) -> Result<bool, TooUnlikely> {
        // The integral of base / (base + rest + v) over v from 0 to 1.
        let (rest, base) = (f64::from(rest), f64::from(base));
        self.toss(base * (1.0 / (base + rest)).ln_1p())
    }
}

fn as_f64(number: &Natural) -> f64 {
    // Down to 2^64, so that the quotients of even the tallest products stay finite.
    let (mut rest, mut exponent) = (number.clone(), 0);
    while rest.to_u128() == u128::MAX {
        rest = rest.over(1 << 32);
        exponent += 32;
    }
    rest.to_u128() as f64 * 2f64.powi(exponent)
}

/// Walks every path of one attempt whose probability is at least `floor`: mass per accepted value, and mass not followed.
fn enumerate(
    attempt: impl Fn(&mut Scripted<'_>) -> Result<Option<i64>, TooUnlikely>,
    floor: f64,
) -> (BTreeMap<i64, f64>, f64) {
    let (mut accepted, mut rejected) = (BTreeMap::new(), 0.0);
    let mut pending = vec![Vec::new()];
    while let Some(script) = pending.pop() {
        let mut coins = Scripted {
            script: &script,
            used: 0,
            mass: 1.0,
            floor,
            open: None,
        };
        match attempt(&mut coins) {
            Ok(Some(value)) => *accepted.entry(value).or_insert(0.0) += coins.mass,
            Ok(None) => rejected += coins.mass,
            Err(TooUnlikely) => {
                pending.extend(coins.open.into_iter().flat_map(|answers| 0..answers).map(
                    |answer| {
                        let mut longer = script.clone();
                        longer.push(answer);
                        longer
                    },
                ))
            }
        }
    }
    let followed = accepted.values().sum::<f64>() + rejected;
    (accepted, 1.0 - followed)
}

/// Accepted mass brackets the exact mass of the attempt, whatever became of the undecided paths.
fn brackets(accepted: &BTreeMap<i64, f64>, undecided: f64, k: i64, exact: f64) -> bool {
    let total: f64 = accepted.values().sum();
    let found = accepted.get(&k).copied().unwrap_or(0.0);
    found <= exact * (total + undecided) + 1e-12 && found + undecided >= exact * total - 1e-12
}

#[test]
fn every_path_of_the_discrete_gaussian_together_gives_the_law() {
    // A proof up to the mass of the paths not followed, not a statistic. From variance 256 on a bar is wider than 1.
    for (variance, most) in [
        (1u64, 1e-7),
        (2, 1e-7),
        (3, 1e-7),
        (9, 1e-7),
        (300, 2e-4),
        (1100, 2e-3),
    ] {
        let law = DiscreteGaussian::new(variance).unwrap();
        let (accepted, undecided) = enumerate(|coins| law.attempt(coins), 1e-9);
        assert!(
            (-1e-12..most).contains(&undecided),
            "variance {variance}: {undecided:e} not followed"
        );
        let weight = |k: i64| (-(k as f64).powi(2) / (2.0 * variance as f64)).exp();
        let norm: f64 = (-600..=600).map(weight).sum();
        let reach = 4 * variance.isqrt() as i64;
        for k in -reach..=reach {
            assert!(
                brackets(&accepted, undecided, k, weight(k) / norm),
                "variance {variance}, k {k}"
            );
        }
        // The control: a variance 2 % larger is seen.
        if undecided < 1e-6 {
            let weight = |k: i64| (-(k as f64).powi(2) / (2.04 * variance as f64)).exp();
            let norm: f64 = (-600..=600).map(weight).sum();
            assert!(!brackets(&accepted, undecided, 0, weight(0) / norm));
        }
    }
}

#[test]
fn every_path_of_the_poisson_sampler_together_gives_the_law() {
    // Also with bars far wider than suit the mean, so that thinning and single coins both are walked.
    for (mean, width, floor, most) in [
        (1u32, 0, 1e-11, 1e-7),
        (5, 0, 1e-11, 1e-7),
        (40, 0, 1e-11, 1e-7),
        (9, 1, 1e-8, 1e-2),
        (60, 1, 5e-8, 5e-2),
        (60, 2, 1e-7, 1e-1),
    ] {
        let law = Poisson::coarse(mean, width);
        let (accepted, undecided) = enumerate(|coins| law.attempt(coins), floor);
        assert!(
            (-1e-12..most).contains(&undecided),
            "mean {mean}, width {width}: {undecided:e} not followed"
        );
        let exact = |k: i64| {
            let ln_factorial: f64 = (1..=k).map(|i| (i as f64).ln()).sum();
            (k as f64 * f64::from(mean).ln() - f64::from(mean) - ln_factorial).exp()
        };
        for k in 0..4 * i64::from(mean) + 4 {
            assert!(
                brackets(&accepted, undecided, k - i64::from(mean), exact(k)),
                "mean {mean}, width {width}, k {k}"
            );
        }
        assert!(!accepted.contains_key(&(-1 - i64::from(mean))));
    }
}

/// Hands out given words.
pub(super) struct Given(pub(super) Vec<u32>, pub(super) usize);

impl TryRng for Given {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.1 += 1;
        // Past the given words any varied stream will do.
        Ok(self
            .0
            .get(self.1 - 1)
            .copied()
            .unwrap_or((self.1 as u32).wrapping_mul(0x9e37_79b9)))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.try_next_u32()?))
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(4) {
            let word = self.try_next_u32()?.to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}
impl TryCryptoRng for Given {}

fn toss(words: &[u32], numerator: u64, denominator: u64) -> (bool, bool) {
    let mut narrow = Given(words.to_vec(), 0);
    let mut wide = Given(words.to_vec(), 0);
    (
        Words::<_, SINGLE>::new(&mut narrow)
            .ratio(numerator, denominator)
            .unwrap(),
        // The same ratio, 30 bits wider.
        Words::<_, SINGLE>::new(&mut wide)
            .ratio(numerator << 30, denominator << 30)
            .unwrap(),
    )
}

#[test]
fn a_coin_is_decided_exactly_at_its_ratio() {
    for (numerator, denominator) in [
        (1u64, 3u64),
        (2, 3),
        (1, 7),
        (65_521, 65_537),
        (1, 4_294_967_295),
        (4_294_967_294, 4_294_967_295),
    ] {
        let boundary = ((numerator << 32) / denominator) as u32;
        let remainder = (numerator << 32) % denominator;
        assert_ne!(remainder, 0);
        if boundary > 0 {
            assert_eq!(
                toss(&[boundary - 1, 0], numerator, denominator),
                (true, true)
            );
        }
        if boundary < u32::MAX {
            assert_eq!(
                toss(&[boundary + 1, 0], numerator, denominator),
                (false, false)
            );
        }
        // On the boundary itself, the next 32 bits decide by the same rule.
        let second = ((remainder << 32) / denominator) as u32;
        if second > 0 {
            assert_eq!(
                toss(&[boundary, second - 1], numerator, denominator),
                (true, true)
            );
        }
        if second < u32::MAX {
            assert_eq!(
                toss(&[boundary, second + 1], numerator, denominator),
                (false, false)
            );
        }
    }
    for word in [0, 1, u32::MAX] {
        assert_eq!(toss(&[word], 5, 5), (true, true));
        assert_eq!(toss(&[word], 0, 5), (false, false));
        assert_eq!(toss(&[word], 1, 2), (word < 1 << 31, word < 1 << 31));
    }
}

#[test]
fn a_uniform_number_leaves_out_the_words_that_would_favour_some() {
    let first = |word: u32, bound: u32| {
        Words::<_, SINGLE>::new(&mut Given(vec![word, 1 << 31], 0))
            .below(bound)
            .unwrap()
    };
    // 2^32 mod 3 = 1: word 0 has low half 0 and must be drawn again.
    assert_eq!(first(0, 3), 1);
    assert_eq!(first(1, 3), 0);
    assert_eq!(first(u32::MAX, 3), 2);
    for bound in [1, 2, 4, 1 << 23] {
        assert_eq!(first(0, bound), 0);
        assert_eq!(first(u32::MAX, bound), bound - 1);
    }
}

#[test]
fn variances_that_cannot_be_drawn_or_protect_nobody_are_refused() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    assert_eq!(sample_discrete_gaussian(0, &mut rng), Ok(0));
    assert!(sample_discrete_gaussian(MAX_VARIANCE, &mut rng).is_ok());
    assert!(matches!(
        sample_discrete_gaussian(MAX_VARIANCE + 1, &mut rng),
        Err(PrivacyError::NoiseTooWide(_))
    ));
    assert!(matches!(
        sample_discrete_gaussian(u64::MAX, &mut rng),
        Err(PrivacyError::NoiseTooWide(_))
    ));

    let encoding = Encoding::new(1.0, 65536.0, 4, 32).unwrap();
    let plan = survivors(100, 0.1, 0.1).unwrap();
    for variance in [0, 15, MAX_VARIANCE + 1] {
        let noise = LocalNoise::DiscreteGaussian { variance };
        let update = quantise(clip(vec![0.1; 4], 1.0), &encoding, &mut rng).unwrap();
        assert!(noise.check().is_err());
        assert!(noised(update, &noise, &mut rng).is_err());
        assert!(noise.release(&encoding, &plan).is_err());
    }
    for multiplier in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            LocalNoise::share(multiplier, &encoding, &plan),
            Err(PrivacyError::NoiseMultiplier(_))
        ));
    }
    assert!(matches!(
        LocalNoise::share(1e9, &encoding, &plan),
        Err(PrivacyError::NoiseTooWide(_))
    ));
    let coarse = Encoding::new(1.0, 8.0, 4, 32).unwrap();
    assert!(matches!(
        LocalNoise::share(1.0, &coarse, &plan),
        Err(PrivacyError::NoiseTooNarrow(_))
    ));
    let nobody = Survivors {
        minimum: 5,
        honest: 0,
    };
    assert!(matches!(
        LocalNoise::share(1.0, &encoding, &nobody),
        Err(PrivacyError::TooFewHonest { .. })
    ));
    assert_eq!(
        LocalNoise::Off.release(&encoding, &plan),
        Err(PrivacyError::NoiseOff)
    );
}

#[test]
fn the_share_gives_at_least_the_multiplier_asked_for() {
    for invited in [10, 100, 943, 30_000] {
        for multiplier in [0.3, 1.1045, 7.0069, 40.0] {
            let plan = survivors(invited, 0.3, 0.1).unwrap();
            let encoding = Encoding::for_sum(0.954, 31_000, invited, 2.0 * multiplier, 32).unwrap();
            let release = LocalNoise::share(multiplier, &encoding, &plan)
                .unwrap()
                .release(&encoding, &plan)
                .unwrap();
            assert!(release.noise_multiplier >= multiplier * (1.0 - 1e-15));
            assert!(release.noise_multiplier <= multiplier * 1.01);
            assert!(release.tau_times_length < 1e-60);
        }
    }
}

#[test]
fn noise_is_named_on_the_wire() {
    assert_eq!(serde_json::to_string(&LocalNoise::Off).unwrap(), r#""off""#);
    let noise = LocalNoise::DiscreteGaussian { variance: 77 };
    let text = serde_json::to_string(&noise).unwrap();
    assert_eq!(text, r#"{"discrete-gaussian":{"variance":77}}"#);
    assert_eq!(serde_json::from_str::<LocalNoise>(&text).unwrap(), noise);
}

#[test]
fn noise_has_the_planned_size_and_zeros_are_protected_too() {
    let length = 20_000;
    let encoding = Encoding::new(1.0, 65536.0, length, 32).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let noise = LocalNoise::DiscreteGaussian { variance: 1 << 24 };
    let update = quantise(clip(vec![f32::NAN; length], 1.0), &encoding, &mut rng).unwrap();
    let words = noised(update, &noise, &mut rng).unwrap().into_words();
    let squares: f64 = words
        .iter()
        .map(|word| f64::from(word.cast_signed()).powi(2))
        .sum();
    let ratio = squares / length as f64 / f64::from(1 << 24);
    assert!(
        (ratio - 1.0).abs() < 5.0 * (2.0 / length as f64).sqrt(),
        "{ratio}"
    );
}

proptest! {
    /// What chorus-secagg does between the words and the sum, reduction modulo 2^bits, loses nothing that decoding needs.
    #[test]
    fn a_sum_in_any_ring_decodes_to_the_sum_of_the_updates(
        values in proptest::collection::vec(-0.1f32..0.1, 1..30),
        bits in prop_oneof![Just(16), Just(20), Just(24), Just(32)],
        clients in 1usize..40,
        seed in any::<u64>(),
    ) {
        let encoding = Encoding::for_sum(1.0, values.len(), clients, 0.0, bits).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut sum = vec![0u32; values.len()];
        for _ in 0..clients {
            let rounded = quantise(clip(values.clone(), 1.0), &encoding, &mut rng).unwrap();
            let noised = noised(rounded, &LocalNoise::Off, &mut rng).unwrap();
            for (sum, word) in sum.iter_mut().zip(&noised.into_words()) {
                *sum = sum.wrapping_add(*word) & (u32::MAX >> (32 - bits));
            }
        }
        for (found, value) in decode(&sum, &encoding).iter().zip(&values) {
            let expected = f64::from(*value) * clients as f64;
            prop_assert!((found - expected).abs() <= clients as f64 / encoding.scale());
        }
    }

    #[test]
    fn without_noise_decoding_gives_the_update_back_to_half_a_step_or_so(
        values in proptest::collection::vec(-0.1f32..0.1, 1..60),
        seed in any::<u64>(),
    ) {
        let encoding = Encoding::for_sum(1.0, values.len(), 1000, 0.0, 32).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let rounded = quantise(clip(values.clone(), 1.0), &encoding, &mut rng).unwrap();
        let noised = noised(rounded, &LocalNoise::Off, &mut rng).unwrap();
        for (found, value) in decode(&noised.into_words(), &encoding).iter().zip(&values) {
            prop_assert!((found - f64::from(*value)).abs() <= 1.0 / encoding.scale());
        }
    }

    #[test]
    fn the_sum_in_the_ring_is_the_sum_of_the_integers(seed in any::<u64>(), clients in 1usize..12, variance in 16u64..1 << 40) {
        let length = 5;
        let encoding = Encoding::new(1.0, 65536.0, length, 32).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut ring = vec![0u32; length];
        let mut whole = vec![0i64; length];
        for client in 0..clients {
            let update = quantise(clip(vec![client as f32 - 3.0; length], 1.0), &encoding, &mut rng).unwrap();
            let integers: Vec<i64> = update.values().iter().map(|value| i64::from(*value)).collect();
            // The same generator state gives the same noise, so the expected integers are known.
            let mut beside = rng.clone();
            let mut noise = vec![0; length];
            fill_discrete_gaussian(variance, &mut noise, &mut beside).unwrap();
            let noised = noised(update, &LocalNoise::DiscreteGaussian { variance }, &mut rng);
            let words = noised.unwrap().into_words();
            for position in 0..length {
                ring[position] = ring[position].wrapping_add(words[position]);
                whole[position] += integers[position] + noise[position];
            }
        }
        for position in 0..length {
            prop_assert_eq!(i64::from(ring[position]), whole[position].rem_euclid(1 << 32));
        }
    }

    #[test]
    fn arbitrary_numbers_never_panic(values in proptest::collection::vec(any::<f32>(), 1..40), bound in any::<f64>(), seed in any::<u64>()) {
        let encoding = Encoding::new(1.0, 65536.0, values.len(), 32).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let rounded = quantise(clip(values, bound), &encoding, &mut rng).unwrap();
        let noised = noised(rounded, &LocalNoise::DiscreteGaussian { variance: MAX_VARIANCE }, &mut rng).unwrap();
        prop_assert!(decode(&noised.into_words(), &encoding).iter().all(|value| value.is_finite()));
    }
}
