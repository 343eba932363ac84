//! The middle of the one-way road: what every client does to a delta before the mask, and
//! what the coordinator does to a sum after it. Product, demo and simulator call the same functions.

use chorus_model::{Delta, MeanDelta, Step, TrainError, Trainer, TrainingSet, rank_newest};
use chorus_privacy::{
    NoiseShare, NoisedUpdate, PrivacyError, Update, add_noise, clip, clip_groups, decode as lift,
    quantise,
};
use rand_core::{CryptoRng, Rng};

use crate::RoundPlan;

/// An encoded contribution, and whether its norm had to be cut down to the bound.
pub struct Encoded {
    /// Ready for the mask.
    pub update: NoisedUpdate,
    /// True when the contribution was larger than the clip norm.
    pub clipped: bool,
}

/// What a client with this history adds to a round of `plan`. In a task that is evaluated its newest item is in nothing that it
/// adds but its rank.
///
/// # Errors
/// As [`Trainer::contribution`].
pub fn contribute(
    trainer: &dyn Trainer,
    plan: &RoundPlan,
    history: &TrainingSet,
    rng: &mut dyn Rng,
) -> Result<Delta, TrainError> {
    match plan.step {
        Step::Ranks => rank_newest(trainer, history, rng),
        step if plan.hold_out => {
            trainer.contribution(step, plan.block, &history.newest_apart().0, rng)
        }
        step => trainer.contribution(step, plan.block, history, rng),
    }
}

/// This client's share of the noise of a round, drawn before it learns: the time that takes then says nothing about what
/// is added to what.
///
/// # Errors
/// Noise that cannot be drawn; a broken generator. Nothing may be uploaded then.
pub fn noise_share(plan: &RoundPlan, rng: &mut impl CryptoRng) -> Result<NoiseShare, PrivacyError> {
    NoiseShare::draw(&plan.noise, plan.encoding.words(), rng)
}

/// Clip, quantise, noise. Where the plan has clip groups each is cut to its own bound first; the bound of the whole is enforced
/// in integers as ever. `share`: of [`noise_share`] for the same plan.
///
/// # Errors
/// When the delta or the share does not fit the plan, or the generator is broken. Nothing may
/// be uploaded then.
///
/// # Privacy
/// With noise in the plan the result holds this client's share of it; alone, that share is too small
/// to protect anyone. Only the masked form may leave the client.
pub fn encode(
    delta: Delta,
    plan: &RoundPlan,
    share: NoiseShare,
    rng: &mut impl CryptoRng,
) -> Result<Encoded, PrivacyError> {
    let (length, spans, values) = delta.into_parts();
    let learned = Update::sparse(length, spans, values)?;
    let clipped = match plan.groups.as_slice() {
        [] => clip(learned, plan.encoding.clip()),
        groups => {
            let groups: Vec<(usize, f64)> = groups
                .iter()
                .map(|group| (group.length, group.bound))
                .collect();
            clip_groups(learned, &groups)
        }
    };
    let was_clipped = clipped.was_clipped();
    let quantised = quantise(clipped, &plan.encoding, rng)?;
    let update = add_noise(quantised, share)?;
    Ok(Encoded {
        update,
        clipped: was_clipped,
    })
}

/// The sum over `clients` clients in parameter units, and the noise that is in it.
pub fn decode(sum: &[u32], plan: &RoundPlan, clients: usize) -> MeanDelta {
    MeanDelta {
        sum: lift(sum, &plan.encoding),
        clients,
        noise: plan.noise.deviation_of_sum(clients) / plan.encoding.scale(),
    }
}
