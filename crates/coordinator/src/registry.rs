//! The registry: every version of a model, signed and entered in the append-only log.
//!
//! These functions are parts of a transaction. A version, its log entry, the report of its round and the state of
//! its task become visible together or not at all.

use chorus_model::{Learning, ParametersError};
use chorus_protocol::{Digest, Identity, LogEntry, Origin, SignedEntry, TaskName};
use rusqlite::Transaction;

use crate::store::{NewVersion, RowError, content, log, models};

/// What a version holds, ready to be stored.
pub(crate) struct Prepared {
    /// The model file.
    pub parameters: Vec<u8>,
    /// What the server step remembers.
    pub state: Vec<u8>,
    /// SHA-256 of the model file.
    pub digest: Digest,
    /// The sum that learning goes on with.
    pub next_sum: usize,
}

impl Prepared {
    pub fn new(learning: &Learning, next_sum: usize) -> Result<Self, ParametersError> {
        let (parameters, state) = (learning.parameters.to_bytes()?, learning.state.to_bytes()?);
        let digest = Digest::of(&parameters);
        Ok(Self {
            parameters,
            state,
            digest,
            next_sum,
        })
    }
}

/// Publishes the next version of a task's model. `report`: digest of the round report that led to it.
///
/// Returns its number, or nothing when `base` is no longer the newest version: somebody else published meanwhile.
pub(crate) fn publish(
    tx: &Transaction<'_>,
    identity: &Identity,
    task: &TaskName,
    prepared: &Prepared,
    base: u64,
    (origin, report): (Origin, Digest),
    now: u64,
) -> Result<Option<u64>, RowError> {
    if models::newest(tx, task)?.unwrap_or(0) != base {
        return Ok(None);
    }
    let version = base + 1;
    let new = NewVersion {
        task,
        version,
        digest: prepared.digest,
        parameters: &prepared.parameters,
        state: &prepared.state,
        next_sum: prepared.next_sum,
        origin,
        now,
    };
    models::insert(tx, &new)?;
    let (index, previous) = log::head(tx)?;
    let task = task.clone();
    let entry = LogEntry {
        index,
        previous,
        task,
        version,
        origin,
        model: prepared.digest,
        report,
    };
    let signed = SignedEntry::sign(&entry, identity).map_err(|error| content("log", error))?;
    log::append(tx, index, &signed)?;
    Ok(Some(version))
}
