use serde::{Deserialize, Serialize};

use crate::PrivacyError;
use crate::rotation::{padded, unrotate};

/// log2 of the default grid steps per clip norm when noise is on (`privacy.md` 1.4).
const DEFAULT_STEPS: i32 = 16;
/// Standard deviations of noise that must fit beside the signal (`privacy.md` 1.3: k = 6, a wrap in 3e-8 of coordinates).
const DEVIATIONS: f64 = 6.0;
/// The bits of a sum. chorus-secagg adds in rings of 16, 20, 24 and 32; a sum of 18 bits travels in the ring of 20.
const RINGS: [u32; 5] = [16, 18, 20, 24, 32];
/// Most coordinates of one update.
pub const LARGEST_LENGTH: usize = 1 << 28;

/// How real numbers become integers of Z_2^bits: the same public numbers for every client of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawEncoding", into = "RawEncoding")]
pub struct Encoding {
    clip: f64,
    scale: f64,
    length: usize,
    bits: u32,
    rotation: Option<u64>,
}

/// The form on the wire and on disk, before it is checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEncoding {
    clip: f64,
    scale: f64,
    length: usize,
    bits: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotation: Option<u64>,
}

impl TryFrom<RawEncoding> for Encoding {
    type Error = PrivacyError;
    fn try_from(raw: RawEncoding) -> Result<Self, PrivacyError> {
        let plain = Encoding::new(raw.clip, raw.scale, raw.length, raw.bits)?;
        Ok(match raw.rotation {
            Some(seed) => plain.rotated(seed),
            None => plain,
        })
    }
}

impl From<Encoding> for RawEncoding {
    fn from(encoding: Encoding) -> Self {
        RawEncoding {
            clip: encoding.clip,
            scale: encoding.scale,
            length: encoding.length,
            bits: encoding.bits,
            rotation: encoding.rotation,
        }
    }
}

impl Encoding {
    /// `clip`: L2 norm of one update in parameter units. `scale`: grid steps per parameter unit. `length`: coordinates.
    /// `bits`: log2 of the modulus of the sum, one of 16, 18, 20, 24 and 32.
    ///
    /// # Errors
    /// Other `bits`, a clip that is not positive and finite, a length outside 1..=2^28, a scale with `scale x clip` outside
    /// (0, 2^(bits - 2)]: beyond that, the update of one client could wrap all alone.
    pub fn new(clip: f64, scale: f64, length: usize, bits: u32) -> Result<Self, PrivacyError> {
        if !RINGS.contains(&bits) {
            return Err(PrivacyError::Bits(bits));
        }
        if !(clip.is_finite() && clip > 0.0) {
            return Err(PrivacyError::Clip(clip));
        }
        if length == 0 || length > LARGEST_LENGTH {
            return Err(PrivacyError::Length(length));
        }
        let steps = scale * clip;
        if !(scale.is_finite() && scale > 0.0 && steps > 0.0 && steps <= most_steps(bits)) {
            return Err(PrivacyError::Scale { scale, clip, bits });
        }
        Ok(Self {
            clip,
            scale,
            length,
            bits,
            rotation: None,
        })
    }

    /// The same grid behind a randomised Hadamard rotation, which spreads every update evenly over its coordinates, so that a
    /// small ring holds a finer grid (compact mode; Kairouz, Liu, Steinke 2021, section 4).
    ///
    /// `seed`: of the signs, public and the same for every client of the sum. It matters for accuracy only.
    pub fn rotated(self, seed: u64) -> Self {
        Self {
            rotation: Some(seed),
            ..self
        }
    }

    /// The usual grid for a sum of `clients` updates in the ring of `bits` bits.
    ///
    /// `noise`: standard deviation of the noise in the sum when every client arrives, in units of the clip norm; 0 when noise
    /// is off. With noise, the scale is 2^16 / clip (rounding then adds a few millionths to the sensitivity), halved until
    /// the sum cannot wrap. Without noise it is the largest power of two with which the sum cannot wrap.
    ///
    /// In a small ring the grid is coarse: a grid so coarse that one client's share of the noise falls below
    /// [`MIN_VARIANCE`](crate::MIN_VARIANCE) is refused by [`LocalNoise::share`](crate::LocalNoise::share), not here.
    ///
    /// # Errors
    /// As [`Encoding::new`]; and when no grid of at least one step per clip norm can hold the sum.
    pub fn for_sum(
        clip: f64,
        length: usize,
        clients: usize,
        noise: f64,
        bits: u32,
    ) -> Result<Self, PrivacyError> {
        if !(noise.is_finite() && noise >= 0.0) {
            return Err(PrivacyError::NoiseMultiplier(noise));
        }
        Self::new(clip, 1.0 / clip, length, bits)?;
        let candidates: Vec<f64> = if noise > 0.0 {
            (0..=DEFAULT_STEPS)
                .rev()
                .map(|exponent| 2f64.powi(exponent) / clip)
                .collect()
        } else {
            let top = (most_steps(bits) / clip).log2().floor() as i32;
            (top - 30..=top)
                .rev()
                .map(|exponent| 2f64.powi(exponent))
                .collect()
        };
        candidates
            .into_iter()
            .filter_map(|scale| Self::new(clip, scale, length, bits).ok())
            .find(|encoding| encoding.cannot_wrap(clients, noise * encoding.sensitivity()))
            .ok_or(PrivacyError::Wraps { clients, bits })
    }

    /// [`Encoding::for_sum`] behind a rotation: the finest scale of 2^(i/16) / clip, at most 2^16 / clip, with which a coordinate
    /// of the sum wraps with a probability below 3e-8.
    ///
    /// # Errors
    /// As [`Encoding::for_sum`].
    pub fn for_rotated_sum(
        clip: f64,
        length: usize,
        clients: usize,
        noise: f64,
        bits: u32,
        seed: u64,
    ) -> Result<Self, PrivacyError> {
        if !(noise.is_finite() && noise >= 0.0) {
            return Err(PrivacyError::NoiseMultiplier(noise));
        }
        Self::new(clip, 1.0 / clip, length, bits)?;
        (0..=16 * DEFAULT_STEPS)
            .rev()
            .map(|sixteenths| (f64::from(sixteenths) / 16.0).exp2() / clip)
            .filter_map(|scale| Self::new(clip, scale, length, bits).ok())
            .map(|plain| plain.rotated(seed))
            .find(|encoding| encoding.cannot_wrap(clients, noise * encoding.sensitivity()))
            .ok_or(PrivacyError::Wraps { clients, bits })
    }

    /// L2 norm of one update before rounding, in parameter units.
    pub fn clip(&self) -> f64 {
        self.clip
    }

    /// Grid steps per parameter unit.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Coordinates of one update, as it is learned.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Coordinates of one update on the grid, as it is noised, masked and uploaded: its length, with a rotation the next power of
    /// two.
    pub fn words(&self) -> usize {
        match self.rotation {
            Some(_) => padded(self.length),
            None => self.length,
        }
    }

    /// The public seed of the rotation, if there is one.
    pub fn rotation(&self) -> Option<u64> {
        self.rotation
    }

    /// log2 of the modulus of the sum: 16, 18, 20, 24 or 32. What each client uploads for one coordinate, 20 for 18.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// D2^2: the largest sum of squares of an update on the grid.
    ///
    /// Kairouz, Liu, Steinke 2021 (arXiv 2102.06387), Theorem 1, with beta = e^(-1/2), as in `privacy.md` 1.3:
    /// min{ (s c + sqrt d)^2, s^2 c^2 + d/4 + sqrt(2 ln(1/beta)) (s c + sqrt(d)/2) }.
    fn squared_sensitivity(&self) -> f64 {
        let steps = self.scale * self.clip;
        let length = self.words() as f64;
        let certain = (steps + length.sqrt()).powi(2);
        let likely = steps * steps + length / 4.0 + (steps + length.sqrt() / 2.0);
        certain.min(likely)
    }

    /// D2: what one client can change in the sum at most, as an L2 norm in grid units. Enforced in integers by
    /// [`quantise`](crate::quantise); a little more than scale x clip because of rounding.
    pub fn sensitivity(&self) -> f64 {
        self.squared_sensitivity().sqrt()
    }

    /// D1: the same as an L1 norm, min{ sqrt(d) D2, D2^2 }, grid units.
    pub fn sensitivity_l1(&self) -> f64 {
        ((self.words() as f64).sqrt() * self.sensitivity()).min(self.squared_sensitivity())
    }

    /// floor(D2^2), the integer that the integer norm is compared with. Exact: below 2^62 by construction.
    pub(crate) fn norm_limit(&self) -> u128 {
        self.squared_sensitivity().floor() as u128
    }

    /// Whether the sum of `clients` updates stays within the ring for noise of up to 6 deviations (`privacy.md` 1.3).
    ///
    /// Without rotation for every signal: n (s c + 1) + 6 sigma <= 2^(bits - 1) - 1. With rotation for one that the rotation made
    /// flat: 12 sqrt(n^2 s^2 c^2 / d + n/4 + sigma^2) <= 2^bits.
    ///
    /// `deviation`: standard deviation of the noise in the whole sum in grid units (see
    /// [`LocalNoise::deviation_of_sum`](crate::LocalNoise::deviation_of_sum)), 0 without noise.
    /// A wrap would be a fault of accuracy, never of privacy.
    pub fn cannot_wrap(&self, clients: usize, deviation: f64) -> bool {
        self.room(clients, deviation) >= DEVIATIONS
    }

    /// Upper bound of the probability that a coordinate of the sum of `clients` updates wraps: 2 exp(-k^2 / 2) where k
    /// deviations fit into the ring (`privacy.md` 1.3). The same `deviation` as of [`Encoding::cannot_wrap`].
    pub fn wrap_probability(&self, clients: usize, deviation: f64) -> f64 {
        let room = self.room(clients, deviation).max(0.0);
        (2.0 * (-room * room / 2.0).exp()).min(1.0)
    }

    /// How many deviations of what is random in a coordinate of the sum fit into the ring: of the noise, with rotation of the
    /// signal too. Negative when not even the signal fits; infinite when nothing is random and it fits.
    fn room(&self, clients: usize, deviation: f64) -> f64 {
        let clients = clients as f64;
        let steps = self.scale * self.clip;
        if self.rotation.is_some() {
            let flat = (clients * steps).powi(2) / self.words() as f64;
            let spread = (flat + clients / 4.0 + deviation * deviation).sqrt();
            return f64::exp2(f64::from(self.bits) - 1.0) / spread;
        }
        let left = largest_sum(self.bits) - clients * (steps + 1.0);
        match deviation > 0.0 {
            true => left / deviation,
            false if left >= 0.0 => f64::INFINITY,
            false => f64::NEG_INFINITY,
        }
    }
}

/// The most grid steps per clip norm: a quarter of the ring, so that one update does not wrap, rounding included.
fn most_steps(bits: u32) -> f64 {
    f64::exp2(f64::from(bits) - 2.0)
}

/// The largest magnitude that a sum may have, whatever its sign, in the ring of `bits` bits.
fn largest_sum(bits: u32) -> f64 {
    f64::exp2(f64::from(bits) - 1.0) - 1.0
}

/// The sum in parameter units: the representative of each word between -2^(bits - 1) and 2^(bits - 1) - 1, over the scale.
///
/// A rotation is undone. `sum`: `[words]`, Z_2^bits; words beyond 2^bits are reduced first, so words of Z_2^32 may be given as well. It is
/// exact as long as the sum did not wrap ([`Encoding::cannot_wrap`]).
pub fn decode(sum: &[u32], encoding: &Encoding) -> Vec<f64> {
    // Shifted up, the ring's highest bit is the sign; the shift back down copies it.
    let above = u32::BITS - encoding.bits;
    let mut values: Vec<f64> = sum
        .iter()
        .map(|word| f64::from((word << above).cast_signed() >> above) / encoding.scale)
        .collect();
    if let Some(seed) = encoding.rotation {
        values.resize(encoding.words(), 0.0);
        unrotate(&mut values, seed);
        values.truncate(encoding.length);
    }
    values
}

#[cfg(test)]
mod tests;
