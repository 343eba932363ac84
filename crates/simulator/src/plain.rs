//! A round without masks: the same encodings, added without hiding them. The sum has the same bits.

use std::sync::atomic::{AtomicUsize, Ordering};

use chorus_data::Dataset;
use chorus_model::Trainer;
use chorus_privacy::{
    LayerSeed, LocalNoise, MAX_VARIANCE, NoisedUpdate, PrivacyError, fill_discrete_gaussian,
};
use chorus_protocol::{Digest, Encoded, Funnel, Phase, RoundPlan, contribute, encode, noise_share};
use chorus_secagg::Ring;
use multiversion::multiversion;
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use crate::company::ANOTHER_MODEL;
use crate::draw::{Leaving, Stream, stream};
use crate::malice::Attackers;
use crate::{Company, Farewell, SimulateError};

/// What a round gives, however it was driven.
pub(crate) struct Summed {
    /// The modular sum of the encodings of all whose update arrived.
    pub sum: Vec<u32>,
    /// How many they are.
    pub clients: usize,
    /// How far everyone came.
    pub funnel: Funnel,
    /// How many of the contributions in the sum were cut down to the bound.
    pub clipped: usize,
    /// True when the sum is that of the encodings, bit for bit and without wrapping.
    pub exact: bool,
    /// One client's upload as the coordinator got it, four bytes a word; nothing without masks.
    pub upload: Option<Vec<u32>>,
}

impl Summed {
    /// Of nobody.
    pub fn none() -> Self {
        Self {
            sum: Vec::new(),
            clients: 0,
            funnel: Funnel::default(),
            clipped: 0,
            exact: true,
            upload: None,
        }
    }
}

/// A client of one round.
pub(crate) struct Member {
    /// Which user of the data.
    pub user: usize,
    /// How it leaves the round, if it does.
    pub leaves: Option<Leaving>,
}

impl Member {
    /// One that stays.
    pub fn here(user: usize) -> Self {
        Self { user, leaves: None }
    }

    /// Whether its update is in the sum.
    pub fn uploads(&self) -> bool {
        match self.leaves {
            None => true,
            Some(Leaving::Before(phase)) => phase > Phase::Uploading,
            Some(Leaving::Late) => false,
        }
    }
}

/// A round and what its clients learn from.
pub(crate) struct Scene<'a> {
    pub plan: &'a RoundPlan,
    pub members: &'a [Member],
    pub dataset: &'a Dataset,
    pub trainer: &'a dyn Trainer,
    pub attackers: Option<&'a Attackers>,
    pub seed: u64,
}

impl Scene<'_> {
    /// The randomness of one client in this round.
    pub fn randomness(&self, user: usize) -> ChaCha20Rng {
        stream(self.seed, self.plan.round.0, Stream::Client(user))
    }

    /// What one client does with its history: select, learn, clip, quantise, noise.
    pub fn contribute(&self, user: usize, rng: &mut ChaCha20Rng) -> Result<Encoded, SimulateError> {
        let share = noise_share(self.plan, rng)?;
        let history = self.dataset.training_set(user);
        let delta = contribute(self.trainer, self.plan, &history, rng)?;
        Ok(encode(delta, self.plan, share, rng)?)
    }

    /// What one client sends, honest or not, and how often the sum holds it.
    fn sent(&self, user: usize) -> Result<(Encoded, i32), SimulateError> {
        let mut rng = self.randomness(user);
        let step = self.plan.step;
        match self.attackers.filter(|them| them.attack(user, step)) {
            Some(attackers) => attackers.contribute(self, user, &mut rng),
            None => Ok((self.contribute(user, &mut rng)?, 1)),
        }
    }

    /// The layers of the noise in one client's update that come off the sum, `[length]`; empty where none do.
    pub fn removal(&self, update: &NoisedUpdate) -> Result<Vec<u32>, SimulateError> {
        let LocalNoise::Layered(noise) = self.plan.noise else {
            return Ok(Vec::new());
        };
        let survivors = self.members.iter().filter(|member| member.uploads());
        let vanished = self.plan.vanished(survivors.count());
        let surplus = update.seeds().iter().skip(vanished);
        let opened: Vec<LayerSeed> = surplus
            .map(|seed| LayerSeed::from_bytes(*seed.as_bytes()))
            .collect();
        Ok(noise.removal(vanished, &opened, update.length())?)
    }

    /// What all processes of a company have to agree on: the plan, which names the model, and the clients.
    fn digest(&self) -> Digest {
        // A plan is numbers and names: JSON holds all of it.
        let plan = serde_json::to_vec(self.plan).unwrap_or_default();
        let members = self.members.iter();
        let members = members.flat_map(|member| (member.user as u64).to_le_bytes());
        Digest::of_parts(
            "round of a company",
            &[&plan, &members.collect::<Vec<u8>>()],
        )
    }

    /// How far everyone came, when nothing but vanishing stops anyone.
    fn funnel(&self) -> Funnel {
        let still_there = |phase: Phase| {
            let is_there = |member: &&Member| match member.leaves {
                None => true,
                Some(Leaving::Before(before)) => before > phase,
                Some(Leaving::Late) => phase < Phase::Uploading,
            };
            self.members.iter().filter(is_there).count()
        };
        Funnel {
            invited: self.members.len(),
            advertised: still_there(Phase::Advertising),
            shared: still_there(Phase::Sharing),
            confirmed: still_there(Phase::Confirming),
            uploaded: still_there(Phase::Uploading),
            unmasked: still_there(Phase::Unmasking),
        }
    }
}

/// The sum of encodings in integers that cannot wrap; the coordinator has it reduced to its ring.
pub(crate) struct Tally {
    ring: Ring,
    sums: Vec<i64>,
    clipped: usize,
}

impl Tally {
    pub fn new(ring: Ring, length: usize) -> Self {
        Self {
            ring,
            sums: vec![0; length],
            clipped: 0,
        }
    }

    /// Adds one client's encoded update.
    pub fn add(&mut self, update: &NoisedUpdate, clipped: bool) {
        self.add_times(update, 1, clipped);
    }

    /// Adds it so many times.
    pub fn add_times(&mut self, update: &NoisedUpdate, times: i32, clipped: bool) {
        add_all(&mut self.sums, update.stretches(), times);
        self.clipped += usize::from(clipped);
    }

    /// Takes noise off again, `[length]` or nothing.
    pub fn take_off(&mut self, noise: &[u32]) {
        add_all(&mut self.sums, std::iter::once((0, noise)), -1);
    }

    /// The tally of both.
    pub fn merge(mut self, other: Tally) -> Tally {
        for (sum, other) in self.sums.iter_mut().zip(&other.sums) {
            *sum += other;
        }
        self.clipped += other.clipped;
        self
    }

    /// True when lifting the modular sum gives the sum in integers: nothing wrapped.
    pub fn is_exact(&self) -> bool {
        // The top bit of the ring's values is the sign: moved to the top of the word and back, it fills the rest.
        let spare = 32 - self.ring.bits();
        let lift = |sum: i64| i64::from(((sum as u32) << spare).cast_signed() >> spare);
        self.sums.iter().all(|sum| lift(*sum) == *sum)
    }

    /// The sum in the ring. Truncation to 32 bits is reduction modulo 2^32, of which every ring is a quotient.
    pub fn words(&self) -> Vec<u32> {
        let reduce = |sum: &i64| self.ring.reduce(*sum as u32);
        self.sums.iter().map(reduce).collect()
    }

    pub fn clipped(&self) -> usize {
        self.clipped
    }

    /// The tally over all processes of a company, of the round that `deed` is the digest of.
    fn shared(&mut self, company: &dyn Company, deed: Digest) -> Result<(), Farewell> {
        // Behind the sums, so that both travel at once.
        self.sums.reserve_exact(1);
        self.sums.push(self.clipped as i64);
        company.add_up(deed, &mut self.sums, ANOTHER_MODEL)?;
        self.clipped = self.sums.pop().unwrap_or_default() as usize;
        Ok(())
    }
}

/// Adds every stretch so many times where it stands.
#[allow(
    unsafe_code,
    reason = "calls what was built for a processor that it asked for; see scripts/bench-peers"
)]
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn add_all<'a>(sums: &mut [i64], stretches: impl Iterator<Item = (usize, &'a [u32])>, times: i32) {
    for (first, words) in stretches {
        let sums = sums.get_mut(first..).unwrap_or_default();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum += i64::from(word.cast_signed()) * i64::from(times);
        }
    }
}

/// Clients between two reports of progress.
const BATCH: usize = 1_024;

/// Who draws the noise of a round.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Drawn {
    /// Every client its own share.
    EachItsShare,
    /// All shares in one piece.
    AtOnce,
    /// One party, as much as the bound needs of however few honest clients.
    ByOne,
}

/// Runs the round, of which this process of the company has its share of the clients learn. `learned` hears how many of how many clients
/// are done.
pub(crate) fn run(
    scene: &Scene<'_>,
    drawn: Drawn,
    company: &dyn Company,
    learned: &mut dyn FnMut(usize, usize),
) -> Result<Summed, SimulateError> {
    // Other laws and layers are drawn client by client.
    if matches!(scene.plan.noise, LocalNoise::DiscreteGaussian { .. }) {
        let honest = scene.plan.survivors.honest;
        match drawn {
            Drawn::EachItsShare => {}
            Drawn::AtOnce => return with_noise_at_once(scene, None, company, learned),
            Drawn::ByOne => return with_noise_at_once(scene, Some(honest), company, learned),
        }
    }
    let survivors: Vec<usize> = scene
        .members
        .iter()
        .filter(|member| member.uploads())
        .map(|member| member.user)
        .collect();
    let own = survivors
        .iter()
        .skip(company.rank())
        .step_by(company.size());
    let own: Vec<usize> = own.copied().collect();
    let length = scene.plan.encoding.words();
    let threads = rayon::current_num_threads().max(1);
    let ring = scene.plan.ring();
    let mut parts: Vec<Tally> = Vec::new();
    parts.resize_with(threads, || Tally::new(ring, length));
    let mut done = 0;
    for batch in own.chunks(BATCH) {
        // Sums of integers: which thread takes which clients changes no bit.
        let next = AtomicUsize::new(0);
        parts.par_iter_mut().try_for_each(|part| {
            while let Some(user) = batch.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (encoded, times) = scene.sent(*user)?;
                part.add_times(&encoded.update, times, encoded.clipped);
                part.take_off(&scene.removal(&encoded.update)?);
            }
            Ok::<_, SimulateError>(())
        })?;
        done += batch.len();
        learned(done, own.len());
    }
    let none = Tally::new(ring, length);
    let mut tally = parts.into_iter().reduce(Tally::merge).unwrap_or(none);
    if company.size() > 1 {
        tally.shared(company, scene.digest())?;
    }
    let exact = tally.is_exact();
    Ok(Summed {
        clients: survivors.len(),
        funnel: scene.funnel(),
        clipped: tally.clipped,
        exact,
        upload: None,
        sum: tally.words(),
    })
}

/// The same clients without noise, and one draw for the noise of them all, or of so many: a sum of n discrete Gaussians of variance v is
/// one of variance n v to within tau (Kairouz, Liu, Steinke 2021, Theorem 1).
fn with_noise_at_once(
    scene: &Scene<'_>,
    shares: Option<usize>,
    company: &dyn Company,
    learned: &mut dyn FnMut(usize, usize),
) -> Result<Summed, SimulateError> {
    let quiet = RoundPlan {
        noise: LocalNoise::Off,
        ..scene.plan.clone()
    };
    let quiet = Scene {
        plan: &quiet,
        ..*scene
    };
    let mut summed = run(&quiet, Drawn::EachItsShare, company, learned)?;
    if let LocalNoise::DiscreteGaussian { variance } = scene.plan.noise {
        let mut rng = stream(scene.seed, scene.plan.round.0, Stream::Noise);
        let length = scene.plan.encoding.length();
        let shares = shares.unwrap_or(summed.clients);
        let drawn = noise(length, variance, shares, &mut rng)?;
        let ring = scene.plan.ring();
        for (word, noise) in summed.sum.iter_mut().zip(drawn) {
            // Truncation to 32 bits is reduction modulo 2^32, of which every ring is a quotient.
            *word = ring.reduce(word.wrapping_add(noise as u32));
        }
    }
    Ok(summed)
}

/// `clients` shares of `variance`, added up, `[length]`: in as few draws a coordinate as the exact sampler can make.
fn noise(
    length: usize,
    variance: u64,
    clients: usize,
    rng: &mut ChaCha20Rng,
) -> Result<Vec<i64>, PrivacyError> {
    let most = (MAX_VARIANCE / variance.max(1)).max(1);
    let mut total = vec![0i64; length];
    let mut drawn = total.clone();
    let mut left = clients as u64;
    while left > 0 {
        let now = left.min(most);
        fill_discrete_gaussian(now * variance, &mut drawn, rng)?;
        for (total, drawn) in total.iter_mut().zip(&drawn) {
            *total += drawn;
        }
        left -= now;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chi-square with 4,000 degrees of freedom: five deviations are 11 %.
    #[test]
    fn noise_at_once_has_the_variance_of_all_shares() {
        let mut rng = stream(1, 1, Stream::Noise);
        for (variance, clients) in [(16, 1), (16, 900), (1 << 44, 10), (MAX_VARIANCE, 3)] {
            let drawn = noise(4_000, variance, clients, &mut rng).unwrap();
            let squares: f64 = drawn.iter().map(|value| (*value as f64).powi(2)).sum();
            let ratio = squares / 4_000.0 / (variance as f64 * clients as f64);
            assert!(
                (ratio - 1.0).abs() < 0.11,
                "{variance} x {clients}: {ratio}"
            );
        }
        assert_eq!(noise(3, 16, 0, &mut rng).unwrap(), [0; 3]);
    }

    #[test]
    fn a_tally_notices_a_sum_that_wraps() {
        let mut tally = Tally::new(Ring::Bits32, 2);
        add_all(
            &mut tally.sums,
            std::iter::once((0, &[i32::MAX.cast_unsigned(), (-5i32).cast_unsigned()][..])),
            1,
        );
        assert!(tally.is_exact());
        add_all(&mut tally.sums, std::iter::once((1, &[6][..])), -1);
        assert!(tally.is_exact());
        assert_eq!(tally.words()[1].cast_signed(), -11);
        let mut other = Tally::new(Ring::Bits32, 2);
        add_all(&mut other.sums, std::iter::once((0, &[1][..])), 1);
        let wrapped = tally.merge(other);
        assert!(!wrapped.is_exact());
        let mut narrow = Tally::new(Ring::Bits16, 1);
        add_all(
            &mut narrow.sums,
            std::iter::once((0, &[(-0x7fffi32).cast_unsigned()][..])),
            1,
        );
        assert!(narrow.is_exact());
        assert_eq!(narrow.words(), [0x8001]);
        add_all(
            &mut narrow.sums,
            std::iter::once((0, &[(-2i32).cast_unsigned()][..])),
            1,
        );
        assert!(!narrow.is_exact());
        assert_eq!(wrapped.words()[0].cast_signed(), i32::MIN);
    }
}
