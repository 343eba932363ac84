//! Models of a plan by libtorch's autograd.

mod factors;
mod network;
mod neumf;
mod sequence;
mod tensors;
mod torchscript;
mod trainer;
mod two_tower;

use std::sync::Once;

use chorus_model::{Engine, Parameters, TrainError, Trainer};
use tch::Kind;

pub use self::torchscript::{ModuleError, check_module};
use self::trainer::AutogradTrainer;
use crate::Torch;

/// Trains every model of a plan by autograd, also those of factors, which [`Torch`] leaves to the engine in plain Rust. For
/// models without a plan it is [`Torch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Autograd {
    /// In f32.
    Single,
    /// In f64, to compare with; updates are f32 all the same.
    Double,
}

impl Engine for Autograd {
    /// # Errors
    /// When the tensors do not match the plan, or are not those of its architecture.
    fn open(&self, parameters: &Parameters) -> Result<Box<dyn Trainer>, TrainError> {
        let Some(plan) = parameters.plan() else {
            return Torch.open(parameters);
        };
        one_thread();
        let kind = match self {
            Self::Single => Kind::Float,
            Self::Double => Kind::Double,
        };
        Ok(Box::new(AutogradTrainer::new(plan, parameters, kind)?))
    }
}

/// Sets libtorch to one thread an operation, once for the whole process.
pub(crate) fn one_thread() {
    static ONE_THREAD: Once = Once::new();
    ONE_THREAD.call_once(|| tch::set_num_threads(1));
}
