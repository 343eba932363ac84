use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{LayerSeed, LocalNoise, MOST_LAYERS, fill_discrete_gaussian, fill_skellam};
use crate::update::Places;
use crate::{PrivacyError, QuantisedUpdate};

/// One client's share of the noise of one sum, drawn ahead of the update that it will be added to.
///
/// Exact samplers leak the size of what they draw through time, up to 99.65 % of it (Jin et al., arXiv 2112.05307). So the whole
/// vector is drawn in one call before the training starts, on the schedule of the round: when it is ready depends on nobody's
/// data, and when the upload comes says nothing about the noise.
///
/// Neither `Clone` nor `Debug` nor serialisable: [`add_noise`] consumes it, so no noise is ever used twice.
///
/// ```compile_fail
/// fn twice(share: chorus_privacy::NoiseShare) { let _copy = share.clone(); }
/// ```
///
/// ```compile_fail
/// fn shown(share: chorus_privacy::NoiseShare) { println!("{share:?}"); }
/// ```
///
/// # Privacy
/// Who knows it can take it off. It stays on the client; its memory is wiped when it is dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct NoiseShare {
    length: usize,
    /// `[length]`; none without noise.
    words: Vec<u32>,
    seeds: Vec<LayerSeed>,
}

impl NoiseShare {
    /// Draws `noise` for the `words` coordinates of one update ([`Encoding::words`](crate::Encoding::words)); nothing when noise is
    /// off.
    ///
    /// # Errors
    /// Noise that cannot be drawn or accounted for ([`LocalNoise::check`]); a generator that repeats itself. Nothing may be
    /// uploaded then.
    ///
    /// # Privacy
    /// `rng` must be a cryptographic generator that nobody else can predict and that never runs twice from one seed.
    pub fn draw<R: CryptoRng + ?Sized>(
        noise: &LocalNoise,
        words: usize,
        rng: &mut R,
    ) -> Result<Self, PrivacyError> {
        noise.check()?;
        let mut share = Self {
            length: words,
            words: Vec::new(),
            // A vector that grows leaves secrets behind in the memory that it grew out of.
            seeds: Vec::with_capacity(MOST_LAYERS),
        };
        if matches!(noise, LocalNoise::Off) {
            return Ok(share);
        }
        share.words = vec![0; words];
        let mut drawn = Zeroizing::new(vec![0i64; words]);
        match *noise {
            LocalNoise::Off => {}
            LocalNoise::Layered(layers) => {
                layers.draw(&mut share, rng)?;
                return Ok(share);
            }
            LocalNoise::DiscreteGaussian { variance } => {
                fill_discrete_gaussian(variance, &mut drawn, rng)?;
            }
            LocalNoise::Skellam { variance } => fill_skellam(variance, &mut drawn, rng)?,
        }
        share.add(&drawn);
        Ok(share)
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Keeps what one more layer was drawn from.
    pub(super) fn keep(&mut self, seed: LayerSeed) -> Result<(), PrivacyError> {
        if self
            .seeds
            .iter()
            .any(|known| known.as_bytes() == seed.as_bytes())
        {
            return Err(PrivacyError::BrokenRandomness);
        }
        self.seeds.push(seed);
        Ok(())
    }

    /// Adds more, modulo 2^32. `drawn`: as many as there are words.
    pub(super) fn add(&mut self, drawn: &[i64]) {
        for (word, noise) in self.words.iter_mut().zip(drawn) {
            // Truncation to 32 bits is reduction modulo 2^32: that is the ring of the masks.
            *word = word.wrapping_add(*noise as u32);
        }
    }
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
    places: Places,
    seeds: Vec<LayerSeed>,
}

impl NoisedUpdate {
    /// How many words it has, zeros included.
    pub fn length(&self) -> usize {
        self.places.length()
    }

    /// The words that are not known to be zero, Z_2^32, a stretch at a time beside the place of its first word: with noise all of
    /// them in one, without it what the person touched.
    pub fn stretches(&self) -> impl Iterator<Item = (usize, &[u32])> {
        self.places.over(&self.words)
    }

    /// What the layers of the noise that may come off were drawn from, in order; none of other noise. The client keeps them until
    /// it knows how many vanished.
    pub fn seeds(&self) -> &[LayerSeed] {
        &self.seeds
    }

    /// Gives the words to the mask, `[length]`, and ends this form of them.
    pub fn into_words(mut self) -> Vec<u32> {
        match self.words.len() == self.length() {
            true => std::mem::take(&mut self.words),
            false => self.places.spread(&self.words, self.length()),
        }
    }
}

/// Adds this client's share of the noise and reduces modulo 2^32 (`privacy.md` 1.2 steps 5 and 6).
///
/// # Errors
/// A share of another length than the update's: it was drawn for another round. Nothing may be uploaded then.
pub fn add_noise(
    update: QuantisedUpdate,
    mut share: NoiseShare,
) -> Result<NoisedUpdate, PrivacyError> {
    let (expected, found) = (update.length(), share.length);
    if found != expected {
        return Err(PrivacyError::ShareLength { expected, found });
    }
    let (values, places) = update.into_parts();
    let seeds = std::mem::take(&mut share.seeds);
    if share.words.is_empty() {
        // In the same memory: nothing is left behind.
        let words = values.into_iter().map(i32::cast_unsigned).collect();
        return Ok(NoisedUpdate {
            words,
            places,
            seeds,
        });
    }
    let values = Zeroizing::new(values);
    for (first, values) in places.over(&values) {
        let words = share.words.iter_mut().skip(first);
        for (word, value) in words.zip(values) {
            *word = word.wrapping_add(value.cast_unsigned());
        }
    }
    Ok(NoisedUpdate {
        words: std::mem::take(&mut share.words),
        places: Places::all(expected),
        seeds,
    })
}
