use chorus_model::{TrainError, TrainingSet};
use tch::{Kind, TchError, Tensor};

/// Rows of the item table that are widened to f64 at a time.
const GRAM_ROWS: usize = 16_384;

/// The ridge regression that every person vector comes from, prepared once for a model.
pub(crate) struct Ridge {
    /// V, `[items, factors]`, f32.
    pub(crate) table: Tensor,
    /// alpha0 V'V + lambda alpha0 m I, `[factors, factors]`, f64: the part that all people share.
    shared: Tensor,
    /// lambda times the identity, `[factors, factors]`, f64.
    penalty: Tensor,
}

/// One person's solution, still as tensors.
pub(crate) struct Solved {
    /// The rows of the history, `[k, factors]`, f64.
    pub(crate) rows: Tensor,
    /// The person vector, `[factors]`, f64, finite.
    pub(crate) person: Tensor,
}

impl Ridge {
    pub(crate) fn new(
        table: Tensor,
        items: usize,
        factors: usize,
        alpha0: f64,
        regularisation: f64,
    ) -> Result<Self, TchError> {
        let penalty = Tensor::f_eye(factors as i64, (Kind::Double, tch::Device::Cpu))?
            .f_mul_scalar(regularisation)?;
        let shared = gram(&table, items, factors)?
            .f_mul_scalar(alpha0)?
            .f_add(&penalty.f_mul_scalar(alpha0 * items as f64)?)?;
        Ok(Self {
            table,
            shared,
            penalty,
        })
    }

    /// Handles to the same values. libtorch counts references, so nothing is copied.
    pub(crate) fn handles(&self) -> Self {
        Self {
            table: self.table.shallow_clone(),
            shared: self.shared.shallow_clone(),
            penalty: self.penalty.shallow_clone(),
        }
    }

    /// (sum v v' + alpha0 V'V + lambda (k + alpha0 m) I)^-1 sum v over a history that is not empty and inside the
    /// catalogue: Hu, Koren and Volinsky 2008, section 4, with the regularisation of Rendle et al. 2022.
    pub(crate) fn solve(&self, history: &TrainingSet) -> Result<Solved, TrainError> {
        let indices: Vec<i64> = history
            .items()
            .iter()
            .map(|item| i64::from(item.0))
            .collect();
        let (solved, failed) = self.solve_rows(&indices).map_err(numeric)?;
        if failed {
            return Err(TrainError::Numeric(
                "the ridge matrix of a person is not positive".to_owned(),
            ));
        }
        Ok(solved)
    }

    fn solve_rows(&self, indices: &[i64]) -> Result<(Solved, bool), TchError> {
        let rows = self
            .table
            .f_index_select(0, &Tensor::f_from_slice(indices)?)?
            .f_to_kind(Kind::Double)?;
        let ridge = rows
            .f_transpose(0, 1)?
            .f_matmul(&rows)?
            .f_add(&self.shared)?;
        let ridge = ridge.f_add(&self.penalty.f_mul_scalar(indices.len() as f64)?)?;
        let target = rows
            .f_sum_dim_intlist([0i64].as_slice(), false, Kind::Double)?
            .f_unsqueeze(1)?;
        let (factor, info) = ridge.f_linalg_cholesky_ex(false, false)?;
        let person = target.f_cholesky_solve(&factor, false)?.f_squeeze_dim(1)?;
        let failed = info.f_int64_value(&[])? != 0;
        Ok((Solved { rows, person }, failed))
    }
}

/// V'V, `[factors, factors]`, f64: part by part, so that no second table of twice the width is held.
fn gram(table: &Tensor, items: usize, factors: usize) -> Result<Tensor, TchError> {
    let side = factors as i64;
    let mut gram = Tensor::f_zeros([side, side], (Kind::Double, tch::Device::Cpu))?;
    for first in (0..items).step_by(GRAM_ROWS) {
        let rows = GRAM_ROWS.min(items - first);
        let wide = table
            .f_narrow(0, first as i64, rows as i64)?
            .f_to_kind(Kind::Double)?;
        gram = gram.f_add(&wide.f_transpose(0, 1)?.f_matmul(&wide)?)?;
    }
    Ok(gram)
}

/// libtorch's errors carry a C++ stack trace after their first line.
pub(crate) fn numeric(error: TchError) -> TrainError {
    let text = error.to_string();
    TrainError::Numeric(text.lines().next().unwrap_or("libtorch failed").to_owned())
}
