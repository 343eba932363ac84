use chorus_model::{
    Architecture, Bounded, Direct, Engine, Mixing, Parameters, ParametersError, Serving,
    TrainError, Trainer, by_popularity,
};
use tch::Tensor;

use crate::solve::{Ridge, numeric};
use crate::trained::{Autograd, one_thread};
use crate::trainer::{Parts, TorchTrainer};

/// The engine on libtorch: f32 tables, f64 solves, one Cholesky factorisation a person.
///
/// Opening the first model sets libtorch to one thread an operation, for the whole process: the solves are
/// small, and one client a thread uses the cores better than one operation over all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Torch;

impl Engine for Torch {
    fn set_threads(&self, most: usize) {
        // libtorch takes no number below one.
        tch::set_num_threads(i32::try_from(most.max(1)).unwrap_or(i32::MAX));
    }

    /// # Errors
    /// When `items` `[items, factors]`, `alpha0` `[1]` or `regularisation` `[1]` is missing or of another shape, and as
    /// [`Serving::open`], [`Mixing::open`] and [`Bounded::open`].
    fn open(&self, parameters: &Parameters) -> Result<Box<dyn Trainer>, TrainError> {
        match parameters.plan() {
            // What the fused engine has, it has faster.
            Some(plan) if plan.architecture == Architecture::Factors => {
                return Direct.open(parameters);
            }
            Some(_) => return Autograd::Single.open(parameters),
            None => one_thread(),
        }

        let (items, factors, table) = matrix(parameters, "items")?;
        let alpha0 = f64::from(parameters.scalar("alpha0")?);
        let regularisation = f64::from(parameters.scalar("regularisation")?);
        let values = &parameters.require("items")?.values;
        let parts = Parts {
            items,
            factors,
            regularisation,
            serving: Serving::open(parameters, values, factors, regularisation)?,
            mixing: Mixing::open(parameters, items, factors)?,
            bounded: Bounded::open(parameters)?,
            popularity: by_popularity(parameters, items),
        };
        let ridge = Ridge::new(table, items, factors, alpha0).map_err(numeric)?;
        Ok(Box::new(TorchTrainer::new(parts, ridge)))
    }
}

/// The two-dimensional tensor `name`: rows, columns, and its f32 values.
fn matrix(parameters: &Parameters, name: &str) -> Result<(usize, usize, Tensor), TrainError> {
    let tensor = parameters.require(name)?;
    match tensor.shape.as_slice() {
        [rows, columns] if *rows > 0 && *columns > 0 && tensor.values.len() == rows * columns => {
            let values = Tensor::f_from_slice(&tensor.values)
                .and_then(|values| values.f_reshape([*rows as i64, *columns as i64]))
                .map_err(numeric)?;
            Ok((*rows, *columns, values))
        }
        found => Err(shape(name, found, tensor.values.len()).into()),
    }
}

fn shape(name: &str, shape: &[usize], found: usize) -> ParametersError {
    ParametersError::Shape {
        name: name.to_owned(),
        shape: shape.to_vec(),
        found,
    }
}
