use rand_core::CryptoRng;

use super::discrete_gaussian::DiscreteGaussian;
use super::skellam::Skellam;
use crate::PrivacyError;
use crate::words::{BATCH, SINGLE, Words};

/// One exact draw from the discrete Gaussian on the integers: P\[k\] proportional to exp(-k^2 / (2 variance)).
///
/// Ducas, Durmus, Lepoint, Lyubashevsky 2013, Algorithm 12, on a table of exact bars, with the coins of Canonne, Kamath, Steinke 2020
/// (arXiv 2004.00010), Algorithm 1: integers only. Proposals whose probability is below 2^-4096 are drawn again. The table is made
/// anew for each call: draw many with [`fill_discrete_gaussian`].
/// `variance`: grid units squared; 0 always gives 0.
///
/// # Errors
/// A variance above [`MAX_VARIANCE`](crate::MAX_VARIANCE); a generator that repeats itself.
pub fn sample_discrete_gaussian<R: CryptoRng + ?Sized>(
    variance: u64,
    rng: &mut R,
) -> Result<i64, PrivacyError> {
    DiscreteGaussian::new(variance)?.draw(&mut Words::<_, SINGLE>::new(rng))
}

/// Fills `out` with independent draws of [`sample_discrete_gaussian`], with few calls of the generator. On an error `out`
/// is all zeros.
///
/// # Errors
/// As [`sample_discrete_gaussian`].
pub fn fill_discrete_gaussian<R: CryptoRng + ?Sized>(
    variance: u64,
    out: &mut [i64],
    rng: &mut R,
) -> Result<(), PrivacyError> {
    let law = DiscreteGaussian::new(variance);
    fill(out, law, rng, |law, words| law.draw(words))
}

/// Fills `out` with independent exact draws from the symmetric Skellam law: the difference of two Poisson draws of mean
/// `variance` / 2 (Agarwal, Kairouz, Liu 2021, arXiv 2110.04995). On an error `out` is all zeros.
///
/// Each Poisson draw is exact for any mean, in integers: rejection from a table of exact bars, with a thinned Poisson process for
/// the coins inside a bar (Lewis, Shedler 1979; Flajolet, Pelletier, Soria 2011).
/// `variance`: grid units squared, even; 0 always gives 0.
///
/// # Errors
/// A variance that is odd or above [`MAX_SKELLAM_VARIANCE`](crate::MAX_SKELLAM_VARIANCE); a generator that repeats itself.
pub fn fill_skellam<R: CryptoRng + ?Sized>(
    variance: u64,
    out: &mut [i64],
    rng: &mut R,
) -> Result<(), PrivacyError> {
    let law = Skellam::new(variance);
    fill(out, law, rng, |law, words| law.draw(words))
}

fn fill<L, R: CryptoRng + ?Sized>(
    out: &mut [i64],
    law: Result<L, PrivacyError>,
    rng: &mut R,
    draw: impl Fn(&L, &mut Words<'_, R, BATCH>) -> Result<i64, PrivacyError>,
) -> Result<(), PrivacyError> {
    let filled = law.and_then(|law| {
        let mut words = Words::new(rng);
        out.iter_mut().try_for_each(|value| {
            *value = draw(&law, &mut words)?;
            Ok(())
        })
    });
    if filled.is_err() {
        // Half a noise vector must not be taken for a whole one.
        out.fill(0);
    }
    filled
}
