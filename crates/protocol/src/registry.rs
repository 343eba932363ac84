use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Digest, Identity, Purpose, TaskName, signing};

/// Why a model version came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The first version, before any round.
    Start,
    /// A round's sum moved it.
    Round,
    /// An operator brought an earlier version back.
    Rollback,
}

/// One line of the model log: append-only, each naming the digest of the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    /// Place in the log, from 0.
    pub index: u64,
    /// Digest of the entry before; zeros for the first.
    pub previous: Digest,
    /// The task.
    pub task: TaskName,
    /// Version of the task's model, from 1, growing by one.
    pub version: u64,
    /// Why it came to be.
    pub origin: Origin,
    /// SHA-256 of the model file.
    pub model: Digest,
    /// SHA-256 of the round report that led to it; of nothing for a start or a rollback.
    pub report: Digest,
}

/// An entry as it is stored and travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedEntry {
    /// [`LogEntry`] as JSON.
    pub bytes: Vec<u8>,
    /// Ed25519 by the coordinator.
    pub signature: [u8; 64],
}

/// A log that a client must not follow.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LogError {
    /// The entry cannot be read.
    #[error("log entry {index} cannot be read: {reason}")]
    Unreadable {
        /// Its place.
        index: u64,
        /// Why.
        reason: String,
    },
    /// Not signed by the coordinator.
    #[error("log entry {0} is not signed by the coordinator")]
    Signature(u64),
    /// The entry does not continue the log that this client has seen: another history is being shown.
    #[error(
        "log entry {0} does not continue the log this client has seen: the coordinator shows another history"
    )]
    Fork(u64),
    /// A version that does not follow the one before.
    #[error("log entry {index} names version {found} of `{task}` after version {last}")]
    Version {
        /// Its place.
        index: u64,
        /// The task.
        task: TaskName,
        /// Version before.
        last: u64,
        /// Version found.
        found: u64,
    },
    /// More tasks than a client keeps.
    #[error("log entry {0} begins yet another task, after {TASKS}")]
    Tasks(u64),
}

/// Most tasks of one log. Who follows it keeps the newest entry of each.
const TASKS: usize = 4096;

impl SignedEntry {
    /// Signs an entry.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn sign(entry: &LogEntry, identity: &Identity) -> Result<Self, serde_json::Error> {
        let bytes = serde_json::to_vec(entry)?;
        let signature = identity.sign(Purpose::LogEntry, &[&bytes]);
        Ok(Self { bytes, signature })
    }

    /// What the next entry names as its predecessor.
    pub fn digest(&self) -> Digest {
        Digest::of_parts("chorus/v1/log-entry", &[&self.bytes])
    }
}

/// What one party has seen of a log: enough to refuse another history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogView {
    /// Entries seen.
    pub length: u64,
    /// Digest of the last one.
    pub head: Digest,
    /// The newest entry of each task.
    pub newest: Vec<LogEntry>,
}

impl Default for LogView {
    fn default() -> Self {
        Self {
            length: 0,
            head: Digest::ZERO,
            newest: Vec::new(),
        }
    }
}

impl LogView {
    /// The newest entry of `task`.
    pub fn newest(&self, task: &TaskName) -> Option<&LogEntry> {
        self.newest.iter().find(|entry| entry.task == *task)
    }

    /// Follows the log by `entries`, which must continue it; on an error the view is unchanged.
    ///
    /// # Errors
    /// When an entry is unreadable, unsigned, out of its place, or names a version that does not follow.
    pub fn follow(
        &mut self,
        entries: &[SignedEntry],
        coordinator: &[u8; 32],
    ) -> Result<(), LogError> {
        let mut view = self.clone();
        for signed in entries {
            view.follow_one(signed, coordinator)?;
        }
        *self = view;
        Ok(())
    }

    fn follow_one(&mut self, signed: &SignedEntry, coordinator: &[u8; 32]) -> Result<(), LogError> {
        let index = self.length;
        signing::verify(
            coordinator,
            Purpose::LogEntry,
            &[&signed.bytes],
            &signed.signature,
        )
        .map_err(|_| LogError::Signature(index))?;
        let entry: LogEntry =
            serde_json::from_slice(&signed.bytes).map_err(|error| LogError::Unreadable {
                index,
                reason: error.to_string(),
            })?;
        if entry.index != index || entry.previous != self.head {
            return Err(LogError::Fork(index));
        }
        let last = self.newest(&entry.task).map_or(0, |newest| newest.version);
        if last.checked_add(1) != Some(entry.version) {
            return Err(LogError::Version {
                index,
                task: entry.task,
                last,
                found: entry.version,
            });
        }
        if last == 0 && self.newest.len() >= TASKS {
            return Err(LogError::Tasks(index));
        }
        self.length += 1;
        self.head = signed.digest();
        self.newest.retain(|newest| newest.task != entry.task);
        self.newest.push(entry);
        Ok(())
    }
}
