use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use zeroize::Zeroizing;

use crate::code::{CHORUS_FAULT, Failure};

/// A generator seeded by the operating system.
pub(crate) fn generator() -> Result<ChaCha20Rng, Failure> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut())
        .map_err(|error| Failure::new(CHORUS_FAULT, format!("no random bytes: {error}")))?;
    Ok(ChaCha20Rng::from_seed(*seed))
}
