use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{MAX_VARIANCE, MIN_VARIANCE, NoiseShare, fill_discrete_gaussian};
use crate::accountant::Release;
use crate::{Encoding, PrivacyError};

/// Noise in layers, so that what the clients that vanish do not need is taken off again: exactly the planned variance is left,
/// whoever vanishes (XNoise of Dordis: Jiang, Wang, Chen, EuroSys 2024, arXiv 2209.12528, section 4; `privacy.md` 1.5).
///
/// With n clients of which at most T vanish and a target variance S for the sum, each client adds layer 0 of variance S / n and for
/// each j from 1 to T a layer of variance S / ((n - j)(n - j + 1)). When D vanish, the survivors' layers above D come off:
/// (n - D) x (S/n + the sum over j from 1 to D of S / ((n - j)(n - j + 1))) = S. All variances are integers here, rounded
/// up, so a few parts in a million more than S may be left, and never less.
///
/// # Who opens what
/// 1. Before the training each client draws its noise. Layer 0 is its own: what it is drawn from is never shown. Each layer j from 1
///    to T is drawn from a [`LayerSeed`], 32 bytes, secret and fresh for the round.
/// 2. Once the list of survivors is certified, and only for that list, with D = n - survivors, each survivor gives out its own
///    seeds of the layers above D, with its shares. Seeds up to D are never given out: what they make is the noise that protects
///    the sum. A list that claims more survivors than there are opens no sum, for the masks of those that sent nothing stay on.
/// 3. The coordinator calls [`LayeredNoise::removal`] for each survivor and subtracts. Both sides expand a seed with ChaCha20
///    and the same exact sampler, so what comes off is what was added, bit for bit.
///
/// Unlike there, the seeds are not shared among the neighbours: a client that vanishes between its upload and this answer
/// leaves its noise on, which costs accuracy and no privacy, and saves every client T more secrets to share. Seeds of 256 bits
/// cannot be guessed; the 32 bits of the artefact of that paper can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawLayeredNoise", into = "RawLayeredNoise")]
pub struct LayeredNoise {
    clients: usize,
    dropouts: usize,
    colluding: usize,
    variance: u64,
    target: u128,
}

/// Most layers that can come off: the coordinator draws each of them again for every survivor.
pub const MOST_LAYERS: usize = 64;

/// The form on the wire and on disk, before it is checked. The layers follow from the rest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLayeredNoise {
    clients: usize,
    dropouts: usize,
    colluding: usize,
    variance: u64,
}

impl TryFrom<RawLayeredNoise> for LayeredNoise {
    type Error = PrivacyError;
    fn try_from(raw: RawLayeredNoise) -> Result<Self, PrivacyError> {
        Self::new(raw.variance, raw.clients, raw.dropouts, raw.colluding)
    }
}

impl From<LayeredNoise> for RawLayeredNoise {
    fn from(noise: LayeredNoise) -> Self {
        Self {
            clients: noise.clients,
            dropouts: noise.dropouts,
            colluding: noise.colluding,
            variance: noise.variance,
        }
    }
}

/// What one layer of one client is drawn from: 256 bits, used for one layer of one round.
///
/// # Privacy
/// Who has it can take the layer off. It is never printed; its memory is wiped when it is dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct LayerSeed([u8; 32]);

impl LayerSeed {
    /// A seed that was given out.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to give out.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl LayeredNoise {
    /// Plans the layers.
    ///
    /// `variance`: of the honest noise that must be left in the sum, grid units squared. `clients`: n, invited. `dropouts`: T, most
    /// that vanish. `colluding`: most survivors that tell the coordinator their noise; for them the target is raised by
    /// t / (t - colluding) with t = n - T, so that the honest survivors alone leave `variance`.
    ///
    /// # Errors
    /// No honest client left; more than [`MOST_LAYERS`] that may vanish; a layer narrower than deviation 4 or wider than the
    /// sampler draws.
    pub fn new(
        variance: u64,
        clients: usize,
        dropouts: usize,
        colluding: usize,
    ) -> Result<Self, PrivacyError> {
        let fewest = clients.saturating_sub(dropouts);
        let honest = fewest.saturating_sub(colluding);
        if honest == 0 {
            return Err(PrivacyError::TooFewHonest {
                invited: clients,
                honest,
            });
        }
        if dropouts > MOST_LAYERS {
            return Err(PrivacyError::Layers(dropouts));
        }
        let noise = Self {
            clients,
            dropouts,
            colluding,
            variance,
            target: (u128::from(variance) * fewest as u128).div_ceil(honest as u128),
        };
        // Layer 0 and the narrowest and widest of the others bound them all.
        for layer in [0, 1, dropouts] {
            let narrow = noise.layer(layer);
            if layer <= dropouts && narrow < MIN_VARIANCE {
                return Err(PrivacyError::NoiseTooNarrow(narrow));
            }
            if layer <= dropouts && narrow > MAX_VARIANCE {
                return Err(PrivacyError::NoiseTooWide(narrow as f64));
            }
        }
        Ok(noise)
    }

    /// Variance of layer `j` of one client, at most u64::MAX, which no layer of a plan has.
    fn layer(&self, j: usize) -> u64 {
        let left = self.clients.saturating_sub(j) as u128;
        let parts = match j {
            0 => left,
            _ => left * (left + 1),
        };
        u64::try_from(self.target.div_ceil(parts.max(1))).unwrap_or(u64::MAX)
    }

    /// Clients of the sum, n.
    pub fn clients(&self) -> usize {
        self.clients
    }

    /// Most that may vanish, T: layers that can come off.
    pub fn dropouts(&self) -> usize {
        self.dropouts
    }

    /// Survivors that are taken to tell the coordinator their noise.
    pub fn colluding(&self) -> usize {
        self.colluding
    }

    /// Variance of each layer of one client, grid units squared: layer 0, which stays, and those that may come off.
    pub fn layers(&self) -> impl Iterator<Item = u64> + '_ {
        (0..=self.dropouts).map(|j| self.layer(j))
    }

    /// Variance of all that one client adds, grid units squared.
    pub fn added(&self) -> u64 {
        self.layers().sum()
    }

    /// Variance of what comes off for each survivor when `vanished` clients vanished, grid units squared.
    pub fn removed(&self, vanished: usize) -> u64 {
        self.layers().skip(vanished.saturating_add(1)).sum()
    }

    /// Variance of the noise in the sum after `vanished` clients vanished and the layers above came off, grid units squared; with
    /// `honest_only` of those survivors alone that do not collude. Nothing when more vanished than planned for.
    pub fn remaining(&self, vanished: usize, honest_only: bool) -> Option<u128> {
        if vanished > self.dropouts {
            return None;
        }
        let survivors = self.clients - vanished;
        let counted = match honest_only {
            true => survivors - self.colluding,
            false => survivors,
        };
        let kept = self.layers().take(vanished + 1).map(u128::from);
        Some(kept.sum::<u128>() * counted as u128)
    }

    /// Adds one client's noise of all layers to `share`, and keeps the seeds of the layers 1 to T in order.
    pub(super) fn draw<R: CryptoRng + ?Sized>(
        &self,
        share: &mut NoiseShare,
        rng: &mut R,
    ) -> Result<(), PrivacyError> {
        let mut drawn = Zeroizing::new(vec![0i64; share.length()]);
        fill_discrete_gaussian(self.layer(0), &mut drawn, rng)?;
        share.add(&drawn);
        for variance in self.layers().skip(1) {
            let mut seed = LayerSeed([0; 32]);
            rng.fill_bytes(&mut seed.0);
            expand(variance, &seed, &mut drawn)?;
            share.add(&drawn);
            share.keep(seed)?;
        }
        Ok(())
    }

    /// What comes off the sum for one survivor when `vanished` clients vanished: its layers above `vanished`, modulo 2^32. Subtract
    /// it with `wrapping_sub`.
    ///
    /// `opened`: the seeds of the layers `vanished` + 1 to T of this survivor, in order.
    ///
    /// # Errors
    /// More vanished than planned for; not exactly the seeds that come off.
    pub fn removal(
        &self,
        vanished: usize,
        opened: &[LayerSeed],
        words: usize,
    ) -> Result<Vec<u32>, PrivacyError> {
        let expected = self.dropouts.checked_sub(vanished);
        if expected != Some(opened.len()) {
            return Err(PrivacyError::LayerSeeds {
                vanished,
                planned: self.dropouts,
                found: opened.len(),
            });
        }
        let mut sum = vec![0u32; words];
        let mut drawn = Zeroizing::new(vec![0i64; words]);
        for (variance, seed) in self.layers().skip(vanished + 1).zip(opened) {
            expand(variance, seed, &mut drawn)?;
            for (word, noise) in sum.iter_mut().zip(drawn.iter()) {
                // Truncation is reduction modulo 2^32.
                *word = word.wrapping_add(*noise as u32);
            }
        }
        Ok(sum)
    }

    /// What one sum with this noise costs in the worst case that the plan allows: the least honest noise over all numbers of
    /// clients that may vanish.
    ///
    /// Shares here are sums of discrete Gaussians of unequal variances. Adding them one after the other, each step is off by at most
    /// 10 exp(-2 pi^2 / (1/V + 1/v)), V what is added so far and v the next (Kairouz, Liu, Steinke 2021, the step of Theorem
    /// 1); as both are at least the narrowest layer, that is at most 10 exp(-pi^2 x narrowest).
    pub fn release(&self, encoding: &Encoding) -> Release {
        let cases = (0..=self.dropouts).filter_map(|vanished| self.remaining(vanished, true));
        let least = cases.min().unwrap_or_default();
        let narrowest = self.layers().min().unwrap_or_default();
        let steps = self.clients as f64 * (self.dropouts + 1) as f64;
        let tau = 10.0 * steps * (-std::f64::consts::PI.powi(2) * narrowest as f64).exp();
        Release {
            noise_multiplier: (least as f64).sqrt() / encoding.sensitivity(),
            tau_times_length: tau * encoding.words() as f64,
            skellam: None,
        }
    }
}

fn expand(variance: u64, seed: &LayerSeed, out: &mut [i64]) -> Result<(), PrivacyError> {
    fill_discrete_gaussian(variance, out, &mut ChaCha20Rng::from_seed(seed.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LocalNoise, add_noise, clip, quantise};

    #[test]
    fn whoever_vanishes_the_target_is_left() {
        for (clients, dropouts, colluding) in [
            (10, 3, 0),
            (10, 3, 2),
            (100, 33, 10),
            (1000, 64, 100),
            (5, 0, 1),
        ] {
            let variance = 1u64 << 34;
            let noise = LayeredNoise::new(variance, clients, dropouts, colluding).unwrap();
            assert_eq!(noise.layers().count(), dropouts + 1);
            assert_eq!(noise.added(), noise.layers().sum::<u64>());
            for vanished in 0..=dropouts {
                let honest = noise.remaining(vanished, true).unwrap();
                assert!(honest >= u128::from(variance), "{clients} {vanished}");
                // Rounding up costs less than one unit a layer and client.
                let most = noise.remaining(vanished, false).unwrap() as f64;
                let fewest = (clients - dropouts) as f64;
                let target = variance as f64 * fewest / (fewest - colluding as f64);
                assert!(most <= target + 1.0 + (clients * (dropouts + 1)) as f64);
                // The control: one layer less is too little.
                if vanished > 0 && colluding == 0 {
                    let kept: u64 = noise.layers().take(vanished).sum();
                    assert_eq!(noise.added() - noise.removed(vanished - 1), kept);
                    assert!(
                        u128::from(kept) * ((clients - vanished) as u128) < u128::from(variance)
                    );
                }
            }
            assert_eq!(noise.remaining(dropouts + 1, true), None);
            let encoding = Encoding::new(1.0, 65536.0, 10, 32).unwrap();
            let release = noise.release(&encoding);
            assert!(release.noise_multiplier >= (variance as f64).sqrt() / encoding.sensitivity());
            assert!(release.tau_times_length < 1e-60);
        }
        assert!(LayeredNoise::new(1 << 34, 10, 8, 2).is_err());
        assert_eq!(
            LayeredNoise::new(1 << 34, 1000, 65, 0),
            Err(PrivacyError::Layers(65))
        );
        assert!(matches!(
            LayeredNoise::new(100, 10, 3, 0),
            Err(PrivacyError::NoiseTooNarrow(_))
        ));
        assert!(matches!(
            LayeredNoise::new(u64::MAX, 10, 3, 0),
            Err(PrivacyError::NoiseTooWide(_))
        ));
        let noise = LayeredNoise::new(1 << 30, 10, 3, 1).unwrap();
        let text = serde_json::to_string(&noise).unwrap();
        assert_eq!(serde_json::from_str::<LayeredNoise>(&text).unwrap(), noise);
        assert!(serde_json::from_str::<LayeredNoise>(&text.replace("10", "3")).is_err());
    }

    /// Ten clients, every number of vanished ones: what is left after the removal is bit for bit the layers up to D of the
    /// survivors, and as wide as planned.
    #[test]
    fn what_comes_off_is_what_was_added() {
        const WORDS: usize = 4000;
        let noise = LayeredNoise::new(1 << 30, 10, 3, 0).unwrap();
        let encoding = Encoding::new(1.0, 1024.0, WORDS, 32).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        let clients: Vec<(Vec<u32>, Vec<LayerSeed>)> = (0..10)
            .map(|_| {
                let layered = LocalNoise::Layered(noise);
                let share = NoiseShare::draw(&layered, WORDS, &mut rng).unwrap();
                let update = quantise(clip(vec![0.0; WORDS], 1.0), &encoding, &mut rng).unwrap();
                let noised = add_noise(update, share).unwrap();
                let kept = noised.seeds().iter();
                let seeds = kept.map(|seed| LayerSeed::from_bytes(*seed.as_bytes()));
                let seeds = seeds.collect();
                (noised.into_words(), seeds)
            })
            .collect();
        for vanished in 0..=3usize {
            let (mut sum, mut kept) = (vec![0u32; WORDS], vec![0u32; WORDS]);
            for (words, seeds) in &clients[vanished..] {
                let opened = |from: usize| -> Vec<LayerSeed> {
                    seeds[from..]
                        .iter()
                        .map(|seed| LayerSeed::from_bytes(*seed.as_bytes()))
                        .collect()
                };
                let removal = noise.removal(vanished, &opened(vanished), WORDS).unwrap();
                // The layers that stay: all of them off, and those up to D on again.
                let all = noise.removal(0, &opened(0), WORDS).unwrap();
                for position in 0..WORDS {
                    sum[position] = sum[position]
                        .wrapping_add(words[position])
                        .wrapping_sub(removal[position]);
                    let layer_0 = words[position].wrapping_sub(all[position]);
                    let stays = all[position].wrapping_sub(removal[position]);
                    kept[position] = kept[position].wrapping_add(layer_0).wrapping_add(stays);
                }
                assert!(noise.removal(vanished, &opened(0)[1..], WORDS).is_err() || vanished == 1);
                assert!(noise.removal(4, &[], WORDS).is_err());
            }
            assert_eq!(sum, kept);
            let variance = |words: &[u32]| {
                let squares = words
                    .iter()
                    .map(|word| f64::from(word.cast_signed()).powi(2));
                squares.sum::<f64>() / WORDS as f64 / f64::from(1u32 << 30)
            };
            let sigmas = 5.0 * (2.0 / WORDS as f64).sqrt();
            assert!((variance(&sum) - 1.0).abs() < sigmas, "{}", variance(&sum));
            // The control: without the removal there is visibly more.
            let mut raw = vec![0u32; WORDS];
            for (words, _) in &clients {
                raw.iter_mut()
                    .zip(words)
                    .for_each(|(raw, word)| *raw = raw.wrapping_add(*word));
            }
            assert!(variance(&raw) > 1.0 + 2.0 * sigmas);
        }
    }
}
