//! The list of everything that was revoked, signed by the authority.

use std::collections::BTreeSet;

use chorus_protocol::{BadSignature, ClientId, Identity, Purpose, verify};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::MAX_REVOCATIONS_BYTES;

/// What was revoked, up to one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    /// Grows by one with each revocation; a list with a smaller number is an old one.
    pub sequence: u64,
    /// When the authority signed the list, seconds since 1970 UTC.
    pub issued_at: i64,
    /// Clients whose key may not be used any more, with whatever certificate.
    pub clients: BTreeSet<ClientId>,
    /// Serial numbers of single certificates that may not be used any more, as in [`crate::certificate::Enrolled`].
    pub serials: BTreeSet<Vec<u8>>,
}

/// The list as it travels and is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRevocations {
    /// The list as JSON.
    pub bytes: Vec<u8>,
    /// Ed25519 by the authority, for [`Purpose::Revocations`].
    pub signature: [u8; 64],
}

/// A list that must not be followed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RevocationError {
    /// Not signed by the authority.
    #[error("the revocation list is not signed by the enrolment authority")]
    Signature(#[from] BadSignature),
    /// It cannot be read.
    #[error("the revocation list cannot be read: {0}")]
    Unreadable(String),
    /// Older than what was seen before.
    #[error(
        "the revocation list is number {found}, but number {seen} was seen before: an old list is being replayed"
    )]
    Older {
        /// Number seen before.
        seen: u64,
        /// Number found.
        found: u64,
    },
    /// Too many entries for one list.
    #[error("the revocation list has {0} bytes, at most {MAX_REVOCATIONS_BYTES}")]
    TooLong(usize),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    sequence: u64,
    issued_at: i64,
    clients: Vec<String>,
    serials: Vec<String>,
}

impl Revocations {
    /// True when a certificate with this serial number, or any of this holder, was revoked.
    pub fn names(&self, id: &ClientId, serial: &[u8]) -> bool {
        self.clients.contains(id) || self.serials.contains(serial)
    }

    /// Signs the list.
    ///
    /// # Errors
    /// When it has become too long to travel.
    pub fn sign(&self, authority: &Identity) -> Result<SignedRevocations, RevocationError> {
        let written = Written {
            sequence: self.sequence,
            issued_at: self.issued_at,
            clients: self.clients.iter().map(|id| hex::encode(id.0)).collect(),
            serials: self.serials.iter().map(hex::encode).collect(),
        };
        let bytes = serde_json::to_vec(&written)
            .map_err(|error| RevocationError::Unreadable(error.to_string()))?;
        if bytes.len() > MAX_REVOCATIONS_BYTES {
            return Err(RevocationError::TooLong(bytes.len()));
        }
        let signature = authority.sign(Purpose::Revocations, &[&bytes]);
        Ok(SignedRevocations { bytes, signature })
    }
}

impl SignedRevocations {
    /// Checks the list against the authority's public key; `seen` is the number of the last list that was followed,
    /// 0 when there was none.
    ///
    /// # Errors
    /// When it is not signed by the authority, unreadable, or older than `seen`.
    pub fn verify(&self, authority: &[u8; 32], seen: u64) -> Result<Revocations, RevocationError> {
        if self.bytes.len() > MAX_REVOCATIONS_BYTES {
            return Err(RevocationError::TooLong(self.bytes.len()));
        }
        verify(
            authority,
            Purpose::Revocations,
            &[&self.bytes],
            &self.signature,
        )?;
        let written: Written = serde_json::from_slice(&self.bytes)
            .map_err(|error| RevocationError::Unreadable(error.to_string()))?;
        if written.sequence < seen {
            return Err(RevocationError::Older {
                seen,
                found: written.sequence,
            });
        }
        let client = |text: &String| {
            let mut id = ClientId([0; 16]);
            hex::decode_to_slice(text, &mut id.0).map(|()| id)
        };
        let unreadable = |error: hex::FromHexError| RevocationError::Unreadable(error.to_string());
        Ok(Revocations {
            sequence: written.sequence,
            issued_at: written.issued_at,
            clients: written
                .clients
                .iter()
                .map(client)
                .collect::<Result<_, _>>()
                .map_err(unreadable)?,
            serials: written
                .serials
                .iter()
                .map(hex::decode)
                .collect::<Result<_, _>>()
                .map_err(unreadable)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_authority_and_only_forwards() {
        let authority = Identity::from_seed(&[1; 32]);
        let list = Revocations {
            sequence: 7,
            issued_at: 1_700_000_000,
            clients: [ClientId([3; 16])].into(),
            serials: [vec![9, 8]].into(),
        };
        let signed = list.sign(&authority).unwrap();
        assert_eq!(signed.verify(&authority.public(), 7).unwrap(), list);
        assert!(list.names(&ClientId([3; 16]), &[1]) && list.names(&ClientId([4; 16]), &[9, 8]));
        assert!(!list.names(&ClientId([4; 16]), &[1]));
        let older = signed.verify(&authority.public(), 8);
        assert_eq!(older, Err(RevocationError::Older { seen: 8, found: 7 }));
        let foreign = Identity::from_seed(&[2; 32]).public();
        assert!(matches!(
            signed.verify(&foreign, 0),
            Err(RevocationError::Signature(_))
        ));
        let mut changed = signed;
        changed.bytes[15] ^= 1;
        assert!(matches!(
            changed.verify(&authority.public(), 0),
            Err(RevocationError::Signature(_))
        ));
    }
}
