use thiserror::Error;

use crate::{Block, BlockError, Delta, Parameters, ParametersError, Step, TrainingSet};

/// A person's taste in the space of the item table, `[factors]`.
///
/// # Privacy
/// Never leaves the client: it is solved from the history when it is needed, and dropped.
pub struct PersonVector(pub Vec<f32>);

/// Why a client could not learn.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The model does not fit the step.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// The plan names a block that the model or the step does not have. It says nothing about the history.
    #[error(transparent)]
    Block(#[from] BlockError),
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
}

/// Learns on the client from one model version.
pub trait Trainer: Send + Sync {
    /// Solves the person's vector from their history: a function of the public model and their own data.
    /// An empty history gives the zero vector.
    ///
    /// # Errors
    /// When the solve fails.
    fn person(&self, history: &TrainingSet) -> Result<PersonVector, TrainError>;

    /// What the client adds to the sum of `step`, in its layout; all zeros for an empty history.
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
    ) -> Result<Delta, TrainError>;
}
