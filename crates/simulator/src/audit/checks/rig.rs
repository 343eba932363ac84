//! A small round whose clients can be made to err.

use std::ops::Range;

use chorus_model::Delta;
use chorus_privacy::{Encoding, LocalNoise, NoiseShare, PrivacyError, Survivors, survivors};
use chorus_privacy::{add_noise, clip, decode, fill_discrete_gaussian, quantise};
use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use serde::{Deserialize, Serialize};

use crate::draw::{Stream, stream};

/// What is wrong with a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Nothing: every check must pass.
    None,
    /// No client adds noise to the first coordinate.
    ForgottenCoordinate,
    /// More clients than the plan allows for leave their noise out.
    ForgottenShares,
    /// The share of noise is computed for everyone invited, not for `noise_min`.
    InvitedForNoiseMin,
    /// Noise is added first, and clipped away.
    ClippedAfterNoise,
    /// The sum is taken in a smaller ring than the one it is decoded from.
    WrongModulus,
    /// A client draws the same noise in every round.
    RepeatedSeed,
    /// All clients of a round draw their noise from its number.
    SeedFromRound,
    /// The norm is checked before rounding, not in integers after it.
    NormBeforeRounding,
}

impl Fault {
    /// All that are faults.
    pub const ALL: [Fault; 8] = [
        Fault::ForgottenCoordinate,
        Fault::ForgottenShares,
        Fault::InvitedForNoiseMin,
        Fault::ClippedAfterNoise,
        Fault::WrongModulus,
        Fault::RepeatedSeed,
        Fault::SeedFromRound,
        Fault::NormBeforeRounding,
    ];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Fault::None => "none: the product as it is",
            Fault::ForgottenCoordinate => "forgotten noise: one coordinate",
            Fault::ForgottenShares => "forgotten noise: more clients than the plan allows for",
            Fault::InvitedForNoiseMin => "noise shared among the invited, not noise_min",
            Fault::ClippedAfterNoise => "clip after noise",
            Fault::WrongModulus => "wrong modulus",
            Fault::RepeatedSeed => "a seed used in every round",
            Fault::SeedFromRound => "noise seeded from the round's number",
            Fault::NormBeforeRounding => "norm checked before rounding",
        }
    }
}

/// Coordinates of the rig's updates (privacy.md 3.2).
pub(super) const LENGTH: usize = 64;
/// Clients that are invited; a fifth of them vanish, and a tenth leave their noise out.
const INVITED: usize = 10;
/// z: the noise of the sum over what one client can change.
const MULTIPLIER: f64 = 1.0;
/// Steps of the grid per clip norm where the norm after rounding is looked at: coarse, so that rounding matters.
const COARSE: f64 = 4.0;

/// One round with as few honest clients as its plan allows.
pub(super) struct Rig {
    pub fault: Fault,
    pub encoding: Encoding,
    pub survivors: Survivors,
    noise: LocalNoise,
    seed: u64,
}

/// What came out of one round.
pub(super) struct Round {
    /// What each honest client uploads, before the mask.
    pub uploads: Vec<Vec<u32>>,
    /// The sum of the uploads in integers that cannot wrap.
    pub integers: Vec<i64>,
    /// The sum as the coordinator decodes it, in parameter units.
    pub decoded: Vec<f64>,
}

impl Rig {
    pub fn new(fault: Fault, seed: u64) -> Result<Self, PrivacyError> {
        let survivors = survivors(INVITED, 0.2, 0.1)?;
        let encoding = Encoding::for_sum(1.0, LENGTH, INVITED, 2.0 * MULTIPLIER, 32)?;
        let shared = match fault {
            Fault::InvitedForNoiseMin => Survivors {
                minimum: INVITED,
                honest: INVITED,
            },
            _ => survivors,
        };
        let noise = LocalNoise::share(MULTIPLIER, &encoding, &shared)?;
        Ok(Self {
            fault,
            encoding,
            survivors,
            noise,
            seed,
        })
    }

    /// What the plan promises the accountant: variance (z D2)^2 in each coordinate of the sum, grid units.
    pub fn promised_variance(&self) -> f64 {
        (MULTIPLIER * self.encoding.sensitivity()).powi(2)
    }

    /// One round. `first`: what the first client sends; everyone else sends zeros.
    ///
    /// Only the honest are simulated: the adversary knows the others' noise and takes it away.
    pub fn round(&self, number: u64, first: &[f32]) -> Result<Round, PrivacyError> {
        let zeros = vec![0.0f32; LENGTH];
        let mut uploads = Vec::with_capacity(self.survivors.honest);
        for client in 0..self.survivors.honest {
            let values = if client == 0 { first } else { &zeros };
            uploads.push(self.upload(number, client, values.to_vec())?);
        }
        let mut integers = vec![0i64; LENGTH];
        let mut ring = vec![0u32; LENGTH];
        for words in &uploads {
            for ((sum, integer), word) in ring.iter_mut().zip(&mut integers).zip(words) {
                *sum = sum.wrapping_add(*word);
                *integer += i64::from(word.cast_signed());
            }
        }
        if self.fault == Fault::WrongModulus {
            ring.iter_mut().for_each(|word| *word &= 0xff_ffff);
        }
        Ok(Round {
            decoded: decode(&ring, &self.encoding),
            uploads,
            integers,
        })
    }

    fn randomness(&self, round: u64, client: usize) -> ChaCha20Rng {
        match self.fault {
            Fault::RepeatedSeed => stream(self.seed, 0, Stream::Control(client)),
            Fault::SeedFromRound => stream(self.seed, round, Stream::Control(0)),
            _ => stream(self.seed, round, Stream::Control(client)),
        }
    }

    fn upload(
        &self,
        round: u64,
        client: usize,
        values: Vec<f32>,
    ) -> Result<Vec<u32>, PrivacyError> {
        let rng = &mut self.randomness(round, client);
        let encoding = &self.encoding;
        let noise = match self.fault {
            Fault::ForgottenCoordinate | Fault::ClippedAfterNoise => LocalNoise::Off,
            // One client may leave its noise out; here two more do.
            Fault::ForgottenShares if client + 2 >= self.survivors.honest => LocalNoise::Off,
            _ => self.noise,
        };
        let own = |rng: &mut ChaCha20Rng| {
            let mut drawn = vec![0; LENGTH];
            if let LocalNoise::DiscreteGaussian { variance } = self.noise {
                fill_discrete_gaussian(variance, &mut drawn, rng)?;
            }
            Ok::<_, PrivacyError>(drawn)
        };
        let mut values = Delta::new(values).into_values();
        if self.fault == Fault::ClippedAfterNoise {
            for (value, noise) in values.iter_mut().zip(own(rng)?) {
                *value += (noise as f64 / encoding.scale()) as f32;
            }
        }
        let share = NoiseShare::draw(&noise, LENGTH, rng)?;
        let quantised = quantise(clip(values, encoding.clip()), encoding, rng)?;
        let mut words = add_noise(quantised, share)?.into_words();
        if self.fault == Fault::ForgottenCoordinate {
            for (word, noise) in words.iter_mut().zip(own(rng)?).skip(1) {
                *word = word.wrapping_add(noise as u32);
            }
        }
        Ok(words)
    }

    /// The largest of the integer norms of so many roundings of the update that rounding changes most, squared, over the
    /// largest that the accountant reckons with. On a coarse grid, where rounding matters.
    pub fn largest_norm(&self, runs: Range<u64>) -> Result<f64, PrivacyError> {
        let encoding = Encoding::new(1.0, COARSE, LENGTH, 32)?;
        // Half a step in every coordinate, and the clip norm all the same.
        let values = vec![(1.0 / (LENGTH as f64).sqrt()) as f32; LENGTH];
        let mut largest = 0i64;
        for run in runs {
            let rng = &mut self.randomness(run, 0);
            let words: Vec<i64> = if self.fault == Fault::NormBeforeRounding {
                let round = |value: &f32| {
                    let exact = f64::from(*value) * COARSE;
                    (exact + rng.random::<f64>()).floor() as i64
                };
                values.iter().map(round).collect()
            } else {
                let quantised = quantise(clip(values.clone(), 1.0), &encoding, rng)?;
                let share = NoiseShare::draw(&LocalNoise::Off, LENGTH, rng)?;
                let words = add_noise(quantised, share)?.into_words();
                words
                    .into_iter()
                    .map(|word| i64::from(word.cast_signed()))
                    .collect()
            };
            largest = largest.max(words.iter().map(|word| word * word).sum());
        }
        Ok(largest as f64 / encoding.sensitivity().powi(2))
    }
}
