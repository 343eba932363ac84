use chorus_protocol::Identity;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::fault::elsewhere;
use super::{Batch, Kind, Record, Store, StoreError};

/// What the authority gave.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Enrolled {
    /// The client's certificate, DER.
    #[serde(with = "hex")]
    pub certificate: Vec<u8>,
    /// The authority's own certificate, DER.
    #[serde(with = "hex")]
    pub authority: Vec<u8>,
}

/// The client's key, and what the authority gave for it.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Enrolment {
    /// Ed25519 seed.
    #[serde(with = "hex")]
    pub seed: [u8; 32],
    /// Once it did.
    #[zeroize(skip)]
    pub enrolled: Option<Enrolled>,
}

impl Record for Enrolment {
    const KIND: Kind = Kind::Enrolment;

    fn key(&self) -> String {
        String::new()
    }
}

impl Store {
    /// The client's key, if one was made.
    pub fn identity(&self) -> Result<Option<Identity>, StoreError> {
        let known = self.get::<Enrolment>("")?;
        Ok(known.map(|known| Identity::from_seed(&known.seed)))
    }

    /// What the authority gave, if it did.
    pub fn enrolled(&self) -> Result<Option<Enrolled>, StoreError> {
        let known = self.get::<Enrolment>("")?;
        Ok(known.and_then(|known| known.enrolled.clone()))
    }
}

/// Keeps the key before anyone certifies it: a certificate for a lost key would waste the invitation.
pub(crate) fn put_identity(batch: &Batch<'_>, identity: &Identity) -> Result<(), StoreError> {
    match batch.get::<Enrolment>("")? {
        Some(_) => Err(elsewhere(batch.path())),
        None => batch.put(&Enrolment {
            seed: *identity.seed(),
            enrolled: None,
        }),
    }
}

/// Keeps what the authority gave for the key that is here.
pub(crate) fn put_enrolled(batch: &Batch<'_>, enrolled: &Enrolled) -> Result<(), StoreError> {
    let known = batch.get::<Enrolment>("")?;
    let mut known = known.ok_or_else(|| elsewhere(batch.path()))?;
    known.enrolled = Some(enrolled.clone());
    batch.put(&known)
}
