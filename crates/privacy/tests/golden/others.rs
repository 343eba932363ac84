//! Our discrete Gaussian beside draws of prio and opendp, kept in `tests/vectors/dp/sampler_others.csv` (made by `tests/cross-check`).

use std::collections::{BTreeMap, BTreeSet};

use crate::tables::rows;
use chorus_privacy::fill_discrete_gaussian;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// A standard normal exceeds this with probability 1e-6.
const REJECT: f64 = 4.753;

type Histogram = BTreeMap<i64, u64>;

fn ours(variance: u64, count: u64, seed: u64) -> Histogram {
    let mut values = vec![0; count as usize];
    fill_discrete_gaussian(variance, &mut values, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap();
    let mut counts = Histogram::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

/// Chi-square of two histograms of equally many draws, as an approximately standard normal number (Wilson, Hilferty 1931).
/// Neighbouring values are pooled until both together have 20 draws.
fn score(left: &Histogram, right: &Histogram) -> f64 {
    let values: BTreeSet<i64> = left.keys().chain(right.keys()).copied().collect();
    let of = |histogram: &Histogram, value| histogram.get(value).copied().unwrap_or(0) as f64;
    let (mut statistic, mut bins, mut a, mut b) = (0.0, 0.0, 0.0, 0.0);
    for value in &values {
        a += of(left, value);
        b += of(right, value);
        if a + b >= 20.0 {
            statistic += (a - b) * (a - b) / (a + b);
            bins += 1.0;
            (a, b) = (0.0, 0.0);
        }
    }
    let freedom: f64 = bins - 1.0;
    let spread = 2.0 / (9.0 * freedom);
    ((statistic / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
}

#[test]
fn draws_look_like_those_of_prio_and_opendp() {
    let mut theirs: BTreeMap<(String, u64), Histogram> = BTreeMap::new();
    for row in rows("sampler_others") {
        let place = (
            row.text("source").to_owned(),
            row.text("deviation").parse().unwrap(),
        );
        let value = row.text("value").parse().unwrap();
        let count = row.text("count").parse().unwrap();
        theirs.entry(place).or_default().insert(value, count);
    }
    assert_eq!(theirs.len(), 8);
    for ((source, deviation), theirs) in &theirs {
        let count: u64 = theirs.values().sum();
        assert_eq!(count, 200_000);
        let variance = deviation * deviation;
        let found = score(&ours(variance, count, 71), theirs);
        assert!(found < REJECT, "{source}, deviation {deviation}: {found}");
        // The control: other variances are told apart.
        let other = (variance * 23).div_ceil(20);
        let found = score(&ours(other, count, 72), theirs);
        assert!(
            found > REJECT,
            "{source}, variance {other} passed for {variance}: {found}"
        );
    }
}
