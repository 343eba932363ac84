use chorus_protocol::Identity;
use rusqlite::OptionalExtension;
use zeroize::Zeroizing;

use super::{Store, StoreError};

/// What the authority gave.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Enrolled {
    /// The client's certificate, DER.
    pub certificate: Vec<u8>,
    /// The authority's own certificate, DER.
    pub authority: Vec<u8>,
}

impl Store {
    /// The client's key, if one was made.
    pub fn identity(&self) -> Result<Option<Identity>, StoreError> {
        let seed = self
            .connection
            .prepare_cached("SELECT seed FROM enrolment")
            .and_then(|mut select| {
                select
                    .query_row([], |row| row.get::<_, [u8; 32]>(0).map(Zeroizing::new))
                    .optional()
            })
            .map_err(|error| self.fault(error))?;
        Ok(seed.map(|seed| Identity::from_seed(&seed)))
    }

    /// Keeps the key before anyone certifies it: a certificate for a lost key would waste the invitation.
    pub fn put_identity(&mut self, identity: &Identity) -> Result<(), StoreError> {
        let seed = identity.seed();
        self.write(|transaction| {
            transaction
                .execute("INSERT INTO enrolment (only, seed) VALUES (1, ?)", [&*seed])
                .map(drop)
        })
    }

    /// What the authority gave, if it did.
    pub fn enrolled(&self) -> Result<Option<Enrolled>, StoreError> {
        let row = self
            .connection
            .query_row(
                "SELECT certificate, authority FROM enrolment WHERE certificate IS NOT NULL",
                [],
                |row| {
                    Ok(Enrolled {
                        certificate: row.get(0)?,
                        authority: row.get(1)?,
                    })
                },
            )
            .optional();
        row.map_err(|error| self.fault(error))
    }

    /// Keeps what the authority gave.
    pub fn put_enrolled(&mut self, enrolled: &Enrolled) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction
                .execute(
                    "UPDATE enrolment SET certificate = ?, authority = ?",
                    (&enrolled.certificate, &enrolled.authority),
                )
                .map(drop)
        })
    }
}
