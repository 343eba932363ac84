mod bars;
mod coins;
mod discrete_gaussian;
mod draw;
mod layers;
mod natural;
mod share;
mod skellam;

use serde::{Deserialize, Serialize};

use crate::accountant::{Release, SummedNoise};
use crate::{Encoding, PrivacyError, Survivors};
pub use draw::{fill_discrete_gaussian, fill_skellam, sample_discrete_gaussian};
pub use layers::{LayerSeed, LayeredNoise, MOST_LAYERS};
pub use share::{NoiseShare, NoisedUpdate, add_noise};

/// The smallest variance of one client's share, grid units squared: deviation 4 (`privacy.md` 1.3), so that the
/// sum of shares is indistinguishable from one discrete Gaussian (tau x d < 1e-60).
pub const MIN_VARIANCE: u64 = 16;
/// The largest variance that the exact sampler draws: every intermediate value then fits in u128.
pub const MAX_VARIANCE: u64 = 1 << 46;
/// The largest variance of one client's Skellam noise that the exact sampler draws.
pub const MAX_SKELLAM_VARIANCE: u64 = 1 << 32;

/// Which law the noise of a task has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// Discrete Gaussian shares (Kairouz, Liu, Steinke 2021).
    #[default]
    DiscreteGaussian,
    /// Skellam shares (Agarwal, Kairouz, Liu 2021): their sum is Skellam again.
    Skellam,
}

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
    /// A symmetric Skellam draw per coordinate.
    Skellam {
        /// Variance of one client's share, grid units squared, even so that the mean of the two Poisson draws is whole.
        variance: u64,
    },
    /// Discrete Gaussians in layers, of which those come off that the survivors do not need.
    Layered(LayeredNoise),
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
        Self::share_of(Law::DiscreteGaussian, noise_multiplier, encoding, survivors)
    }

    /// [`LocalNoise::share`] of a law of choice; for Skellam the variance is rounded up to an even number.
    ///
    /// # Errors
    /// As [`LocalNoise::share`]; Skellam shares are at most 2^16 wide.
    pub fn share_of(
        mechanism: Law,
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
            return Err(match mechanism {
                Law::DiscreteGaussian => PrivacyError::NoiseTooWide(variance),
                Law::Skellam => PrivacyError::SkellamTooWide(variance),
            });
        }
        let variance = variance as u64;
        let noise = match mechanism {
            Law::DiscreteGaussian => LocalNoise::DiscreteGaussian { variance },
            Law::Skellam => LocalNoise::Skellam {
                variance: variance.next_multiple_of(2),
            },
        };
        noise.check()?;
        Ok(noise)
    }

    /// Noise whose surplus comes off again: whoever vanishes of the `invited`, exactly `noise_multiplier` times the sensitivity
    /// is left as the deviation of the honest noise.
    ///
    /// # Errors
    /// As [`LocalNoise::share`] and [`LayeredNoise::new`].
    pub fn layered(
        noise_multiplier: f64,
        encoding: &Encoding,
        invited: usize,
        survivors: &Survivors,
    ) -> Result<Self, PrivacyError> {
        if !(noise_multiplier.is_finite() && noise_multiplier > 0.0) {
            return Err(PrivacyError::NoiseMultiplier(noise_multiplier));
        }
        check_honest(survivors)?;
        let variance = (noise_multiplier * encoding.sensitivity()).powi(2).ceil();
        // Exact as an integer below 2^53, and far wider than the sampler draws above.
        if variance > f64::exp2(53.0) {
            return Err(PrivacyError::NoiseTooWide(variance));
        }
        let dropouts = invited.saturating_sub(survivors.minimum);
        let colluding = survivors.minimum.saturating_sub(survivors.honest);
        LayeredNoise::new(variance as u64, invited, dropouts, colluding).map(Self::Layered)
    }

    /// Whether this noise can be drawn and accounted for. Clients check it on every plan they are sent.
    ///
    /// # Errors
    /// A variance outside [`MIN_VARIANCE`]..=[`MAX_VARIANCE`]; for Skellam one above [`MAX_SKELLAM_VARIANCE`], or an odd one.
    pub fn check(&self) -> Result<(), PrivacyError> {
        match *self {
            LocalNoise::DiscreteGaussian { variance } | LocalNoise::Skellam { variance }
                if variance < MIN_VARIANCE =>
            {
                Err(PrivacyError::NoiseTooNarrow(variance))
            }
            LocalNoise::DiscreteGaussian { variance } if variance > MAX_VARIANCE => {
                Err(PrivacyError::NoiseTooWide(variance as f64))
            }
            LocalNoise::Skellam { variance } if variance > MAX_SKELLAM_VARIANCE => {
                Err(PrivacyError::SkellamTooWide(variance as f64))
            }
            LocalNoise::Skellam { variance } if !variance.is_multiple_of(2) => {
                Err(PrivacyError::OddVariance(variance))
            }
            // Layers were checked when they came into being.
            LocalNoise::Off
            | LocalNoise::DiscreteGaussian { .. }
            | LocalNoise::Skellam { .. }
            | LocalNoise::Layered(_) => Ok(()),
        }
    }

    /// Variance of one client's share in each coordinate, grid units squared; 0 when noise is off.
    pub fn variance(&self) -> u64 {
        match *self {
            LocalNoise::Off => 0,
            LocalNoise::DiscreteGaussian { variance } | LocalNoise::Skellam { variance } => {
                variance
            }
            LocalNoise::Layered(layers) => layers.added(),
        }
    }

    /// Standard deviation of the noise in each coordinate of a sum of `clients` updates, grid units. Over
    /// [`Encoding::scale`] it is in parameter units. Of layered noise, what is left after the surplus came off.
    pub fn deviation_of_sum(&self, clients: usize) -> f64 {
        let left = match self {
            LocalNoise::Layered(layers) => {
                let vanished = layers.clients().saturating_sub(clients);
                layers.remaining(vanished, false)
            }
            _ => None,
        };
        left.map_or(self.variance() as f64 * clients as f64, |left| left as f64)
            .sqrt()
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
        let variance = self.variance() as f64;
        match self {
            LocalNoise::Off => Err(PrivacyError::NoiseOff),
            LocalNoise::DiscreteGaussian { .. } => {
                Ok(SummedNoise::new(encoding, variance, survivors.honest).release())
            }
            LocalNoise::Skellam { .. } => Ok(Release::skellam(
                encoding,
                variance * survivors.honest as f64,
            )),
            LocalNoise::Layered(layers) => {
                let fewest = layers.clients().saturating_sub(layers.dropouts());
                let honest = fewest.saturating_sub(layers.colluding());
                if (fewest, honest) != (survivors.minimum, survivors.honest) {
                    return Err(PrivacyError::OtherLayers { fewest, honest });
                }
                Ok(layers.release(encoding))
            }
        }
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

#[cfg(test)]
mod tests;
