use chorus_protocol::ClientId;
use serde::Serialize;

use crate::{Directory, WitnessError, store::Record};

/// How a witness stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether a service runs on the directory now.
    pub serving: bool,
    /// Its public key, 64 hexadecimal digits.
    pub key: String,
    /// Its id, as the authority revokes it: 32 hexadecimal digits.
    pub id: String,
    /// Until when its certificate is valid, in seconds since 1970 UTC; nothing where there is no usable one.
    pub certificate_until: Option<i64>,
    /// Whom it has answered, by key.
    pub coordinators: Vec<CoordinatorStatus>,
}

/// What a witness knows of one coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CoordinatorStatus {
    /// Its id, as the authority revokes it: 32 hexadecimal digits.
    pub id: String,
    /// Rounds that are remembered, at most [`REMEMBERED`](crate::REMEMBERED).
    pub rounds: u64,
    /// How many of them have a statement.
    pub signed: u64,
    /// The highest number of a round that is remembered.
    pub newest_round: Option<u64>,
    /// Rounds up to this one are forgotten, and refused.
    pub over_through: Option<u64>,
    /// How often it asked to draw for other keys of a round. An honest coordinator never does.
    pub other_commitments: u64,
    /// How often it asked to sign another statement of a round. An honest coordinator never does.
    pub other_statements: u64,
}

/// How the witness in `directory` stands, served or not.
///
/// # Errors
/// When there is none, or its memory is gone, of another key, or cannot be used.
pub fn status(directory: &Directory) -> Result<Status, WitnessError> {
    let identity = directory.identity()?;
    let store = directory.store(&identity)?;
    Ok(Status {
        serving: directory.is_served(),
        key: hex::encode(identity.public()),
        id: hex::encode(identity.id().0),
        certificate_until: directory.certificate_until(),
        coordinators: store.records()?.into_iter().map(coordinator).collect(),
    })
}

fn coordinator(record: Record) -> CoordinatorStatus {
    CoordinatorStatus {
        id: hex::encode(ClientId::of_key(&record.key).0),
        rounds: record.rounds,
        signed: record.signed,
        newest_round: record.newest,
        over_through: record.over,
        other_commitments: record.other_commitments,
        other_statements: record.other_statements,
    }
}
