use std::sync::Once;

use chorus_model::{Engine, Parameters, ParametersError, TrainError, Trainer};
use tch::{Kind, Tensor};

use crate::solve::{Ridge, numeric};
use crate::trainer::TorchTrainer;

/// The engine on libtorch: f32 tables, f64 solves, one Cholesky factorisation a person.
///
/// Opening the first model sets libtorch to one thread an operation, for the whole process: the solves are
/// small, and one client a thread uses the cores better than one operation over all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Torch;

impl Engine for Torch {
    /// # Errors
    /// When `items` `[items, factors]`, `alpha0` `[1]` or `regularisation` `[1]` is missing or of another shape,
    /// and the same for `whitening` `[r, factors]` and `gram_share` `[1]` where the model has them.
    fn open(&self, parameters: &Parameters) -> Result<Box<dyn Trainer>, TrainError> {
        static ONE_THREAD: Once = Once::new();
        ONE_THREAD.call_once(|| tch::set_num_threads(1));

        let (items, factors, table) = matrix(parameters, "items")?;
        let alpha0 = f64::from(parameters.scalar("alpha0")?);
        let regularisation = f64::from(parameters.scalar("regularisation")?);
        let whitening = match parameters.get("whitening") {
            None => None,
            Some(_) => Some(matrix(parameters, "whitening")?),
        };
        if let Some((rows, columns, tensor)) = &whitening
            && *columns != factors
        {
            return Err(shape("whitening", &[*rows, factors], tensor.numel()).into());
        }
        let gram_share = match parameters.get("gram_share") {
            None => None,
            Some(_) => Some(f64::from(parameters.scalar("gram_share")?)),
        };
        let ridge = Ridge::new(table, items, factors, alpha0, regularisation).map_err(numeric)?;
        let whitening = whitening
            .filter(|(rows, ..)| *rows == factors)
            .map(|(.., tensor)| tensor.to_kind(Kind::Double));
        Ok(Box::new(TorchTrainer::new(
            items, factors, ridge, whitening, gram_share,
        )))
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
