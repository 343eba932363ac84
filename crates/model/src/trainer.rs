use std::sync::Arc;

use rand::Rng;
use serde::Serialize;
use thiserror::Error;

use crate::{
    Architecture, Block, BlockError, Delta, ItemId, Parameters, ParametersError, Step, TrainingSet,
};

/// A person's taste in the space of the item table, `[factors]`.
///
/// # Privacy
/// Never leaves the client: it is solved from the history when it is needed, and dropped.
pub struct PersonVector(pub Vec<f32>);

/// What one item of a history adds to a score.
///
/// # Privacy
/// Names what the person did. Stays on the client.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cause {
    /// The item of the history.
    pub item: ItemId,
    /// What it adds to the score; below zero when it speaks against.
    pub adds: f32,
}

/// Why a client could not learn.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The model does not fit the step.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// The plan names a block that the model or the step does not have. It says nothing about the history.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The plan asks for a step that models of this kind do not take part in. It says nothing about the history.
    #[error("a model of this kind has no step {0:?}")]
    Step(Step),
    /// The model is of an architecture that this engine does not have.
    #[error("the model `{model}` ({architecture:?}) needs the engine with libtorch")]
    Architecture {
        /// Its name.
        model: String,
        /// What it is.
        architecture: Architecture,
    },
    /// Who asked for it does not want it any more: see [`Trainer::heed`].
    #[error("learning was stopped")]
    Stopped,
    /// The numbers went wrong: a matrix that cannot be solved, a value that is not finite.
    #[error("learning failed: {0}")]
    Numeric(String),
}

/// Opens models for learning. One per process; made by `chorus-torch`, or by [`crate::Direct`] without libtorch.
pub trait Engine: Send + Sync {
    /// Prepares a model once for any number of clients.
    ///
    /// # Errors
    /// When a tensor that the model's kind needs is missing or has another shape.
    fn open(&self, parameters: &Parameters) -> Result<Box<dyn Trainer>, TrainError>;

    /// Asks that learning uses at most so many threads, where an engine starts any of its own.
    fn set_threads(&self, _most: usize) {}
}

/// Whether learning is to go on. Asked between its steps: cheap, and once it says no it says no for good.
pub type GoOn = Arc<dyn Fn() -> bool + Send + Sync>;

/// Learns on the client from one model version.
pub trait Trainer: Send + Sync {
    /// The person's vector from their history: a function of the public model and their own data.
    /// An empty history gives the zero vector; a model that knows people by no vector gives one of length 0.
    ///
    /// # Errors
    /// When the solve fails.
    fn person(&self, history: &TrainingSet) -> Result<PersonVector, TrainError>;

    /// Every item's score for the person with this history, `[items]`; comparable within one person only.
    /// An empty history is scored by popularity: the counts themselves.
    ///
    /// # Errors
    /// When the model lacks a tensor, or a score is not finite.
    fn scores(&self, history: &TrainingSet) -> Result<Vec<f32>, TrainError>;

    /// Why `item` has its score: what each item of the history adds to it, in the order of the history.
    ///
    /// Where the score is a sum over the history an engine gives its parts. What this default gives is how much the score falls
    /// when the one item is left out.
    ///
    /// # Errors
    /// As [`Trainer::scores`].
    ///
    /// # Privacy
    /// Names what the person did. It stays on the client.
    fn explain(&self, history: &TrainingSet, item: ItemId) -> Result<Vec<Cause>, TrainError> {
        let score = |history: &TrainingSet| {
            let scores = self.scores(history)?;
            let place = item.0 as usize;
            scores
                .get(place)
                .copied()
                .ok_or_else(|| TrainError::Numeric(format!("the model has no item {place}")))
        };
        let whole = score(history)?;
        history
            .items()
            .iter()
            .map(|cause| {
                let adds = whole - score(&history.without(*cause))?;
                Ok(Cause { item: *cause, adds })
            })
            .collect()
    }

    /// Asks `go_on` between the epochs or batches of [`contribution`](Self::contribution), which ends with [`TrainError::Stopped`]
    /// where it says no. Models that learn in one short step need not ask.
    fn heed(&mut self, _go_on: GoOn) {}

    /// What the client adds to the sum of `step`, in its layout; all zeros for an empty history. Of [`Step::Ranks`], the same for
    /// every engine, [`rank_newest`](crate::rank_newest) knows.
    ///
    /// `rng` decides what a model that learns by sampling draws: the order of its examples, its negatives.
    ///
    /// With a `block` a gradient has only the rows of the block. The person vector still comes from the whole history
    /// and the whole model, and the length is the same whatever the history holds.
    ///
    /// # Errors
    /// When the block is not of the catalogue or the step takes none, the model lacks a tensor of the step, or the
    /// solve fails.
    ///
    /// # Privacy
    /// The result must go through clip, noise and mask before it leaves.
    fn contribution(
        &self,
        step: Step,
        block: Option<Block>,
        history: &TrainingSet,
        rng: &mut dyn Rng,
    ) -> Result<Delta, TrainError>;
}
