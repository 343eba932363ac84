//! How a client comes by the model: the log that names it, then its file.

use super::{Frame, State};
use crate::{Digest, Refusal, SignedEntry};

/// No model file is longer.
pub const MODEL_BYTES: u64 = 1 << 30;

impl Frame {
    /// True when the plan's model is the newest one in the log as far as it was followed.
    pub(super) fn is_logged(&self) -> bool {
        self.log.newest(&self.plan.task).is_some_and(|newest| {
            newest.version == self.plan.version && newest.model == self.plan.model
        })
    }

    pub(super) fn follow(
        &mut self,
        model: Option<Vec<u8>>,
        entries: &[SignedEntry],
    ) -> Result<State, Refusal> {
        self.log.follow(entries, &self.coordinator)?;
        match (self.is_logged(), entries.is_empty()) {
            (true, _) => Ok(self.with_model(model)),
            // The log comes in parts; there may be more.
            (false, false) => Ok(State::Log { model }),
            (false, true) => Err(Refusal::NotLogged {
                version: self.plan.version,
            }),
        }
    }

    pub(super) fn with_model(&self, model: Option<Vec<u8>>) -> State {
        match model.filter(|bytes| Digest::of(bytes) == self.plan.model) {
            Some(model) => State::Learning { model },
            None => State::Model { bytes: Vec::new() },
        }
    }

    pub(super) fn append(
        &self,
        mut bytes: Vec<u8>,
        offset: u64,
        total: u64,
        more: &[u8],
    ) -> Result<State, Refusal> {
        let length = offset.saturating_add(more.len() as u64);
        if offset != bytes.len() as u64 || length > total || total > MODEL_BYTES {
            return Err(Refusal::Model);
        }
        bytes.extend_from_slice(more);
        match length < total {
            // Nothing more of an unfinished file: asking again would never end.
            true if more.is_empty() => Err(Refusal::Model),
            true => Ok(State::Model { bytes }),
            false if Digest::of(&bytes) == self.plan.model => Ok(State::Learning { model: bytes }),
            false => Err(Refusal::Model),
        }
    }
}
