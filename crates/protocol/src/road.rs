//! The middle of the one-way road: what every client does to a delta before the mask, and
//! what the coordinator does to a sum after it. Product, demo and simulator call the same two functions.

use chorus_model::{Delta, MeanDelta};
use chorus_privacy::{NoisedUpdate, PrivacyError, add_noise, clip, decode as lift, quantise};
use rand_core::CryptoRng;

use crate::RoundPlan;

/// An encoded contribution, and whether its norm had to be cut down to the bound.
pub struct Encoded {
    /// Ready for the mask.
    pub update: NoisedUpdate,
    /// True when the contribution was larger than the clip norm.
    pub clipped: bool,
}

/// Clip, quantise, noise.
///
/// # Errors
/// When the delta does not fit the plan, the plan's noise cannot be drawn, or the generator is broken. Nothing may
/// be uploaded then.
///
/// # Privacy
/// With noise in the plan the result holds this client's share of it; alone, that share is too small
/// to protect anyone. Only the masked form may leave the client.
pub fn encode(
    delta: Delta,
    plan: &RoundPlan,
    rng: &mut impl CryptoRng,
) -> Result<Encoded, PrivacyError> {
    let clipped = clip(delta.into_values(), plan.encoding.clip());
    let was_clipped = clipped.was_clipped();
    let quantised = quantise(clipped, &plan.encoding, rng)?;
    let update = add_noise(quantised, &plan.noise, rng)?;
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
