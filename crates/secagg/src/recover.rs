//! The mask keys that survivors share with dropped clients, many at a time.

use x25519_dalek::StaticSecret;

use crate::derive::RoundDigest;
use crate::keys::{KeyError, PublicKeys, agree};
use crate::keystream::Sign;
use crate::mask::MaskKey;

/// A client that was declared dropped, and whose mask key was put together from shares.
/// [`secret_matches`](crate::secret_matches) tells whether the secret and the public key belong together.
pub struct Dropped<'a> {
    /// Its index.
    pub index: u32,
    /// Its secret mask key.
    pub mask_secret: &'a [u8; 32],
    /// What it advertised.
    pub public: &'a PublicKeys,
}

/// The keys of the masks that the client `survivor`, who advertised `theirs`, put on its upload for dropped
/// neighbours, in their order; each with the sign the survivor masked with, as [`Aggregate::remove`] wants it. The same
/// keys as [`MaskKey::pair`] gives the clients.
///
/// [`Aggregate::remove`]: crate::Aggregate::remove
///
/// # Errors
/// [`KeyError::LowOrder`] when `theirs` has a low-order mask key.
pub fn recover_pairs(
    survivor: u32,
    theirs: &PublicKeys,
    dropped: &[Dropped<'_>],
    digest: &RoundDigest,
) -> Result<Vec<(MaskKey, Sign)>, KeyError> {
    let mut masks = Vec::with_capacity(dropped.len());
    for client in dropped {
        let secret = StaticSecret::from(*client.mask_secret);
        let agreed = agree(&secret, &theirs.mask)?;
        let ends = [(survivor, theirs), (client.index, client.public)];
        let key = MaskKey::from_agreed(agreed.as_bytes(), ends, digest);
        masks.push((key, Sign::of(survivor, client.index)));
    }
    Ok(masks)
}
