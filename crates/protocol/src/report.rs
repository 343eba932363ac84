use std::collections::BTreeMap;

use chorus_model::Measured;
use chorus_privacy::Spent;
use serde::{Deserialize, Serialize};

use crate::{Digest, Funnel, RoundId, TaskName};

/// What a round did, for operators, researchers and the model log (which holds its digest).
///
/// # Privacy
/// Counts and digests only. Nothing in it says who took part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundReport {
    /// The task.
    pub task: TaskName,
    /// The round.
    pub round: RoundId,
    /// The named sum.
    pub release: String,
    /// The model version that was trained.
    pub trained: u64,
    /// How many clients passed each phase.
    pub funnel: Funnel,
    /// Bytes of one masked update.
    pub upload_bytes: u64,
    /// From the invitation to the end.
    pub milliseconds: u64,
    /// SHA-256 of the recovered sum, its words in little-endian order; nothing without a sum.
    pub sum: Option<Digest>,
    /// Why there is no sum.
    pub aborted: Option<String>,
    /// What the task has spent so far, this round included; nothing when noise is off.
    pub spent: Option<Spent>,
    /// What protects the clients, in words.
    pub guarantee: String,
    /// Against whom, in words.
    pub trust: String,
    /// Messages of clients that were refused, by reason.
    #[serde(default)]
    pub rejected: BTreeMap<String, u64>,
    /// Of a sum of ranks, what clients say of the model: every number in it is one of at least 50 people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Anything the server step did out of the ordinary.
    pub note: Option<String>,
}

impl RoundReport {
    /// Invited clients that are not in the sum.
    pub fn dropouts(&self) -> usize {
        self.funnel.invited.saturating_sub(self.funnel.uploaded)
    }
}

/// The digest of a recovered sum, as [`RoundReport::sum`] has it.
pub fn sum_digest(sum: &[u32]) -> Digest {
    let bytes: Vec<u8> = sum.iter().flat_map(|word| word.to_le_bytes()).collect();
    Digest::of(&bytes)
}
