use serde::{Deserialize, Serialize};

use crate::PrivacyError;

/// log2 of the default grid steps per clip norm when noise is on (`privacy.md` 1.4).
const DEFAULT_STEPS: i32 = 16;
/// Standard deviations of noise that must fit beside the signal (`privacy.md` 1.3: k = 6, a wrap in 3e-8 of coordinates).
const DEVIATIONS: f64 = 6.0;
/// The rings Z_2^bits in which chorus-secagg can add.
const RINGS: [u32; 4] = [16, 20, 24, 32];
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
}

/// The form on the wire and on disk, before it is checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEncoding {
    clip: f64,
    scale: f64,
    length: usize,
    bits: u32,
}

impl TryFrom<RawEncoding> for Encoding {
    type Error = PrivacyError;
    fn try_from(raw: RawEncoding) -> Result<Self, PrivacyError> {
        Encoding::new(raw.clip, raw.scale, raw.length, raw.bits)
    }
}

impl From<Encoding> for RawEncoding {
    fn from(encoding: Encoding) -> Self {
        RawEncoding {
            clip: encoding.clip,
            scale: encoding.scale,
            length: encoding.length,
            bits: encoding.bits,
        }
    }
}

impl Encoding {
    /// `clip`: L2 norm of one update in parameter units. `scale`: grid steps per parameter unit. `length`: coordinates.
    /// `bits`: log2 of the ring in which the sum is taken, one of 16, 20, 24 and 32.
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
        })
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

    /// L2 norm of one update before rounding, in parameter units.
    pub fn clip(&self) -> f64 {
        self.clip
    }

    /// Grid steps per parameter unit.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Coordinates of one update.
    pub fn length(&self) -> usize {
        self.length
    }

    /// log2 of the ring in which the sum is taken: 16, 20, 24 or 32. What each client uploads for one coordinate.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// D2^2: the largest sum of squares of an update on the grid.
    ///
    /// Kairouz, Liu, Steinke 2021 (arXiv 2102.06387), Theorem 1, with beta = e^(-1/2), as in `privacy.md` 1.3:
    /// min{ (s c + sqrt d)^2, s^2 c^2 + d/4 + sqrt(2 ln(1/beta)) (s c + sqrt(d)/2) }.
    fn squared_sensitivity(&self) -> f64 {
        let steps = self.scale * self.clip;
        let length = self.length as f64;
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
        ((self.length as f64).sqrt() * self.sensitivity()).min(self.squared_sensitivity())
    }

    /// floor(D2^2), the integer that the integer norm is compared with. Exact: below 2^62 by construction.
    pub(crate) fn norm_limit(&self) -> u128 {
        self.squared_sensitivity().floor() as u128
    }

    /// Whether the sum of `clients` updates stays within the ring for every signal and for noise of up to 6 deviations:
    /// n (s c + 1) + 6 sigma <= 2^(bits - 1) - 1 (`privacy.md` 1.3).
    ///
    /// `deviation`: standard deviation of the noise in the whole sum in grid units (see
    /// [`LocalNoise::deviation_of_sum`](crate::LocalNoise::deviation_of_sum)), 0 without noise.
    /// A wrap would be a fault of accuracy, never of privacy.
    pub fn cannot_wrap(&self, clients: usize, deviation: f64) -> bool {
        clients as f64 * (self.scale * self.clip + 1.0) + DEVIATIONS * deviation
            <= largest_sum(self.bits)
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
/// `sum`: `[length]`, Z_2^bits; words beyond 2^bits are reduced first, so words of Z_2^32 may be given as well. It is
/// exact as long as the sum did not wrap ([`Encoding::cannot_wrap`]).
pub fn decode(sum: &[u32], encoding: &Encoding) -> Vec<f64> {
    // Shifted up, the ring's highest bit is the sign; the shift back down copies it.
    let above = u32::BITS - encoding.bits;
    sum.iter()
        .map(|word| f64::from((word << above).cast_signed() >> above) / encoding.scale)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_grids() {
        let noisy = Encoding::for_sum(0.3, 1000, 1000, 2.0, 32).unwrap();
        assert_eq!(noisy.scale(), 65536.0 / 0.3);
        assert!(noisy.sensitivity() / 65536.0 < 1.0 + 1e-5);
        // 32,000 clients are the documented limit of 2^16 steps; above, the grid gets coarser instead of wrapping.
        assert_eq!(
            Encoding::for_sum(1.0, 10, 32_000, 1.0, 32).unwrap().scale(),
            65536.0
        );
        assert_eq!(
            Encoding::for_sum(1.0, 10, 40_000, 1.0, 32).unwrap().scale(),
            32768.0
        );
        let quiet = Encoding::for_sum(1.0, 1000, 1000, 0.0, 32).unwrap();
        assert_eq!(quiet.scale(), 2_097_152.0);
        assert!(quiet.cannot_wrap(1000, 0.0));
        assert!(
            !Encoding::new(1.0, 2.0 * quiet.scale(), 1000, 32)
                .unwrap()
                .cannot_wrap(1000, 0.0)
        );
        assert_eq!(
            Encoding::for_sum(1e-3, 10, 2, 0.0, 32)
                .unwrap()
                .scale()
                .log2()
                .fract(),
            0.0
        );
        assert_eq!(
            Encoding::for_sum(1.0, 10, 1 << 31, 1.0, 32),
            Err(PrivacyError::Wraps {
                clients: 1 << 31,
                bits: 32
            })
        );
    }

    #[test]
    fn smaller_rings_have_coarser_grids() {
        // Without noise: 1000 (s c + 1) <= 2^(bits - 1) - 1, s a power of two.
        for (bits, scale) in [(16, 16.0), (20, 512.0), (24, 8192.0), (32, 2_097_152.0)] {
            let quiet = Encoding::for_sum(1.0, 1000, 1000, 0.0, bits).unwrap();
            assert_eq!((quiet.bits(), quiet.scale()), (bits, scale));
            assert!(quiet.cannot_wrap(1000, 0.0));
            let finer = Encoding::new(1.0, 2.0 * scale, 1000, bits).unwrap();
            assert!(!finer.cannot_wrap(1000, 0.0));
            // The widest sum that cannot wrap is given back, its neighbour has the other sign.
            let largest = (1_u32 << (bits - 1)) - 1;
            let found = decode(&[largest, largest + 1], &quiet);
            assert!(found[0] > 0.0 && found[1] < 0.0);
        }
        assert_eq!(
            Encoding::for_sum(1.0, 10, 40_000, 0.0, 16),
            Err(PrivacyError::Wraps {
                clients: 40_000,
                bits: 16
            })
        );
    }

    #[test]
    fn the_readme_prints_the_computed_grids() {
        let readme = include_str!("../README.md");
        for bits in RINGS {
            let steps = [100, 1000, 10_000].map(|clients| {
                let quiet = Encoding::for_sum(1.0, 1, clients, 0.0, bits).unwrap();
                quiet.scale().to_string()
            });
            let row = format!("| {bits} | {} |", steps.join(" | "));
            assert!(readme.replace(',', "").contains(&row), "{row}");
        }
    }

    /// The README's figures for a million coordinates, 1,000 clients and noise of about 1.1 clip norms.
    #[test]
    fn what_small_rings_cost_with_noise() {
        let grid = |bits| Encoding::for_sum(1.0, 1_000_000, 1000, 1.1, bits).unwrap();
        let inflation = |encoding: Encoding| encoding.sensitivity() / encoding.scale();
        assert_eq!((grid(24).scale(), grid(20).scale()), (8192.0, 512.0));
        assert!((inflation(grid(24)) - 1.002).abs() < 5e-4);
        assert!((inflation(grid(20)) - 1.4).abs() < 0.05);
        assert!(inflation(grid(32)) < 1.0001);
        let plan = crate::survivors(1000, 0.3, 0.1).unwrap();
        let few = Encoding::for_sum(1.0, 10, 1000, 1.1, 16).unwrap();
        assert!(matches!(
            crate::LocalNoise::share(1.1, &few, &plan),
            Err(PrivacyError::NoiseTooNarrow(_))
        ));
    }

    #[test]
    fn impossible_grids_are_refused() {
        for clip in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(
                Encoding::new(clip, 1.0, 1, 32),
                Err(PrivacyError::Clip(_))
            ));
            assert!(matches!(
                Encoding::for_sum(clip, 1, 1, 1.0, 32),
                Err(PrivacyError::Clip(_))
            ));
        }
        for bits in [0, 1, 8, 12, 17, 31, 33, 64, u32::MAX] {
            assert_eq!(
                Encoding::new(1.0, 1.0, 1, bits),
                Err(PrivacyError::Bits(bits))
            );
            assert_eq!(
                Encoding::for_sum(1.0, 1, 1, 1.0, bits),
                Err(PrivacyError::Bits(bits))
            );
        }
        for bits in [16, 20, 24, 32] {
            let most = 2f64.powi(bits as i32 - 2);
            assert!(Encoding::new(0.5, 2.0 * most, 1, bits).is_ok());
            assert!(Encoding::new(0.5, 2.1 * most, 1, bits).is_err());
        }
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, 2f64.powi(31)] {
            assert!(matches!(
                Encoding::new(1.0, scale, 1, 32),
                Err(PrivacyError::Scale { .. })
            ));
        }
        assert_eq!(Encoding::new(1.0, 1.0, 0, 32), Err(PrivacyError::Length(0)));
        assert!(Encoding::for_sum(1.0, 1, 1, f64::NAN, 32).is_err());
    }

    #[test]
    fn reading_checks_as_much_as_making() {
        let encoding = Encoding::new(0.5, 1024.0, 7, 32).unwrap();
        let text = serde_json::to_string(&encoding).unwrap();
        assert_eq!(serde_json::from_str::<Encoding>(&text).unwrap(), encoding);
        assert!(text.contains(r#""bits":32"#), "{text}");
        for (text, reason) in [
            (
                r#"{"clip":-1.0,"scale":1.0,"length":7,"bits":32}"#,
                "clip is -1",
            ),
            (
                r#"{"clip":1.0,"scale":1.0,"length":7,"bits":17}"#,
                "bits is 17",
            ),
            (
                r#"{"clip":1.0,"scale":1.0,"length":7,"bits":-16}"#,
                "invalid value",
            ),
            (
                r#"{"clip":1.0,"scale":1.0,"length":7}"#,
                "missing field `bits`",
            ),
        ] {
            let refused = serde_json::from_str::<Encoding>(text).unwrap_err();
            assert!(refused.to_string().contains(reason), "{refused}");
        }
    }

    #[test]
    fn decoding_takes_the_centred_representative() {
        let encoding = Encoding::new(1.0, 4.0, 4, 32).unwrap();
        assert_eq!(
            decode(&[1, u32::MAX, 1 << 31, (1 << 31) - 1], &encoding),
            [0.25, -0.25, -536_870_912.0, 536_870_911.75]
        );
        let small = Encoding::new(1.0, 1.0, 5, 20).unwrap();
        assert_eq!(
            decode(&[0, 0x7_ffff, 0x8_0000, 0xf_ffff, 0xabc0_0001], &small),
            [0.0, 524_287.0, -524_288.0, -1.0, 1.0]
        );
    }
}
