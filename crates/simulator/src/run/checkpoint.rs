use std::collections::{BTreeMap, BTreeSet};

use chorus_model::{Learning, Parameters, ParametersError};
use chorus_privacy::Release;
use chorus_protocol::Digest;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::buffered::{Flights, Older};
use crate::masked::Kept;
use crate::{Picture, RoundRow};

/// What a checkpoint begins with. Whoever changes what stands in one changes the number.
const KIND: &str = "chorus-checkpoint-2";

/// Where a simulation stands between two sums. With task, data and options it is all that the rest depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub(crate) learning: Learning,
    pub(crate) older: Older,
    pub(crate) standing: Standing,
}

/// All of it but the model and the memory of the server step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Standing {
    /// The next sum, from 0.
    pub index: usize,
    /// Slots in which too few clients were there.
    pub waited: u64,
    /// Who learns, where updates come one by one.
    pub flights: Flights,
    /// Who was heard in this pass, by the sums that take turns together.
    pub heard: BTreeMap<String, BTreeSet<usize>>,
    /// What one client has spent: its cost in each sum so far.
    pub releases: Vec<Release>,
    pub rounds: Vec<RoundRow>,
    pub contributions: usize,
    /// Seconds that it took to come here.
    pub seconds: f64,
    /// What coordinator and clients keep, with masks.
    pub kept: Option<Kept>,
    pub picture: Option<Picture>,
}

/// Why a checkpoint cannot be gone on from.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum CheckpointError {
    /// Another file, or one of another version of this command.
    #[error("it is no checkpoint of this version of chorus")]
    Kind,
    /// Bytes that were changed after they were written.
    #[error("it was damaged: its digest is another than that of what it holds")]
    Damaged,
    /// Numbers that JSON cannot hold, or that are not there.
    #[error("{0}")]
    Standing(String),
    /// The model.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
}

/// What stands before the model files: how long they are, and everything else.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<S> {
    /// Bytes of the model.
    model: usize,
    /// Bytes of what the server step remembers.
    memory: usize,
    /// Sums whose models somebody still learns from, and bytes of those.
    older: Vec<(usize, usize)>,
    standing: S,
}

impl Checkpoint {
    /// Rounds that are done.
    pub fn rounds(&self) -> &[RoundRow] {
        &self.standing.rounds
    }

    /// The model as it is now.
    pub fn parameters(&self) -> &Parameters {
        &self.learning.parameters
    }

    /// A line with its kind and the digest of the rest, a line of JSON, the model, the memory of the server step, older models.
    ///
    /// # Errors
    /// When a part of it cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let model = self.learning.parameters.to_bytes()?;
        let memory = self.learning.state.to_bytes()?;
        let (mut lengths, mut files) = (Vec::new(), Vec::new());
        for (index, parameters) in &self.older {
            let file = parameters.to_bytes()?;
            lengths.push((*index, file.len()));
            files.extend(file);
        }
        let header = Header {
            model: model.len(),
            memory: memory.len(),
            older: lengths,
            standing: &self.standing,
        };
        let header = serde_json::to_vec(&header).map_err(unwritten)?;
        let rest = [&header[..], b"\n", &model, &memory, &files].concat();
        let first = format!("{KIND} {}\n", Digest::of(&rest));
        Ok([first.as_bytes(), &rest].concat())
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is none, or was damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let (first, rest) = line(bytes).ok_or(CheckpointError::Kind)?;
        let digest = first
            .strip_prefix(KIND.as_bytes())
            .ok_or(CheckpointError::Kind)?;
        if digest.trim_ascii() != Digest::of(rest).to_string().as_bytes() {
            return Err(CheckpointError::Damaged);
        }
        let (header, models) = line(rest).ok_or(CheckpointError::Damaged)?;
        let header: Header<Standing> = serde_json::from_slice(header).map_err(unwritten)?;
        let mut rest = models;
        let mut next = |length: usize| -> Result<Parameters, CheckpointError> {
            let (file, later) = rest
                .split_at_checked(length)
                .ok_or(CheckpointError::Damaged)?;
            rest = later;
            Ok(Parameters::from_bytes(file)?)
        };
        let learning = Learning {
            parameters: next(header.model)?,
            state: next(header.memory)?,
        };
        let older = header.older.into_iter();
        let older = older.map(|(index, length)| Ok((index, next(length)?)));
        let older = older.collect::<Result<_, CheckpointError>>()?;
        if !rest.is_empty() {
            return Err(CheckpointError::Damaged);
        }
        Ok(Self {
            learning,
            older,
            standing: header.standing,
        })
    }
}

fn unwritten(error: serde_json::Error) -> CheckpointError {
    CheckpointError::Standing(error.to_string())
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at(end);
    Some((line, rest.get(1..)?))
}
