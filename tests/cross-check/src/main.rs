//! Prints histograms of discrete Gaussian draws by prio, opendp and us, as CSV, and fails when ours differs from theirs.
//!
//! How to run it, and what for: README.md.

use std::collections::BTreeMap;
use std::error::Error;

use chorus_privacy::fill_discrete_gaussian;
use dashu::rational::RBig;
use opendp::traits::samplers::sample_discrete_gaussian;
use prio::dp::Rational;
use prio::dp::distributions::DiscreteGaussian;
use rand::SeedableRng;
use rand::distr::Distribution;
use rand_chacha::ChaCha20Rng;

const DRAWS: usize = 200_000;
/// Deviations: one bar for each value, and bars of several.
const DEVIATIONS: [u32; 4] = [1, 3, 10, 100];

type Histogram = BTreeMap<i64, u64>;

fn histogram(values: impl IntoIterator<Item = i64>) -> Histogram {
    let mut counts = Histogram::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

fn prio(deviation: u32) -> Result<Histogram, Box<dyn Error>> {
    let law = DiscreteGaussian::new(Rational::from_unsigned(deviation, 1u32)?)?;
    let mut rng = ChaCha20Rng::seed_from_u64(u64::from(deviation));
    let draws = (0..DRAWS).map(|_| i64::try_from(law.sample(&mut rng)));
    Ok(histogram(draws.collect::<Result<Vec<_>, _>>()?))
}

/// From OpenSSL's generator, which takes no seed: other numbers each time.
fn opendp(deviation: u32) -> Result<Histogram, Box<dyn Error>> {
    let mut values = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        let value = sample_discrete_gaussian(RBig::from(deviation))?;
        values.push(i64::try_from(value)?);
    }
    Ok(histogram(values))
}

fn ours(deviation: u32) -> Result<Histogram, Box<dyn Error>> {
    let mut values = vec![0; DRAWS];
    let mut rng = ChaCha20Rng::seed_from_u64(1000 + u64::from(deviation));
    fill_discrete_gaussian(u64::from(deviation).pow(2), &mut values, &mut rng)?;
    Ok(histogram(values))
}

/// Chi-square of two histograms of equally many draws, as an approximately standard normal number (Wilson, Hilferty 1931).
/// Neighbouring values are pooled until both together have 20 draws.
fn score(left: &Histogram, right: &Histogram) -> f64 {
    let values: Vec<i64> = left.keys().chain(right.keys()).copied().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    let of = |histogram: &Histogram, value: i64| histogram.get(&value).copied().unwrap_or(0) as f64;
    let (mut statistic, mut bins, mut a, mut b) = (0.0, 0.0, 0.0, 0.0);
    for value in values {
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

fn main() -> Result<(), Box<dyn Error>> {
    println!("source,deviation,value,count");
    let mut worst = f64::NEG_INFINITY;
    for deviation in DEVIATIONS {
        let ours = ours(deviation)?;
        for (source, theirs) in [("prio", prio(deviation)?), ("opendp", opendp(deviation)?)] {
            let score = score(&ours, &theirs);
            eprintln!("deviation {deviation}, ours against {source}: {score:.2} (a standard normal number)");
            worst = worst.max(score);
            for (value, count) in theirs {
                println!("{source},{deviation},{value},{count}");
            }
        }
    }
    // Exceeded by a sound pair with probability 1e-6.
    if worst > 4.753 {
        return Err("our draws do not have the law of theirs".into());
    }
    Ok(())
}
