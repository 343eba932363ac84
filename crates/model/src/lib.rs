#![doc = include_str!("../README.md")]

mod delta;
mod event;
mod parameters;
mod sum;
mod trainer;

pub use delta::{Delta, MeanDelta};
pub use event::{Event, ItemId, TrainingSet};
pub use parameters::{Parameters, ParametersError, Tensor};
pub use sum::{Step, Sum};
pub use trainer::{Engine, PersonVector, TrainError, Trainer};
