//! The sampler against the golden law of `tests/vectors/dp/sampler_pmf.csv`, and proof that the test would see a wrong one.

use crate::tables::rows;
use chorus_privacy::{fill_discrete_gaussian, fill_skellam};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const DRAWS: usize = 1_000_000;
/// A standard normal exceeds this with probability 1e-6.
const REJECT: f64 = 4.753;

/// P[k] of the discrete Gaussian for k = 0, 1, … as far as it matters; the same at -k.
fn law(variance: f64) -> Vec<f64> {
    let last = (variance.sqrt() * 12.0).ceil() as i32 + 3;
    let weight = |k: i32| (-f64::from(k).powi(2) / (2.0 * variance)).exp();
    let norm: f64 = (-last..=last).map(weight).sum();
    (0..=last).map(|k| weight(k) / norm).collect()
}

fn draw(variance: u64, count: usize, seed: u64) -> Vec<i64> {
    let mut values = vec![0; count];
    fill_discrete_gaussian(variance, &mut values, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap();
    values
}

/// Chi-square statistic of signed values against the law, as an (approximately) standard normal number (Wilson, Hilferty).
/// Bins have an expectation of at least `least`; the tails are pooled.
fn score(values: &[i64], law: &[f64], least: f64) -> f64 {
    let last = law.len() as i64 - 1;
    let mut counts = vec![0u64; 2 * law.len() - 1];
    for value in values {
        counts[(value.clamp(&-last, &last) + last) as usize] += 1;
    }
    let (mut statistic, mut bins, mut found, mut expected) = (0.0, 0, 0.0, 0.0);
    let mut left = values.len() as f64;
    for k in -last..=last {
        found += counts[(k + last) as usize] as f64;
        let here = law[k.unsigned_abs() as usize] * values.len() as f64;
        expected += here;
        left -= here;
        if expected >= least && left >= least {
            statistic += (found - expected).powi(2) / expected;
            bins += 1;
            (found, expected) = (0.0, 0.0);
        }
    }
    statistic += (found - expected).powi(2) / expected;
    let freedom = f64::from(bins);
    ((statistic / freedom).cbrt() - (1.0 - 2.0 / (9.0 * freedom))) / (2.0 / (9.0 * freedom)).sqrt()
}

#[test]
fn the_law_is_the_golden_law() {
    let mut seen = 0;
    for row in rows("sampler_pmf") {
        if row.text("dist") != "discrete_gaussian" {
            continue;
        }
        let variance: f64 = row
            .text("param")
            .strip_prefix("sigma2=")
            .unwrap()
            .parse()
            .unwrap();
        let law = law(variance);
        let found = law[row.number("k") as usize].ln();
        assert!(
            (found - row.number("log_pmf")).abs() < 1e-11,
            "{}",
            row.text("id")
        );
        let found: f64 = law
            .iter()
            .enumerate()
            .map(|(k, p)| 2.0 * (k * k) as f64 * p)
            .sum();
        assert!(
            (found / row.number("variance") - 1.0).abs() < 1e-12,
            "{}",
            row.text("id")
        );
        seen += 1;
    }
    assert!(seen > 100);
}

#[test]
fn draws_follow_the_law() {
    // The whole variances of the table, and two as large as in use, where bins pool many values.
    for (variance, seed) in [
        (1, 101),
        (9, 102),
        (100, 103),
        (65_536, 104),
        (16_000_000, 105),
        (4_900_000_000, 106),
    ] {
        let least = if variance > 100_000 { 2000.0 } else { 10.0 };
        let found = score(&draw(variance, DRAWS, seed), &law(variance as f64), least);
        assert!(found < REJECT, "variance {variance}: {found}");
    }
}

#[test]
fn the_chi_square_itself_is_calibrated() {
    // Over 40 seeds the scores must look standard normal: a test that never rejects proves nothing.
    let law = law(9.0);
    let scores: Vec<f64> = (0..40)
        .map(|seed| score(&draw(9, 50_000, 1000 + seed), &law, 10.0))
        .collect();
    let mean = scores.iter().sum::<f64>() / 40.0;
    let variance = scores
        .iter()
        .map(|score| (score - mean).powi(2))
        .sum::<f64>()
        / 39.0;
    assert!(mean.abs() < 4.0 / 40f64.sqrt(), "{mean}");
    assert!((0.3..2.5).contains(&variance), "{variance}");
}

#[test]
fn moments_tails_and_independence() {
    let count = DRAWS as f64;
    for (variance, seed) in [
        (1u64, 201),
        (100, 202),
        (65_536, 203),
        (1 << 44, 204),
        (1 << 46, 205),
    ] {
        let values = draw(variance, DRAWS, seed);
        let sigma = (variance as f64).sqrt();
        let mean = values.iter().map(|value| *value as f64).sum::<f64>() / count;
        assert!(
            mean.abs() <= 5.0 * sigma / count.sqrt(),
            "variance {variance}: mean {mean}"
        );
        let ratio = values
            .iter()
            .map(|value| (*value as f64 / sigma).powi(2))
            .sum::<f64>()
            / count;
        assert!(
            (ratio - 1.0).abs() <= 5.0 * (2.0 / count).sqrt(),
            "variance {variance}: ratio {ratio}"
        );
        let fourth = values
            .iter()
            .map(|value| (*value as f64 / sigma).powi(4))
            .sum::<f64>()
            / count;
        assert!(
            (fourth - 3.0).abs() <= 5.0 * (96.0 / count).sqrt(),
            "variance {variance}: fourth moment {fourth}"
        );
        if variance > 10_000 {
            // P[|X| > 4 sigma] = 6.334e-5: 63 expected of a million.
            let far = values
                .iter()
                .filter(|value| value.unsigned_abs() as f64 > 4.0 * sigma)
                .count();
            assert!(
                (27..=110).contains(&far),
                "variance {variance}: {far} beyond 4 sigma"
            );
        }
        let beside = values
            .windows(2)
            .map(|pair| pair[0] as f64 * pair[1] as f64 / variance as f64)
            .sum::<f64>()
            / count;
        assert!(
            beside.abs() <= 5.0 / count.sqrt(),
            "variance {variance}: neighbours correlate by {beside}"
        );
    }
}

#[test]
fn other_seeds_and_other_places_give_other_noise() {
    let (first, second) = (draw(1 << 24, 1000, 1), draw(1 << 24, 1000, 2));
    assert_eq!(first, draw(1 << 24, 1000, 1));
    assert!(first.iter().zip(&second).filter(|(a, b)| a == b).count() < 10);
    assert!(
        first[..500]
            .iter()
            .zip(&first[500..])
            .filter(|(a, b)| a == b)
            .count()
            < 10
    );
}

/// A sum of shares is close to one discrete Gaussian of the summed variance, at the smallest share we allow.
#[test]
fn shares_add_up() {
    let shares: Vec<Vec<i64>> = (0..4)
        .map(|client| draw(16, 250_000, 300 + client))
        .collect();
    let sums: Vec<i64> = (0..250_000)
        .map(|position| shares.iter().map(|share| share[position]).sum())
        .collect();
    let found = score(&sums, &law(64.0), 10.0);
    assert!(found < REJECT, "{found}");
}

/// A continuous Gaussian of the given variance, rounded (Box, Muller 1958).
fn rounded_gaussian(variance: f64, count: usize, seed: u64) -> Vec<i64> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut uniform = || (rng.next_u64() >> 11) as f64 / 2f64.powi(53);
    (0..count)
        .map(|_| {
            let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
            (variance.sqrt() * radius * (2.0 * std::f64::consts::PI * uniform()).cos()).round()
                as i64
        })
        .collect()
}

#[test]
fn negative_controls_fail() {
    for variance in [0.5, 1.0] {
        let found = score(
            &rounded_gaussian(variance, DRAWS, 401),
            &law(variance),
            10.0,
        );
        assert!(
            found > 2.0 * REJECT,
            "rounded continuous Gaussian of variance {variance} passed: {found}"
        );
    }
    // The generator of the control is sound: at a large variance rounding is not visible.
    let control = score(
        &rounded_gaussian(10_000.0, DRAWS, 402),
        &law(10_000.0),
        10.0,
    );
    assert!(control < REJECT, "{control}");
    // sigma 2 % too large or too small.
    for (drawn, claimed) in [
        (10_404, 10_000.0),
        (9_604, 10_000.0),
        (104, 100.0),
        (96, 100.0),
    ] {
        let found = score(&draw(drawn, DRAWS, 403), &law(claimed), 10.0);
        assert!(
            found > 2.0 * REJECT,
            "variance {drawn} passed for {claimed}: {found}"
        );
    }
    // Cut off at 3 sigma.
    let cut: Vec<i64> = draw(100, DRAWS, 404)
        .into_iter()
        .map(|value| value.clamp(-30, 30))
        .collect();
    assert!(score(&cut, &law(100.0), 10.0) > 2.0 * REJECT);
}

/// P[k] of the symmetric Skellam law for k = 0, 1, ... as far as it matters: exp(-v) I_k(v), by Miller's backward recurrence
/// I_{k-1} = I_{k+1} + (2 k / v) I_k, normalised to a total of 1.
fn skellam_law(variance: f64) -> Vec<f64> {
    let last = (variance.sqrt() * 12.0).ceil() as usize + 40;
    let mut law = vec![0.0; last + 2];
    law[last] = 1e-300;
    for k in (1..=last).rev() {
        law[k - 1] = law[k + 1] + 2.0 * k as f64 / variance * law[k];
        if law[k - 1] > 1e200 {
            law.iter_mut().for_each(|value| *value *= 1e-300);
        }
    }
    let total = law[0] + 2.0 * law[1..].iter().sum::<f64>();
    law.iter().map(|value| value / total).collect()
}

#[test]
fn the_skellam_law_is_the_golden_law() {
    let mut seen = 0;
    for row in rows("sampler_pmf") {
        let Some(variance) = row.text("param").strip_prefix("variance=") else {
            continue;
        };
        let law = skellam_law(variance.parse().unwrap());
        let found = law[row.number("k") as usize].ln();
        assert!(
            (found - row.number("log_pmf")).abs() < 1e-9,
            "{}",
            row.text("id")
        );
        seen += 1;
    }
    assert_eq!(seen, 117);
}

fn draw_skellam(variance: u64, count: usize, seed: u64) -> Vec<i64> {
    let mut values = vec![0; count];
    fill_skellam(variance, &mut values, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap();
    values
}

#[test]
fn skellam_draws_follow_the_law() {
    // The even variances of the table, the width at which bars first hold two values, and the demo's.
    for (variance, seed) in [
        (2u64, 501),
        (10, 502),
        (100, 503),
        (514, 504),
        (65_536, 505),
        (8_661_094, 506),
    ] {
        let least = if variance > 100_000 { 2000.0 } else { 10.0 };
        let values = draw_skellam(variance, DRAWS, seed);
        let found = score(&values, &skellam_law(variance as f64), least);
        assert!(found < REJECT, "variance {variance}: {found}");
        let (count, sigma) = (DRAWS as f64, (variance as f64).sqrt());
        let moment = |power: i32| {
            let powers = values
                .iter()
                .map(|value| (*value as f64 / sigma).powi(power));
            powers.sum::<f64>() / count
        };
        let kurtosis = 3.0 + 1.0 / variance as f64;
        assert!(moment(1).abs() <= 5.0 / count.sqrt(), "variance {variance}");
        assert!(
            (moment(2) - 1.0).abs() <= 5.0 * ((kurtosis - 1.0) / count).sqrt(),
            "variance {variance}"
        );
        assert!(
            (moment(4) - kurtosis).abs() <= 5.0 * (200.0 / count).sqrt(),
            "variance {variance}"
        );
    }
    assert!(fill_skellam(9, &mut [0], &mut ChaCha20Rng::seed_from_u64(1)).is_err());
}

#[test]
fn negative_controls_of_skellam_fail() {
    // Another law of the same variance; sigma off by 2 %; tails cut.
    let law = skellam_law(10.0);
    assert!(score(&draw(10, DRAWS, 511), &law, 10.0) > 2.0 * REJECT);
    for (drawn, claimed) in [(104, 100.0), (96, 100.0), (10_404, 10_000.0)] {
        let found = score(
            &draw_skellam(drawn, DRAWS, 512),
            &skellam_law(claimed),
            10.0,
        );
        assert!(
            found > 2.0 * REJECT,
            "variance {drawn} passed for {claimed}: {found}"
        );
    }
    let cut: Vec<i64> = draw_skellam(100, DRAWS, 513)
        .into_iter()
        .map(|value| value.clamp(-30, 30))
        .collect();
    assert!(score(&cut, &skellam_law(100.0), 10.0) > 2.0 * REJECT);
}
