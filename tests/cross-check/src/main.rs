//! Prints histograms of discrete Gaussian draws by prio and opendp, as CSV.
//!
//! How to run it, and what for: README.md.

use std::collections::BTreeMap;
use std::error::Error;

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

fn main() -> Result<(), Box<dyn Error>> {
    println!("source,deviation,value,count");
    for deviation in DEVIATIONS {
        for (source, theirs) in [("prio", prio(deviation)?), ("opendp", opendp(deviation)?)] {
            for (value, count) in theirs {
                println!("{source},{deviation},{value},{count}");
            }
        }
    }
    Ok(())
}
