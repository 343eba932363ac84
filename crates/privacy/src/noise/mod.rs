mod coins;
mod discrete_gaussian;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::accountant::{Release, SummedNoise};
use crate::words::{BATCH, SINGLE, Words};
use crate::{Encoding, PrivacyError, QuantisedUpdate, Survivors};
use discrete_gaussian::DiscreteGaussian;

/// The smallest variance of one client's share, grid units squared: deviation 4 (`privacy.md` 1.3), so that the
/// sum of shares is indistinguishable from one discrete Gaussian (tau x d < 1e-60).
pub const MIN_VARIANCE: u64 = 16;
/// The largest variance that the exact sampler draws: every intermediate value then fits in u128.
pub const MAX_VARIANCE: u64 = 1 << 46;

/// The noise that each client of a sum adds to its own update. A visible choice of the task: there is no default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LocalNoise {
    /// None: only the sum is hidden behind the cohort, what the sum says is not limited.
    Off,
    /// A discrete Gaussian per coordinate.
    DiscreteGaussian {
        /// sigma_loc^2, grid units squared, an integer so that the sampler is exact.
        variance: u64,
    },
}

impl LocalNoise {
    /// One client's share of the noise: variance ceil(z^2 D2^2 / honest), so that `honest` shares together have at least
    /// `noise_multiplier` times the sensitivity on the grid as their deviation (`privacy.md` 1.3 and 1.5).
    ///
    /// `noise_multiplier`: z, deviation of the noise in the sum over what one client can change. With a sigma from
    /// [`calibrate`](crate::calibrate) and a release of clip c, z = sigma / c.
    ///
    /// # Errors
    /// A multiplier that is not positive and finite; a plan without honest clients; a share narrower than deviation 4 or wider than 2^23.
    pub fn share(
        noise_multiplier: f64,
        encoding: &Encoding,
        survivors: &Survivors,
    ) -> Result<Self, PrivacyError> {
        if !(noise_multiplier.is_finite() && noise_multiplier > 0.0) {
            return Err(PrivacyError::NoiseMultiplier(noise_multiplier));
        }
        check_honest(survivors)?;
        let variance =
            ((noise_multiplier * encoding.sensitivity()).powi(2) / survivors.honest as f64).ceil();
        if variance > MAX_VARIANCE as f64 {
            return Err(PrivacyError::NoiseTooWide(variance));
        }
        let noise = LocalNoise::DiscreteGaussian {
            variance: variance as u64,
        };
        noise.check()?;
        Ok(noise)
    }

    /// Whether this noise can be drawn and accounted for. Clients check it on every plan they are sent.
    ///
    /// # Errors
    /// A variance outside [`MIN_VARIANCE`]..=[`MAX_VARIANCE`].
    pub fn check(&self) -> Result<(), PrivacyError> {
        match *self {
            LocalNoise::DiscreteGaussian { variance } if variance < MIN_VARIANCE => {
                Err(PrivacyError::NoiseTooNarrow(variance))
            }
            LocalNoise::DiscreteGaussian { variance } if variance > MAX_VARIANCE => {
                Err(PrivacyError::NoiseTooWide(variance as f64))
            }
            LocalNoise::Off | LocalNoise::DiscreteGaussian { .. } => Ok(()),
        }
    }

    /// Standard deviation of the noise in each coordinate of a sum of `clients` updates, grid units. Over
    /// [`Encoding::scale`] it is in parameter units.
    pub fn deviation_of_sum(&self, clients: usize) -> f64 {
        match *self {
            LocalNoise::Off => 0.0,
            LocalNoise::DiscreteGaussian { variance } => (variance as f64 * clients as f64).sqrt(),
        }
    }

    /// What one sum with this noise costs, for the accountant: recomputed from the plan alone, so that a client need not
    /// believe the coordinator's figure. More shares than `survivors.honest` are post-processing and cost nothing.
    ///
    /// # Errors
    /// Noise that is off, outside the allowed variances, or without honest clients.
    pub fn release(
        &self,
        encoding: &Encoding,
        survivors: &Survivors,
    ) -> Result<Release, PrivacyError> {
        self.check()?;
        check_honest(survivors)?;
        let LocalNoise::DiscreteGaussian { variance } = *self else {
            return Err(PrivacyError::NoiseOff);
        };
        Ok(SummedNoise::new(encoding, variance as f64, survivors.honest).release())
    }
}

fn check_honest(survivors: &Survivors) -> Result<(), PrivacyError> {
    if survivors.honest == 0 {
        return Err(PrivacyError::TooFewHonest {
            invited: survivors.minimum,
            honest: 0,
        });
    }
    Ok(())
}

/// An update that is ready to be masked: clipped, on the grid, with this client's noise, reduced modulo 2^32.
///
/// Neither `Clone` nor serialisable: its one way on is the mask.
///
/// ```compile_fail
/// fn twice(update: chorus_privacy::NoisedUpdate) { let _copy = update.clone(); }
/// ```
///
/// # Privacy
/// One client's share of the noise does not protect it: only the sum of many is differentially private. It
/// must be masked before it leaves the client; its memory is wiped when it is dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct NoisedUpdate {
    words: Vec<u32>,
}

impl NoisedUpdate {
    /// `[length]`, Z_2^32.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Gives the words to the mask, and ends this form of them.
    pub fn into_words(mut self) -> Vec<u32> {
        std::mem::take(&mut self.words)
    }
}

/// Adds this client's share of the noise and reduces modulo 2^32 (`privacy.md` 1.2 steps 5 and 6).
///
/// The whole noise vector is drawn in one go, and its time is never reported: exact samplers leak the size of a draw
/// through time (Jin et al., arXiv 2112.05307).
///
/// # Errors
/// A variance outside [`MIN_VARIANCE`]..=[`MAX_VARIANCE`]; a generator that repeats itself. Nothing may be uploaded then.
///
/// # Privacy
/// `rng` must be a cryptographic generator that nobody else can predict and that never runs twice from one seed.
pub fn add_noise<R: CryptoRng + ?Sized>(
    update: QuantisedUpdate,
    noise: &LocalNoise,
    rng: &mut R,
) -> Result<NoisedUpdate, PrivacyError> {
    noise.check()?;
    let mut drawn = Zeroizing::new(vec![0i64; update.values().len()]);
    if let LocalNoise::DiscreteGaussian { variance } = *noise {
        fill_discrete_gaussian(variance, &mut drawn, rng)?;
    }
    // Truncation to 32 bits is reduction modulo 2^32: that is the ring of the masks.
    let words = update
        .values()
        .iter()
        .zip(drawn.iter())
        .map(|(value, noise)| i64::from(*value).wrapping_add(*noise) as u32);
    Ok(NoisedUpdate {
        words: words.collect(),
    })
}

/// One exact draw from the discrete Gaussian on the integers: P\[k\] proportional to exp(-k^2 / (2 variance)).
///
/// Canonne, Kamath, Steinke 2020 (arXiv 2004.00010), Algorithms 1 to 3, in fixed-width integers: no floating point, no
/// division. Proposals beyond 4096 scale parameters, which have probability below e^-4096, are drawn again.
/// `variance`: grid units squared; 0 always gives 0.
///
/// # Errors
/// A variance above [`MAX_VARIANCE`]; a generator that repeats itself.
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
    let filled = fill(variance, out, rng);
    if filled.is_err() {
        // Half a noise vector must not be taken for a whole one.
        out.fill(0);
    }
    filled
}

fn fill<R: CryptoRng + ?Sized>(
    variance: u64,
    out: &mut [i64],
    rng: &mut R,
) -> Result<(), PrivacyError> {
    let law = DiscreteGaussian::new(variance)?;
    let mut words = Words::<_, BATCH>::new(rng);
    for value in out.iter_mut() {
        *value = law.draw(&mut words)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
