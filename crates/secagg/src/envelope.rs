//! Shares in transit: sealed for one neighbour, carried by the coordinator.

use chacha20poly1305::aead::{AeadInOut, KeyInit, inout::InOutBuf};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use thiserror::Error;
use x25519_dalek::SharedSecret;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::derive::{RoundDigest, derive};
use crate::keys::{KeyError, PublicKeys, RoundKeys};

/// Length of a sealed pair of shares in bytes: 64 of shares, 16 of authentication tag.
pub const SEALED_BYTES: usize = 80;

/// A pair of shares, sealed. Public.
pub type Sealed = [u8; SEALED_BYTES];

/// What one neighbour keeps for another: the values (without `x`, see [`share_position`](crate::share_position)) of
/// a share of its secret mask key and of a share of its self seed. Wiped when dropped; neither `Clone` nor `Debug`.
///
/// # Privacy
/// A client gives out at most one of the two halves per owner and round: the self seed's for a survivor, the mask
/// key's for a dropped client. Both together, from `threshold` clients, uncover the owner's update (secagg.md 4.4).
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SharePair {
    /// Share of the owner's secret mask key.
    pub mask_key: [u8; 32],
    /// Share of the owner's self seed.
    pub self_seed: [u8; 32],
}

/// Why an envelope can not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// The other side's key is unusable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Not [`SEALED_BYTES`] long.
    #[error("a sealed pair of shares has {SEALED_BYTES} bytes, this one has {found}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// Authentication failed: altered, meant for another client, another round, or another model.
    #[error("the sealed shares are not authentic for this sender, receiver and round")]
    Refused,
}

/// Seals a pair of shares of client `from` (who calls) for client `to`.
///
/// ChaCha20-Poly1305 (RFC 8439). The key is HKDF-SHA256 of the X25519 secret of both cipher keys, with the round
/// digest as salt and `"chorus/v1/share" | from | to | public key of from | public key of to` as info (indices
/// big-endian; both public keys as RFC 7748 section 6.1 suggests). Associated data: `digest | from | to`.
///
/// # Errors
/// [`EnvelopeError::Key`] when `theirs` has a low-order cipher key.
///
/// # Privacy
/// The nonce is zero because each key seals one message. Sealing *different* shares twice for the same receiver
/// with the same [`RoundKeys`] would reveal their difference: a client that restarts must send what it sealed
/// before, or begin with fresh keys.
pub fn seal(
    keys: &RoundKeys,
    theirs: &PublicKeys,
    digest: &RoundDigest,
    from: u32,
    to: u32,
    pair: &SharePair,
) -> Result<Sealed, EnvelopeError> {
    let route = Route { digest, from, to };
    let cipher = route.cipher(&keys.agree_cipher(theirs)?, &keys.public(), theirs);
    let mut sealed = [0; SEALED_BYTES];
    let (body, tag) = sealed.split_at_mut(64);
    let (first, second) = body.split_at_mut(32);
    first.copy_from_slice(&pair.mask_key);
    second.copy_from_slice(&pair.self_seed);
    let authentication = cipher
        .encrypt_inout_detached(
            &Nonce::default(),
            &route.bytes(),
            InOutBuf::from(&mut *body),
        )
        .map_err(|_| EnvelopeError::Refused);
    match authentication {
        Ok(authentication) => tag.copy_from_slice(&authentication),
        Err(error) => {
            // Nothing half encrypted may remain; 64 bytes are far below the cipher's limit, so this never runs.
            sealed.zeroize();
            return Err(error);
        }
    }
    Ok(sealed)
}

/// Opens what client `from` sealed for client `to` (who calls).
///
/// # Errors
/// [`EnvelopeError::Length`] for a wrong length, [`EnvelopeError::Key`] for a low-order cipher key of the sender,
/// [`EnvelopeError::Refused`] when a single bit differs in the envelope, the route or the round digest.
pub fn open(
    keys: &RoundKeys,
    theirs: &PublicKeys,
    digest: &RoundDigest,
    from: u32,
    to: u32,
    sealed: &[u8],
) -> Result<SharePair, EnvelopeError> {
    let sealed: &Sealed = sealed.try_into().map_err(|_| EnvelopeError::Length {
        found: sealed.len(),
    })?;
    let route = Route { digest, from, to };
    let cipher = route.cipher(&keys.agree_cipher(theirs)?, theirs, &keys.public());
    let (ciphertext, authentication) = sealed.split_at(64);
    let tag = Tag::try_from(authentication).map_err(|_| EnvelopeError::Refused)?;
    let mut body = Zeroizing::new([0; 64]);
    body.copy_from_slice(ciphertext);
    cipher
        .decrypt_inout_detached(
            &Nonce::default(),
            &route.bytes(),
            InOutBuf::from(body.as_mut_slice()),
            &tag,
        )
        .map_err(|_| EnvelopeError::Refused)?;
    let mut pair = SharePair {
        mask_key: [0; 32],
        self_seed: [0; 32],
    };
    let (first, second) = body.split_at(32);
    pair.mask_key.copy_from_slice(first);
    pair.self_seed.copy_from_slice(second);
    Ok(pair)
}

/// Who sends to whom in which round.
struct Route<'a> {
    digest: &'a RoundDigest,
    from: u32,
    to: u32,
}

impl Route<'_> {
    /// The associated data.
    fn bytes(&self) -> [u8; 40] {
        let mut bytes = [0; 40];
        let (digest, indices) = bytes.split_at_mut(32);
        let (from, to) = indices.split_at_mut(4);
        digest.copy_from_slice(&self.digest.0);
        from.copy_from_slice(&self.from.to_be_bytes());
        to.copy_from_slice(&self.to.to_be_bytes());
        bytes
    }

    fn cipher(
        &self,
        agreed: &SharedSecret,
        sender: &PublicKeys,
        receiver: &PublicKeys,
    ) -> ChaCha20Poly1305 {
        let key = derive::<32>(
            &self.digest.0,
            agreed.as_bytes(),
            &[
                b"chorus/v1/share",
                &self.from.to_be_bytes(),
                &self.to.to_be_bytes(),
                &sender.cipher,
                &receiver.cipher,
            ],
        );
        ChaCha20Poly1305::new((&*key).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::Generator;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    const DIGEST: RoundDigest = RoundDigest([5; 32]);

    fn pair() -> SharePair {
        SharePair {
            mask_key: core::array::from_fn(|i| i as u8),
            self_seed: core::array::from_fn(|i| 200 - i as u8),
        }
    }

    fn two() -> (RoundKeys, RoundKeys) {
        let mut rng = ChaCha20Rng::from_seed([8; 32]);
        let mut keys = || RoundKeys::generate(Generator::Aes128Ctr, &mut rng);
        (keys(), keys())
    }

    fn refused(result: Result<SharePair, EnvelopeError>) -> bool {
        matches!(result, Err(EnvelopeError::Refused))
    }

    #[test]
    fn only_the_receiver_of_this_round_opens() {
        let (alice, bob) = two();
        let (a, b) = (alice.public(), bob.public());
        let sealed = seal(&alice, &b, &DIGEST, 3, 9, &pair()).unwrap();
        let opened = open(&bob, &a, &DIGEST, 3, 9, &sealed).ok().unwrap();
        assert_eq!(opened.mask_key, pair().mask_key);
        assert_eq!(opened.self_seed, pair().self_seed);

        assert!(
            refused(open(&bob, &a, &DIGEST, 4, 9, &sealed)),
            "wrong sender"
        );
        assert!(
            refused(open(&bob, &a, &DIGEST, 3, 8, &sealed)),
            "wrong receiver"
        );
        assert!(refused(open(&bob, &a, &DIGEST, 9, 3, &sealed)), "reflected");
        assert!(
            refused(open(&bob, &a, &RoundDigest([6; 32]), 3, 9, &sealed)),
            "wrong round"
        );
        assert!(
            refused(open(&bob, &b, &DIGEST, 3, 9, &sealed)),
            "wrong keys"
        );
        assert!(
            refused(open(&alice, &b, &DIGEST, 3, 9, &sealed)),
            "sent back to the sender"
        );
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (alice, bob) = two();
        let sealed = seal(&alice, &bob.public(), &DIGEST, 0, 1, &pair()).unwrap();
        for bit in 0..SEALED_BYTES * 8 {
            let mut altered = sealed;
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(
                refused(open(&bob, &alice.public(), &DIGEST, 0, 1, &altered)),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn wrong_lengths_and_low_order_keys_are_named() {
        let (alice, bob) = two();
        for found in [0, 16, 79, 81, 1000] {
            let result = open(&bob, &alice.public(), &DIGEST, 0, 1, &vec![0; found]);
            assert_eq!(result.err(), Some(EnvelopeError::Length { found }));
        }
        let zero = PublicKeys {
            cipher: [0; 32],
            mask: [0; 32],
            generator: Generator::Aes128Ctr,
        };
        let low = Some(EnvelopeError::Key(KeyError::LowOrder));
        assert_eq!(seal(&alice, &zero, &DIGEST, 0, 1, &pair()).err(), low);
        assert_eq!(
            open(&alice, &zero, &DIGEST, 0, 1, &[0; SEALED_BYTES]).err(),
            low
        );
    }
}
