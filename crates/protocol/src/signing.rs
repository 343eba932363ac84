use chorus_secagg::{PublicKeys, RoundDigest};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{ClientId, Digest};

/// What a signature is for. Each has its own prefix, so that one can never be taken for another
/// (nor for the certificate requests and handshakes that the same key signs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A client's keys of one round.
    Advertise,
    /// A coordinator's plan of one round.
    Plan,
    /// A coordinator's entry in the model log.
    LogEntry,
    /// An authority's list of revoked certificates.
    Revocations,
    /// A client's list of those with whom it masked its update.
    Masked,
    /// A client's statement of what it was told in a round.
    Endorse,
    /// A witness's randomness for one round.
    Beacon,
    /// A witness's one statement of a round.
    Seal,
    /// A client's receipt for what it erased.
    Erasure,
}

impl Purpose {
    fn domain(self) -> &'static str {
        match self {
            Purpose::Advertise => "chorus/v1/sign/advertise",
            Purpose::Plan => "chorus/v1/sign/plan",
            Purpose::LogEntry => "chorus/v1/sign/log-entry",
            Purpose::Revocations => "chorus/v1/sign/revocations",
            Purpose::Masked => "chorus/v2/sign/masked",
            Purpose::Endorse => "chorus/v2/sign/endorse",
            Purpose::Beacon => "chorus/v2/sign/beacon",
            Purpose::Seal => "chorus/v2/sign/seal",
            Purpose::Erasure => "chorus/v2/sign/erasure",
        }
    }
}

/// A signature that does not belong to the key, the purpose or the content.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the signature is not valid for this key and content")]
pub struct BadSignature;

/// One party's Ed25519 key: it carries the certificate and, domain-separated, every signature.
/// Zeroized when dropped; never printed.
pub struct Identity {
    key: SigningKey,
}

impl Identity {
    /// A new key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self::from_seed(&seed)
    }

    /// The key of a 32-byte Ed25519 seed (RFC 8032).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            key: SigningKey::from_bytes(seed),
        }
    }

    /// The seed, to store.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }

    /// The public key.
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// The id of this party.
    pub fn id(&self) -> ClientId {
        ClientId::of_key(&self.public())
    }

    /// Signs `content` for one purpose.
    pub fn sign(&self, purpose: Purpose, content: &[&[u8]]) -> [u8; 64] {
        let digest = Digest::of_parts(purpose.domain(), content);
        self.key.sign(&digest.0).to_bytes()
    }

    /// Signs a statement of what this client was told in a round.
    pub fn endorse(&self, statement: &Digest) -> [u8; 64] {
        self.sign(Purpose::Endorse, &[&statement.0])
    }

    /// Signs this round's keys.
    pub fn advertise(&self, digest: &RoundDigest, keys: &PublicKeys) -> [u8; 64] {
        self.sign(Purpose::Advertise, &advertised(digest, keys))
    }
}

/// Checks a signature of `key` (Ed25519, strict: no small-order keys, no malleable signatures).
///
/// # Errors
/// When the key is no valid point or the signature does not fit.
pub fn verify(
    key: &[u8; 32],
    purpose: Purpose,
    content: &[&[u8]],
    signature: &[u8; 64],
) -> Result<(), BadSignature> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| BadSignature)?;
    let digest = Digest::of_parts(purpose.domain(), content);
    key.verify_strict(&digest.0, &Signature::from_bytes(signature))
        .map_err(|_| BadSignature)
}

/// Checks a client's signature over its keys of the round.
///
/// # Errors
/// When it does not fit.
pub fn verify_advertisement(
    key: &[u8; 32],
    digest: &RoundDigest,
    keys: &PublicKeys,
    signature: &[u8; 64],
) -> Result<(), BadSignature> {
    verify(
        key,
        Purpose::Advertise,
        &advertised(digest, keys),
        signature,
    )
}

/// What a client signs when it advertises its keys.
fn advertised<'a>(digest: &'a RoundDigest, keys: &'a PublicKeys) -> [&'a [u8]; 4] {
    let generator = keys.generator.name().as_bytes();
    [&digest.0, &keys.cipher, &keys.mask, generator]
}
