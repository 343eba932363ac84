//! The two X25519 key pairs a client makes for one round.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use thiserror::Error;
use x25519_dalek::{PublicKey, SharedSecret, StaticSecret};
use zeroize::Zeroizing;

use crate::generator::{Generator, UnknownGenerator};

/// Bytes of saved [`RoundKeys`]: two secret keys and the number of the generator.
const SAVED_BYTES: usize = 65;

/// Why a key agreement was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The other side's public key is a point of low order: the agreed secret would be the same for everyone
    /// (RFC 7748 section 6.1).
    #[error("the peer's public key has low order and is refused")]
    LowOrder,
}

/// The secret keys of one client for one round: `c` (opens envelopes) and `s` (makes pairwise masks) of
/// secagg.md 4.2. Wiped when dropped; neither `Clone` nor `Debug`.
///
/// # Privacy
/// Fresh keys every round, without exception: when a client is declared dropped, the coordinator rebuilds its
/// mask key, and whatever that key ever masked is then open (secagg.md 4.3).
pub struct RoundKeys {
    cipher: StaticSecret,
    mask: StaticSecret,
    public: PublicKeys,
}

/// What a client advertises and signs: the public halves (Montgomery u-coordinates, 32 bytes each), and the generator
/// that suits its processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKeys {
    /// Public key for envelopes.
    pub cipher: [u8; 32],
    /// Public key for pairwise masks.
    pub mask: [u8; 32],
    /// The generator this client would like its masks to be made with.
    pub generator: Generator,
}

impl PublicKeys {
    /// Whether both keys can be agreed with, so that a client with unusable keys is turned away when it advertises
    /// them, instead of stopping its neighbours later. Needs no secret.
    ///
    /// # Errors
    /// [`KeyError::LowOrder`] when either is a point of low order.
    pub fn check(&self) -> Result<(), KeyError> {
        // Clamping makes every X25519 scalar a multiple of the cofactor 8, so any of them tells.
        let any = StaticSecret::from([1; 32]);
        agree(&any, &self.cipher)?;
        agree(&any, &self.mask)?;
        Ok(())
    }
}

impl RoundKeys {
    /// Draws both secret keys. `generator` is the one to advertise: [`Generator::native`] on a real client.
    pub fn generate(generator: Generator, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self::from_secrets(
            StaticSecret::random_from_rng(rng),
            StaticSecret::random_from_rng(rng),
            generator,
        )
    }

    /// Restores keys saved by [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// [`UnknownGenerator`] when the last byte is not the number of a generator.
    pub fn from_bytes(bytes: &[u8; SAVED_BYTES]) -> Result<Self, UnknownGenerator> {
        let mut cipher = Zeroizing::new([0; 32]);
        let mut mask = Zeroizing::new([0; 32]);
        let (secrets, number) = bytes.split_at(64);
        let (first, second) = secrets.split_at(32);
        let generator = Generator::try_from(number.first().copied().unwrap_or_default())?;
        cipher.copy_from_slice(first);
        mask.copy_from_slice(second);
        let (cipher, mask) = (StaticSecret::from(*cipher), StaticSecret::from(*mask));
        Ok(Self::from_secrets(cipher, mask, generator))
    }

    fn from_secrets(cipher: StaticSecret, mask: StaticSecret, generator: Generator) -> Self {
        let public = PublicKeys {
            cipher: PublicKey::from(&cipher).to_bytes(),
            mask: PublicKey::from(&mask).to_bytes(),
            generator,
        };
        Self {
            cipher,
            mask,
            public,
        }
    }

    /// The halves to advertise.
    pub fn public(&self) -> PublicKeys {
        self.public
    }

    /// Both secret keys and the number of the generator, for the client's own encrypted store and nothing else.
    ///
    /// # Privacy
    /// Restoring an older state and sealing other shares under the same keys breaks the envelope: see
    /// [`seal`](crate::seal).
    pub fn to_bytes(&self) -> Zeroizing<[u8; SAVED_BYTES]> {
        let mut bytes = Zeroizing::new([self.public.generator.number(); SAVED_BYTES]);
        let (secrets, _) = bytes.split_at_mut(64);
        let (first, second) = secrets.split_at_mut(32);
        first.copy_from_slice(self.cipher.as_bytes());
        second.copy_from_slice(self.mask.as_bytes());
        bytes
    }

    /// The secret mask key, for [`split`](crate::split).
    ///
    /// # Privacy
    /// Whoever holds it can strip every pairwise mask of this client. Only shares of it may leave the device.
    pub fn mask_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.mask.as_bytes())
    }

    pub(crate) fn agree_cipher(&self, theirs: &PublicKeys) -> Result<SharedSecret, KeyError> {
        agree(&self.cipher, &theirs.cipher)
    }

    pub(crate) fn agree_mask(&self, theirs: &PublicKeys) -> Result<SharedSecret, KeyError> {
        agree(&self.mask, &theirs.mask)
    }
}

/// X25519 (RFC 7748 section 5), refusing the all-zero result as its section 6.1 advises.
pub(crate) fn agree(secret: &StaticSecret, public: &[u8; 32]) -> Result<SharedSecret, KeyError> {
    let shared = secret.diffie_hellman(&PublicKey::from(*public));
    if shared.was_contributory() {
        Ok(shared)
    } else {
        Err(KeyError::LowOrder)
    }
}

/// Whether a rebuilt secret mask key belongs to the advertised public one. The coordinator asks before it uses
/// what [`combine`](crate::combine) returned, because a wrong share goes unnoticed there.
pub fn secret_matches(secret: &[u8; 32], public: &[u8; 32]) -> bool {
    let secret = StaticSecret::from(*secret);
    PublicKey::from(&secret).as_bytes().ct_eq(public).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    fn bytes(text: &str) -> [u8; 32] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    /// RFC 7748 section 6.1.
    #[test]
    fn rfc_7748_key_agreement() {
        let alice = bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
        let bob = bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        let alice_public =
            bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
        let bob_public = bytes("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
        let shared = bytes("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");

        assert!(secret_matches(&alice, &alice_public));
        assert!(secret_matches(&bob, &bob_public));
        assert!(!secret_matches(&alice, &bob_public));
        let agreed = agree(&StaticSecret::from(alice), &bob_public).ok().unwrap();
        assert_eq!(agreed.as_bytes(), &shared);
        let agreed = agree(&StaticSecret::from(bob), &alice_public).ok().unwrap();
        assert_eq!(agreed.as_bytes(), &shared);
    }

    /// The points of order 1, 2, 4 and 8, canonical and not (the list of cr.yp.to/ecdh.html).
    #[test]
    fn low_order_points_are_refused() {
        let keys = RoundKeys::generate(Generator::Aes128Ctr, &mut ChaCha20Rng::from_seed([1; 32]));
        for point in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000080",
        ] {
            let theirs = PublicKeys {
                cipher: bytes(point),
                mask: bytes(point),
                generator: Generator::ChaCha12,
            };
            for half in [true, false] {
                let mut advertised = keys.public();
                if half {
                    advertised.cipher = theirs.cipher;
                } else {
                    advertised.mask = theirs.mask;
                }
                assert_eq!(advertised.check(), Err(KeyError::LowOrder), "{point}");
            }
            assert!(
                matches!(keys.agree_cipher(&theirs), Err(KeyError::LowOrder)),
                "{point}"
            );
            assert!(
                matches!(keys.agree_mask(&theirs), Err(KeyError::LowOrder)),
                "{point}"
            );
        }
    }

    /// Small u-coordinates lie on the curve or on its twist, about half each; but 0 and 1 all have a large order.
    #[test]
    fn usable_points_pass_the_check() {
        let keys = RoundKeys::generate(Generator::Aes128Ctr, &mut ChaCha20Rng::from_seed([3; 32]));
        assert_eq!(keys.public().check(), Ok(()));
        for u in 2..=255 {
            let mut point = [0; 32];
            point[0] = u;
            let keys = PublicKeys {
                cipher: point,
                mask: point,
                generator: Generator::ChaCha12,
            };
            assert_eq!(keys.check(), Ok(()), "{u}");
        }
    }

    #[test]
    fn saved_keys_come_back() {
        for generator in Generator::ALL {
            let keys = RoundKeys::generate(generator, &mut ChaCha20Rng::from_seed([2; 32]));
            let restored = RoundKeys::from_bytes(&keys.to_bytes()).ok().unwrap();
            assert_eq!(keys.public(), restored.public());
            assert_eq!(restored.public().generator, generator);
            assert_eq!(*keys.to_bytes(), *restored.to_bytes());
            assert_ne!(keys.public().cipher, keys.public().mask);
            assert!(secret_matches(&keys.mask_secret(), &keys.public().mask));
        }
        let unknown = RoundKeys::from_bytes(&[9; 65]).err();
        assert_eq!(unknown, Some(UnknownGenerator { number: 9 }));
    }
}
